//! Leaf conditions: what a clause asks of one field ([`Op`]), and the same prepared for the field's
//! type ([`Test`]). The table is Elasticsearch's own: what it refuses is refused here.

use super::date::{self, Clock, Nanos, Round};
use super::regexp::Regexp;
use super::wildcard::{Part, Pattern};
use super::{analyze, ip, version};
use crate::diag::Code;
use crate::schema::{FieldType, Kind};
use crate::value::{Cell, Scalar, float_text};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A literal as the query has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Text, or a number that the language hands over as text (KQL).
    Str(Box<str>),
    /// An integer.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// `null`.
    Null,
}

impl Literal {
    /// The literal as text, as a keyword field would compare it.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Literal::Str(s) => s.as_ref().into(),
            Literal::Int(i) => i.to_string().into(),
            Literal::Float(f) => float_text(*f).into(),
            Literal::Bool(b) => if *b { "true" } else { "false" }.into(),
            Literal::Null => "null".into(),
        }
    }
}

/// Whether ASCII letters are told apart by case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They are.
    Sensitive,
    /// They are not.
    Insensitive,
}

/// What a clause asks of a field's values; true if any value satisfies it.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// There is an indexed value.
    Exists,
    /// The `term` query.
    Term(Literal, Case),
    /// The `terms` query: any of these.
    Terms(Vec<Literal>, Case),
    /// The `range` query; each bound with whether it is inclusive.
    Range {
        /// `gt` or `gte`.
        lower: Option<(Literal, bool)>,
        /// `lt` or `lte`.
        upper: Option<(Literal, bool)>,
    },
    /// The `wildcard` query.
    Wildcard(Pattern),
    /// A pattern inside a `query_string`: lower-cased on text; on a key below a flattened field only
    /// a prefix works.
    QueryWildcard(Pattern),
    /// The `regexp` query with all operators on.
    Regexp(Box<str>, Case),
    /// The `match` query: any token on text, `term` elsewhere.
    Match(Literal),
    /// The `match_phrase` query: all tokens in order on text, `term` elsewhere.
    Phrase(Literal),
    /// A phrase whose tokens may be moved by so many places in all.
    SloppyPhrase(Literal, u32),
    /// A text at most so many edits away: a change, an addition, a loss, or a swap of two neighbours.
    Fuzzy(Box<str>, u32),
}

/// What dates are read against.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// What `now` means, in nanoseconds since the epoch.
    pub now: Nanos,
    /// Offset in seconds for dates that name no zone.
    pub offset: i32,
}

/// Why Elasticsearch would refuse a clause on a field of this type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The code of the mistake.
    pub code: Code,
    /// What is wrong, lower case, without the field's name.
    pub message: String,
}

/// A prepared condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// No document.
    Never,
    /// A `constant_keyword`: the answer for documents of its index, and the condition for a document
    /// that names another value, because it comes from another index.
    Constant(bool, Box<Test>),
    /// Any indexed value.
    Exists,
    /// A whole string.
    Equals(Box<str>, Case),
    /// Any of several whole strings, sorted.
    OneOf(Vec<Box<str>>),
    /// A pattern over the whole string.
    Wildcard(Pattern),
    /// A regular expression over the whole string.
    Regexp(Regexp),
    /// A string between bounds, in byte order.
    StringRange(Option<(Box<str>, bool)>, Option<(Box<str>, bool)>),
    /// A token of a text that satisfies the inner condition.
    Token(Box<Test>),
    /// Tokens in order.
    TokenPhrase(Vec<String>),
    /// Tokens that so many moves bring into order.
    SloppyPhrase(Vec<String>, u32),
    /// A string at most so many edits away.
    Near(Box<str>, u32),
    /// An integer between inclusive bounds.
    Ints(i128, i128),
    /// A double between bounds, each with whether it is inclusive.
    Floats((f64, bool), (f64, bool)),
    /// `false` allowed, `true` allowed.
    Bools(bool, bool),
    /// An instant between inclusive bounds.
    Dates(Nanos, Nanos),
    /// An address between inclusive bounds.
    Ips(u128, u128),
    /// A version between bounds.
    Versions(Option<(Box<str>, bool)>, Option<(Box<str>, bool)>),
    /// Any of these.
    Any(Vec<Test>),
}

/// Prepares a condition for a field type. `key_below` says that the field is a key below a
/// flattened field.
///
/// # Errors
/// When Elasticsearch would refuse the clause; one refused clause fails the whole search.
pub fn prepare(op: &Op, ty: &FieldType, key_below: bool, context: &Context) -> Result<Test, Reject> {
    Prepare { ty, key_below, context }.op(op)
}

struct Prepare<'a> {
    ty: &'a FieldType,
    key_below: bool,
    context: &'a Context,
}

