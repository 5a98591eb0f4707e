//! Expressions over the cells of a row: three-valued; a single-value operator that is given several
//! values, or fails, gives null and a warning.

use super::Slot;
use crate::es::date::Nanos;
use crate::es::regexp::Regexp;
use crate::es::wildcard::{Part, Pattern};
use crate::func::column::{self, Call, ColumnFunction, Failure, Form, add_span, order};
use crate::plan::{Arithmetic, Comparison};
use crate::source::{Position, Source, Span};
use crate::value::{ColumnType, Datum, Value};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// A call of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The function.
    pub function: &'static ColumnFunction,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Their types.
    pub types: Vec<ColumnType>,
    /// The type of the result.
    pub result: ColumnType,
    /// A pattern that is constant.
    pub pattern: Option<column::Pattern>,
    /// Where it stands.
    pub at: Span,
}

impl PartialEq for Invocation {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && self.args == other.args && self.result == other.result
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A constant.
    Const(Datum),
    /// A cell.
    Column(Slot),
    /// A call.
    Call(Box<Invocation>),
    /// A calculation; the type is that of the result.
    Arithmetic(Arithmetic, Box<(Expr, Expr)>, ColumnType, Span),
    /// The opposite number or span.
    Negate(Box<Expr>, ColumnType, Span),
    /// A comparison.
    Compare(Comparison, Box<(Expr, Expr)>, Span),
    /// Whether it equals one of the others.
    In(Box<Expr>, Vec<Expr>, Span),
    /// All of them.
    And(Vec<Expr>),
    /// One of them.
    Or(Vec<Expr>),
    /// The complement.
    Not(Box<Expr>),
    /// Whether there is no value.
    IsNull(Box<Expr>, Span),
    /// Whether it matches one of the patterns.
    Like(Box<Expr>, Vec<Pattern>, Span),
    /// Whether it matches one of the regular expressions.
    Regexp(Box<Expr>, Vec<Regexp>, Span),
    /// The value after the first condition that is true, else the last.
    Case(Vec<(Expr, Span, Expr)>, Option<Box<Expr>>),
    /// The first that is not null.
    Coalesce(Vec<Expr>),
    /// Integers as doubles.
    Widen(Box<Expr>),
}

/// How often one place may warn.
const WARNINGS: usize = 20;

/// What went wrong while running, by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    places: BTreeMap<(u32, u32, bool), Vec<String>>,
    unanswered: BTreeSet<String>,
}

impl Warnings {
    /// Notes a failure; the first twenty of a place are kept, equal ones once.
    pub fn add(&mut self, at: Span, as_false: bool, failure: &Failure) {
        let held = self.places.entry((at.start, at.end, as_false)).or_default();
        if held.len() < WARNINGS {
            let text = format!("{}: {}", failure.class, failure.message);
            if !held.contains(&text) {
                held.push(text);
            }
        }
    }

    /// Adds what another part of the run has noted.
    pub fn merge(&mut self, other: Warnings) {
        for (place, texts) in other.places {
            let held = self.places.entry(place).or_default();
            for text in texts {
                if held.len() < WARNINGS && !held.contains(&text) {
                    held.push(text);
                }
            }
        }
        other.unanswered.iter().for_each(|prompt| self.unanswered(prompt));
    }

    /// Notes a prompt that nobody has supplied an answer for.
    pub fn unanswered(&mut self, prompt: &str) {
        if self.unanswered.len() < WARNINGS {
            self.unanswered.insert(prompt.to_owned());
        }
    }

    /// Prompts without an answer, the first twenty.
    pub fn prompts(&self) -> impl Iterator<Item = &str> {
        self.unanswered.iter().map(String::as_str)
    }

    /// The warnings as Elasticsearch words them.
    pub fn texts(&self, query: &Source) -> Vec<String> {
        let mut out = Vec::new();
        for ((start, end, as_false), texts) in &self.places {
            let Position { line, column } = query.position(*start);
            let source = Span { start: *start, end: *end }.slice(query.text());
            let what = if *as_false { "false" } else { "null" };
            out.push(format!(
                "Line {line}:{column}: evaluation of [{source}] failed, treating result as {what}. Only first {WARNINGS} failures recorded."
            ));
            out.extend(texts.iter().map(|t| format!("Line {line}:{column}: {t}")));
        }
        out
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.unanswered.is_empty()
    }
}

