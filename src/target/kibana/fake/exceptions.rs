//! Exception lists and their items (contract 5): create, read, replace with `_version`, delete, find, and
//! the default list of a rule.

use super::call::Call;
use super::exception_form::{Kind, check, written};
use super::filter::Filter;
use super::find;
use super::http::Reply;
use super::refusal::Refusal;
use super::state::{Object, Server, State, text};
use super::user::User;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PREFIXES: &[&str] = &["exception-list", "exception-list-agnostic"];

/// The lists of one namespace: those of a space, or the agnostic ones.
#[derive(Clone, Default)]
pub(super) struct Exceptions {
    lists: BTreeMap<String, List>,
    /// `id` of a list to its `list_id`.
    list_ids: FxHashMap<String, String>,
    /// `id` of an item to its `item_id`.
    item_ids: FxHashMap<String, String>,
    /// `item_id` to the `list_id` of its list.
    homes: FxHashMap<String, String>,
}

#[derive(Clone)]
pub(super) struct List {
    pub(super) container: Object,
    pub(super) items: BTreeMap<String, Object>,
}

impl Exceptions {
    pub(super) fn list(&self, list_id: &str) -> Option<&List> {
        self.lists.get(list_id)
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = &List> {
        self.lists.values()
    }

    fn item(&self, item_id: &str) -> Option<&Object> {
        self.lists.get(self.homes.get(item_id)?)?.items.get(item_id)
    }

    fn put_list(&mut self, container: Object) {
        let list_id = text(&container, "list_id").to_owned();
        self.list_ids.insert(text(&container, "id").to_owned(), list_id.clone());
        match self.lists.get_mut(&list_id) {
            Some(list) => list.container = container,
            None => {
                self.lists.insert(list_id, List { container, items: BTreeMap::new() });
            }
        }
    }

    fn put_item(&mut self, item: Object) {
        let (item_id, list_id) = (text(&item, "item_id").to_owned(), text(&item, "list_id").to_owned());
        if let Some(list) = self.lists.get_mut(&list_id) {
            self.item_ids.insert(text(&item, "id").to_owned(), item_id.clone());
            self.homes.insert(item_id.clone(), list_id);
            list.items.insert(item_id, item);
        }
    }

    fn remove_list(&mut self, list_id: &str) -> Option<Object> {
        let list = self.lists.remove(list_id)?;
        self.list_ids.remove(text(&list.container, "id"));
        for (item_id, item) in &list.items {
            self.item_ids.remove(text(item, "id"));
            self.homes.remove(item_id);
        }
        Some(list.container)
    }

    fn remove_item(&mut self, item_id: &str) -> Option<Object> {
        let home = self.homes.remove(item_id)?;
        let item = self.lists.get_mut(&home)?.items.remove(item_id)?;
        self.item_ids.remove(text(&item, "id"));
        Some(item)
    }

    /// Changes or deletes an item; false when it is not there.
    pub(super) fn edit_item(&mut self, item_id: &str, delete: bool, edit: impl FnOnce(&mut Object)) -> bool {
        if delete {
            return self.remove_item(item_id).is_some();
        }
        let home = self.homes.get(item_id).and_then(|home| self.lists.get_mut(home));
        let item = home.and_then(|list| list.items.get_mut(item_id));
        item.map(edit).is_some()
    }
}

/// The lists of a namespace, as seen from a space.
pub(super) fn store<'a>(
    state: &'a mut State,
    space: &str,
    namespace: &str,
) -> Result<&'a mut Exceptions, Refusal> {
    if namespace == "agnostic" { Ok(&mut state.agnostic) } else { Ok(&mut state.space(space)?.exceptions) }
}

fn namespace(given: &Object) -> String {
    let n = text(given, "namespace_type");
    if n.is_empty() { "single".to_owned() } else { n.to_owned() }
}

/// A version of an object for optimistic locking; clients must not look inside.
fn version(server: &mut Server) -> Value {
    server.id().into()
}

