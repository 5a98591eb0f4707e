//! `rulepack fields`: fields and their types in the catalogues of the pack, adding one, and what has none.

use super::Exit;
use super::files;
use super::pack::open;
use super::terminal::{Terminal, count};
use crate::diag::did_you_mean;
use crate::lang::rule::write;
use crate::pack::{CONFIG, Config, Pack};
use crate::replay::input::reason;
use crate::schema::{
    Field, Layer, MAX_CATALOGUE_BYTES, Origin, Schema, Version, aws_cloudtrail_filled, ecs, ecs_of_stack,
    ecs_values, parse_catalogue,
};
use clap::{Args, ValueEnum};
use rustc_hash::FxHashSet;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Look up fields and their types
///
/// PATTERN is a name, a part of one, or a glob. Without it, the fields that CloudTrail documents have.
/// Looked up are ECS and the catalogues of the pack.
///
/// --add gives a dataset or index pattern a catalogue: the answer of `GET INDEX/_mapping`,
/// `_index_template` or `_field_caps?fields=*`, a package's fields.yml or its whole fields folder, or a
/// table (.tsv) of names and types. --missing ranks the datasets that have none.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack fields user.target\n  rulepack fields 'aws.cloudtrail.user_identity.*'\n  \
rulepack fields event.category --stack 8.19\n  rulepack fields --missing\n  \
rulepack fields --add okta.system --mapping mapping.json"
)]
pub struct FieldsArgs {
    /// A name, a part of one, or a glob
    pattern: Option<String>,
    /// The stack whose ECS version counts
    #[arg(long, value_name = "VERSION", default_value = "9.5")]
    stack: String,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    /// Give a dataset or an index pattern a catalogue
    #[arg(long, value_name = "NAME", requires = "mapping", conflicts_with_all = ["pattern", "missing"])]
    add: Option<String>,
    /// The catalogue for --add
    #[arg(long, value_name = "FILE", requires = "add")]
    mapping: Option<PathBuf>,
    /// Datasets without a catalogue, those of most rules first
    #[arg(long, conflicts_with = "pattern")]
    missing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Text,
    Json,
}

/// Runs the command.
pub fn run(args: FieldsArgs, terminal: &mut Terminal) -> Exit {
    if let (Some(name), Some(mapping)) = (&args.add, &args.mapping) {
        return add(name, mapping, terminal);
    }
    if args.missing {
        return missing(args.format, terminal);
    }
    let Some(stack) = Version::parse(&args.stack) else {
        terminal.note(&format!("error: `--stack {}` is no version; write it as 9.5", args.stack));
        return Exit::Usage;
    };
    let version = ecs_of_stack(stack);
    let catalogues = catalogues();
    let labels: Vec<String> = catalogues.iter().map(|l| l.label.clone()).collect();
    let schema = Schema::new(catalogues.into_iter().chain([ecs().layer(version)]).collect());
    let mut found: Vec<&Field> = match &args.pattern {
        None => {
            let filled: FxHashSet<&str> = aws_cloudtrail_filled().collect();
            schema.iter().filter(|f| f.origin != Origin::Ecs || filled.contains(f.name.as_ref())).collect()
        }
        Some(p) if p.contains('*') => {
            let pattern = crate::es::wildcard::Pattern::plain(p, true);
            schema.iter().filter(|f| pattern.matches(&f.name)).collect()
        }
        Some(p) => {
            let lower = p.to_lowercase();
            match schema.resolve(p) {
                Some(r) if r.flattened_key.is_some() => vec![r.field],
                _ => schema.iter().filter(|f| f.name.contains(&lower)).collect(),
            }
        }
    };
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if found.is_empty() {
        let pattern = args.pattern.unwrap_or_default();
        terminal.note(&format!("error: no field matches `{pattern}` ({})", schema.not_in()));
        if let Some(near) = did_you_mean(&pattern, schema.iter().map(|f| f.name.as_ref())) {
            terminal.note(&format!("help: did you mean `{near}`?"));
        }
        return Exit::Usage;
    }
    if args.format == Answers::Json {
        let all: Vec<Value> = found.iter().map(|f| as_json(f, version, &schema)).collect();
        terminal.line(&json!({ "fields": all }).to_string());
        return Exit::Fine;
    }
    let width = found.iter().map(|f| f.name.len()).max().unwrap_or(0).min(60);
    for field in &found {
        terminal.line(&describe(field, width, version));
    }
    terminal.remark(&format!("{} in ECS {version} and {}", count(found.len(), "field"), labels.join(", ")));
    Exit::Fine
}

