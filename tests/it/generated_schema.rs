//! `schemas/detection-rule.schema.json` as a judge of rules for Kibana: what is generated passes, smallest
//! rules of all types pass, and what a mistake could make of them does not.

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(&fs::read_to_string(root().join("schemas/detection-rule.schema.json")).unwrap())
        .unwrap()
});
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&SCHEMA).unwrap());

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn accepts(rule: &Value) -> bool {
    VALIDATOR.is_valid(rule)
}

fn complaints(rule: &Value) -> Vec<String> {
    VALIDATOR.iter_errors(rule).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// The rules of the project's own pack, freshly generated, and the kept files.
fn generated() -> Vec<(String, Value)> {
    let mut out = Vec::new();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut open: Vec<PathBuf> = vec![root().join("generated")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "json") {
            out.push((path.display().to_string(), parse(&fs::read_to_string(&path).unwrap())));
        }
    }
    let s = crate::sandbox::Sandbox::pack();
    assert_eq!(s.run(&["generate", "--out", "fresh"]).code, Some(0));
    for (i, line) in s.read("fresh/rules.ndjson").lines().enumerate() {
        out.push((format!("line {}", i + 1), parse(line)));
    }
    assert!(out.len() > 20);
    out
}

fn with(rule: &Value, key: &str, value: Value) -> Value {
    let mut out = rule.clone();
    out[key] = value;
    out
}

/// The smallest rule of each type.
fn smallest() -> Vec<Value> {
    let base = |kind: &str, own: Value| {
        let mut rule = json!({
            "rule_id": "3f0c2a52-9d55-4a43-8d8a-0c9f1f7f5b21",
            "name": "A thing",
            "description": "A thing happened.",
            "risk_score": 21,
            "severity": "low",
            "type": kind,
        });
        rule.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        rule
    };
    let mapping =
        json!([{ "entries": [{ "field": "source.ip", "type": "mapping", "value": "threat.indicator.ip" }] }]);
    vec![
        base("query", json!({ "query": "a: b" })),
        base("saved_query", json!({ "saved_id": "my-query" })),
        base("eql", json!({ "query": "any where true", "language": "eql" })),
        base("esql", json!({ "query": "FROM logs-*", "language": "esql" })),
        base("threshold", json!({ "query": "a: b", "threshold": { "field": ["user.name"], "value": 5 } })),
        base(
            "threat_match",
            json!({ "query": "a: b", "threat_query": "*:*", "threat_index": ["ti-*"], "threat_mapping": mapping }),
        ),
        base("machine_learning", json!({ "anomaly_threshold": 50, "machine_learning_job_id": ["job"] })),
        base(
            "new_terms",
            json!({ "query": "a: b", "new_terms_fields": ["user.name"], "history_window_start": "now-7d" }),
        ),
    ]
}

fn smallest_of(kind: &str) -> Value {
    smallest().into_iter().find(|r| r["type"] == kind).unwrap()
}

/// A property, a type of rule that may have it, a value that it takes and values that it does not.
type Case = (&'static str, &'static str, Value, Vec<Value>);

/// What no text may be.
fn no_text() -> Vec<Value> {
    vec![json!(1), json!(true), json!(["x"]), json!({})]
}

fn no_name() -> Vec<Value> {
    [no_text(), vec![json!("")]].concat()
}

fn no_texts() -> Vec<Value> {
    vec![json!("x"), json!([1]), json!([["x"]]), json!({}), json!(1), json!([null])]
}

fn no_number() -> Vec<Value> {
    vec![json!("1"), json!(1.5), json!([1]), json!(true), json!(-1)]
}

fn no_time() -> Vec<Value> {
    [no_name(), vec![json!("6m ago"), json!("now - 6m"), json!("yesterday")]].concat()
}

/// Objects, each without one of its keys, with a key too many, and what is none.
fn spoiled(good: &Value, optional: &[&str]) -> Vec<Value> {
    let map = good.as_object().unwrap();
    let mut out = vec![json!("x"), json!(1), json!([]), with(good, "unknown", json!(1))];
    for key in map.keys().filter(|k| !optional.contains(&k.as_str())) {
        let less: Map<String, Value> =
            map.iter().filter(|(k, _)| *k != key).map(|(k, v)| (k.clone(), v.clone())).collect();
        out.push(Value::Object(less));
    }
    out
}

