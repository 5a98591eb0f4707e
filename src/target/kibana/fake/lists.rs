//! Value lists (contract 5): lists of values that entries of exceptions refer to, behind an index that has
//! to be made first.

use super::call::Call;
use super::find;
use super::http::Reply;
use super::refusal::Refusal;
use super::state::{Object, State, text};
use super::transfer;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TYPES: &[&str] = &[
    "binary",
    "boolean",
    "byte",
    "date",
    "date_nanos",
    "date_range",
    "double",
    "double_range",
    "float",
    "float_range",
    "geo_point",
    "geo_shape",
    "half_float",
    "integer",
    "integer_range",
    "ip",
    "ip_range",
    "keyword",
    "long",
    "long_range",
    "shape",
    "short",
    "text",
];

/// Bytes of an imported list (contract 5).
const MAX_VALUES: usize = 9_000_000;

/// The value lists of a space.
#[derive(Clone, Default)]
pub(super) struct Lists {
    /// Whether the data streams were made.
    index: bool,
    lists: BTreeMap<String, Object>,
    /// Items by the list's id, then by their own.
    items: BTreeMap<String, BTreeMap<String, Object>>,
}

impl Lists {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.lists.values()
    }

    fn item(&mut self, id: &str) -> Option<&mut Object> {
        self.items.values_mut().find_map(|all| all.get_mut(id))
    }
}

fn lists<'a>(state: &'a mut State, call: &Call<'_>) -> Result<&'a mut Lists, Refusal> {
    Ok(&mut state.space(&call.space)?.lists)
}

fn checked(given: &Object, needed: &[&str], known: &[&str]) -> Result<(), Refusal> {
    for key in needed {
        if text(given, key).is_empty() {
            return Err(Refusal::request("body", format!("{key}: Required")));
        }
    }
    match given.keys().find(|k| !needed.contains(&k.as_str()) && !known.contains(&k.as_str())) {
        Some(key) => Err(Refusal::request("body", format!("Unrecognized key(s) in object: '{key}'"))),
        None => Ok(()),
    }
}

/// Marks a written object.
fn stamp(state: &mut State, call: &Call<'_>, object: &mut Object, new: bool) {
    let (now, user) = (state.server.now(), call.user.name.as_str());
    let version = state.server.id();
    let mut put = |key: &str, value: &str| object.insert(key.to_owned(), value.into());
    put("_version", &version);
    put("updated_at", &now);
    put("updated_by", user);
    if new {
        put("@timestamp", &now);
        put("created_at", &now);
        put("created_by", user);
        object.insert("tie_breaker_id".to_owned(), state.server.id().into());
    }
}

/// Answers everything below `/api/lists`.
pub(super) fn answer(state: &mut State, call: &Call<'_>, rest: &[&str]) -> Result<Reply, Refusal> {
    let param = |name: &str| call.request.param(name).unwrap_or("").to_owned();
    match (call.request.method.as_str(), rest) {
        ("GET", ["index"]) => {
            let there = lists(state, call)?.index;
            let absent = || Refusal::siem(404, "the data streams of value lists do not exist");
            there
                .then(|| Reply::ok(&json!({ "list_index": true, "list_item_index": true })))
                .ok_or_else(absent)
        }
        ("POST", ["index"]) => {
            if std::mem::replace(&mut lists(state, call)?.index, true) {
                return Err(Refusal::siem(409, "the data streams of value lists already exist"));
            }
            Ok(Reply::ok(&json!({ "acknowledged": true })))
        }
        ("POST", []) => create(state, call),
        (method @ ("PUT" | "PATCH"), []) => change(state, call, method == "PUT"),
        ("GET", []) => Ok(Reply::ok(&Value::Object(named(state, call, &param("id"))?))),
        ("DELETE", []) => delete(state, call, &param("id")),
        ("GET", ["_find"]) => {
            let all = lists(state, call)?.iter().cloned().collect();
            page(call, all)
        }
        (_, ["items", rest @ ..]) => items(state, call, rest),
        _ => Err(Refusal::platform(404, "Not Found")),
    }
}

