//! The canonical printer of KQL: its output parses to the same tree. Keywords are lower-case, values of
//! one field are gathered in a list, parentheses stand only where they are needed.

use super::ast::{Node, NodeKind, Query, Term, TermValue};
use super::lexer::is_reserved;
use std::sync::Arc;

/// The query as canonical text; empty for the empty query.
pub fn print(query: &Query) -> String {
    let mut out = String::new();
    if let Some(root) = &query.root {
        node(root, None, &mut out);
    }
    out
}

/// A value as it is to be written in a query, quoted or not.
pub fn value_text(text: &str, quoted: bool) -> String {
    if quoted { quote(text) } else { term_text(&TermValue::Text { text: text.into(), quoted }) }
}

/// A text in double quotes.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `list`: the field whose value list is being printed.
fn node(n: &Node, list: Option<&Arc<Term>>, out: &mut String) {
    match &n.kind {
        NodeKind::And(parts) | NodeKind::Or(parts) => {
            if list.is_none()
                && let Some(field) = common_field(n)
            {
                out.push_str(&term_text(&field.value));
                out.push_str(": (");
                node(n, Some(field), out);
                out.push(')');
                return;
            }
            let (word, is_and) = match &n.kind {
                NodeKind::And(_) => (" and ", true),
                _ => (" or ", false),
            };
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    out.push_str(word);
                }
                let needed = match &part.kind {
                    NodeKind::And(_) => is_and,
                    NodeKind::Or(_) => true,
                    _ => false,
                };
                // a group that is printed as a value list brings its own parentheses
                bracket(part, list, needed && (list.is_some() || common_field(part).is_none()), out);
            }
        }
        NodeKind::Not(child) => {
            out.push_str("not ");
            let group = matches!(child.kind, NodeKind::And(_) | NodeKind::Or(_));
            let needed = matches!(child.kind, NodeKind::Not(_))
                || (group && (list.is_some() || common_field(child).is_none()));
            bracket(child, list, needed, out);
        }
        NodeKind::Is { field, value } => {
            if let (Some(field), None) = (field, list) {
                out.push_str(&term_text(&field.value));
                out.push_str(": ");
            }
            out.push_str(&term_text(&value.value));
        }
        NodeKind::Range { field, op, value } => {
            out.push_str(&term_text(&field.value));
            out.push(' ');
            out.push_str(op.text());
            out.push(' ');
            out.push_str(&term_text(&value.value));
        }
        NodeKind::Nested { path, child } => {
            out.push_str(&term_text(&path.value));
            out.push_str(": { ");
            node(child, None, out);
            out.push_str(" }");
        }
    }
}

fn bracket(n: &Node, list: Option<&Arc<Term>>, needed: bool, out: &mut String) {
    if needed {
        out.push('(');
    }
    node(n, list, out);
    if needed {
        out.push(')');
    }
}

/// The field that every clause below a group asks for a value.
fn common_field(n: &Node) -> Option<&Arc<Term>> {
    match &n.kind {
        NodeKind::And(parts) | NodeKind::Or(parts) => {
            let mut fields = parts.iter().map(common_field);
            let first = fields.next()??;
            fields.all(|f| f.is_some_and(|f| f == first)).then_some(first)
        }
        NodeKind::Not(child) => common_field(child),
        NodeKind::Is { field, .. } => field.as_ref(),
        _ => None,
    }
}

fn term_text(value: &TermValue) -> String {
    match value {
        TermValue::Null | TermValue::Bool(_) => value.to_string(),
        TermValue::Text { text, quoted: true } => quote(text),
        // what is left of a text that was nothing but trimmed
        TermValue::Text { text, .. } if text.is_empty() => "\\t".to_owned(),
        TermValue::Text { text, .. } => escape(text, true, true),
        TermValue::Wildcard(parts) => {
            let last = parts.len().saturating_sub(1);
            let parts: Vec<String> =
                parts.iter().enumerate().map(|(i, p)| escape(p, i == 0, i == last)).collect();
            parts.join("*")
        }
    }
}

/// A literal text with all that would be read otherwise escaped. `first` and `last` say whether it
/// begins and ends the whole literal.
fn escape(text: &str, first: bool, last: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{a0}');
    let starts =
        |rest: &str, word: &str| rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word));
    // whether what follows a word could be a space when the query is read again
    let ends = |rest: &str, len: usize| match rest.get(len..).and_then(|r| r.chars().next()) {
        Some(c) => is_space(c),
        None => last,
    };
    let mut before = if first { Some(' ') } else { None };
    for (i, c) in text.char_indices() {
        let rest = text.get(i..).unwrap_or("");
        let after_space = before.is_some_and(is_space);
        match c {
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            // `\n` would be a line break, so only a capital can be escaped by a backslash
            'n' if starts(rest, "not") && ends(rest, 3) => out.push_str("\\u006e"),
            'N' if starts(rest, "not") && ends(rest, 3) => out.push_str("\\N"),
            'o' | 'O' if after_space && starts(rest, "or") && ends(rest, 2) => {
                out.push('\\');
                out.push(c);
            }
            'a' | 'A' if after_space && starts(rest, "and") && ends(rest, 3) => {
                out.push('\\');
                out.push(c);
            }
            c => {
                if u8::try_from(c).is_ok_and(is_reserved) {
                    out.push('\\');
                }
                out.push(c);
            }
        }
        before = Some(c);
    }
    out
}
