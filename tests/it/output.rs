//! How findings look: snapshots of what the commands print over a pack with known mistakes.

use super::transcripts::pack;
use std::path::Path;
use std::process::Command;

/// Replaces one text in a file of the pack.
pub fn edit(root: &Path, file: &str, from: &str, to: &str) {
    let path = root.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no `{from}`");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// What a command prints, both streams, times left out, and how it ends.
pub fn run(root: &Path, args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_rulepack")).args(args).current_dir(root).output().unwrap();
    let text = format!(
        "{}{}exit {}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
        out.status.code().map_or_else(|| "by a signal".to_owned(), |c| c.to_string())
    );
    text.lines().map(without_times).collect::<Vec<_>>().join("\n")
}

/// `38 ms` and `0.12 s` become `T`, the padding before them one space: a slow machine may say seconds.
fn without_times(line: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for word in line.split(' ') {
        let number = |w: &&str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let unit = word.trim_end_matches(',');
        if matches!(unit, "ms" | "s") && out.last().is_some_and(number) {
            out.pop();
            while out.last().is_some_and(|w| w.is_empty()) {
                out.pop();
            }
            out.push(if unit == word { "T" } else { "T," });
        } else {
            out.push(word);
        }
    }
    out.join(" ")
}

fn broken() -> tempfile::TempDir {
    let dir = pack();
    let root = dir.path();
    edit(
        root,
        "rules-toml/aws/iam/group_deleted.toml",
        "event.outcome: \"success\"",
        "event.outcome: \"succes\"",
    );
    edit(
        root,
        "rules-toml/aws/iam/login_profile_for_root.toml",
        "user_identity.type ==",
        "user_identity.typ ==",
    );
    edit(
        root,
        "rules-toml/aws/iam/saml_provider_updated.toml",
        "user_agent.original: \"sso.amazonaws.com\"",
        "user_agent.original: \"sso.amazon.com\"",
    );
    edit(root, "rules-toml/aws/iam/group_created.toml", "severity = \"low\"", "severity = \"lo\"");
    dir
}

#[test]
fn a_branch_that_is_not_ready() {
    let dir = broken();
    insta::assert_snapshot!(run(dir.path(), &["ci"]));
}

#[test]
fn findings_as_annotations() {
    let dir = broken();
    insta::assert_snapshot!(run(dir.path(), &["ci", "--format", "github"]));
}

#[test]
fn a_safe_fix_is_written_and_the_rest_is_told() {
    let dir = broken();
    insta::assert_snapshot!(run(dir.path(), &["validate", "--fix", "--format", "concise"]));
    let fixed = std::fs::read_to_string(dir.path().join("rules-toml/aws/iam/group_deleted.toml")).unwrap();
    assert!(fixed.contains("event.outcome: \"success\""));
}

#[test]
fn an_attachment_that_is_not_new() {
    let dir = pack();
    edit(dir.path(), "rules-toml/aws/iam/customer_policy_to_role_by_rare_user.toml", "now-14d", "now-400d");
    insta::assert_snapshot!(run(dir.path(), &["test", "aws/iam/customer_policy_to_role_by_rare_user"]));
}

#[test]
fn wrong_usage_says_what_to_do() {
    let dir = pack();
    for (name, args) in [
        ("unknown command", &["valdate"][..]),
        ("unknown rule", &["validate", "aws/iam/group_delete"]),
        ("unknown field", &["fields", "usr.name"]),
        ("unknown code", &["explain", "RP9999"]),
        ("no such input", &["replay", "nowhere"]),
    ] {
        insta::assert_snapshot!(name.replace(' ', "_"), run(dir.path(), args));
    }
}

#[test]
fn help_lists_the_commands_by_what_one_wants_to_do() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(run(dir.path(), &["--help"]));
}
