//! `rulepack test`: runs the test cases of rules.

use super::Exit;
use super::pack::{Opened, Selection, open};
use super::report::{self, ReportFormat, Reports};
use super::terminal::{Terminal, count, duration};
use super::{accept, memory};
use crate::diag::Code;
use crate::diag::{Diagnostic, Severity};
use crate::pack::{CompiledRule, Profile, TestFile};
use crate::render::Run;
use crate::replay::decision::Line;
use crate::trial::{self, CaseResult, Outcome, Results};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::time::Instant;

/// Run the test cases of rules
///
/// Reads tests/rules/<rule>.toml: events in, expected alerts out. A failing case shows clause by clause
/// why. A `todo` case is a known gap: it must fail, and is an error once it passes.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack test\n  rulepack test aws/iam/saml_provider_updated\n  \
rulepack test --failed\n  rulepack test --target prod\n  rulepack test --accept aws/iam/saml_provider_updated\n  \
rulepack test --format github --report junit=tests.xml\n  rulepack test --profile raw")]
pub struct TestArgs {
    #[command(flatten)]
    selection: Selection,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    /// Write today's outcome into the tests, and show the difference
    #[arg(long)]
    accept: bool,
    /// As this target has the rules: its selection, the exceptions of its overlays
    #[arg(long, value_name = "TARGET", conflicts_with = "accept")]
    target: Option<String>,
    /// Only the cases that failed last
    #[arg(long)]
    failed: bool,
    /// Run the queries of the OpenSearch monitors, over the CloudTrail records of the cases in this shape
    #[arg(long, value_name = "PROFILE", value_parser = super::profiles(), conflicts_with_all = ["accept", "failed"])]
    profile: Option<Profile>,
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

/// What the tests gave.
pub struct Tested {
    /// The cases.
    pub results: Results,
    /// Findings in test files.
    pub found: Vec<Diagnostic>,
    /// Rules without a case.
    pub untested: Vec<String>,
    /// The test files, all their cases included.
    pub files: Vec<TestFile>,
}

impl Tested {
    /// How many things count against the run.
    pub fn bad(&self) -> usize {
        self.results.count(Outcome::is_bad) + self.errors()
    }

