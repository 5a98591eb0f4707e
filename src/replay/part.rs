//! What came of the records of a file, or of a batch of them, and how parts become one: in the order of the
//! input, so that the answer does not depend on threads.

use super::engine::{Alert, Bound, Engine, Problem, ProblemKind, Report, raw_instant};
use super::events::Form;
use super::members::{MAX_MEMBERS, Members};
use super::newterms::NewTerms;
use super::records::{Trouble, TroubleAt};
use crate::diag::Code;
use crate::es::date::Nanos;
use crate::plan::table::Run;
use crate::value::Document;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How many problems of a kind one file lists; the rest is counted.
const LISTED: usize = 20;

/// What one file gave, or a batch of its records.
pub(super) struct Part<'e> {
    pub report: Report,
    pub new_terms: Vec<Option<NewTerms<Alert>>>,
    /// For each rule over several events, those that play a part.
    pub members: Vec<Members>,
    pub seen: Vec<FxHashSet<usize>>,
    /// First and last `eventTime` of records that were dropped, as text: UTC texts of one form sort by time.
    pub raw_times: Option<(Vec<u8>, Vec<u8>)>,
    pub last_index: Option<Option<String>>,
    /// How often each CloudTrail record that matched was read, by its id.
    pub raw_ids: FxHashMap<String, u32>,
    /// The name of the file, once somebody has to remember it.
    pub name: Option<Arc<str>>,
    /// The evaluation time that history is measured from, where one is given.
    pub at: Option<Nanos>,
    /// The evaluation time that is given.
    pub now: Option<Nanos>,
    /// When one of the runs of every rule is, where that is known.
    pub anchor: Option<Nanos>,
    /// The rules over tables at work.
    pub tables: Vec<Option<Run<'e>>>,
    /// The file that is read.
    pub file: Arc<str>,
}

impl<'e> Part<'e> {
    pub fn new(engine: &'e Engine, counts: &[Arc<AtomicU64>]) -> Part<'e> {
        let n = engine.rules.len();
        Part {
            report: Report { looked_at: vec![0; n], in_index: vec![false; n], ..Report::default() },
            new_terms: engine
                .bound
                .iter()
                .map(|b| b.new_terms.as_ref().map(|(_, history)| NewTerms::new(*history)))
                .collect(),
            members: counts.iter().map(|c| Members::new(Arc::clone(c), MAX_MEMBERS)).collect(),
            seen: vec![FxHashSet::default(); n],
            raw_times: None,
            last_index: None,
            raw_ids: FxHashMap::default(),
            name: None,
            at: None,
            now: None,
            anchor: None,
            tables: engine.rules.iter().map(|r| r.plan.table().map(|p| Run::new(p, 0))).collect(),
            file: "".into(),
        }
    }

    pub fn problem(&mut self, kind: ProblemKind, code: Code, file: &str, place: String, message: String) {
        let count = self.report.problem_counts.entry(kind).or_default();
        *count += 1;
        if *count <= LISTED as u64 {
            self.report.problems.push(Problem { file: file.to_owned(), place, message, kind, code });
        }
    }

    pub fn trouble(&mut self, file: &str, t: &TroubleAt) {
        let kind = match &t.trouble {
            Trouble::NoRecord | Trouble::TooLong => ProblemKind::Record,
            Trouble::Io(_) | Trouble::Unfinished => ProblemKind::Truncated,
        };
        self.problem(kind, t.code(), file, t.place(), t.message());
    }

    /// Not one event among the records is no answer about the rules.
    pub fn check_shape(&mut self, shape: Option<Form>, first: impl FnOnce() -> String) {
        if self.report.records > 0 && self.report.foreign == self.report.records {
            let message = match shape {
                None => "no record is CloudTrail or an ECS document".to_owned(),
                Some(form) => format!("no record has the shape `{}`", form.profile.name()),
            };
            self.problem(ProblemKind::Shape, Code::RP0012, &first(), String::new(), message);
        }
    }

    pub fn note_fields(&mut self, rule: usize, bound: &Bound, document: &Document) {
        let Some(seen) = self.seen.get_mut(rule) else { return };
        if seen.len() == bound.slots.len() {
            return;
        }
        for (i, slot) in bound.slots.iter().enumerate() {
            if !document.cell(*slot).values.is_empty() {
                seen.insert(i);
            }
        }
    }

    /// Takes in what came of a batch of the same file.
    pub fn join(&mut self, mut batch: Part<'e>) {
        let listed = |kind| self.report.problem_counts.get(&kind).map_or(0, |n| *n as usize);
        let mut room: FxHashMap<ProblemKind, usize> = FxHashMap::default();
        batch.report.problems.retain(|problem| {
            let room =
                room.entry(problem.kind).or_insert_with(|| LISTED.saturating_sub(listed(problem.kind)));
            let fits = *room > 0;
            *room = room.saturating_sub(1);
            fits
        });
        self.absorb(batch);
    }

    pub fn absorb(&mut self, other: Part<'e>) {
        let (mine, theirs) = (&mut self.report, other.report);
        mine.alerts.extend(theirs.alerts);
        mine.records += theirs.records;
        mine.foreign += theirs.foreign;
        mine.conversion_errors += theirs.conversion_errors;
        mine.outside += theirs.outside;
        for (id, n) in other.raw_ids {
            *self.raw_ids.entry(id).or_default() += n;
        }
        let raw = other.raw_times.and_then(|(from, to)| Some((raw_instant(&from)?, raw_instant(&to)?)));
        for times in [theirs.times, raw].into_iter().flatten() {
            let (from, to) = mine.times.unwrap_or(times);
            mine.times = Some((from.min(times.0), to.max(times.1)));
        }
        mine.problems.extend(theirs.problems);
        for (kind, n) in theirs.problem_counts {
            *mine.problem_counts.entry(kind).or_default() += n;
        }
        for (a, b) in mine.looked_at.iter_mut().zip(theirs.looked_at) {
            *a += b;
        }
        for (a, b) in mine.in_index.iter_mut().zip(theirs.in_index) {
            *a |= b;
        }
        for (a, b) in self.new_terms.iter_mut().zip(other.new_terms) {
            if let (Some(a), Some(b)) = (a, b) {
                a.absorb(b);
            }
        }
        for (a, b) in self.members.iter_mut().zip(other.members) {
            a.absorb(b);
        }
        for (a, b) in self.tables.iter_mut().zip(other.tables) {
            if let (Some(a), Some(b)) = (a, b) {
                a.merge(b);
            }
        }
        for (a, b) in self.seen.iter_mut().zip(other.seen) {
            a.extend(b);
        }
    }
}
