//! `rulepack ci`: validate, test and generate --check, one summary, one exit code.

use super::Exit;
use super::pack::{Opened, RulesFlag, open};
use super::report::{self, ReportFormat, Reports};
use super::terminal::{Terminal, count, duration};
use super::test::Tested;
use super::{generate, test, validate};
use crate::diag::{Code, Diagnostic, Severity};
use crate::lint::Validation;
use crate::render::{Format, Run, Step};
use crate::trial::Outcome;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::time::{Duration, Instant};

/// Validate, test and compare generated files
///
/// What a pipeline runs on every pull request: one table, the findings, one exit code. Without input and
/// without network.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack ci\n  rulepack ci --format github --report sarif=rulepack.sarif --report junit=rulepack.xml"
)]
pub struct CiArgs {
    #[command(flatten)]
    rules: RulesFlag,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    #[command(flatten)]
    reports: Reports,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Text,
    Json,
    Markdown,
    Github,
    Gitlab,
    Sarif,
    Junit,
}

impl Answers {
    fn report(self) -> Option<ReportFormat> {
        Some(match self {
            Answers::Text => return None,
            Answers::Json => ReportFormat::Json,
            Answers::Markdown => ReportFormat::Markdown,
            Answers::Github => ReportFormat::Github,
            Answers::Gitlab => ReportFormat::Gitlab,
            Answers::Sarif => ReportFormat::Sarif,
            Answers::Junit => ReportFormat::Junit,
        })
    }
}

