//! What is allowed in a rule and seldom meant: rows that get lost without a word, patterns that say
//! something else than they seem to, columns that nobody reads.

use super::ast::{Assign, CommandKind, CompareOp, Expr, ExprKind, Query};
use crate::diag::{Code, Diagnostic};
use crate::func::column;
use crate::lang::Settings;
use crate::schema::Schema;
use crate::source::Span;
use std::collections::BTreeSet;

/// Looks through a query that has no errors. Only rules are looked at: they come with a stack.
pub(super) fn lint(query: &Query, text: &str, schema: &Schema, settings: &Settings) -> Vec<Diagnostic> {
    if settings.stack.is_none() {
        return Vec::new();
    }
    let mut lint = Lint { text, schema, found: Vec::new(), computed: BTreeSet::new(), told: BTreeSet::new() };
    lint.fields(query);
    lint.dead(query);
    lint.comment(query);
    lint.identity(query);
    lint.found
}

struct Lint<'a> {
    text: &'a str,
    schema: &'a Schema,
    found: Vec<Diagnostic>,
    /// Names that no longer stand for a field.
    computed: BTreeSet<String>,
    /// Fields that were spoken of.
    told: BTreeSet<(Code, String)>,
}

/// The expressions of a command.
fn expressions(kind: &CommandKind) -> Vec<&Expr> {
    match kind {
        CommandKind::Where(e) => vec![e],
        CommandKind::Row(items) | CommandKind::Eval(items) => items.iter().map(|i| &i.value).collect(),
        CommandKind::Stats { aggregates, by, .. } => {
            let items =
                aggregates.iter().flat_map(|a| std::iter::once(&a.item.value).chain(a.filter.as_ref()));
            items.chain(by.iter().map(|i| &i.value)).collect()
        }
        CommandKind::Sort(keys) => keys.iter().map(|k| &k.expr).collect(),
        CommandKind::Dissect { input, .. } | CommandKind::Grok { input, .. } => vec![input],
        CommandKind::Completion { prompt, .. } => vec![prompt],
        CommandKind::Lookup { on, .. } => on.iter().collect(),
        _ => Vec::new(),
    }
}

/// The name of the column that an item makes.
fn made(item: &Assign) -> Option<&str> {
    item.name.as_ref().map(|n| n.text.as_str())
}

fn column(e: &Expr) -> Option<&str> {
    match &e.kind {
        ExprKind::Column(name) => Some(name),
        _ => None,
    }
}

/// Whether a query says of a field that it is there, or looks at its absence.
#[derive(Default)]
struct Said {
    /// Fields that a condition asks something positive of, or names in `IS [NOT] NULL`.
    present: BTreeSet<String>,
}

impl Said {
    fn of(query: &Query) -> Said {
        let mut said = Said::default();
        for command in &query.commands {
            for e in expressions(&command.kind) {
                said.look(e, false);
            }
        }
        said
    }

    fn look(&mut self, e: &Expr, negated: bool) {
        let mut note = |e: &Expr| {
            e.visit(&mut |inner| {
                if let Some(name) = column(inner) {
                    self.present.insert(name.to_owned());
                }
            });
        };
        match &e.kind {
            ExprKind::IsNull(_, inner) => note(inner),
            ExprKind::Compare(op, a, b) if !negated && *op != CompareOp::NotEqual => {
                note(a);
                note(b);
            }
            ExprKind::In(false, value, _) if !negated => note(value),
            ExprKind::Like { negated: false, value, .. } if !negated => note(value),
            ExprKind::Match(field, _) if !negated => note(field),
            ExprKind::Call { args, name, .. } if !negated => {
                let null_safe = ["coalesce", "case"].iter().any(|f| name.text.eq_ignore_ascii_case(f));
                let tests = column::find(&name.text).is_some_and(|f| {
                    matches!(f.returns, column::Returns::Is(crate::value::ColumnType::Boolean))
                });
                if null_safe || tests {
                    args.iter().for_each(note);
                }
            }
            ExprKind::Not(inner) => self.look(inner, !negated),
            _ => e.children().into_iter().for_each(|c| self.look(c, negated)),
        }
    }
}

