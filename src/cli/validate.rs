//! `rulepack validate`: checks rules on every stack of the pack.

use super::Exit;
use super::pack::{Opened, Selection, open};
use super::report::{self, ReportFormat, Reports};
use super::terminal::{Terminal, count};
use crate::diag::{Code, Diagnostic, Safety, Severity};
use crate::lint::{self, Baseline, Validation};
use crate::render::{self, Format, Run};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Check rules on every stack of the pack
///
/// Structure, syntax, field names and types, values that can never match, ATT&CK, ids: each finding at
/// its place, with a code that `rulepack explain` knows.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack validate\n  rulepack validate aws/iam/group_deleted\n  \
rulepack validate --fix severity:high\n  rulepack validate --format github --report sarif=rulepack.sarif\n  \
rulepack validate --baseline\n  rulepack validate --since main\n  rulepack validate -r ../other/rules")]
pub struct ValidateArgs {
    #[command(flatten)]
    selection: Selection,
    /// Write the fixes that are safe
    #[arg(long)]
    fix: bool,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    /// Make today's findings known: from now on only new ones fail
    #[arg(long)]
    baseline: bool,
    /// Also ask that rules which have changed since this revision have a newer `updated_date`; "" for where the
    /// branch began
    #[arg(long, value_name = "REV", conflicts_with = "baseline")]
    since: Option<String>,
    #[command(flatten)]
    reports: Reports,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    /// For people
    Text,
    /// A line each
    Concise,
    /// One document
    Json,
    /// An object a line
    Ndjson,
    /// A page for a comment
    Markdown,
    /// Annotations of GitHub Actions
    Github,
    /// Code Quality of GitLab
    Gitlab,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit's XML
    Junit,
}

impl Answers {
    /// The report that it is, or else how findings are printed.
    fn split(self) -> Result<ReportFormat, Format> {
        match self {
            Answers::Text => Err(Format::Text),
            Answers::Concise => Err(Format::Concise),
            Answers::Ndjson => Err(Format::Ndjson),
            Answers::Json => Ok(ReportFormat::Json),
            Answers::Markdown => Ok(ReportFormat::Markdown),
            Answers::Github => Ok(ReportFormat::Github),
            Answers::Gitlab => Ok(ReportFormat::Gitlab),
            Answers::Sarif => Ok(ReportFormat::Sarif),
            Answers::Junit => Ok(ReportFormat::Junit),
        }
    }
}

/// The file of known findings, as people see it.
pub fn baseline_file(opened: &Opened) -> String {
    let file = opened.pack.config.baseline.as_deref().unwrap_or(lint::DEFAULT_BASELINE);
    opened.pack.shown(file)
}

/// The known findings; none where there is no file.
fn read_baseline(opened: &Opened) -> Result<Option<Baseline>, Box<Diagnostic>> {
    let file = opened.pack.config.baseline.as_deref().unwrap_or(lint::DEFAULT_BASELINE);
    match std::fs::read(opened.pack.root.join(file)) {
        Ok(bytes) => Baseline::read(&baseline_file(opened), &bytes).map(Some),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => {
            let why = format!("the baseline cannot be read: {}", crate::replay::input::reason(&e));
            let source = std::sync::Arc::new(crate::source::Source::new(baseline_file(opened), ""));
            Err(Box::new(Diagnostic::new(Code::RP0715, why).in_source(&source)))
        }
    }
}

/// Checks the selected rules; what the baseline knows is left out.
pub fn check(opened: &Opened) -> Validation {
    let mut validated = lint::validate_at(&opened.pack, &opened.files(), super::now(None).ok());
    match read_baseline(opened) {
        Ok(None) => {}
        Ok(Some(baseline)) => {
            validated.compare(&baseline, &opened.pack, &baseline_file(opened), opened.is_whole());
        }
        Err(d) => validated.diagnostics.push(*d),
    }
    validated
}

