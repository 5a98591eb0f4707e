//! Operators: what they take, and what a constant becomes next to a value of another type.

use super::ast::{CompareOp, Expr, ExprKind, Literal, Text};
use super::check::{Checked, Checker, Place, Typed, integer};
use super::scope::Scope;
use crate::diag::{Code, Diagnostic};
use crate::es::wildcard::{Part, Pattern};
use crate::func::column;
use crate::plan::table::Expr as PlanExpr;
use crate::plan::{Arithmetic, Comparison};
use crate::source::Span;
use crate::value::{ColumnType, Datum};

impl Checker<'_> {
    pub(super) fn sign(
        &mut self,
        minus: bool,
        inner: &Expr,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
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
            .at(inner.span(), format!("of type `{}`", typed.ty.name()));
            return self.report(d);
        }
        if !minus {
            return Some(typed);
        }
        let expr = PlanExpr::Negate(Box::new(typed.expr), typed.ty, span);
        Some(Typed { expr, ty: typed.ty })
    }

    /// A string constant as another type, where it stands next to one.
    pub(super) fn cast_constant(&mut self, typed: Typed, to: ColumnType, span: Span) -> Checked {
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

    pub(super) fn arithmetic(
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

    pub(super) fn operands(&mut self, a: (Typed, Span), b: (Typed, Span)) -> Option<(Typed, Typed)> {
        let ((left, at), (right, bt)) = (a, b);
        let to = right.ty;
        let left = self.cast_constant(left, to, at)?;
        let to = left.ty;
        let right = self.cast_constant(right, to, bt)?;
        Some((left, right))
    }

    pub(super) fn compare(
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

    pub(super) fn membership(
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
    pub(super) fn like(
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
}

fn word(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Ip => "address",
        ColumnType::Date | ColumnType::DateNanos => "date",
        other => other.name(),
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
