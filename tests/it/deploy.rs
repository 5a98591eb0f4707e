//! `rulepack deploy` as people and pipelines see it, against the fake Kibana: transcripts, exit codes, and
//! that credentials are never shown.

use rulepack::target::kibana::fake::{FakeKibana, Fault, FaultKind, Settings};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SECRET: &str = "c2VjcmV0LWtleS1pZDpzM2NyZXQta2V5";

struct Lab {
    dir: tempfile::TempDir,
    fake: FakeKibana,
}

fn rule(id: &str, more: &str) -> String {
    let (metadata, rest) =
        ("creation_date = \"2026/01/01\"\nmaturity = \"production\"\nupdated_date = \"2026/01/01\"", more);
    format!(
        "[metadata]\n{metadata}\n[rule]\nrule_id = \"{id}\"\nname = \"Rule {id}\"\ndescription = \"d\"\nrisk_score = 47\n\
         author = [\"a\"]\n{}{}index = [\"logs-aws.cloudtrail-*\"]\n{rest}",
        if rest.contains("severity") { "" } else { "severity = \"medium\"\n" },
        if rest.contains("type =") {
            ""
        } else {
            "type = \"query\"\nlanguage = \"kuery\"\nquery = '''\nevent.provider: \"iam.amazonaws.com\"\n  and event.action: \"CreateUser\"\n'''\n"
        },
    )
}

impl Lab {
    fn new(extra: &str) -> Lab {
        let lab =
            Lab { dir: tempfile::tempdir().unwrap(), fake: FakeKibana::start(&Settings::default()).unwrap() };
        lab.write(
            "rulepack.toml",
            &format!(
                "[pack]\nname = \"acme\"\nids = \"any\"\nstacks = [\"9.5\"]\n[target.prod]\nkibana = \"{}\"\nspace = \"soc\"\n\
                 auth = {{ api_key_env = \"LAB_KEY\" }}\n{extra}",
                lab.fake.url()
            ),
        );
        lab.fake.seed(&json!({ "spaces": [{ "id": "soc", "name": "SOC" }] })).unwrap();
        lab
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.dir.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let out = run(self.dir.path(), arguments, Some(SECRET));
        let text =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(!text.contains(SECRET) && !text.contains("s3cret"), "{text}");
        (out.status.code().unwrap(), text.replace(&self.fake.url(), "https://kibana.example.com"))
    }
}

fn run(dir: &Path, arguments: &[&str], key: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rulepack"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null()).env_remove("LAB_KEY");
    if let Some(key) = key {
        command.env("LAB_KEY", key);
    }
    command.output().unwrap()
}

/// The text without the time that it took.
fn steady(text: &str) -> &str {
    text.rsplit_once(", in ").unwrap().0
}

