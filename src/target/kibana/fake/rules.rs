//! Single rules: POST, GET, PUT, PATCH, DELETE of `/api/detection_engine/rules` (contract 2, 4.1), preview
//! and tags.

use super::call::Call;
use super::http::Reply;
use super::merge::{self, Around};
use super::refusal::Refusal;
use super::state::{Key, Object, Rule, Source, State};
use super::user::{Auth, User};
use super::validate::{self, Form};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `POST /api/detection_engine/rules`
pub(super) fn create(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    validate::structure(&body, Form::Create)?;
    let given = body.as_object().cloned().unwrap_or_default();
    validate::semantics(&given, Form::Create, state.version)?;
    if let Some(rule_id) = given.get("rule_id").and_then(Value::as_str)
        && state.space(&call.space)?.rules.by_rule_id(rule_id).is_some()
    {
        return Err(Refusal::siem(409, format!("rule_id: \"{rule_id}\" already exists")));
    }
    // a side effect of the first rule (contract 2)
    super::exceptions::ensure_endpoint_list(state, &call.user);
    let rule = add(state, Writer::of(call), &given, Source::Internal)?;
    Ok(Reply::ok(&shown(state, &rule)))
}

/// Who writes, and how.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) space: &'a str,
    pub(super) user: &'a User,
    /// An import lets connectors without secrets pass (contract 3.3).
    pub(super) importing: bool,
    /// A fault stops between the two steps of an `enabled` that changes (contract 4.1).
    pub(super) half: bool,
}

impl<'a> Writer<'a> {
    /// The writer of a call.
    pub(super) fn of(call: &'a Call<'_>) -> Writer<'a> {
        Writer { space: &call.space, user: &call.user, importing: false, half: call.half }
    }
}

/// Adds a checked rule to a space.
pub(super) fn add(
    state: &mut State,
    by: Writer<'_>,
    given: &Object,
    source: Source,
) -> Result<Rule, Refusal> {
    let Writer { space, user, .. } = by;
    let body = replaced(state, by, given, None)?;
    let id = state.server.id();
    merge::check_lists(state, space, &body, &id)?;
    let stamp = (state.server.now(), user.name.clone());
    let mut rule = Rule {
        id,
        body,
        revision: 0,
        created: stamp.clone(),
        updated: stamp,
        source,
        key: None,
        extra: Object::new(),
    };
    if rule.enabled() {
        rule.key = Some(key(user));
    }
    state.space(space)?.rules.put(rule.clone());
    Ok(rule)
}

/// The body that a full write makes, defaults filled.
fn replaced(
    state: &mut State,
    by: Writer<'_>,
    given: &Object,
    live: Option<&Object>,
) -> Result<Object, Refusal> {
    let space = state.spaces.get(by.space).ok_or_else(|| Refusal::platform(404, "Not Found"))?;
    let mut around = Around {
        connectors: &space.connectors,
        server: &mut state.server,
        version: state.version,
        needs_secrets: !by.importing,
    };
    merge::replaced(given, live, &mut around)
}

/// The key that a rule gets from its writer: with an API key it is the caller's own (contract 4.2).
pub(super) fn key(user: &User) -> Key {
    Key { callers: user.auth == Auth::ApiKey, user: user.name.clone() }
}

/// A rule as responses show it.
pub(super) fn shown(state: &State, rule: &Rule) -> Value {
    Value::Object(rule.response(&state.assets, state.version))
}

/// `GET /api/detection_engine/rules?rule_id=` or `?id=`
pub(super) fn get(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let rule = asked(state, call)?;
    Ok(Reply::ok(&shown(state, &rule)))
}

/// The rule that the query names by exactly one of `id` and `rule_id`.
fn asked(state: &State, call: &Call<'_>) -> Result<Rule, Refusal> {
    let mut names = Object::new();
    for key in ["id", "rule_id"] {
        if let Some(v) = call.request.param(key) {
            names.insert(key.to_owned(), v.into());
        }
    }
    validate::semantics(&names, Form::Patch, state.version)?;
    named(state, &call.space, &names)
}

fn named(state: &State, space: &str, names: &Object) -> Result<Rule, Refusal> {
    let rules = &state.spaces.get(space).ok_or_else(|| Refusal::platform(404, "Not Found"))?.rules;
    let text = |key: &str| names.get(key).and_then(Value::as_str);
    let (key, value, found) = match (text("id"), text("rule_id")) {
        (Some(id), _) => ("id", id, rules.by_id(id)),
        (None, rule_id) => {
            let rule_id = rule_id.unwrap_or("");
            ("rule_id", rule_id, rules.by_rule_id(rule_id))
        }
    };
    found.cloned().ok_or_else(|| Refusal::siem(404, format!("{key}: \"{value}\" not found")))
}

/// `PUT /api/detection_engine/rules`: a full replacement.
pub(super) fn put(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    validate::structure(&body, Form::Update)?;
    let given = body.as_object().cloned().unwrap_or_default();
    validate::semantics(&given, Form::Update, state.version)?;
    let live = named(state, &call.space, &given)?;
    let (rule, whole) = replace(state, Writer::of(call), &given, live)?;
    if whole { Ok(Reply::ok(&shown(state, &rule))) } else { Err(cut_off()) }
}

/// Replaces a rule, as PUT and an overwriting import do. The flag tells whether all was done.
pub(super) fn replace(
    state: &mut State,
    by: Writer<'_>,
    given: &Object,
    live: Rule,
) -> Result<(Rule, bool), Refusal> {
    if given.get("type") != live.body.get("type") {
        return Err(merge::type_change(&live.body, given));
    }
    let body = replaced(state, by, given, Some(&live.body))?;
    write(state, by, live, body)
}

