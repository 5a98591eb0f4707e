//! Aggregations: rows gathered into groups. A group's state can be merged with that of another part of
//! the input, so memory grows with groups, not rows.

use super::run::{EventRef, TableRow};
use super::tally::Tally;
use super::{Env, Expr, Slot};
use crate::func::column::{Aggregate, Failure, order};
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Ordering;
use std::sync::Arc;

/// One aggregate of an aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    /// Which.
    pub kind: Aggregate,
    /// Its arguments; none for the number of rows.
    pub args: Vec<Expr>,
    /// The condition of the rows that count.
    pub filter: Option<Expr>,
    /// The type of the result.
    pub ty: ColumnType,
    /// Where the result goes.
    pub out: Slot,
    /// Where it stands.
    pub at: Span,
}

/// Groups and what is computed for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aggregation {
    /// The slots of the keys; a key with several values puts the row into a group for each.
    pub keys: Vec<Slot>,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
}

/// How many groups one row may belong to.
const MAX_KEYS: usize = 100_000;
/// How many events of a group are remembered by their ids.
pub(super) const MAX_EVENTS: usize = 1_000;

type Bytes = Box<[u8]>;

/// The bytes that stand for a value: equal for equal values, and none begins another.
pub(super) fn encode(value: &Value, out: &mut Vec<u8>) {
    fn text(tag: u8, text: &str, out: &mut Vec<u8>) {
        out.push(tag);
        out.extend_from_slice(&text.len().to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    match value {
        Value::Null => out.push(0),
        Value::Bool(b) => out.extend_from_slice(&[1, u8::from(*b)]),
        Value::Int(i) => {
            out.push(2);
            out.extend_from_slice(&i.to_le_bytes());
        }
        Value::Double(d) => {
            out.push(3);
            let d = if *d == 0.0 { 0.0 } else { *d };
            out.extend_from_slice(&d.to_bits().to_le_bytes());
        }
        Value::Str(s) => text(4, s, out),
        Value::Date(d) => {
            out.push(5);
            out.extend_from_slice(&d.to_le_bytes());
        }
        Value::Ip(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.to_le_bytes());
        }
        Value::Version(s) => text(7, s, out),
        Value::Unsigned(u) => {
            out.push(8);
            out.extend_from_slice(&u.to_le_bytes());
        }
        Value::Period { months, days } => {
            out.push(9);
            out.extend_from_slice(&months.to_le_bytes());
            out.extend_from_slice(&days.to_le_bytes());
        }
        Value::Duration(millis) => {
            out.push(10);
            out.extend_from_slice(&millis.to_le_bytes());
        }
        Value::Point { x, y } => {
            out.push(11);
            out.extend_from_slice(&x.to_bits().to_le_bytes());
            out.extend_from_slice(&y.to_bits().to_le_bytes());
        }
    }
}

fn bytes(value: &Value) -> Bytes {
    let mut out = Vec::with_capacity(16);
    encode(value, &mut out);
    out.into()
}

/// The state of one aggregate in one group.
#[derive(Clone, Debug)]
enum State {
    Count(u64),
    Distinct(FxHashSet<Bytes>),
    Sum {
        whole: i128,
        real: f64,
        carry: f64,
        n: u64,
    },
    Extreme(Option<Value>),
    Numbers(Tally),
    Weighted {
        total: f64,
        weight: f64,
    },
    Values(FxHashSet<Bytes>, Vec<Value>),
    /// Values and what is given for them.
    Top {
        values: Vec<(Value, Value)>,
        keep: usize,
        descending: bool,
    },
    Pick {
        key: Option<Value>,
        value: Option<Datum>,
    },
    Any(bool),
}

fn add(real: &mut f64, carry: &mut f64, v: f64) {
    let y = v - *carry;
    let t = *real + y;
    *carry = (t - *real) - y;
    *real = t;
}

impl AggregateCall {
    fn state(&self, env: &mut Env) -> State {
        let constant = |i: usize, env: &mut Env| self.args.get(i).map(|e| e.eval(&[], env));
        match self.kind {
            Aggregate::Count => State::Count(0),
            Aggregate::CountDistinct => State::Distinct(FxHashSet::default()),
            Aggregate::Sum | Aggregate::Avg => State::Sum { whole: 0, real: 0.0, carry: 0.0, n: 0 },
            Aggregate::Min | Aggregate::Max => State::Extreme(None),
            Aggregate::Median
            | Aggregate::Percentile
            | Aggregate::MedianAbsoluteDeviation
            | Aggregate::StdDev
            | Aggregate::Variance => State::Numbers(Tally::default()),
            Aggregate::WeightedAvg => State::Weighted { total: 0.0, weight: 0.0 },
            Aggregate::Values => State::Values(FxHashSet::default(), Vec::new()),
            Aggregate::Top => {
                let keep = match constant(1, env) {
                    Some(Datum::One(Value::Int(n))) => usize::try_from(n).unwrap_or(0),
                    _ => 0,
                };
                let descending = match constant(2, env) {
                    Some(Datum::One(v)) => v.as_str().is_some_and(|s| s.eq_ignore_ascii_case("desc")),
                    _ => false,
                };
                State::Top { values: Vec::new(), keep, descending }
            }
            Aggregate::First | Aggregate::Last => State::Pick { key: None, value: None },
            Aggregate::Present | Aggregate::Absent => State::Any(false),
        }
    }

    fn update(&self, state: &mut State, row: &[Datum], env: &mut Env) {
        if let Some(filter) = &self.filter
            && filter.eval(row, env) != Datum::One(Value::Bool(true))
        {
            return;
        }
        let Some(first) = self.args.first() else {
            if let State::Count(n) = state {
                *n += 1;
            }
            return;
        };
        let datum = first.eval(row, env);
        let values = datum.values();
        match state {
            State::Count(n) => *n += values.len() as u64,
            State::Distinct(seen) => seen.extend(values.iter().map(bytes)),
            State::Sum { whole, real, carry, n } => {
                for v in values {
                    match v {
                        Value::Int(i) => *whole += i128::from(*i),
                        other => add(real, carry, other.as_f64().unwrap_or(0.0)),
                    }
                    *n += 1;
                }
            }
            State::Extreme(held) => {
                for v in values {
                    self.better(held, v);
                }
            }
            State::Numbers(tally) => values.iter().filter_map(Value::as_f64).for_each(|n| tally.add(n)),
            State::Weighted { total, weight } => {
                let w = self.args.get(1).map(|e| e.eval(row, env)).unwrap_or_default();
                if let (Datum::One(v), Datum::One(w)) = (&datum, &w)
                    && let (Some(v), Some(w)) = (v.as_f64(), w.as_f64())
                {
                    *total += v * w;
                    *weight += w;
                }
            }
            State::Values(seen, list) => {
                for v in values {
                    if seen.insert(bytes(v)) {
                        list.push(v.clone());
                    }
                }
            }
            State::Top { values: list, keep, descending } => {
                match self.args.get(3).map(|e| e.eval(row, env)) {
                    None => list.extend(values.iter().map(|v| (v.clone(), v.clone()))),
                    Some(out) => {
                        let pairs =
                            values.iter().flat_map(|v| out.values().iter().map(|o| (v.clone(), o.clone())));
                        list.extend(pairs);
                    }
                }
                cut(list, *keep, *descending);
            }
            State::Pick { key, value } => {
                let keys = self.args.get(1).map(|e| e.eval(row, env)).unwrap_or_default();
                let wanted = if self.kind == Aggregate::First { Ordering::Less } else { Ordering::Greater };
                let own = keys.values().iter().reduce(|a, b| if order(b, a) == wanted { b } else { a });
                self.pick(key, value, own, &datum);
            }
            State::Any(any) => *any |= !values.is_empty(),
        }
    }

    fn better(&self, held: &mut Option<Value>, v: &Value) {
        let wanted = if self.kind == Aggregate::Min { Ordering::Less } else { Ordering::Greater };
        if held.as_ref().is_none_or(|h| order(v, h) == wanted) {
            *held = Some(v.clone());
        }
    }

    fn pick(&self, key: &mut Option<Value>, value: &mut Option<Datum>, own: Option<&Value>, datum: &Datum) {
        let wanted = if self.kind == Aggregate::First { Ordering::Less } else { Ordering::Greater };
        let takes = match (own, key.as_ref()) {
            _ if value.is_none() => true,
            (Some(own), Some(held)) => order(own, held) == wanted,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if takes {
            *key = own.cloned();
            *value = Some(datum.clone());
        }
    }

    fn merge(&self, mine: &mut State, theirs: State) {
        match (mine, theirs) {
            (State::Count(a), State::Count(b)) => *a += b,
            (State::Distinct(a), State::Distinct(b)) => a.extend(b),
            (State::Sum { whole, real, carry, n }, State::Sum { whole: w, real: r, carry: c, n: m }) => {
                *whole += w;
                add(real, carry, r);
                add(real, carry, -c);
                *n += m;
            }
            (State::Extreme(a), State::Extreme(Some(b))) => self.better(a, &b),
            (State::Numbers(a), State::Numbers(b)) => a.merge(b),
            (State::Weighted { total, weight }, State::Weighted { total: t, weight: w }) => {
                *total += t;
                *weight += w;
            }
            (State::Values(seen, list), State::Values(_, others)) => {
                for v in others {
                    if seen.insert(bytes(&v)) {
                        list.push(v);
                    }
                }
            }
            (State::Top { values, keep, descending }, State::Top { values: others, .. }) => {
                values.extend(others);
                cut(values, *keep, *descending);
            }
            (State::Pick { key, value }, State::Pick { key: own, value: Some(datum) }) => {
                self.pick(key, value, own.as_ref(), &datum);
            }
            (State::Any(a), State::Any(b)) => *a |= b,
            _ => {}
        }
    }

    fn finish(&self, state: State, env: &mut Env) -> Datum {
        match state {
            State::Count(n) => Value::Int(i64::try_from(n).unwrap_or(i64::MAX)).into(),
            State::Distinct(seen) => Value::Int(i64::try_from(seen.len()).unwrap_or(i64::MAX)).into(),
            State::Sum { n: 0, .. } => Datum::Null,
            State::Sum { whole, real, n, .. } if self.kind == Aggregate::Avg => {
                Value::Double((whole as f64 + real) / n as f64).into()
            }
            State::Sum { whole, real, .. } if self.ty == ColumnType::Double => {
                Value::Double(whole as f64 + real).into()
            }
            State::Sum { whole, .. } => match i64::try_from(whole) {
                Ok(i) => Value::Int(i).into(),
                Err(_) => {
                    env.warnings.add(self.at, false, &Failure::arithmetic("long overflow"));
                    Datum::Null
                }
            },
            State::Extreme(v) => v.map_or(Datum::Null, Datum::from),
            State::Numbers(tally) => {
                self.statistic(&tally, env).map_or(Datum::Null, |d| Value::Double(d).into())
            }
            State::Weighted { weight: 0.0, .. } => Datum::Null,
            State::Weighted { total, weight } => Value::Double(total / weight).into(),
            State::Values(_, list) => Datum::of(list),
            State::Top { values, .. } => Datum::of(values.into_iter().map(|(_, out)| out).collect()),
            State::Pick { value, .. } => value.unwrap_or_default(),
            State::Any(any) => Value::Bool(any == (self.kind == Aggregate::Present)).into(),
        }
    }

    fn statistic(&self, tally: &Tally, env: &mut Env) -> Option<f64> {
        match self.kind {
            Aggregate::Percentile => {
                let wanted = match self.args.get(1)?.eval(&[], env) {
                    Datum::One(v) => v.as_f64()?,
                    _ => return None,
                };
                (0.0..=100.0).contains(&wanted).then(|| tally.quantile(wanted / 100.0))?
            }
            Aggregate::MedianAbsoluteDeviation => tally.median_deviation(),
            Aggregate::StdDev => tally.variance().map(f64::sqrt),
            Aggregate::Variance => tally.variance(),
            _ => tally.quantile(0.5),
        }
    }
}

fn cut(list: &mut Vec<(Value, Value)>, keep: usize, descending: bool) {
    list.sort_by(|(a, _), (b, _)| if descending { order(b, a) } else { order(a, b) });
    list.truncate(keep);
}

#[derive(Clone, Debug)]
struct Group {
    key: Vec<Datum>,
    states: Vec<State>,
    events: Vec<Arc<EventRef>>,
}

/// The groups of an aggregation.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    index: FxHashMap<Bytes, usize>,
    groups: Vec<Group>,
}

impl Groups {
    /// The groups of a row: each with its encoded key and the values.
    fn keys(aggregation: &Aggregation, row: &[Datum]) -> Vec<(Vec<u8>, Vec<Datum>)> {
        let mut keys: Vec<(Vec<u8>, Vec<Datum>)> = vec![(Vec::new(), Vec::new())];
        for slot in &aggregation.keys {
            let datum = row.get(*slot).cloned().unwrap_or_default();
            let mut choices: Vec<Datum> = Vec::new();
            for v in datum.values() {
                let one = Datum::One(v.clone());
                if !choices.contains(&one) {
                    choices.push(one);
                }
            }
            if choices.is_empty() {
                choices.push(Datum::Null);
            }
            let mut next = Vec::with_capacity(keys.len() * choices.len());
            for (code, values) in &keys {
                for choice in &choices {
                    if next.len() >= MAX_KEYS {
                        break;
                    }
                    let (mut code, mut values) = (code.clone(), values.clone());
                    encode(choice.values().first().unwrap_or(&Value::Null), &mut code);
                    values.push(choice.clone());
                    next.push((code, values));
                }
            }
            keys = next;
        }
        keys
    }

    pub(super) fn feed(&mut self, aggregation: &Aggregation, row: &TableRow, env: &mut Env) {
        for (code, key) in Groups::keys(aggregation, &row.cells) {
            let at = match self.index.get(code.as_slice()) {
                Some(at) => *at,
                None => {
                    let states = aggregation.calls.iter().map(|c| c.state(env)).collect();
                    self.groups.push(Group { key, states, events: Vec::new() });
                    self.index.insert(code.into(), self.groups.len() - 1);
                    self.groups.len() - 1
                }
            };
            let Some(group) = self.groups.get_mut(at) else { continue };
            for (call, state) in aggregation.calls.iter().zip(&mut group.states) {
                call.update(state, &row.cells, env);
            }
            remember(&mut group.events, &row.events);
        }
    }

    pub(super) fn merge(&mut self, aggregation: &Aggregation, other: Groups) {
        let mut codes: Vec<(Bytes, usize)> = other.index.into_iter().collect();
        codes.sort_by_key(|(_, at)| *at);
        for ((code, _), group) in codes.into_iter().zip(other.groups) {
            match self.index.get(&code).and_then(|at| self.groups.get_mut(*at)) {
                Some(mine) => {
                    for ((call, a), b) in aggregation.calls.iter().zip(&mut mine.states).zip(group.states) {
                        call.merge(a, b);
                    }
                    remember(&mut mine.events, &group.events);
                }
                None => {
                    self.index.insert(code, self.groups.len());
                    self.groups.push(group);
                }
            }
        }
    }

    /// The groups as rows.
    pub(super) fn rows(mut self, aggregation: &Aggregation, slots: usize, env: &mut Env) -> Vec<TableRow> {
        if self.groups.is_empty() && aggregation.keys.is_empty() {
            let states = aggregation.calls.iter().map(|c| c.state(env)).collect();
            self.groups.push(Group { key: Vec::new(), states, events: Vec::new() });
        }
        let mut out = Vec::with_capacity(self.groups.len());
        for group in self.groups {
            let mut cells = vec![Datum::Null; slots];
            let mut put = |slot: Slot, d: Datum| {
                if let Some(cell) = cells.get_mut(slot) {
                    *cell = d;
                }
            };
            for (slot, d) in aggregation.keys.iter().zip(group.key) {
                put(*slot, d);
            }
            for (call, state) in aggregation.calls.iter().zip(group.states) {
                put(call.out, call.finish(state, env));
            }
            out.push(TableRow { cells, events: group.events });
        }
        out
    }

    /// Adds to each row what was computed for its groups.
    pub(super) fn join(mut self, aggregation: &Aggregation, rows: &mut [TableRow], env: &mut Env) {
        let results: Vec<Vec<Datum>> = std::mem::take(&mut self.groups)
            .into_iter()
            .map(|g| aggregation.calls.iter().zip(g.states).map(|(c, s)| c.finish(s, env)).collect())
            .collect();
        for row in rows {
            let of_row: Vec<&Vec<Datum>> = Groups::keys(aggregation, &row.cells)
                .iter()
                .filter_map(|(code, _)| results.get(*self.index.get(code.as_slice())?))
                .collect();
            for (i, call) in aggregation.calls.iter().enumerate() {
                let all = of_row.iter().filter_map(|r| r.get(i)).flat_map(Datum::values).cloned().collect();
                if let Some(cell) = row.cells.get_mut(call.out) {
                    *cell = Datum::of(all);
                }
            }
        }
    }
}

pub(super) fn remember(held: &mut Vec<Arc<EventRef>>, more: &[Arc<EventRef>]) {
    let room = MAX_EVENTS.saturating_sub(held.len());
    for event in more.iter().take(room) {
        if held.last().is_none_or(|last| !Arc::ptr_eq(last, event)) {
            held.push(Arc::clone(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_holds_no_more_however_many_rows_it_has() {
        let kinds = [
            Aggregate::Count,
            Aggregate::CountDistinct,
            Aggregate::Sum,
            Aggregate::Avg,
            Aggregate::Min,
            Aggregate::Max,
            Aggregate::Median,
            Aggregate::StdDev,
            Aggregate::Values,
            Aggregate::Present,
        ];
        let call = |(i, kind)| AggregateCall {
            kind,
            args: vec![Expr::Column(1)],
            filter: None,
            ty: ColumnType::Long,
            out: 2 + i,
            at: Span::default(),
        };
        let aggregation =
            Aggregation { keys: vec![0], calls: kinds.into_iter().enumerate().map(call).collect() };
        let mut groups = Groups::default();
        let mut env = Env::default();
        for i in 0..20_000i64 {
            let event = EventRef { id: i.to_string(), time: None, file: "f".into() };
            let mut cells = vec![Datum::Null; 12];
            cells[0] = Value::Int(i % 3).into();
            cells[1] = Value::Int(i % 7).into();
            groups.feed(&aggregation, &TableRow { cells, events: vec![Arc::new(event)] }, &mut env);
        }
        assert_eq!(groups.groups.len(), 3);
        for group in &groups.groups {
            assert_eq!(group.events.len(), MAX_EVENTS);
            for state in &group.states {
                match state {
                    State::Distinct(seen) => assert_eq!(seen.len(), 7),
                    State::Values(seen, list) => assert_eq!((seen.len(), list.len()), (7, 7)),
                    State::Numbers(tally) => assert_eq!(tally.len(), 7),
                    _ => {}
                }
            }
        }
    }
}
