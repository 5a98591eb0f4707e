//! `rulepack explain`: a code's page, a rule in plain words, or why a rule did or did not match an event.

use super::Exit;
use super::pack::{Opened, open};
use super::terminal::{Terminal, count};
use super::test::decision;
use crate::diag::{CODES, Code, Severity, did_you_mean};
use crate::es::date;
use crate::lang::Shape;
use crate::lang::cloudtrail::{Converter, Options};
use crate::lang::rule::{RuleType, length};
use crate::pack::{CompiledRule, TestEvent};
use crate::plan::{FieldId, Occurrence, Plan, Stage};
use crate::replay::course::{Happening, course};
use crate::replay::{Engine, Examined, RunRule, input};
use crate::trial::short;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Explain a code, a rule, or a decision
///
/// CODE: what a diagnostic means, with a bad and a good example. RULE: what the rule asks, in which fields.
/// RULE EVENT: clause by clause, why the rule did or did not match; the event is looked for in INPUT, else
/// in the pack's fixtures and tests. Without arguments, all codes.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack explain RP0501\n  rulepack explain aws/iam/group_deleted\n  \
rulepack explain aws/iam/group_deleted 5b0c2a9e\n  rulepack explain aws/iam/group_deleted 5b0c2a9e AWSLogs/")]
pub struct ExplainArgs {
    /// A code or a rule
    #[arg(value_name = "CODE|RULE")]
    what: Option<String>,
    /// An event's id, or the beginning of it
    event: Option<String>,
    /// Where to look for the event
    input: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: ExplainArgs, terminal: &mut Terminal) -> Exit {
    let Some(what) = args.what else {
        for info in CODES {
            terminal.line(&format!("{}  {:7}  {}", info.code, info.severity.word(), info.title));
        }
        return Exit::Fine;
    };
    if let Some(code) = Code::parse(&what) {
        terminal.raw(code.info().page);
        return Exit::Fine;
    }
    let looks_like_code = what.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("rp"))
        && what.get(2..).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    if looks_like_code {
        let known: Vec<String> = CODES.iter().map(|i| i.code.to_string()).collect();
        terminal.note(&format!("error: there is no code `{what}`"));
        match did_you_mean(&what, known.iter().map(String::as_str)) {
            Some(near) => {
                terminal.note(&format!("help: did you mean `{near}`? `rulepack explain` lists all codes"))
            }
            None => terminal.note("help: `rulepack explain` lists all codes"),
        }
        return Exit::Usage;
    }
    let opened = match open(std::slice::from_ref(&what), terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let rules = opened.compile();
    let [rule] = rules.as_slice() else {
        terminal.note(&format!("error: `{what}` selects {}; name one", count(rules.len(), "rule")));
        return Exit::Usage;
    };
    match args.event {
        None => describe(&opened, rule, terminal),
        Some(event) => decide(&opened, rule, &event, &args.input, terminal),
    }
}

