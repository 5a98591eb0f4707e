//! A condition as a `query_string`, for doc-level monitors. Such a query is patched as text before it is
//! stored: leaf names before a colon get a suffix, and white space is split and joined again with single
//! blanks. So colons and blanks of values are written in ways that survive this, and what cannot be is refused.

use super::condition::{Ask, Condition, Reason};
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal, Op};
use std::fmt::Write;

/// The query.
///
/// # Errors
/// Why a doc-level monitor cannot ask this.
pub fn print(condition: &Condition) -> Result<String, Reason> {
    match condition {
        Condition::Always => Ok("*:*".to_owned()),
        Condition::Never => Err("the condition can never be true".to_owned()),
        // a query of nothing but negations matches nothing in some versions
        Condition::Not(_) => Ok(format!("*:* AND {}", clause(condition)?)),
        Condition::All(parts) if parts.iter().all(is_negative) => {
            Ok(format!("*:* AND {}", joined(parts, " AND ")?))
        }
        Condition::All(parts) => joined(parts, " AND "),
        Condition::Any(parts) => joined(parts, " OR "),
        _ => clause(condition),
    }
}

fn is_negative(condition: &Condition) -> bool {
    matches!(condition, Condition::Not(_))
}

fn joined(parts: &[Condition], with: &str) -> Result<String, Reason> {
    let parts = parts.iter().map(|p| match p {
        Condition::Not(_) if with == " OR " => Ok(format!("({})", print(p)?)),
        p => clause(p),
    });
    Ok(parts.collect::<Result<Vec<_>, _>>()?.join(with))
}

/// A condition that can stand beside others.
fn clause(condition: &Condition) -> Result<String, Reason> {
    match condition {
        Condition::All(_) | Condition::Any(_) => Ok(format!("({})", print(condition)?)),
        Condition::Not(inner) => match inner.as_ref() {
            Condition::Ask(_) => Ok(format!("NOT {}", clause(inner)?)),
            inner => Ok(format!("NOT ({})", print(inner)?)),
        },
        Condition::Ask(ask) => self::ask(ask),
        Condition::Nested(path, _) => {
            Err(format!("`{path}` is nested, and doc-level monitors leave nested fields out"))
        }
        Condition::Script(script) => Err(format!("{} needs a script", script.what)),
        Condition::Always | Condition::Never => print(condition),
    }
}

fn ask(ask: &Ask) -> Result<String, Reason> {
    let name = &ask.field;
    if ask.multi {
        return Err(format!("`{name}` is a multi-field, which doc-level monitors never find"));
    }
    if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || "._@-".contains(*c))) {
        return Err(format!("`{name}` has the character `{c}`, which the patched query would not keep"));
    }
    let text = ask.types.iter().any(|t| t.kind.is_text());
    if text && ask.op != Op::Exists {
        return Err(format!("`{name}` is text, whose meaning hangs on the analyser of the index"));
    }
    let cased = |case: Case| match case {
        Case::Sensitive => Ok(()),
        Case::Insensitive => Err(format!("`{name}` is asked without regard to case")),
    };
    Ok(match &ask.op {
        Op::Exists => format!("_exists_:{name}"),
        Op::Term(value, case) => {
            cased(case_of(value, *case))?;
            format!("{name}:{}", literal(name, value)?)
        }
        Op::Terms(values, case) => {
            let mut list = Vec::with_capacity(values.len());
            for value in values {
                cased(case_of(value, *case))?;
                list.push(literal(name, value)?);
            }
            match list.as_slice() {
                [one] => format!("{name}:{one}"),
                list => format!("{name}:({})", list.join(" OR ")),
            }
        }
        Op::Match(value) | Op::Phrase(value) => format!("{name}:{}", literal(name, value)?),
        Op::Range { lower, upper } => {
            let bound = |side: &Option<(Literal, bool)>| match side {
                None => Ok("*".to_owned()),
                Some((value, _)) if value.text().contains("now") => {
                    Err(format!("`{name}` is compared with `now`, which a stored query cannot"))
                }
                Some((value, _)) => quoted(name, &value.text()),
            };
            let inclusive = |side: &Option<(Literal, bool)>| side.as_ref().is_none_or(|(_, i)| *i);
            let open = if inclusive(lower) { '[' } else { '{' };
            let close = if inclusive(upper) { ']' } else { '}' };
            format!("{name}:{open}{} TO {}{close}", bound(lower)?, bound(upper)?)
        }
        Op::Wildcard(pattern) | Op::QueryWildcard(pattern) => {
            cased(if pattern.ignores_case() { Case::Insensitive } else { Case::Sensitive })?;
            format!("{name}:{}", wildcard(name, pattern)?)
        }
        Op::Regexp(..) => {
            return Err(format!("`{name}` is asked by a regular expression"));
        }
        Op::SloppyPhrase(..) | Op::Fuzzy(..) => {
            return Err(format!("`{name}` is asked for something like a text"));
        }
    })
}

/// What has no letters has no case.
fn case_of(value: &Literal, case: Case) -> Case {
    let letters = matches!(value, Literal::Str(s) if s.bytes().any(|b| b.is_ascii_alphabetic()));
    if letters { case } else { Case::Sensitive }
}

