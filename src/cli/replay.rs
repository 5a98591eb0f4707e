//! `rulepack replay`: what the rules would have alerted on.

use super::Exit;
use super::input::{InputFlags, left_out, usage};
use super::pack::{RulesFlag, open};
use super::progress::Progress;
use super::report::{self, ReportFormat, Reports};
use super::terminal::{Terminal, count, duration, thousands};
use crate::diag::Diagnostic;
use crate::emit::opensearch::Support;
use crate::es::date::{self, Nanos};
use crate::lang::cloudtrail::{Converter, Options};
use crate::pack::{CompiledRule, Profile};
use crate::render::{AlertRow, Run};
use crate::replay::decision::{quoted, shorten};
use crate::replay::events::Form;
use crate::replay::layout::Layout;
use crate::replay::{Alert, Engine, Problem, ProblemKind, Report, RunRule, monitor, records};
use crate::trial::short;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Show what rules would have alerted on
///
/// Reads CloudTrail files and folders (S3 delivery, NDJSON, arrays, lookup-events, EventBridge; also .gz),
/// ECS documents and search hits. Without INPUT, the fixtures of the pack. One pass over all input:
/// new-terms rules take everything that is earlier as history, nothing is cut at max_signals.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack replay ~/logs/AWSLogs\n  rulepack replay -r severity:high trail.json.gz\n  \
rulepack replay --rules ../other/rules --format ndjson logs/ > alerts.ndjson\n  \
rulepack replay --history last-month/ this-week/\n  \
rulepack replay --since 7d --account 111122223333 --region eu-west-1 AWSLogs/\n  \
rulepack replay --target prod AWSLogs/\n  rulepack replay --profile raw trail.json.gz"
)]
pub struct ReplayArgs {
    #[command(flatten)]
    rules: RulesFlag,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    #[command(flatten)]
    part: InputFlags,
    /// What relative times count from, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    #[command(flatten)]
    reports: Reports,
    /// Earlier logs: history for new-terms rules, no alerts
    #[arg(long, value_name = "PATH")]
    history: Vec<PathBuf>,
    /// As this target has the rules: its selection, the exceptions of its overlays
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Exit 1 when there is an alert
    #[arg(long)]
    fail_on_alert: bool,
    /// Show each alert with its evidence
    #[arg(long)]
    show_alerts: bool,
    /// Run the queries of the OpenSearch monitors over documents of this shape, as they are
    #[arg(long, value_name = "PROFILE", value_parser = super::profiles())]
    profile: Option<Profile>,
    /// Without prefilter and lazy conversion: the slow way, to compare
    #[arg(long, hide = true)]
    no_shortcuts: bool,
    /// Files and folders
    input: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Text,
    Json,
    Ndjson,
    Markdown,
    Github,
}

/// The reports that have a form for alerts.
const REPORTS: [ReportFormat; 3] = [ReportFormat::Json, ReportFormat::Markdown, ReportFormat::Github];

/// What a replay takes for granted.
const ASSUMPTIONS: [&str; 7] = [
    "raw CloudTrail is converted as by the AWS integration 8.9.0, with its entity mapping",
    "no GeoIP and no ASN: `source.geo.*` and `source.as.*` are absent",
    "`event.ingested` is `@timestamp`",
    "one pass over all input: nothing is cut at `max_signals`",
    "new terms: history is the input itself and --history",
    "threshold rules run on multiples of their interval, each run over `from` to `to`; events that only a run at another time would see together are an alert too",
    "a sequence of events is one alert; Kibana writes one above a building block for each event",
];

/// What a replay of monitors takes for granted.
const OF_MONITORS: [&str; 4] = [
    "documents are read as they are: nothing is converted, and a document counts as often as it is there",
    "the fields are mapped as the rules' catalogues say, text in records as `keyword`",
    "one pass over all input: schedules and ranges of runs play no part",
    "an alert for each event that a search finds, where the monitor raises one for all",
];

/// What a replay takes for granted.
fn assumptions(profile: Option<Profile>) -> &'static [&'static str] {
    if profile.is_some() { &OF_MONITORS } else { &ASSUMPTIONS }
}

