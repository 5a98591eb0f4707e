//! The parser of Lucene's query string. Lucene stops at the first error, and so does this: what follows
//! a wrong operator means something else once it is mended.

use super::ast::{Clause, Conjunction, Group, Modifier, Name, Query, Term};
use super::lexer::{Kind, Token, tokens};
use crate::diag::{Code, Diagnostic};
use crate::es::wildcard::Part;
use crate::lang::MAX_DEPTH;
use crate::source::Span;

/// Parses a query.
///
/// # Errors
/// The first thing that Lucene would refuse.
pub fn parse(text: &str) -> Result<Query, Box<Diagnostic>> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(Query { root: None });
    }
    let mut parser = Parser { text, tokens, at: 0, depth: 0 };
    let root = parser.group()?;
    match parser.peek(0) {
        None => Ok(Query { root: Some(root) }),
        Some(t) if t.kind == Kind::Close => {
            Err(syntax("`)` without a `(` before it", t.span, "nothing to close")
                .help("remove it; a `)` that belongs to a value is written `\\)`")
                .into())
        }
        Some(t) => Err(parser.unexpected(t).into()),
    }
}

fn syntax(message: impl Into<String>, span: Span, label: &str) -> Diagnostic {
    Diagnostic::new(Code::RP0101, message).at(span, label)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<Token> {
        self.tokens.get(self.at + ahead).copied()
    }

    fn kind(&self, ahead: usize) -> Option<Kind> {
        self.peek(ahead).map(|t| t.kind)
    }

    fn slice(&self, token: Token) -> &str {
        token.span.slice(self.text)
    }

    fn end(&self) -> Span {
        Span::new(self.text.len(), self.text.len())
    }

    fn unexpected(&self, t: Token) -> Diagnostic {
        let found = self.slice(t);
        let d = syntax(format!("`{found}` cannot stand here"), t.span, "unexpected");
        match t.kind {
            Kind::And | Kind::Or | Kind::Not | Kind::Plus | Kind::Minus => {
                d.help("an operator stands between two conditions, and two operators never follow each other")
            }
            Kind::Colon => d.help("write `\\:` for a colon that belongs to a value"),
            Kind::Close => d.help("a group needs a condition"),
            _ => d.help("put the text in double quotes, or write `\\` before each reserved character"),
        }
    }

    fn group(&mut self) -> Result<Group, Box<Diagnostic>> {
        let mut clauses = Vec::new();
        while let Some(token) = self.peek(0) {
            if token.kind == Kind::Close {
                break;
            }
            if let Some(clause) = self.several_words()? {
                clauses.push(clause);
                continue;
            }
            let conjunction = match token.kind {
                Kind::And => Some(Conjunction::And),
                Kind::Or => Some(Conjunction::Or),
                _ => None,
            };
            if conjunction.is_some() {
                if clauses.is_empty() {
                    return Err(self.unexpected(token).into());
                }
                self.at += 1;
            }
            let modifier = match self.kind(0) {
                Some(Kind::Plus) => Some(Modifier::Must),
                Some(Kind::Minus | Kind::Not) => Some(Modifier::Not),
                _ => None,
            };
            if modifier.is_some() {
                self.at += 1;
            }
            clauses.push(self.clause(conjunction, modifier)?);
        }
        if clauses.is_empty() {
            return Err(match self.peek(0) {
                Some(t) => self.unexpected(t),
                None => syntax("the query ends where a condition is expected", self.end(), "here"),
            }
            .into());
        }
        Ok(Group { clauses })
    }

    /// Whether a term may follow another as one text: not where it has an operator of its own.
    fn continues(&self, ahead: usize) -> bool {
        self.kind(ahead) == Some(Kind::Term)
            && !matches!(
                self.kind(ahead + 1),
                Some(Kind::Colon | Kind::Star | Kind::Fuzzy | Kind::Boost | Kind::And | Kind::Or)
            )
    }

    /// Two or more terms in a row are one text.
    fn several_words(&mut self) -> Result<Option<Clause>, Box<Diagnostic>> {
        let Some(first) = self.peek(0).filter(|t| t.kind == Kind::Term && self.continues(1)) else {
            return Ok(None);
        };
        let mut words = vec![self.unescape(first)?];
        let mut span = first.span;
        self.at += 1;
        while let Some(token) = self.peek(0).filter(|_| self.continues(0)) {
            words.push(self.unescape(token)?);
            span = span.to(token.span);
            self.at += 1;
        }
        let term = Term::Words(words);
        Ok(Some(Clause { conjunction: None, modifier: None, field: None, term, boost: None, span }))
    }

    fn clause(
        &mut self,
        conjunction: Option<Conjunction>,
        modifier: Option<Modifier>,
    ) -> Result<Clause, Box<Diagnostic>> {
        let Some(start) = self.peek(0) else {
            return Err(syntax("the query ends where a condition is expected", self.end(), "here")
                .help("complete the condition, or put an operator that is meant as a word in double quotes")
                .into());
        };
        let mut field = None;
        if matches!(start.kind, Kind::Term | Kind::Star) && self.kind(1) == Some(Kind::Colon) {
            let text = if start.kind == Kind::Star { "*".into() } else { self.unescape(start)? };
            field = Some(Name { text, span: start.span });
            self.at += 2;
        } else if matches!(start.kind, Kind::Prefix | Kind::Wildcard) && self.kind(1) == Some(Kind::Colon) {
            return Err(syntax("a pattern cannot stand before a colon", start.span, "not a field name")
                .help(format!("write `{}`", self.slice(start).replace('*', "\\*")))
                .into());
        }
        let Some(token) = self.peek(0) else {
            return Err(syntax("a value is missing after the colon", self.end(), "here")
                .help("write `field:*` for any value")
                .into());
        };
        self.at += 1;
        let mut boost = None;
        let mut fuzzy = None;
        let mut suffixes = |p: &mut Self, tilde: bool| {
            for _ in 0..2 {
                match p.peek(0) {
                    Some(t) if t.kind == Kind::Boost && boost.is_none() => {
                        boost = Some(p.slice(t).trim_start_matches('^').into());
                    }
                    Some(t) if t.kind == Kind::Fuzzy && tilde && fuzzy.is_none() => {
                        fuzzy = Some(Box::<str>::from(p.slice(t).trim_start_matches('~')));
                    }
                    _ => return,
                }
                p.at += 1;
            }
        };
        let term = match token.kind {
            Kind::Open => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(Diagnostic::new(
                        Code::RP0104,
                        format!("brackets nest deeper than {MAX_DEPTH} levels"),
                    )
                    .at(token.span, "one too many")
                    .into());
                }
                let group = self.group()?;
                self.depth -= 1;
                if self.kind(0) != Some(Kind::Close) {
                    return Err(syntax("this `(` is never closed", token.span, "opened here")
                        .help("add the missing `)`")
                        .into());
                }
                self.at += 1;
                suffixes(self, false);
                Term::Group(group)
            }
            Kind::RangeOpen { inclusive } => {
                let range = self.range(token, inclusive)?;
                suffixes(self, false);
                range
            }
            Kind::Quoted => {
                let inner =
                    Span::new(token.span.start as usize + 1, (token.span.end as usize).saturating_sub(1));
                let text = unescape(inner.slice(self.text)).map_err(|d| Box::new(d.at(token.span, "")))?;
                suffixes(self, true);
                Term::Quoted { text: text.into(), slop: fuzzy }
            }
            Kind::Term | Kind::Star | Kind::Prefix | Kind::Wildcard | Kind::Regexp | Kind::BareOperator => {
                let term = self.term(token)?;
                suffixes(self, true);
                match (term, fuzzy) {
                    (Term::Words(mut words), Some(how)) if words.len() == 1 => {
                        Term::Fuzzy(words.pop().unwrap_or_default(), how)
                    }
                    // Lucene reads and forgets a `~` after a pattern
                    (term, _) => term,
                }
            }
            _ => return Err(self.unexpected(token).into()),
        };
        let last = self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(start.span, |t| t.span);
        Ok(Clause { conjunction, modifier, field, term, boost, span: start.span.to(last) })
    }

    fn term(&self, token: Token) -> Result<Term, Box<Diagnostic>> {
        let text = self.slice(token);
        Ok(match token.kind {
            Kind::Star => Term::Star,
            Kind::BareOperator => Term::Operator(text.chars().next().unwrap_or('-')),
            Kind::Prefix => {
                let text = text.strip_suffix('*').unwrap_or(text);
                Term::Prefix(unescape(text).map_err(|d| Box::new(d.at(token.span, "")))?.into())
            }
            Kind::Wildcard => Term::Wildcard(pattern(text).map_err(|d| Box::new(d.at(token.span, "")))?),
            Kind::Regexp => {
                let inner = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')).unwrap_or(text);
                Term::Regexp(inner.into())
            }
            _ => Term::Words(vec![self.unescape(token)?]),
        })
    }

    fn range(&mut self, open: Token, lower_inclusive: bool) -> Result<Term, Box<Diagnostic>> {
        let shape = |span: Span| {
            syntax("a range has the form `[from TO to]`", span, "not this one")
                .help("`*` leaves a side open; `{` and `}` leave the bounds out")
        };
        let lower = self.bound()?.ok_or_else(|| shape(open.span))?;
        if self.kind(0) != Some(Kind::RangeTo) {
            return Err(shape(open.span).into());
        }
        self.at += 1;
        let upper = self.bound()?.ok_or_else(|| shape(open.span))?;
        let Some(Kind::RangeClose { inclusive: upper_inclusive }) = self.kind(0) else {
            return Err(shape(open.span).into());
        };
        self.at += 1;
        let bound = |(text, quoted): (String, bool)| (quoted || text != "*").then(|| text.into());
        Ok(Term::Range { lower: bound(lower), lower_inclusive, upper: bound(upper), upper_inclusive })
    }

    /// A bound and whether it was quoted.
    fn bound(&mut self) -> Result<Option<(String, bool)>, Box<Diagnostic>> {
        let Some(token) = self.peek(0) else { return Ok(None) };
        let text = self.slice(token);
        let (text, quoted) = match token.kind {
            Kind::Bound => (text, false),
            Kind::QuotedBound => {
                (text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text), true)
            }
            _ => return Ok(None),
        };
        let text = unescape(text).map_err(|d| Box::new(d.at(token.span, "")))?;
        self.at += 1;
        Ok(Some((text, quoted)))
    }

    fn unescape(&self, token: Token) -> Result<Box<str>, Box<Diagnostic>> {
        unescape(self.slice(token)).map(Into::into).map_err(|d| Box::new(d.at(token.span, "")))
    }
}

