//! The query of each monitor, read back by our own evaluator of Query DSL and query strings, selects exactly
//! the events that the rule alerts on.

use rulepack::emit::opensearch::{Grade, MonitorKind, Support, support};
use rulepack::lang::cloudtrail::{Converter, Needs, Options};
use rulepack::lang::{Settings, dsl};
use rulepack::pack::{CompiledRule, Pack};
use rulepack::plan::{Plan, PlanFields, Stage};
use rulepack::replay::{Engine, RunRule};
use rulepack::schema::Schema;
use rulepack::source::Span;
use rulepack::value::ProjectionBuilder;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub static PACK: LazyLock<Pack> =
    LazyLock::new(|| Pack::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap());

pub static RULES: LazyLock<Vec<CompiledRule>> =
    LazyLock::new(|| PACK.compile(&PACK.files.iter().collect::<Vec<_>>()));

/// Every record of the fixtures, as it was delivered.
pub static RECORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/iam");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        match json.get("Records").and_then(Value::as_array) {
            Some(records) => out.extend(records.iter().cloned()),
            None => out.push(json),
        }
    }
    out
});

/// The same as ECS documents.
pub static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let converter = Converter::new(Options::default());
    let needs = Needs::all();
    RECORDS.iter().map(|r| converter.convert(r.to_string().as_bytes(), &needs).unwrap().document).collect()
});

/// The records that a query selects, by place.
pub fn selected(query: &Value, schema: &Schema, documents: &[Value]) -> BTreeSet<usize> {
    let mut fields = PlanFields::default();
    let lowered = dsl::lower(query, schema, &Settings::default(), &mut fields, &|_| Span::default());
    assert!(lowered.diagnostics.is_empty(), "{query}: {:#?}", lowered.diagnostics);
    let plan = Plan { fields, stages: vec![Stage::Filter(lowered.pred)] };
    let mut builder = ProjectionBuilder::default();
    let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
    let projection = builder.build();
    let holds = |d: &Value| plan.matches(&projection.project_value(d), &slots).unwrap();
    (0..documents.len()).filter(|i| holds(&documents[*i])).collect()
}

/// The query of a doc-level monitor.
pub fn query_string(monitor: &Value) -> Value {
    let query = monitor.pointer("/inputs/0/doc_level_input/queries/0/query").unwrap();
    json!({ "query_string": { "query": query } })
}

/// The records that a rule alerts on in a replay, each looked at alone.
pub fn alerted(rule: &CompiledRule) -> BTreeSet<usize> {
    let engine = Engine::new(vec![RunRule::of(rule).unwrap()], Converter::new(Options::default()));
    let alerts = |r: &Value| engine.run_texts(&[("x", r.to_string().as_bytes())], &[], None).alerts.len();
    (0..RECORDS.len()).filter(|i| alerts(&RECORDS[*i]) > 0).collect()
}

fn all() -> Vec<(&'static CompiledRule, Support)> {
    RULES.iter().map(|r| (r, support(r, &PACK.config))).collect()
}

#[test]
fn the_monitors_of_faithful_rules_find_exactly_what_the_rules_alert_on() {
    let mut faithful = 0;
    for (rule, support) in all().into_iter().filter(|(_, s)| s.grade == Grade::Faithful) {
        assert_eq!(support.kind, Some(MonitorKind::DocLevel), "{}", support.name);
        let monitor = support.monitor.unwrap();
        let found = selected(&query_string(&monitor), &rule.schema(&PACK.config), &DOCUMENTS);
        let alerts = alerted(rule);
        assert!(!alerts.is_empty(), "{}: the fixtures have nothing for it", support.name);
        assert_eq!(found, alerts, "{}", support.name);
        faithful += 1;
    }
    assert_eq!(faithful, 11);
}

