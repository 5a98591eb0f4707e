//! A TOML file as JSON, with the place of every key and value: what rule files, test files and
//! `rulepack.toml` are read from.

use super::string;
use crate::diag::{Code, Diagnostic};
use crate::source::{QueryText, Source, Span};
use serde_json::{Map, Value};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest TOML file that is read, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A TOML file that was read, perhaps with errors.
#[derive(Clone, Debug)]
pub struct Document {
    source: Arc<Source>,
    json: Value,
    root: Node,
    /// Where the syntax errors are.
    damage: Vec<Span>,
}

/// Where a value stands, and the values below it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The key; `None` for entries of an array and for the file.
    pub key: Option<Span>,
    /// The value; for a table its header.
    pub value: Span,
    children: Children,
}

#[derive(Clone, Debug, Default)]
enum Children {
    #[default]
    None,
    Table(Vec<(Box<str>, Node)>),
    Array(Vec<Node>),
}

impl Node {
    /// The node of a key or index below this one.
    pub fn child(&self, segment: &str) -> Option<&Node> {
        match &self.children {
            Children::None => None,
            Children::Table(nodes) => nodes.iter().find(|(k, _)| k.as_ref() == segment).map(|(_, n)| n),
            Children::Array(nodes) => nodes.get(segment.parse::<usize>().ok()?),
        }
    }

    /// The key if there is one, else the value: what a finding about the whole entry points at.
    pub fn name_span(&self) -> Span {
        self.key.unwrap_or(self.value)
    }
}

impl Document {
    /// Reads the bytes of a file that people know as `name`. `None` where it cannot be read at all;
    /// after a syntax error the rest is read.
    pub fn read(name: &str, bytes: Vec<u8>) -> (Option<Document>, Vec<Diagnostic>) {
        if bytes.len() > MAX_BYTES {
            let d = Diagnostic::new(
                Code::RP0008,
                format!(
                    "this file has {} bytes, more than the {} MB that are read",
                    bytes.len(),
                    MAX_BYTES / 1024 / 1024
                ),
            );
            return (None, vec![d.in_source(&Arc::new(Source::new(name, "")))]);
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => {
                let at = e.utf8_error().valid_up_to();
                let byte = e.as_bytes().get(at).copied().unwrap_or(0);
                // the text before the damage is unchanged, so offsets up to it stay right
                let source = Arc::new(Source::new(name, String::from_utf8_lossy(e.as_bytes()).as_ref()));
                let p = source.position(Span::new(at, at).start);
                let d = Diagnostic::new(Code::RP0002, "this file is not UTF-8 text")
                    .at(
                        Span::new(at, at + '\u{fffd}'.len_utf8()),
                        format!("byte 0x{byte:02x} at line {}, column {}", p.line, p.column),
                    )
                    .help("save the file as UTF-8");
                return (None, vec![d.in_source(&source)]);
            }
        };
        Document::parse(Arc::new(Source::new(name, text)))
    }

    /// Reads a text.
    fn parse(source: Arc<Source>) -> (Option<Document>, Vec<Diagnostic>) {
        let (table, errors) = DeTable::parse_recoverable(source.text());
        let mut found: Vec<Diagnostic> = errors.iter().map(|e| syntax(e, &source)).collect();
        let mut reader = Reader { source: &source, found: &mut found };
        let (json, mut root) = reader.table(table.get_ref());
        root.value = Span::new(0, 0);
        let damage = errors.iter().filter_map(|e| e.span()).map(|r| Span::new(r.start, r.end)).collect();
        (Some(Document { source, json, root, damage }), found)
    }

