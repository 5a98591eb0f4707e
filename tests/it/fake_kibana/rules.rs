//! Single rules: defaults, PUT, PATCH, revisions, identity, keys, prebuilt ones.

use super::*;

#[test]
fn a_created_rule_has_the_servers_defaults() {
    let (_fake, client) = start();
    let made = created(&client, "r-1", json!({}));
    for (key, value) in [
        ("enabled", json!(false)),
        ("version", json!(1)),
        ("revision", json!(0)),
        ("interval", json!("5m")),
        ("from", json!("now-6m")),
        ("to", json!("now")),
        ("max_signals", json!(100)),
        ("setup", json!("")),
        ("output_index", json!("")),
        ("language", json!("kuery")),
        ("immutable", json!(false)),
        ("rule_source", json!({ "type": "internal" })),
        ("created_by", json!("anonymous")),
    ] {
        assert_eq!(made[key], value, "{key}");
    }
    let lists = [
        "tags",
        "author",
        "references",
        "false_positives",
        "threat",
        "risk_score_mapping",
        "severity_mapping",
        "related_integrations",
        "required_fields",
        "exceptions_list",
        "actions",
    ];
    for key in lists {
        assert_eq!(made[key], json!([]), "{key}");
    }
    for absent in ["license", "note", "meta", "throttle", "timeline_id", "filters", "index"] {
        assert!(made.get(absent).is_none(), "{absent}");
    }
    assert_eq!(made["created_at"], made["updated_at"]);
    assert_eq!(client.get(&format!("{RULES}?rule_id=r-1")).ok(), made);
    assert_eq!(client.get(&format!("{RULES}?id={}", made["id"].as_str().unwrap())).ok(), made);
}

#[test]
fn ids_are_made_up_and_the_same_in_each_run() {
    let ids = || {
        let (_fake, client) = start();
        let mut body = rule("x", json!({}));
        body.as_object_mut().unwrap().remove("rule_id");
        let made = client.post(RULES, &body).ok();
        (made["id"].as_str().unwrap().to_owned(), made["rule_id"].as_str().unwrap().to_owned())
    };
    let (id, rule_id) = ids();
    assert_eq!((id.len(), id.as_bytes()[14], rule_id.len()), (36, b'4', 36));
    assert_ne!(id, rule_id);
    assert_eq!(ids(), (id, rule_id));
}

#[test]
fn a_second_rule_with_the_same_rule_id_conflicts_in_its_space_only() {
    let (fake, client) = start();
    fake.seed(&json!({ "spaces": [{ "id": "soc" }] })).unwrap();
    created(&client, "r-1", json!({}));
    let again = client.post(RULES, &rule("r-1", json!({})));
    assert_eq!(again.refusal(), (409, "rule_id: \"r-1\" already exists".to_owned()));
    assert_eq!(again.json()["status_code"], 409);
    client.post(&format!("/s/soc{RULES}"), &rule("r-1", json!({}))).ok();
    assert_eq!((fake.rules("default").len(), fake.rules("soc").len()), (1, 1));
}

#[test]
fn what_does_not_fit_the_schema_is_refused_in_zods_words() {
    let (fake, client) = start();
    for (more, said) in [
        (json!({ "severty": "low" }), "[request body]: Unrecognized key(s) in object: 'severty'"),
        (json!({ "note": null }), "[request body]: note: Expected string, received null"),
        (
            json!({ "threshold": { "field": "a", "value": 1 } }),
            "[request body]: Unrecognized key(s) in object: 'threshold'",
        ),
        (json!({ "revision": 3 }), "[request body]: Unrecognized key(s) in object: 'revision'"),
    ] {
        let answer = client.post(RULES, &rule("r", more));
        assert_eq!(answer.refusal(), (400, said.to_owned()));
        assert_eq!(
            (&answer.json()["statusCode"], &answer.json()["error"]),
            (&json!(400), &json!("Bad Request"))
        );
    }
    let semantic = client.post(RULES, &rule("r", json!({ "timeline_id": "t", "from": "now-1m" })));
    assert_eq!(semantic.status, 400);
    assert_eq!(semantic.json()["message"].as_array().unwrap().len(), 2);
    assert!(fake.rules("default").is_empty());
}

