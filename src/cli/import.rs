//! `rulepack import`: rules, exception lists and connectors from JSON into the files of the pack.

use super::Exit;
use super::files;
use super::terminal::{Terminal, count};
use crate::import::{
    Action, Export, Imported, Importer, MAX_BYTES, Refused, SideFile, connectors, exceptions,
};
use crate::pack::Pack;
use crate::replay::input::reason;
use clap::Args;
use std::path::{Path, PathBuf};

/// Turn rules from Kibana into files of the pack
///
/// FILE is an export of Kibana (NDJSON with rules, exception lists and connectors), or rules as JSON: an
/// object, an array, or one a line. A rule whose id the pack has changes its file, only where it differs;
/// other rules get a file below the rules folder. Author, licence, dates and maturity of files stay.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack import rules_export.ndjson\n  rulepack import --into okta rule.json\n  \
rulepack import --dry-run rules_export.ndjson"
)]
pub struct ImportArgs {
    /// Files to import; `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Folder for new rules, below the rules folder
    #[arg(long, value_name = "FOLDER", default_value = "")]
    into: String,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub fn run(args: ImportArgs, terminal: &mut Terminal) -> Exit {
    let Some(into) = crate::pack::files::inside(&args.into) else {
        terminal.note(&format!("error: `--into {}` leads out of the rules folder", args.into));
        return Exit::Usage;
    };
    let mut export = Export::default();
    let mut bad: Vec<Refused> = Vec::new();
    for path in &args.files {
        let read = match read(path) {
            Ok(bytes) => Export::read(&bytes),
            Err(why) => {
                terminal.note(&format!("error: {}: {why}", path.display()));
                return Exit::Usage;
            }
        };
        let of = |n: usize, what: &str| (n > 0).then(|| count(n, what));
        let parts = [
            of(read.rules.len(), "rule"),
            of(read.lists.len(), "exception list"),
            of(read.items.len(), "exception"),
            of(read.connectors.len(), "connector"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let parts = if parts.is_empty() { "nothing to import".to_owned() } else { parts.join(", ") };
        terminal.line(&format!("{} · {parts}", path.display()));
        if let Some(n) = read.counted.filter(|n| *n != read.rules.len() as u64) {
            terminal.note(&format!("note: the last line counts {n} rules, {} were found", read.rules.len()));
        }
        for (line, why) in &read.unusable {
            let place =
                line.map_or_else(|| path.display().to_string(), |l| format!("{}:{l}", path.display()));
            bad.push(Refused { rule: place, why: why.clone() });
        }
        export.rules.extend(read.rules);
        export.lists.extend(read.lists);
        export.items.extend(read.items);
        export.connectors.extend(read.connectors);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let root = Pack::find(&here).unwrap_or(here);
    let pack = match Pack::load(&root) {
        Ok(pack) => pack,
        Err(found) => {
            found.iter().for_each(|d| terminal.complain(d));
            terminal.note("failed: the pack could not be loaded");
            return Exit::Usage;
        }
    };
    let today = jiff::Timestamp::now().to_string().get(..10).unwrap_or("2026-01-01").replace('-', "/");
    let mut importer = Importer::new(&pack, &into, &today);
    let mut rules: Vec<Imported> = Vec::new();
    for json in export.rules {
        match importer.rule(json) {
            Ok(rule) => rules.push(rule),
            Err(refused) => bad.push(refused),
        }
    }
    let folder = |name: &str| {
        let folder = root.join(name);
        move |path: &str| std::fs::read_to_string(folder.join(path)).ok()
    };
    let lists = pack.config.exceptions.clone();
    let place = |id: &str| {
        let (file, _) = pack.exceptions.list(id)?;
        file.source.name().strip_prefix(&format!("{}/", lists.trim_end_matches('/'))).map(str::to_owned)
    };
    let (list_files, refused) = exceptions(&export.lists, &export.items, &today, &place, &folder(&lists));
    bad.extend(refused);
    let (connector_files, refused) = connectors(&export.connectors, &today, &folder("connectors"));
    bad.extend(refused);
    let shown = Shown { root: &root, dry_run: args.dry_run };
    match shown.write(
        &pack,
        &rules,
        [(lists.as_str(), &list_files), ("connectors", &connector_files)],
        terminal,
    ) {
        Ok(()) => {}
        Err(why) => {
            terminal.note(&format!("error: {why}"));
            return Exit::Findings;
        }
    }
    remarks(&rules, terminal);
    if !connector_files.is_empty() {
        terminal.line("note: exports hold no secrets of connectors, so neither do their files");
    }
    for refused in &bad {
        terminal.line(&format!("! {}: {}", refused.rule, refused.why));
    }
    terminal.line(&verdict(&rules, &bad, args.dry_run));
    if bad.is_empty() { Exit::Fine } else { Exit::Findings }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(limit).read_to_end(&mut bytes))
    };
    read.map(|_| bytes).map_err(|e| reason(&e))
}

struct Shown<'a> {
    root: &'a Path,
    dry_run: bool,
}

impl Shown<'_> {
    /// Writes what is new or changed, and says so.
    fn write(
        &self,
        pack: &Pack,
        rules: &[Imported],
        sides: [(&str, &Vec<SideFile>); 2],
        terminal: &mut Terminal,
    ) -> Result<(), String> {
        let width = rules.iter().map(|r| r.name.chars().count()).max().unwrap_or(0).min(60);
        for rule in rules {
            let path = format!("{}/{}.toml", pack.config.rules, rule.name);
            let path = path.trim_start_matches('/');
            match &rule.action {
                Action::New => {
                    self.file(path, &rule.text)?;
                    terminal.line(&format!("+ {path}"));
                }
                Action::Changed(keys) => {
                    self.file(path, &rule.text)?;
                    terminal.line(&format!("~ {:width$}  {}", rule.name, keys.join(", ")));
                }
                Action::Same => {}
            }
        }
        for (folder, list) in sides {
            for side in list {
                let path = format!("{folder}/{}", side.path);
                let mark = match std::fs::read_to_string(self.root.join(&path)) {
                    Ok(text) if text == side.text => continue,
                    Ok(_) => "~",
                    Err(_) => "+",
                };
                self.file(&path, &side.text)?;
                terminal.line(&format!("{mark} {path}"));
            }
        }
        Ok(())
    }