/// The catalogues of the pack, or without one those that are built in.
fn catalogues() -> Vec<Layer> {
    let here = std::env::current_dir().unwrap_or_default();
    let config = Pack::find(&here).and_then(|root| Pack::load(&root).ok()).map(|p| p.config);
    let config = config.unwrap_or_else(|| Config::of_folder(""));
    let mut own: Vec<&crate::pack::Catalogue> = Vec::new();
    for catalogue in &config.catalogues {
        if !own.iter().any(|c| c.is_same(catalogue)) {
            own.push(catalogue);
        }
    }
    own.into_iter().map(crate::pack::Catalogue::layer).collect()
}

/// Gives a dataset or an index pattern a catalogue.
fn add(name: &str, mapping: &Path, terminal: &mut Terminal) -> Exit {
    let here = std::env::current_dir().unwrap_or_default();
    let Some(root) = Pack::find(&here) else {
        terminal.note("error: no pack here: no `rulepack.toml`");
        terminal.note("help: `rulepack init` makes one");
        return Exit::Usage;
    };
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) || name == "unknown" {
        terminal.note(&format!("error: `--add {name}` is neither a dataset nor an index pattern"));
        terminal.note("help: rulepack fields --add okta.system --mapping FILE");
        return Exit::Usage;
    }
    let (bytes, ending) = match read(mapping) {
        Ok(read) => read,
        Err(why) => {
            terminal.note(&format!("error: {}: {why}", mapping.display()));
            return Exit::Usage;
        }
    };
    let path = format!("schemas/{}.{ending}", file_name(name));
    let fields = match parse_catalogue(&path, &bytes) {
        Ok(fields) => fields,
        Err(e) => {
            terminal.note(&format!("error: {} is no field catalogue: {e}", mapping.display()));
            terminal.note("help: `rulepack fields --help` lists what it can be");
            return Exit::Findings;
        }
    };
    // the data stream of a dataset; an index pattern is meant as it is
    let is_dataset = !name.contains(['*', ':', '-']);
    let key = if is_dataset { format!("logs-{name}-*") } else { name.to_owned() };
    let config = root.join(CONFIG);
    let edited = std::fs::read_to_string(&config).map_err(|e| reason(&e)).and_then(|text| {
        let edited = write::with_key(&text, "schemas", &key, &Value::from(path.as_str()));
        Ok((edited.map_err(|e| e.to_string())?, text))
    });
    let (edited, text) = match edited {
        Ok(texts) => texts,
        Err(why) => {
            terminal.note(&format!("error: {CONFIG}: {why}"));
            return Exit::Usage;
        }
    };
    let file = root.join(&path);
    let mark = if file.exists() { "~" } else { "+" };
    let mut written = files::write(&file, &bytes).map_err(|why| format!("{path}: {why}"));
    if written.is_ok() && edited != text {
        written = files::write(&config, edited.as_bytes()).map_err(|why| format!("{CONFIG}: {why}"));
    }
    if let Err(why) = written {
        terminal.note(&format!("error: {why}"));
        return Exit::Findings;
    }
    terminal.line(&format!("{mark} {path}"));
    if edited != text {
        terminal.line(&format!("~ {CONFIG}  [schemas] {}", Value::from(key)));
    }
    let conflicts: Vec<&str> = fields.iter().filter(|f| f.types.len() > 1).map(|f| f.name.as_ref()).collect();
    if let Some(first) = conflicts.first() {
        let verb = if conflicts.len() == 1 { "has" } else { "have" };
        let which = if conflicts.len() == 1 { String::new() } else { ", such as".to_owned() };
        terminal.line(&format!(
            "note: {} {verb} another type in some index{which} `{first}`",
            count(conflicts.len(), "field")
        ));
    }
    terminal.line(&format!("ok: `{name}` has a catalogue of {}", count(fields.len(), "field")));
    Exit::Fine
}

/// The content of a catalogue and the ending that tells its kind. Of a folder, all its YAML files as one.
fn read(path: &Path) -> Result<(Vec<u8>, String), String> {
    if !path.is_dir() {
        let size = std::fs::metadata(path).map_err(|e| reason(&e))?.len();
        if size > MAX_CATALOGUE_BYTES as u64 {
            return Err(format!("larger than the {} MB that are read", MAX_CATALOGUE_BYTES / 1024 / 1024));
        }
        let bytes = std::fs::read(path).map_err(|e| reason(&e))?;
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let known = matches!(ending.as_str(), "tsv" | "yml" | "yaml");
        let ending = match ending.as_str() {
            "txt" => "tsv".to_owned(),
            _ if known => ending,
            _ => "json".to_owned(),
        };
        return Ok((bytes, ending));
    }
    let is_yaml = |p: &PathBuf| p.extension().is_some_and(|e| e == "yml" || e == "yaml");
    let entries = std::fs::read_dir(path).map_err(|e| reason(&e))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_yaml).collect();
    files.sort();
    let mut all = Vec::new();
    for file in &files {
        let (bytes, _) = read(file)?;
        // lists one below the other are one list
        let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
        let text = text.trim_start_matches('\u{feff}').trim_start();
        all.extend_from_slice(text.strip_prefix("---").unwrap_or(text).as_bytes());
        all.push(b'\n');
    }
    if files.is_empty() { Err("no .yml file in this folder".to_owned()) } else { Ok((all, "yml".to_owned())) }
}

