//! `_import` and `_export` of rules (contract 2.3, 2.4): JSON lines of rules, exceptions and connectors.

use super::call::{Call, whole_numbers};
use super::exceptions;
use super::http::Reply;
use super::merge::READ_ONLY;
use super::refusal::Refusal;
use super::rules;
use super::state::{Object, Rule, Source, State};
use super::validate::{self, Form};
use crate::schema::Version;
use memchr::memmem;
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

/// Objects of one import or export.
const MAX_OBJECTS: usize = 10_000;

/// The errors of one kind of object in a reply that is HTTP 200 all the same.
#[derive(Default)]
struct Errors(Vec<Value>);

impl Errors {
    fn add(&mut self, key: &str, id: &str, status: u16, message: impl Into<String>) {
        self.0.push(json!({ key: id, "error": { "status_code": status, "message": message.into() } }));
    }

    fn refuse(&mut self, key: &str, id: &str, refusal: &Refusal) {
        self.add(key, id, refusal.status, refusal.message());
    }
}

/// `POST /api/detection_engine/rules/_import`
pub(super) fn import(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let file = ndjson(call)?;
    let text = String::from_utf8_lossy(&file);
    let (mut lists, mut items, mut connectors, mut rules) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut errors = Errors::default();
    let mut broken = 0;
    let lines = || text.lines().filter(|l| !l.trim().is_empty());
    if lines().count() > MAX_OBJECTS {
        return Err(Refusal::siem(500, format!("Can't import more than {MAX_OBJECTS} rules")));
    }
    for line in lines() {
        let mut value: Value = match serde_json::from_str(line) {
            Ok(v) => v,
            Err(e) => {
                broken += 1;
                errors.add("rule_id", "(unknown id)", 400, e.to_string());
                continue;
            }
        };
        whole_numbers(&mut value);
        let Value::Object(object) = value else {
            broken += 1;
            errors.add("rule_id", "(unknown id)", 400, "Expected object");
            continue;
        };
        let has = |key: &str| object.contains_key(key);
        if has("exported_count") || has("exported_rules_count") {
            continue;
        }
        if has("entries") || has("item_id") {
            items.push(object);
        } else if has("list_id") {
            lists.push(object);
        } else if has("attributes") {
            connectors.push(object);
        } else {
            rules.push(object);
        }
    }
    let rules_count = rules.len() + broken;

    let mut exception_errors = Errors::default();
    let mut items_made = 0;
    let overwrite = call.request.flag("overwrite_exceptions");
    for (key, all) in [("list_id", &lists), ("item_id", &items)] {
        for line in all {
            let own = line.get(key).and_then(Value::as_str).unwrap_or("");
            match exceptions::import(state, call, line, overwrite) {
                Ok(is_item) => items_made += usize::from(is_item),
                Err(refusal) => exception_errors.refuse(key, own, &refusal),
            }
        }
    }

    let overwrite = call.request.flag("overwrite");
    let rules = without_repeats(rules, overwrite, &mut errors);
    let mut connector_errors = Errors::default();
    let mut connectors_made = 0;
    let mut warnings = Vec::new();
    for line in connectors {
        let id = line.get("id").and_then(Value::as_str).unwrap_or("").to_owned();
        match super::connectors::import(state, call, &line, call.request.flag("overwrite_action_connectors"))
        {
            Ok(missing_secrets) => {
                connectors_made += 1;
                if missing_secrets {
                    warnings.push(json!({ "type": "action_required", "message":
                        "1 connector has sensitive information that require updates.",
                        "actionPath": "/app/management/insightsAndAlerting/triggersActionsConnectors" }));
                }
            }
            Err(refusal) => connector_errors.refuse("id", &id, &refusal),
        }
    }

    let reached = if call.half { rules.len() / 2 } else { rules.len() };
    let mut made = 0;
    for (i, line) in rules.into_iter().enumerate() {
        let rule_id = line.get("rule_id").and_then(Value::as_str).unwrap_or("(unknown id)").to_owned();
        if i >= reached {
            errors.add("rule_id", &rule_id, 500, "the server stopped half-way (fault)");
            continue;
        }
        match import_rule(state, call, line, overwrite, &mut errors) {
            Ok(()) => made += 1,
            Err(refusal) => errors.refuse("rule_id", &rule_id, &refusal),
        }
    }
    Ok(Reply::ok(&json!({
        "success": errors.0.is_empty(),
        "success_count": made,
        "rules_count": rules_count,
        "errors": errors.0,
        "exceptions_success": exception_errors.0.is_empty(),
        "exceptions_success_count": items_made,
        "exceptions_errors": exception_errors.0,
        "action_connectors_success": connector_errors.0.is_empty(),
        "action_connectors_success_count": connectors_made,
        "action_connectors_errors": connector_errors.0,
        "action_connectors_warnings": warnings,
    })))
}

