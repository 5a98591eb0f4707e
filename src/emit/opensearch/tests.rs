//! What becomes of rules that need something which monitors do not have, or have in traps.

use super::*;
use crate::pack::{OpenSearch, Pack};
use serde_json::json;

const OPENSEARCH: OpenSearch = OpenSearch {
    configured: true,
    version: crate::schema::Version(2, 19, 0),
    profile: Profile::Ecs,
    index: Vec::new(),
    allow: Vec::new(),
    channel: None,
    report: None,
};

/// What is said of a rule, with these lines in `[rule]`; a mapping is its catalogue.
fn of(lines: &[(&str, &str)], mapping: Option<Value>, settings: &OpenSearch) -> Support {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from(
        "[metadata]\ncreation_date = \"2026/01/01\"\nupdated_date = \"2026/01/01\"\n\
         integration = [\"aws\"]\n[rule]\n",
    );
    let base = [
        ("author", "[\"someone\"]"),
        ("description", "\"A thing happened.\""),
        ("index", "[\"logs-aws.cloudtrail-*\"]"),
        ("language", "\"kuery\""),
        ("name", "\"A thing\""),
        ("query", "'event.action: \"CreateUser\"'"),
        ("risk_score", "21"),
        ("rule_id", "\"1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e11\""),
        ("severity", "\"low\""),
        ("type", "\"query\""),
    ];
    let given = lines.iter().copied();
    for (k, v) in base.into_iter().filter(|(k, _)| !lines.iter().any(|(l, _)| l == k)).chain(given) {
        text.push_str(&format!("{k} = {v}\n"));
    }
    let mut config = "[pack]\nname = \"a\"\nrules = \"rules\"\n".to_owned();
    if let Some(mapping) = mapping {
        config.push_str("[schemas]\n\"logs-aws.cloudtrail-*\" = \"m.json\"\n");
        std::fs::write(dir.path().join("m.json"), mapping.to_string()).unwrap();
    }
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    std::fs::write(dir.path().join("rulepack.toml"), config).unwrap();
    std::fs::write(dir.path().join("rules/a.toml"), &text).unwrap();
    let pack = Pack::load(dir.path()).unwrap();
    let rules = pack.compile(&pack.select(&[]).unwrap());
    assert!(!rules[0].has_errors(), "{text}\n{:#?}", rules[0].diagnostics);
    support_with(&rules[0], &pack.config, settings)
}

fn query(text: &str) -> Support {
    of(&[("query", &format!("'''{text}'''"))], None, &OPENSEARCH)
}

fn said(support: &Support, part: &str) {
    assert!(support.reasons.iter().any(|r| r.contains(part)), "{part}: {:#?}", support.reasons);
}

fn stored(support: &Support) -> &str {
    let query = support.monitor.as_ref().unwrap().pointer("/inputs/0/doc_level_input/queries/0/query");
    query.unwrap().as_str().unwrap()
}

/// What the plugin does to the text of a stored query, for these leaves of the index's mapping.
fn patched(query: &str, leaves: &[&str]) -> String {
    let mut out = query.to_owned();
    for leaf in leaves {
        out = out.replace(&format!("{leaf}:"), &format!("{leaf}_i_m:"));
    }
    out = out.replace("_exists_: ", "_exists_:");
    let words: Vec<String> = out
        .split_whitespace()
        .map(|word| match word.trim_matches(['(', ')']).split_once("_exists_:") {
            Some((_, field)) if leaves.contains(&field) => word.replace(field, &format!("{field}_i_m")),
            _ => word.to_owned(),
        })
        .collect();
    words.join(" ")
}

