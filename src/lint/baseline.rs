//! The baseline: findings that were there when a pack was taken over. They are known by a fingerprint that
//! survives changes elsewhere in the file, and no longer fail a run; new ones do.

use crate::diag::{Code, Diagnostic, Severity};
use crate::source::Source;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where the baseline is kept unless the configuration says otherwise.
pub const DEFAULT: &str = ".rulepack/baseline.json";

/// A finding that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The rule's name, or the file of a finding that is in no rule, or nothing.
    subject: String,
    code: String,
    message: String,
    fingerprint: String,
    /// How many findings have this fingerprint.
    count: usize,
}

/// The known findings of a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    entries: BTreeMap<String, Entry>,
}

/// What a baseline makes of findings.
#[derive(Debug, Default)]
pub struct Compared {
    /// What is not known, notes included.
    pub new: Vec<Diagnostic>,
    /// How many findings are known.
    pub known: usize,
    /// Entries, or parts of their counts, that no finding fits: `subject: message [code]`.
    pub stale: Vec<String>,
}

/// The text by which a finding is found again: what it is about, its code, its message and its line, white
/// space made one.
pub fn fingerprint(subject: &str, d: &Diagnostic) -> String {
    let line = match (&d.source, d.span()) {
        (Some(source), Some(span)) => {
            let text = source.text();
            let at = text.floor_char_boundary(span.start as usize);
            let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
            let before = before.rsplit('\n').next().unwrap_or("");
            let after = after.split('\n').next().unwrap_or("");
            format!("{before}{after}").split_whitespace().collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    };
    // what is about no place in particular counts things, and stays the same cause when the number changes
    let message = if d.source.is_none() { without_numbers(&d.message) } else { d.message.clone() };
    let mut hash = Sha256::new();
    for part in [subject, &d.code.to_string(), &message, &line] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// The message with `#` for the numbers outside of backticks.
fn without_numbers(message: &str) -> String {
    let mut out = String::new();
    for (i, part) in message.split('`').enumerate() {
        if i > 0 {
            out.push('`');
        }
        if i % 2 == 1 {
            out.push_str(part);
            continue;
        }
        let words = part.split(' ').map(|w| {
            let number = !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit() || b == b',');
            // `1 rule` becomes `2 rules`
            if number { "#" } else { w.strip_suffix('s').unwrap_or(w) }
        });
        out.push_str(&words.collect::<Vec<_>>().join(" "));
    }
    out
}

impl Baseline {
    /// The baseline that makes today's findings known. Notes never fail a run, so they are left out.
    /// `subject` gives the name of the rule in a file, where the file is a rule.
    pub fn of(found: &[Diagnostic], subject: &dyn Fn(&str) -> String) -> Baseline {
        let mut out = Baseline::default();
        for d in found.iter().filter(|d| d.severity != Severity::Note) {
            let subject = d.source.as_ref().map_or_else(String::new, |s| subject(s.name()));
            let fingerprint = fingerprint(&subject, d);
            let entry = out.entries.entry(fingerprint.clone()).or_insert_with(|| Entry {
                subject,
                code: d.code.to_string(),
                message: d.message.clone(),
                fingerprint,
                count: 0,
            });
            entry.count += 1;
        }
        out
    }

    /// Reads a baseline file. `name` is what people see.
    ///
    /// # Errors
    /// A finding when it is none.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Baseline, Box<Diagnostic>> {
        let broken = |why: &str| {
            Box::new(
                Diagnostic::new(Code::RP0715, format!("this is no baseline: {why}"))
                    .help("`rulepack validate --baseline` writes it anew")
                    .in_source(&Arc::new(Source::new(name, ""))),
            )
        };
        let json: Value = serde_json::from_slice(bytes).map_err(|e| {
            let text = e.to_string();
            broken(&format!("invalid JSON at line {}, {}", e.line(), text.split(" at ").next().unwrap_or("")))
        })?;
        let rows = json.get("findings").and_then(Value::as_array);
        let rows = rows.ok_or_else(|| broken("it has no list `findings`"))?;
        let mut out = Baseline::default();
        for row in rows {
            let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let fingerprint = text("fingerprint");
            if fingerprint.is_empty() {
                return Err(broken("an entry has no `fingerprint`"));
            }
            let count = row.get("count").map_or(Some(1), Value::as_u64);
            let entry = Entry {
                subject: text("rule"),
                code: text("code"),
                message: text("message"),
                fingerprint: fingerprint.clone(),
                count: count
                    .and_then(|n| usize::try_from(n).ok())
                    .ok_or_else(|| broken("a `count` is no number"))?,
            };
            out.entries.insert(fingerprint, entry);
        }
        Ok(out)
    }

    /// The file: sorted, an entry a line, so that changes of it can be read and merged.
    pub fn to_text(&self) -> String {
        let mut rows: Vec<&Entry> = self.entries.values().collect();
        rows.sort();
        let line = |e: &&Entry| {
            let mut row = json!({ "rule": e.subject, "code": e.code, "message": e.message, "fingerprint": e.fingerprint });
            if let Some(map) = row.as_object_mut().filter(|_| e.count > 1) {
                map.insert("count".into(), e.count.into());
            }
            format!("    {row}")
        };
        let rows: Vec<String> = rows.iter().map(line).collect();
        let rows = if rows.is_empty() { String::new() } else { format!("\n{}\n  ", rows.join(",\n")) };
        format!("{{\n  \"version\": 1,\n  \"findings\": [{rows}]\n}}\n")
    }

    /// How many findings it makes known.
    pub fn len(&self) -> usize {
        self.entries.values().fold(0, |n, e| n.saturating_add(e.count))
    }

    /// Whether it makes nothing known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the entries of another one that are about none of these rules and files.
    pub fn keep_others(&mut self, other: Baseline, looked_at: &BTreeSet<String>) {
        for (key, entry) in other.entries {
            if !looked_at.contains(&entry.subject) {
                self.entries.entry(key).or_insert(entry);
            }
        }
    }

    /// How many of the findings that this makes known another one does not.
    pub fn beyond(&self, other: &Baseline) -> usize {
        let held = |e: &Entry| other.entries.get(&e.fingerprint).map_or(0, |o| o.count);
        self.entries.values().fold(0, |n, e| n.saturating_add(e.count.saturating_sub(held(e))))
    }

    /// Tells new findings from known ones.
    pub fn compare(&self, found: Vec<Diagnostic>, subject: &dyn Fn(&str) -> String) -> Compared {
        let mut left: BTreeMap<&str, usize> =
            self.entries.values().map(|e| (e.fingerprint.as_str(), e.count)).collect();
        let mut out = Compared::default();
        for d in found {
            let about = d.source.as_ref().map_or_else(String::new, |s| subject(s.name()));
            let known = d.severity != Severity::Note
                && left.get_mut(fingerprint(&about, &d).as_str()).is_some_and(|n| {
                    let some = *n > 0;
                    *n = n.saturating_sub(1);
                    some
                });
            if known {
                out.known += 1;
            } else {
                out.new.push(d);
            }
        }
        let mut stale: Vec<&Entry> = self
            .entries
            .values()
            .filter(|e| left.get(e.fingerprint.as_str()).is_some_and(|n| *n > 0))
            .collect();
        stale.sort();
        out.stale = stale
            .iter()
            .map(|e| match e.subject.as_str() {
                "" => format!("{} [{}]", e.message, e.code),
                subject => format!("{subject}: {} [{}]", e.message, e.code),
            })
            .collect();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;
    use proptest::prelude::*;

    fn finding(text: &str, needle: &str) -> Diagnostic {
        let at = text.find(needle).unwrap();
        let source = Arc::new(Source::new("rules/a.toml", text));
        Diagnostic::new(Code::RP0201, "unknown field `x`").at(Span::new(at, at + 1), "").in_source(&source)
    }

    fn subject(file: &str) -> String {
        file.trim_start_matches("rules/").trim_end_matches(".toml").to_owned()
    }

    #[test]
    fn a_finding_is_known_wherever_its_line_moves_and_however_it_is_indented() {
        let base = Baseline::of(&[finding("a\nx: 1\n", "x")], &subject);
        let after = base.compare(vec![finding("new\nlines\r\na\n   x:  1\r\n", "x")], &subject);
        assert_eq!((after.new.len(), after.known, after.stale.len()), (0, 1, 0));
        let changed = base.compare(vec![finding("x: 2\n", "x")], &subject);
        assert_eq!((changed.new.len(), changed.known), (1, 0));
        assert_eq!(changed.stale, ["a: unknown field `x` [RP0201]"]);
    }

    #[test]
    fn one_more_of_the_same_is_new() {
        let d = finding("x: 1\n", "x");
        let base = Baseline::of(&[d.clone(), d.clone()], &subject);
        assert_eq!(base.len(), 2);
        let read = Baseline::read("b.json", base.to_text().as_bytes()).unwrap();
        assert_eq!(read, base);
        assert_eq!(read.compare(vec![d.clone(); 3], &subject).new.len(), 1);
        assert_eq!(read.compare(vec![d], &subject).stale.len(), 1);
    }

    #[test]
    fn notes_are_neither_kept_nor_hidden() {
        let note = finding("x: 1\n", "x").severity(Severity::Note);
        assert!(Baseline::of(std::slice::from_ref(&note), &subject).is_empty());
        let base = Baseline::of(&[finding("x: 1\n", "x")], &subject);
        assert_eq!(base.compare(vec![note], &subject).new.len(), 1);
    }

    #[test]
    fn numbers_of_a_finding_about_the_whole_do_not_make_it_new() {
        let whole = |text: &str| Diagnostic::new(Code::RP0202, text).severity(Severity::Error);
        let base =
            Baseline::of(&[whole("`okta2` has no catalogue, so 1 field in 4 rules was not")], &subject);
        let later = vec![
            whole("`okta2` has no catalogue, so 12 fields in 5 rules was not"),
            whole("`okta3` has no catalogue, so 1 field in 4 rules was not"),
        ];
        assert_eq!(base.compare(later, &subject).new.len(), 1);
    }

    #[test]
    fn what_is_no_baseline_is_a_finding() {
        for text in ["", "[]", "{\"findings\": 1}", "{\"findings\": [{}]}", "\u{0}"] {
            assert_eq!(Baseline::read("b.json", text.as_bytes()).unwrap_err().code, Code::RP0715, "{text}");
        }
    }

    #[test]
    fn a_selection_keeps_what_is_known_of_the_others() {
        let old = Baseline::of(&[finding("x: 1\n", "x")], &|_| "other".to_owned());
        let mut new = Baseline::of(&[finding("x: 1\n", "x")], &subject);
        new.keep_others(old.clone(), &BTreeSet::from(["a".to_owned()]));
        assert_eq!(new.len(), 2);
        assert_eq!((new.beyond(&old), old.beyond(&new)), (1, 0));
    }

    proptest! {
        #[test]
        fn what_is_written_makes_exactly_itself_known(lines in prop::collection::vec("[a-z\"\\\\é]{1,6}", 1..8)) {
            let text = lines.join("\n") + "\n";
            let source = Arc::new(Source::new("rules/a.toml", text.as_str()));
            let mut at = 0;
            let found: Vec<Diagnostic> = lines.iter().map(|line| {
                let d = Diagnostic::new(Code::RP0201, format!("`{line}`")).at(Span::new(at, at + 1), "").in_source(&source);
                at += line.len() + 1;
                d
            }).collect();
            let base = Baseline::read("b.json", Baseline::of(&found, &subject).to_text().as_bytes()).unwrap();
            let same = base.compare(found.clone(), &subject);
            prop_assert_eq!((same.new.len(), same.known, same.stale.len()), (0, found.len(), 0));
        }
    }
}