/// Adds a checked list or item.
pub(super) fn add(
    state: &mut State,
    space: &str,
    user: &User,
    given: &Object,
    kind: Kind,
) -> Result<Object, Refusal> {
    let namespace = namespace(given);
    let mut out = Object::new();
    out.insert("id".to_owned(), state.server.id().into());
    for (key, value) in given {
        out.insert(key.clone(), value.clone());
    }
    out.entry(kind.key()).or_insert_with(|| state.server.id().into());
    out.insert("namespace_type".to_owned(), namespace.as_str().into());
    out.entry("os_types").or_insert_with(|| json!([]));
    out.entry("tags").or_insert_with(|| json!([]));
    let now = state.server.now();
    if kind == Kind::List {
        out.entry("version").or_insert_with(|| 1.into());
        out.insert("immutable".to_owned(), false.into());
    } else {
        let comments = comments(state, user, given.get("comments"), None)?;
        out.insert("comments".to_owned(), comments);
    }
    out.insert("tie_breaker_id".to_owned(), state.server.id().into());
    out.insert("_version".to_owned(), version(&mut state.server));
    for (key, value) in
        [("created_at", &now), ("created_by", &user.name), ("updated_at", &now), ("updated_by", &user.name)]
    {
        out.insert(key.to_owned(), value.as_str().into());
    }
    let own = text(&out, kind.key()).to_owned();
    let store = store(state, space, &namespace)?;
    match kind {
        Kind::List => {
            if store.list(&own).is_some() {
                return Err(Refusal::siem(409, format!("exception list id: \"{own}\" already exists")));
            }
            store.put_list(out.clone());
        }
        Kind::Item => {
            let list_id = text(&out, "list_id").to_owned();
            if store.list(&list_id).is_none() {
                return Err(Refusal::siem(404, format!("exception list id: \"{list_id}\" does not exist")));
            }
            if store.item(&own).is_some() {
                return Err(Refusal::siem(409, format!("exception list item id: \"{own}\" already exists")));
            }
            store.put_item(out.clone());
        }
    }
    Ok(out)
}

/// Comments: only ever appended, so those that are there must come back with their ids (contract 5).
fn comments(
    state: &mut State,
    user: &User,
    given: Option<&Value>,
    live: Option<&Value>,
) -> Result<Value, Refusal> {
    let given = given.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let live = live.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut out = Vec::new();
    for (i, comment) in given.iter().enumerate() {
        let Some(words) = comment.get("comment").and_then(Value::as_str).filter(|c| !c.trim().is_empty())
        else {
            return Err(Refusal::siem(400, "Empty comments not allowed"));
        };
        match (comment.get("id"), live.get(i)) {
            (Some(id), Some(held)) if held.get("id") == Some(id) => {
                if held.get("comment").and_then(Value::as_str) != Some(words) {
                    return Err(Refusal::siem(403, "comments of others cannot be changed"));
                }
                out.push(held.clone());
            }
            (None, None) => {
                let (id, now) = (state.server.id(), state.server.now());
                out.push(json!({ "id": id, "comment": words, "created_at": now, "created_by": user.name }));
            }
            _ => {
                return Err(Refusal::siem(
                    400,
                    "comments that are there must be sent again, with their ids, first",
                ));
            }
        }
    }
    if out.len() < live.len() {
        return Err(Refusal::siem(400, "comments cannot be deleted"));
    }
    Ok(Value::Array(out))
}

/// `POST /api/exception_lists` and `…/items`
pub(super) fn create(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let given = call.object()?;
    check(&given, kind, false)?;
    Ok(Reply::ok(&Value::Object(add(state, &call.space, &call.user, &given, kind)?)))
}

/// `PUT /api/exception_lists` and `…/items`: refuses a stale `_version` with 409.
pub(super) fn replace(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let given = call.object()?;
    check(&given, kind, true)?;
    let live = named(state, call, kind, &namespace(&given), text(&given, "id"), text(&given, kind.key()))?;
    if let Some(wanted) = given.get("_version")
        && live.get("_version") != Some(wanted)
    {
        return Err(Refusal::siem(409, "version conflict, the object has been changed since it was read"));
    }
    let mut out = live.clone();
    match kind {
        Kind::List => {
            out.insert("os_types".to_owned(), json!([]));
        }
        Kind::Item => {
            // a full replacement (contract 5)
            for key in ["tags", "os_types"] {
                out.insert(key.to_owned(), json!([]));
            }
            out.retain(|k, _| !matches!(k.as_str(), "expire_time" | "meta"));
            let kept = comments(state, &call.user, given.get("comments"), live.get("comments"))?;
            out.insert("comments".to_owned(), kept);
        }
    }
    for (key, value) in &given {
        // an item stays in its list
        if !matches!(key.as_str(), "id" | "_version" | "comments" | "list_id" | "item_id") {
            out.insert(key.clone(), value.clone());
        }
    }
    out.insert("_version".to_owned(), version(&mut state.server));
    out.insert("updated_at".to_owned(), state.server.now().into());
    out.insert("updated_by".to_owned(), call.user.name.as_str().into());
    let store = store(state, &call.space, &namespace(&given))?;
    match kind {
        Kind::List => store.put_list(out.clone()),
        Kind::Item => store.put_item(out.clone()),
    }
    Ok(Reply::ok(&Value::Object(out)))
}

