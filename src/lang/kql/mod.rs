//! Kibana Query Language, as Kibana's main branch reads it.
//!
//! The grammar is a PEG over characters, without separate tokens; choices are tried in order:
//!
//! ```text
//! query    = ws, [ or ], ws ;                              an empty query matches everything
//! or       = and, { S, "or", S, and } ;
//! and      = not, { S, "and", S, not } ;
//! not      = "not", S, group | group ;                     one `not` only
//! group    = "(", ws, or, ws, ")" | nested ;
//! nested   = literal, ws, ":", ws, "{", ws, or, ws, "}" | clause ;
//! clause   = literal, ws, ( "<=" | ">=" | "<" | ">" ), ws, literal
//!          | literal, ws, ":", ws, list
//!          | literal ;                                     a bare value
//! list     = "(", ws, or-list, ws, ")" | literal ;         or-list as `or`, of lists
//! literal  = quoted | unquoted ;
//! quoted   = '"', { escape | "\\" | '\"' | any but '"' }, '"' ;
//! unquoted = { escape | "\", reserved | "\", ( "or" | "and" | "not" ) | "*"
//!            | any but reserved and not at a keyword }- ;  trimmed afterwards
//! escape   = "\t" | "\r" | "\n" | "\u", 4 hex ;
//! keyword  = S, "or", S | S, "and", S | "not", S ;         also within a word
//! reserved = "\" | "(" | ")" | ":" | "<" | ">" | '"' | "*" | "{" | "}" ;
//! ws = { space } ;  S = space, { space } ;  space = U+0020, TAB, CR, LF, U+00A0
//! ```
//!
//! Keywords are ASCII case-insensitive.

mod ast;
mod check;
mod dsl;
mod layout;
mod lexer;
mod lower;
mod odd;
mod parser;
mod print;
mod query_string;
mod syntax;

pub use ast::{Node, NodeKind, Query, RangeOp, Term, TermValue};
pub use dsl::{Options as DslOptions, compile, dql_difference};
pub use layout::layout;
pub use parser::{Parsed, parse};
pub use print::{print, value_text};

use super::{Analysis, Settings};
use crate::schema::Schema;

/// Reads, checks and lowers a query.
pub fn analyze(text: &str, schema: &Schema, settings: &Settings) -> Analysis {
    let Parsed { query, diagnostics } = parse(text);
    let Some(query) = query else { return Analysis { diagnostics, ..Analysis::default() } };
    let checked = check::check(&query, text, schema, settings);
    let mut diagnostics = checked.diagnostics;
    let plan = lower::lower(&checked.root, schema, settings, &mut diagnostics);
    Analysis { diagnostics, fields: checked.fields, plan, ..Analysis::default() }
}
