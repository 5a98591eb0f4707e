//! A raw CloudTrail record as the pipeline sees it after its first clean-up: borrowed from the JSON
//! text, empty values gone, and every object knowing how many keys it was parsed with.

use super::ConvertError;
use super::needs::Needs;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

/// A JSON value. Null, `""`, `"-"`, `"none"` and what is empty after cleaning are all [`Node::Null`].
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    /// An integer beyond 64 bits, as it is written.
    Big(&'a str),
    Str(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Map<'a>),
}

/// A JSON object: its entries without the empty ones, in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Map<'a> {
    pub entries: Vec<(Cow<'a, str>, Node<'a>)>,
    /// How many keys it had before the clean-up; a Java map never shrinks its table.
    pub keys: usize,
}

static NULL: Node<'static> = Node::Null;

impl<'a> Node<'a> {
    pub fn is_null(&self) -> bool {
        matches!(self, Node::Null)
    }

    pub fn str(&self) -> Option<&str> {
        match self {
            Node::Str(s) => Some(s),
            _ => None,
        }
    }

    /// Whether it is this string.
    pub fn is(&self, text: &str) -> bool {
        self.str() == Some(text)
    }

    pub fn map(&self) -> Option<&Map<'a>> {
        match self {
            Node::Map(m) => Some(m),
            _ => None,
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Node<'a>] {
        match self {
            Node::List(l) => l,
            _ => &[],
        }
    }

    /// The value of a key; null where there is none.
    pub fn get(&self, key: &str) -> &Node<'a> {
        self.map().and_then(|m| m.entries.iter().find(|(k, _)| k == key)).map_or(&NULL, |(_, v)| v)
    }

    /// The value at a path of keys.
    pub fn at(&self, path: &[&str]) -> &Node<'a> {
        path.iter().fold(self, |node, key| node.get(key))
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Node<'a> {
        let Node::Map(map) = self else { return Node::Null };
        match map.entries.iter().position(|(k, _)| k == key) {
            Some(i) => map.entries.remove(i).1,
            None => Node::Null,
        }
    }

    /// The text of a scalar as a template prints it.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Node::Str(s) => Cow::Borrowed(s),
            Node::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Node::Int(i) => Cow::Owned(i.to_string()),
            Node::Unsigned(u) => Cow::Owned(u.to_string()),
            Node::Float(f) => Cow::Owned(crate::value::float_text(*f)),
            Node::Big(digits) => Cow::Borrowed(digits),
            Node::Null | Node::List(_) | Node::Map(_) => return None,
        })
    }

    /// The value for the document. An integer beyond 64 bits becomes a string of its digits: a JSON
    /// number would lose them, and keyword fields match by text.
    pub fn to_value(&self) -> Value {
        match self {
            Node::Null => Value::Null,
            Node::Bool(b) => (*b).into(),
            Node::Int(i) => (*i).into(),
            Node::Unsigned(u) => (*u).into(),
            Node::Float(f) => (*f).into(),
            Node::Big(digits) => (*digits).into(),
            Node::Str(s) => s.as_ref().into(),
            Node::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Node::Map(map) => {
                let mut out = serde_json::Map::with_capacity(map.entries.len());
                for (key, value) in &map.entries {
                    out.insert(key.as_ref().to_owned(), value.to_value());
                }
                Value::Object(out)
            }
        }
    }
}

/// What the number visitor needs for integers that do not fit 64 bits.
#[derive(Default)]
struct Numbers<'a> {
    /// Whether one came by that serde_json could only give as a double.
    inexact: Cell<bool>,
    /// The texts of those numbers in document order, on the second reading.
    texts: Option<RefCell<std::vec::IntoIter<&'a str>>>,
}

/// Doubles of this size, and the negative zero, may be written as integers.
fn may_be_integer(f: f64) -> bool {
    f.abs() >= 9_223_372_036_854_775_808.0 || (f == 0.0 && f.is_sign_negative())
}