/// A rule in plain words.
fn describe(opened: &Opened, compiled: &CompiledRule, terminal: &mut Terminal) -> Exit {
    let rule = &compiled.rule;
    let language = rule.language.map_or_else(String::new, |l| format!(", {}", l.name()));
    let risk = rule.risk_score().map_or_else(String::new, |r| format!(" {r}"));
    terminal.line(&format!("{} · {}", rule.name, rule.title()));
    terminal.line(&format!(
        "{}{language} · {}{risk} · {}",
        rule.kind.name(),
        rule.severity(),
        rule.rule_id()
    ));
    terminal.line("");
    for line in wrap(rule.description(), 96) {
        terminal.line(&format!("  {line}"));
    }
    terminal.line("");
    let mut row = |name: &str, text: &str| terminal.line(&format!("  {name:10} {text}"));
    row("looks at", &rule.index().join(", "));
    row("runs", &format!("every {}, over {} to {}", rule.interval(), rule.from(), rule.to()));
    if let Some(plan) = &compiled.plan {
        for (i, line) in plan_lines(plan, rule.query.as_ref().map_or("", |q| q.text())).iter().enumerate() {
            row(if i == 0 { "matches" } else { "" }, line);
        }
        for stage in &plan.stages {
            if let Stage::Threshold(t) = stage {
                let name = |f: &FieldId| plan.fields.get(*f).map_or("", |f| f.name.as_ref());
                let names: Vec<&str> = t.fields.iter().map(name).collect();
                let of = match names.as_slice() {
                    [] => "in all".to_owned(),
                    names => format!("of one {}", names.join(" + ")),
                };
                let distinct = t.cardinality.as_ref().map_or_else(String::new, |(f, n)| {
                    format!(
                        ", with at least {} of {}",
                        count(usize::try_from(*n).unwrap_or(usize::MAX), "value"),
                        name(f)
                    )
                });
                let within = length(t.window.from - t.window.to);
                let events = count(usize::try_from(t.count).unwrap_or(usize::MAX), "event");
                row("alerts on", &format!("at least {events} {of}{distinct}, within {within}"));
            }
            if let Stage::NewTerms { fields, .. } = stage {
                let names: Vec<&str> =
                    fields.iter().filter_map(|f| plan.fields.get(*f)).map(|f| f.name.as_ref()).collect();
                let since = rule.history_window_start().unwrap_or_default();
                row(
                    "alerts on",
                    &format!("the first event of each new value of {} since {since}", names.join(" + ")),
                );
            }
        }
    }
    let schema = compiled.schema(&opened.pack.config);
    let mut named: Vec<&str> = compiled.fields.iter().map(|f| f.name.as_str()).collect();
    named.sort_unstable();
    named.dedup();
    for (i, name) in named.iter().enumerate() {
        let kind = schema
            .resolve(name)
            .map_or_else(|| "not in a catalogue".to_owned(), |r| crate::lang::resolve::describe(r.field));
        row(if i == 0 { "reads" } else { "" }, &format!("{name} ({kind})"));
    }
    let (tests, _) = opened.pack.tests(&opened.files());
    let cases: usize = tests.iter().map(|t| t.cases.len()).sum();
    row("tests", &count(cases, "case"));
    if let Some(reason) = &compiled.not_run {
        row("not run", reason);
    }
    let errors = compiled.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    if errors > 0 {
        row("findings", &format!("{}; rulepack validate {}", count(errors, "error"), rule.name));
    }
    Exit::Fine
}

/// The clauses of a plan, a line each.
fn plan_lines(plan: &Plan, query: &str) -> Vec<String> {
    if plan.is_grouped() && plan.threshold().is_none() {
        return grouped_lines(plan, query);
    }
    let Some(pred) = plan.filter().next() else { return vec!["everything".to_owned()] };
    crate::replay::decision::outline(pred, query)
}

/// The items of a sequence or sample, each with its clauses, and what binds them.
fn grouped_lines(plan: &Plan, query: &str) -> Vec<String> {
    let mut out = Vec::new();
    let steps = plan.sequence().map(|s| s.steps.as_slice());
    match plan.sequence() {
        Some(s) => {
            let within = s.maxspan.map_or_else(String::new, |m| format!(" within {}", length(m)));
            out.push(format!("events in this order{within}"));
        }
        None => out.push("an event for each of these, in any order".to_owned()),
    }
    for (i, item) in plan.items().into_iter().enumerate() {
        let step = steps.and_then(|s| s.get(i));
        let times = step.map_or(1, |s| s.runs);
        let mut head = match step {
            Some(s) if s.missing => "no event".to_owned(),
            None if steps.is_some() => "until an event".to_owned(),
            _ if times > 1 => format!("{times} events"),
            _ => "an event".to_owned(),
        };
        let keys: Vec<&str> = item.keys.iter().map(|k| k.name.as_ref()).collect();
        if !keys.is_empty() {
            head = format!("{head}, by {}", keys.join(" + "));
        }
        out.push(format!("- {head}"));
        out.extend(crate::replay::decision::outline(&item.pred, query).iter().map(|l| format!("    {l}")));
    }
    out
}