fn reject<T>(code: Code, message: impl Into<String>) -> Result<T, Reject> {
    Err(Reject { code, message: message.into() })
}

impl Prepare<'_> {
    fn op(&self, op: &Op) -> Result<Test, Reject> {
        let kind = self.ty.kind;
        if !self.ty.indexed && !matches!(op, Op::Exists) {
            return reject(Code::RP0204, "the field is not indexed, so it cannot be searched");
        }
        match op {
            Op::Exists => Ok(match kind {
                Kind::ConstantKeyword => self.constant(Test::Exists, |_| true),
                _ => Test::Exists,
            }),
            Op::Term(value, case) => self.term(value, *case),
            Op::Terms(values, case) => {
                if self.is_string() && *case == Case::Sensitive && kind != Kind::ConstantKeyword {
                    let mut texts: Vec<Box<str>> = Vec::new();
                    for v in values {
                        if matches!(v, Literal::Null) {
                            return self.null();
                        }
                        texts.push(self.normalize(&v.text()));
                    }
                    texts.sort();
                    texts.dedup();
                    return Ok(Test::OneOf(texts));
                }
                if kind.is_integer() {
                    // unlike a single term, one that the type cannot hold is refused
                    for v in values {
                        self.int_bound(&(v.clone(), true), true)?;
                    }
                }
                values.iter().map(|v| self.term(v, *case)).collect::<Result<_, _>>().map(any)
            }
            Op::Match(value) if kind.is_text() => {
                let tokens = self.tokens(value)?;
                Ok(any(tokens.into_iter().map(|t| token(Test::Equals(t.into(), Case::Sensitive))).collect()))
            }
            Op::Phrase(value) if kind.is_text() => {
                let mut tokens = self.tokens(value)?;
                Ok(match tokens.len() {
                    0 => Test::Never,
                    1 => token(Test::Equals(tokens.remove(0).into(), Case::Sensitive)),
                    _ => Test::TokenPhrase(tokens),
                })
            }
            Op::SloppyPhrase(value, slop) if kind.is_text() => {
                let tokens = self.tokens(value)?;
                Ok(if tokens.is_empty() { Test::Never } else { Test::SloppyPhrase(tokens, *slop) })
            }
            Op::Match(value) | Op::Phrase(value) | Op::SloppyPhrase(value, _) => {
                self.term(value, Case::Sensitive)
            }
            Op::Fuzzy(text, edits) => match kind {
                Kind::Text | Kind::MatchOnlyText => Ok(token(Test::Near(text.clone(), *edits))),
                Kind::ConstantKeyword => {
                    let own = Test::Near(text.clone(), *edits);
                    Ok(self.constant(own, |c| is_near(c, text, *edits)))
                }
                k if k.is_keyword() || (k == Kind::Flattened && !self.key_below) => {
                    Ok(Test::Near(self.normalize(text), *edits))
                }
                Kind::Object | Kind::Nested => Ok(Test::Never),
                _ => self.no_pattern("a fuzzy comparison"),
            },
            Op::Wildcard(pattern) => self.wildcard(pattern, false),
            Op::QueryWildcard(pattern) => self.wildcard(pattern, true),
            Op::Regexp(text, case) => self.regexp(text, *case),
            Op::Range { lower, upper } => self.range(lower.as_ref(), upper.as_ref()),
        }
    }

    fn is_string(&self) -> bool {
        self.ty.kind.is_keyword() || self.ty.kind == Kind::Flattened
    }

    fn null<T>(&self) -> Result<T, Reject> {
        reject(Code::RP0309, "`null` is not a value to search for")
    }

    fn normalize(&self, text: &str) -> Box<str> {
        if self.ty.lowercase { text.to_lowercase().into() } else { text.into() }
    }

    fn tokens(&self, value: &Literal) -> Result<Vec<String>, Reject> {
        if matches!(value, Literal::Null) { self.null() } else { Ok(analyze::standard(&value.text())) }
    }

    fn misfit<T>(&self, value: &Literal, what: &str) -> Result<T, Reject> {
        reject(Code::RP0301, format!("`{}` is not {what}", value.text()))
    }

    fn unsearchable<T>(&self) -> Result<T, Reject> {
        reject(Code::RP0204, format!("a field of type `{}` cannot be searched for a value", self.ty.kind))
    }

    fn term(&self, value: &Literal, case: Case) -> Result<Test, Reject> {
        if matches!(value, Literal::Null) {
            return self.null();
        }
        let text = value.text();
        let kind = self.ty.kind;
        let of_terms = self.is_string() || matches!(kind, Kind::Boolean | Kind::Version);
        if case == Case::Insensitive && !of_terms && !kind.is_text() && !kind.is_object() {
            return reject(
                Code::RP0302,
                format!("a field of type `{}` knows no comparison without case", self.ty.kind),
            );
        }
        match self.ty.kind {
            Kind::Keyword | Kind::Wildcard | Kind::Flattened => Ok(Test::Equals(self.normalize(&text), case)),
            Kind::ConstantKeyword => {
                Ok(self.constant(Test::Equals(text.as_ref().into(), case), |c| match case {
                    Case::Sensitive => c == text,
                    Case::Insensitive => c.eq_ignore_ascii_case(&text),
                }))
            }
            Kind::Text | Kind::MatchOnlyText => Ok(token(Test::Equals(text.as_ref().into(), case))),
            k if k.is_integer() => match self.integer(value) {
                Some(Number::Int(i)) => Ok(Test::Ints(i, i)),
                Some(Number::Float(f)) if f.fract() == 0.0 && f.abs() < 1e18 => {
                    Ok(Test::Ints(f as i128, f as i128))
                }
                Some(Number::Float(_)) => Ok(Test::Never),
                None => self.misfit(value, "a number"),
            },
            k if k.is_number() => match number(value) {
                Some(n) => Ok(Test::Floats((self.double(n), true), (self.double(n), true))),
                None => self.misfit(value, "a number"),
            },
            Kind::Boolean => match boolean(value) {
                Some(b) => Ok(Test::Bools(!b, b)),
                None => self.misfit(value, "`true` or `false`"),
            },
            k if k.is_date() => {
                let lo = self.instant(value, Round::Down)?;
                let hi = self.instant(value, Round::Up)?;
                Ok(Test::Dates(lo, hi))
            }
            Kind::Ip if text.contains('/') => match ip::parse_cidr(&text) {
                Some((lo, hi)) => Ok(Test::Ips(lo, hi)),
                None => self.misfit(value, "a CIDR block"),
            },
            Kind::Ip => match ip::parse(&text) {
                Some(ip) => Ok(Test::Ips(ip, ip)),
                None => self.misfit(value, "an IP address"),
            },
            Kind::Version if !matches!(value, Literal::Str(_)) => self.misfit(value, "the text of a version"),
            Kind::Version => {
                let bound = Some((text.as_ref().into(), true));
                Ok(Test::Versions(bound.clone(), bound))
            }
            Kind::Object | Kind::Nested => Ok(Test::Never),
            _ => self.unsearchable(),
        }
    }

    /// The number for an integer field, where blanks around it are an error.
    fn integer(&self, value: &Literal) -> Option<Number> {
        match value {
            Literal::Str(s) if s.trim() != s.as_ref() => None,
            other => number(other),
        }
    }

    fn constant(&self, own: Test, f: impl FnOnce(&str) -> bool) -> Test {
        Test::Constant(self.ty.constant.as_deref().is_some_and(f), Box::new(own))
    }

    fn double(&self, n: Number) -> f64 {
        stored_float(self.ty.kind, n.float())
    }

    fn instant(&self, value: &Literal, round: Round) -> Result<Nanos, Reject> {
        let nanos = self.ty.kind == Kind::DateNanos;
        let clock = Clock { now: self.context.now, offset: self.context.offset, nanos };
        let found = match value {
            Literal::Int(ms) => Some(date::from_millis(*ms)),
            other => {
                let text = other.text();
                if nanos && date::lacks_seconds(&text) {
                    return self.misfit(value, "a date with nanoseconds, whose time needs its seconds");
                }
                date::parse(&text, round, &clock)
            }
        };
        match found {
            Some(n) if nanos && !(0..=date::MAX_NANOS).contains(&n) => {
                reject(Code::RP0301, format!("`{}` is outside of what nanoseconds can store", value.text()))
            }
            Some(n) => Ok(date::truncate(n, nanos)),
            None => self.misfit(value, "a date"),
        }
    }

    fn no_pattern<T>(&self, what: &str) -> Result<T, Reject> {
        reject(Code::RP0302, format!("{what} does not work on a field of type `{}`", self.ty.kind))
    }

    fn wildcard(&self, pattern: &Pattern, query_string: bool) -> Result<Test, Reject> {
        match self.ty.kind {
            Kind::Flattened if self.key_below => match pattern.parts() {
                [Part::Text(_), Part::Any] | [Part::Any] if query_string => {
                    Ok(Test::Wildcard(pattern.clone()))
                }
                _ => reject(
                    Code::RP0302,
                    "below a flattened field only a prefix such as `abc*` works as a pattern",
                ),
            },
            // patterns of a query string have versions for their prefix only
            Kind::Version
                if query_string && !matches!(pattern.parts(), [Part::Text(_), Part::Any] | [Part::Any]) =>
            {
                self.no_pattern("a wildcard inside a query string")
            }
            Kind::Keyword | Kind::Wildcard | Kind::Flattened | Kind::Version => {
                Ok(Test::Wildcard(if self.ty.lowercase { pattern.lowercased() } else { pattern.clone() }))
            }
            Kind::ConstantKeyword => {
                Ok(self.constant(Test::Wildcard(pattern.clone()), |c| pattern.matches(c)))
            }
            Kind::Text | Kind::MatchOnlyText => {
                Ok(token(Test::Wildcard(if query_string { pattern.lowercased() } else { pattern.clone() })))
            }
            Kind::Object | Kind::Nested => Ok(Test::Never),
            _ => self.no_pattern("a wildcard"),
        }
    }

    fn regexp(&self, text: &str, case: Case) -> Result<Test, Reject> {
        // Elasticsearch puts the pattern through the normalizer as if it were a value
        let text = self.normalize(text);
        let regexp = Regexp::new(&text, case == Case::Insensitive)
            .map_err(|e| Reject { code: Code::RP0102, message: format!("in the regular expression, {e}") })?;
        match self.ty.kind {
            Kind::ConstantKeyword => Ok(self.constant(Test::Regexp(regexp.clone()), |c| regexp.matches(c))),
            Kind::Text | Kind::MatchOnlyText => Ok(token(Test::Regexp(regexp))),
            Kind::Flattened if self.key_below => {
                reject(Code::RP0302, "a regular expression does not work below a flattened field")
            }
            k if k.is_keyword() || k == Kind::Flattened => Ok(Test::Regexp(regexp)),
            _ => self.no_pattern("a regular expression"),
        }
    }

    fn range(
        &self,
        lower: Option<&(Literal, bool)>,
        upper: Option<&(Literal, bool)>,
    ) -> Result<Test, Reject> {
        if lower.iter().chain(upper.iter()).any(|(v, _)| matches!(v, Literal::Null)) {
            return self.null();
        }
        let text = |b: Option<&(Literal, bool)>| b.map(|(v, i)| (self.normalize(&v.text()), *i));
        match self.ty.kind {
            Kind::Keyword | Kind::Wildcard => Ok(Test::StringRange(text(lower), text(upper))),
            Kind::Flattened if self.key_below && (lower.is_none() || upper.is_none()) => reject(
                Code::RP0301,
                "below a flattened field a range needs both bounds (Elasticsearch before 9.x refuses it)",
            ),
            Kind::Flattened => Ok(Test::StringRange(text(lower), text(upper))),
            Kind::Text | Kind::MatchOnlyText => Ok(token(Test::StringRange(text(lower), text(upper)))),
            Kind::Version => {
                for (value, _) in [lower, upper].into_iter().flatten() {
                    if !matches!(value, Literal::Str(_)) {
                        return self.misfit(value, "the text of a version");
                    }
                }
                Ok(Test::Versions(text(lower), text(upper)))
            }
            Kind::Boolean => {
                let mut allowed = (true, true);
                if let Some((v, inclusive)) = lower {
                    match boolean(v) {
                        Some(true) => allowed = (false, *inclusive),
                        Some(false) => allowed.0 = *inclusive,
                        None => return self.misfit(v, "`true` or `false`"),
                    }
                }
                if let Some((v, inclusive)) = upper {
                    match boolean(v) {
                        Some(true) => allowed.1 = allowed.1 && *inclusive,
                        Some(false) => allowed = (allowed.0 && *inclusive, false),
                        None => return self.misfit(v, "`true` or `false`"),
                    }
                }
                Ok(Test::Bools(allowed.0, allowed.1))
            }
            k if k.is_integer() => {
                let lo = lower.map(|b| self.int_bound(b, true)).transpose()?.unwrap_or(i128::MIN);
                let hi = upper.map(|b| self.int_bound(b, false)).transpose()?.unwrap_or(i128::MAX);
                Ok(if lo > hi { Test::Never } else { Test::Ints(lo, hi) })
            }
            k if k.is_number() => {
                // bounds of half floats keep the precision of floats
                let wide = if k == Kind::HalfFloat { Kind::Float } else { k };
                let bound = |b: Option<&(Literal, bool)>, open: f64| match b {
                    None => Ok((open, true)),
                    Some((v, i)) => match number(v) {
                        Some(n) => Ok((stored_float(wide, n.float()), *i)),
                        None => self.misfit(v, "a number"),
                    },
                };
                Ok(Test::Floats(bound(lower, f64::NEG_INFINITY)?, bound(upper, f64::INFINITY)?))
            }
            k if k.is_date() => {
                let unit = if k == Kind::DateNanos { 1 } else { 1_000_000 };
                let lo = match lower {
                    None => Nanos::MIN,
                    Some((v, true)) => self.instant(v, Round::Down)?,
                    Some((v, false)) => self.instant(v, Round::Up)? + unit,
                };
                let hi = match upper {
                    None => Nanos::MAX,
                    Some((v, true)) => self.instant(v, Round::Up)?,
                    Some((v, false)) => self.instant(v, Round::Down)? - unit,
                };
                Ok(if lo > hi { Test::Never } else { Test::Dates(lo, hi) })
            }
            Kind::Ip => {
                let bound = |b: Option<&(Literal, bool)>, open: u128, step: fn(u128) -> Option<u128>| match b
                {
                    None => Ok(Some(open)),
                    Some((v, inclusive)) => match ip::parse(&v.text()) {
                        Some(ip) if *inclusive => Ok(Some(ip)),
                        Some(ip) => Ok(step(ip)),
                        None => self.misfit(v, "an IP address"),
                    },
                };
                let lo = bound(lower, u128::MIN, |ip| ip.checked_add(1))?;
                let hi = bound(upper, u128::MAX, |ip| ip.checked_sub(1))?;
                Ok(match (lo, hi) {
                    (Some(lo), Some(hi)) if lo <= hi => Test::Ips(lo, hi),
                    _ => Test::Never,
                })
            }
            Kind::Object | Kind::Nested => Ok(Test::Never),
            _ => self.no_pattern("a range"),
        }
    }

    /// The inclusive integer bound of a possibly fractional one: `< 4.5` is `<= 4`.
    fn int_bound(&self, (value, inclusive): &(Literal, bool), lower: bool) -> Result<i128, Reject> {
        let number = self.integer(value);
        let most = match self.ty.kind {
            Kind::Long => Some(i64::MAX.into()),
            // shorter ones are compared as integers
            Kind::Integer | Kind::Short | Kind::Byte => Some(i128::from(i32::MAX)),
            _ => None,
        };
        let whole = match number {
            Some(Number::Int(i)) => Some(i),
            Some(Number::Float(f)) => Some(f.trunc() as i128),
            None => None,
        };
        if let (Some(most), Some(whole)) = (most, whole)
            && (whole > most || whole < -most - 1)
        {
            return reject(
                Code::RP0301,
                format!("`{}` is out of the range of the type `{}`", value.text(), self.ty.kind),
            );
        }
        match number {
            None => self.misfit(value, "a number"),
            Some(Number::Int(i)) => Ok(match (inclusive, lower) {
                (true, _) => i,
                (false, true) => i.saturating_add(1),
                (false, false) => i.saturating_sub(1),
            }),
            Some(Number::Float(f)) if f.fract() == 0.0 => {
                let i = f as i128;
                Ok(match (inclusive, lower) {
                    (true, _) => i,
                    (false, true) => i.saturating_add(1),
                    (false, false) => i.saturating_sub(1),
                })
            }
            Some(Number::Float(f)) => Ok(if lower { f.ceil() as i128 } else { f.floor() as i128 }),
        }
    }
}