fn literal(name: &str, value: &Literal) -> Result<String, Reason> {
    match value {
        Literal::Null => Err(format!("`{name}` is compared with null")),
        Literal::Bool(b) => Ok(b.to_string()),
        other => quoted(name, &other.text()),
    }
}

/// A value in quotes. `\` before any character, and `\u` with four digits, is undone by the parser.
fn quoted(name: &str, text: &str) -> Result<String, Reason> {
    if text.is_empty() {
        return Err(format!("`{name}` is compared with an empty text"));
    }
    let mut out = String::from("\"");
    let mut before = '"';
    for c in text.chars() {
        match c {
            // `name:` inside a value would be taken for the field `name`
            '"' | '\\' | ':' => {
                out.push('\\');
                out.push(c);
            }
            ' ' if before == ' ' => out.push_str("\\ "),
            ' ' => out.push(' '),
            c if c.is_whitespace() || c.is_control() => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
        before = c;
    }
    out.push('"');
    Ok(out)
}

/// A pattern as a single word.
fn wildcard(name: &str, pattern: &Pattern) -> Result<String, Reason> {
    let mut out = String::new();
    for part in pattern.parts() {
        match part {
            Part::Any => out.push('*'),
            Part::One => out.push('?'),
            Part::Text(text) => {
                for c in text.chars() {
                    if c != ' ' && (c.is_whitespace() || c.is_control()) {
                        return Err(format!(
                            "the pattern on `{name}` has a white space other than a blank, which the patched query would not keep"
                        ));
                    }
                    if !(c.is_alphanumeric() || matches!(c, '_' | '.' | ',' | '@' | '%' | '$' | '#' | ';')) {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
        }
    }
    // an operator, or nothing at all, is no pattern
    if !out.contains(['*', '?']) {
        return quoted(name, pattern.literal().unwrap_or_default());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{FieldType, Kind};

    fn term(field: &str, value: &str) -> Condition {
        asked(field, Op::Term(Literal::Str(value.into()), Case::Sensitive))
    }

    fn asked(field: &str, op: Op) -> Condition {
        let types = vec![FieldType::of(Kind::Keyword)];
        Condition::Ask(Ask { field: field.to_owned(), types, multi: false, flattened: false, op })
    }

    #[test]
    fn conditions_are_joined_with_words_and_negations_never_stand_alone() {
        let (a, b) = (term("a", "1"), term("b", "2"));
        let not = |c: &Condition| c.clone().negate();
        let print = |c: Condition| print(&c).unwrap();
        assert_eq!(print(Condition::all(vec![a.clone(), not(&b)])), "a:\"1\" AND NOT b:\"2\"");
        assert_eq!(print(not(&a)), "*:* AND NOT a:\"1\"");
        assert_eq!(print(Condition::any(vec![a.clone(), not(&b)])), "a:\"1\" OR (*:* AND NOT b:\"2\")");
        let both = Condition::all(vec![not(&a), not(&b)]);
        assert_eq!(
            print(Condition::any(vec![both, a.clone()])),
            "(*:* AND NOT a:\"1\" AND NOT b:\"2\") OR a:\"1\""
        );
        assert_eq!(print(not(&Condition::all(vec![a, b]))), "*:* AND NOT (a:\"1\" AND b:\"2\")");
    }

    #[test]
    fn blanks_and_colons_of_values_survive_the_patching_of_stored_queries() {
        let print = |v: &str| print(&term("a", v)).unwrap();
        assert_eq!(print("x  y"), "a:\"x \\ y\"");
        assert_eq!(print("x   y"), "a:\"x \\ \\ y\"");
        assert_eq!(print("x\ty"), "a:\"x\\u0009y\"");
        assert_eq!(print("eventName: x"), "a:\"eventName\\: x\"");
        assert_eq!(print("a\"b\\c"), "a:\"a\\\"b\\\\c\"");
    }

    #[test]
    fn what_a_stored_query_cannot_keep_is_refused() {
        let pattern = |t: &str| asked("a", Op::Wildcard(Pattern::plain(t, false)));
        assert_eq!(print(&pattern("*k=a:b  c*")).unwrap(), "a:*k\\=a\\:b\\ \\ c*");
        assert!(print(&pattern("a\tb*")).unwrap_err().contains("white space"));
        assert!(print(&asked("a", Op::Wildcard(Pattern::plain("A*", true)))).unwrap_err().contains("case"));
        assert!(print(&asked("a b", Op::Exists)).unwrap_err().contains("character ` `"));
        assert!(print(&term("a", "")).unwrap_err().contains("empty"));
        let multi = Condition::Ask(Ask {
            field: "a.text".into(),
            types: vec![FieldType::of(Kind::Keyword)],
            multi: true,
            flattened: false,
            op: Op::Exists,
        });
        assert!(print(&multi).unwrap_err().contains("multi-field"));
        let now = Op::Range { lower: Some((Literal::Str("now-1d".into()), true)), upper: None };
        assert!(print(&asked("a", now)).unwrap_err().contains("`now`"));
        let nested = Condition::Nested("n".into(), Box::new(Condition::Always));
        assert!(print(&nested).unwrap_err().contains("nested"));
    }
}
