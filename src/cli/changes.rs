//! How a change set, and what came of it, is told: the lines of `deploy`, its verdicts, its JSON.

pub mod lists;

use super::terminal::count;
use crate::diag::Diagnostic;
use crate::target::http::one_line;
use crate::target::kibana::exceptions::ListPlan;
use crate::target::kibana::{Applied, Change, Changeset, FieldChange, Kind};
use serde_json::{Value, json};
use std::time::Duration;

/// The widest line.
const WIDTH: usize = 100;

/// Where what is said about a rule begins on lines of its own.
const INDENT: usize = 14;

/// One or more lines for every rule that is not just the same, then one that counts the rest.
pub fn lines(plan: &Changeset) -> Vec<String> {
    let mut shown: Vec<&Change> = plan.changes.iter().filter(|c| c.kind != Kind::Same).collect();
    shown.sort_by_key(|c| rank(&c.kind));
    let width = shown.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).min(50);
    let mut out = Vec::new();
    for change in shown {
        let head = format!("{:4}{:10}{:width$}", change.kind.mark(), change.kind.word(), change.name);
        let (details, more) = details(change);
        let mut line = head;
        let mut gap = "   ";
        for (i, detail) in details.iter().enumerate() {
            let last = i + 1 == details.len();
            let text = format!("{detail}{}", if last { "" } else { "," });
            if line.chars().count() + gap.len() + text.chars().count() > WIDTH && line.trim().len() > 1 {
                out.push(line.trim_end().to_owned());
                line = format!("{:INDENT$}{text}", "");
            } else {
                line.push_str(gap);
                line.push_str(&text);
            }
            gap = " ";
        }
        out.push(line.trim_end().to_owned());
        out.extend(more.into_iter().map(|m| format!("{:INDENT$}{m}", "")));
    }
    let same = plan.count("same");
    if same > 0 && !out.is_empty() {
        out.push(format!("{:4}{:10}{}", "=", "same", count(same, "rule")));
    }
    out
}

/// The order in which changes are told: what is written, what needs a person, what is left.
fn rank(kind: &Kind) -> u8 {
    match kind {
        Kind::Create => 0,
        Kind::Update => 1,
        Kind::Replace { .. } => 2,
        Kind::Enable => 3,
        Kind::Disable => 4,
        Kind::Delete => 5,
        Kind::Conflict { .. } => 6,
        Kind::Kept => 7,
        Kind::Orphan { .. } => 8,
        Kind::Same => 9,
    }
}

/// What is said behind a rule's name, item by item, and the lines below it.
fn details(change: &Change) -> (Vec<String>, Vec<String>) {
    let state = |on: bool| if on { "enabled" } else { "disabled" }.to_owned();
    match &change.kind {
        Kind::Create => {
            let mut more = Vec::new();
            if change.kept.exceptions > 0 {
                more.push(format!(
                    "{} taken up from a deploy that was cut off",
                    count(change.kept.exceptions, "exception list")
                ));
            }
            (vec![state(change.toggle == Some(true))], more)
        }
        Kind::Update => {
            let mut items: Vec<String> = change.fields.iter().filter(|f| !is_text(f)).map(field).collect();
            items.extend(change.toggle.map(|on| format!("then {}", state(on))));
            let mut below: Vec<String> = change.fields.iter().filter(|f| is_text(f)).map(field).collect();
            if items.is_empty() {
                items = std::mem::take(&mut below);
            }
            let kept = kept(change);
            if !kept.is_empty() {
                below.push(format!("kept from Kibana: {kept}"));
            }
            (items, if below.is_empty() { below } else { vec![below.join("; ")] })
        }
        Kind::Replace { from, to } => {
            let lists = change.kept.exceptions;
            let verb = if lists == 1 { "moves" } else { "move" };
            let moves = if lists == 0 {
                String::new()
            } else {
                format!("{} {verb} along; ", count(lists, "exception list"))
            };
            (
                vec![format!("type {} -> {to}", one_line(from)), "so a new object".to_owned()],
                vec![format!("{moves}its old alerts stay with the old object")],
            )
        }
        Kind::Enable | Kind::Disable => {
            let on = change.kind == Kind::Enable;
            (vec![format!("{} -> {}", state(!on), state(on))], Vec::new())
        }
        Kind::Conflict { reason, help } => {
            let help = help.as_ref().map(|h| format!("; help: {h}")).unwrap_or_default();
            (reason.split(", ").map(str::to_owned).collect(), vec![format!("left alone{help}")])
        }
        Kind::Kept => (vec!["edited in Kibana, and left so".to_owned()], Vec::new()),
        Kind::Orphan { reason } => (vec![reason.clone()], Vec::new()),
        Kind::Delete => (vec!["not in the pack".to_owned()], Vec::new()),
        Kind::Same => (Vec::new(), Vec::new()),
    }
}

fn kept(change: &Change) -> String {
    let mut parts = Vec::new();
    if change.kept.exceptions > 0 {
        parts.push(count(change.kept.exceptions, "exception list"));
    }
    if change.kept.actions > 0 {
        parts.push(count(change.kept.actions, "action"));
    }
    parts.join(", ")
}

