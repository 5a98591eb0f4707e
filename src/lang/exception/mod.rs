//! Exception files: `[metadata]` and `[[exceptions]]` in TOML, each a list with its items. Documents that
//! an item matches do not alert.

mod query;

pub use query::{Unusable, item_query};

use super::rule::{Document, Structure};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::date::{self, Nanos};
use crate::source::{Source, Span};
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static STRUCTURE: LazyLock<Structure> =
    LazyLock::new(|| Structure::new(include_str!("../../../schemas/exceptions.schema.json")));

/// An exception file.
#[derive(Clone, Debug)]
pub struct ExceptionFile {
    /// The text of the file; its name is the path that people see.
    pub source: Arc<Source>,
    /// Rule ids of the rules that all lists of the file apply to.
    pub rule_ids: Vec<String>,
    /// Titles of such rules.
    pub rule_names: Vec<String>,
    /// The lists; none where the file has errors.
    pub lists: Vec<ExceptionList>,
    /// Whether the file has errors, so that its exceptions cannot be applied.
    pub broken: bool,
    document: Document,
}

/// A list of exceptions.
#[derive(Clone, Debug)]
pub struct ExceptionList {
    /// `list_id`.
    pub id: String,
    /// `single` or `agnostic`.
    pub namespace: String,
    /// The container as the file has it.
    pub container: Value,
    /// The items, in order.
    pub items: Vec<ExceptionItem>,
}

/// An exception.
#[derive(Clone, Debug)]
pub struct ExceptionItem {
    /// The name.
    pub name: String,
    /// JSON pointer of the item in its file.
    pub pointer: String,
    /// The item as the file has it.
    pub json: Value,
    /// When it ends to apply, in nanoseconds since the epoch.
    pub expires: Option<Nanos>,
}