    fn file(&self, path: &str, text: &str) -> Result<(), String> {
        if self.dry_run {
            return Ok(());
        }
        files::write(&self.root.join(path), text.as_bytes()).map_err(|why| format!("{path}: {why}"))
    }
}

/// What a person should know about the rules: what was kept, left out, and not taken over.
pub fn remarks(rules: &[Imported], terminal: &mut Terminal) {
    type Part = fn(&Imported) -> &Vec<String>;
    let parts: [(Part, &str); 4] = [
        (|r| &r.kept, "is not known here; it is kept and generated as it is"),
        (|r| &r.nulls, "is null, which TOML cannot say; it is left out"),
        (|r| &r.held, "is different in the export; the file's own stays"),
        (|r| &r.lost, "will not be generated as the export has it"),
    ];
    for (part, what) in parts {
        let mut by_key: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
        for rule in rules {
            for key in part(rule) {
                by_key.entry(key.strip_prefix("/rule").unwrap_or(key)).or_default().push(&rule.name);
            }
        }
        for (key, names) in by_key {
            let first = names.first().copied().unwrap_or_default();
            let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
            terminal.line(&format!("note: `{}` {what} ({first}{more})", key.trim_start_matches('/')));
        }
    }
    let prebuilt = rules.iter().filter(|r| r.prebuilt).count();
    if prebuilt > 0 {
        let verb = if prebuilt == 1 { "is Elastic's own" } else { "are Elastic's own" };
        terminal.line(&format!(
            "note: {} {verb}: under the same rule id they and Elastic's updates would collide",
            count(prebuilt, "rule")
        ));
    }
}

fn verdict(rules: &[Imported], bad: &[Refused], dry_run: bool) -> String {
    let of = |test: fn(&Action) -> bool| rules.iter().filter(|r| test(&r.action)).count();
    let new = of(|a| *a == Action::New);
    let changed = of(|a| matches!(a, Action::Changed(_)));
    let same = of(|a| *a == Action::Same);
    let mut text = format!("{new} new, {changed} changed, {same} same");
    if !bad.is_empty() {
        text.push_str(&format!("; {} not imported", bad.len()));
    }
    match (bad.is_empty(), dry_run) {
        (false, _) => format!("failed: {text}"),
        (true, true) => format!("plan: {text} · nothing was written"),
        (true, false) => format!("ok: {text}"),
    }
}
