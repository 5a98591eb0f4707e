//! Single events out of whatever they are wrapped in: deliveries, answers of a search, messages, alerts.

use serde_json::{Map, Value};

/// How deep wrappings are looked through.
const MAX_DEPTH: usize = 16;

/// The event with an id that begins with `id`, out of a record; the outermost object that is an event by
/// itself, alerts turned back into the event that they are about. Gives its whole id.
pub fn event(record: &Value, id: &str) -> Option<(String, Value)> {
    find(record, id, 0)
}

fn find(value: &Value, id: &str, depth: usize) -> Option<(String, Value)> {
    if depth > MAX_DEPTH {
        return None;
    }
    match value {
        Value::Array(items) => items.iter().find_map(|v| find(v, id, depth + 1)),
        Value::Object(map) => {
            if let Some(source) = map.get("_source").filter(|s| s.is_object()) {
                let hit = map.get("_id").and_then(Value::as_str).filter(|i| i.starts_with(id));
                let inner = find(source, id, depth + 1);
                return inner
                    .or_else(|| hit.map(|i| (own_id(source).unwrap_or(i).to_owned(), original(source))));
            }
            if let Some(own) = own_id(value).filter(|own| own.starts_with(id)) {
                return Some((own.to_owned(), original(value)));
            }
            map.values().find_map(|v| find(v, id, depth + 1))
        }
        // a record as text: `CloudTrailEvent`, `message`
        Value::String(text) if text.starts_with('{') && text.contains(id) => {
            find(&serde_json::from_str(text).ok()?, id, depth + 1)
        }
        _ => None,
    }
}

/// The id of an event: of a CloudTrail record, or of a document.
fn own_id(value: &Value) -> Option<&str> {
    value
        .get("eventID")
        .or_else(|| value.get("event.id"))
        .or_else(|| value.get("event").and_then(|e| e.get("id")))
        .and_then(first)
}

fn first(value: &Value) -> Option<&str> {
    value.as_array().map_or(Some(value), |a| a.first())?.as_str()
}

/// The event that an alert is about: what the alert adds is taken away, what it replaced is put back.
/// Other documents stay as they are.
fn original(document: &Value) -> Value {
    let Some(map) = document.as_object() else { return document.clone() };
    let is_alert =
        map.keys().any(|k| k.starts_with("kibana.alert.")) || document.pointer("/kibana/alert").is_some();
    if !is_alert {
        return document.clone();
    }
    let mut flat: Map<String, Value> = Map::new();
    flatten(map, "", &mut flat, 0);
    let mut out: Map<String, Value> = flat
        .iter()
        .filter(|(k, _)| !k.starts_with("kibana.") && !k.starts_with("signal.") && *k != "event.kind")
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    for (key, value) in &flat {
        if let Some(field) = key.strip_prefix("kibana.alert.original_event.") {
            out.insert(format!("event.{field}"), value.clone());
        }
    }
    if let Some(time) = flat.get("kibana.alert.original_time") {
        out.insert("@timestamp".to_owned(), time.clone());
    }
    Value::Object(out)
}

/// Objects as keys with dots; arrays stay whole.
fn flatten(map: &Map<String, Value>, prefix: &str, out: &mut Map<String, Value>, depth: usize) {
    for (key, value) in map {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(below) if !below.is_empty() && depth < 64 => flatten(below, &path, out, depth + 1),
            other => {
                out.insert(path, other.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_found_in_every_wrapping() {
        let record = json!({"eventID": "5b0c2a9e-1", "eventName": "X"});
        let wrapped = [
            record.clone(),
            json!([{"eventID": "other"}, record]),
            json!({"Records": [record]}),
            json!({"Events": [{"EventId": "5b0c2a9e-1", "CloudTrailEvent": record.to_string()}]}),
            json!({"detail-type": "AWS API Call via CloudTrail", "detail": record}),
            json!({"hits": {"hits": [{"_id": "q", "_source": {"message": record.to_string()}}]}}),
        ];
        for wrapping in wrapped {
            let found = event(&wrapping, "5b0c2a9e");
            assert_eq!(found, Some(("5b0c2a9e-1".to_owned(), record.clone())), "{wrapping}");
        }
        assert_eq!(event(&record, "5b0c2a9f"), None);
    }

    #[test]
    fn a_document_is_found_by_its_own_id_or_that_of_its_hit() {
        let document = json!({"event": {"id": ["e1"], "action": "X"}});
        assert_eq!(event(&document, "e1").unwrap().1, document);
        let hit = json!({"_id": "abc", "_source": document});
        assert_eq!(event(&hit, "abc"), Some(("e1".to_owned(), document.clone())));
        assert_eq!(event(&hit, "e1"), Some(("e1".to_owned(), document)));
    }

    #[test]
    fn an_alert_becomes_the_event_that_it_is_about() {
        let alert = json!({"_id": "a", "_source": {
            "@timestamp": "2026-01-02T00:05:00Z", "event": {"id": "e1", "kind": "signal", "action": "X"},
            "kibana.alert.original_time": "2026-01-02T00:00:00Z", "kibana.alert.original_event.kind": "event",
            "kibana.alert.rule.name": "R", "user": {"name": "u"},
        }});
        let expected = json!({
            "@timestamp": "2026-01-02T00:00:00Z", "event.id": "e1", "event.action": "X", "user.name": "u", "event.kind": "event",
        });
        assert_eq!(event(&alert, "e1"), Some(("e1".to_owned(), expected)));
    }
}