/// The same for lists of objects.
fn spoiled_list(good: &Value, optional: &[&str]) -> Vec<Value> {
    let mut out: Vec<Value> = spoiled(good, optional).into_iter().map(|v| json!([v])).collect();
    out.extend([good.clone(), json!("x")]);
    out
}

fn cases() -> Vec<Case> {
    let id = json!({ "id": "T1531", "name": "n", "reference": "https://example.com/" });
    let threat = json!({ "framework": "MITRE ATT&CK", "tactic": id, "technique": [id] });
    let risk = json!({ "field": "event.risk_score", "operator": "equals", "value": "", "risk_score": 5 });
    let severity =
        json!({ "field": "event.severity", "operator": "equals", "value": "9", "severity": "high" });
    let integration = json!({ "package": "aws", "version": "^8.0.0", "integration": "cloudtrail" });
    let required = json!({ "name": "user.name", "type": "keyword", "ecs": true });
    let list = json!({ "id": "i", "list_id": "l", "type": "detection", "namespace_type": "single" });
    let action = json!({ "id": "i", "action_type_id": ".slack", "params": { "message": "m" } });
    let response = json!({ "action_type_id": ".endpoint", "params": { "command": "isolate" } });
    let threshold =
        json!({ "field": ["user.name"], "value": 5, "cardinality": [{ "field": "source.ip", "value": 3 }] });
    let entry = json!({ "field": "a", "type": "mapping", "value": "b" });
    let mut of_thresholds = spoiled(&threshold, &["cardinality"]);
    of_thresholds.extend([json!({ "field": [], "value": 0 }), json!({ "field": 1, "value": 1 })]);
    let mut of_lists = spoiled_list(&list, &[]);
    let default = with(&list, "type", json!("rule_default"));
    of_lists.extend([json!([default, default]), json!([with(&list, "namespace_type", json!("both"))])]);
    let mut of_severities = spoiled_list(&severity, &[]);
    of_severities.push(json!([with(&severity, "severity", json!("urgent"))]));
    of_severities.push(json!([with(&severity, "operator", json!("matches"))]));
    let mut of_responses = spoiled_list(&response, &[]);
    of_responses.push(json!([{ "action_type_id": ".endpoint", "params": { "command": "format" } }]));
    of_responses.push(json!([{ "action_type_id": ".email", "params": {} }]));
    let mut of_mappings = spoiled_list(&json!({ "entries": [entry] }), &[]);
    of_mappings.extend(spoiled(&entry, &[]).into_iter().map(|e| json!([{ "entries": [e] }])));
    of_mappings.extend([
        json!([]),
        json!([{ "entries": [] }]),
        json!([{ "entries": [with(&entry, "negate", json!(true))] }]),
    ]);
    let mut of_threats = spoiled_list(&threat, &["technique"]);
    of_threats.extend(spoiled(&id, &[]).into_iter().map(|t| json!([with(&threat, "tactic", t)])));
    of_threats.extend(spoiled(&id, &[]).into_iter().map(|t| json!([with(&threat, "technique", json!([t]))])));
    let suppression = json!({ "group_by": ["user.name"], "duration": { "value": 5, "unit": "m" } });
    let mut of_suppressions = spoiled(&suppression, &["duration"]);
    of_suppressions.extend([
        json!({ "group_by": [] }),
        json!({ "group_by": ["a", "b", "c", "d"] }),
        with(&suppression, "duration", json!({ "value": 5, "unit": "w" })),
        with(&suppression, "duration", json!({ "value": 0, "unit": "m" })),
        with(&suppression, "duration", json!({ "value": 5 })),
        with(&suppression, "missing_fields_strategy", json!("guess")),
    ]);
    let no_list_of_names = || [no_texts(), vec![json!([""])]].concat();
    vec![
        ("name", "query", json!("n"), no_name()),
        ("description", "query", json!("d"), no_name()),
        ("rule_id", "query", json!("any-text"), no_name()),
        ("risk_score", "query", json!(100), [no_number(), vec![json!(101)]].concat()),
        ("severity", "query", json!("critical"), [no_name(), vec![json!("High"), json!("urgent")]].concat()),
        ("type", "query", json!("query"), [no_name(), vec![json!("kql"), json!("Query")]].concat()),
        ("version", "query", json!(7), [no_number(), vec![json!(0)]].concat()),
        ("enabled", "query", json!(true), vec![json!("true"), json!(1), json!([])]),
        ("tags", "query", json!(["a"]), no_texts()),
        ("author", "query", json!(["a"]), no_texts()),
        ("license", "query", json!("Apache-2.0"), no_text()),
        (
            "interval",
            "query",
            json!("5m"),
            [no_name(), vec![json!("5"), json!("0m"), json!("5 m"), json!("1w")]].concat(),
        ),
        ("from", "query", json!("now-6m"), no_time()),
        ("to", "query", json!("now"), no_time()),
        ("risk_score_mapping", "query", json!([risk]), spoiled_list(&risk, &["risk_score"])),
        ("severity_mapping", "query", json!([severity]), of_severities),
        ("rule_name_override", "query", json!("event.action"), no_text()),
        ("timestamp_override", "query", json!("event.ingested"), no_text()),
        ("timestamp_override_fallback_disabled", "query", json!(false), vec![json!("no"), json!(0)]),
        ("timeline_id", "query", json!("t"), no_name()),
        ("timeline_title", "query", json!("t"), no_name()),
        ("note", "query", json!("n"), no_text()),
        ("setup", "query", json!("s"), no_text()),
        ("building_block_type", "query", json!("default"), [no_name(), vec![json!("other")]].concat()),
        (
            "investigation_fields",
            "query",
            json!({ "field_names": ["a"] }),
            [
                spoiled(&json!({ "field_names": ["a"] }), &[]),
                vec![json!({ "field_names": [] }), json!(["a"])],
            ]
            .concat(),
        ),
        ("false_positives", "query", json!(["f"]), no_texts()),
        ("references", "query", json!(["r"]), no_texts()),
        ("max_signals", "query", json!(100), [no_number(), vec![json!(0)]].concat()),
        ("threat", "query", json!([threat]), of_threats),
        ("related_integrations", "query", json!([integration]), spoiled_list(&integration, &["integration"])),
        ("required_fields", "query", json!([required]), spoiled_list(&required, &["ecs"])),
        ("exceptions_list", "query", json!([list, default]), of_lists),
        ("actions", "query", json!([action]), spoiled_list(&action, &[])),
        ("response_actions", "query", json!([response]), of_responses),
        ("throttle", "query", json!("1h"), [no_name(), vec![json!("hourly")]].concat()),
        ("meta", "query", json!({ "any": { "thing": 1 } }), vec![json!("x"), json!([]), json!(1)]),
        ("query", "query", json!("a: b"), no_text()),
        (
            "language",
            "query",
            json!("lucene"),
            [no_name(), vec![json!("eql"), json!("esql"), json!("kql")]].concat(),
        ),
        ("index", "query", json!(["logs-*"]), no_list_of_names()),
        ("data_view_id", "query", json!("d"), no_name()),
        ("filters", "query", json!([{ "query": {} }]), vec![json!({}), json!(["x"]), json!("x")]),
        ("saved_id", "saved_query", json!("s"), no_name()),
        ("alert_suppression", "query", suppression, of_suppressions),
        ("timestamp_field", "eql", json!("event.created"), no_text()),
        ("event_category_override", "eql", json!("event.type"), no_text()),
        ("tiebreaker_field", "eql", json!("event.sequence"), no_text()),
        ("threshold", "threshold", threshold, of_thresholds),
        ("threat_query", "threat_match", json!("*:*"), no_text()),
        ("threat_index", "threat_match", json!(["ti-*"]), [no_list_of_names(), vec![json!([])]].concat()),
        ("threat_mapping", "threat_match", json!([{ "entries": [entry] }]), of_mappings),
        ("threat_filters", "threat_match", json!([{}]), vec![json!({}), json!(["x"])]),
        ("threat_indicator_path", "threat_match", json!("threat.indicator"), no_text()),
        ("threat_language", "threat_match", json!("lucene"), [no_name(), vec![json!("eql")]].concat()),
        ("concurrent_searches", "threat_match", json!(1), [no_number(), vec![json!(0)]].concat()),
        ("items_per_search", "threat_match", json!(9000), [no_number(), vec![json!(0)]].concat()),
        ("anomaly_threshold", "machine_learning", json!(75), no_number()),
        (
            "machine_learning_job_id",
            "machine_learning",
            json!("job"),
            vec![json!(""), json!([]), json!([""]), json!(1), json!([1]), json!({})],
        ),
        (
            "new_terms_fields",
            "new_terms",
            json!(["a", "b", "c"]),
            [no_list_of_names(), vec![json!([]), json!(["a", "b", "c", "d"])]].concat(),
        ),
        ("history_window_start", "new_terms", json!("now-14d"), no_time()),
        ("output_index", "query", json!("x"), no_text()),
        ("namespace", "query", json!("x"), no_text()),
        ("outcome", "query", json!("exactMatch"), [no_name(), vec![json!("other")]].concat()),
        ("alias_target_id", "query", json!("x"), no_text()),
        ("alias_purpose", "query", json!("savedObjectImport"), [no_name(), vec![json!("other")]].concat()),
    ]
}