#[test]
fn the_patching_of_a_stored_query_renames_every_field_and_changes_no_value() {
    let s = query(
        r#"event.action: "two  blanks, a name: and user.name: in it" and user.name: x* and not event.reason: *"#,
    );
    assert_eq!(s.grade, Grade::Faithful, "{:#?}", s.reasons);
    let text = stored(&s).to_owned();
    // leaves at the top whose names stand in the value
    let leaves = ["event.action", "user.name", "event.reason", "name"];
    let after = patched(&text, &leaves);
    for field in ["event.action", "user.name", "event.reason"] {
        assert!(after.contains(&format!("{field}_i_m")), "{after}");
    }
    assert_eq!(after.replace("_i_m", ""), text);
    // unguarded, the same query is spoilt
    let unguarded = r#"event.action:"two  blanks, a name: in it""#;
    assert_ne!(patched(unguarded, &leaves).replace("_i_m", ""), unguarded);
    assert!(patched(unguarded, &leaves).contains("a name_i_m: in it"));
}

#[test]
fn multi_fields_and_text_are_searched_and_not_stored() {
    let s = query("process.command_line.text: \"evil.exe\"");
    assert_eq!((s.grade, s.kind), (Grade::Approximate, Some(MonitorKind::QueryLevel)));
    said(&s, "one alert stands for all events");
    said(&s, "is a multi-field, which doc-level monitors never find");
    said(&s, "which the analyser of the index may split differently");
    let s = query("message: \"evil\"");
    assert_eq!(s.kind, Some(MonitorKind::QueryLevel));
    said(&s, "`message` is text");
}

#[test]
fn nested_fields_are_searched_and_flattened_ones_refused() {
    let mapping =
        json!({"properties": {"parts": {"type": "nested", "properties": {"sku": {"type": "keyword"}}}}});
    let s = of(&[("query", "'parts: { sku: a }'")], Some(mapping), &OPENSEARCH);
    assert_eq!(s.kind, Some(MonitorKind::QueryLevel), "{:?}", s.reasons);
    said(&s, "leave nested fields out");
    let s = query("aws.cloudtrail.flattened.request_parameters.roleName: \"x\"");
    assert_eq!((s.grade, s.kind), (Grade::NotPossible, None));
    said(&s, "`flat_object`");
}

#[test]
fn letters_in_any_case_and_regular_expressions_are_searched() {
    let eql = |query: &str| {
        of(
            &[("type", "\"eql\""), ("language", "\"eql\""), ("query", &format!("'{query}'"))],
            None,
            &OPENSEARCH,
        )
    };
    let s = eql("any where user.name : \"Admin*\"");
    assert_eq!(s.kind, Some(MonitorKind::QueryLevel));
    said(&s, "without regard to case");
    let search = s.monitor.unwrap();
    assert_eq!(
        search.pointer("/inputs/0/search/query/query/bool/filter/0"),
        Some(&json!({"wildcard": {"user.name": {"case_insensitive": true, "value": "Admin*"}}}))
    );
    said(&eql("any where user.name regex \"a+\""), "regular expression");
    let s = eql("any where length(user.name) > 4");
    assert_eq!(s.grade, Grade::NotPossible);
    let s = eql("sequence by user.name [any where event.action == \"a\"] [any where event.action == \"b\"]");
    said(&s, "no order of events");
}

#[test]
fn a_field_with_another_type_in_each_index_is_refused_and_one_without_a_catalogue_told() {
    let mapping = json!({
        "a": {"mappings": {"properties": {"n": {"type": "long"}}}},
        "b": {"mappings": {"properties": {"n": {"type": "keyword"}}}}});
    let s = of(&[("query", "'n: 5'")], Some(mapping), &OPENSEARCH);
    assert_eq!(s.grade, Grade::NotPossible, "{s:#?}");
    said(&s, "another type in each index");
    let s = of(&[("query", "'own.thing: 5'"), ("index", "[\"own-*\"]")], None, &OPENSEARCH);
    assert_eq!(s.grade, Grade::Approximate);
    said(&s, "no catalogue has `own.thing`");
}

