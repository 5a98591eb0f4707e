//! `rulepack ci`: validate, test and generate --check, one summary, one exit code.

use super::Exit;
use super::pack::{RulesFlag, open};
use super::terminal::{Terminal, count, duration};
use super::{generate, test, validate};
use crate::diag::Severity;
use crate::render::Format;
use crate::trial::Outcome;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::time::Instant;

/// Validate, test and compare generated files
///
/// What a pipeline runs on every pull request: one table, the findings, one exit code. Without input and
/// without network.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack ci\n  rulepack ci --format github")]
pub struct CiArgs {
    #[command(flatten)]
    rules: RulesFlag,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Text,
    Json,
    Github,
}

/// Runs the command.
pub fn run(args: CiArgs, terminal: &mut Terminal) -> Exit {
    let begun = Instant::now();
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
    let tested = test::run_tests(&opened, &validated.rules);
    let test_took = started.elapsed();
    let bad_cases = tested.results.count(Outcome::is_bad);
    let test_errors = tested.errors();

    let started = Instant::now();
    let compared = generate::compare(&opened, &validated.rules);
    let generate_took = started.elapsed();
    let refused = compared.generated.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let stale = compared.check.as_ref().map_or(0, |c| c.stale.len() + c.missing.len() + c.extra.len());

    let validate_result = match (errors, warnings) {
        (0, 0) => "no findings".to_owned(),
        (0, w) => count(w, "warning"),
        (e, _) => count(e, "error"),
    };
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
    match args.format {
        Answers::Text => {
            if !terminal.quiet {
                for (verb, what, result, took) in &rows {
                    terminal
                        .line(&format!("  {verb:10} {what:left$} {result:right$} {:>6}", duration(*took)));
                }
                for line in test::not_run_lines(&tested, &validated.rules) {
                    terminal.line(&format!("             {line}"));
                }
                if !tested.untested.is_empty() {
                    terminal.line(&format!(
                        "             {} without a test",
                        count(tested.untested.len(), "rule")
                    ));
                }
                terminal.line("");
            }
            terminal.findings(&validated.diagnostics, Format::Text);
            terminal.findings(&tested.found, Format::Text);
            test::print_failures(&tested, terminal);
            terminal.findings(&compared.generated.diagnostics, Format::Text);
        }
        Answers::Github => {
            terminal.findings(&validated.diagnostics, Format::Github);
            terminal.findings(&tested.found, Format::Github);
            test::annotate_failures(&tested, terminal);
            terminal.findings(&compared.generated.diagnostics, Format::Github);
            if stale > 0 {
                terminal.line(&format!(
                    "::error title=RP0709%3A stale generated file::{}: run `rulepack generate`",
                    count(stale, "file")
                ));
            }
        }
        Answers::Json => {
            let check = compared.check.as_ref();
            terminal.line(
                &json!({
                    "ok": !failed,
                    "validate": {
                        "rules": validated.files,
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
                .to_string(),
            );
        }
    }
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
        if stale > 0 {
            lines.push("        rulepack generate".to_owned());
        }
        lines
    } else {
        let verb = if validated.files == 1 { "is" } else { "are" };
        let what = if compared.check.is_some() { "valid, tested and generated" } else { "valid and tested" };
        vec![format!(
            "ok: {} {verb} {what} in {:.2} s",
            count(validated.files, "rule"),
            begun.elapsed().as_secs_f64()
        )]
    };
    for line in lines {
        if text { terminal.line(&line) } else { terminal.note(&line) }
    }
    if failed { Exit::Findings } else { Exit::Fine }
}