impl ExceptionFile {
    /// Reads a file. `None` where it cannot be read at all.
    pub fn read(file: &str, bytes: Vec<u8>) -> (Option<ExceptionFile>, Vec<Diagnostic>) {
        let (document, mut found) = Document::read(file, bytes);
        let Some(document) = document else { return (None, found) };
        found.extend(STRUCTURE.check(&document));
        let texts = |pointer: &str| -> Vec<String> {
            let list = document.json().pointer(pointer).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut out = ExceptionFile {
            source: Arc::clone(document.source()),
            rule_ids: texts("/metadata/rule_ids"),
            rule_names: texts("/metadata/rule_names"),
            lists: Vec::new(),
            broken: false,
            document,
        };
        if found.iter().all(|d| d.severity != Severity::Error) {
            out.lists = out.lists(&mut found);
        }
        out.broken = found.iter().any(|d| d.severity == Severity::Error);
        crate::diag::sort(&mut found);
        (Some(out), found)
    }

    /// The place of a value by its JSON pointer, or of the nearest one above it.
    pub fn span(&self, pointer: &str) -> Span {
        self.document.nearest(pointer).value
    }

    fn lists(&self, found: &mut Vec<Diagnostic>) -> Vec<ExceptionList> {
        let lists = self.document.json().get("exceptions").and_then(Value::as_array);
        let list = |(i, list): (usize, &Value)| {
            let container = list.get("container").cloned().unwrap_or_default();
            let text = |key: &str| container.get(key).and_then(Value::as_str).map(str::to_owned);
            let items = list.get("items").and_then(Value::as_array);
            let at = |n: usize| format!("/exceptions/{i}/items/{n}");
            ExceptionList {
                id: text("list_id").unwrap_or_default(),
                namespace: text("namespace_type").unwrap_or_else(|| "single".to_owned()),
                items: items
                    .into_iter()
                    .flatten()
                    .enumerate()
                    .map(|(n, item)| self.item(at(n), item, found))
                    .collect(),
                container,
            }
        };
        lists.into_iter().flatten().enumerate().map(list).collect()
    }

    fn item(&self, pointer: String, item: &Value, found: &mut Vec<Diagnostic>) -> ExceptionItem {
        let mut report = |d: Diagnostic, at: &str| {
            found.push(d.at(self.span(at), "").in_source(&self.source));
        };
        let written = item.get("expire_time").and_then(Value::as_str);
        let expires = written.and_then(date::parse_value);
        if let (Some(text), None) = (written, expires) {
            let d = Diagnostic::new(Code::RP0007, format!("`{text}` is no time"))
                .help("write it as 2026-06-30T00:00:00.000Z");
            report(d, &format!("{pointer}/expire_time"));
        }
        let entries = item.get("entries").and_then(Value::as_array);
        for (n, entry) in entries.into_iter().flatten().enumerate() {
            let at = format!("{pointer}/entries/{n}");
            if let Some((message, at)) = misfit(entry, &at) {
                report(Diagnostic::new(Code::RP0004, message), &at);
            }
        }
        let is_list = |e: &Value| e.get("type").and_then(Value::as_str) == Some("list");
        let lists = entries.into_iter().flatten().filter(|e| is_list(e)).count();
        if lists > 0 && entries.is_some_and(|e| e.len() > lists) {
            let d = Diagnostic::new(Code::RP0007, "an item with a value list has no other conditions")
                .help("Kibana refuses the mixture: make two items, or write the values out");
            report(d, &format!("{pointer}/entries"));
        }
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        ExceptionItem { name, pointer, json: item.clone(), expires }
    }
}

/// What Kibana sets itself, and does not take.
const SET_BY_KIBANA: &[&str] = &[
    "_version",
    "created_at",
    "created_by",
    "id",
    "immutable",
    "tie_breaker_id",
    "updated_at",
    "updated_by",
    "version",
];

fn for_api(value: &Value, defaults: &[(&str, Value)]) -> Value {
    let own = value.as_object().into_iter().flatten();
    let mut out: serde_json::Map<String, Value> = own
        .filter(|(key, _)| !SET_BY_KIBANA.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, default) in defaults {
        out.entry(*key).or_insert_with(|| default.clone());
    }
    out.into()
}

impl ExceptionList {
    /// The container as the API of exception lists takes it.
    pub fn container_json(&self) -> Value {
        let name = self.container.get("name").cloned().unwrap_or_default();
        for_api(
            &self.container,
            &[
                ("namespace_type", self.namespace.as_str().into()),
                ("description", name),
                ("tags", Value::Array(Vec::new())),
            ],
        )
    }

    /// An item of the list as the API takes it: a name serves as its description, and times carry
    /// milliseconds.
    pub fn item_json(&self, item: &ExceptionItem) -> Value {
        let mut out = for_api(
            &item.json,
            &[
                ("list_id", self.id.as_str().into()),
                ("type", "simple".into()),
                ("namespace_type", self.namespace.as_str().into()),
                ("description", item.name.as_str().into()),
                ("tags", Value::Array(Vec::new())),
                ("os_types", Value::Array(Vec::new())),
                ("comments", Value::Array(Vec::new())),
            ],
        );
        if let (Some(expires), Some(place)) = (item.expires, out.get_mut("expire_time"))
            && let Ok(time) = jiff::Timestamp::from_nanosecond(expires)
        {
            *place = format!("{time:.3}").into();
        }
        let entries = out.get_mut("entries").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            if entry.get("type").and_then(Value::as_str) != Some("nested") {
                entry.entry("operator").or_insert_with(|| "included".into());
            }
            for inner in entry.get_mut("entries").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(inner) = inner.as_object_mut() {
                    inner.entry("operator").or_insert_with(|| "included".into());
                }
            }
        }
        out
    }
}

