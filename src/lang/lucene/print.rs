//! The canonical printer of Lucene: its output parses to the same tree. Operators are words, escapes
//! stand only where they are needed.

use super::ast::{Clause, Conjunction, Group, Modifier, Query, Term};
use super::lexer::{is_space, is_start};
use crate::es::wildcard::Part;

/// The query as canonical text; empty for the blank query.
pub fn print(query: &Query) -> String {
    let mut out = String::new();
    if let Some(root) = &query.root {
        group(root, &mut out);
    }
    out
}

fn group(group: &Group, out: &mut String) {
    for (i, clause) in group.clauses.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        print_clause(clause, out);
    }
}

fn print_clause(clause: &Clause, out: &mut String) {
    match clause.conjunction {
        Some(Conjunction::And) => out.push_str("AND "),
        Some(Conjunction::Or) => out.push_str("OR "),
        None => {}
    }
    match clause.modifier {
        Some(Modifier::Must) => out.push('+'),
        Some(Modifier::Not) => out.push_str("NOT "),
        None => {}
    }
    if let Some(field) = &clause.field {
        match field.text.as_ref() {
            "*" => out.push('*'),
            name => word(name, out),
        }
        out.push(':');
    }
    term(&clause.term, out);
    if let Some(boost) = &clause.boost {
        out.push('^');
        out.push_str(boost);
    }
    if let Term::Operator(_) = clause.term {
        // only a space makes it a word
        out.push(' ');
    }
}

fn term(term: &Term, out: &mut String) {
    match term {
        Term::Words(words) => {
            for (i, w) in words.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                word(w, out);
            }
        }
        Term::Operator(c) => out.push(*c),
        Term::Quoted { text, slop } => {
            quote(text, out);
            if let Some(slop) = slop {
                out.push('~');
                out.push_str(slop);
            }
        }
        Term::Star => out.push('*'),
        Term::Prefix(text) => {
            word(text, out);
            out.push('*');
        }
        Term::Wildcard(parts) => {
            for (i, part) in parts.iter().enumerate() {
                match part {
                    Part::Any => out.push('*'),
                    Part::One => out.push('?'),
                    Part::Text(text) => escape(text, i == 0, out),
                }
            }
        }
        Term::Regexp(text) => {
            out.push('/');
            out.push_str(text);
            out.push('/');
        }
        Term::Fuzzy(text, how) => {
            word(text, out);
            out.push('~');
            out.push_str(how);
        }
        Term::Range { lower, lower_inclusive, upper, upper_inclusive } => {
            out.push(if *lower_inclusive { '[' } else { '{' });
            bound(lower.as_deref(), out);
            out.push_str(" TO ");
            bound(upper.as_deref(), out);
            out.push(if *upper_inclusive { ']' } else { '}' });
        }
        Term::Group(inner) => {
            out.push('(');
            group(inner, out);
            out.push(')');
        }
    }
}

fn bound(text: Option<&str>, out: &mut String) {
    match text {
        None => out.push('*'),
        Some(text) => {
            let plain = !text.is_empty()
                && text != "*"
                && text != "TO"
                && !text.chars().any(|c| is_space(c) || matches!(c, ']' | '}' | '"' | '\\'));
            if plain { out.push_str(text) } else { quote(text, out) }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// A word, so written that it is not read as an operator.
fn word(text: &str, out: &mut String) {
    if matches!(text, "AND" | "OR" | "NOT" | "&&" | "||") {
        out.push('\\');
        out.push_str(text);
        return;
    }
    escape(text, true, out);
}

/// A text with everything escaped that would be read otherwise. `first`: whether it begins the token.
fn escape(text: &str, first: bool, out: &mut String) {
    for (i, c) in text.chars().enumerate() {
        let inside = matches!(c, '+' | '-') && !(first && i == 0);
        if !is_start(c) && !inside {
            out.push('\\');
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_form_for_all_spellings() {
        for (text, expected) in [
            ("a && b||c", "a AND b||c"),
            ("a && !b || c", "a AND NOT b OR c"),
            ("f : ( a  b )^2", "f:(a b)^2"),
            (r#"x:"a \"b\""~2^3"#, r#"x:"a \"b\""~2^3"#),
            (r"a\u0041\- b\ c", r"aA- b\ c"),
            ("[* TO \"a b\"}", "[* TO \"a b\"}"),
            ("/a\\/b/ -c* d?e~1 f~", "/a\\/b/ NOT c* d?e f~"),
            ("- a", "-  a"),
            ("", ""),
        ] {
            assert_eq!(print(&parse(text).unwrap()), expected, "{text}");
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-cé>][a-c+\\-]{0,2}",
            2 => Just(" ".to_owned()),
            1 => prop::sample::select(vec![
                "AND", "OR", "NOT", "&&", "||", "!", "+", "-", "(", ")", ":", "^2", "^1.5", "~", "~2", "\"", "\"a b\"",
                "/", "/x.*/", "[a TO b]", "{* TO 3]", "[\"a b\" TO *}", "*", "?", "\\", "\\ ", "\\AND", "\\u0041", "f:",
                "_exists_:",
            ]).prop_map(str::to_owned),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same_tree(pieces in prop::collection::vec(piece(), 0..12)) {
            let text = pieces.concat();
            if let Ok(query) = parse(&text) {
                let printed = print(&query);
                let again = parse(&printed);
                prop_assert_eq!(again.as_ref().ok(), Some(&query), "{} -> {}: {:?}", text, printed, again);
                prop_assert_eq!(print(&query), printed);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
