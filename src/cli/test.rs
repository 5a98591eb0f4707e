//! `rulepack test`: runs the test cases of rules.

use super::Exit;
use super::pack::{Opened, Selection, open};
use super::terminal::{Terminal, count, duration};
use crate::diag::{Code, Diagnostic, Severity};
use crate::pack::CompiledRule;
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
rulepack test --format github")]
pub struct TestArgs {
    #[command(flatten)]
    selection: Selection,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    /// Write today's outcome into the tests (not supported yet)
    #[arg(long)]
    accept: bool,
    /// Only the cases that failed last (not supported yet)
    #[arg(long)]
    failed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Text,
    Json,
    Github,
}

/// What the tests gave.
pub struct Tested {
    /// The cases.
    pub results: Results,
    /// Findings in test files.
    pub found: Vec<Diagnostic>,
    /// Rules without a case.
    pub untested: Vec<String>,
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

/// Runs the tests of compiled rules.
pub fn run_tests(opened: &Opened, rules: &[CompiledRule]) -> Tested {
    let files = opened.files();
    let (tests, mut found) = opened.pack.tests(&files);
    found.extend(tests.iter().flat_map(|t| t.diagnostics.iter().cloned()));
    crate::diag::sort(&mut found);
    let fixtures = opened.pack.shown(&opened.pack.config.fixtures);
    let results = trial::run(rules, &tests, &fixtures);
    let untested = rules
        .iter()
        .filter(|r| {
            !tests.iter().any(|t| t.name == r.rule.name && !(t.cases.is_empty() && t.diagnostics.is_empty()))
        })
        .map(|r| r.rule.name.clone())
        .collect();
    Tested { results, found, untested }
}

/// Runs the command.
pub fn run(args: TestArgs, terminal: &mut Terminal) -> Exit {
    for (given, flag) in [(args.accept, "--accept"), (args.failed, "--failed")] {
        if given {
            terminal.complain(&Diagnostic::new(Code::RP9001, format!("`{flag}` is not supported yet")));
            return Exit::Findings;
        }
    }
    let opened = match open(&args.selection.all(), terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let started = Instant::now();
    let rules = opened.compile();
    let tested = run_tests(&opened, &rules);
    let took = started.elapsed();
    let failed = tested.bad() + broken_rules(&tested, &rules).len();
    match args.format {
        Answers::Json => terminal.line(&as_json(&tested).to_string()),
        Answers::Github => {
            terminal.findings(&tested.found, crate::render::Format::Github);
            annotate_failures(&tested, terminal);
        }
        Answers::Text => {
            terminal.findings(&tested.found, crate::render::Format::Text);
            if terminal.verbose {
                for case in tested.results.cases.iter().filter(|c| !c.outcome.is_bad()) {
                    let word = if matches!(case.outcome, Outcome::Todo(_)) { "todo" } else { "ok  " };
                    terminal.line(&format!("{word}  {} · {}", case.rule, case.case));
                }
            }
            print_failures(&tested, terminal);
        }
    }
    let not_run = not_run_lines(&tested, &rules);
    if args.format == Answers::Text {
        not_run.iter().for_each(|l| terminal.line(l));
    } else {
        not_run.iter().for_each(|l| terminal.remark(l));
    }
    let verdict = verdict(&tested, failed, took, opened.pack.config.tests.as_str());
    if args.format == Answers::Text {
        verdict.iter().for_each(|l| terminal.line(l))
    } else {
        verdict.iter().for_each(|l| terminal.remark(l))
    }
    if failed > 0 { Exit::Findings } else { Exit::Fine }
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

/// The failed cases as annotations.
pub fn annotate_failures(tested: &Tested, terminal: &mut Terminal) {
    for case in tested.results.cases.iter().filter(|c| c.outcome.is_bad()) {
        terminal.line(&annotation(case));
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

fn annotation(c: &CaseResult) -> String {
    let text = match &c.outcome {
        Outcome::Failed(f) => f.summary.clone(),
        Outcome::TodoPasses(todo) => format!("the known gap {todo} is closed; take `todo` out of the case"),
        Outcome::Broken(why) => format!("could not be judged: {why}"),
        Outcome::Passed | Outcome::Todo(_) => String::new(),
    };
    let text = text.replace('%', "%25").replace('\n', "%0A");
    format!(
        "::error file={},line={},title={}%3A failed test::{} · {}: {text}",
        c.file,
        c.line,
        Code::RP0708,
        c.rule,
        c.case
    )
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
