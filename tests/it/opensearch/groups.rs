//! Monitors that count groups or look for new combinations: what they select, read from what is emitted.

use super::selection::{DOCUMENTS, PACK, RECORDS, RULES, selected};
use crate::sandbox::Sandbox;
use rulepack::emit::opensearch::{MonitorKind, support, support_with};
use rulepack::lang::cloudtrail::{Converter, Options};
use rulepack::pack::{OpenSearch, Pack};
use rulepack::replay::{Engine, RunRule};
use rulepack::schema::Version;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn at<'v>(document: &'v Value, field: &str) -> Option<&'v Value> {
    document.pointer(&format!("/{}", field.replace('.', "/"))).filter(|v| !v.is_null())
}

fn text(document: &Value, field: &str) -> Option<String> {
    at(document, field).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
}

const THRESHOLD: &str = r#"
[metadata]
creation_date = "2026/11/24"
integration = ["aws"]
maturity = "production"
updated_date = "2026/11/24"

[rule]
author = ["x"]
description = "d"
from = "now-60m"
index = ["logs-aws.cloudtrail-*"]
interval = "5m"
language = "kuery"
license = "Apache-2.0"
name = "Many calls"
risk_score = 21
rule_id = "1d0a4b01-62a3-4f67-9d0c-2f2d5b6c7e99"
severity = "low"
tags = ["x"]
type = "threshold"
query = '''
event.provider : "iam.amazonaws.com" and event.outcome : "success"
'''

[rule.threshold]
field = ["user.name"]
value = 4

[[rule.threshold.cardinality]]
field = "event.action"
value = 3
"#;

#[test]
fn a_threshold_counts_the_groups_that_the_rule_counts() {
    let s = Sandbox::pack();
    s.write("rules-toml/many.toml", THRESHOLD);
    let pack = Pack::load(&s.path("")).unwrap();
    let rules = pack.compile(&pack.files.iter().collect::<Vec<_>>());
    let rule = rules.iter().find(|r| r.rule.name == "many").unwrap();
    assert!(!rule.has_errors(), "{:#?}", rule.diagnostics);
    let made = support(rule, &pack.config);
    assert_eq!(made.kind, Some(MonitorKind::BucketLevel), "{:?}", made.reasons);
    let monitor = made.monitor.unwrap();
    let search = monitor.pointer("/inputs/0/search/query").unwrap();
    let found =
        selected(search.pointer("/query/bool/filter/0").unwrap(), &rule.schema(&pack.config), &DOCUMENTS);
    assert_eq!(
        search.pointer("/query/bool/filter/1/range/@timestamp/gte"),
        Some(&json!("{{period_end}}||-60m"))
    );
    let groups = search.pointer("/aggregations/groups").unwrap();
    assert_eq!(
        groups.pointer("/composite/sources"),
        Some(&json!([{ "g0": { "terms": { "field": "user.name" } } }]))
    );
    assert_eq!(groups.pointer("/aggregations/distinct0/cardinality/field"), Some(&json!("event.action")));
    let condition = monitor.pointer("/triggers/0/bucket_level_trigger/condition").unwrap();
    assert_eq!(condition["script"]["source"], "params.count >= 4 && params.distinct0 >= 3");
    assert_eq!(condition["buckets_path"], json!({ "count": "_count", "distinct0": "distinct0" }));
    // the buckets of the aggregation, documents without the field dropped
    let mut buckets: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for i in found {
        if let Some(user) = text(&DOCUMENTS[i], "user.name") {
            buckets.entry(user).or_default().push(i);
        }
    }
    let distinct = |list: &[usize]| {
        list.iter().filter_map(|i| text(&DOCUMENTS[*i], "event.action")).collect::<BTreeSet<_>>().len()
    };
    let loud: BTreeSet<&str> = buckets
        .iter()
        .filter(|(_, l)| l.len() >= 4 && distinct(l) >= 3)
        .map(|(user, _)| user.as_str())
        .collect();
    // the same counted from the records, without query or conversion
    let mut plain: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for record in RECORDS.iter() {
        let is = |key: &str| record[key].as_str();
        let failed = is("errorCode").is_some() || is("errorMessage").is_some();
        let who = &record["userIdentity"];
        let user = who["userName"]
            .as_str()
            .or_else(|| who.pointer("/sessionContext/sessionIssuer/userName")?.as_str());
        if let (Some("iam.amazonaws.com"), false, Some(user)) = (is("eventSource"), failed, user) {
            let entry = plain.entry(user).or_default();
            entry.0 += 1;
            entry.1.insert(is("eventName").unwrap());
        }
    }
    let expected: BTreeSet<&str> =
        plain.iter().filter(|(_, (n, names))| *n >= 4 && names.len() >= 3).map(|(user, _)| *user).collect();
    assert!(!expected.is_empty() && loud.len() < buckets.len());
    assert_eq!(loud, expected);
    // replay does not count groups over all time as if it were one run
    let ran = s.run(&["replay", "--profile", "ecs", "-r", "many", "--format", "json"]);
    assert!(ran.out.contains("replaying monitors of threshold rules is not supported yet"), "{}", ran.all());
}

/// The part of PPL that is emitted, over documents.
struct Ppl<'q> {
    rest: &'q str,
}

type Holds = Box<dyn Fn(&Value) -> bool>;

impl<'q> Ppl<'q> {
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn until(&mut self, end: char) -> String {
        let at = self.rest.find(end).unwrap();
        let text = self.rest[..at].to_owned();
        self.rest = &self.rest[at + 1..];
        text
    }

    fn field(&mut self) -> String {
        assert!(self.take("`"), "{}", self.rest);
        self.until('`')
    }

