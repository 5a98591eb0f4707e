//! Rules over several events: what is kept of an event that plays a part, and the alerts that come of
//! them. As files come in any order, a sequence is looked for when all of its events are known; the
//! memory that this takes goes by how many events satisfy some item of a rule, not by the input.
//!
//! A sequence or sample is one alert here. The detection engine of Kibana writes a building block for
//! each of its events and one alert above them, which is the one that people see.

use super::engine::{Alert, Evidence, RunRule, evidence};
use crate::es::date::{self, Nanos};
use crate::plan::join::{KeyValue, Tuple};
use crate::plan::sequence::{self, MAX_OPEN};
use crate::plan::threshold::{Group, Threshold};
use crate::plan::{FieldId, Occurrence, Row};
use crate::value::{Document, Scalar};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An event that plays a part in a rule.
#[derive(Debug)]
pub(super) struct Member {
    pub occurrence: Occurrence,
    pub id: String,
    /// Whether it is a CloudTrail record, of which only the first copy counts.
    pub raw: bool,
    /// `@timestamp`.
    pub time: Option<Nanos>,
    pub file: Arc<str>,
    /// The cells of the plan's fields, in their order.
    pub document: Document,
    /// `event.action`.
    pub action: Option<String>,
    /// `user.name`.
    pub actor: Option<String>,
}

/// The most events that one rule may hold, in all files together; with more, its sequences are not
/// looked for, and the run says so. About half a kilobyte each. An event counts once for each item that
/// it satisfies and each of its keys.
pub const MAX_MEMBERS: u64 = 2_000_000;

/// The most events of a group that an alert names; their number is always that of all.
const MAX_LISTED: usize = 1_000;

/// The events that one file has for a rule, or all files.
#[derive(Debug)]
pub(super) struct Members {
    list: Vec<Member>,
    /// How many events all files together have.
    count: Arc<AtomicU64>,
    room: u64,
}

impl Members {
    pub fn new(count: Arc<AtomicU64>, room: u64) -> Members {
        Members { list: Vec::new(), count, room }
    }

    pub fn push(&mut self, member: Member) {
        let weight = member.occurrence.weight() as u64;
        if self.count.fetch_add(weight, Ordering::Relaxed) + weight <= self.room {
            self.list.push(member);
        } else {
            // there will be no answer, so nothing needs to be kept
            self.list = Vec::new();
        }
    }

    /// Adds those of the next file.
    pub fn absorb(&mut self, other: Members) {
        self.list.extend(other.list);
    }

    /// The alerts of a rule, and what kept it from finding all of them.
    pub fn alerts(
        mut self,
        rule: usize,
        run: &RunRule,
        keep_duplicates: bool,
        anchor: Nanos,
    ) -> (Vec<Alert>, Vec<String>) {
        let count = self.count.load(Ordering::Relaxed);
        if count > self.room {
            let message = format!(
                "{}: the items of the query match {count} times, more than the {} that are searched; \
                 narrow them, or replay less at once",
                run.name, self.room
            );
            return (Vec::new(), vec![message]);
        }
        if !keep_duplicates {
            let mut known = FxHashSet::default();
            self.list.retain(|m| !m.raw || known.insert((m.id.clone(), m.time)));
        }
        // equals keep the order of the files
        self.list.sort_by(|a, b| sequence::order(&a.occurrence, &b.occurrence));
        if let Some(threshold) = run.plan.threshold() {
            let found = threshold.run(self.list.iter().map(|m| &m.occurrence), anchor);
            return (found.iter().map(|g| self.group_alert(rule, run, threshold, g)).collect(), Vec::new());
        }
        let (groups, forgotten) = groups(run, &self.list);
        let alerts = groups.into_iter().map(|(key, events)| self.alert(rule, run, &key, &events)).collect();
        let trouble = (forgotten > 0).then(|| {
            format!(
                "{}: more than {MAX_OPEN} join keys waited at once for their sequences to go on, and \
                 {forgotten} of them were given up; a maxspan bounds that",
                run.name
            )
        });
        (alerts, trouble.into_iter().collect())
    }

    /// The alert of a group that reached a threshold: what its events share, how many there are, from when to when,
    /// and what made the first of them match.
    fn group_alert(&self, rule: usize, run: &RunRule, threshold: &Threshold, group: &Group) -> Alert {
        let fields = &run.plan.fields;
        let name = |f: &FieldId| fields.get(*f).map_or_else(String::new, |f| f.name.to_string());
        let members: Vec<&Member> = group.events.iter().filter_map(|e| self.list.get(*e)).collect();
        let text = |at: Option<Nanos>| vec![Scalar::Str(date::format(at.unwrap_or(0)).into())];
        let number = |n: u64| vec![Scalar::Int(i64::try_from(n).unwrap_or(i64::MAX))];
        let mut values = vec![("events".to_owned(), number(group.events.len() as u64))];
        if let (Some((field, _)), Some(n)) = (&threshold.cardinality, group.distinct) {
            values.push((format!("values of {}", name(field)), number(n)));
        }
        values.push(("first".to_owned(), text(members.first().map(|m| m.occurrence.time))));
        values.push(("last".to_owned(), text(members.last().map(|m| m.occurrence.time))));
        let seen = if group.shifted { "seen by a run at, not on the interval" } else { "seen by the run at" };
        values.push((seen.to_owned(), text(Some(group.at))));
        let clause = format!("threshold of {}", threshold.count);
        let mut evidence_of = vec![Evidence { event: usize::MAX, clause, values }];
        if let Some(first) = members.first() {
            let slots: Vec<usize> = (0..fields.iter().count()).collect();
            let row = Row { fields, document: &first.document, slots: &slots };
            evidence_of.extend(evidence(run, run.plan.filter(), &row, 0));
        }
        let last = members.last();
        Alert {
            rule,
            time: last.map(|m| m.occurrence.time),
            events: members.iter().take(MAX_LISTED).map(|m| m.id.clone()).collect(),
            group: threshold.fields.iter().map(name).zip(group.key.iter().map(shown)).collect(),
            evidence: evidence_of,
            file: last.map_or_else(String::new, |m| m.file.to_string()),
            action: last.and_then(|m| m.action.clone()),
            actor: last.and_then(|m| m.actor.clone()),
        }
    }

