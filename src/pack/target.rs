//! `[target.*]` of `rulepack.toml`: the Kibana spaces that rules are deployed to, and what differs there.

use super::RuleFile;
use crate::diag::{Code, Diagnostic};
use crate::lang::exception::ExceptionFile;
use crate::lang::rule::{Document, Rule};
use globset::{GlobBuilder, GlobMatcher};
use serde_json::Value;
use std::collections::BTreeMap;

/// The name of the target that every pack has: the practice Kibana of `rulepack dev kibana`.
pub const DEMO: &str = "demo";
/// Where the practice Kibana listens.
pub const DEMO_ADDRESS: &str = "http://127.0.0.1:5699";

/// The parts of an OpenSearch monitor that `manage` may name.
const OF_MONITORS: [&str; 3] = ["enabled", "schedule", "actions"];

/// Where the credentials come from; never the credentials themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nothing is sent.
    None,
    /// An API key in an environment variable.
    ApiKeyEnv(String),
    /// `user:password` in an environment variable.
    BasicEnv(String),
    /// A bearer token in an environment variable.
    BearerEnv(String),
    /// A command, with its arguments, that prints an API key.
    Command(Vec<String>),
    /// A file (PEM) of a certificate and its key, named by an environment variable.
    ClientCertEnv(String),
    /// Signature version 4 of AWS, with the credentials of the environment.
    SigV4 {
        /// The region.
        region: String,
        /// The profile of `~/.aws/credentials`; `None` for what the environment says.
        profile: Option<String>,
    },
}

/// How much of a property of a live rule belongs to the pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manage {
    /// The pack's value holds.
    Set,
    /// The pack's entries are there; others stay.
    Add,
    /// The pack's value is written when the rule is created, and left alone from then on.
    CreateOnly,
    /// Never written nor compared.
    Ignore,
}

impl Manage {
    /// The word that the configuration has for it.
    pub fn word(self) -> &'static str {
        match self {
            Manage::Set => "set",
            Manage::Add => "add",
            Manage::CreateOnly => "create-only",
            Manage::Ignore => "ignore",
        }
    }
}

/// What happens to a rule that was edited in Kibana since it was last deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDrift {
    /// It is left alone and reported.
    Stop,
    /// The pack wins.
    Overwrite,
    /// Kibana wins.
    Keep,
}

/// The most rules that one deploy may delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxPrune {
    /// So many.
    Count(usize),
    /// A share of the rules that the pack owns in Kibana, in percent, rounded up.
    Share(u8),
}

impl MaxPrune {
    /// The limit where the pack owns `owned` rules.
    pub fn limit(self, owned: usize) -> usize {
        match self {
            MaxPrune::Count(n) => n,
            MaxPrune::Share(percent) => (owned * usize::from(percent)).div_ceil(100),
        }
    }
}

impl std::fmt::Display for MaxPrune {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MaxPrune::Count(n) => write!(f, "{n}"),
            MaxPrune::Share(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A choice among rules by their properties; an empty list restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Rules of one of these maturities.
    pub maturity: Vec<String>,
    /// Rules of one of these severities.
    pub severity: Vec<String>,
    /// Rules with one of these tags.
    pub tags: Vec<String>,
    /// Rules with none of these tags.
    pub not_tags: Vec<String>,
}

impl Filter {
    /// Whether a rule is chosen.
    pub fn accepts(&self, rule: &Rule) -> bool {
        let among = |list: &[String], value: &str| list.is_empty() || list.iter().any(|l| l == value);
        let has =
            |list: &[String]| rule.tags().iter().any(|t| list.iter().any(|l| l.eq_ignore_ascii_case(t)));
        among(&self.maturity, rule.maturity().unwrap_or_default())
            && among(&self.severity, rule.severity())
            && (self.tags.is_empty() || has(&self.tags))
            && !has(&self.not_tags)
    }
}

/// Changes that apply at one target only.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// Which rules, by their properties.
    pub when: Filter,
    /// Which rules, by name or pattern; empty for all.
    pub rules: Vec<String>,
    /// Notifications, as the configuration has them: `connector`, `params`, `frequency`.
    pub actions: Vec<Value>,
    /// Index patterns instead of those of the rule.
    pub index: Option<Value>,
    /// Files of exception lists that apply to these rules, as paths below the pack.
    pub exceptions: Vec<String>,
    /// Where it stands in the configuration.
    pub pointer: String,
    matchers: Vec<GlobMatcher>,
}

