//! `rulepack fmt`: rule, test and exception files in their canonical form.

use super::Exit;
use super::files;
use super::pack::{Selection, open};
use super::terminal::{Terminal, count};
use crate::lang::rule::{NotFormatted, format};
use clap::Args;
use std::path::{Path, PathBuf};

/// Bring rule files into canonical form
///
/// Spaces, blank lines, and the query inside: KQL and Lucene are laid out anew, EQL and ES|QL queries stay
/// as they are. Comments, values and the order of keys never change, and neither does the meaning of a
/// query. Without RULE, tests and exception files are formatted too.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack fmt\n  rulepack fmt aws/iam/group_deleted\n  rulepack fmt --check"
)]
pub struct FmtArgs {
    #[command(flatten)]
    selection: Selection,
    /// Write nothing; exit 1 when a file is not in form
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub fn run(args: FmtArgs, terminal: &mut Terminal) -> Exit {
    let opened = match open(&args.selection.all(), terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let pack = &opened.pack;
    let mut paths: Vec<PathBuf> = opened.files().iter().map(|f| PathBuf::from(&f.file)).collect();
    if opened.is_whole() && !opened.outside {
        for folder in [&pack.config.tests, &pack.config.exceptions] {
            paths.extend(toml_files(&pack.root.join(folder)));
        }
    }
    let mut changed = 0;
    let mut failed = 0;
    for path in &paths {
        let shown = path.strip_prefix(&pack.root).unwrap_or(path).display().to_string();
        match one(path, args.check) {
            Ok(false) => {}
            Ok(true) => {
                changed += 1;
                let what =
                    if args.check { format!("{shown}: not in form") } else { format!("formatted {shown}") };
                terminal.line(&what);
            }
            Err(why) => {
                failed += 1;
                terminal.note(&format!("error: {shown}: {why}"));
            }
        }
    }
    let files = count(paths.len(), "file");
    if failed > 0 {
        terminal.note(&format!("failed: {failed} of {files} left alone"));
        return Exit::Findings;
    }
    if args.check && changed > 0 {
        terminal.note(&format!("failed: {changed} of {files} not in form; `rulepack fmt` writes them"));
        return Exit::Findings;
    }
    terminal.remark(&match changed {
        0 => format!("ok: {files} in form"),
        n => format!("ok: {n} of {files} formatted"),
    });
    Exit::Fine
}

/// Formats a file; whether it was not in form.
fn one(path: &Path, check: bool) -> Result<bool, String> {
    let text = std::fs::read_to_string(path).map_err(|e| crate::replay::input::reason(&e))?;
    let formatted = match format(&text) {
        Ok(f) => f,
        Err(NotFormatted::Syntax) => {
            return Err("it has syntax errors; `rulepack validate` shows them".to_owned());
        }
        Err(e) => return Err(e.to_string()),
    };
    if formatted == text {
        return Ok(false);
    }
    if !check {
        files::write(path, formatted.as_bytes())?;
    }
    Ok(true)
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let walker = ignore::WalkBuilder::new(folder).standard_filters(false).hidden(true).build();
    let mut found: Vec<PathBuf> = walker
        .flatten()
        .filter(|e| e.file_type().is_some_and(|t| t.is_file()))
        .map(ignore::DirEntry::into_path)
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    found.sort();
    found
}
