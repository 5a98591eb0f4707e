//! One query over documents: the types come from a mapping, the bundled catalogues or the data, and
//! the answer has the shape that Elasticsearch gives.

use super::events::{Body, Event, EventReader, Outcome};
use super::input::{self, InputFile};
use super::records;
use super::selection::{Admission, Recent, Selection};
use crate::es::{self, date};
use crate::lang::cloudtrail::{Converter, Needs};
use crate::lang::{Analysis, Language, Settings, Shape, analyze, eql};
use crate::plan::join::{KeyValue, Tuple};
use crate::plan::{Occurrence, Plan, Row, RunError, sequence};
use crate::schema::{Inference, Layer, Schema, Version, aws_cloudtrail, ecs};
use crate::value::{Access, Document, ProjectionBuilder, Scalar};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How often the items of a sequence or sample may match, a document counted for each item and key: they
/// are kept in memory, about a quarter of a kilobyte each.
pub const MAX_MATCHES: usize = 10_000_000;

/// Where documents come from; read twice when types must be looked for.
#[derive(Debug)]
pub enum Source {
    /// A file.
    File(InputFile),
    /// A text in memory: standard input.
    Text {
        /// What people call it.
        name: String,
        /// The bytes.
        text: Vec<u8>,
    },
}

/// Which types apply to documents without a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogs {
    /// The bundled catalogues for documents that say they are ECS.
    Auto,
    /// The bundled catalogues for every document.
    Always,
    /// None: all types come from the mapping and the data.
    Never,
}

/// A query and what it runs on.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its language.
    pub language: Language,
    /// Its text.
    pub text: &'a str,
    /// Fields from mappings, most specific first.
    pub mappings: Vec<Layer>,
    /// What the mappings leave open.
    pub catalogs: Catalogs,
    /// Clock, special fields.
    pub settings: Settings,
    /// The documents.
    pub sources: &'a [Source],
    /// How much of the answer is wanted.
    pub limits: Limits,
    /// Which of them count.
    pub selection: Selection,
}

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most results; `None` for the language's own default: 10 for EQL, all for others.
    pub size: Option<usize>,
    /// EQL: whether the last results count, rather than the first.
    pub tail: bool,
    /// EQL: the most samples of one join key.
    pub samples_per_key: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { size: None, tail: true, samples_per_key: 1 }
    }
}

/// What Elasticsearch returns of an EQL query unless it is told otherwise.
const EQL_SIZE: usize = 10;

/// Source, record, and event within the record.
pub(super) type Place = (usize, u64, usize);

/// A document that matches.
#[derive(Clone, Debug)]
pub struct Hit {
    /// `_id`, or the file and the record number.
    pub id: String,
    /// `_index`, if known.
    pub index: Option<String>,
    /// The document.
    pub source: Value,
    time: Option<date::Nanos>,
    tiebreaker: Option<Scalar>,
    place: Place,
}

/// A sequence or sample.
#[derive(Clone, Debug)]
pub struct Group {
    /// The join keys.
    pub keys: Vec<KeyValue>,
    /// The events; `None` for one that is missing, as it was asked to be.
    pub events: Vec<Option<Hit>>,
}

/// A record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// File and place.
    pub place: String,
    /// Why.
    pub message: String,
}

/// The answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// What is known of the query; with errors, nothing ran.
    pub analysis: Analysis,
    /// The matching documents within the limits: for EQL in time order, else in input order.
    pub hits: Vec<Hit>,
    /// The sequences or samples within the limits, in their order.
    pub groups: Vec<Group>,
    /// How many results there are without the limits; samples are not looked for beyond them.
    pub total: usize,
    /// How many open sequences were given up for want of room.
    pub forgotten: u64,
    /// How many documents were looked at.
    pub documents: u64,
    /// Documents outside of the span of time, the accounts or the regions that were asked for.
    pub outside: u64,
    /// CloudTrail records that had been found before and did not count again.
    pub duplicates: u64,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// A failure while running: no answer is given.
    pub failed: Option<RunError>,
}

