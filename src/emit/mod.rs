//! From a rule to the JSON of Kibana's Detection Engine. Pure: the command line writes the files.

mod buttons;
mod files;
mod integrations;
pub mod opensearch;
mod setup;
mod stack;
mod whitespace;

pub use buttons::restore as restore_buttons;
pub use files::{Check, Generated, Stale, check, generate, generate_adjusted};
pub use stack::for_stack;

use crate::diag::{Code, Diagnostic};
use crate::lang::rule::{Rule, RuleType, Structure};
use crate::pack::{CompiledRule, Config};
use crate::schema::{Origin, Schema, ecs, ecs_of_stack};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static STRUCTURE: LazyLock<Structure> =
    LazyLock::new(|| Structure::new(include_str!("../../schemas/detection-rule.schema.json")));

/// A rule as Kibana takes it.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// The rule, keys sorted on every level.
    pub json: Value,
    /// What Kibana would refuse, at the place in the rule file where it comes from.
    pub diagnostics: Vec<Diagnostic>,
    /// How many placeholders of the note have no entry in `[transform]` and stay as they are.
    pub placeholders: usize,
}

/// The Detection Engine JSON of a rule. Nothing is defaulted: what the file leaves out stays out, and
/// Kibana's own default holds.
pub fn detection_rule(compiled: &CompiledRule, config: &Config) -> Emitted {
    let rule = compiled.rule.as_ref();
    let mut out = rule.json().as_object().cloned().unwrap_or_default();
    let on_one_line = |pointer: &str| {
        let node = rule.document().node(&format!("/rule{pointer}"));
        node.is_some_and(|n| !whitespace::is_wrapped(n.value.slice(rule.source.text())))
    };
    whitespace::normalise(&mut out, &on_one_line);
    threats(&mut out);
    actions(&mut out);
    new_terms(rule, &mut out);
    for file_only in ["threat_mappings", "revision"] {
        out.remove(file_only);
    }
    if !out.contains_key("related_integrations") {
        let rows = integrations::related(compiled, config);
        if !rows.is_empty() {
            out.insert("related_integrations".to_owned(), Value::Array(rows));
        }
    }
    if !out.contains_key("required_fields") {
        let fields = required_fields(compiled, config);
        if !fields.is_empty() {
            out.insert("required_fields".to_owned(), Value::Array(fields));
        }
    }
    if let Some(locked) = config.lock.as_ref().and_then(|l| l.rules.get(rule.rule_id())) {
        out.insert("version".to_owned(), locked.version.into());
    }
    let mut placeholders = 0;
    if let Some(note) = rule.note() {
        let (note, left) = buttons::substitute(note, rule.transform());
        placeholders = left;
        out.insert("note".to_owned(), note.into());
    }
    if !out.contains_key("setup")
        && let Some((note, setup)) = out.get("note").and_then(Value::as_str).and_then(setup::split)
    {
        out.insert("note".to_owned(), note.into());
        out.insert("setup".to_owned(), setup.into());
    }
    let json = sorted(Value::Object(out));
    let diagnostics = refused(rule, &json);
    Emitted { json, diagnostics, placeholders }
}

/// Every tactic has a list of techniques, if only an empty one.
fn threats(out: &mut Map<String, Value>) {
    for threat in out.get_mut("threat").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(threat) = threat.as_object_mut() {
            threat.entry("technique").or_insert_with(|| json!([]));
        }
    }
}

/// Kibana wants to be told that an action is not throttled, except of the types that never are.
fn actions(out: &mut Map<String, Value>) {
    for action in out.get_mut("actions").and_then(Value::as_array_mut).into_iter().flatten() {
        let kind = action.get("action_type_id").and_then(Value::as_str);
        if matches!(kind, Some(".cases" | ".workflows")) {
            continue;
        }
        if let Some(frequency) = action.get_mut("frequency").and_then(Value::as_object_mut) {
            frequency.entry("throttle").or_insert(Value::Null);
        }
    }
}

/// The nested form of the file becomes the two properties of Kibana.
fn new_terms(rule: &Rule, out: &mut Map<String, Value>) {
    if rule.kind != RuleType::NewTerms || out.remove("new_terms").is_none() {
        return;
    }
    out.insert("new_terms_fields".to_owned(), json!(rule.new_terms_fields()));
    if let Some(start) = rule.history_window_start() {
        out.insert("history_window_start".to_owned(), start.into());
    }
}

/// The fields of the query, sorted, with the type that ECS gives them, or else the type family of the
/// dataset's catalogue. Of an ES|QL query it is the fields that it reads, not the columns that it makes.
fn required_fields(compiled: &CompiledRule, config: &Config) -> Vec<Value> {
    let catalogue = Schema::new(vec![ecs().layer(ecs_of_stack(config.newest_stack()))]);
    let schema = compiled.schema(config);
    // a field that the language implies has no place in the query
    let written = compiled.fields.iter().filter(|f| f.span.end > f.span.start);
    let mut names: Vec<&str> = written.map(|f| f.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| match (catalogue.get(name), schema.get(name)) {
            (Some(field), _) => json!({"ecs": true, "name": name, "type": field.kind().name()}),
            (None, Some(field)) if field.origin != Origin::Ecs => {
                json!({"ecs": false, "name": name, "type": integrations::family(field.kind())})
            }
            _ => json!({"ecs": false, "name": name, "type": "unknown"}),
        })
        .collect()
}

/// What of the generated rule does not fit Kibana's schema. Structural errors of the file have been
/// said at the file already, so a broken rule has none here.
fn refused(rule: &Rule, json: &Value) -> Vec<Diagnostic> {
    if rule.broken {
        return Vec::new();
    }
    let kept = rule.kept();
    let finding = |v: crate::lang::rule::Violation| {
        let pointer = match v.pointer.as_str() {
            "/history_window_start" => rule.history_pointer().to_owned(),
            p if p.starts_with("/new_terms_fields") => {
                p.replacen("/new_terms_fields", rule.new_terms_pointer(), 1)
            }
            p => format!("/rule{p}"),
        };
        if kept.iter().any(|k| *k == pointer) {
            return None;
        }
        let mut d = Diagnostic::new(Code::RP0710, format!("Kibana would refuse this rule: {}", v.message))
            .at(rule.value_span(&pointer), v.label)
            .note(format!(
                "at `{}` of the generated rule",
                if v.pointer.is_empty() { "/" } else { &v.pointer }
            ));
        if let Some(note) = v.note {
            d = d.note(note);
        }
        Some(d.in_source(&rule.source))
    };
    STRUCTURE.violations(json).into_iter().filter_map(finding).collect()
}

/// The value with the keys of every object sorted.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
