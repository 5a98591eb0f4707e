//! `_import` and `_export`.

use super::*;

#[test]
fn new_rules_are_imported_and_existing_ones_conflict_without_overwrite() {
    let (fake, client) = start();
    let first = client.import("", &[rule("a", json!({})), rule("b", json!({}))]).ok();
    assert_eq!(
        (&first["success"], &first["success_count"], &first["rules_count"]),
        (&json!(true), &json!(2), &json!(2))
    );
    let second = client.import("", &[rule("a", json!({ "name": "n" })), rule("c", json!({}))]).ok();
    assert_eq!((&second["success"], &second["success_count"]), (&json!(false), &json!(1)));
    assert_eq!(
        (&second["errors"][0]["rule_id"], &second["errors"][0]["error"]["status_code"]),
        (&json!("a"), &json!(409))
    );
    assert_eq!(fake.rule("default", "a").unwrap()["name"], "a");
}

#[test]
fn overwriting_is_a_put() {
    let (fake, client) = start();
    let link = json!({ "id": "l", "list_id": "l", "type": "detection", "namespace_type": "single" });
    created(&client, "a", json!({ "enabled": true, "version": 5, "tags": ["x"], "exceptions_list": [link] }));
    client
        .import(
            "?overwrite=true",
            &[rule("a", json!({ "id": "ignored", "revision": 9, "immutable": false }))],
        )
        .ok();
    let live = fake.rule("default", "a").unwrap();
    assert_eq!((&live["enabled"], &live["version"], &live["revision"]), (&json!(true), &json!(5), &json!(1)));
    assert_eq!((&live["tags"], &live["exceptions_list"]), (&json!([]), &json!([])));
}

#[test]
fn a_bad_line_costs_only_itself() {
    let (fake, client) = start();
    let text = format!(
        "{}\nnot json\n\n{}\n{}\n",
        rule("a", json!({})),
        rule("b", json!({ "colour": 1 })),
        rule("c", json!({}))
    );
    let answer = client.upload("", "rules.ndjson", &text).ok();
    assert_eq!((&answer["success_count"], &answer["rules_count"]), (&json!(2), &json!(4)));
    let who: Vec<&Value> = answer["errors"].as_array().unwrap().iter().map(|e| &e["rule_id"]).collect();
    assert_eq!(who, ["(unknown id)", "b"]);
    assert_eq!(fake.rules("default").len(), 2);
}

#[test]
fn of_a_repeated_rule_the_last_is_imported() {
    let (fake, client) = start();
    let twice = |name: &str| [rule("a", json!({ "name": "first" })), rule("a", json!({ "name": name }))];
    let answer = client.import("", &twice("last")).ok();
    assert_eq!(
        (&answer["success_count"], &answer["errors"][0]["error"]["status_code"]),
        (&json!(1), &json!(400))
    );
    assert_eq!(fake.rule("default", "a").unwrap()["name"], "last");
    let silent = client.import("?overwrite=true", &twice("newer")).ok();
    assert_eq!((&silent["success"], &silent["errors"]), (&json!(true), &json!([])));
    assert_eq!(fake.rule("default", "a").unwrap()["name"], "newer");
}

#[test]
fn links_are_resolved_and_one_to_a_missing_list_is_removed_with_an_error() {
    let (fake, client) = start();
    fake.seed(&json!({ "exception_lists": [
        { "list_id": "here", "type": "detection", "name": "n", "description": "d" }] }))
        .unwrap();
    let link = |id: &str| json!({ "id": "other space", "list_id": id, "type": "detection", "namespace_type": "single" });
    let answer =
        client.import("", &[rule("a", json!({ "exceptions_list": [link("here"), link("gone")] }))]).ok();
    assert_eq!((&answer["success"], &answer["success_count"]), (&json!(false), &json!(1)));
    assert!(
        answer["errors"][0]["error"]["message"].as_str().unwrap().ends_with("Reference has been removed.")
    );
    let links = fake.rule("default", "a").unwrap()["exceptions_list"].clone();
    assert_eq!((links.as_array().unwrap().len(), &links[0]["list_id"]), (1, &json!("here")));
    assert_ne!(links[0]["id"], "other space");
}

