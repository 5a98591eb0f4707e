//! What a pack wants in a Kibana: its rules as this target has them, connectors and exception lists
//! looked up in the space.

use super::client::Kibana;
use super::exceptions::{Key, key};
use super::overlay::{NamedAction, overlay};
use super::ownership::{Live, tag};
use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::emit::detection_rule;
use crate::pack::{CompiledRule, Config, Target};
use crate::target::http::Failure;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A rule as it is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The name of the rule in the pack.
    pub name: String,
    /// The rule id.
    pub rule_id: String,
    /// Whether it shall run; `None` where its file says nothing.
    pub enabled: Option<bool>,
    /// Its properties, the tag of the pack among them; without `enabled`.
    pub body: Map<String, Value>,
    /// Actions whose connectors have not been looked up.
    pub actions: Vec<NamedAction>,
}

/// The rules that a target selects, with its overlays applied. Nothing is looked up yet.
pub fn wanted(rules: &[CompiledRule], config: &Config, target: &Target) -> Vec<Wanted> {
    rules
        .iter()
        .filter(|r| target.select.accepts(&r.rule))
        .map(|compiled| {
            let rule = compiled.rule.as_ref();
            let out = overlay(rule, detection_rule(compiled, config).json, target);
            let mut body = out.json.as_object().cloned().unwrap_or_default();
            let enabled = body.remove("enabled").and_then(|e| e.as_bool());
            Wanted::new(&rule.name, &config.name, enabled, body, out.actions)
        })
        .collect()
}

impl Wanted {
    /// A rule from its Detection Engine JSON; the tag of the pack is added.
    pub fn new(
        name: &str,
        pack: &str,
        enabled: Option<bool>,
        mut body: Map<String, Value>,
        actions: Vec<NamedAction>,
    ) -> Wanted {
        let own = tag(pack);
        body.remove("enabled");
        if let Some(tags) = body.entry("tags").or_insert_with(|| json!([])).as_array_mut()
            && !tags.iter().any(|t| *t == own)
        {
            tags.push(json!(own));
        }
        for field in body.get_mut("required_fields").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(field) = field.as_object_mut() {
                field.remove("ecs");
            }
        }
        let rule_id = body.get("rule_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        Wanted { name: name.to_owned(), rule_id, enabled, body, actions }
    }
}

