//! The engine: all rules over all records in one pass, files in parallel, memory independent of their
//! size.

use super::decision::Decision;
use super::events::{CLOUDTRAIL_INDEX, Event, EventReader, Outcome};
use super::input::{self, InputFile, Listing};
use super::newterms::{NewTerms, combinations, distinct};
use super::prefilter::Prefilter;
use super::records::{self, Record, Trouble, TroubleAt};
use super::selection::{Admission, Selection};
use crate::diag::Code;
use crate::es::date::{self, Nanos};
use crate::lang::cloudtrail::{Converter, Needs};
use crate::plan::{FieldId, Plan, Pred, Row, RunError, Stage, Trace, trace};
use crate::value::{Access, Document, Projection, ProjectionBuilder, Scalar};
use globset::{GlobBuilder, GlobMatcher};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A rule that can run.
#[derive(Clone, Debug)]
pub struct RunRule {
    /// `rule_id`.
    pub id: String,
    /// The title.
    pub title: String,
    /// The path below the rules folder, without `.toml`.
    pub name: String,
    /// The path of its file.
    pub file: String,
    /// `low` to `critical`.
    pub severity: String,
    /// The text that the plan's spans point into.
    pub query: Arc<str>,
    /// What runs.
    pub plan: Plan,
    /// Its index patterns; none means any index.
    pub index: Vec<String>,
    /// The most alerts of one run.
    pub max_signals: u64,
}

impl RunRule {
    /// The rule to run of a compiled one; `None` where it has no plan.
    pub fn of(compiled: &crate::pack::CompiledRule) -> Option<RunRule> {
        let rule = &compiled.rule;
        Some(RunRule {
            id: rule.rule_id().to_owned(),
            title: rule.title().to_owned(),
            name: rule.name.clone(),
            file: rule.file().to_owned(),
            severity: rule.severity().to_owned(),
            query: rule.query.as_ref().map_or_else(|| "".into(), |q| q.text().into()),
            plan: compiled.plan.clone()?,
            index: rule.index().into_iter().map(str::to_owned).collect(),
            max_signals: rule.json().get("max_signals").and_then(serde_json::Value::as_u64).unwrap_or(100),
        })
    }
}

/// One value or clause that made a rule match.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The clause as the query has it.
    pub clause: String,
    /// The fields that it looked at, and what they held.
    pub values: Vec<(String, Vec<Scalar>)>,
}

/// What a rule would have raised.
#[derive(Clone, Debug)]
pub struct Alert {
    /// The rule's place in [`Engine::rules`].
    pub rule: usize,
    /// `@timestamp` of its event, in nanoseconds since the epoch.
    pub time: Option<Nanos>,
    /// The ids of its events.
    pub events: Vec<String>,
    /// New-terms fields and their values.
    pub group: Vec<(String, String)>,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// The file that its event stands in.
    pub file: String,
    /// `event.action` of its event.
    pub action: Option<String>,
    /// `user.name` of its event.
    pub actor: Option<String>,
}

/// How one rule saw one event.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The event's id.
    pub id: String,
    /// The file that it stands in.
    pub file: String,
    /// `@timestamp`, in nanoseconds since the epoch.
    pub time: Option<Nanos>,
    /// The event's index, when the rule does not look there.
    pub outside: Option<String>,
    /// The clauses and what they answered.
    pub decision: Decision,
    /// Its combinations of new terms.
    pub terms: Vec<super::newterms::Terms>,
}

/// Something that could not be read or run, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// `record 12`, `line 3`, or nothing.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// How it is counted.
    pub kind: ProblemKind,
    /// Its code.
    pub code: Code,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// The file could not be opened.
    Unreadable,
    /// The file was not read to its end.
    Truncated,
    /// A record could not be read.
    Record,
    /// A rule failed on a record.
    Rule,
    /// There were records, but not one was an event.
    Shape,
}

