//! What a real Kibana does not have: `/_fake/…` shows and changes the state from outside, for tests and for
//! the shell. Nothing here is checked like a request of the API.

use super::exception_form::Kind;
use super::exceptions;
use super::faults::{Fault, unknown};
use super::http::{Reply, Request};
use super::state::{Object, Rule, Source, Space, State};
use super::user::{Auth, User};
use super::{connectors, merge, rules};
use serde_json::{Value, json};

/// Answers a control request.
pub(super) fn answer(state: &mut State, request: &Request) -> Reply {
    let told = |result: Result<(), String>| match result {
        Ok(()) => Reply::ok(&json!({ "done": true })),
        Err(message) => Reply::platform(400, message),
    };
    let body = || serde_json::from_slice::<Value>(&request.body).map_err(|e| e.to_string());
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_fake/state") => Reply::ok(&dump(state)),
        ("GET", "/_fake/requests") => Reply::ok(&state.log.iter().cloned().collect()),
        ("GET", "/_fake/faults") => Reply::ok(&state.faults.shown()),
        ("POST", "/_fake/faults") => told(body().and_then(|b| Fault::read(&b)).map(|f| state.faults.add(f))),
        ("DELETE", "/_fake/faults") => {
            state.faults.clear();
            told(Ok(()))
        }
        ("POST", "/_fake/edit") => told(body().and_then(|b| edit(state, &b))),
        ("POST", "/_fake/seed") => told(body().and_then(|b| seed(state, &b))),
        _ => Reply::platform(404, "there are /_fake/state, requests, faults, edit and seed"),
    }
}

/// Everything that is kept, rules with the key that they run with.
pub(super) fn dump(state: &State) -> Value {
    let lists = |all: &exceptions::Exceptions| -> Vec<Value> {
        let with_items = all.lists().map(|l| {
            let mut list = l.container.clone();
            list.insert("items".to_owned(), l.items.values().cloned().map(Value::Object).collect());
            Value::Object(list)
        });
        with_items.collect()
    };
    let mut spaces = Object::new();
    for (name, space) in &state.spaces {
        let rules: Vec<Value> = space
            .rules
            .iter()
            .map(|r| {
                let mut shown = r.response(&state.assets, state.version);
                let key = r.key.as_ref();
                let key = key.map(|k| json!({ "api_key_created_by_user": k.callers, "user": k.user }));
                shown.insert("api_key".to_owned(), key.unwrap_or_default());
                Value::Object(shown)
            })
            .collect();
        spaces.insert(
            name.clone(),
            json!({ "space": space.info, "rules": rules, "exception_lists": lists(&space.exceptions),
                "value_lists": space.lists.iter().collect::<Vec<_>>(),
                "connectors": space.connectors.values().collect::<Vec<_>>() }),
        );
    }
    json!({ "version": state.version_text, "spaces": spaces, "agnostic_exception_lists": lists(&state.agnostic),
        "prebuilt": state.assets.keys().collect::<Vec<_>>(), "faults": state.faults.shown() })
}

fn word<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn somebody(object: &Object) -> User {
    User { name: word(object, "user").unwrap_or("j.doe").to_owned(), auth: Auth::Basic }
}

/// An edit by another user, in the web page by default: `{"space", "user", "rule_id" | "id" | "item_id",
/// "set": {}, "remove": [], "delete": true, "via": "ui" | "api"}`.
pub(super) fn edit(state: &mut State, given: &Value) -> Result<(), String> {
    let given = given.as_object().ok_or("an edit is an object")?;
    let known =
        ["space", "user", "rule_id", "id", "item_id", "namespace_type", "set", "remove", "delete", "via"];
    unknown(given, &known)?;
    let user = somebody(given);
    let space = word(given, "space").unwrap_or("default").to_owned();
    let now = state.server.now();
    let set = given.get("set").and_then(Value::as_object).cloned().unwrap_or_default();
    let removed: Vec<&str> = given
        .get("remove")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let delete = given.get("delete") == Some(&Value::Bool(true));
    if let Some(item_id) = word(given, "item_id") {
        let version = state.server.id();
        let namespace = word(given, "namespace_type").unwrap_or("single");
        let store = exceptions::store(state, &space, namespace).map_err(|r| r.message())?;
        let found = store.edit_item(item_id, delete, |item| {
            item.extend(set);
            item.retain(|k, _| !removed.contains(&k.as_str()));
            item.insert("_version".to_owned(), version.into());
            item.insert("updated_at".to_owned(), now.into());
            item.insert("updated_by".to_owned(), user.name.into());
        });
        return if found { Ok(()) } else { Err(format!("there is no item `{item_id}`")) };
    }
    let all = &mut state.space(&space).map_err(|_| format!("there is no space `{space}`"))?.rules;
    let found = match (word(given, "id"), word(given, "rule_id")) {
        (Some(id), _) => all.by_id(id),
        (None, rule_id) => all.by_rule_id(rule_id.unwrap_or("")),
    };
    let mut rule = found.cloned().ok_or("there is no such rule")?;
    if delete {
        all.remove(&rule.id);
        return Ok(());
    }
    let before = rule.body.clone();
    rule.body.extend(set);
    rule.body.retain(|k, _| !removed.contains(&k.as_str()));
    if merge::is_revised(&before, &rule.body) {
        rule.revision += 1;
        // the web page writes a `meta` of its own (contract 3.1)
        if word(given, "via") != Some("api") {
            rule.body.insert(
                "meta".to_owned(),
                json!({ "from": "1m", "kibana_siem_app_url": "http://127.0.0.1/app/security" }),
            );
        }
    }
    if rule.enabled() || rule.key.is_some() {
        rule.key = Some(rules::key(&user));
    }
    rule.touch(now, &user);
    all.put(rule);
    Ok(())
}