/// Runs the command.
pub fn run(args: ValidateArgs, terminal: &mut Terminal) -> Exit {
    let reports = args.reports.here();
    let selectors = args.selection.all();
    let mut opened = match open(&selectors, terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let mut fixed = 0;
    if args.fix {
        // known findings too: whoever asks for fixes wants them gone
        match fix(&lint::validate(&opened.pack, &opened.files()).diagnostics) {
            Ok(0) => {}
            Ok(n) => {
                fixed = n;
                opened = match open(&selectors, terminal) {
                    Ok(o) => o,
                    Err(exit) => return exit,
                };
            }
            Err(why) => {
                terminal.note(&format!("error: {why}"));
                return Exit::Findings;
            }
        }
    }
    if args.baseline {
        return write_baseline(&opened, terminal);
    }
    let mut validated = check(&opened);
    if let Some(since) = &args.since {
        match undated(&opened, since) {
            Ok(found) => validated.diagnostics.extend(found),
            Err(e) => {
                terminal.note(&format!("error: `--since`: {}", e.message));
                if let Some(help) = &e.help {
                    terminal.note(&format!("help: {help}"));
                }
                return Exit::Usage;
            }
        }
    }
    let found = &validated.diagnostics;
    let errors = validated.count(Severity::Error);
    let exit = if errors > 0 { Exit::Findings } else { Exit::Fine };
    let verdict = verdict(&opened, &validated, fixed);
    let json = || {
        let mut out = render::diagnostics_json(found);
        if let Some(map) = out.as_object_mut() {
            map.insert(
                "summary".into(),
                json!({
                    "rules": validated.rules.len(),
                    "errors": errors,
                    "known": validated.known,
                    "fixed": fixed,
                    "verdict": verdict,
                }),
            );
        }
        out
    };
    let run = Run {
        command: "validate",
        failed: errors > 0,
        verdict: verdict.clone(),
        steps: Vec::new(),
        findings: found.clone(),
        rules: report::checked_rules(&opened),
        cases: &[],
        alerts: Vec::new(),
        remarks: Vec::new(),
        show_values: reports.show_values,
    };
    match args.format.split() {
        Ok(format) => {
            report::print(format, &run, &json, terminal);
            if format != ReportFormat::Json {
                terminal.remark(&verdict);
            }
        }
        Err(format) => {
            terminal.findings(found, format);
            match format {
                Format::Ndjson => terminal.remark(&verdict),
                _ if errors > 0 || !terminal.quiet || !found.is_empty() => terminal.line(&verdict),
                _ => {}
            }
        }
    }
    reports.write(&run, &json, exit, terminal)
}

/// Selected rules that have changed since a revision and kept their date, the levels of the configuration applied.
fn undated(opened: &Opened, since: &str) -> Result<Vec<Diagnostic>, super::git::GitError> {
    let pack = &opened.pack;
    let repository = super::git::Repository::around(&pack.root)?;
    let base = if since.is_empty() { repository.merge_base()? } else { repository.revision(since)? };
    let changed = repository.changed(&base, &pack.root)?;
    let of = |file: &&crate::pack::RuleFile| {
        let rule = file.rule.as_ref().filter(|_| changed.contains(&file.file))?;
        let d = lint::dates::not_moved(rule, repository.content(&base, &file.file)?, &base.label)?;
        let severity = pack.config.level(d.code, d.severity, &file.file)?;
        Some(d.severity(severity))
    };
    Ok(opened.files().iter().filter_map(of).collect())
}

/// Makes today's findings known.
fn write_baseline(opened: &Opened, terminal: &mut Terminal) -> Exit {
    let validated = lint::validate(&opened.pack, &opened.files());
    let subject = |file: &str| lint::subject(&opened.pack, file);
    let mut baseline = Baseline::of(&validated.diagnostics, &subject);
    // one that cannot be read is written anew
    let old = read_baseline(opened).ok().flatten();
    if !opened.is_whole() {
        let looked_at: BTreeSet<String> =
            opened.files().iter().flat_map(|f| [f.name.clone(), f.file.clone()]).collect();
        baseline.keep_others(old.clone().unwrap_or_default(), &looked_at);
    }
    let file = baseline_file(opened);
    let path = opened.pack.config.baseline.as_deref().unwrap_or(lint::DEFAULT_BASELINE);
    if let Err(why) = super::files::write(&opened.pack.root.join(path), baseline.to_text().as_bytes()) {
        terminal.note(&format!("error: {file}: {why}"));
        return Exit::Findings;
    }
    let change = match &old {
        None => String::new(),
        Some(old) => format!(" · {} new, {} gone", baseline.beyond(old), old.beyond(&baseline)),
    };
    terminal.line(&format!(
        "ok: {} of {} {} known in {file}{change}",
        count(baseline.len(), "finding"),
        count(validated.files, "rule"),
        if baseline.len() == 1 { "is" } else { "are" },
    ));
    Exit::Fine
}

fn verdict(opened: &Opened, v: &Validation, fixed: usize) -> String {
    let mut parts = Vec::new();
    if fixed > 0 {
        parts.push(format!("{} fixed", count(fixed, "finding")));
    }
    let head = if v.failed() {
        if v.fixable() > 0 {
            parts.push(format!("{} can be fixed with --fix", v.fixable()));
        }
        if let Some(first) = v.diagnostics.iter().find(|d| d.severity == Severity::Error) {
            parts.push(format!("`rulepack explain {}` tells more", first.code));
        }
        let errors = count(v.count(Severity::Error), "error");
        let bad = v.files_with_errors();
        // what is found about the pack as a whole stands in no rule
        if opened.pack.diagnostics.iter().any(|d| d.severity == Severity::Error) {
            format!("failed: {errors} in {}", count(bad, "file"))
        } else {
            format!("failed: {errors} in {bad} of {}", count(v.files, "rule"))
        }
    } else {
        let warnings = v.count(Severity::Warning);
        if warnings > 0 {
            parts.push(count(warnings, "warning"));
        }
        let verb = if v.files == 1 { "is" } else { "are" };
        let stacks = count(opened.pack.config.stacks.len(), "stack");
        if v.known > 0 {
            format!("ok: nothing new in {} on {stacks}", count(v.files, "rule"))
        } else {
            format!("ok: {} {verb} valid on {stacks}", count(v.files, "rule"))
        }
    };
    if v.known > 0 {
        parts.push(format!("{} in {}", count(v.known, "known finding"), baseline_file(opened)));
    }
    let quiet = v.quietly_not_run();
    if quiet > 0 {
        let verb = if quiet == 1 { "is" } else { "are" };
        parts.push(format!(
            "{} {verb} not run because of errors that are known or allowed",
            count(quiet, "rule")
        ));
    }
    std::iter::once(head).chain(parts).collect::<Vec<_>>().join(" · ")
}

/// Writes all safe fixes; gives how many.
fn fix(found: &[Diagnostic]) -> Result<usize, String> {
    type Edit = (std::ops::Range<usize>, String);
    let mut by_file: BTreeMap<String, (String, Vec<Edit>)> = BTreeMap::new();
    for d in found {
        let (Some(fix), Some(source)) = (&d.fix, &d.source) else { continue };
        if fix.safety == Safety::Safe {
            let entry = by_file
                .entry(source.name().to_owned())
                .or_insert_with(|| (source.text().to_owned(), Vec::new()));
            entry.1.push((fix.span.range(), fix.replacement.clone()));
        }
    }
    let mut n = 0;
    for (file, (mut text, mut edits)) in by_file {
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        edits.dedup();
        // from the end, so that earlier places stay where they are; overlapping ones wait for the next run
        let mut limit = usize::MAX;
        for (range, replacement) in edits.into_iter().rev() {
            if range.end <= limit && text.get(range.clone()).is_some() {
                limit = range.start;
                text.replace_range(range, &replacement);
                n += 1;
            }
        }
        let on_disk =
            std::fs::read(&file).map_err(|e| format!("{file}: {}", crate::replay::input::reason(&e)))?;
        if !found
            .iter()
            .any(|d| d.source.as_ref().is_some_and(|s| s.name() == file && s.text().as_bytes() == on_disk))
        {
            return Err(format!("{file} has changed meanwhile, so it was left alone"));
        }
        super::files::write(std::path::Path::new(&file), text.as_bytes())
            .map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(n)
}