#[test]
fn put_resets_what_is_omitted_and_keeps_enabled_and_version() {
    let (_fake, client) = start();
    let link = json!({ "id": "l", "list_id": "l", "type": "detection", "namespace_type": "single" });
    let before = created(
        &client,
        "r-1",
        json!({ "enabled": true, "version": 4, "note": "n", "tags": ["a"], "exceptions_list": [link],
            "meta": { "rulepack": {} }, "interval": "10m", "from": "now-20m" }),
    );
    let after = client.put(RULES, &rule("r-1", json!({}))).ok();
    assert_eq!(
        (&after["enabled"], &after["version"], &after["revision"]),
        (&json!(true), &json!(4), &json!(1))
    );
    assert_eq!(
        (&after["tags"], &after["exceptions_list"], &after["interval"]),
        (&json!([]), &json!([]), &json!("5m"))
    );
    assert!(after.get("note").is_none() && after.get("meta").is_none());
    for kept in ["id", "created_at", "created_by", "rule_source"] {
        assert_eq!(before[kept], after[kept], "{kept}");
    }
    assert_ne!(before["updated_at"], after["updated_at"]);
}

#[test]
fn the_revision_counts_changes_but_not_enabling() {
    let (_fake, client) = start();
    created(&client, "r-1", json!({}));
    let revision = |more| client.put(RULES, &rule("r-1", more)).ok()["revision"].clone();
    assert_eq!(revision(json!({})), 0);
    assert_eq!(revision(json!({ "enabled": true })), 0);
    assert_eq!(revision(json!({ "tags": ["x"] })), 1);
    assert_eq!(revision(json!({ "tags": ["x"], "risk_score": 47.0 })), 1);
    assert_eq!(revision(json!({})), 2);
}

#[test]
fn put_wants_one_identity_and_a_rule_that_is_there() {
    let (_fake, client) = start();
    let made = created(&client, "r-1", json!({}));
    let put = |body: &Value| client.put(RULES, body);
    assert_eq!(put(&rule("r-2", json!({}))).refusal(), (404, "rule_id: \"r-2\" not found".to_owned()));
    assert_eq!(put(&rule("r-1", json!({ "id": made["id"] }))).status, 400);
    let mut by_id = rule("x", json!({ "id": made["id"], "name": "renamed" }));
    by_id.as_object_mut().unwrap().remove("rule_id");
    let renamed = put(&by_id).ok();
    assert_eq!((&renamed["rule_id"], &renamed["name"]), (&json!("r-1"), &json!("renamed")));
    by_id.as_object_mut().unwrap().remove("id");
    assert_eq!(put(&by_id).status, 400);
    let other_type = json!({ "type": "eql", "language": "eql" });
    assert_eq!(put(&rule("r-1", other_type)).status, 400);
    assert_eq!(client.get(RULES).status, 400);
}

#[test]
fn patch_keeps_what_is_not_given_and_cannot_clear() {
    let (_fake, client) = start();
    created(&client, "r-1", json!({ "note": "n", "tags": ["a", "b"], "enabled": true }));
    let patch = |body: Value| client.patch(RULES, &body);
    let after = patch(json!({ "rule_id": "r-1", "tags": ["c"] })).ok();
    assert_eq!(
        (&after["tags"], &after["note"], &after["enabled"]),
        (&json!(["c"]), &json!("n"), &json!(true))
    );
    assert_eq!(after["revision"], 1);
    assert_eq!(patch(json!({ "rule_id": "r-1", "note": null })).status, 400);
    assert_eq!(patch(json!({ "rule_id": "r-1", "type": "eql" })).status, 400);
    assert_eq!(patch(json!({ "tags": [] })).status, 400);
    assert_eq!(patch(json!({ "rule_id": "r-9", "tags": [] })).status, 404);
}

#[test]
fn a_patch_without_type_does_nothing_to_the_fields_of_the_type_before_9_6() {
    let query = |version: &str, more: Value| {
        let settings = Settings { version: version.to_owned(), ..Settings::default() };
        let fake = FakeKibana::start(&settings).unwrap();
        let client = Client::new(&fake.url());
        created(&client, "r-1", json!({}));
        let mut patch = json!({ "rule_id": "r-1", "query": "other: 1" });
        patch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.patch(RULES, &patch).ok()["query"].clone()
    };
    assert_eq!(query("9.5.1", json!({})), "event.action: DeleteGroup");
    assert_eq!(query("9.5.1", json!({ "type": "query" })), "other: 1");
    assert_eq!(query("9.6.0", json!({})), "other: 1");
    assert_eq!(query("9.4.6", json!({})), "other: 1");
}

#[test]
fn a_deleted_rule_is_answered_and_gone() {
    let (fake, client) = start();
    let made = created(&client, "r-1", json!({}));
    assert_eq!(client.delete(&format!("{RULES}?rule_id=r-1")).ok(), made);
    assert_eq!(client.delete(&format!("{RULES}?rule_id=r-1")).status, 404);
    assert!(fake.rule("default", "r-1").is_none());
    created(&client, "r-1", json!({}));
}

