//! The pack: its configuration, rules, tests and fixtures, read from files. The one place below the
//! command line that reads them.

pub mod bundled;
mod cases;
mod catalog;
mod check;
mod compile;
mod conditions;
mod config;
mod conventions;
mod exceptions;
pub(crate) mod files;
pub mod lock;
mod opensearch;
mod select;
mod supplied;
pub mod target;

pub use cases::{Case, Expect, ExpectedAlert, TestEvent, TestFile};
pub use catalog::{Sources, datasets};
pub use compile::{CompiledRule, Unchecked};
pub use config::{AWS_PACKAGE, Catalogue, CatalogueSource, Config, Ids, Level, LevelRule};
pub use conventions::{Conventions, RequiredTags};
pub use exceptions::{Applied, Exceptions};
pub use opensearch::{OpenSearch, Profile};
pub use target::Target;

use crate::diag::{Code, Diagnostic};
use crate::lang::rule::Rule;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the configuration file.
pub const CONFIG: &str = "rulepack.toml";

/// A file below the rules folder.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// The rule's name: the path below the rules folder without `.toml`.
    pub name: String,
    /// The path that people see.
    pub file: String,
    /// The rule; `None` where none can be made out.
    pub rule: Option<Arc<Rule>>,
    /// What was found while reading, and against the other rules of the pack.
    pub diagnostics: Vec<Diagnostic>,
}

/// A pack with its rules.
#[derive(Debug)]
pub struct Pack {
    /// The folder of `rulepack.toml`, or the folder that was given.
    pub root: PathBuf,
    /// The configuration.
    pub config: Config,
    /// The rule files, sorted by name.
    pub files: Vec<RuleFile>,
    /// What was found about the pack as a whole: unreadable folders, warnings of its configuration.
    pub diagnostics: Vec<Diagnostic>,
    /// Its exception lists.
    pub exceptions: Exceptions,
    /// How the root is shown before paths; empty for the pack that one stands in.
    shown: String,
}

impl Pack {
    /// The folder of the nearest `rulepack.toml`, in `start` or above it.
    pub fn find(start: &Path) -> Option<PathBuf> {
        start.ancestors().find(|dir| dir.join(CONFIG).is_file()).map(Path::to_owned)
    }

