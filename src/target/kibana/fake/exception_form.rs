//! What an exception list and an item must look like (contract 5).

use super::refusal::Refusal;
use super::state::{Object, text};
use serde_json::Value;

const LIST_TYPES: &[&str] = &[
    "detection",
    "rule_default",
    "endpoint",
    "endpoint_trusted_apps",
    "endpoint_trusted_devices",
    "endpoint_events",
    "endpoint_host_isolation_exceptions",
    "endpoint_blocklists",
    "endpoint_custom_yara_signatures",
];

/// The two kinds of object of this API.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    Item,
}

impl Kind {
    pub(super) fn key(self) -> &'static str {
        if self == Kind::List { "list_id" } else { "item_id" }
    }

    pub(super) fn noun(self) -> &'static str {
        if self == Kind::List { "exception list" } else { "exception list item" }
    }

    /// Keys with whether they are needed, and what JSON type they have.
    fn keys(self) -> &'static [(&'static str, bool, &'static str)] {
        match self {
            Kind::List => &[
                ("name", true, "string"),
                ("description", true, "string"),
                ("type", true, "string"),
                ("list_id", false, "string"),
                ("namespace_type", false, "string"),
                ("os_types", false, "array"),
                ("tags", false, "array"),
                ("meta", false, "object"),
                ("version", false, "number"),
            ],
            Kind::Item => &[
                ("name", true, "string"),
                ("description", true, "string"),
                ("type", true, "string"),
                ("list_id", false, "string"),
                ("entries", true, "array"),
                ("item_id", false, "string"),
                ("namespace_type", false, "string"),
                ("os_types", false, "array"),
                ("tags", false, "array"),
                ("comments", false, "array"),
                ("expire_time", false, "string"),
                ("meta", false, "object"),
            ],
        }
    }
}

/// Checks the form of a list or an item.
pub(super) fn check(given: &Object, kind: Kind, update: bool) -> Result<(), Refusal> {
    let no = |message: String| Err(Refusal::request("body", message));
    for (key, needed, form) in kind.keys() {
        let needed = *needed || (kind == Kind::Item && *key == "list_id" && !update);
        match given.get(*key) {
            None if needed => return no(format!("{key}: Required")),
            None => {}
            Some(v) => {
                let fits = match *form {
                    "string" => v.is_string(),
                    "array" => v.is_array(),
                    "number" => v.as_u64().is_some_and(|n| n > 0),
                    _ => v.is_object(),
                };
                if !fits {
                    return no(format!("{key}: Expected {form}"));
                }
            }
        }
    }
    for key in given.keys() {
        let known =
            kind.keys().iter().any(|(k, ..)| k == key) || (update && (key == "id" || key == "_version"));
        if !known {
            return no(format!("Unrecognized key(s) in object: '{key}'"));
        }
    }
    if !matches!(given.get("namespace_type").and_then(Value::as_str), None | Some("single" | "agnostic")) {
        return no("namespace_type: Invalid enum value. Expected 'agnostic' | 'single'".to_owned());
    }
    let types = if kind == Kind::List { LIST_TYPES } else { &["simple"] };
    if !types.contains(&text(given, "type")) {
        return no("type: Invalid enum value".to_owned());
    }
    if let Some(expires) = given.get("expire_time").and_then(Value::as_str)
        && !(expires.len() == 24 && expires.ends_with('Z') && crate::es::date::parse_value(expires).is_some())
    {
        return no("expire_time: Invalid datetime".to_owned());
    }
    if kind == Kind::Item {
        let entries = given.get("entries").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if entries.is_empty() {
            return no("entries: Array must contain at least 1 element(s)".to_owned());
        }
        for (i, entry) in entries.iter().enumerate() {
            if !entry_fits(entry, true) {
                return no(format!("entries.{i}: Invalid input"));
            }
        }
        let is_list = |e: &Value| e.get("type").and_then(Value::as_str) == Some("list");
        if entries.iter().any(is_list) && !entries.iter().all(is_list) {
            return Err(Refusal::siem(400, "entries of type list stand alone in an item"));
        }
    }
    if update && given.contains_key("id") == given.contains_key(kind.key()) {
        return Err(Refusal::siem(400, format!("one of \"id\" and \"{}\" is needed", kind.key())));
    }
    Ok(())
}

/// Whether an entry has the form of its type; nested ones hold only simple ones.
fn entry_fits(entry: &Value, top: bool) -> bool {
    let filled = |key: &str| entry.get(key).and_then(Value::as_str).is_some_and(|s| !s.is_empty());
    let operator = matches!(entry.get("operator").and_then(Value::as_str), Some("included" | "excluded"));
    filled("field")
        && match entry.get("type").and_then(Value::as_str) {
            Some("match") => operator && filled("value"),
            Some("wildcard") => top && operator && filled("value"),
            Some("match_any") => {
                let values = entry.get("value").and_then(Value::as_array);
                operator && values.is_some_and(|v| !v.is_empty() && v.iter().all(Value::is_string))
            }
            Some("exists") => operator,
            Some("list") => {
                let has = |key| entry.pointer(key).is_some_and(Value::is_string);
                top && operator && has("/list/id") && has("/list/type")
            }
            Some("nested") => {
                let inner = entry.get("entries").and_then(Value::as_array);
                top && inner.is_some_and(|i| !i.is_empty() && i.iter().all(|e| entry_fits(e, false)))
            }
            _ => false,
        }
}

/// Of an object as responses show it, the keys that a create takes.
pub(super) fn written(shown: &Object, kind: Kind) -> Object {
    let known = |key: &str| kind.keys().iter().any(|(k, ..)| *k == key);
    let kept = shown.iter().filter(|(k, _)| known(k));
    let mut out: Object = kept.map(|(k, v)| (k.clone(), v.clone())).collect();
    for comment in out.get_mut("comments").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(comment) = comment.as_object_mut() {
            comment.retain(|k, _| k == "comment");
        }
    }
    out
}
