//! `rulepack diff --target`: what is live on a target against the working tree. Both sides become files of a
//! pack, so that both are read, compiled and replayed in the same way.

use super::super::deploy::{choose, look};
use super::super::pack::open;
use super::super::{changes, validate};
use super::{Answers, Built, DiffArgs, compiled};
use crate::cli::Exit;
use crate::cli::terminal::{Terminal, count};
use crate::diag::Severity;
use crate::import::Importer;
use crate::pack::{CatalogueSource, Pack};
use crate::target::kibana::{Sides, sides};
use serde_json::{Map, Value};
use std::path::Path;

/// Compares a target with the working tree.
pub fn run(args: &DiffArgs, target: &str, terminal: &mut Terminal) -> Exit {
    let opened = match open(&[], terminal) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let Some(target) = choose(Some(target), &opened.pack.config, terminal) else { return Exit::Usage };
    if target.opensearch.is_some() {
        return super::monitors::run(args, &opened, &target, terminal);
    }
    let validated = validate::check(&opened);
    let errors: Vec<_> = validated.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    if !errors.is_empty() {
        errors.iter().for_each(|d| terminal.complain(d));
        terminal.note(&format!("failed: {}, so nothing was compared", count(errors.len(), "error")));
        terminal.note("        rulepack validate");
        return Exit::Findings;
    }
    let looked = match look(&opened, &validated.rules, &target, false, terminal) {
        Ok(looked) => looked,
        Err(exit) => return exit,
    };
    let all = sides(&looked.plan, &looked.wanted, &looked.settings);
    let before = format!("{} ({})", target.name, looked.connection.about());
    let old = built(before, &opened.pack, &all, |s| s.live.as_ref(), terminal);
    let new = built("working tree".to_owned(), &opened.pack, &all, |s| s.wanted.as_ref(), terminal);
    let (Ok(old), Ok(new)) = (old, new) else { return Exit::Findings };
    let exit = super::tell(args, &old, &new, terminal);
    if args.format == Answers::Text {
        for line in changes::lists::lines(&looked.list_plan) {
            terminal.line(&line);
        }
    }
    match exit {
        Exit::Fine if args.exit_code && looked.list_plan.writes() => Exit::Findings,
        other => other,
    }
}

/// One side as a pack: its rules as files below the names that they have in the pack, with the configuration,
/// catalogues and exceptions of the working tree.
fn built(
    label: String,
    pack: &Pack,
    all: &[Sides],
    side: impl Fn(&Sides) -> Option<&Map<String, Value>>,
    terminal: &mut Terminal,
) -> Result<Built, ()> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string());
    let made = folder.and_then(|folder| {
        copy(pack, folder.path())?;
        let empty = Pack::load(folder.path()).map_err(|_| "the configuration cannot be read".to_owned())?;
        let mut importer = Importer::new(&empty, "", "2026/01/01");
        for one in all {
            let Some(json) = side(one) else { continue };
            let rule = importer.rule(json.clone()).map_err(|e| format!("{}: {}", e.rule, e.why))?;
            let name = crate::pack::files::inside(&one.name).unwrap_or_else(|| rule.name.clone());
            let file = folder.path().join(&pack.config.rules).join(format!("{name}.toml"));
            crate::cli::files::write(&file, rule.text.as_bytes())?;
        }
        let loaded = Pack::load(folder.path()).map_err(|_| "a side cannot be read".to_owned())?;
        Ok(compiled(label, loaded, Some(folder)))
    });
    match made {
        Ok(mut built) => {
            built.fixtures.clone_from(&pack.root);
            Ok(built)
        }
        Err(why) => {
            terminal.note(&format!("error: {why}"));
            terminal.note("failed: not everything could be compared");
            Err(())
        }
    }
}

/// What rules need besides themselves.
fn copy(pack: &Pack, to: &Path) -> Result<(), String> {
    let mut paths = vec![crate::pack::CONFIG.to_owned()];
    paths.extend(pack.config.catalogues.iter().filter_map(|c| match &c.source {
        CatalogueSource::File { path, .. } => Some(path.clone()),
        CatalogueSource::Builtin(_) => None,
    }));
    let lists = pack.root.join(&pack.config.exceptions);
    let mut open = vec![lists];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else if let Ok(below) = path.strip_prefix(&pack.root) {
                paths.push(below.display().to_string());
            }
        }
    }
    for path in paths {
        let bytes = std::fs::read(pack.root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
        crate::cli::files::write(&to.join(&path), &bytes)?;
    }
    std::fs::create_dir_all(to.join(&pack.config.rules)).map_err(|e| e.to_string())
}
