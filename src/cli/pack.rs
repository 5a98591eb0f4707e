//! What all verbs about rules share: which pack, which rules of it, and its findings.

use super::Exit;
use super::git::{GitError, Repository};
use super::terminal::Terminal;
use crate::diag::Severity;
use crate::pack::{CompiledRule, Pack, RuleFile, Target};
use crate::render::Format;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Which rules.
#[derive(Args, Clone, Default)]
pub struct Selection {
    /// Rules: names, paths, globs, rule ids, tag:…, severity:… or changed[:REV] (default: all)
    #[arg(value_name = "RULE")]
    pub positional: Vec<String>,
    #[command(flatten)]
    pub flag: RulesFlag,
}

/// Which rules, for verbs whose positional arguments are events.
#[derive(Args, Clone, Default)]
pub struct RulesFlag {
    /// Rules: names, paths, globs, rule ids, tag:…, severity:… or changed[:REV]; or a folder of rules outside the pack
    #[arg(short, long = "rules", value_name = "SEL")]
    pub rules: Vec<String>,
}

impl Selection {
    /// All selectors.
    pub fn all(&self) -> Vec<String> {
        self.positional.iter().chain(&self.flag.rules).cloned().collect()
    }
}

/// Formats of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FindingFormat {
    /// For people
    Text,
    /// A line each
    Concise,
    /// One document
    Json,
    /// An object a line
    Ndjson,
    /// Annotations of GitHub Actions
    Github,
    /// A page; of what OpenSearch can do
    Markdown,
}

impl From<FindingFormat> for Format {
    fn from(f: FindingFormat) -> Format {
        match f {
            FindingFormat::Text | FindingFormat::Markdown => Format::Text,
            FindingFormat::Concise => Format::Concise,
            FindingFormat::Json => Format::Json,
            FindingFormat::Ndjson => Format::Ndjson,
            FindingFormat::Github => Format::Github,
        }
    }
}

/// A pack and the rules that were asked for.
pub struct Opened {
    /// The pack.
    pub pack: Pack,
    /// The selectors, as the pack takes them.
    selectors: Vec<String>,
    /// Whether the pack was given by path rather than found.
    pub outside: bool,
    /// The target whose rules and exceptions are meant, if one was named.
    target: Option<Target>,
}

impl Opened {
    /// The selected files; `open` has made sure that there are some.
    pub fn files(&self) -> Vec<&RuleFile> {
        let mut files = self.pack.select(&self.selectors).unwrap_or_default();
        if let Some(target) = &self.target {
            files.retain(|f| f.rule.as_ref().is_none_or(|r| target.select.accepts(r)));
        }
        files
    }

    /// As a target has the pack: the rules that it selects, with the exceptions of its overlays. Complains and
    /// tells the exit if there is no such target, or nothing is left.
    pub fn at_target(&mut self, name: Option<&str>, terminal: &mut Terminal) -> Result<(), Exit> {
        let Some(name) = name else { return Ok(()) };
        let target = super::deploy::choose(Some(name), &self.pack.config, terminal).ok_or(Exit::Usage)?;
        self.pack.exceptions.at_target(&target);
        self.target = Some(target);
        if self.files().is_empty() {
            terminal.note(&format!("error: the target `{name}` selects none of these rules"));
            terminal.note("failed: nothing was selected");
            return Err(Exit::Usage);
        }
        Ok(())
    }

    /// Rules with exceptions that apply at some target only and were not applied: a line for each target.
    pub fn exceptions_elsewhere(&self, rules: &[CompiledRule]) -> Vec<String> {
        if self.target.is_some() {
            return Vec::new();
        }
        let mut out = Vec::new();
        for target in &self.pack.config.targets {
            let only = |r: &&CompiledRule| {
                target.select.accepts(&r.rule) && !self.pack.exceptions.only_at(target, &r.rule).is_empty()
            };
            let names: Vec<&str> = rules.iter().filter(only).map(|r| r.rule.name.as_str()).collect();
            let Some(first) = names.first() else { continue };
            let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
            let verb = if names.len() == 1 { "has" } else { "have" };
            out.push(format!(
                "{first}{more} {verb} exceptions at target {} only, not applied here: --target {}",
                target.name, target.name
            ));
        }
        out
    }

    /// Whether all rules are selected.
    pub fn is_whole(&self) -> bool {
        self.selectors.is_empty()
    }

    /// The selected rules, compiled.
    pub fn compile(&self) -> Vec<CompiledRule> {
        self.pack.compile(&self.files())
    }

    /// `aws-iam · 13 rules · stacks 8.19, 9.5 · fields: ECS 9.5, aws.cloudtrail 8.9`.
    pub fn headline(&self) -> String {
        let config = &self.pack.config;
        let stacks: Vec<String> = config.stacks.iter().map(ToString::to_string).collect();
        let mut fields = vec![format!("ECS {}", crate::schema::ecs_of_stack(config.newest_stack()))];
        for c in &config.catalogues {
            let label = c.label();
            if !fields.contains(&label) {
                fields.push(label);
            }
        }
        format!(
            "pack {} · {} · {} {} · fields: {}",
            config.name,
            super::terminal::count(self.files().len(), "rule"),
            if stacks.len() == 1 { "stack" } else { "stacks" },
            stacks.join(", "),
            fields.join(", ")
        )
    }
}

