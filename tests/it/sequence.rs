//! Rules over several events: what replay finds does not depend on files, threads or shortcuts, and a
//! failed test tells what became of the sequence.

use crate::trail::{events, record, replay};
use proptest::prelude::*;
use rulepack::lang::cloudtrail::{Converter, Options};
use rulepack::lang::{Language, Settings, analyze};
use rulepack::replay::course::course;
use rulepack::replay::{Engine, Report, RunRule};
use rulepack::schema::{Schema, Version, aws_cloudtrail, ecs};
use serde_json::{Value, json};

fn rule(query: &str) -> RunRule {
    let layers = vec![aws_cloudtrail().layer(Version(8, 9, 0)), ecs().layer(Version(9, 5, 0))];
    let analysis = analyze(Language::Eql, query, &Schema::new(layers), &Settings::default());
    assert!(analysis.diagnostics.is_empty(), "{query}: {:?}", analysis.diagnostics);
    RunRule {
        id: "r".into(),
        title: "R".into(),
        name: "aws/iam/r".into(),
        file: "r.toml".into(),
        severity: "low".into(),
        query: query.into(),
        plan: analysis.plan.unwrap(),
        index: vec!["logs-aws.cloudtrail-*".into()],
        max_signals: 100,
    }
}

fn engine(rules: &[RunRule]) -> Engine {
    Engine::new(rules.to_vec(), Converter::new(Options::default()))
}

const KEY_THEN_POLICY: &str = r#"sequence by user.name with maxspan=10m
  [iam where event.action == "CreateAccessKey"]
  [iam where event.action == "AttachUserPolicy" and event.outcome == "success"]"#;