fn token(test: Test) -> Test {
    Test::Token(Box::new(test))
}

fn any(mut tests: Vec<Test>) -> Test {
    match tests.len() {
        0 => Test::Never,
        1 => tests.remove(0),
        _ => Test::Any(tests),
    }
}

#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }
}

/// A number, or a text that Elasticsearch reads as one: decimals and exponents, no hex.
fn number(value: &Literal) -> Option<Number> {
    match value {
        Literal::Int(i) => Some(Number::Int((*i).into())),
        Literal::Float(f) => Some(Number::Float(*f)),
        Literal::Str(s) => number_text(s),
        Literal::Bool(_) | Literal::Null => None,
    }
}

fn number_text(s: &str) -> Option<Number> {
    let s = s.trim();
    if let Ok(i) = s.parse::<i128>() {
        return Some(if i == 0 && s.starts_with('-') { Number::Float(-0.0) } else { Number::Int(i) });
    }
    let plain = s.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if plain { s.parse().ok().map(Number::Float) } else { None }
}

fn boolean(value: &Literal) -> Option<bool> {
    match value {
        Literal::Bool(b) => Some(*b),
        Literal::Str(s) if s.as_ref() == "true" => Some(true),
        Literal::Str(s) if s.as_ref() == "false" => Some(false),
        _ => None,
    }
}

