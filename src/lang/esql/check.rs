//! Names and types: an expression of the tree becomes one of the plan, or findings.

use super::ast::{CompareOp, Expr, ExprKind, Literal, Name, Text};
use super::scope::{Column, ColumnOrigin, Scope, Tables};
use crate::diag::{Code, Diagnostic, Safety, Severity, did_you_mean};
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal as EsLiteral, Op};
use crate::func::column::{self, Accepts, ColumnFunction, Form, Returns, conversion};
use crate::lang::FieldUse;
use crate::plan::table::{AggregateCall, Env, Expr as PlanExpr, Invocation, Slot, What};
use crate::plan::{Arithmetic, Comparison, Pred};
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};
use std::collections::BTreeSet;

/// A checked expression.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub expr: PlanExpr,
    pub ty: ColumnType,
}

/// Where an expression stands: what may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `EVAL`, `SORT`, `ROW`: no aggregates, no searches.
    Plain,
    /// `WHERE`: searches as well.
    Where,
    /// An item of `STATS`: aggregates, and keys.
    Item,
    /// Inside an aggregate or its condition.
    Argument,
    /// A key of `STATS … BY`.
    Key,
}

/// The names that an item of `STATS` may use outside aggregates, and what is gathered.
#[derive(Default)]
pub(super) struct Gathering {
    /// Key names, their types and slots, and the text of the key.
    pub keys: Vec<(String, ColumnType, Slot, String)>,
    pub calls: Vec<AggregateCall>,
}

/// What has gone before: searches need the documents.
#[derive(Default)]
pub(super) struct Before {
    /// `STATS`, `LIMIT` and the like: the first that keeps every search out.
    pub breaks: Option<&'static str>,
    /// `MV_EXPAND`, `DISSECT`, `GROK`: keeps `KQL` out.
    pub widens: Option<&'static str>,
}

pub(super) struct Checker<'a> {
    pub text: &'a str,
    pub tables: Tables<'a>,
    pub found: Vec<Diagnostic>,
    pub fields: Vec<FieldUse>,
    pub gathering: Gathering,
    pub before: Before,
    pub now: i128,
    /// The names that were told to be unknown.
    pub unknown: BTreeSet<String>,
}

type Checked = Option<Typed>;

fn bad(ty: ColumnType) -> &'static str {
    ty.name()
}

