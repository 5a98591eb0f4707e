//! The sentences for syntax errors of KQL: what is wrong at a place, and what to write instead.

use super::lexer::is_reserved;
use super::parser::{LastKind, Parser, Place};
use super::print;
use crate::diag::{Code, Diagnostic, Safety};
use crate::es::ip;
use crate::lang::MAX_DEPTH;
use crate::source::Span;

fn syntax(message: impl Into<String>, span: Span, label: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::RP0101, message).at(span, label)
}

impl Parser<'_> {
    /// The character at a place, as a span; empty at the end.
    fn here(&self, at: usize) -> Span {
        Span::new(at, at + self.lexer.char_at(at).map_or(0, char::len_utf8))
    }

    pub(super) fn too_deep(&mut self) {
        let d = Diagnostic::new(Code::RP0104, format!("brackets nest deeper than {MAX_DEPTH} levels"))
            .at(self.here(self.lexer.pos), "one too many");
        self.report(d);
        self.stop();
    }

    pub(super) fn stray_closer(&mut self) {
        let (at, closer) = (self.lexer.pos, self.lexer.next());
        let (closer, opener) = if closer == Some(b'}') { ('}', '{') } else { (')', '(') };
        let d =
            syntax(format!("`{closer}` without a `{opener}` before it"), self.here(at), "nothing to close")
                .help(format!("remove it; a `{closer}` that belongs to a value is written `\\{closer}`"));
        self.report(d);
    }

    pub(super) fn unclosed(&mut self, open: usize, closer: u8) {
        let opener = if closer == b')' { '(' } else { '{' };
        let closer = char::from(closer);
        let span = self.here(open);
        match self.lexer.char_at(self.lexer.pos) {
            None => {
                let d = syntax(format!("this `{opener}` is never closed"), span, "opened here")
                    .help(format!("add the missing `{closer}`"));
                self.report(d);
                self.stop();
            }
            Some(found) => {
                let d = syntax(
                    format!("expected `{closer}`, found `{found}`"),
                    self.here(self.lexer.pos),
                    format!("does not close the `{opener}`"),
                )
                .at(span, "opened here")
                .help(format!("close it with `{closer}`"));
                self.report(d);
            }
        }
    }

    /// The word around a place: from `from` to the next space or bracket.
    fn word_from(&self, from: usize) -> Span {
        let mut end = from;
        while let Some(c) = self.lexer.char_at(end) {
            if self.lexer.space(end) > 0 || matches!(c, '(' | ')' | '{' | '}' | '"') {
                break;
            }
            end += c.len_utf8();
        }
        Span::new(from, end)
    }

    /// An error for an unquoted text that cannot go on at `pos`, with the text as it should be written.
    fn unescaped(&mut self, from: usize, message: &str, label: &str) {
        if self.lexer.next() == Some(b'\\') && self.lexer.space(self.lexer.pos + 1) > 0 {
            let d = Diagnostic::new(Code::RP0102, message)
                .at(self.here(self.lexer.pos), label)
                .help("remove it: spaces inside a field or value need no backslash");
            return self.report(d);
        }
        let whole = self.word_from(from);
        let at = self.lexer.pos;
        let raw = whole.slice(self.lexer.text);
        let (safe, what) = match self.needless_backslash(whole) {
            Some(plain) => (plain, ": no backslash is needed there"),
            None => written(raw),
        };
        let d = Diagnostic::new(Code::RP0102, message)
            .at(self.here(at), label)
            .help(format!("write `{safe}`{what}"))
            .fix(whole, safe, Safety::Suggested);
        self.report(d);
    }

    /// The text without a backslash that stands before a character which needs none, as in `a\.b`.
    fn needless_backslash(&self, whole: Span) -> Option<String> {
        let at = self.lexer.pos;
        let next = self.lexer.char_at(at + 1)?;
        if self.lexer.next() != Some(b'\\') || next.is_alphanumeric() {
            return None;
        }
        let before = self.lexer.slice(whole.start as usize, at);
        Some(format!("{before}{}", self.word_from(at + 1).slice(self.lexer.text)))
    }

    fn unterminated(&mut self, open: usize) {
        let rest = self.lexer.slice(open, self.lexer.text.len());
        let span = Span::new(open, open + rest.trim_end().len());
        let mut d = Diagnostic::new(Code::RP0103, "this quoted text has no end").at(span, "opened here");
        d = if rest.contains("\\\"") {
            d.note("a backslash before a quote makes the quote part of the text")
                .help("write `\\\\` for a backslash at the end of a text: `\"C:\\dir\\\\\"`")
        } else {
            d.help("add the closing `\"`")
        };
        self.report(d);
        self.stop();
    }

    /// Nothing that could be a literal stands where one is needed.
    pub(super) fn missing(&mut self, place: Place) {
        let at = self.lexer.pos;
        let what = match place {
            Place::Condition => "a condition",
            Place::List | Place::Field(_) | Place::Bound(_) => "a value",
        };
        let d = match self.lexer.char_at(at) {
            None => {
                let end = self.lexer.text.trim_end().len();
                let d = syntax(
                    format!("{what} is missing at the end"),
                    Span::new(end, end),
                    "the query ends here",
                );
                match place {
                    Place::Field(_) => d.help("write a value, or `*` for any value"),
                    _ => d,
                }
            }
            Some('"') => return self.unterminated(at),
            Some('\\') => return self.unescaped(at, "this backslash escapes nothing", "not an escape"),
            Some(c @ (')' | '}')) => {
                syntax(format!("{what} is missing before `{c}`"), self.here(at), "expected before this")
            }
            Some(_) if self.lexer.not(at).is_some() => return self.misplaced_not(place),
            Some('(') => {
                syntax("a comparison takes one value, not a list", self.here(at), "not allowed here")
                    .help("write one comparison for each value, joined by `and` or `or`")
            }
            Some(':') if matches!(place, Place::Field(_) | Place::Bound(_) | Place::List) => {
                return self.unescaped(at, "a colon inside a value must be escaped or quoted", "unescaped");
            }
            Some(c @ (':' | '<' | '>')) if matches!(place, Place::Condition) => {
                syntax(format!("a field name is missing before `{c}`"), self.here(at), "compares nothing")
            }
            Some('>') if matches!(place, Place::Bound(super::ast::RangeOp::Less)) => {
                // spaces of any width may stand between the two
                let before = self.lexer.text.get(..at).and_then(|t| t.rfind('<')).unwrap_or(at);
                syntax("KQL has no `<>`", Span::new(before, at + 1), "not an operator")
                    .help("write `not field: value`")
            }
            Some(c @ ('<' | '>')) if let Place::Field(field) = place => {
                let name = field.slice(self.lexer.text);
                syntax(
                    format!("a colon and `{c}` cannot stand together"),
                    self.here(at),
                    "a value is expected here",
                )
                .help(format!("a comparison has no colon: write `{name} {c} …`"))
            }
            Some(c) => {
                syntax(format!("{what} is missing before `{c}`"), self.here(at), "expected before this").help(
                    format!("a `{c}` that belongs to a value is written `\\{c}`, or inside double quotes"),
                )
            }
        };
        self.report(d);
    }

    fn misplaced_not(&mut self, place: Place) {
        let at = self.lexer.pos;
        let span = Span::new(at, at + 3);
        let d = match place {
            Place::Field(field) => {
                let name = field.slice(self.lexer.text);
                syntax("`not` cannot stand between a field and its value", span, "not allowed here")
                    .help(format!("write `not {name}: …`, or `{name}: (not …)`"))
            }
            Place::Condition | Place::List => syntax("`not` cannot be repeated", span, "a second `not`")
                .help("write `not (not …)`, or leave both out"),
            Place::Bound(_) => syntax("`not` cannot stand before a bound", span, "not allowed here")
                .help("write `not field > value`"),
        };
        self.report(d);
    }

    /// A condition is complete, but neither an operator nor the end follows.
    pub(super) fn unexpected(&mut self, in_list: bool) {
        let last = self.last;
        let text = self.lexer.text;
        let start = last.span.start as usize;
        let at = match last.kind {
            LastKind::Quoted | LastKind::Closed => self.lexer.spaces_end(self.lexer.pos),
            _ => self.lexer.pos,
        };
        let spaced = at > last.span.end as usize;
        self.lexer.pos = at;
        let found = self.lexer.char_at(at).unwrap_or(' ');
        let operator = ["and", "or"].into_iter().find(|w| self.lexer.word(at, w));
        if matches!(last.kind, LastKind::Quoted | LastKind::Closed) {
            let before = if last.kind == LastKind::Quoted { "quote" } else { "bracket" };
            if let Some(word) = operator.filter(|w| self.is_word_end(at + w.len())) {
                let span = Span::new(at, at + word.len());
                let side = if spaced { "after" } else { "before" };
                let d = syntax(format!("a space is missing {side} `{}`", span.slice(text)), span, "")
                    .help(format!("write ` {word} ` with a space on both sides"));
                return self.report(d);
            }
            let d = match found {
                '"' if self.lexer.quoted_end(at).is_none() && last.kind == LastKind::Quoted => {
                    return self.unterminated(at);
                }
                ',' => syntax("values are not separated by commas", self.here(at), "not a separator")
                    .help("join values with `or`: `field: (\"a\" or \"b\")`"),
                _ if !spaced && last.kind == LastKind::Quoted => {
                    syntax("text follows a closing quote", self.here(at), "expected `and`, `or` or the end")
                        .help("a quote inside a quoted text is written `\\\"`")
                }
                _ => syntax(
                    format!("expected `and`, `or` or the end after the {before}, found `{found}`"),
                    self.here(at),
                    "joined by nothing",
                )
                .help("join conditions with `and` or `or`"),
            };
            return self.report(d);
        }
        if self.lexer.not(at).is_some() {
            return self.not_inside(start, at);
        }
        let written_before = last.span.slice(text);
        let keyword = written_before.rsplit([' ', '\t', '\n', '\r', '\u{a0}']).next().unwrap_or("");
        let is_keyword = ["not", "and", "or"].iter().any(|w| keyword.eq_ignore_ascii_case(w));
        let foreign =
            ["in", "like", "is", "contains", "matches"].iter().any(|w| keyword.eq_ignore_ascii_case(w));
        let d = match found {
            '(' | '"' if foreign && last.kind == LastKind::Bare && keyword.len() < written_before.len() => {
                let end = last.span.end as usize;
                let field = written_before.get(..written_before.len() - keyword.len()).unwrap_or("").trim();
                syntax(
                    format!("KQL has no operator `{keyword}`"),
                    Span::new(end - keyword.len(), end),
                    "read as part of a value",
                )
                .help(format!("write `{field}: value`, `{field}: pre*` or `{field}: (a or b)`"))
            }
            '\\' => {
                let from = self.word_start(start, at);
                return self.unescaped(from, "this backslash escapes nothing", "not an escape");
            }
            ':' if last.kind == LastKind::Value => {
                let from = self.word_start(start, at);
                let message = "a colon inside a value must be escaped or quoted";
                if !in_list && spaced_before(text, from, start) && !self.looks_like_path(from) {
                    // `a: b c: d`: more likely a second condition than a value with a colon
                    syntax("`and` or `or` is missing before this condition", self.word_from(from), "a second condition")
                        .help("join conditions with `and` or `or`; a colon inside a value is written `\\:`")
                } else {
                    return self.unescaped(from, message, "unescaped");
                }
            }
            '(' if is_keyword && !spaced => {
                let span = Span::new(at - keyword.len(), at + 1);
                syntax(format!("a space is missing between `{keyword}` and `(`"), span, "read as a value")
                    .help(format!("write `{keyword} (`"))
                    .fix(span, format!("{keyword} ("), Safety::Suggested)
            }
            '(' => syntax("`(` cannot follow a value", self.here(at), "expected `and`, `or` or the end")
                .help("join conditions with `and` or `or`; a `(` that belongs to a value is written `\\(`"),
            '{' if last.kind == LastKind::Bare => {
                syntax("a colon is missing before `{`", self.here(at), "expected `:`")
                    .help(format!("write `{written_before}: {{ … }}`; a `{{` that belongs to a value is written `\\{{`"))
            }
            '"' => syntax("a quote inside an unquoted value", self.here(at), "expected `and`, `or` or the end")
                .help("put the whole value in double quotes, write `\\\"` for the quote, or join two values with `or`"),
            '<' | '>' if last.kind == LastKind::Value => {
                syntax(format!("`{found}` inside a value"), self.here(at), "expected `and`, `or` or the end")
                    .help(format!("write `\\{found}` or put the value in double quotes; join two comparisons with `and`"))
            }
            c => syntax(format!("expected `and`, `or` or the end, found `{c}`"), self.here(at), "not expected here")
                .help(format!("a `{c}` that belongs to a value is written `\\{c}`, or inside double quotes")),
        };
        let quotes = written_before.starts_with('\'');
        self.report(if quotes {
            d.note("single quotes are plain characters in KQL; only `\"` quotes")
        } else {
            d
        });
    }

    fn is_word_end(&self, at: usize) -> bool {
        self.lexer.char_at(at).is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '-' | '@'))
    }

    /// `not` and a space within an unquoted text, also in the middle of a word.
    fn not_inside(&mut self, start: usize, at: usize) {
        let from = self.word_start(start, at);
        let span = Span::new(from, at + 3);
        let word = span.slice(self.lexer.text);
        let rest = self.word_from(start).range();
        let value = self.lexer.slice(start, rest.end.max(at + 3));
        let d = if from < at {
            syntax(format!("`not` and a space end a value, even inside `{word}`"), span, "ends in `not`")
        } else {
            syntax("`not` cannot stand inside a value", span, "read as the operator")
        };
        let d = if value.contains('*') {
            d.help("write `\\u006eot` for a `not` inside a pattern")
        } else {
            d.help(format!("put the value in double quotes: `\"{value} …\"`; to negate, join with `and not`"))
        };
        self.report(d);
    }

    /// Where the word before `at` begins, not before `start`.
    fn word_start(&self, start: usize, at: usize) -> usize {
        let before = self.lexer.slice(start, at);
        let mut from = start;
        for (i, c) in before.char_indices() {
            if matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{a0}') {
                from = start + i + c.len_utf8();
            }
        }
        from
    }

    fn looks_like_path(&self, from: usize) -> bool {
        let word = self.word_from(from).slice(self.lexer.text);
        ip::parse(word).is_some() || word.get(1..3) == Some(":\\") || word.contains("://")
    }
}

