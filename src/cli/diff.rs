//! `rulepack diff`: what a change would do, rules and alerts.

mod live;
mod monitors;

use super::Exit;
use super::git::{GitError, Repository};
use super::terminal::{Terminal, thousands};
use crate::diff::{Diff, Side, compare};
use crate::lang::cloudtrail::{Converter, Options};
use crate::pack::{CompiledRule, Pack};
use crate::replay::{Engine, Report, RunRule};
use crate::report::comparison::{self, Heading};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Show what a change would do: rules and alerts
///
/// Both revisions are built from their sources and replayed over the same events, the fixtures or --on.
/// Without REV: from where the branch left the default branch, to the working tree. With --target: from what
/// is live there, to what a deploy of the working tree would make of it.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack diff\n  rulepack diff v1.2..HEAD\n  rulepack diff main --on ~/logs/AWSLogs\n  \
rulepack diff --target prod --exit-code\n  \
rulepack diff --format markdown > comment.md"
)]
pub struct DiffArgs {
    /// A revision, or two as OLD..NEW
    #[arg(value_name = "REV[..REV]")]
    revisions: Option<String>,
    /// Replay both sides over these logs instead of the fixtures
    #[arg(long, value_name = "PATH")]
    on: Vec<PathBuf>,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    /// Exit 1 when something differs
    #[arg(long)]
    exit_code: bool,
    /// Markdown and annotations: also show who did what
    #[arg(long)]
    show_values: bool,
    /// Compare what is live on a target with the working tree
    #[arg(long, value_name = "TARGET", conflicts_with = "revisions")]
    target: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Text,
    Json,
    Markdown,
    Github,
}

/// A side, built.
struct Built {
    label: String,
    pack: Pack,
    rules: Vec<CompiledRule>,
    /// The folder that the fixtures are below.
    fixtures: PathBuf,
    /// Holds the sources of a revision for as long as they are looked at.
    _folder: Option<tempfile::TempDir>,
}

