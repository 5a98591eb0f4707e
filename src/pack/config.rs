//! `rulepack.toml`: the configuration of a pack, checked against its schema, with every value's place.

use super::Conventions;
use crate::diag::{Code, Diagnostic, Severity, did_you_mean};
use crate::lang::rule::{Document, Structure};
use crate::schema::{Fields, Layer, Version, aws_cloudtrail, parse_catalogue};
use crate::source::Source;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static STRUCTURE: LazyLock<Structure> =
    LazyLock::new(|| Structure::new(include_str!("../../schemas/rulepack.schema.json")));

/// The version of the AWS package whose fields are checked unless the configuration names another.
pub const AWS_PACKAGE: Version = Version(8, 9, 0);

/// Why a file of the pack cannot be read that is not there.
pub(super) const NO_SUCH_FILE: &str = "no such file";

/// What a rule id may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// A UUID in lower case.
    Uuid,
    /// Any text.
    Any,
}

/// Which fields the data behind an index pattern has.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The index pattern, such as `logs-aws.cloudtrail-*` or `prod:logs-*`, or a dataset.
    pub pattern: String,
    /// What people call it: the name of the built-in catalogue, or that of the file without its ending.
    pub name: String,
    /// Where its fields come from.
    pub source: CatalogueSource,
}

/// Where the fields of a catalogue come from.
#[derive(Clone, Debug)]
pub enum CatalogueSource {
    /// The built-in catalogue, at the version of the package that delivers the data.
    Builtin(Version),
    /// A file of the pack.
    File {
        /// Its path below the pack.
        path: String,
        /// Its fields; none before the pack has read it.
        fields: Arc<Fields>,
    },
}

impl Catalogue {
    /// The version of the package, for a built-in catalogue.
    pub fn package(&self) -> Option<Version> {
        match self.source {
            CatalogueSource::Builtin(version) => Some(version),
            CatalogueSource::File { .. } => None,
        }
    }

    /// `aws.cloudtrail 8.9`, `okta.system`.
    pub fn label(&self) -> String {
        self.package().map_or_else(|| self.name.clone(), |v| format!("{} {v}", self.name))
    }

    /// Its fields as a layer of a schema.
    pub fn layer(&self) -> Layer {
        match &self.source {
            // the configuration admits no other name
            CatalogueSource::Builtin(version) => aws_cloudtrail().layer(*version),
            CatalogueSource::File { fields, .. } => {
                Layer { fields: Arc::clone(fields), version: None, label: self.label() }
            }
        }
    }

