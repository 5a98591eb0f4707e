//! `docs/limits.md` against the sources: every answer that something is not supported yet is on the page, and
//! the page has none that nobody gives.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            out.push(path);
        }
    }
}

/// The answers of the page, each with its fixed parts.
fn answers(page: &str) -> Vec<(String, Vec<String>)> {
    let rows = page.lines().filter_map(|l| l.strip_prefix("| `")?.split_once("` |"));
    rows.filter(|(answer, _)| answer.contains("not supported yet"))
        .map(|(answer, _)| {
            let parts = answer.split('…').map(str::trim).filter(|p| !p.is_empty());
            (answer.to_owned(), parts.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn the_page_of_limits_has_every_answer_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let answers = answers(&page);
    assert!(answers.len() > 5);
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let mut said: Vec<(String, String)> = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().map(str::trim).filter(|l| l.contains("not supported yet")) {
            // a comment, a line of help, a title
            if line.starts_with("//") || line.contains("RP9001 9001") {
                continue;
            }
            said.push((file.display().to_string(), line.replace("\\u", "")));
        }
    }
    for (file, line) in &said {
        let known = answers.iter().any(|(_, parts)| parts.iter().all(|p| line.contains(p.as_str())));
        assert!(known, "docs/limits.md does not have this answer: {file}: {line}");
    }
    for (answer, parts) in &answers {
        let given = said.iter().any(|(_, line)| parts.iter().all(|p| line.contains(p.as_str())));
        assert!(given, "docs/limits.md has an answer that nobody gives: {answer}");
    }
}