/// A dataset or pattern as the name of a file: `prod:logs-*` becomes `prod_logs`.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let out: String = name.chars().map(plain).collect();
    let out = out.trim_matches(['.', '-', '_']);
    if out.is_empty() { "fields".to_owned() } else { out.to_owned() }
}

/// Ranks the datasets whose fields nobody knows.
fn missing(format: Answers, terminal: &mut Terminal) -> Exit {
    let opened = match open(&[], terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let rules = opened.compile();
    let mut by_dataset: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for rule in &rules {
        for unchecked in &rule.unchecked {
            let (names, fields) = by_dataset.entry(&unchecked.dataset).or_default();
            names.insert(&rule.rule.name);
            fields.insert(&unchecked.field);
        }
    }
    let affected: BTreeSet<&str> = by_dataset.values().flat_map(|(names, _)| names.iter().copied()).collect();
    let mut ranked: Vec<_> = by_dataset.iter().collect();
    ranked.sort_by_key(|(_, (names, fields))| std::cmp::Reverse((names.len(), fields.len())));
    if format == Answers::Json {
        let row = |(dataset, (names, fields)): &(&&str, &(BTreeSet<&str>, BTreeSet<&str>))| json!({ "dataset": dataset, "rules": names, "fields": fields });
        terminal.line(&json!({ "missing": ranked.iter().map(row).collect::<Vec<_>>() }).to_string());
        return Exit::Fine;
    }
    let width = ranked.iter().map(|(d, _)| d.chars().count()).max().unwrap_or(0).min(60);
    for (dataset, (names, fields)) in &ranked {
        terminal.line(&format!(
            "{dataset:width$}  {:>9}  {} not checked",
            count(names.len(), "rule"),
            count(fields.len(), "field")
        ));
    }
    let total = count(rules.len(), "rule");
    match ranked.first() {
        None => terminal.line(&format!("ok: all fields of {total} have a catalogue")),
        Some((first, _)) => {
            let datasets = count(ranked.len(), "dataset");
            terminal
                .line(&format!("ok: {datasets} without a catalogue, {} of {total} affected", affected.len()));
            terminal.remark(&format!("    rulepack fields --add {first} --mapping FILE"));
        }
    }
    Exit::Fine
}

fn describe(f: &Field, width: usize, version: Version) -> String {
    let kinds: Vec<&str> = f.types.iter().map(|t| t.kind.name()).collect();
    let mut facts = match &f.alias {
        Some(target) => vec![format!("alias of {target}")],
        None => vec![kinds.join(" or ")],
    };
    if f.array {
        facts.push("array".to_owned());
    }
    if let Some(n) = f.ty().ignore_above {
        facts.push(format!("up to {n} characters"));
    }
    if let Some(c) = &f.ty().constant {
        facts.push(format!("always `{c}`"));
    }
    if let Some(parent) = &f.parent {
        facts.push(format!("of {parent}"));
    }
    if !f.ty().indexed {
        facts.push("not searchable".to_owned());
    }
    if let Some(since) = f.since {
        let source = if f.origin == Origin::Ecs { "ECS" } else { "aws" };
        facts.push(format!("since {source} {since}"));
    }
    if let Some(values) = ecs_values().allowed(&f.name, version) {
        facts.push(format!("one of {}", values.join(", ")));
    }
    format!("{:width$}  {}", f.name, facts.join(" · "))
}

fn as_json(f: &Field, version: Version, schema: &Schema) -> Value {
    let holds = |l: &&Layer| l.fields.get(&f.name, l.version).is_some_and(|own| std::ptr::eq(own, f));
    let layer = schema.layers().iter().find(holds);
    let catalogue = match f.origin {
        Origin::Ecs => "ECS",
        _ => layer.and_then(|l| l.label.split(' ').next()).unwrap_or_default(),
    };
    json!({
        "name": f.name,
        "type": f.kind().name(),
        "array": f.array,
        "ignore_above": f.ty().ignore_above,
        "constant": f.ty().constant,
        "multi_field_of": f.parent,
        "indexed": f.ty().indexed,
        "since": f.since.map(|v| v.to_string()),
        "catalogue": catalogue,
        "allowed": ecs_values().allowed(&f.name, version),
    })
}
