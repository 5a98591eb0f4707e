//! Deploying to the fake Kibana: what was written reads back the same, nothing of others is touched, and
//! no single fault loses anything.

use super::fake::{FakeKibana, Fault, FaultKind, Settings as FakeSettings};
use super::*;
use crate::pack::Target;
use crate::pack::target::{Manage, OnDrift};
use crate::target::http::{Credentials, Http};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(super) const PACK: &str = "acme";

pub(super) fn fake() -> FakeKibana {
    FakeKibana::start(&FakeSettings::default()).unwrap()
}

/// A connection for tests: no pause worth mentioning between attempts.
pub(super) fn connect(base: &str) -> Kibana {
    let mut options = options(base, Credentials::None);
    options.pause = Duration::from_millis(1);
    options.timeout = Duration::from_secs(10);
    Kibana::new(Http::new(options).unwrap(), "default")
}

pub(super) fn settings() -> Settings {
    Settings::new(PACK, &Target::demo())
}

/// Rules that are kept in memory while they are replaced.
#[derive(Default)]
pub(super) struct Memory(pub(super) Mutex<BTreeMap<String, Live>>);

impl Rescue for Memory {
    fn keep(&self, rule: &Live) -> Result<String, String> {
        self.0.lock().unwrap().insert(rule.rule_id().to_owned(), rule.clone());
        Ok("memory".to_owned())
    }
    fn release(&self, rule: &Live) {
        self.0.lock().unwrap().remove(rule.rule_id());
    }
}

pub(super) fn rule(rule_id: &str, kind: &str, more: Value) -> Wanted {
    let mut body = required(kind);
    body.insert("rule_id".into(), json!(rule_id));
    body.insert("name".into(), json!(format!("rule {rule_id}")));
    body.extend(more.as_object().unwrap().clone());
    let enabled = body.remove("enabled").and_then(|e| e.as_bool());
    Wanted::new(&format!("lab/{rule_id}"), PACK, enabled, body, Vec::new())
}

/// What a rule of a type cannot do without.
fn required(kind: &str) -> Map<String, Value> {
    let mut body = json!({ "type": kind, "description": "d", "risk_score": 21, "severity": "low" });
    let own = match kind {
        "query" => json!({ "query": "a: 1" }),
        "saved_query" => json!({ "saved_id": "s1" }),
        "eql" => json!({ "query": "any where true", "language": "eql" }),
        "esql" => json!({ "query": "from logs-*", "language": "esql" }),
        "threshold" => json!({ "query": "a: 1", "threshold": { "field": "user.name", "value": 3 } }),
        "threat_match" => json!({
            "query": "a: 1", "threat_query": "*:*", "threat_index": ["ti-*"],
            "threat_mapping": [{ "entries": [{ "field": "source.ip", "type": "mapping", "value": "threat.indicator.ip" }] }],
        }),
        "machine_learning" => json!({ "anomaly_threshold": 50, "machine_learning_job_id": "job-a" }),
        _ => json!({ "query": "a: 1", "new_terms_fields": ["user.name"], "history_window_start": "now-7d" }),
    };
    body.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    body.as_object().unwrap().clone()
}

const TYPES: [&str; 8] =
    ["query", "saved_query", "eql", "esql", "threshold", "threat_match", "machine_learning", "new_terms"];