/// The rules of some monitors, and those that have none or whose monitor does not run: name, reason, whether an
/// error of theirs is the reason.
fn of_monitors(
    compiled: &[CompiledRule],
    support: &[Support],
    config: &crate::pack::Config,
) -> (Vec<RunRule>, Vec<(String, String, bool)>) {
    let (mut run, mut not_run) = (Vec::new(), Vec::new());
    for (rule, support) in compiled.iter().zip(support) {
        match monitor::run_rule(support, rule, config) {
            Ok(rule) => run.push(rule),
            Err(why) => not_run.push((rule.rule.name.clone(), why, rule.has_errors())),
        }
    }
    (run, not_run)
}

/// Runs the command.
pub fn run(args: ReplayArgs, terminal: &mut Terminal) -> Exit {
    let reports = args.reports.clone().here();
    if let Err(exit) = reports.only(&REPORTS, "replay", terminal) {
        return exit;
    }
    let selection = match super::now(args.now.as_deref()).and_then(|now| args.part.selection(now)) {
        Ok(selection) => selection,
        Err(why) => return usage(&why, terminal),
    };
    let here = std::env::current_dir().ok();
    let mut opened = match open(&args.rules.rules, terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    if let Err(exit) = opened.at_target(args.target.as_deref(), terminal) {
        return exit;
    }
    let mut paths = args.input.clone();
    if paths.is_empty() {
        let fixtures = opened.pack.root.join(&opened.pack.config.fixtures);
        if opened.outside || !fixtures.is_dir() {
            terminal.note("error: no input: give files or folders of events");
            return Exit::Usage;
        }
        paths.push(PathBuf::from(&opened.pack.config.fixtures));
    }
    // paths count from where the command was started, not from the pack that it has entered
    let mut history = args.history.clone();
    if let Some(here) =
        here.filter(|h| !args.input.is_empty() && std::env::current_dir().is_ok_and(|now| now != *h))
    {
        for path in paths.iter_mut().chain(&mut history).filter(|p| p.as_os_str() != "-") {
            *path = here.join(&*path);
        }
    }
    let compiled = opened.compile();
    let unreadable: Vec<String> =
        opened.files().iter().filter(|f| f.rule.is_none()).map(|f| f.name.clone()).collect();
    let sample = selection.sample;
    let converter = Converter::new(Options::default());
    let config = &opened.pack.config;
    let support: Vec<Support> = match args.profile {
        Some(profile) => compiled.iter().map(|c| monitor::support(c, config, profile)).collect(),
        None => Vec::new(),
    };
    let (mut engine, not_run) = match args.profile {
        Some(profile) => {
            let (rules, mut not_run) = of_monitors(&compiled, &support, config);
            not_run.extend(unreadable.iter().map(|n| (n.clone(), "unreadable file".to_owned(), true)));
            let layout = Layout::of(Form { profile, from_records: false });
            (Engine::laid_out(rules, converter, selection, layout), not_run)
        }
        None => {
            let rules: Vec<RunRule> = compiled.iter().filter_map(RunRule::of).collect();
            (Engine::with(rules, converter, selection), not_run(&compiled, &unreadable))
        }
    };
    if args.no_shortcuts {
        engine = engine.without_shortcuts();
    }
    let started = Instant::now();
    let bytes = Arc::new(AtomicU64::new(0));
    let total = engine.size(&paths, &history);
    let progress = Progress::bytes(total, &bytes, terminal);
    let report = engine.run(&paths, &history, &bytes);
    progress.finish();
    let took = started.elapsed();
    let mut left_out = left_out(report.pruned, report.outside, report.duplicates, sample);
    left_out.extend(opened.exceptions_elsewhere(&compiled));
    let summary = |engine: &Engine, report: &Report, took, terminal: &mut Terminal, aside| {
        let manner = Manner { took, profile: args.profile, aside };
        summary(engine, report, &not_run, &left_out, manner, terminal)
    };
    let json = || {
        let mut out = report_json(&engine, &report, &compiled, &not_run, sample);
        let Some(map) = out.as_object_mut() else { return out };
        map.insert("target".into(), json!(args.target));
        map.insert("not_applied".into(), json!(opened.exceptions_elsewhere(&compiled)));
        if let Some(profile) = args.profile {
            map.insert("profile".into(), profile.name().into());
            map.insert("assumptions".into(), json!(OF_MONITORS));
            map.insert("monitors".into(), support.iter().map(monitor_json).collect());
        }
        out
    };
    let bad = !report.complete() || not_run.iter().any(|(_, _, error)| *error);
    let exit =
        if bad || (args.fail_on_alert && !report.alerts.is_empty()) { Exit::Findings } else { Exit::Fine };
    let run = as_run(
        &engine,
        &report,
        &not_run,
        &left_out,
        exit == Exit::Findings,
        took,
        (reports.show_values, args.profile),
    );
    match args.format {
        Answers::Ndjson => {
            for alert in &report.alerts {
                terminal.line(&alert_json(&engine, alert).to_string());
            }
            summary(&engine, &report, took, terminal, true);
        }
        Answers::Json => {
            terminal.line(&json().to_string());
            summary(&engine, &report, took, terminal, true);
        }
        Answers::Markdown | Answers::Github => {
            let format =
                if args.format == Answers::Markdown { ReportFormat::Markdown } else { ReportFormat::Github };
            report::print(format, &run, &json, terminal);
            summary(&engine, &report, took, terminal, true);
        }
        Answers::Text => {
            if args.show_alerts {
                print_alerts(&engine, &report, terminal);
            }
            summary(&engine, &report, took, terminal, false);
        }
    }
    reports.write(&run, &json, exit, terminal)
}

/// The replay as reports have it: alerts by rule; what could not be read is a finding.
fn as_run(
    engine: &Engine,
    report: &Report,
    not_run: &[(String, String, bool)],
    left_out: &[String],
    failed: bool,
    took: Duration,
    (show_values, profile): (bool, Option<Profile>),
) -> Run<'static> {
    let finding = |p: &Problem| {
        // a parser's message may hold a piece of the event
        let message = if show_values { p.message.as_str() } else { p.code.info().title };
        let source = Arc::new(crate::source::Source::new(p.file.as_str(), ""));
        let d = Diagnostic::new(p.code, message).in_source(&source);
        if p.place.is_empty() { d } else { d.note(p.place.clone()) }
    };
    let alerts = counts(engine, report)
        .into_iter()
        .map(|(rule, n, last)| AlertRow {
            rule: rule.name.clone(),
            severity: rule.severity.clone(),
            alerts: n,
            last: last.map_or_else(String::new, moment),
        })
        .collect();
    let mut remarks: Vec<String> =
        remarks(engine, report, not_run, profile).iter().map(|r| r.trim_start().to_owned()).collect();
    remarks.extend(left_out.iter().cloned());
    let verdict = verdict(report, not_run, took);
    Run {
        command: "replay",
        failed,
        verdict: verdict.first().cloned().unwrap_or_default(),
        steps: Vec::new(),
        findings: report.problems.iter().map(finding).collect(),
        rules: Vec::new(),
        cases: &[],
        alerts,
        remarks,
        show_values,
    }
}