#[test]
fn a_default_exception_list_belongs_to_one_rule() {
    let (_fake, client) = start();
    let list =
        |id: &str| json!({ "id": id, "list_id": id, "type": "rule_default", "namespace_type": "single" });
    created(&client, "r-1", json!({ "exceptions_list": [list("a")] }));
    let second = rule("r-2", json!({ "exceptions_list": [list("a")] }));
    assert_eq!(client.post(RULES, &second).status, 409);
    assert_eq!(client.put(RULES, &rule("r-1", json!({ "exceptions_list": [list("a")] }))).status, 200);
    client.put(RULES, &rule("r-1", json!({}))).ok();
    assert_eq!(client.post(RULES, &second).status, 200);
}

#[test]
fn an_enabled_rule_runs_with_the_key_of_its_writer() {
    let (fake, client) = start();
    let key = || fake.state()["spaces"]["default"]["rules"][0]["api_key"].clone();
    let by_key = client.with("authorization: ApiKey aWQ6c2VjcmV0");
    created(&by_key, "r-1", json!({}));
    assert_eq!(key(), Value::Null);
    by_key.put(RULES, &rule("r-1", json!({ "enabled": true }))).ok();
    assert_eq!(key()["api_key_created_by_user"], true);
    let by_user = client.with("authorization: Basic ZGVwbG95OnNlY3JldA==");
    let written = by_user.put(RULES, &rule("r-1", json!({}))).ok();
    assert_eq!((&written["updated_by"], &written["created_by"]), (&json!("deploy"), &json!("api-key-owner")));
    assert_eq!(key(), json!({ "api_key_created_by_user": false, "user": "deploy" }));
    let id = written["id"].as_str().unwrap();
    let renewed = by_key.post(&format!("/api/alerting/rule/{id}/_update_api_key"), &json!({}));
    assert_eq!((renewed.status, &key()["api_key_created_by_user"]), (204, &json!(true)));
    let log = fake.requests();
    assert_eq!((&log[0]["auth"], &log[2]["auth"]), (&json!("api_key"), &json!("basic")));
    assert!(!fake.state().to_string().contains("secret"));
}

#[test]
fn actions_are_filled_and_their_connectors_must_exist() {
    let (fake, client) = start();
    fake.seed(&json!({ "connectors": [
        { "id": "c-1", "name": "soc", "connector_type_id": ".slack" },
        { "id": "c-2", "name": "pager", "connector_type_id": ".pagerduty", "is_missing_secrets": true }] }))
        .unwrap();
    let action = |id: &str| json!({ "id": id, "action_type_id": ".slack", "group": "default", "params": { "message": "x" } });
    let of = |id: &str| rule("r-1", json!({ "actions": [action(id)] }));
    assert_eq!(client.post(RULES, &of("c-9")).status, 404);
    assert_eq!(client.post(RULES, &of("c-2")).refusal(), (400, "Invalid connectors: pager".to_owned()));
    let made = client.post(RULES, &of("c-1")).ok();
    let first = &made["actions"][0];
    assert_eq!(
        first["frequency"],
        json!({ "summary": true, "notifyWhen": "onActiveAlert", "throttle": null })
    );
    // without its uuid the action is another one, and the revision goes up
    let again = client.put(RULES, &of("c-1")).ok();
    assert_ne!(again["actions"][0]["uuid"], first["uuid"]);
    assert_eq!(again["revision"], 1);
    let same = client.put(RULES, &rule("r-1", json!({ "actions": again["actions"] }))).ok();
    assert_eq!((&same["actions"], &same["revision"]), (&again["actions"], &json!(1)));
}

#[test]
fn prebuilt_rules_keep_author_and_license_and_show_their_customization() {
    let (fake, client) = start();
    let prebuilt = rule("p-1", json!({ "immutable": true, "version": 3, "author": ["A"], "license": "L" }));
    fake.seed(&json!({ "rules": [prebuilt], "prebuilt": [rule("p-2", json!({ "version": 9 }))] })).unwrap();
    let get = |id: &str| client.get(&format!("{RULES}?rule_id={id}")).ok();
    let live = get("p-1");
    assert_eq!((&live["immutable"], &live["rule_source"]["is_customized"]), (&json!(true), &json!(false)));
    let with = |more: Value| {
        let mut body = rule("p-1", json!({ "author": ["A"], "license": "L" }));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.put(RULES, &body)
    };
    assert_eq!(with(json!({ "author": ["B"] })).status, 400);
    let changed = with(json!({ "severity": "high" })).ok();
    assert_eq!(changed["rule_source"]["customized_fields"], json!([{ "field_name": "severity" }]));
    let status = format!("{RULES}/prepackaged/_status");
    assert_eq!(client.get(&status).ok()["rules_not_installed"], 1);
    assert_eq!(client.put(&format!("{RULES}/prepackaged"), &json!({})).ok()["rules_installed"], 1);
    assert_eq!((&get("p-2")["version"], &get("p-2")["immutable"]), (&json!(9), &json!(true)));
}

