//! Connectors (contract 6): secrets are write-only, so only whether they are missing is kept.

use super::call::Call;
use super::http::Reply;
use super::refusal::Refusal;
use super::state::{Object, State};
use serde_json::{Value, json};

/// `GET /api/actions/connectors`
pub(super) fn list(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let space = state.space(&call.space)?;
    let mut uses: rustc_hash::FxHashMap<&str, u64> = rustc_hash::FxHashMap::default();
    for rule in space.rules.iter() {
        for action in rule.body.get("actions").and_then(Value::as_array).into_iter().flatten() {
            if let Some(id) = action.get("id").and_then(Value::as_str) {
                *uses.entry(id).or_default() += 1;
            }
        }
    }
    let all: Vec<Value> = space
        .connectors
        .iter()
        .map(|(id, c)| {
            let mut c = c.clone();
            if let Some(c) = c.as_object_mut() {
                c.insert(
                    "referenced_by_count".to_owned(),
                    uses.get(id.as_str()).copied().unwrap_or(0).into(),
                );
            }
            c
        })
        .collect();
    Ok(Reply::ok(&Value::Array(all)))
}

/// A connector as the API shows it, from what a writer or a seed gives.
pub(super) fn made(id: &str, given: &Object) -> Value {
    let flag = |key: &str| given.get(key) == Some(&Value::Bool(true));
    json!({
        "id": id,
        "name": given.get("name"),
        "connector_type_id": given.get("connector_type_id"),
        "config": given.get("config").cloned().unwrap_or_else(|| json!({})),
        "is_preconfigured": flag("is_preconfigured"),
        "is_deprecated": false,
        "is_missing_secrets": flag("is_missing_secrets"),
        "is_system_action": flag("is_system_action"),
    })
}

/// `POST /api/actions/connector/{id?}`
pub(super) fn create(state: &mut State, call: &Call<'_>, id: Option<&str>) -> Result<Reply, Refusal> {
    let given = call.object()?;
    check(&given, &["name", "connector_type_id"])?;
    let id = id.map_or_else(|| state.server.id(), str::to_owned);
    let all = &mut state.space(&call.space)?.connectors;
    if all.contains_key(&id) {
        let text = format!("Saved object [action/{id}] conflict");
        return Err(Refusal::platform(409, text));
    }
    let connector = made(&id, &given);
    all.insert(id, connector.clone());
    Ok(Reply::ok(&connector))
}

fn check(given: &Object, required: &[&str]) -> Result<(), Refusal> {
    for key in required {
        if given.get(*key).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(Refusal::request("body", format!("[{key}]: expected value of type [string]")));
        }
    }
    let known = |k: &str| required.contains(&k) || matches!(k, "config" | "secrets");
    match given.keys().find(|k| !known(k)) {
        Some(key) => Err(Refusal::request("body", format!("[{key}]: definition for this key is missing"))),
        None => Ok(()),
    }
}

fn held<'a>(state: &'a mut State, call: &Call<'_>, id: &str) -> Result<&'a mut Value, Refusal> {
    let found = state.space(&call.space)?.connectors.get_mut(id);
    found.ok_or_else(|| Refusal::platform(404, format!("Saved object [action/{id}] not found")))
}

/// `GET /api/actions/connector/{id}`
pub(super) fn get(state: &mut State, call: &Call<'_>, id: &str) -> Result<Reply, Refusal> {
    Ok(Reply::ok(held(state, call, id)?))
}

/// `PUT /api/actions/connector/{id}`: the type stays, and written secrets are no longer missing.
pub(super) fn replace(state: &mut State, call: &Call<'_>, id: &str) -> Result<Reply, Refusal> {
    let mut given = call.object()?;
    check(&given, &["name"])?;
    let live = held(state, call, id)?;
    given.insert("connector_type_id".to_owned(), live.get("connector_type_id").cloned().unwrap_or_default());
    *live = made(id, &given);
    Ok(Reply::ok(live))
}

/// `DELETE /api/actions/connector/{id}`
pub(super) fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Result<Reply, Refusal> {
    held(state, call, id)?;
    state.space(&call.space)?.connectors.remove(id);
    Ok(Reply::empty())
}

/// A connector as a line of an export: a saved object without secrets (contract 2.4).
pub(super) fn exported(connector: &Value) -> Value {
    let get = |key: &str| connector.get(key).cloned().unwrap_or_default();
    json!({ "id": get("id"), "type": "action", "attributes": { "actionTypeId": get("connector_type_id"),
        "name": get("name"), "config": get("config"), "isMissingSecrets": true, "secrets": {} }, "references": [] })
}

/// A line of an import: a saved object with `attributes`. Answers whether its secrets are missing.
pub(super) fn import(
    state: &mut State,
    call: &Call<'_>,
    line: &Object,
    overwrite: bool,
) -> Result<bool, Refusal> {
    let at = |key: &str| line.get("attributes").and_then(|a| a.get(key)).cloned().unwrap_or_default();
    let Some(id) = line.get("id").and_then(Value::as_str) else {
        return Err(Refusal::siem(400, "id: Required"));
    };
    let missing = at("isMissingSecrets") == Value::Bool(true);
    let given = json!({ "name": at("name"), "connector_type_id": at("actionTypeId"), "config": at("config"),
        "is_missing_secrets": missing });
    let all = &mut state.space(&call.space)?.connectors;
    if all.contains_key(id) && !overwrite {
        // known already, and left as it is
        return Ok(false);
    }
    let connector = made(id, given.as_object().unwrap_or(&Object::new()));
    all.insert(id.to_owned(), connector);
    Ok(missing)
}
