//! What is to be taken over from Kibana: each property that differs, and on which side it was changed since
//! the last deploy. Pure. What was deployed last is known by its stamp; where Kibana's editor has taken the
//! stamp away, by what the rule's file said in earlier revisions.

use super::normalise::{is_server_tag, normal};
use super::ownership::{Live, comparable};
use super::plan::{FieldChange, Settings, desired, differences};
use super::wanted::Wanted;
use crate::pack::target::Manage;
use serde_json::{Map, Value};

/// Properties that mean something only together.
const QUERY: &[&str] = &[
    "type",
    "language",
    "query",
    "saved_id",
    "threshold",
    "new_terms_fields",
    "history_window_start",
    "threat_query",
    "threat_index",
    "threat_mapping",
    "threat_language",
    "threat_filters",
    "anomaly_threshold",
    "machine_learning_job_id",
];

/// Where something was changed since it was last deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// In Kibana only.
    There,
    /// In the pack only.
    Here,
    /// On both sides, or nothing tells.
    Both,
}

/// A value on three sides: the pack's, Kibana's, and those that the pack had before, the newest first. The
/// two differ.
///
/// Of what the pack had before, one value was deployed last, and nobody knows which. So Kibana has an edit
/// only where no earlier value is its own, and the pack has none only where it never had another value.
pub fn side<T: PartialEq>(here: &T, there: &T, before: &[T]) -> Changed {
    if before.contains(there) {
        Changed::Here
    } else if !before.is_empty() && before.iter().all(|b| b == here) {
        Changed::There
    } else {
        Changed::Both
    }
}

/// A property that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The property, what the pack has, and what Kibana has.
    pub change: FieldChange,
    /// Where it was changed.
    pub changed: Changed,
}

/// What differs between a rule of the pack and the live one. `before` are the rule's earlier revisions, as
/// the target would have had them, the newest first.
pub fn pull(wanted: &Wanted, before: &[Wanted], live: &Live, settings: &Settings) -> Vec<Difference> {
    let form = |w: &Wanted| normal(&desired(w, live, settings).0);
    let (here, there) = (form(wanted), normal(live.json()));
    let before: Vec<Map<String, Value>> = before.iter().map(form).collect();
    let deployed = live.stamp().filter(|s| s.rule_id == live.rule_id()).and_then(|stamp| {
        let is = |normal: &&Map<String, Value>| {
            let hash = settings.hash(normal);
            comparable(&stamp.hash, &hash) && stamp.hash == hash
        };
        // what Kibana has is what was written: nobody has edited it
        [&there, &here].into_iter().chain(&before).find(is)
    });
    // links that anybody may add to are no part of the rule's content; their lists are read on their own
    let is_shared = |c: &FieldChange| c.field == "exceptions_list" && settings.mode(&c.field) != Manage::Set;
    let mut out: Vec<Difference> = differences(&here, &there)
        .into_iter()
        .filter(|c| !is_shared(c))
        .map(|change| {
            let of = |side: &Map<String, Value>| side.get(&change.field).cloned();
            let past: Vec<Option<Value>> = match deployed {
                Some(base) => vec![of(base)],
                None => before.iter().map(of).collect(),
            };
            let changed = side(&change.from, &change.to, &past);
            Difference { change, changed }
        })
        .collect();
    let together = |d: &&mut Difference| QUERY.contains(&d.change.field.as_str());
    let mut sides: Vec<Changed> = out.iter_mut().filter(together).map(|d| d.changed).collect();
    sides.sort_unstable();
    sides.dedup();
    if sides.len() > 1 {
        out.iter_mut().filter(together).for_each(|d| d.changed = Changed::Both);
    }
    out
}

