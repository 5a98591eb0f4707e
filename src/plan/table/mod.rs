//! Pipelines over tables: rows of cells go through stages, where a cell may hold several values and a
//! failed calculation is null and a warning. Nothing in here knows a language's syntax: names are
//! places in the query's text, columns are slots.

mod aggregate;
mod dissect;
mod expr;
mod grok;
#[cfg(test)]
mod laws;
pub mod load;
pub mod lookup;
mod run;
mod tally;

pub use aggregate::{AggregateCall, Aggregation};
pub use dissect::{Dissect, DissectError};
pub use expr::{Env, Expr, Invocation, Required, Warnings};
pub use grok::{Grok, GrokError, bank as grok_patterns};
pub use load::Meta;
pub use lookup::{Answers, Lookup, Supplied, Table};
pub use run::{EventRef, Finished, Run, TableRow};

use super::{FieldId, PlanFields, Pred, Row};
use crate::es::date::Nanos;
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};
use std::sync::Arc;

/// A cell's place in a row.
pub type Slot = usize;

/// What the source puts into a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The values of a field. Rows of an index that is named use its type, by place in the field's types.
    Field {
        /// The field.
        id: FieldId,
        /// Index names, and which of the field's types holds there.
        by_index: Vec<(Box<str>, usize)>,
    },
    /// `_id`.
    Id,
    /// `_index`.
    Index,
    /// `_version`.
    Version,
    /// `_source`, as JSON.
    Source,
    /// `_ignored`: the fields with a value that was too long to be kept.
    Ignored(Vec<FieldId>),
    /// Whether the document satisfies a condition.
    Matches(Pred),
    /// Nothing.
    Nothing,
}

/// A slot that the source fills.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceColumn {
    /// Where.
    pub slot: Slot,
    /// With what.
    pub what: What,
    /// A conversion, applied for each index by its own type.
    pub to: Option<ColumnType>,
}

/// A key of a sort.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// What is sorted by.
    pub expr: Expr,
    /// Whether the greatest come first.
    pub descending: bool,
    /// Whether nulls come first.
    pub nulls_first: bool,
}

/// One step of a pipeline. Keeping, dropping and renaming columns is no step: it only changes which
/// slots have which names.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Keeps the rows for which a condition is true.
    Filter(Expr),
    /// Computes cells, one after the other.
    Eval(Vec<(Slot, Expr)>),
    /// One row for each value of a cell.
    Expand {
        /// The cell.
        from: Slot,
        /// Where the single value goes.
        to: Slot,
    },
    /// Cuts a text at delimiters.
    Dissect {
        /// The text.
        input: Expr,
        /// How.
        pattern: Dissect,
        /// Where its keys go, in their order.
        out: Vec<Slot>,
    },
    /// Takes captures of a text.
    Grok {
        /// The text.
        input: Expr,
        /// Patterns; the first that matches counts.
        patterns: Vec<Grok>,
        /// The names of all patterns and where they go.
        out: Vec<(Box<str>, Slot)>,
    },
    /// Adds what a table has for the row.
    Lookup(Box<Lookup>),
    /// Asks for an answer to a text.
    Complete {
        /// The text.
        prompt: Expr,
        /// The answers.
        answers: Arc<Answers>,
        /// Where the answer goes.
        out: Slot,
    },
    /// Gathers rows into groups; the groups are the rows from here on.
    Aggregate(Aggregation),
    /// Gathers rows into groups and adds what is computed to each row.
    Inline(Aggregation),
    /// Sorts, stable.
    Sort(Vec<SortKey>),
    /// The first rows.
    Limit(usize),
}

impl Stage {
    /// Whether each row goes through on its own.
    pub fn is_row_wise(&self) -> bool {
        !matches!(self, Stage::Aggregate(_) | Stage::Inline(_) | Stage::Sort(_) | Stage::Limit(_))
    }
}

/// A column of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    /// Its name.
    pub name: Box<str>,
    /// Its type.
    pub ty: ColumnType,
    /// Its slot.
    pub slot: Slot,
}

/// A query over tables, ready to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipeline {
    /// The index patterns of the query.
    pub patterns: Vec<Box<str>>,
    /// The indices that are read, of those that were named; empty for any.
    pub indices: Vec<Box<str>>,
    /// How many slots a row has.
    pub slots: usize,
    /// What the source fills in.
    pub source: Vec<SourceColumn>,
    /// Rows that stand in the query itself (`ROW`): one, without a source.
    pub literal: bool,
    /// The steps.
    pub stages: Vec<Stage>,
    /// The answer.
    pub output: Vec<OutputColumn>,
    /// The columns that the last aggregation groups by, as far as they are known at the end.
    pub group: Vec<OutputColumn>,
    /// Whether rows stand for groups (`STATS`) rather than documents.
    pub aggregates: bool,
    /// Names and spans of expanded columns that reach the answer: with the document's id they tell rows apart.
    pub expanded: Vec<OutputColumn>,
}

