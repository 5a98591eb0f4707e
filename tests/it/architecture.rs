//! The floors of ARCHITECTURE.md, checked against the `crate::…` paths in `src/`: no upward edge, no
//! cycle between rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Rooms by floor, lowest first. A room imports from floors below, or from its own floor without a cycle.
const FLOORS: &[&[&str]] = &[
    &["source", "diag"],
    &["value", "schema"],
    &["es", "func"],
    &["plan"],
    &["lang"],
    &["pack"],
    &["lint", "replay", "emit", "trial"],
    &["target", "diff", "import"],
    &["lsp", "render", "report"],
    &["cli"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn files(dir: &Path, out: &mut Vec<std::path::PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The paths after `crate::` in a text: `a::b`, or for `crate::{a, b::c}` each of them.
fn imports(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for part in text.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let mut depth = 0usize;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        out.insert(std::mem::take(&mut name));
                    }
                    c if depth == 0 && !c.is_whitespace() => name.push(c),
                    _ => {}
                }
            }
            out.insert(name);
        } else {
            out.insert(part.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect());
        }
    }
    out
}

/// The language below `lang` that a path names, if it is one: `lang::kql::…` gives `kql`.
fn language(path: &str) -> Option<&str> {
    let name = path.strip_prefix("lang::")?.split("::").next()?;
    ["kql", "lucene", "eql", "esql", "dsl", "rule", "cloudtrail"].contains(&name).then_some(name)
}

#[test]
fn no_module_imports_from_a_floor_above_its_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    assert!(all.len() > 20, "the sources were not found");
    let mut wrong = Vec::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in all {
        let relative = path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
        let room = relative.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        if matches!(room.as_str(), "lib" | "main") {
            continue;
        }
        // a test may look down from above: what ships is what has floors
        if relative.ends_with("/tests.rs") || relative.ends_with("/laws.rs") {
            continue;
        }
        let own = floor(&room)
            .unwrap_or_else(|| panic!("`{room}` has no floor: add it to ARCHITECTURE.md and here"));
        let mine =
            language(&format!("lang::{}", relative.split('/').nth(1).unwrap_or(""))).map(str::to_owned);
        for import in
            imports(fs::read_to_string(&path).unwrap().split("#[cfg(test)]").next().unwrap_or_default())
        {
            let target = import.split("::").next().unwrap_or("").to_owned();
            let Some(theirs) = floor(&target) else { continue };
            if theirs > own {
                wrong.push(format!("{relative}: `{room}` imports `{import}` from a floor above"));
            }
            if target != room {
                edges.entry(room.clone()).or_default().insert(target);
            } else if let (Some(mine), Some(other)) = (&mine, language(&import))
                && mine != other
                && !matches!(
                    (mine.as_str(), other),
                    ("esql", "kql" | "eql" | "dsl") | ("kql" | "eql" | "dsl", "lucene") | ("dsl", "kql")
                )
            {
                wrong.push(format!("{relative}: the language `{mine}` imports `{import}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for start in edges.keys() {
        let mut seen = BTreeSet::new();
        let mut open = vec![start.clone()];
        while let Some(room) = open.pop() {
            for next in edges.get(&room).into_iter().flatten() {
                assert!(next != start, "`{start}` and `{room}` import each other");
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for dir in ["src", "tests", "benches"].map(|d| root.join(d)).iter().filter(|d| d.is_dir()) {
        files(dir, &mut all);
    }
    let silent: Vec<_> = all.iter().filter(|p| !fs::read_to_string(p).unwrap().starts_with("//!")).collect();
    assert!(silent.is_empty(), "no `//!` at the top of {silent:?}");
}
