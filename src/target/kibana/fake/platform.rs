//! What is not about rules: status, spaces, privileges, who one is (contract 2, 6, 7).

use super::call::Call;
use super::http::Reply;
use super::refusal::Refusal;
use super::state::{Space, State};
use super::user::Auth;
use serde_json::{Value, json};

/// `GET /api/status`, whole: anybody is let in here.
pub(super) fn status(state: &State) -> Reply {
    let available = json!({ "level": "available", "summary": "All services and plugins are available" });
    Reply::ok(&json!({
        "name": "fake-kibana",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "version": { "number": state.version_text, "build_hash": "0", "build_number": 0, "build_snapshot": false,
            "build_flavor": "traditional" },
        "status": { "overall": available },
    }))
}

/// `GET /api/detection_engine/privileges` (contract 7)
pub(super) fn privileges(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let space = call.space.clone();
    state.space(&space)?;
    let all = json!({ "all": true, "create": true, "create_doc": true, "create_index": true, "delete": true,
        "delete_index": true, "index": true, "maintenance": true, "manage": true, "monitor": true, "read": true,
        "view_index_metadata": true, "write": true });
    let index: super::state::Object = ["alerts-security.alerts", "lists", "items"]
        .iter()
        .map(|i| (format!(".{i}-{space}"), all.clone()))
        .collect();
    Ok(Reply::ok(&json!({
        "username": call.user.name,
        "has_all_requested": true,
        "cluster": { "all": true, "manage": true, "manage_api_key": true, "monitor": true },
        "index": index,
        "application": {},
        "is_authenticated": true,
        "has_encryption_key": true,
    })))
}

/// `GET /internal/security/me`: the user, and by which kind of credential.
pub(super) fn me(call: &Call<'_>) -> Reply {
    let kind = if call.user.auth == Auth::ApiKey { "api_key" } else { "realm" };
    Reply::ok(&json!({ "username": call.user.name, "roles": ["superuser"], "enabled": true,
        "authentication_type": kind, "authentication_realm": { "name": "fake", "type": "fake" } }))
}

/// `GET /api/spaces/space`
pub(super) fn spaces(state: &State) -> Reply {
    Reply::ok(&state.spaces.values().map(|s| s.info.clone()).collect())
}

/// `GET /api/spaces/space/{id}`
pub(super) fn space(state: &mut State, id: &str) -> Result<Reply, Refusal> {
    Ok(Reply::ok(&state.space(id)?.info))
}

/// `POST /api/spaces/space`
pub(super) fn create_space(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let given = call.object()?;
    let text = |key: &str| given.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
    let (Some(id), Some(name)) = (text("id"), text("name")) else {
        return Err(Refusal::request("body", "[id] and [name]: expected value of type [string]"));
    };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if !id.chars().all(fits) {
        return Err(Refusal::request("body", "[id]: must be lower case, a-z, 0-9, '_', and '-' are allowed"));
    }
    if state.spaces.contains_key(id) {
        return Err(Refusal::platform(409, format!("A space with the identifier {id} already exists.")));
    }
    let mut space = Space::new(id, name);
    if let (Some(text), Some(info)) = (text("description"), space.info.as_object_mut()) {
        info.insert("description".to_owned(), text.into());
    }
    let info = space.info.clone();
    state.spaces.insert(id.to_owned(), space);
    Ok(Reply::ok(&info))
}

/// `DELETE /api/spaces/space/{id}`, with everything in it
pub(super) fn delete_space(state: &mut State, id: &str) -> Result<Reply, Refusal> {
    state.space(id)?;
    if id == "default" {
        return Err(Refusal::platform(400, "The default space cannot be deleted because it is reserved."));
    }
    state.spaces.remove(id);
    Ok(Reply::empty())
}
