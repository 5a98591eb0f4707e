//! Exception lists of a Kibana into the files of a pack: item by item, by the side on which each was changed.

use super::exceptions::cleaned;
use crate::es::date;
use crate::lang::rule::{Document, write};
use crate::target::kibana::pull::{Changed, side};
use serde_json::{Map, Value, json};

/// A list as Kibana has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveList {
    /// The list.
    pub list: Map<String, Value>,
    /// Its items.
    pub items: Vec<Map<String, Value>>,
}

/// What becomes of one exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemAction {
    /// It is new in Kibana: the file gets it.
    Added,
    /// It was changed in Kibana: the file follows.
    Changed,
    /// It is gone in Kibana: the file loses it.
    Removed,
    /// It was changed on both sides: the file stays.
    Conflict,
    /// It was changed, made or removed here: the file stays.
    Ahead,
}

/// What becomes of the file of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedList {
    /// Its text.
    pub text: String,
    /// The exceptions that differ, by name, in the order of the file, new ones last.
    pub items: Vec<(String, ItemAction)>,
}

impl MergedList {
    /// How many exceptions an action is for.
    pub fn count(&self, action: ItemAction) -> usize {
        self.items.iter().filter(|(_, a)| *a == action).count()
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// An object of Kibana as a file may have it: without what Kibana sets, without the marks of a deploy, and
/// of comments their words only.
fn own(live: &Map<String, Value>) -> Map<String, Value> {
    let mut out = cleaned(live);
    out.retain(|_, v| !v.is_null());
    if let Some(tags) = out.get_mut("tags").and_then(Value::as_array_mut) {
        tags.retain(|t| !t.as_str().is_some_and(|t| t.starts_with("rulepack:")));
    }
    if let Some(meta) = out.get_mut("meta").and_then(Value::as_object_mut) {
        meta.remove("rulepack");
    }
    for comment in out.get_mut("comments").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(comment) = comment.as_object_mut() {
            comment.retain(|k, _| k == "comment");
        }
    }
    let is_empty = |v: &Value| *v == json!([]) || *v == json!({});
    out.retain(|k, v| !(is_empty(v) && matches!(k.as_str(), "tags" | "meta" | "comments" | "os_types")));
    out
}

/// An item in the one form in which it is compared.
fn normal(item: &Map<String, Value>) -> Map<String, Value> {
    let mut out = own(item);
    for key in ["list_id", "item_id", "namespace_type", "type"] {
        out.remove(key);
    }
    let name = out.get("name").cloned().unwrap_or_default();
    out.entry("description").or_insert(name);
    if let Some(at) = out.get("expire_time").and_then(Value::as_str).and_then(date::parse_value) {
        out.insert("expire_time".to_owned(), json!(at.to_string()));
    }
    with_operators(out.get_mut("entries"));
    match crate::emit::sorted(Value::Object(out)) {
        Value::Object(out) => out,
        _ => Map::new(),
    }
}

/// The operator of a condition may be left out in a file.
fn with_operators(entries: Option<&mut Value>) {
    for entry in entries.and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(entry) = entry.as_object_mut() else { continue };
        if text(entry, "type") == "nested" {
            for inner in entry.get_mut("entries").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(inner) = inner.as_object_mut() {
                    inner.entry("operator").or_insert_with(|| json!("included"));
                }
            }
        } else {
            entry.entry("operator").or_insert_with(|| json!("included"));
        }
    }
}

/// The lists of a file.
fn lists_of(text: &str) -> Vec<Value> {
    let (document, _) = Document::read("", text.as_bytes().to_vec());
    let json = document.map(|d| d.json().clone()).unwrap_or_default();
    json.get("exceptions").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn is_list(list: &Value, id: &str) -> bool {
    list.get("container").and_then(|c| c.get("list_id")?.as_str()) == Some(id)
}

fn items_of(list: &Value) -> Vec<Map<String, Value>> {
    let items = list.get("items").and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|i| i.as_object().cloned()).collect()
}

/// Whether two items are one: by their id, or where a file gives none, by their name.
fn is_same(file: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    match text(file, "item_id") {
        "" => text(file, "name") == text(other, "name"),
        id => id == text(other, "item_id"),
    }
}

/// Whether the pack wrote an item of Kibana: its mark names it. A copy has the mark of its original.
fn is_ours(live: &Map<String, Value>) -> bool {
    let mark = live.get("meta").and_then(|m| m.get("rulepack")).and_then(Value::as_object);
    mark.is_some_and(|m| text(m, "id") == text(live, "item_id"))
}

