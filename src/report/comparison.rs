//! A comparison of two revisions, for people, for a pull-request comment, and for machines.

use crate::diff::{AlertRef, Change, Diff, FieldChange, RuleDiff};
use crate::es::date;
use crate::replay::decision::shorten;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

/// What was compared, for the first line.
#[derive(Clone, Debug)]
pub struct Heading {
    /// `main 3f9c1d2`.
    pub before: String,
    /// `working tree`.
    pub after: String,
    /// Rules on each side.
    pub rules: (usize, usize),
    /// `tests/fixtures (341 events)`.
    pub on: String,
}

impl Heading {
    /// The first line.
    pub fn line(&self) -> String {
        let (a, b) = self.rules;
        format!("{} -> {} · {a} rules, then {b} · both replayed on {}", self.before, self.after, self.on)
    }
}

/// The longest comment that GitHub takes is 65,536 characters.
const COMMENT: usize = 64_000;
const WIDTH: usize = 100;

/// The lines for people.
pub fn text(heading: &Heading, diff: &Diff) -> Vec<String> {
    let mut out = vec![heading.line(), String::new()];
    let width = diff.rules.iter().map(|r| r.name.len()).max().unwrap_or(0);
    let wide = diff.rules.iter().map(|r| summary(r).chars().count()).max().unwrap_or(0).min(42);
    for rule in &diff.rules {
        out.push(
            format!("{} {:width$}  {:wide$}  {}", mark(&rule.change), rule.name, summary(rule), counts(rule))
                .trim_end()
                .to_owned(),
        );
        out.extend(details(rule));
    }
    if !diff.rules.is_empty() {
        out.push(String::new());
    }
    out.push(verdict(diff));
    out
}

/// The last line.
pub fn verdict(diff: &Diff) -> String {
    if diff.is_empty() {
        return format!("no changes: {} the same, with the same alerts", rules(diff.same));
    }
    let (new, gone) = (diff.count(|c| matches!(c, Change::New)), diff.count(|c| matches!(c, Change::Gone)));
    let changed = diff.rules.len() - new - gone;
    format!(
        "ok: {new} new, {gone} gone, {changed} changed, {} same · {} gained, {} lost",
        diff.same,
        alerts(diff.gained()),
        diff.lost()
    )
}

fn rules(n: usize) -> String {
    if n == 1 { "1 rule is".to_owned() } else { format!("{n} rules are") }
}

fn alerts(n: usize) -> String {
    if n == 1 { "1 alert".to_owned() } else { format!("{n} alerts") }
}

fn mark(change: &Change) -> &'static str {
    match change {
        Change::New => "+",
        Change::Gone => "-",
        Change::Changed { .. } => "~",
        Change::NewId { .. } => "!",
    }
}

/// The names of the fields, as many as fit; a name is never cut.
fn names(fields: &[FieldChange]) -> String {
    let mut out = String::new();
    for (i, field) in fields.iter().enumerate() {
        if i > 0 && out.len() + field.path.len() > 32 {
            return format!("{out} and {} more", fields.len() - i);
        }
        if i > 0 {
            out.push_str(", ");
        }
        out.push_str(&field.path);
    }
    out
}

fn summary(rule: &RuleDiff) -> String {
    match &rule.change {
        Change::New => rule.kind.clone(),
        Change::Gone => "stays in Kibana until `deploy --prune`".to_owned(),
        Change::Changed { fields, moved_from: Some(_) } if fields.is_empty() => "renamed".to_owned(),
        Change::Changed { fields, moved_from: None } if fields.is_empty() => {
            "same rule, other alerts".to_owned()
        }
        Change::Changed { fields, .. } => names(fields),
        Change::NewId { .. } => "another rule_id".to_owned(),
    }
}

fn counts(rule: &RuleDiff) -> String {
    let side = |n: &Result<usize, String>| n.as_ref().map_or_else(|_| "?".to_owned(), ToString::to_string);
    match (&rule.before, &rule.after) {
        (Ok(0), Ok(0)) => "no alerts".to_owned(),
        (a, b) if a == b => format!("alerts {}", side(a)),
        (a, b) => format!("alerts {} -> {}", side(a), side(b)),
    }
}