/// What an entry of its type lacks, and where.
fn misfit(entry: &Value, at: &str) -> Option<(String, String)> {
    let kind = entry.get("type").and_then(Value::as_str)?;
    let value = entry.get("value");
    let needs = |key: &str| (format!("a `{kind}` condition needs a `{key}`"), at.to_owned());
    match kind {
        "match" | "wildcard" if !value.is_some_and(Value::is_string) => Some(needs("value")),
        "match_any" if !value.is_some_and(Value::is_array) => {
            Some((format!("a `{kind}` condition needs a list of values"), at.to_owned()))
        }
        "list" if entry.get("list").is_none() => Some(needs("list")),
        "nested" => match entry.get("entries").and_then(Value::as_array) {
            None => Some(needs("entries")),
            Some(inner) => inner.iter().enumerate().find_map(|(n, e)| {
                let at = format!("{at}/entries/{n}");
                if matches!(e.get("type").and_then(Value::as_str), Some("nested" | "list" | "wildcard")) {
                    let message = "inside `nested` only `match`, `match_any` and `exists` can stand";
                    return Some((message.to_owned(), at));
                }
                misfit(e, &at)
            }),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[metadata]
rule_ids = ["11111111-2222-4333-8444-555555555555"]
[[exceptions]]
[exceptions.container]
list_id = "break-glass"
name = "Break glass"
type = "detection"
[[exceptions.items]]
name = "the on-call role"
expire_time = "2026-06-30T00:00:00.000Z"
comments = [{ comment = "SOC-1" }]
[[exceptions.items.entries]]
field = "user.name"
type = "match"
operator = "included"
value = "on-call"
"#;

    fn read(text: &str) -> (ExceptionFile, Vec<Diagnostic>) {
        let (file, found) = ExceptionFile::read("exceptions/a.toml", text.as_bytes().to_vec());
        (file.unwrap(), found)
    }

    #[test]
    fn a_file_is_lists_of_items() {
        let (file, found) = read(FILE);
        assert!(found.is_empty(), "{found:?}");
        let list = &file.lists[0];
        assert_eq!(
            (list.id.as_str(), list.namespace.as_str(), list.items.len()),
            ("break-glass", "single", 1)
        );
        assert_eq!(list.items[0].name, "the on-call role");
        assert_eq!(list.items[0].expires, date::parse_value("2026-06-30T00:00:00Z"));
        assert_eq!(file.span("/exceptions/0/items/0/name").slice(FILE), "\"the on-call role\"");
    }

    #[test]
    fn the_api_gets_every_default_and_times_with_milliseconds() {
        let text = FILE.replace("operator = \"included\"\n", "").replace(".000Z", "Z");
        let (file, found) = read(&text.replace("list_id =", "_version = \"x\"\nlist_id ="));
        assert!(found.is_empty(), "{found:?}");
        let list = &file.lists[0];
        assert_eq!(list.container_json()["description"], "Break glass");
        assert!(list.container_json().get("_version").is_none());
        let item = list.item_json(&list.items[0]);
        assert_eq!(item["expire_time"], "2026-06-30T00:00:00.000Z");
        assert_eq!(item["entries"][0]["operator"], "included");
        assert_eq!((item["list_id"].as_str(), item["type"].as_str()), (Some("break-glass"), Some("simple")));
    }

    #[test]
    fn what_kibana_would_refuse_is_found_at_its_place() {
        for (from, to, code) in [
            ("value = \"on-call\"", "", Code::RP0004),
            ("type = \"match\"", "type = \"match_any\"", Code::RP0004),
            ("type = \"match\"", "type = \"list\"", Code::RP0004),
            ("type = \"match\"", "type = \"nested\"", Code::RP0004),
            ("type = \"match\"", "type = \"matches\"", Code::RP0007),
            ("2026-06-30T00:00:00.000Z", "in June", Code::RP0007),
            ("operator =", "operators =", Code::RP0005),
            ("list_id = \"break-glass\"", "", Code::RP0004),
        ] {
            let (_, found) = read(&FILE.replace(from, to));
            assert_eq!(found.first().map(|d| d.code), Some(code), "{from} -> {to}");
        }
        let mixed = format!(
            "{FILE}[[exceptions.items.entries]]\nfield = \"source.ip\"\ntype = \"list\"\nlist = {{ id = \"x\", type = \"ip\" }}\n"
        );
        assert_eq!(read(&mixed).1.first().map(|d| d.code), Some(Code::RP0007));
    }
}
