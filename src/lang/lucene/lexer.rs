//! The lexer of Lucene's query string: the longest token counts. Inside a range other rules apply, and
//! after `^` only a number.

use crate::diag::{Code, Diagnostic};
use crate::source::Span;

/// What a token is. Texts are taken from the query by the token's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    And,
    Or,
    Not,
    Plus,
    Minus,
    /// `+`, `-` or `!` before a space.
    BareOperator,
    Open,
    Close,
    Colon,
    Star,
    Quoted,
    Term,
    Fuzzy,
    Prefix,
    Wildcard,
    Regexp,
    /// `^` with its number.
    Boost,
    RangeOpen {
        inclusive: bool,
    },
    RangeClose {
        inclusive: bool,
    },
    RangeTo,
    /// A bound of a range.
    Bound,
    /// A quoted bound of a range.
    QuotedBound,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// The tokens of a text.
///
/// # Errors
/// The first place where no token begins.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Box<Diagnostic>> {
    let mut lexer = Lexer { text, pos: 0, out: Vec::new() };
    lexer.run()?;
    Ok(lexer.out)
}

/// Whether a character separates tokens.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{3000}')
}

/// Whether a term may begin with a character.
pub(super) fn is_start(c: char) -> bool {
    !is_space(c)
        && !matches!(
            c,
            '+' | '-'
                | '!'
                | '('
                | ')'
                | ':'
                | '^'
                | '['
                | ']'
                | '"'
                | '{'
                | '}'
                | '~'
                | '*'
                | '?'
                | '\\'
                | '/'
        )
}

struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    out: Vec<Token>,
}

