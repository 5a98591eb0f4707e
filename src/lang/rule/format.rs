//! The canonical form of a TOML file of the pack: spaces, blank lines and the query in it. Comments,
//! values and the order of keys stay as they are, so this works on lines rather than on a tree.

use super::Document;
use crate::lang::{Language, kql, lucene};
use crate::source::Quoting;
use serde_json::Value;

/// The longest line of a query, where its values allow.
const WIDTH: usize = 100;

/// Why a file is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFormatted {
    /// It is no TOML; whoever reads it says where.
    #[error("it has syntax errors")]
    Syntax,
    /// The formatted text would mean something else.
    #[error("formatting would change what it means, which is a bug in rulepack")]
    Meaning,
}

/// The canonical text of a file.
///
/// # Errors
/// When the file has syntax errors, or its meaning would change.
pub fn format(text: &str) -> Result<String, NotFormatted> {
    let before = json(text).ok_or(NotFormatted::Syntax)?;
    let query = before.pointer("/rule/query").and_then(Value::as_str);
    let formatted = query.and_then(|q| format_query(language(&before)?, q));
    let token = formatted.as_deref().filter(|f| query != Some(f)).and_then(multi_line);
    let unix = text.replace("\r\n", "\n");
    let mut lines = Lines { rest: &unix, out: Vec::new(), blank: false, table: String::new() };
    lines.run(token.as_deref());
    let mut out = lines.out.join("\n");
    out.truncate(out.trim_end_matches('\n').len());
    out.push('\n');
    let mut after = json(&out).ok_or(NotFormatted::Meaning)?;
    if let (Some(place), Some(query)) = (after.pointer_mut("/rule/query"), query)
        && place.as_str() == formatted.as_deref()
    {
        *place = query.into();
    }
    if after == before { Ok(out) } else { Err(NotFormatted::Meaning) }
}

fn json(text: &str) -> Option<Value> {
    let (document, found) = Document::read("", text.as_bytes().to_vec());
    found.is_empty().then_some(document?.json().clone())
}

fn language(file: &Value) -> Option<Language> {
    let text = |key: &str| file.pointer("/rule")?.get(key)?.as_str();
    match text("language") {
        Some(name) => Language::from_name(name),
        None => super::RuleType::from_name(text("type")?)?.default_language(),
    }
}

/// A query in its canonical form; `None` where it stays as it is: EQL and ES|QL, whose comments have
/// no place in a tree, and what does not parse.
pub fn format_query(language: Language, text: &str) -> Option<String> {
    let out = match language {
        Language::Kql => {
            let parsed = kql::parse(text);
            if parsed.diagnostics.iter().any(|d| d.severity == crate::diag::Severity::Error) {
                return None;
            }
            let query = parsed.query?;
            let out = kql::layout(&query, WIDTH);
            (kql::parse(&out).query.as_ref() == Some(&query)).then_some(out)?
        }
        Language::Lucene => {
            let query = lucene::parse(text).ok()?;
            let out = lucene::print(&query);
            // it has no layout over several lines yet, so a long one keeps its own
            let fits = out.chars().count() <= WIDTH;
            (fits && lucene::parse(&out).ok().as_ref() == Some(&query)).then_some(out)?
        }
        Language::Eql | Language::Esql => return None,
    };
    if out.is_empty() {
        return None;
    }
    Some(out + "\n")
}

/// A text as a multi-line string token; literal where that is possible.
fn multi_line(text: &str) -> Option<String> {
    if let Some(inner) = (Quoting::Literal { multi_line: true }).write(text) {
        return Some(format!("'''\n{inner}'''"));
    }
    let inner = Quoting::Basic { multi_line: true }.write(text)?;
    Some(format!("\"\"\"\n{inner}\"\"\""))
}

/// The lines of a file that is known to be TOML, on their way into form.
struct Lines<'t> {
    rest: &'t str,
    out: Vec<String>,
    /// Whether blank lines were read that are not written yet.
    blank: bool,
    /// The header that the present line stands below.
    table: String,
}

impl<'t> Lines<'t> {
    /// `query`: the token that replaces the value of `query` below `[rule]`.
    fn run(&mut self, query: Option<&str>) {
        while !self.rest.is_empty() {
            let (line, after) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            let line = line.trim_matches([' ', '\t']);
            match line.chars().next() {
                None => self.blank = true,
                Some('#') => self.push(line.to_owned()),
                Some('[') => self.header(line),
                Some(_) => {
                    self.key(query);
                    continue;
                }
            }
            self.rest = after;
        }
    }

    /// Writes a line, after a blank one if there was any.
    fn push(&mut self, line: String) {
        if std::mem::take(&mut self.blank) && !self.out.is_empty() {
            self.out.push(String::new());
        }
        self.out.push(line);
    }

    /// A header stands after a blank line, with the comments right above it.
    fn header(&mut self, line: &str) {
        let end = outside_strings(line, &['#']).unwrap_or(line.len());
        let (name, comment) = line.split_at_checked(end).unwrap_or((line, ""));
        name.trim().clone_into(&mut self.table);
        if !self.blank {
            let comments = self.out.iter().rev().take_while(|l| l.starts_with('#')).count();
            let at = self.out.len() - comments;
            if at > 0 && self.out.get(at - 1).is_some_and(|l| !l.is_empty()) {
                self.out.insert(at, String::new());
            }
        }
        self.push(with_comment(name.trim(), comment));
    }