/// The text that a string field indexes for a value; `None` where `ignore_above` leaves it out.
pub fn indexed_text<'s>(ty: &FieldType, scalar: &'s Scalar) -> Option<Cow<'s, str>> {
    let text = scalar.text();
    if let Some(limit) = ty.ignore_above {
        // most values are short: bytes bound UTF-16 units from above
        if text.len() > limit as usize && text.encode_utf16().count() > limit as usize {
            return None;
        }
    }
    Some(if ty.lowercase { text.to_lowercase().into() } else { text })
}

/// The integer that an integer field indexes: decimals are truncated, numeric text is read.
fn indexed_int(scalar: &Scalar) -> Option<i128> {
    match scalar {
        Scalar::Int(i) => Some((*i).into()),
        Scalar::Float(f) if f.is_finite() => Some(f.trunc() as i128),
        Scalar::Str(s) => match number_text(s)? {
            Number::Int(i) => Some(i),
            Number::Float(f) => Some(f.trunc() as i128),
        },
        _ => None,
    }
}

fn indexed_float(ty: &FieldType, scalar: &Scalar) -> Option<f64> {
    let f = match scalar {
        Scalar::Int(i) => *i as f64,
        Scalar::Float(f) => *f,
        Scalar::Str(s) => match number_text(s)? {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        },
        Scalar::Bool(_) => return None,
    };
    Some(stored_float(ty.kind, f))
}

