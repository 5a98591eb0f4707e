//! The engine: all rules over all records in one pass, files in parallel, memory independent of their
//! size.

use super::batches::{ALONE, Batch, Batches, PAUSE};
use super::decision::Decision;
use super::events::{CLOUDTRAIL_INDEX, Event, EventReader, Outcome};
use super::input::{self, InputFile, Listing};
use super::layout::Layout;
use super::members::Member;
use super::newterms::{combinations, distinct};
use super::part::Part;
use super::prefilter::{Need, Prefilter};
use super::records::{self, Record};
use super::selection::{Admission, Selection};
use crate::diag::Code;
use crate::es::date::{self, Nanos};
use crate::lang::cloudtrail::{Converter, Needs};
use crate::plan::table::{EventRef, Meta, OutputColumn, Pipeline, Required, TableRow, What};
use crate::plan::{FieldId, Occurrence, Plan, Pred, Row, RunError, Stage, Trace, trace};
use crate::value::{Access, Datum, Document, Projection, ProjectionBuilder, Scalar};
use globset::{GlobBuilder, GlobMatcher};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
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

/// The index patterns of a rule: those of its query where that has some.
fn patterns(rule: &crate::lang::rule::Rule, plan: &Plan) -> Vec<String> {
    match plan.table() {
        Some(pipeline) => pipeline.patterns.iter().map(|p| p.to_string()).collect(),
        None => rule.index().into_iter().map(str::to_owned).collect(),
    }
}

/// The plan as it runs over everything at once: nothing is cut. Gives how many rows the query's own
/// limit lets through.
fn whole(plan: Plan) -> (Plan, Option<u64>) {
    let Plan { fields, mut stages } = plan;
    let mut least = None;
    for stage in &mut stages {
        if let Stage::Table(pipeline) = stage {
            let (uncut, limit) = std::mem::take(pipeline.as_mut()).without_limits();
            **pipeline = uncut;
            least = limit.map(|n| n as u64);
        }
    }
    (Plan { fields, stages }, least)
}

impl RunRule {
    /// The rule to run of a compiled one; `None` where it has no plan.
    pub fn of(compiled: &crate::pack::CompiledRule) -> Option<RunRule> {
        Some(RunRule::with_plan(compiled, compiled.plan.clone()?))
    }

    /// The same with another plan.
    pub(super) fn with_plan(compiled: &crate::pack::CompiledRule, plan: Plan) -> RunRule {
        let rule = &compiled.rule;
        let (plan, limit) = whole(plan);
        let max_signals = rule.json().get("max_signals").and_then(serde_json::Value::as_u64).unwrap_or(100);
        RunRule {
            id: rule.rule_id().to_owned(),
            title: rule.title().to_owned(),
            name: rule.name.clone(),
            file: rule.file().to_owned(),
            severity: rule.severity().to_owned(),
            query: rule.query.as_ref().map_or_else(|| "".into(), |q| q.text().into()),
            index: patterns(rule, &plan),
            plan,
            max_signals: limit.map_or(max_signals, |n| n.min(max_signals)),
        }
    }
}

/// One value or clause that made a rule match.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The event that it is about, by its place in [`Alert::events`]; [`usize::MAX`] where it is about all of them.
    pub event: usize,
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
    /// `@timestamp` of its event, or of the last of them, in nanoseconds since the epoch.
    pub time: Option<Nanos>,
    /// The ids of its events; several for a sequence or sample, in its order, and for a threshold, in order of time.
    pub events: Vec<String>,
    /// New-terms fields, join keys or the fields of a threshold, and their values.
    pub group: Vec<(String, String)>,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// The file that its event, or the last of them, stands in.
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
    /// What it is to a rule over several events, where the rule looks at it.
    pub part: Option<Occurrence>,
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
    pub(super) rules: Vec<RunRule>,
    pub(super) bound: Vec<Bound>,
    projection: Projection,
    needs: Needs,
    prefilter: Option<Prefilter>,
    layout: Layout,
    action_slot: usize,
    actor_slot: usize,
    time_slot: usize,
    id_slot: usize,
    /// Where an event lacks the first, it has what is in the second.
    fallbacks: Vec<(usize, usize)>,
    stream_slots: [usize; 4],
    dispatch: FxHashMap<Box<str>, Vec<usize>>,
    /// Rules by what an event's action begins with.
    prefixes: Vec<(Box<str>, usize)>,
    always: Vec<usize>,
    converter: Converter,
    selection: Selection,
    /// `cloud.account.id` and `cloud.region`, where the selection asks for them.
    place_slots: Option<[usize; 2]>,
}