/// The properties of a type with two values each; `null` for a property that may not be left out.
fn properties(kind: &str) -> Vec<(&'static str, Value, Value)> {
    let mut all = vec![
        ("name", json!("one"), json!("two")),
        ("description", json!("one"), json!("two\nlines ")),
        ("risk_score", json!(0), json!(100)),
        ("severity", json!("medium"), json!("critical")),
        ("tags", json!(["b", "a"]), json!(["c: d"])),
        ("author", json!(["x"]), json!(["y", "x"])),
        ("license", json!("MIT"), json!("")),
        ("interval", json!("5m"), json!("3m")),
        ("from", json!("now-2h"), json!("now-120m")),
        ("to", json!("now"), json!("now-1m")),
        ("risk_score_mapping", json!([{ "field": "f", "operator": "equals", "value": "" }]), json!([])),
        (
            "severity_mapping",
            json!([{ "field": "f", "operator": "equals", "value": "v", "severity": "high" }]),
            json!([]),
        ),
        ("rule_name_override", json!("f"), json!("g")),
        ("timestamp_override", json!("event.ingested"), json!("g")),
        ("timestamp_override_fallback_disabled", json!(true), json!(false)),
        ("note", json!("# guide"), json!("")),
        ("setup", json!("do"), json!("")),
        ("building_block_type", json!("default"), json!("default")),
        ("investigation_fields", json!({ "field_names": ["a"] }), json!({ "field_names": ["b", "a"] })),
        ("false_positives", json!(["x"]), json!([])),
        ("references", json!(["https://example.com/"]), json!(["b", "a"])),
        ("max_signals", json!(100), json!(7)),
        (
            "threat",
            json!([{ "framework": "MITRE ATT&CK", "tactic": { "id": "TA0001", "name": "n", "reference": "r" }, "technique": [] }]),
            json!([{ "framework": "MITRE ATT&CK", "tactic": { "id": "TA0001", "name": "n", "reference": "r" },
                "technique": [{ "id": "T1078", "name": "n", "reference": "r", "subtechnique": [{ "id": "T1078.004", "name": "n", "reference": "r" }] }] }]),
        ),
        (
            "related_integrations",
            json!([{ "package": "aws", "version": "^2.0.0", "integration": "cloudtrail" }]),
            json!([{ "package": "okta", "version": ">=1.0.0" }]),
        ),
        (
            "required_fields",
            json!([{ "name": "a", "type": "keyword", "ecs": true }]),
            json!([{ "name": "a", "type": "ip" }]),
        ),
        (
            "response_actions",
            json!([{ "action_type_id": ".osquery", "params": { "query": "select 1" } }]),
            json!([{ "action_type_id": ".endpoint", "params": { "command": "isolate", "comment": "c" } }]),
        ),
        (
            "actions",
            json!([{ "id": "c1", "action_type_id": ".slack", "params": { "message": "m" } }]),
            json!([{ "id": "c1", "action_type_id": ".slack", "group": "default", "params": { "message": "n" },
                "frequency": { "summary": false, "notifyWhen": "onThrottleInterval", "throttle": "1h" } }]),
        ),
        ("meta", json!({ "own": 1 }), json!({ "own": 2 })),
    ];
    let query = ("query", json!("b: \"x\\\\y\""), json!("c: 1\n  and d: 2\n"));
    let data = [
        ("index", json!(["b-*", "a-*"]), json!(["a-*", "b-*"])),
        ("data_view_id", json!("v1"), json!("v2")),
        ("filters", json!([]), json!([{ "meta": { "negate": false }, "query": { "term": { "a": 1.0 } } }])),
    ];
    let by_field = (
        "alert_suppression",
        json!({ "group_by": ["a"], "duration": { "value": 5, "unit": "m" } }),
        json!({ "group_by": ["a", "b"], "missing_fields_strategy": "doNotSuppress" }),
    );
    if !matches!(kind, "esql" | "machine_learning") {
        all.extend(data);
    }
    if !matches!(kind, "machine_learning" | "threshold") {
        all.push(by_field);
    }
    match kind {
        "query" => all.extend([
            query,
            ("language", json!("lucene"), json!("kuery")),
            ("saved_id", json!("s"), json!("t")),
        ]),
        "saved_query" => all.extend([
            query,
            ("language", json!("lucene"), json!("kuery")),
            ("saved_id", json!("s"), json!("t")),
        ]),
        "eql" => all.extend([
            ("query", json!("process where true"), json!("any where false")),
            ("timestamp_field", json!("t"), json!("u")),
            ("event_category_override", json!("t"), json!("u")),
            ("tiebreaker_field", json!("t"), json!("u")),
        ]),
        "esql" => all.push(("query", json!("from a-*"), json!("from b-* metadata _id"))),
        "threshold" => all.extend([
            query,
            ("language", json!("lucene"), json!("kuery")),
            ("saved_id", json!("s"), json!("t")),
            (
                "threshold",
                json!({ "field": "", "value": 1 }),
                json!({ "field": ["a", "b"], "value": 2, "cardinality": [{ "field": "c", "value": 3 }] }),
            ),
            (
                "alert_suppression",
                json!({ "duration": { "value": 5, "unit": "m" } }),
                json!({ "duration": { "value": 1, "unit": "h" } }),
            ),
        ]),
        "threat_match" => all.extend([
            query,
            ("language", json!("lucene"), json!("kuery")),
            ("saved_id", json!("s"), json!("t")),
            ("threat_filters", json!([]), json!([{ "query": { "term": { "a": 1 } } }])),
            ("threat_indicator_path", json!("threat.indicator"), json!("ti")),
            ("threat_language", json!("lucene"), json!("kuery")),
            ("threat_query", json!("a"), json!("b")),
            ("threat_index", json!(["a"]), json!(["b", "a"])),
        ]),
        "machine_learning" => all.extend([
            ("anomaly_threshold", json!(0), json!(99)),
            ("machine_learning_job_id", json!("b"), json!(["b", "a"])),
        ]),
        _ => all.extend([
            query,
            ("language", json!("lucene"), json!("kuery")),
            ("new_terms_fields", json!(["a"]), json!(["b", "a", "c"])),
            ("history_window_start", json!("now-1d"), json!("now-30d")),
        ]),
    }
    all
}

