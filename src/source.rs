//! Text that diagnostics point into: source files, byte spans, and the map from a query's own
//! offsets back to the TOML string that holds it.

use std::sync::Arc;

/// A half-open range of byte offsets into one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset one past the last byte.
    pub end: u32,
}

impl Span {
    /// A span from byte offsets; offsets beyond 4 GiB are clamped.
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { start: clamp(start), end: clamp(end.max(start)) }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The bytes of `text` below this span; empty where the span does not fit the text.
    pub fn slice(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or("")
    }

    /// The span as a range of `usize`.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A line and a column, both counted from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A named text: a rule file, a test file, or a query typed on the command line.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: Arc<str>,
    lines: Vec<u32>,
}

impl Source {
    /// A source whose `name` is what people see as its path.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let mut lines = vec![0];
        lines.extend(
            text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| Span::new(i + 1, i + 1).start),
        );
        Source { name: name.into(), text, lines }
    }

    /// The path or label shown to people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The shared text.
    pub fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start as usize..offset as usize).map_or(0, |s| s.chars().count()) + 1;
        Position { line, column }
    }

    /// `name:line:column` of a byte offset.
    pub fn place(&self, offset: u32) -> String {
        let p = self.position(offset);
        format!("{}:{}:{}", self.name, p.line, p.column)
    }
}

/// A query's text and where each of its bytes stands in the file it came from.
#[derive(Clone, Debug)]
pub struct QueryText {
    text: Arc<str>,
    map: SpanMap,
    quoting: Quoting,
}

/// How a text is written in the file that holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quoting {
    /// As it is.
    #[default]
    None,
    /// A TOML string with escapes.
    Basic {
        /// Whether it may have line breaks.
        multi_line: bool,
    },
    /// A TOML string without escapes.
    Literal {
        /// Whether it may have line breaks.
        multi_line: bool,
    },
}

impl Quoting {
    /// A text as it is to stand inside of such a string; `None` where it cannot.
    pub fn write(self, text: &str) -> Option<String> {
        let control = |c: char| c.is_control() && c != '\t' && c != '\n';
        match self {
            Quoting::None => Some(text.to_owned()),
            Quoting::Literal { multi_line } => {
                let fits = if multi_line { !text.contains("'''") } else { !text.contains(['\'', '\n']) };
                (fits && !text.contains(control)).then(|| text.to_owned())
            }
            Quoting::Basic { multi_line } => {
                let mut out = String::with_capacity(text.len() + 8);
                let mut quotes = 0;
                for c in text.chars() {
                    quotes = if c == '"' { quotes + 1 } else { 0 };
                    match c {
                        '\\' => out.push_str("\\\\"),
                        // one or two quotes end no multi-line string
                        '"' if multi_line && quotes < 2 => out.push(c),
                        '"' => out.push_str("\\\""),
                        '\n' if !multi_line => out.push_str("\\n"),
                        c if control(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                        c => out.push(c),
                    }
                }
                Some(out)
            }
        }
    }
}

/// Breakpoints `(query offset, file offset)`: between two of them both advance together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanMap {
    points: Vec<(u32, u32)>,
}

impl SpanMap {
    /// A map that shifts every offset by `base`.
    pub fn shifted(base: u32) -> Self {
        SpanMap { points: vec![(0, base)] }
    }

    /// Says that from `query` on, offsets count from `file`. Points must be added in order.
    pub fn add(&mut self, query: usize, file: usize) {
        let p = Span::new(query, file.max(query));
        let point = (p.start, Span::new(file, file).start);
        if let Some(last) = self.points.last_mut() {
            if last.0 == point.0 {
                *last = point;
                return;
            }
            if point.0 - last.0 == point.1.wrapping_sub(last.1) {
                return;
            }
        }
        self.points.push(point);
    }

