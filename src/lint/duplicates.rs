//! Rules that find the same, and rules that are Elastic's own: findings that need the whole pack.

use crate::diag::{Code, Diagnostic, Severity};
use crate::lang::{Language, eql, esql, kql, lucene};
use crate::pack::{CompiledRule, Pack};
use crate::plan::{Plan, PlanFields, Pred};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Properties beside the query that decide what a rule finds.
const DECIDING: &[&str] = &[
    "data_view_id",
    "filters",
    "threshold",
    "threat_query",
    "threat_index",
    "threat_mapping",
    "threat_filters",
    "machine_learning_job_id",
    "anomaly_threshold",
    "saved_id",
    "event_category_override",
];

/// How many rules a finding names.
const SHOWN: usize = 3;

/// Rules of `rules` whose logic another rule of the pack has too: a finding at every one but the first.
pub(super) fn logic(pack: &Pack, rules: &[CompiledRule]) -> Vec<Diagnostic> {
    let mut by_logic: BTreeMap<String, Vec<&CompiledRule>> = BTreeMap::new();
    for rule in rules.iter().filter(|r| !r.rule.broken) {
        if let Some(key) = key(rule) {
            by_logic.entry(key).or_default().push(rule);
        }
    }
    // twice the same id is said already
    let known: BTreeSet<&str> = pack
        .files
        .iter()
        .filter(|f| f.diagnostics.iter().any(|d| d.code == Code::RP0701))
        .map(|f| f.file.as_str())
        .collect();
    let mut found = Vec::new();
    for same in by_logic.into_values() {
        let Some((first, others)) = same.split_first() else { continue };
        for rule in others.iter().filter(|r| !known.contains(r.rule.file())) {
            let pointer = if rule.rule.query.is_some() { "/rule/query" } else { "/rule/type" };
            let span = rule.rule.key_span(pointer);
            let d = Diagnostic::new(Code::RP1607, format!("`{}` finds the same", first.rule.name))
                .at(span, "the same logic over the same data: each event gives two alerts")
                .in_source(&rule.rule.source);
            found.push(d);
        }
    }
    found
}

/// What a rule finds, as one text; `None` where it has no query.
fn key(compiled: &CompiledRule) -> Option<String> {
    let rule = &compiled.rule;
    let json = rule.json();
    let query = match (&compiled.plan, rule.language, &rule.query) {
        (Some(plan), _, _) if plan.table().is_none() && !plan.is_grouped() => conditions(plan),
        (_, Some(language), Some(query)) => printed(language, query.text())?,
        _ => return None,
    };
    let mut index = rule.index();
    index.sort_unstable();
    let mut out = format!("{:?}\n{query}\n{index:?}\n", rule.kind);
    out.push_str(&format!("{:?}{:?}", rule.new_terms_fields(), rule.history_window_start()));
    for property in DECIDING {
        if let Some(value) = json.get(*property) {
            out.push_str(&format!("\n{property}: {}", crate::emit::sorted(value.clone())));
        }
    }
    // exceptions are part of what it finds
    let lists = json.get("exceptions_list").and_then(Value::as_array);
    for list in lists.into_iter().flatten() {
        out.push_str(&format!("\n{:?}", list.get("list_id")));
    }
    Some(out)
}

/// A query in canonical form, which does not depend on blanks, comments and line breaks.
fn printed(language: Language, text: &str) -> Option<String> {
    Some(match language {
        Language::Eql => eql::print(&eql::parse(text).ok()?),
        Language::Esql => {
            let (query, found) = esql::parse(text);
            if found.iter().any(|d| d.severity == Severity::Error) {
                return None;
            }
            esql::print(&query)
        }
        Language::Kql => {
            let parsed = kql::parse(text);
            kql::print(&parsed.query?)
        }
        Language::Lucene => lucene::print(&lucene::parse(text).ok()?),
    })
}

/// The conditions of a plan, in an order of their own.
fn conditions(plan: &Plan) -> String {
    plan.filter().map(|p| condition(p, &plan.fields)).collect::<Vec<_>>().join("\n")
}

fn condition(pred: &Pred, fields: &PlanFields) -> String {
    let all = |parts: &[Pred], word: &str| {
        let mut parts: Vec<String> = parts.iter().map(|p| condition(p, fields)).collect();
        parts.sort();
        parts.dedup();
        format!("({word} {})", parts.join(" "))
    };
    let name = |id| fields.get(id).map_or("", |f| f.name.as_ref());
    match pred {
        Pred::Const(b) => b.to_string(),
        Pred::And(parts) => all(parts, "and"),
        Pred::Or(parts) => all(parts, "or"),
        Pred::Not(inner) => format!("(not {})", condition(inner, fields)),
        Pred::Leaf(leaf) => format!("({} {:?})", name(leaf.field), leaf.op),
        Pred::Named(_, inner) => condition(inner, fields),
        Pred::Script(script) => {
            let names: Vec<&str> = script.fields.iter().map(|f| name(*f)).collect();
            format!("(script {names:?} {})", without_places(&format!("{:?}", script.expr)))
        }
        Pred::Nested(nested) => {
            let names: Vec<&str> = fields.iter().map(|f| f.name.as_ref()).collect();
            format!("(nested {names:?} {})", without_places(&format!("{nested:?}")))
        }
    }
}

/// A debugging text without the places in the query.
fn without_places(text: &str) -> String {
    let mut parts = text.split("Span {");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('}').map_or(part, |(_, rest)| rest));
    }
    out
}

/// Rules of Elastic's under their own ids: one finding for the pack.
pub(super) fn prebuilt(rules: &[CompiledRule]) -> Option<Diagnostic> {
    let is_elastic = |r: &&CompiledRule| {
        let author = r.rule.json().get("author").and_then(Value::as_array);
        author.is_some_and(|a| a.iter().any(|a| a.as_str() == Some("Elastic")))
    };
    let names: Vec<&str> = rules.iter().filter(is_elastic).map(|r| r.rule.name.as_str()).collect();
    let first = names.first()?;
    let (one, verb) = if names.len() == 1 {
        ("1 rule".to_owned(), "is")
    } else {
        (format!("{} rules", names.len()), "are")
    };
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect();
    if names.len() > shown.len() {
        shown.push(format!("{} more", names.len() - shown.len()));
    }
    let d = Diagnostic::new(Code::RP1610, format!("{one} {verb} Elastic's, by author"))
        .note(shown.join(", "))
        .help(format!(
            "where Elastic's rules are installed, the same rule id collides with them: give copies ids of their own, as in `{first}`"
        ));
    Some(d)
}

#[cfg(test)]
mod tests {
    use super::without_places;

    #[test]
    fn places_are_taken_out_of_a_debugging_text() {
        assert_eq!(without_places("a(Span { start: 1, end: 2 }, b) Span { start: 3, end: 4 }"), "a(, b) ");
        assert_eq!(without_places("no places"), "no places");
    }
}