pub(super) fn read(kibana: &Kibana, wanted: &[Wanted]) -> Vec<Live> {
    let ids: Vec<&str> = wanted.iter().map(|w| w.rule_id.as_str()).collect();
    let mut all = kibana.with_tag(&tag(PACK)).unwrap();
    for live in kibana.with_rule_ids(&ids).unwrap() {
        if !all.iter().any(|l| l.id() == live.id()) {
            all.push(live);
        }
    }
    all
}

fn planned(kibana: &Kibana, wanted: &[Wanted], settings: &Settings) -> Changeset {
    let mut wanted = wanted.to_vec();
    let live = read(kibana, &wanted);
    let config = crate::pack::Config::of_folder(PACK);
    assert!(resolve(&mut wanted, &live, kibana, &config, &BTreeMap::new()).unwrap().is_empty());
    plan(&wanted, &live, settings, true)
}

fn deploy(kibana: &Kibana, wanted: &[Wanted], settings: &Settings) -> Applied {
    let changes = planned(kibana, wanted, settings);
    apply(&changes, wanted, kibana, settings, &Memory::default(), Duration::ZERO)
}

/// Deploys, and then nothing may be left to do.
fn settle(kibana: &Kibana, wanted: &[Wanted], settings: &Settings) {
    let applied = deploy(kibana, wanted, settings);
    assert!(applied.failed.is_empty(), "{:#?}", applied.failed);
    assert_same(kibana, wanted, settings);
}

fn assert_same(kibana: &Kibana, wanted: &[Wanted], settings: &Settings) {
    let left: Vec<_> = planned(kibana, wanted, settings).changes;
    let left: Vec<_> =
        left.iter().filter(|c| c.kind != Kind::Same).map(|c| (&c.name, &c.kind, &c.fields)).collect();
    assert!(left.is_empty(), "{left:#?}");
}

fn only(changes: &Changeset) -> &Change {
    assert_eq!(changes.changes.len(), 1, "{changes:#?}");
    &changes.changes[0]
}

fn connectors(kibana: &FakeKibana) {
    kibana
        .seed(&json!({ "connectors": [
            { "id": "c1", "name": "chat", "connector_type_id": ".slack" },
            { "id": "c2", "name": "twice", "connector_type_id": ".slack" },
            { "id": "c3", "name": "twice", "connector_type_id": ".slack" },
        ] }))
        .unwrap();
}

/// Exception lists of the space, by `list_id`.
pub(super) fn lists(kibana: &FakeKibana, names: &[&str]) -> Vec<Value> {
    let all: Vec<Value> = names
        .iter()
        .map(|n| json!({ "list_id": n, "name": n, "description": "d", "type": "detection" }))
        .collect();
    kibana.seed(&json!({ "exception_lists": all })).unwrap();
    let client = connect(&kibana.url());
    let id = |name: &str| client.exception_list(name, "single").unwrap().unwrap();
    names
        .iter()
        .map(|n| json!({ "id": id(n), "list_id": n, "type": "detection", "namespace_type": "single" }))
        .collect()
}