impl Lexer<'_> {
    fn at(&self, pos: usize) -> Option<char> {
        self.text.get(pos..)?.chars().next()
    }

    fn push(&mut self, kind: Kind, end: usize) {
        self.out.push(Token { kind, span: Span::new(self.pos, end) });
        self.pos = end;
    }

    fn run(&mut self) -> Result<(), Box<Diagnostic>> {
        while let Some(c) = self.at(self.pos) {
            let next = self.pos + c.len_utf8();
            match c {
                c if is_space(c) => self.pos = next,
                '(' => self.push(Kind::Open, next),
                ')' => self.push(Kind::Close, next),
                ':' => self.push(Kind::Colon, next),
                '+' | '-' | '!' => {
                    let bare = self.at(next).is_some_and(is_space);
                    let kind = match c {
                        _ if bare => Kind::BareOperator,
                        '+' => Kind::Plus,
                        '-' => Kind::Minus,
                        _ => Kind::Not,
                    };
                    self.push(kind, next);
                }
                '"' => self.quoted()?,
                '/' => self.regexp()?,
                '^' => self.boost(next)?,
                '~' => {
                    let mut end = next;
                    while self.at(end).is_some_and(|c| is_start(c) || matches!(c, '+' | '-')) {
                        end += self.at(end).map_or(1, char::len_utf8);
                    }
                    self.push(Kind::Fuzzy, end);
                }
                '[' | '{' => {
                    self.push(Kind::RangeOpen { inclusive: c == '[' }, next);
                    self.range()?;
                }
                ']' | '}' => {
                    let opener = if c == ']' { '[' } else { '{' };
                    return Err(self
                        .wrong(
                            next,
                            format!("`{c}` without a `{opener}` before it"),
                            format!("a `{c}` that belongs to a value is written `\\{c}`"),
                        )
                        .into());
                }
                _ => self.term()?,
            }
        }
        Ok(())
    }

    fn wrong(&self, end: usize, message: String, help: String) -> Diagnostic {
        Diagnostic::new(Code::RP0101, message).at(Span::new(self.pos, end), "").help(help)
    }

    /// A term, a prefix, a pattern, or an operator that looks like a term.
    fn term(&mut self) -> Result<(), Box<Diagnostic>> {
        let mut end = self.pos;
        let mut stars = 0usize;
        let mut last_is_star = false;
        while let Some(c) = self.at(end) {
            let wild = matches!(c, '*' | '?');
            if c == '\\' {
                let Some(escaped) = self.at(end + 1) else {
                    let d = Diagnostic::new(Code::RP0102, "a backslash at the end escapes nothing")
                        .at(Span::new(end, end + 1), "")
                        .help("write `\\\\` for a backslash");
                    return Err(d.into());
                };
                end += 1 + escaped.len_utf8();
            } else if wild || is_start(c) || (end > self.pos && matches!(c, '+' | '-')) {
                end += c.len_utf8();
            } else {
                break;
            }
            stars += usize::from(wild);
            last_is_star = c == '*';
        }
        let kind = match Span::new(self.pos, end).slice(self.text) {
            "AND" | "&&" => Kind::And,
            "OR" | "||" => Kind::Or,
            "NOT" => Kind::Not,
            "*" => Kind::Star,
            _ if stars == 0 => Kind::Term,
            _ if stars == 1 && last_is_star => Kind::Prefix,
            _ => Kind::Wildcard,
        };
        self.push(kind, end);
        Ok(())
    }

    fn quoted(&mut self) -> Result<(), Box<Diagnostic>> {
        let mut end = self.pos + 1;
        while let Some(c) = self.at(end) {
            end += c.len_utf8();
            match c {
                '"' => {
                    self.push(Kind::Quoted, end);
                    return Ok(());
                }
                '\\' => end += self.at(end).map_or(0, char::len_utf8),
                _ => {}
            }
        }
        let d = Diagnostic::new(Code::RP0103, "this quotation never ends")
            .at(Span::new(self.pos, self.pos + 1), "opened here")
            .help("add the missing `\"`, or write `\\\"` for a plain one");
        Err(d.into())
    }

    fn regexp(&mut self) -> Result<(), Box<Diagnostic>> {
        let mut end = self.pos + 1;
        let mut escaped_end = None;
        let mut before = '/';
        while let Some(c) = self.at(end) {
            end += c.len_utf8();
            if c == '/' && before == '\\' {
                escaped_end = Some(end);
            } else if c == '/' {
                self.push(Kind::Regexp, end);
                return Ok(());
            }
            before = c;
        }
        if let Some(end) = escaped_end {
            self.push(Kind::Regexp, end);
            return Ok(());
        }
        let d = Diagnostic::new(Code::RP0103, "this regular expression never ends")
            .at(Span::new(self.pos, self.pos + 1), "opened here")
            .help("add the missing `/`, or write `\\/` for a plain slash");
        Err(d.into())
    }

    fn digits(&self, from: usize) -> usize {
        let mut end = from;
        while self.at(end).is_some_and(|c| c.is_ascii_digit()) {
            end += 1;
        }
        end
    }

    fn boost(&mut self, from: usize) -> Result<(), Box<Diagnostic>> {
        let mut end = self.digits(from);
        if end == from {
            return Err(self
                .wrong(
                    from,
                    "expected a number after `^`".to_owned(),
                    "write a boost such as `^2`, or `\\^` for a plain character".to_owned(),
                )
                .into());
        }
        if self.at(end) == Some('.') {
            let fraction = self.digits(end + 1);
            if fraction > end + 1 {
                end = fraction;
            }
        }
        self.push(Kind::Boost, end);
        Ok(())
    }

    fn range(&mut self) -> Result<(), Box<Diagnostic>> {
        let open = self.out.last().map_or(self.pos, |t| t.span.start as usize);
        while let Some(c) = self.at(self.pos) {
            let next = self.pos + c.len_utf8();
            match c {
                c if is_space(c) => self.pos = next,
                ']' | '}' => {
                    self.push(Kind::RangeClose { inclusive: c == ']' }, next);
                    return Ok(());
                }
                _ => self.bound(),
            }
        }
        let d = Diagnostic::new(Code::RP0101, "this range is never closed")
            .at(Span::new(open, open + 1), "opened here")
            .help("write `[from TO to]`; `{` and `}` leave the bounds out");
        Err(d.into())
    }

    fn bound(&mut self) {
        let mut plain = self.pos;
        while self.at(plain).is_some_and(|c| !matches!(c, ' ' | ']' | '}')) {
            plain += self.at(plain).map_or(1, char::len_utf8);
        }
        if let Some(end) = self.quoted_bound().filter(|end| *end >= plain) {
            return self.push(Kind::QuotedBound, end);
        }
        let to = Span::new(self.pos, plain).slice(self.text) == "TO";
        self.push(if to { Kind::RangeTo } else { Kind::Bound }, plain);
    }

    fn quoted_bound(&self) -> Option<usize> {
        let rest = self.text.get(self.pos..)?.strip_prefix('"')?;
        let mut before = '"';
        for (i, c) in rest.char_indices() {
            if c == '"' && before != '\\' {
                return (i > 0).then_some(self.pos + 1 + i + 1);
            }
            before = c;
        }
        None
    }
}
