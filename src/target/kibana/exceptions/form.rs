//! One form for lists and exceptions as a file has them and as Kibana shows them; whose they are, and
//! whether they still are what was written.

use super::Object;
use super::text;
use crate::emit::sorted;
use crate::es::date;
use crate::target::kibana::ownership::{hash, tag};
use serde_json::{Value, json};

/// What there is to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    List,
    Item,
}

impl What {
    /// The key of its identity.
    pub(super) fn key(self) -> &'static str {
        if self == What::List { "list_id" } else { "item_id" }
    }

    /// What is written and compared.
    fn properties(self) -> &'static [&'static str] {
        match self {
            What::List => &["name", "description", "tags", "meta"],
            What::Item => {
                &["name", "description", "entries", "os_types", "expire_time", "tags", "comments", "meta"]
            }
        }
    }
}

/// What only ever grows: an addition in Kibana is no edit of what the pack wrote.
const GROWING: &[&str] = &["tags", "comments", "meta"];

/// A property in the one form.
fn normal(object: &Object, property: &str) -> Value {
    let value = object.get(property).cloned().unwrap_or_default();
    match (property, value) {
        ("tags" | "os_types" | "comments", Value::Null) => json!([]),
        ("tags" | "os_types", Value::Array(mut all)) => {
            all.sort_by_key(ToString::to_string);
            all.dedup();
            all.into()
        }
        ("comments", Value::Array(all)) => {
            all.iter().map(|c| c.get("comment").cloned().unwrap_or_default()).collect()
        }
        ("expire_time", Value::String(time)) => {
            date::parse_value(&time).map_or(Value::String(time), |at| json!(at.to_string()))
        }
        ("entries", Value::Array(all)) => all.into_iter().map(entry).collect(),
        ("meta", Value::Object(mut meta)) => {
            meta.remove("rulepack");
            if meta.is_empty() { Value::Null } else { sorted(Value::Object(meta)) }
        }
        (_, value) => value,
    }
}

/// A condition with its operator, which may be left out in a file.
fn entry(mut entry: Value) -> Value {
    if let Some(map) = entry.as_object_mut() {
        if map.get("type").and_then(Value::as_str) != Some("nested") {
            map.entry("operator").or_insert_with(|| json!("included"));
        }
        if let Some(Value::Array(inner)) = map.get("entries").cloned() {
            map.insert("entries".to_owned(), inner.into_iter().map(self::entry).collect());
        }
    }
    sorted(entry)
}

/// The properties in which two differ.
pub(super) fn differences(a: &Object, b: &Object, what: What) -> Vec<String> {
    let differ = |p: &&&str| normal(a, p) != normal(b, p);
    what.properties().iter().filter(differ).map(|p| (*p).to_owned()).collect()
}

/// The hash of what the pack says, without what only grows.
pub(super) fn content_hash(object: &Object, what: What) -> String {
    let own = what.properties().iter().filter(|p| !GROWING.contains(p));
    let content = own.map(|p| ((*p).to_owned(), normal(object, p))).collect();
    hash(&content, |_| true, "")
}

/// Whether only what grows differs, so that writing takes nothing away.
pub(super) fn only_grows(fields: &[String]) -> bool {
    fields.iter().all(|f| GROWING.contains(&f.as_str()))
}

/// The stamp: what was written, and for which object. A copy that is made in Kibana takes it along.
pub(super) fn stamp(object: &mut Object, what: What, commit: Option<&str>) {
    let id = text(object, what.key()).to_owned();
    let mut stamp = json!({ "hash": content_hash(object, what), "id": id });
    if let (Some(commit), Some(stamp)) = (commit, stamp.as_object_mut()) {
        stamp.insert("commit".to_owned(), json!(commit));
    }
    let meta = object.entry("meta").or_insert_with(|| json!({}));
    if !meta.is_object() {
        *meta = json!({});
    }
    if let Some(meta) = meta.as_object_mut() {
        meta.insert("rulepack".to_owned(), stamp);
    }
}

/// What became of what the pack once wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The pack did not write it.
    Foreign,
    /// It is as the pack wrote it.
    AsWritten,
    /// The pack wrote it, and somebody changed it.
    Edited,
}

/// Where a live object comes from.
pub(super) fn origin(live: &Object, what: What, pack: &str) -> Origin {
    if !has_tag(live, &tag(pack)) {
        return Origin::Foreign;
    }
    let stamp = live.get("meta").and_then(|m| m.get("rulepack"));
    let said = |key: &str| stamp.and_then(|s| s.get(key)).and_then(Value::as_str);
    match (said("id"), said("hash")) {
        // a copy made in Kibana has the tag and the stamp of its original
        (Some(id), _) if id != text(live, what.key()) => Origin::Foreign,
        (Some(_), Some(hash)) if hash == content_hash(live, what) => Origin::AsWritten,
        _ => Origin::Edited,
    }
}

