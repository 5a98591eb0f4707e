//! Running a pipeline: rows are fed one by one, parts of the input are merged, and what needs all rows
//! comes at the end.

use super::aggregate::Groups;
use super::{Env, Expr, Grok, Pipeline, SortKey, Stage, Warnings};
use crate::es::date::Nanos;
use crate::func::column::order;
use crate::value::{Datum, Value};
use std::cmp::Ordering;
use std::sync::Arc;

/// The event that a row stems from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRef {
    /// Its id.
    pub id: String,
    /// Its time.
    pub time: Option<Nanos>,
    /// The file that it stands in.
    pub file: Arc<str>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableRow {
    /// The cells, by slot.
    pub cells: Vec<Datum>,
    /// The events that it stems from, as far as they are kept.
    pub events: Vec<Arc<EventRef>>,
}

impl TableRow {
    fn put(&mut self, slot: usize, datum: Datum) {
        if let Some(cell) = self.cells.get_mut(slot) {
            *cell = datum;
        }
    }
}

/// The rows of an answer.
#[derive(Debug, Default)]
pub struct Finished {
    /// The rows.
    pub rows: Vec<TableRow>,
    /// What went wrong.
    pub warnings: Warnings,
}

#[derive(Debug)]
enum Body {
    Rows(Vec<TableRow>),
    Groups(Groups),
}

/// A pipeline at work.
#[derive(Debug)]
pub struct Run<'p> {
    pipeline: &'p Pipeline,
    head: usize,
    body: Body,
    env: Env,
}

/// The most rows that one row may become.
const MAX_EXPANSION: usize = 1_000_000;

