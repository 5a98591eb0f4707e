//! `rulepack generate --for opensearch`: monitors and what is lost, written or compared.

use super::Exit;
use super::files;
use super::generate::{GenerateArgs, checked_verdict, read_all};
use super::pack::{FindingFormat, Opened};
use super::terminal::{Terminal, count};
use crate::diag::{Diagnostic, Severity};
use crate::emit::opensearch::{FOLDER, Grade, Monitors, monitors};
use crate::emit::{self, Check};
use crate::pack::{CompiledRule, Target};
use crate::render;
use crate::report::opensearch as report;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What generating would change.
pub struct Compared {
    /// The monitors.
    pub monitors: Monitors,
    /// How their folder differs.
    pub check: Check,
    /// The report of the configuration and its wanted text, where the file differs.
    pub report: Option<(String, String)>,
    /// How many actions of a target are left out, as their channels are looked up by a deploy.
    pub named: usize,
}

impl Compared {
    /// How many files are not what they should be.
    pub fn stale(&self) -> usize {
        self.check.stale.len()
            + self.check.missing.len()
            + self.check.extra.len()
            + usize::from(self.report.is_some())
    }
}

/// Makes the monitors of the rules, as a target wants them, and compares them with a folder, and the report with
/// its file.
fn compare(opened: &Opened, rules: &[CompiledRule], dir: &Path, target: Option<&Target>) -> Compared {
    let config = &opened.pack.config;
    let whole = opened.is_whole() && target.is_none();
    let (monitors, named) = match target {
        None => (monitors(rules, config, whole), 0),
        Some(target) => {
            let (monitors, actions) = super::deploy_monitors::made(rules, config, target, false);
            (monitors, actions.values().map(Vec::len).sum())
        }
    };
    let mut check = emit::check(&read_all(dir), &monitors.files);
    if !whole {
        check.extra.clear();
    }
    let report = stale_report(opened, &monitors).filter(|_| target.is_none());
    Compared { monitors, check, report, named }
}

/// The report of the configuration and its wanted text, where the file differs.
fn stale_report(opened: &Opened, monitors: &Monitors) -> Option<(String, String)> {
    let config = &opened.pack.config;
    let path = config.opensearch.report.as_ref().filter(|_| opened.is_whole())?;
    let wanted = report::markdown(&monitors.support, config);
    let kept = std::fs::read_to_string(opened.pack.root.join(path)).unwrap_or_default();
    (kept.replace("\r\n", "\n") != wanted).then(|| (path.clone(), wanted))
}

/// For `ci`: losses that nobody has allowed, and the report where it is stale.
pub fn losses(opened: &Opened, rules: &[CompiledRule]) -> (Vec<Diagnostic>, Option<String>) {
    let monitors = monitors(rules, &opened.pack.config, opened.is_whole());
    let report = stale_report(opened, &monitors).map(|r| r.0);
    (monitors.diagnostics, report)
}

/// Runs the command.
pub fn run(
    args: &GenerateArgs,
    opened: &Opened,
    rules: &[CompiledRule],
    target: Option<&Target>,
    terminal: &mut Terminal,
) -> Exit {
    let config = &opened.pack.config;
    let kept = || config.generate_dir.as_ref().map(|d| opened.pack.root.join(d).join(FOLDER));
    let Some(dir) = args.out.clone().or_else(kept) else {
        terminal.note("error: rulepack.toml names no folder for generated files");
        terminal.note("help: add `[generate]` with `dir = \"generated\"`, or give --out DIR");
        return Exit::Usage;
    };
    let compared = compare(opened, rules, &dir, target);
    let mut found: Vec<Diagnostic> = compared.monitors.diagnostics.clone();
    let of_rules = rules.iter().flat_map(|r| r.diagnostics.iter()).filter(|d| d.severity == Severity::Error);
    found.extend(of_rules.cloned());
    found.extend(opened.files().iter().filter(|f| f.rule.is_none()).flat_map(|f| f.diagnostics.clone()));
    crate::diag::sort(&mut found);
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    told(args, opened, &compared, &found, terminal);
    if compared.named > 0 {
        terminal.remark(&format!(
            "note: {} left out: `deploy` looks their channels up by name",
            count(compared.named, "action")
        ));
    }
    if args.check {
        return checked(args, &compared, errors, terminal);
    }
    let text = match write(args, opened, &dir, &compared) {
        Ok(text) => text,
        Err(why) => {
            terminal.note(&format!("error: {why}"));
            return Exit::Findings;
        }
    };
    if errors > 0 {
        terminal.note(&format!("failed: {} · {text}", count(errors, "error")));
        return Exit::Findings;
    }
    match args.format {
        FindingFormat::Text => terminal.line(&format!("ok: {text}")),
        _ => terminal.remark(&format!("ok: {text}")),
    }
    Exit::Fine
}

