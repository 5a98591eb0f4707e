//! The prefilter: drops raw CloudTrail records that no rule can match, by their `eventName`, before
//! they are parsed; rules that ask for user agents also by their `userAgent`. It may only let too much
//! through.

use crate::lang::cloudtrail::Converter;
use crate::plan::table::Required;
use memchr::memmem::Finder;
use rustc_hash::FxHashSet;

/// What a rule needs of a record.
#[derive(Clone, Debug, Default)]
pub struct Need {
    /// The event names that it can match, whole or as they begin.
    pub names: Required,
    /// The names of user agents that it can match; `None` for any.
    pub agents: Option<Vec<Box<str>>>,
}

/// Event names, by a look at bytes.
#[derive(Debug, Default)]
struct Names {
    exact: FxHashSet<Box<[u8]>>,
    prefixes: Vec<Box<[u8]>>,
}

impl Names {
    fn add(&mut self, names: Required) {
        self.exact.extend(names.exact.into_iter().map(|n| n.into_string().into_bytes().into_boxed_slice()));
        self.prefixes
            .extend(names.prefixes.into_iter().map(|n| n.into_string().into_bytes().into_boxed_slice()));
    }

    fn has(&self, name: &[u8]) -> bool {
        self.exact.contains(name) || self.prefixes.iter().any(|p| name.starts_with(p))
    }
}

/// What the rules need, put together.
#[derive(Debug)]
pub struct Prefilter {
    /// Names that are enough by themselves.
    names: Names,
    /// Names that count only with certain user agents.
    gated: Vec<(Names, FxHashSet<Box<str>>)>,
    name: Finder<'static>,
    agent: Finder<'static>,
    event: Finder<'static>,
    dotted: Finder<'static>,
    unicode: Finder<'static>,
}

impl Prefilter {
    /// A prefilter that lets through the records that one of these rules may match.
    pub fn new(needs: impl IntoIterator<Item = Need>) -> Prefilter {
        let mut names = Names::default();
        let mut gated = Vec::new();
        for need in needs {
            match need.agents {
                None => names.add(need.names),
                Some(agents) => {
                    let mut own = Names::default();
                    own.add(need.names);
                    gated.push((own, agents.into_iter().collect()));
                }
            }
        }
        Prefilter {
            names,
            gated,
            name: Finder::new(NAME),
            agent: Finder::new(AGENT),
            event: Finder::new("\"event\""),
            dotted: Finder::new("\"event."),
            unicode: Finder::new("\\u"),
        }
    }

    /// Whether a record must be looked at.
    pub fn keep(&self, record: &[u8], converter: &Converter) -> bool {
        let mut named = false;
        let mut only = Vec::new();
        for value in values(&self.name, NAME, record) {
            let Some(value) = value else { return true };
            if self.names.has(value) {
                return true;
            }
            only.extend(self.gated.iter().filter(|(names, _)| names.has(value)).map(|(_, agents)| agents));
            named = true;
        }
        // a key may be written with an escape, and an ECS document says `event.action` itself
        if !named
            || self.unicode.find(record).is_some()
            || self.event.find(record).is_some()
            || self.dotted.find(record).is_some()
        {
            return true;
        }
        !only.is_empty() && self.has_agent(record, &only, converter)
    }

    fn has_agent(&self, record: &[u8], wanted: &[&FxHashSet<Box<str>>], converter: &Converter) -> bool {
        let mut named = false;
        for value in values(&self.agent, AGENT, record) {
            let Some(Ok(agent)) = value.map(std::str::from_utf8) else { return true };
            if wanted.iter().any(|names| converter.agent_is_one_of(agent, names)) {
                return true;
            }
            named = true;
        }
        !named
    }
}

const NAME: &str = "\"eventName\"";
const AGENT: &str = "\"userAgent\"";

/// The strings behind each place of a key, at any depth; `None` for another value, or one with an escape.
fn values<'r>(
    finder: &'r Finder<'static>,
    key: &'static str,
    record: &'r [u8],
) -> impl Iterator<Item = Option<&'r [u8]>> {
    finder.find_iter(record).map(move |at| string_value(record.get(at + key.len()..).unwrap_or_default()))
}

