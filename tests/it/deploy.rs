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
    let config = std::fs::read_to_string(lab.dir.path().join("rulepack.toml")).unwrap();
    // who is asked, what is sent, and what of it must not be seen
    let kinds = [
        ("api_key_env", SECRET, SECRET, &[SECRET, "s3cret-key"][..]),
        ("api_key_env", "secret-key-id:s3cret-key", SECRET, &[SECRET, "s3cret-key"]),
        ("basic_env", "dora:s3cret-pw", "ZG9yYTpzM2NyZXQtcHc=", &["s3cret-pw", "ZG9yYTpzM2NyZXQtcHc"]),
        ("bearer_env", "t0ken-t0ken", "t0ken-t0ken", &["t0ken-t0ken"]),
    ];
    for (auth, given, sent, hidden) in kinds {
        lab.write(
            "rulepack.toml",
            &config.replace("api_key_env = \"LAB_KEY\" }", &format!("{auth} = \"LAB_KEY\" }}")),
        );
        for (i, status) in [400, 401, 403, 404, 500].into_iter().enumerate() {
            for at in 0..4 {
                let message =
                    format!("headers were {{ authorization: X {sent} }}, decoded {given}, {}", hidden[0]);
                let body = json!({ "message": message, "error": sent, "statusCode": status });
                lab.fake.fault(Fault::new(FaultKind::Status(status, Some(body))).after(at).times(0));
                let args: &[&str] = match (i + usize::try_from(at).unwrap()) % 3 {
                    0 => &["deploy", "--target", "prod", "--yes", "-v"],
                    1 => &["-v", "deploy", "--target", "prod", "--yes", "--format", "json"],
                    _ => &["diff", "--target", "prod", "-v"],
                };
                let out = run(lab.dir.path(), args, Some(given));
                let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
                assert!(
                    out.status.code() == Some(3) || status == 403 || status == 404,
                    "{status} at {at}: {text}"
                );
                for secret in hidden {
                    assert!(!text.contains(secret), "{auth}, {args:?}: {text}");
                }
                lab.fake.clear_faults();
            }
        }
    }
    lab.write("rulepack.toml", &config);
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

/// An exception file with one list.
fn exceptions(head: &str, list: &str, items: &[(&str, &str)]) -> String {
    let mut text = format!(
        "{head}[[exceptions]]\n[exceptions.container]\nlist_id = \"{list}\"\nname = \"{list}\"\ntype = \"detection\"\n"
    );
    for (name, entry) in items {
        text.push_str(&format!(
            "[[exceptions.items]]\nname = \"{name}\"\ncomments = [{{ comment = \"SOC-1\" }}]\nentries = [{{ {entry} }}]\n"
        ));
    }
    text
}