    /// The text of the file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The whole file as JSON, keys in the order of the file.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Whether the file had syntax errors, so that something may be missing.
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty()
    }

    /// Whether a syntax error touches the value of a JSON pointer, or it is a number that JSON does not
    /// have: the mistake is said, and what stands there instead is not what was meant.
    pub fn is_mended(&self, pointer: &str) -> bool {
        let Some(node) = self.node(pointer) else { return false };
        let value = node.value;
        self.json.pointer(pointer) == Some(&Value::Null)
            || self.damage.iter().any(|d| d.start <= value.end && value.start <= d.end)
    }

    /// The node of a JSON pointer such as `/rule/threat/0`.
    pub fn node(&self, pointer: &str) -> Option<&Node> {
        segments(pointer).try_fold(&self.root, |n, s| n.child(&s))
    }

    /// The node of a JSON pointer, or the nearest one above it.
    pub fn nearest(&self, pointer: &str) -> &Node {
        let mut node = &self.root;
        for segment in segments(pointer) {
            match node.child(&segment) {
                Some(child) => node = child,
                None => break,
            }
        }
        node
    }

    /// The string of a JSON pointer with the place of each of its bytes.
    pub fn query_text(&self, pointer: &str) -> Option<QueryText> {
        let text = self.json.pointer(pointer)?.as_str()?;
        let span = self.node(pointer)?.value;
        let decoded = string::decode(span.slice(self.source.text()), span.start as usize);
        Some(decoded.filter(|q| q.text() == text).unwrap_or_else(|| {
            // a string that was mended while reading: at least the beginning is right
            QueryText::mapped(text, crate::source::SpanMap::shifted(span.start + 1))
        }))
    }
}

/// The unescaped segments of a JSON pointer.
fn segments(pointer: &str) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    pointer
        .split('/')
        .skip(1)
        .map(|s| if s.contains('~') { s.replace("~1", "/").replace("~0", "~").into() } else { s.into() })
}

