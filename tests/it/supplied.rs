//! Rules whose query needs more than events: a test case supplies tables and answers, and what is missing
//! or not needed is said.

use crate::sandbox::Sandbox;
use std::fmt::Write;

const RULE: &str = r#"[metadata]
creation_date = "2026/01/01"
updated_date = "2026/01/01"
min_stack_version = "9.5"
[rule]
author = ["someone"]
description = "A thing happened."
language = "esql"
name = "A thing"
risk_score = 21
rule_id = "1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e11"
severity = "low"
type = "esql"
query = '''
"#;

const EVENTS: &str = r#"events = [
  { "@timestamp" = "2026-01-10T10:00:00Z", ecs = { version = "8.0" }, event = { id = "e1", action = "CreateUser" }, user = { name = "ada" }, source = { ip = "192.0.2.7" } },
  { "@timestamp" = "2026-01-10T10:01:00Z", ecs = { version = "8.0" }, event = { id = "e2", action = "CreateUser" }, user = { name = "bob" }, source = { ip = "198.51.100.9" } },
]
"#;

/// A pack with a rule of this query and these cases; each gets the two events.
fn sandbox(query: &str, cases: &[&str]) -> Sandbox {
    let s = Sandbox::bare();
    s.write("rules-toml/aws/thing.toml", format!("{RULE}{query}\n'''\n"));
    let mut text = String::new();
    for (i, case) in cases.iter().enumerate() {
        let _ = writeln!(text, "[[case]]\nname = \"case {i}\"\n{EVENTS}{case}");
    }
    s.write("tests/rules/aws/thing.toml", text);
    s
}

