//! `rulepack fixture`: cuts an event out of logs into a fixture and a test case.

use super::Exit;
use super::files;
use super::pack::{Opened, open};
use super::terminal::{Terminal, count};
use crate::es::date::Nanos;
use crate::lang::cloudtrail::{Converter, Options};
use crate::lang::rule::write;
use crate::pack::CompiledRule;
use crate::replay::newterms::Terms;
use crate::replay::{Engine, Examined, Report, RunRule, input, records};
use crate::trial::{Anonymiser, cut, short};
use clap::Args;
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Cut an event out of logs into a test
///
/// Looks for the event in INPUT (logs, answers of a search, an alert's JSON), replaces account ids, keys,
/// names, addresses, e-mails and hosts by values of documentation, writes the event below the fixtures
/// folder and appends a case with today's outcome to the rule's tests. For a new-terms rule the earlier
/// event that decides the outcome comes along.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack fixture --event 5b0c2a9e --rule aws/iam/group_deleted AWSLogs/\n  \
rulepack fixture --event 5b0c2a9e --rule aws/iam/group_deleted alert.json --dry-run"
)]
pub struct FixtureArgs {
    /// The event's id, or the beginning of it
    #[arg(long, value_name = "ID")]
    event: String,
    /// The rule
    #[arg(long, value_name = "NAME")]
    rule: String,
    /// Files and folders to look in
    #[arg(required = true)]
    input: Vec<PathBuf>,
    /// Name of the case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Keep all values as they are
    #[arg(long)]
    as_is: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// An event as it is cut out.
struct Cut {
    id: String,
    event: Value,
}

/// Runs the command.
pub fn run(args: FixtureArgs, terminal: &mut Terminal) -> Exit {
    let here = std::env::current_dir().unwrap_or_default();
    let input: Vec<PathBuf> = args.input.iter().map(|p| here.join(p)).collect();
    let opened = match open(std::slice::from_ref(&args.rule), terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let rules = opened.compile();
    let [rule] = rules.as_slice() else {
        terminal.note(&format!("error: `{}` selects {}; name one", args.rule, count(rules.len(), "rule")));
        return Exit::Usage;
    };
    let name = rule.rule.name.clone();
    let Some(run) = RunRule::of(rule) else {
        let reason = rule.not_run.as_deref().unwrap_or("it cannot be run");
        terminal.note(&format!("error: {name} is not run: {reason}"));
        return Exit::Findings;
    };
    if opened.outside || opened.pack.config.document.is_none() {
        terminal.note("error: the rule is in no pack, so there is no place for fixtures");
        terminal.note("help: `rulepack init` makes a pack");
        return Exit::Usage;
    }
    let engine = Engine::new(vec![run], Converter::new(Options::default()));
    let listing = input::list(&input);
    if let Some((path, why)) = listing.failed.first() {
        terminal.note(&format!("error: {}: {why}", path.display()));
        return Exit::Usage;
    }
    let mut looked = 0u64;
    let found = find(&listing.files, std::slice::from_ref(&args.event), &mut looked);
    let mut ids: Vec<&str> = found.iter().map(|c| c.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > 1 {
        terminal.note(&format!(
            "error: `{}` begins {}: {}",
            args.event,
            count(ids.len(), "event"),
            ids.join(", ")
        ));
        return Exit::Usage;
    }
    let Some(mut event) = found.into_iter().next() else {
        let records = usize::try_from(looked).unwrap_or(usize::MAX);
        terminal.note(&format!("error: no event `{}` among {}", args.event, count(records, "record")));
        return Exit::Usage;
    };
    let mut history = history(&engine, &event, &listing.files);
    let before = outcome(&engine, &event, &history);
    let mut anonymiser = Anonymiser::keeping(rule.rule.query.as_ref().map_or("", |q| q.text()));
    if !args.as_is {
        // the oldest first, so that numbers grow with time
        history.iter_mut().for_each(|c| anonymiser.event(&mut c.event));
        anonymiser.event(&mut event.event);
    }
    let after = outcome(&engine, &event, &history);
    if before.alerts.len() != after.alerts.len() {
        terminal.note(&format!(
            "error: with replaced values {name} gives {}, with the real ones {}",
            count(after.alerts.len(), "alert"),
            count(before.alerts.len(), "alert")
        ));
        terminal.note("help: `--as-is` keeps all values; replace by hand what must not be published");
        return Exit::Findings;
    }
    let plan = Plan { opened: &opened, rule, case: args.name.as_deref(), event: &event, history: &history };
    match plan.write(&after, args.dry_run, terminal) {
        Ok(true) => {}
        Ok(false) => return Exit::Usage,
        Err(why) => {
            terminal.note(&format!("error: {why}"));
            return Exit::Findings;
        }
    }
    let replaced: Vec<String> = anonymiser.counts().iter().map(|(s, n)| many(*n, s.noun())).collect();
    let replaced = match (args.as_is, replaced.is_empty()) {
        (true, _) => "values kept as they are".to_owned(),
        (false, true) => "nothing had to be replaced".to_owned(),
        (false, false) => format!("replaced: {}", replaced.join(", ")),
    };
    let word = if args.dry_run { "plan" } else { "ok" };
    terminal.line(&format!(
        "{word}: {} on event {} · {replaced}",
        count(after.alerts.len(), "alert"),
        short(&event.id)
    ));
    terminal.remark(&format!("    rulepack test {name}"));
    Exit::Fine
}

/// `1 address`, `2 addresses`.
fn many(n: usize, noun: &str) -> String {
    if noun.ends_with('s') && n != 1 { format!("{n} {noun}es") } else { count(n, noun) }
}

/// The events whose ids begin so, each once, in the order of the files.
fn find(listed: &[input::InputFile], ids: &[String], looked: &mut u64) -> Vec<Cut> {
    let finders: Vec<_> = ids.iter().map(|id| memchr::memmem::Finder::new(id.as_bytes())).collect();
    let bytes = Arc::new(AtomicU64::new(0));
    let mut out: Vec<Cut> = Vec::new();
    for file in listed {
        let Ok(mut reader) = input::open(file, &bytes) else { continue };
        let mut record = |record: records::Record<'_>| {
            *looked += 1;
            for (id, finder) in ids.iter().zip(&finders) {
                if finder.find(record.text).is_none() {
                    continue;
                }
                let Ok(value) = serde_json::from_slice::<Value>(record.text) else { continue };
                if let Some((id, event)) = cut::event(&value, id)
                    && !out.iter().any(|c| c.id == id)
                {
                    out.push(Cut { id, event });
                }
            }
        };
        records::split(&mut reader, &mut record, &mut |_| {});
    }
    out
}

/// The earlier events that decide whether the terms of an event are new: the last one of each of its
/// combinations, within the history of the rule.
fn history(engine: &Engine, event: &Cut, listed: &[input::InputFile]) -> Vec<Cut> {
    let Some(window) = engine.history(0) else { return Vec::new() };
    let text = event.event.to_string();
    let own = engine.examine(0, &[("event", text.as_bytes())]);
    let Some((time, terms)) = own.first().and_then(|e| Some((e.time?, &e.terms))) else { return Vec::new() };
    let terms: FxHashSet<&Terms> = terms.iter().collect();
    let mut last: FxHashMap<Terms, (Nanos, String)> = FxHashMap::default();
    let mut take = |e: Examined| {
        let Some(at) = e.time.filter(|at| *at < time && time - at <= window) else { return };
        if !e.decision.matched || e.outside.is_some() || e.id == event.id {
            return;
        }
        for t in e.terms.into_iter().filter(|t| terms.contains(t)) {
            let held = last.entry(t).or_insert_with(|| (at, e.id.clone()));
            if held.0 < at {
                *held = (at, e.id.clone());
            }
        }
    };
    let bytes = Arc::new(AtomicU64::new(0));
    for file in listed {
        if let Ok(mut reader) = input::open(file, &bytes) {
            engine.examine_reader(0, &file.shown(), &mut reader, &mut take);
        }
    }
    let mut wanted: Vec<(Nanos, String)> = last.into_values().collect();
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() {
        return Vec::new();
    }
    let ids: Vec<String> = wanted.into_iter().map(|(_, id)| id).collect();
    let mut found = find(listed, &ids, &mut 0);
    found.sort_by_key(|c| ids.iter().position(|id| *id == c.id));
    found
}

fn outcome(engine: &Engine, event: &Cut, history: &[Cut]) -> Report {
    let texts: Vec<String> = history.iter().map(|c| c.event.to_string()).collect();
    let history: Vec<(&str, &[u8])> = texts.iter().map(|t| ("history", t.as_bytes())).collect();
    engine.run_texts(&[("event", event.event.to_string().as_bytes())], &history, None)
}

/// What is to be written.
struct Plan<'a> {
    opened: &'a Opened,
    rule: &'a CompiledRule,
    case: Option<&'a str>,
    event: &'a Cut,
    history: &'a [Cut],
}

impl Plan<'_> {
    /// Writes fixtures and case, and shows both; false where the tests have such a case already.
    fn write(&self, outcome: &Report, dry_run: bool, terminal: &mut Terminal) -> Result<bool, String> {
        let pack = &self.opened.pack;
        let name = &self.rule.rule.name;
        let path = |c: &Cut| format!("{name}/{}.json", file_name(short(&c.id)));
        let test = pack.root.join(&pack.config.tests).join(format!("{name}.toml"));
        let shown = format!("{}/{name}.toml", pack.config.tests);
        let old = match std::fs::read_to_string(&test) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(format!("{shown}: {}", input::reason(&e))),
        };
        let case_name = self.case.map_or_else(|| format!("event {}", short(&self.event.id)), str::to_owned);
        let (tests, _) = pack.tests(&self.opened.files());
        if tests.iter().flat_map(|t| &t.cases).any(|c| c.name == case_name) {
            terminal.note(&format!("error: {shown} has a case `{case_name}` already"));
            terminal.note("help: `--name TEXT` gives the new one another name");
            return Ok(false);
        }
        let mut case = Map::new();
        case.insert("name".to_owned(), case_name.into());
        if !self.history.is_empty() {
            case.insert("history".to_owned(), self.history.iter().map(path).collect());
        }
        case.insert("events".to_owned(), json!([path(self.event)]));
        let alert = |a: &crate::replay::Alert| {
            let ids: Vec<&str> = a.events.iter().map(|id| short(id)).collect();
            json!({ "events": ids })
        };
        let expect = match outcome.alerts.as_slice() {
            [] => json!(0),
            alerts => alerts.iter().map(alert).collect(),
        };
        case.insert("expect".to_owned(), expect);
        let added = write::entry("case", &case);
        for c in self.history.iter().chain([self.event]) {
            let mut text = serde_json::to_string_pretty(&c.event).unwrap_or_default();
            text.push('\n');
            let file = format!("{}/{}", pack.config.fixtures, path(c));
            let full = pack.root.join(&file);
            let mark = if full.exists() { "~" } else { "+" };
            put(&full, &text, dry_run).map_err(|why| format!("{file}: {why}"))?;
            terminal.line(&format!("{mark} {file}"));
        }
        let mark = if old.is_empty() { "+" } else { "~" };
        let mut text = old;
        if !text.is_empty() {
            text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
        }
        text.push_str(&added);
        if text.contains("\r\n") {
            text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        put(&test, &text, dry_run).map_err(|why| format!("{shown}: {why}"))?;
        terminal.line(&format!("{mark} {shown}"));
        terminal.line("");
        added.lines().for_each(|l| terminal.line(&format!("    {l}")));
        terminal.line("");
        Ok(true)
    }
}

fn put(path: &Path, text: &str, dry_run: bool) -> Result<(), String> {
    if dry_run { Ok(()) } else { files::write(path, text.as_bytes()) }
}

/// An id as the name of a file.
fn file_name(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let out: String = id.chars().map(plain).take(80).collect();
    if out.is_empty() { "event".to_owned() } else { out }
}
