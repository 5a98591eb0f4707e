//! The lints that need several rules or a configuration.

use crate::lang::rule::tests::example;
use crate::lint::validate;
use crate::pack::Pack;
use std::fs;

/// The findings of a pack of rules, as code, file and message.
fn found(config: &str, rules: &[(&str, String)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("rules-toml")).unwrap();
    for (name, text) in rules {
        fs::write(dir.path().join(format!("rules-toml/{name}.toml")), text).unwrap();
    }
    let config = format!("[pack]\nname = \"t\"\nstacks = [\"9.5\"]\nids = \"any\"\n{config}");
    fs::write(dir.path().join("rulepack.toml"), config).unwrap();
    let pack = Pack::load(dir.path()).unwrap();
    let found = validate(&pack, &pack.select(&[]).unwrap()).diagnostics;
    found
        .iter()
        .map(|d| {
            let file = d.source.as_ref().map_or("", |s| s.name());
            format!("{} {} {}", d.code, file.trim_start_matches("rules-toml/"), d.message)
        })
        .filter(|d| !d.starts_with("RP1603") && !d.starts_with("RP0202"))
        .collect()
}

/// The example rule with another id, name, language and query.
fn rule(id: &str, language: &str, kind: &str, query: &str) -> String {
    let text = example();
    let (head, _) = text.split_once("type = ").unwrap();
    let head = head
        .replace("1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e11", id)
        .replacen("name = \"", &format!("name = \"{id} "), 1)
        .replace("kuery", language);
    let head = if language == "esql" {
        head.lines().filter(|l| !l.starts_with("index")).map(|l| format!("{l}\n")).collect()
    } else {
        head
    };
    format!("{head}type = \"{kind}\"\nfrom = \"now-66m\"\ninterval = \"30m\"\nquery = '''{query}'''\n")
}

fn twins(language: &str, kind: &str, a: &str, b: &str) -> Vec<String> {
    let found = found("", &[("a", rule("a", language, kind, a)), ("b", rule("b", language, kind, b))]);
    found.into_iter().filter(|f| f.starts_with("RP1607")).collect()
}

#[test]
fn alerts_of_a_table_are_grouped_by_its_columns() {
    let query = "from logs-aws.cloudtrail-* metadata _id, _index, _version | stats n = count(*) by user.name | where n > 5";
    let group = |fields: &str| {
        let suppression = format!(
            "\n[rule.alert_suppression]\ngroup_by = [{fields}]\nmissing_fields_strategy = \"suppress\"\n"
        );
        let found = found("", &[("a", rule("a", "esql", "esql", query) + &suppression)]);
        found.into_iter().filter(|f| f.starts_with("RP1618")).collect::<Vec<_>>()
    };
    assert_eq!(group("\"user.name\", \"n\""), [""; 0]);
    let [one] = &group("\"user.name\", \"source.ip\"")[..] else { panic!() };
    assert!(
        one.ends_with("alerts are grouped by `source.ip`, which is no column of the query's answer"),
        "{one}"
    );
}

#[test]
fn the_same_logic_is_found_in_every_language() {
    let same = ["RP1607 b.toml `a` finds the same"];
    let kql = |b: &str| twins("kuery", "query", "event.action: \"x\" and user.name: \"y\"", b);
    assert_eq!(kql("user.name:\"y\"   and event.action:\"x\""), same);
    assert_eq!(kql("event.action: \"x\" or user.name: \"y\""), [""; 0]);
    let eql = |b: &str| twins("eql", "eql", "any where event.action == \"x\" // why", b);
    assert_eq!(eql("any  where event.action==\"x\""), same);
    assert_eq!(eql("any where event.action == \"X\""), [""; 0]);
    let sequence = "sequence by user.name with maxspan=30m [any where event.action == \"x\"] [any where event.action == \"y\"]";
    assert_eq!(twins("eql", "eql", sequence, &sequence.replace("] [", "]\n  [")), same);
    assert_eq!(twins("eql", "eql", sequence, &sequence.replace("by user.name", "by host.name")), [""; 0]);
    let table =
        "from logs-aws.cloudtrail-* metadata _id | where event.action == \"x\" | keep _id, event.action";
    assert_eq!(twins("esql", "esql", table, &table.replace(" |", "\n// then\n|")), same);
    assert_eq!(twins("esql", "esql", table, &table.replace("\"x\"", "\"y\"")), [""; 0]);
}