/// Reads one escape; `rest` begins after the backslash. The character and the bytes that it took.
fn escape(rest: &str) -> Result<(char, usize), Box<Diagnostic>> {
    let Some(c) = rest.chars().next() else {
        return Err(Diagnostic::new(Code::RP0102, "a backslash at the end escapes nothing")
            .help("write `\\\\` for a backslash")
            .into());
    };
    if c != 'u' {
        return Ok((c, c.len_utf8()));
    }
    let hex = rest.get(1..5).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
    let code = hex.and_then(|h| u32::from_str_radix(h, 16).ok());
    match code {
        // half of a pair: no character of its own
        Some(code) => Ok((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 5)),
        None => Err(Diagnostic::new(Code::RP0102, "`\\u` needs four hexadecimal digits")
            .help("write `u` for the letter: it needs no backslash")
            .into()),
    }
}

/// A text with its escapes resolved.
fn unescape(raw: &str) -> Result<String, Box<Diagnostic>> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, length) = escape(after)?;
        out.push(c);
        rest = after.get(length..).unwrap_or("");
    }
    out.push_str(rest);
    Ok(out)
}

/// The parts of a pattern.
fn pattern(raw: &str) -> Result<Vec<Part>, Box<Diagnostic>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        let part = match c {
            '*' => Part::Any,
            '?' => Part::One,
            '\\' => {
                let (c, length) = escape(rest)?;
                rest = rest.get(length..).unwrap_or("");
                Part::Text(c.to_string())
            }
            c => Part::Text(c.to_string()),
        };
        match (parts.last_mut(), part) {
            (Some(Part::Text(held)), Part::Text(more)) => held.push_str(&more),
            (_, part) => parts.push(part),
        }
    }
    Ok(parts)
}