/// Runs the command.
pub fn run(args: CiArgs, terminal: &mut Terminal) -> Exit {
    let begun = Instant::now();
    let reports = args.reports.here();
    let opened = match open(&args.rules.rules, terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let text = args.format == Answers::Text;
    if text && !terminal.quiet {
        terminal.line(&opened.headline());
        terminal.line("");
    }
    let started = Instant::now();
    let validated = validate::check(&opened);
    let validate_took = started.elapsed();
    let errors = validated.count(Severity::Error);
    let warnings = validated.count(Severity::Warning);

    let started = Instant::now();
    let tested = test::run_tests(&opened, &validated.rules, &|_, _| true);
    let test_took = started.elapsed();
    super::memory::write(&opened, &tested.results, terminal);
    let bad_cases = tested.results.count(Outcome::is_bad);
    let test_errors = tested.errors();

    let started = Instant::now();
    let compared = generate::compare(&opened, &validated.rules);
    let generate_took = started.elapsed();
    let refused = compared.generated.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let stale = compared.check.as_ref().map_or(0, |c| c.stale.len() + c.missing.len() + c.extra.len());

    let mut validate_result = match (errors, warnings) {
        (0, 0) if validated.known > 0 => "nothing new".to_owned(),
        (0, 0) => "no findings".to_owned(),
        (0, w) => count(w, "warning"),
        (e, _) => count(e, "error"),
    };
    if validated.known > 0 {
        validate_result.push_str(&format!(", {} known", validated.known));
    }
    let passed = tested.results.count(|o| matches!(o, Outcome::Passed));
    let todo = tested.results.count(|o| matches!(o, Outcome::Todo(_)));
    let test_result = match (test_errors, bad_cases) {
        (0, 0) if todo > 0 => format!("{passed} passed, {todo} todo"),
        (0, 0) => format!("{passed} passed"),
        (0, n) => format!("{n} failed"),
        (e, _) => count(e, "error"),
    };
    let generate_result = match &compared.check {
        _ if refused > 0 => count(refused, "error"),
        None => "no folder, nothing is kept".to_owned(),
        Some(_) if stale == 0 => "up to date".to_owned(),
        Some(_) => format!("{} {} stale", count(stale, "file"), if stale == 1 { "is" } else { "are" }),
    };
    let emitted = compared.generated.files.keys().filter(|f| f.ends_with(".json")).count();
    let events = usize::try_from(tested.results.events()).unwrap_or(usize::MAX);
    let rows = [
        (
            "validate",
            format!(
                "{} on {}",
                count(validated.files, "rule"),
                count(opened.pack.config.stacks.len(), "stack")
            ),
            validate_result,
            validate_took,
        ),
        (
            "test",
            format!(
                "{}, {}, {}",
                count(tested.results.rules, "rule"),
                count(tested.results.cases.len(), "case"),
                count(events, "event")
            ),
            test_result,
            test_took,
        ),
        ("generate", count(emitted, "rule"), generate_result, generate_took),
    ];
    let left = rows.iter().map(|r| r.1.len()).max().unwrap_or(0).max(31);
    let right = rows.iter().map(|r| r.2.len()).max().unwrap_or(0).max(17);
    let failed = errors + bad_cases + test_errors + refused + stale > 0;
    if text {
        if !terminal.quiet {
            for (verb, what, result, took) in &rows {
                terminal.line(&format!("  {verb:10} {what:left$} {result:right$} {:>6}", duration(*took)));
            }
            for line in remarks(&opened, &validated, &tested) {
                terminal.line(&format!("             {line}"));
            }
            terminal.line("");
        }
        terminal.findings(&validated.diagnostics, Format::Text);
        terminal.findings(&tested.found, Format::Text);
        test::print_failures(&tested, terminal);
        terminal.findings(&compared.generated.diagnostics, Format::Text);
    }
    let json = || {
        let check = compared.check.as_ref();
        json!({
            "ok": !failed,
            "validate": {
                "rules": validated.files,
                "known": validated.known,
                "diagnostics": validated.diagnostics.iter().map(crate::render::diagnostic_json).collect::<Vec<_>>(),
            },
            "test": test::as_json(&tested),
            "generate": {
                "rules": emitted,
                "stale": check.map(|c| c.stale.iter().map(|s| s.path.clone()).collect::<Vec<_>>()),
                "missing": check.map(|c| c.missing.clone()),
                "extra": check.map(|c| c.extra.clone()),
                "diagnostics": compared.generated.diagnostics.iter().map(crate::render::diagnostic_json).collect::<Vec<_>>(),
            },
        })
    };
    let lines = if failed {
        let mut parts = Vec::new();
        if errors + test_errors + refused > 0 {
            parts.push(count(errors + test_errors + refused, "error"));
        }
        if bad_cases > 0 {
            parts.push(count(bad_cases, "test"));
        }
        if stale > 0 {
            parts.push(count(stale, "stale file"));
        }
        let mut lines = vec![format!("failed: {}", parts.join(", "))];
        if let Some(d) = validated.diagnostics.iter().find(|d| d.severity == Severity::Error) {
            let name = d.source.as_ref().and_then(|s| opened.pack.files.iter().find(|f| f.file == s.name()));
            lines.push(
                format!("        rulepack validate {}", name.map_or("", |f| f.name.as_str()))
                    .trim_end()
                    .to_owned(),
            );
        }
        if let Some(c) = tested.results.cases.iter().find(|c| c.outcome.is_bad()) {
            lines.push(format!("        rulepack test {}", c.rule));
        } else if test_errors > 0 {
            lines.push("        rulepack test".to_owned());
        }
        if stale > usize::from(compared.monitors) {
            lines.push("        rulepack generate".to_owned());
        }
        if compared.monitors {
            lines.push("        rulepack generate --for opensearch".to_owned());
        }
        lines
    } else {
        let verb = if validated.files == 1 { "is" } else { "are" };
        let what = if compared.check.is_some() { "valid, tested and generated" } else { "valid and tested" };
        let took = begun.elapsed().as_secs_f64();
        let rules = count(validated.files, "rule");
        vec![match validated.known {
            0 => format!("ok: {rules} {verb} {what} in {took:.2} s"),
            n => format!("ok: nothing new in {rules}, {} known, in {took:.2} s", count(n, "finding")),
        }]
    };
    let mut findings = validated.diagnostics.clone();
    findings.extend(tested.found.iter().cloned());
    findings.extend(compared.generated.diagnostics.iter().cloned());
    if stale > 0 {
        let message =
            format!("{} {} stale", count(stale, "generated file"), if stale == 1 { "is" } else { "are" });
        findings.push(Diagnostic::new(Code::RP0709, message).help("run `rulepack generate`"));
    }
    let step = |(verb, what, result, _): &(&str, String, String, Duration)| Step {
        name: (*verb).to_owned(),
        what: what.clone(),
        result: result.clone(),
    };
    let run = Run {
        command: "ci",
        failed,
        verdict: lines.first().cloned().unwrap_or_default(),
        steps: rows.iter().map(step).collect(),
        findings,
        rules: report::checked_rules(&opened),
        cases: &tested.results.cases,
        alerts: Vec::new(),
        remarks: remarks(&opened, &validated, &tested),
        show_values: reports.show_values,
    };
    if let Some(format) = args.format.report() {
        report::print(format, &run, &json, terminal);
    }
    for line in lines {
        if text { terminal.line(&line) } else { terminal.note(&line) }
    }
    let exit = if failed { Exit::Findings } else { Exit::Fine };
    reports.write(&run, &json, exit, terminal)
}

/// What was not looked at.
fn remarks(opened: &Opened, validated: &Validation, tested: &Tested) -> Vec<String> {
    let mut out = test::not_run_lines(tested, &validated.rules);
    let quiet = validated.quietly_not_run();
    if quiet > 0 {
        let verb = if quiet == 1 { "is" } else { "are" };
        let file = validate::baseline_file(opened);
        let why =
            if validated.known > 0 { format!("known ({file}) or allowed") } else { "allowed".to_owned() };
        out.push(format!("{} {verb} not run because of errors that are {why}", count(quiet, "rule")));
    }
    out.extend(opened.exceptions_elsewhere(&validated.rules));
    if !tested.untested.is_empty() {
        out.push(format!("{} without a test", count(tested.untested.len(), "rule")));
    }
    out
}