/// Rules that were not run: name, reason, whether an error of theirs is the reason.
fn not_run(compiled: &[CompiledRule], unreadable: &[String]) -> Vec<(String, String, bool)> {
    let mut out: Vec<(String, String, bool)> = compiled
        .iter()
        .filter(|c| c.plan.is_none())
        .map(|c| {
            let reason = c.not_run.clone().unwrap_or_else(|| "it cannot be run".to_owned());
            (c.rule.name.clone(), reason, !c.is_unsupported())
        })
        .collect();
    out.extend(unreadable.iter().map(|n| (n.clone(), "unreadable file".to_owned(), true)));
    out
}

fn day(at: Nanos) -> String {
    date::format(at).get(..10).unwrap_or("").to_owned()
}

fn moment(at: Nanos) -> String {
    date::format(at).replace(".000Z", "Z")
}

const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];

/// How a replay was made and is told.
struct Manner {
    took: Duration,
    profile: Option<Profile>,
    /// On stderr, beside an answer for programs.
    aside: bool,
}

/// What was read, alerts per rule, and the verdict.
fn summary(
    engine: &Engine,
    report: &Report,
    not_run: &[(String, String, bool)],
    left_out: &[String],
    Manner { took, profile, aside }: Manner,
    terminal: &mut Terminal,
) {
    let mut lines = Vec::new();
    let span = report.times.map_or(String::new(), |(from, to)| format!(", {} to {}", day(from), day(to)));
    let rules = engine.rules().len() + not_run.len();
    if !terminal.quiet {
        lines.push(format!(
            "{}, {}{span} · {}{}",
            count(report.files, "file"),
            records_of(report),
            count(rules, "rule"),
            profile.map_or(String::new(), |p| format!(" as monitors, profile {}", p.name()))
        ));
        lines.push(String::new());
        lines.extend(per_rule(engine, report));
        lines.extend(remarks(engine, report, not_run, profile));
        lines.extend(left_out.iter().map(|l| format!("           {l}")));
        lines.push(String::new());
    }
    if terminal.verbose {
        lines.extend(assumptions(profile).iter().map(|a| format!("assumed: {a}")));
    }
    lines.extend(verdict(report, not_run, took));
    for line in lines {
        if aside {
            terminal.remark(&line);
        } else {
            terminal.line(&line);
        }
    }
}