impl Checker<'_> {
    pub fn report(&mut self, d: Diagnostic) -> Checked {
        self.found.push(d);
        None
    }

    fn source(&self, span: Span) -> String {
        let text = span.slice(self.text);
        if text.chars().count() > 60 {
            format!("{}…", text.chars().take(59).collect::<String>())
        } else {
            text.to_owned()
        }
    }

    /// The value of a constant expression.
    pub fn constant(&self, e: &PlanExpr) -> Option<Datum> {
        e.is_constant().then(|| e.eval(&[], &mut Env { now: self.now, ..Env::default() }))
    }

    /// Why a name stands for nothing.
    pub fn unknown(&mut self, name: &str, span: Span, scope: &Scope) {
        // one mistake, however often the name stands there
        if !self.unknown.insert(name.to_owned()) {
            return;
        }
        let mut d = Diagnostic::new(Code::RP0201, format!("unknown column `{name}`")).at(span, "");
        let is_object = self.tables.schema.is_object(name);
        if is_object {
            d = d.note("it is an object; its fields are columns, such as `".to_owned() + name + ".…`");
        } else if self.tables.schema.resolve(name).is_some_and(|r| r.field.nested.is_some()) {
            d = d.note("it stands below a nested object, which ES|QL cannot read");
        } else if let Some(r) = self.tables.schema.resolve(name).filter(|r| r.flattened_key.is_some()) {
            d = d.note(format!("`{}` is a flattened field, whose keys are no columns", r.field.name));
        } else if let Some(near) = did_you_mean(name, scope.columns.iter().map(|c| c.name.as_ref())) {
            d = d.help(format!("did you mean `{near}`?")).fix(span, near, Safety::Suggested);
        }
        self.found.push(d);
    }

    /// The column of a name; `None` after a finding.
    pub fn column(&mut self, name: &str, span: Span, scope: &Scope) -> Option<Column> {
        if let Some(column) = scope.get(name) {
            if let ColumnOrigin::Field(field) | ColumnOrigin::Unknown(field) = &column.origin {
                self.fields.push(FieldUse { name: field.to_string(), span });
            }
            return Some(column.clone());
        }
        let flattened = self.tables.schema.resolve(name).is_some_and(|r| r.flattened_key.is_some());
        if scope.open && !flattened {
            self.fields.push(FieldUse { name: name.to_owned(), span });
            return Some(Column {
                name: name.into(),
                ty: ColumnType::Null,
                origin: ColumnOrigin::Unknown(name.into()),
                visible: true,
            });
        }
        self.unknown(name, span, scope);
        None
    }

    /// A column whose values are used.
    fn used(&mut self, name: &str, span: Span, scope: &Scope) -> Checked {
        let column = self.column(name, span, scope)?;
        if column.ty == ColumnType::Unsupported {
            return self.unusable(&column, span);
        }
        let slot = self.tables.slot_of(&column);
        Some(Typed { expr: PlanExpr::Column(slot), ty: column.ty })
    }

    pub fn unusable(&mut self, column: &Column, span: Span) -> Checked {
        let kinds = self.tables.types(&column.name);
        let names: Vec<String> = kinds.iter().map(|k| format!("`{}`", k.name())).collect();
        let d = if kinds.len() > 1 {
            Diagnostic::new(
                Code::RP0207,
                format!("`{}` has different types in different indices", column.name),
            )
            .at(span, names.join(" and "))
            .help(format!("convert it: `{}::string`", column.name))
        } else {
            Diagnostic::new(Code::RP0204, format!("`{}` is of a type that ES|QL cannot use", column.name))
                .at(span, names.join(""))
                .note("such a field can only be left alone")
        };
        self.report(d)
    }

    /// A condition: boolean, or null.
    pub fn condition(&mut self, e: &Expr, scope: &Scope, place: Place) -> Option<PlanExpr> {
        let typed = self.expr(e, scope, place)?;
        self.boolean(typed, e.span())
    }

    fn boolean(&mut self, typed: Typed, span: Span) -> Option<PlanExpr> {
        if matches!(typed.ty, ColumnType::Boolean | ColumnType::Null) {
            return Some(typed.expr);
        }
        let shown = self.source(span);
        self.found.push(
            Diagnostic::new(Code::RP0303, format!("a condition is boolean, but `{shown}` is not"))
                .at(span, format!("of type `{}`", bad(typed.ty))),
        );
        None
    }

    /// Any expression.
    pub fn expr(&mut self, e: &Expr, scope: &Scope, place: Place) -> Checked {
        let span = e.span();
        if place == Place::Item {
            let text = span.slice(self.text);
            // an expression that is a key stands for it; a bare name is looked up below
            let is_key = |name: &str, source: &str| {
                source == text && name == text && !matches!(e.kind, ExprKind::Column(_))
            };
            if let Some((_, ty, slot, _)) = self.gathering.keys.iter().find(|k| is_key(&k.0, &k.3)) {
                return Some(Typed { expr: PlanExpr::Column(*slot), ty: *ty });
            }
        }
        match &e.kind {
            ExprKind::Literal(literal) => self.literal(literal, span),
            ExprKind::Param(p) => {
                let d = Diagnostic::new(Code::RP0105, format!("the parameter `{p}` has no value here"))
                    .at(span, "");
                self.report(d.help("write the value itself; a rule has no parameters"))
            }
            ExprKind::Column(name) if place == Place::Item => self.key(name, span, scope),
            ExprKind::Column(name) => self.used(name, span, scope),
            ExprKind::Call { name, star, args, options } => {
                self.call(name, *star, args, !options.is_empty(), options, span, scope, place)
            }
            ExprKind::Sign(minus, inner) => self.sign(*minus, inner, span, scope, place),
            ExprKind::Arithmetic(op, a, b) => self.arithmetic(*op, a, b, span, scope, place),
            ExprKind::Compare(op, a, b) => self.compare(*op, a, b, span, scope, place),
            ExprKind::And(parts) | ExprKind::Or(parts) => {
                let mut out = Vec::with_capacity(parts.len());
                let mut whole = true;
                for part in parts {
                    match self.condition(part, scope, place) {
                        Some(p) => out.push(p),
                        None => whole = false,
                    }
                }
                let and = matches!(e.kind, ExprKind::And(_));
                let expr = if and { PlanExpr::And(out) } else { PlanExpr::Or(out) };
                whole.then_some(Typed { expr, ty: ColumnType::Boolean })
            }
            ExprKind::Not(inner) => {
                let inner = self.condition(inner, scope, place)?;
                Some(Typed { expr: PlanExpr::Not(Box::new(inner)), ty: ColumnType::Boolean })
            }
            ExprKind::In(negated, value, list) => self.membership(*negated, value, list, span, scope, place),
            ExprKind::IsNull(negated, value) => {
                let value = self.expr(value, scope, place)?;
                let is_null = PlanExpr::IsNull(Box::new(value.expr), span);
                let expr = if *negated { PlanExpr::Not(Box::new(is_null)) } else { is_null };
                Some(Typed { expr, ty: ColumnType::Boolean })
            }
            ExprKind::Like { negated, regex, value, patterns, .. } => {
                self.like(*negated, *regex, value, patterns, span, scope, place)
            }
            ExprKind::Cast(inner, ty) => self.cast(inner, ty, span, scope, place),
            ExprKind::Match(field, value) => self.match_field(field, value, span, scope, place),
        }
    }

    /// A bare column in an item of `STATS`.
    fn key(&mut self, name: &str, span: Span, scope: &Scope) -> Checked {
        if let Some((_, ty, slot, _)) = self.gathering.keys.iter().find(|k| k.0 == name) {
            return Some(Typed { expr: PlanExpr::Column(*slot), ty: *ty });
        }
        if scope.get(name).is_none() && !scope.open {
            self.unknown(name, span, scope);
            return None;
        }
        let aliased = self.gathering.keys.iter().find(|k| k.0 != k.3 && k.3.contains(name));
        let d = match aliased {
            Some((alias, _, _, source)) => Diagnostic::new(
                Code::RP0406,
                format!("the column `{name}` is part of the key `{alias} = {source}` and cannot stand alone"),
            ),
            None => Diagnostic::new(
                Code::RP0406,
                format!("the column `{name}` is neither a key nor inside an aggregate"),
            )
            .help(format!("add it to `BY`, or gather it: `VALUES({name})`")),
        };
        self.report(d.at(span, ""))
    }

    fn literal(&mut self, literal: &Literal, span: Span) -> Checked {
        let one = |v: Value, ty: ColumnType| Some(Typed { expr: PlanExpr::Const(v.into()), ty });
        match literal {
            Literal::Null => Some(Typed { expr: PlanExpr::Const(Datum::Null), ty: ColumnType::Null }),
            Literal::Bool(b) => one(Value::Bool(*b), ColumnType::Boolean),
            Literal::Decimal(d) => one(Value::Double(*d), ColumnType::Double),
            Literal::Str(s) => one(Value::str(s), ColumnType::Keyword),
            Literal::Integer(text) => {
                let (v, ty) = integer(text);
                one(v, ty)
            }
            Literal::Span(n, unit) => match column::span_of(*n, unit) {
                Some(v @ Value::Period { .. }) => one(v, ColumnType::Period),
                Some(v) => one(v, ColumnType::Duration),
                None => {
                    let d =
                        Diagnostic::new(Code::RP0107, format!("`{n} {unit}` is no time span")).at(span, "");
                    self.report(d)
                }
            },
            Literal::Array(items) => {
                let mut values = Vec::with_capacity(items.len());
                let mut ty = ColumnType::Null;
                for item in items {
                    let Some(Typed { expr: PlanExpr::Const(Datum::One(v)), ty: own }) =
                        self.literal(item, span)
                    else {
                        continue;
                    };
                    ty = if ty == ColumnType::Null { own } else { ty.widen(own).unwrap_or(ty) };
                    values.push(v);
                }
                if ty == ColumnType::Double {
                    values = values
                        .into_iter()
                        .map(|v| if let Value::Int(i) = v { Value::Double(i as f64) } else { v })
                        .collect();
                }
                Some(Typed { expr: PlanExpr::Const(Datum::of(values)), ty })
            }
        }
    }

    fn sign(&mut self, minus: bool, inner: &Expr, span: Span, scope: &Scope, place: Place) -> Checked {
        if let (true, ExprKind::Literal(Literal::Integer(text))) = (minus, &inner.kind) {
            let (v, ty) = integer(&format!("-{text}"));
            return Some(Typed { expr: PlanExpr::Const(v.into()), ty });
        }
        let typed = self.expr(inner, scope, place)?;
        if !(typed.ty.is_number() || typed.ty.is_span() || typed.ty == ColumnType::Null) {
            let shown = self.source(inner.span());
            let d = Diagnostic::new(
                Code::RP0304,
                format!("a sign stands before a number or time span, and `{shown}` is none"),
            )
            .at(inner.span(), format!("of type `{}`", bad(typed.ty)));
            return self.report(d);
        }
        if !minus {
            return Some(typed);
        }
        let expr = PlanExpr::Negate(Box::new(typed.expr), typed.ty, span);
        Some(Typed { expr, ty: typed.ty })
    }

    /// A string constant as another type, where it stands next to one.
    fn cast_constant(&mut self, typed: Typed, to: ColumnType, span: Span) -> Checked {
        let castable = matches!(
            to,
            ColumnType::Date
                | ColumnType::DateNanos
                | ColumnType::Ip
                | ColumnType::Version
                | ColumnType::Boolean
        );
        if !castable || typed.ty != ColumnType::Keyword {
            return Some(typed);
        }
        let Some(datum) = self.constant(&typed.expr) else { return Some(typed) };
        let mut values = Vec::new();
        for v in datum.values() {
            match column::convert(v, ColumnType::Keyword, to) {
                Ok(v) => values.push(v),
                Err(_) => {
                    let shown = self.source(span);
                    let d = Diagnostic::new(Code::RP0301, format!("`{shown}` is no {}", word(to)))
                        .at(span, format!("it is compared with a `{}`", to.name()));
                    return self.report(d);
                }
            }
        }
        Some(Typed { expr: PlanExpr::Const(Datum::of(values)), ty: to })
    }

    fn arithmetic(
        &mut self,
        op: Arithmetic,
        a: &Expr,
        b: &Expr,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let (left, right) = (self.expr(a, scope, place), self.expr(b, scope, place));
        let (mut left, mut right) = (left?, right?);
        let additive = matches!(op, Arithmetic::Add | Arithmetic::Subtract);
        if additive && right.ty.is_span() {
            left = self.cast_constant(left, ColumnType::Date, a.span())?;
        } else if additive && left.ty.is_span() {
            right = self.cast_constant(right, ColumnType::Date, b.span())?;
        }
        use ColumnType as T;
        let (x, y) = (left.ty, right.ty);
        let ty = match (x, y) {
            (T::Null, T::Null) => Some(T::Null),
            (T::Null, t) | (t, T::Null) if t.is_numeric() || (additive && (t.is_date() || t.is_span())) => {
                Some(t)
            }
            (T::UnsignedLong, T::UnsignedLong) => Some(T::UnsignedLong),
            (x, y) if x.is_number() && y.is_number() => x.widen(y),
            (d, s) if additive && d.is_date() && s.is_span() => Some(d),
            (s, d) if additive && s.is_span() && d.is_date() => {
                if op == Arithmetic::Subtract {
                    let shown = (self.source(b.span()), self.source(a.span()));
                    let d = Diagnostic::new(
                        Code::RP0304,
                        format!("the date `{}` cannot be taken from the time span `{}`", shown.0, shown.1),
                    )
                    .at(span, "")
                    .help("write the date first");
                    return self.report(d);
                }
                Some(d)
            }
            (s, t) if additive && s.is_span() && s == t => Some(s),
            _ => None,
        };
        if let Some(ty) = ty {
            let expr = PlanExpr::Arithmetic(op, Box::new((left.expr, right.expr)), ty, span);
            return Some(Typed { expr, ty });
        }
        let fits = |t: T| t.is_numeric() || t.is_date() || t.is_span();
        let (culprit, ty) = if fits(x) { (b, y) } else { (a, x) };
        let shown = self.source(culprit.span());
        let d = Diagnostic::new(
            Code::RP0304,
            format!("`{}` cannot be used on `{}` and `{}`", op.symbol(), x.name(), y.name()),
        )
        .at(culprit.span(), format!("`{shown}` is of type `{}`", ty.name()));
        self.report(d)
    }

    fn operands(&mut self, a: (Typed, Span), b: (Typed, Span)) -> Option<(Typed, Typed)> {
        let ((left, at), (right, bt)) = (a, b);
        let to = right.ty;
        let left = self.cast_constant(left, to, at)?;
        let to = left.ty;
        let right = self.cast_constant(right, to, bt)?;
        Some((left, right))
    }

    fn compare(
        &mut self,
        op: CompareOp,
        a: &Expr,
        b: &Expr,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let (left, right) = (self.expr(a, scope, place), self.expr(b, scope, place));
        let (left, right) = self.operands((left?, a.span()), (right?, b.span()))?;
        let ordered = !matches!(op, CompareOp::Equal | CompareOp::NotEqual);
        if !comparable(left.ty, right.ty)
            || (ordered && (left.ty == ColumnType::Boolean || right.ty == ColumnType::Boolean))
        {
            let shown = self.source(b.span());
            let mut d = Diagnostic::new(
                Code::RP0304,
                format!("`{}` cannot be used on `{}` and `{}`", op.symbol(), left.ty.name(), right.ty.name()),
            )
            .at(b.span(), format!("`{shown}` is of type `{}`", right.ty.name()))
            .at(a.span(), format!("`{}`", left.ty.name()));
            if left.ty == ColumnType::Ip || right.ty == ColumnType::Ip {
                d = d.help("only constants are converted by themselves: `TO_IP(…)` converts a column");
            }
            return self.report(d);
        }
        let operands = Box::new((left.expr, right.expr));
        let (comparison, negated) = match op {
            CompareOp::Equal => (Comparison::Equal, false),
            CompareOp::NotEqual => (Comparison::Equal, true),
            CompareOp::Less => (Comparison::Less, false),
            CompareOp::LessEqual => (Comparison::LessEqual, false),
            CompareOp::Greater => (Comparison::Greater, false),
            CompareOp::GreaterEqual => (Comparison::GreaterEqual, false),
        };
        let expr = PlanExpr::Compare(comparison, operands, span);
        let expr = if negated { PlanExpr::Not(Box::new(expr)) } else { expr };
        Some(Typed { expr, ty: ColumnType::Boolean })
    }

    fn membership(
        &mut self,
        negated: bool,
        value: &Expr,
        list: &[Expr],
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let left = self.expr(value, scope, place);
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push(self.expr(item, scope, place));
        }
        let left = left?;
        // the constants take the type of a value that is none, or the other way round
        let other = items
            .iter()
            .flatten()
            .map(|t| t.ty)
            .find(|t| !matches!(t, ColumnType::Keyword | ColumnType::Null));
        let left = match other {
            Some(to) => self.cast_constant(left, to, value.span())?,
            None => left,
        };
        let mut out = Vec::with_capacity(items.len());
        for (item, e) in items.into_iter().zip(list) {
            let item = self.cast_constant(item?, left.ty, e.span())?;
            if !comparable(left.ty, item.ty) {
                let shown = self.source(e.span());
                let d = Diagnostic::new(
                    Code::RP0304,
                    format!(
                        "`{}` of type `{}` cannot equal `{shown}`",
                        self.source(value.span()),
                        left.ty.name()
                    ),
                )
                .at(e.span(), format!("of type `{}`", item.ty.name()));
                return self.report(d);
            }
            out.push(item.expr);
        }
        let expr = PlanExpr::In(Box::new(left.expr), out, span);
        let expr = if negated { PlanExpr::Not(Box::new(expr)) } else { expr };
        Some(Typed { expr, ty: ColumnType::Boolean })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one clause")]
    fn like(
        &mut self,
        negated: bool,
        regex: bool,
        value: &Expr,
        patterns: &[Text],
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let typed = self.expr(value, scope, place)?;
        if !typed.ty.is_string() && typed.ty != ColumnType::Null {
            let shown = self.source(value.span());
            let d = Diagnostic::new(
                Code::RP0302,
                format!("`{}` needs a text, and `{shown}` is none", if regex { "RLIKE" } else { "LIKE" }),
            )
            .at(value.span(), format!("of type `{}`", typed.ty.name()))
            .help(format!("`TO_STRING({shown})` is one"));
            return self.report(d);
        }
        let everything = |p: &Text| {
            if regex { p.text == ".*" } else { !p.text.is_empty() && p.text.chars().all(|c| c == '*') }
        };
        let expr = if patterns.iter().all(everything) {
            // what matches everything asks whether there is a value
            let is_null = PlanExpr::IsNull(Box::new(typed.expr), span);
            return Some(Typed {
                expr: if negated { is_null } else { PlanExpr::Not(Box::new(is_null)) },
                ty: ColumnType::Boolean,
            });
        } else if regex {
            let mut prepared = Vec::with_capacity(patterns.len());
            for p in patterns {
                match super::scope::regexp(&p.text) {
                    Ok(r) => prepared.push(r),
                    Err(e) => {
                        let d = Diagnostic::new(Code::RP0102, format!("invalid pattern for RLIKE: {e}"))
                            .at(p.at.0, "");
                        return self.report(d);
                    }
                }
            }
            PlanExpr::Regexp(Box::new(typed.expr), prepared, span)
        } else {
            let mut prepared = Vec::with_capacity(patterns.len());
            for p in patterns {
                match wildcard(&p.text) {
                    Ok(pattern) => prepared.push(pattern),
                    Err(c) => {
                        let what = c.map_or("at its end".to_owned(), |c| format!("before `{c}`"));
                        let d = Diagnostic::new(Code::RP0102, format!("invalid pattern for LIKE: a backslash {what}"))
                            .at(p.at.0, "")
                            .note("a backslash stands before `*`, `?` or another backslash; in \"…\" it is written twice");
                        return self.report(d);
                    }
                }
            }
            PlanExpr::Like(Box::new(typed.expr), prepared, span)
        };
        let expr = if negated { PlanExpr::Not(Box::new(expr)) } else { expr };
        Some(Typed { expr, ty: ColumnType::Boolean })
    }

    fn cast(&mut self, inner: &Expr, ty: &Name, span: Span, scope: &Scope, place: Place) -> Checked {
        let Some(function) = cast_function(&ty.text) else {
            let mut d = Diagnostic::new(Code::RP0401, format!("unknown type `{}`", ty.text)).at(ty.at.0, "");
            if let Some(near) = did_you_mean(&ty.text, CASTS.iter().map(|(n, _)| *n)) {
                d = d.help(format!("did you mean `{near}`?"));
            }
            return self.report(d);
        };
        self.convert(function, inner, span, scope, place)
    }

    /// A conversion; a field that has several types is converted by each index's own.
    fn convert(
        &mut self,
        function: &'static ColumnFunction,
        inner: &Expr,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let Returns::Is(to) = function.returns else { return None };
        if let ExprKind::Column(name) = &inner.kind
            && place != Place::Item
        {
            let column = self.column(name, inner.span(), scope)?;
            if let (ColumnType::Unsupported, ColumnOrigin::Field(field)) = (column.ty, &column.origin) {
                let kinds = self.tables.types(field);
                let all = kinds.len() > 1
                    && kinds.iter().all(|k| conversion(crate::plan::table::load::column_type(*k), to));
                if !all {
                    return self.unusable(&column, inner.span());
                }
                let field = field.clone();
                let slot = self.tables.field_slot(&field, Some(to));
                return Some(Typed { expr: PlanExpr::Column(slot), ty: to });
            }
            // it was named once already
            self.fields.pop_if(|f| f.span == inner.span());
        }
        let typed = self.expr(inner, scope, place)?;
        if typed.ty == ColumnType::Source && to == ColumnType::Keyword {
            return Some(Typed { expr: typed.expr, ty: to });
        }
        if !conversion(typed.ty, to) {
            let shown = self.source(inner.span());
            let d =
                Diagnostic::new(Code::RP0403, format!("`{shown}` cannot be converted to `{}`", to.name()))
                    .at(inner.span(), format!("of type `{}`", typed.ty.name()));
            return self.report(d);
        }
        let call = Invocation {
            function,
            args: vec![typed.expr],
            types: vec![typed.ty],
            result: to,
            pattern: None,
            at: span,
        };
        Some(Typed { expr: PlanExpr::Call(Box::new(call)), ty: to })
    }

    fn find(&mut self, name: &Name) -> Option<&'static ColumnFunction> {
        if let Some(f) = column::find(&name.text) {
            if let Some(stack) = self.tables.settings.stack.filter(|s| (s.0, s.1) < (f.since.0, f.since.1)) {
                self.found.push(
                    Diagnostic::new(Code::RP0803, format!("stack {stack} has no function `{}`", f.name))
                        .at(name.at.0, format!("since {}", f.since))
                        .help(format!(
                            "`min_stack_version = \"{}\"` in [metadata] keeps the rule from older stacks",
                            f.since
                        )),
                );
            }
            return Some(f);
        }
        if column::NOT_YET.iter().any(|n| n.eq_ignore_ascii_case(&name.text)) {
            self.found.push(
                Diagnostic::new(
                    Code::RP9001,
                    format!("the function `{}` is not supported yet", name.text.to_lowercase()),
                )
                .at(name.at.0, ""),
            );
            return None;
        }
        let mut d =
            Diagnostic::new(Code::RP0401, format!("unknown function `{}`", name.text)).at(name.at.0, "");
        let lower = name.text.to_lowercase();
        let names = column::all().map(|f| f.name).chain(column::NOT_YET.iter().copied());
        if let Some(near) = did_you_mean(&lower, names) {
            d = d.help(format!("did you mean `{near}`?")).fix(name.at.0, near, Safety::Suggested);
        }
        self.found.push(d);
        None
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call")]
    fn call(
        &mut self,
        name: &Name,
        star: bool,
        args: &[Expr],
        has_options: bool,
        options: &[super::ast::MapEntry],
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let mut function = self.find(name)?;
        if let Some(super::ast::MapEntry { key, value }) =
            options.first().filter(|_| function.name == "to_ip")
        {
            let given = match value {
                super::ast::MapValue::Constant(Literal::Str(s)) if key == "leading_zeros" => {
                    column::to_ip_with(s)
                }
                _ => None,
            };
            let Some(given) = given else {
                let d = Diagnostic::new(
                    Code::RP0301,
                    "the option of `TO_IP` is `leading_zeros`: `reject`, `octal` or `decimal`",
                )
                .at(span, "");
                return self.report(d);
            };
            function = given;
        }
        let (least, most) = function.arity();
        let given = args.len() + usize::from(has_options && matches!(function.form, Form::FullText));
        if star && function.name != "count" {
            let d = Diagnostic::new(Code::RP0402, format!("`*` is for COUNT, not for `{}`", name.text))
                .at(span, "");
            return self.report(d);
        }
        if !star && (given < least || most.is_some_and(|m| given > m)) {
            let wanted = match most {
                Some(most) if most == least => count(least),
                Some(most) => format!("{least} to {}", count(most)),
                None => format!("at least {}", count(least)),
            };
            let d = Diagnostic::new(
                Code::RP0402,
                format!("`{}` takes {wanted}, but is given {}", function.name, args.len()),
            )
            .at(span, function.signature());
            return self.report(d);
        }
        let misplaced = match (function.form, place) {
            (Form::Aggregate(_), Place::Item) => None,
            (Form::Aggregate(_), Place::Argument) => Some("an aggregate cannot stand inside another"),
            (Form::Aggregate(_), _) => Some("an aggregate stands only in `STATS`"),
            (Form::Bucket, Place::Key) => None,
            (Form::Bucket, _) => Some("a grouping function stands only after `BY` in `STATS`"),
            _ => None,
        };
        if let Some(why) = misplaced {
            let shown = self.source(span);
            let d = Diagnostic::new(Code::RP0406, format!("`{shown}` is out of place")).at(span, why);
            return self.report(d);
        }
        match function.form {
            Form::FullText if function.name == "kql" => return self.kql(args, span, scope, place),
            Form::FullText => return self.match_call(args, options, span, scope, place),
            Form::Each(_) if function.params.iter().any(|p| matches!(p.accepts, Accepts::Convertible(_))) => {
                if let Some(inner) = args.first() {
                    return self.convert(function, inner, span, scope, place);
                }
            }
            _ => {}
        }
        let inner = if function.is_aggregate() { Place::Argument } else { place };
        let mut typed = Vec::with_capacity(args.len());
        let mut whole = true;
        for arg in args {
            match self.expr(arg, scope, inner) {
                Some(t) => typed.push(t),
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        let of_date = typed.first().is_some_and(|t| t.ty.is_date());
        for (i, arg) in args.iter().enumerate() {
            let Some(param) = function.param(i) else { continue };
            let Some(place) = typed.get_mut(i) else { continue };
            let mut own = place.clone();
            let bound = matches!(function.form, Form::Bucket) && i >= 2 && of_date;
            if let Some(to) = param.accepts.from_constant().or(bound.then_some(ColumnType::Date)) {
                own = self.cast_constant(own, to, arg.span())?;
            }
            if !param.accepts.takes(own.ty) {
                let d = Diagnostic::new(
                    Code::RP0403,
                    format!(
                        "`{}` of `{}` takes {}, but `{}` is not",
                        param.name,
                        function.name,
                        param.accepts.name(),
                        self.source(arg.span())
                    ),
                )
                .at(arg.span(), format!("of type `{}`", own.ty.name()));
                return self.report(d);
            }
            if param.constant && !own.expr.is_constant() {
                let d = Diagnostic::new(
                    Code::RP0307,
                    format!("`{}` of `{}` must be a constant", param.name, function.name),
                )
                .at(arg.span(), "");
                return self.report(d);
            }
            *place = own;
        }
        self.finish_call(function, args, typed, span)
    }

    fn finish_call(
        &mut self,
        function: &'static ColumnFunction,
        args: &[Expr],
        typed: Vec<Typed>,
        span: Span,
    ) -> Checked {
        if matches!(function.form, Form::Case) {
            return self.case(args, typed, span);
        }
        let types: Vec<ColumnType> = typed.iter().map(|t| t.ty).collect();
        let result = match function.returns {
            Returns::Is(ty) => ty,
            Returns::Same(i) => types.get(i).copied().unwrap_or(ColumnType::Null).computed(),
            Returns::By(f) => f(&types),
            Returns::Common => self.common(&types, args)?,
        };
        if function.name == "date_diff"
            && let Some(first) = typed.first()
            && let Some(Datum::One(unit)) = self.constant(&first.expr)
            && let Some(name) = unit.as_str()
            && column::DateUnit::named(name).is_none()
        {
            let at = args.first().map_or(span, Expr::span);
            let d = Diagnostic::new(Code::RP0301, format!("`{name}` is no unit of DATE_DIFF")).at(at, "");
            return self.report(d);
        }
        let mut exprs: Vec<PlanExpr> = Vec::with_capacity(typed.len());
        for t in typed {
            let widen =
                matches!(function.returns, Returns::Common) && result == ColumnType::Double && t.ty != result;
            exprs.push(if widen { PlanExpr::Widen(Box::new(t.expr)) } else { t.expr });
        }
        let ty = result;
        match function.form {
            Form::Coalesce => Some(Typed { expr: PlanExpr::Coalesce(exprs), ty }),
            Form::Aggregate(kind) => {
                let out = self.tables.slot();
                self.gathering.calls.push(AggregateCall {
                    kind,
                    args: exprs,
                    filter: None,
                    ty,
                    out,
                    at: span,
                });
                Some(Typed { expr: PlanExpr::Column(out), ty })
            }
            _ => {
                let pattern = match (function.name, exprs.get(1)) {
                    ("replace", Some(PlanExpr::Const(Datum::One(v)))) => {
                        v.as_str().and_then(|p| column::Pattern::new(p).ok())
                    }
                    _ => None,
                };
                let call = Invocation { function, args: exprs, types, result, pattern, at: span };
                Some(Typed { expr: PlanExpr::Call(Box::new(call)), ty })
            }
        }
    }

    /// The type that all have in common.
    fn common(&mut self, types: &[ColumnType], args: &[Expr]) -> Option<ColumnType> {
        let mut held = ColumnType::Null;
        for (ty, arg) in types.iter().zip(args) {
            let ty = ty.computed();
            if ty == ColumnType::Null || ty == held {
                continue;
            }
            if held == ColumnType::Null {
                held = ty;
                continue;
            }
            match held.widen(ty) {
                Some(wide) => held = wide,
                None => {
                    let d = Diagnostic::new(
                        Code::RP0403,
                        format!("`{}` is not of the type of the others", self.source(arg.span())),
                    )
                    .at(arg.span(), format!("`{}`, not `{}`", ty.name(), held.name()));
                    self.found.push(d);
                    return None;
                }
            }
        }
        Some(held)
    }

    fn case(&mut self, args: &[Expr], typed: Vec<Typed>, span: Span) -> Checked {
        let mut values: Vec<(ColumnType, &Expr)> = Vec::new();
        let mut arms = Vec::new();
        let mut otherwise = None;
        let mut it = typed.into_iter().zip(args).peekable();
        let mut types = Vec::new();
        while let Some((first, at)) = it.next() {
            match it.next() {
                Some((value, place)) => {
                    let condition = self.boolean(first, at.span())?;
                    types.push(value.ty);
                    values.push((value.ty, place));
                    arms.push((condition, at.span(), value));
                }
                None => {
                    types.push(first.ty);
                    values.push((first.ty, at));
                    otherwise = Some(first);
                }
            }
        }
        if arms.is_empty() {
            let d = Diagnostic::new(Code::RP0402, "`case` takes at least 2 arguments").at(span, "");
            return self.report(d);
        }
        let places: Vec<Expr> = values.iter().map(|(_, e)| (*e).clone()).collect();
        let ty = self.common(&types, &places)?;
        let wide = |t: Typed| {
            if ty == ColumnType::Double && t.ty != ty { PlanExpr::Widen(Box::new(t.expr)) } else { t.expr }
        };
        let arms = arms.into_iter().map(|(c, at, v)| (c, at, wide(v))).collect();
        Some(Typed { expr: PlanExpr::Case(arms, otherwise.map(|t| Box::new(wide(t)))), ty })
    }

    /// Whether a search may stand here.
    fn searchable(&mut self, what: &str, kql: bool, span: Span, place: Place) -> bool {
        let why = match place {
            Place::Where => self.before.breaks.or(if kql { self.before.widens } else { None }),
            _ => {
                self.found.push(
                    Diagnostic::new(Code::RP0406, format!("`{what}` is out of place"))
                        .at(span, "a search of the document stands only in `WHERE`"),
                );
                return false;
            }
        };
        if let Some(why) = why {
            self.found.push(
                Diagnostic::new(Code::RP0406, format!("`{what}` cannot stand after `{why}`"))
                    .at(span, "it searches the documents, before they are changed"),
            );
        }
        why.is_none()
    }

    fn kql(&mut self, args: &[Expr], span: Span, scope: &Scope, place: Place) -> Checked {
        if !self.searchable("KQL", true, span, place) {
            return None;
        }
        let first = args.first()?;
        let typed = self.expr(first, scope, Place::Plain)?;
        let query = match self.constant(&typed.expr) {
            Some(Datum::One(v)) if v.as_str().is_some() => v,
            _ => {
                let d = Diagnostic::new(Code::RP0307, "the query of `KQL` must be a constant text")
                    .at(first.span(), "");
                return self.report(d);
            }
        };
        let analysis = crate::lang::kql::analyze(
            query.as_str().unwrap_or_default(),
            &self.tables.schema,
            self.tables.settings,
        );
        self.fields
            .extend(analysis.fields.into_iter().map(|f| FieldUse { name: f.name, span: first.span() }));
        for mut d in analysis.diagnostics {
            // its places are those of the inner text
            d.labels.clear();
            d.fix = None;
            self.found.push(d.at(first.span(), ""));
        }
        let plan = analysis.plan?;
        let preds: Vec<Pred> = plan.filter().cloned().collect();
        let ids: Vec<_> = plan.fields.iter().map(|f| self.tables.fields.add(f.clone())).collect();
        let pred = Pred::all(preds).with_fields(&|id| ids.get(id.0 as usize).copied().unwrap_or(id));
        let slot = self.tables.special(What::Matches(pred));
        Some(Typed { expr: PlanExpr::Column(slot), ty: ColumnType::Boolean })
    }

    fn match_call(
        &mut self,
        args: &[Expr],
        options: &[super::ast::MapEntry],
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let (field, value) = match args {
            [field, value] => (field, value),
            _ => return None,
        };
        if !options.is_empty() {
            self.found.push(
                Diagnostic::new(Code::RP9001, "the options of `MATCH` are not supported yet")
                    .severity(Severity::Note)
                    .at(span, ""),
            );
        }
        let typed = self.expr(value, scope, Place::Plain)?;
        let Some(Datum::One(constant)) = self.constant(&typed.expr) else {
            let d =
                Diagnostic::new(Code::RP0307, "the query of `MATCH` must be a constant").at(value.span(), "");
            return self.report(d);
        };
        self.search(field, constant, span, scope, place)
    }

    fn match_field(
        &mut self,
        field: &Expr,
        value: &Literal,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let typed = self.literal(value, span)?;
        let Some(Datum::One(constant)) = self.constant(&typed.expr) else {
            let d = Diagnostic::new(Code::RP0309, "`:` needs one value").at(span, "");
            return self.report(d);
        };
        self.search(field, constant, span, scope, place)
    }

    fn search(&mut self, field: &Expr, value: Value, span: Span, scope: &Scope, place: Place) -> Checked {
        if !self.searchable("MATCH", false, span, place) {
            return None;
        }
        let inner = match &field.kind {
            ExprKind::Cast(inner, _) => inner.as_ref(),
            _ => field,
        };
        let column = match &inner.kind {
            ExprKind::Column(name) => self.column(name, inner.span(), scope)?,
            _ => {
                let shown = self.source(field.span());
                let d =
                    Diagnostic::new(Code::RP0406, format!("`MATCH` searches a field, and `{shown}` is none"))
                        .at(field.span(), "");
                return self.report(d);
            }
        };
        let (ColumnOrigin::Field(name) | ColumnOrigin::Unknown(name)) = column.origin.clone() else {
            let d = Diagnostic::new(
                Code::RP0406,
                format!("`MATCH` searches a field, and `{}` is computed", column.name),
            )
            .at(field.span(), "");
            return self.report(d);
        };
        let slot = self.tables.field_slot(&name, None);
        let id = self.tables.source.iter().find(|c| c.slot == slot).and_then(|c| match &c.what {
            What::Field { id, .. } => Some(*id),
            _ => None,
        })?;
        let literal = match &value {
            Value::Bool(b) => EsLiteral::Bool(*b),
            Value::Int(i) => EsLiteral::Int(*i),
            Value::Double(d) => EsLiteral::Float(*d),
            other => EsLiteral::Str(crate::func::text(other).unwrap_or_default().into()),
        };
        let text = column.ty == ColumnType::Text;
        let op = if text { Op::Match(literal) } else { Op::Term(literal, Case::Sensitive) };
        match self.tables.fields.leaf(id, op, span, &self.tables.settings.context) {
            Ok(pred) => {
                let slot = self.tables.special(What::Matches(pred));
                Some(Typed { expr: PlanExpr::Column(slot), ty: ColumnType::Boolean })
            }
            Err(reject) => {
                let d = Diagnostic::new(reject.code, reject.message).at(span, "");
                self.report(d)
            }
        }
    }
}

fn word(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Ip => "address",
        ColumnType::Date | ColumnType::DateNanos => "date",
        other => other.name(),
    }
}

