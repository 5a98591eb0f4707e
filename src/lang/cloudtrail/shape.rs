//! The shapes that CloudTrail records come wrapped in, and the way to the records inside.

use super::ConvertError;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What a top level object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// A record itself.
    Record,
    /// `{"Records": […]}`: a file that CloudTrail delivered to S3.
    Records,
    /// `{"Events": [{"CloudTrailEvent": "…"}]}`: what `aws cloudtrail lookup-events` prints.
    LookupEvents,
    /// `{"detail-type": "… via CloudTrail", "detail": {…}}`: an event of EventBridge.
    EventBridge,
    /// `{"logEvents": [{"message": "…"}]}`: a delivery of a CloudWatch Logs subscription.
    LogEvents,
    /// A raw record below `aws.cloudtrail`, as the OpenSearch catalogue indexes it.
    CatalogDocument,
    /// A digest file: one event as it is.
    Digest,
    /// An ECS document.
    Ecs,
    /// `{"_id", "_index", "_source"}`: a hit of a search; its source is the document.
    Hit,
    /// Something else.
    Other,
}

/// What is at a path, whether its keys are nested or joined by dots.
fn at<'v>(object: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(i, _)| {
        let (head, rest) = (path.get(..i)?, path.get(i + 1..)?);
        at(object.get(head)?.as_object()?, rest)
    })
}

/// What an object is, told by its keys.
pub fn wrapping(object: &Map<String, Value>) -> Wrapping {
    let is_array = |key: &str| object.get(key).is_some_and(Value::is_array);
    let is_object = |key: &str| object.get(key).is_some_and(Value::is_object);
    let has = |path: &str| at(object, path).is_some();
    let via_cloudtrail = object.get("detail-type").and_then(Value::as_str);
    if is_object("_source") {
        Wrapping::Hit
    } else if is_array("Records") {
        Wrapping::Records
    } else if is_array("logEvents") {
        Wrapping::LogEvents
    } else if is_object("detail") && via_cloudtrail.is_some_and(|t| t.ends_with("via CloudTrail")) {
        Wrapping::EventBridge
    } else if has("digestStartTime") {
        Wrapping::Digest
    } else if has("aws.cloudtrail.eventName") {
        Wrapping::CatalogDocument
    } else if has("ecs.version") || has("event.provider") || has("aws.cloudtrail.event_version") {
        Wrapping::Ecs
    } else if ["eventVersion", "eventName", "eventSource", "userIdentity", "insightDetails"]
        .iter()
        .any(|k| object.contains_key(*k))
    {
        Wrapping::Record
    } else if object
        .get("Events")
        .and_then(Value::as_array)
        .is_some_and(|events| events.is_empty() || events.iter().any(|e| e.get("CloudTrailEvent").is_some()))
    {
        Wrapping::LookupEvents
    } else {
        Wrapping::Other
    }
}

#[derive(Deserialize)]
struct Records<'t> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'t RawValue>,
}

#[derive(Deserialize)]
struct LookupEvents<'t> {
    #[serde(rename = "Events", borrow)]
    events: Vec<LookupEvent<'t>>,
}

#[derive(Deserialize)]
struct LookupEvent<'t> {
    #[serde(rename = "CloudTrailEvent", borrow, default)]
    event: Option<Cow<'t, str>>,
}

#[derive(Deserialize)]
struct EventBridge<'t> {
    #[serde(borrow)]
    detail: &'t RawValue,
}

#[derive(Deserialize)]
struct LogEvents<'t> {
    #[serde(rename = "messageType", borrow, default)]
    kind: Option<Cow<'t, str>>,
    #[serde(rename = "logEvents", borrow)]
    events: Vec<LogEvent<'t>>,
}

#[derive(Deserialize)]
struct LogEvent<'t> {
    #[serde(borrow, default)]
    message: Option<Cow<'t, str>>,
}

#[derive(Deserialize)]
struct Catalog<'t> {
    #[serde(borrow, default)]
    aws: Option<CatalogAws<'t>>,
    #[serde(rename = "aws.cloudtrail", borrow, default)]
    joined: Option<&'t RawValue>,
}

#[derive(Deserialize)]
struct CatalogAws<'t> {
    #[serde(borrow)]
    cloudtrail: &'t RawValue,
}

fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, ConvertError> {
    serde_json::from_str(text).map_err(|e| ConvertError::of(&e, text.as_bytes()))
}

/// The records inside one object of a wrapping, each with its own JSON text. A record, a digest and
/// what is no wrapping are given back as they are; events without a record inside are left out.
///
/// # Errors
/// When the text is no JSON object, or not of that wrapping.
pub fn unwrap(wrapping: Wrapping, text: &str) -> Result<Vec<Cow<'_, str>>, ConvertError> {
    Ok(match wrapping {
        Wrapping::Records => {
            let found: Records<'_> = read(text)?;
            found.records.into_iter().map(|r| Cow::Borrowed(r.get())).collect()
        }
        Wrapping::LookupEvents => {
            let found: LookupEvents<'_> = read(text)?;
            found.events.into_iter().filter_map(|e| e.event).collect()
        }
        Wrapping::EventBridge => vec![Cow::Borrowed(read::<EventBridge<'_>>(text)?.detail.get())],
        Wrapping::LogEvents => {
            let found: LogEvents<'_> = read(text)?;
            if found.kind.as_deref() == Some("CONTROL_MESSAGE") {
                return Ok(Vec::new());
            }
            found.events.into_iter().filter_map(|e| e.message).collect()
        }
        Wrapping::CatalogDocument => {
            let found: Catalog<'_> = read(text)?;
            found.aws.map(|a| a.cloudtrail).or(found.joined).map(raw_text).into_iter().collect()
        }
        Wrapping::Record | Wrapping::Digest | Wrapping::Ecs | Wrapping::Hit | Wrapping::Other => {
            vec![Cow::Borrowed(text)]
        }
    })
}

fn raw_text(value: &RawValue) -> Cow<'_, str> {
    Cow::Borrowed(value.get())
}

