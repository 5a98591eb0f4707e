//! Several rules in one doc-level monitor: a cluster takes a limited number of monitors, and a monitor up to ten
//! triggers. Each rule keeps its query and its trigger, so its alerts stay its own.

use super::plan::{Wanted, hash};
use crate::emit::opensearch::{GROUP_TAG, MARK, MonitorKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// `plugins.alerting.monitor.max_triggers`.
pub const MAX_TRIGGERS: usize = 10;

/// How many bits of a hash may tell rules apart.
const BITS: usize = 64;

/// Puts doc-level monitors together that read the same indices as often, and are switched on alike. Which rules
/// share a monitor depends on their ids, so that a new rule moves few others.
pub fn grouped(wanted: Vec<Wanted>, pack: &str) -> Vec<Wanted> {
    let mut out = Vec::new();
    let mut alike: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
    for want in wanted {
        if want.kind != MonitorKind::DocLevel {
            out.push(want);
            continue;
        }
        let part = |p: &str| want.monitor.pointer(p).cloned().unwrap_or(Value::Null);
        let key = json!([
            part("/inputs/0/doc_level_input/indices"),
            part("/schedule"),
            part("/enabled"),
            want.says_enabled
        ]);
        alike.entry(key.to_string()).or_default().push(want);
    }
    for (key, rules) in alike {
        let base = hash(&Value::from(key.as_str())).chars().take(12).collect::<String>();
        split(rules, 0, String::new(), &mut |bits, rules| out.extend(joined(rules, &base, bits, pack)));
    }
    out
}

/// Halves of a half, until each is small enough.
fn split(rules: Vec<Wanted>, depth: usize, bits: String, take: &mut dyn FnMut(&str, Vec<Wanted>)) {
    if rules.len() <= MAX_TRIGGERS || depth >= BITS {
        if !rules.is_empty() {
            take(&bits, rules);
        }
        return;
    }
    let bit = |w: &Wanted| {
        let digest = Sha256::digest(w.rule_id.as_bytes());
        digest.get(depth / 8).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
    };
    let (ones, zeros): (Vec<Wanted>, Vec<Wanted>) = rules.into_iter().partition(bit);
    split(zeros, depth + 1, format!("{bits}0"), take);
    split(ones, depth + 1, format!("{bits}1"), take);
}

/// One monitor of some rules.
fn joined(mut rules: Vec<Wanted>, base: &str, bits: &str, pack: &str) -> Option<Wanted> {
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    let id = format!("group-{base}-{}", if bits.is_empty() { "all" } else { bits });
    let list = |of: &Value, p: &str| of.pointer(p).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut queries = Vec::new();
    let mut triggers = Vec::new();
    for rule in &rules {
        for mut query in list(&rule.monitor, "/inputs/0/doc_level_input/queries") {
            if let Some(tags) = query.get_mut("tags").and_then(Value::as_array_mut) {
                tags.push(format!("{GROUP_TAG}{id}").into());
            }
            queries.push(query);
        }
        triggers.extend(list(&rule.monitor, "/triggers"));
    }
    let names: Vec<&str> = rules.iter().map(|r| r.name.as_str()).collect();
    let name = format!("{}: {}", if names.len() == 1 { "1 rule" } else { "rules" }, names.join(", "));
    let mut fields: Vec<String> = rules.iter().flat_map(|r| r.fields.clone()).collect();
    fields.sort();
    fields.dedup();
    let mut monitor = rules.first()?.monitor.clone();
    let mut put = |p: &str, value: Value| {
        if let Some(at) = monitor.pointer_mut(p) {
            *at = value;
        }
    };
    put("/name", format!("{pack} {id}").into());
    put("/inputs/0/doc_level_input/queries", queries.into());
    put("/inputs/0/doc_level_input/description", format!("Rules of {pack}, one query each").into());
    put("/triggers", triggers.into());
    put(&format!("/ui_metadata/{MARK}/rule_id"), id.as_str().into());
    let says_enabled = rules.first()?.says_enabled;
    Some(Wanted { name, rule_id: id, monitor, says_enabled, fields, kind: MonitorKind::DocLevel })
}
