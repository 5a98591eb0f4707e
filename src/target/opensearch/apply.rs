//! Applies a change set: each write names the state that it replaces, and what was written is read back.
//! One failure does not stop the rest, and a second run picks up where one was cut off.

use super::client::{Live, OpenSearch};
use super::plan::{Change, Kind, fields_of};
use crate::diag::Code;
use crate::target::http::{Failure, each};

/// A monitor that was not brought to where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The rule's name.
    pub name: String,
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
    /// How many monitors were written, deletions included, and read back equal.
    pub written: usize,
    /// What failed, in the order of the change set.
    pub failed: Vec<Failed>,
    /// The names of monitors that somebody changed after the plan: left alone.
    pub conflicts: Vec<String>,
}

/// How one write ended.
enum Done {
    Written,
    Conflict,
    Failed(Code, String),
}

/// Writes what the change set says.
pub fn apply(changes: &[Change], to: &OpenSearch) -> Applied {
    let mut out = Applied::default();
    let (moved, first): (Vec<&Change>, Vec<&Change>) =
        changes.iter().filter(|c| c.kind.writes()).partition(|c| c.kind == Kind::Moved);
    written(&first, to, &mut out);
    // as long as a monitor is missing or in doubt, the old ones go on alerting
    if out.failed.is_empty() && out.conflicts.is_empty() {
        written(&moved, to, &mut out);
    }
    out
}

fn written(work: &[&Change], to: &OpenSearch, out: &mut Applied) {
    let done = each(work, to.http().in_flight(), |change| one(change, to));
    for (change, done) in work.iter().zip(done) {
        match done {
            Done::Written => out.written += 1,
            Done::Conflict => out.conflicts.push(change.name.clone()),
            Done::Failed(code, message) => {
                let verb = change.kind.words().1;
                out.failed.push(Failed { name: change.name.clone(), verb, code, message });
            }
        }
    }
}

fn one(change: &Change, to: &OpenSearch) -> Done {
    let written = match (&change.kind, &change.live) {
        (Kind::Create, _) => to.create(&change.body).or_else(|e| found(change, e, to)),
        (Kind::Update, Some(live)) => to.update(live, &change.body).or_else(|e| found(change, e, to)),
        (Kind::Delete | Kind::Moved, Some(live)) => {
            return match to.monitor(&live.id) {
                Ok(Some(now)) if now.seq_no != live.seq_no || now.primary_term != live.primary_term => {
                    Done::Conflict
                }
                Ok(Some(_)) => match to.delete(&live.id) {
                    Ok(()) => Done::Written,
                    Err(e) => Done::Failed(Code::RP0907, e.to_string()),
                },
                Ok(None) => Done::Written,
                Err(e) => Done::Failed(Code::RP0907, e.to_string()),
            };
        }
        _ => return Done::Failed(Code::RP0907, "there is nothing to replace".to_owned()),
    };
    let live = match written {
        Ok(live) => live,
        Err(Failure::Refused { status: 409, .. }) => return Done::Conflict,
        Err(e) => return Done::Failed(Code::RP0907, e.to_string()),
    };
    match to.monitor(&live.id) {
        Ok(Some(now)) => match fields_of(&now.monitor, &change.body).as_slice() {
            [] => Done::Written,
            fields => Done::Failed(Code::RP0908, format!("it reads back with other {}", fields.join(", "))),
        },
        Ok(None) => Done::Failed(Code::RP0908, "it is not there when it is read back".to_owned()),
        Err(e) => Done::Failed(Code::RP0908, format!("it cannot be read back: {e}")),
    }
}

/// A write whose answer was lost may have happened: what is there tells.
fn found(change: &Change, e: Failure, to: &OpenSearch) -> Result<Live, Failure> {
    if !e.is_uncertain() {
        return Err(e);
    }
    let there = to.monitors()?.into_iter().find(|l| {
        l.mark().is_some_and(|m| m.rule_id == change.rule_id)
            && fields_of(&l.monitor, &change.body).is_empty()
    });
    there.ok_or(e)
}