/// What an evaluation needs besides the row.
#[derive(Debug, Default)]
pub struct Env {
    /// What `NOW()` is.
    pub now: Nanos,
    /// What went wrong so far.
    pub warnings: Warnings,
}

impl Env {
    fn fail(&mut self, at: Span, failure: &Failure) -> Datum {
        self.warnings.add(at, false, failure);
        Datum::Null
    }

    /// The only value; null, with a warning where there are several.
    fn single<'d>(&mut self, datum: &'d Datum, at: Span) -> Option<&'d Value> {
        match datum {
            Datum::One(v) => Some(v),
            Datum::Null => None,
            Datum::Many(_) => {
                self.fail(at, &several());
                None
            }
        }
    }
}

fn several() -> Failure {
    Failure::argument("single-value function encountered multi-value")
}

/// Whether two values are equal, numbers by amount.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(x), Value::Double(y)) | (Value::Double(y), Value::Int(x)) => *x as f64 == *y,
        (Value::Double(x), Value::Double(y)) => x == y,
        _ => order(a, b) == Ordering::Equal && std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

fn compare(op: Comparison, a: &Value, b: &Value) -> bool {
    if let (Some(x), Some(y)) = (a.as_f64(), b.as_f64())
        && !matches!((a, b), (Value::Int(_), Value::Int(_)) | (Value::Unsigned(_), Value::Unsigned(_)))
    {
        return match op {
            Comparison::Equal => x == y,
            Comparison::Less => x < y,
            Comparison::LessEqual => x <= y,
            Comparison::Greater => x > y,
            Comparison::GreaterEqual => x >= y,
        };
    }
    let o = order(a, b);
    match op {
        Comparison::Equal => equal(a, b),
        Comparison::Less => o == Ordering::Less,
        Comparison::LessEqual => o != Ordering::Greater,
        Comparison::Greater => o == Ordering::Greater,
        Comparison::GreaterEqual => o != Ordering::Less,
    }
}

fn arithmetic(op: Arithmetic, a: &Value, b: &Value, ty: ColumnType) -> Result<Value, Failure> {
    let overflow = || {
        Failure::arithmetic(format!(
            "{} overflow",
            if ty == ColumnType::Integer { "integer" } else { ty.name() }
        ))
    };
    let zero = || Failure::arithmetic("/ by zero");
    match (a, b) {
        (Value::Int(x), Value::Int(y)) if ty != ColumnType::Double => {
            let done = match op {
                Arithmetic::Add => x.checked_add(*y),
                Arithmetic::Subtract => x.checked_sub(*y),
                Arithmetic::Multiply => x.checked_mul(*y),
                Arithmetic::Divide | Arithmetic::Modulo if *y == 0 => return Err(zero()),
                Arithmetic::Divide => x.checked_div(*y),
                Arithmetic::Modulo => x.checked_rem(*y).or(Some(0)),
            };
            let fits = |i: &i64| ty != ColumnType::Integer || i32::try_from(*i).is_ok();
            done.filter(fits).map(Value::Int).ok_or_else(overflow)
        }
        (Value::Unsigned(x), Value::Unsigned(y)) => {
            let done = match op {
                Arithmetic::Add => x.checked_add(*y),
                Arithmetic::Subtract => x.checked_sub(*y),
                Arithmetic::Multiply => x.checked_mul(*y),
                Arithmetic::Divide | Arithmetic::Modulo if *y == 0 => return Err(zero()),
                Arithmetic::Divide => x.checked_div(*y),
                Arithmetic::Modulo => x.checked_rem(*y),
            };
            done.map(Value::Unsigned).ok_or_else(overflow)
        }
        (Value::Date(at), span @ (Value::Period { .. } | Value::Duration(_))) => {
            add_span(*at, span, if op == Arithmetic::Subtract { -1 } else { 1 })
        }
        (span @ (Value::Period { .. } | Value::Duration(_)), Value::Date(at)) => add_span(*at, span, 1),
        (Value::Duration(x), Value::Duration(y)) => {
            let done = if op == Arithmetic::Subtract { x.checked_sub(*y) } else { x.checked_add(*y) };
            done.map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Period { months: m, days: d }, Value::Period { months: n, days: e }) => {
            let minus = op == Arithmetic::Subtract;
            let add = |x: i32, y: i32| if minus { x.checked_sub(y) } else { x.checked_add(y) };
            match (add(*m, *n), add(*d, *e)) {
                (Some(months), Some(days)) => Ok(Value::Period { months, days }),
                _ => Err(overflow()),
            }
        }
        _ => {
            let (Some(x), Some(y)) = (a.as_f64(), b.as_f64()) else { return Ok(Value::Null) };
            let done = match op {
                Arithmetic::Add => x + y,
                Arithmetic::Subtract => x - y,
                Arithmetic::Multiply => x * y,
                Arithmetic::Divide | Arithmetic::Modulo if y == 0.0 => return Err(zero()),
                Arithmetic::Divide => x / y,
                Arithmetic::Modulo => x % y,
            };
            if done.is_finite() {
                Ok(Value::Double(done))
            } else {
                Err(Failure::arithmetic("not a finite double number: Infinity"))
            }
        }
    }
}