/// A new file for a list. `rules` are the rule ids that it applies to by itself; none where the
/// configuration says so.
///
/// # Errors
/// When something in the list has no form in TOML.
pub fn new_file(live: &LiveList, rules: &[String], today: &str) -> Result<MergedList, String> {
    let items: Vec<Value> = live.items.iter().map(|i| Value::Object(own(i))).collect();
    let mut entry = json!({ "container": own(&live.list) });
    if let (false, Some(entry)) = (items.is_empty(), entry.as_object_mut()) {
        entry.insert("items".to_owned(), Value::Array(items));
    }
    let mut root = json!({ "exceptions": [entry] });
    write::strip_nulls(&mut root, "", &mut Vec::new()).map_err(|e| e.to_string())?;
    let mut metadata = json!({
        "creation_date": today, "list_name": text(&live.list, "name"), "updated_date": today,
    });
    if let (false, Some(metadata)) = (rules.is_empty(), metadata.as_object_mut()) {
        metadata.insert("rule_ids".to_owned(), json!(rules));
    }
    let (metadata, root) = (metadata.as_object().cloned(), root.as_object().cloned());
    let head = write::document(&[("metadata", &metadata.unwrap_or_default())]);
    let text = format!("{head}\n{}", write::lists(&root.unwrap_or_default()));
    let items = live.items.iter().map(|i| (self::text(i, "name").to_owned(), ItemAction::Added)).collect();
    Ok(MergedList { text, items })
}

/// Takes over what was changed in Kibana into the file that has the list. `before` are earlier texts of the
/// file, the newest first; with `overwrite`, conflicts go Kibana's way, and items that are not there go.
///
/// # Errors
/// When something in the list has no form in TOML, or the file is no TOML.
pub fn merge(file: &str, live: &LiveList, before: &[String], overwrite: bool) -> Result<MergedList, String> {
    let id = text(&live.list, "list_id");
    let old = lists_of(file);
    let mut new = old.clone();
    let past: Vec<Vec<Map<String, Value>>> = before
        .iter()
        .filter_map(|text| lists_of(text).iter().find(|l| is_list(l, id)).map(items_of))
        .collect();
    let mut told = Vec::new();
    if let Some(list) = new.iter_mut().find(|l| is_list(l, id)) {
        let mut kept: Vec<Value> = Vec::new();
        let here = items_of(list);
        for item in &here {
            let name = text(item, "name").to_owned();
            let earlier: Vec<Map<String, Value>> =
                past.iter().filter_map(|p| p.iter().find(|i| is_same(item, i))).map(normal).collect();
            let Some(there) = live.items.iter().find(|i| is_same(item, i)) else {
                // never deployed, or deleted there: nothing tells
                let action = if overwrite { ItemAction::Removed } else { ItemAction::Ahead };
                told.push((name, action));
                if !overwrite {
                    kept.push(Value::Object(item.clone()));
                }
                continue;
            };
            let (ours, theirs) = (normal(item), normal(there));
            let take = ours != theirs
                && match side(&ours, &theirs, &earlier) {
                    Changed::There => true,
                    Changed::Both if overwrite => true,
                    Changed::Both => {
                        told.push((name.clone(), ItemAction::Conflict));
                        false
                    }
                    Changed::Here => {
                        told.push((name.clone(), ItemAction::Ahead));
                        false
                    }
                };
            if take {
                told.push((name, ItemAction::Changed));
            }
            kept.push(Value::Object(if take { changed(item, &ours, &theirs, there) } else { item.clone() }));
        }
        for there in live.items.iter().filter(|i| !here.iter().any(|h| is_same(h, i))) {
            let name = text(there, "name").to_owned();
            let gone_here = is_ours(there) || past.iter().flatten().any(|i| is_same(i, there));
            if gone_here && !overwrite {
                told.push((name, ItemAction::Ahead));
                continue;
            }
            told.push((name, ItemAction::Added));
            kept.push(Value::Object(own(there)));
        }
        if let Some(list) = list.as_object_mut() {
            if kept.is_empty() {
                list.remove("items");
            } else {
                list.insert("items".to_owned(), Value::Array(kept));
            }
        }
    }
    let mut new = Value::Array(new);
    write::strip_nulls(&mut new, "", &mut Vec::new()).map_err(|e| e.to_string())?;
    let old = Value::Array(old);
    let text = if old == new {
        file.to_owned()
    } else {
        write::with_root(file, "exceptions", Some(&old), &new).map_err(|e| e.to_string())?
    };
    Ok(MergedList { text, items: told })
}

