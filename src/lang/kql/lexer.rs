//! The literals, spaces and keywords of KQL. The grammar has no separate tokens: what a text is depends
//! on where it stands, so the parser asks at a place.

use super::ast::{Term, TermValue};
use crate::source::Span;

/// A place in a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'t> {
    pub(super) text: &'t str,
    /// The byte offset of what comes next.
    pub(super) pos: usize,
}

/// `and` or `or` between conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    And,
    Or,
}

/// Whether an unquoted text must escape this byte.
pub(super) fn is_reserved(byte: u8) -> bool {
    matches!(byte, b'\\' | b'(' | b')' | b':' | b'<' | b'>' | b'"' | b'*' | b'{' | b'}')
}

/// What JavaScript's `trim` removes.
pub(super) fn is_trimmed(c: char) -> bool {
    (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}'
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Lexer { text, pos: 0 }
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    pub(super) fn next(&self) -> Option<u8> {
        self.byte(self.pos)
    }

    pub(super) fn char_at(&self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> &'t str {
        self.text.get(from..to).unwrap_or("")
    }

    /// The length of the space at a place; 0 where there is none. Space is U+0020, TAB, CR, LF and
    /// U+00A0, nothing else.
    pub(super) fn space(&self, at: usize) -> usize {
        match self.byte(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n') => 1,
            Some(0xC2) if self.byte(at + 1) == Some(0xA0) => 2,
            _ => 0,
        }
    }

    /// Where the spaces from a place on end.
    pub(super) fn spaces_end(&self, mut at: usize) -> usize {
        loop {
            match self.space(at) {
                0 => return at,
                n => at += n,
            }
        }
    }

    pub(super) fn skip_spaces(&mut self) {
        self.pos = self.spaces_end(self.pos);
    }

    /// Whether a word stands at a place, in any ASCII case.
    pub(super) fn word(&self, at: usize, word: &str) -> bool {
        self.text.get(at..at + word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word))
    }

    /// `and` or `or` with space on both sides, from a place before its first space; with where the next
    /// condition begins.
    pub(super) fn operator(&self, at: usize) -> Option<(Operator, usize)> {
        let word = self.spaces_end(at);
        (word > at).then(|| self.operator_word(word)).flatten()
    }

    /// The same from the word itself.
    fn operator_word(&self, word: usize) -> Option<(Operator, usize)> {
        let (op, end) = if self.word(word, "or") {
            (Operator::Or, word + 2)
        } else if self.word(word, "and") {
            (Operator::And, word + 3)
        } else {
            return None;
        };
        let next = self.spaces_end(end);
        (next > end).then_some((op, next))
    }

    /// `not` with space after it; where its operand begins.
    pub(super) fn not(&self, at: usize) -> Option<usize> {
        if !self.word(at, "not") {
            return None;
        }
        let next = self.spaces_end(at + 3);
        (next > at + 3).then_some(next)
    }

    /// Takes a quoted or an unquoted literal; `None`, and nothing taken, where there is none.
    pub(super) fn literal(&mut self) -> Option<Term> {
        if self.next() == Some(b'"') { self.quoted() } else { self.unquoted() }
    }

    /// Where the quoted text that opens at a place ends, past its closing quote.
    pub(super) fn quoted_end(&self, open: usize) -> Option<usize> {
        let mut at = open + 1;
        loop {
            match self.byte(at)? {
                b'"' => return Some(at + 1),
                b'\\' if matches!(self.byte(at + 1), Some(b'"' | b'\\')) => at += 2,
                _ => at += 1,
            }
        }
    }

    fn quoted(&mut self) -> Option<Term> {
        let (open, end) = (self.pos, self.quoted_end(self.pos)?);
        let mut out = String::new();
        let mut at = open + 1;
        let mut plain = at;
        while at + 1 < end {
            if self.byte(at) != Some(b'\\') {
                at += 1;
                continue;
            }
            let taken = match self.byte(at + 1) {
                Some(c @ (b'"' | b'\\')) => Some((char::from(c), at + 2)),
                _ => self.control(at).or_else(|| self.unicode(at)),
            };
            match taken {
                Some((c, next)) => {
                    out.push_str(self.slice(plain, at));
                    out.push(c);
                    (at, plain) = (next, next);
                }
                None => at += 1,
            }
        }
        out.push_str(self.slice(plain, end - 1));
        self.pos = end;
        Some(Term { value: TermValue::Text { text: out.into(), quoted: true }, span: Span::new(open, end) })
    }

    /// `\t`, `\r`, `\n` at a place.
    fn control(&self, at: usize) -> Option<(char, usize)> {
        let c = match self.byte(at + 1)? {
            b't' => '\t',
            b'r' => '\r',
            b'n' => '\n',
            _ => return None,
        };
        Some((c, at + 2))
    }

    /// `\uXXXX` at a place, or a surrogate pair of two; half a pair becomes U+FFFD.
    fn unicode(&self, at: usize) -> Option<(char, usize)> {
        let first = self.unit(at)?;
        if let (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) = (first, self.unit(at + 6)) {
            let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), at + 12));
        }
        Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), at + 6))
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u32::from_str_radix(digits, 16).ok()
    }

    /// The escape at a place of an unquoted text: what it stands for and where it ends.
    fn escape(&self, at: usize, out: &mut String) -> Option<usize> {
        if let Some((c, next)) = self.control(at) {
            out.push(c);
            return Some(next);
        }
        if let Some(c) = self.byte(at + 1).filter(|c| is_reserved(*c)) {
            out.push(char::from(c));
            return Some(at + 2);
        }
        if let Some((c, next)) = self.unicode(at) {
            out.push(c);
            return Some(next);
        }
        let keyword = ["or", "and", "not"].into_iter().find(|w| self.word(at + 1, w))?;
        out.push_str(self.slice(at + 1, at + 1 + keyword.len()));
        Some(at + 1 + keyword.len())
    }

    fn unquoted(&mut self) -> Option<Term> {
        let start = self.pos;
        let mut parts: Vec<Box<str>> = Vec::new();
        let mut text = String::new();
        let mut at = start;
        // where the last thing that is no space ends
        let mut end = start;
        while let Some(byte) = self.byte(at) {
            match byte {
                b'\\' => match self.escape(at, &mut text) {
                    Some(next) => (at, end) = (next, next),
                    None => break,
                },
                b'*' => {
                    parts.push(std::mem::take(&mut text).into());
                    at += 1;
                    end = at;
                }
                b if is_reserved(b) => break,
                b'n' | b'N' if self.not(at).is_some() => break,
                _ if self.space(at) > 0 => {
                    // a run of spaces is looked at once, or many of them would cost their square
                    let next = self.spaces_end(at);
                    if self.operator_word(next).is_some() {
                        break;
                    }
                    text.push_str(self.slice(at, next));
                    at = next;
                }
                _ => {
                    let from = at;
                    at += 1;
                    while self.byte(at).is_some_and(is_plain) {
                        at += 1;
                    }
                    text.push_str(self.slice(from, at));
                    end = at;
                }
            }
        }
        if at == start {
            return None;
        }
        self.pos = at;
        let span = Span::new(start, end);
        if parts.is_empty() {
            let text = text.trim_matches(is_trimmed);
            let value = match text {
                "null" => TermValue::Null,
                "true" => TermValue::Bool(true),
                "false" => TermValue::Bool(false),
                _ => TermValue::Text { text: text.into(), quoted: false },
            };
            return Some(Term { value, span });
        }
        parts.push(text.trim_end_matches(is_trimmed).into());
        if let Some(first) = parts.first_mut() {
            let trimmed = first.trim_start_matches(is_trimmed);
            if trimmed.len() != first.len() {
                *first = trimmed.into();
            }
        }
        Some(Term { value: TermValue::Wildcard(parts), span })
    }
}