/// Puts things there: `{"space", "user", "spaces": [{"id", "name"}], "connectors": [], "rules": [],
/// "prebuilt": [], "exception_lists": [], "exception_items": []}`. Rules are not checked, may repeat a
/// `rule_id`, and with `"immutable": true` are prebuilt; `prebuilt` are those that could be installed.
pub(super) fn seed(state: &mut State, given: &Value) -> Result<(), String> {
    let given = given.as_object().ok_or("a seed is an object")?;
    let known =
        ["space", "user", "spaces", "connectors", "rules", "prebuilt", "exception_lists", "exception_items"];
    unknown(given, &known)?;
    let user = somebody(given);
    let each = |key: &str| -> Result<Vec<Object>, String> {
        match given.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(all)) => all
                .iter()
                .map(|v| v.as_object().cloned().ok_or_else(|| format!("`{key}` must hold objects")))
                .collect(),
            Some(_) => Err(format!("`{key}` must be a list")),
        }
    };
    for space in each("spaces")? {
        let id = word(&space, "id").ok_or("a space needs an `id`")?;
        state
            .spaces
            .entry(id.to_owned())
            .or_insert_with(|| Space::new(id, word(&space, "name").unwrap_or(id)));
    }
    let space = word(given, "space").unwrap_or("default").to_owned();
    if !state.spaces.contains_key(&space) {
        return Err(format!("there is no space `{space}`"));
    }
    for connector in each("connectors")? {
        let id = word(&connector, "id").map_or_else(|| state.server.id(), str::to_owned);
        let made = connectors::made(&id, &connector);
        state.space(&space).map_err(|r| r.message())?.connectors.insert(id, made);
    }
    for (key, kind) in [("exception_lists", Kind::List), ("exception_items", Kind::Item)] {
        for one in each(key)? {
            exceptions::add(state, &space, &user, &one, kind).map_err(|r| r.message())?;
        }
    }
    for rule in each("prebuilt")? {
        let body = merge::seeded(&rule, &mut state.server, state.version);
        let id = word(&body, "rule_id").unwrap_or("").to_owned();
        state.assets.insert(id, body);
    }
    for rule in each("rules")? {
        let body = merge::seeded(&rule, &mut state.server, state.version);
        let prebuilt = rule.get("immutable") == Some(&Value::Bool(true));
        if prebuilt {
            let id = word(&body, "rule_id").unwrap_or("").to_owned();
            state.assets.entry(id).or_insert_with(|| body.clone());
        }
        let id = word(&rule, "id").map_or_else(|| state.server.id(), str::to_owned);
        let now = state.server.now();
        let stamp = |at: &str, by: &str| {
            let own = |key: &str| word(&rule, key).map(str::to_owned);
            (own(at).unwrap_or_else(|| now.clone()), own(by).unwrap_or_else(|| user.name.clone()))
        };
        let mut extra = Object::new();
        if let Some(summary) = rule.get("execution_summary") {
            extra.insert("execution_summary".to_owned(), summary.clone());
        }
        let mut made = Rule {
            id,
            revision: rule.get("revision").and_then(Value::as_u64).unwrap_or(0),
            created: stamp("created_at", "created_by"),
            updated: stamp("updated_at", "updated_by"),
            source: if prebuilt { Source::External } else { Source::Internal },
            key: None,
            extra,
            body,
        };
        if made.enabled() {
            made.key = Some(rules::key(&user));
        }
        state.space(&space).map_err(|r| r.message())?.rules.put(made);
    }
    Ok(())
}