fn negate(v: &Value, ty: ColumnType) -> Result<Value, Failure> {
    let overflow = || Failure::arithmetic(format!("{} overflow", ty.name()));
    match v {
        Value::Int(i) => {
            let done = i.checked_neg().filter(|i| ty != ColumnType::Integer || i32::try_from(*i).is_ok());
            done.map(Value::Int).ok_or_else(overflow)
        }
        Value::Double(d) => Ok(Value::Double(-d)),
        Value::Duration(d) => d.checked_neg().map(Value::Duration).ok_or_else(overflow),
        Value::Period { months, days } => match (months.checked_neg(), days.checked_neg()) {
            (Some(months), Some(days)) => Ok(Value::Period { months, days }),
            _ => Err(overflow()),
        },
        _ => Ok(Value::Null),
    }
}

impl Expr {
    /// The value for a row.
    pub fn eval(&self, row: &[Datum], env: &mut Env) -> Datum {
        match self {
            Expr::Const(d) => d.clone(),
            Expr::Column(slot) => row.get(*slot).cloned().unwrap_or_default(),
            Expr::Call(call) => call.eval(row, env),
            Expr::Arithmetic(op, operands, ty, at) => {
                let (a, b) = (operands.0.eval(row, env), operands.1.eval(row, env));
                let (Some(x), Some(y)) = (env.single(&a, *at), env.single(&b, *at)) else {
                    return Datum::Null;
                };
                match arithmetic(*op, x, y, *ty) {
                    Ok(v) => v.into(),
                    Err(failure) => env.fail(*at, &failure),
                }
            }
            Expr::Negate(e, ty, at) => {
                let d = e.eval(row, env);
                let Some(v) = env.single(&d, *at) else { return Datum::Null };
                match negate(v, *ty) {
                    Ok(v) => v.into(),
                    Err(failure) => env.fail(*at, &failure),
                }
            }
            Expr::Compare(op, operands, at) => {
                let (a, b) = (operands.0.eval(row, env), operands.1.eval(row, env));
                let (Some(x), Some(y)) = (env.single(&a, *at), env.single(&b, *at)) else {
                    return Datum::Null;
                };
                Value::Bool(compare(*op, x, y)).into()
            }
            Expr::In(e, list, at) => {
                let d = e.eval(row, env);
                let Some(v) = env.single(&d, *at) else { return Datum::Null };
                let mut unknown = false;
                for item in list {
                    let item = item.eval(row, env);
                    match env.single(&item, *at) {
                        Some(other) if equal(v, other) => return Value::Bool(true).into(),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                if unknown { Datum::Null } else { Value::Bool(false).into() }
            }
            Expr::And(parts) => kleene(parts, row, env, false),
            Expr::Or(parts) => kleene(parts, row, env, true),
            Expr::Not(e) => match truth(&e.eval(row, env)) {
                Some(b) => Value::Bool(!b).into(),
                None => Datum::Null,
            },
            Expr::IsNull(e, _) => Value::Bool(e.eval(row, env).is_null()).into(),
            Expr::Like(e, patterns, at) => {
                text_test(e, row, env, *at, |t| patterns.iter().any(|p| p.matches(t)))
            }
            Expr::Regexp(e, regexps, at) => {
                text_test(e, row, env, *at, |t| regexps.iter().any(|r| r.matches(t)))
            }
            Expr::Case(arms, otherwise) => {
                for (condition, at, value) in arms {
                    match condition.eval(row, env) {
                        Datum::One(Value::Bool(true)) => return value.eval(row, env),
                        Datum::Many(_) => env.warnings.add(*at, true, &several()),
                        _ => {}
                    }
                }
                otherwise.as_ref().map_or(Datum::Null, |e| e.eval(row, env))
            }
            Expr::Coalesce(parts) => {
                parts.iter().map(|p| p.eval(row, env)).find(|d| !d.is_null()).unwrap_or_default()
            }
            Expr::Widen(e) => {
                let d = e.eval(row, env);
                let wide = |v: &Value| match v {
                    Value::Int(i) => Value::Double(*i as f64),
                    other => other.clone(),
                };
                Datum::of(d.values().iter().map(wide).collect())
            }
        }
    }

    /// Whether the value does not depend on the row.
    pub fn is_constant(&self) -> bool {
        match self {
            Expr::Const(_) => true,
            Expr::Column(_) => false,
            Expr::Call(call) => call.args.iter().all(Expr::is_constant),
            Expr::Arithmetic(_, operands, _, _) | Expr::Compare(_, operands, _) => {
                operands.0.is_constant() && operands.1.is_constant()
            }
            Expr::In(e, list, _) => e.is_constant() && list.iter().all(Expr::is_constant),
            Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts) => parts.iter().all(Expr::is_constant),
            Expr::Negate(e, ..)
            | Expr::Not(e)
            | Expr::IsNull(e, _)
            | Expr::Like(e, ..)
            | Expr::Regexp(e, ..)
            | Expr::Widen(e) => e.is_constant(),
            Expr::Case(arms, otherwise) => {
                arms.iter().all(|(c, _, v)| c.is_constant() && v.is_constant())
                    && otherwise.as_ref().is_none_or(|e| e.is_constant())
            }
        }
    }

    /// Calls `f` with every slot that is read.
    pub fn slots(&self, f: &mut dyn FnMut(Slot)) {
        match self {
            Expr::Const(_) => {}
            Expr::Column(slot) => f(*slot),
            Expr::Call(call) => call.args.iter().for_each(|a| a.slots(f)),
            Expr::Arithmetic(_, operands, _, _) | Expr::Compare(_, operands, _) => {
                operands.0.slots(f);
                operands.1.slots(f);
            }
            Expr::In(e, list, _) => {
                e.slots(f);
                list.iter().for_each(|e| e.slots(f));
            }
            Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts) => {
                parts.iter().for_each(|e| e.slots(f))
            }
            Expr::Negate(e, ..)
            | Expr::Not(e)
            | Expr::IsNull(e, _)
            | Expr::Like(e, ..)
            | Expr::Regexp(e, ..)
            | Expr::Widen(e) => {
                e.slots(f);
            }
            Expr::Case(arms, otherwise) => {
                for (c, _, v) in arms {
                    c.slots(f);
                    v.slots(f);
                }
                if let Some(e) = otherwise {
                    e.slots(f);
                }
            }
        }
    }

