//! Expressions: what a computed condition calculates. Three-valued: every operator and function of
//! null is null, except the null tests; `and` and `or` are Kleene's.

use super::{FieldId, RunError};
use crate::es::regexp::Regexp;
use crate::es::wildcard::Pattern;
use crate::es::{Case, version};
use crate::func::{Arithmetic, Function};
use crate::value::Value;
use std::cmp::Ordering;

/// `== < <= > >=`; `!=` is the negation of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// An expression over the fields of a document.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A constant.
    Const(Value),
    /// One value of a field.
    Field(FieldId),
    /// A call.
    Call(&'static Function, Vec<Expr>, Case),
    /// A calculation.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// A comparison.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// All of them.
    And(Vec<Expr>),
    /// One of them.
    Or(Vec<Expr>),
    /// The complement; of null it is null.
    Not(Box<Expr>),
    /// Whether it is null; never null itself.
    IsNull(Box<Expr>),
    /// Whether it equals one of the constants.
    In(Box<Expr>, Vec<Value>, Case),
    /// Whether it matches one of the patterns.
    Like(Box<Expr>, Vec<Pattern>),
    /// Whether it matches one of the regular expressions.
    Regexp(Box<Expr>, Vec<Regexp>),
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Expr::Const(a), Expr::Const(b)) => a == b,
            (Expr::Field(a), Expr::Field(b)) => a == b,
            (Expr::Call(f, a, c), Expr::Call(g, b, d)) => f.name == g.name && a == b && c == d,
            (Expr::Arithmetic(o, a, b), Expr::Arithmetic(p, c, d)) => o == p && a == c && b == d,
            (Expr::Compare(o, a, b), Expr::Compare(p, c, d)) => o == p && a == c && b == d,
            (Expr::And(a), Expr::And(b)) | (Expr::Or(a), Expr::Or(b)) => a == b,
            (Expr::Not(a), Expr::Not(b)) | (Expr::IsNull(a), Expr::IsNull(b)) => a == b,
            (Expr::In(a, x, c), Expr::In(b, y, d)) => a == b && x == y && c == d,
            (Expr::Like(a, x), Expr::Like(b, y)) => a == b && x == y,
            (Expr::Regexp(a, x), Expr::Regexp(b, y)) => a == b && x == y,
            _ => false,
        }
    }
}

/// The order of two values of like types; `None` where they cannot be compared.
pub(crate) fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(x), Value::Int(y)) => Some(x.cmp(y)),
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
            a.as_f64()?.partial_cmp(&b.as_f64()?)
        }
        (Value::Str(x), Value::Str(y)) => Some(x.as_bytes().cmp(y.as_bytes())),
        (Value::Bool(x), Value::Bool(y)) => Some(x.cmp(y)),
        (Value::Date(x), Value::Date(y)) => Some(x.cmp(y)),
        (Value::Ip(x), Value::Ip(y)) => Some(x.cmp(y)),
        (Value::Version(x), Value::Version(y) | Value::Str(y)) | (Value::Str(x), Value::Version(y)) => {
            Some(version::compare(x, y))
        }
        _ => None,
    }
}

impl Expr {
    /// The value of the expression, given one value for each field.
    ///
    /// # Errors
    /// When a call or a calculation fails, as Elasticsearch's would.
    pub fn eval(&self, field: &dyn Fn(FieldId) -> Value) -> Result<Value, RunError> {
        Ok(match self {
            Expr::Const(v) => v.clone(),
            Expr::Field(id) => field(*id),
            Expr::Call(function, args, case) => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    values.push(arg.eval(field)?);
                }
                (function.eval)(&values, *case)?
            }
            Expr::Arithmetic(op, a, b) => op.apply(&a.eval(field)?, &b.eval(field)?)?,
            Expr::Compare(op, a, b) => op.apply(&a.eval(field)?, &b.eval(field)?),
            Expr::And(parts) => kleene(parts, field, false)?,
            Expr::Or(parts) => kleene(parts, field, true)?,
            Expr::Not(e) => e.eval(field)?.as_bool().map_or(Value::Null, |b| Value::Bool(!b)),
            Expr::IsNull(e) => Value::Bool(e.eval(field)?.is_null()),
            Expr::In(e, list, case) => match e.eval(field)? {
                Value::Null => Value::Null,
                v => Value::Bool(list.iter().any(|item| match (case, v.as_str(), item.as_str()) {
                    (Case::Insensitive, Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                    _ => order(&v, item) == Some(Ordering::Equal),
                })),
            },
            Expr::Like(e, patterns) => text_test(&e.eval(field)?, |t| patterns.iter().any(|p| p.matches(t))),
            Expr::Regexp(e, regexps) => text_test(&e.eval(field)?, |t| regexps.iter().any(|r| r.matches(t))),
        })
    }
}

fn text_test(value: &Value, f: impl FnOnce(&str) -> bool) -> Value {
    value.as_str().map_or(Value::Null, |t| Value::Bool(f(t)))
}

fn kleene(parts: &[Expr], field: &dyn Fn(FieldId) -> Value, decides: bool) -> Result<Value, RunError> {
    let mut unknown = false;
    for part in parts {
        match part.eval(field)?.as_bool() {
            Some(b) if b == decides => return Ok(Value::Bool(decides)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(!decides) })
}

impl Comparison {
    /// The comparison of two values; null where one is null or they cannot be compared.
    pub fn apply(self, a: &Value, b: &Value) -> Value {
        if a.is_null() || b.is_null() {
            return Value::Null;
        }
        let Some(order) = order(a, b) else { return Value::Bool(false) };
        Value::Bool(match self {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterEqual => order != Ordering::Less,
        })
    }
}
