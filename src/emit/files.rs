//! The generated files: one JSON a rule, and `rules.ndjson` with all of them; and whether those that
//! are kept are up to date.

use super::detection_rule;
use crate::diag::Diagnostic;
use crate::lang::rule::Rule;
use crate::pack::{CompiledRule, Config};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

/// The name of the file with all rules.
const BUNDLE: &str = "rules.ndjson";

/// What `generate` writes.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// Content by path below the folder, with `/`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What Kibana would refuse.
    pub diagnostics: Vec<Diagnostic>,
    /// The names of the rules that were left out because their file has errors.
    pub left_out: Vec<String>,
    /// How many placeholders of notes have no entry in `[transform]` and stay as they are.
    pub placeholders: usize,
}

/// The files of some rules. A rule whose file has errors is left out; one whose query has findings is
/// not, for Kibana may know better. `bundle` adds `rules.ndjson`. The bytes depend on nothing but the
/// rules and the configuration.
pub fn generate(rules: &[CompiledRule], config: &Config, bundle: bool) -> Generated {
    generate_adjusted(rules, config, bundle, &|_, json| json)
}

/// As [`generate`], each rule's JSON passed through `adjust`: overlays of a target.
pub fn generate_adjusted(
    rules: &[CompiledRule],
    config: &Config,
    bundle: bool,
    adjust: &(dyn Fn(&Rule, Value) -> Value + Sync),
) -> Generated {
    let mut out = Generated::default();
    let emitted: Vec<_> = rules
        .par_iter()
        .map(|rule| {
            let mut emitted = (!rule.rule.broken).then(|| detection_rule(rule, config));
            if let Some(emitted) = &mut emitted {
                emitted.json = adjust(&rule.rule, std::mem::take(&mut emitted.json));
            }
            let text = emitted.as_ref().map(|e| (pretty(&e.json), e.json.to_string()));
            (rule, emitted, text)
        })
        .collect();
    let mut lines: Vec<(&str, String)> = Vec::new();
    for (rule, emitted, text) in emitted {
        let (Some(emitted), Some((pretty, line))) = (emitted, text) else {
            out.left_out.push(rule.rule.name.clone());
            continue;
        };
        out.diagnostics.extend(emitted.diagnostics);
        out.placeholders += emitted.placeholders;
        out.files.insert(format!("{}.json", rule.rule.name), pretty.into_bytes());
        lines.push((&rule.rule.name, line));
    }
    if bundle {
        lines.sort();
        let text: String = lines.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
        out.files.insert(BUNDLE.to_owned(), text.into_bytes());
    }
    crate::diag::sort(&mut out.diagnostics);
    out
}

/// JSON with two spaces a level and a line break at the end.
pub(super) fn pretty(json: &Value) -> String {
    let mut text = serde_json::to_string_pretty(json).unwrap_or_default();
    text.push('\n');
    text
}

/// A generated file that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The path below the folder.
    pub path: String,
    /// A unified diff from what is kept to what should be; empty where the content is no text.
    pub diff: String,
}

/// How the generated files that are kept compare with what should be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Files whose content is old.
    pub stale: Vec<Stale>,
    /// Files that are not there.
    pub missing: Vec<String>,
    /// Files that belong to no rule.
    pub extra: Vec<String>,
}

impl Check {
    /// Whether everything is up to date.
    pub fn is_current(&self) -> bool {
        self.stale.is_empty() && self.missing.is_empty() && self.extra.is_empty()
    }
}

/// Compares kept files with wanted ones, both by path below the folder. A file that differs in nothing
/// but its line ends (a checkout with CRLF) is up to date.
pub fn check(existing: &BTreeMap<String, Vec<u8>>, wanted: &BTreeMap<String, Vec<u8>>) -> Check {
    let mut out = Check::default();
    for (path, content) in wanted {
        match existing.get(path) {
            None => out.missing.push(path.clone()),
            Some(kept) if kept == content => {}
            Some(kept) => {
                let texts = (std::str::from_utf8(kept), std::str::from_utf8(content));
                let (Ok(kept), Ok(content)) = texts else {
                    out.stale.push(Stale { path: path.clone(), diff: String::new() });
                    continue;
                };
                let kept = kept.replace("\r\n", "\n");
                if kept != content {
                    out.stale.push(Stale { path: path.clone(), diff: diff(path, &kept, content) });
                }
            }
        }
    }
    out.extra = existing.keys().filter(|path| !wanted.contains_key(*path)).cloned().collect();
    out
}

fn diff(path: &str, kept: &str, wanted: &str) -> String {
    let diff = similar::TextDiff::from_lines(kept, wanted);
    diff.unified_diff()
        .context_radius(2)
        .header(&format!("{path} (kept)"), &format!("{path} (generated)"))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        list.iter().map(|(p, c)| ((*p).to_owned(), c.as_bytes().to_vec())).collect()
    }

    #[test]
    fn kept_files_are_compared_with_wanted_ones() {
        let kept = files(&[("a.json", "{\n}\n"), ("b.json", "1\n"), ("d.json", "x\r\n")]);
        let wanted = files(&[("a.json", "{\n  1\n}\n"), ("c.json", "2\n"), ("d.json", "x\n")]);
        let check = check(&kept, &wanted);
        assert_eq!((check.missing, check.extra), (vec!["c.json".to_owned()], vec!["b.json".to_owned()]));
        assert_eq!(check.stale.len(), 1);
        assert!(check.stale[0].diff.contains("+  1"), "{}", check.stale[0].diff);
    }
}