#[test]
fn a_rule_with_a_missing_connector_is_not_imported() {
    let (fake, client) = start();
    let action = json!({ "id": "c", "action_type_id": ".slack", "params": {} });
    let with_action = rule("a", json!({ "actions": [action] }));
    let answer = client.import("", std::slice::from_ref(&with_action)).ok();
    assert_eq!(answer["errors"][0]["error"]["status_code"], 404);
    let connector = json!({ "id": "c", "type": "action", "attributes": { "actionTypeId": ".slack", "name": "soc",
        "config": {}, "isMissingSecrets": false } });
    let answer = client.import("", &[with_action, connector]).ok();
    assert_eq!((&answer["success"], &answer["action_connectors_success_count"]), (&json!(true), &json!(1)));
    assert_eq!(fake.rules("default").len(), 1);
}

#[test]
fn a_prebuilt_rule_needs_its_version_and_becomes_external() {
    let (fake, client) = start();
    fake.seed(&json!({ "prebuilt": [rule("p", json!({ "version": 2 }))] })).unwrap();
    assert_eq!(client.import("", &[rule("p", json!({}))]).ok()["success"], false);
    client.import("", &[rule("p", json!({ "version": 2, "severity": "high" }))]).ok();
    let source = fake.rule("default", "p").unwrap()["rule_source"].clone();
    assert_eq!((&source["type"], &source["is_customized"]), (&json!("external"), &json!(true)));
}

#[test]
fn a_file_must_be_one_of_json_lines() {
    let (_fake, client) = start();
    assert_eq!(client.upload("", "rules.json", "{}").status, 400);
    assert_eq!(client.post("/api/detection_engine/rules/_import", &json!({})).status, 415);
}

#[test]
fn an_export_can_be_imported_elsewhere() {
    let (fake, client) = start();
    fake.seed(&json!({ "spaces": [{ "id": "soc" }],
        "connectors": [{ "id": "c", "name": "soc", "connector_type_id": ".slack" }],
        "exception_lists": [{ "list_id": "l", "type": "detection", "name": "n", "description": "d" }],
        "exception_items": [{ "list_id": "l", "item_id": "i", "type": "simple", "name": "n", "description": "d",
            "entries": [{ "field": "user.name", "operator": "included", "type": "match", "value": "bob" }] }] }))
        .unwrap();
    let link = json!({ "id": "x", "list_id": "l", "type": "detection", "namespace_type": "single" });
    let action = json!({ "id": "c", "action_type_id": ".slack", "params": {} });
    created(&client, "a", json!({ "exceptions_list": [link], "actions": [action] }));
    let export = client
        .post(&format!("{RULES}/_export"), &json!({ "objects": [{ "rule_id": "a" }, { "rule_id": "z" }] }));
    let lines: Vec<Value> = export.body.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    let counts = &lines[4];
    assert_eq!(
        (&counts["exported_count"], &counts["missing_rules"]),
        (&json!(4), &json!([{ "rule_id": "z" }]))
    );
    let body = format!(
        "--q\r\ncontent-disposition: form-data; name=\"file\"; filename=\"e.ndjson\"\r\n\r\n{}\r\n--q--\r\n",
        export.body
    );
    let target = format!("/s/soc{RULES}/_import");
    let answer = client.send("POST", &target, "multipart/form-data; boundary=q", body.as_bytes()).ok();
    for count in ["success_count", "exceptions_success_count", "action_connectors_success_count"] {
        assert_eq!(answer[count], 1, "{count}: {answer}");
    }
    assert_eq!(fake.rule("soc", "a").unwrap()["exceptions_list"][0]["list_id"], "l");
}
