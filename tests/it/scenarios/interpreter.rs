//! The interpreter's side of a scenario.

use super::set::{Language, Outcome};
use rulepack::diag::Severity;
use rulepack::es::Context;
use rulepack::lang::{self, Settings, dsl};
use rulepack::plan::join::KeyValue;
use rulepack::plan::threshold::Window;
use rulepack::plan::{Plan, PlanField, PlanFields, Row, Stage, Threshold};
use rulepack::replay::Selection;
use rulepack::replay::query::{Catalogs, Limits, Request, Source, run};
use rulepack::replay::table::{self, TableRequest};
use rulepack::schema::{FieldType, Kind, Layer, Schema, Version, parse_mapping};
use rulepack::source::Span;
use rulepack::value::{Access, ProjectionBuilder};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// An index of the interpreter.
pub struct Index {
    layer: Layer,
    text: Vec<u8>,
    documents: Vec<(String, Value)>,
}

impl Index {
    pub fn new(properties: &Value, documents: &[(String, Value)]) -> Index {
        let fields = parse_mapping(&json!({ "properties": properties }).to_string()).unwrap();
        let mut text = Vec::new();
        for (id, source) in documents {
            let hit = json!({ "_id": id, "_index": "docs", "_source": source });
            text.extend_from_slice(hit.to_string().as_bytes());
            text.push(b'\n');
        }
        let layer = Layer { fields: Arc::new(fields), version: None, label: "the mapping".to_owned() };
        Index { layer, text, documents: documents.to_vec() }
    }

    /// The fields as they are checked.
    pub fn schema(&self) -> Schema {
        Schema::new(vec![self.layer.clone()])
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source::Text { name: "docs".to_owned(), text: self.text.clone() }]
    }

    /// Runs a query.
    pub fn answer(&self, language: Language, query: &str) -> Outcome {
        match language {
            Language::Dsl => self.dsl(query),
            Language::Esql => self.esql(query),
            Language::Threshold => self.threshold(query),
            other => self.events(other, query),
        }
    }

    fn events(&self, language: Language, query: &str) -> Outcome {
        let request = Request {
            language: match language {
                Language::Kql | Language::KqlPlain => lang::Language::Kql,
                Language::Lucene => lang::Language::Lucene,
                _ => lang::Language::Eql,
            },
            text: query,
            mappings: vec![self.layer.clone()],
            catalogs: Catalogs::Never,
            settings: settings(language),
            sources: &self.sources(),
            limits: Limits { size: Some(100_000), ..Limits::default() },
            selection: Selection::default(),
        };
        let answer = run(&request, &Arc::new(AtomicU64::new(0)));
        if let Some(why) = refusal(&answer.analysis.diagnostics) {
            return Outcome::Refused(why);
        }
        if let Some(why) = answer.failed {
            return Outcome::Refused(why.to_string());
        }
        assert!(answer.unread.is_empty(), "{:?}", answer.unread);
        Outcome::Hits(answer.hits.into_iter().map(|h| h.id).collect())
    }

    fn dsl(&self, query: &str) -> Outcome {
        let query: Value = serde_json::from_str(query).unwrap_or_else(|e| panic!("{e}: {query}"));
        let mut fields = PlanFields::default();
        let settings = settings(Language::Dsl);
        let lowered = dsl::lower(&query, &self.schema(), &settings, &mut fields, &|_| Span::default());
        if let Some(why) = refusal(&lowered.diagnostics) {
            return Outcome::Refused(why);
        }
        let plan = Plan { fields, stages: vec![Stage::Filter(lowered.pred)] };
        let mut builder = ProjectionBuilder::default();
        let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
        let projection = builder.build();
        let found = self
            .documents
            .iter()
            .filter(|(_, source)| plan.matches(&projection.project_value(source), &slots).unwrap());
        Outcome::Hits(found.map(|(id, _)| id.clone()).collect())
    }

    fn threshold(&self, query: &str) -> Outcome {
        let asked = asked(query);
        let schema = self.schema();
        let mut fields = PlanFields::default();
        let mut ids = Vec::new();
        for name in asked.fields.iter().chain(asked.cardinality.iter().map(|(f, _)| f)) {
            // a field that nothing maps has no value, and one of nested objects has none at the root
            let resolved = schema.resolve(name).filter(|r| r.field.nested.is_none());
            let Some(resolved) = resolved.filter(|r| r.kind() != Kind::Object) else {
                return buckets(&asked, Vec::new());
            };
            if !resolved.field.types.iter().all(rulepack::es::groups) {
                return Outcome::Refused(format!("`{name}` has no values to group by"));
            }
            ids.push(fields.intern(name, &resolved));
        }
        let access = Access::Path("@timestamp".to_owned());
        let types = vec![FieldType::of(Kind::Date)];
        let time = fields.add(PlanField { name: "@timestamp".into(), access, types, key_below: false });
        let counted = asked.cardinality.as_ref().and_then(|(_, n)| Some((ids.pop()?, *n)));
        let window = Window { from: 1, to: 0, interval: 1 };
        let threshold =
            Threshold { fields: ids, count: asked.value, cardinality: counted, time: vec![time], window };
        let mut builder = ProjectionBuilder::default();
        let slots: Vec<usize> = fields.iter().map(|f| builder.slot(&f.access)).collect();
        let projection = builder.build();
        let mut all = Vec::new();
        for (_, source) in &self.documents {
            let mut source = source.clone();
            source["@timestamp"] = json!(0);
            let document = projection.project_value(&source);
            match threshold.look(&Row { fields: &fields, document: &document, slots: &slots }) {
                Ok(seen) => all.extend(seen),
                Err(why) => return Outcome::Refused(why.to_string()),
            }
        }
        let found = threshold.run(&all, 0).into_iter().map(|g| {
            let key = g.key.iter().map(|k| match k {
                KeyValue::Date(nanos) => json!(nanos.div_euclid(1_000_000) as i64),
                other => other.to_json(),
            });
            (key.collect(), g.events.len() as u64, g.distinct)
        });
        buckets(&asked, found.collect())
    }

    fn esql(&self, query: &str) -> Outcome {
        let request = TableRequest {
            text: query,
            mappings: vec![(None, self.layer.clone())],
            catalogs: Catalogs::Never,
            settings: settings(Language::Esql),
            indices: Vec::new(),
            plain: self.sources(),
            selection: Selection::default(),
        };
        let answer = table::run(&request, &Arc::new(AtomicU64::new(0)));
        if let Some(why) = refusal(&answer.analysis.diagnostics) {
            return Outcome::Refused(why);
        }
        let columns: Vec<String> =
            answer.columns.iter().map(|c| format!("{}:{}", c.name, c.ty.name())).collect();
        let rows: Vec<Value> =
            answer.rows.iter().map(|row| row.iter().map(lang::esql::cell_json).collect()).collect();
        table_of(columns, rows, query)
    }
}

