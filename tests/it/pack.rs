//! The pack of this repository is in order: valid, tested and generated.

use std::process::Command;

#[test]
fn the_packs_rules_are_valid_tested_and_generated() {
    let out = Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .arg("ci")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

#[test]
fn a_rule_that_changed_since_a_revision_needs_a_newer_date() {
    let s = crate::sandbox::Sandbox::pack();
    let git = |args: &[&str]| {
        let identity =
            ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
        let out =
            std::process::Command::new("git").args(identity).args(args).current_dir(s.path("")).output();
        assert!(out.unwrap().status.success(), "git {args:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    let file = "rules-toml/aws/iam/group_created.toml";
    let text = s.read(file);
    s.write(file, text.replace("severity = \"low\"", "severity = \"medium\"").replace("= 21", "= 47"));
    let path = std::env::var("PATH").unwrap();
    let validate = |args: &[&str]| {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_rulepack"))
            .args(args)
            .current_dir(s.path(""))
            .env_clear()
            .env("PATH", &path)
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let (code, said) = validate(&["validate", "--since", "main", "--format", "concise"]);
    assert!(code == Some(0) && said.contains("RP1621") && said.contains("group_created"), "{said}");
    assert!(!validate(&["validate", "--format", "concise"]).1.contains("RP1621"));
    assert_eq!(validate(&["validate", "--since", "nowhere"]).0, Some(2));
    let line = text.lines().find(|l| l.starts_with("updated_date")).unwrap().to_owned();
    s.write(file, s.read(file).replace(&line, "updated_date = \"2099/01/01\""));
    assert!(!validate(&["validate", "--since", "main", "--format", "concise"]).1.contains("RP1621"));
}
