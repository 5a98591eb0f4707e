//! `rulepack init`: scaffolds a pack.

use super::Exit;
use super::adopt;
use super::files;
use super::terminal::{Terminal, count};
use crate::emit;
use crate::pack::{CONFIG, Pack, bundled};
use crate::report::page;
use clap::Args;
use std::path::{Path, PathBuf};

/// Scaffold a pack
///
/// Writes rulepack.toml and the folders. With `--with aws-iam` the bundled pack of AWS IAM rules comes
/// along, with tests and fixtures. A folder of rules, or a tree of elastic/detection-rules with its
/// settings, is recognised and taken as it is; an export of Kibana (NDJSON) gets a pack round it, ready for
/// `rulepack import`. Files that exist are never overwritten.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack init\n  rulepack init --with aws-iam && rulepack ci")]
pub struct InitArgs {
    /// The folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// A bundled pack to start from: aws-iam
    #[arg(long, value_name = "PACK")]
    with: Option<String>,
    /// The pack's name; by default that of the folder
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Runs the command.
pub fn run(args: InitArgs, terminal: &mut Terminal) -> Exit {
    let with = match args.with.as_deref() {
        None => false,
        Some(bundled::NAME) => true,
        Some(other) => {
            terminal.note(&format!("error: there is no bundled pack `{other}`"));
            terminal.note(&format!("help: `--with {}`", bundled::NAME));
            return Exit::Usage;
        }
    };
    let dir = args.dir.as_path();
    if dir.join(CONFIG).exists() {
        terminal.note(&format!("error: {} exists already", dir.join(CONFIG).display()));
        terminal.note("help: `rulepack ci` checks the pack");
        return Exit::Usage;
    }
    let name = args.name.unwrap_or_else(|| name_of(dir, with));
    if !with && let Some(adopted) = adopt::recognise(dir, &name) {
        return adopted_pack(dir, &name, &adopted, terminal);
    }
    if !with && let Some(export) = adopt::recognise_export(dir, &name) {
        return pack_for_export(dir, &name, &export, terminal);
    }
    let config =
        bundled::CONFIG.replacen(&format!("name = \"{}\"", bundled::NAME), &format!("name = \"{name}\""), 1);
    let mut wanted: Vec<(PathBuf, Vec<u8>)> = vec![(dir.join(CONFIG), config.into_bytes())];
    if with {
        wanted.extend(bundled::FILES.iter().map(|(path, bytes)| (dir.join(path), bytes.to_vec())));
    } else {
        for folder in ["rules-toml", "tests/rules", "tests/fixtures"] {
            wanted.push((dir.join(folder).join(".gitkeep"), Vec::new()));
        }
    }
    let (mut written, mut kept) = (0, 0);
    for (path, bytes) in wanted {
        if path.exists() {
            kept += 1;
            continue;
        }
        if let Err(why) = files::write(&path, &bytes) {
            terminal.note(&format!("error: {}: {why}", path.display()));
            return Exit::Findings;
        }
        written += 1;
    }
    if with {
        // `rulepack ci` compares with generated files, so they belong to a pack that is complete
        match generated(dir) {
            Ok(n) => written += n,
            Err(why) => {
                terminal.note(&format!("error: {why}"));
                return Exit::Findings;
            }
        }
    }
    let kept = if kept > 0 { format!(", {} left as they were", count(kept, "file")) } else { String::new() };
    terminal.line(&format!("ok: pack {name} is set up, {} written{kept}", count(written, "file")));
    if !terminal.quiet {
        if with {
            terminal.line("    rulepack ci");
        } else {
            terminal.line("    rulepack new aws/iam/my_first_rule");
        }
    }
    Exit::Fine
}

/// Sets up a pack round rules that were there already: nothing is written but its configuration.
fn adopted_pack(dir: &Path, name: &str, adopted: &adopt::Adopted, terminal: &mut Terminal) -> Exit {
    if let Err(why) = files::write(&dir.join(CONFIG), adopted.config.as_bytes()) {
        terminal.note(&format!("error: {}: {why}", dir.join(CONFIG).display()));
        return Exit::Findings;
    }
    if !terminal.quiet {
        adopted.taken.iter().for_each(|t| terminal.line(&format!("taken over   {t}")));
        adopted.left.iter().for_each(|l| terminal.line(&format!("left         {l}")));
        terminal.line("");
    }
    terminal.line(&format!("ok: pack {name} is set up round the rules that are here, {CONFIG} written"));
    if !terminal.quiet {
        terminal.line("    rulepack validate              what rulepack has to say about them");
        terminal.line("    rulepack validate --baseline   make that known, so that only new findings fail");
    }
    Exit::Fine
}

/// Sets up an empty pack beside an export of Kibana.
fn pack_for_export(dir: &Path, name: &str, export: &adopt::FoundExport, terminal: &mut Terminal) -> Exit {
    let keep = Path::new("rules-toml").join(".gitkeep");
    for (path, text) in [(Path::new(CONFIG), export.config.as_str()), (keep.as_path(), "")] {
        if let Err(why) = files::write(&dir.join(path), text.as_bytes()) {
            terminal.note(&format!("error: {}: {why}", path.display()));
            return Exit::Findings;
        }
    }
    if !terminal.quiet {
        export.taken.iter().for_each(|t| terminal.line(&format!("found        {t}")));
        terminal.line("");
    }
    terminal.line(&format!("ok: pack {name} is set up beside an export of Kibana, {CONFIG} written"));
    if !terminal.quiet {
        terminal.line(&format!("    rulepack import {}", export.file));
    }
    Exit::Fine
}

/// Writes the generated files of a new pack; gives how many.
fn generated(dir: &Path) -> Result<usize, String> {
    let first =
        |found: Vec<crate::diag::Diagnostic>| found.first().map_or_else(String::new, |d| d.message.clone());
    let pack = Pack::load(dir).map_err(first)?;
    let selected: Vec<_> = pack.files.iter().collect();
    let rules = pack.compile(&selected);
    let Some(folder) = &pack.config.generate_dir else { return Ok(0) };
    let mut wanted = emit::generate(&rules, &pack.config, pack.config.bundle).files;
    if pack.config.docs {
        wanted.extend(page::pages(&rules, &pack.tests(&selected).0, &pack.config));
    }
    let mut n = 0;
    for (path, bytes) in wanted {
        let path = dir.join(folder).join(path);
        if !path.exists() {
            files::write(&path, &bytes).map_err(|why| format!("{}: {why}", path.display()))?;
            n += 1;
        }
    }
    Ok(n)
}

/// A name for the pack in this folder: letters, digits and dashes.
fn name_of(dir: &Path, with: bool) -> String {
    let folder = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let base = folder.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = base.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-').to_owned();
    match name.is_empty() {
        false => name,
        true if with => bundled::NAME.to_owned(),
        true => "detections".to_owned(),
    }
}