/// Whether a property is told by how many of its lines differ.
fn is_text(change: &FieldChange) -> bool {
    let long = |v: &Option<Value>| {
        v.as_ref().and_then(Value::as_str).is_some_and(|s| s.contains('\n') || s.len() > 60)
    };
    change.field.ends_with("query") || long(&change.from) || long(&change.to)
}

/// `severity medium -> high`, `query: 1 line`, `tags +lab -old`, or the name alone.
pub fn field(change: &FieldChange) -> String {
    let name = &change.field;
    if is_text(change) {
        let text = |v: &Option<Value>| v.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let (from, to) = (text(&change.from), text(&change.to));
        let diff = similar::TextDiff::from_lines(&from, &to);
        let n = |tag| diff.iter_all_changes().filter(|c| c.tag() == tag).count();
        let lines = n(similar::ChangeTag::Delete).max(n(similar::ChangeTag::Insert));
        return format!("{name}: {}", count(lines, "line"));
    }
    if name == "exceptions_list" {
        let ids = |v: &Option<Value>| -> Vec<Value> {
            let links = v.as_ref().and_then(Value::as_array).into_iter().flatten();
            links.filter_map(|l| l.get("list_id").cloned()).collect()
        };
        return list(name, &ids(&change.from), &ids(&change.to));
    }
    match (&change.from, &change.to) {
        (None, Some(to)) => {
            scalar(to).map_or_else(|| format!("{name} added"), |to| format!("{name} {to} added"))
        }
        (Some(_), None) => format!("{name} removed"),
        (Some(Value::Array(from)), Some(Value::Array(to))) => list(name, from, to),
        (Some(from), Some(to)) => match (scalar(from), scalar(to)) {
            (Some(from), Some(to)) => format!("{name} {from} -> {to}"),
            _ => name.clone(),
        },
        (None, None) => name.clone(),
    }
}

/// The entries of a list of strings that come and go, if they are few.
fn list(name: &str, from: &[Value], to: &[Value]) -> String {
    let strings = from.iter().chain(to).all(Value::is_string);
    let only = |a: &[Value], b: &[Value], mark: &str| -> Vec<String> {
        a.iter().filter(|v| !b.contains(v)).filter_map(scalar).map(|s| format!(" {mark}{s}")).collect()
    };
    let changed: Vec<String> = only(to, from, "+").into_iter().chain(only(from, to, "-")).collect();
    if strings && !changed.is_empty() && changed.len() <= 4 {
        format!("{name}{}", changed.concat())
    } else {
        name.to_owned()
    }
}

/// A short value on one line, cut in the middle.
fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(s) if s.is_empty() => "\"\"".to_owned(),
        Value::String(s) => one_line(s),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => return None,
    };
    let n = text.chars().count();
    if n <= 36 {
        return Some(text);
    }
    let head: String = text.chars().take(17).collect();
    let tail: String = text.chars().skip(n - 16).collect();
    Some(format!("{head}...{tail}"))
}

/// `1 conflict and 1 orphan left alone`, or nothing.
fn left_alone(plan: &Changeset, lists: &ListPlan, late: usize) -> String {
    let mut parts = Vec::new();
    for (n, noun) in [
        (plan.count("conflict") + late, "conflict"),
        (lists.conflicts(), "exception"),
        (plan.count("orphan") + lists.count("orphan"), "orphan"),
        (plan.count("kept"), "edited rule"),
    ] {
        if n > 0 {
            parts.push(count(n, noun));
        }
    }
    match parts.as_slice() {
        [] => String::new(),
        [first @ .., last] if !first.is_empty() => format!("{} and {last} left alone", first.join(", ")),
        _ => format!("{} left alone", parts.concat()),
    }
}

/// The verdict about a plan.
pub fn verdict(plan: &Changeset, lists: &ListPlan, target: &str) -> String {
    let left = left_alone(plan, lists, 0);
    if !plan.writes() && !lists.writes() {
        let same = plan.count("same");
        let verb = if same == 1 && lists.same() == 0 { "is" } else { "are" };
        let left = if left.is_empty() { left } else { format!("; {left}") };
        let and = and(lists.same());
        return format!(
            "no changes: {}{and} in {target} {verb} what the pack says{left}",
            count(same, "rule")
        );
    }
    let parts: Vec<String> = ["create", "update", "replace", "enable", "disable", "delete"]
        .into_iter()
        .filter(|word| plan.count(word) > 0)
        .map(|word| format!("{} to {word}", plan.count(word)))
        .collect();
    let mut all = Vec::new();
    if !parts.is_empty() {
        all.push(parts.join(", "));
    }
    if lists.writes() {
        all.push(format!("{} to write", lists::noun(lists.written())));
    }
    if !left.is_empty() {
        all.push(left);
    }
    if plan.count("same") > 0 {
        all.push(format!("{} same", plan.count("same")));
    }
    format!("plan: {}", all.join("; "))
}

/// ` and 2 exception lists`, or nothing.
fn and(lists: usize) -> String {
    if lists == 0 { String::new() } else { format!(" and {}", lists::noun(lists)) }
}