/// An item of a file with the values of Kibana where they differ; the rest as it is written.
fn changed(
    item: &Map<String, Value>,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    there: &Map<String, Value>,
) -> Map<String, Value> {
    let (mut out, there) = (item.clone(), own(there));
    for key in ours.keys().chain(theirs.keys()) {
        if ours.get(key) == theirs.get(key) {
            continue;
        }
        match there.get(key) {
            Some(value) => {
                out.insert(key.clone(), value.clone());
            }
            None => {
                out.remove(key);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(v: Value) -> Map<String, Value> {
        v.as_object().cloned().unwrap()
    }

    fn item(id: &str, user: &str) -> Map<String, Value> {
        map(json!({ "item_id": id, "list_id": "l", "name": id, "description": id, "type": "simple",
            "namespace_type": "single", "tags": ["rulepack:acme"], "os_types": [], "comments": [],
            "meta": { "rulepack": { "id": id, "hash": "x" } }, "_version": "1", "created_by": "j.doe",
            "entries": [{ "field": "user.name", "operator": "included", "type": "match", "value": user }] }))
    }

    fn live(items: &[Map<String, Value>]) -> LiveList {
        let list = map(
            json!({ "list_id": "l", "name": "Known", "type": "detection", "id": "1", "description": "d" }),
        );
        LiveList { list, items: items.to_vec() }
    }

    fn told(merged: &MergedList) -> Vec<(&str, ItemAction)> {
        merged.items.iter().map(|(n, a)| (n.as_str(), *a)).collect()
    }

    #[test]
    fn a_new_file_is_read_back_without_the_marks_of_a_deploy() {
        let file = new_file(&live(&[item("a", "ci")]), &["r-1".to_owned()], "2026/01/02").unwrap();
        let (read, found) = crate::lang::exception::ExceptionFile::read("x", file.text.clone().into_bytes());
        assert!(found.is_empty(), "{found:?}\n{}", file.text);
        let read = read.unwrap();
        assert_eq!(read.rule_ids, ["r-1"]);
        assert_eq!(read.lists[0].items[0].json["entries"][0]["value"], "ci");
        assert!(!file.text.contains("rulepack") && !file.text.contains("j.doe"), "{}", file.text);
        let again = merge(&file.text, &live(&[item("a", "ci")]), &[], false).unwrap();
        assert_eq!((again.text, again.items), (file.text, vec![]));
    }

    #[test]
    fn each_item_goes_the_way_of_the_side_that_changed_it() {
        let old = new_file(
            &live(&[item("a", "1"), item("b", "1"), item("c", "1"), item("d", "1")]),
            &[],
            "2026/01/02",
        );
        let old = old.unwrap().text;
        // here `b` and `c` change; there `a` and `c`, `d` goes, and `e` is new
        let here = old.replacen("name = \"b\"", "name = \"b\" # ours", 1);
        let change = |text: &str, id: &str| {
            let at = text.find(&format!("item_id = \"{id}\"")).unwrap();
            let (head, tail) = text.split_at(at);
            format!("{head}{}", tail.replacen("value = \"1\"", "value = \"2\"", 1))
        };
        let here = change(&change(&here, "b"), "c");
        let mut new = item("e", "1");
        new.remove("meta");
        let there = live(&[item("a", "3"), item("b", "1"), item("c", "3"), new]);
        let before = [old.clone()];
        let merged = merge(&here, &there, &before, false).unwrap();
        assert_eq!(
            told(&merged),
            [
                ("a", ItemAction::Changed),
                ("b", ItemAction::Ahead),
                ("c", ItemAction::Conflict),
                ("d", ItemAction::Ahead),
                ("e", ItemAction::Added)
            ]
        );
        assert!(merged.text.contains("# ours"), "{}", merged.text);
        let values = |text: &str| -> Vec<String> {
            let items = items_of(&lists_of(text)[0]);
            items.iter().map(|i| i["entries"][0]["value"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(values(&merged.text), ["3", "2", "2", "1", "1"]);
        let forced = merge(&here, &there, &before, true).unwrap();
        assert_eq!(values(&forced.text), ["3", "2", "3", "1"]);
        assert_eq!(forced.count(ItemAction::Removed), 1);
    }

    #[test]
    fn an_item_that_the_pack_wrote_and_has_no_more_does_not_come_back() {
        let old = new_file(&live(&[item("a", "1")]), &[], "2026/01/02").unwrap().text;
        let merged = merge(&old, &live(&[item("a", "1"), item("b", "1")]), &[], false).unwrap();
        assert_eq!(told(&merged), [("b", ItemAction::Ahead)]);
        // a copy of it has another id
        let mut copy = item("b", "1");
        copy.insert("item_id".to_owned(), json!("c"));
        let merged = merge(&old, &live(&[item("a", "1"), copy]), &[], false).unwrap();
        assert_eq!(told(&merged), [("b", ItemAction::Added)]);
    }
}