#[derive(Debug)]
pub(super) struct Bound {
    pub slots: Vec<usize>,
    index: Vec<GlobMatcher>,
    excluded: Vec<GlobMatcher>,
    pub new_terms: Option<(Vec<FieldId>, Nanos)>,
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
        Engine::laid_out(rules, converter, selection, Layout::ecs())
    }

    /// The same for events of some shape.
    pub fn laid_out(
        rules: Vec<RunRule>,
        converter: Converter,
        selection: Selection,
        layout: Layout,
    ) -> Engine {
        let mut builder = ProjectionBuilder::default();
        let path = |p: &str| Access::Path(p.to_owned());
        let action_slot = builder.slot(&path(layout.action));
        let actor_slot = builder.slot(&path(layout.actor));
        let time_slot = builder.slot(&path(layout.time));
        let id_slot = builder.slot(&path(layout.id));
        let mut fallbacks: Vec<(usize, usize)> = layout
            .fallbacks
            .iter()
            .map(|(empty, from)| (builder.slot(&path(empty)), builder.slot(&path(from))))
            .collect();
        let stream_slots =
            ["data_stream.type", "data_stream.dataset", "event.dataset", "data_stream.namespace"]
                .map(|name| builder.slot(&path(name)));
        let place_slots = selection
            .looks_at_events()
            .then(|| [layout.account.0, layout.region].map(|name| builder.slot(&path(name))));
        if let (Some([account, _]), Some(other)) = (place_slots, layout.account.1) {
            fallbacks.push((account, builder.slot(&path(other))));
        }
        let mut bound = Vec::with_capacity(rules.len());
        let mut dispatch: FxHashMap<Box<str>, Vec<usize>> = FxHashMap::default();
        let mut prefixes = Vec::new();
        let mut always = Vec::new();
        let mut wanted = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            let slots = rule.plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
            let new_terms = rule.plan.stages.iter().find_map(|s| match s {
                Stage::NewTerms { fields, history } => Some((fields.clone(), *history)),
                _ => None,
            });
            // a set of texts of which a field must hold one
            let required = |name: &str| match rule.plan.table() {
                Some(pipeline) => pipeline.required(&rule.plan.fields, name),
                None => rule.plan.required_values(name).map(|exact| Required { exact, prefixes: Vec::new() }),
            };
            match required(layout.action) {
                Some(names) => {
                    let agents =
                        required("user_agent.name").filter(|r| r.prefixes.is_empty()).map(|r| r.exact);
                    wanted.push(Need { names: names.clone(), agents });
                    names.exact.into_iter().for_each(|v| dispatch.entry(v).or_default().push(i));
                    prefixes.extend(names.prefixes.into_iter().map(|p| (p, i)));
                }
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
        // it reads records as they are converted to ECS
        let prefilter = (always.is_empty() && layout.form.is_none()).then(|| Prefilter::new(wanted));
        let projection = builder.build();
        let needs = Needs::of(projection.slots().iter().map(Access::path));
        Engine {
            rules,
            bound,
            projection,
            needs,
            prefilter,
            layout,
            action_slot,
            actor_slot,
            time_slot,
            id_slot,
            fallbacks,
            stream_slots,
            dispatch,
            prefixes,
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
        self.prefixes.clear();
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
        let counts = self.counts();
        let mut total = Part::new(self, &counts);
        for (path, why) in listing.failed.into_iter().chain(earlier.failed) {
            let file = path.display().to_string();
            total.problem(ProblemKind::Unreadable, Code::RP0001, &file, String::new(), why);
        }
        total.report.skipped_files = listing.skipped;
        total.report.pruned = listing.pruned;
        let work: Vec<(&InputFile, bool)> =
            listing.files.iter().map(|f| (f, false)).chain(earlier.files.iter().map(|f| (f, true))).collect();
        // with files for all threads, none of them has to be divided
        let shared = work.len() < rayon::current_num_threads();
        // parts are merged in the order of the files, so that the answer never depends on threads
        let parts: Vec<Part<'_>> =
            work.par_iter().map(|(file, past)| self.file(file, *past, bytes, (&counts, shared))).collect();
        for part in parts {
            total.absorb(part);
        }
        total.report.files = listing.files.len();
        total.check_shape(self.layout.form, || {
            listing.files.first().map(InputFile::shown).unwrap_or_default()
        });
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
        let counts = self.counts();
        let mut total = Part::new(self, &counts);
        let given = at;
        self.read_texts(events, false, &mut total, (None, given), &counts);
        let at = at.or(total.report.times.map(|(_, last)| last));
        self.read_texts(history, true, &mut total, (at, given), &counts);
        total.now = given;
        total.anchor = at;
        total.check_shape(self.layout.form, || {
            events.first().map(|(name, _)| (*name).to_owned()).unwrap_or_default()
        });
        self.finish(total)
    }

    fn read_texts<'e>(
        &'e self,
        texts: &[(&str, &[u8])],
        past: bool,
        total: &mut Part<'e>,
        (at, now): (Option<Nanos>, Option<Nanos>),
        counts: &[Arc<AtomicU64>],
    ) {
        for (name, text) in texts {
            let mut part = Part::new(self, counts);
            part.at = at;
            part.now = now;
            let mut reader = *text;
            self.read(&mut reader, name, past, &mut part, (counts, true));
            total.absorb(part);
            total.report.files += 1;
        }
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
            projection: Some(&self.projection),
            form: self.layout.form,
        };
        let mut one = |mut event: Event<'_>, record: &Record<'_>| {
            let Some(document) = event.document.take() else { return };
            self.fallbacks.iter().for_each(|(empty, from)| document.fill(*empty, *from));
            let document = &*document;
            let event = &event;
            let row = Row { fields: &run.plan.fields, document, slots: &bound.slots };
            let index = event.index.clone().or_else(|| self.data_stream(document));
            let terms = bound.new_terms.iter().flat_map(|(fields, _)| {
                let columns: Vec<_> = fields.iter().map(|f| distinct(&row.cell(*f).values)).collect();
                combinations(&columns, MAX_TERMS)
            });
            let outside = index.clone().filter(|i| !bound.covers(i));
            let part = run.plan.look(&row).ok().flatten().filter(|_| outside.is_none());
            take(Examined {
                id: self.id_of(event, document, name, record),
                file: name.to_owned(),
                time: document.cell(self.time_slot).values.first().and_then(instant),
                outside,
                decision: match run.plan.table() {
                    Some(pipeline) => {
                        let id = event.id.clone().unwrap_or_default();
                        let meta = Meta {
                            id: &id,
                            index: index.as_deref().unwrap_or(CLOUDTRAIL_INDEX),
                            source: &|| event.tree().ok().map(|t| t.to_string()),
                        };
                        let time = document.cell(self.time_slot).values.first().and_then(instant);
                        super::decision::table(run, pipeline, &row, &meta, time.unwrap_or(0))
                    }
                    None => super::decision::decide(run, &row),
                },
                terms: terms.collect(),
                part,
            });
        };
        let mut cells = Document::default();
        records::split(
            reader,
            &mut |record| {
                events.read(&record, &mut cells, &mut |outcome| {
                    if let Outcome::Event(event) = outcome {
                        one(event, &record);
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

    /// For each rule over several events, how many of them all parts of a run hold.
    fn counts(&self) -> Vec<Arc<AtomicU64>> {
        self.rules.iter().map(|_| Arc::default()).collect()
    }

    fn file(
        &self,
        file: &InputFile,
        past: bool,
        bytes: &Arc<AtomicU64>,
        sharing: (&[Arc<AtomicU64>], bool),
    ) -> Part<'_> {
        let mut part = Part::new(self, sharing.0);
        let name = file.shown();
        match input::open(file, bytes) {
            Err(e) => {
                let why = input::reason(&e);
                part.problem(ProblemKind::Unreadable, Code::RP0001, &name, String::new(), why);
            }
            Ok(mut reader) => self.read(&mut reader, &name, past, &mut part, sharing),
        }
        part
    }

    /// Reads a text. If it may be `shared` and turns out to be long, what follows is divided between the threads, in
    /// batches of whole records; their parts are merged in the order of the text.
    fn read<'e>(
        &'e self,
        reader: &mut dyn std::io::Read,
        name: &str,
        past: bool,
        part: &mut Part<'e>,
        (counts, shared): (&[Arc<AtomicU64>], bool),
    ) {
        part.file = name.into();
        let threads = rayon::current_num_threads();
        let (at, now) = (part.at, part.now);
        let batches = Batches::new();
        let work = |number: usize, batch: &Batch| {
            let mut part = Part::new(self, counts);
            (part.at, part.now, part.file) = (at, now, name.into());
            let mut reading = Reading::new(self, name, past);
            batch.records().for_each(|record| reading.record(&record, &mut part));
            batches.done(number, part);
        };
        let mut alone = Reading::new(self, name, past);
        let (mut batch, mut bytes) = (Batch::default(), 0);
        let part = std::cell::RefCell::new(part);
        rayon::in_place_scope(|scope| {
            let mut record = |record: Record<'_>| {
                let mut part = part.borrow_mut();
                bytes += record.text.len();
                if !shared || threads < 2 || bytes < ALONE {
                    return alone.record(&record, &mut part);
                }
                batch.push(&record);
                if !batch.is_full() {
                    return;
                }
                let full = std::mem::take(&mut batch);
                let (work, number) = (&work, batches.begin());
                scope.spawn(move |_| work(number, &full));
                batches.take_ready(|ready| part.join(ready));
                // whoever reads waits for the others, and helps them: memory does not grow with the text
                while batches.held() > 2 * threads {
                    if rayon::yield_now() != Some(rayon::Yield::Executed) {
                        std::thread::sleep(PAUSE);
                    }
                    batches.take_ready(|ready| part.join(ready));
                }
            };
            records::split(reader, &mut record, &mut |t| part.borrow_mut().trouble(name, &t));
        });
        let part = part.into_inner();
        batches.take_ready(|ready| part.join(ready));
        batch.records().for_each(|record| alone.record(&record, part));
    }

    fn outcome(
        &self,
        outcome: Outcome<'_>,
        record: &Record<'_>,
        name: &str,
        past: bool,
        part: &mut Part<'_>,
    ) {
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
            Outcome::Event(mut event) => {
                let Some(document) = event.document.take() else { return };
                self.fallbacks.iter().for_each(|(empty, from)| document.fill(*empty, *from));
                self.event(&event, document, record, name, past, part);
            }
        }
    }

    fn event(
        &self,
        event: &Event<'_>,
        document: &Document,
        record: &Record<'_>,
        name: &str,
        mut past: bool,
        part: &mut Part<'_>,
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
            let action = action.text();
            if let Some(rules) = self.dispatch.get(action.as_ref()) {
                candidates.extend(rules);
            }
            candidates
                .extend(self.prefixes.iter().filter(|(p, _)| action.starts_with(p.as_ref())).map(|(_, r)| r));
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
            let failed = |RunError(why), part: &mut Part<'_>| {
                let message = format!("{} failed: {why}", rule.name);
                let at = records::place(record.number, record.line);
                part.problem(ProblemKind::Rule, Code::RP0011, name, at, message);
            };
            let first = |slot| document.cell(slot).values.first().map(|v| v.text().into_owned());
            if let Some(pipeline) = rule.plan.table() {
                // filters and exceptions are asked at the source, before the pipeline
                match rule.plan.matches(document, &bound.slots) {
                    Ok(true) if !past => {
                        let seen = Seen { event, index: index.as_deref(), time, record, name };
                        self.table(r, pipeline, &row, &seen, part);
                    }
                    Ok(_) => {}
                    Err(e) => failed(e, part),
                }
                continue;
            }
            if rule.plan.is_grouped() {
                match rule.plan.look(&row) {
                    Err(e) => failed(e, part),
                    Ok(Some(occurrence)) if !past => {
                        let id = self.id_of(event, document, name, record);
                        count_raw(&mut matched, event, &id, part);
                        let member = Member {
                            occurrence,
                            id,
                            raw: event.is_raw(),
                            time,
                            file: Arc::clone(part.name.get_or_insert_with(|| name.into())),
                            document: document.select(&bound.slots),
                            action: first(self.action_slot),
                            actor: first(self.actor_slot),
                        };
                        if let Some(members) = part.members.get_mut(r) {
                            members.push(member);
                        }
                    }
                    Ok(_) => {}
                }
                continue;
            }
            match rule.plan.matches(document, &bound.slots) {
                Ok(false) => {}
                Err(e) => failed(e, part),
                Ok(true) => {
                    let id = self.id_of(event, document, name, record);
                    if !past {
                        count_raw(&mut matched, event, &id, part);
                    }
                    let alert = || Alert {
                        rule: r,
                        time,
                        events: vec![id.clone()],
                        group: Vec::new(),
                        evidence: evidence(rule, rule.plan.filter(), &row, 0),
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

    /// Feeds an event to a rule over tables. Where each row goes on its own, the rows are alerts at once.
    fn table<'e>(
        &self,
        r: usize,
        pipeline: &Pipeline,
        row: &Row<'_>,
        seen: &Seen<'_, '_>,
        part: &mut Part<'e>,
    ) {
        let Seen { event, index, time, record, name } = *seen;
        let id = std::cell::OnceCell::new();
        let id = || id.get_or_init(|| self.id_of(event, row.document, name, record)).clone();
        let source = || event.tree().ok().map(|t| t.to_string());
        // the document's own id is a search hit's; a converted record has that of its event
        let wants_id = pipeline.source.iter().any(|c| c.what == What::Id);
        let own = if wants_id { event.id.clone().unwrap_or_else(id) } else { String::new() };
        let meta = Meta { id: &own, index: index.unwrap_or(CLOUDTRAIL_INDEX), source: &source };
        let now = part.now.or(time).unwrap_or(0);
        let file = Arc::clone(&part.file);
        let Some(Some(run)) = part.tables.get_mut(r) else { return };
        // without a given time, a run is taken to happen when the event comes
        run.set_now(now);
        run.feed_event(pipeline.load(row, &meta), &mut || {
            Some(Arc::new(EventRef { id: id(), time, file: Arc::clone(&file) }))
        });
        if !pipeline.is_row_wise() {
            return;
        }
        let rows = run.take_rows();
        if rows.is_empty() {
            return;
        }
        let evidence = match self.rules.get(r) {
            Some(rule) => table_evidence(rule, pipeline, row, &meta, now),
            None => Vec::new(),
        };
        for row in apart(pipeline, rows) {
            let mut alert = row_alert(r, pipeline, &row);
            alert.evidence.clone_from(&evidence);
            part.report.alerts.push(alert);
        }
    }

    /// Notes which rules look at an index; asked anew only when the index changes.
    fn note_index(&self, index: Option<&str>, part: &mut Part<'_>) {
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
        if self.layout.form.is_some() {
            return None;
        }
        let [kind, dataset, event_dataset, namespace] =
            self.stream_slots.map(|slot| document.cell(slot).values.first().map(Scalar::text));
        let dataset = dataset.or(event_dataset)?;
        let (kind, namespace) = (kind.unwrap_or("logs".into()), namespace.unwrap_or("default".into()));
        Some(format!("{kind}-{dataset}-{namespace}"))
    }

    fn finish(&self, total: Part<'_>) -> Report {
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
        // a test runs its rule after the last event; for how long a rule of a replay has run nobody knows
        let anchor = total.anchor.unwrap_or(0);
        for (r, (rule, members)) in self.rules.iter().zip(total.members).enumerate() {
            if rule.plan.is_grouped() {
                let (alerts, trouble) = members.alerts(r, rule, self.selection.keep_duplicates, anchor);
                report.alerts.extend(alerts);
                for message in trouble {
                    *report.problem_counts.entry(ProblemKind::Rule).or_default() += 1;
                    let (file, place) = (rule.file.clone(), String::new());
                    let kind = ProblemKind::Rule;
                    report.problems.push(Problem { file, place, message, kind, code: Code::RP0011 });
                }
            }
        }
        let now = total.now.or(report.times.map(|(_, last)| last)).unwrap_or(0);
        for (r, (run, rule)) in total.tables.into_iter().zip(&self.rules).enumerate() {
            let (Some(mut run), Some(pipeline)) = (run, rule.plan.table()) else { continue };
            run.set_now(now);
            let finished = run.finish();
            for prompt in finished.warnings.prompts() {
                *report.problem_counts.entry(ProblemKind::Rule).or_default() += 1;
                let message = format!("`COMPLETION` has no answer to the prompt `{prompt}`");
                let (file, place, kind) = (rule.file.clone(), String::new(), ProblemKind::Rule);
                report.problems.push(Problem { file, place, message, kind, code: Code::RP9001 });
            }
            let rows = finished.rows;
            let rows = if pipeline.aggregates { rows } else { apart(pipeline, rows) };
            report.alerts.extend(rows.iter().map(|row| row_alert(r, pipeline, row)));
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

/// Counts a CloudTrail record that some rule wants, once for all of its rules.
fn count_raw(counted: &mut bool, event: &Event<'_>, id: &str, part: &mut Part<'_>) {
    if event.is_raw() && !std::mem::replace(counted, true) {
        *part.raw_ids.entry(id.to_owned()).or_default() += 1;
    }
}

/// A text, or a batch of it, on its way through the rules.
struct Reading<'e> {
    engine: &'e Engine,
    events: EventReader<'e>,
    /// The cells of the event at hand.
    cells: Document,
    name: &'e str,
    past: bool,
}

impl<'e> Reading<'e> {
    fn new(engine: &'e Engine, name: &'e str, past: bool) -> Reading<'e> {
        let events = EventReader {
            converter: &engine.converter,
            needs: &engine.needs,
            prefilter: engine.prefilter.as_ref(),
            any_document: false,
            projection: Some(&engine.projection),
            form: engine.layout.form,
        };
        Reading { engine, events, cells: Document::default(), name, past }
    }

    fn record(&mut self, record: &Record<'_>, part: &mut Part<'_>) {
        let Reading { engine, events, cells, name, past } = self;
        if !*past && !engine.selection.samples(record.text) {
            return;
        }
        part.report.records += 1;
        events.read(record, cells, &mut |outcome| engine.outcome(outcome, record, name, *past, part));
    }
}

/// An event as a rule over tables meets it.
#[derive(Clone, Copy)]
struct Seen<'s, 'r> {
    event: &'s Event<'s>,
    index: Option<&'s str>,
    time: Option<Nanos>,
    record: &'s Record<'r>,
    name: &'s str,
}

/// The rows that are alerts of their own: rows of one document differ only by the values of expanded
/// columns that reach the answer.
fn apart(pipeline: &Pipeline, rows: Vec<TableRow>) -> Vec<TableRow> {
    let mut keys: FxHashMap<String, Vec<Vec<Datum>>> = FxHashMap::default();
    rows.into_iter()
        .filter(|row| {
            let Some(event) = row.events.first() else { return true };
            let values: Vec<Datum> = pipeline
                .expanded
                .iter()
                .map(|c| row.cells.get(c.slot).cloned().unwrap_or_default())
                .collect();
            let held = keys.entry(event.id.clone()).or_default();
            let new = !held.contains(&values);
            if new {
                held.push(values);
            }
            new
        })
        .collect()
}

/// The alert of a row.
fn row_alert(rule: usize, pipeline: &Pipeline, row: &TableRow) -> Alert {
    let text = |d: &Datum| {
        let texts: Vec<String> = d.values().iter().filter_map(crate::func::text).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    };
    let keys: &[OutputColumn] = if pipeline.aggregates { &pipeline.group } else { &pipeline.expanded };
    let group =
        keys.iter().filter_map(|c| Some((c.name.to_string(), text(row.cells.get(c.slot)?)?))).collect();
    // in order of time, whatever the order of the files
    let mut events: Vec<_> = row.events.iter().collect();
    events.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    Alert {
        rule,
        time: row.events.iter().filter_map(|e| e.time).max(),
        events: events.iter().map(|e| e.id.clone()).collect(),
        group,
        evidence: Vec::new(),
        file: events.last().map_or_else(String::new, |e| e.file.to_string()),
        action: None,
        actor: None,
    }
}

/// The conditions that were true, with what the event had.
fn table_evidence(
    rule: &RunRule,
    pipeline: &Pipeline,
    row: &Row<'_>,
    meta: &Meta<'_>,
    now: Nanos,
) -> Vec<Evidence> {
    let clauses = pipeline.trace(row, meta, now).into_iter().filter(|c| c.result);
    clauses
        .filter_map(|c| {
            let values = c
                .fields
                .iter()
                .filter_map(|id| Some((row.fields.get(*id)?.name.to_string(), row.cell(*id).values.clone())))
                .collect();
            Some(Evidence { event: 0, clause: c.span?.slice(&rule.query).to_owned(), values })
        })
        .collect()
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

pub(super) fn raw_instant(text: &[u8]) -> Option<Nanos> {
    date::parse_value(std::str::from_utf8(text).ok()?)
}

/// The clauses that were true and not negated, with what they looked at.
pub(super) fn evidence<'p>(
    rule: &RunRule,
    preds: impl IntoIterator<Item = &'p Pred>,
    row: &Row<'_>,
    event: usize,
) -> Vec<Evidence> {
    fn collect(t: &Trace<'_>, rule: &RunRule, event: usize, out: &mut Vec<Evidence>) {
        match t.pred {
            Pred::Not(_) | Pred::Const(_) => {}
            Pred::And(_) | Pred::Or(_) => {
                t.parts.iter().filter(|p| p.result).for_each(|p| collect(p, rule, event, out))
            }
            Pred::Named(name, _) => {
                out.push(Evidence { event, clause: name.to_string(), values: Vec::new() });
            }
            Pred::Leaf(crate::plan::Leaf { span, .. })
            | Pred::Script(crate::plan::Script { span, .. })
            | Pred::Nested(crate::plan::Nested { span, .. }) => {
                out.push(Evidence {
                    event,
                    clause: span.slice(&rule.query).to_owned(),
                    values: t.values.iter().map(|(n, v)| (n.to_string(), v.clone())).collect(),
                });
            }
        }
    }
    let mut out = Vec::new();
    for pred in preds {
        if let Ok(t) = trace(pred, row) {
            collect(&t, rule, event, &mut out);
        }
    }
    out
}