/// How many problems of a kind one file lists; the rest is counted.
const LISTED: usize = 20;

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// The alerts, by time.
    pub alerts: Vec<Alert>,
    /// Files read.
    pub files: usize,
    /// Files in folders that were left out by their names.
    pub skipped_files: usize,
    /// Records read.
    pub records: u64,
    /// Records that are neither CloudTrail nor ECS documents.
    pub foreign: u64,
    /// Records that were converted with an error.
    pub conversion_errors: u64,
    /// First and last `@timestamp` that was looked at.
    pub times: Option<(Nanos, Nanos)>,
    /// What went wrong; long lists are cut, see `problem_counts`.
    pub problems: Vec<Problem>,
    /// How many problems of each kind there were.
    pub problem_counts: BTreeMap<ProblemKind, u64>,
    /// Documents that each rule looked at after the prefilter and dispatch.
    pub looked_at: Vec<u64>,
    /// Per rule, the fields that it reads and no document it looked at had.
    pub unseen: Vec<Vec<String>>,
    /// Per rule, whether some document was in one of its indices.
    pub in_index: Vec<bool>,
    /// Files and folders that hold nothing of what was asked for, as their paths say.
    pub pruned: usize,
    /// Events outside of the span of time, the accounts or the regions that were asked for, less those that
    /// no rule could match, which are not looked at.
    pub outside: u64,
    /// Matching CloudTrail records that had been read before and did not count again.
    pub duplicates: u64,
}

impl Report {
    /// Whether everything was read and every rule ran.
    pub fn complete(&self) -> bool {
        self.problem_counts.is_empty()
    }
}

/// Rules bound to one projection.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<RunRule>,
    bound: Vec<Bound>,
    projection: Projection,
    needs: Needs,
    prefilter: Option<Prefilter>,
    action_slot: usize,
    actor_slot: usize,
    time_slot: usize,
    id_slot: usize,
    stream_slots: [usize; 4],
    dispatch: FxHashMap<Box<str>, Vec<usize>>,
    always: Vec<usize>,
    converter: Converter,
    selection: Selection,
    /// `cloud.account.id` and `cloud.region`, where the selection asks for them.
    place_slots: Option<[usize; 2]>,
}

#[derive(Debug)]
struct Bound {
    slots: Vec<usize>,
    index: Vec<GlobMatcher>,
    excluded: Vec<GlobMatcher>,
    new_terms: Option<(Vec<FieldId>, Nanos)>,
}

/// The most combinations of new terms that one event may give.
const MAX_TERMS: usize = 1_000;

impl Engine {
    /// Binds rules to a projection of the fields that they read.
    pub fn new(rules: Vec<RunRule>, converter: Converter) -> Engine {
        Engine::with(rules, converter, Selection::default())
    }