/// Whether a byte can be taken without looking closer.
fn is_plain(byte: u8) -> bool {
    !(is_reserved(byte) || matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'n' | b'N' | 0xC2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, TermValue) {
        let mut l = Lexer::new(text);
        let term = l.literal().unwrap();
        (l.slice(l.pos, text.len()).to_owned(), term.value)
    }

    fn unquoted(text: &str) -> TermValue {
        TermValue::Text { text: text.into(), quoted: false }
    }

    fn quoted(text: &str) -> TermValue {
        TermValue::Text { text: text.into(), quoted: true }
    }

    #[test]
    fn escapes_of_quoted_texts_keep_other_backslashes() {
        assert_eq!(one(r#""a\"b\\c\Wd" e"#), (" e".into(), quoted(r#"a"b\c\Wd"#)));
        assert_eq!(one(r#""\t\u0041\uD83D\uDE42\uD83D!""#).1, quoted("\tA🙂\u{fffd}!"));
        assert_eq!(one(r#""null""#).1, quoted("null"));
        assert!(Lexer::new(r#""a\""#).literal().is_none());
    }

    #[test]
    fn unquoted_texts_stop_at_keywords_and_reserved_characters() {
        assert_eq!(one("red fox  and x"), ("  and x".into(), unquoted("red fox")));
        assert_eq!(one("red and"), (String::new(), unquoted("red and")));
        assert_eq!(one("cannot go"), ("not go".into(), unquoted("can")));
        assert_eq!(one("knot"), (String::new(), unquoted("knot")));
        assert_eq!(one(r"a\Not b:c"), (":c".into(), unquoted("aNot b")));
        assert_eq!(one(r"a \and b"), (String::new(), unquoted("a and b")));
        assert_eq!(one(r"a\qb"), (r"\qb".into(), unquoted("a")));
        assert_eq!(one("é\u{a0}or\u{a0}x").0, "\u{a0}or\u{a0}x");
        assert_eq!(one("Â Ânn").1, unquoted("Â Ânn"));
    }

    #[test]
    fn markers_and_literal_stars_are_told_apart_and_edges_trimmed() {
        assert_eq!(one(r"a\*b* ").1, TermValue::Wildcard(vec!["a*b".into(), "".into()]));
        assert_eq!(one(r"\u0020x\u002a").1, unquoted("x*"));
        assert!(one("* ").1.is_lone_star());
        assert!(!one("**").1.is_lone_star());
        assert_eq!(one(r"\u006eull ").1, TermValue::Null);
        assert_eq!(one("\u{feff}true").1, TermValue::Bool(true));
        assert_eq!(one("True").1, unquoted("True"));
    }
}