    /// Errors in test files.
    pub fn errors(&self) -> usize {
        self.found.iter().filter(|d| d.severity == Severity::Error).count()
    }
}

/// Runs the tests of compiled rules; of those cases only that `wanted` says, by rule and case.
pub fn run_tests(opened: &Opened, rules: &[CompiledRule], wanted: &dyn Fn(&str, &str) -> bool) -> Tested {
    run_profile(opened, rules, wanted, None)
}

/// The same through the monitors of a profile.
fn run_profile(
    opened: &Opened,
    rules: &[CompiledRule],
    wanted: &dyn Fn(&str, &str) -> bool,
    profile: Option<Profile>,
) -> Tested {
    let files = opened.files();
    let (tests, mut found) = opened.pack.tests(&files);
    found.extend(tests.iter().flat_map(|t| t.diagnostics.iter().cloned()));
    crate::diag::sort(&mut found);
    let mut run: Vec<TestFile> = tests.clone();
    run.iter_mut().for_each(|t| t.cases.retain(|c| wanted(&t.name, &c.name)));
    let results = trial::run(&opened.pack, rules, &run, profile);
    let untested = rules
        .iter()
        .filter(|r| {
            !tests.iter().any(|t| t.name == r.rule.name && !(t.cases.is_empty() && t.diagnostics.is_empty()))
        })
        .map(|r| r.rule.name.clone())
        .collect();
    Tested { results, found, untested, files: tests }
}

/// Runs the command.
pub fn run(args: TestArgs, terminal: &mut Terminal) -> Exit {
    if args.profile == Some(Profile::Ocsf) {
        let message = "bringing the records of test cases into OCSF is not supported yet";
        terminal.complain(
            &Diagnostic::new(Code::RP9001, message)
                .help("`rulepack replay --profile ocsf` reads events that are OCSF"),
        );
        return Exit::Findings;
    }
    let reports = args.reports.here();
    let mut opened = match open(&args.selection.all(), terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    if let Err(exit) = opened.at_target(args.target.as_deref(), terminal) {
        return exit;
    }
    let last = memory::read(&opened);
    if args.failed && last.is_empty() {
        terminal.line("ok: no case failed last");
        return Exit::Fine;
    }
    let started = Instant::now();
    let mut rules = opened.compile();
    if args.failed {
        rules.retain(|r| last.iter().any(|(rule, _)| *rule == r.rule.name));
    }
    let wanted = |rule: &str, case: &str| !args.failed || last.contains(&(rule.to_owned(), case.to_owned()));
    let tested = run_profile(&opened, &rules, &wanted, args.profile);
    let took = started.elapsed();
    if args.failed
        && tested.results.cases.is_empty()
        && tested.results.not_run.is_empty()
        && tested.errors() == 0
    {
        terminal.line("ok: no case that failed last is there any more, or selected");
        return Exit::Fine;
    }
    if args.profile.is_none() {
        memory::write(&opened, &tested.results, terminal);
    }
    if args.accept {
        return accept::run(&opened, &tested, terminal);
    }
    let failed = tested.bad() + broken_rules(&tested, &rules).len();
    let mut not_run = not_run_lines(&tested, &rules);
    not_run.extend(opened.exceptions_elsewhere(&rules));
    let verdict = verdict(&tested, failed, took, opened.pack.config.tests.as_str());
    let json = || {
        let mut out = as_json(&tested);
        let Some(map) = out.as_object_mut() else { return out };
        map.insert("target".into(), json!(args.target));
        map.insert("not_applied".into(), json!(opened.exceptions_elsewhere(&rules)));
        if let Some(profile) = args.profile {
            map.insert("profile".into(), profile.name().into());
        }
        out
    };
    let run = Run {
        command: "test",
        failed: failed > 0,
        verdict: verdict.first().cloned().unwrap_or_default(),
        steps: Vec::new(),
        findings: tested.found.clone(),
        rules: Vec::new(),
        cases: &tested.results.cases,
        alerts: Vec::new(),
        remarks: not_run.clone(),
        show_values: reports.show_values,
    };
    match args.format.report() {
        Some(format) => {
            report::print(format, &run, &json, terminal);
            not_run.iter().chain(&verdict).for_each(|l| terminal.remark(l));
        }
        None => {
            terminal.findings(&tested.found, crate::render::Format::Text);
            if terminal.verbose {
                for case in tested.results.cases.iter().filter(|c| !c.outcome.is_bad()) {
                    let word = if matches!(case.outcome, Outcome::Todo(_)) { "todo" } else { "ok  " };
                    terminal.line(&format!("{word}  {} · {}", case.rule, case.case));
                }
            }
            print_failures(&tested, terminal);
            not_run.iter().chain(&verdict).for_each(|l| terminal.line(l));
            let failures = tested.results.count(|o| matches!(o, Outcome::Failed(_)));
            if failures > 0 && args.profile.is_none() {
                terminal.line("        rulepack test --accept      writes the new outcome into the tests, for you to review");
            }
        }
    }
    let exit = if failed > 0 { Exit::Findings } else { Exit::Fine };
    reports.write(&run, &json, exit, terminal)
}

/// Rules with tests that were not run because of their own errors.
fn broken_rules<'t>(tested: &'t Tested, rules: &[CompiledRule]) -> Vec<&'t str> {
    let broken = |name: &str| rules.iter().any(|r| r.rule.name == name && r.has_errors());
    tested.results.not_run.iter().map(|(n, _)| n.as_str()).filter(|n| broken(n)).collect()
}

/// Why some rules were not run.
pub fn not_run_lines(tested: &Tested, rules: &[CompiledRule]) -> Vec<String> {
    let mut out = Vec::new();
    for (name, reason) in &tested.results.not_run {
        let broken = rules.iter().any(|r| r.rule.name == *name && r.has_errors());
        let why = if broken { "because of its error".to_owned() } else { format!("because {reason}") };
        out.push(format!("not run: {name}, {why}"));
    }
    out
}