#[test]
fn a_deploy_from_the_first_to_no_changes_reads_as_documented() {
    let lab = Lab::new("");
    for id in ["a", "b", "c", "d", "e"] {
        lab.write(&format!("rules-toml/iam/{id}.toml"), &rule(id, ""));
    }
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--yes"]);
    assert_eq!(code, 0, "{text}");
    // what people do in Kibana
    lab.fake
        .seed(&json!({ "space": "soc", "exception_lists": [{ "list_id": "l", "name": "l", "description": "d", "type": "detection" }] }))
        .unwrap();
    let link = json!([{ "id": "l", "list_id": "l", "type": "detection", "namespace_type": "single" }]);
    for id in ["a", "b"] {
        lab.fake
            .edit(&json!({ "space": "soc", "rule_id": id, "via": "api", "set": { "exceptions_list": link } }))
            .unwrap();
    }
    lab.fake
        .edit(&json!({ "space": "soc", "rule_id": "c", "user": "j.doe", "via": "api", "set": { "severity": "low" } }))
        .unwrap();
    // what the pack does
    lab.write(
        "rules-toml/iam/a.toml",
        &rule("a", "severity = \"high\"\ntype = \"query\"\nlanguage = \"kuery\"\nquery = '''\nevent.provider: \"iam.amazonaws.com\"\n  and event.action: \"CreateRole\"\n'''\n"),
    );
    lab.write(
        "rules-toml/iam/b.toml",
        &rule("b", "type = \"eql\"\nlanguage = \"eql\"\nquery = '''\nany where event.action == \"CreateUser\"\n'''\n"),
    );
    lab.write("rules-toml/iam/c.toml", &rule("c", "severity = \"high\"\n"));
    std::fs::remove_file(lab.dir.path().join("rules-toml/iam/d.toml")).unwrap();
    lab.write("rules-toml/iam/f.toml", &rule("f", "").replace("Rule f", "Another rule"));
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--dry-run"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("deploy_dry_run", text);
    let (code, text) = lab.run(&["plan", "--target", "prod", "--exit-code", "--format", "json"]);
    assert_eq!(code, 1);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["summary"]["update"], 1);
    let (code, text) = lab.run(&["deploy", "--target", "prod"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("nobody can be asked"), "{text}");
    let (code, text) = lab.run(&["-q", "deploy", "--target", "prod", "--yes"]);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("deploy_verdict", steady(text.lines().last().unwrap()));
    let (code, text) = lab.run(&["-q", "deploy", "--target", "prod", "--dry-run"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("deploy_no_changes", text.lines().last().unwrap());
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--yes", "--prune"]);
    assert_eq!(code, 0, "{text}");
    assert!(lab.fake.rule("soc", "d").is_none());
}

#[test]
fn targets_are_listed_and_mistyped_ones_are_guessed() {
    let lab = Lab::new("");
    lab.write("rules-toml/a.toml", &rule("a", ""));
    let (code, text) = lab.run(&["deploy"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!("deploy_without_a_target", text);
    let (code, text) = lab.run(&["deploy", "--target", "prd"]);
    assert_eq!(code, 2);
    assert!(text.contains("did you mean `prod`?"), "{text}");
}

#[test]
fn a_refusal_of_the_remote_exits_3_and_names_the_rule() {
    let lab = Lab::new("");
    lab.write("rules-toml/a.toml", &rule("a", ""));
    lab.write("rules-toml/b.toml", &rule("b", ""));
    let body = json!({ "message": format!("no rights for ApiKey {SECRET}\u{1b}[31m"), "status_code": 400 });
    lab.fake.fault(
        Fault::new(FaultKind::Status(400, Some(body)))
            .on("POST", "/api/detection_engine/rules")
            .containing("Rule b"),
    );
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--yes"]);
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("error[RP0907]: create `b`: no rights for ApiKey [secret] [31m (HTTP 400)"),
        "{text}"
    );
    assert!(
        text.contains("failed: 1 of 2 rules is not as wanted; 1 rule written and read back equal"),
        "{text}"
    );
    assert!(lab.fake.rule("soc", "a").is_some());
}

#[test]
fn credentials_never_appear_whatever_goes_wrong() {
    let lab =
        Lab::new("[target.down]\nkibana = \"http://127.0.0.1:1\"\nauth = { api_key_env = \"LAB_KEY\" }\n");
    lab.write("rules-toml/a.toml", &rule("a", ""));
    for status in [400, 401, 403, 404, 500] {
        for at in 0..4 {
            let body = json!({ "message": format!("what is {SECRET}?"), "statusCode": status });
            lab.fake.fault(Fault::new(FaultKind::Status(status, Some(body))).after(at).times(0));
            let (code, text) = lab.run(&["deploy", "--target", "prod", "--yes", "-v"]);
            assert!(code == 3 || status == 403 || status == 404, "{status} at {at}: {code} {text}");
            lab.fake.clear_faults();
        }
    }
    let (code, text) = lab.run(&["deploy", "--target", "down", "--format", "json"]);
    assert_eq!(code, 3, "{text}");
    let out = run(lab.dir.path(), &["deploy", "--target", "prod"], None);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("`LAB_KEY` is not set"));
    assert!(!lab.fake.state().to_string().contains(SECRET));
}

#[cfg(unix)]
#[test]
fn a_helper_command_gives_the_key() {
    let lab = Lab::new("");
    lab.write("rules-toml/a.toml", &rule("a", ""));
    let config = std::fs::read_to_string(lab.dir.path().join("rulepack.toml")).unwrap();
    let with = |command: &str| {
        lab.write(
            "rulepack.toml",
            &config.replace("{ api_key_env = \"LAB_KEY\" }", &format!("{{ command = {command} }}")),
        );
        lab.run(&["deploy", "--target", "prod", "--yes"])
    };
    let (code, text) = with(&format!("[\"echo\", \"{SECRET}\"]"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("API key from `echo`") && text.contains("RP0904"), "{text}");
    let (code, text) = with("[\"false\"]");
    assert_eq!(code, 2, "{text}");
}

#[test]
fn a_typo_in_an_overlay_fails_validate_and_the_overlay_is_generated() {
    let overlay =
        |rules: &str| format!("[[target.prod.overlay]]\nrules = [\"{rules}\"]\nindex = [\"prod:logs-*\"]\n");
    let lab = Lab::new(&overlay("iam/userx"));
    lab.write("rules-toml/iam/user.toml", &rule("a", ""));
    let (code, text) = lab.run(&["validate"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("RP0905") && text.contains("did you mean `iam/user`?"), "{text}");
    let lab = Lab::new(&overlay("iam/*"));
    lab.write("rules-toml/iam/user.toml", &rule("a", ""));
    assert_eq!(lab.run(&["validate"]).0, 0);
    let (code, text) = lab.run(&["generate", "--target", "prod", "--out", "out"]);
    assert_eq!(code, 0, "{text}");
    let json = std::fs::read_to_string(lab.dir.path().join("out/iam/user.json")).unwrap();
    assert!(json.contains("prod:logs-*") && !json.contains("cloudtrail-*"), "{json}");
}

#[test]
fn more_deletions_than_allowed_stop_the_deploy_before_anything_is_written() {
    let lab = Lab::new("max_prune = 1\n");
    for id in ["a", "b", "c"] {
        lab.write(&format!("rules-toml/{id}.toml"), &rule(id, ""));
    }
    assert_eq!(lab.run(&["deploy", "--target", "prod", "--yes"]).0, 0);
    for id in ["a", "b"] {
        std::fs::remove_file(lab.dir.path().join(format!("rules-toml/{id}.toml"))).unwrap();
    }
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--yes", "--prune"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("RP0909"), "{text}");
    assert_eq!(lab.fake.rules("soc").len(), 3);
}