    /// The alert of the events of a sequence or sample, by item.
    fn alert(&self, rule: usize, run: &RunRule, key: &Tuple, events: &[(usize, usize)]) -> Alert {
        let items = run.plan.items();
        let mut alert = Alert {
            rule,
            time: None,
            events: Vec::new(),
            group: group(run, key),
            evidence: Vec::new(),
            file: String::new(),
            action: None,
            actor: None,
        };
        let slots: Vec<usize> = (0..run.plan.fields.iter().count()).collect();
        for (item, event) in events {
            let Some(member) = self.list.get(*event) else { continue };
            let row = Row { fields: &run.plan.fields, document: &member.document, slots: &slots };
            let pred = items.get(*item).map(|i| &i.pred);
            alert.evidence.extend(evidence(run, pred, &row, alert.events.len()));
            if alert.events.is_empty() || member.time >= alert.time {
                alert.time = member.time;
                alert.file = member.file.to_string();
                alert.action.clone_from(&member.action);
                alert.actor.clone_from(&member.actor);
            }
            alert.events.push(member.id.clone());
        }
        alert
    }
}

/// Events with the item that each of them satisfies.
type Events = Vec<(usize, usize)>;

/// The sequences or samples among events in order, and how many open sequences were forgotten.
fn groups(run: &RunRule, list: &[Member]) -> (Vec<(Tuple, Events)>, u64) {
    if let Some(sequence) = run.plan.sequence() {
        let (found, forgotten) = sequence.run(list.iter().map(|m| &m.occurrence));
        let items = || sequence.steps.iter().enumerate().flat_map(|(i, s)| std::iter::repeat_n(i, s.runs));
        let groups = found.into_iter().map(|f| {
            let events = items().zip(f.events).filter_map(|(item, event)| Some((item, event?)));
            (f.key, events.collect())
        });
        return (groups.collect(), forgotten);
    }
    let Some(sample) = run.plan.sample() else { return (Vec::new(), 0) };
    let matches = list.iter().enumerate().map(|(i, m)| (i, m.occurrence.matches.as_slice()));
    let found = sample.run(matches, 1, usize::MAX);
    (found.into_iter().map(|s| (s.key, s.events.into_iter().enumerate().collect())).collect(), 0)
}

/// A value as alerts show it.
fn shown(value: &KeyValue) -> String {
    match value.to_json() {
        serde_json::Value::String(s) => s,
        other => other.to_string(),
    }
}

/// The join keys with their values, null left out.
fn group(run: &RunRule, key: &Tuple) -> Vec<(String, String)> {
    let items = run.plan.items();
    let names = items.first().map_or(&[][..], |i| &i.keys).iter().map(|k| k.name.to_string());
    let texts = key.iter().map(shown);
    let pairs = names.zip(texts).zip(key.iter());
    pairs.filter(|(_, v)| **v != KeyValue::Null).map(|(pair, _)| pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::join::Match;
    use crate::value::Value;

    #[test]
    fn with_too_many_events_nothing_is_kept_and_the_rule_says_so() {
        let member = || Member {
            occurrence: Occurrence {
                time: 0,
                tiebreaker: Value::Null,
                matches: vec![Match { item: 0, keys: vec![Vec::new().into()] }],
            },
            id: String::new(),
            raw: false,
            time: None,
            file: "f".into(),
            document: Document::default(),
            action: None,
            actor: None,
        };
        let count = Arc::<AtomicU64>::default();
        let [mut a, mut b] = [(); 2].map(|()| Members::new(Arc::clone(&count), 3));
        a.push(member());
        b.push(member());
        b.push(member());
        assert_eq!((a.list.len(), b.list.len()), (1, 2));
        b.push(member());
        a.absorb(b);
        let run = RunRule {
            id: String::new(),
            title: String::new(),
            name: "x/y".into(),
            file: String::new(),
            severity: String::new(),
            query: "".into(),
            plan: crate::plan::Plan::default(),
            index: Vec::new(),
            max_signals: 100,
        };
        let (alerts, trouble) = a.alerts(0, &run, false, 0);
        assert!(alerts.is_empty());
        assert!(trouble[0].starts_with("x/y: the items of the query match 4 times"), "{trouble:?}");
    }
}
