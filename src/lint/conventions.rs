//! Conventions that a pack has set itself in `[lint.conventions]`: names of files, tags, notes. Without the
//! table nothing is said.

use crate::diag::{Code, Diagnostic};
use crate::es::wildcard::Pattern;
use crate::pack::{CompiledRule, Conventions};
use serde_json::Value;

/// The findings about one rule.
pub(super) fn lints(compiled: &CompiledRule, wanted: &Conventions) -> Vec<Diagnostic> {
    let rule = compiled.rule.as_ref();
    let mut found = Vec::new();
    let mut say = |pointer: &str, message: String| {
        found.push(
            Diagnostic::new(Code::RP1615, message)
                .at(rule.value_span(pointer), "")
                .note("a convention of this pack: `[lint.conventions]` in rulepack.toml")
                .in_source(&rule.source),
        );
    };
    let stem = rule.name.rsplit('/').next().unwrap_or(&rule.name);
    if wanted.snake_case_files
        && !stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        say("/rule/name", format!("the name of the file `{stem}.toml` is not in snake_case"));
    }
    let tactics: Vec<&str> = rule
        .json()
        .get("threat")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|t| t.get("tactic")?.get("name")?.as_str())
        .collect();
    if let (true, Some(first)) = (wanted.tactic_files, tactics.first()) {
        let prefix = format!("{}_", first.to_lowercase().replace([' ', '-'], "_"));
        if !stem.starts_with(&prefix) {
            say("/rule/name", format!("the file of a rule about `{first}` does not begin with `{prefix}`"));
        }
    }
    let tags = rule.tags();
    let has = |wanted: &str| tags.contains(&wanted);
    if let (Some(prefix), Some(first)) = (&wanted.tactic_tag, tactics.first()) {
        let tag = format!("{prefix}{first}");
        if !has(&tag) {
            say("/rule/tags", format!("the tag `{tag}` of its first tactic is missing"));
        }
    }
    if !wanted.tag_prefixes.is_empty() {
        for (i, tag) in tags.iter().enumerate() {
            if !wanted.tag_prefixes.iter().any(|p| tag.starts_with(p.as_str())) {
                say(&format!("/rule/tags/{i}"), format!("the tag `{tag}` has none of the agreed beginnings"));
            }
        }
    }
    let index = rule.index();
    let covers = |pattern: &str, name: &str| name == pattern || Pattern::plain(pattern, false).matches(name);
    let kind = rule.json().get("type").and_then(Value::as_str).unwrap_or_default();
    let block = rule.json().get("building_block_type").is_some();
    for required in &wanted.required_tags {
        let applies = (required.index.is_empty()
            || index.iter().any(|i| required.index.iter().any(|p| covers(p, i))))
            && (required.types.is_empty() || required.types.iter().any(|t| t == kind))
            && (!required.building_block || block)
            && (!required.with_note || rule.note().is_some());
        for tag in required.tags.iter().filter(|t| applies && !has(t)) {
            say("/rule/tags", format!("the tag `{tag}` is missing"));
        }
    }
    const RANKS: [&str; 4] = ["low", "medium", "high", "critical"];
    let rank = |severity: &str| RANKS.iter().position(|r| *r == severity);
    if let Some(from) = wanted.notes_required_from.as_deref().and_then(rank)
        && rank(rule.severity()).is_some_and(|s| s >= from)
        && rule.note().is_none_or(|n| n.trim().is_empty())
    {
        say(
            "/rule/severity",
            format!("a rule of severity `{}` has no `note` for who triages it", rule.severity()),
        );
    }
    if wanted.stack_comments
        && rule.min_stack_version().is_some()
        && rule.metadata().get("min_stack_comments").is_none()
    {
        say("/metadata/min_stack_version", "nothing says why: `min_stack_comments` is missing".to_owned());
    }
    let asks_os = compiled.fields.iter().any(|f| f.name == OS);
    if let Some(i) = index.iter().position(|i| wanted.host_os.iter().any(|p| covers(p, i)))
        && !asks_os
        && rule.query.is_some()
    {
        say(&format!("/rule/index/{i}"), format!("a rule over this data asks for `{OS}`"));
    }
    let text = |key: &str| rule.json().get(key).and_then(Value::as_str);
    if let (Some(id), false) = (text("timeline_id"), wanted.timelines.is_empty()) {
        match (wanted.timelines.get(id), text("timeline_title")) {
            (None, _) => say("/rule/timeline_id", format!("the timeline `{id}` is none of the agreed ones")),
            (Some(title), Some(written)) if title != written => {
                say("/rule/timeline_title", format!("the title of this timeline is `{title}`"));
            }
            _ => {}
        }
    }
    let jobs = rule.json().get("machine_learning_job_id");
    let one = jobs.and_then(Value::as_str).into_iter();
    let several = jobs.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for job in one.chain(several).filter(|_| !wanted.ml_jobs.is_empty()) {
        if !wanted.ml_jobs.iter().any(|p| covers(p, job)) {
            say(
                "/rule/machine_learning_job_id",
                format!("the machine learning job `{job}` is none of the agreed ones"),
            );
        }
    }
    found
}

/// The field by which rules over endpoint data say for which system they are.
const OS: &str = "host.os.type";
