//! What a command found, as the reports need it: one value that every format of a report is made from.

use crate::diag::Diagnostic;
use crate::trial::CaseResult;

/// Where the project's pages are.
pub(super) const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// One step of a command, such as `validate` of `ci`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What was looked at: `15 rules on 2 stacks`.
    pub what: String,
    /// How it ended: `1 error`.
    pub result: String,
}

/// A rule that was checked, found or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRule {
    /// Its name.
    pub name: String,
    /// The path of its file.
    pub file: String,
}

/// How often a rule alerted in a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// The rule's name.
    pub rule: String,
    /// `low` to `critical`.
    pub severity: String,
    /// How many alerts.
    pub alerts: usize,
    /// When the last one was, as people read it.
    pub last: String,
}

/// What a command found.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The verb: `validate`, `test`, `ci`, `replay`.
    pub command: &'static str,
    /// Whether it failed.
    pub failed: bool,
    /// The verdict, as the terminal shows it.
    pub verdict: String,
    /// The steps, where there are several.
    pub steps: Vec<Step>,
    /// The findings, sorted.
    pub findings: Vec<Diagnostic>,
    /// The rules that were checked; none where rules were not.
    pub rules: Vec<CheckedRule>,
    /// The cases that were run.
    pub cases: &'a [CaseResult],
    /// Alerts by rule.
    pub alerts: Vec<AlertRow>,
    /// What else is to be said, a sentence each.
    pub remarks: Vec<String>,
    /// Whether values of events may be shown.
    pub show_values: bool,
}

impl Run<'_> {
    /// The cases that count against the run.
    pub(super) fn failed_cases(&self) -> impl Iterator<Item = &CaseResult> {
        self.cases.iter().filter(|c| c.outcome.is_bad())
    }
}

/// The address of a code's page.
pub(super) fn page(code: crate::diag::Code) -> String {
    format!("{REPOSITORY}/blob/main/docs/codes/{code}.md")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::diag::{Code, Safety, Severity};
    use crate::source::{Source, Span};
    use crate::trial::{Failure, Outcome};
    use std::sync::Arc;

    /// Three findings: one with everything, a warning that says the same twice, and one about the whole.
    pub fn findings() -> Vec<Diagnostic> {
        let source =
            Arc::new(Source::new("rules/a b/ö.toml", "x = 1\nquery = 'é: succes'\nquery = 'é: succes'\n"));
        let text = source.text().to_owned();
        let first = text.find("succes").unwrap();
        let second = text.rfind("succes").unwrap();
        let warning = |at: usize| {
            Diagnostic::new(Code::RP1004, "quoted `*` | <b>\u{7}")
                .at(Span::new(at, at + 6), "")
                .in_source(&source)
        };
        vec![
            Diagnostic::new(Code::RP0501, "this clause can never match")
                .at(Span::new(first, first + 6), "no such value")
                .at(Span::new(0, 1), "because of this")
                .note("allowed are `success` and `failure`")
                .help("did you mean `success`?")
                .fix(Span::new(first, first + 6), "success", Safety::Safe)
                .in_source(&source),
            warning(first),
            warning(second),
            Diagnostic::new(Code::RP0202, "`okta` has no field catalogue").severity(Severity::Note),
        ]
    }

    fn case(name: &str, outcome: Outcome) -> CaseResult {
        CaseResult {
            rule: "aws/a".into(),
            case: name.into(),
            file: "tests/rules/aws/a.toml".into(),
            line: 7,
            outcome,
            events: 1,
            came: Vec::new(),
        }
    }

    pub fn cases() -> Vec<CaseResult> {
        let failure = Failure {
            summary: "expected 1 alert with user.name = SECRET, got none".into(),
            without_values: Some("expected 1 alert with another user.name, got none".into()),
            decision: vec![crate::replay::decision::Line {
                depth: 0,
                clause: "user.name: \"a\"".into(),
                result: false,
                found: Some("the event has \"SECRET\"".into()),
            }],
            terms: vec![("user.name".into(), "SECRET".into())],
            ..Failure::default()
        };
        vec![
            case("passes", Outcome::Passed),
            case("fails & <shows>", Outcome::Failed(Box::new(failure))),
            case("gap", Outcome::Todo("SOC-1".into())),
            case("broken", Outcome::Broken("invalid JSON: SECRET".into())),
        ]
    }

    pub fn run(cases: &[CaseResult]) -> Run<'_> {
        Run {
            command: "ci",
            failed: true,
            verdict: "failed: 1 error".into(),
            steps: vec![Step { name: "validate".into(), what: "2 rules".into(), result: "1 error".into() }],
            findings: findings(),
            rules: vec![
                CheckedRule { name: "a".into(), file: "rules/a b/ö.toml".into() },
                CheckedRule { name: "b".into(), file: "rules/b.toml".into() },
            ],
            cases,
            alerts: Vec::new(),
            remarks: Vec::new(),
            show_values: false,
        }
    }

    #[test]
    fn no_report_shows_values_of_events_unless_asked() {
        let cases = cases();
        let mut run = run(&cases);
        let all = |run: &Run<'_>| {
            [
                super::super::markdown(run),
                super::super::annotations(run).join("\n"),
                super::super::gitlab(run).to_string(),
                super::super::sarif(run).to_string(),
                super::super::junit(run).unwrap(),
            ]
        };
        for text in all(&run) {
            assert!(!text.contains("SECRET"), "{text}");
        }
        run.show_values = true;
        for text in all(&run) {
            assert!(text.contains("SECRET"), "{text}");
        }
    }
}
