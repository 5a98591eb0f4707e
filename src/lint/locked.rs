//! A pack against its `rulepack.lock`: rules that have changed since, rules of another type, rules that left.

use crate::diag::{Code, Diagnostic};
use crate::emit::detection_rule;
use crate::pack::lock::{LOCK, Lock, Locked, digest};
use crate::pack::{CompiledRule, Pack};
use crate::source::Source;
use rayon::prelude::*;
use serde_json::Value;
use std::sync::Arc;

/// How a rule of the pack compares with the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// As it was locked.
    Same,
    /// Not locked yet.
    New,
    /// Its content is another one.
    Changed,
    /// Its type is another one.
    OtherType,
}

/// A rule of the pack, as the next lock has it.
#[derive(Clone, Debug)]
pub struct Next {
    /// The name of the rule in the pack.
    pub name: String,
    /// The rule id.
    pub rule_id: String,
    /// How it compares.
    pub how: Move,
    /// The entry that it gets, its version counted up where the content has changed.
    pub locked: Locked,
}

/// What the next lock says of each rule; rules whose files have errors are left out.
pub fn next(lock: &Lock, rules: &[CompiledRule], pack: &Pack) -> Vec<Next> {
    let of = |compiled: &CompiledRule| {
        let rule = &compiled.rule;
        if rule.broken || rule.rule_id().is_empty() {
            return None;
        }
        let json = detection_rule(compiled, &pack.config).json;
        let sha256 = digest(json.as_object()?);
        let kind = json.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let old = lock.rules.get(rule.rule_id());
        let (how, version) = match old {
            // a version that the file still has is the least
            None => (Move::New, json.get("version").and_then(Value::as_u64).unwrap_or(1).max(1)),
            Some(old) if old.kind != kind => (Move::OtherType, old.version.saturating_add(1)),
            Some(old) if old.sha256 != sha256 => (Move::Changed, old.version.saturating_add(1)),
            Some(old) => (Move::Same, old.version),
        };
        let locked = Locked {
            name: rule.title().to_owned(),
            kind,
            min_stack: rule.min_stack_version().map(|v| v.to_string()),
            sha256,
            version,
        };
        Some(Next { name: rule.name.clone(), rule_id: rule.rule_id().to_owned(), how, locked })
    };
    rules.par_iter().filter_map(of).collect()
}

/// The locked rules that no file of the pack has: rule id and entry. A file that cannot be read may hold any
/// of them, so then there are none.
pub fn gone<'l>(lock: &'l Lock, pack: &Pack) -> Vec<(&'l str, &'l Locked)> {
    if pack.files.iter().any(|f| f.rule.is_none()) {
        return Vec::new();
    }
    let ids: std::collections::BTreeSet<&str> = pack.rules().map(|r| r.rule_id()).collect();
    lock.rules.iter().filter(|(id, _)| !ids.contains(id.as_str())).map(|(id, l)| (id.as_str(), l)).collect()
}

/// The findings of a selection against the lock; none in a pack without one. What left the pack is looked for
/// when the selection is `whole`.
pub fn findings(pack: &Pack, rules: &[CompiledRule], whole: bool) -> Vec<Diagnostic> {
    let Some(lock) = &pack.config.lock else { return Vec::new() };
    let file = Arc::new(Source::new(pack.shown(LOCK), ""));
    let mut found = Vec::new();
    let mut stale: Vec<String> = Vec::new();
    for next in next(lock, rules, pack) {
        match next.how {
            Move::Same => {}
            Move::New | Move::Changed => stale.push(format!("`{}`", next.name)),
            Move::OtherType => {
                let old = lock.rules.get(&next.rule_id).map_or("", |l| l.kind.as_str());
                let Some(rule) = pack.rule(&next.name) else { continue };
                let message = format!("the type was `{old}` when the rule was published");
                found.push(
                    Diagnostic::new(Code::RP1619, message)
                        .at(rule.value_span("/rule/type"), format!("now `{}`", next.locked.kind))
                        .note("Kibana cannot change the type of a rule: its users lose alerts, exceptions and settings")
                        .help("give it a new `rule_id` and deprecate the old rule, or `rulepack lock --accept`")
                        .in_source(&rule.source),
                );
            }
        }
    }
    if !stale.is_empty() {
        let (n, one) = (stale.len(), stale.len() == 1);
        let message = format!(
            "{n} {} not in `{LOCK}` as {}",
            if one { "rule is" } else { "rules are" },
            if one { "it is" } else { "they are" }
        );
        let mut shown: Vec<String> = stale.into_iter().take(3).collect();
        if n > shown.len() {
            shown.push(format!("{} more", n - shown.len()));
        }
        let d = Diagnostic::new(Code::RP0718, message).note(shown.join(", "));
        found.push(d.help("`rulepack lock` counts their versions up").in_source(&file));
    }
    for (id, locked) in gone(lock, pack).into_iter().filter(|_| whole) {
        let d = Diagnostic::new(Code::RP1620, format!("the published rule `{}` is gone", locked.name))
            .note(format!("`{id}`, version {}", locked.version))
            .help("keep it with `maturity = \"deprecated\"`, or take it out with `rulepack lock --accept`");
        found.push(d.in_source(&file));
    }
    found
}