/// The ECS version that documents without a mapping are typed by.
const ECS: Version = Version(9, 5, 0);
/// The newest AWS integration in the catalogue.
const AWS: Version = Version(8, 9, 0);

/// The schema of a query: mappings, then what the data shows, then the bundled catalogues.
pub fn schema(mappings: &[Layer], inferred: Option<Layer>, catalogs: bool) -> Schema {
    let mut layers = mappings.to_vec();
    layers.extend(inferred);
    if catalogs {
        layers.push(aws_cloudtrail().layer(AWS));
        layers.push(ecs().layer(ECS));
    }
    Schema::new(layers)
}

/// Runs a query over all documents.
pub fn run(request: &Request<'_>, bytes: &Arc<AtomicU64>) -> Answer {
    let converter = Converter::new(crate::lang::cloudtrail::Options::default());
    let schema = match look(request, &converter, bytes) {
        Ok(schema) => schema,
        Err(unread) => return Answer { unread, ..Answer::default() },
    };
    let analysis = analyze(request.language, request.text, &schema, &request.settings);
    let mut answer = Answer { analysis, ..Answer::default() };
    if answer.analysis.has_errors() {
        return answer;
    }
    let Some(plan) = answer.analysis.plan.clone() else { return answer };
    if answer.analysis.shape != Shape::Events {
        group(request, &plan, &converter, bytes, &mut answer);
        return answer;
    }
    evaluate(request, &plan, &converter, bytes, &mut answer);
    answer.total = answer.hits.len();
    let Limits { size, tail, .. } = request.limits;
    if request.language == Language::Eql {
        answer.hits.sort_by(|a, b| {
            a.time
                .cmp(&b.time)
                .then_with(|| tiebreak(&a.tiebreaker, &b.tiebreaker))
                .then(a.place.cmp(&b.place))
        });
        let window = eql::combine(size.unwrap_or(EQL_SIZE), tail, &answer.analysis.pipes);
        let range = window.of_events(answer.total);
        answer.hits = std::mem::take(&mut answer.hits).drain(range).collect();
    } else if let Some(size) = size {
        answer.hits.truncate(size);
    }
    answer
}