    /// Says that at `query` the file has bytes `from..to` that the query lacks (a line continuation).
    /// A span that ends there ends at `from`, one that begins there begins at `to`.
    pub fn skip(&mut self, query: usize, from: usize, to: usize) {
        let at = |file: usize| (Span::new(query, query).start, Span::new(file, file).start);
        if self.points.last().is_none_or(|last| last.0 != at(0).0) {
            self.points.push(at(from));
        }
        self.points.push(at(to));
    }

    /// The file offset of a query offset.
    pub fn offset(&self, query: u32) -> u32 {
        let i = self.points.partition_point(|p| p.0 <= query);
        match i.checked_sub(1).and_then(|i| self.points.get(i)) {
            Some((q, f)) => f + (query - q),
            None => query,
        }
    }

    /// The file span of a query span. Its end is mapped from its last byte, so that an escape that
    /// follows is not included.
    pub fn span(&self, span: Span) -> Span {
        let start = self.offset(span.start);
        if span.end <= span.start {
            return Span { start, end: start };
        }
        let last = self.offset(span.end - 1);
        // the last byte may itself be an escape: it ends where the next byte begins
        let i = self.points.partition_point(|p| p.0 < span.end);
        let next = match self.points.get(i) {
            Some((query, file)) if *query == span.end => *file,
            _ => self.offset(span.end),
        };
        let end = if next > last { next } else { last + 1 };
        Span { start, end: end.max(start) }
    }
}

impl QueryText {
    /// A query that is a file, or a command-line argument, by itself.
    pub fn plain(text: impl Into<Arc<str>>) -> Self {
        QueryText { text: text.into(), map: SpanMap::default(), quoting: Quoting::None }
    }

    /// A query inside a file.
    pub fn mapped(text: impl Into<Arc<str>>, map: SpanMap) -> Self {
        QueryText { text: text.into(), map, quoting: Quoting::None }
    }

    /// Says how the file writes it.
    pub fn quoted(mut self, quoting: Quoting) -> Self {
        self.quoting = quoting;
        self
    }

    /// How the file writes it.
    pub fn quoting(&self) -> Quoting {
        self.quoting
    }

    /// The decoded text of the query.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a span of the query in the file.
    pub fn file_span(&self, span: Span) -> Span {
        self.map.span(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let s = Source::new("a.toml", "é = 1\r\nb = 2\n");
        assert_eq!(s.position(0), Position { line: 1, column: 1 });
        assert_eq!(s.position(3), Position { line: 1, column: 3 });
        assert_eq!(s.place(8), "a.toml:2:1");
        assert_eq!(s.position(999), Position { line: 3, column: 1 });
    }

    #[test]
    fn a_text_is_escaped_for_the_string_that_holds_it() {
        let basic = |multi_line| Quoting::Basic { multi_line };
        let literal = |multi_line| Quoting::Literal { multi_line };
        let text = "a\\b \"c\"\n";
        assert_eq!(basic(false).write(text).unwrap(), "a\\\\b \\\"c\\\"\\n");
        assert_eq!(basic(true).write(text).unwrap(), "a\\\\b \"c\"\n");
        assert_eq!(basic(true).write("\"\"\"").unwrap(), "\"\\\"\\\"");
        assert_eq!(literal(true).write(text).as_deref(), Some(text));
        assert_eq!(literal(false).write(text), None);
        assert_eq!(literal(true).write("'''"), None);
        assert_eq!(Quoting::None.write(text).as_deref(), Some(text));
    }

    #[test]
    fn a_span_map_follows_escapes() {
        // file: "a\"b" -> query: a"b, the text begins at file offset 1
        let mut m = SpanMap::shifted(1);
        m.add(1, 2);
        m.add(2, 4);
        assert_eq!(m.span(Span::new(0, 1)), Span::new(1, 2));
        assert_eq!(m.span(Span::new(1, 2)), Span::new(2, 4));
        assert_eq!(m.span(Span::new(2, 3)), Span::new(4, 5));
    }
}