/// Of rules with one `rule_id` the last is imported; without `overwrite` that is an error as well.
fn without_repeats(rules: Vec<Object>, overwrite: bool, errors: &mut Errors) -> Vec<Object> {
    let mut last: FxHashMap<String, usize> = FxHashMap::default();
    let mut repeated = FxHashSet::default();
    let id_of = |rule: &Object| rule.get("rule_id").and_then(Value::as_str).map(str::to_owned);
    for (i, rule) in rules.iter().enumerate() {
        if let Some(id) = id_of(rule)
            && last.insert(id.clone(), i).is_some()
            && repeated.insert(id.clone())
            && !overwrite
        {
            errors.add("rule_id", &id, 400, format!("More than one rule with rule-id: \"{id}\" found"));
        }
    }
    let kept = |(i, rule): (usize, Object)| {
        let latest = id_of(&rule).is_none_or(|id| last.get(&id) == Some(&i));
        latest.then_some(rule)
    };
    rules.into_iter().enumerate().filter_map(kept).collect()
}

fn import_rule(
    state: &mut State,
    call: &Call<'_>,
    mut line: Object,
    overwrite: bool,
    errors: &mut Errors,
) -> Result<(), Refusal> {
    line.retain(|k, _| !READ_ONLY.contains(&k.as_str()));
    let value = Value::Object(line.clone());
    validate::structure(&value, Form::Create)?;
    let Some(rule_id) = line.get("rule_id").and_then(Value::as_str).map(str::to_owned) else {
        return Err(Refusal::siem(400, "rule_id: Required"));
    };
    validate::semantics(&line, Form::Create, state.version)?;
    let prebuilt = state.assets.contains_key(&rule_id) && state.version >= Version(8, 18, 0);
    if prebuilt && !line.contains_key("version") {
        let text = format!("Prebuilt rules must specify a \"version\" to be imported. [rule_id: {rule_id}]");
        return Err(Refusal::siem(400, text));
    }
    let live = state.space(&call.space)?.rules.by_rule_id(&rule_id).cloned();
    if live.is_some() && !overwrite {
        return Err(Refusal::siem(409, format!("rule_id: \"{rule_id}\" already exists")));
    }
    missing_actions(state, call, &line)?;
    relink(state, call, &mut line, &rule_id, errors)?;
    let by = rules::Writer { importing: true, half: false, ..rules::Writer::of(call) };
    match live {
        Some(live) => {
            rules::replace(state, by, &line, live)?;
        }
        None => {
            let source = if prebuilt { Source::External } else { Source::Internal };
            rules::add(state, by, &line, source)?;
        }
    }
    Ok(())
}