/// Opens the pack that the selectors mean: the one of the working directory, or a folder or file outside
/// it. Complains and tells the exit if there is none.
pub fn open(selectors: &[String], terminal: &mut Terminal) -> Result<Opened, Exit> {
    let opened = open_any(selectors, terminal)?;
    let pack = &opened.pack;
    if pack.files.is_empty() && !pack.diagnostics.iter().any(|d| d.severity == Severity::Error) {
        terminal.note(&format!("error: no rule in `{}`", pack.shown(&pack.config.rules)));
        terminal.note("help: `rulepack new NAME` starts one");
        return Err(Exit::Usage);
    }
    Ok(opened)
}

/// The same, also for a pack without rules.
pub fn open_any(selectors: &[String], terminal: &mut Terminal) -> Result<Opened, Exit> {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let root = Pack::find(&here);
    let mut wanted = Vec::new();
    let mut revisions: Vec<&str> = Vec::new();
    let mut outside: Option<PathBuf> = None;
    for selector in selectors {
        if let Some(revision) = changed_since(selector) {
            revisions.push(revision);
            continue;
        }
        let path = Path::new(selector);
        let is_rules = path.is_dir() || (path.is_file() && path.extension().is_some_and(|e| e == "toml"));
        if !is_rules {
            wanted.push(selector.clone());
            continue;
        }
        match root.as_deref().and_then(|root| inside(root, path)) {
            Some(relative) => wanted.push(relative),
            None => {
                if outside.replace(path.to_owned()).is_some() {
                    terminal.note("error: only one folder outside the pack can be read at a time");
                    return Err(Exit::Usage);
                }
            }
        }
    }
    let loaded = match (&outside, &root) {
        (Some(path), _) => Pack::open(path),
        (None, Some(root)) => {
            // places are shown relative to the pack, so that is where they must lead
            if *root != here && std::env::set_current_dir(root).is_err() {
                terminal.note(&format!("error: {}: cannot be entered", root.display()));
                return Err(Exit::Usage);
            }
            Pack::load(root)
        }
        (None, None) => Pack::load(&here),
    };
    let pack = match loaded {
        Ok(mut pack) => {
            pack.config.now = jiff::Timestamp::now().as_nanosecond();
            pack
        }
        Err(found) => {
            found.iter().for_each(|d| terminal.complain(d));
            terminal.note("failed: the pack could not be loaded");
            return Err(Exit::Usage);
        }
    };
    // the whole pack's rules folder is no restriction
    let rules_folder = pack.config.rules.clone();
    wanted.retain(|w| !w.is_empty() && *w != rules_folder && *w != ".");
    for revision in revisions {
        match changed(&pack, revision) {
            Ok(names) if names.is_empty() => {
                let since = if revision.is_empty() {
                    "the default branch".to_owned()
                } else {
                    format!("`{revision}`")
                };
                terminal.note(&format!("error: `changed` selects no rule: none has changed since {since}"));
                terminal.note("failed: nothing was selected");
                return Err(Exit::Usage);
            }
            Ok(names) => wanted.extend(names),
            Err(e) => {
                terminal.note(&format!("error: `changed`: {}", e.message));
                if let Some(help) = &e.help {
                    terminal.note(&format!("help: {help}"));
                }
                return Err(Exit::Usage);
            }
        }
    }
    if let Err(found) = pack.select(&wanted) {
        found.iter().for_each(|d| terminal.complain(d));
        terminal.note("failed: nothing was selected");
        return Err(Exit::Usage);
    }
    Ok(Opened { pack, selectors: wanted, outside: outside.is_some(), target: None })
}

/// The revision of the selector `changed[:REV]`, empty for where the branch began.
fn changed_since(selector: &str) -> Option<&str> {
    match selector.strip_prefix("changed")? {
        "" => Some(""),
        rest => rest.strip_prefix(':'),
    }
}

/// The rules whose file, test or exceptions differ from those of a revision, as selectors. Files that git does
/// not know yet count; rules that are gone do not.
fn changed(pack: &Pack, revision: &str) -> Result<Vec<String>, GitError> {
    let repository = Repository::around(&pack.root)?;
    let base = if revision.is_empty() { repository.merge_base()? } else { repository.revision(revision)? };
    let paths = repository.changed(&base, &pack.root)?;
    let tests = format!("{}/", pack.config.tests.trim_end_matches('/'));
    let is_exceptions = |path: &String| pack.exceptions.files.iter().any(|f| f.source.name() == *path);
    let of_exceptions: Vec<&String> = paths.iter().filter(|p| is_exceptions(p)).collect();
    let has_changed = |file: &&RuleFile| {
        let has = |path: &str| paths.contains(path);
        has(&file.file)
            || has(&format!("{tests}{}.toml", file.name))
            || file.rule.as_ref().is_some_and(|rule| {
                let lists = pack.exceptions.lists_of(rule);
                lists.iter().any(|(f, _)| of_exceptions.iter().any(|p| *p == f.source.name()))
            })
    };
    Ok(pack.files.iter().filter(has_changed).map(|f| globset::escape(&f.name)).collect())
}

/// A path below a folder, relative to it; `None` for one outside.
fn inside(root: &Path, path: &Path) -> Option<String> {
    let root = root.canonicalize().ok()?;
    let path = path.canonicalize().ok()?;
    let relative = path.strip_prefix(&root).ok()?;
    Some(relative.to_string_lossy().replace('\\', "/"))
}