/// The verdict, and after a failure what went wrong and what to do next.
fn verdict(report: &Report, not_run: &[(String, String, bool)], took: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    let alerting: std::collections::BTreeSet<usize> = report.alerts.iter().map(|a| a.rule).collect();
    let alerts = if report.alerts.is_empty() {
        "no alert".to_owned()
    } else {
        format!("{} from {}", count(report.alerts.len(), "alert"), count(alerting.len(), "rule"))
    };
    let mut but = Vec::new();
    for (kind, n) in &report.problem_counts {
        let n = usize::try_from(*n).unwrap_or(usize::MAX);
        but.push(match kind {
            ProblemKind::Unreadable => format!("{} could not be opened", count(n, "path")),
            ProblemKind::Truncated => format!(
                "{n} of {} {} not read to {} end",
                count(report.files, "file"),
                if n == 1 { "was" } else { "were" },
                if n == 1 { "its" } else { "their" }
            ),
            ProblemKind::Record => format!("{} could not be read", count(n, "record")),
            ProblemKind::Rule => format!("a rule failed on {}", count(n, "record")),
            ProblemKind::Shape => "no record was an event".to_owned(),
        });
    }
    let broken = not_run.iter().filter(|(_, _, error)| *error).count();
    if broken > 0 {
        but.push(format!("{} could not be run", count(broken, "rule")));
    }
    if but.is_empty() {
        lines.push(format!("ok: {alerts} in {}, {}", records_of(report), duration(took)));
    } else {
        lines.push(format!("failed: {alerts} in {}, but {}", duration(took), but.join(", ")));
        for p in &report.problems {
            lines.push(format!("        {}", problem_line(p)));
        }
        for (kind, n) in &report.problem_counts {
            let listed = report.problems.iter().filter(|p| p.kind == *kind).count() as u64;
            if *n > listed {
                lines.push(format!("        and {} more", thousands(n - listed)));
            }
        }
        for (name, reason, _) in not_run.iter().filter(|(_, _, error)| *error) {
            lines.push(format!("        {name}: {reason}"));
        }
        if let Some(p) = report.problems.first() {
            lines.push(format!("        rulepack explain {}", p.code));
        }
        if let Some((name, ..)) = not_run.iter().find(|(_, _, error)| *error) {
            lines.push(format!("        rulepack validate {name}"));
        }
    }
    lines
}

fn records_of(report: &Report) -> String {
    count(usize::try_from(report.records).unwrap_or(usize::MAX), "record")
}

/// What went wrong and where: `truncated gzip after record 4,180: a.json.gz`, `a.json:3: not a JSON object`.
fn problem_line(p: &Problem) -> String {
    let file = shorten(&p.file, 70);
    match p.place.rsplit_once(' ').and_then(|(word, n)| Some((word, n.parse().ok()?))) {
        Some(("after record", n)) => format!("{} after record {}: {file}", p.message, thousands(n)),
        Some(("record", n)) => format!("{file}, record {}: {}", thousands(n), p.message),
        _ => format!("{}: {}", records::in_file(&file, &p.place), p.message),
    }
}