/// A rule of a type with a property; what must come with it comes along.
fn rule_with(kind: &str, property: &str, value: Value) -> Value {
    let mut rule = smallest_of(kind);
    for (a, b, other) in
        [("timeline_id", "timeline_title", json!("t")), ("concurrent_searches", "items_per_search", json!(5))]
    {
        if property == a {
            rule[b] = other;
        } else if property == b {
            rule[a] = other;
        }
    }
    with(&rule, property, value)
}

#[test]
fn everything_that_is_generated_is_accepted() {
    for (name, rule) in generated() {
        assert!(accepts(&rule), "{name}: {:#?}", complaints(&rule));
    }
}

#[test]
fn the_smallest_rule_of_each_type_is_accepted_and_needs_its_keys() {
    assert_eq!(smallest().len(), 8);
    for rule in smallest() {
        assert!(accepts(&rule), "{}: {:#?}", rule["type"], complaints(&rule));
        for key in rule.as_object().unwrap().keys() {
            let mut less = rule.clone();
            less.as_object_mut().unwrap().shift_remove(key);
            // a query rule of filters alone, or of nothing, is allowed
            let needed = !(key == "query" && rule["type"] == "query");
            assert_eq!(!accepts(&less), needed, "{} without `{key}`", rule["type"]);
        }
        for key in ["unknown", "Name", "sverity", "metadata", "id", "created_at"] {
            assert!(!accepts(&with(&rule, key, json!("x"))), "{} with `{key}`", rule["type"]);
        }
    }
    for other in [json!(null), json!([]), json!("x"), json!({}), json!([smallest_of("query")])] {
        assert!(!accepts(&other), "{other}");
    }
}

