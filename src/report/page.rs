//! A page per rule and a catalogue of all, in Markdown, for the people who answer the alerts.

use crate::lang::resolve::describe;
use crate::pack::{CompiledRule, Config, Expect, TestFile};
use crate::schema::Attack;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where the pages stand below the folder of generated files.
pub const FOLDER: &str = "docs";
/// The catalogue, beside them.
pub const CATALOGUE: &str = "catalog.md";

/// The catalogue and the pages, by their paths below the folder of generated files.
pub fn pages(rules: &[CompiledRule], tests: &[TestFile], config: &Config) -> BTreeMap<String, Vec<u8>> {
    let cases = |r: &CompiledRule| tests.iter().find(|t| t.name == r.rule.name);
    let mut out: BTreeMap<String, Vec<u8>> = rules
        .iter()
        .map(|r| (format!("{FOLDER}/{}.md", r.rule.name), page(r, cases(r), config).into_bytes()))
        .collect();
    out.insert(CATALOGUE.to_owned(), catalogue(rules, tests, config).into_bytes());
    out
}

fn catalogue(rules: &[CompiledRule], tests: &[TestFile], config: &Config) -> String {
    let mut out = format!("# {}\n\n{}.\n", config.name, count(rules.len(), "rule"));
    let mut folders: BTreeMap<&str, Vec<&CompiledRule>> = BTreeMap::new();
    for rule in rules {
        let folder = rule.rule.name.rsplit_once('/').map_or("", |(f, _)| f);
        folders.entry(folder).or_default().push(rule);
    }
    for (folder, rules) in folders {
        if !folder.is_empty() {
            let _ = write!(out, "\n## {folder}\n");
        }
        out.push_str("\n| rule | severity | type | ATT&CK | tests |\n|---|---|---|---|---|\n");
        for r in rules {
            let rule = &r.rule;
            let n = tests.iter().find(|t| t.name == rule.name).map_or(0, |t| t.cases.len());
            let risk = rule.risk_score().map_or_else(String::new, |r| format!(" {r}"));
            let mut ids: Vec<String> = techniques(rule.json()).into_iter().map(|t| t.0).collect();
            ids.sort();
            ids.dedup();
            let _ = writeln!(
                out,
                "| [{}]({FOLDER}/{}.md) | {}{risk} | {} | {} | {n} |",
                cell(rule.title()),
                rule.name,
                rule.severity(),
                rule.kind.name(),
                ids.join(", ")
            );
        }
    }
    out
}

fn page(r: &CompiledRule, tests: Option<&TestFile>, config: &Config) -> String {
    let rule = &r.rule;
    let mut out = format!("# {}\n\n", rule.title());
    let risk = rule.risk_score().map_or_else(String::new, |r| format!(", risk score {r}"));
    let _ = writeln!(
        out,
        "`{}` · {} · severity {}{risk} · `{}`\n",
        rule.name,
        rule.kind.name(),
        rule.severity(),
        rule.rule_id()
    );
    let _ = writeln!(out, "{}\n", rule.description().split_whitespace().collect::<Vec<_>>().join(" "));
    if let Some(query) = &rule.query {
        let language = rule.language.map_or("", |l| match l {
            crate::lang::Language::Kql => "kql",
            crate::lang::Language::Lucene => "lucene",
            crate::lang::Language::Eql => "eql",
            crate::lang::Language::Esql => "esql",
        });
        let text = query.text().trim();
        let fence = if text.contains("```") { "~~~~" } else { "```" };
        let _ = write!(out, "## Query\n\n{fence}{language}\n{text}\n{fence}\n\n");
    }
    let index = rule.index().iter().map(|i| format!("`{i}`")).collect::<Vec<_>>().join(", ");
    if !index.is_empty() {
        let _ = writeln!(
            out,
            "Looks at {index}, every {}, over {} to {}.\n",
            rule.interval(),
            rule.from(),
            rule.to()
        );
    }
    let terms = rule.new_terms_fields();
    if !terms.is_empty() {
        let names = terms.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(" and ");
        let since = rule.history_window_start().unwrap_or_default();
        let _ = writeln!(out, "Alerts on the first event of each new value of {names} since {since}.\n");
    }
    fields(r, config, &mut out);
    let found = techniques(rule.json());
    if !found.is_empty() {
        out.push_str("## ATT&CK\n\n");
        for (id, name, tactic) in found {
            let _ = writeln!(out, "- {tactic}: {id} {name}");
        }
        out.push('\n');
    }
    cases(tests, &mut out);
    list("False positives", rule.json().get("false_positives"), &mut out);
    if let Some(note) = rule.note() {
        let _ = write!(out, "{}\n\n", note.trim());
    }
    list("References", rule.json().get("references"), &mut out);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn fields(r: &CompiledRule, config: &Config, out: &mut String) {
    let schema = r.schema(config);
    let mut names: Vec<&str> =
        r.fields.iter().filter(|f| f.span.end > f.span.start).map(|f| f.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return;
    }
    out.push_str("## Fields\n\n| field | type |\n|---|---|\n");
    for name in names {
        let kind =
            schema.resolve(name).map_or_else(|| "not in a catalogue".to_owned(), |f| describe(f.field));
        let _ = writeln!(out, "| `{name}` | {kind} |");
    }
    out.push('\n');
}

fn cases(tests: Option<&TestFile>, out: &mut String) {
    let Some(tests) = tests.filter(|t| !t.cases.is_empty()) else { return };
    out.push_str("## Tests\n\n| case | alerts |\n|---|---|\n");
    for case in &tests.cases {
        let expected = match (&case.expect, &case.todo) {
            (_, Some(todo)) => format!("known gap: {todo}"),
            (Some(expect), None) => Expect::count(expect).to_string(),
            (None, None) => String::new(),
        };
        let _ = writeln!(out, "| {} | {} |", cell(&case.name), cell(&expected));
    }
    out.push('\n');
}

fn list(title: &str, items: Option<&Value>, out: &mut String) {
    let items: Vec<&str> =
        items.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if items.is_empty() {
        return;
    }
    let _ = write!(out, "## {title}\n\n");
    for item in items {
        let _ = writeln!(out, "- {}", item.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    out.push('\n');
}

/// Id, name and tactic of each technique that a rule names, the most specific entry of each branch.
fn techniques(rule: &Value) -> Vec<(String, String, String)> {
    let array = |v: &Value, key: &str| v.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut out = Vec::new();
    for threat in array(rule, "threat") {
        let tactic = threat.get("tactic").map_or_else(String::new, |t| {
            let id = text(t, "id");
            Attack::get().entry(&id).map_or_else(|| text(t, "name"), |e| e.name.to_owned())
        });
        for technique in array(&threat, "technique") {
            let below = array(&technique, "subtechnique");
            let entries = if below.is_empty() { vec![technique.clone()] } else { below };
            out.extend(entries.iter().map(|e| (text(e, "id"), text(e, "name"), tactic.clone())));
        }
    }
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
