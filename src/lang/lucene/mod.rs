//! Lucene's query string, as Elasticsearch's `query_string` query reads it.
//!
//! ```text
//! query  = clause, { [ "AND" | "OR" ], clause } ;         "&&" and "||" too; upper-case only
//! clause = [ "+" | "-" | "NOT" ], [ field, ":" ], ( term | "(", query, ")" ), [ "^", number ] ;
//! field  = word | "*" ;                                   a pattern of names is written `a.\*`
//! term   = word, { word }                                 several words in a row are one text
//!        | word, "~", [ number ]                          near the word
//!        | '"', { any }, '"', [ "~", number ]             a phrase, its words so far apart
//!        | "*" | word, "*" | pattern | "/", regexp, "/"
//!        | ( "[" | "{" ), bound, "TO", bound, ( "]" | "}" ) ;
//! ```
//!
//! A backslash makes the next character literal, `\u` with four hexadecimal digits any character. There
//! is no precedence: the clauses of one level are a flat list ([`Occurrences`]).

mod ast;
mod check;
mod lexer;
mod lower;
mod occur;
mod parser;
mod print;

pub use ast::{Clause, Conjunction, Group, Modifier, Name, Query, Term};
pub use lower::{Defaults, lower};
pub use occur::Occurrences;
pub use parser::parse;
pub use print::print;

use super::{Analysis, Settings};
use crate::diag::Severity;
use crate::plan::{Plan, PlanFields, Stage};
use crate::schema::Schema;

/// Reads, checks and lowers a query.
pub fn analyze(text: &str, schema: &Schema, settings: &Settings) -> Analysis {
    let query = match parse(text) {
        Ok(query) => query,
        Err(d) => return Analysis { diagnostics: vec![*d], ..Analysis::default() },
    };
    let mut fields = PlanFields::default();
    let lowered = lower(&query, text, schema, settings, &Defaults::default(), &mut fields);
    let failed = lowered.diagnostics.iter().any(|d| d.severity == Severity::Error);
    let plan = (!failed).then(|| Plan { fields, stages: vec![Stage::Filter(lowered.pred)] });
    Analysis { diagnostics: lowered.diagnostics, fields: lowered.fields, plan, ..Analysis::default() }
}
