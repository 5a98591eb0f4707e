//! Threshold rules from their file to alerts: groups, counts, evidence, and that files and shortcuts do not matter.

use crate::trail::{self, events, replay};
use rulepack::lang::cloudtrail::{Converter, Options};
use rulepack::pack::Pack;
use rulepack::replay::{Engine, RunRule};
use serde_json::{Value, json};

fn engine(threshold: &str) -> Result<Engine, Vec<String>> {
    let rule = format!(
        r#"[metadata]
creation_date = "2026/01/05"
integration = ["aws"]
maturity = "production"
updated_date = "2026/01/05"

[rule]
author = ["Example"]
description = "Many failed calls."
from = "now-9m"
index = ["logs-aws.cloudtrail-*"]
interval = "5m"
language = "kuery"
license = "MIT"
name = "Many failed calls"
query = 'event.action: "DeleteGroup"'
risk_score = 47
rule_id = "6d0f2c1e-8a45-4b53-9f0e-3c1f6e2a7b90"
severity = "medium"
type = "threshold"

[rule.threshold]
{threshold}
"#
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rulepack.toml"), "[pack]\nname = \"p\"\nstacks = [\"9.5\"]\n").unwrap();
    std::fs::create_dir_all(dir.path().join("rules-toml")).unwrap();
    std::fs::write(dir.path().join("rules-toml/many.toml"), rule).unwrap();
    let pack = Pack::load(dir.path()).unwrap();
    let compiled = pack.compile(&pack.select(&[]).unwrap()).remove(0);
    let errors =
        || compiled.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect::<Vec<_>>();
    let run = RunRule::of(&compiled).ok_or_else(errors)?;
    Ok(Engine::new(vec![run], Converter::new(Options::default())))
}

/// A group deleted in a region, by somebody or by nobody who is named.
fn deleted(id: usize, second: u32, user: Option<&str>, region: &str) -> Value {
    let mut record = trail::record(id, second, "DeleteGroup", user.unwrap_or_default());
    record["awsRegion"] = region.into();
    if user.is_none() {
        record["userIdentity"] = json!({ "type": "IAMUser", "accountId": "111122223333" });
    }
    record
}

#[test]
fn a_group_that_reaches_the_threshold_is_one_alert_with_what_it_shares_and_how_much_of_it() {
    let engine = engine("field = [\"user.name\"]\nvalue = 3").unwrap();
    let files = [
        vec![deleted(3, 120, Some("dora"), "us-east-1"), deleted(4, 130, Some("emil"), "us-east-1")],
        vec![deleted(1, 0, Some("dora"), "us-east-1"), deleted(2, 60, Some("dora"), "us-east-1")],
        // without a user it is in no group
        vec![
            deleted(5, 61, None, "us-east-1"),
            deleted(6, 62, None, "us-east-1"),
            deleted(7, 63, None, "us-east-1"),
        ],
    ];
    let report = replay(&engine, &files);
    assert_eq!(events(&report), [["00000001", "00000002", "00000003"]]);
    let alert = &report.alerts[0];
    assert_eq!(alert.group, [("user.name".to_owned(), "dora".to_owned())]);
    let told: Vec<String> = alert.evidence[0].values.iter().map(|(n, v)| format!("{n}: {}", v[0])).collect();
    assert_eq!(
        told,
        [
            "events: 3",
            "first: 2026-01-05T10:00:00.000Z",
            "last: 2026-01-05T10:02:00.000Z",
            "seen by the run at: 2026-01-05T10:02:10.000Z"
        ]
    );
    assert_eq!(alert.evidence[1].clause, "event.action: \"DeleteGroup\"");
    assert!(report.complete());
    let slow = replay(&engine.without_shortcuts(), &files);
    assert_eq!(events(&slow), events(&report));
}

#[test]
fn events_that_no_run_sees_together_do_not_add_up() {
    let engine = engine("field = [\"user.name\"]\nvalue = 2").unwrap();
    let at = |second| vec![vec![deleted(1, 0, Some("dora"), "a"), deleted(2, second, Some("dora"), "a")]];
    assert_eq!(replay(&engine, &at(9 * 60)).alerts.len(), 1);
    assert_eq!(replay(&engine, &at(9 * 60 + 1)).alerts.len(), 0);
}

#[test]
fn without_fields_everything_is_one_group_and_different_values_are_counted() {
    let engine =
        engine("field = []\nvalue = 1\ncardinality = [{ field = \"cloud.region\", value = 2 }]").unwrap();
    let one = |second, region| deleted(second as usize, second, Some("dora"), region);
    let report = replay(&engine, &[vec![one(1, "us-east-1"), one(2, "us-east-1")]]);
    assert_eq!(report.alerts.len(), 0);
    let report = replay(&engine, &[vec![one(1, "us-east-1"), one(2, "us-east-1"), one(3, "eu-west-1")]]);
    assert_eq!(events(&report), [["00000001", "00000002", "00000003"]]);
    let values = &report.alerts[0].evidence[0].values;
    assert_eq!((values[1].0.as_str(), values[1].1[0].text().as_ref()), ("values of cloud.region", "2"));
}

#[test]
fn a_field_that_cannot_be_grouped_by_is_an_error() {
    let found = engine("field = [\"message\"]\nvalue = 2").unwrap_err();
    assert!(found.iter().any(|d| d.starts_with("RP0305 events cannot be grouped by `message`")), "{found:?}");
    let found = engine("field = [\"user.nmae\"]\nvalue = 2").unwrap_err();
    assert!(found.iter().any(|d| d.starts_with("RP0201")), "{found:?}");
}
