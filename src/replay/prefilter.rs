//! The prefilter: drops raw CloudTrail records that no rule can match, by their `eventName`, before
//! they are parsed. It may only let too much through.

use memchr::memmem::Finder;
use rustc_hash::FxHashSet;

/// The event names that rules need.
#[derive(Debug)]
pub struct Prefilter {
    wanted: FxHashSet<Box<[u8]>>,
    prefixes: Vec<Box<[u8]>>,
    name: Finder<'static>,
    event: Finder<'static>,
    dotted: Finder<'static>,
    unicode: Finder<'static>,
}

impl Prefilter {
    /// A prefilter that lets through records with one of these event names.
    pub fn new<'a>(wanted: impl IntoIterator<Item = &'a str>) -> Prefilter {
        Prefilter {
            wanted: wanted.into_iter().map(|w| w.as_bytes().into()).collect(),
            prefixes: Vec::new(),
            name: Finder::new("\"eventName\""),
            event: Finder::new("\"event\""),
            dotted: Finder::new("\"event."),
            unicode: Finder::new("\\u"),
        }
    }

    /// Lets through event names that begin so as well.
    pub fn with_prefixes<'a>(mut self, prefixes: impl IntoIterator<Item = &'a str>) -> Prefilter {
        self.prefixes = prefixes.into_iter().map(|p| p.as_bytes().into()).collect();
        self
    }

    /// Whether a record must be looked at.
    pub fn keep(&self, record: &[u8]) -> bool {
        let mut rest = record;
        let mut found = false;
        while let Some(i) = self.name.find(rest) {
            rest = rest.get(i + b"\"eventName\"".len()..).unwrap_or(&[]);
            let Some(value) = string_value(rest) else { return true };
            if self.wanted.contains(value) || self.prefixes.iter().any(|p| value.starts_with(p)) {
                return true;
            }
            found = true;
        }
        // a key may be written with an escape, and an ECS document says `event.action` itself
        !found
            || self.unicode.find(record).is_some()
            || self.event.find(record).is_some()
            || self.dotted.find(record).is_some()
    }
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
    use proptest::prelude::*;

    #[test]
    fn a_record_is_dropped_only_when_its_name_is_known_and_unwanted() {
        let p = Prefilter::new(["DeleteGroup"]);
        assert!(p.keep(br#"{"eventName" : "DeleteGroup"}"#));
        assert!(!p.keep(br#"{"eventName":"ListGroups"}"#));
        assert!(p.keep(br#"{"eventName":"Delete\u0047roup"}"#));
        assert!(p.keep(br#"{"event\u004eame":"DeleteGroup","x":{"eventName":"a"}}"#));
        assert!(p.keep(br#"{"eventName":null}"#));
        assert!(p.keep(br#"{"eventTime":"x"}"#));
        assert!(p.keep(br#"{"event":{"action":"DeleteGroup"},"eventName":"x"}"#));
    }

    proptest! {
        #[test]
        fn no_record_with_a_wanted_name_is_dropped(
            name in "[A-C]{1,2}",
            other in "[A-C]{1,2}",
            space in "[ \n]{0,2}",
            first in any::<bool>(),
        ) {
            let p = Prefilter::new(["A", "BB"]);
            let (a, b) = (format!("\"eventName\"{space}:{space}\"{name}\""), format!("\"o\":{{\"eventName\":\"{other}\"}}"));
            let text = if first { format!("{{{a},{b}}}") } else { format!("{{{b},{a}}}") };
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let wanted = ["A", "BB"].contains(&value["eventName"].as_str().unwrap());
            prop_assert!(!wanted || p.keep(text.as_bytes()));
        }
    }
}