    fn value(&mut self) -> String {
        if self.take("'") {
            return self.until('\'');
        }
        self.rest = self.rest.trim_start();
        let end = self.rest.find([' ', ',', ')']).unwrap_or(self.rest.len());
        let text = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        text
    }

    fn any(&mut self) -> Holds {
        let mut parts = vec![self.all()];
        while self.take("OR ") {
            parts.push(self.all());
        }
        Box::new(move |d| parts.iter().any(|p| p(d)))
    }

    fn all(&mut self) -> Holds {
        let mut parts = vec![self.one()];
        while self.take("AND ") {
            parts.push(self.one());
        }
        Box::new(move |d| parts.iter().all(|p| p(d)))
    }

    /// Null is no match: what is negated says so itself.
    fn one(&mut self) -> Holds {
        for (word, wanted) in [("isnotnull(", true), ("isnull(", false)] {
            if self.take(word) {
                let field = self.field();
                assert!(self.take(")"));
                return Box::new(move |d| at(d, &field).is_some() == wanted);
            }
        }
        if self.take("NOT ") {
            let inner = self.one();
            return Box::new(move |d| !inner(d));
        }
        if self.take("LIKE(") {
            let field = self.field();
            assert!(self.take(","));
            let pattern = self.value();
            assert!(self.take(")"));
            return Box::new(move |d| text(d, &field).is_some_and(|t| like(&pattern, &t)));
        }
        if self.take("(") {
            let inner = self.any();
            assert!(self.take(")"), "{}", self.rest);
            return inner;
        }
        let field = self.field();
        if self.take("IN (") {
            let mut values = vec![self.value()];
            while self.take(",") {
                values.push(self.value());
            }
            assert!(self.take(")"));
            return Box::new(move |d| text(d, &field).is_some_and(|t| values.contains(&t)));
        }
        if self.take(">= DATE_SUB(NOW(), INTERVAL ") {
            let back = self.until(')');
            // the history begins before all documents
            assert!(back.ends_with(" SECOND"));
            return Box::new(move |d| at(d, &field).is_some());
        }
        assert!(self.take("="), "{}", self.rest);
        let value = self.value();
        Box::new(move |d| text(d, &field).is_some_and(|t| t == value))
    }
}

fn like(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('%') => {
            (0..=text.len()).filter(|i| text.is_char_boundary(*i)).any(|i| like(&pattern[1..], &text[i..]))
        }
        Some('_') => text.chars().next().is_some_and(|c| like(&pattern[1..], &text[c.len_utf8()..])),
        Some(c) => text.strip_prefix(c).is_some_and(|rest| like(&pattern[c.len_utf8()..], rest)),
    }
}

#[test]
fn a_new_terms_monitor_finds_the_combinations_that_the_rule_finds_new() {
    let settings = OpenSearch { version: Version(3, 7, 0), ..OpenSearch::default() };
    let mut seen = 0;
    for rule in RULES.iter().filter(|r| !r.rule.new_terms_fields().is_empty()) {
        let made = support_with(rule, &PACK.config, &settings);
        if made.reasons.iter().any(|r| r.contains("a key below a flattened field")) {
            assert!(made.monitor.is_none());
            continue;
        }
        assert_eq!(made.kind, Some(MonitorKind::Ppl), "{:?}", made.reasons);
        let monitor = made.monitor.unwrap();
        let query = monitor.pointer("/inputs/0/ppl_input/query").unwrap().as_str().unwrap();
        assert!(query.chars().count() <= 2_000);
        let parts: Vec<&str> = query.split(" | ").collect();
        let [source, filter, stats, last] = parts.as_slice() else { panic!("{query}") };
        assert!(
            source.starts_with("source=")
                && last.starts_with("where first_seen >= DATE_SUB(NOW(), INTERVAL ")
        );
        let mut ppl = Ppl { rest: filter.strip_prefix("where ").unwrap() };
        let holds = ppl.any();
        assert!(ppl.rest.trim().is_empty(), "{}", ppl.rest);
        let keys = stats.strip_prefix("stats min(`@timestamp`) as first_seen by ").unwrap();
        let keys: Vec<&str> = keys.split(", ").map(|k| k.trim_matches('`')).collect();
        // the first time of each combination, over all documents
        let mut first: BTreeMap<Vec<String>, String> = BTreeMap::new();
        for document in DOCUMENTS.iter().filter(|d| holds(d)) {
            let combination: Vec<String> = keys.iter().map(|k| text(document, k).unwrap()).collect();
            let time = text(document, "@timestamp").unwrap();
            let held = first.entry(combination).or_insert_with(|| time.clone());
            *held = time.min(held.clone());
        }
        let engine = Engine::new(vec![RunRule::of(rule).unwrap()], Converter::new(Options::default()));
        let all: String = RECORDS.iter().map(|r| format!("{r}\n")).collect();
        let report = engine.run_texts(&[("x", all.as_bytes())], &[], None);
        let alerts: BTreeSet<Vec<String>> =
            report.alerts.iter().map(|a| a.group.iter().map(|(_, v)| v.clone()).collect()).collect();
        assert!(!alerts.is_empty(), "{}", made.name);
        assert_eq!(first.keys().cloned().collect::<BTreeSet<_>>(), alerts, "{}: {query}", made.name);
        // and it is new at the time of the alert's event
        for alert in &report.alerts {
            let combination: Vec<String> = alert.group.iter().map(|(_, v)| v.clone()).collect();
            let at: jiff::Timestamp = first[&combination].parse().unwrap();
            assert_eq!(alert.time, Some(at.as_nanosecond()), "{}", made.name);
        }
        seen += 1;
    }
    assert_eq!(seen, 1);
}