/// The list or item that an `id` or its own key names.
fn named(
    state: &mut State,
    call: &Call<'_>,
    kind: Kind,
    namespace: &str,
    id: &str,
    key: &str,
) -> Result<Object, Refusal> {
    let store = store(state, &call.space, namespace)?;
    let by_id = || match kind {
        Kind::List => store.list_ids.get(id).map_or("", String::as_str),
        Kind::Item => store.item_ids.get(id).map_or("", String::as_str),
    };
    let own = if id.is_empty() { key } else { by_id() };
    let found = match kind {
        Kind::List => store.list(own).map(|l| &l.container),
        Kind::Item => store.item(own),
    };
    found.cloned().ok_or_else(|| {
        let (field, value) = if id.is_empty() { (kind.key(), key) } else { ("id", id) };
        Refusal::siem(404, format!("{} {field}: \"{value}\" does not exist", kind.noun()))
    })
}

fn asked(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<(Object, String), Refusal> {
    let param = |name| call.request.param(name).unwrap_or("");
    let namespace = if param("namespace_type") == "agnostic" { "agnostic" } else { "single" };
    if param("id").is_empty() && param(kind.key()).is_empty() {
        return Err(Refusal::siem(400, format!("one of \"id\" and \"{}\" is needed", kind.key())));
    }
    let found = named(state, call, kind, namespace, param("id"), param(kind.key()))?;
    Ok((found, namespace.to_owned()))
}

/// `GET /api/exception_lists` and `…/items`
pub(super) fn get(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    Ok(Reply::ok(&Value::Object(asked(state, call, kind)?.0)))
}

/// `DELETE /api/exception_lists` (with its items) and `…/items`
pub(super) fn delete(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let (found, namespace) = asked(state, call, kind)?;
    let store = store(state, &call.space, &namespace)?;
    match kind {
        Kind::List => store.remove_list(text(&found, "list_id")),
        Kind::Item => store.remove_item(text(&found, "item_id")),
    };
    Ok(Reply::ok(&Value::Object(found)))
}

/// `GET /api/exception_lists/_find` and `…/items/_find?list_id=a,b&namespace_type=single,agnostic`, which
/// pair by position (contract 5).
pub(super) fn find(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let (page, size) = find::page(call)?;
    let split = |name: &str| -> Vec<String> {
        let text = call.request.param(name).unwrap_or("");
        text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
    };
    let filters: Vec<Filter> = match call.request.param("filter") {
        Some(text) => vec![Filter::attributes(text, PREFIXES)?],
        None => Vec::new(),
    };
    let mut spaces = split("namespace_type");
    if spaces.iter().any(|n| n != "single" && n != "agnostic") {
        return Err(Refusal::request("query", "namespace_type: Invalid enum value"));
    }
    if spaces.is_empty() {
        spaces.push("single".to_owned());
    }
    let mut found: Vec<Value> = Vec::new();
    match kind {
        Kind::List => {
            for namespace in &spaces {
                let store = store(state, &call.space, namespace)?;
                found.extend(store.lists().map(|l| Value::Object(l.container.clone())));
            }
        }
        Kind::Item => {
            let lists = split("list_id");
            if lists.is_empty() {
                return Err(Refusal::request("query", "list_id: Required"));
            }
            if lists.len() != spaces.len() {
                let text = "list_id and namespace_type need the same number of values";
                return Err(Refusal::siem(400, text));
            }
            for (list_id, namespace) in lists.iter().zip(&spaces) {
                let store = store(state, &call.space, namespace)?;
                let Some(list) = store.list(list_id) else {
                    return Err(Refusal::siem(
                        404,
                        format!("exception list list_id: \"{list_id}\" does not exist"),
                    ));
                };
                found.extend(list.items.values().cloned().map(Value::Object));
            }
        }
    }
    found.retain(|v| filters.iter().all(|f| f.matches(v)));
    let sort = call.request.param("sort_field").unwrap_or("created_at").to_owned();
    let key = |v: &Value| v.get(&sort).map(|k| k.as_str().map_or_else(|| k.to_string(), str::to_owned));
    found.sort_by_cached_key(key);
    if call.request.param("sort_order") == Some("desc") {
        found.reverse();
    }
    let total = found.len();
    let data: Vec<Value> = found.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
    Ok(Reply::ok(&json!({ "data": data, "page": page, "per_page": size, "total": total })))
}

/// The list of Elastic Defend that a first rule brings with it (contract 2).
pub(super) fn ensure_endpoint_list(state: &mut State, user: &User) {
    let given = json!({ "list_id": "endpoint_list", "type": "endpoint", "namespace_type": "agnostic",
        "name": "Endpoint Security Exception List", "description": "Endpoint Security Exception List" });
    if let Some(given) = given.as_object()
        && state.agnostic.list("endpoint_list").is_none()
    {
        // agnostic lists need no space, so this cannot be refused
        let _ = add(state, "default", user, given, Kind::List);
    }
}

/// `POST /api/exceptions/shared`
pub(super) fn shared(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let mut given = call.object()?;
    if let Some(key) = given.keys().find(|k| !matches!(k.as_str(), "name" | "description")) {
        return Err(Refusal::request("body", format!("Unrecognized key(s) in object: '{key}'")));
    }
    given.insert("type".to_owned(), "detection".into());
    check(&given, Kind::List, false)?;
    Ok(Reply::ok(&Value::Object(add(state, &call.space, &call.user, &given, Kind::List)?)))
}

/// `POST /api/detection_engine/rules/{id}/exceptions`: items of the rule's default list, which is made and
/// linked when the rule has none.
pub(super) fn rule_default(state: &mut State, call: &Call<'_>, id: &str) -> Result<Reply, Refusal> {
    let body = call.object()?;
    let items = body.get("items").and_then(Value::as_array).filter(|i| !i.is_empty());
    let Some(items) = items else { return Err(Refusal::request("body", "items: Required")) };
    let Some(mut rule) = state.space(&call.space)?.rules.by_id(id).cloned() else {
        return Err(Refusal::siem(
            500,
            format!("Unable to add exception to rule - rule with id:\"{id}\" not found"),
        ));
    };
    let held = super::state::default_lists(&rule.body).next().map(str::to_owned);
    let mut checked = Vec::new();
    for item in items {
        let mut item = item.as_object().cloned().unwrap_or_default();
        item.insert("list_id".to_owned(), held.clone().unwrap_or_default().into());
        check(&item, Kind::Item, false)?;
        checked.push(item);
    }
    let list_id = match held {
        Some(list_id) => list_id,
        None => {
            let given = json!({ "type": "rule_default", "name": format!("Exceptions for rule - {}", rule.text("name")),
                "description": "the default exception list of a rule" });
            let given = given.as_object().cloned().unwrap_or_default();
            let list = add(state, &call.space, &call.user, &given, Kind::List)?;
            let link = json!({ "id": list.get("id"), "list_id": list.get("list_id"), "type": "rule_default",
                "namespace_type": "single" });
            if let Some(links) = rule.body.get_mut("exceptions_list").and_then(Value::as_array_mut) {
                links.push(link);
            }
            rule.revision += 1;
            rule.touch(state.server.now(), &call.user);
            state.space(&call.space)?.rules.put(rule);
            text(&list, "list_id").to_owned()
        }
    };
    let mut made = Vec::new();
    for mut item in checked {
        item.insert("list_id".to_owned(), list_id.as_str().into());
        made.push(Value::Object(add(state, &call.space, &call.user, &item, Kind::Item)?));
    }
    Ok(Reply::ok(&Value::Array(made)))
}

/// One line of an import (contract 2.3): a list, or an item with `entries`. Answers whether it was an item.
pub(super) fn import(
    state: &mut State,
    call: &Call<'_>,
    line: &Object,
    overwrite: bool,
) -> Result<bool, Refusal> {
    let kind =
        if line.contains_key("entries") || line.contains_key("item_id") { Kind::Item } else { Kind::List };
    let given = written(line, kind);
    check(&given, kind, false)?;
    let namespace = namespace(&given);
    let own = text(&given, kind.key()).to_owned();
    let store = store(state, &call.space, &namespace)?;
    if overwrite {
        match kind {
            Kind::List => {
                store.remove_list(&own);
            }
            Kind::Item => {
                store.remove_item(&own);
            }
        }
    }
    add(state, &call.space, &call.user, &given, kind)?;
    Ok(kind == Kind::Item)
}
