//! EQL, the Event Query Language, as Elasticsearch runs it.
//!
//! ```text
//! query      = ( sequence | sample | join | filter ) { "|" pipe } ;
//! filter     = ( "any" | IDENT | STRING ) "where" expr ;
//! sequence   = "sequence" [ by ] [ "with" "maxspan" "=" NUMBER UNIT ] item { item } [ "until" item ] ;
//! sample     = "sample" [ by ] item item { item } ;
//! join       = "join" [ by ] item item { item } [ "until" item ] ;      (* parsed, never run *)
//! item       = ( "[" | "![" ) filter "]" [ by ] [ "with" "runs" "=" INTEGER ] ;
//! by         = "by" field { "," field } ;
//! pipe       = ( "head" | "tail" ) INTEGER ;
//!
//! expr       = and { "or" and } ;
//! and        = not { "and" not } ;
//! not        = "not" not | comparison ;
//! comparison = sum [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) sum ] ;
//! sum        = product { ( "+" | "-" ) product } ;
//! product    = unary { ( "*" | "/" | "%" ) unary } ;
//! unary      = ( "-" | "+" ) unary | predicate ;
//! predicate  = primary [ [ "not" ] ( "in" | "in~" ) "(" expr { "," expr } ")"
//!                      | ( ":" | "like" | "like~" | "regex" | "regex~" ) patterns ] ;
//! patterns   = constant | "(" constant { "," constant } ")" ;
//! primary    = constant | call | field | "(" expr ")" ;
//! call       = IDENT [ "~" ] "(" [ expr { "," expr } ] ")" ;
//! field      = [ "?" ] name { "." name } ;
//! name       = IDENT | "`" text "`" ;
//! constant   = STRING | NUMBER | "true" | "false" | "null" ;
//! STRING     = '"' text with escapes '"' | '"""' text '"""' ;
//! ```
//! Comments are `// …` and `/* … */`, which nest. Keywords are lower case; a field called like one stands
//! in backticks.

mod ast;
mod call;
mod check;
mod expression;
mod fold;
#[cfg(test)]
mod laws;
mod lexer;
mod limit;
mod lower;
#[cfg(test)]
mod mistakes;
mod parser;
mod print;
mod propagate;
#[cfg(test)]
mod tests;
mod typed;

pub use ast::{
    At, Body, CompareOp, Expr, ExprKind, FieldRef, Filter, Group, Item, Literal, MatchOp, Maxspan,
    Membership, Name, Pipe, Query, Sequence, Unit,
};
pub use limit::{Window, combine};

use super::{Analysis, FieldUse, Settings, Shape};
use crate::diag::{Code, Diagnostic};
use crate::plan::sequence::Step;
use crate::plan::{self, Plan, Sample, Stage};
use crate::schema::{Kind, Schema};
use crate::source::Span;
use check::{Checker, Key};
use lower::Lower;

/// Parses a query.
///
/// # Errors
/// With everything that was found wrong, at least one finding.
pub fn parse(text: &str) -> Result<Query, Vec<Diagnostic>> {
    parser::parse(text)
}

/// The canonical text of a query; it parses to the same tree.
pub fn print(query: &Query) -> String {
    print::query(query)
}

/// Reads, checks and lowers a query.
pub(super) fn analyze(text: &str, schema: &Schema, settings: &Settings) -> Analysis {
    let query = match parser::parse(text) {
        Ok(query) => query,
        Err(diagnostics) => return Analysis { diagnostics, ..Analysis::default() },
    };
    let mut analysis = Analysis {
        fields: fields(&query, settings),
        shape: match query.body {
            Body::Event(_) => Shape::Events,
            Body::Sequence(_) | Body::Join(_) => Shape::Sequence,
            Body::Sample(_) => Shape::Sample,
        },
        pipes: query.pipes.iter().map(|p| p.cut).collect(),
        ..Analysis::default()
    };
    let mut checker = Checker { schema, settings, text, found: Vec::new() };
    if let Body::Join(group) = &query.body {
        checker.found.push(
            Diagnostic::new(Code::RP0105, "Elasticsearch does not run `join`")
                .at(group.at.0, "")
                .help("use `sample` for events in any order, or `sequence`"),
        );
    }
    let shared: Vec<Option<Key<'_>>> = query.shared_keys().iter().map(|k| checker.key(k)).collect();
    let mut checked = Vec::new();
    let mut keys = Vec::new();
    for (filter, own) in query.filters() {
        checked.push(checker.filter(filter));
        keys.push(own.iter().map(|k| checker.key(k)).collect::<Vec<_>>());
    }
    checker.compatible_keys(&keys);
    analysis.diagnostics = checker.found;
    let checked: Option<Vec<_>> = checked.into_iter().collect();
    let Some(checked) = checked.filter(|_| !analysis.has_errors()) else { return analysis };

    let mut lower = Lower { context: &settings.context, fields: Default::default(), found: Vec::new() };
    let whole: Vec<Vec<&Key<'_>>> =
        keys.iter().map(|own| shared.iter().chain(own).flatten().collect()).collect();
    let written = query.items();
    let comes = |i: usize| written.get(i).is_some_and(|item| !item.missing);
    let added = propagate::clauses(&checked, &whole, &comes);
    let mut items: Vec<plan::Item> = Vec::with_capacity(checked.len());
    for (((filter, keys), clauses), (written, _)) in
        checked.iter().zip(&whole).zip(&added).zip(query.filters())
    {
        let pred = lower.filter(filter, clauses);
        items.push(lower.item(pred, keys, written.at.0));
    }
    let stage = stage(&query.body, items, &mut lower, schema, settings);
    analysis.diagnostics.append(&mut lower.found);
    if !analysis.has_errors() {
        analysis.plan = stage.map(|stage| Plan { fields: lower.fields, stages: vec![stage] });
    }
    analysis
}

/// The stage that runs a query; `items` are its filters, `until` last.
fn stage(
    body: &Body,
    mut items: Vec<plan::Item>,
    lower: &mut Lower<'_>,
    schema: &Schema,
    settings: &Settings,
) -> Option<Stage> {
    Some(match body {
        Body::Event(_) => Stage::Filter(items.pop()?.pred),
        Body::Sequence(s) => {
            let until = if s.until.is_some() { items.pop() } else { None };
            let step = |(item, written): (plan::Item, &Item)| Step {
                item,
                missing: written.missing,
                runs: written.runs as usize,
            };
            let tiebreaker = settings.tiebreaker_field.as_deref();
            Stage::Sequence(plan::Sequence {
                steps: items.into_iter().zip(&s.items).map(step).collect(),
                maxspan: s.maxspan.map(Maxspan::nanos),
                until,
                time: lower.implied(schema, &settings.timestamp_field, Kind::Date),
                tiebreaker: tiebreaker.map(|t| lower.implied(schema, t, Kind::Other)),
            })
        }
        Body::Sample(_) => Stage::Sample(Sample { items }),
        Body::Join(_) => return None,
    })
}

/// The fields that a query names, in the order of the text.
fn fields(query: &Query, settings: &Settings) -> Vec<FieldUse> {
    let mut out = Vec::new();
    let named = |f: &FieldRef| FieldUse { name: f.name.to_string(), span: f.at.0 };
    out.extend(query.shared_keys().iter().map(named));
    for (filter, keys) in query.filters() {
        if filter.category.is_some() {
            let start = filter.at.0.start;
            let span = Span { start, end: start };
            out.push(FieldUse { name: settings.event_category_field.clone(), span });
        }
        filter.condition.visit_fields(&mut |f| out.push(named(f)));
        out.extend(keys.iter().map(named));
    }
    out
}