/// Finds sequences or samples. Of the documents only what matters for that is kept in memory; those of
/// the answer are read again at the end.
fn group(
    request: &Request<'_>,
    plan: &Plan,
    converter: &Converter,
    bytes: &Arc<AtomicU64>,
    answer: &mut Answer,
) {
    let mut found: Vec<(Place, Occurrence)> = Vec::new();
    let mut builder = ProjectionBuilder::default();
    let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
    let mut gate = Gate::new(&request.selection, &mut builder);
    let projection = builder.build();
    let mut bad = Vec::new();
    let mut matches = 0;
    let (documents, failed) = (&mut answer.documents, &mut answer.failed);
    answer.unread = each(request, converter, &Needs::all(), bytes, None, &mut |event, name, place| {
        let document = match event.project(&projection) {
            Ok(d) => d,
            Err(e) => {
                *documents += 1;
                bad.push(Unread { place: format!("{name}, record {}", place.1), message: e.to_string() });
                return;
            }
        };
        if !gate.admits(&document) {
            return;
        }
        *documents += 1;
        match plan.look(&Row { fields: &plan.fields, document: &document, slots: &slots }) {
            Ok(Some(_)) if gate.drops_copies(&event) && gate.repeats(&event, &id_of(&event, name, place)) => {
            }
            Ok(Some(occurrence)) if matches <= MAX_MATCHES => {
                matches += occurrence.weight();
                found.push((place, occurrence));
            }
            Ok(_) => {}
            Err(e) => {
                failed.get_or_insert(e);
            }
        }
    });
    answer.unread.extend(bad);
    (answer.outside, answer.duplicates) = (gate.outside, gate.duplicates);
    if matches > MAX_MATCHES {
        let message = format!("its items match more than {MAX_MATCHES} times; narrow them, or look at less");
        answer.failed.get_or_insert(RunError(message));
    }
    if answer.failed.is_some() {
        return;
    }
    let Limits { size, tail, samples_per_key } = request.limits;
    let size = size.unwrap_or(EQL_SIZE);
    // the sort keeps the input's order among equals
    let groups: Vec<(Tuple, Vec<Option<usize>>)> = match (plan.sequence(), plan.sample()) {
        (Some(sequence), _) => {
            found.sort_by(|(_, a), (_, b)| sequence::order(a, b));
            let (mut all, forgotten) = sequence.run(found.iter().map(|(_, o)| o));
            (answer.total, answer.forgotten) = (all.len(), forgotten);
            let range = eql::combine(size, tail, &answer.analysis.pipes).of_sequences(all.len());
            all.drain(range).map(|f| (f.key, f.events)).collect()
        }
        (None, Some(sample)) => {
            let matches = found.iter().enumerate().map(|(i, (_, o))| (i, o.matches.as_slice()));
            let all = sample.run(matches, samples_per_key, size);
            answer.total = all.len();
            all.into_iter().map(|s| (s.key, s.events.into_iter().map(Some).collect())).collect()
        }
        (None, None) => Vec::new(),
    };
    let place_of = |i: &usize| found.get(*i).map(|(place, _)| *place);
    let wanted: FxHashSet<Place> =
        groups.iter().flat_map(|(_, events)| events.iter().flatten().filter_map(place_of)).collect();
    let mut hits: FxHashMap<Place, Hit> = FxHashMap::default();
    if !wanted.is_empty() {
        let records: FxHashSet<(usize, u64)> = wanted.iter().map(|(s, r, _)| (*s, *r)).collect();
        each(request, converter, &Needs::all(), bytes, Some(&records), &mut |event, name, place| {
            if wanted.contains(&place) {
                hits.extend(hit(&event, name, place).map(|h| (place, h)));
            }
        });
    }
    let hit = |i: usize| place_of(&i).and_then(|place| hits.get(&place)).cloned();
    answer.groups = groups
        .into_iter()
        .map(|(key, events)| Group {
            keys: key.into_vec(),
            events: events.into_iter().map(|e| e.and_then(hit)).collect(),
        })
        .collect();
}

/// Which documents count, and what did not.
pub(super) struct Gate<'a> {
    selection: &'a Selection,
    /// `@timestamp`, `cloud.account.id` and `cloud.region`, where the selection asks for them.
    slots: Option<[usize; 3]>,
    recent: Recent,
    pub outside: u64,
    pub duplicates: u64,
}

impl<'a> Gate<'a> {
    pub fn new(selection: &'a Selection, builder: &mut ProjectionBuilder) -> Gate<'a> {
        let slots = selection.looks_at_events().then(|| {
            ["@timestamp", "cloud.account.id", "cloud.region"]
                .map(|p| builder.slot(&Access::Path(p.to_owned())))
        });
        Gate { selection, slots, recent: Recent::default(), outside: 0, duplicates: 0 }
    }

    /// Whether a document is within what was asked for.
    pub fn admits(&mut self, document: &Document) -> bool {
        let Some([time, account, region]) = self.slots else { return true };
        let first = |slot| document.cell(slot).values.first();
        let (account, region) = (first(account).map(Scalar::text), first(region).map(Scalar::text));
        let time = first(time).and_then(instant);
        let inside = self.selection.admits(time, account.as_deref(), region.as_deref()) == Admission::In;
        self.outside += u64::from(!inside);
        inside
    }

    /// Whether a second copy of such an event would not count.
    pub fn drops_copies(&self, event: &Event<'_>) -> bool {
        event.is_raw() && !self.selection.keep_duplicates
    }

    /// Whether an event is a CloudTrail record that came before and does not count again.
    pub fn repeats(&mut self, event: &Event<'_>, id: &str) -> bool {
        let repeats = self.drops_copies(event) && self.recent.seen(id);
        self.duplicates += u64::from(repeats);
        repeats
    }
}

/// The id of a document.
pub(super) fn id_of(event: &Event<'_>, name: &str, place: Place) -> String {
    event.id.clone().unwrap_or_else(|| id_in(&event.tree().unwrap_or_default(), name, place))
}

/// The id that a document names, or its place.
fn id_in(tree: &Value, name: &str, place: Place) -> String {
    let own = tree.pointer("/event/id").or_else(|| tree.get("_id")).and_then(Value::as_str);
    own.map_or_else(|| format!("{name}:{}", place.1), str::to_owned)
}

/// A document as the answer shows it.
fn hit(event: &Event<'_>, name: &str, place: Place) -> Option<Hit> {
    let source = event.tree().ok()?;
    let id = event.id.clone().unwrap_or_else(|| id_in(&source, name, place));
    Some(Hit { id, index: event.index.clone(), source, time: None, tiebreaker: None, place })
}

/// Missing tiebreakers sort last.
fn tiebreak(a: &Option<Scalar>, b: &Option<Scalar>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(Scalar::Int(x)), Some(Scalar::Int(y))) => x.cmp(y),
        (Some(x), Some(y)) => match (number(x), number(y)) {
            (Some(x), Some(y)) => x.partial_cmp(&y).unwrap_or(Ordering::Equal),
            _ => x.text().cmp(&y.text()),
        },
    }
}

