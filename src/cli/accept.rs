//! `rulepack test --accept`: writes today's outcome into the test files, comments and order kept, and shows
//! the difference.

use super::Exit;
use super::pack::Opened;
use super::terminal::{Terminal, count};
use super::test::Tested;
use crate::pack::{Expect, TestFile};
use crate::trial::{Came, CaseResult, Outcome, short};
use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};

/// Writes the outcome of each failed case into its file.
pub fn run(opened: &Opened, tested: &Tested, terminal: &mut Terminal) -> Exit {
    let (mut cases, mut files, mut left) = (0, 0, 0);
    for file in &tested.files {
        let changed: Vec<&CaseResult> = tested
            .results
            .cases
            .iter()
            .filter(|c| c.rule == file.name)
            .filter(|c| matches!(c.outcome, Outcome::Failed(_) | Outcome::TodoPasses(_)))
            .collect();
        if changed.is_empty() {
            continue;
        }
        let name = file.source.name();
        let text = match accepted(file, &changed) {
            Ok(text) => text,
            Err(why) => {
                terminal.note(&format!("error: {name}: {why}"));
                left += changed.len();
                continue;
            }
        };
        let diff = similar::TextDiff::from_lines(file.source.text(), text.as_str());
        terminal.raw(&diff.unified_diff().context_radius(2).header(name, name).to_string());
        let path = opened.pack.root.join(&opened.pack.config.tests).join(format!("{}.toml", file.name));
        if std::fs::read(&path).ok().as_deref() != Some(file.source.text().as_bytes()) {
            terminal.note(&format!("error: {name} has changed meanwhile, so it was left alone"));
            left += changed.len();
            continue;
        }
        if let Err(why) = super::files::write(&path, text.as_bytes()) {
            terminal.note(&format!("error: {name}: {why}"));
            left += changed.len();
            continue;
        }
        cases += changed.len();
        files += 1;
    }
    let broken = tested.results.count(|o| matches!(o, Outcome::Broken(_))) + tested.errors();
    if cases > 0 {
        terminal.line("");
    }
    if broken + left + tested.results.not_run.len() > 0 {
        let rest = broken + left + tested.results.not_run.len();
        terminal.line(&format!(
            "failed: {} written in {}, {rest} could not be judged or written",
            count(cases, "case"),
            count(files, "file")
        ));
        terminal.line("        rulepack test");
        return Exit::Findings;
    }
    if cases == 0 {
        terminal.line("ok: nothing to write, every case is as expected");
    } else {
        terminal.line(&format!(
            "ok: {} written in {}, for you to review",
            count(cases, "case"),
            count(files, "file")
        ));
    }
    Exit::Fine
}

/// The text of a test file with the outcome of some cases.
fn accepted(file: &TestFile, changed: &[&CaseResult]) -> Result<String, String> {
    let text = file.source.text();
    let mut document: DocumentMut =
        text.parse().map_err(|_| "it is no TOML that can be edited".to_owned())?;
    for c in changed {
        let i = file.cases.iter().position(|case| case.name == c.case);
        let (Some(i), Some(case)) = (i, i.and_then(|i| file.cases.get(i))) else { continue };
        let table =
            case_table(&mut document, i).ok_or_else(|| format!("the case `{}` was not found", c.case))?;
        if matches!(c.outcome, Outcome::TodoPasses(_)) {
            table.remove("todo");
            continue;
        }
        set(table, "expect", expectation(&c.came, case.expect.as_ref()));
    }
    let mut out = document.to_string();
    // the editor writes plain line ends
    if text.contains("\r\n") {
        out = out.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    Ok(out)
}

/// The table of a case, written as `[[case]]` or within an array.
fn case_table(document: &mut DocumentMut, i: usize) -> Option<&mut dyn TableLike> {
    match document.get_mut("case")? {
        Item::ArrayOfTables(tables) => tables.get_mut(i).map(|t| t as &mut dyn TableLike),
        Item::Value(Value::Array(array)) => {
            array.get_mut(i)?.as_inline_table_mut().map(|t| t as &mut dyn TableLike)
        }
        _ => None,
    }
}

/// Sets a value where it stands, with the comment behind it, or else at the end of the table.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => {
            table.remove(key);
            table.insert(key, Item::Value(value));
        }
    }
}

/// What came, written as the expectation was: a number stays one, groups are named where they were.
fn expectation(came: &[Came], before: Option<&Expect>) -> Value {
    let number = matches!(before, Some(Expect::Count(n)) if *n > 0);
    if came.is_empty() || number {
        return Value::from(i64::try_from(came.len()).unwrap_or(i64::MAX));
    }
    let grouped =
        matches!(before, Some(Expect::Alerts(alerts)) if alerts.iter().any(|a| !a.group.is_empty()));
    let all: Vec<&str> = came.iter().flat_map(|c| c.events.iter().map(String::as_str)).collect();
    let mut out = Array::new();
    for alert in came {
        let mut row = InlineTable::new();
        let ids: Array = alert.events.iter().map(|id| shortest(id, &all)).collect();
        row.insert("events", Value::Array(ids));
        if grouped && !alert.group.is_empty() {
            let group: InlineTable = alert
                .group
                .iter()
                .map(|(name, value)| (name.as_str(), Value::from(value.as_str())))
                .collect();
            row.insert("group", Value::InlineTable(group));
        }
        out.push(Value::InlineTable(row));
    }
    Value::Array(out)
}

