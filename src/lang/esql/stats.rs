//! `STATS` and `INLINE STATS`: keys, aggregates, and what is computed of them.

use super::ast::{Aggregate, Assign, ExprKind};
use super::check::{Gathering, Place, Typed};
use super::lower::Lowering;
use super::scope::Scope;
use crate::diag::{Code, Diagnostic};
use crate::plan::table::{Aggregation, Expr as PlanExpr, OutputColumn, Stage};
use crate::value::ColumnType;

impl Lowering<'_> {
    pub(super) fn stats(&mut self, inline: bool, items: &[Aggregate], by: &[Assign]) {
        // keys first: aggregates and their conditions may name them
        let mut early = Vec::new();
        let mut keys: Vec<(String, ColumnType, usize, String)> = Vec::new();
        for key in by {
            let name = self.name_of(key);
            let source = key.value.span().slice(self.c.text).to_owned();
            let Some(typed) = self.c.expr(&key.value, &self.scope, Place::Key) else {
                let slot = self.c.tables.slot();
                keys.push((name, ColumnType::Null, slot, source));
                continue;
            };
            if typed.ty.is_span() || matches!(typed.ty, ColumnType::Source | ColumnType::GeoPoint) {
                let d = Diagnostic::new(Code::RP0403, format!("rows cannot be grouped by `{source}`"))
                    .at(key.value.span(), format!("of type `{}`", typed.ty.name()));
                self.c.found.push(d);
            }
            let slot = match (&typed.expr, &key.name) {
                (PlanExpr::Column(slot), None) => *slot,
                _ => {
                    let slot = self.c.tables.slot();
                    early.push((slot, typed.expr));
                    slot
                }
            };
            let ty =
                if matches!(key.value.kind, ExprKind::Column(_)) { typed.ty } else { typed.ty.computed() };
            keys.push((name, ty, slot, source));
        }
        let mut inner = self.scope.clone();
        for ((name, ty, slot, _), key) in keys.iter().zip(by) {
            if key.name.is_some() {
                inner.push(name, *ty, *slot);
            }
        }
        self.c.gathering = Gathering { keys: keys.clone(), calls: Vec::new() };
        let mut late = Vec::new();
        let mut results: Vec<(String, ColumnType, usize)> = Vec::new();
        let mut calls = Vec::new();
        for item in items {
            let name = self.name_of(&item.item);
            if let ExprKind::Column(key) = &item.item.value.kind
                && item.item.name.is_none()
                && keys.iter().any(|k| k.0 == *key)
            {
                let d =
                    Diagnostic::new(Code::RP0406, format!("the key `{key}` is part of the answer already"))
                        .at(item.item.value.span(), "")
                        .help("leave it out before `BY`");
                self.c.found.push(d);
                continue;
            }
            let filter = item.filter.as_ref().map(|f| self.c.condition(f, &inner, Place::Argument));
            let typed = self.c.expr(&item.item.value, &inner, Place::Item);
            let mut own = std::mem::take(&mut self.c.gathering.calls);
            if let Some(Some(filter)) = &filter {
                own.iter_mut().for_each(|c| c.filter = Some(filter.clone()));
            }
            calls.extend(own);
            let slot = match typed {
                Some(Typed { expr: PlanExpr::Column(slot), ty }) => {
                    results.push((name, ty, slot));
                    continue;
                }
                Some(Typed { expr, ty }) => {
                    let slot = self.c.tables.slot();
                    late.push((slot, expr));
                    (slot, ty)
                }
                None => (self.c.tables.slot(), ColumnType::Null),
            };
            results.push((name, slot.1, slot.0));
        }
        self.c.gathering = Gathering::default();
        if !early.is_empty() {
            self.stages.push(Stage::Eval(early));
        }
        let aggregation = Aggregation { keys: keys.iter().map(|k| k.2).collect(), calls };
        self.stages.push(if inline { Stage::Inline(aggregation) } else { Stage::Aggregate(aggregation) });
        if !late.is_empty() {
            self.stages.push(Stage::Eval(late));
        }
        let group: Vec<OutputColumn> = keys
            .iter()
            .map(|(n, ty, slot, _)| OutputColumn { name: n.as_str().into(), ty: *ty, slot: *slot })
            .collect();
        if !inline {
            self.scope = Scope::default();
            self.aggregates = true;
            self.group = group;
            self.expanded.clear();
        }
        for (name, ty, slot) in results {
            self.scope.push(&name, ty, slot);
        }
        for (name, ty, slot, _) in keys {
            self.scope.push(&name, ty, slot);
        }
    }
}