#[test]
fn exception_lists_go_out_with_the_rules_and_the_plan_shows_them() {
    let lab = Lab::new(
        "[[target.prod.overlay]]\nrules = [\"iam/b\"]\nexceptions = [\"exceptions/prod/break-glass.toml\"]\n",
    );
    for id in ["a", "b"] {
        lab.write(&format!("rules-toml/iam/{id}.toml"), &rule(id, ""));
    }
    let head = "[metadata]\nrule_ids = [\"a\"]\n";
    let user = |name: &str| format!("field = \"user.name\", type = \"match\", value = \"{name}\"");
    let (ci, old) = (user("ci"), user("old"));
    lab.write(
        "exceptions/admins.toml",
        &exceptions(head, "admins", &[("the build", &ci), ("former admin", &old)]),
    );
    let glass = exceptions(
        "",
        "break-glass",
        &[(
            "on-call",
            "field = \"source.ip\", type = \"list\", list = { id = \"soc-hosts\", type = \"ip\" }",
        )],
    );
    lab.write("exceptions/prod/break-glass.toml", &glass);
    lab.write("exceptions/lists/soc-hosts.txt", "192.0.2.7\n192.0.2.8\n");
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--dry-run"]);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("deploy_new_exception_lists", text);
    let (code, text) = lab.run(&["-q", "deploy", "--target", "prod", "--yes"]);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("deploy_exception_lists_verdict", steady(text.lines().last().unwrap()));
    let (code, text) = lab.run(&["-q", "deploy", "--target", "prod", "--dry-run", "--exit-code"]);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("deploy_exception_lists_no_changes", text.lines().last().unwrap());
    // somebody adds one, and edits another; the pack changes one, drops one, and has a new one
    let theirs = json!({ "list_id": "admins", "item_id": "t", "name": "theirs", "description": "d", "type": "simple",
        "entries": [{ "field": "user.name", "type": "match", "operator": "included", "value": "x" }] });
    lab.fake.seed(&json!({ "space": "soc", "exception_items": [theirs] })).unwrap();
    lab.write(
        "exceptions/admins.toml",
        &exceptions(head, "admins", &[("the build", &user("ci-2")), ("night shift", &user("night"))]),
    );
    std::fs::remove_file(lab.dir.path().join("exceptions/prod/break-glass.toml")).unwrap();
    let (code, text) = lab.run(&["validate"]);
    assert!(code == 1 && text.contains("is no exception file of the pack"), "{text}");
    let config = std::fs::read_to_string(lab.dir.path().join("rulepack.toml")).unwrap();
    lab.write("rulepack.toml", config.split("[[target.prod.overlay]]").next().unwrap());
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--dry-run", "--exit-code"]);
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!("deploy_changed_exception_lists", text);
    let (code, text) = lab.run(&["plan", "--target", "prod", "--format", "json"]);
    assert_eq!(code, 0, "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["exception_lists"][0]["kept"], 1);
    // whom an exception excepts is not told
    assert!(!text.contains("ci-2"), "{text}");
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--yes", "--prune"]);
    assert_eq!(code, 0, "{text}");
    let state = lab.fake.state();
    let lists = state["spaces"]["soc"]["exception_lists"].as_array().unwrap();
    assert_eq!(lists.len(), 1, "{lists:#?}");
    let names: Vec<&str> =
        lists[0]["items"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"theirs") && names.contains(&"night shift") && !names.contains(&"former admin"),
        "{names:?}"
    );
}

#[test]
fn a_list_that_kibana_refuses_keeps_its_rules_back_and_is_told() {
    let lab = Lab::new("");
    for id in ["a", "b"] {
        lab.write(&format!("rules-toml/{id}.toml"), &rule(id, ""));
    }
    let head = "[metadata]\nrule_ids = [\"a\"]\n";
    lab.write(
        "exceptions/l.toml",
        &exceptions(head, "l", &[("one", "field = \"user.name\", type = \"exists\"")]),
    );
    lab.fake.fault(Fault::new(FaultKind::Status(400, None)).on("POST", "/api/exception_lists/items"));
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--yes"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("error[RP0912]: exception list `l`, `one`: "), "{text}");
    assert!(
        text.contains("create `a`: not written, because its exception list `l` is not complete"),
        "{text}"
    );
    assert!(lab.fake.rule("soc", "a").is_none() && lab.fake.rule("soc", "b").is_some());
    assert_eq!(lab.run(&["deploy", "--target", "prod", "--yes"]).0, 0);
    assert!(lab.fake.rule("soc", "a").is_some());
}

#[test]
fn a_list_of_one_rule_alone_is_refused_for_two_before_anything_is_read() {
    let lab = Lab::new("");
    for id in ["a", "b"] {
        lab.write(&format!("rules-toml/{id}.toml"), &rule(id, ""));
    }
    let head = "[metadata]\nrule_ids = [\"a\", \"b\"]\n";
    let text = exceptions(head, "l", &[("one", "field = \"user.name\", type = \"exists\"")]);
    for (kind, code) in [("rule_default", "RP0911"), ("endpoint", "RP9001")] {
        lab.write("exceptions/l.toml", &text.replace("\"detection\"", &format!("\"{kind}\"")));
        let (exit, said) = lab.run(&["deploy", "--target", "prod", "--yes"]);
        assert_eq!(exit, 1, "{said}");
        assert!(said.contains(&format!("error[{code}]")), "{said}");
    }
    assert!(lab.fake.requests().is_empty());
}

#[test]
fn a_value_list_that_is_nowhere_stops_the_deploy() {
    let lab = Lab::new("");
    lab.write("rules-toml/a.toml", &rule("a", ""));
    let head = "[metadata]\nrule_ids = [\"a\"]\n";
    let entry = "field = \"source.ip\", type = \"list\", list = { id = \"nowhere\", type = \"ip\" }";
    lab.write("exceptions/l.toml", &exceptions(head, "l", &[("one", entry)]));
    let (code, text) = lab.run(&["deploy", "--target", "prod", "--yes"]);
    assert!(code == 3 || code == 1, "{text}");
    assert!(text.contains("nowhere"), "{text}");
    assert!(lab.fake.rules("soc").is_empty());
}