    /// What one of the slots must hold for the condition to be true; `None` where nothing is certain.
    pub(super) fn required(&self, slots: &[Slot]) -> Option<Required> {
        let is_slot = |e: &Expr| matches!(e, Expr::Column(s) if slots.contains(s));
        let text = |e: &Expr| match e {
            Expr::Const(Datum::One(v)) => v.as_str().map(Box::from),
            _ => None,
        };
        match self {
            Expr::Compare(Comparison::Equal, operands, _) => {
                let (a, b) = (&operands.0, &operands.1);
                let other = if is_slot(a) {
                    b
                } else if is_slot(b) {
                    a
                } else {
                    return None;
                };
                Some(Required { exact: vec![text(other)?], prefixes: Vec::new() })
            }
            Expr::In(e, list, _) if is_slot(e) => {
                Some(Required { exact: list.iter().map(text).collect::<Option<_>>()?, prefixes: Vec::new() })
            }
            Expr::Like(e, patterns, _) if is_slot(e) => {
                let mut out = Required::default();
                for pattern in patterns {
                    match (pattern.literal(), pattern.parts().first()) {
                        (Some(all), _) => out.exact.push(all.into()),
                        (None, Some(Part::Text(t))) => out.prefixes.push(t.as_str().into()),
                        _ => return None,
                    }
                }
                Some(out)
            }
            Expr::Call(call) if call.function.name == "starts_with" => match call.args.as_slice() {
                [e, prefix] if is_slot(e) => {
                    Some(Required { exact: Vec::new(), prefixes: vec![text(prefix)?] })
                }
                _ => None,
            },
            Expr::And(parts) => parts
                .iter()
                .filter_map(|p| p.required(slots))
                .min_by_key(|r| r.exact.len() + 10 * r.prefixes.len()),
            Expr::Or(parts) => {
                let mut all = Required::default();
                for p in parts {
                    let one = p.required(slots)?;
                    all.exact.extend(one.exact);
                    all.prefixes.extend(one.prefixes);
                }
                Some(all)
            }
            _ => None,
        }
    }

