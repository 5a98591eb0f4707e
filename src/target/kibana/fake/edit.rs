//! The edits of `_bulk_action` (contract 2.2).

use super::bulk::Failure;
use super::merge::{self, Around};
use super::refusal::Refusal;
use super::state::{Object, Rule, State};
use crate::lang::rule::interval;
use serde_json::{Value, json};

/// What can be edited, with the form of its value.
const TYPES: &[(&str, Form)] = &[
    ("add_tags", Form::Texts),
    ("delete_tags", Form::Texts),
    ("set_tags", Form::Texts),
    ("add_index_patterns", Form::Texts),
    ("delete_index_patterns", Form::Texts),
    ("set_index_patterns", Form::Texts),
    ("add_investigation_fields", Form::Object),
    ("delete_investigation_fields", Form::Object),
    ("set_investigation_fields", Form::Object),
    ("set_timeline", Form::Object),
    ("add_rule_actions", Form::Object),
    ("set_rule_actions", Form::Object),
    ("set_schedule", Form::Object),
    ("set_alert_suppression", Form::Object),
    ("set_alert_suppression_for_threshold", Form::Object),
    ("delete_alert_suppression", Form::Nothing),
];

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Texts,
    Object,
    Nothing,
}

/// One edit, its form checked.
pub(super) struct Edit {
    kind: String,
    value: Value,
    /// Rules with a data view get index patterns instead.
    overwrite_data_views: bool,
}

/// Reads the list of edits.
pub(super) fn read(payload: Option<&Value>) -> Result<Vec<Edit>, Refusal> {
    let list = payload.and_then(Value::as_array).filter(|l| !l.is_empty());
    let Some(list) = list else { return Err(Refusal::request("body", "edit: Required")) };
    let mut out = Vec::new();
    for (i, edit) in list.iter().enumerate() {
        let kind = edit.get("type").and_then(Value::as_str).unwrap_or("");
        let Some((_, form)) = TYPES.iter().find(|(name, _)| *name == kind) else {
            return Err(Refusal::request("body", format!("edit.{i}.type: Invalid discriminator value")));
        };
        let value = edit.get("value").cloned().unwrap_or_default();
        let fits = match form {
            Form::Texts => value.as_array().is_some_and(|a| a.iter().all(Value::is_string)),
            Form::Object => value.is_object(),
            Form::Nothing => true,
        };
        if !fits {
            return Err(Refusal::request("body", format!("edit.{i}.value: Invalid input")));
        }
        if kind == "set_schedule" {
            for key in ["interval", "lookback"] {
                let text = value.get(key).and_then(Value::as_str).unwrap_or("");
                if interval(text).is_none_or(|n| n == 0) || text.ends_with(['d', 'w', 'H']) {
                    return Err(Refusal::request("body", format!("edit.{i}.value.{key}: Invalid")));
                }
            }
        }
        let overwrite = edit.get("overwrite_data_views") == Some(&Value::Bool(true));
        out.push(Edit { kind: kind.to_owned(), value, overwrite_data_views: overwrite });
    }
    Ok(out)
}

impl Edit {
    /// Changes a rule.
    pub(super) fn apply(&self, state: &mut State, space: &str, rule: &mut Rule) -> Result<(), Failure> {
        let kind = rule.text("type").to_owned();
        let (verb, what) = self.kind.split_once('_').unwrap_or((&self.kind, ""));
        match what {
            "tags" => merge_texts(&mut rule.body, "tags", verb, &self.value),
            "index_patterns" => {
                match kind.as_str() {
                    "machine_learning" => {
                        let text = "Machine learning rules doesn't have index patterns.";
                        return Err(Failure::coded("MACHINE_LEARNING_INDEX_PATTERN", text));
                    }
                    "esql" => {
                        let text = "ES|QL rules don't have index patterns";
                        return Err(Failure::coded("ESQL_INDEX_PATTERN", text));
                    }
                    _ => {}
                }
                if rule.body.contains_key("data_view_id") {
                    if !self.overwrite_data_views {
                        return Ok(());
                    }
                    rule.body.remove("data_view_id");
                }
                merge_texts(&mut rule.body, "index", verb, &self.value);
            }
            "investigation_fields" => {
                let mut held = rule
                    .body
                    .get("investigation_fields")
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default();
                let names = self.value.get("field_names").cloned().unwrap_or_else(|| json!([]));
                merge_texts(&mut held, "field_names", verb, &names);
                if held.get("field_names").and_then(Value::as_array).is_none_or(Vec::is_empty) {
                    rule.body.remove("investigation_fields");
                } else {
                    rule.body.insert("investigation_fields".to_owned(), Value::Object(held));
                }
            }
            "timeline" => {
                for key in ["timeline_id", "timeline_title"] {
                    set(&mut rule.body, key, self.value.get(key).filter(|v| v.as_str() != Some("")));
                }
            }
            "schedule" => {
                let text = |key: &str| self.value.get(key).and_then(Value::as_str).unwrap_or("");
                let (every, back) = (text("interval"), text("lookback"));
                let seconds = (interval(every).unwrap_or(0) + interval(back).unwrap_or(0)) / 1_000_000_000;
                rule.body.insert("interval".to_owned(), every.into());
                rule.body.insert("from".to_owned(), format!("now-{seconds}s").into());
                rule.body.insert("to".to_owned(), "now".into());
            }
            "rule_actions" => {
                let Some(space) = state.spaces.get(space) else { return Ok(()) };
                let mut around = Around {
                    connectors: &space.connectors,
                    server: &mut state.server,
                    version: state.version,
                    needs_secrets: true,
                };
                let mut all =
                    merge::actions(self.value.get("actions"), self.value.get("throttle"), &mut around)?;
                if verb == "add" {
                    let mut held =
                        rule.body.get("actions").and_then(Value::as_array).cloned().unwrap_or_default();
                    held.append(&mut all);
                    all = held;
                }
                rule.body.insert("actions".to_owned(), Value::Array(all));
            }
            "alert_suppression" if verb == "delete" => {
                rule.body.remove("alert_suppression");
            }
            "alert_suppression" => {
                if kind == "threshold" {
                    let text = "Threshold rule doesn't support this action";
                    return Err(Failure::coded("THRESHOLD_RULE_TYPE_IN_SUPPRESSION", text));
                }
                set(&mut rule.body, "alert_suppression", Some(&self.value));
            }
            _ => {
                if kind != "threshold" {
                    let text = "only threshold rules support this action";
                    return Err(Failure::coded("UNSUPPORTED_RULE_IN_SUPPRESSION_FOR_THRESHOLD", text));
                }
                set(&mut rule.body, "alert_suppression", Some(&self.value));
            }
        }
        Ok(())
    }
}

fn set(body: &mut Object, key: &str, value: Option<&Value>) {
    match value {
        Some(v) => body.insert(key.to_owned(), v.clone()),
        None => body.remove(key),
    };
}

/// Adds to, takes from, or replaces a list of texts; nothing is in it twice.
fn merge_texts(body: &mut Object, key: &str, verb: &str, given: &Value) {
    let given = given.as_array().map_or(&[][..], Vec::as_slice);
    let held = body.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out: Vec<Value> = Vec::new();
    let candidates: Vec<&Value> = match verb {
        "add" => held.iter().chain(given).collect(),
        "delete" => held.iter().filter(|v| !given.contains(v)).collect(),
        _ => given.iter().collect(),
    };
    for value in candidates {
        if !out.contains(value) {
            out.push(value.clone());
        }
    }
    body.insert(key.to_owned(), Value::Array(out));
}