    /// The same for a part of the input. History is not cut at its beginning.
    pub fn with(rules: Vec<RunRule>, converter: Converter, selection: Selection) -> Engine {
        let mut builder = ProjectionBuilder::default();
        let path = |p: &str| Access::Path(p.to_owned());
        let action_slot = builder.slot(&path("event.action"));
        let actor_slot = builder.slot(&path("user.name"));
        let time_slot = builder.slot(&path("@timestamp"));
        let id_slot = builder.slot(&path("event.id"));
        let stream_slots =
            ["data_stream.type", "data_stream.dataset", "event.dataset", "data_stream.namespace"]
                .map(|name| builder.slot(&path(name)));
        let place_slots = selection
            .looks_at_events()
            .then(|| ["cloud.account.id", "cloud.region"].map(|name| builder.slot(&path(name))));
        let mut bound = Vec::with_capacity(rules.len());
        let mut dispatch: FxHashMap<Box<str>, Vec<usize>> = FxHashMap::default();
        let mut always = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            let slots = rule.plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
            let new_terms = rule.plan.stages.iter().find_map(|s| match s {
                Stage::NewTerms { fields, history } => Some((fields.clone(), *history)),
                Stage::Filter(_) => None,
            });
            let required =
                rule.plan.filter().find_map(|p| p.required_values(&rule.plan.fields, "event.action"));
            match required {
                Some(values) => values.into_iter().for_each(|v| dispatch.entry(v).or_default().push(i)),
                None => always.push(i),
            }
            let globs = |negated: bool| {
                rule.index
                    .iter()
                    .filter_map(|p| match p.strip_prefix('-') {
                        Some(p) if negated => Some(p),
                        None if !negated => Some(p.as_str()),
                        _ => None,
                    })
                    .filter_map(glob)
                    .collect()
            };
            bound.push(Bound { slots, index: globs(false), excluded: globs(true), new_terms });
        }
        let prefilter = always.is_empty().then(|| Prefilter::new(dispatch.keys().map(AsRef::as_ref)));
        let projection = builder.build();
        let needs = Needs::of(projection.slots().iter().map(Access::path));
        Engine {
            rules,
            bound,
            projection,
            needs,
            prefilter,
            action_slot,
            actor_slot,
            time_slot,
            id_slot,
            stream_slots,
            dispatch,
            always,
            converter,
            selection,
            place_slots,
        }
    }

    /// The longest history of a rule: so much before the selection is read.
    fn longest_history(&self) -> Nanos {
        self.bound.iter().filter_map(|b| b.new_terms.as_ref()).map(|(_, history)| *history).max().unwrap_or(0)
    }

    /// How many bytes there are to read, for a progress display.
    pub fn size(&self, paths: &[PathBuf], history: &[PathBuf]) -> u64 {
        let (listing, earlier) = self.listings(paths, history);
        listing.files.iter().chain(&earlier.files).map(|f| f.size).sum()
    }

    fn listings(&self, paths: &[PathBuf], history: &[PathBuf]) -> (Listing, Listing) {
        let past = Selection { since: None, ..self.selection.clone() };
        (
            input::list_selected(paths, &self.selection, self.longest_history()),
            input::list_selected(history, &past, 0),
        )
    }

    /// Without prefilter and dispatch: every rule looks at every record, the whole of it is converted.
    /// The slow way, for comparison.
    pub fn without_shortcuts(mut self) -> Engine {
        self.prefilter = None;
        self.dispatch.clear();
        self.always = (0..self.rules.len()).collect();
        self.needs = Needs::all();
        self
    }

    /// The rules, in the order that alerts refer to.
    pub fn rules(&self) -> &[RunRule] {
        &self.rules
    }

    /// Runs all rules over files. Every record of `history` counts as seen by new-terms rules and alerts
    /// nothing. `bytes` counts what was read from disk, for a progress display.
    pub fn run(&self, paths: &[PathBuf], history: &[PathBuf], bytes: &Arc<AtomicU64>) -> Report {
        let (listing, earlier) = self.listings(paths, history);
        let mut total = Part::new(self);
        for (path, why) in listing.failed.into_iter().chain(earlier.failed) {
            let file = path.display().to_string();
            total.problem(ProblemKind::Unreadable, Code::RP0001, &file, String::new(), why);
        }
        total.report.skipped_files = listing.skipped;
        total.report.pruned = listing.pruned;
        let work: Vec<(&InputFile, bool)> =
            listing.files.iter().map(|f| (f, false)).chain(earlier.files.iter().map(|f| (f, true))).collect();
        // parts are merged in the order of the files, so that the answer never depends on threads
        let parts: Vec<Part> = work.par_iter().map(|(file, past)| self.file(file, *past, bytes)).collect();
        for part in parts {
            total.absorb(part);
        }
        total.report.files = listing.files.len();
        total.check_shape(|| listing.files.first().map(InputFile::shown).unwrap_or_default());
        self.finish(total)
    }

    /// Runs all rules over records that are already in memory: `events`, and `history` before them. `at`
    /// is the evaluation time, by default that of the last event: history that is older than a new-terms
    /// rule's window, counted from there, is not seen.
    pub fn run_texts(
        &self,
        events: &[(&str, &[u8])],
        history: &[(&str, &[u8])],
        at: Option<Nanos>,
    ) -> Report {
        let mut total = Part::new(self);
        let read = |texts: &[(&str, &[u8])], past: bool, total: &mut Part, at: Option<Nanos>| {
            for (name, text) in texts {
                let mut part = Part::new(self);
                part.at = at;
                let mut reader = *text;
                self.read(&mut reader, name, past, &mut part);
                total.absorb(part);
                total.report.files += 1;
            }
        };
        read(events, false, &mut total, None);
        let at = at.or(total.report.times.map(|(_, last)| last));
        read(history, true, &mut total, at);
        total.check_shape(|| events.first().map(|(name, _)| (*name).to_owned()).unwrap_or_default());
        self.finish(total)
    }

    /// Looks at every event of some texts through the eyes of one rule, shortcuts aside.
    pub fn examine(&self, rule: usize, texts: &[(&str, &[u8])]) -> Vec<Examined> {
        let mut out = Vec::new();
        for (name, text) in texts {
            let mut reader = *text;
            self.examine_reader(rule, name, &mut reader, &mut |e| out.push(e));
        }
        out
    }

    /// Looks at every event that a reader gives through the eyes of one rule, shortcuts aside.
    pub fn examine_reader(
        &self,
        rule: usize,
        name: &str,
        reader: &mut dyn std::io::Read,
        take: &mut dyn FnMut(Examined),
    ) {
        let (Some(run), Some(bound)) = (self.rules.get(rule), self.bound.get(rule)) else { return };
        let events = EventReader {
            converter: &self.converter,
            needs: &self.needs,
            prefilter: None,
            any_document: false,
        };
        let mut one = |event: &Event<'_>, record: &Record<'_>| {
            let Ok(document) = event.project(&self.projection) else { return };
            let row = Row { fields: &run.plan.fields, document: &document, slots: &bound.slots };
            let index = event.index.clone().or_else(|| self.data_stream(&document));
            let terms = bound.new_terms.iter().flat_map(|(fields, _)| {
                let columns: Vec<_> = fields.iter().map(|f| distinct(&row.cell(*f).values)).collect();
                combinations(&columns, MAX_TERMS)
            });
            take(Examined {
                id: self.id_of(event, &document, name, record),
                file: name.to_owned(),
                time: document.cell(self.time_slot).values.first().and_then(instant),
                outside: index.filter(|i| !bound.covers(i)),
                decision: super::decision::decide(run, &row),
                terms: terms.collect(),
            });
        };
        records::split(
            reader,
            &mut |record| {
                events.read(&record, &mut |outcome| {
                    if let Outcome::Event(event) = outcome {
                        one(&event, &record);
                    }
                });
            },
            // what cannot be read cannot be explained; `replay` reports it
            &mut |_| {},
        );
    }

    fn id_of(&self, event: &Event<'_>, document: &Document, name: &str, record: &Record<'_>) -> String {
        let own = document.cell(self.id_slot).values.first().map(|v| v.text().into_owned());
        own.or_else(|| event.id.clone()).unwrap_or_else(|| format!("{name}:{}", record.number))
    }

    /// The history of a new-terms rule, in nanoseconds.
    pub fn history(&self, rule: usize) -> Option<Nanos> {
        self.bound.get(rule)?.new_terms.as_ref().map(|(_, history)| *history)
    }

    /// The names of a rule's new-terms fields.
    pub fn new_terms_fields(&self, rule: usize) -> Vec<String> {
        let (Some(run), Some(bound)) = (self.rules.get(rule), self.bound.get(rule)) else {
            return Vec::new();
        };
        let fields = bound.new_terms.iter().flat_map(|(fields, _)| fields);
        fields.filter_map(|f| run.plan.fields.get(*f)).map(|f| f.name.to_string()).collect()
    }

    fn file(&self, file: &InputFile, past: bool, bytes: &Arc<AtomicU64>) -> Part {
        let mut part = Part::new(self);
        let name = file.shown();
        match input::open(file, bytes) {
            Err(e) => {
                let why = input::reason(&e);
                part.problem(ProblemKind::Unreadable, Code::RP0001, &name, String::new(), why);
            }
            Ok(mut reader) => self.read(&mut reader, &name, past, &mut part),
        }
        part
    }

    fn read(&self, reader: &mut dyn std::io::Read, name: &str, past: bool, part: &mut Part) {
        let events = EventReader {
            converter: &self.converter,
            needs: &self.needs,
            prefilter: self.prefilter.as_ref(),
            any_document: false,
        };
        let cell = std::cell::RefCell::new(part);
        records::split(
            reader,
            &mut |record| {
                if !past && !self.selection.samples(record.text) {
                    return;
                }
                let mut part = cell.borrow_mut();
                part.report.records += 1;
                events.read(&record, &mut |outcome| self.outcome(outcome, &record, name, past, &mut part));
            },
            &mut |t| cell.borrow_mut().trouble(name, &t),
        );
    }

    fn outcome(&self, outcome: Outcome<'_>, record: &Record<'_>, name: &str, past: bool, part: &mut Part) {
        match outcome {
            Outcome::Dropped(text) => {
                self.note_index(Some(CLOUDTRAIL_INDEX), part);
                if let Some(time) = event_time(text)
                    && (self.place_slots.is_none()
                        || self.selection.admits(raw_instant(time), None, None) == Admission::In)
                {
                    part.raw_times = Some(match part.raw_times.take() {
                        None => (time.to_vec(), time.to_vec()),
                        Some((from, to)) if time < from.as_slice() => (time.to_vec(), to),
                        Some((from, to)) if time > to.as_slice() => (from, time.to_vec()),
                        held => held.unwrap_or_default(),
                    });
                }
            }
            Outcome::Foreign => part.report.foreign += 1,
            Outcome::Broken(code, why) => {
                part.problem(
                    ProblemKind::Record,
                    code,
                    name,
                    records::place(record.number, record.line),
                    why,
                );
            }
            Outcome::Event(event) => match event.project(&self.projection) {
                Err(e) => {
                    let at = records::place(record.number, record.line);
                    part.problem(ProblemKind::Record, Code::RP0009, name, at, e.to_string());
                }
                Ok(document) => self.event(&event, &document, record, name, past, part),
            },
        }
    }

    fn event(
        &self,
        event: &Event<'_>,
        document: &Document,
        record: &Record<'_>,
        name: &str,
        mut past: bool,
        part: &mut Part,
    ) {
        let time = document.cell(self.time_slot).values.first().and_then(instant);
        if let Some([account, region]) = self.place_slots {
            let text = |slot| document.cell(slot).values.first().map(Scalar::text);
            match self.selection.admits(time, text(account).as_deref(), text(region).as_deref()) {
                Admission::In => {}
                Admission::Early => {
                    part.report.outside += u64::from(!past);
                    past = true;
                }
                Admission::Out => {
                    part.report.outside += 1;
                    return;
                }
            }
        }
        if !event.errors.is_empty() {
            part.report.conversion_errors += 1;
        }
        if let Some(t) = time.filter(|_| !past || self.place_slots.is_none()) {
            let (from, to) = part.report.times.unwrap_or((t, t));
            part.report.times = Some((from.min(t), to.max(t)));
        }
        let index = event.index.clone().or_else(|| self.data_stream(document));
        let actions = &document.cell(self.action_slot).values;
        let mut candidates: Vec<usize> = self.always.clone();
        for action in actions {
            if let Some(rules) = self.dispatch.get(action.text().as_ref()) {
                candidates.extend(rules);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        self.note_index(index.as_deref(), part);
        let mut matched = false;
        for r in candidates {
            let (Some(rule), Some(bound)) = (self.rules.get(r), self.bound.get(r)) else { continue };
            if index.as_deref().is_some_and(|i| !bound.covers(i)) {
                continue;
            }
            if let Some(n) = part.report.looked_at.get_mut(r) {
                *n += 1;
            }
            part.note_fields(r, bound, document);
            let row = Row { fields: &rule.plan.fields, document, slots: &bound.slots };
            let hit = rule.plan.matches(document, &bound.slots);
            match hit {
                Ok(false) => {}
                Err(RunError(why)) => {
                    let message = format!("{} failed: {why}", rule.name);
                    let at = records::place(record.number, record.line);
                    part.problem(ProblemKind::Rule, Code::RP0011, name, at, message);
                }
                Ok(true) => {
                    let id = self.id_of(event, document, name, record);
                    if !std::mem::replace(&mut matched, true) && !past && event.is_raw() {
                        *part.raw_ids.entry(id.clone()).or_default() += 1;
                    }
                    let first = |slot| document.cell(slot).values.first().map(|v| v.text().into_owned());
                    let alert = || Alert {
                        rule: r,
                        time,
                        events: vec![id.clone()],
                        group: Vec::new(),
                        evidence: evidence(rule, &row),
                        file: name.to_owned(),
                        action: first(self.action_slot),
                        actor: first(self.actor_slot),
                    };
                    match &bound.new_terms {
                        None if past => {}
                        None => part.report.alerts.push(alert()),
                        Some((_, history))
                            if past && part.at.is_some_and(|at| time.is_some_and(|t| t < at - history)) => {}
                        Some((fields, _)) => {
                            let columns: Vec<_> =
                                fields.iter().map(|f| distinct(&row.cell(*f).values)).collect();
                            for terms in combinations(&columns, MAX_TERMS) {
                                let made = (!past).then(alert);
                                let at = time.unwrap_or(0);
                                if let Some(Some(state)) = part.new_terms.get_mut(r) {
                                    state.see(terms, at, id.clone(), made);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Notes which rules look at an index; asked anew only when the index changes.
    fn note_index(&self, index: Option<&str>, part: &mut Part) {
        if part.last_index.as_ref().is_some_and(|last| last.as_deref() == index) {
            return;
        }
        for (bound, flag) in self.bound.iter().zip(&mut part.report.in_index) {
            *flag |= index.is_none_or(|i| bound.covers(i));
        }
        part.last_index = Some(index.map(str::to_owned));
    }

    /// `type-dataset-namespace` of a document that names its data stream.
    fn data_stream(&self, document: &Document) -> Option<String> {
        let [kind, dataset, event_dataset, namespace] =
            self.stream_slots.map(|slot| document.cell(slot).values.first().map(Scalar::text));
        let dataset = dataset.or(event_dataset)?;
        let (kind, namespace) = (kind.unwrap_or("logs".into()), namespace.unwrap_or("default".into()));
        Some(format!("{kind}-{dataset}-{namespace}"))
    }

    fn finish(&self, total: Part) -> Report {
        let mut report = total.report;
        for (r, state) in total.new_terms.into_iter().enumerate() {
            let (Some(state), Some(rule), Some(bound)) = (state, self.rules.get(r), self.bound.get(r)) else {
                continue;
            };
            let Some((fields, _)) = &bound.new_terms else { continue };
            for (terms, mut alert) in state.finish() {
                let names =
                    fields.iter().filter_map(|f| rule.plan.fields.get(*f)).map(|f| f.name.to_string());
                alert.group = names.zip(terms.iter().map(ToString::to_string)).collect();
                report.alerts.push(alert);
            }
        }
        let name = |r: usize| self.rules.get(r).map_or("", |r| r.name.as_str());
        report.alerts.sort_by(|a, b| {
            (a.time, name(a.rule), &a.events, &a.group, &a.file).cmp(&(
                b.time,
                name(b.rule),
                &b.events,
                &b.group,
                &b.file,
            ))
        });
        if !self.selection.keep_duplicates {
            // the first copy counts; by the order above it does not depend on threads which one that is
            report.duplicates = total.raw_ids.values().map(|n| u64::from(n.saturating_sub(1))).sum();
            report.alerts.dedup_by(|later, earlier| {
                let copy = |id: &String| total.raw_ids.get(id).is_some_and(|n| *n > 1);
                (later.rule, &later.events, &later.group) == (earlier.rule, &earlier.events, &earlier.group)
                    && later.time == earlier.time
                    && later.events.iter().all(copy)
            });
        }
        report.problems.sort();
        report.unseen = self
            .rules
            .iter()
            .enumerate()
            .map(|(r, rule)| {
                let looked = report.looked_at.get(r).copied().unwrap_or(0) > 0;
                let seen = total.seen.get(r);
                let names = rule.plan.fields.iter().enumerate().filter(|(i, f)| {
                    let constant = f.types.iter().any(|t| t.constant.is_some());
                    looked && !constant && seen.is_none_or(|s| !s.contains(i))
                });
                names.map(|(_, f)| f.name.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
            })
            .collect();
        report
    }
}

impl Bound {
    fn covers(&self, index: &str) -> bool {
        let hit = |globs: &[GlobMatcher]| globs.iter().any(|g| g.is_match(index));
        (self.index.is_empty() || hit(&self.index)) && !hit(&self.excluded)
    }
}

/// An index pattern, its remote cluster left out: where a copy of the data lies is not our concern.
fn glob(pattern: &str) -> Option<GlobMatcher> {
    let local = pattern.rsplit(':').next().unwrap_or(pattern);
    let escaped: String = local
        .chars()
        .flat_map(|c| if matches!(c, '[' | ']' | '{' | '}' | '?' | '!') { vec!['\\', c] } else { vec![c] })
        .collect();
    GlobBuilder::new(&escaped).backslash_escape(true).build().ok().map(|g| g.compile_matcher())
}

fn instant(scalar: &Scalar) -> Option<Nanos> {
    match scalar {
        Scalar::Int(ms) => Some(date::from_millis(*ms)),
        other => date::parse_value(&other.text()),
    }
}

/// The `eventTime` of a raw record, where it is written as CloudTrail does: `2026-01-31T12:00:00Z`.
fn event_time(text: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"\"eventTime\":";
    let at = memchr::memmem::find(text, KEY)? + KEY.len();
    let value = text.get(at..)?.trim_ascii_start().strip_prefix(b"\"")?.get(..20)?;
    (value.last() == Some(&b'Z')).then_some(value)
}

fn raw_instant(text: &[u8]) -> Option<Nanos> {
    date::parse_value(std::str::from_utf8(text).ok()?)
}

/// The clauses that were true and not negated, with what they looked at.
fn evidence(rule: &RunRule, row: &Row<'_>) -> Vec<Evidence> {
    fn collect(t: &Trace<'_>, rule: &RunRule, out: &mut Vec<Evidence>) {
        match t.pred {
            Pred::Not(_) | Pred::Const(_) => {}
            Pred::And(_) | Pred::Or(_) => {
                t.parts.iter().filter(|p| p.result).for_each(|p| collect(p, rule, out))
            }
            Pred::Leaf(crate::plan::Leaf { span, .. }) | Pred::Script(crate::plan::Script { span, .. }) => {
                out.push(Evidence {
                    clause: span.slice(&rule.query).to_owned(),
                    values: t.values.iter().map(|(n, v)| (n.to_string(), v.clone())).collect(),
                });
            }
        }
    }
    let mut out = Vec::new();
    for pred in rule.plan.filter() {
        if let Ok(t) = trace(pred, row) {
            collect(&t, rule, &mut out);
        }
    }
    out
}

/// What one file gave.
struct Part {
    report: Report,
    new_terms: Vec<Option<NewTerms<Alert>>>,
    seen: Vec<FxHashSet<usize>>,
    /// First and last `eventTime` of records that were dropped, as text: UTC texts of one form sort by time.
    raw_times: Option<(Vec<u8>, Vec<u8>)>,
    last_index: Option<Option<String>>,
    /// How often each CloudTrail record that matched was read, by its id.
    raw_ids: FxHashMap<String, u32>,
    /// The evaluation time that history is measured from, where one is given.
    at: Option<Nanos>,
}

impl Part {
    fn new(engine: &Engine) -> Part {
        let n = engine.rules.len();
        Part {
            report: Report { looked_at: vec![0; n], in_index: vec![false; n], ..Report::default() },
            new_terms: engine
                .bound
                .iter()
                .map(|b| b.new_terms.as_ref().map(|(_, history)| NewTerms::new(*history)))
                .collect(),
            seen: vec![FxHashSet::default(); n],
            raw_times: None,
            last_index: None,
            raw_ids: FxHashMap::default(),
            at: None,
        }
    }

    fn problem(&mut self, kind: ProblemKind, code: Code, file: &str, place: String, message: String) {
        let count = self.report.problem_counts.entry(kind).or_default();
        *count += 1;
        if *count <= LISTED as u64 {
            self.report.problems.push(Problem { file: file.to_owned(), place, message, kind, code });
        }
    }

    fn trouble(&mut self, file: &str, t: &TroubleAt) {
        let kind = match &t.trouble {
            Trouble::NoRecord | Trouble::TooLong => ProblemKind::Record,
            Trouble::Io(_) | Trouble::Unfinished => ProblemKind::Truncated,
        };
        self.problem(kind, t.code(), file, t.place(), t.message());
    }

    /// Not one event among the records is no answer about the rules.
    fn check_shape(&mut self, first: impl FnOnce() -> String) {
        if self.report.records > 0 && self.report.foreign == self.report.records {
            let message = "no record is CloudTrail or an ECS document".to_owned();
            self.problem(ProblemKind::Shape, Code::RP0012, &first(), String::new(), message);
        }
    }

    fn note_fields(&mut self, rule: usize, bound: &Bound, document: &Document) {
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

    fn absorb(&mut self, other: Part) {
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
        for (a, b) in self.seen.iter_mut().zip(other.seen) {
            a.extend(b);
        }
    }
}
