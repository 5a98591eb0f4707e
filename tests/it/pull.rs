//! `rulepack pull` against the fake Kibana: edited there, here, and on both sides; rules and exception lists
//! that were made there.

use rulepack::target::kibana::fake::{FakeKibana, Settings};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

struct Lab {
    dir: tempfile::TempDir,
    fake: FakeKibana,
}

fn rule(id: &str) -> String {
    format!(
        "# kept by a person\n[metadata]\ncreation_date = \"2026/01/01\"\nmaturity = \"production\"\nupdated_date = \"2026/01/01\"\n\n\
         [rule]\nauthor = [\"a\"]\ndescription = \"d\" # why\nindex = [\"logs-aws.cloudtrail-*\"]\nlanguage = \"kuery\"\n\
         name = \"Rule {id}\"\nrisk_score = 47\nrule_id = \"{id}\"\nseverity = \"medium\"\ntags = [\"one\"]\n\
         timestamp_override = \"event.ingested\"\ntype = \"query\"\nquery = '''\nevent.action: \"CreateUser\"\n'''\n"
    )
}

impl Lab {
    /// A pack of the rules a to e, committed and deployed.
    fn deployed() -> Lab {
        let lab =
            Lab { dir: tempfile::tempdir().unwrap(), fake: FakeKibana::start(&Settings::default()).unwrap() };
        lab.write(
            "rulepack.toml",
            &format!(
                "[pack]\nname = \"acme\"\nids = \"any\"\nstacks = [\"9.5\"]\n[target.prod]\nkibana = \"{}\"\n\
                 auth = {{ api_key_env = \"LAB_KEY\" }}\n",
                lab.fake.url()
            ),
        );
        for id in ["a", "b", "c", "d", "e"] {
            lab.write(&format!("rules-toml/{id}.toml"), &rule(id));
        }
        lab.commit();
        lab.ok(&["deploy", "--target", "prod", "--yes"]);
        lab
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap()
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path}: {from}");
        self.write(path, &text.replacen(from, to, 1));
    }

    fn commit(&self) {
        for args in [&["init", "-q", "-b", "main"][..], &["add", "-A"], &["commit", "-q", "-m", "the pack"]] {
            let out = Command::new("git")
                .args([
                    "-c",
                    "user.name=dora",
                    "-c",
                    "user.email=dora@example.com",
                    "-c",
                    "commit.gpgsign=false",
                ])
                .args(args)
                .current_dir(self.path())
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .output()
                .unwrap();
            assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let out = Command::new(env!("CARGO_BIN_EXE_rulepack"))
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env("LAB_KEY", "a2V5LWlkOmtleQ==")
            .output()
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.code().unwrap(), text.replace(&self.fake.url(), "https://kibana.example.com"))
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}");
        text
    }

    fn edit(&self, rule: &str, via: &str, set: Value) {
        let edit = json!({ "rule_id": rule, "user": "j.doe", "via": via, "set": set });
        self.fake.edit(&edit).unwrap();
    }

    fn link(&self, rule: &str, lists: &[&str]) {
        let links: Vec<Value> = lists
            .iter()
            .map(|l| json!({ "id": l, "list_id": l, "type": "detection", "namespace_type": "single" }))
            .collect();
        self.edit(rule, "api", json!({ "exceptions_list": links }));
    }
}