    /// Whether both have their fields from the same place.
    pub fn is_same(&self, other: &Catalogue) -> bool {
        match (&self.source, &other.source) {
            (CatalogueSource::Builtin(_), CatalogueSource::Builtin(_)) => self.name == other.name,
            (CatalogueSource::File { path: a, .. }, CatalogueSource::File { path: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// What is made of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is left out.
    Allow,
    /// It has this severity.
    As(Severity),
}

/// A level for the findings whose code begins so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelRule {
    /// Pattern of the paths that it applies to; `None` for all.
    pub path: Option<String>,
    /// A code or its beginning.
    pub code: String,
    /// What is made of it.
    pub level: Level,
}

/// The configuration of a pack.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the pack.
    pub name: String,
    /// Folder of the rules, below the pack.
    pub rules: String,
    /// Folder of the tests.
    pub tests: String,
    /// Folder of the events that tests use.
    pub fixtures: String,
    /// Folder of the exception lists.
    pub exceptions: String,
    /// The stacks that every rule is checked against, oldest first; never empty.
    pub stacks: Vec<Version>,
    /// What a rule id may be.
    pub ids: Ids,
    /// The versions of `rulepack.lock`, for a pack that keeps them there.
    pub lock: Option<super::lock::Lock>,
    /// Folder of the generated files, if they are kept.
    pub generate_dir: Option<String>,
    /// Whether `rules.ndjson` is generated too.
    pub bundle: bool,
    /// Whether a catalogue and a page per rule are generated too.
    pub docs: bool,
    /// What `now` means in queries, in nanoseconds since the epoch; the caller has the clock.
    pub now: crate::es::date::Nanos,
    /// How much a dataset without a catalogue matters.
    pub unknown: Severity,
    /// Catalogues by index pattern; the configuration's own before the built-in one.
    pub catalogues: Vec<Catalogue>,
    /// File of known findings.
    pub baseline: Option<String>,
    /// The lowest rule severity from which tests are required.
    pub tests_required_from: Option<String>,
    /// Account ids that may stand in rules and fixtures.
    pub accounts: Vec<String>,
    /// What the pack has agreed on beside what the checks say.
    pub conventions: Option<Conventions>,
    /// Levels of findings, in the order of the file.
    pub levels: Vec<LevelRule>,
    /// What OpenSearch's monitors are made for.
    pub opensearch: super::OpenSearch,
    /// The Kibana spaces that rules are deployed to, in the order of the file.
    pub targets: Vec<super::Target>,
    /// The file; `None` for a folder without one.
    pub document: Option<Document>,
}

impl Config {
    /// The configuration of a folder that has none: its rules stand in the folder itself.
    pub fn of_folder(name: &str) -> Config {
        Config {
            name: name.to_owned(),
            rules: String::new(),
            tests: "tests/rules".to_owned(),
            fixtures: "tests/fixtures".to_owned(),
            exceptions: "exceptions".to_owned(),
            stacks: vec![Version(9, 5, 0)],
            ids: Ids::Any,
            lock: None,
            generate_dir: None,
            bundle: false,
            docs: false,
            now: 0,
            unknown: Severity::Note,
            catalogues: builtin_catalogues(),
            baseline: None,
            tests_required_from: None,
            conventions: None,
            accounts: Vec::new(),
            levels: Vec::new(),
            opensearch: super::OpenSearch::default(),
            targets: Vec::new(),
            document: None,
        }
    }

    /// Reads a `rulepack.toml`. `None` where it has errors: nothing is guessed about a pack.
    pub fn read(file: &str, bytes: Vec<u8>) -> (Option<Config>, Vec<Diagnostic>) {
        let (document, mut found) = Document::read(file, bytes);
        let Some(document) = document else { return (None, found) };
        found.extend(STRUCTURE.check(&document));
        if found.iter().any(|d| d.severity == Severity::Error) {
            return (None, found);
        }
        let config = Reader { document: &document, found: &mut found }.config();
        let failed = found.iter().any(|d| d.severity == Severity::Error);
        (Some(config).filter(|_| !failed), found)
    }

    /// The target of a name; `demo` exists without being configured.
    pub fn target(&self, name: &str) -> Option<super::Target> {
        let configured = self.targets.iter().find(|t| t.name == name).cloned();
        configured.or_else(|| (name == super::target::DEMO).then(super::Target::demo))
    }

    /// Reads the catalogues that are files, by `read` (a path below the pack to its content, or why not).
    /// Gives what was found, at the place of each file in the configuration.
    pub fn load_catalogues(&mut self, read: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut loaded: Vec<(String, Result<Arc<Fields>, String>)> = Vec::new();
        for catalogue in &mut self.catalogues {
            let CatalogueSource::File { path, fields } = &mut catalogue.source else { continue };
            let known = loaded.iter().find(|(p, _)| p == path).map(|(_, r)| r.clone());
            let result = known.unwrap_or_else(|| {
                let parse = |bytes: Vec<u8>| parse_catalogue(path, &bytes).map_err(|e| e.to_string());
                let result = read(path).and_then(parse).map(Arc::new);
                loaded.push((path.clone(), result.clone()));
                result
            });
            match result {
                Ok(read) => *fields = read,
                Err(why) => {
                    let mut d =
                        Diagnostic::new(Code::RP0716, format!("`{path}` is no field catalogue: {why}"))
                            .help("docs/bring-your-own-schema.md lists what a catalogue can be");
                    if let Some(document) = &self.document {
                        let key = catalogue.pattern.replace('~', "~0").replace('/', "~1");
                        let span = document.nearest(&format!("/schemas/{key}")).value;
                        d = d.at(span, "").in_source(document.source());
                    }
                    found.push(d);
                }
            }
        }
        found
    }

    /// Reads the lock of a pack that keeps one; one that is not there yet is empty.
    pub fn load_lock(&mut self, read: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Vec<Diagnostic> {
        let Some(lock) = &mut self.lock else { return Vec::new() };
        match read(super::lock::LOCK) {
            Ok(bytes) => match super::lock::Lock::read(super::lock::LOCK, bytes) {
                Ok(read) => {
                    *lock = read;
                    Vec::new()
                }
                Err(found) => found,
            },
            Err(why) if why == NO_SUCH_FILE => Vec::new(),
            Err(why) => {
                let d = Diagnostic::new(Code::RP0717, format!("`{}`: {why}", super::lock::LOCK));
                vec![d.in_source(&Arc::new(Source::new(super::lock::LOCK, "")))]
            }
        }
    }

    /// The newest stack, which rules run as.
    pub fn newest_stack(&self) -> Version {
        self.stacks.iter().max().copied().unwrap_or(Version(9, 5, 0))
    }

    /// The configuration's own text.
    pub fn source(&self) -> Option<&Arc<Source>> {
        self.document.as_ref().map(Document::source)
    }

    /// What the levels make of a finding: its severity, or `None` where it is allowed. The last entry
    /// that applies counts. `path` is the file that the finding is in.
    pub fn level(&self, code: Code, severity: Severity, path: &str) -> Option<Severity> {
        let written = code.to_string();
        let applies = |rule: &&LevelRule| {
            written.starts_with(&rule.code)
                && rule
                    .path
                    .as_deref()
                    .is_none_or(|p| globset::Glob::new(p).is_ok_and(|g| g.compile_matcher().is_match(path)))
        };
        match self.levels.iter().rev().find(applies).map(|r| r.level) {
            Some(Level::Allow) => None,
            Some(Level::As(severity)) => Some(severity),
            None => Some(severity),
        }
    }
}

fn builtin_catalogues() -> Vec<Catalogue> {
    vec![Catalogue {
        pattern: "logs-aws.cloudtrail-*".to_owned(),
        name: "aws.cloudtrail".to_owned(),
        source: CatalogueSource::Builtin(AWS_PACKAGE),
    }]
}

struct Reader<'a> {
    document: &'a Document,
    found: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.document.json().pointer(pointer)?.as_str()
    }

    fn report(&mut self, pointer: &str, d: Diagnostic, label: &str) {
        let span = self.document.nearest(pointer).value;
        self.found.push(d.at(span, label).in_source(self.document.source()));
    }

    /// A folder or file of the pack: relative, and not outside.
    fn path(&mut self, pointer: &str, default: Option<&str>) -> Option<String> {
        let written = self.text(pointer).map(str::to_owned);
        let path = written.as_deref().or(default)?;
        match super::files::inside(path) {
            Some(path) => Some(path),
            None => {
                let d = Diagnostic::new(Code::RP0706, format!("`{path}` leads out of the pack"))
                    .help("paths are relative to rulepack.toml, without `..`");
                self.report(pointer, d, "");
                None
            }
        }
    }

    fn config(mut self) -> Config {
        let mut config = Config::of_folder(self.text("/pack/name").unwrap_or_default());
        config.rules = self.path("/pack/rules", Some("rules-toml")).unwrap_or_default();
        config.tests = self.path("/pack/tests", Some("tests/rules")).unwrap_or_default();
        config.fixtures = self.path("/pack/fixtures", Some("tests/fixtures")).unwrap_or_default();
        config.exceptions = self.path("/pack/exceptions", Some("exceptions")).unwrap_or_default();
        config.generate_dir = self.path("/generate/dir", None);
        config.baseline = self.path("/lint/baseline", None);
        let yes = |pointer: &str| self.document.json().pointer(pointer) == Some(&Value::Bool(true));
        (config.bundle, config.docs) = (yes("/generate/bundle"), yes("/generate/docs"));
        config.ids = if self.text("/pack/ids") == Some("any") { Ids::Any } else { Ids::Uuid };
        config.lock = (self.text("/pack/version") == Some("lock")).then(super::lock::Lock::default);
        let accounts = self.document.json().pointer("/lint/accounts").and_then(Value::as_array);
        config.accounts =
            accounts.into_iter().flatten().filter_map(|a| Some(a.as_str()?.to_owned())).collect();
        config.tests_required_from = self.text("/lint/tests_required_from").map(str::to_owned);
        config.conventions = self.document.json().pointer("/lint/conventions").map(Conventions::of);
        config.unknown = match self.text("/schemas/unknown") {
            Some("error") => Severity::Error,
            Some("warning") => Severity::Warning,
            _ => Severity::Note,
        };
        if let Some(stacks) = self.document.json().pointer("/pack/stacks").and_then(Value::as_array) {
            config.stacks = stacks.iter().filter_map(|s| Version::parse(s.as_str()?)).collect();
            config.stacks.sort_unstable();
            for (i, stack) in stacks.iter().enumerate() {
                if stack.as_str().and_then(Version::parse).is_none_or(|v| v.0 < 8) {
                    let d = Diagnostic::new(Code::RP0703, "stacks begin at 8.0");
                    self.report(&format!("/pack/stacks/{i}"), d, "");
                }
            }
        }
        self.catalogues(&mut config);
        self.levels(&mut config);
        let (targets, found) = super::target::read(self.document);
        config.targets = targets;
        self.found.extend(found);
        let (opensearch, found) = super::opensearch::read(self.document);
        config.opensearch = opensearch;
        self.found.extend(found);
        config.document = Some(self.document.clone());
        config
    }

    fn catalogues(&mut self, config: &mut Config) {
        let Some(rows) = self.document.json().get("schemas").and_then(Value::as_object) else { return };
        let mut own = Vec::new();
        for (pattern, row) in rows.iter().filter(|(k, _)| *k != "unknown") {
            let pointer = format!("/schemas/{}", pattern.replace('~', "~0").replace('/', "~1"));
            if let Some(file) = row.as_str() {
                let Some(path) = self.path(&pointer, None) else { continue };
                let stem = path.rsplit('/').next().unwrap_or(&path);
                let name = stem.rsplit_once('.').map_or(stem, |(name, _)| name).to_owned();
                if path.is_empty() {
                    let d = Diagnostic::new(Code::RP0703, format!("`{file}` names no file"));
                    self.report(&pointer, d, "");
                    continue;
                }
                let source = CatalogueSource::File { path, fields: Arc::default() };
                own.push(Catalogue { pattern: pattern.clone(), name, source });
                continue;
            }
            let builtin = row.get("builtin").and_then(Value::as_str).unwrap_or_default();
            if builtin != "aws.cloudtrail" {
                let mut d = Diagnostic::new(Code::RP0703, format!("no built-in catalogue `{builtin}`"))
                    .note("built in is `aws.cloudtrail`");
                if did_you_mean(builtin, ["aws.cloudtrail"]).is_some() {
                    d = d.help("did you mean `aws.cloudtrail`?");
                }
                self.report(&format!("{pointer}/builtin"), d, "");
                continue;
            }
            let package = row.get("package").and_then(Value::as_str).and_then(Version::parse);
            own.push(Catalogue {
                pattern: pattern.clone(),
                name: builtin.to_owned(),
                source: CatalogueSource::Builtin(package.unwrap_or(AWS_PACKAGE)),
            });
        }
        config.catalogues.retain(|c| !own.iter().any(|o| o.pattern == c.pattern));
        own.append(&mut config.catalogues);
        config.catalogues = own;
    }

    fn levels(&mut self, config: &mut Config) {
        let level = |value: &Value| {
            Some(match value.as_str()? {
                "allow" => Level::Allow,
                "note" => Level::As(Severity::Note),
                "warning" => Level::As(Severity::Warning),
                _ => Level::As(Severity::Error),
            })
        };
        let levels = self.document.json().pointer("/lint/levels").and_then(Value::as_object);
        for (key, value) in levels.into_iter().flatten() {
            if let Some(level) = level(value) {
                config.levels.push(LevelRule { path: None, code: key.clone(), level });
                continue;
            }
            for (code, value) in value.as_object().into_iter().flatten() {
                if let Some(level) = level(value) {
                    config.levels.push(LevelRule { path: Some(key.clone()), code: code.clone(), level });
                }
            }
            if globset::Glob::new(key).is_err() {
                let d = Diagnostic::new(Code::RP0703, format!("`{key}` is no path pattern"));
                self.report("/lint/levels", d, "");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Config>, Vec<Diagnostic>) {
        Config::read("rulepack.toml", text.as_bytes().to_vec())
    }

    #[test]
    fn defaults_hold_where_nothing_is_said() {
        let (config, found) = read("[pack]\nname = \"acme\"\n");
        assert!(found.is_empty(), "{found:#?}");
        let config = config.unwrap();
        assert_eq!((config.rules.as_str(), config.fixtures.as_str()), ("rules-toml", "tests/fixtures"));
        assert_eq!(config.ids, Ids::Uuid);
        assert_eq!(config.catalogues.len(), 1);
    }

    #[test]
    fn everything_that_is_configured_arrives() {
        let (config, found) = read(
            "[pack]\nname = \"acme\"\nrules = \"detections/\"\nstacks = [\"9.5\", \"8.19\"]\nids = \"any\"\n\
             [generate]\ndir = \"out\"\nbundle = true\n\
             [schemas]\nunknown = \"warning\"\n\"logs-aws.cloudtrail-*\" = { builtin = \"aws.cloudtrail\", package = \"8.4.0\" }\n\
             [lint]\nlevels = { RP10 = \"error\", RP1004 = \"allow\", \"rules-toml/lab/**\" = { RP05 = \"note\" } }\n\
             [target.prod]\nkibana = \"https://kibana.example.com\"\n",
        );
        assert!(found.is_empty(), "{found:#?}");
        let config = config.unwrap();
        assert_eq!(config.rules, "detections");
        assert_eq!(config.stacks, [Version(8, 19, 0), Version(9, 5, 0)]);
        assert_eq!(config.catalogues[0].package(), Some(Version(8, 4, 0)));
        assert_eq!((config.generate_dir.as_deref(), config.bundle), (Some("out"), true));
        assert_eq!(config.level(Code::RP1004, Severity::Warning, "a"), None);
        assert_eq!(config.level(Code::RP1005, Severity::Warning, "a"), Some(Severity::Error));
        assert_eq!(
            config.level(Code::RP0501, Severity::Error, "rules-toml/lab/x.toml"),
            Some(Severity::Note)
        );
        assert_eq!(config.level(Code::RP0501, Severity::Error, "rules-toml/x.toml"), Some(Severity::Error));
    }

    #[test]
    fn an_unknown_key_is_an_error_with_the_key_that_was_meant() {
        let (config, found) = read("[pack]\nname = \"acme\"\nfixture = \"x\"\n");
        assert!(config.is_none());
        assert_eq!(found[0].code, Code::RP0005);
        assert_eq!(found[0].help.as_deref(), Some("did you mean `fixtures`?"));
    }

    #[test]
    fn paths_do_not_lead_out_of_the_pack() {
        for path in ["../x", "/etc", "a/../../b"] {
            let (config, found) = read(&format!("[pack]\nname = \"acme\"\nrules = \"{path}\"\n"));
            assert!(config.is_none());
            assert_eq!(found[0].code, Code::RP0706, "{path}");
        }
    }

    #[test]
    fn catalogues_in_files_are_read_once_and_mistakes_are_placed() {
        let (config, found) = read(
            "[pack]\nname = \"a\"\n[schemas]\n\"logs-okta.system-*\" = \"s/okta.system.tsv\"\n\"okta.user\" = \"s/okta.system.tsv\"\n\"x\" = \"s/x.json\"\n",
        );
        assert!(found.is_empty(), "{found:#?}");
        let mut config = config.unwrap();
        let asked = std::cell::RefCell::new(Vec::new());
        let found = config.load_catalogues(&|path| {
            asked.borrow_mut().push(path.to_owned());
            if path.ends_with("tsv") {
                Ok(b"okta.id\tkeyword\n".to_vec())
            } else {
                Err("no such file".to_owned())
            }
        });
        assert_eq!(*asked.borrow(), ["s/okta.system.tsv", "s/x.json"]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].code, found[0].place().as_deref()), (Code::RP0716, Some("rulepack.toml:6:7")));
        let labels: Vec<String> = config.catalogues.iter().map(Catalogue::label).collect();
        assert_eq!(labels, ["okta.system", "okta.system", "x", "aws.cloudtrail 8.9"]);
        let (config, found) = read("[pack]\nname = \"a\"\n[schemas]\n\"x\" = \"../x.json\"\n");
        assert!(config.is_none());
        assert_eq!(found[0].code, Code::RP0706);
    }

    #[test]
    fn an_unknown_builtin_catalogue_is_an_error() {
        let (_, found) =
            read("[pack]\nname = \"a\"\n[schemas]\n\"logs-x-*\" = { builtin = \"aws.cloudtrial\" }\n");
        assert_eq!(found[0].code, Code::RP0703);
    }
}
