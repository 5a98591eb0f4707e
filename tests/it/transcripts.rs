//! The transcripts of the documentation, run: every ```console block of README.md and docs/ in a folder
//! that holds the bundled pack. `[..]` stands for any text within a line, `...` for any lines.
//! `TRANSCRIPTS=write cargo test transcripts` prints what the commands say today.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with the bundled pack, under the name that the documentation shows.
pub fn pack() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .args(["init", "--with", "aws-iam", "--name", "aws-iam", "-q"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    dir
}

/// How long a command of a page may take before the page is called wrong.
const LIMIT_SECONDS: u64 = 120;

/// The output of a command line, or nothing when it did not end in time: its whole group is ended then.
#[cfg(unix)]
fn run(command: &str, dir: &Path, path: &str) -> Option<String> {
    use std::os::unix::process::CommandExt as _;
    let printed = dir.join(".transcript");
    let file = fs::File::create(&printed).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(dir)
        .env("PATH", path)
        .env_remove("GITHUB_STEP_SUMMARY")
        .stdin(std::process::Stdio::null())
        .stdout(file)
        .process_group(0)
        .spawn()
        .unwrap();
    let started = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed().as_secs() >= LIMIT_SECONDS {
            let _ = Command::new("kill").args(["-9", "--", &format!("-{}", child.id())]).status();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let text = String::from_utf8_lossy(&fs::read(&printed).unwrap()).into_owned();
    fs::remove_file(&printed).unwrap();
    Some(text)
}

/// The steps of a page: commands, and what each prints.
fn steps(page: &str) -> Vec<(usize, String, Vec<String>)> {
    let mut out: Vec<(usize, String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for (i, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line.trim_end() == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        match line.strip_prefix("$ ") {
            Some(command) => out.push((i + 1, command.to_owned(), Vec::new())),
            None => {
                if let Some((_, _, expected)) = out.last_mut() {
                    expected.push(line.to_owned());
                }
            }
        }
    }
    out
}

/// Whether a line is what a pattern with `[..]` says.
fn line_fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("[..]");
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether the lines are what the expected ones say. `reached[i]`: the first `i` lines fit what was expected so
/// far, so that many `...` cost no more than one.
fn fits(expected: &[String], got: &[&str]) -> bool {
    let mut reached = vec![false; got.len() + 1];
    reached[0] = true;
    for pattern in expected {
        let mut next = vec![false; got.len() + 1];
        for at in 0..=got.len() {
            next[at] = match pattern.as_str() {
                "..." => reached[at] || at > 0 && next[at - 1],
                _ => at > 0 && reached[at - 1] && line_fits(pattern, got[at - 1]),
            };
        }
        reached = next;
    }
    reached[got.len()]
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let mut out = vec![root.join("README.md")];
    let mut open = vec![root.join("docs")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|n| n != "codes") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "md") {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

#[test]
#[cfg(unix)]
fn what_the_documentation_shows_is_what_the_commands_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = Path::new(env!("CARGO_BIN_EXE_rulepack"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages(root) {
        let text = fs::read_to_string(&page).unwrap();
        let steps = steps(&text);
        if steps.is_empty() {
            continue;
        }
        // the steps of a page build on each other
        let dir = pack();
        for (line, command, expected) in steps {
            count += 1;
            let Some(printed) = run(&command, dir.path(), &path) else {
                wrong
                    .push(format!("{}:{line}: `{command}` did not end in {LIMIT_SECONDS} s", page.display()));
                continue;
            };
            let trimmed = |lines: Vec<&str>| -> Vec<String> {
                let mut lines: Vec<String> = lines.iter().map(|l| l.trim_end().to_owned()).collect();
                while lines.last().is_some_and(String::is_empty) {
                    lines.pop();
                }
                lines
            };
            let got = trimmed(printed.lines().collect());
            let want = trimmed(expected.iter().map(String::as_str).collect());
            let got: Vec<&str> = got.iter().map(String::as_str).collect();
            if std::env::var("TRANSCRIPTS").is_ok() {
                println!("{}:{line}\n$ {command}\n{printed}", page.display());
            }
            if !fits(&want, &got) {
                wrong.push(format!("{}:{line}: `{command}` says\n{}", page.display(), got.join("\n")));
            }
        }
    }
    assert!(count > 0, "no transcript was found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn patterns_stand_for_text_and_lines() {
    assert!(line_fits("a [..] c", "a b c") && line_fits("x", "x") && line_fits("a[..]", "a"));
    assert!(!line_fits("a [..] c", "a b d") && !line_fits("x", "xy"));
    let want: Vec<String> = ["a", "...", "z"].map(str::to_owned).to_vec();
    assert!(fits(&want, &["a", "z"]) && fits(&want, &["a", "b", "c", "z"]) && !fits(&want, &["a", "b"]));
}