fn missing_actions(state: &mut State, call: &Call<'_>, line: &Object) -> Result<(), Refusal> {
    let known = &state.space(&call.space)?.connectors;
    let ids = line.get("actions").and_then(Value::as_array).into_iter().flatten();
    let missing: Vec<&str> =
        ids.filter_map(|a| a.get("id")?.as_str()).filter(|id| !known.contains_key(*id)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("Rule actions reference the following missing action IDs: {}", missing.join(","));
    Err(Refusal::siem(404, text))
}

/// Links to lists get the ids of this space; a link to a list that is not there is dropped, with an error,
/// and the rule is imported all the same (contract 2.3).
fn relink(
    state: &mut State,
    call: &Call<'_>,
    line: &mut Object,
    rule_id: &str,
    errors: &mut Errors,
) -> Result<(), Refusal> {
    let links = line.get("exceptions_list").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut kept = Vec::new();
    for mut link in links {
        let word = |key: &str| link.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let (list_id, kind) = (word("list_id"), word("type"));
        let store = exceptions::store(state, &call.space, &word("namespace_type"))?;
        let found = store.list(&list_id).map(|l| &l.container);
        let found = found.filter(|c| c.get("type").and_then(Value::as_str) == Some(&kind));
        match (found.and_then(|c| c.get("id")), link.as_object_mut()) {
            (Some(id), Some(link)) => {
                link.insert("id".to_owned(), id.clone());
                kept.push(Value::Object(link.clone()));
            }
            _ => {
                let text = format!(
                    "Rule with rule_id: \"{rule_id}\" references a non existent exception list of \
list_id: \"{list_id}\". Reference has been removed."
                );
                errors.add("rule_id", rule_id, 400, text);
            }
        }
    }
    if line.contains_key("exceptions_list") {
        line.insert("exceptions_list".to_owned(), Value::Array(kept));
    }
    Ok(())
}

/// An uploaded file.
pub(super) struct File {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

/// The part `file` of a multipart body.
pub(super) fn file(call: &Call<'_>) -> Result<File, Refusal> {
    let kind = call.request.header("content-type").unwrap_or("");
    let boundary = kind.split(';').find_map(|p| p.trim().strip_prefix("boundary="));
    let (true, Some(boundary)) = (kind.to_ascii_lowercase().starts_with("multipart/form-data"), boundary)
    else {
        return Err(Refusal::platform(415, "Unsupported Media Type"));
    };
    let mark = format!("--{}", boundary.trim_matches('"'));
    let body = call.request.body.as_slice();
    let mut starts = memmem::find_iter(body, mark.as_bytes()).peekable();
    while let Some(start) = starts.next() {
        let end = starts.peek().copied().unwrap_or(body.len());
        let Some(section) = body.get(start + mark.len()..end) else { break };
        let Some(split) = memmem::find(section, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(section.get(..split).unwrap_or_default()).into_owned();
        if head.contains("name=\"file\"") {
            let name = head.split("filename=\"").nth(1).and_then(|n| n.split('"').next()).unwrap_or("");
            let content = section.get(split + 4..).unwrap_or_default();
            let content = content.strip_suffix(b"\r\n").unwrap_or(content).to_vec();
            return Ok(File { name: name.to_owned(), content });
        }
    }
    Err(Refusal::request("body", "file: Required"))
}

/// An uploaded file of JSON lines, by its name.
pub(super) fn ndjson(call: &Call<'_>) -> Result<Vec<u8>, Refusal> {
    let file = file(call)?;
    if file.name.ends_with(".ndjson") {
        return Ok(file.content);
    }
    let extension = file.name.rsplit_once('.').map_or("", |(_, e)| e);
    Err(Refusal::siem(400, format!("Invalid file extension .{extension}")))
}

/// `POST /api/detection_engine/rules/_export`
pub(super) fn export(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let wanted = if call.request.body.is_empty() { Value::Null } else { call.json()? };
    let exportable = |r: &Rule, version: Version| !r.immutable() || version >= Version(8, 18, 0);
    let version = state.version;
    let rules = &state.space(&call.space)?.rules;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    match wanted.get("objects").and_then(Value::as_array) {
        None => found.extend(rules.iter().filter(|r| exportable(r, version)).cloned()),
        Some(objects) => {
            for object in objects {
                let Some(id) = object.get("rule_id").and_then(Value::as_str) else {
                    return Err(Refusal::request("body", "objects.0.rule_id: Required"));
                };
                match rules.by_rule_id(id).filter(|r| exportable(r, version)) {
                    Some(rule) => found.push(rule.clone()),
                    None => missing.push(id.to_owned()),
                }
            }
        }
    }
    if found.len() > MAX_OBJECTS {
        return Err(Refusal::siem(400, format!("Can't export more than {MAX_OBJECTS} rules")));
    }
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    Ok(lines(state, &call.space, &found, &missing))
}

/// Rules, then their lists with items, their connectors, and the counts.
pub(super) fn lines(state: &mut State, space: &str, rules: &[Rule], missing: &[&str]) -> Reply {
    let mut out: Vec<Value> = rules.iter().map(|r| rules::shown(state, r)).collect();
    let (mut lists, mut items, mut connectors) = (0, 0, 0);
    let mut seen = FxHashSet::default();
    let part =
        |rule: &Rule, key: &str| rule.body.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    for link in rules.iter().flat_map(|r| part(r, "exceptions_list")) {
        let (list_id, namespace) = (word(&link, "list_id"), word(&link, "namespace_type"));
        let Ok(store) = exceptions::store(state, space, &namespace) else { continue };
        if let Some(list) = store.list(&list_id)
            && seen.insert((list_id, namespace))
        {
            lists += 1;
            items += list.items.len();
            out.push(Value::Object(list.container.clone()));
            out.extend(list.items.values().cloned().map(Value::Object));
        }
    }
    for action in rules.iter().flat_map(|r| part(r, "actions")) {
        let id = word(&action, "id");
        let Some(connector) = state.spaces.get(space).and_then(|s| s.connectors.get(&id)) else { continue };
        if seen.insert((id, "connector".to_owned())) {
            connectors += 1;
            out.push(super::connectors::exported(connector));
        }
    }
    let missing: Vec<Value> = missing.iter().map(|id| json!({ "rule_id": id })).collect();
    out.push(json!({
        "exported_count": rules.len() + lists + items + connectors,
        "exported_rules_count": rules.len(),
        "missing_rules": missing,
        "missing_rules_count": missing.len(),
        "exported_exception_list_count": lists,
        "exported_exception_list_item_count": items,
        "missing_exception_lists": [],
        "missing_exception_lists_count": 0,
        "missing_exception_list_items": [],
        "missing_exception_list_items_count": 0,
        "exported_action_connector_count": connectors,
        "missing_action_connectors": [],
        "missing_action_connection_count": 0,
        "excluded_action_connectors": [],
        "excluded_action_connection_count": 0,
    }));
    let text: String = out.iter().flat_map(|v| [v.to_string(), "\n".to_owned()]).collect();
    Reply::lines(text.into_bytes())
}