    /// Loads the pack whose `rulepack.toml` is in `root`. Paths are shown relative to it.
    ///
    /// # Errors
    /// When there is no such file, or it has errors.
    pub fn load(root: &Path) -> Result<Pack, Vec<Diagnostic>> {
        let path = root.join(CONFIG);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(vec![
                    Diagnostic::new(Code::RP0711, "no pack here: no `rulepack.toml`")
                        .help("`rulepack init` makes one"),
                ]);
            }
            Err(e) => {
                return Err(vec![files::about(
                    CONFIG,
                    Code::RP0001,
                    format!("this file cannot be read: {}", files::reason(&e)),
                )]);
            }
        };
        match Config::read(CONFIG, bytes) {
            (Some(mut config), mut found) => {
                let read = |path: &str| {
                    let file = root.join(path);
                    if !file.is_file() {
                        return Err(config::NO_SUCH_FILE.to_owned());
                    }
                    if !files::stays_below(root, &file) {
                        return Err("it leads out of the pack".to_owned());
                    }
                    read_file(&file)
                };
                let mut wrong = config.load_catalogues(&read);
                wrong.extend(config.load_lock(&read));
                if !wrong.is_empty() {
                    found.extend(wrong);
                    return Err(found);
                }
                Ok(Pack::with(root, config, String::new(), found))
            }
            (None, found) => Err(found),
        }
    }

    /// Loads a folder of rules, or one rule file, that is no pack: it becomes a pack of its own, with
    /// defaults. A folder that has a `rulepack.toml` is loaded as the pack it is. Paths are shown as
    /// they were given.
    ///
    /// # Errors
    /// When it does not exist, or its configuration has errors.
    pub fn open(path: &Path) -> Result<Pack, Vec<Diagnostic>> {
        let given = path.to_string_lossy().replace('\\', "/");
        let shown = given.strip_prefix("./").unwrap_or(&given).trim_end_matches('/').to_owned();
        if path.is_file() {
            let folder = path.parent().unwrap_or(Path::new(""));
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let above = shown.strip_suffix(&name).unwrap_or("").trim_end_matches('/').to_owned();
            let mut pack = Pack {
                root: folder.to_owned(),
                config: Config::of_folder(&name),
                files: Vec::new(),
                diagnostics: Vec::new(),
                exceptions: Exceptions::default(),
                shown: above,
            };
            pack.read(vec![files::Entry { name, path: path.to_owned() }]);
            return Ok(pack);
        }
        if !path.is_dir() {
            return Err(vec![files::about(&shown, Code::RP0001, format!("`{shown}` does not exist"))]);
        }
        if path.join(CONFIG).is_file() {
            return Pack::load(path);
        }
        let name = path.file_name().map_or_else(|| "rules".into(), |n| n.to_string_lossy().into_owned());
        let shown = if shown == "." { String::new() } else { shown };
        Ok(Pack::with(path, Config::of_folder(&name), shown, Vec::new()))
    }

    fn with(root: &Path, config: Config, shown: String, found: Vec<Diagnostic>) -> Pack {
        let mut pack = Pack {
            root: root.to_owned(),
            config,
            files: Vec::new(),
            diagnostics: found,
            exceptions: Exceptions::default(),
            shown,
        };
        let folder = root.join(&pack.config.rules);
        if !pack.config.rules.is_empty() && !folder.is_dir() {
            let mut d = Diagnostic::new(Code::RP0703, format!("no folder `{}`", pack.config.rules));
            if let Some(document) = &pack.config.document {
                d = d.at(document.nearest("/pack/rules").value, "").in_source(document.source());
            }
            pack.diagnostics.push(d);
            return pack;
        }
        let shown = pack.shown(&pack.config.rules);
        let (entries, found) = files::walk(root, &folder, &shown, &|name| name.ends_with(".toml"));
        pack.diagnostics.extend(found);
        pack.read(entries);
        pack.exceptions = Exceptions::load(&pack);
        pack.diagnostics.extend(pack.exceptions.diagnostics.iter().cloned());
        pack
    }

    /// A path below the root as people see it.
    pub fn shown(&self, path: &str) -> String {
        match (self.shown.is_empty(), path.is_empty()) {
            (true, _) => path.to_owned(),
            (false, true) => self.shown.clone(),
            (false, false) => format!("{}/{path}", self.shown),
        }
    }

    fn read(&mut self, entries: Vec<files::Entry>) {
        let folder = self.shown(&self.config.rules);
        let whole_pack = self.config.document.is_some();
        let read = |entry: &files::Entry| {
            let file =
                if folder.is_empty() { entry.name.clone() } else { format!("{folder}/{}", entry.name) };
            let name = entry.name.strip_suffix(".toml").unwrap_or(&entry.name).to_owned();
            let (rule, diagnostics) = match read_file(&entry.path) {
                Ok(bytes) => Rule::read(&name, &file, bytes),
                Err(message) => (None, vec![files::about(&file, Code::RP0001, message)]),
            };
            RuleFile { name, file, rule: rule.map(Arc::new), diagnostics }
        };
        self.files = entries.par_iter().map(read).collect();
        if !whole_pack {
            // a folder of anything may hold other TOML files; those without a rule are not meant
            self.files.retain(|f| f.rule.is_some() || !is_config(&f.name));
        }
        self.find_duplicates();
    }

    /// Rule ids and names that several files use: a finding at every file but the first.
    fn find_duplicates(&mut self) {
        type Value = fn(&Rule) -> &str;
        let kinds: [(Code, &str, &str, Value); 2] = [
            (Code::RP0701, "rule id", "/rule/rule_id", Rule::rule_id),
            (Code::RP0702, "rule name", "/rule/name", Rule::title),
        ];
        for (code, what, pointer, value) in kinds {
            let mut first: FxHashMap<String, Arc<Rule>> = FxHashMap::default();
            for file in &mut self.files {
                let Some(rule) = &file.rule else { continue };
                if value(rule).is_empty() {
                    continue;
                }
                match first.get(value(rule)) {
                    None => {
                        first.insert(value(rule).to_owned(), Arc::clone(rule));
                    }
                    Some(other) => {
                        let place = other.source.place(other.value_span(pointer).start);
                        let d = Diagnostic::new(code, format!("{what} `{}` is used twice", value(rule)))
                            .at(rule.value_span(pointer), "")
                            .note(format!("`{}` has it too, at {place}", other.name))
                            .in_source(&rule.source);
                        file.diagnostics.push(d);
                    }
                }
            }
        }
    }

    /// The rules that could be read, sorted by name.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.files.iter().filter_map(|f| f.rule.as_ref())
    }

    /// The rule of a name.
    pub fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        self.files.iter().find(|f| f.name == name)?.rule.as_ref()
    }

    /// Looks at the text of each test and fixture, in parallel: the path that people see, and the text.
    /// Left out are files that are no text or have more than `limit` bytes. A folder without a
    /// configuration has neither tests nor fixtures.
    pub fn each_text<T: Send>(&self, limit: u64, look: impl Fn(&str, String) -> Vec<T> + Sync) -> Vec<T> {
        if self.config.document.is_none() {
            return Vec::new();
        }
        let mut all: Vec<(String, PathBuf)> = Vec::new();
        for name in [&self.config.tests, &self.config.fixtures] {
            let folder = self.root.join(name);
            if folder.is_dir() {
                let shown = self.shown(name);
                let (entries, _) = files::walk(&self.root, &folder, &shown, &|_| true);
                all.extend(entries.into_iter().map(|e| (format!("{shown}/{}", e.name), e.path)));
            }
        }
        // one folder may lie in the other
        all.sort();
        all.dedup_by(|a, b| a.1 == b.1);
        all.par_iter()
            .flat_map_iter(|(name, path)| {
                let small = std::fs::metadata(path).is_ok_and(|m| m.len() <= limit);
                let read = || String::from_utf8(std::fs::read(path).ok()?).ok();
                let text = if small { read() } else { None };
                text.map_or_else(Vec::new, |text| look(name, text))
            })
            .collect()
    }

    /// Reads a file below the fixtures folder. `path` is as tests have it.
    ///
    /// # Errors
    /// A finding without a place: the path leads out of the folder, or nothing is there.
    pub fn fixture(&self, path: &str) -> Result<Vec<u8>, Box<Diagnostic>> {
        let folder = self.root.join(&self.config.fixtures);
        let outside = || {
            Box::new(Diagnostic::new(
                Code::RP0706,
                format!("`{path}` leads out of `{}`", self.config.fixtures),
            ))
        };
        let name = files::inside(path).ok_or_else(outside)?;
        let file = folder.join(&name);
        if !file.is_file() {
            let mut d = Diagnostic::new(Code::RP0705, format!("no fixture `{path}`"))
                .note(format!("fixtures are looked for below `{}`", self.shown(&self.config.fixtures)));
            let (known, _) = files::walk(&self.root, &folder, "", &|_| true);
            if let Some(near) = select::nearest(&name, known.iter().map(|e| e.name.as_str())) {
                d = d.help(format!("did you mean `{near}`?"));
            }
            return Err(Box::new(d));
        }
        if !files::stays_below(&self.root, &file) {
            return Err(outside());
        }
        read_file(&file)
            .map_err(|message| Box::new(Diagnostic::new(Code::RP0001, format!("`{path}`: {message}"))))
    }
}

fn is_config(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    matches!(last, "rulepack" | "Cargo" | "pyproject" | "rustfmt" | "clippy" | "deny")
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("this file cannot be read: {}", files::reason(&e)))
}

#[cfg(test)]
mod tests;
