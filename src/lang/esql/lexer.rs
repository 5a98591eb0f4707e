//! The lexer. It is modal: what a character means depends on the command, so the parser asks for one
//! token at a time and says how to read it.

use super::ast::At;
use crate::diag::{Code, Diagnostic};
use crate::source::Span;

/// A mistake, boxed because a parser carries it through every call.
pub type Fault = Box<Diagnostic>;

/// How text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Expressions.
    Expression,
    /// Index names, after `FROM`.
    Source,
    /// Names with wildcards, after `KEEP`, `DROP`, `RENAME`, `MV_EXPAND`.
    Names,
}

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// The end of the text.
    End,
    /// `|`.
    Pipe,
    /// An identifier or keyword, as written.
    Word(String),
    /// `` `…` ``, unquoted.
    Quoted(String),
    /// A part of a name with wildcards: literal pieces between `*`.
    Pattern(Vec<String>),
    /// An index name, or a part of one.
    Source(String),
    /// A string.
    Str(String),
    /// Digits.
    Integer(String),
    /// A decimal number.
    Decimal(f64),
    /// `?`, `?name`, `??name`.
    Param(String),
    /// Punctuation.
    Symbol(&'static str),
}

impl Token {
    /// The word that messages use.
    pub fn describe(&self) -> String {
        match self {
            Token::End => "the end of the query".to_owned(),
            Token::Pipe => "`|`".to_owned(),
            Token::Word(w) => format!("`{w}`"),
            Token::Quoted(q) => format!("`` `{q}` ``"),
            Token::Pattern(p) => format!("`{}`", p.join("*")),
            Token::Source(s) => format!("`{s}`"),
            Token::Str(_) => "a string".to_owned(),
            Token::Integer(n) => format!("`{n}`"),
            Token::Decimal(d) => format!("`{d}`"),
            Token::Param(p) => format!("`{p}`"),
            Token::Symbol(s) => format!("`{s}`"),
        }
    }
}

/// The words that are no names in expressions.
pub const RESERVED: &[&str] = &[
    "and", "asc", "by", "desc", "false", "first", "in", "is", "last", "like", "not", "null", "nulls", "on",
    "or", "rlike", "true", "where", "with",
];

const SYMBOLS: &[&str] = &[
    "::", "==", "=~", "!=", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ".", "+", "-", "*",
    "/", "%", ":",
];

