//! The query languages, and what they share: one way in ([`analyze`]), the same sentence for the same
//! mistake ([`resolve`]), and the rule file that holds most of them ([`rule`]).

pub mod cloudtrail;
pub mod dsl;
pub mod eql;
pub mod esql;
pub mod exception;
pub mod fieldcaps;
pub mod kql;
pub mod lucene;
pub mod resolve;
pub mod rule;

use crate::diag::{Diagnostic, Severity};
use crate::es::Context;
use crate::plan::Plan;
use crate::plan::table::Supplied;
use crate::schema::{Schema, Version};
use crate::source::Span;
use std::collections::BTreeSet;

/// A query language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Kibana Query Language (`kuery` in rules).
    Kql,
    /// Lucene's query string.
    Lucene,
    /// Event Query Language.
    Eql,
    /// ES|QL.
    Esql,
}

impl Language {
    /// The language of a name as rules (`kuery`) or people (`kql`) write it.
    pub fn from_name(name: &str) -> Option<Language> {
        Some(match name.to_ascii_lowercase().as_str() {
            "kql" | "kuery" => Language::Kql,
            "lucene" => Language::Lucene,
            "eql" => Language::Eql,
            "esql" | "es|ql" => Language::Esql,
            _ => return None,
        })
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Language::Kql => "KQL",
            Language::Lucene => "Lucene",
            Language::Eql => "EQL",
            Language::Esql => "ES|QL",
        }
    }
}

/// What a query is read and run against.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What dates are read against.
    pub context: Context,
    /// How much an unknown field matters where the language itself allows it (KQL).
    pub unknown_field: Severity,
    /// The ECS version whose enumerations count (`event.outcome: "succes"`); `None` leaves them out.
    pub ecs: Option<crate::schema::Version>,
    /// Whether KQL is compiled with field information: rules of stacks before 8.8 are not.
    pub field_information: bool,
    /// EQL: the field that `process where` tests.
    pub event_category_field: String,
    /// EQL: the field that orders events.
    pub timestamp_field: String,
    /// EQL: the field that orders events of one instant.
    pub tiebreaker_field: Option<String>,
    /// ES|QL: the indices that `FROM` finds; where there are none, the schema answers to any name.
    pub indices: Vec<Index>,
    /// ES|QL: the fields of catalogues that documents have. They are columns without being named, as are
    /// fields of mappings; other fields of catalogues are columns only where the query names them.
    pub seen: BTreeSet<String>,
    /// ES|QL: the stack that must have the functions of a query.
    pub stack: Option<Version>,
    /// ES|QL: the tables that `LOOKUP JOIN` and `ENRICH` look into, and the answers to `COMPLETION`.
    pub supplied: Supplied,
}

/// An index and its fields.
#[derive(Clone, Debug)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub schema: Schema,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            context: Context { now: 0, offset: 0 },
            unknown_field: Severity::Warning,
            ecs: None,
            field_information: true,
            event_category_field: "event.category".to_owned(),
            timestamp_field: "@timestamp".to_owned(),
            tiebreaker_field: None,
            indices: Vec::new(),
            seen: BTreeSet::new(),
            stack: None,
            supplied: Supplied::default(),
        }
    }
}

/// A field that a query names, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldUse {
    /// The name as written, quotes and backticks removed.
    pub name: String,
    /// Where; an empty span for a field that the language implies (EQL's event category).
    pub span: Span,
}

/// What kind of answer a query gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Shape {
    /// Single documents.
    #[default]
    Events,
    /// EQL sequences.
    Sequence,
    /// EQL samples.
    Sample,
    /// A table.
    Table,
}

/// How EQL's pipes cut a list of results: an `offset` from the head or tail, then `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Whether it counts from the end.
    pub tail: bool,
    /// How many.
    pub limit: usize,
}

/// Everything that is known of a query after reading it.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    /// Findings, spans in the query's own text.
    pub diagnostics: Vec<Diagnostic>,
    /// The fields that it names, in order; a name may come several times.
    pub fields: Vec<FieldUse>,
    /// Kind of answer.
    pub shape: Shape,
    /// The plan; `None` when an error was found.
    pub plan: Option<Plan>,
    /// EQL: explicit pipes, in order.
    pub pipes: Vec<Cut>,
    /// ES|QL: what Elasticsearch would say in the header of the answer.
    pub notes: Vec<String>,
    /// ES|QL: whether fields of catalogues would be columns of the answer if documents had them, so that
    /// [`Settings::seen`] matters.
    pub hidden_columns: bool,
    /// ES|QL: whether it does not run only because [`Settings::supplied`] lacks a table or answers.
    pub lacking: bool,
}

impl Analysis {
    /// Whether an error was found.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// The deepest nesting of a query that any parser follows.
pub const MAX_DEPTH: usize = 200;

/// Reads, checks and lowers a query.
pub fn analyze(language: Language, text: &str, schema: &Schema, settings: &Settings) -> Analysis {
    match language {
        Language::Kql => kql::analyze(text, schema, settings),
        Language::Lucene => lucene::analyze(text, schema, settings),
        Language::Eql => eql::analyze(text, schema, settings),
        Language::Esql => esql::analyze(text, schema, settings),
    }
}

/// Only looks at a query's syntax: no names, no types.
pub fn check_syntax(language: Language, text: &str) -> Vec<Diagnostic> {
    match language {
        Language::Kql => kql::parse(text).diagnostics,
        Language::Lucene => lucene::parse(text).err().map(|d| *d).into_iter().collect(),
        Language::Eql => eql::parse(text).err().unwrap_or_default(),
        Language::Esql => esql::parse(text).1,
    }
}

/// The fields that a query names, without a schema; empty where it does not parse.
pub fn fields(language: Language, text: &str) -> Vec<FieldUse> {
    analyze(language, text, &Schema::none(), &Settings::default()).fields
}
