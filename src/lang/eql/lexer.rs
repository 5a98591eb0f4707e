//! EQL's tokens. What Elasticsearch lexes only to reject it (old quotes) becomes a token as well, so
//! that the rest of the query is still read.

use super::ast::Literal;
use crate::diag::{Code, Diagnostic, Safety};
use crate::source::Span;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A plain identifier.
    Ident,
    /// An identifier that ends in `~`.
    TildeIdent,
    /// An identifier in backticks, as it is meant.
    Quoted(Box<str>),
    /// A keyword.
    Word(&'static str),
    /// A number or string.
    Literal(Literal),
    /// An operator or bracket.
    Sym(&'static str),
    /// The end of the text.
    End,
}

/// The keywords; they are lower case and reserved everywhere.
pub(super) const KEYWORDS: &[&str] = &[
    "and", "any", "by", "false", "in", "in~", "join", "like", "like~", "maxspan", "not", "null", "of", "or",
    "regex", "regex~", "sample", "sequence", "true", "until", "where", "with",
];

/// Longer symbols first.
const SYMBOLS: &[&str] = &[
    "![", "==", "!=", "<=", ">=", ":", "<", ">", "=", "+", "-", "*", "/", "%", ".", ",", "(", ")", "[", "]",
    "|", "?",
];

/// Whether a text is an identifier that needs no backticks.
pub(super) fn is_plain_ident(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '@'))
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&text)
}

/// Most findings that one query is worth.
pub(super) const MAX_FINDINGS: usize = 50;

