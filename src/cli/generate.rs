//! `rulepack generate`: Detection Engine JSON, written or compared.

use super::Exit;
use super::files;
use super::pack::{FindingFormat, Opened, Selection, open};
use super::terminal::{Terminal, count};
use crate::diag::{Code, Diagnostic, Severity};
use crate::emit::{self, Check, Generated};
use crate::pack::CompiledRule;
use crate::pack::Target;
use crate::render;
use crate::report::page;
use crate::schema::Version;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Write Detection Engine JSON
///
/// One file per rule and rules.ndjson, in the folder that rulepack.toml names ([generate] dir). The bytes
/// depend on the rules alone. `--check` writes nothing and fails when a file is stale. `--for opensearch`
/// writes monitors below opensearch/ in that folder, and fails where a rule loses something that
/// `allow` in [opensearch] does not accept.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack generate\n  rulepack generate --check\n  \
rulepack generate --rules ../other/rules --out /tmp/json\n  rulepack generate --stack 8.19 --out /tmp/json-8.19\n  \
rulepack generate --for opensearch --format markdown")]
pub struct GenerateArgs {
    #[command(flatten)]
    selection: Selection,
    /// Compare only; exit 1 when a file is stale
    #[arg(long)]
    pub check: bool,
    /// Write to this folder instead
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The product: rules of Kibana, or monitors of OpenSearch and what they lose
    #[arg(long = "for", value_name = "PRODUCT", default_value = "kibana")]
    product: Product,
    /// As this target wants the rules: its selection, its overlays (needs --out)
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// For one stack: what it does not know is dropped, or the rule left out, and said (needs --out)
    #[arg(long, value_name = "VERSION")]
    stack: Option<String>,
    /// Also write catalog.md and a page per rule, as `docs = true` in [generate] does
    #[arg(long)]
    docs: bool,
    /// How to show findings
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: FindingFormat,
}

