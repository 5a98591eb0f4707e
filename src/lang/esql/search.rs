//! Searches of the document: `KQL`, `MATCH` and `:`.

use super::ast::{Expr, ExprKind, Literal};
use super::check::{Checked, Checker, Place, Typed};
use super::scope::{ColumnOrigin, Scope};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::{Case, Literal as EsLiteral, Op};
use crate::lang::FieldUse;
use crate::plan::Pred;
use crate::plan::table::{Expr as PlanExpr, What};
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};

impl Checker<'_> {
    /// Whether a search may stand here.
    pub(super) fn searchable(&mut self, what: &str, kql: bool, span: Span, place: Place) -> bool {
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

    pub(super) fn kql(&mut self, args: &[Expr], span: Span, scope: &Scope, place: Place) -> Checked {
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

    pub(super) fn match_call(
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

    pub(super) fn match_field(
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

    pub(super) fn search(
        &mut self,
        field: &Expr,
        value: Value,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
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
