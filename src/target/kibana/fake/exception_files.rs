//! Exception lists as files: `_export`, `_import` and `_duplicate` of `/api/exception_lists` (contract 5).

use super::call::Call;
use super::exception_form::{self, Kind};
use super::exceptions;
use super::http::Reply;
use super::refusal::Refusal;
use super::state::{Object, State};
use super::transfer;
use serde_json::{Value, json};

/// Objects of one file.
const MAX_OBJECTS: usize = 10_000;

/// A list with its items that have not expired, or all of them.
fn whole(state: &mut State, call: &Call<'_>) -> Result<(Object, Vec<Object>), Refusal> {
    let list_id = call.request.param("list_id").unwrap_or("");
    let namespace = call.request.param("namespace_type").unwrap_or("single");
    let expired_too = call.request.param("include_expired_exceptions") != Some("false");
    let now = state.server.now();
    let store = exceptions::store(state, &call.space, namespace)?;
    let Some(list) = store.list(list_id) else {
        return Err(Refusal::siem(404, format!("exception list list_id: \"{list_id}\" does not exist")));
    };
    // texts of one form sort by time
    let current = |item: &&Object| {
        let expires = item.get("expire_time").and_then(Value::as_str);
        expired_too || expires.is_none_or(|at| at > now.as_str())
    };
    Ok((list.container.clone(), list.items.values().filter(current).cloned().collect()))
}

/// `POST /api/exception_lists/_export?list_id=&namespace_type=`
pub(super) fn export(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let (list, items) = whole(state, call)?;
    let counts = json!({ "exported_exception_list_count": 1, "exported_exception_list_item_count": items.len(),
        "missing_exception_list_item_count": 0, "missing_exception_list_items": [], "missing_exception_lists": [],
        "missing_exception_lists_count": 0 });
    let objects = std::iter::once(list).chain(items).map(Value::Object).chain([counts]);
    let text: String = objects.flat_map(|o| [o.to_string(), "\n".to_owned()]).collect();
    Ok(Reply::lines(text.into_bytes()))
}

/// `POST /api/exception_lists/_duplicate?list_id=&namespace_type=`
pub(super) fn duplicate(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let (list, items) = whole(state, call)?;
    let name = format!("{} [Duplicate]", list.get("name").and_then(Value::as_str).unwrap_or(""));
    let fresh = |mut object: Object, kind: Kind| {
        object.remove(kind.key());
        exception_form::written(&object, kind)
    };
    let mut copy = fresh(list, Kind::List);
    copy.insert("name".to_owned(), name.into());
    let copy = exceptions::add(state, &call.space, &call.user, &copy, Kind::List)?;
    for item in items {
        let mut item = fresh(item, Kind::Item);
        item.remove("comments");
        item.insert("list_id".to_owned(), copy.get("list_id").cloned().unwrap_or_default());
        exceptions::add(state, &call.space, &call.user, &item, Kind::Item)?;
    }
    Ok(Reply::ok(&Value::Object(copy)))
}

/// `POST /api/exception_lists/_import?overwrite=`; 200 even when all fail.
pub(super) fn import(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let file = transfer::ndjson(call)?;
    let text = String::from_utf8_lossy(&file);
    let mut objects = Vec::new();
    let mut errors = Vec::new();
    let mut error = |key: &str, id: &str, status: u16, message: String| {
        errors.push(json!({ key: id, "error": { "status_code": status, "message": message } }));
    };
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        match serde_json::from_str::<Object>(line) {
            Ok(o) if o.contains_key("exported_exception_list_count") => {}
            Ok(o) => objects.push(o),
            Err(e) => error("list_id", "(unknown id)", 400, e.to_string()),
        }
    }
    if objects.len() > MAX_OBJECTS {
        return Err(Refusal::siem(500, format!("Can't import more than {MAX_OBJECTS} exceptions")));
    }
    let overwrite = call.request.flag("overwrite");
    // lists before their items, whatever the order of the file
    objects.sort_by_key(|o| o.contains_key("entries"));
    let (mut lists, mut items) = (0, 0);
    let (mut failed_lists, mut failed_items) = (false, false);
    for object in &objects {
        let is_item = object.contains_key("entries");
        match exceptions::import(state, call, object, overwrite) {
            Ok(true) => items += 1,
            Ok(false) => lists += 1,
            Err(refusal) => {
                let key = if is_item { "item_id" } else { "list_id" };
                let id = object.get(key).and_then(Value::as_str).unwrap_or("(unknown id)");
                error(key, id, refusal.status, refusal.message());
                failed_items |= is_item;
                failed_lists |= !is_item;
            }
        }
    }
    Ok(Reply::ok(&json!({ "success": errors.is_empty(), "success_count": lists + items, "errors": errors,
        "success_exception_lists": !failed_lists, "success_count_exception_lists": lists,
        "success_exception_list_items": !failed_items, "success_count_exception_list_items": items })))
}
