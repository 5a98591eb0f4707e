//! How the changes of exception lists and value lists are told.

use super::{INDENT, WIDTH};
use crate::cli::terminal::count;
use crate::diag::{Code, Diagnostic};
use crate::target::http::one_line;
use crate::target::kibana::Kind;
use crate::target::kibana::exceptions::{
    ItemChange, ListChange, ListPlan, ListsApplied, NotWritten, ValuesChange,
};
use serde_json::{Value, json};

/// One or more lines for every list that is not just the same.
pub fn lines(plan: &ListPlan) -> Vec<String> {
    let mut out = Vec::new();
    for list in plan.lists.iter().filter(|l| l.word() != "same") {
        out.extend(list_lines(list));
    }
    for values in plan.values.iter().filter(|v| v.writes()) {
        let (mark, word) = if values.is_new { ("+", "create") } else { ("~", "update") };
        let kept = if values.kept == 0 {
            String::new()
        } else {
            format!("; kept from Kibana: {}", count(values.kept, "value"))
        };
        let added = count(values.added.len(), if values.is_new { "value" } else { "new value" });
        out.push(format!("{mark:4}{word:10}value list {}   {added}{kept}", values.id));
    }
    out
}

fn mark(word: &str) -> &'static str {
    match word {
        "create" => "+",
        "update" => "~",
        "conflict" => "!",
        _ => "-",
    }
}

fn list_lines(list: &ListChange) -> Vec<String> {
    let word = list.word();
    let mut about: Vec<String> = Vec::new();
    match &list.kind {
        Kind::Orphan { reason } => about.push(reason.clone()),
        Kind::Delete => about.push(format!("not in the pack, with {}", count(list.kept, "exception"))),
        Kind::Create => {
            about.push(count(list.items.len(), "exception"));
            about.push(format!("for {}", count(list.rules.len(), "rule")));
        }
        _ => {
            about.extend(list.fields.iter().filter(|_| list.kind == Kind::Update).map(|f| format!("`{f}`")));
            about.push(format!("for {}", count(list.rules.len(), "rule")));
        }
    }
    let (head, about) = (format!("{:4}{word:10}exception list {}", mark(word), list.key.0), about.join(", "));
    let mut out = if head.chars().count() + about.chars().count() + 3 <= WIDTH {
        vec![format!("{head}   {about}")]
    } else {
        vec![head, format!("{:INDENT$}{about}", "")]
    };
    for item in list.items.iter().filter(|i| i.kind != Kind::Same) {
        // the exceptions of a new list are counted, and said in its file
        if list.kind == Kind::Create && item.kind == Kind::Create {
            continue;
        }
        out.push(format!("{:INDENT$}{}", "", item_line(item)));
    }
    if list.kept > 0 && !matches!(list.kind, Kind::Orphan { .. } | Kind::Delete) {
        out.push(format!("{:INDENT$}kept from Kibana: {}", "", count(list.kept, "exception")));
    }
    out
}

fn item_line(item: &ItemChange) -> String {
    let name = one_line(&item.name);
    let rest = match &item.kind {
        Kind::Update => format!(": {}", item.fields.join(", ")),
        Kind::Conflict { reason, .. } => format!(": {reason}; left alone"),
        Kind::Kept => ": edited in Kibana, and left so".to_owned(),
        Kind::Orphan { reason } => format!(": {reason}"),
        _ => String::new(),
    };
    format!("{} {} `{name}`{rest}", item.kind.mark(), item.kind.word())
}

/// Exceptions that turned out to need a person after the plan.
pub fn late(applied: &ListsApplied) -> Vec<String> {
    let line = |(list, item): &(String, ItemChange)| {
        format!("{:4}{:10}exception list {list}   {}", "!", "conflict", item_line(item))
    };
    applied.conflicts.iter().map(line).collect()
}

/// What failed, as findings.
pub fn failures(applied: &ListsApplied) -> Vec<Diagnostic> {
    let finding = |f: &NotWritten| {
        let item = f.item.as_ref().map(|i| format!(", `{}`", one_line(i))).unwrap_or_default();
        Diagnostic::new(Code::RP0912, format!("exception list `{}`{item}: {}", f.list, f.message))
    };
    applied.failed.iter().map(finding).collect()
}

/// `2 exception lists`, or `1 exception list`, for a verdict.
pub fn noun(n: usize) -> String {
    count(n, "exception list")
}

/// The lists as JSON. Of what an exception says only the names of its properties are told: whom it excepts
/// may be confidential.
pub fn json(plan: &ListPlan) -> (Value, Value) {
    let item = |i: &ItemChange| {
        let mut out = json!({ "id": i.id, "name": i.name, "change": i.kind.word(), "fields": i.fields });
        if let (Kind::Conflict { reason, .. } | Kind::Orphan { reason }, Some(map)) =
            (&i.kind, out.as_object_mut())
        {
            map.insert("reason".into(), json!(reason));
        }
        out
    };
    let list = |l: &ListChange| {
        let mut out = json!({
            "list": { "id": l.key.0, "namespace": l.key.1 },
            "change": l.word(),
            "fields": if l.kind == Kind::Update { l.fields.clone() } else { Vec::new() },
            "items": l.items.iter().filter(|i| i.kind != Kind::Same).map(item).collect::<Vec<_>>(),
            "kept": l.kept,
            "rules": l.rules,
        });
        if let (Kind::Orphan { reason }, Some(map)) = (&l.kind, out.as_object_mut()) {
            map.insert("reason".into(), json!(reason));
        }
        out
    };
    let values = |v: &ValuesChange| {
        let word = match (v.is_new, v.writes()) {
            (true, _) => "create",
            (_, true) => "update",
            _ => "same",
        };
        json!({ "id": v.id, "type": v.kind, "change": word, "added": v.added.len(), "kept": v.kept })
    };
    (
        plan.lists.iter().filter(|l| l.word() != "same").map(list).collect(),
        plan.values.iter().filter(|v| v.writes()).map(values).collect(),
    )
}

/// What came of the lists, as JSON.
pub fn applied_json(applied: &ListsApplied) -> Value {
    let failed = |f: &NotWritten| json!({ "list": f.list, "item": f.item, "code": Code::RP0912.to_string(), "message": f.message });
    let conflict = |(list, item): &(String, ItemChange)| json!({ "list": list, "item": item.name });
    json!({
        "written": applied.written,
        "failed": applied.failed.iter().map(failed).collect::<Vec<_>>(),
        "conflicts": applied.conflicts.iter().map(conflict).collect::<Vec<_>>(),
    })
}