#[test]
fn a_sequence_over_files_out_of_order_is_one_alert_with_its_keys_and_evidence() {
    let files = [
        vec![record(2, 300, "AttachUserPolicy", "dora"), record(4, 1900, "AttachUserPolicy", "emil")],
        vec![record(1, 0, "CreateAccessKey", "dora"), record(3, 1200, "CreateAccessKey", "emil")],
    ];
    let report = replay(&engine(&[rule(KEY_THEN_POLICY)]), &files);
    assert_eq!(events(&report), [["00000001", "00000002"]]);
    let alert = &report.alerts[0];
    assert_eq!(alert.group, [("user.name".to_owned(), "dora".to_owned())]);
    let clauses: Vec<(usize, &str)> = alert.evidence.iter().map(|e| (e.event, e.clause.as_str())).collect();
    assert!(clauses.contains(&(0, r#"event.action == "CreateAccessKey""#)), "{clauses:?}");
    assert!(clauses.contains(&(1, r#"event.outcome == "success""#)), "{clauses:?}");
    assert!(report.complete());
}

#[test]
fn samples_and_missing_events_alert_too() {
    let files = [vec![
        record(1, 0, "CreateAccessKey", "dora"),
        record(2, 5, "CreateAccessKey", "emil"),
        record(3, 9, "DeleteAccessKey", "emil"),
    ]];
    let sample = r#"sample by user.name
        [iam where event.action == "DeleteAccessKey"] [iam where event.action == "CreateAccessKey"]"#;
    let missing = r#"sequence by user.name with maxspan=1m
        [iam where event.action == "CreateAccessKey"] ![iam where event.action == "DeleteAccessKey"]"#;
    assert_eq!(events(&replay(&engine(&[rule(sample)]), &files)), [["00000003", "00000002"]]);
    assert_eq!(events(&replay(&engine(&[rule(missing)]), &files)), [["00000001"]]);
}

#[test]
fn an_event_without_a_time_is_a_problem_of_the_rule() {
    let rules = [rule("sequence [any where event.action == \"a\"] [any where event.action == \"b\"]")];
    let text = r#"{"_id":"1","event":{"action":"a","dataset":"aws.cloudtrail"},"ecs":{"version":"8.0"}}"#;
    let report = engine(&rules).run_texts(&[("x", text.as_bytes())], &[], None);
    assert!(!report.complete());
    let message = &report.problems[0].message;
    assert!(message.contains("exactly one date in the timestamp field `@timestamp`"), "{message}");
}

#[test]
fn a_tiebreaker_that_nothing_maps_is_compared_as_what_it_is() {
    let settings = Settings { tiebreaker_field: Some("n".into()), ..Settings::default() };
    let query = "sequence [any where a == 1] [any where a == 2]";
    let plan = analyze(Language::Eql, query, &Schema::none(), &settings).plan.unwrap();
    let engine = engine(&[RunRule { plan, query: query.into(), index: Vec::new(), ..rule(KEY_THEN_POLICY) }]);
    let event = |id: &str, a: u8, n: u8| json!({ "_id": id, "@timestamp": "2026-01-05T10:00:00Z", "ecs": { "version": "8.0" }, "a": a, "n": n });
    let run = |x: Value, y: Value| {
        let text = format!("{x}\n{y}\n");
        engine.run_texts(&[("x", text.as_bytes())], &[], None).alerts.len()
    };
    assert_eq!(run(event("1", 2, 10), event("2", 1, 9)), 1);
    assert_eq!(run(event("1", 1, 10), event("2", 2, 9)), 0);
}

#[test]
fn the_course_tells_what_an_open_sequence_died_of() {
    let query = format!("{KEY_THEN_POLICY}\nuntil [iam where event.action == \"DeleteUser\"]");
    let rules = [rule(&query)];
    let engine = engine(&rules);
    let file = json!({ "Records": [
        record(1, 0, "CreateAccessKey", "dora"),
        record(2, 700, "AttachUserPolicy", "dora"),
        record(3, 0, "CreateAccessKey", "emil"),
        record(4, 1, "DeleteUser", "emil"),
        record(5, 2, "CreateAccessKey", "fay"),
        record(6, 3, "CreateAccessKey", "fay"),
    ] });
    let text = file.to_string();
    let examined = engine.examine(0, &[("x", text.as_bytes())]);
    let parts: Vec<_> = examined.into_iter().map(|e| (e.id[7..8].to_owned(), e.part.unwrap())).collect();
    let mut told: Vec<String> = course(&rules[0], &parts).into_iter().map(|h| h.text).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "1 is event 1 of 2",
            "2 would be event 2 of 2, but comes 700s after the first, and maxspan is 10m: 1 cannot go on",
            "3 is event 1 of 2",
            "4 satisfies until [iam where event.action == \"DeleteUser\"]: 3 cannot go on",
            "5 is event 1 of 2",
            "6 is event 1 of 2; it takes the place of 5, which cannot go on",
            "6 still waits for event 2 of 2, [iam where event.action == \"At...d event.outcome == \"success\"]",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn shortcuts_files_and_their_order_change_no_answer(
        picks in prop::collection::vec((0usize..5, 0usize..2), 1..25),
        deal in prop::collection::vec(0usize..4, 25),
    ) {
        let names = ["CreateAccessKey", "AttachUserPolicy", "DeleteUser", "ListUsers", "GetUser"];
        let records: Vec<Value> = picks
            .iter()
            .enumerate()
            .map(|(i, (name, user))| record(i, 97 * i as u32, names[*name], ["dora", "emil"][*user]))
            .collect();
        let rules = [
            rule(KEY_THEN_POLICY),
            rule("sequence with maxspan=10m [any where event.action == \"CreateAccessKey\"] by user.name \
                  ![any where event.action == \"DeleteUser\"] by user.name \
                  [any where event.action : \"*users\"] by user.name"),
            rule("sequence by user.name [any where event.action == \"CreateAccessKey\"] with runs=2 \
                  until [any where event.action == \"DeleteUser\"]"),
        ];
        let engine_of_all = engine(&rules);
        let want = replay(&engine(&rules).without_shortcuts(), std::slice::from_ref(&records));
        let mut files = vec![Vec::new(); 4];
        for (record, file) in records.into_iter().zip(&deal) {
            files[*file].push(record);
        }
        files.iter_mut().for_each(|f| f.reverse());
        let core = |r: &Report| -> Vec<_> {
            r.alerts.iter().map(|a| (a.rule, a.time, a.events.clone(), a.group.clone())).collect()
        };
        prop_assert_eq!(core(&replay(&engine_of_all, &files)), core(&want));
        // every rule of its own, so that the prefilter is on
        for (i, one) in rules.iter().enumerate() {
            let alone = replay(&engine(std::slice::from_ref(one)), &files);
            let got: Vec<_> = alone.alerts.iter().map(|a| a.events.clone()).collect();
            let of_rule: Vec<_> = want.alerts.iter().filter(|a| a.rule == i).map(|a| a.events.clone()).collect();
            prop_assert_eq!(got, of_rule);
        }
    }
}

#[test]
fn filters_and_exceptions_hold_for_every_item() {
    use rulepack::plan::{Pred, Stage};
    let files = [vec![record(1, 0, "CreateAccessKey", "dora"), record(2, 5, "AttachUserPolicy", "dora")]];
    let mut rule = rule(KEY_THEN_POLICY);
    assert_eq!(replay(&engine(std::slice::from_ref(&rule)), &files).alerts.len(), 1);
    rule.plan.stages.insert(0, Stage::Filter(Pred::Const(false)));
    assert_eq!(replay(&engine(&[rule]), &files).alerts.len(), 0);
}
