//! Replay and tests through a shape: the queries of the monitors over documents as they are.

use super::profiles::ocsf;
use super::selection::{DOCUMENTS, RECORDS};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn lines(documents: &[Value]) -> String {
    documents.iter().map(|d| format!("{d}\n")).collect()
}

/// What `replay --format json` answers.
fn replayed(s: &Sandbox, args: &[&str]) -> Value {
    let mut all = vec!["replay", "--format", "json"];
    all.extend(args);
    let ran = s.run(&all);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    serde_json::from_str(&ran.out).unwrap()
}

/// Rule and event of each alert.
fn alerts(answer: &Value) -> BTreeSet<(String, String)> {
    let list = answer["alerts"].as_array().unwrap().iter();
    list.map(|a| {
        (a["rule"]["name"].as_str().unwrap().to_owned(), a["events"][0].as_str().unwrap().to_owned())
    })
    .collect()
}

fn not_run(answer: &Value) -> BTreeSet<String> {
    answer["not_run"].as_array().unwrap().iter().map(|r| r["rule"].as_str().unwrap().to_owned()).collect()
}

/// That documents of a shape give the alerts of the rules on the records; how many rules ran.
fn same_alerts(profile: &str, documents: &[Value]) -> usize {
    let s = Sandbox::pack();
    s.write("records.ndjson", lines(&RECORDS));
    s.write("shaped.ndjson", lines(documents));
    let rules = alerts(&replayed(&s, &["records.ndjson"]));
    let answer = replayed(&s, &["--profile", profile, "shaped.ndjson"]);
    assert_eq!((&answer["profile"], &answer["complete"]), (&json!(profile), &json!(true)));
    let left_out = not_run(&answer);
    let ran = answer["rules"].as_array().unwrap().len();
    assert_eq!(ran + left_out.len(), 15);
    // no rule is in both, and one that was not run has no count
    let expected: BTreeSet<_> = rules.into_iter().filter(|(rule, _)| !left_out.contains(rule)).collect();
    let of_events: BTreeSet<_> =
        expected.iter().filter(|(rule, _)| !rule.ends_with("discovery_burst_from_cli")).cloned().collect();
    let mut found = alerts(&answer);
    found.retain(|(rule, _)| !rule.ends_with("discovery_burst_from_cli"));
    assert!(found.len() > 20);
    assert_eq!(found, of_events);
    ran
}