/// Adds the constants of the data stream to an ECS document of it, where they are missing: in an
/// index they answer to queries although documents may lack them.
pub fn complete_ecs(document: &mut Value) {
    const CONSTANTS: [(&str, &str, &str); 5] = [
        ("data_stream", "type", "logs"),
        ("data_stream", "dataset", "aws.cloudtrail"),
        ("data_stream", "namespace", "default"),
        ("event", "module", "aws"),
        ("event", "dataset", "aws.cloudtrail"),
    ];
    let Some(object) = document.as_object_mut() else { return };
    let dataset = at(object, "data_stream.dataset").or_else(|| at(object, "event.dataset"));
    let of_dataset = match dataset {
        Some(name) => name.as_str() == Some("aws.cloudtrail"),
        None => {
            at(object, "aws.cloudtrail").is_some() || object.keys().any(|k| k.starts_with("aws.cloudtrail."))
        }
    };
    if !of_dataset {
        return;
    }
    for (parent, key, value) in CONSTANTS {
        if at(object, &[parent, key].join(".")).is_some() {
            continue;
        }
        let entry = object.entry(parent).or_insert_with(|| Value::Object(Map::new()));
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(key.to_owned(), value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Wrapping {
        wrapping(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap())
    }

    fn inside(text: &str) -> Vec<String> {
        unwrap(told(text), text).unwrap().into_iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn wrappings_are_told_by_their_keys() {
        for (text, expected) in [
            (r#"{"eventVersion":"1.08","eventName":"X"}"#, Wrapping::Record),
            (r#"{"insightDetails":{},"eventCategory":"Insight"}"#, Wrapping::Record),
            (r#"{"Records":[]}"#, Wrapping::Records),
            (r#"{"Events":[{"EventId":"1","CloudTrailEvent":"{}"}]}"#, Wrapping::LookupEvents),
            (r#"{"detail-type":"AWS API Call via CloudTrail","detail":{}}"#, Wrapping::EventBridge),
            (r#"{"detail-type":"Scheduled Event","detail":{}}"#, Wrapping::Other),
            (r#"{"messageType":"DATA_MESSAGE","logEvents":[]}"#, Wrapping::LogEvents),
            (r#"{"aws":{"cloudtrail":{"eventName":"X"}}}"#, Wrapping::CatalogDocument),
            (r#"{"aws.cloudtrail":{"eventName":"X"}}"#, Wrapping::CatalogDocument),
            (r#"{"digestStartTime":"2024-01-01T00:00:00Z"}"#, Wrapping::Digest),
            (r#"{"ecs":{"version":"8.11.0"}}"#, Wrapping::Ecs),
            (r#"{"event.provider":"iam.amazonaws.com"}"#, Wrapping::Ecs),
            (r#"{"aws":{"cloudtrail":{"event_version":"1.08"}}}"#, Wrapping::Ecs),
            (r#"{"_id":"1","_index":"x","_source":{"ecs":{"version":"8.11.0"}}}"#, Wrapping::Hit),
            (r#"{"a":1}"#, Wrapping::Other),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn records_keep_their_own_text() {
        let record = r#"{"eventName": "X",  "n": 123456789012345678901}"#;
        assert_eq!(inside(&format!(r#"{{"Records": [{record}, {{}}]}}"#)), [record, "{}"]);
        assert_eq!(
            inside(&format!(r#"{{"detail-type":"AWS API Call via CloudTrail","detail":{record}}}"#)),
            [record]
        );
        assert_eq!(inside(&format!(r#"{{"aws":{{"cloudtrail":{record}}}}}"#)), [record]);
        let text = serde_json::to_string(record).unwrap();
        assert_eq!(
            inside(&format!(r#"{{"Events":[{{"EventId":"1"}},{{"CloudTrailEvent":{text}}}]}}"#)),
            [record]
        );
        assert_eq!(inside(&format!(r#"{{"logEvents":[{{"id":"1","message":{text}}}]}}"#)), [record]);
        let control = r#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"CWL CONTROL MESSAGE"}]}"#;
        assert!(inside(control).is_empty());
        assert_eq!(inside(record), [record]);
    }

    #[test]
    fn ecs_documents_get_the_constants_of_their_data_stream() {
        let mut document =
            serde_json::json!({"aws": {"cloudtrail": {"event_version": "1.08"}}, "event": {"action": "X"}});
        complete_ecs(&mut document);
        assert_eq!(
            document["event"],
            serde_json::json!({"action": "X", "module": "aws", "dataset": "aws.cloudtrail"})
        );
        assert_eq!(document["data_stream"]["namespace"], "default");
        let mut own =
            serde_json::json!({"data_stream.dataset": "aws.cloudtrail", "data_stream.namespace": "prod"});
        complete_ecs(&mut own);
        assert_eq!(own["data_stream"], serde_json::json!({"type": "logs"}));
        let mut other = serde_json::json!({"event": {"dataset": "okta.system"}, "aws": {"cloudtrail": {}}});
        let before = other.clone();
        complete_ecs(&mut other);
        assert_eq!(other, before);
    }
}
