//! From a query to a pipeline: each command changes the columns at hand and may add stages.

use super::ast::{
    Aggregate, Assign, At, Command, CommandKind, Expr, ExprKind, Literal, Name, NamePattern, Query,
    SortKey as SortItem,
};
use super::check::{Before, Checker, Gathering, Place, Typed};
use super::commands;
use super::scope::{Column, ColumnOrigin, Scope, Tables};
use crate::diag::{Code, Diagnostic, Severity, did_you_mean};
use crate::lang::Settings;
use crate::plan::table::{
    Aggregation, Dissect, Expr as PlanExpr, Grok, OutputColumn, Pipeline, SortKey, Stage, What,
};
use crate::schema::Schema;
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};
use rustc_hash::FxHashMap;

/// The most rows of an answer, and how many without a LIMIT.
const MAX_ROWS: usize = 10_000;
const DEFAULT_ROWS: usize = 1_000;

/// A query with its plan's parts and everything that was found.
pub(super) struct Lowered<'a> {
    pub checker: Checker<'a>,
    pub pipeline: Pipeline,
    /// What is said of a run besides its own warnings.
    pub notes: Vec<String>,
    /// Whether a command was met that cannot be run.
    pub incomplete: bool,
    /// Whether fields of catalogues would be columns if documents had them.
    pub hidden: bool,
}

pub(super) fn lower<'a>(
    query: &Query,
    text: &'a str,
    schema: &Schema,
    settings: &'a Settings,
) -> Lowered<'a> {
    let checker = Checker {
        text,
        tables: Tables::new(schema, settings),
        found: Vec::new(),
        fields: Vec::new(),
        gathering: Gathering::default(),
        before: Before::default(),
        now: settings.context.now,
        unknown: Default::default(),
    };
    let mut lowering = Lowering {
        c: checker,
        scope: Scope::default(),
        stages: Vec::new(),
        notes: Vec::new(),
        incomplete: false,
        limited: false,
        aggregates: false,
        literal: false,
        group: Vec::new(),
        expanded: Vec::new(),
        patterns: Vec::new(),
    };
    for command in &query.commands {
        lowering.command(command);
    }
    lowering.finish()
}

struct Lowering<'a> {
    c: Checker<'a>,
    scope: Scope,
    stages: Vec<Stage>,
    notes: Vec<String>,
    incomplete: bool,
    limited: bool,
    aggregates: bool,
    literal: bool,
    group: Vec<OutputColumn>,
    expanded: Vec<usize>,
    patterns: Vec<Box<str>>,
}

