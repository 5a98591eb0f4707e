//! Findings and cases as JUnit's XML: rules are the cases of `validate`, test cases those of `test`.

use super::{Run, concise};
use crate::diag::{Diagnostic, Severity};
use crate::trial::{CaseResult, Outcome};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// The report; text that XML cannot hold is left out.
///
/// # Errors
/// In words, when it cannot be written, which only a bug in the writer would cause.
pub fn junit(run: &Run<'_>) -> Result<String, String> {
    let mut report = Report::new(format!("rulepack {}", run.command));
    if !run.rules.is_empty() {
        report.add_test_suite(checked(run));
    }
    if !run.cases.is_empty() {
        let mut suite = TestSuite::new("test");
        for c in run.cases {
            suite.add_test_case(case(c, run.show_values));
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|e| e.to_string())
}

fn checked(run: &Run<'_>) -> TestSuite {
    let mut suite = TestSuite::new("validate");
    for rule in &run.rules {
        let of_rule: Vec<&Diagnostic> = run
            .findings
            .iter()
            .filter(|d| d.source.as_ref().is_some_and(|s| s.name() == rule.file))
            .collect();
        suite.add_test_case(judged(&rule.name, &of_rule));
    }
    let elsewhere: Vec<&Diagnostic> = run
        .findings
        .iter()
        .filter(|d| d.source.as_ref().is_none_or(|s| !run.rules.iter().any(|r| r.file == s.name())))
        .collect();
    if !elsewhere.is_empty() {
        suite.add_test_case(judged("the pack", &elsewhere));
    }
    suite
}

/// A rule as a case: it fails when it has an error; warnings and notes are its output.
fn judged(name: &str, found: &[&Diagnostic]) -> TestCase {
    let lines = |severity: &dyn Fn(Severity) -> bool| -> Vec<String> {
        found.iter().filter(|d| severity(d.severity)).map(|d| concise(d)).collect()
    };
    let errors = lines(&|s| s == Severity::Error);
    let rest = lines(&|s| s != Severity::Error);
    let status = match errors.first() {
        None => TestCaseStatus::success(),
        Some(_) => {
            let first = found.iter().find(|d| d.severity == Severity::Error);
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(first.map_or("", |d| d.message.as_str()))
                .set_type(first.map(|d| d.code.to_string()).unwrap_or_default())
                .set_description(errors.join("\n"));
            status
        }
    };
    let mut case = TestCase::new(name, status);
    case.set_classname("validate");
    if !rest.is_empty() {
        case.set_system_out(rest.join("\n"));
    }
    case
}

fn case(c: &CaseResult, values: bool) -> TestCase {
    let status = match &c.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Todo(todo) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("known gap: {todo}"));
            status
        }
        outcome => {
            let kind = match outcome {
                Outcome::Broken(_) => NonSuccessKind::Error,
                _ => NonSuccessKind::Failure,
            };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_message(outcome.sentence(values).unwrap_or_default());
            status.set_type("RP0708");
            status.set_description(super::markdown::explained(c, values).join("\n"));
            status
        }
    };
    let mut case = TestCase::new(c.case.as_str(), status);
    case.set_classname(c.rule.as_str());
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::run::tests::{cases, run};

    #[test]
    fn the_report_is_read_back_with_its_counts() {
        let cases = cases();
        let text = junit(&run(&cases)).unwrap();
        let read = Report::deserialize_from_str(&text).unwrap();
        assert_eq!((read.tests, read.failures, read.errors), (7, 2, 1), "{text}");
        let names: Vec<&str> = read.test_suites.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["validate", "test"]);
        let case = &read.test_suites[1].test_cases[1];
        assert_eq!(case.name.as_str(), "fails & <shows>");
        assert!(matches!(case.status, TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. }));
        assert!(matches!(read.test_suites[1].test_cases[2].status, TestCaseStatus::Skipped { .. }));
        // what XML cannot hold is not in it
        assert!(!text.contains('\u{7}'));
    }
}
