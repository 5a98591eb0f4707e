//! `[opensearch]` of `rulepack.toml`: which OpenSearch the monitors are made for, the shape of the events
//! there, and which rules may lose something on the way.

use crate::diag::{Code, Diagnostic};
use crate::lang::rule::{Document, Rule};
use crate::schema::Version;
use globset::GlobBuilder;
use serde_json::Value;

/// The shape that events have in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Elastic's flavour of ECS, as the rules are written.
    Ecs,
    /// CloudTrail records as AWS delivers them.
    Raw,
    /// The catalogue of OpenSearch Integrations: the record below `aws.cloudtrail`.
    Ss4o,
    /// OCSF 1.x, class API Activity.
    Ocsf,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 4] = [Profile::Ecs, Profile::Raw, Profile::Ss4o, Profile::Ocsf];

    /// The word that the configuration has for it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Ecs => "ecs",
            Profile::Raw => "raw",
            Profile::Ss4o => "ss4o",
            Profile::Ocsf => "ocsf",
        }
    }

    /// The profile of a word.
    pub fn from_name(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|p| p.name() == name)
    }
}

/// What OpenSearch's monitors are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSearch {
    /// Whether the configuration says anything about it.
    pub configured: bool,
    /// The oldest version that they run on.
    pub version: Version,
    /// The shape of the events there.
    pub profile: Profile,
    /// Index patterns instead of those of the rules; empty for those.
    pub index: Vec<String>,
    /// Rules, by name, id or pattern, that may lose something or be left out.
    pub allow: Vec<String>,
    /// The notification channel that every alert goes to.
    pub channel: Option<String>,
    /// The file, below the pack, that says what OpenSearch can do.
    pub report: Option<String>,
}

impl Default for OpenSearch {
    fn default() -> OpenSearch {
        OpenSearch {
            configured: false,
            version: Version(2, 19, 0),
            profile: Profile::Ecs,
            index: Vec::new(),
            allow: Vec::new(),
            channel: None,
            report: None,
        }
    }
}

impl OpenSearch {
    /// The entry of `allow` that means a rule, by its place.
    pub fn allowed_by(&self, rule: &Rule) -> Option<usize> {
        self.allow.iter().position(|written| {
            *written == rule.name
                || *written == rule.rule_id()
                || GlobBuilder::new(written)
                    .literal_separator(true)
                    .build()
                    .is_ok_and(|g| g.compile_matcher().is_match(&rule.name))
        })
    }
}

/// Reads the table of a configuration that its schema has accepted.
pub(super) fn read(document: &Document) -> (OpenSearch, Vec<Diagnostic>) {
    let mut out = OpenSearch::default();
    let mut found = Vec::new();
    let Some(table) = document.json().get("opensearch") else { return (out, found) };
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    let texts = |key: &str| -> Vec<String> {
        let list = table.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut report = |pointer: &str, d: Diagnostic| {
        found.push(d.at(document.nearest(pointer).value, "").in_source(document.source()));
    };
    out.configured = true;
    out.version = text("version").and_then(Version::parse).unwrap_or(out.version);
    out.profile = text("profile").and_then(Profile::from_name).unwrap_or(out.profile);
    out.index = texts("index");
    out.allow = texts("allow");
    out.channel = text("channel").map(str::to_owned);
    for (i, written) in out.allow.iter().enumerate() {
        if let Err(e) = GlobBuilder::new(written).literal_separator(true).build() {
            let d = Diagnostic::new(Code::RP0703, format!("`{written}` is no pattern: {}", e.kind()));
            report(&format!("/opensearch/allow/{i}"), d);
        }
    }
    if let Some(written) = text("report") {
        out.report = super::files::inside(written).filter(|path| !path.is_empty());
        if out.report.is_none() {
            let d = Diagnostic::new(Code::RP0706, format!("`{written}` leads out of the pack"))
                .help("paths are relative to rulepack.toml, without `..`");
            report("/opensearch/report", d);
        }
    }
    (out, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Config;

    fn read(text: &str) -> (Option<Config>, Vec<Diagnostic>) {
        Config::read("rulepack.toml", format!("[pack]\nname = \"a\"\n{text}").into_bytes())
    }

    #[test]
    fn the_table_is_read_with_all_that_it_says() {
        let (config, found) = read(
            "[opensearch]\nversion = \"3.7\"\nprofile = \"raw\"\nindex = [\"trail-*\"]\nallow = [\"aws/*\"]\n\
             channel = \"c1\"\nreport = \"docs/os.md\"\n",
        );
        assert!(found.is_empty(), "{found:#?}");
        let os = config.unwrap().opensearch;
        assert_eq!((os.version, os.profile), (Version(3, 7, 0), Profile::Raw));
        assert_eq!((os.index, os.allow), (vec!["trail-*".to_owned()], vec!["aws/*".to_owned()]));
        assert_eq!((os.channel.as_deref(), os.report.as_deref()), (Some("c1"), Some("docs/os.md")));
        assert!(!read("").0.unwrap().opensearch.configured);
    }

    #[test]
    fn mistakes_in_the_table_are_errors_at_their_place() {
        for (text, code) in [
            ("profile = \"cim\"", Code::RP0007),
            ("allow = [\"a[\"]", Code::RP0703),
            ("report = \"../x.md\"", Code::RP0706),
            ("indices = [\"a\"]", Code::RP0005),
        ] {
            let (config, found) = read(&format!("[opensearch]\n{text}\n"));
            assert!(config.is_none(), "{text}");
            assert_eq!(found[0].code, code, "{found:#?}");
        }
    }
}