pub(super) fn linked(kibana: &FakeKibana, rule_id: &str) -> Vec<String> {
    let rule = kibana.rule("default", rule_id).unwrap_or_default();
    let lists = rule["exceptions_list"].as_array().cloned().unwrap_or_default();
    lists.iter().map(|l| l["list_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_property_of_every_type_reads_back_equal_when_it_is_set_changed_and_dropped() {
    let fake = fake();
    connectors(&fake);
    let kibana = connect(&fake.url());
    // `add` would keep actions that the pack drops, as it should
    let mut settings = settings();
    settings.manage.insert("actions".to_owned(), Manage::Set);
    let mut steps: [Vec<Wanted>; 3] = Default::default();
    for kind in TYPES {
        for (property, a, b) in properties(kind) {
            let id = format!("{kind}-{property}");
            steps[0].push(rule(&id, kind, json!({ property: a })));
            steps[1].push(rule(&id, kind, json!({ property: b })));
            steps[2].push(rule(&id, kind, json!({})));
        }
    }
    for wanted in &steps {
        settle(&kibana, wanted, &settings);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn any_rule_reads_back_equal_after_it_is_created_and_after_it_becomes_any_other(
        picks in prop::collection::vec((0..8usize, prop::collection::vec((0..3u8, 0..3u8), 48)), 1..20),
    ) {
        let fake = fake();
        connectors(&fake);
        let kibana = connect(&fake.url());
        let mut settings = settings();
        settings.manage.insert("actions".to_owned(), Manage::Set);
        for side in [0, 1] {
            let wanted: Vec<Wanted> = picks.iter().enumerate().map(|(i, (kind, choices))| {
                let kind = TYPES[*kind];
                let mut more = json!({});
                for ((property, a, b), choice) in properties(kind).into_iter().zip(choices) {
                    match if side == 0 { choice.0 } else { choice.1 } {
                        0 => more[property] = a,
                        1 => more[property] = b,
                        _ => {}
                    }
                }
                rule(&format!("r{i}"), kind, more)
            }).collect();
            settle(&kibana, &wanted, &settings);
        }
    }
}

#[test]
fn rules_are_created_switched_off_and_then_switched_on_as_they_say() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let wanted = [
        rule("a", "query", json!({})),
        rule("b", "eql", json!({ "enabled": false })),
        rule("c", "eql", json!({ "enabled": true })),
    ];
    settle(&kibana, &wanted, &settings());
    let enabled = |id: &str| fake.rule("default", id).unwrap()["enabled"] == true;
    assert_eq!([enabled("a"), enabled("b"), enabled("c")], [true, false, true]);
    // a rule that says nothing is left as people in Kibana have it; one that says something is not
    for id in ["a", "c"] {
        fake.edit(&json!({ "rule_id": id, "via": "api", "set": { "enabled": false } })).unwrap();
    }
    let changes = planned(&kibana, &wanted, &settings());
    let kinds: Vec<&str> = changes.changes.iter().map(|c| c.kind.word()).collect();
    assert_eq!(kinds, ["same", "same", "enable"]);
    settle(&kibana, &wanted, &settings());
    assert!(enabled("c") && !enabled("a"));
}

#[test]
fn links_to_exception_lists_and_actions_made_in_kibana_stay() {
    let fake = fake();
    connectors(&fake);
    let links = lists(&fake, &["ui-1", "ui-2", "own"]);
    let kibana = connect(&fake.url());
    let own =
        json!([{ "id": "elsewhere", "list_id": "own", "type": "detection", "namespace_type": "single" }]);
    let mut wanted = vec![rule("a", "query", json!({ "exceptions_list": own }))];
    let live = read(&kibana, &wanted);
    resolve(&mut wanted, &live, &kibana, &crate::pack::Config::of_folder(PACK), &BTreeMap::new()).unwrap();
    settle(&kibana, &wanted, &settings());
    let action = json!({ "id": "c1", "action_type_id": ".slack", "group": "default", "uuid": "u-1", "params": { "message": "m" },
        "frequency": { "summary": true, "notifyWhen": "onActiveAlert", "throttle": null } });
    fake.edit(
        &json!({ "rule_id": "a", "via": "api", "set": { "exceptions_list": links, "actions": [action] } }),
    )
    .unwrap();
    assert_same(&kibana, &wanted, &settings());
    wanted[0].body.insert("severity".into(), json!("high"));
    let changes = planned(&kibana, &wanted, &settings());
    assert_eq!(only(&changes).kept, Kept { exceptions: 2, actions: 1 });
    settle(&kibana, &wanted, &settings());
    let mut kept = linked(&fake, "a");
    kept.sort();
    assert_eq!(kept, ["own", "ui-1", "ui-2"]);
    let rule = fake.rule("default", "a").unwrap();
    assert_eq!((&rule["actions"][0]["uuid"], &rule["version"]), (&json!("u-1"), &json!(2)));
    assert_eq!(
        rule["exceptions_list"].as_array().unwrap().iter().filter(|l| l["list_id"] == "own").count(),
        1
    );
}

#[test]
fn an_edit_in_kibana_is_a_conflict_unless_the_target_says_otherwise() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let before = [rule("a", "query", json!({ "tags": ["x"] }))];
    settle(&kibana, &before, &settings());
    fake.edit(&json!({ "rule_id": "a", "user": "j.doe", "via": "api", "set": { "tags": ["y", tag(PACK)] } }))
        .unwrap();
    let Kind::Conflict { reason, .. } = only(&planned(&kibana, &before, &settings())).kind.clone() else {
        panic!()
    };
    assert_eq!(reason, "`tags`: changed in Kibana by j.doe");
    let after = [rule("a", "query", json!({ "tags": ["z"] }))];
    let Kind::Conflict { reason, .. } = only(&planned(&kibana, &after, &settings())).kind.clone() else {
        panic!()
    };
    assert_eq!(reason, "`tags`: changed here and, by j.doe, in Kibana");
    let mut keep = settings();
    keep.on_drift = OnDrift::Keep;
    assert_eq!(only(&planned(&kibana, &after, &keep)).kind, Kind::Kept);
    let mut overwrite = settings();
    overwrite.on_drift = OnDrift::Overwrite;
    settle(&kibana, &after, &overwrite);
    // the editor of the web page takes the stamp away
    fake.edit(&json!({ "rule_id": "a", "set": { "severity": "high" } })).unwrap();
    assert!(matches!(only(&planned(&kibana, &after, &settings())).kind, Kind::Conflict { .. }));
    let mut add = settings();
    add.manage.insert("tags".to_owned(), Manage::Add);
    add.on_drift = OnDrift::Overwrite;
    fake.edit(&json!({ "rule_id": "a", "set": { "tags": ["soc", tag(PACK)] } })).unwrap();
    settle(&kibana, &after, &add);
    let tags = fake.rule("default", "a").unwrap()["tags"].clone();
    assert!(["soc", "z"].iter().all(|t| tags.as_array().unwrap().contains(&json!(t))), "{tags}");
}

#[test]
fn prebuilt_foreign_and_duplicate_rules_are_conflicts_and_left_alone() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let made = |id: &str, more: Value| {
        let mut body = required("query");
        body.insert("rule_id".into(), json!(id));
        body.insert("name".into(), json!(id));
        body.extend(more.as_object().unwrap().clone());
        body
    };
    fake.seed(&json!({ "rules": [
        made("pre", json!({ "immutable": true, "version": 3 })),
        made("foreign", json!({})),
        made("other", json!({ "tags": ["rulepack:others"] })),
        made("twice", json!({ "tags": [tag(PACK)] })),
        made("twice", json!({})),
    ] }))
    .unwrap();
    let before = fake.rules("default");
    let wanted: Vec<Wanted> =
        ["pre", "foreign", "other", "twice"].map(|id| rule(id, "query", json!({}))).into();
    let changes = planned(&kibana, &wanted, &settings());
    let reasons: Vec<String> = changes
        .changes
        .iter()
        .map(|c| match &c.kind {
            Kind::Conflict { reason, .. } => reason.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(reasons[0].starts_with("a prebuilt rule"), "{reasons:?}");
    assert!(reasons[1].contains("made without the pack"), "{reasons:?}");
    assert!(reasons[2].contains("`others`"), "{reasons:?}");
    for id in before.iter().filter(|r| r["rule_id"] == "twice").map(|r| r["id"].as_str().unwrap()) {
        assert!(reasons[3].contains(id), "{reasons:?}");
    }
    let applied = deploy(&kibana, &wanted, &settings());
    assert_eq!((applied.written, applied.failed.len()), (0, 0));
    assert_eq!(fake.rules("default"), before);
}

#[test]
fn only_orphans_that_the_pack_wrote_and_nobody_edited_are_deleted() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let wanted = ["a", "b", "c"].map(|id| rule(id, "query", json!({})));
    settle(&kibana, &wanted, &settings());
    // a copy that somebody made in Kibana keeps tags and stamp
    let mut copy = fake.rule("default", "c").unwrap();
    for key in ["id", "created_at", "updated_at", "revision"] {
        copy.as_object_mut().unwrap().remove(key);
    }
    copy["rule_id"] = json!("copy");
    fake.seed(&json!({ "rules": [copy] })).unwrap();
    fake.edit(&json!({ "rule_id": "b", "set": { "note": "mine" } })).unwrap();
    let rest = [wanted[0].clone()];
    let quiet = planned(&kibana, &rest, &settings());
    assert_eq!((quiet.count("orphan"), quiet.count("delete"), quiet.owned), (3, 0, 4));
    let mut prune = settings();
    prune.prune = true;
    let changes = planned(&kibana, &rest, &prune);
    let deleted: Vec<&str> =
        changes.changes.iter().filter(|c| c.kind == Kind::Delete).map(|c| c.name.as_str()).collect();
    assert_eq!(deleted, ["lab/c"]);
    let applied = deploy(&kibana, &rest, &prune);
    assert!(applied.failed.is_empty());
    assert_eq!(applied.written, 1);
    let mut left: Vec<String> =
        fake.rules("default").iter().map(|r| r["rule_id"].as_str().unwrap().to_owned()).collect();
    left.sort();
    assert_eq!(left, ["a", "b", "copy"]);
}

#[test]
fn a_selection_of_rules_has_no_orphans() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let wanted = ["a", "b"].map(|id| rule(id, "query", json!({})));
    settle(&kibana, &wanted, &settings());
    let changes = plan(&wanted[..1], &read(&kibana, &wanted), &settings(), false);
    assert_eq!(changes.changes.len(), 1);
}

