//! `_bulk_action`: enable, disable, delete, edit, export, duplicate, run; dry runs, limits, partial failure.

use super::*;

const BULK: &str = "/api/detection_engine/rules/_bulk_action";

fn ids(client: &Client, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| created(client, &format!("r-{n}"), json!({}))["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn rules_are_enabled_disabled_and_deleted_by_id() {
    let (fake, client) = start();
    let ids = ids(&client, 3);
    let first_two = &ids[..2];
    let done = client.post(BULK, &json!({ "action": "enable", "ids": first_two })).ok();
    assert_eq!(
        done["attributes"]["summary"],
        json!({ "failed": 0, "succeeded": 2, "skipped": 0, "total": 2 })
    );
    assert_eq!((&done["success"], &done["rules_count"]), (&json!(true), &json!(2)));
    assert_eq!(done["attributes"]["results"]["updated"][0]["enabled"], true);
    // one that is enabled already is reported as updated too
    let again = client.post(BULK, &json!({ "action": "enable", "ids": first_two })).ok();
    assert_eq!(again["attributes"]["summary"]["succeeded"], 2);
    client.post(BULK, &json!({ "action": "disable", "ids": [ids[0]] })).ok();
    let enabled: Vec<Value> = fake.rules("default").iter().map(|r| r["enabled"].clone()).collect();
    assert_eq!(enabled, [false, true, false]);
    assert!(fake.rules("default").iter().all(|r| r["revision"] == 0));
    client.post(BULK, &json!({ "action": "delete", "ids": ids })).ok();
    assert!(fake.rules("default").is_empty());
}

#[test]
fn a_partial_failure_is_500_with_the_results_of_all() {
    let (fake, client) = start();
    let ids = ids(&client, 2);
    let answer = client.post(BULK, &json!({ "action": "delete", "ids": [ids[0], "x", ids[1], "y"] }));
    assert_eq!(answer.status, 500);
    let attributes = &answer.json()["attributes"];
    assert_eq!(attributes["summary"], json!({ "failed": 2, "succeeded": 2, "skipped": 0, "total": 4 }));
    assert_eq!(attributes["errors"].as_array().unwrap().len(), 1);
    assert_eq!(attributes["errors"][0]["rules"], json!([{ "id": "x" }, { "id": "y" }]));
    assert_eq!(attributes["results"]["deleted"].as_array().unwrap().len(), 2);
    assert!(fake.rules("default").is_empty());
}

#[test]
fn a_dry_run_changes_nothing_and_shows_the_summary_alone() {
    let (fake, client) = start();
    let ids = ids(&client, 2);
    for action in ["enable", "delete", "duplicate"] {
        let answer =
            client.post(&format!("{BULK}?dry_run=true"), &json!({ "action": action, "ids": ids })).ok();
        assert_eq!(answer["attributes"]["summary"]["succeeded"], 2, "{action}");
        assert_eq!(answer["attributes"]["results"]["updated"], json!([]));
    }
    assert_eq!(fake.rules("default").len(), 2);
    assert_eq!(fake.rules("default")[0]["enabled"], false);
    assert_eq!(
        client.post(&format!("{BULK}?dry_run=true"), &json!({ "action": "export", "ids": ids })).status,
        400
    );
}

#[test]
fn requests_have_limits() {
    let (_fake, client) = start();
    let status = |body: Value| client.post(BULK, &body).status;
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    assert_eq!(status(json!({ "action": "enable", "ids": many })), 400);
    assert_eq!(status(json!({ "action": "enable", "ids": [], })), 400);
    assert_eq!(status(json!({ "action": "enable", "ids": ["a"], "query": "" })), 400);
    assert_eq!(status(json!({ "action": "explode", "ids": ["a"] })), 400);
    assert_eq!(status(json!({ "ids": ["a"] })), 400);
    assert_eq!(status(json!({ "action": "edit", "ids": ["a"] })), 400);
}

#[test]
fn a_query_reaches_a_thousand_rules_and_no_more() {
    let (fake, client) = start();
    let rules: Vec<Value> = (0..1_001)
        .map(|n| rule(&n.to_string(), json!({ "tags": [if n == 0 { "x" } else { "y" }] })))
        .collect();
    fake.seed(&json!({ "rules": rules })).unwrap();
    let enable = |query: &str| client.post(BULK, &json!({ "action": "enable", "query": query }));
    assert_eq!(enable("").status, 400);
    assert_eq!(enable("alert.attributes.tags: y").ok()["rules_count"], 1_000);
}

#[test]
fn rules_are_edited() {
    let (fake, client) = start();
    fake.seed(&json!({ "connectors": [{ "id": "c", "name": "c", "connector_type_id": ".slack" }] })).unwrap();
    let id = created(&client, "r", json!({ "tags": ["a"], "index": ["i-*"] }))["id"].clone();
    let edit = |kind: &str, value: Value| {
        client
            .post(BULK, &json!({ "action": "edit", "ids": [id], "edit": [{ "type": kind, "value": value }] }))
    };
    let live = || fake.rule("default", "r").unwrap();
    edit("add_tags", json!(["a", "b"])).ok();
    assert_eq!((&live()["tags"], &live()["revision"]), (&json!(["a", "b"]), &json!(1)));
    let skipped = edit("add_tags", json!(["a"])).ok();
    assert_eq!(skipped["attributes"]["results"]["skipped"][0]["skip_reason"], "RULE_NOT_MODIFIED");
    edit("delete_tags", json!(["a"])).ok();
    edit("set_index_patterns", json!(["j-*"])).ok();
    edit("set_investigation_fields", json!({ "field_names": ["user.name"] })).ok();
    edit("set_timeline", json!({ "timeline_id": "t", "timeline_title": "T" })).ok();
    edit("set_schedule", json!({ "interval": "10m", "lookback": "2m" })).ok();
    edit("set_alert_suppression", json!({ "group_by": ["user.name"] })).ok();
    edit("set_rule_actions", json!({ "throttle": "1h", "actions": [{ "id": "c", "params": {} }] })).ok();
    let rule = live();
    assert_eq!((&rule["tags"], &rule["index"]), (&json!(["b"]), &json!(["j-*"])));
    assert_eq!(
        (&rule["interval"], &rule["from"], &rule["timeline_title"]),
        (&json!("10m"), &json!("now-720s"), &json!("T"))
    );
    assert_eq!(rule["actions"][0]["frequency"]["throttle"], "1h");
    assert_eq!(rule["revision"], 8);
    edit("delete_investigation_fields", json!({ "field_names": ["user.name"] })).ok();
    edit("delete_alert_suppression", Value::Null).ok();
    assert!(live().get("investigation_fields").is_none() && live().get("alert_suppression").is_none());
    assert_eq!(edit("set_schedule", json!({ "interval": "0m", "lookback": "1m" })).status, 400);
    assert_eq!(edit("add_tags", json!("a")).status, 400);
    assert_eq!(edit("paint", json!([])).status, 400);
}

#[test]
fn edits_that_a_type_does_not_have_carry_a_code() {
    let (_fake, client) = start();
    let eql = json!({ "type": "esql", "language": "esql", "query": "from a metadata _id" });
    let id = created(&client, "r", eql)["id"].clone();
    let code = |kind: &str, value: Value| {
        let body = json!({ "action": "edit", "ids": [id], "edit": [{ "type": kind, "value": value }] });
        let answer = client.post(&format!("{BULK}?dry_run=true"), &body);
        assert_eq!(answer.status, 500);
        answer.json()["attributes"]["errors"][0]["err_code"].clone()
    };
    assert_eq!(code("add_index_patterns", json!(["a"])), "ESQL_INDEX_PATTERN");
    let duration = json!({ "duration": { "value": 1, "unit": "h" } });
    assert_eq!(
        code("set_alert_suppression_for_threshold", duration),
        "UNSUPPORTED_RULE_IN_SUPPRESSION_FOR_THRESHOLD"
    );
    let run = client.post(BULK, &json!({ "action": "run", "ids": [id] }));
    assert_eq!(run.json()["attributes"]["errors"][0]["err_code"], "MANUAL_RULE_RUN_DISABLED_RULE");
}

#[test]
fn rules_are_duplicated_and_exported() {
    let (fake, client) = start();
    let id = created(&client, "r", json!({ "enabled": true }))["id"].clone();
    let copy = client.post(BULK, &json!({ "action": "duplicate", "ids": [id] })).ok();
    let copy = &copy["attributes"]["results"]["created"][0];
    assert_eq!((&copy["name"], &copy["enabled"]), (&json!("r [Duplicate]"), &json!(false)));
    assert_ne!(copy["rule_id"], "r");
    assert_eq!(fake.rules("default").len(), 2);
    let exported = client.post(BULK, &json!({ "action": "export", "ids": [id] }));
    assert_eq!(exported.body.lines().count(), 2);
    let last: Value = serde_json::from_str(exported.body.lines().last().unwrap()).unwrap();
    assert_eq!(last["exported_rules_count"], 1);
}
