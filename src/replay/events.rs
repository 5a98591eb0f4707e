//! From a record to events: raw CloudTrail in any wrapping is converted to ECS, ECS documents and
//! search hits are taken as they are.

use super::prefilter::Prefilter;
use super::records::Record;
use crate::diag::Code;
use crate::lang::cloudtrail::{ConvertError, Converter, Needs, Wrapping, unwrap, wrapping};
use crate::pack::Profile;
use crate::value::{Document, DocumentError, Projection};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
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
    /// Calls `take` with what becomes of a record; a wrapping may hold several events.
    pub fn read(&self, record: &Record<'_>, take: &mut dyn FnMut(Outcome<'_>)) {
        if record.delivered {
            return match self.form {
                Some(form) => self.formed(record.text, form, true, take),
                None => self.raw(record.text, take),
            };
        }
        let text = record.text;
        if text.first() == Some(&b'[') {
            // an array on one line
            match serde_json::from_slice::<Vec<&RawValue>>(text) {
                Ok(items) => items.iter().for_each(|item| self.object(item.get().as_bytes(), take)),
                Err(e) => take(Outcome::Broken(Code::RP0009, json_reason(&e))),
            }
            return;
        }
        self.object(text, take);
    }

    fn object(&self, text: &[u8], take: &mut dyn FnMut(Outcome<'_>)) {
        let mut head = Head::default();
        let mut de = serde_json::Deserializer::from_slice(text);
        if let Err(e) = HeadSeed(&mut head).deserialize(&mut de).and_then(|()| de.end()) {
            take(Outcome::Broken(Code::RP0009, json_reason(&e)));
            return;
        }
        if let Some(form) = self.form {
            return self.of_form(text, &head, form, take);
        }
        if head.raw && !head.ecs {
            return self.raw(text, take);
        }
        if head.source {
            return self.hit(text, take);
        }
        if head.ecs {
            return self.ecs(text, None, None, take);
        }
        self.wrapped(text, take);
    }

    /// An object where events are wanted in one shape.
    fn of_form(&self, text: &[u8], head: &Head, form: Form, take: &mut dyn FnMut(Outcome<'_>)) {
        if head.source {
            return self.hit(text, take);
        }
        let is_record = head.raw && !head.ecs;
        if is_record {
            return self.formed(text, form, true, take);
        }
        match form.profile {
            Profile::Raw if head.raw => return self.formed(text, form, true, take),
            Profile::Ecs if head.ecs => return self.formed(text, form, false, take),
            Profile::Ocsf if head.ocsf => return self.formed(text, form, false, take),
            _ => {}
        }
        let tree: Value = match serde_json::from_slice(text) {
            Ok(tree) => tree,
            Err(e) => return take(Outcome::Broken(Code::RP0009, json_reason(&e))),
        };
        let Value::Object(map) = &tree else { return take(Outcome::Foreign) };
        match wrapping(map) {
            Wrapping::CatalogDocument if form.profile == Profile::Ss4o => {
                self.formed(text, form, false, take);
            }
            kind @ (Wrapping::Records
            | Wrapping::LookupEvents
            | Wrapping::EventBridge
            | Wrapping::LogEvents) => {
                let Ok(text) = std::str::from_utf8(text) else { return };
                match unwrap(kind, text) {
                    Ok(records) => records.iter().for_each(|r| self.formed(r.as_bytes(), form, true, take)),
                    Err(e) => take(Outcome::Broken(Code::RP0011, e.to_string())),
                }
            }
            _ => take(Outcome::Foreign),
        }
    }

    /// An event in the shape that is wanted; foreign, if it is a record that has another one.
    fn formed(&self, text: &[u8], form: Form, is_record: bool, take: &mut dyn FnMut(Outcome<'_>)) {
        match form.profile {
            Profile::Raw if is_record => self.ecs(text, None, None, take),
            Profile::Ecs if is_record && form.from_records => self.raw(text, take),
            Profile::Ss4o if is_record && form.from_records => match serde_json::from_slice::<Value>(text) {
                Err(e) => take(Outcome::Broken(Code::RP0009, json_reason(&e))),
                Ok(record) => take(Outcome::Event(Event {
                    body: Body::Tree(serde_json::json!({ "aws": { "cloudtrail": record } })),
                    id: None,
                    index: None,
                    errors: Vec::new(),
                })),
            },
            Profile::Raw => take(Outcome::Foreign),
            _ if is_record => take(Outcome::Foreign),
            _ => self.ecs(text, None, None, take),
        }
    }

    fn raw(&self, text: &[u8], take: &mut dyn FnMut(Outcome<'_>)) {
        if self.prefilter.is_some_and(|p| !p.keep(text, self.converter)) {
            return take(Outcome::Dropped(text));
        }
        match self.converter.convert(text, self.needs) {
            Err(e) => take(Outcome::Broken(code_of(&e), e.to_string())),
            Ok(converted) => take(Outcome::Event(Event {
                body: Body::Tree(converted.document),
                id: None,
                index: Some(CLOUDTRAIL_INDEX.to_owned()),
                errors: converted.errors,
            })),
        }
    }

    fn ecs(&self, text: &[u8], id: Option<String>, index: Option<String>, take: &mut dyn FnMut(Outcome<'_>)) {
        take(Outcome::Event(Event { body: Body::Text(text), id, index, errors: Vec::new() }));
    }

    fn hit(&self, text: &[u8], take: &mut dyn FnMut(Outcome<'_>)) {
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
                self.ecs(hit._source.get().as_bytes(), id, hit._index, take);
            }
        }
    }

    fn wrapped(&self, text: &[u8], take: &mut dyn FnMut(Outcome<'_>)) {
        let tree: Value = match serde_json::from_slice(text) {
            Ok(tree) => tree,
            Err(e) => return take(Outcome::Broken(Code::RP0009, json_reason(&e))),
        };
        let Value::Object(map) = &tree else { return take(Outcome::Foreign) };
        match wrapping(map) {
            Wrapping::Other if self.any_document => take(Outcome::Event(Event {
                body: Body::Text(text),
                id: None,
                index: None,
                errors: Vec::new(),
            })),
            Wrapping::Other => take(Outcome::Foreign),
            Wrapping::Record | Wrapping::Digest => self.raw(text, take),
            Wrapping::Ecs => self.ecs(text, None, None, take),
            Wrapping::Hit => self.hit(text, take),
            kind => {
                // the text was parsed above, so it is UTF-8
                let Ok(text) = std::str::from_utf8(text) else { return };
                match unwrap(kind, text) {
                    Ok(records) => records.iter().for_each(|r| self.raw(r.as_bytes(), take)),
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
    raw: bool,
    ecs: bool,
    source: bool,
    ocsf: bool,
}

struct HeadSeed<'h>(&'h mut Head);

impl<'de> DeserializeSeed<'de> for HeadSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        de.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeadSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut marks = 0;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match key.as_ref() {
                "eventName" | "eventSource" | "eventTime" | "eventVersion" => marks += 1,
                "event" | "ecs" | "data_stream" => self.0.ecs = true,
                k if k.starts_with("event.") || k.starts_with("ecs.") || k.starts_with("data_stream.") => {
                    self.0.ecs = true;
                }
                "_source" => self.0.source = true,
                "class_uid" | "activity_id" | "api" => self.0.ocsf = true,
                k if k.starts_with("api.") => self.0.ocsf = true,
                _ => {}
            }
            map.next_value::<IgnoredAny>()?;
        }
        self.0.raw = marks >= 2;
        Ok(())
    }
}
