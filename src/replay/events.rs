//! From a record to events: raw CloudTrail in any wrapping is converted to ECS, ECS documents and
//! search hits are taken as they are.

use super::prefilter::Prefilter;
use super::records::Record;
use crate::diag::Code;
use crate::lang::cloudtrail::{ConvertError, Converter, Needs, Wrapping, unwrap, wrapping};
use crate::pack::Profile;
use crate::value::{Document, DocumentError, Projection};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// The index that converted records are taken to be in.
pub const CLOUDTRAIL_INDEX: &str = "logs-aws.cloudtrail-default";

/// The document of an event.
#[derive(Debug)]
pub enum Body<'a> {
    /// Its JSON text.
    Text(&'a [u8]),
    /// Its tree.
    Tree(Value),
}

/// One event.
#[derive(Debug)]
pub struct Event<'a> {
    /// The ECS document, or a document as it was indexed.
    pub body: Body<'a>,
    /// The `_id` of a search hit.
    pub id: Option<String>,
    /// The index that it is in, if that is known.
    pub index: Option<String>,
    /// What the conversion could not do (`error.message`).
    pub errors: Vec<String>,
    /// Its cells, where the reader projects.
    pub document: Option<&'a mut Document>,
}

impl Event<'_> {
    /// Whether it was converted from a raw CloudTrail record, rather than indexed somewhere.
    pub fn is_raw(&self) -> bool {
        matches!(self.body, Body::Tree(_))
    }

    /// The document's cells.
    ///
    /// # Errors
    /// When the text is no JSON object.
    pub fn project(&self, projection: &Projection) -> Result<Document, DocumentError> {
        match &self.body {
            Body::Text(text) => projection.project_slice(text),
            Body::Tree(tree) => Ok(projection.project_value(tree)),
        }
    }

    /// The document as a tree.
    ///
    /// # Errors
    /// When the text is no JSON.
    pub fn tree(&self) -> Result<Value, serde_json::Error> {
        match &self.body {
            Body::Text(text) => serde_json::from_slice(text),
            Body::Tree(tree) => Ok(tree.clone()),
        }
    }
}

/// What became of a record.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// An event.
    Event(Event<'a>),
    /// A raw CloudTrail record that no rule can match; it was not converted. Its text.
    Dropped(&'a [u8]),
    /// JSON that is neither CloudTrail nor an ECS document.
    Foreign,
    /// Text that is no JSON object (`RP0009`) or cannot be used (`RP0011`), and why.
    Broken(Code, String),
}

/// How records become events.
#[derive(Debug)]
pub struct EventReader<'a> {
    /// The conversion of raw CloudTrail.
    pub converter: &'a Converter,
    /// What of the converted document somebody reads.
    pub needs: &'a Needs,
    /// Drops records that no rule can match.
    pub prefilter: Option<&'a Prefilter>,
    /// Whether any JSON object is an event, or only CloudTrail and ECS.
    pub any_document: bool,
    /// Gives events their cells.
    pub projection: Option<&'a Projection>,
    /// The shape that events have, where they are not made into ECS.
    pub form: Option<Form>,
}

/// A shape that events are wanted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The shape. Events of another one are foreign.
    pub profile: Profile,
    /// Whether CloudTrail records are brought into it, as far as that is possible; else they are taken as
    /// they are, like everything.
    pub from_records: bool,
}

