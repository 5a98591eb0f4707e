//! The parser: commands by name, expressions by precedence. A mistake costs its command; the next one
//! is read all the same.

use super::ast::{
    Aggregate, Assign, At, Command, CommandKind, Expr, ExprKind, Literal, MapEntry, MapValue, Name,
    NamePattern, Query, SortKey, Text,
};
use super::commands;
use super::lexer::{Fault, Lexer, Mode, RESERVED, Token};
use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::lang::MAX_DEPTH;
use crate::source::Span;

/// How many mistakes of one query are told.
const MAX_ERRORS: usize = 20;

pub(super) type Parse<T> = Result<T, Fault>;

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) lexer: Lexer<'t>,
    pub(super) mode: Mode,
    /// The token that was looked at, where it stands, and in which mode.
    pub(super) seen: Option<(Token, At, Mode)>,
    pub(super) depth: usize,
    /// Where the last token ended.
    pub(super) end: u32,
}

/// Parses a query; the findings are errors. With errors, the tree holds the commands that could be read.
pub fn parse(text: &str) -> (Query, Vec<Diagnostic>) {
    let mut parser =
        Parser { text, lexer: Lexer::new(text), mode: Mode::Expression, seen: None, depth: 0, end: 0 };
    let mut found = Vec::new();
    let mut commands = Vec::new();
    if text.len() > u32::MAX as usize / 2 {
        found.push(Diagnostic::new(Code::RP0008, "the query is too long"));
        return (Query { commands }, found);
    }
    let mut first = true;
    loop {
        match parser.command(first) {
            Ok(command) => commands.push(command),
            Err(d) => {
                found.push(*d);
                parser.recover();
            }
        }
        first = false;
        parser.mode = Mode::Expression;
        match parser.next() {
            Ok((Token::Pipe, _)) if found.len() < MAX_ERRORS => {}
            Ok((Token::End, _)) => break,
            Ok((token, at)) => {
                // the command itself was read, but does not end here
                found.push(
                    Diagnostic::new(Code::RP0101, format!("unexpected {}", token.describe()))
                        .at(at.0, "the command before it is complete"),
                );
                parser.recover();
                match parser.next() {
                    Ok((Token::Pipe, _)) if found.len() < MAX_ERRORS => {}
                    _ => break,
                }
            }
            Err(d) => {
                found.push(*d);
                parser.recover();
                match parser.next() {
                    Ok((Token::Pipe, _)) if found.len() < MAX_ERRORS => {}
                    _ => break,
                }
            }
        }
    }
    found.truncate(MAX_ERRORS);
    (Query { commands }, found)
}