impl Lint<'_> {
    fn tell(&mut self, code: Code, name: &str, d: Diagnostic) {
        if self.told.insert((code, name.to_owned())) {
            self.found.push(d);
        }
    }

    /// What conditions say of fields of the documents.
    fn fields(&mut self, query: &Query) {
        let said = Said::of(query);
        for command in &query.commands {
            let filter = matches!(command.kind, CommandKind::Where(_));
            for e in expressions(&command.kind) {
                self.expression(e, &said, filter, false);
            }
            match &command.kind {
                CommandKind::Eval(items) | CommandKind::Row(items) => {
                    self.computed.extend(items.iter().filter_map(made).map(str::to_owned));
                }
                CommandKind::Expand(name) => {
                    self.computed.insert(name.text.clone());
                }
                CommandKind::Rename(pairs) => {
                    self.computed.extend(pairs.iter().map(|(_, new)| new.text.clone()));
                }
                CommandKind::Dissect { pattern, .. } => {
                    if let Ok(p) = crate::plan::table::Dissect::new(&pattern.text, "") {
                        self.computed.extend(p.names().iter().map(ToString::to_string));
                    }
                }
                CommandKind::Grok { patterns, .. } => {
                    for p in patterns.iter().filter_map(|p| crate::plan::table::Grok::new(&p.text).ok()) {
                        self.computed.extend(p.columns().map(|(n, _)| n.to_owned()));
                    }
                }
                // from here on there are no fields
                CommandKind::Stats { inline: false, .. } => return,
                _ => {}
            }
        }
    }

    /// The field that a name still stands for.
    fn field(&self, e: &Expr) -> Option<&crate::schema::Field> {
        let name = column(e).filter(|n| !self.computed.contains(*n))?;
        self.schema.resolve(name).map(|r| r.field)
    }

    fn expression(&mut self, e: &Expr, said: &Said, filter: bool, negated: bool) {
        match &e.kind {
            ExprKind::Compare(op, a, b) => {
                self.single(a, e.span());
                self.single(b, e.span());
                let drops = (*op == CompareOp::NotEqual) != negated;
                if filter && drops && matches!(b.kind, ExprKind::Literal(_)) {
                    self.absent(a, e.span(), said);
                }
            }
            ExprKind::In(not, value, _) => {
                self.single(value, e.span());
                if filter && *not != negated {
                    self.absent(value, e.span(), said);
                }
            }
            ExprKind::Like { negated: not, regex, value, patterns, .. } => {
                let everything = patterns.iter().all(|p| p.text == "*" || p.text == ".*");
                if !everything {
                    self.single(value, e.span());
                    if filter && *not != negated {
                        self.absent(value, e.span(), said);
                    }
                }
                if *regex {
                    patterns.iter().for_each(|p| self.operators(&p.text, p.at.0));
                }
            }
            ExprKind::Call { name, args, .. } => {
                let first = ["mv_first", "mv_last"].iter().any(|f| name.text.eq_ignore_ascii_case(f));
                if first && let Some(arg) = args.first() {
                    self.first(&name.text, arg, e.span());
                }
            }
            _ => {}
        }
        let negated = negated != matches!(e.kind, ExprKind::Not(_));
        for child in e.children() {
            self.expression(child, said, filter, negated);
        }
    }

    /// A field that is an array, where an operator takes one value.
    fn single(&mut self, e: &Expr, clause: Span) {
        let Some(name) = self.field(e).filter(|f| f.array).map(|f| f.name.to_string()) else { return };
        let d =
            Diagnostic::new(Code::RP1201, format!("`{name}` may hold several values, and then this is null"))
                .at(clause, "the document is lost, also under NOT")
                .help(format!(
                    "`MV_CONTAINS({name}, …)`, `KQL(\"…\")` or `MV_EXPAND {name}` look at each value"
                ));
        self.tell(Code::RP1201, &name, d);
    }

    /// A negated clause on a field that a document may lack.
    fn absent(&mut self, e: &Expr, clause: Span, said: &Said) {
        let Some(name) = self.field(e).map(|_| column(e).unwrap_or_default().to_owned()) else { return };
        if said.present.contains(&name) {
            return;
        }
        let d = Diagnostic::new(Code::RP1202, format!("documents without `{name}` are dropped here"))
            .at(clause, "null is neither equal nor different")
            .help(format!("`{name} IS NULL OR …` keeps them, `{name} IS NOT NULL` says that it is meant"));
        self.tell(Code::RP1202, &name, d);
    }

    /// `MV_FIRST` of a stored field.
    fn first(&mut self, function: &str, e: &Expr, clause: Span) {
        let sorted = self.field(e).filter(|f| !f.kind().is_text());
        let Some(name) = sorted.map(|f| f.name.to_string()) else { return };
        let which = if function.eq_ignore_ascii_case("mv_first") { "least" } else { "greatest" };
        let d = Diagnostic::new(
            Code::RP1207,
            format!("stored values are sorted, so this is the {which} value of `{name}`"),
        )
        .at(clause, "not the one that the event had there")
        .help(format!("write `MV_{}` if that is meant", if which == "least" { "MIN" } else { "MAX" }));
        self.tell(Code::RP1207, &name, d);
    }

    /// Characters that are operators of Lucene's regular expressions.
    fn operators(&mut self, pattern: &str, at: Span) {
        let (mut class, mut chars) = (false, pattern.char_indices());
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '[' if !class => class = true,
                ']' => class = false,
                '&' | '@' | '#' | '"' if !class => return self.operator(c, at),
                '<' if !class
                    && pattern.get(i + 1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit())) =>
                {
                    return self.operator(c, at);
                }
                _ => {}
            }
        }
    }

    fn operator(&mut self, c: char, at: Span) {
        let meaning = match c {
            '&' => "what stands on both sides must match the same text",
            '@' => "it stands for any text",
            '#' => "it matches nothing",
            '"' => "it quotes the text up to the next one",
            _ => "it begins a range of numbers",
        };
        self.found.push(
            Diagnostic::new(Code::RP1203, format!("`{c}` is an operator in RLIKE"))
                .at(at, meaning)
                .help(format!("`\\{c}` is the character itself, `\\\\{c}` in a string of one quote")),
        );
    }

    /// Columns that are computed and never read.
    fn dead(&mut self, query: &Query) {
        for (i, command) in query.commands.iter().enumerate() {
            let items: Vec<&Assign> = match &command.kind {
                CommandKind::Eval(items) => items.iter().collect(),
                CommandKind::Stats { aggregates, .. } => aggregates.iter().map(|a| &a.item).collect(),
                _ => continue,
            };
            for (j, item) in items.iter().enumerate() {
                let Some(name) = &item.name else { continue };
                let within = match &command.kind {
                    CommandKind::Eval(_) => items.get(j + 1..).unwrap_or_default(),
                    _ => &[],
                };
                if self.is_dead(&name.text, within, query.commands.get(i + 1..).unwrap_or_default()) {
                    self.found.push(
                        Diagnostic::new(Code::RP1206, format!("the column `{}` is never read", name.text))
                            .at(name.at.0, "")
                            .help("remove it, or keep it: an alert only shows what is kept"),
                    );
                }
            }
        }
    }

    fn is_dead(&self, name: &str, within: &[&Assign], after: &[super::ast::Command]) -> bool {
        let reads = |e: &Expr| {
            let mut read = false;
            e.visit(&mut |inner| read |= column(inner) == Some(name));
            read
        };
        for item in within {
            if reads(&item.value) {
                return false;
            }
            if made(item) == Some(name) {
                return true;
            }
        }
        for command in after {
            if expressions(&command.kind).into_iter().any(reads) {
                return false;
            }
            match &command.kind {
                CommandKind::Keep(patterns) if !patterns.iter().any(|p| p.matches(name)) => return true,
                CommandKind::Drop(patterns) if patterns.iter().any(|p| p.matches(name)) => return true,
                CommandKind::Rename(pairs) if pairs.iter().any(|(old, _)| old.text == name) => return false,
                CommandKind::Expand(n) if n.text == name => return false,
                CommandKind::Eval(items) if items.iter().any(|i| made(i) == Some(name)) => return true,
                CommandKind::Stats { inline: false, .. } => return true,
                // what these read is not looked into
                CommandKind::Enrich { .. } | CommandKind::Opaque { .. } => return false,
                _ => {}
            }
        }
        false
    }

    /// A comment at the very end, which swallows the limit that Kibana appends.
    fn comment(&mut self, query: &Query) {
        let end = query.commands.last().map_or(0, |c| c.at.0.end as usize);
        let rest = self.text.get(end..).unwrap_or("");
        let last = rest.rsplit('\n').next().unwrap_or("");
        let Some(at) = last.find("//") else { return };
        let start = self.text.len() - last.len() + at;
        self.found.push(
            Diagnostic::new(
                Code::RP1204,
                "Kibana appends `| LIMIT …` to the query, and this comment swallows it",
            )
            .at(Span::new(start, self.text.len()), "")
            .help("end the query with a line break"),
        );
    }

    /// Rows that cannot be traced to their documents: the same event alerts in every run.
    fn identity(&mut self, query: &Query) {
        let aggregates =
            query.commands.iter().any(|c| matches!(c.kind, CommandKind::Stats { inline: false, .. }));
        let Some(first) = query.commands.first().filter(|_| !aggregates) else { return };
        let CommandKind::From { metadata, indices, .. } = &first.kind else { return };
        let wanted = ["_id", "_version", "_index"];
        let asked: Vec<&str> =
            wanted.iter().filter(|w| !metadata.iter().any(|m| m.text == **w)).copied().collect();
        if !asked.is_empty() {
            let at = indices.last().map_or(first.at.0, |i| i.at.0);
            self.found.push(
                Diagnostic::new(Code::RP1205, format!("the query does not ask for `{}`", asked.join("`, `")))
                    .at(at, "without them the same document alerts in every run that sees it")
                    .help("`METADATA _id, _version, _index` after the index"),
            );
            return;
        }
        for command in &query.commands {
            let lost: Vec<&str> = match &command.kind {
                CommandKind::Keep(patterns) => {
                    wanted.iter().filter(|w| !patterns.iter().any(|p| p.matches(w))).copied().collect()
                }
                CommandKind::Drop(patterns) => {
                    wanted.iter().filter(|w| patterns.iter().any(|p| p.matches(w))).copied().collect()
                }
                _ => continue,
            };
            if !lost.is_empty() {
                self.found.push(
                    Diagnostic::new(Code::RP1205, format!("`{}` is not kept", lost.join("`, `")))
                        .at(command.at.0, "without them the same document alerts in every run that sees it")
                        .help("keep `_id`, `_version` and `_index`"),
                );
                return;
            }
        }
    }
}
