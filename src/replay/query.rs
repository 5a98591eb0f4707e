//! One query over documents: the types come from a mapping, the bundled catalogues or the data, and
//! the answer has the shape that Elasticsearch gives.

use super::events::{Body, Event, EventReader, Outcome};
use super::input::{self, InputFile};
use super::records;
use super::selection::{Admission, Recent, Selection};
use crate::es::{self, date};
use crate::lang::cloudtrail::{Converter, Needs};
use crate::lang::{Analysis, Language, Settings, Shape, analyze};
use crate::plan::{Plan, RunError};
use crate::schema::{Inference, Layer, Schema, Version, aws_cloudtrail, ecs};
use crate::value::{Access, ProjectionBuilder, Scalar};
use serde_json::Value;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
    /// Which of them count.
    pub selection: Selection,
}

/// Source, record, and event within the record.
type Place = (usize, u64, usize);

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
    /// The matching documents: for EQL in time order, else in input order.
    pub hits: Vec<Hit>,
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
    if answer.analysis.shape != Shape::Events {
        return answer;
    }
    let Some(plan) = answer.analysis.plan.clone() else { return answer };
    evaluate(request, &plan, &converter, bytes, &mut answer);
    if request.language == Language::Eql {
        answer.hits.sort_by(|a, b| {
            a.time
                .cmp(&b.time)
                .then_with(|| tiebreak(&a.tiebreaker, &b.tiebreaker))
                .then(a.place.cmp(&b.place))
        });
    }
    answer
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

fn each(
    request: &Request<'_>,
    converter: &Converter,
    needs: &Needs,
    bytes: &Arc<AtomicU64>,
    take: &mut dyn FnMut(Event<'_>, &str, Place),
) -> Vec<Unread> {
    let unread = std::cell::RefCell::new(Vec::new());
    let reader = EventReader { converter, needs, prefilter: None, any_document: true };
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
                if !request.selection.samples(record.text) {
                    return;
                }
                let mut within = 0;
                let at = || records::in_file(&name, &records::place(record.number, record.line));
                reader.read(&record, &mut |outcome| match outcome {
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
fn look(request: &Request<'_>, converter: &Converter, bytes: &Arc<AtomicU64>) -> Result<Schema, Vec<Unread>> {
    let by_mapping = Schema::new(request.mappings.clone());
    let by_catalog = schema(&request.mappings, None, true);
    let mut catalogs = request.catalogs == Catalogs::Always;
    let mut inference = Inference::default();
    // converted records have only fields of the catalogue: the cheapest conversion tells that they are there
    each(request, converter, &Needs::of([]), bytes, &mut |event, _, _| {
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
    let place_slots = request.selection.looks_at_events().then(|| {
        ["@timestamp", "cloud.account.id", "cloud.region"].map(|p| builder.slot(&Access::Path(p.to_owned())))
    });
    let projection = builder.build();
    let mut recent = Recent::default();
    let mut failed = None;
    let mut hits = Vec::new();
    let mut documents = 0;
    let (mut outside, mut duplicates) = (0, 0);
    let mut bad = Vec::new();
    answer.unread = each(request, converter, &Needs::all(), bytes, &mut |event, name, place| {
        let document = match event.project(&projection) {
            Ok(d) => d,
            Err(e) => {
                documents += 1;
                bad.push(Unread { place: format!("{name}, record {}", place.1), message: e.to_string() });
                return;
            }
        };
        if let Some([time, account, region]) = place_slots {
            let first = |slot| document.cell(slot).values.first();
            let (account, region) = (first(account).map(Scalar::text), first(region).map(Scalar::text));
            let time = first(time).and_then(instant);
            if request.selection.admits(time, account.as_deref(), region.as_deref()) != Admission::In {
                outside += 1;
                return;
            }
        }
        documents += 1;
        match plan.matches(&document, &slots) {
            Ok(false) => {}
            Err(e) => {
                failed.get_or_insert(e);
            }
            Ok(true) => {
                let Ok(source) = event.tree() else { return };
                let own = source.pointer("/event/id").or_else(|| source.get("_id")).and_then(Value::as_str);
                let id = event
                    .id
                    .clone()
                    .or_else(|| own.map(str::to_owned))
                    .unwrap_or_else(|| format!("{name}:{}", place.1));
                if event.is_raw() && !request.selection.keep_duplicates && recent.seen(&id) {
                    duplicates += 1;
                    return;
                }
                hits.push(Hit {
                    id,
                    index: event.index.clone(),
                    source,
                    time: document.cell(time).values.first().and_then(instant),
                    tiebreaker: tiebreaker.and_then(|t| document.cell(t).values.first().cloned()),
                    place,
                });
            }
        }
    });
    answer.unread.extend(bad);
    answer.documents = documents;
    (answer.outside, answer.duplicates) = (outside, duplicates);
    answer.hits = hits;
    answer.failed = failed;
}
