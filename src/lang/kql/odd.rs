//! Values of KQL that are valid, but seldom what was meant.

use super::ast::{Term, TermValue};
use super::print;
use crate::diag::{Code, Diagnostic, Safety, Severity};
use crate::es::analyze;
use crate::schema::Field;
use crate::source::Span;

/// What is odd about a value of a field. `text` is the query.
pub(super) fn value(text: &str, value: &Term, field: Option<&Field>, found: &mut Vec<Diagnostic>) {
    let raw = value.span.slice(text);
    found.extend(control_character(raw, value));
    if let TermValue::Text { quoted: true, text } = &value.value {
        if text.contains('*') {
            let parts = TermValue::Wildcard(text.split('*').map(Into::into).collect());
            let pattern = print::term_text(&parts);
            found.push(
                Diagnostic::new(Code::RP1004, "an asterisk inside quotes is a plain character")
                    .at(value.span, "no pattern")
                    .help(format!("for a pattern, write `{pattern}` without quotes"))
                    .fix(value.span, pattern, Safety::Suggested),
            );
        }
        return;
    }
    found.extend(field.and_then(|f| year(f, value)));
    found.extend(field.and_then(|f| several_words(f, value)));
    // quotes change nothing on a keyword, but show that the text is meant as it stands
    let quoted = |d: Diagnostic| match (&value.value, field) {
        (TermValue::Text { text, .. }, Some(f)) if f.is_pure_keyword() => {
            d.fix(value.span, print::quote(text), Safety::Safe)
        }
        _ => d,
    };
    if raw.contains('?') {
        let d = Diagnostic::new(Code::RP1002, "a question mark is a plain character in KQL")
            .at(value.span, "no wildcard")
            .help("only `*` is a wildcard; put the value in double quotes if the character is meant");
        found.push(quoted(d));
    }
    if raw.contains(['\n', '\r']) {
        let end = raw.find(['\n', '\r']).unwrap_or(0);
        let first = raw.get(..end).unwrap_or("").trim_end();
        let at = value.span.start as usize + first.len();
        found.push(
            Diagnostic::new(Code::RP1003, "this value goes on over a line break")
                .at(value.span, "one single value")
                .help(format!("is an `or` missing after `{first}`?"))
                .fix(Span::new(at, at), " or", Safety::Suggested),
        );
    }
    let words = raw.split([' ', '\t', '\r', '\n', '\u{a0}']);
    let keyword = |w: &&str| ["and", "or", "not"].iter().any(|k| w.eq_ignore_ascii_case(k));
    let edges = [words.clone().next(), words.clone().next_back()];
    if let Some(word) = edges.into_iter().flatten().find(keyword) {
        let d = Diagnostic::new(Code::RP1006, format!("`{word}` is part of the value here"))
            .at(value.span, "one single value")
            .help("complete the condition, or put the value in double quotes");
        found.push(quoted(d));
    }
}

/// `C:\temp`, `\not`: a backslash that makes a TAB or a line break of the letter after it.
fn control_character(raw: &str, value: &Term) -> Option<Diagnostic> {
    let mut rest = raw;
    let mut at = 0;
    while let Some((before, after)) = rest.split_once('\\') {
        let mut chars = after.chars();
        let letter = chars.next()?;
        let word = chars.next().is_some_and(char::is_alphanumeric);
        at += before.len();
        if matches!(letter, 't' | 'r' | 'n') && word {
            let what = if letter == 't' { "a TAB" } else { "a line break" };
            let place = Span::new(value.span.start as usize + at, value.span.start as usize + at + 2);
            let d = Diagnostic::new(Code::RP1021, format!("`\\{letter}` is {what} here"))
                .at(place, "no backslash and letter")
                .help("write `\\\\` for a backslash");
            return Some(d.fix(place, format!("\\\\{letter}"), Safety::Suggested));
        }
        at += 1 + letter.len_utf8();
        rest = after.get(letter.len_utf8()..)?;
    }
    None
}

/// Four digits on a date that are hardly meant as a year.
fn year(field: &Field, value: &Term) -> Option<Diagnostic> {
    let text = value.value.to_string();
    let four = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    if !four || !field.types.iter().all(|t| t.kind.is_date()) || ("1970"..="2099").contains(&text.as_str()) {
        return None;
    }
    Some(
        Diagnostic::new(Code::RP1022, format!("`{text}` is the year {text}, no time in milliseconds"))
            .at(value.span, "four digits are a year")
            .help("write a date, or a time in milliseconds with more digits"),
    )
}

/// Several words on a text field: any of them is enough.
fn several_words(field: &Field, value: &Term) -> Option<Diagnostic> {
    let TermValue::Text { text, quoted: false } = &value.value else { return None };
    if !field.types.iter().all(|t| t.kind.is_text()) || !text.contains(char::is_whitespace) {
        return None;
    }
    let tokens = analyze::standard(text);
    if tokens.len() < 2 {
        return None;
    }
    let name = &field.name;
    Some(
        Diagnostic::new(Code::RP1023, "any of these words is enough")
            .at(value.span, format!("`{name}` is analysed text"))
            .help("put them in double quotes for a phrase, or write `(a and b)` for all of them")
            .fix(value.span, print::quote(text), Safety::Suggested),
    )
}

/// A value that differs from the constant of its field by case only.
pub(super) fn other_case(field: &Field, name: &str, value: &Term) -> Option<Diagnostic> {
    let TermValue::Text { text, quoted } = &value.value else { return None };
    let constant = field.ty().constant.as_deref().filter(|_| field.types.len() == 1)?;
    if constant == text.as_ref() || !constant.eq_ignore_ascii_case(text) {
        return None;
    }
    Some(
        Diagnostic::new(Code::RP0501, "this clause can never match")
            .severity(Severity::Warning)
            .at(value.span, format!("`{name}` is always `{constant}`"))
            .help(format!("did you mean `{constant}`?"))
            .fix(value.span, print::value_text(constant, *quoted), Safety::Safe),
    )
}