#[test]
fn each_side_keeps_what_it_alone_changed_and_a_conflict_is_shown() {
    let lab = Lab::deployed();
    assert!(lab.ok(&["pull", "--target", "prod"]).contains("no changes: "));
    // in Kibana: by its editor, which takes the stamp away, and by its API, which does not
    lab.edit(
        "a",
        "ui",
        json!({ "severity": "high", "risk_score": 73, "tags": ["one", "two", "rulepack:acme"] }),
    );
    lab.edit("b", "api", json!({ "query": "event.action: \"CreateRole\"\n" }));
    lab.edit("c", "ui", json!({ "severity": "low", "note": "seen" }));
    // here: committed and not
    lab.replace("rules-toml/c.toml", "severity = \"medium\"", "severity = \"high\"");
    lab.commit();
    lab.replace("rules-toml/d.toml", "risk_score = 47", "risk_score = 50");
    let before = lab.read("rules-toml/a.toml");
    let dry = lab.ok(&["pull", "--target", "prod", "--dry-run"]);
    assert_eq!(lab.read("rules-toml/a.toml"), before);
    insta::assert_snapshot!("pull_dry_run", dry);
    assert_eq!(lab.run(&["pull", "--target", "prod", "--dry-run", "--exit-code"]).0, 1);
    let json: Value =
        serde_json::from_str(&lab.ok(&["pull", "--target", "prod", "--dry-run", "--format", "json"]))
            .unwrap();
    assert_eq!(json["summary"]["changed"], 3);
    assert_eq!(json["summary"]["conflict"], 1);
    let text = lab.ok(&["pull", "--target", "prod"]);
    assert!(
        text.contains("ok: 3 rules changed; 1 conflict left alone; 1 changed here only; 1 same"),
        "{text}"
    );
    let expected = before
        .replace("severity = \"medium\"", "severity = \"high\"")
        .replace("risk_score = 47", "risk_score = 73")
        .replace("[\"one\"]", "[\"one\", \"two\"]");
    assert_eq!(lab.read("rules-toml/a.toml"), expected);
    assert!(lab.read("rules-toml/b.toml").contains("CreateRole"));
    let c = lab.read("rules-toml/c.toml");
    assert!(c.contains("severity = \"high\"") && c.contains("note = \"seen\""), "{c}");
    // what is left is one conflict, which goes Kibana's way where that is asked for
    let again = lab.ok(&["pull", "--target", "prod"]);
    assert!(again.contains("no changes: ") && again.contains("1 conflict left alone"), "{again}");
    lab.ok(&["pull", "--target", "prod", "--overwrite", "c"]);
    assert!(lab.read("rules-toml/c.toml").contains("severity = \"low\""));
    assert!(lab.read("rules-toml/d.toml").contains("risk_score = 50"));
    let plan = lab.ok(&["-q", "deploy", "--target", "prod", "--dry-run"]);
    assert!(plan.contains("1 to update") && !plan.contains("conflict"), "{plan}");
}

#[test]
fn rules_made_in_kibana_get_files_and_those_that_the_pack_dropped_do_not_come_back() {
    let lab = Lab::deployed();
    std::fs::remove_file(lab.path().join("rules-toml/e.toml")).unwrap();
    let hand = |id: &str, tags: Value| {
        json!({ "rule_id": id, "name": format!("By hand {id}"), "type": "query", "query": "user.name: root", "description": "d",
            "severity": "low", "risk_score": 21, "tags": tags, "index": ["logs-*"] })
    };
    let rules = [
        hand("x", json!(["rulepack:acme", "hand"])),
        hand("y", json!(["mine"])),
        hand("z", json!(["rulepack:other"])),
    ];
    lab.fake.seed(&json!({ "rules": rules })).unwrap();
    let text = lab.ok(&["pull", "--target", "prod"]);
    assert!(text.contains("+   new       by_hand_x"), "{text}");
    assert!(text.contains("-   gone      e"), "{text}");
    assert!(text.contains("ok: 1 rule new; 1 gone here; 4 same"), "{text}");
    assert!(lab.read("rules-toml/by_hand_x.toml").contains("tags = [\"hand\"]"));
    assert!(!lab.path().join("rules-toml/by_hand_y.toml").exists());
    let text = lab.ok(&["pull", "--target", "prod", "--all", "--into", "found"]);
    assert!(
        text.contains("+   new       found/by_hand_y") && text.contains("1 rule of other packs"),
        "{text}"
    );
    assert!(!lab.path().join("rules-toml/e.toml").exists());
    lab.ok(&["pull", "--target", "prod", "--overwrite"]);
    assert!(lab.read("rules-toml/rule_e.toml").contains("rule_id = \"e\""));
}

