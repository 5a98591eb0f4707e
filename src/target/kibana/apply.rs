//! Applies a change set: rules are created switched off, updated whole with what lives in Kibana carried
//! along, then switched on in small batches, and at last read back. One failure does not stop the rest,
//! and a second run picks up where one was cut off.

use super::client::{BULK, Kibana};
use super::exceptions::{Lists, ListsApplied, before, key};
use super::ownership::Live;
use super::plan::{Change, Changeset, Kind, Settings, plan_one};
use super::wanted::Wanted;
use crate::diag::Code;
use crate::target::http::{Failure, each};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a write is begun anew after it met another one.
const ROUNDS: u32 = 5;

/// Where a rule is kept while it is being replaced: Kibana cannot change the type of a rule, so there is a
/// moment at which only this copy knows its links to exception lists.
pub trait Rescue: Sync {
    /// Keeps a rule and tells where.
    ///
    /// # Errors
    /// In words, when it cannot be kept.
    fn keep(&self, rule: &Live) -> Result<String, String>;
    /// The rule has been replaced.
    fn release(&self, rule: &Live);
}

/// A rule that was not brought to where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its name.
    pub name: String,
    /// The rule id.
    pub rule_id: String,
    /// What was attempted.
    pub verb: &'static str,
    /// RP0907 where it was not written, RP0908 where it reads back different.
    pub code: Code,
    /// Why, as a sentence.
    pub message: String,
}

/// What came of a deploy.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// How many rules were written, deletions included, and read back equal.
    pub written: usize,
    /// What failed, in the order of the change set.
    pub failed: Vec<Failed>,
    /// Changes that turned into conflicts because Kibana changed after the plan.
    pub conflicts: Vec<Change>,
    /// What came of exception lists.
    pub lists: ListsApplied,
}

/// How one write ended.
enum Done {
    /// It is there.
    Written(Box<Live>),
    /// It turned out to need no more than switching, or nothing.
    Nothing(Box<Live>),
    /// It was deleted.
    Gone,
    /// It is left alone.
    Conflict(Box<Change>),
    /// It failed.
    Failed(String),
}

/// Applies the changes of exception lists and rules: lists and exceptions first, then the rules that refer
/// to them, then what is stale. A rule whose lists could not be completed is not written. For the other
/// arguments see [`apply`].
pub fn deploy(
    changes: &Changeset,
    lists: Lists<'_>,
    wanted: &[Wanted],
    kibana: &Kibana,
    settings: &Settings,
    rescue: &dyn Rescue,
    rest: Duration,
) -> Applied {
    let half = before(lists, kibana, settings);
    let mut changes = changes.clone();
    let mut wanted = wanted.to_vec();
    // lists that were made just now have got the ids that links need
    let bodies =
        changes.changes.iter_mut().map(|c| &mut c.body).chain(wanted.iter_mut().map(|w| &mut w.body));
    for link in bodies.filter_map(|b| b.get_mut("exceptions_list")?.as_array_mut()).flatten() {
        if let (Some(id), Some(link)) = (half.ids.get(&key(link)), link.as_object_mut()) {
            link.insert("id".to_owned(), Value::String(id.clone()));
        }
    }
    let blocked = half.blocked();
    let mut out = apply_unless(&changes, &wanted, kibana, settings, rescue, rest, &blocked);
    let mut failed: BTreeSet<&str> = out.failed.iter().map(|f| f.rule_id.as_str()).collect();
    failed.extend(out.conflicts.iter().map(|c| c.rule_id.as_str()));
    let lists = half.after(&failed);
    out.lists = lists;
    out
}

/// Applies the changes of rules. `wanted` is what they were planned from; `rest` the pause between two
/// batches of rules that are switched on, so that their first runs do not come all at once.
pub fn apply(
    changes: &Changeset,
    wanted: &[Wanted],
    kibana: &Kibana,
    settings: &Settings,
    rescue: &dyn Rescue,
    rest: Duration,
) -> Applied {
    apply_unless(changes, wanted, kibana, settings, rescue, rest, &BTreeMap::new())
}