impl Overlay {
    /// Whether it applies to a rule.
    pub fn applies_to(&self, rule: &Rule) -> bool {
        self.when.accepts(rule)
            && (self.rules.is_empty() || (0..self.rules.len()).any(|i| self.names(i, rule)))
    }

    /// Whether it names a file of exceptions.
    pub fn has_exceptions(&self, file: &ExceptionFile) -> bool {
        self.exceptions.iter().any(|path| is_at(file, path))
    }

    /// Whether the entry of [`Overlay::rules`] at `index` means a rule.
    fn names(&self, index: usize, rule: &Rule) -> bool {
        let exact = self.rules.get(index).is_some_and(|r| *r == rule.name || *r == rule.rule_id());
        exact || self.matchers.get(index).is_some_and(|m| m.is_match(&rule.name) || m.is_match(rule.file()))
    }
}

/// Whether a file is the one at a path below the pack; a pack that was given by its path is shown with it.
fn is_at(file: &ExceptionFile, path: &str) -> bool {
    file.source.name().strip_suffix(path).is_some_and(|above| above.is_empty() || above.ends_with('/'))
}

/// A Kibana space that rules are deployed to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in the configuration.
    pub name: String,
    /// Address of Kibana, without a slash at the end.
    pub kibana: String,
    /// Address of OpenSearch instead, without a slash at the end.
    pub opensearch: Option<String>,
    /// The space.
    pub space: String,
    /// Where the credentials come from.
    pub auth: Auth,
    /// A file of certificates (PEM) that are trusted besides those of the system.
    pub ca: Option<String>,
    /// The proxy; `None` for that of the environment.
    pub proxy: Option<String>,
    /// Which rules go there.
    pub select: Filter,
    /// How much of which property belongs to the pack.
    pub manage: BTreeMap<String, Manage>,
    /// What happens to rules that were edited there.
    pub on_drift: OnDrift,
    /// The most rules that one deploy may delete.
    pub max_prune: MaxPrune,
    /// Changes that apply there, in order.
    pub overlays: Vec<Overlay>,
    /// OpenSearch: whether several rules share a monitor.
    pub group: bool,
}

impl Target {
    /// The practice Kibana on this machine, which takes any credentials.
    pub fn demo() -> Target {
        Target {
            name: DEMO.to_owned(),
            kibana: DEMO_ADDRESS.to_owned(),
            opensearch: None,
            space: "default".to_owned(),
            auth: Auth::None,
            ca: None,
            proxy: None,
            select: Filter::default(),
            manage: BTreeMap::new(),
            on_drift: OnDrift::Stop,
            max_prune: MaxPrune::Share(20),
            overlays: Vec::new(),
            group: false,
        }
    }

    /// The address of Kibana, or of OpenSearch.
    pub fn address(&self) -> &str {
        self.opensearch.as_deref().unwrap_or(&self.kibana)
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.address().starts_with("http://")
    }

