//! The four kinds of TOML strings, decoded with a map from every byte of the value back to the file.
//! The TOML parser gives values and spans of whole tokens only.

use crate::source::{QueryText, Quoting, SpanMap};

/// Decodes one string token, quotes included, that begins at `base` in its file. Line breaks come out
/// as `\n`. `None` for text that is no TOML string.
pub fn decode(token: &str, base: usize) -> Option<QueryText> {
    let kind = Kind::of(token)?;
    let quotes = kind.quotes();
    let mut body = token.get(quotes..token.len().checked_sub(quotes)?)?;
    let mut start = quotes;
    if kind.multi_line {
        let trimmed = body.strip_prefix("\r\n").or_else(|| body.strip_prefix('\n')).unwrap_or(body);
        start += body.len() - trimmed.len();
        body = trimmed;
    }
    let first = u32::try_from(base + start).ok()?;
    let mut out = Decoder {
        body,
        at: 0,
        base: base + start,
        text: String::with_capacity(body.len()),
        map: SpanMap::shifted(first),
    };
    while let Some(c) = out.peek() {
        match c {
            '\r' if out.rest().starts_with("\r\n") => out.replace(2, "\n"),
            '\\' if kind.escapes => out.escape(kind.multi_line)?,
            c => {
                out.text.push(c);
                out.at += c.len_utf8();
            }
        }
    }
    let quoting = match kind {
        Kind { escapes: true, multi_line } => Quoting::Basic { multi_line },
        Kind { escapes: false, multi_line } => Quoting::Literal { multi_line },
    };
    Some(QueryText::mapped(out.text, out.map).quoted(quoting))
}

struct Kind {
    escapes: bool,
    multi_line: bool,
}

impl Kind {
    fn of(token: &str) -> Option<Kind> {
        let multi = |q: &str| token.len() >= 6 && token.starts_with(q) && token.ends_with(q);
        let single = |q: char| token.len() >= 2 && token.starts_with(q) && token.ends_with(q);
        Some(match () {
            () if multi("\"\"\"") => Kind { escapes: true, multi_line: true },
            () if multi("'''") => Kind { escapes: false, multi_line: true },
            () if single('"') => Kind { escapes: true, multi_line: false },
            () if single('\'') => Kind { escapes: false, multi_line: false },
            () => return None,
        })
    }

    fn quotes(&self) -> usize {
        if self.multi_line { 3 } else { 1 }
    }
}

struct Decoder<'a> {
    body: &'a str,
    /// Offset of the next character in `body`.
    at: usize,
    /// Offset of `body` in the file.
    base: usize,
    text: String,
    map: SpanMap,
}

impl<'a> Decoder<'a> {
    fn rest(&self) -> &'a str {
        self.body.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes `length` bytes of the file for `text`.
    fn replace(&mut self, length: usize, text: &str) {
        self.map.add(self.text.len(), self.base + self.at);
        self.text.push_str(text);
        self.at += length;
        self.map.add(self.text.len(), self.base + self.at);
    }

