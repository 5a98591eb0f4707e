//! Which rules, and for which stack: the selector `changed`, `generate --stack`, `init` beside an export, and
//! paths and line ends of Windows.

use crate::sandbox::Sandbox;
use std::process::Command;

fn git(s: &Sandbox, args: &[&str]) {
    let out = Command::new("git")
        .args(["-c", "user.name=dora", "-c", "user.email=dora@example.com", "-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(s.path("."))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn rule(id: char, more: &str) -> String {
    format!(
        "[metadata]\ncreation_date = \"2026/01/01\"\nupdated_date = \"2026/01/01\"\n[rule]\nauthor = [\"a\"]\ndescription = \"d\"\n\
         index = [\"logs-aws.cloudtrail-*\"]\nlanguage = \"kuery\"\nname = \"Rule {id}\"\nrisk_score = 21\n\
         rule_id = \"1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e1{id}\"\nseverity = \"low\"\ntimestamp_override = \"event.ingested\"\n\
         type = \"query\"\nquery = 'event.action: \"Action{id}\"'\n{more}"
    )
}

/// The binary, with a way to find git.
fn run(s: &Sandbox, args: &[&str]) -> (i32, String) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_rulepack")).args(args).current_dir(s.path(".")).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.code().unwrap(), text)
}

#[test]
fn changed_selects_the_rules_whose_file_test_or_exceptions_differ() {
    let s = Sandbox::bare();
    for id in ['a', 'b', 'c', 'd'] {
        s.write(&format!("rules-toml/{id}.toml"), rule(id, ""));
    }
    let list = "[metadata]\nrule_ids = [\"1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e1c\"]\n[[exceptions]]\n[exceptions.container]\n\
                list_id = \"l\"\nname = \"l\"\ntype = \"detection\"\n[[exceptions.items]]\nname = \"i\"\n\
                comments = [{ comment = \"why\" }]\nentries = [{ field = \"user.name\", type = \"match\", value = \"x\" }]\n";
    s.write("exceptions/l.toml", list);
    assert_eq!(run(&s, &["validate", "changed"]).0, 2, "there is no repository");
    git(&s, &["init", "-q", "-b", "main"]);
    git(&s, &["add", "-A"]);
    git(&s, &["commit", "-q", "-m", "first"]);
    let (code, text) = run(&s, &["validate", "changed"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("`changed` selects no rule"), "{text}");
    git(&s, &["checkout", "-q", "-b", "work"]);
    s.write("rules-toml/a.toml", rule('a', "").replace("Rule a", "Another rule"));
    s.write(
        "tests/rules/b.toml",
        "[[case]]\nname = \"n\"\nevents = [{ event.action = \"x\" }]\nexpect = 0\n",
    );
    s.write("exceptions/l.toml", list.replace("\"x\"", "\"y\""));
    s.write("rules-toml/e[1].toml", rule('e', ""));
    let names = |selector: &str| -> Vec<String> {
        s.run(&["generate", "--out", "all"]);
        std::fs::remove_dir_all(s.path("all")).unwrap();
        let (code, text) = run(&s, &["generate", "-r", selector, "--out", "all"]);
        assert_eq!(code, 0, "{text}");
        let mut out: Vec<String> = std::fs::read_dir(s.path("all"))
            .unwrap()
            .filter_map(|e| e.unwrap().file_name().to_str().unwrap().strip_suffix(".json").map(str::to_owned))
            .collect();
        out.sort();
        out
    };
    assert_eq!(names("changed"), ["a", "b", "c", "e[1]"]);
    git(&s, &["add", "rules-toml", "tests", "exceptions"]);
    git(&s, &["commit", "-q", "-m", "second"]);
    assert_eq!(names("changed"), ["a", "b", "c", "e[1]"]);
    s.write("rules-toml/d.toml", rule('d', "").replace("Rule d", "Last rule"));
    assert_eq!(names("changed:HEAD"), ["d"]);
    let (code, text) = run(&s, &["validate", "changed:nowhere"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("no revision `nowhere`"), "{text}");
}

#[test]
fn a_stack_gets_what_it_knows_and_the_rest_is_told() {
    let s = Sandbox::bare();
    let suppression =
        "[rule.alert_suppression]\ngroup_by = [\"user.name\"]\nmissing_fields_strategy = \"suppress\"\n";
    let eql = |text: String| {
        text.replace("\"kuery\"", "\"eql\"")
            .replace("\"query\"", "\"eql\"")
            .replace("'event.action: \"Actiona\"'", "'any where event.action == \"x\"'")
    };
    s.write("rules-toml/a.toml", eql(rule('a', suppression)));
    s.write(
        "rules-toml/b.toml",
        rule('b', "").replace("[metadata]\n", "[metadata]\nmin_stack_version = \"9.3.0\"\n"),
    );
    s.write(
        "rules-toml/c.toml",
        rule('c', "").replace("event.action: \"Actionc\"", "cloud.entity.attributes.managed: true"),
    );
    s.write("rules-toml/d.toml", rule('d', ""));
    let ran = s.run(&["generate", "--stack", "8.13", "--out", "old"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.err.contains("left out: b, which is for 9.3 and later"), "{}", ran.all());
    assert!(ran.err.contains("left out: c, because on 8.13 "), "{}", ran.all());
    assert!(
        ran.err.contains("dropped: `alert_suppression` of 1 rule, which 8.13 does not know (a)"),
        "{}",
        ran.all()
    );
    assert!(!s.read("old/a.json").contains("alert_suppression"));
    assert!(
        !s.path("old/b.json").exists() && !s.path("old/c.json").exists() && s.path("old/d.json").exists()
    );
    let ran = s.run(&["generate", "--stack", "9.5", "--out", "new"]);
    assert!(!ran.err.contains("left out") && !ran.err.contains("dropped"), "{}", ran.all());
    assert!(s.read("new/a.json").contains("alert_suppression"));
    assert_eq!(s.run(&["generate", "--stack", "8.13"]).code, Some(2));
    assert_eq!(s.run(&["generate", "--stack", "seven", "--out", "x"]).code, Some(2));
    assert_eq!(s.run(&["generate", "--stack", "7.17", "--out", "x"]).code, Some(2));
}

#[test]
fn init_beside_an_export_of_kibana_makes_a_pack_that_takes_it() {
    let s = Sandbox::empty();
    let rule = |id: &str| {
        format!(
            "{{\"rule_id\":\"{id}\",\"name\":\"Rule {id}\",\"author\":[\"a\"],\"description\":\"d\",\"type\":\"query\",\"query\":\"event.action: x\",\"index\":[\"logs-*\"],\"severity\":\"low\",\"risk_score\":21}}\n"
        )
    };
    s.write("rules_export.ndjson", format!("{}{{\"exported_rules_count\":1}}\n", rule("mine")));
    let ran = s.run(&["init"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("found        rules_export.ndjson: 1 rule\n"), "{}", ran.out);
    assert!(ran.out.contains("    rulepack import rules_export.ndjson\n"), "{}", ran.out);
    assert!(s.read("rulepack.toml").contains("ids = \"any\""));
    assert_eq!(s.run(&["import", "rules_export.ndjson"]).code, Some(0));
    let ran = s.run(&["validate"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
}

#[test]
fn backslashes_lead_to_rules_and_folders_and_line_ends_of_windows_change_nothing() {
    let crlf = |text: String| text.replace('\n', "\r\n");
    let s = Sandbox::empty();
    s.write(
        "rulepack.toml",
        crlf("[pack]\nname = \"t\"\nstacks = [\"9.5\"]\nrules = 'detections\\mine'\n[generate]\ndir = 'out\\json'\nbundle = true\n".to_owned()),
    );
    s.write("detections/mine/aws/a.toml", crlf(rule('a', "")));
    s.write(
        "tests/rules/aws/a.toml",
        crlf("[[case]]\nname = \"n\"\nevents = ['aws\\\\e.json']\nexpect = 1\n".replace("\\\\", "\\")),
    );
    s.write(
        "tests/fixtures/aws/e.json",
        crlf(
            "{\n\"@timestamp\": \"2026-01-01T00:00:00Z\",\n\"event\": {\"action\": \"Actiona\"}\n}\n"
                .to_owned(),
        ),
    );
    for selector in ["aws\\a", "detections\\mine\\aws\\a.toml", ".\\detections\\mine\\aws", "aws\\*"] {
        let ran = s.run(&["validate", selector]);
        assert_eq!(ran.code, Some(0), "{selector}: {}", ran.all());
    }
    let ran = s.run(&["test"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("1 "), "{}", ran.out);
    assert_eq!(s.run(&["generate"]).code, Some(0));
    let json = s.read("out/json/aws/a.json");
    assert!(!json.contains("\\r"), "{json}");
    // a checkout that turned the line ends is not stale
    s.write("out/json/aws/a.json", crlf(json));
    let ran = s.run(&["ci"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    // what is written keeps the line ends of the file
    s.write("x.json", s.read("out/json/rules.ndjson").replace("\"low\"", "\"medium\""));
    assert_eq!(s.run(&["import", "x.json"]).code, Some(0));
    let text = s.read("detections/mine/aws/a.toml");
    assert!(text.contains("severity = \"medium\"\r\n"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    // and formatting, too
    assert_eq!(s.run(&["fmt"]).code, Some(0));
    assert_eq!(s.run(&["fmt", "--check"]).code, Some(0));
}
