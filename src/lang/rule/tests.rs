//! Tests of the rule model.

use super::*;
use crate::diag::Code;

/// A rule that is fine, with a query of its own.
pub(crate) fn example() -> String {
    r#"[metadata]
creation_date = "2026/01/01"
updated_date = "2026/02/01"
integration = "aws"
min_stack_version = "9.0"

[rule]
author = ["someone"]
description = "Finds a thing."
index = ["logs-aws.cloudtrail-*"]
language = "kuery"
name = "A thing"
risk_score = 21
rule_id = "1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e11"
severity = "low"
tags = ["one", "two"]
type = "query"
query = '''
event.action: "CreateUser"
'''
"#
    .to_owned()
}

fn read(text: &str) -> (Option<Rule>, Vec<Diagnostic>) {
    Rule::read("a/thing", "rules-toml/a/thing.toml", text.as_bytes().to_vec())
}

/// The single finding of a changed example, with the text below its span.
fn one(from: &str, to: &str) -> (Diagnostic, String) {
    let text = example().replace(from, to);
    assert_ne!(text, example());
    let (_, found) = read(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    let below = found[0].span().unwrap().slice(&text).to_owned();
    (found[0].clone(), below)
}

#[test]
fn a_good_rule_has_no_findings_and_typed_values() {
    let (rule, found) = read(&example());
    assert!(found.is_empty(), "{found:#?}");
    let rule = rule.unwrap();
    assert!(!rule.broken);
    assert_eq!(rule.language, Some(Language::Kql));
    assert_eq!(rule.query.as_ref().unwrap().text(), "event.action: \"CreateUser\"\n");
    assert_eq!(rule.lookback(), Some(360_000_000_000));
    assert_eq!(rule.min_stack_version(), Some(Version(9, 0, 0)));
    assert_eq!(rule.integrations(), ["aws"]);
    assert_eq!((rule.title(), rule.severity(), rule.risk_score()), ("A thing", "low", Some(21)));
}

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant_and_its_absence_is_no_second_finding() {
    let (d, below) = one("severity =", "sverity =");
    assert_eq!((d.code, below.as_str()), (Code::RP0005, "sverity"));
    assert_eq!(d.help.as_deref(), Some("did you mean `severity`?"));
    assert_eq!(d.fix.unwrap().replacement, "severity");
}

#[test]
fn a_missing_key_is_said_at_its_table() {
    let (d, below) = one("severity = \"low\"\n", "");
    assert_eq!((d.code, below.as_str()), (Code::RP0004, "rule"));
    assert_eq!(d.message, "missing key `severity` in `rule`");
}

#[test]
fn every_missing_key_is_said() {
    let text = example().replace("severity = \"low\"\n", "").replace("name = \"A thing\"\n", "");
    let messages: Vec<String> = read(&text).1.into_iter().map(|d| d.message).collect();
    assert_eq!(messages, ["missing key `name` in `rule`", "missing key `severity` in `rule`"]);
}

#[test]
fn what_was_refused_as_toml_is_not_refused_again_as_a_value() {
    let (d, below) = one("risk_score = 21", "risk_score = 1e999");
    assert_eq!((d.code, below.as_str()), (Code::RP0007, "1e999"));
    let (d, _) = one("name = \"A thing\"", "name = ");
    assert_eq!(d.code, Code::RP0003);
    let (d, _) = one("event.action", "event.\0action");
    assert_eq!(d.message, "TOML syntax: control character U+0000");
}

#[test]
fn a_value_of_the_wrong_type_says_both_types() {
    let (d, below) = one("risk_score = 21", "risk_score = \"21\"");
    assert_eq!((d.code, below.as_str()), (Code::RP0006, "\"21\""));
    assert_eq!(d.message, "`risk_score` must be an integer");
    assert_eq!(d.labels[0].text, "this is a string");
}

#[test]
fn values_that_are_not_allowed_say_what_is() {
    let (d, below) = one("\"low\"", "\"hihg\"");
    assert_eq!((d.code, below.as_str()), (Code::RP0007, "\"hihg\""));
    assert_eq!(d.help.as_deref(), Some("did you mean `high`?"));
    let (d, _) = one("risk_score = 21", "risk_score = 210");
    assert_eq!(d.message, "`risk_score` must be at most 100");
    let (d, _) = one("2026/01/01", "2026-01-01");
    assert_eq!(d.code, Code::RP0007);
    assert_eq!(d.notes, ["Day the rule was written, as YYYY/MM/DD"]);
    let (d, _) = one("severity", "interval = \"5 minutes\"\nseverity");
    assert_eq!(d.code, Code::RP0606);
}

#[test]
fn a_key_of_another_rule_type_and_a_wrong_language_are_named() {
    let (d, below) = one("type =", "tiebreaker_field = \"event.sequence\"\ntype =");
    assert_eq!((d.code, below.as_str()), (Code::RP0005, "tiebreaker_field"));
    assert_eq!(d.message, "`tiebreaker_field` is not allowed in a rule of type `query`");
    let (d, _) = one("\"kuery\"", "\"eql\"");
    assert_eq!(d.code, Code::RP0601);
    assert_eq!(d.message, "a rule of type `query` cannot have the language `eql`");
}

#[test]
fn every_error_of_a_file_is_reported() {
    let text = example().replace("\"low\"", "\"lowest\"").replace("risk_score = 21", "risk_score = -1");
    let (rule, found) = read(&text.replace("[metadata]", "[metadata]\nfoo = 1"));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(rule.unwrap().broken);
}

#[test]
fn both_forms_of_new_terms_read_alike() {
    let base = example().replace("\"query\"\n", "\"new_terms\"\n");
    let flat = base
        .replace("type =", "new_terms_fields = [\"user.name\"]\nhistory_window_start = \"now-7d\"\ntype =");
    let nested = base
        + "[rule.new_terms]\nfield = \"new_terms_fields\"\nvalue = [\"user.name\"]\n\
           [[rule.new_terms.history_window_start]]\nfield = \"history_window_start\"\nvalue = \"now-7d\"\n";
    for text in [flat, nested] {
        let (rule, found) = read(&text);
        assert!(found.is_empty(), "{found:#?}");
        let rule = rule.unwrap();
        assert_eq!(rule.new_terms_fields(), ["user.name"]);
        assert_eq!(rule.history_window_start(), Some("now-7d"));
        assert_eq!(rule.value_span(rule.history_pointer()).slice(&text), "\"now-7d\"");
    }
}

#[test]
fn a_crlf_file_gives_the_same_rule_with_places_of_its_own() {
    let text = example();
    let crlf = text.replace('\n', "\r\n");
    let (a, b) = (read(&text).0.unwrap(), read(&crlf).0.unwrap());
    assert_eq!(a.json(), b.json());
    let query = b.query.unwrap();
    let at = query.text().find("\"CreateUser\"").unwrap();
    assert_eq!(query.file_span(Span::new(at, at + 12)).slice(&crlf), "\"CreateUser\"");
}
