//! One ES|QL query over documents of named indices, or over plain input that answers to any name.

use super::query::{Catalogs, Gate, Request, Source, Unread, each, id_of, look, schema};
use super::selection::Selection;
use crate::lang::cloudtrail::{Converter, Needs, Options};
use crate::lang::{Analysis, Index, Language, Settings, analyze};
use crate::plan::Row;
use crate::plan::table::{Meta, OutputColumn, Run, TableRow};
use crate::schema::{Layer, Schema};
use crate::source::Source as Text;
use crate::value::{Datum, ProjectionBuilder};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A query and the tables that it may read.
#[derive(Debug)]
pub struct TableRequest<'a> {
    /// The query.
    pub text: &'a str,
    /// Fields from mappings, for an index or for all.
    pub mappings: Vec<(Option<String>, Layer)>,
    /// What the mappings leave open.
    pub catalogs: Catalogs,
    /// Clock and the like.
    pub settings: Settings,
    /// Indices by name, with their documents.
    pub indices: Vec<(String, Vec<Source>)>,
    /// Documents that answer to any name.
    pub plain: Vec<Source>,
    /// Which of the documents count.
    pub selection: Selection,
}

/// The answer.
#[derive(Debug, Default)]
pub struct TableAnswer {
    /// What is known of the query; with errors, nothing ran.
    pub analysis: Analysis,
    /// The columns.
    pub columns: Vec<OutputColumn>,
    /// The rows, by column.
    pub rows: Vec<Vec<Datum>>,
    /// What Elasticsearch would warn of.
    pub warnings: Vec<String>,
    /// How many documents were read.
    pub documents: u64,
    /// Documents outside of the span of time, the accounts or the regions that were asked for.
    pub outside: u64,
    /// CloudTrail records that had been read before and did not count again.
    pub duplicates: u64,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// The schemas of the named indices as far as mappings give them, for a check without documents.
pub fn mapped_indices(mappings: &[(Option<String>, Layer)]) -> Vec<Index> {
    let names: Vec<&String> = mappings.iter().filter_map(|(name, _)| name.as_ref()).collect();
    let names: BTreeSet<&String> = names.into_iter().collect();
    names
        .into_iter()
        .map(|name| Index { name: name.clone(), schema: Schema::new(layers_of(mappings, Some(name))) })
        .collect()
}

/// The layers that apply to an index, its own first; without a name, all of them.
fn layers_of(mappings: &[(Option<String>, Layer)], index: Option<&str>) -> Vec<Layer> {
    let own = mappings.iter().filter(|(n, _)| n.is_some() && (index.is_none() || n.as_deref() == index));
    let general = mappings.iter().filter(|(n, _)| n.is_none());
    own.chain(general).map(|(_, l)| l.clone()).collect()
}

/// Runs a query.
pub fn run(request: &TableRequest<'_>, bytes: &Arc<AtomicU64>) -> TableAnswer {
    let converter = Converter::new(Options::default());
    let mut answer = TableAnswer::default();
    let mut settings = request.settings.clone();
    let request_of = |sources| Request {
        language: Language::Esql,
        text: request.text,
        mappings: Vec::new(),
        catalogs: request.catalogs,
        settings: Settings::default(),
        sources,
        limits: super::query::Limits::default(),
        selection: request.selection.clone(),
    };
    for (name, sources) in &request.indices {
        let mut one = request_of(sources.as_slice());
        one.mappings = layers_of(&request.mappings, Some(name));
        match look(&one, &converter, bytes) {
            Ok(schema) => settings.indices.push(Index { name: name.clone(), schema }),
            Err(unread) => answer.unread.extend(unread),
        }
    }
    let general = if request.plain.is_empty() {
        schema(&layers_of(&request.mappings, None), None, request.catalogs == Catalogs::Always)
    } else {
        let mut one = request_of(request.plain.as_slice());
        one.mappings = layers_of(&request.mappings, None);
        match look(&one, &converter, bytes) {
            Ok(schema) => schema,
            Err(unread) => {
                answer.unread.extend(unread);
                return answer;
            }
        }
    };
    let tables: Vec<(&str, &[Source])> = if request.indices.is_empty() {
        vec![("", request.plain.as_slice())]
    } else {
        request.indices.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect()
    };
    answer.analysis = analyze(Language::Esql, request.text, &general, &settings);
    if answer.analysis.hidden_columns && !answer.analysis.has_errors() {
        for (_, sources) in &tables {
            each(&request_of(sources), &converter, &Needs::all(), bytes, None, &mut |event, _, _| {
                if let Ok(tree) = event.tree() {
                    leaves(&tree, &mut String::new(), &mut settings.seen);
                }
            });
        }
        answer.analysis = analyze(Language::Esql, request.text, &general, &settings);
    }
    let Some(plan) = answer.analysis.plan.clone() else { return answer };
    let Some(pipeline) = plan.table() else { return answer };
    let mut builder = ProjectionBuilder::default();
    let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
    let mut gate = Gate::new(&request.selection, &mut builder);
    let projection = builder.build();
    let mut run = Run::new(pipeline, settings.context.now);
    if pipeline.literal {
        run.feed(TableRow { cells: vec![Datum::Null; pipeline.slots], events: Vec::new() });
    } else {
        for (name, sources) in tables {
            if !name.is_empty()
                && !pipeline.indices.is_empty()
                && !pipeline.indices.iter().any(|i| i.as_ref() == name)
            {
                continue;
            }
            let mut bad = Vec::new();
            let documents = &mut answer.documents;
            let unread = each(
                &request_of(sources),
                &converter,
                &Needs::all(),
                bytes,
                None,
                &mut |event, file, place| match event.project(&projection) {
                    Err(e) => {
                        *documents += 1;
                        bad.push(Unread {
                            place: format!("{file}, record {}", place.1),
                            message: e.to_string(),
                        });
                    }
                    Ok(document) => {
                        if !gate.admits(&document) {
                            return;
                        }
                        *documents += 1;
                        let row = Row { fields: &plan.fields, document: &document, slots: &slots };
                        let id = id_of(&event, file, place);
                        if gate.repeats(&event, &id) {
                            return;
                        }
                        let index = if name.is_empty() {
                            event.index.clone().unwrap_or_else(|| "input".to_owned())
                        } else {
                            name.to_owned()
                        };
                        let meta = Meta {
                            id: &id,
                            index: &index,
                            source: &|| event.tree().ok().map(|t| t.to_string()),
                        };
                        run.feed(pipeline.load(&row, &meta));
                    }
                },
            );
            answer.unread.extend(unread);
            answer.unread.extend(bad);
        }
    }
    (answer.outside, answer.duplicates) = (gate.outside, gate.duplicates);
    let finished = run.finish();
    answer.columns.clone_from(&pipeline.output);
    answer.rows = finished
        .rows
        .into_iter()
        .map(|row| {
            pipeline.output.iter().map(|c| row.cells.get(c.slot).cloned().unwrap_or_default()).collect()
        })
        .collect();
    answer.warnings.clone_from(&answer.analysis.notes);
    answer.warnings.extend(finished.warnings.texts(&Text::new("query", request.text)));
    answer
}

/// The dotted names of what a document holds.
fn leaves(tree: &Value, path: &mut String, out: &mut BTreeSet<String>) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                let len = path.len();
                if len > 0 {
                    path.push('.');
                }
                path.push_str(key);
                leaves(value, path, out);
                path.truncate(len);
            }
        }
        Value::Array(items) => items.iter().for_each(|i| leaves(i, path, out)),
        Value::Null => {}
        _ => {
            if !out.contains(path.as_str()) {
                out.insert(path.clone());
            }
        }
    }
}
