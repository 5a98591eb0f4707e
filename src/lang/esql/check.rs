//! Names and types: an expression of the tree becomes one of the plan, or findings.

use super::ast::{Expr, ExprKind, Literal};
use super::scope::{Column, ColumnOrigin, Scope, Tables};
use crate::diag::{Code, Diagnostic, Safety, did_you_mean};
use crate::func::column;
use crate::lang::FieldUse;
use crate::plan::table::{AggregateCall, Env, Expr as PlanExpr, Slot};
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

pub(super) type Checked = Option<Typed>;

impl Checker<'_> {
    pub fn report(&mut self, d: Diagnostic) -> Checked {
        self.found.push(d);
        None
    }

    pub(super) fn source(&self, span: Span) -> String {
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
    pub(super) fn used(&mut self, name: &str, span: Span, scope: &Scope) -> Checked {
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

    pub(super) fn boolean(&mut self, typed: Typed, span: Span) -> Option<PlanExpr> {
        if matches!(typed.ty, ColumnType::Boolean | ColumnType::Null) {
            return Some(typed.expr);
        }
        let shown = self.source(span);
        self.found.push(
            Diagnostic::new(Code::RP0303, format!("a condition is boolean, but `{shown}` is not"))
                .at(span, format!("of type `{}`", typed.ty.name())),
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
    pub(super) fn key(&mut self, name: &str, span: Span, scope: &Scope) -> Checked {
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

    pub(super) fn literal(&mut self, literal: &Literal, span: Span) -> Checked {
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
}

pub(super) fn integer(text: &str) -> (Value, ColumnType) {
    if let Ok(i) = text.parse::<i64>() {
        let ty = if i32::try_from(i).is_ok() { ColumnType::Integer } else { ColumnType::Long };
        return (Value::Int(i), ty);
    }
    match text.parse::<u64>() {
        Ok(u) => (Value::Unsigned(u), ColumnType::UnsignedLong),
        Err(_) => (Value::Double(text.parse().unwrap_or(f64::NAN)), ColumnType::Double),
    }
}