#[test]
fn a_changed_type_makes_a_new_object_with_the_same_links() {
    let fake = fake();
    let links = lists(&fake, &["ui"]);
    let kibana = connect(&fake.url());
    settle(&kibana, &[rule("a", "query", json!({}))], &settings());
    fake.edit(&json!({ "rule_id": "a", "via": "api", "set": { "exceptions_list": links } })).unwrap();
    let before = fake.rule("default", "a").unwrap();
    let wanted = [rule("a", "eql", json!({}))];
    let changes = planned(&kibana, &wanted, &settings());
    assert_eq!(only(&changes).kind, Kind::Replace { from: "query".to_owned(), to: "eql".to_owned() });
    settle(&kibana, &wanted, &settings());
    let after = fake.rule("default", "a").unwrap();
    assert_ne!(before["id"], after["id"]);
    assert_eq!((linked(&fake, "a"), &after["enabled"]), (vec!["ui".to_owned()], &json!(true)));
}

#[test]
fn a_rule_that_was_lost_while_it_was_replaced_gets_its_links_back() {
    let fake = fake();
    let links = lists(&fake, &["ui"]);
    let kibana = connect(&fake.url());
    let mut settings = settings();
    let lost = json!({ "rule_id": "a", "type": "query", "exceptions_list": links });
    settings.rescued.insert("a".to_owned(), Live::new(lost));
    settle(&kibana, &[rule("a", "eql", json!({}))], &settings);
    assert_eq!(linked(&fake, "a"), ["ui"]);
}

