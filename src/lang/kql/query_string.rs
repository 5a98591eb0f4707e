//! A KQL pattern on a field that is no pure keyword is sent as a Lucene query string with everything
//! but spaces and upper-case operators escaped. This is what Lucene makes of such a text.

use crate::diag::Code;
use crate::es::Reject;
use crate::lang::lucene::{Conjunction, Modifier, Occurrences};
use crate::plan::Pred;

/// One clause of the query string.
#[derive(Debug, PartialEq)]
pub(super) enum Atom {
    /// Plain words; several are one text with single spaces.
    Text(String),
    /// A lone `*`.
    Star,
    /// Any other pattern: the texts around its markers.
    Pattern(Vec<Box<str>>),
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Star,
    Pattern(Vec<Box<str>>),
    And,
    Or,
    Not,
}

/// The condition that the query string is; `leaf` gives that of one clause.
///
/// # Errors
/// When Lucene would not parse the text, or `leaf` refuses a clause.
pub(super) fn conditions(
    parts: &[Box<str>],
    mut leaf: impl FnMut(Atom) -> Result<Pred, Reject>,
) -> Result<Pred, Reject> {
    let tokens = tokens(parts);
    let mut at = 0;
    let mut clauses = Occurrences::new(false);
    let mut any = false;
    while at < tokens.len() {
        let mut joined_by = None;
        if let Some(op @ (Token::And | Token::Or)) = tokens.get(at) {
            if !any {
                return dangling();
            }
            joined_by = Some(if *op == Token::And { Conjunction::And } else { Conjunction::Or });
            at += 1;
        }
        let negated = tokens.get(at) == Some(&Token::Not);
        if negated {
            at += 1;
        }
        let Some(token) = tokens.get(at) else { return dangling() };
        at += 1;
        let atom = match token {
            Token::Word(word) => {
                let mut text = word.clone();
                // further words are the same text, but a word before an operator or a lone star is not
                while let (None, false, Some(Token::Word(more))) = (joined_by, negated, tokens.get(at)) {
                    if matches!(tokens.get(at + 1), Some(Token::And | Token::Or | Token::Star)) {
                        break;
                    }
                    text.push(' ');
                    text.push_str(more);
                    at += 1;
                }
                Atom::Text(text)
            }
            Token::Star => Atom::Star,
            Token::Pattern(parts) => Atom::Pattern(parts.clone()),
            Token::And | Token::Or | Token::Not => return dangling(),
        };
        clauses.add(joined_by, negated.then_some(Modifier::Not), Some(leaf(atom)?));
        any = true;
    }
    Ok(clauses.pred().unwrap_or(Pred::Const(false)))
}

fn dangling<T>() -> Result<T, Reject> {
    Err(Reject {
        code: Code::RP0101,
        message: "an upper-case `AND`, `OR` or `NOT` in a pattern is an operator to Lucene, and this one lacks an operand"
            .to_owned(),
    })
}

fn tokens(parts: &[Box<str>]) -> Vec<Token> {
    let mut out = Vec::new();
    let mut word: Vec<String> = vec![String::new()];
    let mut flush = |word: &mut Vec<String>| {
        let texts = std::mem::replace(word, vec![String::new()]);
        match texts.as_slice() {
            [only] if only.is_empty() => {}
            [only] => out.push(match only.as_str() {
                "AND" => Token::And,
                "OR" => Token::Or,
                "NOT" => Token::Not,
                _ => Token::Word(only.clone()),
            }),
            [a, b] if a.is_empty() && b.is_empty() => out.push(Token::Star),
            _ => out.push(Token::Pattern(texts.into_iter().map(Into::into).collect())),
        }
    };
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            word.push(String::new());
        }
        for c in part.chars() {
            if matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{3000}') {
                flush(&mut word);
            } else if let Some(last) = word.last_mut() {
                last.push(c);
            }
        }
    }
    flush(&mut word);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The condition over a value, by atoms: a text is equal, `*` is always true, a pattern holds its
    /// first part.
    fn matches(query: &[&str], value: &str) -> Option<bool> {
        let parts: Vec<Box<str>> = query.iter().map(|p| (*p).into()).collect();
        let pred = conditions(&parts, |atom| {
            Ok(Pred::Const(match atom {
                Atom::Text(text) => text == value,
                Atom::Star => true,
                Atom::Pattern(parts) => parts.iter().all(|p| value.contains(p.as_ref())),
            }))
        });
        fn eval(p: &Pred) -> bool {
            match p {
                Pred::Const(b) => *b,
                Pred::And(ps) => ps.iter().all(eval),
                Pred::Or(ps) => ps.iter().any(eval),
                Pred::Not(p) => !eval(p),
                _ => unreachable!(),
            }
        }
        pred.ok().map(|p| eval(&p))
    }

    #[test]
    fn spaces_separate_alternatives_and_plain_words_join() {
        assert_eq!(matches(&["", "red sky", ""], "a red one"), Some(true));
        assert_eq!(matches(&["red sky b", ""], "red sky"), Some(true));
        assert_eq!(matches(&["red sky b", ""], "sky"), Some(false));
        assert_eq!(matches(&["red sky ", ""], "x"), Some(true));
    }

    #[test]
    fn upper_case_words_are_operators() {
        assert_eq!(matches(&["ab", " AND cd", ""], "ab-cd"), Some(true));
        assert_eq!(matches(&["ab", " AND cd", ""], "ab"), Some(false));
        assert_eq!(matches(&["ab", " NOT cd", ""], "ab-cd"), Some(false));
        assert_eq!(matches(&["NOT cd", ""], "ab"), Some(true));
        assert_eq!(matches(&["ab", " OR"], "ab"), None);
        assert_eq!(matches(&["AND x", ""], "x"), None);
        // a required clause makes the optional ones irrelevant
        assert_eq!(matches(&["ab", " OR cd", " AND ef", ""], "ab"), Some(false));
    }
}
