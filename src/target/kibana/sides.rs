//! What is live and what would be, rule by rule, for a comparison of the two.

use super::normalise::normal;
use super::ownership::Live;
use super::plan::{Change, Changeset, Kind, Settings, desired};
use super::wanted::Wanted;
use serde_json::{Map, Value, json};

/// A rule on both sides, in the one form that both are compared in.
#[derive(Clone, Debug, PartialEq)]
pub struct Sides {
    /// The name in the pack, or what a change set calls it.
    pub name: String,
    /// What Kibana has.
    pub live: Option<Map<String, Value>>,
    /// What it would have after a deploy that leaves nothing alone but what lives in Kibana only.
    pub wanted: Option<Map<String, Value>>,
}

/// Both sides of every rule of a change set that was planned from `wanted`.
pub fn sides(changes: &Changeset, wanted: &[Wanted], settings: &Settings) -> Vec<Sides> {
    let side = |change: &Change| {
        let want = wanted.iter().find(|w| w.rule_id == change.rule_id);
        let after = match (want, &change.live) {
            (None, _) => None,
            (Some(want), Some(live)) => Some(desired(want, live, settings).0),
            (Some(want), None) => Some(want.body.clone()),
        };
        Sides {
            name: change.name.clone(),
            live: change.live.as_ref().map(|l| with_state(l.json(), change, Live::is_enabled(l))),
            wanted: after.map(|body| {
                let on = change.live.as_ref().is_some_and(Live::is_enabled);
                with_state(&body, change, change.toggle.unwrap_or(on))
            }),
        }
    };
    // a rule that is there twice is compared once; which one is right is for a person to say
    changes.changes.iter().filter(|c| !matches!(c.kind, Kind::Kept)).map(side).collect()
}

/// The one form, with whether the rule runs where that is what changes, and links that are whole again.
fn with_state(rule: &Map<String, Value>, change: &Change, on: bool) -> Map<String, Value> {
    let mut out = normal(rule);
    if matches!(change.kind, Kind::Enable | Kind::Disable) {
        out.insert("enabled".to_owned(), json!(on));
    }
    for link in out.get_mut("exceptions_list").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(link) = link.as_object_mut() {
            // the id of a space says nothing; a file has to have one
            let id = link.get("list_id").cloned().unwrap_or_default();
            link.insert("id".to_owned(), id);
        }
    }
    out
}
