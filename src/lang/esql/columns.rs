//! Commands that choose, rename or make columns: `KEEP`, `DROP`, `RENAME`, `MV_EXPAND`, `DISSECT`, `GROK`.

use super::ast::{Expr, Name, NamePattern};
use super::check::Place;
use super::lower::Lowering;
use super::scope::{Column, ColumnOrigin, Scope};
use crate::diag::{Code, Diagnostic};
use crate::plan::table::{Dissect, Expr as PlanExpr, Grok, Stage};
use crate::value::ColumnType;
use rustc_hash::FxHashMap;

impl Lowering<'_> {
    fn matching(&mut self, pattern: &NamePattern) -> Vec<usize> {
        let star = pattern.exact().is_none();
        self.scope
            .columns
            .iter()
            .enumerate()
            .filter(|(_, c)| pattern.matches(&c.name) && (!star || c.visible))
            .map(|(i, _)| i)
            .collect()
    }

    /// Whether a pattern matches something, seen or not.
    fn known(&mut self, pattern: &NamePattern) -> bool {
        match pattern.exact() {
            Some(name) => self.c.column(name, pattern.at.0, &self.scope).is_some(),
            None => {
                let any = self.scope.open
                    || pattern.is_star()
                    || self.scope.columns.iter().any(|c| pattern.matches(&c.name));
                if !any {
                    let d = Diagnostic::new(Code::RP0201, format!("no column matches `{}`", pattern.text()))
                        .at(pattern.at.0, "");
                    self.c.found.push(d);
                }
                any
            }
        }
    }

    pub(super) fn keep(&mut self, patterns: &[NamePattern]) {
        // exact names before patterns, patterns before `*`; of equals the later one
        let rank = |p: &NamePattern| {
            if p.exact().is_some() {
                2
            } else if p.is_star() {
                0
            } else {
                1
            }
        };
        let mut place: Vec<(usize, usize, usize)> = Vec::new();
        let mut held: FxHashMap<usize, usize> = FxHashMap::default();
        let mut wild = false;
        for (i, pattern) in patterns.iter().enumerate() {
            wild |= pattern.exact().is_none();
            if !self.known(pattern) {
                continue;
            }
            if let Some(name) = pattern.exact()
                && self.scope.get(name).is_none()
            {
                self.scope.columns.push(Column {
                    name: name.into(),
                    ty: ColumnType::Null,
                    origin: ColumnOrigin::Unknown(name.into()),
                    visible: true,
                });
            }
            for at in self.matching(pattern) {
                match held.get(&at).and_then(|n| place.get_mut(*n)) {
                    Some(known) if known.1 <= rank(pattern) => *known = (at, rank(pattern), i),
                    Some(_) => {}
                    None => {
                        held.insert(at, place.len());
                        place.push((at, rank(pattern), i));
                    }
                }
            }
        }
        place.sort_by_key(|(at, _, i)| (*i, *at));
        let mut kept: Vec<Column> =
            place.iter().filter_map(|(at, _, _)| self.scope.columns.get(*at).cloned()).collect();
        for (column, (_, rank, _)) in kept.iter_mut().zip(&place) {
            column.visible |= *rank == 2;
        }
        if wild {
            // fields of a catalogue that no document is known to have can still be named later
            let hidden = self
                .scope
                .columns
                .iter()
                .filter(|c| !c.visible && patterns.iter().any(|p| p.matches(&c.name)));
            let hidden: Vec<Column> =
                hidden.filter(|c| !kept.iter().any(|k| k.name == c.name)).cloned().collect();
            kept.extend(hidden);
        } else {
            self.scope.open = false;
        }
        self.scope.columns = kept;
    }

    pub(super) fn drop(&mut self, patterns: &[NamePattern]) {
        let before = self.scope.columns.clone();
        for pattern in patterns {
            if let Some(name) = pattern.exact() {
                // dropping twice is fine
                let scope = Scope { columns: before.clone(), open: self.scope.open };
                if scope.get(name).is_none() {
                    self.c.column(name, pattern.at.0, &scope);
                }
            } else if !self.scope.open
                && !pattern.is_star()
                && !before.iter().any(|c| pattern.matches(&c.name))
            {
                let d = Diagnostic::new(Code::RP0201, format!("no column matches `{}`", pattern.text()))
                    .at(pattern.at.0, "");
                self.c.found.push(d);
            }
            self.scope.columns.retain(|c| !pattern.matches(&c.name));
        }
    }

    pub(super) fn rename(&mut self, pairs: &[(Name, Name)]) {
        let mut gone: Vec<(String, String)> = Vec::new();
        for (old, new) in pairs {
            if self.scope.get(&old.text).is_none()
                && let Some((_, to)) = gone.iter().rev().find(|(o, _)| *o == old.text)
            {
                let d = Diagnostic::new(
                    Code::RP0201,
                    format!("the column `{}` was renamed to `{to}` and is no longer there", old.text),
                )
                .at(old.at.0, "");
                self.c.found.push(d);
                continue;
            }
            let Some(column) = self.c.column(&old.text, old.at.0, &self.scope) else { continue };
            if old.text == new.text {
                continue;
            }
            self.scope.remove(&new.text);
            match self.scope.columns.iter_mut().find(|c| c.name.as_ref() == old.text) {
                Some(held) => {
                    held.name = new.text.as_str().into();
                    held.visible = true;
                }
                None => self.scope.columns.push(Column {
                    name: new.text.as_str().into(),
                    visible: true,
                    ..column
                }),
            }
            gone.push((old.text.clone(), new.text.clone()));
        }
    }

    pub(super) fn expand(&mut self, name: &Name) {
        let Some(column) = self.c.column(&name.text, name.at.0, &self.scope) else { return };
        if column.ty == ColumnType::Unsupported {
            self.c.unusable(&column, name.at.0);
            return;
        }
        let from = self.c.tables.slot_of(&column);
        let to = self.c.tables.slot();
        self.stages.push(Stage::Expand { from, to });
        self.expanded.push(to);
        match self.scope.columns.iter_mut().find(|c| c.name.as_ref() == name.text) {
            Some(held) => {
                held.origin = ColumnOrigin::Slot(to);
                held.visible = true;
            }
            None => self.scope.push(&name.text, column.ty, to),
        }
    }

    /// The text that DISSECT and GROK work on.
    fn input(&mut self, what: &str, input: &Expr) -> Option<PlanExpr> {
        let typed = self.c.expr(input, &self.scope, Place::Plain)?;
        if !typed.ty.is_string() && typed.ty != ColumnType::Null {
            self.not_text(what, input, typed.ty);
            return None;
        }
        Some(typed.expr)
    }

    pub(super) fn dissect(&mut self, input: &Expr, pattern: &super::ast::Text, separator: &str) {
        let text = self.input("DISSECT", input);
        match Dissect::new(&pattern.text, separator) {
            Ok(pattern) => {
                let names: Vec<Box<str>> = pattern.names().to_vec();
                let out = self.made(names.iter().map(|n| (n.as_ref(), ColumnType::Keyword)));
                if let Some(input) = text {
                    self.stages.push(Stage::Dissect { input, pattern, out });
                }
            }
            Err(e) => self.c.found.push(Diagnostic::new(Code::RP0102, e.to_string()).at(pattern.at.0, "")),
        }
    }

    fn made<'n>(&mut self, columns: impl Iterator<Item = (&'n str, ColumnType)>) -> Vec<usize> {
        let mut out = Vec::new();
        for (name, ty) in columns {
            let slot = self.c.tables.slot();
            self.scope.push(name, ty, slot);
            out.push(slot);
        }
        out
    }

    pub(super) fn grok(&mut self, input: &Expr, patterns: &[super::ast::Text]) {
        let text = self.input("GROK", input);
        let mut prepared = Vec::new();
        let mut columns: Vec<(Box<str>, ColumnType)> = Vec::new();
        for pattern in patterns {
            let grok = match Grok::new(&pattern.text) {
                Ok(grok) => grok,
                Err(e) => {
                    self.c.found.push(Diagnostic::new(Code::RP0102, e.to_string()).at(pattern.at.0, ""));
                    continue;
                }
            };
            for (name, ty) in grok.columns() {
                match columns.iter().find(|(n, _)| n.as_ref() == name) {
                    None => columns.push((name.into(), ty)),
                    Some((_, held)) if *held == ty => {}
                    Some((_, held)) => {
                        let d = Diagnostic::new(
                            Code::RP0304,
                            format!("GROK gives `{name}` the types `{}` and `{}`", held.name(), ty.name()),
                        )
                        .at(pattern.at.0, "");
                        self.c.found.push(d);
                    }
                }
            }
            prepared.push(grok);
        }
        let slots = self.made(columns.iter().map(|(n, t)| (n.as_ref(), *t)));
        if let Some(input) = text {
            let out = columns.into_iter().map(|(n, _)| n).zip(slots).collect();
            self.stages.push(Stage::Grok { input, patterns: prepared, out });
        }
    }
}