    /// What of the overlays means nothing for these files: an entry that names no rule, patterns that are
    /// none, index patterns for rules that take none, an exception file that is not there. `document` is the
    /// configuration.
    pub fn check(&self, files: &[RuleFile], lists: &[ExceptionFile], document: &Document) -> Vec<Diagnostic> {
        let rules: Vec<&Rule> = files.iter().filter_map(|f| f.rule.as_deref()).collect();
        let mut found = Vec::new();
        let mut report = |pointer: String, d: Diagnostic| {
            found.push(d.at(document.nearest(&pointer).value, "").in_source(document.source()));
        };
        if !rules.is_empty() && !rules.iter().any(|r| self.select.accepts(r)) {
            let d = Diagnostic::new(
                Code::RP0901,
                format!("the target `{}` selects no rule of the pack", self.name),
            )
            .severity(crate::diag::Severity::Warning);
            report(format!("/target/{}/select", self.name), d);
        }
        for overlay in &self.overlays {
            for (i, written) in overlay.rules.iter().enumerate() {
                if rules.iter().any(|r| overlay.names(i, r)) {
                    continue;
                }
                let mut d = Diagnostic::new(Code::RP0905, format!("`{written}` means no rule of the pack"));
                let known = rules.iter().map(|r| r.name.as_str());
                if let Some(near) = super::select::nearest(written, known) {
                    d = d.help(format!("did you mean `{near}`?"));
                }
                report(format!("{}/rules/{i}", overlay.pointer), d);
            }
            for (i, written) in overlay.exceptions.iter().enumerate() {
                if lists.iter().any(|f| is_at(f, written)) {
                    continue;
                }
                let mut d =
                    Diagnostic::new(Code::RP0905, format!("`{written}` is no exception file of the pack"));
                if let Some(near) = crate::diag::did_you_mean(written, lists.iter().map(|f| f.source.name()))
                {
                    d = d.help(format!("did you mean `{near}`?"));
                }
                report(format!("{}/exceptions/{i}", overlay.pointer), d);
            }
            let applies: Vec<&&Rule> = rules.iter().filter(|r| overlay.applies_to(r)).collect();
            let named = overlay.rules.is_empty()
                || (0..overlay.rules.len()).all(|i| rules.iter().any(|r| overlay.names(i, r)));
            if applies.is_empty() && named && !rules.is_empty() {
                let d = Diagnostic::new(Code::RP0905, "this overlay applies to no rule of the pack")
                    .severity(crate::diag::Severity::Warning);
                report(overlay.pointer.clone(), d);
            }
            for rule in applies {
                // a monitor has them apart from its query
                if overlay.index.is_some() && rule.json().get("index").is_none() && self.opensearch.is_none()
                {
                    let d = Diagnostic::new(
                        Code::RP0905,
                        format!("`{}` has no `index` that could be replaced", rule.name),
                    )
                    .help("leave rules without index patterns out with `rules` or `when`");
                    report(format!("{}/index", overlay.pointer), d);
                }
            }
        }
        found
    }
}

/// Reads `[target.*]` of a configuration that its schema has accepted.
pub(super) fn read(document: &Document) -> (Vec<Target>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let mut targets = Vec::new();
    let tables = document.json().get("target").and_then(Value::as_object);
    for (name, table) in tables.into_iter().flatten() {
        let pointer = format!("/target/{}", name.replace('~', "~0").replace('/', "~1"));
        targets.push(Reader { document, found: &mut found, pointer }.target(name, table));
    }
    (targets, found)
}

struct Reader<'a> {
    document: &'a Document,
    found: &'a mut Vec<Diagnostic>,
    pointer: String,
}