/// Breaks a text into lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(last) = lines.last_mut() else { continue };
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// Why a rule did or did not match an event.
fn decide(
    opened: &Opened,
    compiled: &CompiledRule,
    event: &str,
    paths: &[PathBuf],
    terminal: &mut Terminal,
) -> Exit {
    let name = &compiled.rule.name;
    let Some(run) = RunRule::of(compiled) else {
        let reason = compiled.not_run.as_deref().unwrap_or("it cannot be run");
        terminal.note(&format!("error: {name} is not run: {reason}"));
        return Exit::Findings;
    };
    let engine = Engine::new(vec![run], Converter::new(Options::default()));
    let mut found: Vec<Examined> = Vec::new();
    let mut looked = 0usize;
    let mut parts: Vec<(String, Occurrence)> = Vec::new();
    let mut take = |e: Examined| {
        looked += 1;
        if let Some(part) = e.part.clone() {
            let part = (short(&e.id).to_owned(), part);
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        if e.id.starts_with(event) && !found.iter().any(|f| f.id == e.id && f.decision == e.decision) {
            found.push(e);
        }
    };
    let bytes = Arc::new(AtomicU64::new(0));
    let config = &opened.pack.config;
    let fixtures = opened.pack.root.join(&config.fixtures);
    let paths = if paths.is_empty() { vec![fixtures] } else { paths.to_vec() };
    for file in input::list(&paths).files {
        let shown = file.shown();
        if let Ok(mut reader) = input::open(&file, &bytes) {
            engine.examine_reader(0, &shown, &mut reader, &mut take);
        }
    }
    // tables in the rule's own tests
    let (tests, _) = opened.pack.tests(&opened.files());
    for case in tests.iter().flat_map(|t| &t.cases) {
        for e in case.events.iter().chain(&case.history) {
            if let TestEvent::Inline { json, .. } = e {
                engine.examine_reader(0, "tests", &mut json.to_string().as_bytes(), &mut take);
            }
        }
    }
    let examined = match found.as_slice() {
        [one] => one,
        [] => {
            terminal.note(&format!("error: no event `{event}` among {}", count(looked, "event")));
            terminal.note(&format!("help: rulepack explain {name} {event} LOGS"));
            return Exit::Usage;
        }
        many => {
            let ids: Vec<&str> = many.iter().map(|e| e.id.as_str()).collect();
            terminal.note(&format!(
                "error: `{event}` begins {}: {}",
                count(many.len(), "event"),
                ids.join(", ")
            ));
            return Exit::Usage;
        }
    };
    let when =
        examined.time.map_or_else(String::new, |t| format!(", {}", date::format(t).replace(".000Z", "Z")));
    terminal.line(&format!("{name} over event {} ({}{when})", short(&examined.id), examined.file));
    terminal.line("");
    decision(&examined.decision.lines, terminal);
    let names = engine.new_terms_fields(0);
    for terms in &examined.terms {
        for (field, value) in names.iter().zip(terms) {
            terminal.line(&format!("    term {field}: {value}"));
        }
    }
    let name = short(&examined.id).to_owned();
    let happenings: Vec<Happening> = engine.rules().first().map_or_else(Vec::new, |r| course(r, &parts));
    let of_event: Vec<&Happening> = happenings.iter().filter(|h| h.events.contains(&name)).collect();
    if !of_event.is_empty() {
        terminal.line("");
        of_event.iter().for_each(|h| terminal.line(&format!("    {}", h.text)));
    }
    terminal.line("");
    let verdict = if let Some(index) = &examined.outside {
        format!("ok: no match, because the event is in `{index}`, where the rule does not look")
    } else if let Some(why) = &examined.decision.failed {
        terminal.line(&format!("failed: {why}"));
        return Exit::Findings;
    } else if !examined.decision.matched {
        "ok: no match".to_owned()
    } else if compiled.shape != Shape::Events || compiled.rule.kind == RuleType::Threshold {
        "ok: it plays a part; an alert takes all of them".to_owned()
    } else if names.is_empty() {
        "ok: a match".to_owned()
    } else if examined.terms.is_empty() {
        "ok: the query matches, but a new-terms field has no value, so there is no alert".to_owned()
    } else {
        "ok: the query matches; it alerts when the terms are new in the history".to_owned()
    };
    terminal.line(&verdict);
    Exit::Fine
}