/// The rules that alerted, the severest first: how often, and when last.
fn counts<'e>(engine: &'e Engine, report: &Report) -> Vec<(&'e RunRule, usize, Option<Nanos>)> {
    let mut counts: BTreeMap<usize, (usize, Option<Nanos>)> = BTreeMap::new();
    for alert in &report.alerts {
        let entry = counts.entry(alert.rule).or_default();
        entry.0 += 1;
        entry.1 = entry.1.max(alert.time);
    }
    let mut rows: Vec<(usize, &RunRule, usize, Option<Nanos>)> = counts
        .iter()
        .filter_map(|(r, (n, last))| {
            let rule = engine.rules().get(*r)?;
            let rank = SEVERITIES.iter().position(|s| *s == rule.severity).unwrap_or(SEVERITIES.len());
            Some((rank, rule, *n, *last))
        })
        .collect();
    rows.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    rows.into_iter().map(|(_, rule, n, last)| (rule, n, last)).collect()
}

fn per_rule(engine: &Engine, report: &Report) -> Vec<String> {
    let rows = counts(engine, report);
    let width = rows.iter().map(|r| r.0.name.len()).max().unwrap_or(0);
    rows.iter()
        .map(|(rule, n, last)| {
            let last = last.map_or(String::new(), |t| format!("   last {}", moment(t)));
            let over = if *n as u64 > rule.max_signals {
                format!("   over max_signals ({}) if they came in one run", rule.max_signals)
            } else {
                String::new()
            };
            format!("  {:8} {:width$} {:>6}{last}{over}", rule.severity, rule.name, thousands(*n as u64))
        })
        .collect()
}

fn remarks(
    engine: &Engine,
    report: &Report,
    not_run: &[(String, String, bool)],
    profile: Option<Profile>,
) -> Vec<String> {
    let mut out = Vec::new();
    let indent = "           ";
    let silent = (0..engine.rules().len()).filter(|r| !report.alerts.iter().any(|a| a.rule == *r)).count();
    if silent > 0 {
        out.push(format!("{indent}{} without an alert", count(silent, "rule")));
    }
    for (r, rule) in engine.rules().iter().enumerate() {
        if report.records > report.foreign && !report.in_index.get(r).copied().unwrap_or(true) {
            out.push(format!("{indent}{} looks at {}, where no record is", rule.name, rule.index.join(", ")));
        }
        if let Some(fields) = report.unseen.get(r).filter(|f| !f.is_empty()) {
            let looked = report.looked_at.get(r).copied().unwrap_or(0);
            let named: Vec<String> = fields.iter().map(|f| format!("`{f}`")).collect();
            let looked = count(usize::try_from(looked).unwrap_or(usize::MAX), "record");
            out.push(format!(
                "{indent}{} reads {}, which none of the {looked} that it looked at has",
                rule.name,
                named.join(", ")
            ));
        }
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, reason, _) in not_run {
        match profile {
            // each has a reason of its own
            Some(_) => out.push(format!("{indent}{name} not run: {reason}")),
            None => *reasons.entry(reason).or_default() += 1,
        }
    }
    for (reason, n) in reasons {
        out.push(format!("{indent}{} not run: {reason}", count(n, "rule")));
    }
    if report.foreign > 0 {
        out.push(format!(
            "{indent}{} skipped: {}",
            count(usize::try_from(report.foreign).unwrap_or(usize::MAX), "record"),
            match profile {
                Some(profile) => format!("not of the shape `{}`", profile.name()),
                None => "neither CloudTrail nor ECS".to_owned(),
            }
        ));
    }
    if report.skipped_files > 0 {
        out.push(format!("{indent}{} skipped by name", count(report.skipped_files, "file")));
    }
    if report.conversion_errors > 0 {
        out.push(format!(
            "{indent}{} converted with an error (event.kind: pipeline_error)",
            count(usize::try_from(report.conversion_errors).unwrap_or(usize::MAX), "record")
        ));
    }
    out
}