    /// Where it stands, as far as it knows.
    pub fn span(&self) -> Option<Span> {
        let all = |parts: &mut dyn Iterator<Item = &Expr>| parts.filter_map(Expr::span).reduce(Span::to);
        match self {
            Expr::Const(_) | Expr::Column(_) => None,
            Expr::Call(call) => Some(call.at),
            Expr::Arithmetic(.., at)
            | Expr::Negate(.., at)
            | Expr::Compare(.., at)
            | Expr::In(.., at)
            | Expr::Like(.., at)
            | Expr::Regexp(.., at)
            | Expr::IsNull(.., at) => Some(*at),
            Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts) => all(&mut parts.iter()),
            Expr::Not(e) | Expr::Widen(e) => e.span(),
            Expr::Case(arms, _) => all(&mut arms.iter().map(|(c, _, _)| c)),
        }
    }
}

/// What a text must be: one of these, or begin so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Required {
    /// Whole texts.
    pub exact: Vec<Box<str>>,
    /// Beginnings.
    pub prefixes: Vec<Box<str>>,
}

fn truth(d: &Datum) -> Option<bool> {
    match d {
        Datum::One(Value::Bool(b)) => Some(*b),
        _ => None,
    }
}

fn kleene(parts: &[Expr], row: &[Datum], env: &mut Env, decides: bool) -> Datum {
    let mut unknown = false;
    for part in parts {
        match truth(&part.eval(row, env)) {
            Some(b) if b == decides => return Value::Bool(decides).into(),
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { Datum::Null } else { Value::Bool(!decides).into() }
}

fn text_test(e: &Expr, row: &[Datum], env: &mut Env, at: Span, f: impl FnOnce(&str) -> bool) -> Datum {
    let d = e.eval(row, env);
    let Some(v) = env.single(&d, at) else { return Datum::Null };
    v.as_str().map_or(Datum::Null, |t| Value::Bool(f(t)).into())
}

impl Invocation {
    fn eval(&self, row: &[Datum], env: &mut Env) -> Datum {
        let call =
            Call { types: &self.types, result: self.result, now: env.now, pattern: self.pattern.as_ref() };
        let args: Vec<Datum> = self.args.iter().map(|a| a.eval(row, env)).collect();
        match self.function.form {
            Form::Single(f) => {
                let mut values = Vec::with_capacity(args.len());
                for d in &args {
                    match d {
                        Datum::One(v) => values.push(v.clone()),
                        Datum::Null => return Datum::Null,
                        Datum::Many(_) => return env.fail(self.at, &several()),
                    }
                }
                match f(&values, &call) {
                    Ok(v) => v.into(),
                    Err(failure) => env.fail(self.at, &failure),
                }
            }
            Form::Each(f) => {
                let Some((first, rest)) = args.split_first() else { return Datum::Null };
                let mut values = vec![Value::Null];
                for d in rest {
                    match d {
                        Datum::One(v) => values.push(v.clone()),
                        Datum::Null => return Datum::Null,
                        Datum::Many(_) => return env.fail(self.at, &several()),
                    }
                }
                let mut out = Vec::with_capacity(first.values().len());
                for v in first.values() {
                    if let Some(place) = values.first_mut() {
                        *place = v.clone();
                    }
                    match f(&values, &call) {
                        Ok(v) if v.is_null() => {}
                        Ok(v) => out.push(v),
                        Err(failure) => drop(env.fail(self.at, &failure)),
                    }
                }
                Datum::of(out)
            }
            Form::Whole(f) => match f(&args, &call) {
                Ok(d) => d,
                Err(failure) => env.fail(self.at, &failure),
            },
            Form::Bucket => bucket(&args),
            Form::Case | Form::Coalesce | Form::Aggregate(_) | Form::FullText => Datum::Null,
        }
    }
}

/// The bucket of a date or number: of a size, or of the size that makes about as many buckets from one
/// bound to the other.
fn bucket(args: &[Datum]) -> Datum {
    let (Some(Datum::One(value)), Some(Datum::One(size))) = (args.first(), args.get(1)) else {
        return Datum::Null;
    };
    let bounds = match (args.get(2), args.get(3)) {
        (Some(Datum::One(from)), Some(Datum::One(to))) => Some((from, to)),
        _ => None,
    };
    match value {
        Value::Date(at) => {
            let picked = match (bounds, size) {
                (Some((Value::Date(from), Value::Date(to))), Value::Int(n)) => {
                    Some(date_bucket(*n, *from, *to))
                }
                _ => None,
            };
            column::trunc(picked.as_ref().unwrap_or(size), *at).map_or(Datum::Null, |d| Value::Date(d).into())
        }
        _ => {
            let size = match (bounds.map(|(a, b)| (a.as_f64(), b.as_f64())), size.as_f64()) {
                (Some((Some(from), Some(to))), Some(n)) if n > 0.0 => {
                    let precise = (to - from) / n;
                    let power = 10f64.powf(precise.log10().ceil());
                    Some(if precise < power / 2.0 { power / 2.0 } else { power })
                }
                (None, size) => size,
                _ => None,
            };
            match (value.as_f64(), size) {
                (Some(v), Some(s)) if s > 0.0 => Value::Double((v / s).floor() * s).into(),
                _ => Datum::Null,
            }
        }
    }
}

/// The finest of the spans that people use, of which no more than `n` reach from one date to another.
fn date_bucket(n: i64, from: Nanos, to: Nanos) -> Value {
    let spans = [
        (1, "month"),
        (1, "week"),
        (1, "day"),
        (12, "hour"),
        (3, "hour"),
        (1, "hour"),
        (30, "minute"),
        (10, "minute"),
        (5, "minute"),
        (1, "minute"),
        (30, "second"),
        (10, "second"),
        (5, "second"),
        (1, "second"),
        (100, "ms"),
        (50, "ms"),
        (10, "ms"),
        (1, "ms"),
    ];
    let enough = |span: &Value| {
        let Some(mut at) = column::trunc(span, from) else { return false };
        for _ in 0..n.clamp(0, 100_000) {
            match add_span(at, span, 1) {
                Ok(Value::Date(next)) => at = next,
                _ => return false,
            }
            if at >= to {
                return true;
            }
        }
        false
    };
    let mut best = Value::Period { months: 12, days: 0 };
    for (k, unit) in spans {
        match column::span_of(k, unit) {
            Some(span) if enough(&span) => best = span,
            _ => break,
        }
    }
    best
}