/// A Kibana with a rule to update, one to replace, one to switch on and one to delete; what is wanted.
fn scene() -> (FakeKibana, Vec<Wanted>, Settings) {
    let fake = fake();
    connectors(&fake);
    let links = lists(&fake, &["l-update", "l-replace", "l-enable"]);
    let kibana = connect(&fake.url());
    let before = [
        rule("update", "query", json!({})),
        rule("replace", "query", json!({})),
        rule("enable", "query", json!({ "enabled": false })),
        rule("delete", "query", json!({})),
    ];
    settle(&kibana, &before, &settings());
    for (rule, link) in ["update", "replace", "enable"].iter().zip(&links) {
        fake.edit(&json!({ "rule_id": rule, "via": "api", "set": { "exceptions_list": [link] } })).unwrap();
    }
    let wanted = vec![
        rule("create", "query", json!({})),
        rule("update", "query", json!({ "severity": "high" })),
        rule("replace", "eql", json!({})),
        rule("enable", "query", json!({ "enabled": true })),
    ];
    let mut settings = settings();
    settings.prune = true;
    (fake, wanted, settings)
}

/// The whole of a deploy, reading included; `None` where reading failed.
fn whole_deploy(kibana: &Kibana, wanted: &[Wanted], settings: &Settings, memory: &Memory) -> Option<Applied> {
    let ids: Vec<&str> = wanted.iter().map(|w| w.rule_id.as_str()).collect();
    let mut live = kibana.with_tag(&tag(PACK)).ok()?;
    live.extend(kibana.with_rule_ids(&ids).ok()?);
    live.sort_by(|a, b| a.id().cmp(b.id()));
    live.dedup_by(|a, b| a.id() == b.id());
    let mut settings = settings.clone();
    settings.rescued = memory.0.lock().unwrap().clone();
    let changes = plan(wanted, &live, &settings, true);
    Some(apply(&changes, wanted, kibana, &settings, memory, Duration::ZERO))
}