/// Whether an object has a tag.
pub(super) fn has_tag(object: &Object, tag: &str) -> bool {
    let tags = object.get("tags").and_then(Value::as_array);
    tags.into_iter().flatten().any(|t| t.as_str() == Some(tag))
}

/// What is written so that a live object becomes what is wanted, with everything that lives there only: its
/// other tags, its comments with their identities, its other `meta`.
pub(super) fn merged(wanted: &Object, live: &Object) -> Object {
    let mut out = wanted.clone();
    let list = |object: &Object, key: &str| -> Vec<Value> {
        object.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut tags = list(wanted, "tags");
    for tag in list(live, "tags") {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    out.insert("tags".to_owned(), tags.into());
    if wanted.contains_key("comments") {
        let mut said: Vec<Value> = Vec::new();
        let mut comments: Vec<Value> = Vec::new();
        for comment in list(live, "comments") {
            let part = |key: &str| comment.get(key).cloned();
            said.extend(part("comment"));
            let kept = ["comment", "id"].iter().filter_map(|k| Some(((*k).to_owned(), part(k)?)));
            comments.push(Value::Object(kept.collect()));
        }
        for comment in list(wanted, "comments") {
            let words = comment.get("comment").cloned().unwrap_or_default();
            match said.iter().position(|s| *s == words) {
                Some(at) => drop(said.remove(at)),
                None => comments.push(json!({ "comment": words })),
            }
        }
        out.insert("comments".to_owned(), comments.into());
    }
    let object = |o: &Object| o.get("meta").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut meta = object(live);
    meta.extend(object(wanted));
    if !meta.is_empty() {
        out.insert("meta".to_owned(), meta.into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_kibana_fills_in_is_no_difference() {
        let file = object(
            json!({ "name": "n", "entries": [{ "field": "f", "type": "exists" }], "expire_time": "2026-06-30T00:00:00Z" }),
        );
        let live = object(json!({ "name": "n", "tags": [], "comments": [], "os_types": [],
            "entries": [{ "operator": "included", "type": "exists", "field": "f" }], "expire_time": "2026-06-30T00:00:00.000Z",
            "meta": { "rulepack": { "hash": "x" } }, "_version": "1", "updated_by": "j.doe" }));
        assert_eq!(differences(&file, &live, What::Item), [] as [&str; 0]);
        assert_eq!(content_hash(&file, What::Item), content_hash(&live, What::Item));
        let other = object(json!({ "name": "n", "entries": [{ "field": "g", "type": "exists" }] }));
        assert_eq!(differences(&file, &other, What::Item), ["entries", "expire_time"]);
    }

    #[test]
    fn comments_and_tags_that_live_in_kibana_stay_and_new_ones_are_appended() {
        let wanted = object(json!({ "tags": ["own"], "comments": [{ "comment": "b" }, { "comment": "c" }] }));
        let live = object(json!({ "tags": ["soc"], "meta": { "theirs": 1 }, "comments": [
            { "id": "1", "comment": "a", "created_by": "j.doe" }, { "id": "2", "comment": "b" }] }));
        let out = merged(&wanted, &live);
        assert_eq!(out["tags"], json!(["own", "soc"]));
        assert_eq!(
            out["comments"],
            json!([{ "comment": "a", "id": "1" }, { "comment": "b", "id": "2" }, { "comment": "c" }])
        );
        assert_eq!(out["meta"], json!({ "theirs": 1 }));
        assert_eq!(differences(&live, &out, What::Item), ["tags", "comments"]);
    }

    #[test]
    fn a_stamp_tells_what_was_written_from_edits_and_copies() {
        let mut written =
            object(json!({ "item_id": "i", "name": "n", "tags": [tag("acme")], "entries": [] }));
        stamp(&mut written, What::Item, Some("3f9c1d2"));
        assert_eq!(origin(&written, What::Item, "acme"), Origin::AsWritten);
        assert_eq!(origin(&written, What::Item, "other"), Origin::Foreign);
        let with = |key: &str, value: Value| {
            let mut changed = written.clone();
            changed.insert(key.to_owned(), value);
            origin(&changed, What::Item, "acme")
        };
        assert_eq!(with("name", json!("m")), Origin::Edited);
        assert_eq!(with("meta", Value::Null), Origin::Edited);
        assert_eq!(with("comments", json!([{ "comment": "x" }])), Origin::AsWritten);
        assert_eq!(with("item_id", json!("copy")), Origin::Foreign);
    }
}
