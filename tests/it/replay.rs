//! Replay over the pack's own fixtures: the shortcuts (prefilter, lazy conversion, dispatch) change no
//! answer, nor do threads, wrappings or the order of files.

use proptest::prelude::*;
use rulepack::lang::cloudtrail::{Converter, Options};
use rulepack::pack::Pack;
use rulepack::replay::{Engine, Report, RunRule};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

static RULES: LazyLock<Vec<RunRule>> = LazyLock::new(|| {
    let pack = Pack::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let files: Vec<_> = pack.files.iter().collect();
    let rules: Vec<RunRule> = pack.compile(&files).iter().filter_map(RunRule::of).collect();
    assert_eq!(rules.len(), pack.files.len(), "a rule of the pack cannot run");
    rules
});

/// Every record of the fixtures.
static RECORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/iam");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        match json.get("Records").and_then(Value::as_array) {
            Some(records) => out.extend(records.iter().cloned()),
            None => out.push(json),
        }
    }
    out
});

fn engine() -> Engine {
    Engine::new(RULES.clone(), Converter::new(Options::default()))
}

/// Rule, time, events and group of an alert.
type Core = (usize, Option<i128>, Vec<String>, Vec<(String, String)>);

/// The alerts, without the file that they came from and its evidence.
fn alerts(report: &Report) -> Vec<Core> {
    report.alerts.iter().map(|a| (a.rule, a.time, a.events.clone(), a.group.clone())).collect()
}

fn replay(engine: &Engine, texts: &[String]) -> Report {
    let named: Vec<(&str, &[u8])> = texts.iter().map(|t| ("x", t.as_bytes())).collect();
    engine.run_texts(&named, &[], None)
}

/// A change that may or may not make a rule stop or start to match.
fn change(record: &mut Value, what: u8, with: usize) {
    let other = RECORDS[with % RECORDS.len()].clone();
    let Some(map) = record.as_object_mut() else { return };
    match what % 10 {
        0 => map["eventName"] = other["eventName"].clone(),
        1 => map["eventSource"] = other["eventSource"].clone(),
        2 => drop(map.insert("requestParameters".into(), other["requestParameters"].clone())),
        3 => drop(map.insert("userIdentity".into(), other["userIdentity"].clone())),
        4 => drop(map.insert("errorCode".into(), "AccessDenied".into())),
        5 => drop(map.shift_remove("requestParameters")),
        6 => drop(map.shift_remove("eventName")),
        7 => drop(map.insert("eventTime".into(), "2026-11-01T00:00:00Z".into())),
        8 => drop(map.insert("eventName".into(), json!({ "eventName": "DeleteGroup" }))),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn shortcuts_change_no_answer(
        picks in prop::collection::vec((0usize..500, any::<u8>(), 0usize..500), 1..30),
        wrapped in any::<bool>(),
        escape in any::<bool>(),
    ) {
        let mut records = Vec::new();
        for (n, (at, what, with)) in picks.iter().enumerate() {
            let mut record = RECORDS[at % RECORDS.len()].clone();
            change(&mut record, *what, *with);
            record["eventID"] = format!("{n:08}-0000-4000-8000-000000000000").into();
            records.push(record);
        }
        let mut text = if wrapped {
            json!({ "Records": records }).to_string()
        } else {
            records.iter().map(|r| r.to_string() + "\n").collect()
        };
        if escape {
            // the same JSON, spelled so that a byte search must not rely on it
            text = text.replace("\"eventName\":\"D", "\"eventName\":\"\\u0044");
        }
        let fast = replay(&engine(), std::slice::from_ref(&text));
        let slow = replay(&engine().without_shortcuts(), &[text]);
        prop_assert_eq!(alerts(&fast), alerts(&slow));
        prop_assert_eq!(fast.records, slow.records);
        prop_assert!(fast.complete() && slow.complete());
    }
}

/// All that a run says.
fn whole(report: &Report) -> String {
    format!("{report:#?}")
}

#[test]
fn a_long_text_is_shared_between_threads_and_the_answer_is_the_same() {
    let mut text = String::new();
    let mut copy = 0;
    while text.len() < (5 << 20) {
        copy += 1;
        for (n, record) in RECORDS.iter().enumerate() {
            let mut record = record.clone();
            record["eventID"] = format!("{n:08}-{copy:04}-4000-8000-000000000000").into();
            text.push_str(&record.to_string());
            text.push('\n');
        }
        if copy % 3 == 0 {
            text.push_str("{\"eventName\": \"DeleteGroup\",\nno object\n");
        }
    }
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| whole(&replay(&engine(), std::slice::from_ref(&text))))
    };
    let alone = run(1);
    assert!(alone.contains("invalid JSON"));
    assert!(alone.matches("clause: ").count() > 100, "{}", alone.len());
    assert_eq!(alone, run(4));
    assert_eq!(alone, run(2));
}

#[test]
fn every_rule_alerts_somewhere_on_the_fixtures() {
    let texts: Vec<String> = RECORDS.iter().map(Value::to_string).collect();
    let report = replay(&engine(), &texts);
    let silent: Vec<&str> = RULES
        .iter()
        .enumerate()
        .filter(|(r, _)| !report.alerts.iter().any(|a| a.rule == *r))
        .map(|(_, rule)| rule.name.as_str())
        .collect();
    assert!(silent.is_empty(), "no alert from {silent:?}");
    // a row that gathers events has its group instead of clauses
    assert!(report.alerts.iter().all(|a| !a.evidence.is_empty() || !a.group.is_empty()));
}