fn apply_unless(
    changes: &Changeset,
    wanted: &[Wanted],
    kibana: &Kibana,
    settings: &Settings,
    rescue: &dyn Rescue,
    rest: Duration,
    blocked: &BTreeMap<String, String>,
) -> Applied {
    let by_id: BTreeMap<&str, &Wanted> = wanted.iter().map(|w| (w.rule_id.as_str(), w)).collect();
    let run = Run { kibana, settings, rescue, blocked };
    let todo: Vec<&Change> = changes.changes.iter().filter(|c| c.kind.writes()).collect();
    // first what brings protection, last what takes it away
    let order = |kind: &Kind| match kind {
        Kind::Create => 0,
        Kind::Update | Kind::Enable | Kind::Disable => 1,
        Kind::Replace { .. } => 2,
        _ => 3,
    };
    let mut done: BTreeMap<&str, Done> = BTreeMap::new();
    for phase in 0..3 {
        let part: Vec<&Change> = todo.iter().copied().filter(|c| order(&c.kind) == phase).collect();
        let results = each(&part, kibana.http().in_flight(), |change| {
            run.write(change, by_id.get(change.rule_id.as_str()).copied())
        });
        done.extend(part.iter().map(|c| c.rule_id.as_str()).zip(results));
    }
    let mut failed: BTreeMap<&str, (Code, String)> = BTreeMap::new();
    for enable in [true, false] {
        let part: Vec<(&str, String)> = todo
            .iter()
            .filter(|c| c.toggle == Some(enable))
            .filter_map(|c| match done.get(c.rule_id.as_str())? {
                Done::Written(live) | Done::Nothing(live) if live.is_enabled() != enable => {
                    Some((c.rule_id.as_str(), live.id().to_owned()))
                }
                _ => None,
            })
            .collect();
        for (rule_id, why) in run.toggle(enable, &part, rest) {
            let what = if enable { "switched on" } else { "switched off" };
            failed.insert(rule_id, (Code::RP0907, format!("not {what}: {why}")));
        }
    }
    let part: Vec<&Change> = todo.iter().copied().filter(|c| order(&c.kind) == 3).collect();
    let results = each(&part, kibana.http().in_flight(), |change| run.delete(change));
    done.extend(part.iter().map(|c| c.rule_id.as_str()).zip(results));
    let mut out = Applied::default();
    for (rule_id, result) in done {
        match result {
            Done::Failed(why) => {
                failed.insert(rule_id, (Code::RP0907, why));
            }
            Done::Conflict(change) => out.conflicts.push(*change),
            Done::Written(_) | Done::Nothing(_) | Done::Gone => {}
        }
    }
    let touched: Vec<&Change> = todo
        .iter()
        .copied()
        .filter(|c| !failed.contains_key(c.rule_id.as_str()))
        .filter(|c| !out.conflicts.iter().any(|o| o.rule_id == c.rule_id))
        .collect();
    failed.extend(run.verify(&touched, &by_id));
    out.written = touched.iter().filter(|c| !failed.contains_key(c.rule_id.as_str())).count();
    for change in &todo {
        if let Some((code, message)) = failed.remove(change.rule_id.as_str()) {
            out.failed.push(Failed {
                name: change.name.clone(),
                rule_id: change.rule_id.clone(),
                verb: change.kind.word(),
                code,
                message,
            });
        }
    }
    out
}

struct Run<'a> {
    kibana: &'a Kibana,
    settings: &'a Settings,
    rescue: &'a dyn Rescue,
    /// Rules that must wait, and why.
    blocked: &'a BTreeMap<String, String>,
}