fn create(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let mut list = call.object()?;
    checked(
        &list,
        &["name", "description", "type"],
        &["id", "serializer", "deserializer", "meta", "version"],
    )?;
    if !TYPES.contains(&text(&list, "type")) {
        return Err(Refusal::request("body", "type: Invalid enum value"));
    }
    if !lists(state, call)?.index {
        return Err(Refusal::siem(400, "to create a list, the data streams must exist first"));
    }
    let id = if text(&list, "id").is_empty() { state.server.id() } else { text(&list, "id").to_owned() };
    if lists(state, call)?.lists.contains_key(&id) {
        return Err(Refusal::siem(409, format!("list id: \"{id}\" already exists")));
    }
    list.insert("id".to_owned(), id.as_str().into());
    list.entry("version").or_insert_with(|| 1.into());
    list.insert("immutable".to_owned(), false.into());
    stamp(state, call, &mut list, true);
    lists(state, call)?.lists.insert(id, list.clone());
    Ok(Reply::ok(&Value::Object(list)))
}

fn named(state: &mut State, call: &Call<'_>, id: &str) -> Result<Object, Refusal> {
    let found = lists(state, call)?.lists.get(id).cloned();
    found.ok_or_else(|| Refusal::siem(404, format!("list id: \"{id}\" does not exist")))
}

/// PUT replaces name and description, PATCH what is given; both refuse a stale `_version`.
fn change(state: &mut State, call: &Call<'_>, put: bool) -> Result<Reply, Refusal> {
    let given = call.object()?;
    let needed: &[&str] = if put { &["id", "name", "description"] } else { &["id"] };
    checked(&given, needed, &["name", "description", "meta", "version", "_version"])?;
    let mut list = named(state, call, text(&given, "id"))?;
    if given.get("_version").is_some_and(|v| list.get("_version") != Some(v)) {
        return Err(Refusal::siem(409, "version conflict, the list has been changed since it was read"));
    }
    if put {
        list.remove("meta");
    }
    list.extend(given);
    stamp(state, call, &mut list, false);
    lists(state, call)?.lists.insert(text(&list, "id").to_owned(), list.clone());
    Ok(Reply::ok(&Value::Object(list)))
}

/// Refuses to delete a list that exceptions refer to, unless told what to do with them.
fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Result<Reply, Refusal> {
    let list = named(state, call, id)?;
    let refers = |item: &Object| {
        let entries = item.get("entries").and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(|e| e.pointer("/list/id")?.as_str()).any(|other| other == id)
    };
    let own =
        &mut state.spaces.get_mut(&call.space).ok_or_else(|| Refusal::platform(404, "Not Found"))?.exceptions;
    for store in [own, &mut state.agnostic] {
        let referring: Vec<String> = store
            .lists()
            .flat_map(|l| l.items.iter())
            .filter(|(_, item)| refers(item))
            .map(|(item_id, _)| item_id.clone())
            .collect();
        if referring.is_empty() || call.request.flag("ignoreReferences") {
            continue;
        }
        if !call.request.flag("deleteReferences") {
            return Err(Refusal::siem(
                409,
                format!("value list \"{id}\" is referenced in existing exception list(s)"),
            ));
        }
        for item_id in referring {
            store.edit_item(&item_id, true, |_| {});
        }
    }
    let lists = lists(state, call)?;
    lists.lists.remove(id);
    lists.items.remove(id);
    Ok(Reply::ok(&Value::Object(list)))
}

/// A page with a cursor: the offset, in the clear.
fn page(call: &Call<'_>, all: Vec<Object>) -> Result<Reply, Refusal> {
    let (page, size) = find::page(call)?;
    let start = match call.request.param("cursor").filter(|c| !c.is_empty()) {
        Some(cursor) => {
            let offset = cursor.parse::<usize>();
            offset.map_err(|_| Refusal::request("query", "cursor: Invalid"))?
        }
        None => (page - 1).saturating_mul(size),
    };
    let total = all.len();
    let data: Vec<Value> = all.into_iter().skip(start).take(size).map(Value::Object).collect();
    let cursor = start.saturating_add(data.len()).to_string();
    Ok(Reply::ok(&json!({ "data": data, "page": page, "per_page": size, "total": total, "cursor": cursor })))
}

