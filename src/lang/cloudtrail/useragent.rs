//! What Elasticsearch's `user_agent` processor answers for a user agent text, by the rules that it
//! ships (uap-core 0.18).

use super::section::Section;
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::sync::{Arc, LazyLock, RwLock};
use ua_parser::{Extractor, Regexes};

/// Built on first use: takes about 85 ms.
static EXTRACTOR: LazyLock<Option<Extractor<'static>>> = LazyLock::new(|| {
    let rules = include_str!("../../../schemas/user-agents.yaml");
    let rules: Regexes<'static> = serde_yaml_ng::from_str(rules).ok()?;
    rules.try_into().ok()
});

/// What a user agent text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    name: String,
    version: Option<String>,
    device: String,
    os: Option<(String, Option<String>)>,
}

impl Answer {
    fn of(text: &str) -> Answer {
        let found = EXTRACTOR.as_ref().map(|e| e.extract(text));
        let (agent, os, device) = found.unwrap_or_default();
        Answer {
            name: agent.as_ref().map_or_else(|| "Other".to_owned(), |a| a.family.to_string()),
            version: agent.and_then(|a| version([a.major, a.minor, a.patch, a.patch_minor])),
            device: device.map_or_else(|| "Other".to_owned(), |d| d.device.to_string()),
            os: os.map(|o| {
                let parts =
                    [o.major.as_deref(), o.minor.as_deref(), o.patch.as_deref(), o.patch_minor.as_deref()];
                (o.os.to_string(), version(parts))
            }),
        }
    }

    /// What becomes `user_agent.name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the fields below `user_agent` but `original`.
    pub fn write(&self, original: Option<&str>) -> Section {
        let mut out = Section::default();
        let mut device = Section::default();
        device.text("name", self.device.as_str());
        out.section("device", device);
        out.text("name", self.name.as_str());
        out.maybe("original", original);
        if let Some((name, version)) = &self.os {
            let mut os = Section::default();
            if let Some(version) = version {
                os.text("full", format!("{name} {version}"));
            }
            os.text("name", name.as_str());
            os.maybe("version", version.as_deref());
            out.value("os", Value::Object(os.0));
        }
        out.maybe("version", self.version.as_deref());
        out
    }
}

/// The parts up to the first that is missing, with dots between.
fn version(parts: [Option<&str>; 4]) -> Option<String> {
    let known: Vec<&str> = parts.iter().map_while(|p| p.filter(|p| !p.is_empty())).collect();
    (!known.is_empty()).then(|| known.join("."))
}

/// Answers by text: real data has few different ones.
#[derive(Debug, Default)]
pub(super) struct Answers {
    known: RwLock<FxHashMap<Box<str>, Arc<Answer>>>,
}

impl Answers {
    /// How many answers are kept, and how long a text may be to be kept.
    const MOST: usize = 4096;
    const LONGEST: usize = 2048;

    /// The answer for a text.
    pub fn get(&self, text: &str) -> Arc<Answer> {
        if let Ok(known) = self.known.read()
            && let Some(answer) = known.get(text)
        {
            return Arc::clone(answer);
        }
        let answer = Arc::new(Answer::of(text));
        if text.len() <= Self::LONGEST
            && let Ok(mut known) = self.known.write()
        {
            if known.len() >= Self::MOST {
                known.clear();
            }
            known.insert(text.into(), Arc::clone(&answer));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> String {
        serde_json::to_string(&Answers::default().get(text).write(None).0).unwrap()
    }

    #[test]
    fn the_rules_are_readable() {
        assert!(EXTRACTOR.is_some());
    }

    #[test]
    fn command_line_clients_have_a_name_and_a_version() {
        let mac = "aws-cli/2.17.9 md/awscrt#0.21.2 ua/2.0 os/macos#23.6.0 md/arch#arm64 lang/python#3.12.6";
        assert_eq!(fields(mac), r#"{"device":{"name":"Other"},"name":"aws-cli","version":"2.17.9"}"#);
        let linux = "aws-cli/2.18.3 md/awscrt#0.22.0 ua/2.0 os/linux#6.8.0-1016-aws md/arch#x86_64";
        assert_eq!(
            fields(linux),
            r#"{"device":{"name":"Other"},"name":"aws-cli","os":{"name":"Linux"},"version":"2.18.3"}"#
        );
        let old = "aws-cli/1.16.300 Python/3.8.1 Darwin/18.7.0 botocore/1.13.36";
        assert_eq!(fields(old), r#"{"device":{"name":"Spider"},"name":"aws-cli","version":"1.16.300"}"#);
        assert!(fields("Boto3/1.26.1 Python/3.9 Linux/5.10 Botocore/1.29.1").contains("Spider"));
    }

    #[test]
    fn services_and_unknown_clients_are_other() {
        assert_eq!(fields("signin.amazonaws.com"), r#"{"device":{"name":"Other"},"name":"Other"}"#);
    }

    #[test]
    fn browsers_tell_their_system() {
        let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/131.0.0.0 Safari/537.36";
        assert_eq!(
            fields(chrome),
            r#"{"device":{"name":"Other"},"name":"Chrome","os":{"full":"Windows 10","name":"Windows","version":"10"},"version":"131.0.0.0"}"#
        );
        let go = "APN/1.0 HashiCorp/1.0 Terraform/1.9.0 aws-sdk-go/1.50.1 (go1.22; linux; amd64)";
        assert!(fields(go).contains(r#""name":"aws-sdk-go","os":{"name":"Linux"},"version":"1.50.1""#));
    }

    #[test]
    fn the_cache_stays_bounded() {
        let answers = Answers::default();
        let long = "x".repeat(Answers::LONGEST + 1);
        answers.get(&long);
        assert_eq!(answers.known.read().unwrap().len(), 0);
    }
}