/// `PATCH /api/detection_engine/rules`
pub(super) fn patch(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    validate::structure(&body, Form::Patch)?;
    let given = body.as_object().cloned().unwrap_or_default();
    validate::semantics(&given, Form::Patch, state.version)?;
    let live = named(state, &call.space, &given)?;
    let body = {
        let space = state.spaces.get(&call.space).ok_or_else(|| Refusal::platform(404, "Not Found"))?;
        let mut around = Around {
            connectors: &space.connectors,
            server: &mut state.server,
            version: state.version,
            needs_secrets: true,
        };
        merge::patched(&given, &live.body, &mut around)?
    };
    let (rule, whole) = write(state, Writer::of(call), live, body)?;
    if whole { Ok(Reply::ok(&shown(state, &rule))) } else { Err(cut_off()) }
}

fn cut_off() -> Refusal {
    Refusal::siem(500, "the rule was updated, but not enabled or disabled (fault)")
}

/// Stores a changed rule, counts its revision, renews its key (contract 4.1).
fn write(state: &mut State, by: Writer<'_>, live: Rule, mut body: Object) -> Result<(Rule, bool), Refusal> {
    let Writer { space, user, half, .. } = by;
    merge::check_prebuilt(&live, &body)?;
    merge::check_lists(state, space, &body, &live.id)?;
    let flips = body.get("enabled") != live.body.get("enabled");
    if half && flips {
        body.insert("enabled".to_owned(), live.enabled().into());
    }
    let mut rule = live;
    if merge::is_revised(&rule.body, &body) {
        rule.revision += 1;
    }
    rule.body = body;
    rule.touch(state.server.now(), user);
    if rule.enabled() || rule.key.is_some() {
        rule.key = Some(key(user));
    }
    state.space(space)?.rules.put(rule.clone());
    Ok((rule, !half))
}

/// `DELETE /api/detection_engine/rules`: answers with the rule; its exception lists stay behind.
pub(super) fn delete(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let rule = asked(state, call)?;
    state.space(&call.space)?.rules.remove(&rule.id);
    Ok(Reply::ok(&shown(state, &rule)))
}

/// `POST /api/detection_engine/rules/preview`: checks the rule like a create, and the syntax of KQL; it
/// reads no events.
pub(super) fn preview(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let mut given = call.object()?;
    for key in ["invocationCount", "timeframeEnd"] {
        if given.shift_remove(key).is_none() {
            return Err(Refusal::request("body", format!("{key}: Required")));
        }
    }
    let body = Value::Object(given);
    validate::structure(&body, Form::Create)?;
    let given = body.as_object().cloned().unwrap_or_default();
    validate::semantics(&given, Form::Create, state.version)?;
    let rule = replaced(state, Writer::of(call), &given, None)?;
    let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or("");
    let mut errors = Vec::new();
    if text("language") == "kuery" {
        errors.extend(crate::lang::kql::parse(text("query")).diagnostics.into_iter().map(|d| d.message));
    }
    let log = json!({ "errors": errors, "warnings": [], "startedAt": state.server.now(), "duration": 1 });
    Ok(Reply::ok(&json!({ "previewId": state.server.id(), "logs": [log], "isAborted": false })))
}

/// `GET /api/detection_engine/tags`
pub(super) fn tags(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let rules = &state.space(&call.space)?.rules;
    let all: BTreeSet<&str> = rules
        .iter()
        .filter_map(|r| r.body.get("tags")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Ok(Reply::ok(&json!(all)))
}

/// `POST /api/alerting/rule/{id}/_update_api_key` (contract 4.2)
pub(super) fn renew_key(state: &mut State, call: &Call<'_>, id: &str) -> Result<Reply, Refusal> {
    let Some(mut rule) = state.space(&call.space)?.rules.by_id(id).cloned() else {
        return Err(Refusal::platform(404, format!("Saved object [alert/{id}] not found")));
    };
    rule.key = Some(key(&call.user));
    rule.touch(state.server.now(), &call.user);
    state.space(&call.space)?.rules.put(rule);
    Ok(Reply::empty())
}

/// `GET …/rules/prepackaged/_status` and `PUT …/rules/prepackaged` (contract 2)
pub(super) fn prepackaged(state: &mut State, call: &Call<'_>, install: bool) -> Result<Reply, Refusal> {
    let rules = &state.space(&call.space)?.rules;
    let installed = rules.iter().filter(|r| r.immutable()).count();
    let custom = rules.len() - installed;
    let missing: Vec<String> = state
        .assets
        .keys()
        .filter(|id| state.spaces.get(&call.space).is_some_and(|s| s.rules.by_rule_id(id).is_none()))
        .cloned()
        .collect();
    if install {
        for id in &missing {
            let given = state.assets.get(id).cloned().unwrap_or_default();
            add(state, Writer::of(call), &given, Source::External)?;
        }
        return Ok(Reply::ok(&json!({ "rules_installed": missing.len(), "rules_updated": 0,
            "timelines_installed": 0, "timelines_updated": 0 })));
    }
    Ok(Reply::ok(&json!({ "rules_custom_installed": custom, "rules_installed": installed,
        "rules_not_installed": missing.len(), "rules_not_updated": 0, "timelines_installed": 0,
        "timelines_not_installed": 0, "timelines_not_updated": 0 })))
}