#[test]
fn no_single_fault_at_any_step_loses_a_link_or_makes_a_rule_twice() {
    let (made, wanted, settings) = scene();
    let fake = made.twin().unwrap();
    let before = fake.requests().len();
    whole_deploy(&connect(&fake.url()), &wanted, &settings, &Memory::default()).unwrap();
    let requests = u64::try_from(fake.requests().len() - before).unwrap();
    assert!(requests > 10);
    let kinds = [
        FaultKind::Conflict,
        FaultKind::Overloaded,
        FaultKind::Status(400, None),
        FaultKind::Status(500, None),
        FaultKind::Status(503, None),
        FaultKind::Reset,
        FaultKind::Refuse,
        FaultKind::LostReply,
        FaultKind::Half,
    ];
    let cases: Vec<(FaultKind, u64)> =
        kinds.into_iter().flat_map(|kind| (0..requests).map(move |at| (kind.clone(), at))).collect();
    crate::target::http::each(&cases, 8, |(kind, at)| {
        let fake = made.twin().unwrap();
        fake.fault(Fault::new(kind.clone()).after(*at));
        let kibana = connect(&fake.url());
        let memory = Memory::default();
        let applied = whole_deploy(&kibana, &wanted, &settings, &memory);
        fake.clear_faults();
        let step = format!("{kind:?} at request {at}: {applied:#?}");
        // what was not written is said; what is there is right
        for (rule, link) in [("update", "l-update"), ("replace", "l-replace"), ("enable", "l-enable")] {
            assert_eq!(linked(&fake, rule), [link], "{step}");
        }
        let mut ids: Vec<String> =
            fake.rules("default").iter().map(|r| r["rule_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all, "{step}");
        if applied.as_ref().is_some_and(|a| a.failed.is_empty() && a.conflicts.is_empty()) {
            assert_same(&kibana, &wanted, &settings);
        }
        // and the next deploy ends it
        let again = whole_deploy(&kibana, &wanted, &settings, &memory).unwrap();
        assert!(again.failed.is_empty() && again.conflicts.is_empty(), "{step}\n{again:#?}");
        assert_same(&kibana, &wanted, &settings);
        assert_eq!(linked(&fake, "replace"), ["l-replace"], "{step}");
        let on = |id: &str| fake.rule("default", id).unwrap()["enabled"] == true;
        assert!(["create", "update", "replace", "enable"].iter().all(|id| on(id)), "{step}");
    });
}

#[test]
fn a_link_made_between_plan_and_write_is_carried_and_an_edit_is_a_conflict() {
    for (set, conflicts) in [(None, 0), (Some(json!({ "severity": "critical" })), 1)] {
        let (fake, wanted, settings) = scene();
        let links = lists(&fake, &["late"]);
        let set = set.unwrap_or_else(|| json!({ "exceptions_list": links }));
        let kibana = connect(&fake.url());
        let changes = planned(&kibana, &wanted, &settings);
        fake.edit(&json!({ "rule_id": "update", "user": "j.doe", "via": "api", "set": set })).unwrap();
        let applied = apply(&changes, &wanted, &kibana, &settings, &Memory::default(), Duration::ZERO);
        assert!(applied.failed.is_empty(), "{:#?}", applied.failed);
        assert_eq!(applied.conflicts.len(), conflicts);
        if conflicts == 0 {
            assert!(linked(&fake, "update").contains(&"late".to_owned()));
        } else {
            assert_eq!(fake.rule("default", "update").unwrap()["severity"], "critical");
        }
    }
}

#[test]
fn an_edit_in_the_moment_of_writing_does_not_go_unnoticed() {
    let (fake, wanted, settings) = scene();
    let edit = json!({ "rule_id": "update", "user": "j.doe", "via": "api", "set": { "note": "mine" } });
    fake.fault(Fault::new(FaultKind::EditBefore(edit)).on("PUT", "/api/detection_engine/rules"));
    let applied = deploy(&connect(&fake.url()), &wanted, &settings);
    assert_eq!(applied.failed.len(), 1, "{applied:#?}");
    assert!(applied.failed[0].message.contains("while it was written"), "{applied:#?}");
}

#[test]
fn two_deploys_at_once_do_not_make_a_rule_twice_in_silence() {
    for _ in 0..10 {
        let fake = fake();
        let wanted: Vec<Wanted> = (0..12).map(|i| rule(&format!("r{i}"), "query", json!({}))).collect();
        let go = || deploy(&connect(&fake.url()), &wanted, &settings());
        let (one, two) = std::thread::scope(|s| {
            let (a, b) = (s.spawn(go), s.spawn(go));
            (a.join().unwrap(), b.join().unwrap())
        });
        let rules = fake.rules("default");
        for w in &wanted {
            let copies = rules.iter().filter(|r| r["rule_id"] == w.rule_id.as_str()).count();
            let told = one.failed.iter().chain(&two.failed).any(|f| f.rule_id == w.rule_id);
            assert!(copies == 1 || (copies == 2 && told), "{copies} of {}: {one:#?} {two:#?}", w.rule_id);
        }
    }
}

#[test]
fn a_bulk_action_that_fails_in_part_is_told_rule_by_rule() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let wanted: Vec<Wanted> = (0..4).map(|i| rule(&format!("r{i}"), "query", json!({}))).collect();
    fake.fault(Fault::new(FaultKind::Half).on("POST", "/api/detection_engine/rules/_bulk_action").times(0));
    let applied = deploy(&kibana, &wanted, &settings());
    // half, then half of the rest, then half of that
    assert_eq!(applied.written + applied.failed.len(), 4);
    assert!(
        !applied.failed.is_empty() && applied.failed.iter().all(|f| f.message.contains("not switched on"))
    );
    fake.clear_faults();
    settle(&kibana, &wanted, &settings());
    assert!(fake.rules("default").iter().all(|r| r["enabled"] == true));
}

#[test]
fn one_refused_rule_does_not_stop_the_others() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let wanted = [
        rule("bad", "query", json!({ "interval": "1h", "from": "now-5m" })),
        rule("good", "query", json!({})),
    ];
    let applied = deploy(&kibana, &wanted, &settings());
    assert_eq!(applied.written, 1);
    assert_eq!(
        (applied.failed[0].rule_id.as_str(), applied.failed[0].code),
        ("bad", crate::diag::Code::RP0907)
    );
    assert!(fake.rule("default", "good").is_some());
}