    fn escape(&mut self, multi_line: bool) -> Option<()> {
        let rest = self.rest();
        let simple = |text| Some((2, text));
        let (length, text) = match rest.chars().nth(1)? {
            'b' => simple("\u{8}"),
            't' => simple("\t"),
            'n' => simple("\n"),
            'f' => simple("\u{c}"),
            'r' => simple("\r"),
            'e' => simple("\u{1b}"),
            '"' => simple("\""),
            '\\' => simple("\\"),
            letter @ ('x' | 'u' | 'U') => {
                let digits = match letter {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let hex = rest.get(2..2 + digits)?;
                let c = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
                self.replace(2 + digits, c.encode_utf8(&mut [0; 4]));
                return Some(());
            }
            ' ' | '\t' | '\r' | '\n' if multi_line => {
                let after = rest.get(1..)?;
                let blank = after.len() - after.trim_start_matches([' ', '\t', '\r', '\n']).len();
                if !after.get(..blank)?.contains('\n') {
                    return None;
                }
                let from = self.base + self.at;
                self.at += 1 + blank;
                self.map.skip(self.text.len(), from, self.base + self.at);
                return Some(());
            }
            _ => None,
        }?;
        self.replace(length, text);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;
    use proptest::prelude::*;

    /// The value that the TOML parser gives for a token, in a file with something before it.
    fn parsed(token: &str) -> String {
        let table: toml::Table = toml::from_str(&format!("a = {token}\n")).unwrap();
        table["a"].as_str().unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn every_kind_of_string_decodes_as_the_toml_parser_does() {
        for token in [
            "\"plain\"",
            "'it is \\ literal'",
            "\"tab\\t quote\\\" \\u00e9 \\U0001F600 \\\\\"",
            "\"\"\"\nfirst\nsecond \\\n   joined\n\"\"\"",
            "\"\"\"no newline\"\"\"",
            "'''\nwhere x : \"a\\b\"\n'''",
            "\"\"\"two quotes\"\"\"\"\"",
            "''''a'''",
            "\"\"\"\n\\\n  \"\"\"",
            "\"\"",
        ] {
            assert_eq!(decode(token, 0).unwrap().text(), parsed(token), "{token}");
        }
        assert!(decode("nothing", 0).is_none());
        assert!(decode("\"\\q\"", 0).is_none());
    }

    #[test]
    fn a_span_before_a_line_continuation_ends_at_the_backslash() {
        let token = "\"\"\"\nab \\\n   cd\"\"\"";
        let q = decode(token, 0).unwrap();
        assert_eq!(q.text(), "ab cd");
        assert_eq!(q.file_span(Span::new(0, 3)).slice(token), "ab ");
        assert_eq!(q.file_span(Span::new(3, 5)).slice(token), "cd");
        assert_eq!(q.file_span(Span::new(0, 5)).slice(token), "ab \\\n   cd");
    }

    #[test]
    fn an_escape_maps_to_all_of_its_text() {
        let token = "\"a\\u00e9b\"";
        let q = decode(token, 0).unwrap();
        assert_eq!(q.text(), "aéb");
        assert_eq!(q.file_span(Span::new(1, 3)).slice(token), "\\u00e9");
        assert_eq!(q.file_span(Span::new(3, 4)).slice(token), "b");
    }

    /// Pieces of a multi-line basic string: what stands in the file, and what it means.
    fn piece() -> impl Strategy<Value = (String, String)> {
        prop_oneof![
            4 => "[a-zé :*()]{1,6}".prop_map(|s| (s.clone(), s)),
            1 => Just(("\\\"".to_owned(), "\"".to_owned())),
            1 => Just(("\\\\".to_owned(), "\\".to_owned())),
            1 => Just(("\\u00e9".to_owned(), "é".to_owned())),
            1 => Just(("\n".to_owned(), "\n".to_owned())),
            1 => Just(("\r\n".to_owned(), "\n".to_owned())),
        ]
    }

    proptest! {
        #[test]
        fn spans_of_every_piece_lead_back_to_its_text(pieces in prop::collection::vec(piece(), 0..12)) {
            let mut token = "\"\"\"\r\n".to_owned();
            let mut spans = Vec::new();
            let mut text = String::new();
            for (raw, value) in &pieces {
                spans.push((Span::new(text.len(), text.len() + value.len()), raw));
                token.push_str(raw);
                text.push_str(value);
            }
            token.push_str("\"\"\"");
            let file = format!("query = {token}");
            let q = decode(&token, 8).unwrap();
            prop_assert_eq!(q.text(), &text);
            for (span, raw) in spans {
                prop_assert_eq!(q.file_span(span).slice(&file), raw.as_str());
            }
        }

        #[test]
        fn literal_strings_map_byte_for_byte(text in "[a-z\"\\\\ :\n]{0,30}", from in 0usize..30, to in 0usize..30) {
            let file = format!("q = '''\n{text}'''");
            let q = decode(file.get(4..).unwrap(), 4).unwrap();
            prop_assert_eq!(q.text(), &text);
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            if from < to {
                let span = Span::new(from, to);
                prop_assert_eq!(q.file_span(span).slice(&file), span.slice(&text));
            }
        }

        #[test]
        fn no_token_makes_it_panic(token in ".{0,40}") {
            let _ = decode(&token, 3);
        }
    }
}