impl Pipeline {
    /// How many stages at the beginning look at one row at a time.
    pub fn head(&self) -> usize {
        self.stages.iter().take_while(|s| s.is_row_wise()).count()
    }

    /// The names of the tables that are looked into.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().filter_map(|s| match s {
            Stage::Lookup(lookup) => Some(lookup.table()),
            _ => None,
        })
    }

    /// Whether answers to texts are asked for.
    pub fn asks(&self) -> bool {
        self.stages.iter().any(|s| matches!(s, Stage::Complete { .. }))
    }

    /// Whether every row can be answered as soon as its document is read.
    pub fn is_row_wise(&self) -> bool {
        self.head() == self.stages.len()
    }

    /// Without the limits at its end, and without the sorts that only serve them: what a rule finds in
    /// all its runs together. Gives how many rows the smallest of them lets through in one run.
    pub fn without_limits(mut self) -> (Pipeline, Option<usize>) {
        let gathers = |s: &Stage| matches!(s, Stage::Aggregate(_) | Stage::Inline(_));
        let from = self.stages.iter().rposition(gathers).map_or(0, |i| i + 1);
        let tail = self.stages.split_off(from);
        let limits = tail.iter().filter_map(|s| match s {
            Stage::Limit(n) => Some(*n),
            _ => None,
        });
        let least = limits.min();
        self.stages.extend(tail.into_iter().filter(|s| !matches!(s, Stage::Limit(_) | Stage::Sort(_))));
        (self, least)
    }

    /// What a field must hold for a document to give a row; `None` where nothing is certain. This is what
    /// a prefilter may rely on.
    pub fn required(&self, fields: &PlanFields, name: &str) -> Option<Required> {
        let slots: Vec<Slot> = self
            .source
            .iter()
            .filter(|c| match &c.what {
                What::Field { id, .. } => fields.get(*id).is_some_and(|f| {
                    f.name.as_ref() == name
                        && c.to.is_none()
                        && f.types.len() == 1
                        && f.types.iter().all(|t| t.kind.is_keyword() && !t.lowercase && t.constant.is_none())
                }),
                _ => false,
            })
            .map(|c| c.slot)
            .collect();
        let cost = |r: &Required| r.exact.len() + 10 * r.prefixes.len();
        let mut best: Option<Required> = None;
        for stage in &self.stages {
            match stage {
                Stage::Filter(e) => {
                    if let Some(found) = e.required(&slots)
                        && best.as_ref().is_none_or(|b| cost(&found) < cost(b))
                    {
                        best = Some(found);
                    }
                }
                Stage::Eval(_) => {}
                _ => break,
            }
        }
        best
    }

    /// The conditions on the way of a document, as far as each row goes on its own: what each answered
    /// and the fields that it read.
    pub fn trace(&self, row: &Row<'_>, meta: &Meta<'_>, now: Nanos) -> Vec<Clause> {
        let mut cells = self.load(row, meta).cells;
        let mut env = Env { now, ..Env::default() };
        let mut out = Vec::new();
        for stage in &self.stages {
            match stage {
                Stage::Filter(e) => {
                    let parts = match e {
                        Expr::And(parts) => parts.as_slice(),
                        one => std::slice::from_ref(one),
                    };
                    for part in parts {
                        let result = part.eval(&cells, &mut env) == Datum::One(Value::Bool(true));
                        let mut fields = Vec::new();
                        part.slots(&mut |slot| {
                            let what = self.source.iter().find(|c| c.slot == slot).map(|c| &c.what);
                            if let Some(What::Field { id, .. }) = what
                                && !fields.contains(id)
                            {
                                fields.push(*id);
                            }
                        });
                        out.push(Clause { span: part.span(), result, fields });
                    }
                }
                Stage::Eval(list) => {
                    for (slot, e) in list {
                        let d = e.eval(&cells, &mut env);
                        if let Some(cell) = cells.get_mut(*slot) {
                            *cell = d;
                        }
                    }
                }
                _ => break,
            }
        }
        out
    }
}

/// A condition on the way of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Where it stands, as far as that is known.
    pub span: Option<Span>,
    /// Whether it was true.
    pub result: bool,
    /// The fields that it read.
    pub fields: Vec<FieldId>,
}