    fn key(&mut self, query: Option<&str>) {
        let text = self.rest;
        let equals = outside_strings(text, &['=']).unwrap_or(text.len());
        let (key, value) = text.split_at_checked(equals).unwrap_or((text, ""));
        let value = value.strip_prefix('=').unwrap_or(value).trim_start_matches([' ', '\t']);
        let (value, after) = value.split_at_checked(value_end(value)).unwrap_or((value, ""));
        let (comment, after) = after.split_once('\n').unwrap_or((after, ""));
        let key = key.trim();
        let value = query.filter(|_| key == "query" && self.table == "[rule]").unwrap_or(value);
        self.push(with_comment(&format!("{key} = {}", value.trim_end_matches([' ', '\t'])), comment));
        self.rest = after;
    }
}

fn with_comment(text: &str, comment: &str) -> String {
    let comment = comment.trim();
    if comment.is_empty() { text.to_owned() } else { format!("{text} {comment}") }
}

/// The first of some characters that stands in no quoted key.
fn outside_strings(text: &str, wanted: &[char]) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = text.get(at..)?.chars().next() {
        if wanted.contains(&c) {
            return Some(at);
        }
        at += if matches!(c, '"' | '\'') { string_length(text.get(at..)?) } else { c.len_utf8() };
    }
    None
}

/// The length of the string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let basic = text.starts_with('"');
    let quote = if basic { "\"" } else { "'" };
    let triple = quote.repeat(3);
    let close = if text.starts_with(&triple) { triple.as_str() } else { quote };
    let mut at = close.len();
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        if basic && rest.starts_with('\\') {
            at += 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
        } else if rest.starts_with(close) {
            // up to two quotes may stand before the closing ones
            let quotes = rest.bytes().take_while(|b| quote.as_bytes().contains(b)).count();
            return at + if close.len() == 3 { quotes.min(5) } else { 1 };
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Where a value ends: at the end of its line, or before a comment there.
fn value_end(text: &str) -> usize {
    let mut at = 0;
    let mut depth = 0usize;
    while let Some(rest) = text.get(at..) {
        let Some(c) = rest.chars().next() else { return at };
        match c {
            '"' | '\'' => {
                at += string_length(rest);
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            '\n' | '#' if depth == 0 => return at,
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSY: &str = "# a rule\n\n\n  [metadata]  # head\r\nmaturity=\"production\"   # why\n\n\n\n\n[rule]\n   # about the name\nname   =   'A'\ntype = \"query\"\nlanguage = \"kuery\"\nquery = \"a:x   AND b:(y or z)\"\ntags = [\n  \"one\", # first\n]\n[[rule.threat]]\nid.x = 1\n\n\n";

    #[test]
    fn spaces_and_the_query_are_brought_into_form_and_comments_stay() {
        let out = format(MESSY).unwrap();
        assert_eq!(
            out,
            "# a rule\n\n[metadata] # head\nmaturity = \"production\" # why\n\n[rule]\n# about the name\nname = 'A'\ntype = \"query\"\nlanguage = \"kuery\"\nquery = '''\na: x and b: (y or z)\n'''\ntags = [\n  \"one\", # first\n]\n\n[[rule.threat]]\nid.x = 1\n"
        );
        assert_eq!(format(&out).unwrap(), out);
    }

    #[test]
    fn what_cannot_be_read_or_has_no_printer_stays() {
        assert_eq!(format("a = \n"), Err(NotFormatted::Syntax));
        assert_eq!(format_query(Language::Eql, "any where true // x"), None);
        assert_eq!(format_query(Language::Kql, "a:(b"), None);
        assert_eq!(format_query(Language::Lucene, "a && b").as_deref(), Some("a AND b\n"));
        let broken = "[rule]\ntype = 'query'\nlanguage = 'kuery'\nquery = 'a:(b'\n";
        assert_eq!(format(broken).unwrap(), broken);
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            Just("   ".to_owned()),
            "# [a-z ]{0,8}",
            "(\"[=#]\"\\.)?[a-c]{1,3}( |  )?=( |)('[a-z# ]{0,6}'|[0-9]{1,3}|\\[ ?1, # x\n 2 ?\\]|\"\"\"\n a  \n#\\\\\"\"\"\"\"|'''\n[rule] # '''|\\{ a = 1 \\})( # [a-z]{0,4})?",
            "\\[[a-z]\\](  # [a-z]{0,4})?",
            "\\[\\[t\\.[a-z]\\]\\]",
        ]
    }

    proptest! {
        #[test]
        fn formatting_twice_is_formatting_once_and_loses_no_comment(lines in prop::collection::vec(line(), 0..12)) {
            let text = lines.join("\n");
            match format(&text) {
                Ok(once) => {
                    prop_assert_eq!(&format(&once).unwrap(), &once);
                    prop_assert_eq!(once.matches('#').count(), text.matches('#').count(), "{}", once);
                }
                Err(e) => prop_assert_eq!(e, NotFormatted::Syntax, "{}", text),
            }
        }
    }
}
