//! `rulepack diff` in a real repository: renames, new ids, changed queries and the alerts they cost.

use super::output::{edit, run};
use super::transcripts::pack;
use std::path::Path;
use std::process::Command;

fn git(root: &Path, args: &[&str]) {
    let out = Command::new("git")
        .args(["-c", "user.name=dora", "-c", "user.email=dora@example.com", "-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(root)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A repository whose default branch is the bundled pack, and a branch that changes some of it.
fn changed() -> tempfile::TempDir {
    let dir = pack();
    let root = dir.path();
    git(root, &["init", "-q", "-b", "main"]);
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "the pack"]);
    git(root, &["checkout", "-q", "-b", "work"]);
    let saml = "rules-toml/aws/iam/saml_provider_updated.toml";
    edit(root, saml, "severity = \"medium\"", "severity = \"high\"");
    edit(root, saml, "risk_score = 47", "risk_score = 73");
    edit(root, saml, "source.address: \"sso.amazonaws.com\" and ", "");
    edit(
        root,
        "rules-toml/aws/iam/group_created.toml",
        "rule_id = \"",
        "rule_id = \"00000000-0000-4000-8000-000000000000\" #",
    );
    std::fs::remove_file(root.join("rules-toml/aws/iam/group_deleted.toml")).unwrap();
    std::fs::rename(
        root.join("rules-toml/aws/iam/mfa_device_deactivated.toml"),
        root.join("rules-toml/aws/iam/mfa_device_gone.toml"),
    )
    .unwrap();
    dir
}

/// The answer without the commit's id, which depends on every byte of the pack.
fn steady(text: &str) -> String {
    let words = text.split(' ').map(|w| {
        if w.len() == 7 && w.bytes().all(|b| b.is_ascii_hexdigit()) && w.bytes().any(|b| b.is_ascii_digit()) {
            "COMMIT"
        } else {
            w
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_branch_shows_its_rules_and_alerts() {
    let dir = changed();
    insta::assert_snapshot!(steady(&run(dir.path(), &["diff"])));
}

#[test]
fn the_comment_of_a_pull_request_names_no_user() {
    let dir = changed();
    let text = run(dir.path(), &["diff", "--format", "markdown"]);
    assert!(text.starts_with("<!-- rulepack diff: aws-iam -->"));
    assert!(!text.contains("marek.sandoval"), "{text}");
    assert!(run(dir.path(), &["diff", "--format", "markdown", "--show-values"]).contains("marek.sandoval"));
    insta::assert_snapshot!(steady(&text));
}

#[test]
fn the_same_revision_has_no_changes() {
    let dir = changed();
    let text = run(dir.path(), &["diff", "main..work", "--exit-code"]);
    assert!(text.contains("no changes: 15 rules are the same") && text.ends_with("exit 0"), "{text}");
    let text = run(dir.path(), &["diff", "--exit-code", "--format", "json"]);
    assert!(text.ends_with("exit 1"), "{text}");
    let json: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let changes: Vec<&str> =
        json["rules"].as_array().unwrap().iter().map(|r| r["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["new-id", "gone", "changed", "changed"]);
}

#[test]
fn a_shallow_clone_is_told_what_to_fetch() {
    let dir = changed();
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["commit", "-q", "-m", "change"]);
    git(dir.path(), &["checkout", "-q", "main"]);
    let clone = tempfile::tempdir().unwrap();
    let from = format!("file://{}", dir.path().display());
    git(clone.path(), &["clone", "-q", "--depth", "1", "--no-single-branch", "--branch", "work", &from, "."]);
    let text = run(clone.path(), &["diff"]);
    assert!(text.contains("shallow") && text.contains("git fetch") && text.ends_with("exit 2"), "{text}");
}