fn items(state: &mut State, call: &Call<'_>, rest: &[&str]) -> Result<Reply, Refusal> {
    let param = |name: &str| call.request.param(name).unwrap_or("").to_owned();
    let absent = || Refusal::siem(404, "list item does not exist");
    match (call.request.method.as_str(), rest) {
        ("POST", []) => {
            let given = call.object()?;
            checked(&given, &["list_id", "value"], &["id", "meta", "refresh"])?;
            let list = named(state, call, text(&given, "list_id"))?;
            if lists(state, call)?.item(text(&given, "id")).is_some() {
                return Err(Refusal::siem(
                    409,
                    format!("list item id: \"{}\" already exists", text(&given, "id")),
                ));
            }
            let item = add(state, call, &list, text(&given, "value"), text(&given, "id"))?;
            Ok(Reply::ok(&Value::Object(item)))
        }
        (method @ ("PUT" | "PATCH"), []) => {
            let given = call.object()?;
            let needed: &[&str] = if method == "PUT" { &["id", "value"] } else { &["id"] };
            checked(&given, needed, &["value", "meta", "_version", "refresh"])?;
            let mut item = lists(state, call)?.item(text(&given, "id")).cloned().ok_or_else(absent)?;
            item.extend(given.into_iter().filter(|(k, _)| matches!(k.as_str(), "value" | "meta")));
            stamp(state, call, &mut item, false);
            if let Some(held) = lists(state, call)?.item(text(&item, "id")) {
                *held = item.clone();
            }
            Ok(Reply::ok(&Value::Object(item)))
        }
        (method @ ("GET" | "DELETE"), []) => {
            let (id, list_id, value) = (param("id"), param("list_id"), param("value"));
            let all = lists(state, call)?;
            if !id.is_empty() {
                let item = all.item(&id).cloned().ok_or_else(absent)?;
                if method == "DELETE" {
                    all.items.values_mut().for_each(|items| {
                        items.remove(&id);
                    });
                }
                return Ok(Reply::ok(&Value::Object(item)));
            }
            let of_list = all.items.get_mut(&list_id).ok_or_else(absent)?;
            let found: Vec<Value> =
                of_list.values().filter(|i| text(i, "value") == value).cloned().map(Value::Object).collect();
            if found.is_empty() {
                return Err(absent());
            }
            if method == "DELETE" {
                of_list.retain(|_, i| text(i, "value") != value);
            }
            Ok(Reply::ok(&Value::Array(found)))
        }
        ("GET", ["_find"]) => {
            let list = named(state, call, &param("list_id"))?;
            let held = lists(state, call)?.items.get(text(&list, "id"));
            let all = held.map(|items| items.values().cloned().collect()).unwrap_or_default();
            page(call, all)
        }
        ("POST", ["_import"]) => import(state, call, &param("list_id"), &param("type")),
        _ => Err(Refusal::platform(404, "Not Found")),
    }
}

fn add(state: &mut State, call: &Call<'_>, list: &Object, value: &str, id: &str) -> Result<Object, Refusal> {
    let list_id = text(list, "id").to_owned();
    let id = if id.is_empty() { state.server.id() } else { id.to_owned() };
    let item = json!({ "id": id, "list_id": list_id, "type": list.get("type"), "value": value });
    let mut item = item.as_object().cloned().unwrap_or_default();
    stamp(state, call, &mut item, true);
    lists(state, call)?.items.entry(list_id).or_default().insert(id, item.clone());
    Ok(item)
}

/// One value a line, into a list that is there, or one that is named like the file.
fn import(state: &mut State, call: &Call<'_>, list_id: &str, kind: &str) -> Result<Reply, Refusal> {
    let file = transfer::file(call)?;
    if file.content.len() > MAX_VALUES {
        return Err(Refusal::platform(
            413,
            format!("Payload content length greater than maximum allowed: {MAX_VALUES}"),
        ));
    }
    let list = match list_id {
        "" if TYPES.contains(&kind) && lists(state, call)?.index => {
            let mut list = Object::new();
            for (key, value) in [
                ("id", file.name.as_str()),
                ("name", &file.name),
                ("type", kind),
                ("description", "imported"),
            ] {
                list.insert(key.to_owned(), value.into());
            }
            list.insert("version".to_owned(), 1.into());
            stamp(state, call, &mut list, true);
            lists(state, call)?.lists.entry(file.name.clone()).or_insert(list).clone()
        }
        "" => return Err(Refusal::siem(400, "one of list_id and a type is needed, and the data streams")),
        id => named(state, call, id)?,
    };
    let values = String::from_utf8_lossy(&file.content).into_owned();
    for value in values.lines().map(str::trim).filter(|v| !v.is_empty()) {
        add(state, call, &list, value, "")?;
    }
    Ok(Reply::ok(&Value::Object(list)))
}