impl Parser<'_> {
    pub(super) fn next(&mut self) -> Parse<(Token, At)> {
        let held = self.seen.take();
        let (token, at) = match held {
            Some((token, at, mode)) if mode == self.mode => {
                self.lexer.seek(at.0.end as usize);
                (token, at)
            }
            Some((_, at, _)) => {
                self.lexer.seek(at.0.start as usize);
                self.lexer.next(self.mode)?
            }
            None => self.lexer.next(self.mode)?,
        };
        self.end = at.0.end;
        Ok((token, at))
    }

    pub(super) fn peek(&mut self) -> Parse<&Token> {
        let stale = self.seen.as_ref().is_some_and(|(_, _, mode)| *mode != self.mode);
        if stale && let Some((_, at, _)) = self.seen.take() {
            self.lexer.seek(at.0.start as usize);
        }
        if self.seen.is_none() {
            let (token, at) = self.lexer.next(self.mode)?;
            self.seen = Some((token, at, self.mode));
        }
        match &self.seen {
            Some((token, ..)) => Ok(token),
            None => Ok(&Token::End),
        }
    }

    pub(super) fn here(&mut self) -> Span {
        match self.peek() {
            Ok(_) => {
                self.seen.as_ref().map_or(Span::new(self.text.len(), self.text.len()), |(_, at, _)| at.0)
            }
            Err(_) => Span::new(self.lexer.offset(), self.lexer.offset()),
        }
    }

    pub(super) fn from(&self, start: u32) -> At {
        At(Span { start, end: self.end.max(start) })
    }

    /// Skips to the next `|` outside strings and comments.
    fn recover(&mut self) {
        self.mode = Mode::Expression;
        loop {
            match self.peek() {
                Ok(Token::Pipe | Token::End) => return,
                Ok(_) => drop(self.next()),
                // what is no token was skipped by the lexer
                Err(_) => self.seen = None,
            }
        }
    }

    pub(super) fn is_symbol(&mut self, symbol: &str) -> Parse<bool> {
        Ok(matches!(self.peek()?, Token::Symbol(s) if *s == symbol))
    }

    pub(super) fn eat(&mut self, symbol: &str) -> Parse<bool> {
        let found = self.is_symbol(symbol)?;
        if found {
            self.next()?;
        }
        Ok(found)
    }

    pub(super) fn is_word(&mut self, word: &str) -> Parse<bool> {
        Ok(matches!(self.peek()?, Token::Word(w) if w.eq_ignore_ascii_case(word)))
    }

    pub(super) fn eat_word(&mut self, word: &str) -> Parse<bool> {
        let found = self.is_word(word)?;
        if found {
            self.next()?;
        }
        Ok(found)
    }

    pub(super) fn expected<T>(&mut self, what: &str) -> Parse<T> {
        let token = self.peek()?.describe();
        let mut d =
            Diagnostic::new(Code::RP0101, format!("expected {what}, found {token}")).at(self.here(), "");
        if let Some((Token::Word(w), ..)) = &self.seen
            && RESERVED.contains(&w.to_ascii_lowercase().as_str())
        {
            d = d.help(format!("`{w}` is a keyword; as a name it stands in backquotes"));
        }
        Err(Box::new(d))
    }

    pub(super) fn expect(&mut self, symbol: &'static str) -> Parse<At> {
        if self.is_symbol(symbol)? {
            return Ok(self.next()?.1);
        }
        self.expected(&format!("`{symbol}`"))
    }

    pub(super) fn deeper(&mut self) -> Parse<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let at = self.here();
            return Err(Box::new(
                Diagnostic::new(Code::RP0104, "the query is nested too deep")
                    .at(at, format!("more than {MAX_DEPTH} levels")),
            ));
        }
        Ok(())
    }

    fn command(&mut self, first: bool) -> Parse<Command> {
        self.mode = Mode::Expression;
        self.depth = 0;
        let (token, at) = self.next()?;
        let Token::Word(word) = token else {
            let what = if first { "`FROM`, `ROW` or `SHOW`" } else { "a command" };
            let d = Diagnostic::new(Code::RP0101, format!("expected {what}, found {}", token.describe()))
                .at(at.0, "");
            self.lexer.seek(at.0.start as usize);
            return Err(Box::new(d));
        };
        let upper = word.to_ascii_uppercase();
        let start = at.0.start;
        let kind = match (upper.as_str(), first) {
            ("FROM", true) => self.source(false)?,
            ("TS", true) => self.source(true)?,
            ("ROW", true) => CommandKind::Row(self.assignments()?),
            ("SHOW", true) => {
                if !self.eat_word("info")? {
                    return self.expected("`INFO`");
                }
                CommandKind::Show
            }
            ("WHERE", false) => CommandKind::Where(self.boolean()?),
            ("EVAL", false) => CommandKind::Eval(self.assignments()?),
            ("KEEP", false) => CommandKind::Keep(self.patterns()?),
            ("DROP", false) => CommandKind::Drop(self.patterns()?),
            ("RENAME", false) => self.rename()?,
            ("STATS", false) => self.stats(false, start)?,
            ("INLINESTATS", false) => self.stats(true, start)?,
            ("INLINE", false) => {
                if !self.eat_word("stats")? {
                    return self.expected("`STATS`");
                }
                self.stats(true, start)?
            }
            ("SORT", false) => self.sort()?,
            ("LIMIT", false) => {
                let from = self.here().start;
                let value = self.constant()?;
                CommandKind::Limit(Expr { kind: ExprKind::Literal(value), at: self.from(from) })
            }
            ("MV_EXPAND", false) => CommandKind::Expand(self.name()?),
            ("DISSECT", false) => self.dissect()?,
            ("GROK", false) => self.grok()?,
            ("COMPLETION", false) => self.completion()?,
            ("ENRICH", false) => self.enrich()?,
            ("LOOKUP", false) => self.lookup()?,
            _ => self.other(&word, at, first)?,
        };
        Ok(Command { kind, at: self.from(start) })
    }

    /// Commands that are only known by name, and words that are none.
    fn other(&mut self, word: &str, at: At, first: bool) -> Parse<CommandKind> {
        let known = commands::find(word);
        if let Some(known) = known.filter(|k| !first && k.opaque) {
            let from = self.here().start;
            let mut level = 0usize;
            loop {
                match self.peek()? {
                    Token::End => break,
                    Token::Pipe if level == 0 => break,
                    Token::Symbol("(") => level += 1,
                    Token::Symbol(")") => level = level.saturating_sub(1),
                    _ => {}
                }
                self.next()?;
            }
            let text = self.from(from).0.slice(self.text).to_owned();
            return Ok(CommandKind::Opaque { name: known.name, text });
        }
        let mut d = match known {
            Some(k) if k.source => {
                Diagnostic::new(Code::RP0101, format!("`{}` can only begin a query", k.name)).at(at.0, "")
            }
            Some(k) => Diagnostic::new(Code::RP0101, format!("a query cannot begin with `{}`", k.name))
                .at(at.0, "")
                .help("it begins with `FROM`, `ROW` or `SHOW INFO`"),
            None => Diagnostic::new(Code::RP0101, format!("unknown command `{word}`"))
                .at(at.0, "known are those of Elasticsearch 8.19 to 9.4"),
        };
        if known.is_none() {
            let names = commands::ALL.iter().filter(|c| c.source == first).map(|c| c.name);
            if let Some(near) = did_you_mean(word, names) {
                d = d.help(format!("did you mean `{near}`?"));
            }
        }
        Err(Box::new(d))
    }

    fn source(&mut self, series: bool) -> Parse<CommandKind> {
        self.mode = Mode::Source;
        let mut indices = Vec::new();
        let mut metadata = Vec::new();
        loop {
            indices.push(self.index()?);
            if !self.eat(",")? {
                break;
            }
        }
        if matches!(self.peek()?, Token::Source(s) if s.eq_ignore_ascii_case("metadata")) {
            self.next()?;
            loop {
                match self.next()? {
                    (Token::Source(s), at) => metadata.push(Name { text: s, at }),
                    (token, at) => {
                        self.lexer.seek(at.0.start as usize);
                        return Err(Box::new(
                            Diagnostic::new(
                                Code::RP0101,
                                format!("expected a metadata field, found {}", token.describe()),
                            )
                            .at(at.0, ""),
                        ));
                    }
                }
                if !self.eat(",")? {
                    break;
                }
            }
        }
        Ok(CommandKind::From { series, indices, metadata })
    }

    /// `[cluster:]index[::selector]`, quoted or not.
    fn index(&mut self) -> Parse<Text> {
        let from = self.here().start;
        let mut text = String::new();
        loop {
            match self.next()? {
                (Token::Source(s), _) if !(text.is_empty() && s.eq_ignore_ascii_case("metadata")) => {
                    text.push_str(&s)
                }
                (Token::Str(s), _) => text.push_str(&s),
                (token, at) => {
                    self.lexer.seek(at.0.start as usize);
                    return Err(Box::new(
                        Diagnostic::new(
                            Code::RP0101,
                            format!("expected an index name, found {}", token.describe()),
                        )
                        .at(at.0, ""),
                    ));
                }
            }
            if self.eat("::")? {
                text.push_str("::");
            } else if self.eat(":")? {
                text.push(':');
            } else {
                return Ok(Text { text, at: self.from(from) });
            }
        }
    }

    fn assignments(&mut self) -> Parse<Vec<Assign>> {
        let mut out = Vec::new();
        loop {
            out.push(self.assignment()?);
            if !self.eat(",")? {
                return Ok(out);
            }
        }
    }

    /// `[name =] expression`.
    fn assignment(&mut self) -> Parse<Assign> {
        let value = self.boolean()?;
        if !self.is_symbol("=")? {
            return Ok(Assign { name: None, value });
        }
        let ExprKind::Column(text) = value.kind else {
            return self.expected("`==`, or a column's name before `=`");
        };
        self.next()?;
        let name = Name { text, at: value.at };
        Ok(Assign { name: Some(name), value: self.boolean()? })
    }

    fn stats(&mut self, inline: bool, start: u32) -> Parse<CommandKind> {
        let mut aggregates = Vec::new();
        let mut by = Vec::new();
        let empty = matches!(self.peek()?, Token::Pipe | Token::End);
        if !empty && !self.is_word("by")? {
            loop {
                let item = self.assignment()?;
                let filter = if self.eat_word("where")? { Some(self.boolean()?) } else { None };
                aggregates.push(Aggregate { item, filter });
                if !self.eat(",")? {
                    break;
                }
            }
        }
        if self.eat_word("by")? {
            by = self.assignments()?;
        }
        if aggregates.is_empty() && (by.is_empty() || inline) {
            return Err(Box::new(
                Diagnostic::new(Code::RP0101, "`STATS` needs an aggregate or a key")
                    .at(self.from(start).0, ""),
            ));
        }
        Ok(CommandKind::Stats { inline, aggregates, by })
    }

    fn sort(&mut self) -> Parse<CommandKind> {
        let mut keys = Vec::new();
        loop {
            let expr = self.boolean()?;
            let descending = if self.eat_word("asc")? {
                Some(false)
            } else if self.eat_word("desc")? {
                Some(true)
            } else {
                None
            };
            let mut nulls_first = None;
            if self.eat_word("nulls")? {
                nulls_first = if self.eat_word("first")? {
                    Some(true)
                } else if self.eat_word("last")? {
                    Some(false)
                } else {
                    return self.expected("`FIRST` or `LAST`");
                };
            }
            keys.push(SortKey { expr, descending, nulls_first });
            if !self.eat(",")? {
                return Ok(CommandKind::Sort(keys));
            }
        }
    }

    /// A name with wildcards.
    fn pattern(&mut self) -> Parse<NamePattern> {
        self.mode = Mode::Names;
        let from = self.here().start;
        let mut parts: Vec<String> = vec![String::new()];
        let append = |pieces: Vec<String>, parts: &mut Vec<String>| {
            for (i, piece) in pieces.into_iter().enumerate() {
                match parts.last_mut() {
                    Some(last) if i == 0 => last.push_str(&piece),
                    _ => parts.push(piece),
                }
            }
        };
        let mut any = false;
        let mut end = None;
        loop {
            let here = self.here();
            // pieces of one name touch each other
            let apart = any && end.is_some_and(|e| e != here.start);
            match self.peek()? {
                Token::Pattern(_) if !apart => {
                    if let (Token::Pattern(p), _) = self.next()? {
                        append(p, &mut parts);
                    }
                }
                Token::Quoted(_) if !apart => {
                    if let (Token::Quoted(q), _) = self.next()? {
                        append(vec![q], &mut parts);
                    }
                }
                Token::Symbol(".") if any => {
                    self.next()?;
                    append(vec![".".to_owned()], &mut parts);
                    any = false;
                    end = None;
                    continue;
                }
                _ if any => break,
                _ => return self.expected("a name"),
            }
            any = true;
            end = Some(self.end);
        }
        Ok(NamePattern { parts, at: self.from(from) })
    }

    fn patterns(&mut self) -> Parse<Vec<NamePattern>> {
        let mut out = Vec::new();
        loop {
            out.push(self.pattern()?);
            if !self.eat(",")? {
                return Ok(out);
            }
        }
    }

    fn exact(&mut self) -> Parse<Name> {
        let pattern = self.pattern()?;
        match pattern.exact() {
            Some(name) => Ok(Name { text: name.to_owned(), at: pattern.at }),
            None => Err(Box::new(
                Diagnostic::new(
                    Code::RP0101,
                    format!("`{}` has a wildcard, which a new name cannot have", pattern.text()),
                )
                .at(pattern.at.0, ""),
            )),
        }
    }

    fn rename(&mut self) -> Parse<CommandKind> {
        let mut out = Vec::new();
        loop {
            let first = self.exact()?;
            let is_as = matches!(self.peek()?, Token::Pattern(p) if p.first().is_some_and(|w| p.len() == 1 && w.eq_ignore_ascii_case("as")));
            if is_as {
                self.next()?;
                let new = self.exact()?;
                out.push((first, new));
            } else if self.eat("=")? {
                let old = self.exact()?;
                out.push((old, first));
            } else {
                return self.expected("`AS` or `=`");
            }
            if !self.eat(",")? {
                return Ok(CommandKind::Rename(out));
            }
        }
    }

    /// A dotted name of an expression.
    fn name(&mut self) -> Parse<Name> {
        let e = self.column()?;
        match e.kind {
            ExprKind::Column(text) => Ok(Name { text, at: e.at }),
            _ => self.expected("a column"),
        }
    }

    pub(super) fn text(&mut self, what: &str) -> Parse<Text> {
        if !matches!(self.peek()?, Token::Str(_)) {
            return self.expected(what);
        }
        match self.next()? {
            (Token::Str(text), at) => Ok(Text { text, at }),
            _ => self.expected(what),
        }
    }

    fn dissect(&mut self) -> Parse<CommandKind> {
        let input = self.primary()?;
        let pattern = self.text("a pattern in quotes")?;
        let mut separator = None;
        if self.eat_word("append_separator")? {
            self.expect("=")?;
            separator = Some(self.text("a separator in quotes")?);
        }
        Ok(CommandKind::Dissect { input, pattern, separator })
    }

    fn grok(&mut self) -> Parse<CommandKind> {
        let input = self.primary()?;
        let mut patterns = vec![self.text("a pattern in quotes")?];
        while self.eat(",")? {
            patterns.push(self.text("a pattern in quotes")?);
        }
        Ok(CommandKind::Grok { input, patterns })
    }

    fn completion(&mut self) -> Parse<CommandKind> {
        let mut prompt = self.primary()?;
        let mut target = None;
        if self.is_symbol("=")? {
            let ExprKind::Column(text) = prompt.kind else {
                return self.expected("a column's name before `=`");
            };
            self.next()?;
            target = Some(Name { text, at: prompt.at });
            prompt = self.primary()?;
        }
        let mut options = Vec::new();
        if self.eat_word("with")? {
            if self.is_symbol("{")? {
                options = self.map()?;
            } else {
                // the older form names the endpoint
                let id = match self.peek()? {
                    Token::Str(_) => self.text("an endpoint")?.text,
                    _ => self.name()?.text,
                };
                options.push(MapEntry {
                    key: "inference_id".to_owned(),
                    value: MapValue::Constant(Literal::Str(id)),
                });
            }
        }
        Ok(CommandKind::Completion { target, prompt, options })
    }

    fn enrich(&mut self) -> Parse<CommandKind> {
        self.mode = Mode::Source;
        let policy = self.index()?;
        self.mode = Mode::Expression;
        let mut on = None;
        let mut with = Vec::new();
        if self.eat_word("on")? {
            on = Some(self.exact()?);
            self.mode = Mode::Expression;
        }
        if self.eat_word("with")? {
            loop {
                let first = self.exact()?;
                if self.eat("=")? {
                    let field = self.exact()?;
                    with.push((Some(first), field));
                } else {
                    with.push((None, first));
                }
                if !self.eat(",")? {
                    break;
                }
            }
        }
        Ok(CommandKind::Enrich { policy, on, with })
    }

    fn lookup(&mut self) -> Parse<CommandKind> {
        if !self.eat_word("join")? {
            return self.expected("`JOIN`");
        }
        self.mode = Mode::Source;
        let index = self.index()?;
        self.mode = Mode::Expression;
        if !self.eat_word("on")? {
            return self.expected("`ON`");
        }
        let mut on = vec![self.boolean()?];
        while self.eat(",")? {
            on.push(self.boolean()?);
        }
        Ok(CommandKind::Lookup { index, on })
    }
}
