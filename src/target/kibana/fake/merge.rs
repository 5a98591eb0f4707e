//! What becomes of a written rule: the server's defaults (contract 3.1 to 3.3), and what PUT and PATCH
//! keep of the rule they meet (contract 4.1).

use super::refusal::Refusal;
use super::state::{Object, Rule, Server, State};
use super::validate::{self, Form};
use crate::schema::{Version, ecs, ecs_of_stack};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Common properties with what an absent one becomes; `null` stays absent (contract 3.1).
const COMMON: &[(&str, &str)] = &[
    ("name", "null"),
    ("tags", "[]"),
    ("interval", "\"5m\""),
    ("enabled", "null"),
    ("description", "null"),
    ("risk_score", "null"),
    ("severity", "null"),
    ("license", "null"),
    ("output_index", "\"\""),
    ("meta", "null"),
    ("rule_name_override", "null"),
    ("timestamp_override", "null"),
    ("timestamp_override_fallback_disabled", "null"),
    ("timeline_id", "null"),
    ("timeline_title", "null"),
    ("note", "null"),
    ("namespace", "null"),
    ("investigation_fields", "null"),
    ("building_block_type", "null"),
    ("author", "[]"),
    ("false_positives", "[]"),
    ("from", "\"now-6m\""),
    ("rule_id", "null"),
    ("max_signals", "100"),
    ("risk_score_mapping", "[]"),
    ("severity_mapping", "[]"),
    ("threat", "[]"),
    ("to", "\"now\""),
    ("references", "[]"),
    ("version", "null"),
    ("exceptions_list", "[]"),
    ("related_integrations", "[]"),
    ("required_fields", "[]"),
    ("setup", "\"\""),
    ("actions", "[]"),
    ("response_actions", "null"),
    ("type", "null"),
];

/// Accepted, and of no use (contract 3.1); `throttle` ends in the actions.
const DROPPED: &[&str] = &["id", "throttle", "outcome", "alias_target_id", "alias_purpose"];

/// Response fields, which an imported line may have (contract 2.3).
pub(super) const READ_ONLY: &[&str] = &[
    "id",
    "immutable",
    "rule_source",
    "revision",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "execution_summary",
];

/// What a written rule refers to.
pub(super) struct Around<'a> {
    pub(super) connectors: &'a BTreeMap<String, Value>,
    pub(super) server: &'a mut Server,
    pub(super) version: Version,
    /// Whether connectors without secrets are refused.
    pub(super) needs_secrets: bool,
}

/// The rule that POST or PUT makes of a body. PUT keeps `rule_id`, and `version` and `enabled` where the
/// body has none; everything else that is omitted goes back to its default (contract 4.1).
pub(super) fn replaced(
    given: &Object,
    live: Option<&Object>,
    around: &mut Around<'_>,
) -> Result<Object, Refusal> {
    let mut out = Object::new();
    for (key, default) in COMMON {
        let kept = matches!(*key, "rule_id" | "version" | "enabled");
        let value = match given.get(*key) {
            Some(v) => v.clone(),
            None => match live.filter(|_| kept).and_then(|l| l.get(*key)) {
                Some(v) => v.clone(),
                None => match *key {
                    "rule_id" => around.server.id().into(),
                    "version" => 1.into(),
                    "enabled" => false.into(),
                    _ => serde_json::from_str(default).unwrap_or_default(),
                },
            },
        };
        if !value.is_null() {
            out.insert((*key).to_owned(), value);
        }
    }
    for (key, value) in given {
        if !out.contains_key(key) && !DROPPED.contains(&key.as_str()) {
            out.insert(key.clone(), value.clone());
        }
    }
    let acted = actions(given.get("actions"), given.get("throttle"), around)?;
    out.insert("actions".to_owned(), Value::Array(acted));
    normalise(&mut out, around.version);
    Ok(out)
}