/// Splits a query into tokens; the last one is [`Kind::End`].
pub(super) fn lex(text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), found: Vec::new() };
    lexer.run();
    let end = Span::new(text.len(), text.len());
    lexer.tokens.push(Token { kind: Kind::End, span: end });
    (lexer.tokens, lexer.found)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    found: Vec<Diagnostic>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn push(&mut self, start: usize, kind: Kind) {
        self.tokens.push(Token { kind, span: Span::new(start, self.at) });
    }

    fn report(&mut self, d: Diagnostic) {
        if self.found.len() < MAX_FINDINGS {
            self.found.push(d);
        }
    }

    fn run(&mut self) {
        while let Some(c) = self.rest().chars().next() {
            let start = self.at;
            let rest = self.rest();
            if c.is_ascii_whitespace() {
                self.at += 1;
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.block_comment();
            } else if c.is_ascii_alphabetic() || matches!(c, '_' | '@') {
                self.ident();
            } else if c == '`' {
                self.quoted();
            } else if c == '"' || c == '\'' || rest.starts_with("?\"") || rest.starts_with("?'") {
                self.string();
            } else if c.is_ascii_digit() || (c == '.' && digits(rest.get(1..).unwrap_or("")) > 0) {
                self.number();
            } else if let Some(sym) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
                self.at += sym.len();
                self.push(start, Kind::Sym(sym));
            } else {
                self.unknown();
            }
        }
    }

    fn block_comment(&mut self) {
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
                    return;
                }
            } else if let Some(c) = rest.chars().next() {
                self.at += c.len_utf8();
            } else {
                let place = Span::new(start, start + 2);
                self.report(
                    Diagnostic::new(Code::RP0101, "a comment has no end")
                        .at(place, "it starts here")
                        .help("close it with `*/`; comments may stand inside comments"),
                );
                return;
            }
        }
    }

    fn ident(&mut self) {
        let start = self.at;
        let len =
            self.rest().chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@')).count();
        // `@` may only stand first
        let word = self.rest().get(..len).unwrap_or("");
        let len = word.char_indices().find(|(i, c)| *i > 0 && *c == '@').map_or(len, |(i, _)| i);
        self.at += len;
        let word = self.text.get(start..self.at).unwrap_or("");
        if self.rest().starts_with('~') && word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.at += 1;
            let whole = self.text.get(start..self.at).unwrap_or("");
            let kind = KEYWORDS.iter().find(|k| **k == whole).map_or(Kind::TildeIdent, |k| Kind::Word(k));
            return self.push(start, kind);
        }
        let kind = KEYWORDS.iter().find(|k| **k == word).map_or(Kind::Ident, |k| Kind::Word(k));
        self.push(start, kind);
    }

    fn quoted(&mut self) {
        let start = self.at;
        let mut name = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            if rest.starts_with("``") {
                name.push('`');
                self.at += 2;
            } else if rest.starts_with('`') {
                self.at += 1;
                if name.is_empty() {
                    self.report(
                        Diagnostic::new(Code::RP0101, "a name in backticks is empty")
                            .at(Span::new(start, self.at), "")
                            .help("a backtick inside a name is written twice"),
                    );
                }
                return self.push(start, Kind::Quoted(name.into()));
            } else if let Some(c) = rest.chars().next() {
                name.push(c);
                self.at += c.len_utf8();
            } else {
                self.report(
                    Diagnostic::new(Code::RP0103, "a name in backticks has no end")
                        .at(Span::new(start, start + 1), "it starts here")
                        .help("a backtick inside a name is written twice"),
                );
                return self.push(start, Kind::Quoted(name.into()));
            }
        }
    }

    fn string(&mut self) {
        let start = self.at;
        let rest = self.rest();
        if rest.starts_with("\"\"\"") {
            return self.raw_string();
        }
        let old_raw = rest.starts_with('?');
        self.at += usize::from(old_raw);
        let quote = self.rest().chars().next().unwrap_or('"');
        self.at += 1;
        let Some(text) = self.string_body(start, quote, old_raw) else { return };
        let span = Span::new(start, self.at);
        let raw = old_raw && super::print::fits_raw(&text);
        let fixed = super::print::string(&text, raw);
        if old_raw {
            let what = if quote == '"' { "?\"" } else { "?'" };
            self.report(
                Diagnostic::new(Code::RP0105, format!("strings in `{what}` are not supported any more"))
                    .at(span, "")
                    .help("write an unescaped string in triple double quotes: `\"\"\"…\"\"\"`")
                    .fix(span, fixed, Safety::Suggested),
            );
        } else if quote == '\'' {
            self.report(
                Diagnostic::new(Code::RP0105, "strings stand in double quotes, not in single ones")
                    .at(span, "")
                    .help(format!("write `{fixed}`"))
                    .fix(span, fixed, Safety::Suggested),
            );
        }
        self.push(start, Kind::Literal(Literal::Str(text.into(), raw)));
    }

    /// The text up to the closing quote; `None`, and reported, where the line ends first.
    fn string_body(&mut self, start: usize, quote: char, verbatim: bool) -> Option<String> {
        let mut text = String::new();
        loop {
            let here = self.at;
            let Some(c) = self.rest().chars().next().filter(|c| !matches!(c, '\n' | '\r')) else {
                self.report(
                    Diagnostic::new(Code::RP0103, "a string has no end on its line")
                        .at(Span::new(start, here), "it starts here")
                        .help("close it with `\"`; a line break inside a string is written `\\n`"),
                );
                self.push(start, Kind::Literal(Literal::Str(text.into(), false)));
                return None;
            };
            self.at += c.len_utf8();
            if c == quote {
                return Some(text);
            }
            if c != '\\' || verbatim {
                text.push(c);
                continue;
            }
            let escape = self.rest().chars().next();
            match escape {
                Some('b') => text.push('\u{8}'),
                Some('t') => text.push('\t'),
                Some('n') => text.push('\n'),
                Some('f') => text.push('\u{c}'),
                Some('r') => text.push('\r'),
                Some(c @ ('"' | '\'' | '\\')) => text.push(c),
                Some('u') => {
                    self.at += 1;
                    if let Some(c) = self.unicode_escape(here) {
                        text.push(c);
                    }
                    continue;
                }
                Some(c) if !matches!(c, '\n' | '\r') => {
                    let span = Span::new(here, self.at + c.len_utf8());
                    self.report(
                        Diagnostic::new(Code::RP0102, format!("`\\{c}` is no escape"))
                            .at(span, "")
                            .help("write a backslash as `\\\\`, or use a raw string `\"\"\"…\"\"\"`")
                            .fix(Span::new(here, here + 1), "\\\\", Safety::Suggested),
                    );
                    text.push('\\');
                    text.push(c);
                }
                _ => continue,
            }
            self.at += escape.map_or(0, char::len_utf8);
        }
    }

    /// The character of `\u{…}`, read from the `{` on; `None`, and reported, where it is malformed.
    fn unicode_escape(&mut self, start: usize) -> Option<char> {
        let rest = self.rest();
        let body = rest.strip_prefix('{').and_then(|r| r.split_once('}')).map(|(b, _)| b);
        let digits = body.filter(|b| !b.is_empty() && b.bytes().all(|c| c.is_ascii_hexdigit()));
        let Some(digits) = digits else {
            self.report(
                Diagnostic::new(Code::RP0102, "`\\u` needs two to eight hex digits in braces")
                    .at(Span::new(start, self.at), "")
                    .help("write it like `\\u{1f4a9}`"),
            );
            return None;
        };
        self.at += digits.len() + 2;
        let span = Span::new(start, self.at);
        if !(2..=8).contains(&digits.len()) {
            let n = digits.len();
            self.report(
                Diagnostic::new(Code::RP0102, format!("`\\u{{…}}` takes two to eight hex digits, found {n}"))
                    .at(span, ""),
            );
            return None;
        }
        let code = u32::from_str_radix(digits, 16).unwrap_or(u32::MAX);
        let c = char::from_u32(code);
        if c.is_none() {
            let why = if (0xd800..0xe000).contains(&code) { "is a surrogate" } else { "is no character" };
            self.report(
                Diagnostic::new(Code::RP0102, format!("the code `{digits}` {why}"))
                    .at(span, "characters go up to `10ffff`, without `d800` to `dfff`"),
            );
        }
        c
    }

    /// A raw string: three quotes, the shortest body, three quotes and up to two more that belong to
    /// the body.
    fn raw_string(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let body_end = rest.get(3..).and_then(|r| r.find("\"\"\"")).map(|i| i + 3);
        let body = rest.get(3..body_end.unwrap_or(rest.len())).unwrap_or("");
        let line = body.find(['\n', '\r']);
        let (None, Some(end)) = (line, body_end) else {
            let body = body.get(..line.unwrap_or(body.len())).unwrap_or("");
            self.at += 3 + body.len();
            self.report(
                Diagnostic::new(Code::RP0103, "a raw string has no end on its line")
                    .at(Span::new(start, start + 3), "it starts here")
                    .help("close it with `\"\"\"`; a raw string cannot hold a line break"),
            );
            return self.push(start, Kind::Literal(Literal::Str(body.into(), false)));
        };
        let more = rest.get(end + 3..).unwrap_or("").chars().take(2).take_while(|c| *c == '"').count();
        let body = rest.get(3..end + more).unwrap_or("");
        self.at += end + 3 + more;
        // what can only be printed with escapes is the same literal as one that is written so
        let raw = super::print::fits_raw(body);
        self.push(start, Kind::Literal(Literal::Str(body.into(), raw)));
    }

    fn number(&mut self) {
        let start = self.at;
        self.at += digits(self.rest());
        let mut decimal = false;
        if self.rest().starts_with('.') {
            decimal = true;
            self.at += 1;
            self.at += digits(self.rest());
        }
        let rest = self.rest();
        if rest.starts_with(['e', 'E']) {
            let sign = usize::from(rest.get(1..).is_some_and(|r| r.starts_with(['+', '-'])));
            let n = digits(rest.get(1 + sign..).unwrap_or(""));
            if n > 0 {
                decimal = true;
                self.at += 1 + sign + n;
            }
        }
        let text = self.text.get(start..self.at).unwrap_or("");
        let float = text.parse::<f64>().unwrap_or(f64::INFINITY);
        let literal = match text.parse::<i64>() {
            Ok(i) if !decimal => Literal::Int(i),
            _ => Literal::Float(float),
        };
        if !float.is_finite() {
            self.report(
                Diagnostic::new(Code::RP0102, format!("the number `{}` is too large", shorten(text)))
                    .at(Span::new(start, self.at), ""),
            );
            return self.push(start, Kind::Literal(Literal::Int(0)));
        }
        self.push(start, Kind::Literal(literal));
    }

    fn unknown(&mut self) {
        let start = self.at;
        let c = self.rest().chars().next().unwrap_or(' ');
        self.at += self.rest().chars().take_while(|d| *d == c).map(char::len_utf8).sum::<usize>();
        let span = Span::new(start, self.at);
        let d = Diagnostic::new(Code::RP0101, format!("`{c}` has no meaning here")).at(span, "");
        self.report(match c {
            '!' => d.help("write `not …`, or `!=`"),
            '&' => d.help("write `and`"),
            '~' => d.help("`~` stands directly behind `in`, `like`, `regex` or the name of a function"),
            '#' | ';' => d.help("a comment starts with `//`"),
            _ => d.help("put a name with special characters in backticks, and text in double quotes"),
        });
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(40).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Vec<String> {
        let (tokens, found) = lex(text);
        assert!(found.is_empty(), "{text}: {found:?}");
        tokens
            .into_iter()
            .filter_map(|t| match t.kind {
                Kind::Literal(Literal::Str(s, _)) => Some(s.into()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn raw_strings_lose_three_quotes_at_each_end() {
        assert_eq!(strings(r#""""a\n""""#), ["a\\n"]);
        assert_eq!(strings(&["\"\"\"", "\"\"q\"x\"y\"\"", "\"\"\""].concat()), ["\"\"q\"x\"y\"\""]);
        assert_eq!(strings(r#""" """""""#), ["", ""]);
        assert_eq!(strings(r#""""x""" == """y""""#), ["x", "y"]);
    }

    #[test]
    fn escapes_are_read_and_malformed_ones_reported() {
        assert_eq!(strings(r#""a\\b\"c\t\u{41}""#), ["a\\b\"c\tA"]);
        for bad in [r#""\q""#, r#""\u{4}""#, r#""\u{}""#, r#""\u41""#, r#""\u{d801}""#, r#""\u{110000}""#] {
            let (_, found) = lex(bad);
            assert_eq!(found.len(), 1, "{bad}");
            assert_eq!(found[0].code, Code::RP0102, "{bad}");
        }
    }

    #[test]
    fn names_numbers_and_comments_are_told_apart() {
        let (tokens, found) = lex("/* a /* b */ c */ x~ in~ `a``b` 1. .5 1e3 9223372036854775808 2m // end");
        assert!(found.is_empty(), "{found:?}");
        let kinds: Vec<Kind> = tokens.into_iter().map(|t| t.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::TildeIdent,
                Kind::Word("in~"),
                Kind::Quoted("a`b".into()),
                Kind::Literal(Literal::Float(1.0)),
                Kind::Literal(Literal::Float(0.5)),
                Kind::Literal(Literal::Float(1000.0)),
                Kind::Literal(Literal::Float(9_223_372_036_854_775_808.0)),
                Kind::Literal(Literal::Int(2)),
                Kind::Ident,
                Kind::End,
            ]
        );
    }

    #[test]
    fn old_quotes_come_with_the_way_out() {
        let (_, found) = lex("'C:\\\\x' ?\"a\\b\" ?'c'");
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|d| d.code == Code::RP0105));
        assert_eq!(found[0].fix.as_ref().unwrap().replacement, "\"C:\\\\x\"");
        assert_eq!(found[1].fix.as_ref().unwrap().replacement, "\"\"\"a\\b\"\"\"");
    }
}