impl<'p> Run<'p> {
    /// Begins; `now` is what `NOW()` gives.
    pub fn new(pipeline: &'p Pipeline, now: Nanos) -> Run<'p> {
        let head = pipeline.head();
        let body = match pipeline.stages.get(head) {
            Some(Stage::Aggregate(_)) => Body::Groups(Groups::default()),
            _ => Body::Rows(Vec::new()),
        };
        Run { pipeline, head, body, env: Env { now, warnings: Warnings::default() } }
    }

    /// Says what `NOW()` gives from here on.
    pub fn set_now(&mut self, now: Nanos) {
        self.env.now = now;
    }

    /// Takes a row.
    pub fn feed(&mut self, row: TableRow) {
        self.feed_event(row, &mut || None);
    }

    /// Takes the row of an event, which is asked for only where something of the row is left.
    pub fn feed_event(&mut self, row: TableRow, event: &mut dyn FnMut() -> Option<Arc<EventRef>>) {
        let rest = self.pipeline.stages.get(..self.head).unwrap_or_default();
        let breaker = self.pipeline.stages.get(self.head);
        let env = &mut self.env;
        match &mut self.body {
            Body::Rows(rows) => {
                if matches!(breaker, Some(Stage::Limit(n)) if rows.len() >= *n) {
                    return;
                }
                let mut held = None;
                each(rest, row, env, &mut |mut row, _| {
                    if row.events.is_empty() {
                        row.events.extend(held.get_or_insert_with(&mut *event).clone());
                    }
                    rows.push(row);
                });
            }
            Body::Groups(groups) => {
                if let Some(Stage::Aggregate(aggregation)) = breaker {
                    let mut held = None;
                    each(rest, row, env, &mut |mut row, env| {
                        if row.events.is_empty() {
                            row.events.extend(held.get_or_insert_with(&mut *event).clone());
                        }
                        groups.feed(aggregation, &row, env);
                    });
                }
            }
        }
    }

    /// Takes the rows that are held; only for a pipeline that answers row by row.
    pub fn take_rows(&mut self) -> Vec<TableRow> {
        match &mut self.body {
            Body::Rows(rows) => std::mem::take(rows),
            Body::Groups(_) => Vec::new(),
        }
    }

    /// Adds a later part of the input.
    pub fn merge(&mut self, other: Run<'p>) {
        match (&mut self.body, other.body) {
            (Body::Rows(a), Body::Rows(b)) => a.extend(b),
            (Body::Groups(a), Body::Groups(b)) => {
                if let Some(Stage::Aggregate(aggregation)) = self.pipeline.stages.get(self.head) {
                    a.merge(aggregation, b);
                }
            }
            _ => {}
        }
        self.env.warnings.merge(other.env.warnings);
    }

    /// Runs the stages that need all rows.
    pub fn finish(self) -> Finished {
        let Run { pipeline, head, body, mut env } = self;
        let mut stages = pipeline.stages.get(head..).unwrap_or_default();
        let mut rows = match body {
            Body::Rows(rows) => rows,
            Body::Groups(groups) => match stages.split_first() {
                Some((Stage::Aggregate(aggregation), rest)) => {
                    stages = rest;
                    groups.rows(aggregation, pipeline.slots, &mut env)
                }
                _ => Vec::new(),
            },
        };
        while let Some((stage, rest)) = stages.split_first() {
            stages = rest;
            match stage {
                Stage::Aggregate(aggregation) => {
                    let mut groups = Groups::default();
                    for row in &rows {
                        groups.feed(aggregation, row, &mut env);
                    }
                    rows = groups.rows(aggregation, pipeline.slots, &mut env);
                }
                Stage::Inline(aggregation) => {
                    let mut groups = Groups::default();
                    for row in &rows {
                        groups.feed(aggregation, row, &mut env);
                    }
                    groups.join(aggregation, &mut rows, &mut env);
                }
                Stage::Sort(keys) => sort(&mut rows, keys, &mut env),
                Stage::Limit(n) => rows.truncate(*n),
                row_wise => {
                    let mut next = Vec::with_capacity(rows.len());
                    for row in rows {
                        each(std::slice::from_ref(row_wise), row, &mut env, &mut |row, _| next.push(row));
                    }
                    rows = next;
                }
            }
        }
        Finished { rows, warnings: env.warnings }
    }
}

/// Takes a row through stages that look at one row at a time.
fn each(stages: &[Stage], mut row: TableRow, env: &mut Env, take: &mut dyn FnMut(TableRow, &mut Env)) {
    let mut stages = stages;
    while let Some((stage, rest)) = stages.split_first() {
        stages = rest;
        match stage {
            Stage::Filter(condition) => {
                if condition.eval(&row.cells, env) != Datum::One(Value::Bool(true)) {
                    return;
                }
            }
            Stage::Eval(list) => {
                for (slot, e) in list {
                    let d = e.eval(&row.cells, env);
                    row.put(*slot, d);
                }
            }
            Stage::Expand { from, to } => {
                let datum = row.cells.get(*from).cloned().unwrap_or_default();
                let Datum::Many(values) = datum else {
                    row.put(*to, datum);
                    continue;
                };
                for v in values.iter().take(MAX_EXPANSION) {
                    let mut one = row.clone();
                    one.put(*to, v.clone().into());
                    each(rest, one, env, take);
                }
                return;
            }
            Stage::Dissect { input, pattern, out } => {
                let d = input.eval(&row.cells, env);
                for (slot, cell) in out.iter().zip(pattern.cells(&d)) {
                    row.put(*slot, cell);
                }
            }
            Stage::Grok { input, patterns, out } => {
                let d = input.eval(&row.cells, env);
                let names: Vec<Box<str>> = out.iter().map(|(n, _)| n.clone()).collect();
                // a pattern that gives up counts as one that does not match
                let cells = Grok::cells(patterns, &names, &d, &mut |_| {});
                for ((_, slot), cell) in out.iter().zip(cells) {
                    row.put(*slot, cell);
                }
            }
            Stage::Lookup(lookup) => {
                let mut found = lookup.cells(&row.cells, env);
                let last = found.pop().unwrap_or_default();
                for cells in found.into_iter().take(MAX_EXPANSION) {
                    let mut one = row.clone();
                    cells.into_iter().for_each(|(slot, cell)| one.put(slot, cell));
                    each(rest, one, env, take);
                }
                last.into_iter().for_each(|(slot, cell)| row.put(slot, cell));
            }
            Stage::Complete { prompt, answers, out } => {
                let texts = prompt.eval(&row.cells, env);
                let texts: Vec<&str> = texts.values().iter().filter_map(Value::as_str).collect();
                let asked = (!texts.is_empty()).then(|| texts.join("\n"));
                let answer = asked.as_deref().and_then(|text| {
                    let answer = answers.to(text);
                    if answer.is_none() {
                        env.warnings.unanswered(text);
                    }
                    answer
                });
                row.put(*out, answer.map_or(Datum::Null, |a| Value::str(a).into()));
            }
            Stage::Aggregate(_) | Stage::Inline(_) | Stage::Sort(_) | Stage::Limit(_) => {}
        }
    }
    take(row, env);
}

/// Multi-values count with their least value, or with their greatest where the order is descending.
fn sort_value(e: &Expr, row: &[Datum], descending: bool, env: &mut Env) -> Option<Value> {
    let d = e.eval(row, env);
    let wanted = if descending { Ordering::Greater } else { Ordering::Less };
    d.values().iter().reduce(|a, b| if order(b, a) == wanted { b } else { a }).cloned()
}

fn sort(rows: &mut Vec<TableRow>, keys: &[SortKey], env: &mut Env) {
    let mut keyed: Vec<(Vec<Option<Value>>, TableRow)> = std::mem::take(rows)
        .into_iter()
        .map(|row| (keys.iter().map(|k| sort_value(&k.expr, &row.cells, k.descending, env)).collect(), row))
        .collect();
    keyed.sort_by(|(a, _), (b, _)| {
        for ((x, y), key) in a.iter().zip(b).zip(keys) {
            let o = match (x, y) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => {
                    if key.nulls_first {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
                (Some(_), None) => {
                    if key.nulls_first {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    }
                }
                (Some(x), Some(y)) if key.descending => order(y, x),
                (Some(x), Some(y)) => order(x, y),
            };
            if o != Ordering::Equal {
                return o;
            }
        }
        Ordering::Equal
    });
    rows.extend(keyed.into_iter().map(|(_, row)| row));
}