/// Runs the command.
pub fn run(args: DiffArgs, terminal: &mut Terminal) -> Exit {
    if let Some(target) = args.target.clone() {
        return live::run(&args, &target, terminal);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let Some(root) = Pack::find(&here) else {
        terminal.note("error: no pack here: no `rulepack.toml`");
        terminal.note("help: `rulepack init` makes one");
        return Exit::Usage;
    };
    let (old, new) = match sides(&root, args.revisions.as_deref(), terminal) {
        Ok(sides) => sides,
        Err(exit) => return exit,
    };
    tell(&args, &old, &new, terminal)
}

/// Replays both sides, compares them, and tells.
fn tell(args: &DiffArgs, old: &Built, new: &Built, terminal: &mut Terminal) -> Exit {
    let on = if args.on.is_empty() { events(new) } else { args.on.clone() };
    let shown = if args.on.is_empty() {
        new.pack.config.fixtures.clone()
    } else {
        args.on.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    };
    let (old_engine, old_report) = replay(&old.rules, &on);
    let (new_engine, new_report) = replay(&new.rules, &on);
    let diff = compare(
        Side { rules: &old.rules, config: &old.pack.config, engine: &old_engine, report: &old_report },
        Side { rules: &new.rules, config: &new.pack.config, engine: &new_engine, report: &new_report },
    );
    let heading = Heading {
        before: old.label.clone(),
        after: new.label.clone(),
        rules: (old.rules.len(), new.rules.len()),
        on: format!("{shown} ({} events)", thousands(new_report.records)),
    };
    print(args, &heading, &diff, new, terminal);
    let unreadable = unreadable(old, new);
    for line in &unreadable {
        terminal.note(line);
    }
    for problem in new_report.problems.iter().take(20) {
        terminal.note(&format!("error: {} {}: {}", problem.file, problem.place, problem.message));
    }
    if !unreadable.is_empty() || !new_report.complete() || !old_report.complete() {
        terminal.note("failed: not everything could be compared");
        return Exit::Findings;
    }
    if args.exit_code && !diff.is_empty() { Exit::Findings } else { Exit::Fine }
}

fn print(args: &DiffArgs, heading: &Heading, diff: &Diff, new: &Built, terminal: &mut Terminal) {
    match args.format {
        Answers::Text => comparison::text(heading, diff).iter().for_each(|l| terminal.line(l)),
        Answers::Json => terminal.line(&comparison::as_json(heading, diff).to_string()),
        Answers::Markdown => {
            terminal.raw(&comparison::markdown(heading, diff, &new.pack.config.name, args.show_values));
        }
        Answers::Github => {
            for rule in &diff.rules {
                let file =
                    new.pack.files.iter().find(|f| f.name == rule.name).map(|f| format!("file={},", f.file));
                let side = |n: &Result<usize, String>| {
                    n.as_ref().map_or_else(|_| "?".to_owned(), ToString::to_string)
                };
                terminal.line(&format!(
                    "::notice {}title=rulepack diff::{}: alerts {} -> {}",
                    file.unwrap_or_default(),
                    rule.name,
                    side(&rule.before),
                    side(&rule.after)
                ));
            }
            terminal.note(&comparison::verdict(diff));
        }
    }
}

/// The events of a pack; one without any is compared by its rules alone.
fn events(built: &Built) -> Vec<PathBuf> {
    let folder = built.fixtures.join(&built.pack.config.fixtures);
    if folder.exists() { vec![folder] } else { Vec::new() }
}

fn complain(e: &GitError, terminal: &mut Terminal) -> Exit {
    terminal.note(&format!("error: {}", e.message));
    if let Some(help) = &e.help {
        terminal.note(&format!("help: {help}"));
    }
    Exit::Usage
}

fn sides(root: &Path, given: Option<&str>, terminal: &mut Terminal) -> Result<(Built, Built), Exit> {
    let repository = Repository::around(root).map_err(|e| complain(&e, terminal))?;
    let (old, new) = match given {
        None => (None, None),
        Some(text) => match text.split_once("..") {
            Some((old, new)) => {
                let new = new.trim_start_matches('.');
                (Some(old), Some(if new.is_empty() { "HEAD" } else { new }))
            }
            None => (Some(text), None),
        },
    };
    let old = match old {
        Some(name) => repository.revision(name),
        None => repository.merge_base(),
    }
    .map_err(|e| complain(&e, terminal))?;
    let old = build(&repository, &old, root, terminal)?;
    let new = match new {
        Some(name) => {
            let revision = repository.revision(name).map_err(|e| complain(&e, terminal))?;
            build(&repository, &revision, root, terminal)?
        }
        None => {
            let pack = Pack::load(root).map_err(|found| {
                found.iter().for_each(|d| terminal.complain(d));
                Exit::Usage
            })?;
            compiled("working tree".to_owned(), pack, None)
        }
    };
    Ok((old, new))
}

/// Builds a revision from its sources, never from what was generated then.
fn build(
    repository: &Repository,
    revision: &super::git::Revision,
    root: &Path,
    terminal: &mut Terminal,
) -> Result<Built, Exit> {
    let folder = tempfile::tempdir().map_err(|e| {
        terminal.note(&format!("error: no folder for temporary files: {e}"));
        Exit::Usage
    })?;
    // the folders that the working tree's configuration names, and those of the default one
    let config = Pack::load(root).map(|p| p.config).ok();
    let mut paths = vec!["rulepack.toml", "rules-toml", "tests", "exceptions", "schemas"];
    if let Some(c) = &config {
        paths.extend([c.rules.as_str(), c.tests.as_str(), c.fixtures.as_str(), c.exceptions.as_str()]);
    }
    paths.retain(|p| !p.is_empty());
    paths.sort_unstable();
    paths.dedup();
    repository.extract(revision, &paths, folder.path()).map_err(|e| complain(&e, terminal))?;
    if !folder.path().join(crate::pack::CONFIG).is_file() {
        // a revision before the pack began: everything is new
        let empty = "[pack]\nname = \"none\"\n";
        let written = super::files::write(&folder.path().join(crate::pack::CONFIG), empty.as_bytes())
            .and_then(|()| {
                std::fs::create_dir_all(folder.path().join("rules-toml")).map_err(|e| e.to_string())
            });
        if let Err(why) = written {
            terminal.note(&format!("error: {why}"));
            return Err(Exit::Usage);
        }
    }
    let pack = Pack::load(folder.path()).map_err(|found| {
        terminal.note(&format!("error: the pack at {} cannot be loaded", revision.label));
        found.iter().for_each(|d| terminal.complain(d));
        Exit::Usage
    })?;
    Ok(compiled(revision.label.clone(), pack, Some(folder)))
}

fn compiled(label: String, pack: Pack, folder: Option<tempfile::TempDir>) -> Built {
    let rules = pack.compile(&pack.files.iter().collect::<Vec<_>>());
    let fixtures = pack.root.clone();
    Built { label, pack, rules, fixtures, _folder: folder }
}

fn replay(rules: &[CompiledRule], on: &[PathBuf]) -> (Engine, Report) {
    let runnable = rules.iter().filter_map(RunRule::of).collect();
    let engine = Engine::new(runnable, Converter::new(Options::default()));
    let report = engine.run(on, &[], &Arc::default());
    (engine, report)
}

/// Rule files that could not be read on a side: they were not compared.
fn unreadable(old: &Built, new: &Built) -> Vec<String> {
    [old, new]
        .iter()
        .flat_map(|side| {
            side.pack.files.iter().filter(|f| f.rule.is_none()).map(|f| {
                format!("error: {} at {}: cannot be read, so it was not compared", f.name, side.label)
            })
        })
        .collect()
}
