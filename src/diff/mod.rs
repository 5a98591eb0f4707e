//! Two revisions of a pack compared: which rules are new, gone or changed, in which fields, and which
//! alerts that gains or loses.

mod fields;

pub use fields::{FieldChange, changes};

use crate::emit;
use crate::es::date::Nanos;
use crate::pack::{CompiledRule, Config};
use crate::replay::{Alert, Engine, Report};
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::collections::BTreeMap;

/// One revision: its compiled rules, and what they alerted on.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The rules.
    pub rules: &'a [CompiledRule],
    /// The configuration.
    pub config: &'a Config,
    /// The engine that ran them.
    pub engine: &'a Engine,
    /// What it found.
    pub report: &'a Report,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It was not there.
    New,
    /// It is not there any more.
    Gone,
    /// Fields differ, or its file moved.
    Changed {
        /// The fields that differ.
        fields: Vec<FieldChange>,
        /// Its former name, if its file moved.
        moved_from: Option<String>,
    },
    /// The file is the same, the rule id is not: to Kibana a new rule.
    NewId {
        /// The former id.
        old: String,
        /// The fields that differ besides.
        fields: Vec<FieldChange>,
    },
}

/// An alert, for comparison and for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertRef {
    /// `@timestamp` in nanoseconds since the epoch.
    pub time: Option<Nanos>,
    /// The ids of its events.
    pub events: Vec<String>,
    /// New-terms values.
    pub group: Vec<(String, String)>,
    /// `event.action`.
    pub action: Option<String>,
    /// `user.name`.
    pub actor: Option<String>,
}

/// A rule that differs.
#[derive(Clone, Debug)]
pub struct RuleDiff {
    /// Its name, the newer one.
    pub name: String,
    /// Its id, the newer one.
    pub id: String,
    /// Type and severity, as `query, high 73`.
    pub kind: String,
    /// What became of it.
    pub change: Change,
    /// Alerts before and after; `None` where a side could not run it, and why.
    pub before: Result<usize, String>,
    /// See `before`.
    pub after: Result<usize, String>,
    /// Alerts that only the newer side has.
    pub gained: Vec<AlertRef>,
    /// Alerts that only the older side has.
    pub lost: Vec<AlertRef>,
}

/// The comparison.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Rules that differ, or whose alerts do, by name.
    pub rules: Vec<RuleDiff>,
    /// How many are the same.
    pub same: usize,
}

impl Diff {
    /// How many rules a test holds for.
    pub fn count(&self, test: impl Fn(&Change) -> bool) -> usize {
        self.rules.iter().filter(|r| test(&r.change)).count()
    }

    /// How many alerts are gained.
    pub fn gained(&self) -> usize {
        self.rules.iter().map(|r| r.gained.len()).sum()
    }

    /// How many alerts are lost.
    pub fn lost(&self) -> usize {
        self.rules.iter().map(|r| r.lost.len()).sum()
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Compares two revisions. Rules are matched by rule id, what is left by name.
pub fn compare(old: Side<'_>, new: Side<'_>) -> Diff {
    let by_id: FxHashMap<&str, &CompiledRule> = old.rules.iter().map(|r| (r.rule.rule_id(), r)).collect();
    let mut matched: Vec<&str> = Vec::new();
    let mut out = Diff::default();
    let mut unmatched: Vec<&CompiledRule> = Vec::new();
    for rule in new.rules {
        let Some(before) = by_id.get(rule.rule.rule_id()) else {
            unmatched.push(rule);
            continue;
        };
        matched.push(before.rule.rule_id());
        let fields = changes(&json(before, old.config), &json(rule, new.config));
        let moved_from = (before.rule.name != rule.rule.name).then(|| before.rule.name.clone());
        out.add(old, new, Some(before), Some(rule), Change::Changed { fields, moved_from });
    }
    let mut gone: BTreeMap<&str, &CompiledRule> = old
        .rules
        .iter()
        .filter(|r| !matched.contains(&r.rule.rule_id()))
        .map(|r| (r.rule.name.as_str(), r))
        .collect();
    for rule in unmatched {
        match gone.remove(rule.rule.name.as_str()) {
            Some(before) => {
                let mut fields = changes(&json(before, old.config), &json(rule, new.config));
                fields.retain(|f| f.path != "rule_id");
                let id = before.rule.rule_id().to_owned();
                out.add(old, new, Some(before), Some(rule), Change::NewId { old: id, fields });
            }
            None => out.add(old, new, None, Some(rule), Change::New),
        }
    }
    for rule in gone.into_values() {
        out.add(old, new, Some(rule), None, Change::Gone);
    }
    out.rules.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

fn json(rule: &CompiledRule, config: &Config) -> Value {
    emit::detection_rule(rule, config).json
}

impl Diff {
    fn add(
        &mut self,
        old: Side<'_>,
        new: Side<'_>,
        before: Option<&CompiledRule>,
        after: Option<&CompiledRule>,
        change: Change,
    ) {
        let was = before.map(|r| alerts(old, r)).unwrap_or(Ok(Vec::new()));
        let is = after.map(|r| alerts(new, r)).unwrap_or(Ok(Vec::new()));
        let (gained, lost) = match (&was, &is) {
            (Ok(was), Ok(is)) => {
                let only =
                    |a: &[AlertRef], b: &[AlertRef]| a.iter().filter(|x| !b.contains(x)).cloned().collect();
                (only(is, was), only(was, is))
            }
            // what was not evaluated on one side can be neither gained nor lost
            _ => (Vec::new(), Vec::new()),
        };
        let unchanged = matches!(&change, Change::Changed { fields, moved_from: None } if fields.is_empty());
        if unchanged && gained.is_empty() && lost.is_empty() && was.is_ok() == is.is_ok() {
            self.same += 1;
            return;
        }
        let Some(shown) = after.or(before) else { return };
        let rule = &shown.rule;
        let risk = rule.risk_score().map_or_else(String::new, |r| format!(" {r}"));
        self.rules.push(RuleDiff {
            name: rule.name.clone(),
            id: rule.rule_id().to_owned(),
            kind: format!("{}, {}{risk}", rule.kind.name(), rule.severity()),
            change,
            before: was.map(|a| a.len()),
            after: is.map(|a| a.len()),
            gained,
            lost,
        });
    }
}

/// The alerts of a rule on a side, sorted; why there are none where it did not run.
fn alerts(side: Side<'_>, rule: &CompiledRule) -> Result<Vec<AlertRef>, String> {
    if let (None, reason) = (&rule.plan, &rule.not_run) {
        return Err(reason.clone().unwrap_or_else(|| "it cannot be run".to_owned()));
    }
    let Some(at) = side.engine.rules().iter().position(|r| r.name == rule.rule.name) else {
        return Err("it was not run".to_owned());
    };
    let reference = |a: &Alert| AlertRef {
        time: a.time,
        events: a.events.clone(),
        group: a.group.clone(),
        action: a.action.clone(),
        actor: a.actor.clone(),
    };
    let mut out: Vec<AlertRef> = side.report.alerts.iter().filter(|a| a.rule == at).map(reference).collect();
    out.sort();
    Ok(out)
}