/// Whether a number's text reached the visitor as a double of that kind.
fn comes_as_double(text: &str) -> bool {
    let fits = text != "-0" && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok());
    !fits && text.parse().is_ok_and(may_be_integer)
}

impl<'a> Numbers<'a> {
    fn float(&self, f: f64) -> Node<'a> {
        if !may_be_integer(f) {
            return Node::Float(f);
        }
        match &self.texts {
            None => {
                self.inexact.set(true);
                Node::Float(f)
            }
            Some(texts) => match texts.borrow_mut().next() {
                Some("-0") => Node::Int(0),
                Some(text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => Node::Big(text),
                _ => Node::Float(f),
            },
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'n, 'a>(&'n Numbers<'a>);

impl<'de> DeserializeSeed<'de> for Seed<'_, 'de> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Node<'de>, D::Error> {
        de.deserialize_any(self)
    }
}

fn is_empty(text: &str) -> bool {
    matches!(text, "" | "-" | "none")
}

impl<'de> Visitor<'de> for Seed<'_, 'de> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Node<'de>, E> {
        Ok(i64::try_from(v).map_or(Node::Unsigned(v), Node::Int))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Node<'de>, E> {
        Ok(self.0.float(v))
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Node<'de>, E> {
        Ok(if is_empty(v) { Node::Null } else { Node::Str(Cow::Borrowed(v)) })
    }

    fn visit_str<E>(self, v: &str) -> Result<Node<'de>, E> {
        Ok(if is_empty(v) { Node::Null } else { Node::Str(Cow::Owned(v.to_owned())) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            if !item.is_null() {
                items.push(item);
            }
        }
        Ok(if items.is_empty() { Node::Null } else { Node::List(items) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut map = Map { entries: Vec::with_capacity(8), keys: 0 };
        let mut empty = false;
        while let Some(key) = access.next_key_seed(Key)? {
            let value = access.next_value_seed(self)?;
            empty |= value.is_null();
            map.entries.push((key, value));
        }
        merge_duplicates(&mut map.entries);
        map.keys = map.entries.len();
        if empty {
            map.entries.retain(|(_, v)| !v.is_null());
        }
        Ok(if map.entries.is_empty() { Node::Null } else { Node::Map(map) })
    }
}

/// Of keys that come twice the last value counts, at the first one's place.
fn merge_duplicates<'a>(entries: &mut Vec<(Cow<'a, str>, Node<'a>)>) {
    const FEW: usize = 24;
    let repeated = if entries.len() <= FEW {
        let mut rest = entries.as_slice();
        loop {
            let Some(((key, _), tail)) = rest.split_first() else { break false };
            if tail.iter().any(|(k, _)| k == key) {
                break true;
            }
            rest = tail;
        }
    } else {
        let mut seen = rustc_hash::FxHashSet::default();
        !entries.iter().all(|(k, _)| seen.insert(k.as_ref()))
    };
    if !repeated {
        return;
    }
    let mut places: rustc_hash::FxHashMap<Cow<'a, str>, usize> = rustc_hash::FxHashMap::default();
    let mut merged: Vec<(Cow<'a, str>, Node<'a>)> = Vec::with_capacity(entries.len());
    for (key, value) in entries.drain(..) {
        match places.get(&key).and_then(|i| merged.get_mut(*i)) {
            Some(entry) => entry.1 = value,
            None => {
                places.insert(key.clone(), merged.len());
                merged.push((key, value));
            }
        }
    }
    *entries = merged;
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Self::Value, D::Error> {
        de.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_owned()))
    }
}

macro_rules! fields {
    ($($name:ident = $text:literal,)*) => {
        /// A top level key that the conversion reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field { $($name,)* }

        impl Field {
            const COUNT: usize = [$($text),*].len();

            fn of(key: &str) -> Option<Field> {
                Some(match key { $($text => Field::$name,)* _ => return None })
            }
        }
    };
}