fn spaced_before(text: &str, from: usize, start: usize) -> bool {
    from > start && text.get(start..from).is_some_and(|t| !t.trim().is_empty())
}

/// A raw text as it should be written to stand for itself, and a word on how. Without a `*`, quotes are
/// the plainest way; with one, everything else is escaped.
fn written(raw: &str) -> (String, &'static str) {
    if !raw.contains('*') {
        return (print::quote(raw.trim_matches('\'')), "");
    }
    let mut out = String::new();
    for c in raw.chars() {
        if c != '*' && u8::try_from(c).is_ok_and(is_reserved) {
            out.push('\\');
        }
        out.push(c);
    }
    (out, " (`\\` before each reserved character)")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use proptest::prelude::*;

    /// The only error of a query: its message, the text it points at, its help.
    fn error(query: &str) -> (String, String, String) {
        let found = parse(query).diagnostics;
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        let d = found.first().unwrap();
        let at = d.span().unwrap().slice(query).to_owned();
        (d.message.clone(), at, d.help.clone().unwrap_or_default())
    }

    #[test]
    fn what_kibana_refuses_is_refused() {
        for query in [
            "a:",
            "a:()",
            "n:{ }",
            "a:(b",
            "a:b)",
            "(a) b",
            "a:\"x\" y",
            "a:\"x",
            "a:not b",
            "not not a:b",
            "not(a:b)",
            "(a:b)or (c:d)",
            "a:can\\\\not b",
            "canNOT b",
            "a\\.b:c",
            "> 3",
            "a <> 3",
            "a <\u{a0}> 3",
            "a:b:c",
            "a { b:c }",
            "a:b and ",
            "a:(b c:d)",
            "n:{ a:b",
            "n:{ a:b )",
            "a > (1 or 2)",
            "a:\"x\\\"",
            "a\\ b:c",
        ] {
            let parsed = parse(query);
            assert!(parsed.query.is_none() && !parsed.diagnostics.is_empty(), "{query}");
        }
    }

    #[test]
    fn odd_but_valid_queries_are_accepted() {
        for query in [
            "",
            " \n ",
            "and",
            "or",
            "not",
            "x and",
            "a:b or",
            "AND x",
            "x and and y",
            "a:(and or not)",
            "\"a b\":c",
            "a b:c d",
            "n*:{ x:y }",
            "a:(b or not (c and d))",
            "not (a:b)",
            "null: x",
            "a > null",
            "a:/* c */",
            "a:'x'",
            "a:b\u{a0}and\u{a0}c:d",
            "a:\\u0041",
            "a:b, c",
            "f:{1 TO 2}",
            "a:==b",
        ] {
            assert!(parse(query).query.is_some(), "{query}: {:?}", parse(query).diagnostics);
        }
    }

    #[test]
    fn errors_name_the_place_and_say_what_to_write() {
        let (message, at, help) = error("user.name: not root");
        assert_eq!(message, "`not` cannot stand between a field and its value");
        assert_eq!(
            (at.as_str(), help.as_str()),
            ("not", "write `not user.name: …`, or `user.name: (not …)`")
        );
        let (message, at, help) = error("source.ip: 2001:db8::7");
        assert_eq!(message, "a colon inside a value must be escaped or quoted");
        assert_eq!((at.as_str(), help.as_str()), (":", "write `\"2001:db8::7\"`"));
        assert_eq!(error(r"p:D:\Tools\*").2, r"write `D\:\\Tools\\*` (`\` before each reserved character)");
        assert_eq!(error("a:\"x\" or\"y\"").2, "write ` or ` with a space on both sides");
        assert_eq!(error("NOT(a:b)").0, "a space is missing between `NOT` and `(`");
        assert_eq!(error("a:I cannot go").1, "cannot");
        assert_eq!(error("a:(b or (c and d)").1, "(");
        assert_eq!(error("a:b) ").0, "`)` without a `(` before it");
        assert_eq!(error(r"a\-b:c").2, "write `a-b:c`: no backslash is needed there");
        assert_eq!(error("a in (b, c)").0, "KQL has no operator `in`");
        assert_eq!(error("a:>5").2, "a comparison has no colon: write `a > …`");
        assert_eq!(error("a:x b:y").0, "`and` or `or` is missing before this condition");
    }

    #[test]
    fn reading_goes_on_after_an_error() {
        let found = parse("a:b:c and d:not e or f:\"g\"h and i:(k").diagnostics;
        let places: Vec<u32> = found.iter().filter_map(|d| Some(d.span()?.start)).collect();
        assert_eq!(places, [3, 12, 26, 34]);
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        let fine = format!("{}a{}", "(".repeat(200), ")".repeat(200));
        assert!(parse(&fine).query.is_some());
        let deep = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(parse(&deep).diagnostics.first().unwrap().code, crate::diag::Code::RP0104);
        assert!(parse(&"a:{".repeat(100_000)).query.is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_with_a_reason(
            text in r#"([a-zé]|[ \n\x{a0}]|[\\():<>"*{}]| and | or |not |\\u00e9|\PC){0,40}"#
        ) {
            let parsed = parse(&text);
            prop_assert_eq!(parsed.query.is_none(), !parsed.diagnostics.is_empty());
            for d in &parsed.diagnostics {
                for label in &d.labels {
                    prop_assert!(text.get(label.span.range()).is_some(), "{:?}", d);
                }
            }
            if let Some(query) = &parsed.query {
                let again = parse(&super::print::print(query));
                prop_assert_eq!(again.query.as_ref(), Some(query));
            }
        }
    }
}