fn text(table: &Value, key: &str) -> Option<String> {
    table.get(key)?.as_str().map(str::to_owned)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn filter(table: Option<&Value>) -> Filter {
    let list = |key: &str| texts(table.and_then(|t| t.get(key)));
    Filter {
        maturity: list("maturity"),
        severity: list("severity"),
        tags: list("tags"),
        not_tags: list("not_tags"),
    }
}

impl Reader<'_> {
    fn report(&mut self, pointer: &str, d: Diagnostic) {
        let span = self.document.nearest(pointer).value;
        self.found.push(d.at(span, "").in_source(self.document.source()));
    }

    fn target(&mut self, name: &str, table: &Value) -> Target {
        let mut target = Target::demo();
        target.name = name.to_owned();
        target.kibana = text(table, "kibana").unwrap_or_default().trim_end_matches('/').to_owned();
        target.opensearch = text(table, "opensearch").map(|a| a.trim_end_matches('/').to_owned());
        match (table.get("kibana"), &target.opensearch) {
            (None, None) => {
                let d = Diagnostic::new(Code::RP0004, "a target needs `kibana` or `opensearch`");
                self.report(&self.pointer.clone(), d);
            }
            (Some(_), Some(_)) => {
                let d = Diagnostic::new(Code::RP0901, "a target is either `kibana` or `opensearch`")
                    .help("two targets may have the same `select`");
                self.report(&format!("{}/opensearch", self.pointer), d);
            }
            (None, Some(_)) => {
                if table.get("space").is_some() {
                    let d = Diagnostic::new(
                        Code::RP0901,
                        "OpenSearch has no spaces: a cluster keeps all monitors together",
                    )
                    .help("leave `space` out; two clusters are two targets");
                    self.report(&format!("{}/space", self.pointer), d);
                }
                for property in
                    table.get("manage").and_then(Value::as_object).into_iter().flatten().map(|p| p.0)
                {
                    if !OF_MONITORS.contains(&property.as_str()) {
                        let d = Diagnostic::new(
                            Code::RP0901,
                            format!("a monitor has no `{property}` that others could own"),
                        )
                        .help("of a monitor `enabled`, `schedule` and `actions` can be managed");
                        self.report(&format!("{}/manage/{property}", self.pointer), d);
                    }
                }
            }
            (Some(_), None) if table.get("group").is_some() => {
                let d = Diagnostic::new(
                    Code::RP0901,
                    "`group` puts rules into monitors of OpenSearch, and this is Kibana",
                );
                self.report(&format!("{}/group", self.pointer), d);
            }
            (Some(_), None) => {}
        }
        target.group = table.get("group") == Some(&Value::Bool(true));
        target.space = text(table, "space").unwrap_or(target.space);
        target.ca = text(table, "ca");
        target.proxy = text(table, "proxy");
        target.select = filter(table.get("select"));
        target.auth = self.auth(table);
        for (property, how) in table.get("manage").and_then(Value::as_object).into_iter().flatten() {
            let how = match how.as_str() {
                Some("add") => Manage::Add,
                Some("create-only") => Manage::CreateOnly,
                Some("ignore") => Manage::Ignore,
                _ => Manage::Set,
            };
            let at = format!("{}/manage/{property}", self.pointer);
            if matches!(
                property.as_str(),
                "type" | "rule_id" | "name" | "description" | "risk_score" | "severity"
            ) && how != Manage::Set
            {
                let d = Diagnostic::new(Code::RP0901, format!("`{property}` always belongs to the pack"))
                    .note("Kibana needs it with every write");
                self.report(&at, d);
            } else if how == Manage::Add
                && !matches!(
                    property.as_str(),
                    "tags" | "actions" | "exceptions_list" | "references" | "false_positives" | "author"
                )
            {
                let d = Diagnostic::new(Code::RP0901, format!("nothing can be added to `{property}`"))
                    .note("`add` is for lists whose order does not matter: `tags`, `actions`, `exceptions_list`, `references`, `false_positives` and `author`");
                self.report(&at, d);
            }
            target.manage.insert(property.clone(), how);
        }
        target.on_drift = match text(table, "on_drift").as_deref() {
            Some("overwrite") => OnDrift::Overwrite,
            Some("keep") => OnDrift::Keep,
            _ => OnDrift::Stop,
        };
        target.max_prune = match table.get("max_prune") {
            Some(Value::Number(n)) => {
                MaxPrune::Count(n.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
            }
            Some(Value::String(s)) => MaxPrune::Share(s.trim_end_matches('%').parse().unwrap_or(0)),
            _ => target.max_prune,
        };
        let overlays = table.get("overlay").and_then(Value::as_array).into_iter().flatten();
        target.overlays = overlays
            .enumerate()
            .map(|(i, o)| self.overlay(o, format!("{}/overlay/{i}", self.pointer)))
            .collect();
        target
    }

    fn auth(&mut self, table: &Value) -> Auth {
        let Some(auth) = table.get("auth") else { return Auth::None };
        if let Some(name) = text(auth, "api_key_env") {
            Auth::ApiKeyEnv(name)
        } else if let Some(name) = text(auth, "basic_env") {
            Auth::BasicEnv(name)
        } else if let Some(name) = text(auth, "bearer_env") {
            Auth::BearerEnv(name)
        } else if let Some(name) = text(auth, "client_cert_env") {
            Auth::ClientCertEnv(name)
        } else if let Some(sigv4) = auth.get("sigv4") {
            Auth::SigV4 { region: text(sigv4, "region").unwrap_or_default(), profile: text(sigv4, "profile") }
        } else {
            Auth::Command(texts(auth.get("command")))
        }
    }

    fn overlay(&mut self, table: &Value, pointer: String) -> Overlay {
        let rules = texts(table.get("rules"));
        let mut matchers = Vec::new();
        for (i, pattern) in rules.iter().enumerate() {
            match GlobBuilder::new(pattern).literal_separator(true).build() {
                Ok(glob) => matchers.push(glob.compile_matcher()),
                Err(e) => {
                    let d = Diagnostic::new(Code::RP0905, format!("`{pattern}` is no pattern: {}", e.kind()));
                    self.report(&format!("{pointer}/rules/{i}"), d);
                }
            }
        }
        Overlay {
            when: filter(table.get("when")),
            rules,
            actions: table.get("actions").and_then(Value::as_array).cloned().unwrap_or_default(),
            index: table.get("index").cloned(),
            exceptions: texts(table.get("exceptions")),
            pointer,
            matchers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Config;

    fn read(text: &str) -> (Option<Config>, Vec<Diagnostic>) {
        Config::read("rulepack.toml", format!("[pack]\nname = \"a\"\n{text}").into_bytes())
    }

    #[test]
    fn a_target_is_read_with_all_that_it_says() {
        let (config, found) = read(
            "[target.prod]\nkibana = \"https://kibana.example.com/base/\"\nspace = \"soc\"\n\
             auth = { api_key_env = \"KEY\" }\nca = \"corp.pem\"\nproxy = \"http://proxy.example.com:3128\"\n\
             select = { maturity = [\"production\"], not_tags = [\"lab\"] }\n\
             manage = { enabled = \"create-only\", tags = \"add\" }\non_drift = \"keep\"\nmax_prune = 3\n\
             [[target.prod.overlay]]\nwhen = { severity = [\"high\"] }\nactions = [{ connector = \"pager\" }]\n",
        );
        assert!(found.is_empty(), "{found:#?}");
        let target = config.unwrap().targets.remove(0);
        assert_eq!(
            (target.kibana.as_str(), target.space.as_str()),
            ("https://kibana.example.com/base", "soc")
        );
        assert_eq!(target.auth, Auth::ApiKeyEnv("KEY".to_owned()));
        assert_eq!(target.manage["tags"], Manage::Add);
        assert_eq!((target.on_drift, target.max_prune), (OnDrift::Keep, MaxPrune::Count(3)));
        assert_eq!(target.overlays[0].actions[0]["connector"], "pager");
    }

    #[test]
    fn mistakes_in_a_target_are_errors_at_their_place() {
        for (text, code, at) in [
            ("kibana = \"http://kibana.example.com\"\n", Code::RP0007, "\"http://"),
            (
                "kibana = \"https://k.example.com\"\nmanage = { severity = \"ignore\" }\n",
                Code::RP0901,
                "\"ignore\"",
            ),
            ("kibana = \"https://k.example.com\"\nmanage = { query = \"add\" }\n", Code::RP0901, "\"add\""),
        ] {
            let (config, found) = read(&format!("[target.prod]\n{text}"));
            assert!(config.is_none(), "{text}");
            assert_eq!(found[0].code, code, "{found:#?}");
            let source = found[0].source.as_ref().unwrap();
            assert!(found[0].span().unwrap().slice(source.text()).starts_with(at), "{found:#?}");
        }
    }

    #[test]
    fn a_share_of_rules_to_prune_is_rounded_up() {
        assert_eq!(MaxPrune::Share(20).limit(3), 1);
        assert_eq!(MaxPrune::Share(20).limit(0), 0);
        assert_eq!(MaxPrune::Count(0).limit(9), 0);
    }
}