#[test]
fn connectors_are_looked_up_by_name() {
    let fake = fake();
    connectors(&fake);
    let kibana = connect(&fake.url());
    let named = |name: &str| NamedAction {
        connector: name.to_owned(),
        params: None,
        frequency: None,
        pointer: format!("/target/x/overlay/0/actions/{name}"),
    };
    let config = crate::pack::Config::of_folder(PACK);
    for (name, message) in [("chatt", "no connector `chatt`"), ("twice", "several connectors `twice`")] {
        let mut wanted = vec![rule("a", "query", json!({})), rule("b", "query", json!({}))];
        wanted.iter_mut().for_each(|w| w.actions.push(named(name)));
        let found = resolve(&mut wanted, &[], &kibana, &config, &BTreeMap::new()).unwrap();
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].message.contains(message), "{found:#?}");
    }
    let mut wanted = vec![rule("a", "query", json!({}))];
    wanted[0].actions.push(named("chat"));
    assert!(resolve(&mut wanted, &[], &kibana, &config, &BTreeMap::new()).unwrap().is_empty());
    assert_eq!(wanted[0].body["actions"][0]["id"], "c1");
    settle(&kibana, &wanted, &settings());
}

#[test]
fn properties_that_are_not_managed_are_left_as_they_are() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let mut settings = settings();
    settings.manage.insert("note".to_owned(), Manage::CreateOnly);
    settings.manage.insert("references".to_owned(), Manage::Ignore);
    let before = [rule("a", "query", json!({ "note": "first", "references": ["https://example.com"] }))];
    settle(&kibana, &before, &settings);
    let live = fake.rule("default", "a").unwrap();
    assert_eq!((&live["note"], &live["references"]), (&json!("first"), &json!([])));
    fake.edit(&json!({ "rule_id": "a", "via": "api", "set": { "note": "theirs" } })).unwrap();
    let after = [rule("a", "query", json!({ "note": "second", "severity": "high" }))];
    settle(&kibana, &after, &settings);
    assert_eq!(fake.rule("default", "a").unwrap()["note"], "theirs");
}

/// `cargo test --release -- --ignored a_thousand_rules`
#[test]
#[ignore = "a measurement"]
fn a_thousand_rules_are_written_in_20_s_and_planned_again_in_3_s() {
    let fake =
        FakeKibana::start(&FakeSettings { latency: Duration::from_millis(10), ..FakeSettings::default() })
            .unwrap();
    let kibana = connect(&fake.url());
    let wanted: Vec<Wanted> = (0..1000).map(|i| rule(&format!("rule-{i:04}"), "query", json!({}))).collect();
    let begun = Instant::now();
    let changes = planned(&kibana, &wanted, &settings());
    let applied =
        apply(&changes, &wanted, &kibana, &settings(), &Memory::default(), Duration::from_millis(500));
    let wrote = begun.elapsed();
    assert!(applied.failed.is_empty());
    let begun = Instant::now();
    assert_same(&kibana, &wanted, &settings());
    let planned = begun.elapsed();
    eprintln!("written in {wrote:?}, planned again in {planned:?}");
    assert!(wrote < Duration::from_secs(20) && planned < Duration::from_secs(3), "{wrote:?}, {planned:?}");
}
