//! The calls of Kibana's API for exception lists, exceptions and value lists.

use super::form::What;
use super::{Key, Object, text};
use crate::target::http::{Failure, Repeat, encode};
use crate::target::kibana::client::{Kibana, quoted};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many objects one page has.
const PAGE: usize = 500;

/// The most bytes of values that are sent at once.
const MAX_IMPORT: usize = 512 * 1024;

impl What {
    fn path(self) -> &'static str {
        if self == What::List { "/api/exception_lists" } else { "/api/exception_lists/items" }
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(map) => map,
        _ => Object::new(),
    }
}

/// The value lists that an exception names.
pub(super) fn values_of(item: &Object) -> impl Iterator<Item = &str> {
    let entries = item.get("entries").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|e| e.pointer("/list/id")?.as_str())
}

/// Absence is an answer.
fn found(answer: Result<Value, Failure>) -> Result<Option<Object>, Failure> {
    match answer {
        Ok(value) => Ok(Some(object(value))),
        Err(Failure::Refused { status: 404, .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

impl Kibana {
    /// A list or an exception by its own key.
    pub(super) fn exception(&self, what: What, id: &str, namespace: &str) -> Result<Option<Object>, Failure> {
        let path =
            format!("{}?{}={}&namespace_type={}", what.path(), what.key(), encode(id), encode(namespace));
        found(self.get(&path))
    }

    /// Creates a list or an exception. Not repeated when the answer is lost: look first.
    pub(super) fn create_exception(&self, what: What, body: &Object) -> Result<Object, Failure> {
        self.call("POST", what.path(), Some(&Value::Object(body.clone())), Repeat::Unsent).map(object)
    }

    /// Replaces a list or an exception, if it still is as `live` was read.
    pub(super) fn put_exception(&self, what: What, body: &Object, live: &Object) -> Result<Object, Failure> {
        let mut body = body.clone();
        for key in ["list_id", "item_id"] {
            body.remove(key);
        }
        for key in ["id", "_version"] {
            if let Some(value) = live.get(key) {
                body.insert(key.to_owned(), value.clone());
            }
        }
        self.call("PUT", what.path(), Some(&Value::Object(body)), Repeat::Unsent).map(object)
    }

    /// Deletes a list with all that it holds, or an exception; one that is gone already is deleted.
    pub(super) fn delete_exception(&self, what: What, live: &Object) -> Result<(), Failure> {
        let (id, namespace) = (text(live, "id"), text(live, "namespace_type"));
        let path = format!("{}?id={}&namespace_type={}", what.path(), encode(id), encode(namespace));
        found(self.call("DELETE", &path, None, Repeat::Free)).map(|_| ())
    }

    /// The lists of a namespace with a tag.
    pub(super) fn tagged_lists(&self, tag: &str, namespace: &str) -> Result<Vec<Object>, Failure> {
        let kind = if namespace == "agnostic" { "exception-list-agnostic" } else { "exception-list" };
        let filter = format!("{kind}.attributes.tags: {}", quoted(tag));
        let query = format!("namespace_type={namespace}&filter={}", encode(&filter));
        self.pages(What::List, &query)
    }

    /// All exceptions of a list.
    pub(super) fn exceptions_of(&self, list: &Key) -> Result<Vec<Object>, Failure> {
        self.pages(What::Item, &format!("list_id={}&namespace_type={}", encode(&list.0), encode(&list.1)))
    }

    /// Every page of a search; read again when something came or went meanwhile.
    fn pages(&self, what: What, query: &str) -> Result<Vec<Object>, Failure> {
        let mut last = Vec::new();
        for _ in 0..4 {
            let mut all: Vec<Object> = Vec::new();
            let mut ids = BTreeSet::new();
            let mut total = 0;
            for page in 1..=10_000 / PAGE {
                let answer = self.get(&format!(
                    "{}/_find?page={page}&per_page={PAGE}&sort_field=created_at&sort_order=asc&{query}",
                    what.path()
                ))?;
                total = answer.get("total").and_then(Value::as_u64).unwrap_or(0);
                let rows = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
                let full = rows.len() >= PAGE;
                for row in rows.into_iter().map(object) {
                    if ids.insert(text(&row, "id").to_owned()) {
                        all.push(row);
                    }
                }
                if !full {
                    break;
                }
            }
            last = all;
            if last.len() as u64 == total {
                break;
            }
        }
        Ok(last)
    }

    /// A value list.
    pub(super) fn value_list(&self, id: &str) -> Result<Option<Object>, Failure> {
        found(self.get(&format!("/api/lists?id={}", encode(id))))
    }

    /// Makes a value list; the data streams of value lists come with the first one.
    pub(super) fn create_value_list(&self, id: &str, kind: &str, description: &str) -> Result<(), Failure> {
        if found(self.get("/api/lists/index"))?.is_none() {
            match self.call("POST", "/api/lists/index", None, Repeat::Free) {
                Ok(_) | Err(Failure::Refused { status: 409, .. }) => {}
                Err(e) => return Err(e),
            }
        }
        let body = json!({ "id": id, "name": id, "description": description, "type": kind });
        self.call("POST", "/api/lists", Some(&body), Repeat::Unsent).map(|_| ())
    }

    /// The values of a value list.
    pub(super) fn values(&self, id: &str) -> Result<BTreeSet<String>, Failure> {
        let mut out = BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let mut path = format!("/api/lists/items/_find?list_id={}&per_page={PAGE}", encode(id));
            if !cursor.is_empty() {
                path.push_str(&format!("&cursor={}", encode(&cursor)));
            }
            let answer = self.get(&path)?;
            let rows = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            out.extend(rows.iter().filter_map(|r| r.get("value")?.as_str()).map(str::to_owned));
            let next = answer.get("cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
            if rows.len() < PAGE || next.is_empty() || next == cursor {
                return Ok(out);
            }
            cursor = next;
        }
    }

    /// Adds values to a value list.
    pub(super) fn add_values(&self, id: &str, values: &[&str]) -> Result<(), Failure> {
        let path = format!("/api/lists/items/_import?list_id={}&refresh=true", encode(id));
        let send = |text: &str| self.upload(&path, "values.txt", text.as_bytes());
        let mut text = String::new();
        for value in values {
            if !text.is_empty() && text.len() + value.len() > MAX_IMPORT {
                send(&std::mem::take(&mut text))?;
            }
            text.push_str(value);
            text.push('\n');
        }
        if text.is_empty() { Ok(()) } else { send(&text) }
    }
}