impl EventReader<'_> {
    /// Calls `take` with what becomes of a record; a wrapping may hold several events. Where the reader
    /// projects, the cells of each event stand in `document`, one after the other.
    pub fn read(&self, record: &Record<'_>, document: &mut Document, take: &mut dyn FnMut(Outcome<'_>)) {
        if record.delivered {
            return match self.form {
                Some(form) => self.formed(record.text, form, true, document, take),
                None => self.raw(record.text, document, take),
            };
        }
        let text = record.text;
        if text.first() == Some(&b'[') {
            // an array on one line
            match serde_json::from_slice::<Vec<&RawValue>>(text) {
                Ok(items) => items.iter().for_each(|item| self.object(item.get().as_bytes(), document, take)),
                Err(e) => take(Outcome::Broken(Code::RP0009, json_reason(&e))),
            }
            return;
        }
        self.object(text, document, take);
    }

    fn object(&self, text: &[u8], document: &mut Document, take: &mut dyn FnMut(Outcome<'_>)) {
        let mut head = Head::default();
        // what is no ECS document has next to nothing to project, so this costs it nothing
        let projected = match self.projection {
            // a shape is told first
            _ if self.form.is_some() => Head::of(text).map(|found| head = found),
            Some(projection) => projection.read(text, document, &mut |key| head.see(key)),
            None => Head::of(text).map(|found| head = found),
        };
        if let Err(e) = &projected {
            match Head::of(text) {
                // a number that no field can hold matters only if this is the document itself
                Ok(found) if !found.is_ecs() => head = found,
                _ => return take(Outcome::Broken(Code::RP0009, json_reason(e))),
            }
        }
        if let Some(form) = self.form {
            return self.of_form(text, &head, form, document, take);
        }
        if head.is_raw() {
            return self.raw(text, document, take);
        }
        if head.source {
            return self.hit(text, document, take);
        }
        if head.ecs {
            let document = self.projection.map(|_| document);
            let (id, index, errors) = (None, None, Vec::new());
            return take(Outcome::Event(Event { body: Body::Text(text), id, index, errors, document }));
        }
        self.wrapped(text, document, take);
    }

    /// An object where events are wanted in one shape.
    fn of_form(
        &self,
        text: &[u8],
        head: &Head,
        form: Form,
        document: &mut Document,
        take: &mut dyn FnMut(Outcome<'_>),
    ) {
        if head.source {
            return self.hit(text, document, take);
        }
        if head.is_raw() {
            return self.formed(text, form, true, document, take);
        }
        match form.profile {
            Profile::Raw if head.marks >= 2 => return self.formed(text, form, true, document, take),
            Profile::Ecs if head.ecs => return self.formed(text, form, false, document, take),
            Profile::Ocsf if head.ocsf => return self.formed(text, form, false, document, take),
            _ => {}
        }
        let tree: Value = match serde_json::from_slice(text) {
            Ok(tree) => tree,
            Err(e) => return take(Outcome::Broken(Code::RP0009, json_reason(&e))),
        };
        let Value::Object(map) = &tree else { return take(Outcome::Foreign) };
        match wrapping(map) {
            Wrapping::CatalogDocument if form.profile == Profile::Ss4o => {
                self.formed(text, form, false, document, take);
            }
            kind @ (Wrapping::Records
            | Wrapping::LookupEvents
            | Wrapping::EventBridge
            | Wrapping::LogEvents) => {
                let Ok(text) = std::str::from_utf8(text) else { return };
                match unwrap(kind, text) {
                    Ok(records) => {
                        records.iter().for_each(|r| self.formed(r.as_bytes(), form, true, document, take))
                    }
                    Err(e) => take(Outcome::Broken(Code::RP0011, e.to_string())),
                }
            }
            _ => take(Outcome::Foreign),
        }
    }

    /// An event in the shape that is wanted; foreign, if it is a record that has another one.
    fn formed(
        &self,
        text: &[u8],
        form: Form,
        is_record: bool,
        document: &mut Document,
        take: &mut dyn FnMut(Outcome<'_>),
    ) {
        match form.profile {
            Profile::Raw if is_record => self.ecs(text, (None, None), document, take),
            Profile::Ecs if is_record && form.from_records => self.raw(text, document, take),
            Profile::Ss4o if is_record && form.from_records => match serde_json::from_slice::<Value>(text) {
                Err(e) => take(Outcome::Broken(Code::RP0009, json_reason(&e))),
                Ok(record) => {
                    let tree = serde_json::json!({ "aws": { "cloudtrail": record } });
                    self.converted(tree, None, Vec::new(), document, take);
                }
            },
            Profile::Raw => take(Outcome::Foreign),
            _ if is_record => take(Outcome::Foreign),
            _ => self.ecs(text, (None, None), document, take),
        }
    }

    fn raw(&self, text: &[u8], document: &mut Document, take: &mut dyn FnMut(Outcome<'_>)) {
        if self.prefilter.is_some_and(|p| !p.keep(text, self.converter)) {
            return take(Outcome::Dropped(text));
        }
        match self.converter.convert(text, self.needs) {
            Err(e) => take(Outcome::Broken(code_of(&e), e.to_string())),
            Ok(converted) => {
                let index = Some(CLOUDTRAIL_INDEX.to_owned());
                self.converted(converted.document, index, converted.errors, document, take);
            }
        }
    }

    /// A document that was made of a record.
    fn converted(
        &self,
        tree: Value,
        index: Option<String>,
        errors: Vec<String>,
        document: &mut Document,
        take: &mut dyn FnMut(Outcome<'_>),
    ) {
        let document = self.projection.map(|projection| {
            projection.project_value_into(&tree, document);
            document
        });
        take(Outcome::Event(Event { body: Body::Tree(tree), id: None, index, errors, document }));
    }

    /// A document that was not projected yet.
    fn ecs(
        &self,
        text: &[u8],
        (id, index): (Option<String>, Option<String>),
        document: &mut Document,
        take: &mut dyn FnMut(Outcome<'_>),
    ) {
        let document = match self.projection {
            None => None,
            Some(projection) => match projection.read(text, document, &mut |_| {}) {
                Ok(()) => Some(document),
                Err(e) => return take(Outcome::Broken(Code::RP0009, json_reason(&e))),
            },
        };
        take(Outcome::Event(Event { body: Body::Text(text), id, index, errors: Vec::new(), document }));
    }

    fn hit(&self, text: &[u8], document: &mut Document, take: &mut dyn FnMut(Outcome<'_>)) {
        #[derive(Deserialize)]
        struct Hit<'a> {
            #[serde(default)]
            _id: Option<Value>,
            #[serde(default)]
            _index: Option<String>,
            #[serde(borrow)]
            _source: &'a RawValue,
        }
        match serde_json::from_slice::<Hit<'_>>(text) {
            Err(e) => take(Outcome::Broken(Code::RP0009, json_reason(&e))),
            Ok(hit) => {
                let id = hit._id.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
                self.ecs(hit._source.get().as_bytes(), (id, hit._index), document, take);
            }
        }
    }

    fn wrapped(&self, text: &[u8], document: &mut Document, take: &mut dyn FnMut(Outcome<'_>)) {
        let tree: Value = match serde_json::from_slice(text) {
            Ok(tree) => tree,
            Err(e) => return take(Outcome::Broken(Code::RP0009, json_reason(&e))),
        };
        let Value::Object(map) = &tree else { return take(Outcome::Foreign) };
        match wrapping(map) {
            Wrapping::Other if self.any_document => self.ecs(text, (None, None), document, take),
            Wrapping::Other => take(Outcome::Foreign),
            Wrapping::Record | Wrapping::Digest => self.raw(text, document, take),
            Wrapping::Ecs => self.ecs(text, (None, None), document, take),
            Wrapping::Hit => self.hit(text, document, take),
            kind => {
                // the text was parsed above, so it is UTF-8
                let Ok(text) = std::str::from_utf8(text) else { return };
                match unwrap(kind, text) {
                    Ok(records) => records.iter().for_each(|r| self.raw(r.as_bytes(), document, take)),
                    Err(e) => take(Outcome::Broken(Code::RP0011, e.to_string())),
                }
            }
        }
    }
}

fn code_of(e: &ConvertError) -> Code {
    match e {
        ConvertError::Syntax { .. } | ConvertError::NotAnObject => Code::RP0009,
        ConvertError::TooDeep => Code::RP0011,
    }
}

/// A JSON error in words, with its place in the record.
pub fn json_reason(e: &serde_json::Error) -> String {
    let text = e.to_string().replace(" at line 1 column ", " at column ");
    let (what, at) = text.split_once(" at ").map_or((text.as_str(), ""), |(what, at)| (what, at));
    match what {
        _ if at.is_empty() => format!("invalid JSON: {text}"),
        _ if e.is_eof() => format!("invalid JSON: it stops at {at}"),
        "recursion limit exceeded" => "nested deeper than 128 levels".to_owned(),
        what => format!("invalid JSON: {what} at {at}"),
    }
}

/// Which tell-tale keys stand at the top of an object.
#[derive(Default)]
struct Head {
    marks: u8,
    ecs: bool,
    source: bool,
    ocsf: bool,
}

impl Head {
    /// The head of a text.
    fn of(text: &[u8]) -> Result<Head, serde_json::Error> {
        let mut head = Head::default();
        let mut de = serde_json::Deserializer::from_slice(text);
        de.deserialize_map(HeadVisitor(&mut head)).and_then(|()| de.end())?;
        Ok(head)
    }

    fn see(&mut self, key: &str) {
        match key {
            "eventName" | "eventSource" | "eventTime" | "eventVersion" => {
                self.marks = self.marks.saturating_add(1);
            }
            "event" | "ecs" | "data_stream" => self.ecs = true,
            k if k.starts_with("event.") || k.starts_with("ecs.") || k.starts_with("data_stream.") => {
                self.ecs = true;
            }
            "_source" => self.source = true,
            "class_uid" | "activity_id" | "api" => self.ocsf = true,
            k if k.starts_with("api.") => self.ocsf = true,
            _ => {}
        }
    }

    fn is_raw(&self) -> bool {
        self.marks >= 2 && !self.ecs
    }

    fn is_ecs(&self) -> bool {
        self.ecs && !self.source
    }
}

struct HeadVisitor<'h>(&'h mut Head);

impl<'de> Visitor<'de> for HeadVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            self.0.see(&key);
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}
