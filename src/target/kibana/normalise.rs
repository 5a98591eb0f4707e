//! One form for a rule as a pack has it and as Kibana shows it, so that what means the same compares
//! equal: Kibana's defaults filled in, what it makes itself left out, order ignored where it has none.

use crate::emit::sorted;
use serde_json::{Map, Value, json};

/// Properties that Kibana makes, or that have no effect; neither written nor compared. `enabled`,
/// `version` and `meta` are handled on their own.
const SERVER: &[&str] = &[
    "id",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "revision",
    "immutable",
    "rule_source",
    "execution_summary",
    "output_index",
    "namespace",
    "throttle",
    "outcome",
    "alias_target_id",
    "alias_purpose",
];

/// Lists that are empty where nothing is said.
const LISTS: &[&str] = &[
    "tags",
    "author",
    "references",
    "false_positives",
    "threat",
    "risk_score_mapping",
    "severity_mapping",
    "related_integrations",
    "required_fields",
    "exceptions_list",
    "actions",
];

/// Properties of the Detection Engine that are known here; others of a live rule are not compared.
const KNOWN: &[&str] = &[
    "name",
    "description",
    "risk_score",
    "severity",
    "type",
    "rule_id",
    "tags",
    "author",
    "license",
    "interval",
    "from",
    "to",
    "risk_score_mapping",
    "severity_mapping",
    "rule_name_override",
    "timestamp_override",
    "timestamp_override_fallback_disabled",
    "timeline_id",
    "timeline_title",
    "note",
    "setup",
    "building_block_type",
    "investigation_fields",
    "false_positives",
    "references",
    "max_signals",
    "threat",
    "related_integrations",
    "required_fields",
    "exceptions_list",
    "actions",
    "response_actions",
    "query",
    "language",
    "index",
    "data_view_id",
    "filters",
    "saved_id",
    "alert_suppression",
    "timestamp_field",
    "event_category_override",
    "tiebreaker_field",
    "threshold",
    "threat_query",
    "threat_index",
    "threat_mapping",
    "threat_filters",
    "threat_indicator_path",
    "threat_language",
    "concurrent_searches",
    "items_per_search",
    "anomaly_threshold",
    "machine_learning_job_id",
    "new_terms_fields",
    "history_window_start",
];

/// Tags that serverless adds by itself.
const SERVER_TAGS: &[&str] = &["Missing Universal Api Key", "Missing Elastic Cloud API Key"];

/// Whether a tag is Kibana's own.
pub(super) fn is_server_tag(tag: &str) -> bool {
    SERVER_TAGS.iter().any(|t| t.eq_ignore_ascii_case(tag))
}