#[test]
fn every_rule_of_the_pack_has_a_grade_and_every_loss_a_reason() {
    for (_, s) in all() {
        assert_eq!(s.reasons.is_empty(), s.grade == Grade::Faithful, "{}", s.name);
        assert_eq!(s.monitor.is_some(), s.grade != Grade::NotPossible, "{}", s.name);
        assert!(s.left_out.contains(&"risk score".to_owned()), "{}", s.name);
    }
}

/// The part of a bucket-level or query-level search that chooses documents, without its time range.
fn search_filter(monitor: &Value) -> Value {
    monitor.pointer("/inputs/0/search/query/query/bool/filter/0").unwrap().clone()
}

#[test]
fn the_search_of_the_burst_rule_counts_the_documents_that_the_rule_counts() {
    let (rule, support) =
        all().into_iter().find(|(r, _)| r.rule.name.ends_with("discovery_burst_from_cli")).unwrap();
    assert_eq!((support.grade, support.kind), (Grade::Approximate, Some(MonitorKind::BucketLevel)));
    let monitor = support.monitor.unwrap();
    let found = selected(&search_filter(&monitor), &rule.schema(&PACK.config), &DOCUMENTS);
    // the groups of six and more distinct calls by an identity within ten seconds are the rule's alerts
    let mut groups: std::collections::BTreeMap<(String, i64), BTreeSet<String>> = Default::default();
    for i in found {
        let text = |p: &str| DOCUMENTS[i].pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let time: jiff::Timestamp = text("/@timestamp").parse().unwrap();
        let key = (text("/aws/cloudtrail/user_identity/arn"), time.as_millisecond().div_euclid(10_000));
        groups.entry(key).or_default().insert(text("/event/action"));
    }
    let loud = groups.values().filter(|actions| actions.len() > 5).count();
    let engine = Engine::new(vec![RunRule::of(rule).unwrap()], Converter::new(Options::default()));
    let text: String = RECORDS.iter().map(|r| format!("{r}\n")).collect();
    let alerts = engine.run_texts(&[("x", text.as_bytes())], &[], None).alerts.len();
    assert!(alerts > 0);
    assert_eq!(loud, alerts);
    assert_eq!(
        monitor.pointer("/triggers/0/bucket_level_trigger/condition/script/source"),
        Some(&json!("params.m0 > 5"))
    );
    let sources = monitor.pointer("/inputs/0/search/query/aggregations/groups/composite/sources").unwrap();
    assert_eq!(
        sources[0],
        json!({"g0": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10000ms"}}})
    );
    assert_eq!(
        sources[1],
        json!({"g1": {"terms": {"field": "aws.cloudtrail.user_identity.arn", "missing_bucket": true}}})
    );
}

#[test]
fn two_fields_are_compared_by_a_script_and_the_rest_of_the_search_loses_no_event() {
    let (rule, support) =
        all().into_iter().find(|(r, _)| r.rule.name.ends_with("access_key_for_another_user")).unwrap();
    assert_eq!((support.grade, support.kind), (Grade::Approximate, Some(MonitorKind::QueryLevel)));
    let mut filter = search_filter(&support.monitor.unwrap());
    let clauses = filter.pointer_mut("/bool/filter").unwrap().as_array_mut().unwrap();
    let script = clauses.pop().unwrap();
    let source = script.pointer("/script/script/source").unwrap().as_str().unwrap();
    assert!(
        source.contains("doc['user.name'].value.compareTo(doc['user.target.name'].value) != 0"),
        "{source}"
    );
    let found = selected(&filter, &rule.schema(&PACK.config), &DOCUMENTS);
    let by_script: BTreeSet<usize> = found
        .into_iter()
        .filter(|i| {
            let text = |p: &str| DOCUMENTS[*i].pointer(p).and_then(Value::as_str);
            matches!((text("/user/name"), text("/user/target/name")), (Some(a), Some(b)) if a != b)
        })
        .collect();
    assert_eq!(by_script, alerted(rule));
}