/// What a threshold asks for.
pub struct Asked {
    pub fields: Vec<String>,
    pub value: u64,
    pub cardinality: Option<(String, u64)>,
}

/// Reads the `threshold` of a rule.
pub fn asked(query: &str) -> Asked {
    let read: Value = serde_json::from_str(query).unwrap_or_else(|e| panic!("{e}: {query}"));
    let fields = read["field"].as_array().unwrap().iter().map(|f| f.as_str().unwrap().to_owned());
    let counted = &read["cardinality"][0];
    Asked {
        fields: fields.collect(),
        value: read["value"].as_u64().unwrap(),
        cardinality: counted["field"].as_str().map(|f| (f.to_owned(), counted["value"].as_u64().unwrap())),
    }
}

/// Groups as they are compared: values, number of documents, number of different values.
pub fn buckets(asked: &Asked, found: Vec<(Vec<Value>, u64, Option<u64>)>) -> Outcome {
    let mut columns = asked.fields.clone();
    columns.push("documents".to_owned());
    columns.extend(asked.cardinality.iter().map(|(f, _)| format!("values({f})")));
    let rows = found.into_iter().map(|(key, n, distinct)| {
        key.into_iter().chain([json!(n)]).chain(distinct.map(|d| json!(d))).collect::<Value>()
    });
    table_of(columns, rows.collect(), "")
}

/// A table as it is compared: its columns, then its rows, sorted unless the query sorts them.
pub fn table_of(columns: Vec<String>, rows: Vec<Value>, query: &str) -> Outcome {
    let mut rows: Vec<String> = rows.iter().map(|r| rounded(r).to_string()).collect();
    if !query.contains("SORT") {
        rows.sort();
    }
    rows.insert(0, columns.join(" "));
    Outcome::Table(rows)
}

/// Whole doubles and integers are told apart by the column's type, not by how JSON writes them.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(rounded).collect(),
        Value::Number(n) if n.is_f64() => {
            let f = n.as_f64().unwrap_or_default();
            if f.fract() == 0.0 && f.abs() < 1e15 { json!(f as i64) } else { value.clone() }
        }
        other => other.clone(),
    }
}

/// What queries of scenarios are read against: `now` is the first of January 2025.
pub fn settings(language: Language) -> Settings {
    Settings {
        context: Context { now: 1_735_689_600_000_000_000, offset: 0 },
        field_information: language != Language::KqlPlain,
        // the functions of the engine that is asked
        stack: (language == Language::Esql).then_some(Version(8, 19, 0)),
        ..Settings::default()
    }
}

/// Why a query is refused, if it is.
pub fn refusal(found: &[rulepack::diag::Diagnostic]) -> Option<String> {
    found.iter().find(|d| d.severity == Severity::Error).map(|d| format!("{}: {}", d.code, d.message))
}