#[test]
fn each_shape_gives_the_alerts_of_the_records() {
    assert_eq!(same_alerts("raw", &RECORDS), 10);
    let below: Vec<Value> = RECORDS.iter().map(|r| json!({ "aws": { "cloudtrail": r } })).collect();
    assert_eq!(same_alerts("ss4o", &below), 10);
    let activities: Vec<Value> = RECORDS
        .iter()
        .map(|r| {
            let mut out = ocsf(r);
            out["class_uid"] = json!(6003);
            out["metadata"] = json!({ "uid": r["eventID"] });
            out["time"] =
                json!(r["eventTime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond());
            out
        })
        .collect();
    assert_eq!(same_alerts("ocsf", &activities), 11);
    assert_eq!(same_alerts("ecs", &DOCUMENTS), 12);
}

#[test]
fn alerts_have_their_evidence_in_the_fields_of_the_shape() {
    let s = Sandbox::pack();
    s.write("records.ndjson", lines(&RECORDS));
    let answer = replayed(&s, &["--profile", "raw", "-r", "aws/iam/group_created", "records.ndjson"]);
    let alert = &answer["alerts"][0];
    assert_eq!(alert["evidence"][0]["values"]["eventSource"], json!(["iam.amazonaws.com"]), "{alert}");
    assert_eq!(answer["monitors"][0]["kind"], "doc_level_monitor");
    let time = alert["time"].as_str().unwrap();
    assert!(time.starts_with("2026-11-"), "{time}");
    let ran = s.run(&["replay", "--profile", "raw", "--show-alerts", "records.ndjson"]);
    assert!(ran.out.contains("    eventName: \"CreateGroup\""), "{}", ran.all());
    assert!(ran.out.contains("15 rules as monitors, profile raw"), "{}", ran.all());
    assert!(
        ran.out.contains("user_created_by_ec2_role not run: there is no monitor: new terms need"),
        "{}",
        ran.all()
    );
    // part of the input is chosen by the fields of the shape
    let part = replayed(&s, &["--profile", "raw", "--account", "999999999999", "records.ndjson"]);
    assert_eq!(part["alerts"], json!([]));
    assert!(part["skipped"]["events_outside"].as_u64().unwrap() > 100);
}

#[test]
fn documents_of_another_shape_are_no_answer() {
    let s = Sandbox::pack();
    s.write("records.ndjson", lines(&RECORDS));
    for profile in ["ecs", "ss4o", "ocsf"] {
        let ran = s.run(&["replay", "--profile", profile, "records.ndjson"]);
        assert_eq!(ran.code, Some(1), "{}", ran.all());
        assert!(ran.all().contains(&format!("no record has the shape `{profile}`")), "{}", ran.all());
    }
    // one among others is counted
    s.write("mixed.ndjson", format!("{}{}", lines(&RECORDS), lines(&DOCUMENTS[..3])));
    let answer = replayed(&s, &["--profile", "raw", "mixed.ndjson"]);
    assert_eq!(answer["skipped"]["records_of_another_kind"], 3);
    assert_eq!(s.run(&["replay", "--profile", "cim", "records.ndjson"]).code, Some(2));
}

#[test]
fn test_cases_run_through_the_monitors() {
    let s = Sandbox::pack();
    for (profile, verdict) in [
        ("raw", "ok: 63 cases of 10 rules passed"),
        ("ss4o", "ok: 63 cases of 10 rules passed"),
        ("ecs", "ok: 138 cases of 12 rules passed"),
    ] {
        let ran = s.run(&["test", "--profile", profile]);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        assert!(ran.out.contains(verdict), "{profile}: {}", ran.all());
        assert!(ran.out.contains("not run: aws/iam/user_created_by_ec2_role"), "{}", ran.all());
    }
    let ran = s.run(&["test", "--profile", "ocsf"]);
    assert!(ran.code == Some(1) && ran.err.contains("RP9001"), "{}", ran.all());
    // what the map gets wrong fails the case
    let file = "tests/rules/aws/iam/group_created.toml";
    s.write(file, s.read(file).replacen("expect = [{ events = [\"511bf567\"] }]", "expect = 0", 1));
    let ran = s.run(&["test", "--profile", "raw", "aws/iam/group_created", "--format", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["profile"], "raw");
}

#[test]
fn an_exception_in_the_query_of_the_monitor_suppresses_what_the_rules_exception_suppresses() {
    let arn = "arn:aws:iam::111122223333:user/build";
    let entries = [
        format!("field = \"aws.cloudtrail.user_identity.arn\", type = \"match\", operator = \"OP\", value = \"{arn}\""),
        format!(
            "field = \"aws.cloudtrail.user_identity.arn\", type = \"match_any\", operator = \"OP\", value = [\"{arn}\", \"x\"]"
        ),
        "field = \"aws.cloudtrail.user_identity.arn\", type = \"wildcard\", operator = \"OP\", value = \"*:user/b*\""
            .to_owned(),
        "field = \"aws.cloudtrail.user_identity.session_context.session_issuer.arn\", type = \"exists\", operator = \"OP\""
            .to_owned(),
        "field = \"user_agent.original\", type = \"match\", operator = \"OP\", value = \"say \\\"hi\\\" (x): a\\\\b\""
            .to_owned(),
        "field = \"cloud.region\", type = \"match_any\", operator = \"OP\", value = [\"eu-west-1\", \"us-east-1\"]"
            .to_owned(),
    ];
    let base = RECORDS.iter().find(|r| r["eventName"] == "CreateGroup" && r["errorCode"].is_null()).unwrap();
    let mut records = Vec::new();
    for (i, change) in [
        json!({}),
        json!({ "/userIdentity": { "type": "IAMUser", "arn": arn } }),
        json!({ "/userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/bert" } }),
        json!({ "/userIdentity": { "type": "Root" } }),
        json!({ "/userAgent": "say \"hi\" (x): a\\b" }),
        json!({ "/awsRegion": "eu-west-1" }),
        json!({ "/awsRegion": "eu-central-1" }),
        json!({ "/userIdentity": { "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/r/s",
            "sessionContext": { "sessionIssuer": { "arn": "arn:aws:iam::111122223333:role/r" } } } }),
    ]
    .iter()
    .enumerate()
    {
        let mut record = base.clone();
        for (key, value) in change.as_object().unwrap() {
            record[key.trim_start_matches('/')] = value.clone();
        }
        record["eventID"] = json!(format!("00000000-0000-4000-8000-00000000000{i}"));
        records.push(record);
    }
    let s = Sandbox::pack();
    s.write("records.ndjson", lines(&records));
    let below: Vec<Value> = records.iter().map(|r| json!({ "aws": { "cloudtrail": r } })).collect();
    s.write("below.ndjson", lines(&below));
    let rule = "aws/iam/group_created";
    let id = s.read("rules-toml/aws/iam/group_created.toml");
    let id =
        id.lines().find_map(|l| l.strip_prefix("rule_id = \"")).unwrap().trim_end_matches('"').to_owned();
    let all = alerts(&replayed(&s, &["-r", rule, "records.ndjson"])).len();
    assert_eq!(all, records.len());
    let mut outcomes = BTreeSet::new();
    for (i, entry) in entries.iter().enumerate() {
        for operator in ["included", "excluded"] {
            let entry = entry.replace("OP", operator);
            s.write(
                "exceptions/x.toml",
                format!(
                    "[metadata]\nrule_ids = [\"{id}\"]\n\n[[exceptions]]\n[exceptions.container]\nlist_id = \"x\"\n\
                     name = \"x\"\ntype = \"detection\"\n\n[[exceptions.items]]\nname = \"one\"\n\
                     comments = [{{ comment = \"why\" }}]\nentries = [{{ {entry} }}]\n"
                ),
            );
            let by_rule = alerts(&replayed(&s, &["-r", rule, "records.ndjson"]));
            assert!(by_rule.len() < all && !by_rule.is_empty(), "{entry}: {by_rule:?}");
            for (profile, file) in [("raw", "records.ndjson"), ("ss4o", "below.ndjson")] {
                let answer = replayed(&s, &["--profile", profile, "-r", rule, file]);
                assert_eq!(alerts(&answer), by_rule, "{profile}: {entry}: {answer}");
            }
            outcomes.insert((i, by_rule.len()));
        }
    }
    // included and excluded are complements, and so differ
    assert!(outcomes.len() > entries.len());
}
