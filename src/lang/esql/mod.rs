//! ES|QL, the piped language of Elasticsearch, as its versions 8.19 to 9.4 have it.
//!
//! ```text
//! query      = source { "|" command } ;
//! source     = "FROM" index { "," index } [ "METADATA" field { "," field } ] | "ROW" items | "SHOW" "INFO" ;
//! command    = "WHERE" expr | "EVAL" items | "KEEP" patterns | "DROP" patterns
//!            | "RENAME" ( name "AS" name | name "=" name ) { "," … }
//!            | [ "INLINE" ] "STATS" [ item [ "WHERE" expr ] { "," … } ] [ "BY" items ]
//!            | "SORT" expr [ "ASC" | "DESC" ] [ "NULLS" ( "FIRST" | "LAST" ) ] { "," … }
//!            | "LIMIT" constant | "MV_EXPAND" name
//!            | "DISSECT" primary STRING [ "APPEND_SEPARATOR" "=" STRING ] | "GROK" primary STRING { "," STRING }
//!            | "COMPLETION" [ name "=" ] primary "WITH" map
//!            | "ENRICH" policy [ "ON" name ] [ "WITH" … ] | "LOOKUP" "JOIN" index "ON" expr { "," expr } ;
//! items      = item { "," item } ;   item = [ name "=" ] expr ;
//!
//! expr       = and { "OR" and } ;
//! and        = not { "AND" not } ;
//! not        = "NOT" not | condition ;
//! condition  = value [ [ "NOT" ] "IN" "(" value { "," value } ")" | "IS" [ "NOT" ] "NULL"
//!                    | [ "NOT" ] ( "LIKE" | "RLIKE" ) ( STRING | "(" STRING { "," STRING } ")" ) | ":" constant ] ;
//! value      = sum [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) sum ] ;
//! sum        = product { ( "+" | "-" ) product } ;
//! product    = sign { ( "*" | "/" | "%" ) sign } ;
//! sign       = ( "-" | "+" ) sign | primary ;
//! primary    = ( constant | name | call | "(" expr ")" ) { "::" type } ;
//! call       = IDENT "(" [ "*" | expr { "," expr } [ "," map ] ] ")" ;
//! constant   = STRING | NUMBER [ unit ] | "true" | "false" | "null" | "[" constant { "," constant } "]" ;
//! name       = part { "." part } ;   part = IDENT | "`" text "`" ;
//! map        = "{" [ STRING ":" ( constant | map ) { "," … } ] "}" ;
//! ```
//! Keywords, commands, functions, units and types ignore case; names of columns do not. Comments are `// …`
//! and `/* … */`, which nest.

pub mod ast;
mod call;
mod check;
mod columns;
pub mod commands;
mod expression;
#[cfg(test)]
mod laws;
mod lexer;
mod lint;
mod lower;
mod operator;
mod parser;
mod print;
pub mod reference;
mod scope;
mod search;
mod stats;
mod supplied;
#[cfg(test)]
mod tests;

pub use lower::cell_json;
pub use parser::parse;
pub use print::print;

use super::{Analysis, Settings, Shape};
use crate::diag::Severity;
use crate::plan::{Plan, Stage};
use crate::schema::Schema;

/// Reads, checks and lowers a query.
pub fn analyze(text: &str, schema: &Schema, settings: &Settings) -> Analysis {
    let (query, found) = parse(text);
    let syntax = found.iter().any(|d| d.severity == Severity::Error);
    if syntax && query.commands.is_empty() {
        return Analysis { diagnostics: found, shape: Shape::Table, ..Analysis::default() };
    }
    let mut lowered = lower::lower(&query, text, schema, settings);
    let mut diagnostics = found;
    // after a command that could not be read, columns may be missing
    if !syntax {
        diagnostics.append(&mut lowered.checker.found);
    }
    let errors = diagnostics.iter().any(|d| d.severity == Severity::Error);
    if !errors {
        diagnostics.extend(lint::lint(&query, text, schema, settings));
    }
    let plan =
        (!errors && !lowered.incomplete && diagnostics.iter().all(|d| d.code != crate::diag::Code::RP9001))
            .then(|| Plan {
                fields: lowered.checker.tables.fields,
                stages: vec![Stage::Table(Box::new(lowered.pipeline))],
            });
    Analysis {
        diagnostics,
        fields: lowered.checker.fields,
        shape: Shape::Table,
        plan,
        notes: lowered.notes,
        hidden_columns: lowered.hidden,
        lacking: lowered.lacking,
        ..Analysis::default()
    }
}

/// Whether a query has its rows in itself (`ROW`), so that no documents are needed.
pub fn reads_nothing(text: &str) -> bool {
    let (query, _) = parse(text);
    matches!(
        query.commands.first(),
        Some(ast::Command { kind: ast::CommandKind::Row(_) | ast::CommandKind::Show, .. })
    )
}
