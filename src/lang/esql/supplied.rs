//! Commands that need more than documents: `LOOKUP JOIN`, `ENRICH` and `COMPLETION`. They run where
//! [`Settings::supplied`](crate::lang::Settings) has the table or the answers; elsewhere they are checked as far as
//! that goes, and say what they lack.

use super::ast::{At, Expr, ExprKind, Name, Text};
use super::check::Place;
use super::lower::Lowering;
use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::plan::table::lookup::{Found, TableError};
use crate::plan::table::{Expr as PlanExpr, Lookup, Slot, Stage, Table};
use crate::source::Span;
use crate::value::ColumnType;
use std::sync::Arc;

/// How many rows `COMPLETION` asks about unless a `LIMIT` says it.
const COMPLETIONS: usize = 100;

impl Lowering<'_> {
    pub(super) fn completion(&mut self, target: Option<&Name>, prompt: &Expr, at: At) {
        let typed = self.c.expr(prompt, &self.scope, Place::Plain);
        let wrong = typed.as_ref().filter(|t| !t.ty.is_string() && t.ty != ColumnType::Null);
        if let Some(ty) = wrong.map(|t| t.ty) {
            self.not_text("COMPLETION", prompt, ty);
        }
        let name = target.map_or("completion", |n| n.text.as_str()).to_owned();
        let out = self.c.tables.slot();
        match (typed, self.c.tables.settings.supplied.answers.clone()) {
            (Some(typed), Some(answers)) => {
                if !self.limited {
                    self.limited = true;
                    self.stages.push(Stage::Limit(COMPLETIONS));
                    self.notes.push(format!("No limit defined, adding default limit of [{COMPLETIONS}]"));
                }
                self.stages.push(Stage::Complete { prompt: typed.expr, answers, out });
            }
            (_, None) => self.lacking("COMPLETION", "the answers of a model", "completion", at),
            (None, _) => {}
        }
        self.scope.push(&name, ColumnType::Keyword, out);
    }

    /// Says that a command does not run, and what would make it run.
    fn lacking(&mut self, command: &str, what: &str, key: &str, at: At) {
        self.lacking = true;
        self.unsupported(
            &format!("`{command}` needs {what}, which only a test case supplies, as `{key}`"),
            at,
        );
    }

    fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.c.tables.settings.supplied.table(name).cloned()
    }

    pub(super) fn enrich(&mut self, policy: &Text, on: Option<&Name>, with: &[(Option<Name>, Name)], at: At) {
        // `_any:policy` and the like say where the policy is executed
        let name = policy.text.rsplit(':').next().unwrap_or(&policy.text);
        let Some(table) = self.table(name) else {
            if let Some(on) = on {
                self.c.column(&on.text, on.at.0, &self.scope);
            }
            for (new, field) in with {
                let slot = self.c.tables.slot();
                self.scope.push(&new.as_ref().unwrap_or(field).text, ColumnType::Null, slot);
            }
            if with.is_empty() {
                self.scope.open = true;
            }
            return self.lacking(
                "ENRICH",
                &format!("the rows of the policy `{name}`"),
                &format!("tables.{name}"),
                at,
            );
        };
        let Some(key) = table.on.as_deref().or(on.map(|n| n.text.as_str())).map(str::to_owned) else {
            let d = Diagnostic::new(
                Code::RP0403,
                format!("nothing says which column the policy `{name}` matches"),
            )
            .at(policy.at.0, "")
            .help(format!("`on` of the table `{name}` in the test names it"));
            self.c.found.push(d);
            return;
        };
        let Some(column) = self.table_column(&table, &key, policy.at.0) else { return };
        let (input, span) = on.map_or((key.as_str(), policy.at.0), |n| (n.text.as_str(), n.at.0));
        let Some(typed) = self.c.used(input, span, &self.scope) else { return };
        let Some(ty) = self.joined(&table, column, typed.ty, span) else { return };
        let mut added: Vec<(usize, String)> = Vec::new();
        for (new, field) in with {
            let Some(at) = self.table_column(&table, &field.text, field.at.0) else { continue };
            added.push((at, new.as_ref().unwrap_or(field).text.clone()));
        }
        if with.is_empty() {
            let others = table.columns.iter().enumerate().filter(|(i, _)| *i != column);
            added = others.map(|(i, c)| (i, c.name.to_string())).collect();
        }
        self.look_up(&table, vec![(typed.expr, column, ty)], added, Found::Values, at.0);
    }

    pub(super) fn lookup(&mut self, index: &Text, on: &[Expr], at: At) {
        let name = index.text.rsplit(':').next().unwrap_or(&index.text);
        let Some(table) = self.table(name) else {
            for e in on {
                self.c.expr(e, &self.scope, Place::Plain);
            }
            self.scope.open = true;
            let key = format!("tables.{name}");
            return self.lacking("LOOKUP JOIN", &format!("the rows of `{name}`"), &key, at);
        };
        let mut keys = Vec::new();
        for e in on {
            let ExprKind::Column(key) = &e.kind else {
                self.c.expr(e, &self.scope, Place::Plain);
                return self.unsupported("running `LOOKUP JOIN` on a condition is not supported yet", e.at);
            };
            let typed = self.c.used(key, e.span(), &self.scope);
            let column = self.table_column(&table, key, e.span());
            let (Some(typed), Some(column)) = (typed, column) else { continue };
            let Some(ty) = self.joined(&table, column, typed.ty, e.span()) else { continue };
            keys.push((typed.expr, column, ty));
        }
        let is_key = |i: usize| keys.iter().any(|(_, column, _)| *column == i);
        let added = table
            .columns
            .iter()
            .enumerate()
            .filter(|(i, _)| !is_key(*i))
            .map(|(i, c)| (i, c.name.to_string()));
        let added = added.collect();
        self.look_up(&table, keys, added, Found::Rows, at.0);
    }

    fn table_column(&mut self, table: &Table, name: &str, span: Span) -> Option<usize> {
        let found = table.column(name);
        if found.is_none() {
            let mut d =
                Diagnostic::new(Code::RP0201, format!("the table `{}` has no column `{name}`", table.name))
                    .at(span, "");
            if let Some(near) = did_you_mean(name, table.columns.iter().map(|c| c.name.as_ref())) {
                d = d.help(format!("did you mean `{near}`?"));
            }
            self.c.found.push(d);
        }
        found
    }

    /// The type in which a column of the rows and one of the table are compared.
    fn joined(&mut self, table: &Table, column: usize, ty: ColumnType, span: Span) -> Option<ColumnType> {
        let held = table.columns.get(column)?;
        let wanted = ty.computed();
        let whole = |t: ColumnType| if t == ColumnType::Integer { ColumnType::Long } else { t };
        let wanted = whole(wanted);
        if wanted == ColumnType::Null || whole(held.ty) == wanted || !held.declared {
            return Some(if wanted == ColumnType::Null { held.ty } else { wanted });
        }
        let d = Diagnostic::new(
            Code::RP0308,
            format!("`{}` of the table `{}` is of another type", held.name, table.name),
        )
        .at(span, format!("`{}`, not `{}`", ty.name(), held.ty.name()));
        self.c.found.push(d);
        None
    }

    /// Adds the stage, and the columns that it makes.
    fn look_up(
        &mut self,
        table: &Arc<Table>,
        keys: Vec<(PlanExpr, usize, ColumnType)>,
        added: Vec<(usize, String)>,
        found: Found,
        at: Span,
    ) {
        let mut early = Vec::new();
        let keys: Vec<(Slot, usize, ColumnType)> = keys
            .into_iter()
            .map(|(expr, column, ty)| match expr {
                PlanExpr::Column(slot) => (slot, column, ty),
                other => {
                    let slot = self.c.tables.slot();
                    early.push((slot, other));
                    (slot, column, ty)
                }
            })
            .collect();
        if !early.is_empty() {
            self.stages.push(Stage::Eval(early));
        }
        let mut out = Vec::new();
        for (column, name) in added {
            let slot = self.c.tables.slot();
            let ty = table.columns.get(column).map_or(ColumnType::Null, |c| c.ty);
            self.scope.push(&name, ty, slot);
            out.push((column, slot));
        }
        match Lookup::new(table, &keys, out, found, at) {
            Ok(lookup) => self.stages.push(Stage::Lookup(Box::new(lookup))),
            Err(e @ TableError::Unfit { .. }) => {
                let d =
                    Diagnostic::new(Code::RP0308, format!("in the table `{}`, {e}", table.name)).at(at, "");
                self.c.found.push(d);
            }
            Err(e) => self.c.found.push(Diagnostic::new(Code::RP0403, e.to_string()).at(at, "")),
        }
    }
}
