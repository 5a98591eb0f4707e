//! Allowances: comments of a rule file such as `# rulepack: allow RP1004 -- reason`, which take findings
//! away from the key or table that they stand at.

use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::source::{Source, Span};
use std::sync::Arc;
use toml_parser::lexer::TokenKind;

/// What an allowance begins with, behind the `#`.
const MARK: &str = "rulepack:";

/// One code that a comment allows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Allowance {
    code: Code,
    /// Where the code stands in the comment.
    span: Span,
    /// The part of the file that it holds for.
    scope: Span,
}

/// A key with its value or the header of a table, from its first byte to its last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    span: Span,
    /// The names of a header; `None` for a key.
    header: Option<Vec<String>>,
}

/// A comment, and whether something stands before it on its line.
struct Comment {
    span: Span,
    trailing: bool,
}

/// Takes what is allowed out of the findings about one rule file, and adds findings about the allowances
/// themselves: unused ones and those without a reason.
pub(super) fn apply(source: &Arc<Source>, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if !source.text().contains(MARK) {
        return found;
    }
    let (allowances, mut mistakes) = read(source);
    let mut used = vec![false; allowances.len()];
    let mut out: Vec<Diagnostic> = found
        .into_iter()
        .filter(|d| {
            let mut allowed = false;
            for (allowance, used) in allowances.iter().zip(&mut used) {
                // a finding without a place is about the whole file
                let inside = d.span().is_none_or(|s| within(s, allowance.scope));
                if allowance.code == d.code && inside {
                    *used = true;
                    allowed = true;
                }
            }
            !allowed
        })
        .collect();
    for (allowance, _) in allowances.iter().zip(used).filter(|(_, used)| !used) {
        let message = format!("no `{}` here that could be allowed", allowance.code);
        let d = Diagnostic::new(Code::RP1501, message)
            .at(allowance.span, "")
            .help("remove the comment, or put it on the line above the key or table that it is about");
        out.push(d.in_source(source));
    }
    out.append(&mut mistakes);
    out
}

fn within(span: Span, scope: Span) -> bool {
    scope.start <= span.start && span.start < scope.end.max(scope.start + 1)
}

/// The allowances of a file, and what is wrong with them.
fn read(source: &Arc<Source>) -> (Vec<Allowance>, Vec<Diagnostic>) {
    let (statements, comments) = scan(source.text());
    let (mut out, mut found) = (Vec::new(), Vec::new());
    for comment in &comments {
        let text = comment.span.slice(source.text());
        let body = text.trim_start_matches('#').trim_start();
        let Some(rest) = body.strip_prefix(MARK) else { continue };
        let mut wrong = |message: String, help: String| {
            let d = Diagnostic::new(Code::RP1502, message).at(comment.span, "").help(help);
            found.push(d.in_source(source));
        };
        let form = || "write it as `# rulepack: allow RP1004 -- reason`".to_owned();
        let Some(list) = rest.trim_start().strip_prefix("allow").filter(|r| r.starts_with([' ', '\t']))
        else {
            let word = rest.split_whitespace().next().unwrap_or_default();
            wrong(format!("`rulepack: {word}` is no known comment"), form());
            continue;
        };
        let (codes, reason) = list.split_once("--").unwrap_or((list, ""));
        if reason.trim().is_empty() {
            wrong("an allowance without a reason allows nothing".to_owned(), form());
            continue;
        }
        let scope = scope(source.text(), &statements, &comments, comment);
        for word in codes.split([',', ' ', '\t']).filter(|w| !w.is_empty()) {
            let Some(code) = Code::parse(word) else {
                let known: Vec<String> = crate::diag::CODES.iter().map(|c| c.code.to_string()).collect();
                let near = did_you_mean(word, known.iter().map(String::as_str));
                let help = near.map_or_else(form, |near| format!("did you mean `{near}`?"));
                wrong(format!("there is no code `{word}`"), help);
                continue;
            };
            // the word is a part of the text, so the distance of their beginnings is its place
            let at = word.as_ptr() as usize - text.as_ptr() as usize + comment.span.start as usize;
            out.push(Allowance { code, span: Span::new(at, at + word.len()), scope });
        }
        if codes.trim().is_empty() {
            wrong("an allowance without a code allows nothing".to_owned(), form());
        }
    }
    (out, found)
}

/// What a comment is about: the key or table on its line, or else on the next one.
fn scope(text: &str, statements: &[Statement], comments: &[Comment], comment: &Comment) -> Span {
    let line_end = |from: usize| text.get(from..).and_then(|t| t.find('\n')).map_or(text.len(), |i| from + i);
    if comment.trailing {
        let start = text.get(..comment.span.start as usize).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1);
        let line = Span::new(start, comment.span.start as usize);
        // a key whose value begins or ends on this line, or else this line of a longer value
        let at_edge = |s: &&Statement| {
            within(Span::new(s.span.start as usize, s.span.start as usize), line)
                || (s.span.end > line.start && s.span.end <= line.end)
        };
        return statements.iter().rev().find(at_edge).map_or(line, |s| whole(text, statements, s));
    }
    // comments may stand above one another
    let mut next = line_end(comment.span.start as usize) + 1;
    while let Some(c) = comments.iter().find(|c| {
        !c.trailing
            && c.span.start as usize >= next
            && text
                .get(next..c.span.start as usize)
                .is_some_and(|t| t.chars().all(|c| matches!(c, ' ' | '\t')))
    }) {
        next = line_end(c.span.start as usize) + 1;
    }
    let line = Span::new(next, line_end(next.min(text.len())));
    let begins = |s: &&Statement| within(Span::new(s.span.start as usize, s.span.start as usize), line);
    statements.iter().find(begins).map_or(line, |s| whole(text, statements, s))
}