fn print_alerts(engine: &Engine, report: &Report, terminal: &mut Terminal) {
    for alert in &report.alerts {
        let Some(rule) = engine.rules().get(alert.rule) else { continue };
        let ids: Vec<&str> = alert.events.iter().map(|e| short(e)).collect();
        let when = alert.time.map_or_else(|| "-".to_owned(), moment);
        terminal.line(&format!("{when}  {:8} {}  {}", rule.severity, rule.name, ids.join(", ")));
        for (name, value) in &alert.group {
            let word = if rule.plan.is_grouped() { "by " } else { "new" };
            terminal.line(&format!("    {word}    {name}: {}", shorten(value, 80)));
        }
        let mut event = None;
        for evidence in &alert.evidence {
            if alert.events.len() > 1 && event != Some(evidence.event) {
                event = Some(evidence.event);
                if let Some(id) = alert.events.get(evidence.event) {
                    terminal.line(&format!("    event {}", short(id)));
                }
            }
            for (name, values) in &evidence.values {
                let shown: Vec<String> = values.iter().take(3).map(quoted).collect();
                terminal.line(&format!("    {name}: {}", shown.join(", ")));
            }
        }
    }
    if !report.alerts.is_empty() {
        terminal.line("");
    }
}

fn alert_json(engine: &Engine, alert: &Alert) -> Value {
    let rule = engine.rules().get(alert.rule);
    let get = |f: fn(&RunRule) -> &str| rule.map_or("", f).to_owned();
    let evidence: Vec<Value> = alert
        .evidence
        .iter()
        .map(|e| {
            let values: Map<String, Value> = e
                .values
                .iter()
                .map(|(n, v)| {
                    (n.clone(), Value::Array(v.iter().map(crate::value::Scalar::to_json).collect()))
                })
                .collect();
            let mut out = json!({ "clause": e.clause, "values": values });
            let id = alert.events.get(e.event).filter(|_| alert.events.len() > 1);
            if let (Some(map), Some(id)) = (out.as_object_mut(), id) {
                map.insert("event".into(), id.as_str().into());
            }
            out
        })
        .collect();
    let group: Map<String, Value> = alert.group.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
    json!({
        "rule": { "id": get(|r| &r.id), "name": get(|r| &r.name), "file": get(|r| &r.file), "title": get(|r| &r.title), "severity": get(|r| &r.severity) },
        "time": alert.time.map(date::format),
        "events": alert.events,
        "group": group,
        "file": alert.file,
        "evidence": evidence,
    })
}

/// A monitor that was replayed, or why there is none.
fn monitor_json(support: &Support) -> Value {
    json!({
        "rule": support.name,
        "grade": support.grade.name(),
        "kind": support.kind.map(|k| k.name()),
        "differs": support.reasons,
    })
}

fn report_json(
    engine: &Engine,
    report: &Report,
    compiled: &[CompiledRule],
    not_run: &[(String, String, bool)],
    sample: Option<u64>,
) -> Value {
    let rules: Vec<Value> = engine
        .rules()
        .iter()
        .enumerate()
        .map(|(r, rule)| {
            let alerts = report.alerts.iter().filter(|a| a.rule == r).count();
            json!({
                "id": rule.id,
                "name": rule.name,
                "alerts": alerts,
                "looked_at": report.looked_at.get(r),
                "over_max_signals": alerts as u64 > rule.max_signals,
                "in_index": report.in_index.get(r),
                "fields_no_record_had": report.unseen.get(r),
            })
        })
        .collect();
    let problems: Vec<Value> = report
        .problems
        .iter()
        .map(
            |p| json!({ "code": p.code.to_string(), "file": p.file, "place": p.place, "message": p.message }),
        )
        .collect();
    json!({
        "alerts": report.alerts.iter().map(|a| alert_json(engine, a)).collect::<Vec<_>>(),
        "rules": rules,
        "not_run": not_run.iter().map(|(n, why, _)| json!({ "rule": n, "reason": why })).collect::<Vec<_>>(),
        "read": {
            "files": report.files,
            "records": report.records,
            "from": report.times.map(|t| date::format(t.0)),
            "to": report.times.map(|t| date::format(t.1)),
            "one_of": sample.unwrap_or(1),
        },
        "skipped": {
            "files_by_name": report.skipped_files,
            "records_of_another_kind": report.foreign,
            "paths_outside": report.pruned,
            "events_outside": report.outside,
            "duplicates": report.duplicates,
        },
        "problems": problems,
        "complete": report.complete(),
        "assumptions": ASSUMPTIONS,
        "unchecked_fields": compiled.iter().map(|c| c.unchecked.len()).sum::<usize>(),
    })
}
