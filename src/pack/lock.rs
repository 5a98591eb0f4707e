//! `rulepack.lock`: which version of each rule was published with which content, for packs whose versions do
//! not come from a Kibana.

use crate::diag::{Code, Diagnostic};
use crate::lang::rule::Document;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The name of the file, beside `rulepack.toml`.
pub const LOCK: &str = "rulepack.lock";

/// A rule as it was locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The title; for people who read the file.
    pub name: String,
    /// The type, as Kibana calls it.
    pub kind: String,
    /// The oldest stack, where the rule names one.
    pub min_stack: Option<String>,
    /// The digest of what is generated, the version left out; hexadecimal.
    pub sha256: String,
    /// The version, from 1.
    pub version: u64,
}

/// The locked rules, by rule id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The rules.
    pub rules: BTreeMap<String, Locked>,
}

/// The digest of a generated rule, its version left out.
pub fn digest(generated: &Map<String, Value>) -> String {
    let content: Map<String, Value> =
        generated.iter().filter(|(k, _)| *k != "version").map(|(k, v)| (k.clone(), v.clone())).collect();
    let digest = Sha256::digest(Value::Object(content).to_string().as_bytes());
    digest.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

impl Lock {
    /// Reads the file; `file` is how people know it.
    ///
    /// # Errors
    /// What is wrong, at its place: nothing of a damaged lock counts, or versions would begin anew.
    pub fn read(file: &str, bytes: Vec<u8>) -> Result<Lock, Vec<Diagnostic>> {
        let (document, found) = Document::read(file, bytes);
        let Some(document) = document.filter(|_| found.is_empty()) else { return Err(found) };
        let mut out = Lock::default();
        let mut wrong = Vec::new();
        for (id, table) in document.json().as_object().into_iter().flatten() {
            let text = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
            let version = table.get("version").and_then(Value::as_u64).filter(|v| *v > 0);
            match (text("name"), text("type"), text("sha256"), version) {
                (Some(name), Some(kind), Some(sha256), Some(version)) => {
                    let locked = Locked { name, kind, min_stack: text("min_stack"), sha256, version };
                    out.rules.insert(id.clone(), locked);
                }
                _ => {
                    let pointer = format!("/{}", id.replace('~', "~0").replace('/', "~1"));
                    wrong.push(
                        Diagnostic::new(Code::RP0717, format!("the entry of `{id}` is not whole"))
                            .at(document.nearest(&pointer).value, "")
                            .note("an entry has `name`, `type`, `sha256` and a `version` from 1")
                            .help("take the file back from git; a new one would count versions from 1")
                            .in_source(document.source()),
                    );
                }
            }
        }
        if wrong.is_empty() { Ok(out) } else { Err(wrong) }
    }

    /// The text of the file: a table for each rule, sorted by rule id.
    pub fn to_text(&self) -> String {
        let quoted = |text: &str| toml_edit::Value::from(text).to_string();
        let mut out = "# versions of the published rules: `rulepack lock` writes this file\n".to_owned();
        for (id, rule) in &self.rules {
            // a key in quotes is right for any rule id
            let _ = writeln!(out, "\n[{}]", toml_edit::Key::new(id).display_repr());
            let _ = writeln!(out, "name = {}", quoted(&rule.name));
            let _ = writeln!(out, "type = {}", quoted(&rule.kind));
            if let Some(min) = &rule.min_stack {
                let _ = writeln!(out, "min_stack = {}", quoted(min));
            }
            let _ = writeln!(out, "sha256 = {}", quoted(&rule.sha256));
            let _ = writeln!(out, "version = {}", rule.version);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn locked() -> impl Strategy<Value = Locked> {
        (
            ".{0,20}",
            "[a-z_]{1,9}",
            proptest::option::of("[89]\\.[0-9]"),
            "[0-9a-f]{64}",
            1..u64::from(u32::MAX),
        )
            .prop_map(|(name, kind, min_stack, sha256, version)| Locked {
                name,
                kind,
                min_stack,
                sha256,
                version,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(rules in proptest::collection::btree_map(".{1,12}", locked(), 0..6)) {
            let lock = Lock { rules };
            let read = Lock::read("rulepack.lock", lock.to_text().into_bytes());
            prop_assert_eq!(read.ok(), Some(lock));
        }
    }

    #[test]
    fn the_version_is_no_part_of_the_content() {
        let of = |json: Value| digest(json.as_object().unwrap());
        assert_eq!(of(json!({"name": "a", "version": 3})), of(json!({"name": "a"})));
        assert_ne!(of(json!({"name": "a"})), of(json!({"name": "b"})));
    }

    #[test]
    fn an_entry_that_is_not_whole_spoils_the_lock() {
        let found = Lock::read("rulepack.lock", b"[a]\nname = \"a\"\nversion = 0\n".to_vec()).unwrap_err();
        assert_eq!((found[0].code, found[0].place().as_deref()), (Code::RP0717, Some("rulepack.lock:1:1")));
    }
}