/// Looks up what rules refer to by name: connectors and exception lists. `lists` are those of the pack, with
/// their ids where they are there already. Findings point into the configuration.
///
/// # Errors
/// When Kibana refuses or does not answer.
pub fn resolve(
    wanted: &mut [Wanted],
    live: &[Live],
    kibana: &Kibana,
    config: &Config,
    lists: &BTreeMap<Key, Option<String>>,
) -> Result<Vec<Diagnostic>, Failure> {
    let mut found = exceptions(wanted, live, kibana, lists)?;
    let by_id = |w: &Wanted| w.body.get("actions").and_then(Value::as_array).is_some_and(|a| !a.is_empty());
    if wanted.iter().any(|w| !w.actions.is_empty() || by_id(w)) {
        let connectors = kibana.connectors()?;
        found.extend(named(wanted, &connectors, config));
        found.extend(known(wanted, &connectors));
    }
    Ok(found)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Actions by connector name become actions by id. A mistake is one finding, however many rules it hits.
fn named(wanted: &mut [Wanted], connectors: &[Value], config: &Config) -> Vec<Diagnostic> {
    let mut found: BTreeMap<String, Diagnostic> = BTreeMap::new();
    for rule in wanted {
        for action in std::mem::take(&mut rule.actions) {
            match by_name(&action, connectors) {
                Ok(json) => {
                    let list = rule.body.entry("actions").or_insert_with(|| json!([]));
                    if let Some(list) = list.as_array_mut() {
                        list.push(json);
                    }
                }
                Err(mut d) => {
                    if let Some(document) = &config.document {
                        *d = d.at(document.nearest(&action.pointer).value, "").in_source(document.source());
                    }
                    found.entry(action.pointer.clone()).or_insert(*d);
                }
            }
        }
    }
    found.into_values().collect()
}

fn by_name(action: &NamedAction, connectors: &[Value]) -> Result<Value, Box<Diagnostic>> {
    let name = &action.connector;
    let mut matching = connectors.iter().filter(|c| text(c, "name") == name);
    let Some(connector) = matching.next() else {
        let mut d = Diagnostic::new(Code::RP0906, format!("Kibana has no connector `{name}` in this space"));
        if let Some(near) = did_you_mean(name, connectors.iter().map(|c| text(c, "name"))) {
            d = d.help(format!("did you mean `{near}`?"));
        }
        return Err(Box::new(d));
    };
    if matching.next().is_some() {
        let d = Diagnostic::new(Code::RP0906, format!("Kibana has several connectors `{name}`"))
            .help("rename one of them, so that the name means one");
        return Err(Box::new(d));
    }
    if connector.get("is_missing_secrets") == Some(&Value::Bool(true)) {
        let d = Diagnostic::new(Code::RP0906, format!("the connector `{name}` has no secrets yet"))
            .help("enter them in Kibana, under Stack Management, Connectors");
        return Err(Box::new(d));
    }
    let kind = text(connector, "connector_type_id");
    let Some(params) = action.params.clone().or_else(|| usual_params(kind)) else {
        let d =
            Diagnostic::new(Code::RP0906, format!("the connector `{name}` of type `{kind}` needs `params`"))
                .note("what is sent depends on the type, and has no default for this one");
        return Err(Box::new(d));
    };
    let mut frequency = action
        .frequency
        .clone()
        .unwrap_or_else(|| json!({ "summary": true, "notifyWhen": "onActiveAlert", "throttle": null }));
    if let Some(map) = frequency.as_object_mut() {
        map.entry("throttle").or_insert(Value::Null);
    }
    Ok(json!({
        "action_type_id": kind,
        "frequency": frequency,
        "group": "default",
        "id": text(connector, "id"),
        "params": params,
    }))
}

/// What is sent by a connector of a type where the overlay does not say.
fn usual_params(kind: &str) -> Option<Value> {
    let message = "{{context.rule.name}}: {{state.signals_count}} new alerts. {{{context.results_link}}}";
    Some(match kind {
        ".slack" | ".teams" => json!({ "message": message }),
        ".server-log" => json!({ "level": "info", "message": message }),
        ".pagerduty" => json!({ "eventAction": "trigger", "severity": "error", "summary": message }),
        _ => return None,
    })
}

/// Actions that name a connector by its id, which no space but one knows.
fn known(wanted: &[Wanted], connectors: &[Value]) -> Vec<Diagnostic> {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in wanted {
        for action in rule.body.get("actions").and_then(Value::as_array).into_iter().flatten() {
            let id = text(action, "id");
            // system actions have ids of their own that are not always listed
            if !id.starts_with("system-connector-") && !connectors.iter().any(|c| text(c, "id") == id) {
                missing.entry(id).or_default().push(&rule.name);
            }
        }
    }
    missing
        .into_iter()
        .map(|(id, rules)| {
            let some = rules.iter().take(3).map(|r| format!("`{r}`")).collect::<Vec<_>>().join(", ");
            Diagnostic::new(Code::RP0906, format!("Kibana has no connector with the id `{id}` in this space"))
                .note(format!("{} rules have an action with it: {some}", rules.len()))
                .help("name connectors in an overlay: names are looked up in each space")
        })
        .collect()
}

/// Exception lists are known by `list_id`; the id is that of this space.
fn exceptions(
    wanted: &mut [Wanted],
    live: &[Live],
    kibana: &Kibana,
    lists: &BTreeMap<Key, Option<String>>,
) -> Result<Vec<Diagnostic>, Failure> {
    let mut ids: BTreeMap<Key, Option<String>> = BTreeMap::new();
    for list in live.iter().flat_map(|l| l.list("exceptions_list")) {
        ids.insert(key(list), Some(text(list, "id").to_owned()));
    }
    ids.extend(lists.iter().map(|(key, id)| (key.clone(), id.clone())));
    let mut found = Vec::new();
    for rule in wanted {
        for list in rule.body.get_mut("exceptions_list").and_then(Value::as_array_mut).into_iter().flatten() {
            let key = key(list);
            let id = match ids.get(&key) {
                Some(id) => id.clone(),
                None => {
                    let id = kibana.exception_list(&key.0, &key.1)?;
                    // Kibana makes the list of the endpoints itself, with the first rule
                    if id.is_none() && key.0 != "endpoint_list" {
                        let d = Diagnostic::new(
                            Code::RP0906,
                            format!("Kibana has no exception list `{}` in this space", key.0),
                        )
                        .note(format!("`{}` names it", rule.name))
                        .help("make the list first: Kibana would drop the link in silence");
                        found.push(d);
                    }
                    ids.insert(key, id.clone());
                    id
                }
            };
            if let (Some(id), Some(list)) = (id, list.as_object_mut()) {
                list.insert("id".to_owned(), json!(id));
            }
        }
    }
    Ok(found)
}