fn ok(query: &str, cases: &[&str]) {
    let ran = sandbox(query, cases).run(&["test"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.all().contains(&format!("ok: {} case", cases.len())), "{}", ran.all());
}

fn says(query: &str, case: &str, words: &str) {
    let ran = sandbox(query, &[case]).run(&["test"]);
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    assert!(ran.all().contains(words), "{}", ran.all());
}

const JOIN: &str = r#"FROM logs-aws.cloudtrail-* METADATA _id, _version, _index
| LOOKUP JOIN staff ON user.name
| WHERE team == "payments"
| KEEP _id, _version, _index, user.name, team"#;

#[test]
fn a_join_finds_the_rows_of_a_case() {
    ok(
        JOIN,
        &[
            "expect = [{ events = [\"e1\"] }]\ntables.staff = [{ \"user.name\" = \"ada\", team = \"payments\" }, { user = { name = \"bob\" }, team = \"it\" }]",
            "expect = 0\ntables.staff = [{ \"user.name\" = \"ada\", team = \"it\" }]",
            "expect = 2\n[case.tables.staff]\nrows = [{ \"user.name\" = \"ada\", team = \"payments\" }, { \"user.name\" = \"bob\", team = \"payments\" }]\ntypes = { team = \"keyword\" }",
        ],
    );
}

#[test]
fn a_join_without_its_rows_is_not_silent() {
    says(JOIN, "expect = 0", "`LOOKUP JOIN` needs the rows of `staff`");
    let replayed = sandbox(JOIN, &["expect = 0"]).run(&["replay", "tests/rules"]);
    assert!(replayed.all().contains("needs the rows of `staff`"), "{}", replayed.all());
    says(
        JOIN,
        "expect = 0\ntables.staf = [{ \"user.name\" = \"ada\", team = \"it\" }]",
        "`LOOKUP JOIN` needs the rows of `staff`",
    );
    says(JOIN, "expect = 0\ntables.staff = [{ \"user.name\" = \"ada\" }]", "unknown column `team`");
    let extra =
        "expect = 0\ntables.staff = [{ \"user.name\" = \"ada\", team = \"it\" }]\ntables.other = [{ a = 1 }]";
    says(JOIN, extra, "the rule looks into no table `other`");
    says(JOIN, "expect = 0\ntables.staff = [{ team = 1 }, { team = \"x\" }]", "values of different types");
    says(JOIN, "expect = 0\ntables.staff = \"tables/none.json\"", "RP0705");
}

#[test]
fn rows_may_stand_in_a_file() {
    let case = "expect = [{ events = [\"e1\"] }]\ntables.staff = \"tables/staff.ndjson\"";
    let s = sandbox(JOIN, &[case]);
    s.write(
        "tests/fixtures/tables/staff.ndjson",
        "{\"user.name\": \"ada\", \"team\": \"payments\"}\n{\"user.name\": \"eve\", \"team\": \"payments\"}\n",
    );
    let ran = s.run(&["test"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    s.write("tests/fixtures/tables/staff.ndjson", "{\"user.name\": ");
    assert!(s.run(&["test"]).all().contains("`staff` is no table"));
}

#[test]
fn enriching_matches_addresses_and_renames() {
    let query = r#"FROM logs-aws.cloudtrail-* METADATA _id, _version, _index
| ENRICH hosts ON source.ip WITH owner = host_owner, since
| WHERE owner == "ops" AND since < NOW() - 1 day
| KEEP _id, _version, _index, owner, since"#;
    let rows = |since: &str| {
        format!(
            "[case.tables.hosts]\non = \"ip\"\ntypes = {{ since = \"date\" }}\nrows = [{{ ip = \"192.0.2.7\", host_owner = \"ops\", since = \"{since}\" }}]"
        )
    };
    let early = format!("expect = [{{ events = [\"e1\"] }}]\n{}", rows("2025-05-01"));
    let late = format!("expect = 0\n{}", rows("2026-01-10"));
    ok(query, &[&early, &late]);
    says(query, "expect = 0", "`ENRICH` needs the rows of the policy `hosts`");
    says(query, &format!("expect = 0\n{}", rows("soon")), "is no date");
    says(
        query,
        "expect = 0\ntables.hosts = [{ ip = \"192.0.2.7\", host_owner = \"ops\" }]",
        "the table `hosts` has no column `source.ip`",
    );
}

#[test]
fn answers_of_a_model_are_those_of_the_case() {
    let query = r#"FROM logs-aws.cloudtrail-*
| STATS n = COUNT(*), latest = MAX(@timestamp) BY user.name
| EVAL prompt = CONCAT("user: ", user.name, ", events: ", n::string)
| COMPLETION verdict = prompt WITH { "inference_id": "my-model" }
| WHERE STARTS_WITH(verdict, "TP")
| KEEP user.name, n, latest, verdict"#;
    ok(
        query,
        &[
            "expect = [{ group = { \"user.name\" = \"bob\" } }]\ncompletion = [{ prompt = \"user: bob\", answer = \"TP: odd\" }, { answer = \"FP\" }]",
            "expect = 2\ncompletion = \"TP\"",
        ],
    );
    says(
        query,
        "expect = 0\ncompletion = [{ prompt = \"user: bob\", answer = \"TP\" }]",
        "`COMPLETION` has no answer to the prompt `user: ada, events: 1`",
    );
    says(JOIN, "expect = 0\ncompletion = \"x\"", "needs the rows of `staff`");
    says(
        "FROM logs-aws.cloudtrail-* METADATA _id, _version, _index | KEEP _id, _version, _index\n",
        "expect = 0\ncompletion = \"x\"",
        "the rule has no `COMPLETION`",
    );
}

#[test]
fn the_reference_of_test_files_names_every_key() {
    let page = include_str!("../../docs/reference/rule-tests.md");
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../schemas/test.schema.json")).unwrap();
    for table in ["case", "table", "answer"] {
        for key in schema["$defs"][table]["properties"].as_object().unwrap().keys() {
            assert!(
                page.contains(&format!("`{key}`")) || page.contains(&format!("{key} = ")),
                "{table}: {key}"
            );
        }
    }
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|s| s.split_once("```").map(|(t, _)| t)).collect();
    assert_eq!(examples.len(), 3);
    let s = sandbox(JOIN, &[]);
    s.write("tests/rules/aws/thing.toml", examples[1]);
    let ran = s.run(&["test"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
}
