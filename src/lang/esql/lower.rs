//! From a query to a pipeline: each command changes the columns at hand and may add stages.

use super::ast::{
    Assign, At, Command, CommandKind, Expr, ExprKind, Literal, Name, Query, SortKey as SortItem,
};
use super::check::{Before, Checker, Gathering, Place, Typed};
use super::commands;
use super::scope::{Column, Scope, Tables};
use crate::diag::{Code, Diagnostic, Severity, did_you_mean};
use crate::lang::Settings;
use crate::plan::table::{OutputColumn, Pipeline, SortKey, Stage, What};
use crate::schema::Schema;
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};

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
    /// Whether a table or answers were not supplied.
    pub lacking: bool,
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
        lacking: false,
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

/// A query on the way to a pipeline: the columns at hand and the stages so far.
pub(super) struct Lowering<'a> {
    pub c: Checker<'a>,
    pub scope: Scope,
    pub stages: Vec<Stage>,
    pub notes: Vec<String>,
    incomplete: bool,
    /// Whether something was not supplied.
    pub lacking: bool,
    pub limited: bool,
    pub aggregates: bool,
    literal: bool,
    pub group: Vec<OutputColumn>,
    /// The slots of expanded columns.
    pub expanded: Vec<usize>,
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
        Lowered {
            checker: self.c,
            pipeline,
            notes: self.notes,
            incomplete: self.incomplete,
            lacking: self.lacking,
            hidden,
        }
    }

    fn command(&mut self, command: &Command) {
        self.since(command);
        match &command.kind {
            CommandKind::From { series, indices, metadata } => {
                self.from(indices, metadata);
                if *series {
                    self.does_not_run("TS", command.at);
                }
            }
            CommandKind::Row(items) => {
                self.literal = true;
                self.eval(items, true);
            }
            CommandKind::Show => {
                self.does_not_run("SHOW", command.at);
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
                self.completion(target.as_ref(), prompt, command.at);
            }
            CommandKind::Enrich { policy, on, with } => self.enrich(policy, on.as_ref(), with, command.at),
            CommandKind::Lookup { index, on } => self.lookup(index, on, command.at),
            CommandKind::Opaque { name, .. } => {
                self.scope.open = true;
                self.does_not_run(name, command.at);
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

    fn does_not_run(&mut self, name: &str, at: At) {
        self.unsupported(&format!("running `{name}` is not supported yet"), at);
    }

    /// The query is right, it only cannot be run here.
    pub fn unsupported(&mut self, why: &str, at: At) {
        self.incomplete = true;
        self.c.found.push(Diagnostic::new(Code::RP9001, why).severity(Severity::Note).at(at.0, ""));
    }

    pub fn not_text(&mut self, what: &str, e: &Expr, ty: ColumnType) {
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

    pub fn name_of(&self, item: &Assign) -> String {
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