/// The id, shortened where that still tells it from the others.
fn shortest<'a>(id: &'a str, all: &[&str]) -> &'a str {
    let brief = short(id);
    if all.iter().any(|other| *other != id && other.starts_with(brief)) { id } else { brief }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Failure;

    const ID: &str = "b738a34f-42c1-42d6-a43c-c82c36688ea0";

    fn accept(text: &str, case: &str, outcome: Outcome, came: Vec<Came>, before: Option<Expect>) -> String {
        let source = std::sync::Arc::new(crate::source::Source::new("t.toml", text));
        let names: Vec<String> = text
            .lines()
            .filter_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"').map(str::to_owned))
            .collect();
        let cases = names
            .iter()
            .map(|n| crate::pack::Case {
                name: n.clone(),
                span: Default::default(),
                at: None,
                history: Vec::new(),
                events: Vec::new(),
                expect: before.clone(),
                expect_span: Default::default(),
                supplied: Default::default(),
                todo: None,
            })
            .collect();
        let file = TestFile { name: "a".into(), source, cases, diagnostics: Vec::new() };
        let result = CaseResult {
            rule: "a".into(),
            case: case.into(),
            file: "t.toml".into(),
            line: 1,
            outcome,
            events: 1,
            came,
        };
        accepted(&file, &[&result]).unwrap()
    }

    fn failed() -> Outcome {
        Outcome::Failed(Box::<Failure>::default())
    }

    fn came(group: &[(&str, &str)]) -> Vec<Came> {
        let group = group.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        vec![Came { events: vec![ID.to_owned()], group }]
    }

    #[test]
    fn only_the_expectation_changes_and_comments_stay() {
        let text = "# head\n[[case]]\nname = \"one\"\nexpect = 0 # why\n\n# next\n[[case]]\nname = \"two\"\nexpect   =   0   # because\nevents = [\n  \"a.json\", # this\n]\n";
        let out = accept(text, "two", failed(), came(&[]), Some(Expect::Count(0)));
        assert_eq!(
            out,
            text.replace("expect   =   0   # b", "expect   =   [{ events = [\"b738a34f\"] }]   # b")
        );
    }

    #[test]
    fn line_ends_stay_as_they_are() {
        let text = "[[case]]\r\nname = \"one\"\r\nexpect = 3\r\n";
        let source = text.replace("\r\n", "\n");
        let out = accept(&source, "one", failed(), came(&[]), Some(Expect::Count(3)));
        assert_eq!(out, "[[case]]\nname = \"one\"\nexpect = 1\n");
        let file = TestFile {
            name: "a".into(),
            source: std::sync::Arc::new(crate::source::Source::new("t.toml", text)),
            cases: Vec::new(),
            diagnostics: Vec::new(),
        };
        assert_eq!(accepted(&file, &[]).unwrap(), text);
    }

    #[test]
    fn tables_of_expectations_become_one_value_and_groups_stay() {
        let text = "[[case]]\nname = \"one\"\n[[case.expect]]\nevents = [\"x\"]\n[case.expect.group]\n\"user.name\" = \"a\"\n";
        let before = Expect::Alerts(vec![crate::pack::ExpectedAlert {
            events: vec!["x".into()],
            group: vec![("user.name".into(), "a".into())],
            span: Default::default(),
        }]);
        let out = accept(text, "one", failed(), came(&[("user.name", "b\"c")]), Some(before));
        let read: toml::Table = toml::from_str(&out).unwrap();
        let alert = &read["case"][0]["expect"][0];
        assert_eq!(alert["events"][0].as_str(), Some("b738a34f"));
        assert_eq!(alert["group"]["user.name"].as_str(), Some("b\"c"), "{out}");
    }

    #[test]
    fn a_gap_that_is_closed_loses_its_todo() {
        let text = "[[case]]\nname = \"one\"\ntodo = \"SOC-1\"\nexpect = 0\n";
        let out =
            accept(text, "one", Outcome::TodoPasses("SOC-1".into()), Vec::new(), Some(Expect::Count(0)));
        assert_eq!(out, "[[case]]\nname = \"one\"\nexpect = 0\n");
    }

    #[test]
    fn ids_are_only_shortened_where_that_tells_them_apart() {
        let other = "b738a34f-0000-42d6-a43c-c82c36688ea0";
        assert_eq!(shortest(ID, &[ID, other]), ID);
        assert_eq!(shortest(ID, &[ID, ID]), "b738a34f");
    }
}