fields! {
    Addendum = "addendum",
    AdditionalEventData = "additionalEventData",
    ApiVersion = "apiVersion",
    AwsAccountId = "awsAccountId",
    AwsRegion = "awsRegion",
    DigestEndTime = "digestEndTime",
    DigestPublicKeyFingerprint = "digestPublicKeyFingerprint",
    DigestS3Bucket = "digestS3Bucket",
    DigestS3Object = "digestS3Object",
    DigestSignatureAlgorithm = "digestSignatureAlgorithm",
    DigestStartTime = "digestStartTime",
    ErrorCode = "errorCode",
    ErrorMessage = "errorMessage",
    EventCategory = "eventCategory",
    EventId = "eventID",
    EventName = "eventName",
    EventSource = "eventSource",
    EventTime = "eventTime",
    EventType = "eventType",
    EventVersion = "eventVersion",
    InsightDetails = "insightDetails",
    LogFiles = "logFiles",
    ManagementEvent = "managementEvent",
    NewestEventTime = "newestEventTime",
    OldestEventTime = "oldestEventTime",
    PreviousDigestHashAlgorithm = "previousDigestHashAlgorithm",
    PreviousDigestHashValue = "previousDigestHashValue",
    PreviousDigestS3Bucket = "previousDigestS3Bucket",
    PreviousDigestS3Object = "previousDigestS3Object",
    PreviousDigestSignature = "previousDigestSignature",
    PublicKeyFingerprint = "publicKeyFingerprint",
    ReadOnly = "readOnly",
    RecipientAccountId = "recipientAccountId",
    RequestId = "requestID",
    RequestParameters = "requestParameters",
    Resources = "resources",
    ResponseElements = "responseElements",
    ServiceEventDetails = "serviceEventDetails",
    SessionCredentialFromConsole = "sessionCredentialFromConsole",
    SharedEventId = "sharedEventID",
    SharedEventIdOld = "sharedEventId",
    SourceIdentity = "sourceIdentity",
    SourceIpAddress = "sourceIPAddress",
    TlsDetails = "tlsDetails",
    UserAgent = "userAgent",
    UserIdentity = "userIdentity",
    VpcEndpointAccountId = "vpcEndpointAccountId",
    VpcEndpointId = "vpcEndpointId",
}

/// A parsed record.
pub(super) struct Record<'a> {
    fields: [Node<'a>; Field::COUNT],
    /// How many bytes of JSON it was read from.
    pub size: usize,
}

impl<'a> Record<'a> {
    /// Parses a record, leaving out what nobody needs.
    pub fn parse(text: &'a str, needs: &Needs) -> Result<Record<'a>, ConvertError> {
        let (record, inexact) = Record::read(text, needs, Numbers::default())?;
        if !inexact {
            return Ok(record);
        }
        let texts: Vec<&str> = number_texts(text).filter(|t| comes_as_double(t)).collect();
        let numbers = Numbers { texts: Some(RefCell::new(texts.into_iter())), ..Numbers::default() };
        // the texts are those of the whole record, so the whole record is read
        Ok(Record::read(text, &Needs::all(), numbers)?.0)
    }

    fn read(text: &'a str, needs: &Needs, numbers: Numbers<'a>) -> Result<(Record<'a>, bool), ConvertError> {
        let mut de = serde_json::Deserializer::from_str(text);
        let seed = Top { needs, all: numbers.texts.is_some(), numbers: &numbers };
        let fields = de
            .deserialize_map(seed)
            .and_then(|fields| de.end().map(|()| fields))
            .map_err(|e| ConvertError::of(&e, text.as_bytes()))?;
        Ok((Record { fields, size: text.len() }, numbers.inexact.get()))
    }

    pub fn get(&self, field: Field) -> &Node<'a> {
        self.fields.get(field as usize).unwrap_or(&NULL)
    }

    pub fn get_mut(&mut self, field: Field) -> Option<&mut Node<'a>> {
        self.fields.get_mut(field as usize)
    }
}

struct Top<'n, 'a> {
    needs: &'n Needs,
    /// Whether to follow the values nobody asked for, too, so that numbers are met in order.
    all: bool,
    numbers: &'n Numbers<'a>,
}