/// A reader of tokens.
#[derive(Clone, Debug)]
pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'t> Lexer<'t> {
    /// A reader from the beginning.
    pub fn new(text: &'t str) -> Lexer<'t> {
        Lexer { text, at: 0 }
    }

    /// The offset that is read next.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Goes back (or on) to an offset.
    pub fn seek(&mut self, at: usize) {
        self.at = at;
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn error(&self, code: Code, start: usize, end: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, message).at(Span::new(start, end.min(self.text.len())), "")
    }

    /// Skips white space and comments.
    ///
    /// # Errors
    /// When a comment has no end.
    pub fn skip(&mut self) -> Result<(), Fault> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                let start = self.at;
                let mut depth = 0usize;
                loop {
                    let rest = self.rest();
                    if rest.starts_with("/*") {
                        depth += 1;
                        self.at += 2;
                    } else if rest.starts_with("*/") {
                        depth -= 1;
                        self.at += 2;
                        if depth == 0 {
                            break;
                        }
                    } else {
                        match rest.chars().next() {
                            Some(c) => self.at += c.len_utf8(),
                            None => {
                                return Err(self
                                    .error(Code::RP0101, start, start + 2, "this comment has no end")
                                    .into());
                            }
                        }
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    /// The next token and where it stands.
    ///
    /// # Errors
    /// When no token begins here; the text is then skipped as far as it is certain.
    pub fn next(&mut self, mode: Mode) -> Result<(Token, At), Fault> {
        self.skip()?;
        let start = self.at;
        let token = self.token(mode)?;
        Ok((token, At(Span::new(start, self.at))))
    }

    fn token(&mut self, mode: Mode) -> Result<Token, Fault> {
        let rest = self.rest();
        let start = self.at;
        let Some(c) = rest.chars().next() else { return Ok(Token::End) };
        if c == '|' {
            self.at += 1;
            return Ok(Token::Pipe);
        }
        if c == '"' {
            return self.string().map(Token::Str);
        }
        if mode == Mode::Source {
            return self.source();
        }
        if c == '`' {
            return self.quoted().map(Token::Quoted);
        }
        if mode == Mode::Names {
            let len = rest.find(|c: char| !(is_word(c) || c == '*')).unwrap_or(rest.len());
            let run = rest.get(..len).unwrap_or("");
            let lone = matches!(run, "_");
            if (c.is_ascii_alphabetic() || c == '*' || c == '_') && !lone {
                self.at += len;
                return Ok(Token::Pattern(run.split('*').map(str::to_owned).collect()));
            }
        }
        if c.is_ascii_alphabetic() {
            let len = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            self.at += len;
            return Ok(Token::Word(rest.get(..len).unwrap_or("").to_owned()));
        }
        if c == '_' || c == '@' {
            let body = rest.get(1..).unwrap_or("");
            let star = |c: char| mode == Mode::Names && c == '*';
            let len = body.find(|c: char| !is_word(c) && !star(c)).unwrap_or(body.len());
            if len == 0 {
                self.at += 1;
                return Err(self
                    .error(Code::RP0101, start, start + 1, format!("`{c}` alone is no name"))
                    .into());
            }
            self.at += 1 + len;
            let word = rest.get(..1 + len).unwrap_or("");
            return Ok(if mode == Mode::Names {
                Token::Pattern(word.split('*').map(str::to_owned).collect())
            } else {
                Token::Word(word.to_owned())
            });
        }
        if c.is_ascii_digit() || (c == '.' && rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)) {
            return Ok(self.number());
        }
        if c == '?' {
            let marks = if rest.starts_with("??") { 2 } else { 1 };
            let body = rest.get(marks..).unwrap_or("");
            let len = marks + body.find(|c: char| !is_word(c)).unwrap_or(body.len());
            self.at += len;
            return Ok(Token::Param(rest.get(..len).unwrap_or("").to_owned()));
        }
        if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            self.at += symbol.len();
            return Ok(Token::Symbol(symbol));
        }
        self.at += c.len_utf8();
        let shown = match c {
            '\'' => {
                return Err(Box::new(
                    self.error(Code::RP0101, start, self.at, "strings stand in double quotes, not in `'`")
                        .help("write \"…\", or \"\"\"…\"\"\" where backslashes are to stay as they are"),
                ));
            }
            c => c,
        };
        Err(self.error(Code::RP0101, start, self.at, format!("`{shown}` is no part of ES|QL")).into())
    }

    /// An index name runs to a separator. `/` may stand in it where it begins no comment.
    fn source(&mut self) -> Result<Token, Fault> {
        let rest = self.rest();
        let start = self.at;
        let mut len = 0;
        let mut angle = false;
        for (i, c) in rest.char_indices() {
            let tail = rest.get(i..).unwrap_or("");
            let comment = tail.starts_with("//") || tail.starts_with("/*");
            // `<logs-{now/d}>` is date math
            if c == '<' && i == 0 && rest.contains('>') {
                angle = true;
            }
            let stops = matches!(c, ':' | '"' | '=' | '|' | ',' | '[' | ']' | '(' | ')' | '`')
                || c.is_whitespace()
                || comment;
            if stops && !angle {
                break;
            }
            len = i + c.len_utf8();
            if c == '>' {
                angle = false;
            }
            if c == '\n' {
                break;
            }
        }
        if len > 0 {
            self.at += len;
            return Ok(Token::Source(rest.get(..len).unwrap_or("").to_owned()));
        }
        if rest.starts_with('`') {
            return self.quoted().map(Token::Quoted);
        }
        if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            self.at += symbol.len();
            return Ok(Token::Symbol(symbol));
        }
        let c = rest.chars().next().unwrap_or(' ');
        self.at += c.len_utf8();
        Err(self.error(Code::RP0101, start, self.at, format!("`{c}` cannot stand in an index name")).into())
    }

    fn number(&mut self) -> Token {
        let rest = self.rest();
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(rest);
        let mut len = whole;
        let mut decimal = false;
        let after = rest.get(len..).unwrap_or("");
        if let Some(fraction) = after.strip_prefix('.') {
            let n = digits(fraction);
            if n > 0 || whole > 0 {
                decimal = true;
                len += 1 + n;
            }
        }
        let after = rest.get(len..).unwrap_or("");
        if after.starts_with(['e', 'E']) {
            let body = after.get(1..).unwrap_or("");
            let sign = usize::from(body.starts_with(['+', '-']));
            let n = digits(body.get(sign..).unwrap_or(""));
            if n > 0 {
                decimal = true;
                len += 1 + sign + n;
            }
        }
        self.at += len;
        let text = rest.get(..len).unwrap_or("");
        if decimal {
            Token::Decimal(text.parse().unwrap_or(f64::NAN))
        } else {
            Token::Integer(text.to_owned())
        }
    }

    fn quoted(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            if c != '`' {
                out.push(c);
                continue;
            }
            if chars.peek().is_some_and(|(_, c)| *c == '`') {
                chars.next();
                out.push('`');
                continue;
            }
            self.at = start + i + 1;
            return Ok(out);
        }
        self.at = self.text.len();
        Err(self.error(Code::RP0103, start, start + 1, "this backquote has no end").into())
    }

    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let rest = self.rest();
        if let Some(body) = rest.strip_prefix("\"\"\"") {
            let line = body.find(['\n', '\r']).unwrap_or(body.len());
            let Some(end) = body.get(..line).unwrap_or("").find("\"\"\"") else {
                self.at += 3 + line;
                return Err(Box::new(
                    self.error(Code::RP0103, start, self.at, "this string has no end on its line")
                        .note("a string cannot go on to the next line"),
                ));
            };
            // up to two more quotes belong to the content
            let more = body.get(end + 3..).unwrap_or("").bytes().take(2).take_while(|b| *b == b'"').count();
            self.at += 3 + end + more + 3;
            return Ok(body.get(..end + more).unwrap_or("").to_owned());
        }
        let mut out = String::new();
        let mut bad = None;
        let mut chars = rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + i + 1;
                    return match bad {
                        None => Ok(out),
                        Some(d) => Err(Box::new(d)),
                    };
                }
                '\n' | '\r' => {
                    self.at = start + i;
                    return Err(Box::new(
                        self.error(Code::RP0103, start, self.at, "this string has no end on its line")
                            .note("a string cannot go on to the next line"),
                    ));
                }
                '\\' => match chars.next() {
                    Some((_, 't')) => out.push('\t'),
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 'r')) => out.push('\r'),
                    Some((_, '"')) => out.push('"'),
                    Some((_, '\\')) => out.push('\\'),
                    Some((j, other)) => {
                        let (from, to) = (start + i, start + j + other.len_utf8());
                        bad.get_or_insert_with(|| {
                            Diagnostic::new(Code::RP0102, format!("`\\{other}` is no escape"))
                                .at(Span::new(from, to), "")
                                .note("there are \\t, \\n, \\r, \\\" and \\\\")
                                .help("double the backslash, or write the string as \"\"\"…\"\"\"")
                        });
                    }
                    None => break,
                },
                c => out.push(c),
            }
        }
        self.at = self.text.len();
        Err(self.error(Code::RP0103, start, start + 1, "this string has no end").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, mode: Mode) -> Vec<Token> {
        let mut lexer = Lexer::new(text);
        let mut out = Vec::new();
        loop {
            match lexer.next(mode).unwrap().0 {
                Token::End => return out,
                t => out.push(t),
            }
        }
    }

    #[test]
    fn numbers_and_names_keep_apart() {
        use Token::{Decimal, Integer, Symbol, Word};
        let w = |s: &str| Word(s.into());
        assert_eq!(all("5minutes", Mode::Expression), [Integer("5".into()), w("minutes")]);
        assert_eq!(all("1.5.2", Mode::Expression), [Decimal(1.5), Decimal(0.2)]);
        assert_eq!(all("1e3 .5 1.", Mode::Expression), [Decimal(1000.0), Decimal(0.5), Decimal(1.0)]);
        assert_eq!(all("@a._b", Mode::Expression), [w("@a"), Symbol("."), w("_b")]);
        assert!(Lexer::new("_ ").next(Mode::Expression).is_err());
    }

    #[test]
    fn strings_know_five_escapes_and_raw_ones_none() {
        assert_eq!(all(r#""a\\b\"c""#, Mode::Expression), [Token::Str("a\\b\"c".into())]);
        assert_eq!(all(r#""""a\d"""""#, Mode::Expression), [Token::Str("a\\d\"".into())]);
        assert_eq!(Lexer::new(r#""a\d""#).next(Mode::Expression).unwrap_err().code, Code::RP0102);
        assert_eq!(Lexer::new("\"a\nb\"").next(Mode::Expression).unwrap_err().code, Code::RP0103);
    }

    #[test]
    fn comments_nest_and_sources_run_to_a_separator() {
        assert_eq!(all("/* a /* b */ c */ // d\n x", Mode::Expression), [Token::Word("x".into())]);
        let s = |s: &str| Token::Source(s.into());
        assert_eq!(all("logs-*,-a/b // c", Mode::Source), [s("logs-*"), Token::Symbol(","), s("-a/b")]);
        assert_eq!(all("<logs-{now/d}>", Mode::Source), [s("<logs-{now/d}>")]);
    }
}
