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

/// A condition on one line, in parentheses if need be.
pub(super) fn flat(n: &Node, list: Option<&Arc<Term>>, brackets: bool) -> String {
    let mut out = String::new();
    bracket(n, list, brackets, &mut out);
    out
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
pub(super) fn common_field(n: &Node) -> Option<&Arc<Term>> {
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

/// A field or value, quoted and escaped.
pub(super) fn term_text(value: &TermValue) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::ast::RangeOp;
    use super::super::lexer::is_trimmed;
    use super::super::parse;
    use super::*;
    use crate::source::Span;
    use proptest::prelude::*;

    fn printed(query: &str) -> String {
        print(&parse(query).query.unwrap())
    }

    #[test]
    fn one_form_for_all_spellings() {
        assert_eq!(printed("a:x OR   a : y"), "a: (x or y)");
        assert_eq!(printed("a:(x or (y and not z))"), "a: (x or y and not z)");
        assert_eq!(printed("(a:x AND b:y) OR not (c<1)"), "a: x and b: y or not c < 1");
        assert_eq!(printed("(a:x or b:y) and c:(d or e)"), "(a: x or b: y) and c: (d or e)");
        assert_eq!(printed("not (a:x or a:y)"), "not a: (x or y)");
        assert_eq!(printed("n:{a:x and b:*}"), "n: { a: x and b: * }");
        assert_eq!(printed("null:x"), "x");
        assert_eq!(printed(r#""a b" : "c\\d\"""#), r#""a b": "c\\d\"""#);
        assert_eq!(printed(r"a:x\*y*"), r"a: x\*y*");
        assert_eq!(printed(r"a:this \or that\u006eot"), r"a: this \or that\u006eot");
    }

    fn term(value: TermValue) -> Term {
        Term { value, span: Span::default() }
    }

    fn text() -> impl Strategy<Value = String> {
        r#"([a-z]|[ \t\n]|[\\():<>"*{}]| and | or | Not |not|\PC){0,12}"#
    }

    fn any_term() -> impl Strategy<Value = Term> {
        prop_oneof![
            1 => Just(TermValue::Null),
            1 => any::<bool>().prop_map(TermValue::Bool),
            3 => text().prop_map(|t| TermValue::Text { text: t.into(), quoted: true }),
            4 => text().prop_map(|t| {
                let text = t.trim_matches(is_trimmed);
                let quoted = matches!(text, "null" | "true" | "false");
                TermValue::Text { text: text.into(), quoted }
            }),
            3 => prop::collection::vec(text(), 2..4).prop_map(|mut parts| {
                if let Some(first) = parts.first_mut() {
                    *first = first.trim_start_matches(is_trimmed).to_owned();
                }
                if let Some(last) = parts.last_mut() {
                    *last = last.trim_end_matches(is_trimmed).to_owned();
                }
                TermValue::Wildcard(parts.into_iter().map(Into::into).collect())
            }),
        ]
        .prop_map(term)
    }

    fn any_field() -> impl Strategy<Value = Arc<Term>> {
        prop_oneof![
            2 => "[ab]".prop_map(|t| term(TermValue::Text { text: t.into(), quoted: false })),
            1 => any_term(),
        ]
        .prop_map(Arc::new)
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let op = prop_oneof![
            Just(RangeOp::Less),
            Just(RangeOp::LessEqual),
            Just(RangeOp::Greater),
            Just(RangeOp::GreaterEqual)
        ];
        let leaf = prop_oneof![
            3 => (prop::option::weighted(0.8, any_field()), any_term()).prop_map(|(field, value)| {
                NodeKind::Is { field: field.filter(|f| f.value != TermValue::Null), value }
            }),
            1 => (any_field(), op, any_term())
                .prop_map(|(field, op, value)| NodeKind::Range { field, op, value }),
        ];
        let node = |kind| Node { kind, span: Span::default() };
        leaf.prop_map(node).prop_recursive(5, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(NodeKind::And),
                prop::collection::vec(inner.clone(), 2..4).prop_map(NodeKind::Or),
                inner.clone().prop_map(|n| NodeKind::Not(Box::new(n))),
                (any_field(), inner)
                    .prop_map(|(path, child)| NodeKind::Nested { path, child: Box::new(child) }),
            ]
            .prop_map(node)
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same_tree(root in prop::option::weighted(0.97, any_node())) {
            let query = Query { root };
            let text = print(&query);
            let parsed = parse(&text);
            prop_assert_eq!(parsed.query.as_ref(), Some(&query), "{} {:?}", text, parsed.diagnostics);
            prop_assert_eq!(&text, &print(parsed.query.as_ref().unwrap()));
            let lines = super::super::layout(&query, 20);
            let again = parse(&lines).query;
            prop_assert_eq!(again.as_ref(), Some(&query), "{}", lines);
        }
    }
}