#[test]
fn diff_with_a_target_compares_what_is_live_with_the_working_tree() {
    let lab = Lab::new("");
    for id in ["a", "b", "c"] {
        lab.write(&format!("rules-toml/iam/{id}.toml"), &rule(id, ""));
    }
    assert_eq!(lab.run(&["deploy", "--target", "prod", "--yes"]).0, 0);
    let (code, text) = lab.run(&["diff", "--target", "prod", "--exit-code"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("no changes: 3 rules are the same"), "{text}");
    let event = |id: &str, action: &str| {
        json!({ "@timestamp": "2026-01-11T10:00:00Z", "event": { "id": id, "action": action, "provider": "iam.amazonaws.com", "outcome": "success" },
            "data_stream": { "dataset": "aws.cloudtrail" }, "user": { "name": "ann" } })
    };
    lab.write(
        "tests/fixtures/one.ndjson",
        &format!("{}\n{}\n", event("e-1", "CreateUser"), event("e-2", "CreateRole")),
    );
    lab.fake
        .edit(&json!({ "space": "soc", "rule_id": "b", "user": "j.doe", "via": "api", "set": { "severity": "low", "note": "mine" } }))
        .unwrap();
    lab.write("rules-toml/iam/a.toml", &rule("a", "").replace("CreateUser", "CreateRole"));
    std::fs::remove_file(lab.dir.path().join("rules-toml/iam/c.toml")).unwrap();
    lab.write("rules-toml/iam/d.toml", &rule("d", ""));
    let (code, text) = lab.run(&["diff", "--target", "prod", "--exit-code"]);
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!("diff_of_a_target", text);
    let (code, text) = lab.run(&["diff", "--target", "prod", "--format", "json"]);
    assert_eq!(code, 0, "{text}");
    assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
    let (code, _) = lab.run(&["diff", "main", "--target", "prod"]);
    assert_eq!(code, 2);
}

#[test]
fn a_fresh_pack_goes_to_the_practice_kibana_and_nothing_is_left_to_do() {
    let dir = super::transcripts::pack();
    let mut server = Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .args(["dev", "kibana", "--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line)
        .unwrap();
    let url = line.split_whitespace().find(|w| w.starts_with("http")).unwrap().trim_end_matches(',');
    let config = std::fs::read_to_string(dir.path().join("rulepack.toml")).unwrap();
    // only the port is another one, so that tests can run at once
    std::fs::write(
        dir.path().join("rulepack.toml"),
        format!("{config}\n[target.demo]\nkibana = \"{url}\"\n"),
    )
    .unwrap();
    let told = |args: &[&str]| {
        let out = run(dir.path(), args, None);
        (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let first = told(&["deploy", "--target", "demo", "--yes"]);
    let second = told(&["deploy", "--target", "demo", "--dry-run", "--exit-code"]);
    let third = told(&["diff", "--target", "demo", "--exit-code"]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(first.0 == Some(0) && first.1.contains("ok: 15 rules written and read back equal"), "{first:?}");
    assert!(
        second.0 == Some(0) && second.1.contains("no changes: 15 rules in demo are what the pack says"),
        "{second:?}"
    );
    assert!(third.0 == Some(0) && third.1.contains("no changes: 15 rules are the same"), "{third:?}");
}

#[test]
fn without_a_pack_the_target_demo_means_the_bundled_one() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(dir.path(), &["deploy", "--target", "demo", "--dry-run"], None);
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(text.contains("this is the bundled pack `aws-iam`"), "{text}");
    // whether somebody on this machine runs the practice Kibana is not for a test to say
    match out.status.code() {
        Some(3) => assert!(text.contains("`rulepack dev kibana` starts it"), "{text}"),
        Some(0) => assert!(text.contains("15 "), "{text}"),
        other => panic!("{other:?} {text}"),
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
    let out = run(dir.path(), &["deploy", "--target", "prod", "--dry-run"], None);
    assert_eq!(out.status.code(), Some(2));
}