/// A number as a field of decimals keeps it.
pub(super) fn stored_float(kind: Kind, f: f64) -> f64 {
    match kind {
        Kind::Float => f64::from(f as f32),
        Kind::HalfFloat => half(f as f32),
        _ => f,
    }
}

/// The nearest number with eleven bits, to the even one of two: sixteen-bit floating point.
fn half(f: f32) -> f64 {
    if !f.is_finite() || f == 0.0 {
        return f.into();
    }
    let f = f64::from(f);
    // below 2^-14 the steps no longer shrink
    let exponent = (f.abs().log2().floor() as i32).max(-14);
    let step = 2f64.powi(exponent - 10);
    let near = (f / step).round_ties_even() * step;
    if near.abs() >= 65_520.0 { f64::INFINITY.copysign(near) } else { near.copysign(f) }
}

fn indexed_bool(scalar: &Scalar) -> Option<bool> {
    match scalar {
        Scalar::Bool(b) => Some(*b),
        Scalar::Str(s) => match s.as_ref() {
            "true" => Some(true),
            "false" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The instant that a date field indexes.
pub fn date_value(ty: &FieldType, scalar: &Scalar) -> Option<Nanos> {
    let nanos = match scalar {
        Scalar::Int(ms) => date::from_millis(*ms),
        Scalar::Float(f) if f.is_finite() => (*f * 1e6) as Nanos,
        Scalar::Str(s) => date::parse_value(s)?,
        _ => return None,
    };
    Some(date::truncate(nanos, ty.kind == Kind::DateNanos))
}

fn indexed_ip(scalar: &Scalar) -> Option<u128> {
    match scalar {
        Scalar::Str(s) => ip::parse(s),
        _ => None,
    }
}

/// Whether an index would take this value for a field of this type; where it would not, the whole
/// document is rejected.
pub fn fits(ty: &FieldType, scalar: &Scalar) -> bool {
    match ty.kind {
        k if k.is_integer() => indexed_int(scalar).is_some(),
        k if k.is_number() => indexed_float(ty, scalar).is_some(),
        Kind::Boolean => indexed_bool(scalar).is_some(),
        Kind::Date | Kind::DateNanos => ty.format.is_some() || date_value(ty, scalar).is_some(),
        Kind::Ip => indexed_ip(scalar).is_some(),
        Kind::Object | Kind::Nested | Kind::Flattened => false,
        _ => true,
    }
}

impl Test {
    /// Whether any value of the cell satisfies the condition.
    pub fn matches(&self, ty: &FieldType, cell: &Cell) -> bool {
        match self {
            Test::Never => return false,
            Test::Constant(own, _) if cell.values.is_empty() => return *own,
            Test::SloppyPhrase(phrase, slop) if cell.values.len() > 1 => {
                // the values of an array follow one another a hundred places apart
                let mut tokens = Vec::new();
                for value in &cell.values {
                    tokens.extend(analyze::standard(&value.text()));
                    tokens.extend(std::iter::repeat_n(String::new(), 100));
                }
                return is_sloppy_phrase(&tokens, phrase, *slop as usize);
            }
            _ => {}
        }
        cell.values.iter().any(|v| self.value(ty, v))
            || (cell.explicit_null && ty.null_value.as_ref().is_some_and(|v| self.value(ty, v)))
    }

    /// Whether one value satisfies the condition.
    pub fn value(&self, ty: &FieldType, scalar: &Scalar) -> bool {
        match self {
            Test::Never => false,
            Test::Constant(_, test) => test.value(ty, scalar),
            Test::Exists => match ty.kind {
                k if k.is_keyword() => indexed_text(ty, scalar).is_some(),
                Kind::Object | Kind::Nested => false,
                Kind::Flattened => indexed_text(ty, scalar).is_some(),
                _ => fits(ty, scalar),
            },
            Test::Equals(..)
            | Test::OneOf(_)
            | Test::Wildcard(_)
            | Test::Regexp(_)
            | Test::Near(..)
            | Test::StringRange(..) => indexed_text(ty, scalar).is_some_and(|t| self.text(&t)),
            Test::Token(inner) => analyze::standard(&scalar.text()).iter().any(|t| inner.text(t)),
            Test::TokenPhrase(phrase) => {
                analyze::standard(&scalar.text()).windows(phrase.len()).any(|w| w == phrase.as_slice())
            }
            Test::SloppyPhrase(phrase, slop) => {
                is_sloppy_phrase(&analyze::standard(&scalar.text()), phrase, *slop as usize)
            }
            Test::Ints(lo, hi) => indexed_int(scalar).is_some_and(|i| *lo <= i && i <= *hi),
            // the order of the index, in which -0 comes before 0
            Test::Floats((lo, lo_in), (hi, hi_in)) => indexed_float(ty, scalar).is_some_and(|f| {
                let (low, high) = (f.total_cmp(lo), f.total_cmp(hi));
                (if *lo_in { low.is_ge() } else { low.is_gt() })
                    && (if *hi_in { high.is_le() } else { high.is_lt() })
            }),
            Test::Bools(no, yes) => indexed_bool(scalar).is_some_and(|b| if b { *yes } else { *no }),
            Test::Dates(lo, hi) => date_value(ty, scalar).is_some_and(|d| *lo <= d && d <= *hi),
            Test::Ips(lo, hi) => indexed_ip(scalar).is_some_and(|ip| *lo <= ip && ip <= *hi),
            Test::Versions(lo, hi) => {
                let text = scalar.text();
                within(lo.as_ref(), hi.as_ref(), |bound| version::compare(&text, bound))
            }
            Test::Any(tests) => tests.iter().any(|t| t.value(ty, scalar)),
        }
    }

    fn text(&self, text: &str) -> bool {
        match self {
            Test::Equals(v, Case::Sensitive) => v.as_ref() == text,
            Test::Equals(v, Case::Insensitive) => v.eq_ignore_ascii_case(text),
            Test::OneOf(vs) => vs.binary_search_by(|v| v.as_ref().cmp(text)).is_ok(),
            Test::Wildcard(p) => p.matches(text),
            Test::Regexp(r) => r.matches(text),
            Test::Near(own, edits) => is_near(text, own, *edits),
            Test::StringRange(lo, hi) => {
                within(lo.as_ref(), hi.as_ref(), |bound| text.as_bytes().cmp(bound.as_bytes()))
            }
            Test::Any(tests) => tests.iter().any(|t| t.text(text)),
            _ => false,
        }
    }
}

/// Whether so few edits lead from one text to another; a swap of neighbours counts as one.
fn is_near(text: &str, own: &str, edits: u32) -> bool {
    let length = |t: &str| t.chars().count();
    length(text).abs_diff(length(own)) <= edits as usize && strsim::osa_distance(text, own) <= edits as usize
}

/// Whether the tokens of a phrase occur so near to their places that `slop` moves bring them there: every
/// place, less the token's own place in the phrase, lies within `slop` of every other one.
fn is_sloppy_phrase(tokens: &[String], phrase: &[String], slop: usize) -> bool {
    let times = |of: &[String], token: &String| of.iter().filter(|t| *t == token).count();
    if phrase.iter().any(|p| times(tokens, p) < times(phrase, p)) {
        return false;
    }
    let mut places: Vec<(usize, usize, usize)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let of = phrase.iter().enumerate().filter(|(_, p)| *p == token);
        places.extend(of.map(|(i, _)| (at + phrase.len() - i, i, at)));
    }
    places.sort_unstable();
    places.iter().enumerate().any(|(from, (start, ..))| {
        let window = || places.iter().skip(from).take_while(|(p, ..)| p - start <= slop);
        // each token of the phrase by a place of its own
        let mut used: Vec<usize> = Vec::with_capacity(phrase.len());
        (0..phrase.len()).all(|i| match window().find(|(_, own, at)| *own == i && !used.contains(at)) {
            Some((_, _, at)) => {
                used.push(*at);
                true
            }
            None => false,
        })
    })
}

fn within(
    lo: Option<&(Box<str>, bool)>,
    hi: Option<&(Box<str>, bool)>,
    order: impl Fn(&str) -> Ordering,
) -> bool {
    let above = lo.is_none_or(|(bound, inclusive)| match order(bound) {
        Ordering::Greater => true,
        Ordering::Equal => *inclusive,
        Ordering::Less => false,
    });
    above
        && hi.is_none_or(|(bound, inclusive)| match order(bound) {
            Ordering::Less => true,
            Ordering::Equal => *inclusive,
            Ordering::Greater => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, op: Op, value: Scalar) -> bool {
        let ty = FieldType::of(kind);
        let context = Context { now: 0, offset: 0 };
        prepare(&op, &ty, false, &context).unwrap().value(&ty, &value)
    }

    fn term(s: &str) -> Op {
        Op::Term(Literal::Str(s.into()), Case::Sensitive)
    }

    fn refused(kind: Kind, op: Op) -> bool {
        prepare(&op, &FieldType::of(kind), false, &Context { now: 0, offset: 0 }).is_err()
    }

    #[test]
    fn equality_is_typed() {
        assert!(check(Kind::Keyword, term("5"), Scalar::Int(5)));
        assert!(check(Kind::Long, term("1.0"), Scalar::Str("1".into())));
        assert!(!check(Kind::Long, term("1.5"), Scalar::Int(1)));
        assert!(check(Kind::Long, term("1e3"), Scalar::Int(1000)));
        assert!(check(Kind::Ip, term("10.0.0.0/8"), Scalar::Str("10.1.1.1".into())));
        assert!(check(Kind::Date, term("2024-06-30"), Scalar::Str("2024-06-30T23:59:59.999Z".into())));
        assert!(!check(Kind::Date, term("2024-06"), Scalar::Str("2024-06-30T23:59:59.999Z".into())));
        assert!(check(Kind::Boolean, term("true"), Scalar::Bool(true)));
        assert!(check(Kind::Text, Op::Match(Literal::Str("Foo baz".into())), Scalar::Str("a foo".into())));
        assert!(!check(
            Kind::Text,
            Op::Phrase(Literal::Str("foo bar".into())),
            Scalar::Str("bar foo".into())
        ));
    }

    #[test]
    fn what_elasticsearch_refuses_is_refused() {
        let star = || Op::Wildcard(Pattern::plain("a*", false));
        for kind in [Kind::Long, Kind::Double, Kind::Date, Kind::Boolean, Kind::Ip] {
            assert!(refused(kind, star()), "{kind}");
            assert!(refused(kind, term("not a value!")), "{kind}");
        }
        assert!(refused(Kind::Keyword, Op::Term(Literal::Null, Case::Sensitive)));
        let range = Op::Range { lower: Some((Literal::Str("a".into()), true)), upper: None };
        assert!(refused(Kind::ConstantKeyword, range));
    }

    #[test]
    fn a_sloppy_phrase_counts_moves_and_needs_each_word_by_itself() {
        let near = |text: &str, slop| {
            check(
                Kind::Text,
                Op::SloppyPhrase(Literal::Str("red big sun".into()), slop),
                Scalar::Str(text.into()),
            )
        };
        assert!(near("the red big sun", 0));
        assert!(near("red very big sun", 1));
        assert!(!near("red very very big sun", 1));
        assert!(near("big red sun", 2));
        assert!(!near("big red sun", 1));
        assert!(!near("red sun", 50));
        let twice = Op::SloppyPhrase(Literal::Str("tick tick".into()), 5);
        assert!(check(Kind::Text, twice.clone(), Scalar::Str("tick and tick".into())));
        assert!(!check(Kind::Text, twice, Scalar::Str("one tick".into())));
    }

    #[test]
    fn fuzzy_words_are_edits_away() {
        let near =
            |kind, text: &str, edits| check(kind, Op::Fuzzy("cloud".into(), edits), Scalar::Str(text.into()));
        assert!(near(Kind::Keyword, "clouds", 1));
        assert!(near(Kind::Keyword, "colud", 1));
        assert!(!near(Kind::Keyword, "Colud", 1));
        assert!(near(Kind::Text, "a Cluod there", 1));
        assert!(!near(Kind::Text, "clod o", 0));
        assert!(refused(Kind::Long, Op::Fuzzy("4".into(), 1)));
    }

    #[test]
    fn exclusive_integer_bounds_step_over_fractions() {
        let below = |s: &str| Op::Range { lower: None, upper: Some((Literal::Str(s.into()), false)) };
        assert!(check(Kind::Long, below("4.5"), Scalar::Int(4)));
        assert!(!check(Kind::Long, below("4"), Scalar::Int(4)));
    }

    #[test]
    fn long_values_are_not_indexed() {
        let mut ty = FieldType::of(Kind::Keyword);
        ty.ignore_above = Some(3);
        assert!(indexed_text(&ty, &Scalar::Str("abcd".into())).is_none());
        assert!(!Test::Exists.value(&ty, &Scalar::Str("abcd".into())));
        assert!(Test::Exists.value(&ty, &Scalar::Str("äbc".into())));
    }
}