#[test]
fn thresholds_are_buckets_and_without_groups_hits() {
    let threshold = |value: &str| of(&[("type", "\"threshold\""), ("threshold", value)], None, &OPENSEARCH);
    let s = threshold(
        "{ field = [\"user.name\"], value = 10, cardinality = [{ field = \"source.ip\", value = 3 }] }",
    );
    assert_eq!(s.kind, Some(MonitorKind::BucketLevel), "{:?}", s.reasons);
    let monitor = s.monitor.unwrap();
    let condition = monitor.pointer("/triggers/0/bucket_level_trigger/condition").unwrap();
    assert_eq!(condition["buckets_path"], json!({"count": "_count", "distinct0": "distinct0"}));
    assert_eq!(condition["script"]["source"], "params.count >= 10 && params.distinct0 >= 3");
    let groups = monitor.pointer("/inputs/0/search/query/aggregations/groups").unwrap();
    assert_eq!(groups["composite"]["sources"], json!([{"g0": {"terms": {"field": "user.name"}}}]));
    assert_eq!(groups["aggregations"], json!({"distinct0": {"cardinality": {"field": "source.ip"}}}));
    let s = threshold("{ field = [], value = 7 }");
    assert_eq!(s.kind, Some(MonitorKind::QueryLevel));
    let monitor = s.monitor.unwrap();
    let script = monitor.pointer("/triggers/0/query_level_trigger/condition/script/source");
    assert_eq!(script, Some(&json!("ctx.results[0].hits.total.value >= 7")));
}

#[test]
fn the_range_of_a_run_is_that_of_the_rule() {
    let s = of(&[("from", "\"now-9m\""), ("query", "'message: \"evil\"'")], None, &OPENSEARCH);
    let monitor = s.monitor.unwrap();
    let range = monitor.pointer("/inputs/0/search/query/query/bool/filter/1/range/@timestamp").unwrap();
    assert_eq!(
        range,
        &json!({"format": "epoch_millis", "gte": "{{period_end}}||-9m", "lte": "{{period_end}}"})
    );
    assert_eq!(monitor.pointer("/schedule/period"), Some(&json!({"interval": 5, "unit": "MINUTES"})));
}

#[test]
fn a_channel_gets_every_alert_and_severities_are_numbers() {
    let settings = OpenSearch { channel: Some("c1".into()), ..OPENSEARCH };
    let s = of(&[("severity", "\"critical\""), ("risk_score", "99")], None, &settings);
    let monitor = s.monitor.unwrap();
    let trigger = monitor.pointer("/triggers/0/document_level_trigger").unwrap();
    assert_eq!(trigger["severity"], "1");
    assert_eq!(trigger["actions"][0]["destination_id"], "c1");
    let scope = trigger.pointer("/actions/0/action_execution_policy/action_execution_scope/per_alert");
    assert_eq!(scope, Some(&json!({"actionable_alerts": ["DEDUPED", "NEW"]})));
}

#[test]
fn new_terms_need_the_version_that_has_monitors_in_ppl() {
    let lines = [
        ("type", "\"new_terms\""),
        ("query", "'event.action: \"CreateUser\" and not user.name: a*'"),
        ("new_terms_fields", "[\"user.id\"]"),
        ("history_window_start", "\"now-7d\""),
    ];
    let s = of(&lines, None, &OPENSEARCH);
    assert_eq!(s.grade, Grade::NotPossible);
    said(&s, "since 3.7");
    let s = of(&lines, None, &OpenSearch { version: crate::schema::Version(3, 7, 0), ..OPENSEARCH });
    assert_eq!((s.grade, s.kind), (Grade::Approximate, Some(MonitorKind::Ppl)));
    let monitor = s.monitor.unwrap();
    let ppl = monitor.pointer("/inputs/0/ppl_input/query").unwrap().as_str().unwrap();
    assert!(ppl.contains("INTERVAL 604800 SECOND) AND isnotnull(`user.id`)"), "{ppl}");
    assert!(ppl.contains("(isnull(`user.name`) OR NOT LIKE(`user.name`, 'a%'))"), "{ppl}");
    assert!(
        ppl.ends_with("by `user.id` | where first_seen >= DATE_SUB(NOW(), INTERVAL 360 SECOND)"),
        "{ppl}"
    );
}