fn details(rule: &RuleDiff) -> Vec<String> {
    let mut out = Vec::new();
    let mut row = |name: &str, text: &str| {
        out.push(format!("    {name:12} {}", shorten(text, WIDTH - 17)).trim_end().to_owned())
    };
    match &rule.change {
        Change::NewId { old, .. } => {
            row("rule_id", &format!("{old} -> {}", rule.id));
            row("", "to Kibana this is a new rule: the old one stays, with its exceptions, its");
            row("", "alerts and its new-terms history, until it is pruned");
        }
        Change::Changed { moved_from: Some(from), .. } => row("renamed", &format!("from {from}")),
        _ => {}
    }
    let fields: &[FieldChange] = match &rule.change {
        Change::Changed { fields, .. } | Change::NewId { fields, .. } => fields,
        _ => &[],
    };
    for field in fields {
        out.extend(field_lines(field));
    }
    for (name, side) in [("before", &rule.before), ("after", &rule.after)] {
        if let Err(reason) = side {
            out.push(format!("    not run      {name}: {reason}"));
        }
    }
    for (name, list) in [("gained", &rule.gained), ("lost", &rule.lost)] {
        // of a new or gone rule the count says it all
        if matches!(rule.change, Change::New | Change::Gone) {
            continue;
        }
        for alert in list.iter().take(SHOWN) {
            out.push(format!("    {name:12} {}", alert_line(alert)));
        }
        if list.len() > SHOWN {
            out.push(format!("    {:12} and {} more", "", list.len() - SHOWN));
        }
    }
    out
}

/// How many alerts of a rule are listed.
const SHOWN: usize = 10;

fn alert_line(alert: &AlertRef) -> String {
    let when = alert.time.map_or_else(|| "-".to_owned(), |t| date::format(t).replace(".000Z", "Z"));
    let ids: Vec<&str> = alert.events.iter().map(|e| crate::trial::short(e)).collect();
    let mut line = format!("{when}  {}", ids.join(", "));
    if let Some(action) = &alert.action {
        line.push_str(&format!("  {action}"));
        if let Some(actor) = &alert.actor {
            line.push_str(&format!(" by {actor}"));
        }
    }
    line
}

fn field_lines(field: &FieldChange) -> Vec<String> {
    let texts = (field.before.as_ref().and_then(Value::as_str), field.after.as_ref().and_then(Value::as_str));
    if let (Some(a), Some(b)) = texts
        && (a.contains('\n') || b.contains('\n'))
    {
        return line_diff(a, b)
            .into_iter()
            .enumerate()
            .map(|(i, (sign, line))| {
                let name = if i == 0 { field.path.as_str() } else { "" };
                // a line that is cut would hide the very change
                format!("    {name:12} {sign} {line}").trim_end().to_owned()
            })
            .collect();
    }
    if let (Some(Value::Array(a)), Some(Value::Array(b))) = (&field.before, &field.after) {
        return list_lines(&field.path, a, b);
    }
    let one = |v: &Option<Value>| v.as_ref().map_or_else(|| "none".to_owned(), |v| shorten(&plain(v), 40));
    vec![format!("    {:12} {} -> {}", field.path, one(&field.before), one(&field.after))]
}

/// The items that a list lost and gained; when only their order differs, that.
fn list_lines(path: &str, before: &[Value], after: &[Value]) -> Vec<String> {
    let name = |v: &Value| {
        v.get("name")
            .or_else(|| v.get("field"))
            .and_then(Value::as_str)
            .map_or_else(|| plain(v), str::to_owned)
    };
    let only =
        |a: &[Value], b: &[Value]| -> Vec<String> { a.iter().filter(|v| !b.contains(v)).map(name).collect() };
    let mut lines: Vec<(char, String)> = only(before, after).into_iter().map(|t| ('-', t)).collect();
    lines.extend(only(after, before).into_iter().map(|t| ('+', t)));
    if lines.is_empty() {
        lines.push(('~', "another order".to_owned()));
    }
    let row = |(i, (sign, text)): (usize, (char, String))| {
        format!("    {:12} {sign} {}", if i == 0 { path } else { "" }, shorten(&text, WIDTH - 19))
    };
    lines.into_iter().enumerate().map(row).collect()
}

/// Changed lines with one line of context; blank lines at the ends left out.
fn line_diff(before: &str, after: &str) -> Vec<(char, String)> {
    let diff = TextDiff::from_lines(before.trim_end(), after.trim_end());
    let mut out = Vec::new();
    for (i, group) in diff.grouped_ops(1).iter().enumerate() {
        if i > 0 {
            out.push((' ', "...".to_owned()));
        }
        for op in group {
            for change in diff.iter_changes(op) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                out.push((sign, change.value().trim_end().to_owned()));
            }
        }
    }
    out
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |s| s.trim_end().to_owned())
}