impl<'de> Visitor<'de> for Top<'_, 'de> {
    type Value = [Node<'de>; Field::COUNT];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut fields = [const { Node::Null }; Field::COUNT];
        while let Some(key) = access.next_key_seed(Key)? {
            let field = Field::of(&key);
            match field.filter(|f| self.needs.reads(*f)) {
                Some(field) => {
                    let value = access.next_value_seed(Seed(self.numbers))?;
                    let slot = fields.get_mut(field as usize);
                    *slot.ok_or_else(|| A::Error::custom("no such field"))? = value;
                }
                None if self.all => drop(access.next_value_seed(Seed(self.numbers))?),
                None => drop(access.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// The number tokens of a valid JSON text, in order.
fn number_texts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            rest = rest.get(start..)?;
            if let Some(inside) = rest.strip_prefix('"') {
                rest = skip_string(inside)?;
                continue;
            }
            let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
            let (number, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            rest = after;
            return Some(number);
        }
    })
}

/// What follows the string whose opening quote was just read.
fn skip_string(mut rest: &str) -> Option<&str> {
    loop {
        let i = rest.find(['"', '\\'])?;
        let (escaped, after) = (rest.as_bytes().get(i) == Some(&b'\\'), rest.get(i + 1..)?);
        if !escaped {
            return Some(after);
        }
        rest = after.get(after.chars().next()?.len_utf8()..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Record<'_> {
        Record::parse(text, &Needs::all()).unwrap()
    }

    #[test]
    fn empty_values_are_gone_but_their_keys_were_counted() {
        let r = parse(r#"{"requestParameters":{"a":null,"b":"-","c":{"d":["",{"e":"none"}]},"f":"x"}}"#);
        let map = r.get(Field::RequestParameters).map().unwrap();
        assert_eq!((map.entries.len(), map.keys), (1, 4));
        assert!(parse(r#"{"requestParameters":{"a":[]}}"#).get(Field::RequestParameters).is_null());
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_at_the_place_of_the_first() {
        let r = parse(r#"{"requestParameters":{"a":1,"b":2,"a":3},"eventName":"X","eventName":"Y"}"#);
        let map = r.get(Field::RequestParameters).map().unwrap();
        assert_eq!(format!("{:?}", map.entries), r#"[("a", Int(3)), ("b", Int(2))]"#);
        assert_eq!(map.keys, 2);
        assert!(r.get(Field::EventName).is("Y"));
        let r = parse(r#"{"requestParameters":{"a":1,"b":2,"a":null}}"#);
        assert_eq!(
            format!("{:?}", r.get(Field::RequestParameters).map().unwrap().entries),
            r#"[("b", Int(2))]"#
        );
        let many: String = (0..40).map(|i| format!("\"k{}\":{i},", i % 30)).collect();
        let text = format!("{{\"requestParameters\":{{{many}\"z\":0}}}}");
        let r = parse(&text);
        let map = r.get(Field::RequestParameters).map().unwrap();
        assert_eq!((map.keys, format!("{:?}", map.entries[0])), (31, r#"("k0", Int(30))"#.to_owned()));
    }

    #[test]
    fn integers_of_any_size_keep_their_digits() {
        let text = r#"{"x":123456789012345678901234567890,"requestParameters":{"s":"\"9\\","a":18446744073709551615,
            "b":18446744073709551616,"c":-9223372036854775809,"d":1e30,"e":-0,"f":1.50,"g":-0.0}}"#;
        let r = parse(text);
        let map = r.get(Field::RequestParameters);
        let texts: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"]
            .iter()
            .map(|k| map.get(k).text().unwrap().into_owned())
            .collect();
        assert_eq!(
            texts,
            [
                "18446744073709551615",
                "18446744073709551616",
                "-9223372036854775809",
                "1.0E30",
                "0",
                "1.5",
                "-0.0"
            ]
        );
    }
}
