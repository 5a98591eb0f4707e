//! What a pack remembers between runs, in its folder `.rulepack`: the cases that failed last.

use super::pack::Opened;
use super::terminal::Terminal;
use crate::trial::Results;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The file, below the pack. It is one person's, so a `.gitignore` beside it keeps it out.
const FILE: &str = ".rulepack/last-failed.json";

/// Rule and case.
pub type Cases = BTreeSet<(String, String)>;

fn path(opened: &Opened) -> PathBuf {
    opened.pack.root.join(FILE)
}

/// The cases that failed last, of all rules. A file that cannot be read is none.
pub fn read(opened: &Opened) -> Cases {
    let read = || -> Option<Cases> {
        let json: Value = serde_json::from_slice(&std::fs::read(path(opened)).ok()?).ok()?;
        let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        json.get("failed")?
            .as_array()?
            .iter()
            .map(|row| Some((text(row, "rule")?, text(row, "case")?)))
            .collect()
    };
    read().unwrap_or_default()
}

/// Notes what failed; of cases that were not run, what is known stays.
pub fn write(opened: &Opened, results: &Results, terminal: &mut Terminal) {
    if opened.outside {
        return;
    }
    let before = read(opened);
    let mut after = before.clone();
    for case in &results.cases {
        let key = (case.rule.clone(), case.case.clone());
        if case.outcome.is_bad() {
            after.insert(key);
        } else {
            after.remove(&key);
        }
    }
    if after == before {
        return;
    }
    let rows: Vec<Value> = after.iter().map(|(rule, case)| json!({ "rule": rule, "case": case })).collect();
    let text = format!("{:#}\n", json!({ "failed": rows }));
    let ignore = opened.pack.root.join(".rulepack/.gitignore");
    let written = super::files::write(&path(opened), text.as_bytes()).and_then(|()| {
        if ignore.exists() {
            Ok(())
        } else {
            super::files::write(&ignore, b"# written by rulepack\n.gitignore\nlast-failed.json\n")
        }
    });
    if let Err(why) = written {
        // nothing is wrong with the tests where the folder cannot be written
        terminal.remark(&format!("note: {FILE} could not be written: {why}"));
    }
}