/// The rule that PATCH makes: what is given replaces, arrays whole; what is not is kept, so nothing can
/// be cleared (contract 0.4, 4.1).
pub(super) fn patched(given: &Object, live: &Object, around: &mut Around<'_>) -> Result<Object, Refusal> {
    let kind = given.get("type");
    if kind.is_some() && kind != live.get("type") {
        return Err(type_change(live, given));
    }
    let mut out = live.clone();
    for (key, value) in given {
        let common = COMMON.iter().any(|(k, _)| k == key);
        // a patch without `type` did nothing to the fields of the type, in silence (contract 0.4)
        if DROPPED.contains(&key.as_str())
            || (!common && kind.is_none() && !reads_type_of_live(around.version))
        {
            continue;
        }
        out.insert(key.clone(), value.clone());
    }
    if given.contains_key("actions") || given.contains_key("throttle") {
        let acted = actions(out.get("actions"), given.get("throttle"), around)?;
        out.insert("actions".to_owned(), Value::Array(acted));
    }
    normalise(&mut out, around.version);
    // the fields of a type are read against the type of the live rule
    validate::structure(&Value::Object(out.clone()), Form::Update)
        .map_err(|r| Refusal::siem(400, r.message()))?;
    Ok(out)
}

fn reads_type_of_live(version: Version) -> bool {
    version >= Version(9, 6, 0) || (version >= Version(9, 4, 6) && version < Version(9, 5, 0))
}

/// The type of a rule does not change in place (contract 0.8; the text is the fake's own).
pub(super) fn type_change(live: &Object, given: &Object) -> Refusal {
    let word = |o: &Object| o.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    Refusal::siem(400, format!("a rule of type \"{}\" cannot become \"{}\"", word(live), word(given)))
}

/// Defaults and forms of the rule's type (contract 3.2), and the ECS mark of required fields.
fn normalise(rule: &mut Object, version: Version) {
    let kind = rule.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    let mut default = |key: &str, value: &str| {
        rule.entry(key).or_insert_with(|| value.into());
    };
    if matches!(kind.as_str(), "query" | "saved_query" | "threshold" | "threat_match" | "new_terms") {
        default("language", "kuery");
    }
    match kind.as_str() {
        "query" => default("query", ""),
        "threat_match" => default("threat_indicator_path", "threat.indicator"),
        _ => {}
    }
    if let Some(field) = rule.get_mut("threshold").and_then(|t| t.get_mut("field")) {
        listed(field);
    }
    if let Some(job) = rule.get_mut("machine_learning_job_id") {
        listed(job);
    }
    if kind == "threshold"
        && let Some(suppression) = rule.get_mut("alert_suppression").and_then(Value::as_object_mut)
    {
        suppression.retain(|k, _| k == "duration");
    }
    for field in rule.get_mut("required_fields").and_then(Value::as_array_mut).into_iter().flatten() {
        let text = |key| field.get(key).and_then(Value::as_str).unwrap_or_default();
        let known = ecs().fields().get(text("name"), Some(ecs_of_stack(version)));
        let is_ecs = known.is_some_and(|f| f.kind().name() == text("type"));
        if let Some(field) = field.as_object_mut() {
            field.insert("ecs".to_owned(), is_ecs.into());
        }
    }
}

/// A single text becomes a list; an empty one, an empty list (contract 3.2).
fn listed(value: &mut Value) {
    if let Value::String(one) = value {
        *value = if one.is_empty() { json!([]) } else { json!([one]) };
    }
}