/// The string after a key; `None` for another value, or one with an escape.
fn string_value(after_key: &[u8]) -> Option<&[u8]> {
    let rest = after_key.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', rest)?;
    (rest.get(end) == Some(&b'"')).then(|| rest.get(..end)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::cloudtrail::{Needs, Options};
    use proptest::prelude::*;

    fn names(exact: &[&str], prefixes: &[&str], agents: Option<&[&str]>) -> Need {
        let all = |texts: &[&str]| texts.iter().map(|t| (*t).into()).collect();
        Need { names: Required { exact: all(exact), prefixes: all(prefixes) }, agents: agents.map(all) }
    }

    fn keeps(p: &Prefilter, record: &str) -> bool {
        p.keep(record.as_bytes(), &Converter::new(Options::default()))
    }

    #[test]
    fn a_record_is_dropped_only_when_its_name_is_known_and_unwanted() {
        let p = Prefilter::new([names(&["DeleteGroup"], &[], None)]);
        assert!(keeps(&p, r#"{"eventName" : "DeleteGroup"}"#));
        assert!(!keeps(&p, r#"{"eventName":"ListGroups"}"#));
        assert!(keeps(&p, r#"{"eventName":"Delete\u0047roup"}"#));
        assert!(keeps(&p, r#"{"event\u004eame":"DeleteGroup","x":{"eventName":"a"}}"#));
        assert!(keeps(&p, r#"{"eventName":null}"#));
        assert!(keeps(&p, r#"{"eventTime":"x"}"#));
        assert!(keeps(&p, r#"{"event":{"action":"DeleteGroup"},"eventName":"x"}"#));
    }

    #[test]
    fn a_rule_that_asks_for_an_agent_sees_only_records_with_it() {
        let p =
            Prefilter::new([names(&["DeleteGroup"], &[], None), names(&[], &["List"], Some(&["aws-cli"]))]);
        assert!(keeps(&p, r#"{"eventName":"ListGroups","userAgent":"aws-cli/2.17.9 md/awscrt#0.21.2"}"#));
        assert!(!keeps(&p, r#"{"eventName":"ListGroups","userAgent":"Boto3/1.26.1 Python/3.9"}"#));
        assert!(!keeps(&p, r#"{"eventName":"GetUser","userAgent":"aws-cli/2.17.9"}"#));
        assert!(keeps(&p, r#"{"eventName":"DeleteGroup","userAgent":"Boto3/1.26.1 Python/3.9"}"#));
        // what cannot be read by a look at bytes is kept
        assert!(keeps(&p, r#"{"eventName":"ListGroups"}"#));
        assert!(keeps(&p, r#"{"eventName":"ListGroups","userAgent":"a\\b"}"#));
        assert!(keeps(&p, r#"{"eventName":"ListGroups","userAgent":["aws-cli"]}"#));
        let nested =
            r#"{"userAgent":"x","eventName":"ListGroups","requestParameters":{"userAgent":"aws-cli/1.2"}}"#;
        assert!(keeps(&p, nested));
    }

    proptest! {
        #[test]
        fn no_record_with_a_wanted_agent_is_dropped(
            agent in "(aws-cli/[12][.][0-9]{1,2}|Boto3/1[.]26|signin[.]amazonaws[.]com|\\[aws-cli/2[.]1\\]|[a-z]{0,5}) ?(aws-cli/2[.]0|exec-env/CloudShell)?",
            space in "[ \n]{0,2}",
        ) {
            let p = Prefilter::new([names(&[], &["List"], Some(&["aws-cli"]))]);
            let text = format!("{{\"eventVersion\":\"1.08\",\"eventName\":\"ListGroups\",\"userAgent\"{space}:{space}\"{agent}\"}}");
            let converter = Converter::new(Options::default());
            let made = converter.convert(text.as_bytes(), &Needs::all()).unwrap();
            let wanted = made.document["user_agent"]["name"] == "aws-cli";
            prop_assert_eq!(wanted, keeps(&p, &text));
        }

        #[test]
        fn no_record_with_a_wanted_name_is_dropped(
            name in "[A-C]{1,2}",
            other in "[A-C]{1,2}",
            space in "[ \n]{0,2}",
            first in any::<bool>(),
        ) {
            let p = Prefilter::new([names(&["A", "BB"], &[], None)]);
            let (a, b) = (format!("\"eventName\"{space}:{space}\"{name}\""), format!("\"o\":{{\"eventName\":\"{other}\"}}"));
            let text = if first { format!("{{{a},{b}}}") } else { format!("{{{b},{a}}}") };
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let wanted = ["A", "BB"].contains(&value["eventName"].as_str().unwrap());
            prop_assert!(!wanted || keeps(&p, &text));
        }
    }
}