#[test]
fn other_data_filters_or_exceptions_make_another_rule() {
    let text = rule("b", "kuery", "query", "event.action: \"x\"");
    let with =
        |other: String| found("", &[("a", rule("a", "kuery", "query", "event.action: \"x\"")), ("b", other)]);
    assert_eq!(with(text.clone()), ["RP1607 b.toml `a` finds the same"]);
    let (head, tail) = text.split_once("type = ").unwrap();
    let other = |line: &str| with(format!("{head}{line}\ntype = {tail}"));
    let list = "exceptions_list = [{ id = \"1\", list_id = \"l\", type = \"detection\", namespace_type = \"single\" }]";
    assert!(!other(list).iter().any(|f| f.starts_with("RP1607")));
    assert!(
        !with(text.replace("logs-aws.cloudtrail-*", "prod:logs-aws.cloudtrail-*"))
            .iter()
            .any(|f| f.starts_with("RP1607"))
    );
}

#[test]
fn conventions_are_asked_for_only_where_they_are_set() {
    let rules = [("A-rule", example().replace("severity = \"", "tags = [\"x\"]\nseverity = \""))];
    let none = found("", &rules);
    assert!(!none.iter().any(|f| f.starts_with("RP1615")), "{none:#?}");
    let all = "[lint.conventions]\nsnake_case_files = true\ntag_prefixes = [\"Domain: \"]\nnotes_required_from = \"low\"\n\
               required_tags = [{ types = [\"query\"], tags = [\"Domain: Cloud\"] }, { types = [\"eql\"], tags = [\"no\"] }]\n";
    let messages: Vec<String> = found(all, &rules).into_iter().filter(|f| f.starts_with("RP1615")).collect();
    assert_eq!(messages.len(), 4, "{messages:#?}");
    for part in [
        "`A-rule.toml` is not in snake_case",
        "none of the agreed beginnings",
        "`Domain: Cloud` is missing",
        "has no `note`",
    ] {
        assert!(messages.iter().any(|m| m.contains(part)), "{part}: {messages:#?}");
    }
}

#[test]
fn systems_timelines_and_jobs_are_held_against_what_was_agreed() {
    let config = "[lint.conventions]\nhost_os = [\"logs-endpoint.events.*\"]\nml_jobs = [\"acme_*\"]\n\
                  [lint.conventions.timelines]\n\"t-1\" = \"Comprehensive\"\n";
    let said = |lines: &str, query: &str| -> usize {
        let text = rule("a", "kuery", "query", query)
            .replace("logs-aws.cloudtrail-*", "logs-endpoint.events.process-*")
            .replacen("type = ", &format!("{lines}type = "), 1);
        let found = found(config, &[("a", text)]);
        assert!(!found.iter().any(|f| f.starts_with("RP000")), "{found:#?}");
        found.iter().filter(|f| f.starts_with("RP1615")).count()
    };
    let system = "host.os.type: \"linux\" and process.name: \"x\"";
    assert_eq!(said("", system), 0);
    assert_eq!(said("", "process.name: \"x\""), 1);
    assert_eq!(said("timeline_id = \"t-1\"\ntimeline_title = \"Comprehensive\"\n", system), 0);
    assert_eq!(said("timeline_id = \"t-1\"\ntimeline_title = \"Other\"\n", system), 1);
    assert_eq!(said("timeline_id = \"t-2\"\ntimeline_title = \"Other\"\n", system), 1);
    let (head, _) =
        rule("a", "kuery", "query", "x").split_once("type = ").map(|(h, _)| (h.to_owned(), ())).unwrap();
    let head: String = head
        .lines()
        .filter(|l| !l.starts_with("index") && !l.starts_with("language"))
        .map(|l| format!("{l}\n"))
        .collect();
    let job = |name: &str| {
        let text = format!(
            "{head}type = \"machine_learning\"\nanomaly_threshold = 50\nmachine_learning_job_id = [\"{name}\"]\n"
        );
        found(config, &[("a", text)]).iter().filter(|f| f.starts_with("RP1615")).count()
    };
    assert_eq!((job("acme_rare"), job("other_rare")), (0, 1));
}