#[test]
fn exception_lists_that_were_linked_in_kibana_come_with_an_overlay_of_the_target() {
    let lab = Lab::deployed();
    let item = |id: &str, user: &str| {
        json!({ "list_id": "known", "item_id": id, "name": id, "description": "d", "type": "simple", "namespace_type": "single",
            "comments": [{ "comment": "SOC-1" }],
            "entries": [{ "field": "user.name", "operator": "included", "type": "match", "value": user }] })
    };
    lab.fake
        .seed(&json!({
            "exception_lists": [{ "list_id": "known", "name": "Known", "description": "d", "type": "detection", "namespace_type": "single" }],
            "exception_items": [item("i1", "ci"), item("i2", "desk")] }))
        .unwrap();
    lab.link("a", &["known"]);
    lab.link("b", &["known"]);
    let text = lab.ok(&["pull", "--target", "prod"]);
    assert!(text.contains("+   new       exceptions/prod/known.toml   2 exceptions new, for a, b"), "{text}");
    let file = lab.read("exceptions/prod/known.toml");
    assert!(file.contains("comment = \"SOC-1\"") && !file.contains("created_by"), "{file}");
    let config = lab.read("rulepack.toml");
    assert!(
        config.ends_with(
            "[[target.prod.overlay]]\nrules = [\"a\", \"b\"]\nexceptions = [\"exceptions/prod/known.toml\"]\n"
        ),
        "{config}"
    );
    lab.ok(&["validate"]);
    lab.commit();
    assert!(lab.ok(&["pull", "--target", "prod"]).contains("no changes: "));
    // one exception on each side, and one on both
    lab.fake.seed(&json!({ "exception_items": [item("i3", "new")] })).unwrap();
    lab.fake.edit(&json!({ "item_id": "i1", "set": { "name": "the build" } })).unwrap();
    let text = lab.ok(&["pull", "--target", "prod"]);
    assert!(text.contains("1 exception new, 1 exception changed"), "{text}");
    let file = lab.read("exceptions/prod/known.toml");
    assert!(file.contains("name = \"the build\"") && file.contains("item_id = \"i3\""), "{file}");
    lab.replace("exceptions/prod/known.toml", "value = \"desk\"", "value = \"help desk\"");
    lab.fake.edit(&json!({ "item_id": "i2", "set": { "name": "there" } })).unwrap();
    let text = lab.ok(&["pull", "--target", "prod"]);
    assert!(text.contains("`i2`: changed here and in Kibana"), "{text}");
    lab.ok(&["pull", "--target", "prod", "--overwrite"]);
    let file = lab.read("exceptions/prod/known.toml");
    assert!(file.contains("name = \"there\"") && file.contains("value = \"desk\""), "{file}");
}

#[test]
fn what_an_overlay_or_another_target_decides_is_not_taken_into_a_file() {
    let lab = Lab::deployed();
    let config = lab.read("rulepack.toml");
    lab.write(
        "rulepack.toml",
        &format!("{config}manage = {{ actions = \"set\" }}\n[[target.prod.overlay]]\nrules = [\"a\"]\nindex = [\"prod:logs-*\"]\n"),
    );
    lab.ok(&["deploy", "--target", "prod", "--yes"]);
    let action =
        json!([{ "id": "c1", "action_type_id": ".slack", "group": "default", "params": { "message": "m" } }]);
    lab.edit("a", "api", json!({ "index": ["other-*"], "actions": action }));
    let text = lab.ok(&["pull", "--target", "prod"]);
    assert!(text.contains("`index`: an overlay of the target sets it"), "{text}");
    assert!(text.contains("`actions`: connectors differ by space"), "{text}");
    assert_eq!(lab.read("rules-toml/a.toml"), rule("a"));
}

#[test]
fn without_git_an_edit_of_the_editor_is_a_conflict_and_bad_files_stop_the_pull() {
    let lab = Lab::deployed();
    std::fs::remove_dir_all(lab.path().join(".git")).unwrap();
    lab.edit("a", "ui", json!({ "severity": "high" }));
    lab.edit("b", "api", json!({ "severity": "high" }));
    let text = lab.ok(&["pull", "--target", "prod"]);
    assert!(text.contains("!   conflict  a") && text.contains("~   pull      b"), "{text}");
    lab.write("rules-toml/c.toml", "[rule\n");
    let (code, text) = lab.run(&["pull", "--target", "prod", "--overwrite"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("nothing was pulled"), "{text}");
    assert_eq!(lab.run(&["pull"]).0, 2);
    assert_eq!(lab.run(&["pull", "--target", "prod", "--into", "../x"]).0, 2);
}