#[test]
fn all_wrappings_of_a_record_give_the_same_alerts() {
    let records = &*RECORDS;
    let lines: String = records.iter().map(|r| r.to_string() + "\n").collect();
    let lookup = json!({ "Events": records.iter().map(|r| json!({ "CloudTrailEvent": r.to_string() })).collect::<Vec<_>>() });
    let bridge: String = records
        .iter()
        .map(|r| json!({ "detail-type": "AWS API Call via CloudTrail", "detail": r }).to_string() + "\n")
        .collect();
    let pretty: String = records.iter().map(|r| serde_json::to_string_pretty(r).unwrap() + "\n").collect();
    let converter = Converter::new(Options::default());
    let ecs: String = records
        .iter()
        .map(|r| {
            let text = r.to_string();
            let doc = converter
                .convert(text.as_bytes(), &rulepack::lang::cloudtrail::Needs::all())
                .unwrap()
                .document;
            doc.to_string() + "\n"
        })
        .collect();
    let want = alerts(&replay(&engine(), std::slice::from_ref(&lines)));
    assert!(want.len() > 13);
    for (name, text) in [
        ("delivery file", json!({ "Records": records }).to_string()),
        ("array", Value::Array(records.clone()).to_string()),
        ("lookup-events", lookup.to_string()),
        ("EventBridge", bridge),
        ("pretty-printed", pretty),
        ("ECS documents", ecs.clone()),
        (
            "search hits",
            ecs.lines()
                .map(|l| format!("{{\"_index\":\"logs-aws.cloudtrail-x\",\"_source\":{l}}}\n"))
                .collect(),
        ),
    ] {
        let report = replay(&engine(), &[text]);
        assert!(report.complete(), "{name}: {:?}", report.problems);
        assert_eq!(alerts(&report), want, "{name}");
    }
}

#[test]
fn threads_and_the_order_of_files_change_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (i, chunk) in RECORDS.chunks(5).enumerate() {
        let path = dir.path().join(format!("{i}.json"));
        std::fs::write(&path, json!({ "Records": chunk }).to_string()).unwrap();
        paths.push(path);
    }
    let run = |threads: usize, paths: &[PathBuf]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| engine().run(paths, &[], &Arc::default()))
    };
    let one = run(1, &paths);
    let four = run(4, &paths);
    assert_eq!(format!("{:?}", one.alerts), format!("{:?}", four.alerts));
    let backwards: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    assert_eq!(alerts(&one), alerts(&run(4, &backwards)));
}

#[test]
fn an_event_counts_as_ingested_when_it_happened() {
    let dir = super::transcripts::pack();
    let file = "rules-toml/aws/iam/group_created.toml";
    super::output::edit(
        dir.path(),
        file,
        "event.outcome: \"success\"",
        "event.outcome: \"success\" and event.ingested >= \"2020\"",
    );
    let text = super::output::run(dir.path(), &["test", "aws/iam/group_created"]);
    assert!(text.contains("8 cases of 1 rule passed"), "{text}");
}

#[test]
fn exceptions_of_a_target_are_applied_when_it_is_named_and_told_when_it_is_not() {
    let s = crate::sandbox::Sandbox::pack();
    let config = s.read("rulepack.toml");
    s.write(
        "rulepack.toml",
        format!(
            "{config}\n[target.prod]\nkibana = \"https://kibana.example.com\"\n[[target.prod.overlay]]\n\
             rules = [\"aws/iam/group_created\"]\nexceptions = [\"exceptions/prod.toml\"]\n"
        ),
    );
    s.write(
        "exceptions/prod.toml",
        "[[exceptions]]\n[exceptions.container]\nlist_id = \"glass\"\nname = \"glass\"\ntype = \"detection\"\n\
         [[exceptions.items]]\nname = \"all\"\ndescription = \"SOC-1\"\n\
         entries = [{ field = \"user.name\", type = \"exists\", operator = \"included\" }]\n",
    );
    let replay = ["replay", "-r", "aws/iam/group_created"];
    let without = s.run(&replay);
    assert!(without.out.contains("exceptions at target prod only, not applied here: --target prod"));
    assert!(!without.out.contains("no alert in"), "{}", without.out);
    let with = s.run(&[&replay[..], &["--target", "prod"]].concat());
    assert!(with.out.contains("ok: no alert in"), "{}", with.out);
    assert!(!with.out.contains("not applied here"), "{}", with.out);
    let test = ["test", "aws/iam/group_created"];
    assert_eq!(s.run(&test).code, Some(0));
    assert_eq!(s.run(&[&test[..], &["--target", "prod"]].concat()).code, Some(1));
    let json: Value =
        serde_json::from_str(&s.run(&[&replay[..], &["--format", "json"]].concat()).out).unwrap();
    assert_eq!(json["not_applied"].as_array().map(Vec::len), Some(1));
    assert_eq!(s.run(&[&replay[..], &["--target", "pord"]].concat()).code, Some(2));
}
