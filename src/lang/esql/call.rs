//! Calls and casts: functions by name, their arguments, and the type of what they give.

use super::ast::{Expr, ExprKind, Literal, Name};
use super::check::{Checked, Checker, Place, Typed};
use super::scope::{ColumnOrigin, Scope};
use crate::diag::{Code, Diagnostic, Safety, did_you_mean};
use crate::func::column::{self, Accepts, ColumnFunction, Form, Returns, conversion};
use crate::plan::table::{AggregateCall, Expr as PlanExpr, Invocation};
use crate::source::Span;
use crate::value::{ColumnType, Datum};

impl Checker<'_> {
    pub(super) fn cast(
        &mut self,
        inner: &Expr,
        ty: &Name,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
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
    pub(super) fn convert(
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

    pub(super) fn find(&mut self, name: &Name) -> Option<&'static ColumnFunction> {
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
    pub(super) fn call(
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

    pub(super) fn finish_call(
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
    pub(super) fn common(&mut self, types: &[ColumnType], args: &[Expr]) -> Option<ColumnType> {
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

    pub(super) fn case(&mut self, args: &[Expr], typed: Vec<Typed>, span: Span) -> Checked {
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
}

fn count(n: usize) -> String {
    if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") }
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