/// A key with its value; a table with all that is below it.
fn whole(text: &str, statements: &[Statement], statement: &Statement) -> Span {
    let Some(names) = &statement.header else { return statement.span };
    let next = statements
        .iter()
        .filter(|s| s.span.start > statement.span.start)
        .find(|s| s.header.as_ref().is_some_and(|h| h == names || !h.starts_with(names)));
    Span { start: statement.span.start, end: next.map_or(Span::new(0, text.len()).end, |s| s.span.start) }
}

/// The statements and comments of a TOML text, sound or not.
fn scan(text: &str) -> (Vec<Statement>, Vec<Comment>) {
    let (mut statements, mut comments) = (Vec::new(), Vec::new());
    let mut depth = 0usize;
    let mut open: Option<Statement> = None;
    let mut blank = true;
    for token in toml_parser::Source::new(text).lex() {
        let span = Span::new(token.span().start(), token.span().end());
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Eof => {}
            TokenKind::Newline => {
                blank = true;
                if depth == 0 {
                    statements.extend(open.take());
                }
            }
            TokenKind::Comment => comments.push(Comment { span, trailing: !blank }),
            kind => {
                let starts = open.is_none();
                let header = starts && kind == TokenKind::LeftSquareBracket;
                let statement = open.get_or_insert_with(|| Statement { span, header: header.then(Vec::new) });
                statement.span = statement.span.to(span);
                match (kind, &mut statement.header) {
                    // the brackets of a header end on its line
                    (TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString, Some(names)) => {
                        names.push(span.slice(text).trim_matches(['"', '\'']).to_owned());
                    }
                    (_, Some(_)) => {}
                    (TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket, None) => depth += 1,
                    (TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket, None) => {
                        depth = depth.saturating_sub(1);
                    }
                    _ => {}
                }
                // a string of several lines ends on a line of its own
                blank = false;
            }
        }
    }
    statements.extend(open);
    (statements, comments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# rulepack: allow RP0605 -- an old id\n[rule]\nrule_id = \"x\"\nname = 'a' # rulepack: allow RP0702 -- two of them\n\
        # why: the lab\n# rulepack: allow RP0501,RP0502 -- the lab\n# more\nquery = '''\na # rulepack: allow RP0101 -- text\nb\n'''\n\
        threats = [\n  1,\n  # rulepack: allow RP0603 -- one\n  2,\n  3, # rulepack: allow RP0007 -- this line\n]\n[[rule.threat]]\nid = 1\n[metadata]\nb = 1\n";

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source::new("a.toml", text))
    }

    fn at(source: &Arc<Source>, code: Code, text: &str) -> Diagnostic {
        let at = source.text().find(text).unwrap();
        Diagnostic::new(code, "m").at(Span::new(at, at + text.len()), "").in_source(source)
    }

    fn left(text: &str, code: Code, place: &str) -> Vec<Code> {
        let source = source(text);
        apply(&source, vec![at(&source, code, place)]).iter().map(|d| d.code).filter(|c| *c == code).collect()
    }

    #[test]
    fn an_allowance_holds_for_the_key_or_table_that_it_stands_at() {
        for (code, place) in [
            (Code::RP0605, "\"x\""),
            (Code::RP0605, "id = 1"),
            (Code::RP0702, "'a'"),
            (Code::RP0501, "b\n'''"),
            (Code::RP0502, "query"),
            (Code::RP0603, "2,"),
            (Code::RP0007, "3,"),
        ] {
            assert_eq!(left(TEXT, code, place), [], "{code} at {place}");
        }
        for (code, place) in [
            (Code::RP0605, "b = 1"),
            (Code::RP0702, "\"x\""),
            (Code::RP0501, "'a'"),
            (Code::RP0101, "b\n'''"),
            (Code::RP0603, "3,"),
            (Code::RP0007, "2,"),
        ] {
            assert_eq!(left(TEXT, code, place), [code], "{code} at {place}");
        }
    }

    #[test]
    fn unused_allowances_are_told_at_their_code() {
        let source = source("[rule]\n# rulepack: allow RP0501, RP0502 -- lab\nquery = 'a: 1'\n");
        let found = apply(&source, vec![at(&source, Code::RP0501, "a: 1")]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].code, found[0].place().as_deref()), (Code::RP1501, Some("a.toml:2:27")));
    }

    #[test]
    fn a_comment_without_reason_or_with_an_unknown_code_allows_nothing() {
        for comment in
            ["allow RP0501", "allow RP0501 --  ", "allow RP9999 -- x", "alow RP0501 -- x", "allow -- x"]
        {
            let source = source(&format!("[rule]\n# rulepack: {comment}\nquery = 'a: 1'\n"));
            let found = apply(&source, vec![at(&source, Code::RP0501, "a: 1")]);
            let codes: Vec<Code> = found.iter().map(|d| d.code).collect();
            assert_eq!(codes, [Code::RP0501, Code::RP1502], "{comment}");
        }
    }

    #[test]
    fn a_finding_about_the_whole_file_can_be_allowed_anywhere_in_it() {
        let source = source("# rulepack: allow RP0713 -- needs a lab\n[rule]\n");
        assert!(apply(&source, vec![Diagnostic::new(Code::RP0713, "m").in_source(&source)]).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\[|\\]|=|\"|'''|# rulepack: allow RP0501 -- x|\n|a|\\.|\\{|é|,){0,40}") {
            let source = source(&text);
            let _ = apply(&source, vec![Diagnostic::new(Code::RP0501, "m").at(Span::new(0, 1), "").in_source(&source)]);
        }
    }
}