/// The verdict about a deploy.
pub fn applied(plan: &Changeset, lists: &ListPlan, applied: &Applied, took: Duration) -> String {
    let late = applied.conflicts.len() + applied.lists.conflicts.len();
    let mut left = left_alone(plan, lists, late);
    if !left.is_empty() {
        left = format!("; {left}");
    }
    let failed_deletes = applied.failed.iter().filter(|f| f.verb == "delete").count();
    let late_deletes = applied.conflicts.iter().filter(|c| c.body.is_empty() && c.fields.is_empty()).count();
    let deleted = plan.count("delete").saturating_sub(failed_deletes + late_deletes);
    let written = applied.written.saturating_sub(deleted);
    let mut done = match (written, deleted) {
        (n, 0) => count(n, "rule"),
        (0, d) => format!("{} deleted", count(d, "rule")),
        (n, _) => count(n, "rule"),
    };
    let n = applied.lists.written;
    if n > 0 && (written, deleted) == (0, 0) && !plan.writes() {
        done = lists::noun(n);
    } else {
        done.push_str(&and(n));
    }
    if written > 0 || deleted == 0 || n > 0 {
        done.push_str(" written and read back equal");
    }
    if written > 0 && deleted > 0 {
        done.push_str(&format!(", {deleted} deleted"));
    }
    let took = format!("{:.1} s", took.as_secs_f64());
    if applied.failed.is_empty() && applied.lists.failed.is_empty() {
        return format!("ok: {done}{left}, in {took}");
    }
    let all = plan.changes.iter().filter(|c| c.kind.writes()).count();
    let mut failed = Vec::new();
    if !applied.failed.is_empty() {
        failed.push(format!("{} of {}", applied.failed.len(), count(all, "rule")));
    }
    if !applied.lists.failed.is_empty() {
        let n = lists.written().saturating_sub(applied.lists.written);
        failed.push(format!("{n} of {}", lists::noun(lists.written())));
    }
    let verb = if applied.failed.len() == 1 && failed.len() == 1 { "is" } else { "are" };
    format!("failed: {} {verb} not as wanted; {done}{left}, in {took}", failed.join(" and "))
}

/// What failed, as findings.
pub fn failures(applied: &Applied) -> Vec<Diagnostic> {
    let finding = |f: &crate::target::kibana::Failed| {
        Diagnostic::new(f.code, format!("{} `{}`: {}", f.verb, f.name, f.message))
    };
    lists::failures(&applied.lists).into_iter().chain(applied.failed.iter().map(finding)).collect()
}

/// The change set as JSON. Of actions and links to exception lists only the names of the properties are
/// told: what actions send may be confidential.
pub fn json(plan: &Changeset, lists: &ListPlan, applied: Option<&Applied>) -> Value {
    let field = |f: &FieldChange| {
        if matches!(f.field.as_str(), "actions" | "exceptions_list" | "response_actions") {
            json!({ "field": f.field })
        } else {
            json!({ "field": f.field, "from": f.from, "to": f.to })
        }
    };
    let change = |c: &Change| {
        let mut out = json!({
            "rule": { "id": c.rule_id, "name": c.name },
            "change": c.kind.word(),
            "fields": c.fields.iter().map(field).collect::<Vec<_>>(),
            "kept": { "exceptions": c.kept.exceptions, "actions": c.kept.actions },
            "enabled": c.toggle,
            "object": c.live.as_ref().map(|l| l.id().to_owned()),
        });
        if let Some(map) = out.as_object_mut() {
            match &c.kind {
                Kind::Conflict { reason, help } => {
                    map.insert("reason".into(), json!(reason));
                    map.insert("help".into(), json!(help));
                }
                Kind::Orphan { reason } => {
                    map.insert("reason".into(), json!(reason));
                }
                Kind::Replace { from, to } => {
                    map.insert("type".into(), json!({ "from": from, "to": to }));
                }
                _ => {}
            }
        }
        out
    };
    let words =
        ["create", "update", "replace", "enable", "disable", "delete", "conflict", "kept", "orphan", "same"];
    let summary: serde_json::Map<String, Value> =
        words.iter().map(|w| ((*w).to_owned(), json!(plan.count(w)))).collect();
    let (exception_lists, value_lists) = lists::json(lists);
    json!({
        "exception_lists": exception_lists,
        "value_lists": value_lists,
        "ok": applied.is_none_or(|a| a.failed.is_empty() && a.lists.failed.is_empty()),
        "summary": summary,
        "changes": plan.changes.iter().filter(|c| c.kind != Kind::Same).map(change).collect::<Vec<_>>(),
        "applied": applied.map(|a| json!({
            "written": a.written,
            "lists": lists::applied_json(&a.lists),
            "failed": a.failed.iter().map(|f| json!({
                "rule": { "id": f.rule_id, "name": f.name },
                "change": f.verb,
                "code": f.code.to_string(),
                "message": f.message,
            })).collect::<Vec<_>>(),
            "conflicts": a.conflicts.iter().map(change).collect::<Vec<_>>(),
        })),
    })
}
