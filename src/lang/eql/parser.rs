//! From tokens to the tree: filters, sequences, samples and pipes. A mistake inside one of them does
//! not hide those in the next. `expression` parses what stands behind `where`.

use super::ast::{
    At, Body, ExprKind, FieldRef, Filter, Group, Item, Literal, Maxspan, Name, Pipe, Query, Sequence, Unit,
};
use super::lexer::{Kind, MAX_FINDINGS, Token, lex};
use crate::diag::{Code, Diagnostic, Safety, did_you_mean};
use crate::lang::Cut;
use crate::source::Span;

/// Most repetitions of one item.
const MAX_RUNS: i64 = 100;
/// Most filters of a sample.
const MAX_SAMPLE: usize = 5;

/// Parses a query. The tree is there only when nothing was found wrong.
pub(super) fn parse(text: &str) -> Result<Query, Vec<Diagnostic>> {
    let (tokens, found) = lex(text);
    let mut parser = Parser { text, tokens, at: 0, found, depth: 0 };
    match parser.query() {
        Some(query) if parser.found.is_empty() => Ok(query),
        _ => Err(parser.found),
    }
}

/// The state of one parse.
pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    found: Vec<Diagnostic>,
    /// How many expressions are open.
    pub(super) depth: usize,
}

static END: Token = Token { kind: Kind::End, span: Span { start: 0, end: 0 } };