/// A live value as a rule file may have it; `None` where Kibana has none.
pub fn value(live: &Live, property: &str) -> Option<Value> {
    let mut value = live.json().get(property).filter(|v| !v.is_null()).cloned()?;
    if let ("tags", Some(tags)) = (property, value.as_array_mut()) {
        tags.retain(|t| !t.as_str().is_some_and(|t| is_server_tag(t) || t.starts_with("rulepack:")));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Target;
    use serde_json::json;

    fn wanted(body: Value) -> Wanted {
        let mut all = json!({ "rule_id": "a", "type": "query", "query": "q" }).as_object().cloned().unwrap();
        all.extend(body.as_object().cloned().unwrap());
        Wanted::new("a", "acme", None, all, Vec::new())
    }

    fn settings() -> Settings {
        Settings::new("acme", &Target::demo())
    }

    /// The live rule that a deploy of `from` leaves, changed by `edit`; without its stamp if `by_editor`.
    fn live(from: &Wanted, edit: Value, by_editor: bool) -> Live {
        let plan = super::super::plan(std::slice::from_ref(from), &[], &settings(), true);
        let mut body = plan.changes[0].body.clone();
        body.extend(edit.as_object().cloned().unwrap());
        if by_editor {
            body.remove("meta");
        }
        Live::new(Value::Object(body))
    }

    fn sides(here: &Wanted, before: &[Wanted], live: &Live) -> Vec<(String, Changed)> {
        pull(here, before, live, &settings()).into_iter().map(|d| (d.change.field, d.changed)).collect()
    }

    fn one(field: &str, changed: Changed) -> Vec<(String, Changed)> {
        vec![(field.to_owned(), changed)]
    }

    #[test]
    fn a_stamp_tells_who_changed_what() {
        let (old, new) = (wanted(json!({ "severity": "low" })), wanted(json!({ "severity": "high" })));
        assert_eq!(sides(&old, &[], &live(&old, json!({}), false)), []);
        let edited = live(&old, json!({ "severity": "medium" }), false);
        assert_eq!(sides(&old, &[], &edited), one("severity", Changed::There));
        assert_eq!(sides(&new, &[], &live(&old, json!({}), false)), one("severity", Changed::Here));
        assert_eq!(sides(&new, std::slice::from_ref(&old), &edited), one("severity", Changed::Both));
        // the deployed revision is not in the history: nothing tells
        assert_eq!(sides(&new, &[], &edited), one("severity", Changed::Both));
        let other = live(&old, json!({ "note": "n" }), false);
        assert_eq!(
            sides(&new, &[old], &other),
            [("note".to_owned(), Changed::There), ("severity".to_owned(), Changed::Here)]
        );
    }

    #[test]
    fn without_a_stamp_the_history_of_the_file_tells() {
        let (old, new) = (wanted(json!({ "severity": "low" })), wanted(json!({ "severity": "high" })));
        let edited = live(&old, json!({ "note": "n" }), true);
        assert_eq!(sides(&old, std::slice::from_ref(&old), &edited), one("note", Changed::There));
        // the pack went on to `high`, which was never deployed
        assert_eq!(
            sides(&new, &[new.clone(), old.clone()], &edited),
            [("note".to_owned(), Changed::There), ("severity".to_owned(), Changed::Here)]
        );
        let both = live(&old, json!({ "severity": "medium" }), true);
        assert_eq!(sides(&new, &[new.clone(), old], &both), one("severity", Changed::Both));
        assert_eq!(sides(&new, &[], &both), one("severity", Changed::Both));
    }

    #[test]
    fn a_query_and_its_language_are_taken_together_or_not_at_all() {
        let old = wanted(json!({}));
        let new = wanted(json!({ "query": "r" }));
        let edited = live(&old, json!({ "language": "lucene" }), false);
        assert_eq!(
            sides(&new, &[old], &edited),
            [("language".to_owned(), Changed::Both), ("query".to_owned(), Changed::Both)]
        );
    }

    #[test]
    fn tags_come_without_those_of_kibana_and_of_rulepack() {
        let live =
            Live::new(json!({ "tags": ["a", "rulepack:acme", "Missing Universal API Key"], "note": null }));
        assert_eq!(value(&live, "tags"), Some(json!(["a"])));
        assert_eq!(value(&live, "note"), None);
    }
}
