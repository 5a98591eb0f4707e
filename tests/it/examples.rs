//! The pipelines under `examples/`, the action and the hooks: every command in them, and in the shell blocks of
//! the documentation, is one that rulepack has, with options that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// The lines of a page that a shell would run.
fn shell(page: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = !inside && line.trim_end() == "```sh";
        } else if inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The words after each `rulepack`, up to the end of the command.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        let mut rest = line;
        while let Some(at) = rest.find("rulepack ") {
            let begins = rest[..at].chars().last().is_none_or(|c| " /`:\"(&".contains(c));
            rest = &rest[at + "rulepack ".len()..];
            let end = rest.find([';', '|', '>', '&', '`', '\'']).unwrap_or(rest.len());
            let words: Vec<String> =
                rest[..end].split_whitespace().map(|w| w.trim_matches('"').to_owned()).collect();
            let is_verb = words.first().is_some_and(|w| w.bytes().all(|b| b.is_ascii_lowercase()));
            if begins && is_verb {
                out.push(words);
            }
        }
    }
    out
}

fn help(verb: &str) -> Option<String> {
    let out = Command::new(env!("CARGO_BIN_EXE_rulepack")).args([verb, "--help"]).output().unwrap();
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn pipelines_hooks_and_pages_use_commands_and_options_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("action.yml"), root.join(".pre-commit-hooks.yaml")];
    files(&root.join("examples"), &mut paths);
    files(&root.join("docs"), &mut paths);
    let mut verbs: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let is_page = path.extension().is_some_and(|e| e == "md");
        let is_prose = |l: &str| l.trim_start().starts_with(['#', 'd']) && !l.contains("run:");
        let text = if is_page {
            shell(&text)
        } else {
            text.lines().filter(|l| !is_prose(l)).collect::<Vec<_>>().join("\n")
        };
        for words in commands(&text) {
            count += 1;
            let verb = words[0].clone();
            let options = verbs.entry(verb.clone()).or_insert_with(|| {
                let text = help(&verb)?;
                let words = text.split(|c: char| c.is_whitespace() || ",[]<>=.`".contains(c));
                Some(words.filter(|w| w.starts_with("--")).map(str::to_owned).collect())
            });
            let shown =
                format!("{}: rulepack {}", path.strip_prefix(root).unwrap().display(), words.join(" "));
            match options {
                None => wrong.push(format!("{shown}: no such command")),
                Some(known) => {
                    let option = |w: &&String| w.starts_with("--") && w.len() > 2;
                    for word in words.iter().filter(option) {
                        let name = word.split('=').next().unwrap();
                        if !known.contains(name) {
                            wrong.push(format!("{shown}: no option `{name}`"));
                        }
                    }
                }
            }
        }
    }
    assert!(count > 20, "only {count} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