impl GenerateArgs {
    /// The target that is asked for, of the right product.
    fn target(&self, config: &crate::pack::Config, terminal: &mut Terminal) -> Result<Option<Target>, Exit> {
        let Some(name) = self.target.as_deref() else { return Ok(None) };
        if self.out.is_none() {
            terminal.note(
                "error: `--target` needs `--out DIR`: the pack's own folder holds the rules without overlays",
            );
            return Err(Exit::Usage);
        }
        let target = super::deploy::choose(Some(name), config, terminal).ok_or(Exit::Usage)?;
        let monitors = self.product == Product::Opensearch;
        if monitors != target.opensearch.is_some() {
            let (is, product) = if monitors { ("Kibana", "kibana") } else { ("OpenSearch", "opensearch") };
            terminal
                .note(&format!("error: the target `{name}` is {is}; `--for {product}` makes what it takes"));
            return Err(Exit::Usage);
        }
        Ok(Some(target))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Product {
    Kibana,
    Opensearch,
}

/// What generating would change.
pub struct Compared {
    /// The wanted files.
    pub generated: Generated,
    /// The difference from what lies there; `None` when no folder is configured.
    pub check: Option<Check>,
    /// Whether the report about monitors is stale.
    pub monitors: bool,
}

/// Generates in memory and compares with the configured folder.
pub fn compare(opened: &Opened, rules: &[CompiledRule]) -> Compared {
    let config = &opened.pack.config;
    let mut generated = all(opened, rules, config.bundle, config.docs);
    let mut check = config.generate_dir.as_ref().map(|dir| {
        let existing = of_kibana(read_all(&opened.pack.root.join(dir)), &generated);
        emit::check(&existing, &generated.files)
    });
    let mut monitors = false;
    if config.opensearch.configured {
        let (found, report) = super::monitors::losses(opened, rules);
        // a rule with errors is told by those
        let broken = |d: &Diagnostic| {
            let file = d.source.as_ref().map(|s| s.name());
            rules.iter().any(|r| r.has_errors() && Some(r.rule.file()) == file)
        };
        generated.diagnostics.extend(found.into_iter().filter(|d| !broken(d)));
        if let Some(path) = report {
            monitors = true;
            let stale = emit::Stale { path, diff: String::new() };
            check.get_or_insert_default().stale.push(stale);
        }
    }
    Compared { generated, check, monitors }
}

/// Everything that is generated: JSON per rule, the bundle, the pages.
pub fn all(opened: &Opened, rules: &[CompiledRule], bundle: bool, docs: bool) -> Generated {
    let config = &opened.pack.config;
    let mut generated = emit::generate(rules, config, bundle);
    if docs {
        let (tests, _) = opened.pack.tests(&opened.files());
        generated.files.extend(page::pages(rules, &tests, config));
    }
    generated
}

/// The files without the monitors that `--for opensearch` keeps beside them.
fn of_kibana(mut files: BTreeMap<String, Vec<u8>>, generated: &Generated) -> BTreeMap<String, Vec<u8>> {
    let monitors = format!("{}/", emit::opensearch::FOLDER);
    files.retain(|path, _| !path.starts_with(&monitors) || generated.files.contains_key(path));
    files
}

/// Every file below a folder, by its path.
pub fn read_all(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let walker =
        ignore::WalkBuilder::new(dir).standard_filters(false).hidden(true).follow_links(false).build();
    for entry in walker.flatten().filter(|e| e.file_type().is_some_and(|t| t.is_file())) {
        if let (Ok(relative), Ok(bytes)) = (entry.path().strip_prefix(dir), std::fs::read(entry.path())) {
            out.insert(relative.to_string_lossy().replace('\\', "/"), bytes);
        }
    }
    out
}

/// Runs the command.
pub fn run(args: GenerateArgs, terminal: &mut Terminal) -> Exit {
    let monitors = args.product == Product::Opensearch;
    if !monitors && args.format == FindingFormat::Markdown {
        terminal.note("error: `--format markdown` is what `--for opensearch` answers");
        return Exit::Usage;
    }
    let later = [
        (monitors && (args.docs || args.stack.is_some()), "`--for opensearch` with `--stack` or `--docs`"),
        (args.target.is_some() && args.docs, "`--docs` for one target"),
        (args.stack.is_some() && args.docs, "`--docs` for one stack"),
    ];
    if let Some((_, what)) = later.iter().find(|(given, _)| *given) {
        terminal.complain(&Diagnostic::new(Code::RP9001, format!("{what} is not supported yet")));
        return Exit::Findings;
    }
    let mut opened = match open(&args.selection.all(), terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let mut rules = opened.compile();
    if monitors {
        let target = match args.target(&opened.pack.config, terminal) {
            Ok(target) => target,
            Err(exit) => return exit,
        };
        if let Some(target) = &target {
            rules = super::deploy_monitors::selected(&opened, rules, target);
        }
        return super::monitors::run(&args, &opened, &rules, target.as_ref(), terminal);
    }
    let mut limits = Limits::default();
    let stack = match args.stack.as_deref().map(|text| (text, stack_of(text))) {
        None => None,
        Some((_, Some(stack))) if args.out.is_some() => {
            (rules, limits) = for_stack(&mut opened, &rules, stack);
            Some(stack)
        }
        Some((_, Some(_))) => {
            terminal
                .note("error: `--stack` needs `--out DIR`: the pack's own folder is for all of its stacks");
            return Exit::Usage;
        }
        Some((text, None)) => {
            terminal.note(&format!("error: `--stack {text}` is no stack; write it as 8.19 or 9.5"));
            return Exit::Usage;
        }
    };
    let config = &opened.pack.config;
    let target = match args.target(config, terminal) {
        Ok(target) => target,
        Err(exit) => return exit,
    };
    if let Some(target) = &target {
        rules.retain(|r| target.select.accepts(&r.rule));
    }
    let Some(dir) =
        args.out.clone().or_else(|| config.generate_dir.as_ref().map(|d| opened.pack.root.join(d)))
    else {
        terminal.note("error: rulepack.toml names no folder for generated files");
        terminal.note("help: add `[generate]` with `dir = \"generated\"`, or give --out DIR");
        return Exit::Usage;
    };
    // a folder of its own gets both forms, whatever the configuration says
    let bundle = config.bundle || args.out.is_some();
    let named = std::sync::atomic::AtomicUsize::new(0);
    let generated = match target.as_ref() {
        None if stack.is_none() => all(&opened, &rules, bundle, args.docs || config.docs),
        target => emit::generate_adjusted(&rules, config, bundle, &|rule, mut json| {
            if let Some(target) = target {
                let out = crate::target::kibana::overlay(rule, json, target);
                named.fetch_add(out.actions.len(), std::sync::atomic::Ordering::Relaxed);
                json = out.json;
            }
            if let Some(stack) = stack {
                // what is refused was left out above
                let _ = emit::for_stack(&mut json, stack);
            }
            json
        }),
    };
    let named = named.into_inner();
    let mut found = generated.diagnostics.clone();
    if args.out.is_none() {
        found.extend(
            rules
                .iter()
                .flat_map(|r| r.diagnostics.iter().filter(|d| d.severity == Severity::Error).cloned()),
        );
    }
    let unreadable: Vec<_> =
        opened.files().iter().filter(|f| f.rule.is_none()).flat_map(|f| f.diagnostics.clone()).collect();
    found.extend(unreadable);
    crate::diag::sort(&mut found);
    let existing = of_kibana(read_all(&dir), &generated);
    let mut check = emit::check(&existing, &generated.files);
    if !opened.is_whole() {
        // a selection says nothing about the other rules' files, nor about the bundle of all
        check.extra.clear();
        check.stale.retain(|s| !is_of_all(&s.path));
    }
    let exit = if args.check {
        report(&args, &check, &found, terminal)
    } else {
        write(&args, &opened, &dir, &generated, &check, &found, terminal)
    };
    if generated.placeholders > 0 {
        terminal.remark(&format!(
            "note: {} of investigation guides left as they are",
            count(generated.placeholders, "placeholder")
        ));
    }
    limits.tell(stack, terminal);
    if named > 0 {
        terminal.remark(&format!(
            "note: {} left out: `deploy` looks their connectors up by name",
            count(named, "action")
        ));
    }
    exit
}

/// What a stack does not know.
#[derive(Default)]
struct Limits {
    /// Rules that were left out, and why.
    refused: Vec<(String, String)>,
    /// Rules from which a property was dropped, by the property.
    dropped: BTreeMap<&'static str, Vec<String>>,
}

impl Limits {
    fn tell(&self, stack: Option<Version>, terminal: &mut Terminal) {
        let Some(stack) = stack else { return };
        for (name, why) in &self.refused {
            terminal.note(&format!("left out: {name}, {why}"));
        }
        for (property, names) in &self.dropped {
            let first = names.first().map_or("", String::as_str);
            let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
            terminal.note(&format!(
                "dropped: `{property}` of {}, which {stack} does not know ({first}{more})",
                count(names.len(), "rule")
            ));
        }
    }
}

/// The stack of a text such as `8.19`.
fn stack_of(text: &str) -> Option<Version> {
    let version = Version::parse(text).or_else(|| Version::parse(&format!("{text}.0")))?;
    (version.0 >= 8).then_some(Version(version.0, version.1, 0))
}

/// The rules as one stack has them, and what it does not know. `rules` are those of the pack's own stacks.
fn for_stack(opened: &mut Opened, rules: &[CompiledRule], stack: Version) -> (Vec<CompiledRule>, Limits) {
    opened.pack.config.stacks = vec![stack];
    let mut limits = Limits::default();
    let mut out = Vec::new();
    let errors = |rule: &CompiledRule| -> Vec<String> {
        let errors = rule.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        errors.map(|d| d.message.clone()).collect()
    };
    for (usual, rule) in rules.iter().zip(opened.compile()) {
        let name = rule.rule.name.clone();
        if rule.stacks.is_empty() {
            let since = rule.rule.min_stack_version().map(|v| v.to_string()).unwrap_or_default();
            limits.refused.push((name, format!("which is for {since} and later")));
            continue;
        }
        // what is wrong on every stack is no matter of this one
        let known = errors(usual);
        if let Some(why) = errors(&rule).into_iter().find(|e| !known.contains(e)) {
            limits.refused.push((name, format!("because on {stack} {why}")));
            continue;
        }
        let mut json = emit::detection_rule(&rule, &opened.pack.config).json;
        match emit::for_stack(&mut json, stack) {
            Ok(dropped) => {
                for property in dropped {
                    limits.dropped.entry(property).or_default().push(name.clone());
                }
                out.push(rule);
            }
            Err(why) => limits.refused.push((name, format!("because {why}"))),
        }
    }
    (out, limits)
}

const BUNDLE: &str = "rules.ndjson";

/// Whether a file is about all rules, so that a selection cannot write it.
fn is_of_all(path: &str) -> bool {
    path == BUNDLE || path == page::CATALOGUE
}

fn findings(args: &GenerateArgs, found: &[Diagnostic], terminal: &mut Terminal) -> usize {
    if args.format == FindingFormat::Json {
        return found.iter().filter(|d| d.severity == Severity::Error).count();
    }
    terminal.findings(found, args.format.into());
    found.iter().filter(|d| d.severity == Severity::Error).count()
}

fn report(args: &GenerateArgs, check: &Check, found: &[Diagnostic], terminal: &mut Terminal) -> Exit {
    let errors = findings(args, found, terminal);
    let stale = check.stale.len() + check.missing.len() + check.extra.len();
    match args.format {
        FindingFormat::Json => {
            let out = json!({
                "stale": check.stale.iter().map(|s| s.path.clone()).collect::<Vec<_>>(),
                "missing": check.missing,
                "extra": check.extra,
                "diagnostics": found.iter().map(render::diagnostic_json).collect::<Vec<_>>(),
            });
            terminal.line(&out.to_string());
        }
        FindingFormat::Text => {
            for s in &check.stale {
                terminal.line(&format!("~ stale    {}", s.path));
                if !terminal.quiet && s.path != BUNDLE {
                    for line in s.diff.lines().take(40) {
                        terminal.line(&format!("    {line}"));
                    }
                }
            }
            check.missing.iter().for_each(|p| terminal.line(&format!("+ missing  {p}")));
            check.extra.iter().for_each(|p| terminal.line(&format!("- extra    {p}")));
        }
        FindingFormat::Github => {
            let paths = check.stale.iter().map(|s| &s.path).chain(&check.missing).chain(&check.extra);
            for path in paths {
                terminal.line(&format!(
                    "::error title={}%3A stale generated file::{path}: run `rulepack generate`",
                    Code::RP0709
                ));
            }
        }
        FindingFormat::Concise | FindingFormat::Ndjson | FindingFormat::Markdown => {}
    }
    checked_verdict(errors, stale, "rulepack generate", terminal)
}

/// The last line of `--check`, and the command that mends what is stale.
pub fn checked_verdict(errors: usize, stale: usize, mend: &str, terminal: &mut Terminal) -> Exit {
    if errors == 0 && stale == 0 {
        terminal.remark("ok: the generated files are up to date");
        return Exit::Fine;
    }
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(count(errors, "error"));
    }
    if stale > 0 {
        parts.push(format!("{} stale", count(stale, "file")));
    }
    terminal.note(&format!("failed: {}", parts.join(", ")));
    if stale > 0 {
        terminal.note(&format!("        {mend}"));
    }
    Exit::Findings
}

fn write(
    args: &GenerateArgs,
    opened: &Opened,
    dir: &Path,
    generated: &Generated,
    check: &Check,
    found: &[Diagnostic],
    terminal: &mut Terminal,
) -> Exit {
    let errors = findings(args, found, terminal);
    let whole = opened.is_whole() || args.out.is_some();
    let (mut written, mut removed) = (0, 0);
    for (path, bytes) in &generated.files {
        if !whole && is_of_all(path) {
            continue;
        }
        let changed = check.missing.contains(path) || check.stale.iter().any(|s| s.path == *path);
        if !changed {
            continue;
        }
        if let Err(why) = files::write(&dir.join(path), bytes) {
            terminal.note(&format!("error: {}: {why}", dir.join(path).display()));
            return Exit::Findings;
        }
        written += 1;
    }
    // only what this command once wrote may go, and only from the pack's own folder
    if args.out.is_none() && opened.is_whole() && errors == 0 {
        for path in &check.extra {
            let ours = path.ends_with(".json") || (path.starts_with(page::FOLDER) && path.ends_with(".md"));
            if ours && std::fs::remove_file(dir.join(path)).is_ok() {
                removed += 1;
            }
        }
    }
    let mut text =
        format!("{} in {}: {written} written", count(generated.files.len(), "file"), dir.display());
    if removed > 0 {
        text.push_str(&format!(", {removed} removed"));
    }
    text.push_str(&format!(", {} unchanged", generated.files.len() - written));
    for name in &generated.left_out {
        terminal.note(&format!("left out: {name}, because of its errors"));
    }
    if errors > 0 {
        terminal.note(&format!("failed: {} · {text}", count(errors, "error")));
        return Exit::Findings;
    }
    if !terminal.quiet {
        terminal.line(&format!("ok: {text}"));
    }
    Exit::Fine
}