/// What was read, and the losses, in the format that was asked for.
fn told(
    args: &GenerateArgs,
    opened: &Opened,
    compared: &Compared,
    found: &[Diagnostic],
    terminal: &mut Terminal,
) {
    let config = &opened.pack.config;
    let support = &compared.monitors.support;
    match args.format {
        FindingFormat::Markdown => terminal.raw(&report::markdown(support, config)),
        FindingFormat::Json => {
            let mut out = report::json(support, &config.opensearch);
            if let Some(map) = out.as_object_mut() {
                map.insert("diagnostics".into(), found.iter().map(render::diagnostic_json).collect());
                if args.check {
                    let check = &compared.check;
                    let stale: Vec<&str> = check
                        .stale
                        .iter()
                        .map(|s| s.path.as_str())
                        .chain(compared.report.iter().map(|r| r.0.as_str()))
                        .collect();
                    map.insert("stale".into(), stale.into());
                    map.insert("missing".into(), check.missing.clone().into());
                    map.insert("extra".into(), check.extra.clone().into());
                }
            }
            terminal.line(&out.to_string());
        }
        FindingFormat::Text => {
            if !terminal.quiet {
                let rules = count(support.len(), "rule");
                let about = report::about(&config.opensearch);
                terminal.line(&format!("pack {} · {rules} · {about}", config.name));
                terminal.line("");
                report::lines(support).iter().for_each(|l| terminal.line(l));
                terminal.line("");
            }
            terminal.findings(found, args.format.into());
        }
        FindingFormat::Concise | FindingFormat::Ndjson | FindingFormat::Github => {
            terminal.findings(found, args.format.into());
        }
    }
}

fn checked(args: &GenerateArgs, compared: &Compared, errors: usize, terminal: &mut Terminal) -> Exit {
    let stale = compared.stale();
    if args.format == FindingFormat::Text {
        let check = &compared.check;
        check.stale.iter().for_each(|s| terminal.line(&format!("~ stale    {}", s.path)));
        compared.report.iter().for_each(|r| terminal.line(&format!("~ stale    {}", r.0)));
        check.missing.iter().for_each(|p| terminal.line(&format!("+ missing  {p}")));
        check.extra.iter().for_each(|p| terminal.line(&format!("- extra    {p}")));
    }
    checked_verdict(errors, stale, "rulepack generate --for opensearch", terminal)
}

fn write(args: &GenerateArgs, opened: &Opened, dir: &Path, compared: &Compared) -> Result<String, String> {
    let (mut written, mut removed) = (0, 0);
    let check = &compared.check;
    let mut put = |path: PathBuf, bytes: &[u8]| {
        files::write(&path, bytes).map_err(|why| format!("{}: {why}", path.display()))?;
        written += 1;
        Ok::<_, String>(())
    };
    let changed: BTreeMap<&String, &Vec<u8>> = compared
        .monitors
        .files
        .iter()
        .filter(|(path, _)| check.missing.contains(path) || check.stale.iter().any(|s| s.path == **path))
        .collect();
    for (path, bytes) in changed {
        put(dir.join(path), bytes)?;
    }
    if let Some((path, text)) = compared.report.as_ref().filter(|_| args.out.is_none()) {
        put(opened.pack.root.join(path), text.as_bytes())?;
    }
    // only what this command once wrote may go, and only from the pack's own folder
    if args.out.is_none() && opened.is_whole() {
        for path in check.extra.iter().filter(|p| p.ends_with(".json")) {
            removed += usize::from(std::fs::remove_file(dir.join(path)).is_ok());
        }
    }
    let all = compared.monitors.files.len();
    let refused = compared.monitors.support.iter().filter(|s| s.is_refused()).count();
    let left =
        compared.monitors.support.iter().filter(|s| s.allowed.is_some() && s.grade == Grade::NotPossible);
    let mut text = format!("{} in {}: {written} written", count(all, "monitor"), dir.display());
    for (n, what) in [(removed, "removed"), (refused, "refused"), (left.count(), "left out")] {
        if n > 0 {
            text.push_str(&format!(", {n} {what}"));
        }
    }
    Ok(text)
}