fn verdict(tested: &Tested, failed: usize, took: std::time::Duration, folder: &str) -> Vec<String> {
    let r = &tested.results;
    let total = r.cases.len();
    let todo = r.count(|o| matches!(o, Outcome::Todo(_)));
    let passed = r.count(|o| matches!(o, Outcome::Passed));
    let mut tail = String::new();
    if todo > 0 {
        tail.push_str(&format!(", {todo} todo"));
    }
    let untested = if tested.untested.is_empty() {
        String::new()
    } else {
        format!(" · {} without a test", count(tested.untested.len(), "rule"))
    };
    if failed == 0 {
        let left_out = r.not_run.len();
        if total == 0 && left_out > 0 {
            return vec![format!(
                "ok: no test case ran, those of {} did not{untested}",
                count(left_out, "rule")
            )];
        }
        if total == 0 {
            return vec![format!("ok: there is no test case in {folder}{untested}")];
        }
        return vec![format!(
            "ok: {} of {} passed{tail} over {} in {}{untested}",
            count(passed, "case"),
            count(r.rules, "rule"),
            count(usize::try_from(r.events()).unwrap_or(usize::MAX), "event"),
            duration(took)
        )];
    }
    let bad = r.count(Outcome::is_bad);
    let mut out = vec![format!(
        "failed: {bad} of {} ({passed} passed{tail}) in {}{untested}",
        count(total, "case"),
        duration(took)
    )];
    if tested.errors() > 0 {
        out = vec![format!(
            "failed: {} in test files, {bad} of {} ({passed} passed{tail}) in {}{untested}",
            count(tested.errors(), "error"),
            count(total, "case"),
            duration(took)
        )];
    }
    if tested.errors() == 0 && bad == 0 {
        let broken = count(failed, "rule");
        let verb = if failed == 1 { "was" } else { "were" };
        return vec![
            format!(
                "failed: {broken} {verb} not run, because of errors ({passed} of {} passed{tail}) in {}{untested}",
                count(total, "case"),
                duration(took)
            ),
            "        rulepack validate".to_owned(),
        ];
    }
    let first = r.cases.iter().find_map(|c| match &c.outcome {
        Outcome::Failed(f) => Some((&c.rule, f.event.as_deref()?)),
        _ => None,
    });
    if let Some((rule, event)) = first {
        out.push(format!("        rulepack explain {rule} {}", trial::short(event)));
    }
    out
}

/// The failed cases for people.
pub fn print_failures(tested: &Tested, terminal: &mut Terminal) {
    for case in tested.results.cases.iter().filter(|c| c.outcome.is_bad()) {
        print_case(case, terminal);
    }
}

fn print_case(c: &CaseResult, terminal: &mut Terminal) {
    terminal.line(&format!("FAIL  {} · {}", c.rule, c.case));
    terminal.line(&format!("  --> {}:{}", c.file, c.line));
    match &c.outcome {
        Outcome::Failed(f) => {
            terminal.line(&format!("  {}", f.summary));
            terminal.line("");
            decision(&f.decision, terminal);
            let width = f.terms.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
            for (name, value) in &f.terms {
                terminal.line(&format!("    {name:width$}   {value}"));
            }
            if let Some(remark) = &f.remark {
                terminal.line(&format!("    {remark}"));
            }
            if !f.course.is_empty() {
                terminal.line("");
                f.course.iter().for_each(|c| terminal.line(&format!("    {c}")));
            }
        }
        Outcome::TodoPasses(todo) => {
            terminal.line(&format!("  this known gap ({todo}) is closed: the case passes"));
            terminal.line("  help: take `todo` out of the case");
        }
        Outcome::Broken(why) => terminal.line(&format!("  could not be judged: {why}")),
        Outcome::Passed | Outcome::Todo(_) => {}
    }
    terminal.line("");
}

/// The clauses, `yes` and `no` before each.
pub fn decision(lines: &[Line], terminal: &mut Terminal) {
    let width = lines
        .iter()
        .filter(|l| l.found.is_some())
        .map(|l| 2 * l.depth + l.clause.chars().count())
        .max()
        .unwrap_or(0)
        .min(56);
    for l in lines {
        let clause = format!("{}{}", "  ".repeat(l.depth), l.clause);
        let word = if l.result { "yes" } else { "no " };
        match &l.found {
            Some(found) => terminal.line(&format!("    {word}  {clause:width$}    {found}")),
            None => terminal.line(&format!("    {word}  {clause}")),
        }
    }
}

/// The cases and findings as one document.
pub fn as_json(tested: &Tested) -> Value {
    let cases: Vec<Value> = tested
        .results
        .cases
        .iter()
        .map(|c| {
            let mut out =
                json!({ "rule": c.rule, "case": c.case, "file": c.file, "line": c.line, "events": c.events });
            let (outcome, message) = match &c.outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed(f) => ("failed", Some(f.summary.clone())),
                Outcome::Todo(t) => ("todo", Some(t.clone())),
                Outcome::TodoPasses(t) => ("todo-passes", Some(t.clone())),
                Outcome::Broken(w) => ("broken", Some(w.clone())),
            };
            if let Some(map) = out.as_object_mut() {
                map.insert("outcome".into(), outcome.into());
                map.insert("message".into(), message.into());
            }
            out
        })
        .collect();
    json!({
        "cases": cases,
        "not_run": tested.results.not_run.iter().map(|(n, w)| json!({ "rule": n, "reason": w })).collect::<Vec<_>>(),
        "untested": tested.untested,
        "diagnostics": tested.found.iter().map(crate::render::diagnostic_json).collect::<Vec<_>>(),
    })
}