/// The actions as the server keeps them (contract 3.3): `frequency` and `uuid` filled, system actions
/// last and without group or frequency, the connectors looked up.
pub(super) fn actions(
    given: Option<&Value>,
    throttle: Option<&Value>,
    around: &mut Around<'_>,
) -> Result<Vec<Value>, Refusal> {
    let (mut ordinary, mut system) = (Vec::new(), Vec::new());
    let mut incomplete = Vec::new();
    for action in given.and_then(Value::as_array).into_iter().flatten() {
        let mut action = action.as_object().cloned().unwrap_or_default();
        let id = action.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(connector) = around.connectors.get(&id) else {
            return Err(Refusal::siem(404, format!("Saved object [action/{id}] not found")));
        };
        let is = |key: &str| connector.get(key) == Some(&Value::Bool(true));
        if is("is_missing_secrets") {
            incomplete.push(connector.get("name").and_then(Value::as_str).unwrap_or(&id).to_owned());
        }
        if let Some(kind) = connector.get("connector_type_id") {
            action.insert("action_type_id".to_owned(), kind.clone());
        }
        if !action.contains_key("uuid") {
            action.insert("uuid".to_owned(), around.server.id().into());
        }
        // what the server makes of the query, and shows (contract 3.3, 13)
        if let Some(query) =
            action.get_mut("alerts_filter").and_then(|f| f.get_mut("query")).and_then(Value::as_object_mut)
        {
            query.insert("dsl".to_owned(), "{\"bool\":{\"filter\":[]}}".into());
        }
        if is("is_system_action") {
            action.retain(|k, _| !matches!(k.as_str(), "group" | "frequency"));
            system.push(Value::Object(action));
        } else {
            action.entry("group").or_insert_with(|| "default".into());
            action.entry("frequency").or_insert_with(|| frequency(throttle));
            ordinary.push(Value::Object(action));
        }
    }
    if around.needs_secrets && !incomplete.is_empty() {
        return Err(Refusal::siem(400, format!("Invalid connectors: {}", incomplete.join(", "))));
    }
    ordinary.extend(system);
    Ok(ordinary)
}

/// How often an action runs that does not say so itself: by the rule's old `throttle`.
fn frequency(throttle: Option<&Value>) -> Value {
    match throttle.and_then(Value::as_str) {
        None | Some("rule" | "no_actions") => {
            json!({ "summary": true, "notifyWhen": "onActiveAlert", "throttle": null })
        }
        Some(every) => json!({ "summary": true, "notifyWhen": "onThrottleInterval", "throttle": every }),
    }
}

/// Whether a write counts as a new revision: anything but `enabled` differs (contract 4.1).
pub(super) fn is_revised(before: &Object, after: &Object) -> bool {
    let settled = |o: &Object| {
        let mut o = o.clone();
        o.remove("enabled");
        o
    };
    settled(before) != settled(after)
}

/// What a seeded rule is on the server: defaults filled in where a response must have them, and nothing
/// checked, so that rules of types and forms from elsewhere can be there too.
pub(super) fn seeded(given: &Object, server: &mut Server, version: Version) -> Object {
    let mut out = Object::new();
    for (key, default) in COMMON {
        let value = given.get(*key).cloned().unwrap_or_else(|| match *key {
            "rule_id" => server.id().into(),
            "version" => 1.into(),
            "enabled" => false.into(),
            "type" => "query".into(),
            "severity" => "low".into(),
            "risk_score" => 21.into(),
            "name" | "description" => "seeded".into(),
            _ => serde_json::from_str(default).unwrap_or_default(),
        });
        if !value.is_null() {
            out.insert((*key).to_owned(), value);
        }
    }
    for (key, value) in given {
        if !READ_ONLY.contains(&key.as_str()) && key != "throttle" {
            out.insert(key.clone(), value.clone());
        }
    }
    normalise(&mut out, version);
    out
}

/// Puts a rule's connections in place: `rule_default` lists belong to one rule (contract 3.2).
pub(super) fn check_lists(state: &State, space: &str, body: &Object, own_id: &str) -> Result<(), Refusal> {
    let Some(space) = state.spaces.get(space) else { return Ok(()) };
    for list in super::state::default_lists(body) {
        if let Some(owner) = space.rules.owner_of_list(list)
            && owner != own_id
        {
            let text =
                format!("the default exception list \"{list}\" is already attached to the rule {owner}");
            return Err(Refusal::siem(409, text));
        }
    }
    Ok(())
}