impl<'a> Parser<'a> {
    pub(super) fn token(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).or(self.tokens.last()).unwrap_or(&END)
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.token(0).kind
    }

    pub(super) fn span(&self) -> Span {
        self.token(0).span
    }

    /// The span of what was read since a token's start.
    pub(super) fn since(&self, start: Span) -> Span {
        let last = self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(start, |t| t.span);
        if last.end < start.end { start } else { start.to(last) }
    }

    pub(super) fn slice(&self, span: Span) -> &'a str {
        span.slice(self.text)
    }

    pub(super) fn is(&self, sym: &str) -> bool {
        matches!(self.kind(), Kind::Sym(s) if *s == sym)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.kind(), Kind::Word(w) if *w == word)
    }

    pub(super) fn skip(&mut self) {
        if *self.kind() != Kind::End {
            self.at += 1;
        }
    }

    pub(super) fn eat(&mut self, sym: &str) -> bool {
        let found = self.is(sym);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn report(&mut self, d: Diagnostic) {
        if self.found.len() < MAX_FINDINGS {
            self.found.push(d);
        }
    }

    /// The next token as a message names it.
    fn found_text(&self) -> String {
        match self.kind() {
            Kind::End => "the end of the query".to_owned(),
            _ => format!("`{}`", shorten(self.slice(self.span()))),
        }
    }

    /// Something else was expected here.
    pub(super) fn expected<T>(&mut self, what: &str) -> Option<T> {
        let message = format!("expected {what}, found {}", self.found_text());
        let mut d = Diagnostic::new(Code::RP0101, message).at(self.span(), "");
        let text = self.slice(self.span());
        let lower = text.to_ascii_lowercase();
        let word = matches!(lower.as_str(), "and" | "or" | "not" | "in" | "like" | "regex" | "where" | "by");
        let behind_bar = self.at.checked_sub(1).and_then(|i| self.tokens.get(i));
        let behind_bar =
            behind_bar.is_some_and(|t| t.kind == Kind::Sym("|") && t.span.end == self.span().start);
        if word && lower != text {
            d = d.help(format!("keywords are lower case: `{lower}`")).fix(self.span(), lower, Safety::Safe);
        } else if self.is("|") && behind_bar {
            d = d.help("alternatives are joined with `or`");
        } else if self.is("=") {
            d = d.help("equality is `==`").fix(self.span(), "==", Safety::Suggested);
        } else if self.is_word("not")
            && let Kind::Sym(op @ ":") | Kind::Word(op @ ("like" | "like~" | "regex" | "regex~")) =
                self.token(1).kind
        {
            d = d.help(format!("there is no `not {op}`; write `not field {op} …`"));
        }
        self.report(d);
        None
    }

    pub(super) fn expect(&mut self, sym: &'static str) -> Option<()> {
        if self.eat(sym) { Some(()) } else { self.expected(&format!("`{sym}`")) }
    }

    fn query(&mut self) -> Option<Query> {
        let body = match self.kind() {
            Kind::Word("sequence") => self.sequence(),
            Kind::Word("sample") => self.sample(),
            Kind::Word("join") => self.join(),
            _ => {
                let filter = self.filter();
                if filter.is_none() {
                    self.skip_to_pipe();
                }
                filter.map(Body::Event)
            }
        };
        let mut pipes = Vec::new();
        while self.is("|") {
            self.skip();
            let sampled = matches!(body, Some(Body::Sample(_)));
            let start = self.span();
            if let Some(cut) = self.pipe(sampled) {
                pipes.push(Pipe { cut, at: At(self.since(start)) });
            } else {
                self.skip_to_pipe();
            }
        }
        // after a mistake the rest was skipped, or belongs to it
        if *self.kind() != Kind::End && self.found.is_empty() {
            self.expected::<()>("the end of the query or `|`");
        }
        Some(Query { body: body?, pipes })
    }

    fn skip_to_pipe(&mut self) {
        while !self.is("|") && *self.kind() != Kind::End {
            self.skip();
        }
    }

    fn pipe(&mut self, sampled: bool) -> Option<Cut> {
        let name_span = self.span();
        if !matches!(self.kind(), Kind::Ident) {
            self.expected::<()>("the name of a pipe");
            self.skip();
            return None;
        }
        self.skip();
        let name = self.slice(name_span);
        let mut args = Vec::new();
        if !self.is("|") && *self.kind() != Kind::End {
            loop {
                args.push(self.expression(0)?);
                if !self.eat(",") {
                    break;
                }
            }
        }
        if !self.is("|") && *self.kind() != Kind::End {
            return self.expected("`|` or the end of the query");
        }
        let d = |message: String| Diagnostic::new(Code::RP0106, message);
        if sampled {
            self.report(d("samples take no pipes".to_owned()).at(name_span, ""));
            return None;
        }
        if !matches!(name, "head" | "tail") {
            let python = ["count", "filter", "sort", "unique", "unique_count"].contains(&name);
            let message = if python {
                format!("the pipe `{name}` is not supported by Elasticsearch")
            } else {
                format!("unknown pipe `{name}`")
            };
            let mut d = d(message).at(name_span, "the pipes are `head` and `tail`");
            if let Some(near) = did_you_mean(name, ["head", "tail"]).filter(|_| !python) {
                d = d.help(format!("did you mean `{near}`?")).fix(name_span, near, Safety::Suggested);
            }
            self.report(d);
            return None;
        }
        let [arg] = args.as_slice() else {
            let n = args.len();
            self.report(
                d(format!("`{name}` takes one number, found {n} arguments"))
                    .at(self.since(name_span), "")
                    .help(format!("write `{name} 10`")),
            );
            return None;
        };
        match &arg.kind {
            ExprKind::Literal(Literal::Int(n)) if *n >= 0 => {
                Some(Cut { tail: name == "tail", limit: usize::try_from(*n).unwrap_or(usize::MAX) })
            }
            _ => {
                let text = shorten(self.slice(arg.span()));
                self.report(
                    d(format!("`{name}` takes a whole number that is not negative, found `{text}`"))
                        .at(arg.span(), ""),
                );
                None
            }
        }
    }

    fn filter(&mut self) -> Option<Filter> {
        let start = self.span();
        let category = match self.kind().clone() {
            Kind::Word("any") => None,
            Kind::Ident => Some(self.slice(start).into()),
            Kind::Literal(Literal::Str(text, _)) => Some(text),
            Kind::Quoted(name) => {
                self.report(
                    Diagnostic::new(Code::RP0101, "an event category cannot stand in backticks")
                        .at(start, "")
                        .help("put it in double quotes")
                        .fix(start, super::print::string(&name, false), Safety::Safe),
                );
                Some(name)
            }
            _ => return self.expected("an event category or `any`"),
        };
        self.skip();
        if !self.eat_word("where") {
            let lower = self.slice(self.span()).to_ascii_lowercase();
            if lower != "where" && category.is_some() && self.at == 1 {
                let message = format!("expected `where`, found {}", self.found_text());
                self.report(
                    Diagnostic::new(Code::RP0101, message)
                        .at(self.span(), "")
                        .help("a query starts with an event category: `process where …` or `any where …`"),
                );
                return None;
            }
            return self.expected("`where`");
        }
        let condition = self.expression(0)?;
        let category = category.map(|text| Name { text, at: At(start) });
        Some(Filter { category, condition, at: At(self.since(start)) })
    }

    /// `by field, field`; `None` where a key is malformed.
    fn keys(&mut self) -> Option<Vec<FieldRef>> {
        let mut keys = Vec::new();
        if !self.eat_word("by") {
            return Some(keys);
        }
        loop {
            if matches!(self.kind(), Kind::Literal(_) | Kind::TildeIdent)
                || (*self.kind() == Kind::Ident && matches!(self.token(1).kind, Kind::Sym("(")))
            {
                let d = Diagnostic::new(Code::RP0108, "a join key must be a plain field")
                    .at(self.span(), "")
                    .help("write `by field`, or `by ?field` for one that need not exist");
                self.report(d);
                return None;
            }
            keys.push(self.field()?);
            if !self.eat(",") {
                return Some(keys);
            }
        }
    }

    /// Goes on at the next item, `until`, pipe or end.
    fn skip_item(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.kind() {
                Kind::End | Kind::Sym("|") => return,
                Kind::Sym("[" | "![") => {
                    // a bracket that opens at the top starts the next item
                    if depth == 0 {
                        return;
                    }
                    depth += 1;
                }
                Kind::Sym("]") if depth == 0 => {
                    self.skip();
                    return;
                }
                Kind::Sym("]") => depth -= 1,
                _ => {}
            }
            self.skip();
        }
    }

    fn item(&mut self, until: bool) -> Option<Item> {
        let start = self.span();
        let missing = self.is("![");
        if !missing && !self.is("[") {
            return self.expected("`[`");
        }
        self.skip();
        let filter = self.filter();
        let closed = match filter {
            Some(_) => self.expect("]").is_some(),
            None => false,
        };
        if !closed {
            self.skip_item();
            while self.is("]") {
                self.skip();
            }
        }
        let at = At(self.since(start));
        let keys = match self.keys() {
            Some(keys) => keys,
            None => {
                self.skip_item();
                return None;
            }
        };
        let mut runs = 1;
        if self.is_word("with") {
            match self.runs(until) {
                Some(n) => runs = n,
                None => {
                    self.skip_item();
                    return None;
                }
            }
        }
        Some(Item { filter: filter.filter(|_| closed)?, keys, missing, runs, at })
    }

    /// `with runs=N`.
    fn runs(&mut self, until: bool) -> Option<u32> {
        let start = self.span();
        self.skip();
        let key = self.span();
        if !matches!(self.kind(), Kind::Ident | Kind::Word(_)) {
            return self.expected("`runs`");
        }
        self.skip();
        self.expect("=")?;
        let negative = self.eat("-");
        let value = match self.kind() {
            Kind::Literal(Literal::Int(n)) => *n,
            _ => return self.expected("a whole number"),
        };
        self.skip();
        let d = |message: String| Diagnostic::new(Code::RP0108, message);
        let name = self.slice(key);
        let span = self.since(start);
        if name != "runs" {
            let mut d = d(format!("an item has no setting `{name}`")).at(key, "only `runs` is known");
            if name == "maxspan" {
                d = d.help("`with maxspan=…` stands directly behind `sequence`");
            }
            self.report(d);
        } else if until {
            self.report(d("`until` cannot be repeated".to_owned()).at(span, ""));
        } else if negative || value < 1 {
            self.report(d("`runs` must be at least 1".to_owned()).at(span, ""));
        } else if value > MAX_RUNS {
            self.report(d(format!("`runs` can be at most {MAX_RUNS}")).at(span, ""));
        } else {
            return u32::try_from(value).ok();
        }
        None
    }

    fn sequence(&mut self) -> Option<Body> {
        let start = self.span();
        self.skip();
        let mut keys = self.keys();
        let mut maxspan = None;
        if self.is_word("with") {
            maxspan = self.maxspan();
            while maxspan.is_none()
                && !matches!(self.kind(), Kind::Sym("[" | "![" | "|") | Kind::Word("by") | Kind::End)
            {
                self.skip();
            }
            if self.is_word("by") {
                let by = self.span();
                let more = self.keys();
                let d = Diagnostic::new(Code::RP0108, "`by` must stand before `with`")
                    .at(self.since(by), "")
                    .help("write `sequence by … with maxspan=…`");
                self.report(d);
                keys = keys.and(more);
            }
        }
        let head = self.since(start);
        let mut items = Vec::new();
        let mut whole = true;
        while self.is("[") || self.is("![") {
            match self.item(false) {
                Some(item) => items.push(item),
                None => whole = false,
            }
        }
        let mut until = None;
        if self.eat_word("until") {
            until = self.item(true);
            whole &= until.is_some();
        }
        if items.is_empty() && whole {
            self.expected::<()>("`[`");
            self.skip_to_pipe();
            return None;
        }
        let seq = Sequence { keys: keys?, maxspan, items, until, at: At(start) };
        if whole {
            self.sequence_rules(&seq, head);
        }
        Some(Body::Sequence(seq))
    }

    /// What the grammar cannot say of a sequence.
    fn sequence_rules(&mut self, s: &Sequence, head: Span) {
        let d = |message: &str| Diagnostic::new(Code::RP0108, message);
        self.same_number_of_keys(&s.items, s.until.as_ref());
        let total: u32 = s.items.iter().map(|i| i.runs).sum();
        if total < 2 {
            let at = s.items.first().map_or(head, |i| i.at.0);
            let d = d("a sequence needs at least two items");
            self.report(
                d.at(at, "").help("add an item, repeat this one `with runs=2`, or write an event query"),
            );
        }
        if let Some(missing) = s.items.iter().find(|i| i.missing) {
            if s.maxspan.is_none() {
                self.report(
                    d("a sequence with a missing event needs a `maxspan`")
                        .at(missing.at.0, "")
                        .help("write `sequence with maxspan=1m …`"),
                );
            }
            if s.items.iter().all(|i| i.missing) {
                self.report(d("a sequence needs an item that is not missing").at(head, ""));
            }
        }
        if let Some(until) = s.until.as_ref().filter(|u| u.missing) {
            self.report(d("`until` cannot be a missing event").at(until.at.0, ""));
        }
    }

    fn same_number_of_keys(&mut self, items: &[Item], until: Option<&Item>) {
        let Some(first) = items.first() else { return };
        for other in items.iter().skip(1).chain(until) {
            if other.keys.len() != first.keys.len() {
                let (want, got) = (first.keys.len(), other.keys.len());
                self.report(
                    Diagnostic::new(Code::RP0108, "the items have different numbers of join keys")
                        .at(other.at.0, format!("this one has {got}"))
                        .at(first.at.0, format!("the first one has {want}")),
                );
                return;
            }
        }
    }

    /// `with maxspan=…`; `None`, and reported, where it is malformed.
    fn maxspan(&mut self) -> Option<Maxspan> {
        self.skip();
        if !self.eat_word("maxspan") {
            return self.expected("`maxspan`");
        }
        self.expect("=")?;
        let start = self.span();
        let number = match self.kind().clone() {
            Kind::Literal(l @ (Literal::Int(_) | Literal::Float(_))) => l,
            Kind::Sym("-") => Literal::Int(-1),
            _ => return self.expected("a time span such as `30s`"),
        };
        self.skip();
        let digits = self.slice(start);
        let unit_span = self.span();
        let unit = matches!(self.kind(), Kind::Ident).then(|| self.slice(unit_span));
        if unit.is_some() {
            self.skip();
        }
        let span = self.since(start);
        let d = |message: String| Diagnostic::new(Code::RP0107, message).at(span, "");
        let amount = match number {
            Literal::Int(n) if n > 0 => match u32::try_from(n) {
                Ok(n) => n,
                Err(_) => {
                    self.report(d(format!("the time span `{}` is too large", shorten(digits))));
                    return None;
                }
            },
            Literal::Int(_) => {
                self.report(d("a time span must be positive".to_owned()));
                return None;
            }
            _ => {
                let text = shorten(digits);
                self.report(
                    d(format!("a time span must be a whole number, found `{text}`"))
                        .help("use a smaller unit, such as `90s` for a minute and a half"),
                );
                return None;
            }
        };
        let Some(unit) = unit else {
            self.report(
                d("a time span needs a unit".to_owned()).help(format!("did you mean `{amount}s`?")).fix(
                    span,
                    format!("{amount}s"),
                    Safety::Suggested,
                ),
            );
            return None;
        };
        let Some(unit) = Unit::ALL.into_iter().find(|u| u.text() == unit) else {
            let message = format!("unknown unit of time `{}`", shorten(unit));
            self.report(
                Diagnostic::new(Code::RP0107, message)
                    .at(unit_span, "the units are `ms`, `s`, `m`, `h` and `d`"),
            );
            return None;
        };
        Some(Maxspan { amount, unit, at: At(span) })
    }

    fn sample(&mut self) -> Option<Body> {
        let group = self.group()?;
        let d = |message: &str| Diagnostic::new(Code::RP0108, message);
        let keyless = group.keys.is_empty() && group.items.iter().all(|i| i.keys.is_empty());
        let (n, at) = (group.items.len(), group.at.0);
        if keyless {
            self.report(d("a sample needs a join key").at(at, "").help("write `sample by field …`"));
        }
        if n < 2 {
            self.report(d("a sample needs at least two items").at(at, ""));
        } else if n > MAX_SAMPLE {
            self.report(
                Diagnostic::new(Code::RP0108, format!("a sample has at most {MAX_SAMPLE} items, found {n}"))
                    .at(at, ""),
            );
        }
        for item in group.items.iter().chain(&group.until) {
            if item.missing {
                self.report(d("a sample cannot ask for missing events").at(item.at.0, ""));
            }
            if item.runs != 1 {
                self.report(d("the items of a sample cannot be repeated").at(item.at.0, ""));
            }
        }
        if let Some(until) = &group.until {
            self.report(d("a sample has no `until`").at(until.at.0, ""));
        }
        Some(Body::Sample(group))
    }

    fn join(&mut self) -> Option<Body> {
        let group = self.group()?;
        let d = |message: &str| Diagnostic::new(Code::RP0108, message);
        if group.items.len() < 2 {
            self.report(d("`join` needs at least two items").at(group.at.0, ""));
        }
        if let Some(item) = group.items.iter().chain(&group.until).find(|i| i.missing) {
            self.report(d("`join` cannot ask for missing events").at(item.at.0, ""));
        }
        if let Some(item) = group.items.iter().find(|i| i.runs != 1) {
            self.report(d("the items of `join` cannot be repeated").at(item.at.0, ""));
        }
        Some(Body::Join(group))
    }

    fn group(&mut self) -> Option<Group> {
        let start = self.span();
        self.skip();
        let keys = self.keys();
        if self.is_word("with") {
            let span = self.span();
            self.maxspan();
            self.report(
                Diagnostic::new(Code::RP0108, "only a sequence has a `maxspan`").at(self.since(span), ""),
            );
        }
        let mut items = Vec::new();
        let mut whole = true;
        while self.is("[") || self.is("![") {
            match self.item(false) {
                Some(item) => items.push(item),
                None => whole = false,
            }
        }
        let mut until = None;
        if self.eat_word("until") {
            until = self.item(true);
            whole &= until.is_some();
        }
        if !whole {
            return None;
        }
        if items.is_empty() {
            self.expected::<()>("`[`");
            self.skip_to_pipe();
            return None;
        }
        self.same_number_of_keys(&items, until.as_ref());
        Some(Group { keys: keys?, items, until, at: At(start) })
    }
}

/// A text for a message, cut where it is long.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(60).chain(['…']).collect()
}
