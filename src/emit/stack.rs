//! What a stack does not know of a generated rule: what it can do without is dropped, without the rest the rule
//! would be another one.

use crate::schema::Version;
use serde_json::{Map, Value};

/// Properties that a rule can do without, with the first stack that knows them.
const PROPERTIES: &[(&str, Version)] = &[
    ("related_integrations", Version(8, 3, 0)),
    ("required_fields", Version(8, 3, 0)),
    ("setup", Version(8, 3, 0)),
    ("investigation_fields", Version(8, 11, 0)),
];

/// The first stack on which rules of a type can group alerts.
const SUPPRESSION: &[(&str, Version)] = &[
    ("query", Version(8, 8, 0)),
    ("saved_query", Version(8, 8, 0)),
    ("threshold", Version(8, 12, 0)),
    ("threat_match", Version(8, 13, 0)),
    ("eql", Version(8, 14, 0)),
    ("new_terms", Version(8, 14, 0)),
    ("esql", Version(8, 15, 0)),
    ("machine_learning", Version(8, 15, 0)),
];

/// The first stack that has a type.
const TYPES: &[(&str, Version)] = &[("new_terms", Version(8, 4, 0)), ("esql", Version(8, 11, 0))];

/// Takes out of a generated rule what a stack does not know and the rule can do without; gives the properties.
///
/// # Errors
/// What the rule cannot do without, as a sentence without a full stop.
pub fn for_stack(rule: &mut Value, stack: Version) -> Result<Vec<&'static str>, String> {
    let Some(rule) = rule.as_object_mut() else { return Ok(Vec::new()) };
    let kind = rule.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let older = |since: &Version| (stack.0, stack.1) < (since.0, since.1);
    if let Some((_, since)) = TYPES.iter().find(|(name, since)| *name == kind && older(since)) {
        return Err(format!("rules of type `{kind}` begin at {since}"));
    }
    refused(rule, &older)?;
    let mut dropped: Vec<&'static str> = Vec::new();
    for (property, since) in PROPERTIES {
        if older(since) && rule.shift_remove(*property).is_some() {
            dropped.push(property);
        }
    }
    if SUPPRESSION.iter().any(|(name, since)| *name == kind && older(since))
        && rule.shift_remove("alert_suppression").is_some()
    {
        dropped.push("alert_suppression");
    }
    Ok(dropped)
}

/// What only newer stacks can do, and what the rule is about.
fn refused(rule: &Map<String, Value>, older: &dyn Fn(&Version) -> bool) -> Result<(), String> {
    let nine_two = Version(9, 2, 0);
    let fields = rule.get("threshold").and_then(|t| t.get("field")?.as_array()).map_or(0, Vec::len);
    if fields > 3 && older(&nine_two) {
        return Err(format!("thresholds over more than 3 fields begin at {nine_two}"));
    }
    let entries = rule.get("threat_mapping").and_then(Value::as_array).into_iter().flatten();
    let mut entries = entries.filter_map(|m| m.get("entries")?.as_array()).flatten();
    if older(&nine_two) && entries.any(|e| e.get("negate") == Some(&Value::Bool(true))) {
        return Err(format!("negated entries of `threat_mapping` begin at {nine_two}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_rule_can_do_without_is_dropped() {
        let rule = json!({ "type": "eql", "query": "q", "setup": "s", "investigation_fields": {}, "alert_suppression": {} });
        let on = |stack| {
            let mut rule = rule.clone();
            let dropped = for_stack(&mut rule, stack).unwrap();
            assert!(dropped.iter().all(|p| rule.get(p).is_none()) && rule.get("query").is_some());
            dropped
        };
        assert_eq!(on(Version(9, 5, 0)), [""; 0]);
        assert_eq!(on(Version(8, 14, 0)), [""; 0]);
        assert_eq!(on(Version(8, 13, 0)), ["alert_suppression"]);
        assert_eq!(on(Version(8, 2, 0)), ["setup", "investigation_fields", "alert_suppression"]);
    }

    #[test]
    fn what_the_rule_is_about_is_refused() {
        let refused = |rule: Value, stack| for_stack(&mut rule.clone(), stack).unwrap_err();
        assert_eq!(
            refused(json!({ "type": "esql" }), Version(8, 9, 0)),
            "rules of type `esql` begin at 8.11"
        );
        let threshold = json!({ "type": "threshold", "threshold": { "field": ["a", "b", "c", "d"] } });
        assert!(refused(threshold.clone(), Version(8, 19, 0)).contains("more than 3 fields"));
        assert_eq!(for_stack(&mut threshold.clone(), Version(9, 2, 0)), Ok(vec![]));
        let threat =
            json!({ "type": "threat_match", "threat_mapping": [{ "entries": [{ "negate": true }] }] });
        assert!(refused(threat, Version(9, 1, 0)).contains("negated"));
    }
}