fn count(n: usize) -> String {
    if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") }
}

fn integer(text: &str) -> (Value, ColumnType) {
    if let Ok(i) = text.parse::<i64>() {
        let ty = if i32::try_from(i).is_ok() { ColumnType::Integer } else { ColumnType::Long };
        return (Value::Int(i), ty);
    }
    match text.parse::<u64>() {
        Ok(u) => (Value::Unsigned(u), ColumnType::UnsignedLong),
        Err(_) => (Value::Double(text.parse().unwrap_or(f64::NAN)), ColumnType::Double),
    }
}

fn comparable(a: ColumnType, b: ColumnType) -> bool {
    a == ColumnType::Null
        || b == ColumnType::Null
        || (a == b && !a.is_span() && a != ColumnType::Source)
        || (a.is_number() && b.is_number())
        || (a.is_string() && b.is_string())
        || (a.is_date() && b.is_date())
}

/// A LIKE pattern; `Err` has the character that a backslash cannot stand before.
pub(super) fn wildcard(text: &str) -> Result<Pattern, Option<char>> {
    let mut parts = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '\\' => match chars.next() {
                Some(c @ ('*' | '?' | '\\')) => Part::Text(c.to_string()),
                other => return Err(other),
            },
            '*' => Part::Any,
            '?' => Part::One,
            c => Part::Text(c.to_string()),
        });
    }
    Ok(Pattern::new(parts, false))
}

/// The names after `::`, and the function that does the same.
pub(super) static CASTS: &[(&str, &str)] = &[
    ("boolean", "to_boolean"),
    ("bool", "to_boolean"),
    ("integer", "to_integer"),
    ("int", "to_integer"),
    ("long", "to_long"),
    ("unsigned_long", "to_unsigned_long"),
    ("double", "to_double"),
    ("keyword", "to_string"),
    ("string", "to_string"),
    ("text", "to_text"),
    ("datetime", "to_datetime"),
    ("date", "to_datetime"),
    ("date_nanos", "to_date_nanos"),
    ("ip", "to_ip"),
    ("version", "to_version"),
    ("geo_point", "to_geopoint"),
    ("date_period", "to_dateperiod"),
    ("time_duration", "to_timeduration"),
];

fn cast_function(name: &str) -> Option<&'static ColumnFunction> {
    CASTS.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, f)| column::find(f))
}