impl<'a> Lowering<'a> {
    fn finish(mut self) -> Lowered<'a> {
        if !self.limited {
            self.stages.push(Stage::Limit(DEFAULT_ROWS));
            self.notes.push(format!("No limit defined, adding default limit of [{DEFAULT_ROWS}]"));
        }
        let columns: Vec<Column> = self.scope.columns.iter().filter(|c| c.visible).cloned().collect();
        let hidden = self.scope.columns.iter().any(|c| !c.visible);
        let mut output = Vec::with_capacity(columns.len());
        for column in columns {
            let slot = if column.ty == ColumnType::Unsupported {
                self.c.tables.special(What::Nothing)
            } else {
                self.c.tables.slot_of(&column)
            };
            output.push(OutputColumn { name: column.name.as_ref().into(), ty: column.ty, slot });
        }
        let expanded = output.iter().filter(|c| self.expanded.contains(&c.slot)).cloned().collect();
        let pipeline = Pipeline {
            patterns: self.patterns,
            indices: std::mem::take(&mut self.c.tables.indices),
            slots: self.c.tables.slots,
            source: std::mem::take(&mut self.c.tables.source),
            literal: self.literal,
            stages: self.stages,
            output,
            group: self.group,
            aggregates: self.aggregates,
            expanded,
        };
        Lowered { checker: self.c, pipeline, notes: self.notes, incomplete: self.incomplete, hidden }
    }

    fn command(&mut self, command: &Command) {
        self.since(command);
        match &command.kind {
            CommandKind::From { series, indices, metadata } => {
                self.from(indices, metadata);
                if *series {
                    self.unsupported("TS", command.at);
                }
            }
            CommandKind::Row(items) => {
                self.literal = true;
                self.eval(items, true);
            }
            CommandKind::Show => {
                self.unsupported("SHOW", command.at);
                self.scope.open = true;
            }
            CommandKind::Where(condition) => {
                if let Some(e) = self.c.condition(condition, &self.scope, Place::Where) {
                    self.stages.push(Stage::Filter(e));
                }
            }
            CommandKind::Eval(items) => self.eval(items, false),
            CommandKind::Keep(patterns) => self.keep(patterns),
            CommandKind::Drop(patterns) => self.drop(patterns),
            CommandKind::Rename(pairs) => self.rename(pairs),
            CommandKind::Stats { inline, aggregates, by } => self.stats(*inline, aggregates, by),
            CommandKind::Sort(keys) => self.sort(keys),
            CommandKind::Limit(value) => self.limit(value),
            CommandKind::Expand(name) => self.expand(name),
            CommandKind::Dissect { input, pattern, separator } => {
                self.dissect(input, pattern, separator.as_ref().map_or("", |s| s.text.as_str()));
            }
            CommandKind::Grok { input, patterns } => self.grok(input, patterns),
            CommandKind::Completion { target, prompt, .. } => {
                if let Some(t) = self.c.expr(prompt, &self.scope, Place::Plain)
                    && !t.ty.is_string()
                    && t.ty != ColumnType::Null
                {
                    self.not_text("COMPLETION", prompt, t.ty);
                }
                let name = target.as_ref().map_or("completion", |n| n.text.as_str()).to_owned();
                let slot = self.c.tables.slot();
                self.scope.push(&name, ColumnType::Keyword, slot);
                self.unsupported("COMPLETION", command.at);
            }
            CommandKind::Enrich { on, with, .. } => {
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
                self.unsupported("ENRICH", command.at);
            }
            CommandKind::Lookup { on, .. } => {
                self.scope.open = true;
                for e in on {
                    self.c.expr(e, &self.scope, Place::Plain);
                }
                self.unsupported("LOOKUP JOIN", command.at);
            }
            CommandKind::Opaque { name, .. } => {
                self.scope.open = true;
                self.unsupported(name, command.at);
            }
        }
        match &command.kind {
            CommandKind::Stats { inline: false, .. } => self.breaks("STATS"),
            CommandKind::Stats { .. } => self.breaks("INLINE STATS"),
            CommandKind::Limit(_) => self.breaks("LIMIT"),
            CommandKind::Expand(_) => self.widens("MV_EXPAND"),
            CommandKind::Dissect { .. } => self.widens("DISSECT"),
            CommandKind::Grok { .. } => self.widens("GROK"),
            _ => {}
        }
    }

    fn breaks(&mut self, what: &'static str) {
        self.c.before.breaks.get_or_insert(what);
    }

    fn widens(&mut self, what: &'static str) {
        self.c.before.widens.get_or_insert(what);
    }

    /// Commands that a stack lacks.
    fn since(&mut self, command: &Command) {
        let name = match &command.kind {
            CommandKind::Stats { inline: true, .. } => "INLINE STATS",
            CommandKind::Opaque { name, .. } => name,
            CommandKind::From { series: true, .. } => "TS",
            _ => return,
        };
        let Some(info) = commands::find(name) else { return };
        let Some(stack) = self.c.tables.settings.stack else { return };
        if (stack.0, stack.1) < (info.since.0, info.since.1) {
            let start = command.at.0.start;
            let at = Span { start, end: start + u32::try_from(name.len()).unwrap_or(0) };
            self.c.found.push(
                Diagnostic::new(Code::RP0803, format!("stack {stack} has no command `{name}`"))
                    .at(at, format!("since {}", info.since))
                    .help(format!(
                        "`min_stack_version = \"{}\"` in [metadata] keeps the rule from older stacks",
                        info.since
                    )),
            );
        }
    }

    fn unsupported(&mut self, name: &str, at: At) {
        self.incomplete = true;
        // the query is right, it only cannot be run here
        self.c.found.push(
            Diagnostic::new(Code::RP9001, format!("running `{name}` is not supported yet"))
                .severity(Severity::Note)
                .at(at.0, ""),
        );
    }

    fn not_text(&mut self, what: &str, e: &Expr, ty: ColumnType) {
        let shown = e.span().slice(self.c.text).to_owned();
        self.c.found.push(
            Diagnostic::new(Code::RP0302, format!("{what} needs a text, and `{shown}` is none"))
                .at(e.span(), format!("of type `{}`", ty.name())),
        );
    }

    fn from(&mut self, indices: &[super::ast::Text], metadata: &[Name]) {
        let patterns: Vec<String> = indices
            .iter()
            .flat_map(|i| i.text.split(','))
            .map(|p| p.trim().to_owned())
            .filter(|p| !p.is_empty())
            .collect();
        self.patterns = patterns.iter().map(|p| p.as_str().into()).collect();
        if let Err(missing) = self.c.tables.select(&patterns) {
            let at = indices
                .iter()
                .find(|i| i.text.contains(&missing))
                .or(indices.first())
                .map_or(At::default(), |i| i.at);
            let known = self.c.tables.settings.indices.iter().map(|i| i.name.as_str());
            let mut d = Diagnostic::new(Code::RP0201, format!("unknown index `{missing}`")).at(at.0, "");
            if let Some(near) = did_you_mean(&missing, known) {
                d = d.help(format!("did you mean `{near}`?"));
            }
            self.c.found.push(d);
        }
        self.scope.columns = self.c.tables.columns();
        self.scope.open = self.c.tables.schema.is_open();
        for field in metadata {
            let (what, ty) = match field.text.as_str() {
                "_id" => (What::Id, ColumnType::Keyword),
                "_index" => (What::Index, ColumnType::Keyword),
                "_version" => (What::Version, ColumnType::Long),
                "_source" => (What::Source, ColumnType::Source),
                "_ignored" => {
                    let keywords: Vec<_> = self
                        .c
                        .tables
                        .schema
                        .iter()
                        .filter(|f| f.ty().ignore_above.is_some() && f.kind().is_keyword())
                        .map(|f| f.name.clone())
                        .collect();
                    let schema = self.c.tables.schema.clone();
                    let ids = keywords
                        .iter()
                        .filter_map(|n| schema.resolve(n).map(|r| self.c.tables.fields.intern(n, &r)))
                        .collect();
                    (What::Ignored(ids), ColumnType::Keyword)
                }
                "_score" => (What::Nothing, ColumnType::Double),
                "_index_mode" | "_tier" => (What::Nothing, ColumnType::Keyword),
                other => {
                    let known = [
                        "_id",
                        "_index",
                        "_version",
                        "_source",
                        "_ignored",
                        "_score",
                        "_index_mode",
                        "_tier",
                    ];
                    let mut d = Diagnostic::new(Code::RP0201, format!("unknown metadata field `{other}`"))
                        .at(field.at.0, "");
                    if let Some(near) = did_you_mean(other, known) {
                        d = d.help(format!("did you mean `{near}`?"));
                    }
                    self.c.found.push(d);
                    continue;
                }
            };
            let slot = self.c.tables.special(what);
            self.scope.push(&field.text, ty, slot);
        }
    }

    fn name_of(&self, item: &Assign) -> String {
        match (&item.name, &item.value.kind) {
            (Some(name), _) => name.text.clone(),
            (None, ExprKind::Column(name)) => name.clone(),
            (None, _) => item.value.span().slice(self.c.text).to_owned(),
        }
    }

    fn eval(&mut self, items: &[Assign], row: bool) {
        let mut list = Vec::new();
        for item in items {
            let name = self.name_of(item);
            let typed = self.c.expr(&item.value, &self.scope, Place::Plain);
            let slot = self.c.tables.slot();
            let Some(Typed { expr, ty }) = typed else {
                // the column is there, its type is not known
                self.scope.push(&name, ColumnType::Null, slot);
                continue;
            };
            if ty.is_span() {
                let shown = item.value.span().slice(self.c.text);
                let what = if row { "ROW" } else { "EVAL" };
                let d = Diagnostic::new(
                    Code::RP0403,
                    format!("{what} cannot keep the time span `{shown}` in a column"),
                )
                .at(item.value.span(), format!("of type `{}`", ty.name()))
                .help("a time span is added to a date");
                self.c.found.push(d);
            }
            self.scope.push(&name, ty, slot);
            list.push((slot, expr));
        }
        self.stages.push(Stage::Eval(list));
    }

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

    fn keep(&mut self, patterns: &[NamePattern]) {
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

    fn drop(&mut self, patterns: &[NamePattern]) {
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

    fn rename(&mut self, pairs: &[(Name, Name)]) {
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

    fn stats(&mut self, inline: bool, items: &[Aggregate], by: &[Assign]) {
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

    fn sort(&mut self, keys: &[SortItem]) {
        let mut out = Vec::new();
        for key in keys {
            let Some(typed) = self.c.expr(&key.expr, &self.scope, Place::Plain) else { continue };
            if typed.ty.is_span() || matches!(typed.ty, ColumnType::Source | ColumnType::GeoPoint) {
                let shown = key.expr.span().slice(self.c.text);
                let d = Diagnostic::new(Code::RP0403, format!("rows cannot be sorted by `{shown}`"))
                    .at(key.expr.span(), format!("of type `{}`", typed.ty.name()));
                self.c.found.push(d);
                continue;
            }
            let descending = key.descending.unwrap_or(false);
            out.push(SortKey {
                expr: typed.expr,
                descending,
                nulls_first: key.nulls_first.unwrap_or(descending),
            });
        }
        self.stages.push(Stage::Sort(out));
    }

    fn limit(&mut self, value: &Expr) {
        let n = match &value.kind {
            ExprKind::Literal(Literal::Integer(text)) => text.parse::<usize>().ok(),
            _ => None,
        };
        let Some(mut n) = n else {
            let shown = value.span().slice(self.c.text).to_owned();
            let d = Diagnostic::new(
                Code::RP0301,
                format!("`LIMIT` takes a whole number that is not negative, not `{shown}`"),
            )
            .at(value.span(), "");
            self.c.found.push(d);
            self.limited = true;
            return;
        };
        if n > MAX_ROWS {
            self.notes
                .push(format!("No more than [{MAX_ROWS}] rows are given, the limit of [{n}] is lowered"));
            n = MAX_ROWS;
        }
        self.limited = true;
        self.stages.push(Stage::Limit(n));
    }

    fn expand(&mut self, name: &Name) {
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

    fn dissect(&mut self, input: &Expr, pattern: &super::ast::Text, separator: &str) {
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

    fn grok(&mut self, input: &Expr, patterns: &[super::ast::Text]) {
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

/// A cell as JSON: none, one value bare, several as an array.
pub fn cell_json(datum: &Datum) -> serde_json::Value {
    match datum {
        Datum::Null => serde_json::Value::Null,
        Datum::One(v) => value_json(v),
        Datum::Many(vs) => vs.iter().map(value_json).collect(),
    }
}

fn value_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(i) => (*i).into(),
        Value::Unsigned(u) => (*u).into(),
        Value::Double(d) => (*d).into(),
        other => crate::func::text(other).unwrap_or_default().into(),
    }
}