impl Run<'_> {
    fn write(&self, change: &Change, wanted: Option<&Wanted>) -> Done {
        let Some(wanted) = wanted else { return Done::Failed("it is not in the pack".to_owned()) };
        if let Some(why) = self.blocked.get(&change.rule_id).filter(|_| change.kind != Kind::Disable) {
            return Done::Failed(why.clone());
        }
        match &change.kind {
            Kind::Create => self.create(&change.body),
            Kind::Enable | Kind::Disable => match &change.live {
                Some(live) => Done::Nothing(Box::new(live.clone())),
                None => Done::Failed("it is not in Kibana".to_owned()),
            },
            _ => self.change(change, wanted),
        }
    }

    /// Creates a rule. When the answer is lost, or says that the rule exists, what is there decides: what
    /// this run wrote is taken as written, anything else is another's.
    fn create(&self, body: &Map<String, Value>) -> Done {
        let rule_id = body.get("rule_id").and_then(Value::as_str).unwrap_or_default();
        let hash = body.get("meta").and_then(|m| m.pointer("/rulepack/hash"));
        let mut last = String::new();
        for round in 1..=ROUNDS {
            let failure = match self.kibana.create(body) {
                Ok(live) => return Done::Written(Box::new(live)),
                Err(e) if e.status() == Some(409) || e.is_uncertain() => e,
                Err(e) => return Done::Failed(e.to_string()),
            };
            last = failure.to_string();
            match self.kibana.rule(rule_id) {
                Ok(Some(live)) => {
                    let theirs = live.json().get("meta").and_then(|m| m.pointer("/rulepack/hash"));
                    if hash.is_some() && theirs == hash && live.is_owned_by(&self.settings.pack) {
                        return Done::Written(Box::new(live));
                    }
                    return Done::Failed("another rule with this rule id appeared after the plan".to_owned());
                }
                Ok(None) => std::thread::sleep(self.kibana.http().pause(round)),
                Err(e) => return Done::Failed(format!("{last}; and then, looking for it: {e}")),
            }
        }
        Done::Failed(last)
    }

    /// Updates or replaces a rule, planned anew on what is there now: links and actions that were added
    /// since the plan are carried along, and an edit since then is a conflict.
    fn change(&self, planned: &Change, wanted: &Wanted) -> Done {
        let Some(id) = planned.live.as_ref().map(Live::id) else {
            return Done::Failed("it is not in Kibana".to_owned());
        };
        let mut last = String::new();
        for round in 1..=ROUNDS {
            let live = match self.kibana.object(id) {
                Ok(Some(live)) => live,
                Ok(None) => return Done::Failed("it was deleted in Kibana after the plan".to_owned()),
                Err(e) => return Done::Failed(e.to_string()),
            };
            let change = plan_one(wanted, &[&live], self.settings);
            let result = match &change.kind {
                Kind::Update => self.put(&change, &live),
                Kind::Replace { .. } => return self.replace(&change, &live),
                Kind::Conflict { .. } | Kind::Kept => return Done::Conflict(Box::new(change)),
                _ => return Done::Nothing(Box::new(live)),
            };
            match result {
                Ok(done) => return done,
                Err(e) if e.status() == Some(409) || e.is_uncertain() => last = e.to_string(),
                Err(e) => return Done::Failed(e.to_string()),
            }
            std::thread::sleep(self.kibana.http().pause(round));
        }
        Done::Failed(last)
    }

    fn put(&self, change: &Change, before: &Live) -> Result<Done, Failure> {
        let after = self.kibana.put(&change.body)?;
        if after.revision() > before.revision() + 1 {
            // nothing locks a rule between reading and writing it; at least it does not go unnoticed
            return Ok(Done::Failed(
                "somebody edited the rule in Kibana while it was written; look at its exceptions and actions"
                    .to_owned(),
            ));
        }
        Ok(Done::Written(Box::new(after)))
    }

    /// Deletes a rule and creates it with its new type. Should that fail, the old one is put back.
    fn replace(&self, change: &Change, live: &Live) -> Done {
        let place = match self.rescue.keep(live) {
            Ok(place) => place,
            Err(why) => {
                return Done::Failed(format!("not replaced, because no copy of it could be kept: {why}"));
            }
        };
        if let Err(e) = self.kibana.delete(live.id()) {
            // it may be gone all the same
            match self.kibana.object(live.id()) {
                Ok(None) => {}
                Ok(Some(_)) => {
                    self.rescue.release(live);
                    return Done::Failed(e.to_string());
                }
                Err(_) => return Done::Failed(format!("{e}; a copy of the rule is in {place}")),
            }
        }
        match self.create(&change.body) {
            Done::Failed(why) => {
                let mut old = super::normalise::without_server_fields(live.json());
                old.insert("enabled".to_owned(), Value::Bool(live.is_enabled()));
                match self.create(&old) {
                    Done::Written(_) => {
                        self.rescue.release(live);
                        Done::Failed(format!("{why}; the rule was put back as it was"))
                    }
                    _ => Done::Failed(format!(
                        "{why}; the rule is gone, and a copy of it is in {place}; the next deploy takes it up"
                    )),
                }
            }
            done => {
                self.rescue.release(live);
                done
            }
        }
    }

    fn delete(&self, change: &Change) -> Done {
        let Some(live) = &change.live else { return Done::Gone };
        // what was taken over or edited since the plan is no longer ours to delete
        match self.kibana.object(live.id()) {
            Ok(None) => return Done::Gone,
            Ok(Some(now)) if now.revision() != live.revision() || now.tags().ne(live.tags()) => {
                let mut change = change.clone();
                let reason = "edited in Kibana after the plan; left alone".to_owned();
                change.kind = Kind::Conflict { reason, help: None };
                return Done::Conflict(Box::new(change));
            }
            Ok(Some(_)) => {}
            Err(e) => return Done::Failed(e.to_string()),
        }
        match self.kibana.delete(live.id()) {
            Ok(()) => Done::Gone,
            Err(e) => Done::Failed(e.to_string()),
        }
    }

    /// Switches rules, in batches; gives those that failed. `part` has rule ids and ids of objects.
    fn toggle<'a>(&self, enable: bool, part: &[(&'a str, String)], rest: Duration) -> Vec<(&'a str, String)> {
        let mut failed = Vec::new();
        for (i, batch) in part.chunks(BULK).enumerate() {
            if i > 0 {
                std::thread::sleep(rest);
            }
            let mut left: Vec<&(&str, String)> = batch.iter().collect();
            let mut why = BTreeMap::new();
            for round in 1..=3 {
                let ids: Vec<String> = left.iter().map(|(_, id)| id.clone()).collect();
                why = match self.kibana.toggle(enable, &ids) {
                    Ok(bulk) => bulk.failed,
                    Err(e) => ids.iter().map(|id| (id.clone(), e.to_string())).collect(),
                };
                left.retain(|(_, id)| why.contains_key(id));
                if left.is_empty() {
                    break;
                }
                std::thread::sleep(self.kibana.http().pause(round));
            }
            for (rule_id, id) in left {
                failed.push((*rule_id, why.remove(id).unwrap_or_default()));
            }
        }
        failed
    }

    /// Reads back what was written: planned once more, nothing may be left to do.
    fn verify<'a>(
        &self,
        touched: &[&'a Change],
        wanted: &BTreeMap<&str, &Wanted>,
    ) -> Vec<(&'a str, (Code, String))> {
        let mut open: Vec<&Change> = touched.to_vec();
        let mut wrong = Vec::new();
        for round in 1..=3 {
            if open.is_empty() {
                break;
            }
            if round > 1 {
                // searches may lag a moment behind writes
                std::thread::sleep(self.kibana.http().pause(round).max(Duration::from_millis(20)));
            }
            let ids: Vec<&str> =
                open.iter().map(|c| c.rule_id.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
            let live = match self.kibana.with_rule_ids(&ids) {
                Ok(live) => live,
                Err(e) => {
                    let why = format!("written, but not read back: {e}");
                    return open.iter().map(|c| (c.rule_id.as_str(), (Code::RP0908, why.clone()))).collect();
                }
            };
            let mut by_id: BTreeMap<&str, Vec<&Live>> = BTreeMap::new();
            for rule in &live {
                by_id.entry(rule.rule_id()).or_default().push(rule);
            }
            wrong = open
                .iter()
                .filter_map(|change| {
                    let there = by_id.get(change.rule_id.as_str()).map(Vec::as_slice).unwrap_or_default();
                    let why = self.difference(change, there, wanted.get(change.rule_id.as_str()).copied())?;
                    Some((*change, why))
                })
                .collect();
            open = wrong.iter().map(|(c, _)| *c).collect();
        }
        // the borrow of `touched` outlives this call, that of `open` does not
        touched
            .iter()
            .filter_map(|c| {
                let (_, why) = wrong.iter().find(|(w, _)| w.rule_id == c.rule_id)?;
                Some((c.rule_id.as_str(), (Code::RP0908, why.clone())))
            })
            .collect()
    }

    fn difference(&self, change: &Change, there: &[&Live], wanted: Option<&Wanted>) -> Option<String> {
        if change.kind == Kind::Delete {
            let id = change.live.as_ref().map_or("", Live::id);
            return there.iter().any(|l| l.id() == id).then(|| "deleted, but it is still there".to_owned());
        }
        if there.is_empty() {
            return Some("written, but it is not there".to_owned());
        }
        let now = plan_one(wanted?, there, self.settings);
        let fields: Vec<String> = now.fields.iter().map(|f| format!("`{}`", f.field)).collect();
        match now.kind {
            Kind::Same => None,
            Kind::Enable => Some("written, but it is switched off".to_owned()),
            Kind::Disable => Some("written, but it is switched on".to_owned()),
            _ if !fields.is_empty() => {
                Some(format!("written, but Kibana shows something else in {}", fields.join(", ")))
            }
            Kind::Conflict { reason, .. } => Some(format!("written, but {reason}")),
            _ => Some("written, but it reads back different".to_owned()),
        }
    }
}