fn syntax(error: &toml::de::Error, source: &Arc<Source>) -> Diagnostic {
    let span = error.span().map_or(Span::new(0, 0), |r| Span::new(r.start, r.end));
    let message = error.message().trim_end_matches('.');
    let (message, expected) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, expected),
        None => (message, ""),
    };
    let mut chars = message.chars();
    let lower: String = chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default();
    let label = if expected.is_empty() { String::new() } else { format!("expected {expected}") };
    if let Some(c) = source.text().get(span.start as usize..).and_then(|t| t.chars().next())
        && c.is_control()
        && !matches!(c, '\t' | '\n' | '\r')
    {
        return Diagnostic::new(
            Code::RP0003,
            format!("TOML syntax: control character U+{:04X}", u32::from(c)),
        )
        .at(span, "not allowed in TOML, not even in a string")
        .help("remove it; inside double quotes it can be written as `\\u0000`")
        .in_source(source);
    }
    let mut d = Diagnostic::new(Code::RP0003, format!("TOML syntax: {lower}")).at(span, label);
    if lower.contains("escape") {
        d = d.help("use single quotes ('…' or '''…''') for text with backslashes");
    } else if lower.contains("duplicate") {
        d = d.help("a key may stand once in a table");
    }
    d.in_source(source)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    found: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>) -> (Value, Node) {
        // the parser sorts keys by name; the file's own order is that of their places
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(k, _)| k.span().start);
        let mut map = Map::with_capacity(entries.len());
        let mut nodes = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            let (json, mut node) = self.value(value);
            node.key = Some(Span::new(key.span().start, key.span().end));
            map.insert(name.to_owned(), json);
            nodes.push((name.into(), node));
        }
        (Value::Object(map), Node { children: Children::Table(nodes), ..Node::default() })
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> (Value, Node) {
        let span = Span::new(value.span().start, value.span().end);
        let leaf = |json: Value| (json, Node { value: span, ..Node::default() });
        match value.get_ref() {
            DeValue::String(s) => leaf(Value::String(self.string(s, span))),
            DeValue::Boolean(b) => leaf(Value::Bool(*b)),
            DeValue::Datetime(_) => leaf(Value::String(span.slice(self.source.text()).to_owned())),
            DeValue::Integer(i) => {
                let number = i64::from_str_radix(i.as_str(), i.radix());
                leaf(number.map(Value::from).unwrap_or_else(|_| {
                    self.no_json(span, "this integer does not fit into 64 bits");
                    Value::Null
                }))
            }
            DeValue::Float(f) => {
                let number = f.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                leaf(number.map(Value::Number).unwrap_or_else(|| {
                    self.no_json(span, "this number has no JSON form");
                    Value::Null
                }))
            }
            DeValue::Array(items) => {
                let (values, nodes) = items.iter().map(|i| self.value(i)).unzip();
                (Value::Array(values), Node { key: None, value: span, children: Children::Array(nodes) })
            }
            DeValue::Table(table) => {
                let (json, node) = self.table(table);
                (json, Node { value: span, ..node })
            }
        }
    }

    /// The text of a string, line breaks as `\n` whatever the file has.
    fn string(&self, parsed: &str, span: Span) -> String {
        let token = span.slice(self.source.text());
        if token.contains('\r')
            && let Some(decoded) = string::decode(token, span.start as usize)
        {
            return decoded.text().to_owned();
        }
        parsed.to_owned()
    }

    fn no_json(&mut self, span: Span, message: &str) {
        self.found.push(Diagnostic::new(Code::RP0007, message).at(span, "").in_source(self.source));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Document, Vec<Diagnostic>) {
        let (d, found) = Document::read("a.toml", text.as_bytes().to_vec());
        (d.unwrap(), found)
    }

    #[test]
    fn keys_keep_their_order_and_their_places() {
        let text = "[rule]\nz = 1\na = ['x', 'y']\n[[rule.t]]\nid = \"T\"\n";
        let (d, found) = read(text);
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(d.json().to_string(), r#"{"rule":{"z":1,"a":["x","y"],"t":[{"id":"T"}]}}"#);
        let slice = |p: &str| d.node(p).unwrap().value.slice(text);
        assert_eq!(slice("/rule/a/1"), "'y'");
        assert_eq!(slice("/rule/t/0/id"), "\"T\"");
        assert_eq!(d.node("/rule/z").unwrap().key.unwrap().slice(text), "z");
        assert_eq!(slice("/rule"), "[rule]");
        assert_eq!(d.nearest("/rule/nope/x").value.slice(text), "[rule]");
    }

    #[test]
    fn reading_goes_on_after_a_syntax_error() {
        let (d, found) = read("a = 1\nb = \nc = 3\nc = 4\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|f| f.code == Code::RP0003));
        assert_eq!(found[0].place().as_deref(), Some("a.toml:2:5"));
        assert_eq!(d.json()["c"], 3);
        assert!(d.is_damaged());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_placed() {
        let (d, found) = Document::read("a.toml", b"a = 1\nb = 'x\xff'\n".to_vec());
        assert!(d.is_none());
        assert_eq!(found[0].code, Code::RP0002);
        assert_eq!(found[0].place().as_deref(), Some("a.toml:2:7"));
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused() {
        let (d, found) = Document::read("a.toml", vec![b' '; MAX_BYTES + 1]);
        assert!(d.is_none());
        assert_eq!(found[0].code, Code::RP0008);
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        let (_, found) = Document::read("a.toml", deep.into_bytes());
        assert!(found.iter().any(|f| f.code == Code::RP0003));
    }

    proptest! {
        #[test]
        fn crlf_files_give_the_json_of_lf_files(lines in prop::collection::vec("[a-z \"\\\\t]{0,8}", 0..6)) {
            let body = lines.join("\n");
            let text = format!("[rule]\nq = '''\n{body}\n'''\nb = \"\"\"\n{}\n\"\"\"\nc = [\n 'x',\n]\n", body.replace(['"', '\\'], ""));
            let (lf, _) = read(&text);
            let (crlf, found) = read(&text.replace('\n', "\r\n"));
            prop_assert!(found.is_empty());
            prop_assert_eq!(lf.json(), crlf.json());
            let q = crlf.query_text("/rule/q").unwrap();
            prop_assert_eq!(q.text(), lf.json()["rule"]["q"].as_str().unwrap());
        }

        #[test]
        fn no_text_makes_it_panic(text in "(\\[|\\]|=|\"|'|\\\\|\n|a|\\.|1|\\{|\\}|,){0,40}") {
            let _ = Document::read("a.toml", text.into_bytes());
        }
    }
}
