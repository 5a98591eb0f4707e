//! Exception lists and connectors as files of their own: `exceptions/<list_id>.toml`,
//! `connectors/<name>.toml`.

use super::compose::Refused;
use super::slug;
use crate::lang::rule::{Document, write};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A file beside the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFile {
    /// The path below its folder.
    pub path: String,
    /// Its text.
    pub text: String,
    /// How many entries it holds.
    pub entries: usize,
}

/// Keys that Kibana sets by itself on exceptions.
const SERVER: [&str; 9] = [
    "id",
    "_version",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "tie_breaker_id",
    "immutable",
    "version",
];

/// A file for each exception list, with its items. `place` gives the path of the file that has a list
/// already, by its id; `existing` the text of a file that is there, by its path. Of that only what differs
/// is changed. Items whose list is not in the export make a file without a container.
///
/// # Errors
/// For each list that has no form in TOML, by its id.
pub fn exceptions(
    lists: &[Map<String, Value>],
    items: &[Map<String, Value>],
    today: &str,
    place: &dyn Fn(&str) -> Option<String>,
    existing: &dyn Fn(&str) -> Option<String>,
) -> (Vec<SideFile>, Vec<Refused>) {
    let id = |m: &Map<String, Value>| m.get("list_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    type List<'m> = (Option<&'m Map<String, Value>>, Vec<Value>);
    let mut by_list: BTreeMap<String, List<'_>> = BTreeMap::new();
    for list in lists {
        by_list.entry(id(list)).or_default().0 = Some(list);
    }
    for item in items {
        by_list.entry(id(item)).or_default().1.push(Value::Object(cleaned(item)));
    }
    let mut files: Vec<SideFile> = Vec::new();
    let mut refused = Vec::new();
    for (list_id, (container, items)) in by_list {
        let name = container.and_then(|c| c.get("name")?.as_str()).unwrap_or(&list_id).to_owned();
        let entries = items.len();
        let mut entry = Map::new();
        if let Some(container) = container {
            entry.insert("container".to_owned(), Value::Object(cleaned(container)));
        }
        if !items.is_empty() {
            entry.insert("items".to_owned(), Value::Array(items));
        }
        let path = place(&list_id).unwrap_or_else(|| format!("{}.toml", slug(&list_id)));
        let metadata = json!({"creation_date": today, "list_name": name, "updated_date": today});
        // several lists may stand in one file
        let so_far = files.iter().position(|f| f.path == path).map(|i| files.remove(i));
        let text = so_far.as_ref().map(|f| f.text.clone()).or_else(|| existing(&path));
        match side_file(&path, "exceptions", entry, &metadata, text) {
            Ok(text) => {
                files.push(SideFile { path, text, entries: entries + so_far.map_or(0, |f| f.entries) });
            }
            Err(why) => refused.push(Refused { rule: format!("exception list `{list_id}`"), why }),
        }
    }
    (files, refused)
}

/// A file for each connector. Secrets are in no export, so there are none in it.
///
/// # Errors
/// For each connector that has no form in TOML.
pub fn connectors(
    found: &[Map<String, Value>],
    today: &str,
    existing: &dyn Fn(&str) -> Option<String>,
) -> (Vec<SideFile>, Vec<Refused>) {
    let mut files: Vec<SideFile> = Vec::new();
    let mut refused = Vec::new();
    for connector in found {
        let name = connector.get("attributes").and_then(|a| a.get("name")?.as_str()).unwrap_or("connector");
        let mut path = format!("{}.toml", slug(name));
        for n in 2.. {
            if !files.iter().any(|f| f.path == path) {
                break;
            }
            path = format!("{}_{n}.toml", slug(name));
        }
        let metadata = json!({"action_connector_name": name, "creation_date": today, "updated_date": today});
        let entry = cleaned(connector);
        match side_file(&path, "action_connectors", entry, &metadata, existing(&path)) {
            Ok(text) => files.push(SideFile { path, text, entries: 1 }),
            Err(why) => refused.push(Refused { rule: format!("connector `{name}`"), why }),
        }
    }
    (files, refused)
}

pub(super) fn cleaned(map: &Map<String, Value>) -> Map<String, Value> {
    // the id of a connector is what actions name
    let connector = map.contains_key("attributes");
    let ours = |k: &str| (connector && k == "id") || !SERVER.contains(&k);
    let mut out: Map<String, Value> =
        map.iter().filter(|(k, _)| ours(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
    // what a deploy writes by itself
    if let Some(tags) = out.get_mut("tags").and_then(Value::as_array_mut) {
        tags.retain(|t| !t.as_str().is_some_and(|t| t.starts_with("rulepack:")));
    }
    if let Some(meta) = out.get_mut("meta").and_then(Value::as_object_mut)
        && meta.remove("rulepack").is_some()
        && meta.is_empty()
    {
        out.remove("meta");
    }
    out
}

/// The lists of a file with one of them replaced, or one more.
fn with_list(old: Option<&Value>, entry: Value) -> Value {
    let id = |list: &Value| list.get("container").and_then(|c| c.get("list_id")?.as_str()).map(str::to_owned);
    let mut all = old.and_then(Value::as_array).cloned().unwrap_or_default();
    let at = all.iter().position(|l| id(l).is_some() && id(l) == id(&entry));
    match at {
        Some(at) => all.iter_mut().skip(at).take(1).for_each(|place| *place = entry.clone()),
        // items whose list is not in the export
        None if id(&entry).is_none() && all.len() == 1 => all = vec![entry],
        None => all.push(entry),
    }
    Value::Array(all)
}

fn side_file(
    path: &str,
    table: &str,
    entry: Map<String, Value>,
    metadata: &Value,
    existing: Option<String>,
) -> Result<String, String> {
    let mut value = Value::Object(entry);
    // nothing that a null of these stands for would be lost: it is what is not set
    write::strip_nulls(&mut value, "", &mut Vec::new()).map_err(|e| e.to_string())?;
    Ok(match existing {
        Some(text) => {
            let (document, _) = Document::read(path, text.clone().into_bytes());
            let old = document.and_then(|d| d.json().get(table).cloned());
            let list = if table == "exceptions" {
                with_list(old.as_ref(), value)
            } else {
                Value::Array(vec![value])
            };
            if old.as_ref() == Some(&list) {
                text
            } else {
                write::with_root(&text, table, old.as_ref(), &list).map_err(|e| e.to_string())?
            }
        }
        None => {
            let mut root = Map::new();
            root.insert(table.to_owned(), Value::Array(vec![value]));
            let metadata = metadata.as_object().cloned().unwrap_or_default();
            format!("{}\n{}", write::document(&[("metadata", &metadata)]), write::lists(&root))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(v: Value) -> Map<String, Value> {
        v.as_object().cloned().unwrap()
    }

    #[test]
    fn a_list_and_its_items_make_one_file_and_a_second_import_changes_nothing() {
        let list =
            map(json!({"list_id": "known good", "name": "Known", "type": "detection", "_version": "x"}));
        let item = map(json!({"list_id": "known good", "item_id": "a", "entries": [
            {"field": "user.name", "operator": "included", "type": "match", "value": "ci"}], "id": "1", "expire_time": null}));
        let (files, refused) = exceptions(
            std::slice::from_ref(&list),
            std::slice::from_ref(&item),
            "2026/01/02",
            &|_| None,
            &|_| None,
        );
        assert!(refused.is_empty());
        let [file] = files.as_slice() else { panic!("{files:#?}") };
        assert_eq!((file.path.as_str(), file.entries), ("known_good.toml", 1));
        let (document, found) = Document::read("x", file.text.clone().into_bytes());
        assert!(found.is_empty(), "{}", file.text);
        let json = document.unwrap().json().clone();
        assert_eq!(json["metadata"]["list_name"], "Known");
        assert_eq!(json["exceptions"][0]["container"]["type"], "detection");
        assert!(json["exceptions"][0]["container"].get("_version").is_none());
        assert_eq!(json["exceptions"][0]["items"][0]["entries"][0]["value"], "ci");
        let commented = format!("# ours\n{}", file.text);
        let (again, _) = exceptions(&[list], &[item], "2026/02/02", &|_| None, &|_| Some(commented.clone()));
        assert_eq!(again[0].text, commented);
    }

    #[test]
    fn a_list_stays_in_the_file_that_has_it_beside_others() {
        let list = |id: &str, name: &str| map(json!({"list_id": id, "name": name, "type": "detection"}));
        let place = |_: &str| Some("shared.toml".to_owned());
        let (files, _) = exceptions(&[list("a", "A"), list("b", "B")], &[], "2026/01/02", &place, &|_| None);
        let [file] = files.as_slice() else { panic!("{files:#?}") };
        let lists = |text: &str| {
            let (document, _) = Document::read("x", text.as_bytes().to_vec());
            let lists = document.unwrap().json()["exceptions"].clone();
            lists.as_array().unwrap().iter().map(|l| l["container"]["name"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(lists(&file.text), ["A", "B"]);
        let mut changed = list("b", "C");
        changed.insert("tags".to_owned(), json!(["rulepack:acme"]));
        let (files, _) = exceptions(&[changed], &[], "2026/01/02", &place, &|_| Some(file.text.clone()));
        assert_eq!(lists(&files[0].text), ["A", "C"]);
        assert!(!files[0].text.contains("rulepack"), "{}", files[0].text);
    }

    #[test]
    fn connectors_of_one_name_have_files_of_their_own() {
        let one = map(json!({"id": "c1", "type": "action", "attributes": {"name": "Pager", "config": {}}}));
        let (files, _) = connectors(&[one.clone(), one], "2026/01/02", &|_| None);
        let paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["pager.toml", "pager_2.toml"]);
        assert!(files[0].text.contains("id = \"c1\""), "{}", files[0].text);
    }
}