fn number(s: &Scalar) -> Option<f64> {
    match s {
        Scalar::Int(i) => Some(*i as f64),
        Scalar::Float(f) => Some(*f),
        _ => None,
    }
}

/// Reads the documents, or those of some records only.
pub(super) fn each(
    request: &Request<'_>,
    converter: &Converter,
    needs: &Needs,
    bytes: &Arc<AtomicU64>,
    only: Option<&FxHashSet<(usize, u64)>>,
    take: &mut dyn FnMut(Event<'_>, &str, Place),
) -> Vec<Unread> {
    let unread = std::cell::RefCell::new(Vec::new());
    let reader =
        EventReader { converter, needs, prefilter: None, any_document: true, projection: None, form: None };
    for (number, source) in request.sources.iter().enumerate() {
        let (name, opened): (String, std::io::Result<Box<dyn std::io::Read + Send + '_>>) = match source {
            Source::File(file) => {
                (file.shown(), input::open(file, bytes).map(|r| -> Box<dyn std::io::Read + Send> { r }))
            }
            Source::Text { name, text } => (name.clone(), Ok(Box::new(text.as_slice()))),
        };
        let mut opened = match opened {
            Ok(r) => r,
            Err(e) => {
                unread.borrow_mut().push(Unread { place: name, message: input::reason(&e) });
                continue;
            }
        };
        records::split(
            &mut opened,
            &mut |record| {
                let wanted = only.is_none_or(|only| only.contains(&(number, record.number)));
                if !wanted || !request.selection.samples(record.text) {
                    return;
                }
                let mut within = 0;
                let at = || records::in_file(&name, &records::place(record.number, record.line));
                reader.read(&record, &mut Document::default(), &mut |outcome| match outcome {
                    Outcome::Event(event) => {
                        take(event, &name, (number, record.number, within));
                        within += 1;
                    }
                    Outcome::Broken(_, message) => {
                        unread.borrow_mut().push(Unread { place: at(), message });
                    }
                    Outcome::Dropped(_) | Outcome::Foreign => {}
                });
            },
            &mut |t| {
                let place = records::in_file(&name, &t.place());
                unread.borrow_mut().push(Unread { place, message: t.message() });
            },
        );
    }
    unread.into_inner()
}

fn instant(scalar: &Scalar) -> Option<date::Nanos> {
    match scalar {
        Scalar::Int(ms) => Some(date::from_millis(*ms)),
        other => date::parse_value(&other.text()),
    }
}

/// Looks through the documents for the types of fields that nothing else gives.
pub(super) fn look(
    request: &Request<'_>,
    converter: &Converter,
    bytes: &Arc<AtomicU64>,
) -> Result<Schema, Vec<Unread>> {
    let by_mapping = Schema::new(request.mappings.clone());
    let by_catalog = schema(&request.mappings, None, true);
    let mut catalogs = request.catalogs == Catalogs::Always;
    let mut inference = Inference::default();
    // converted records have only fields of the catalogue: the cheapest conversion tells that they are there
    each(request, converter, &Needs::of([]), bytes, None, &mut |event, _, _| {
        let tree = match event.body {
            Body::Tree(_) => {
                catalogs |= request.catalogs != Catalogs::Never;
                return;
            }
            Body::Text(text) => match serde_json::from_slice::<Value>(text) {
                Ok(tree) => tree,
                Err(_) => return,
            },
        };
        let covered = match request.catalogs {
            Catalogs::Always => true,
            Catalogs::Never => false,
            Catalogs::Auto => names_a_catalog(&tree),
        };
        catalogs |= covered;
        let known = if covered { &by_catalog } else { &by_mapping };
        inference.look(&tree, &|path, value| match known.resolve(path) {
            None => false,
            Some(r) => match Scalar::from_json(value) {
                Some(s) => {
                    r.field.origin == crate::schema::Origin::Mapping
                        || r.flattened_key.is_some()
                        || es::fits(r.field.ty(), &s)
                }
                None => value.is_object() && !r.field.kind().is_object(),
            },
        });
    });
    let inferred = inference.finish();
    let layer = (!inferred.is_empty()).then(|| Layer {
        fields: Arc::new(inferred),
        version: None,
        label: "the data".to_owned(),
    });
    Ok(schema(&request.mappings, layer, catalogs))
}

/// Whether a document says that it follows ECS.
fn names_a_catalog(tree: &Value) -> bool {
    let has = |path: &str| {
        tree.get(path).is_some() || {
            let mut at = tree;
            path.split('.').all(|part| match at.get(part) {
                Some(next) => {
                    at = next;
                    true
                }
                None => false,
            })
        }
    };
    ["ecs.version", "data_stream.dataset", "event.dataset", "aws.cloudtrail"].iter().any(|p| has(p))
}

fn evaluate(
    request: &Request<'_>,
    plan: &Plan,
    converter: &Converter,
    bytes: &Arc<AtomicU64>,
    answer: &mut Answer,
) {
    let mut builder = ProjectionBuilder::default();
    let time = builder.slot(&Access::Path(request.settings.timestamp_field.clone()));
    let tiebreaker =
        request.settings.tiebreaker_field.as_ref().map(|t| builder.slot(&Access::Path(t.clone())));
    let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
    let mut gate = Gate::new(&request.selection, &mut builder);
    let projection = builder.build();
    let mut failed = None;
    let mut hits = Vec::new();
    let mut documents = 0;
    let mut bad = Vec::new();
    answer.unread = each(request, converter, &Needs::all(), bytes, None, &mut |event, name, place| {
        let document = match event.project(&projection) {
            Ok(d) => d,
            Err(e) => {
                documents += 1;
                bad.push(Unread { place: format!("{name}, record {}", place.1), message: e.to_string() });
                return;
            }
        };
        if !gate.admits(&document) {
            return;
        }
        documents += 1;
        match plan.matches(&document, &slots) {
            Ok(false) => {}
            Err(e) => {
                failed.get_or_insert(e);
            }
            Ok(true) => {
                let Some(hit) = hit(&event, name, place) else { return };
                if gate.repeats(&event, &hit.id) {
                    return;
                }
                hits.push(Hit {
                    time: document.cell(time).values.first().and_then(instant),
                    tiebreaker: tiebreaker.and_then(|t| document.cell(t).values.first().cloned()),
                    ..hit
                });
            }
        }
    });
    answer.unread.extend(bad);
    answer.documents = documents;
    (answer.outside, answer.duplicates) = (gate.outside, gate.duplicates);
    answer.hits = hits;
    answer.failed = failed;
}