/// A rule without what Kibana makes, as it may be written back.
pub fn without_server_fields(rule: &Map<String, Value>) -> Map<String, Value> {
    rule.iter()
        .filter(|(k, v)| !SERVER.contains(&k.as_str()) && !v.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// The properties that are compared, in the one form, keys sorted.
pub fn normal(rule: &Map<String, Value>) -> Map<String, Value> {
    let kind = rule.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut out: Map<String, Value> = rule
        .iter()
        .filter(|(k, v)| KNOWN.contains(&k.as_str()) && !v.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    defaults(&mut out, kind);
    by_type(&mut out, kind);
    if let Some(Value::Array(fields)) = out.get("investigation_fields") {
        let fields = fields.clone();
        out.insert("investigation_fields".to_owned(), json!({ "field_names": fields }));
    }
    for field in entries(&mut out, "required_fields") {
        field.remove("ecs");
    }
    for list in entries(&mut out, "exceptions_list") {
        list.remove("id");
    }
    let throttle = rule.get("throttle").and_then(Value::as_str).map(str::to_owned);
    for action in entries(&mut out, "actions") {
        normal_action(action, throttle.as_deref());
    }
    for threat in entries(&mut out, "threat") {
        for technique in entries(threat, "technique") {
            drop_empty(technique, "subtechnique");
        }
        drop_empty(threat, "technique");
    }
    for key in ["filters", "threat_filters"] {
        drop_empty(&mut out, key);
    }
    if let Some(tags) = out.get_mut("tags").and_then(Value::as_array_mut) {
        tags.retain(|t| !t.as_str().is_some_and(is_server_tag));
    }
    let Value::Object(mut out) = sorted(whole(Value::Object(out))) else { return Map::new() };
    for key in ["tags", "exceptions_list", "actions"] {
        if let Some(list) = out.get_mut(key).and_then(Value::as_array_mut) {
            list.sort_by_cached_key(Value::to_string);
            list.dedup();
        }
    }
    out
}

fn defaults(out: &mut Map<String, Value>, kind: &str) {
    let mut default = |key: &str, value: Value| {
        out.entry(key).or_insert(value);
    };
    default("interval", json!("5m"));
    default("from", json!("now-6m"));
    default("to", json!("now"));
    default("max_signals", json!(100));
    default("setup", json!(""));
    LISTS.iter().for_each(|key| default(key, json!([])));
    if matches!(kind, "query" | "saved_query" | "threshold" | "threat_match" | "new_terms") {
        default("language", json!("kuery"));
    }
    if kind == "query" {
        default("query", json!(""));
    }
    if kind == "threat_match" {
        default("threat_indicator_path", json!("threat.indicator"));
    }
}

fn by_type(out: &mut Map<String, Value>, kind: &str) {
    let listed = |value: Option<&mut Value>| {
        if let Some(value) = value
            && let Value::String(text) = value
        {
            *value = if text.is_empty() { json!([]) } else { json!([text]) };
        }
    };
    if kind == "threshold" {
        if let Some(threshold) = out.get_mut("threshold").and_then(Value::as_object_mut) {
            listed(threshold.get_mut("field"));
            drop_empty(threshold, "cardinality");
        }
        if let Some(suppression) = out.get_mut("alert_suppression").and_then(Value::as_object_mut) {
            suppression.retain(|k, _| k == "duration");
        }
    }
    if kind == "machine_learning" {
        listed(out.get_mut("machine_learning_job_id"));
    }
}

/// An action without what Kibana makes of it, its frequency filled in as Kibana does.
pub(super) fn normal_action(action: &mut Map<String, Value>, throttle: Option<&str>) {
    action.remove("uuid");
    if let Some(query) = action.get_mut("alerts_filter").and_then(|f| f.get_mut("query"))
        && let Some(query) = query.as_object_mut()
    {
        query.remove("dsl");
    }
    // system actions have neither, and say so by their missing group in the live rule
    let is_system =
        matches!(action.get("action_type_id").and_then(Value::as_str), Some(".cases" | ".workflows"));
    if is_system {
        action.remove("group");
        action.remove("frequency");
        return;
    }
    action.entry("group").or_insert_with(|| json!("default"));
    let usual = match throttle {
        None | Some("no_actions" | "rule") => {
            json!({ "summary": true, "notifyWhen": "onActiveAlert", "throttle": null })
        }
        Some(every) => json!({ "summary": true, "notifyWhen": "onThrottleInterval", "throttle": every }),
    };
    let frequency = action.entry("frequency").or_insert(usual);
    if let Some(frequency) = frequency.as_object_mut() {
        frequency.entry("throttle").or_insert(Value::Null);
    }
}

/// The objects of a list.
fn entries<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn drop_empty(map: &mut Map<String, Value>, key: &str) {
    if map.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty) {
        map.remove(key);
    }
}

/// Whole numbers written as such: `73.0` is 73.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of exact floats")]
            Some(f) if !n.is_i64() && !n.is_u64() && f.fract() == 0.0 && f.abs() < 9e15 => json!(f as i64),
            _ => Value::Number(n),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(whole).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, whole(v))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(here: Value, there: Value) {
        let (a, b) = (here.as_object().unwrap(), there.as_object().unwrap());
        assert_eq!(normal(a), normal(b));
    }

    fn differ(here: Value, there: Value) {
        let (a, b) = (here.as_object().unwrap(), there.as_object().unwrap());
        assert_ne!(normal(a), normal(b));
    }

    #[test]
    fn what_kibana_fills_in_is_no_difference() {
        same(
            json!({"type": "query", "risk_score": 73.0, "tags": ["b", "a"]}),
            json!({"type": "query", "risk_score": 73, "tags": ["a", "b", "Missing Universal API Key"], "query": "",
                   "language": "kuery", "interval": "5m", "from": "now-6m", "to": "now", "max_signals": 100,
                   "setup": "", "author": [], "threat": [], "id": "x", "revision": 3, "output_index": "",
                   "rule_source": {"type": "internal"}, "meta": {"from": "1m"}, "enabled": true, "version": 4}),
        );
        same(
            json!({"type": "threshold", "threshold": {"field": "a", "value": 1}, "filters": []}),
            json!({"type": "threshold", "threshold": {"field": ["a"], "value": 1, "cardinality": []}}),
        );
        same(
            json!({"type": "eql", "actions": [{"id": "1", "action_type_id": ".slack", "params": {}}]}),
            json!({"type": "eql", "actions": [{"id": "1", "action_type_id": ".slack", "params": {}, "uuid": "u", "group": "default",
                   "frequency": {"summary": true, "notifyWhen": "onActiveAlert", "throttle": null}}]}),
        );
        same(
            json!({"type": "machine_learning", "machine_learning_job_id": "j"}),
            json!({"type": "machine_learning", "machine_learning_job_id": ["j"], "anything_new": 1}),
        );
    }

    #[test]
    fn what_the_pack_means_is_a_difference() {
        let rule = |key: &str, value: Value| json!({"type": "query", key: value});
        for (key, a, b) in [
            ("query", json!("a"), json!("a ")),
            ("index", json!(["a", "b"]), json!(["b", "a"])),
            ("index", json!([]), Value::Null),
            ("note", json!(""), Value::Null),
            ("max_signals", json!(99), json!(100)),
        ] {
            differ(rule(key, a), rule(key, b));
        }
    }
}