#[test]
fn every_property_takes_its_values_and_no_others() {
    let cases = cases();
    let tried: BTreeSet<&str> = cases.iter().map(|c| c.0).collect();
    let known: BTreeSet<&str> =
        SCHEMA["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(tried, known, "each property has its case");
    for (property, kind, good, bad) in cases {
        let rule = rule_with(kind, property, good);
        assert!(accepts(&rule), "{property}: {:#?}", complaints(&rule));
        assert!(bad.len() > 1);
        for value in bad.into_iter().chain([Value::Null]) {
            assert!(!accepts(&rule_with(kind, property, value.clone())), "`{property}` took {value}");
        }
    }
}

#[test]
fn properties_that_belong_together_do_not_come_alone() {
    for (kind, property, value) in [
        ("query", "timeline_id", json!("t")),
        ("query", "timeline_title", json!("t")),
        ("threat_match", "concurrent_searches", json!(1)),
        ("threat_match", "items_per_search", json!(1)),
    ] {
        assert!(!accepts(&with(&smallest_of(kind), property, value)), "{property}");
    }
    let both = with(&with(&smallest_of("query"), "index", json!(["a-*"])), "data_view_id", json!("d"));
    assert!(accepts(&both), "Kibana lets the data view win");
}

#[test]
fn a_property_of_another_type_is_refused() {
    const ALL_BUT_ML: &[&str] =
        &["query", "saved_query", "eql", "esql", "threshold", "threat_match", "new_terms"];
    const INDEXED: &[&str] = &["query", "saved_query", "eql", "threshold", "threat_match", "new_terms"];
    let owners: &[(&str, &[&str])] = &[
        ("query", ALL_BUT_ML),
        ("index", INDEXED),
        ("data_view_id", INDEXED),
        ("filters", INDEXED),
        ("saved_id", &["query", "saved_query", "threshold", "threat_match"]),
        ("timestamp_field", &["eql"]),
        ("event_category_override", &["eql"]),
        ("tiebreaker_field", &["eql"]),
        ("threshold", &["threshold"]),
        ("threat_query", &["threat_match"]),
        ("threat_index", &["threat_match"]),
        ("threat_mapping", &["threat_match"]),
        ("threat_filters", &["threat_match"]),
        ("threat_indicator_path", &["threat_match"]),
        ("threat_language", &["threat_match"]),
        ("anomaly_threshold", &["machine_learning"]),
        ("machine_learning_job_id", &["machine_learning"]),
        ("new_terms_fields", &["new_terms"]),
        ("history_window_start", &["new_terms"]),
    ];
    let cases = cases();
    for (property, types) in owners {
        let good = &cases.iter().find(|c| c.0 == *property).unwrap().2;
        for rule in smallest() {
            let kind = rule["type"].as_str().unwrap();
            let changed = with(&rule, property, good.clone());
            assert_eq!(
                accepts(&changed),
                types.contains(&kind),
                "`{property}` in {kind}: {:?}",
                complaints(&changed)
            );
        }
    }
    for (kind, languages) in [
        ("query", ["kuery", "lucene"].as_slice()),
        ("saved_query", &["kuery", "lucene"]),
        ("eql", &["eql"]),
        ("esql", &["esql"]),
        ("threshold", &["kuery", "lucene"]),
        ("threat_match", &["kuery", "lucene"]),
        ("machine_learning", &[]),
        ("new_terms", &["kuery", "lucene"]),
    ] {
        for language in ["kuery", "lucene", "eql", "esql", "kql", ""] {
            let rule = with(&smallest_of(kind), "language", json!(language));
            assert_eq!(accepts(&rule), languages.contains(&language), "{kind} in {language}");
        }
    }
    for (kind, by) in [("threshold", "group_by"), ("query", "duration")] {
        let value =
            if by == "group_by" { json!({ by: ["a"] }) } else { json!({ by: { "value": 5, "unit": "m" } }) };
        assert!(!accepts(&with(&smallest_of(kind), "alert_suppression", value)), "{kind} suppressed by {by}");
    }
}

/// The pointers of all values below one.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| {
            let pointer = format!("{at}/{}", k.replace('~', "~0").replace('/', "~1"));
            out.push(pointer.clone());
            pointers(v, &pointer, out);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| {
            let pointer = format!("{at}/{i}");
            out.push(pointer.clone());
            pointers(v, &pointer, out);
        }),
        _ => {}
    }
}

#[test]
fn no_value_of_a_generated_rule_can_change_its_type_and_no_table_takes_a_key_more() {
    for (name, rule) in generated().into_iter().take(13) {
        let mut all = vec![String::new()];
        pointers(&rule, "", &mut all);
        assert!(all.len() > 40);
        for pointer in all {
            let old = rule.pointer(&pointer).unwrap();
            for new in [json!(null), json!(7.25), json!(true), json!([{ "x": 1 }]), json!({ "x": 1 })] {
                let mut mutant = rule.clone();
                *mutant.pointer_mut(&pointer).unwrap() = new.clone();
                let same = old.is_boolean() && new.is_boolean();
                assert!(same || !accepts(&mutant), "{name}: `{pointer}` may be {new}");
            }
            if old.is_object() {
                let mut mutant = rule.clone();
                mutant.pointer_mut(&pointer).unwrap()["unknown"] = json!(1);
                assert!(!accepts(&mutant), "{name}: `{pointer}` takes an unknown key");
            }
        }
    }
}