/// A prebuilt rule keeps its `author` and `license` (contract 3.2).
pub(super) fn check_prebuilt(live: &Rule, after: &Object) -> Result<(), Refusal> {
    if !live.immutable() {
        return Ok(());
    }
    for key in ["author", "license"] {
        if live.body.get(key) != after.get(key) {
            return Err(Refusal::siem(400, format!("Cannot update \"{key}\" field for prebuilt rules")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::kibana::fake::Settings;

    fn put(given: Value, live: Option<Value>) -> Object {
        let mut state = State::new(&Settings::default(), Version(9, 5, 1));
        let connectors = BTreeMap::from([
            ("c".to_owned(), json!({ "connector_type_id": ".slack" })),
            ("s".to_owned(), json!({ "connector_type_id": ".cases", "is_system_action": true })),
        ]);
        let mut around = Around {
            connectors: &connectors,
            server: &mut state.server,
            version: Version(9, 5, 1),
            needs_secrets: true,
        };
        let given = given.as_object().unwrap();
        replaced(given, live.as_ref().and_then(Value::as_object), &mut around).unwrap()
    }

    #[test]
    fn each_type_gets_its_defaults() {
        let of = |kind: &str| put(json!({ "type": kind }), None);
        for kind in ["query", "saved_query", "threshold", "threat_match", "new_terms"] {
            assert_eq!(of(kind)["language"], "kuery", "{kind}");
        }
        for kind in ["eql", "esql", "machine_learning"] {
            assert!(!of(kind).contains_key("language"), "{kind}");
        }
        assert_eq!(of("query")["query"], "");
        assert!(!of("saved_query").contains_key("query"));
        assert_eq!(of("threat_match")["threat_indicator_path"], "threat.indicator");
        assert!(!of("threat_match").contains_key("threat_language"));
        let ml = put(json!({ "type": "machine_learning", "machine_learning_job_id": "j" }), None);
        assert_eq!(ml["machine_learning_job_id"], json!(["j"]));
        for (given, kept) in
            [(json!(""), json!([])), (json!("a"), json!(["a"])), (json!(["a"]), json!(["a"]))]
        {
            let t = put(json!({ "type": "threshold", "threshold": { "field": given, "value": 1 } }), None);
            assert_eq!(t["threshold"]["field"], kept);
        }
    }

    #[test]
    fn replacing_keeps_enabled_and_version_and_resets_the_rest() {
        let live = json!({ "type": "query", "rule_id": "r", "enabled": true, "version": 7, "note": "x", "tags": ["a"],
            "exceptions_list": [1], "meta": {} });
        let now = put(json!({ "type": "query", "name": "n" }), Some(live));
        assert_eq!(
            (&now["rule_id"], &now["enabled"], &now["version"]),
            (&json!("r"), &json!(true), &json!(7))
        );
        assert_eq!((&now["tags"], &now["exceptions_list"]), (&json!([]), &json!([])));
        assert!(!now.contains_key("note") && !now.contains_key("meta"));
    }

    #[test]
    fn actions_get_frequency_and_uuid_and_system_actions_come_last() {
        let action = |id: &str| json!({ "id": id, "action_type_id": ".x", "params": {}, "group": "default" });
        let rule =
            put(json!({ "type": "query", "throttle": "1h", "actions": [action("s"), action("c")] }), None);
        let actions = rule["actions"].as_array().unwrap();
        assert_eq!(actions[0]["action_type_id"], ".slack");
        assert_eq!(
            actions[0]["frequency"],
            json!({ "summary": true, "notifyWhen": "onThrottleInterval", "throttle": "1h" })
        );
        assert!(actions[0]["uuid"].is_string());
        assert_eq!(actions[1]["id"], "s");
        assert!(actions[1].get("group").is_none() && actions[1].get("frequency").is_none());
        assert!(!rule.contains_key("throttle"));
    }

    #[test]
    fn required_fields_are_marked_by_ecs() {
        let fields = json!([{ "name": "event.action", "type": "keyword" }, { "name": "event.action", "type": "text" },
            { "name": "own", "type": "keyword" }]);
        let rule = put(json!({ "type": "query", "required_fields": fields }), None);
        let marks: Vec<&Value> =
            rule["required_fields"].as_array().unwrap().iter().map(|f| &f["ecs"]).collect();
        assert_eq!(marks, [true, false, false]);
    }
}
