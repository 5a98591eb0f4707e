//! What must not be in a repository: live-looking access keys and session tokens, and account ids that
//! are none of documentation, in rules, tests and fixtures.

use crate::diag::{Code, Diagnostic};
use crate::pack::{Pack, RuleFile};
use crate::source::{Source, Span};
use crate::trial::is_documentation_account;
use rayon::prelude::*;
use regex_automata::meta::Regex;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The largest file that is looked through, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The most findings of a kind in one file: one is enough to have a look.
const MAX_FINDINGS: usize = 20;

struct Patterns {
    key: Option<Regex>,
    token: Option<Regex>,
    account: Option<Regex>,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let new = |p: &str| Regex::new(p).ok();
    Patterns {
        key: new(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        // the beginnings of tokens that STS makes
        token: new(r"\b(?:FwoGZXIvYXdz|IQoJb3JpZ2lu)[A-Za-z0-9+/=%]{60,}"),
        // in an ARN, or as the value of a key that is about an account
        account: new(
            r#"(?:arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:|(?i:account(?:[._]?id)?)"?\s{0,8}[:=]{1,2}\s{0,8}["']?)([0-9]{12})\b"#,
        ),
    }
});

/// Looks through the rules of a selection, and with the whole pack through its tests and fixtures.
pub(super) fn check(pack: &Pack, selection: &[&RuleFile]) -> Vec<Diagnostic> {
    let allowed = &pack.config.accounts;
    let rules: Vec<Arc<Source>> =
        selection.iter().filter_map(|f| Some(Arc::clone(&f.rule.as_ref()?.source))).collect();
    let mut found: Vec<Diagnostic> = rules.par_iter().flat_map_iter(|s| text(s, allowed)).collect();
    if selection.len() == pack.files.len() {
        found.extend(pack.each_text(MAX_BYTES, |name, content| {
            // a source of a text costs more than a look at it
            if matches(&content, allowed).is_empty() {
                return Vec::new();
            }
            text(&Arc::new(Source::new(name, content)), allowed)
        }));
    }
    crate::diag::sort(&mut found);
    found
}

type Found = (Code, String, Span);

fn matches(text: &str, allowed: &[String]) -> Vec<Found> {
    let mut out: Vec<Found> = Vec::new();
    // one finding for each value: mending it mends all places
    let mut seen: BTreeMap<(Code, &str), ()> = BTreeMap::new();
    let mut add = |code: Code, span: Span, out: &mut Vec<Found>| {
        let value = span.slice(text);
        let many = out.iter().filter(|f| f.0 == code).count() >= MAX_FINDINGS;
        if !many && seen.insert((code, value), ()).is_none() {
            out.push((code, value.to_owned(), span));
        }
    };
    for found in PATTERNS.key.iter().flat_map(|p| p.find_iter(text)) {
        let span = Span::new(found.start(), found.end());
        if !span.slice(text).ends_with("EXAMPLE") {
            add(Code::RP1301, span, &mut out);
        }
    }
    for found in PATTERNS.token.iter().flat_map(|p| p.find_iter(text)) {
        let span = Span::new(found.start(), found.end());
        if !span.slice(text).contains("EXAMPLE") {
            add(Code::RP1301, span, &mut out);
        }
    }
    for found in PATTERNS.account.iter().flat_map(|p| p.captures_iter(text)) {
        let Some(id) = found.get_group(1) else { continue };
        let span = Span::new(id.start, id.end);
        let value = span.slice(text);
        if !is_documentation_account(value) && !allowed.iter().any(|a| a == value) {
            add(Code::RP1302, span, &mut out);
        }
    }
    out
}

fn text(source: &Arc<Source>, allowed: &[String]) -> Vec<Diagnostic> {
    let finding = |(code, value, span): Found| {
        let d = match code {
            Code::RP1302 => Diagnostic::new(code, format!("account id `{value}` is none of documentation"))
                .help(format!("write `111122223333`, or allow it: `[lint] accounts = [\"{value}\"]`")),
            _ => {
                // a live credential is not repeated in logs of pipelines
                let shown: String = value.chars().take(4).collect();
                Diagnostic::new(code, format!("`{shown}…` looks like a live credential"))
                    .help("revoke it if it is real; in a rule or fixture write one that ends in `EXAMPLE`")
            }
        };
        d.at(span, "").in_source(source)
    };
    matches(source.text(), allowed).into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Code, String)> {
        matches(text, &["302746918531".to_owned()]).into_iter().map(|(c, v, _)| (c, v)).collect()
    }

    #[test]
    fn live_looking_keys_and_accounts_are_found_and_documentation_is_not() {
        let key = ["AKIA", "4QFZ7XKLM2PQRST3"].concat();
        assert_eq!(found(&format!("\"accessKeyId\": \"{key}\"")), [(Code::RP1301, key.clone())]);
        assert_eq!(found(&format!("{key} and again {key}")).len(), 1);
        let token = format!("IQoJb3JpZ2lu{}", "x1".repeat(40));
        assert_eq!(found(&token), [(Code::RP1301, token.clone())]);
        let account = (Code::RP1302, "302746918530".to_owned());
        for text in [
            "arn:aws:iam::302746918530:user/x",
            "\"accountId\": \"302746918530\"",
            "cloud.account.id == \"302746918530\"",
            "recipientAccountId=302746918530",
            "cloud.account.id: 302746918530",
        ] {
            assert_eq!(found(text), std::slice::from_ref(&account), "{text}");
        }
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "arn:aws:iam::111122223333:user/x arn:aws:iam::999999999999:role/y",
            "arn:aws:iam::302746918531:user/allowed",
            "eventID 302746918530",
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "XAKIA4QFZ7XKLM2PQRST3",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