/// A comment for a pull request: a hidden marker, by which it is found and updated, then a table and the
/// changed queries. Names and ids only; with `values` also who did what.
pub fn markdown(heading: &Heading, diff: &Diff, pack: &str, values: bool) -> String {
    let mut out = format!("<!-- rulepack diff: {pack} -->\n### rulepack diff\n\n{}\n\n", heading.line());
    if !diff.is_empty() {
        out.push_str("| | rule | what | alerts |\n|---|---|---|---|\n");
    }
    let mut left_out = 0;
    for rule in &diff.rules {
        let row = format!(
            "| `{}` | `{}` | {} | {} |\n",
            mark(&rule.change),
            rule.name,
            cell(&summary(rule)),
            cell(&counts(rule))
        );
        if out.len() + row.len() < COMMENT / 2 {
            out.push_str(&row);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        out.push_str(&format!("\n{left_out} more rules are not listed here.\n"));
    }
    let mut without_details = 0;
    for rule in diff.rules.iter().filter(|r| !matches!(r.change, Change::New | Change::Gone)) {
        let block = block(rule, values);
        if block.is_empty() {
            continue;
        }
        if out.len() + block.len() < COMMENT {
            out.push_str(&block);
        } else {
            without_details += 1;
        }
    }
    if without_details > 0 {
        out.push_str(&format!(
            "\nThe details of {without_details} more rules were too long for a comment.\n"
        ));
    }
    out.push_str(&format!("\n**{}**\n", verdict(diff)));
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn block(rule: &RuleDiff, values: bool) -> String {
    let mut lines = Vec::new();
    if let Change::Changed { fields, .. } | Change::NewId { fields, .. } = &rule.change {
        lines.extend(fields.iter().flat_map(field_lines));
    }
    for (name, list) in [("gained", &rule.gained), ("lost", &rule.lost)] {
        for alert in list.iter().take(SHOWN) {
            let ids = alert.events.join(", ");
            lines.push(format!("    {name:12} {}", if values { alert_line(alert) } else { ids }));
        }
        if list.len() > SHOWN {
            lines.push(format!("    {:12} and {} more", "", list.len() - SHOWN));
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    // `diff` colours a line by its first character, so the sign of a query's line goes first
    let body: Vec<String> = lines
        .iter()
        .map(|l| {
            let l = l.strip_prefix("    ").unwrap_or(l);
            match (l.get(13..14), l.get(..13)) {
                (Some(sign @ ("-" | "+")), Some(name)) if l.get(14..15) == Some(" ") => {
                    format!("{sign} {name}{}", l.get(14..).unwrap_or(""))
                }
                _ => format!("  {l}"),
            }
        })
        .collect();
    let fence = if body.iter().any(|l| l.contains("```")) { "~~~~~~" } else { "```" };
    format!(
        "\n<details><summary><code>{}</code></summary>\n\n{fence}diff\n{}\n{fence}\n</details>\n",
        rule.name,
        body.join("\n")
    )
}

/// The comparison as JSON.
pub fn as_json(heading: &Heading, diff: &Diff) -> Value {
    let alert = |a: &AlertRef| {
        json!({
            "time": a.time.map(date::format),
            "events": a.events,
            "group": a.group.iter().cloned().map(|(k, v)| (k, Value::from(v))).collect::<serde_json::Map<_, _>>(),
        })
    };
    let rules: Vec<Value> = diff
        .rules
        .iter()
        .map(|r| {
            let (change, fields, from, old) = match &r.change {
                Change::New => ("new", &[][..], None, None),
                Change::Gone => ("gone", &[][..], None, None),
                Change::Changed { fields, moved_from } => ("changed", fields.as_slice(), moved_from.clone(), None),
                Change::NewId { old, fields } => ("new-id", fields.as_slice(), None, Some(old.clone())),
            };
            json!({
                "name": r.name,
                "id": r.id,
                "change": change,
                "moved_from": from,
                "old_id": old,
                "fields": fields.iter().map(|f| json!({ "path": f.path, "before": f.before, "after": f.after })).collect::<Vec<_>>(),
                "alerts": {
                    "before": r.before.as_ref().ok(),
                    "after": r.after.as_ref().ok(),
                    "not_run_before": r.before.as_ref().err(),
                    "not_run_after": r.after.as_ref().err(),
                    "gained": r.gained.iter().map(alert).collect::<Vec<_>>(),
                    "lost": r.lost.iter().map(alert).collect::<Vec<_>>(),
                },
            })
        })
        .collect();
    json!({
        "before": heading.before,
        "after": heading.after,
        "on": heading.on,
        "rules": rules,
        "same": diff.same,
        "gained": diff.gained(),
        "lost": diff.lost(),
        "verdict": verdict(diff),
    })
}
