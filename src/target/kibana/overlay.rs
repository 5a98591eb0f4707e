//! Overlays: what differs at one target. A pure function over a generated rule; names of connectors
//! stay names until a Kibana is there to look them up.

use crate::lang::rule::Rule;
use crate::pack::Target;
use serde_json::Value;

/// An action whose connector is known by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedAction {
    /// The connector's name.
    pub connector: String,
    /// What is sent, if the overlay says so.
    pub params: Option<Value>,
    /// How often, if the overlay says so.
    pub frequency: Option<Value>,
    /// Where the overlay stands in the configuration.
    pub pointer: String,
}

/// A generated rule as a target wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlaid {
    /// The rule.
    pub json: Value,
    /// Actions that are added once their connectors have been looked up.
    pub actions: Vec<NamedAction>,
}

/// Applies the overlays of a target to a generated rule, in their order: the last index patterns hold,
/// actions add up.
pub fn overlay(rule: &Rule, mut json: Value, target: &Target) -> Overlaid {
    let mut actions = Vec::new();
    for overlay in target.overlays.iter().filter(|o| o.applies_to(rule)) {
        if let (Some(index), Some(own)) = (&overlay.index, json.get_mut("index")) {
            *own = index.clone();
        }
        for (i, action) in overlay.actions.iter().enumerate() {
            let named = NamedAction {
                connector: action.get("connector").and_then(Value::as_str).unwrap_or_default().to_owned(),
                params: action.get("params").cloned(),
                frequency: action.get("frequency").cloned(),
                pointer: format!("{}/actions/{i}", overlay.pointer),
            };
            if !actions.contains(&named) {
                actions.push(named);
            }
        }
    }
    Overlaid { json, actions }
}
