//! `rulepack validate`: checks rules on every stack of the pack.

use super::Exit;
use super::pack::{FindingFormat, Opened, Selection, open};
use super::terminal::{Terminal, count};
use crate::diag::{Diagnostic, Safety, Severity};
use crate::lint::{self, Validation};
use crate::render;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;

/// Check rules on every stack of the pack
///
/// Structure, syntax, field names and types, values that can never match, ATT&CK, ids: each finding at
/// its place, with a code that `rulepack explain` knows.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack validate\n  rulepack validate aws/iam/group_deleted\n  \
rulepack validate --fix severity:high\n  rulepack validate --format github\n  rulepack validate -r ../other/rules")]
pub struct ValidateArgs {
    #[command(flatten)]
    selection: Selection,
    /// Write the fixes that are safe
    #[arg(long)]
    fix: bool,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: FindingFormat,
    /// Only fail on new findings (not supported yet)
    #[arg(long)]
    baseline: bool,
}

/// Checks the selected rules.
pub fn check(opened: &Opened) -> Validation {
    lint::validate_at(&opened.pack, &opened.files(), super::now(None).ok())
}

/// Runs the command.
pub fn run(args: ValidateArgs, terminal: &mut Terminal) -> Exit {
    if args.baseline {
        let d = Diagnostic::new(crate::diag::Code::RP9001, "`--baseline` is not supported yet");
        terminal.complain(&d);
        return Exit::Findings;
    }
    let selectors = args.selection.all();
    let mut opened = match open(&selectors, terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let mut validated = check(&opened);
    let mut fixed = 0;
    if args.fix {
        match fix(&validated.diagnostics) {
            Ok(0) => {}
            Ok(n) => {
                fixed = n;
                opened = match open(&selectors, terminal) {
                    Ok(o) => o,
                    Err(exit) => return exit,
                };
                validated = check(&opened);
            }
            Err(why) => {
                terminal.note(&format!("error: {why}"));
                return Exit::Findings;
            }
        }
    }
    let found = &validated.diagnostics;
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    let exit = if errors > 0 { Exit::Findings } else { Exit::Fine };
    let verdict = verdict(&opened, &validated, fixed);
    match args.format {
        FindingFormat::Json => {
            let mut out = render::diagnostics_json(found);
            if let Some(map) = out.as_object_mut() {
                map.insert(
                    "summary".into(),
                    json!({ "rules": validated.rules.len(), "errors": errors, "fixed": fixed, "verdict": verdict }),
                );
            }
            terminal.line(&out.to_string());
        }
        FindingFormat::Text | FindingFormat::Concise => {
            terminal.findings(found, args.format.into());
            if errors > 0 || !terminal.quiet || !found.is_empty() {
                terminal.line(&verdict);
            }
        }
        _ => {
            terminal.findings(found, args.format.into());
            terminal.remark(&verdict);
        }
    }
    exit
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
        format!("ok: {} {verb} valid on {stacks}", count(v.files, "rule"))
    };
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
