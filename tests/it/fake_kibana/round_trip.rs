//! What Kibana exports, imported into files and generated again: rules, lists, exceptions, connectors.

use super::*;
use crate::sandbox::Sandbox;
use std::collections::BTreeMap;

/// Keys that Kibana sets by itself.
const SERVER: &[&str] = &[
    "created_at",
    "created_by",
    "execution_summary",
    "id",
    "immutable",
    "revision",
    "rule_source",
    "updated_at",
    "updated_by",
    "version",
    "_version",
    "tie_breaker_id",
    "output_index",
];

fn own(object: &Value) -> BTreeMap<String, Value> {
    let map = object.as_object().unwrap();
    map.iter()
        .filter(|(k, v)| !SERVER.contains(&k.as_str()) && !v.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn export(client: &Client) -> Vec<Value> {
    let answer = client.post(&format!("{RULES}/_export"), &Value::Null);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn an_export_that_is_imported_generates_the_same_rules_lists_and_exceptions() {
    let (fake, client) = start();
    // the bundled pack, and what people do in Kibana
    let from = Sandbox::pack();
    let config = from.read("rulepack.toml");
    from.write("rulepack.toml", format!("{config}\n[target.lab]\nkibana = \"{}\"\n", fake.url()));
    let ran = from.run(&["deploy", "--target", "lab", "--yes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    fake.seed(&json!({
        "connectors": [{ "id": "c-1", "name": "soc", "connector_type_id": ".slack" }],
        "exception_lists": [{ "list_id": "known", "name": "Known", "description": "d", "type": "detection",
            "namespace_type": "single", "tags": ["soc"] }],
        "exception_items": [
            { "list_id": "known", "item_id": "desk", "name": "Help desk", "description": "why", "type": "simple",
                "namespace_type": "single", "expire_time": "2027-06-30T00:00:00.000Z", "comments": [{ "comment": "SOC-1" }],
                "entries": [{ "field": "user.name", "operator": "included", "type": "match_any", "value": ["a", "b"] }] }]
    }))
    .unwrap();
    let is_query = |r: &Value| r["type"] == "query";
    let rule = fake.rules("default").into_iter().find(is_query).unwrap();
    fake.edit(&json!({ "rule_id": rule["rule_id"], "via": "api", "set": {
        "exceptions_list": [{ "id": "x", "list_id": "known", "type": "detection", "namespace_type": "single" }],
        "actions": [{ "id": "c-1", "action_type_id": ".slack", "group": "default", "uuid": "u-1",
            "params": { "message": "{{rule.name}}\n\"q\" \\ 'x'" },
            "frequency": { "summary": true, "notifyWhen": "onActiveAlert", "throttle": null } }] } }))
    .unwrap();
    let exported = export(&client);
    let lines: String = exported.iter().map(|l| format!("{l}\n")).collect();

    let into = Sandbox::bare();
    into.write("rules-toml/.keep", "");
    into.write("export.ndjson", &lines);
    let ran = into.run(&["import", "export.ndjson"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(
        !ran.all().contains("will not be generated") && !ran.all().contains("do not apply"),
        "{}",
        ran.all()
    );
    let ran = into.run(&["validate"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(!ran.all().contains("RP0712"), "the list is in the pack: {}", ran.all());
    into.run(&["generate", "--out", "out"]);
    let generated: BTreeMap<String, Value> = into
        .read("out/rules.ndjson")
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        .filter(|r| r.get("rule_id").is_some())
        .map(|r| (r["rule_id"].as_str().unwrap().to_owned(), r))
        .collect();
    let rules: Vec<&Value> = exported.iter().filter(|l| l.get("rule_id").is_some()).collect();
    assert_eq!((rules.len(), generated.len()), (15, 15));
    for rule in rules {
        let mut wanted = own(rule);
        // the marks of the deploy
        wanted.remove("meta");
        let tags = wanted.get_mut("tags").unwrap().as_array_mut().unwrap();
        tags.retain(|t| !t.as_str().unwrap().starts_with("rulepack:"));
        let mut got = own(&generated[rule["rule_id"].as_str().unwrap()]);
        for part in ["required_fields", "related_integrations"] {
            // computed again: the same fields, in the words of `generate`
            let names = |side: &BTreeMap<String, Value>| -> Vec<String> {
                let list = side.get(part).and_then(Value::as_array).cloned().unwrap_or_default();
                list.iter().map(|f| format!("{}{}", f["name"], f["package"])).collect()
            };
            assert_eq!(names(&wanted), names(&got), "{}", rule["name"]);
            wanted.remove(part);
            got.remove(part);
        }
        assert_eq!(wanted, got, "{}", rule["name"]);
    }
    // the list applies to the rule, and says what Kibana said
    let (file, found) = rulepack::lang::exception::ExceptionFile::read(
        "exceptions/known.toml",
        into.read("exceptions/known.toml").into_bytes(),
    );
    assert!(found.is_empty(), "{found:?}");
    let file = file.unwrap();
    let by = |key: &str| exported.iter().find(|l| l.get(key).is_some()).unwrap();
    let list = exported.iter().find(|l| l.get("list_id").is_some() && l.get("entries").is_none()).unwrap();
    let mut wanted = own(list);
    wanted.retain(|_, v| *v != json!([]));
    let mut got = own(&file.lists[0].container_json());
    got.retain(|_, v| *v != json!([]));
    assert_eq!(wanted, got);
    assert_eq!(own(by("entries")), own(&file.lists[0].item_json(&file.lists[0].items[0])));
    assert!(into.read("connectors/soc.toml").contains("id = \"c-1\""));
    // a second import finds nothing to do
    let ran = into.run(&["import", "export.ndjson"]);
    assert!(ran.out.ends_with("ok: 0 new, 0 changed, 15 same\n"), "{}", ran.all());
}