#[test]
fn a_preview_checks_the_rule_and_stores_nothing() {
    let (fake, client) = start();
    let preview = |more: Value| {
        let mut body = rule("r", json!({ "invocationCount": 1, "timeframeEnd": "2026-01-01T00:00:00.000Z" }));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post(&format!("{RULES}/preview"), &body)
    };
    assert_eq!(preview(json!({})).ok()["logs"][0]["errors"], json!([]));
    assert_eq!(preview(json!({ "query": "a: (b" })).ok()["logs"][0]["errors"].as_array().unwrap().len(), 1);
    assert_eq!(preview(json!({ "severity": "x" })).status, 400);
    assert!(fake.rules("default").is_empty());
}

/// A rule of each type with more than the least, as a pack has it.
fn one_of_each_type() -> Vec<Value> {
    let threshold = json!({ "field": "user.name", "value": 5, "cardinality": [] });
    let mapping =
        json!([{ "entries": [{ "field": "source.ip", "type": "mapping", "value": "threat.indicator.ip" }] }]);
    [
        json!({ "type": "query", "index": ["logs-*"], "filters": [], "tags": ["b", "a"] }),
        json!({ "type": "saved_query", "saved_id": "s" }),
        json!({ "type": "eql", "language": "eql", "query": "any where true", "tiebreaker_field": "event.id" }),
        json!({ "type": "esql", "language": "esql", "query": "from logs-* metadata _id" }),
        json!({ "type": "threshold", "threshold": threshold, "alert_suppression": { "duration": { "value": 1, "unit": "h" } } }),
        json!({ "type": "threat_match", "threat_query": "*:*", "threat_index": ["ti-*"], "threat_mapping": mapping }),
        json!({ "type": "machine_learning", "anomaly_threshold": 50, "machine_learning_job_id": "job" }),
        json!({ "type": "new_terms", "new_terms_fields": ["user.name"], "history_window_start": "now-14d" }),
    ]
    .into_iter()
    .map(|more| {
        let kind = more["type"].as_str().unwrap().to_owned();
        let mut rule = rule(&kind, more);
        if kind == "machine_learning" {
            rule.as_object_mut().unwrap().remove("query");
        }
        let fields = json!([{ "name": "user.name", "type": "keyword" }]);
        rule.as_object_mut().unwrap().insert("required_fields".to_owned(), fields);
        rule
    })
    .collect()
}

#[test]
fn writing_a_rule_again_changes_nothing_whatever_its_type() {
    let (_fake, client) = start();
    let settled = |mut rule: Value| {
        let object = rule.as_object_mut().unwrap();
        object.remove("updated_at");
        rule
    };
    for body in one_of_each_type() {
        let made = client.post(RULES, &body).ok();
        assert_eq!(settled(client.put(RULES, &body).ok()), settled(made.clone()), "{body}");
        // what was read can be written back
        let mut read = made.clone();
        let read_only = [
            "id",
            "created_at",
            "created_by",
            "updated_at",
            "updated_by",
            "revision",
            "immutable",
            "rule_source",
        ];
        read.as_object_mut().unwrap().retain(|k, _| !read_only.contains(&k.as_str()));
        assert_eq!(settled(client.put(RULES, &read).ok()), settled(made.clone()), "{body}");
        // an import takes the read-only keys too
        assert_eq!(
            client.import("?overwrite=true", std::slice::from_ref(&made)).ok()["success"],
            true,
            "{body}"
        );
    }
}

#[test]
fn the_rules_of_the_pack_are_taken() {
    let (fake, client) = start();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    let mut open = vec![folder];
    let mut rules = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "json") {
            rules.push(serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    assert!(rules.len() > 10);
    let answer = client.import("", &rules).ok();
    assert_eq!((&answer["success"], &answer["errors"]), (&json!(true), &json!([])));
    assert_eq!(fake.rules("default").len(), rules.len());
}
