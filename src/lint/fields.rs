//! Lints of what a rule says about itself: score, tags, tactics, version, timeline, guide, integration.

use crate::diag::{Code, Diagnostic, Safety};
use crate::lang::rule::{Rule, RuleType};
use crate::pack::{CompiledRule, Config};
use crate::plan::Plan;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most alerts of one run that Kibana writes unless its own settings are changed.
const MOST_SIGNALS: u64 = 1_000;

/// The scores of each severity, and the one that is usual.
const SCORES: [(&str, std::ops::RangeInclusive<i64>, i64); 4] =
    [("low", 0..=21, 21), ("medium", 22..=47, 47), ("high", 48..=73, 73), ("critical", 74..=100, 99)];

/// The findings about one rule.
pub(super) fn lints(compiled: &CompiledRule, config: &Config) -> Vec<Diagnostic> {
    let rule = compiled.rule.as_ref();
    let mut lint = Lint { rule, found: Vec::new() };
    lint.score();
    lint.tags();
    lint.tactics();
    lint.counts();
    lint.timeline();
    lint.guide();
    lint.deprecated();
    lint.integration(&compiled.sources.datasets);
    lint.groups(compiled, config);
    lint.found.into_iter().map(|d| d.in_source(&rule.source)).collect()
}

struct Lint<'a> {
    rule: &'a Rule,
    found: Vec<Diagnostic>,
}

impl Lint<'_> {
    fn at(&mut self, pointer: &str, label: &str, d: Diagnostic) {
        self.found.push(d.at(self.rule.value_span(pointer), label));
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.rule.json().get(key)
    }

    fn score(&mut self) {
        let Some(score) = self.rule.risk_score() else { return };
        let severity = self.rule.severity();
        let Some((_, range, usual)) = SCORES.iter().find(|s| s.0 == severity) else { return };
        if range.contains(&score) {
            return;
        }
        let is = SCORES.iter().find(|s| s.1.contains(&score)).map_or("none", |s| s.0);
        let d = Diagnostic::new(Code::RP1601, format!("a risk score of {score} is not `{severity}`"))
            .note(format!("`{severity}` goes from {} to {}; {score} is `{is}`", range.start(), range.end()))
            .help(format!("the usual score of `{severity}` is {usual}"))
            .fix(self.rule.value_span("/rule/risk_score"), usual.to_string(), Safety::Suggested);
        self.at("/rule/risk_score", "", d);
    }

    fn tags(&mut self) {
        let rule = self.rule;
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for (i, tag) in rule.tags().into_iter().enumerate() {
            match seen.insert(tag.to_lowercase(), tag) {
                Some(first) if first == tag => {
                    let d = Diagnostic::new(Code::RP1605, format!("the tag `{tag}` is there twice"));
                    self.at(&format!("/rule/tags/{i}"), "", d);
                }
                Some(first) => {
                    let d =
                        Diagnostic::new(Code::RP1605, format!("`{first}` and `{tag}` are one tag to people"))
                            .note("Kibana tells capitals apart, so a filter finds only one of them");
                    self.at(&format!("/rule/tags/{i}"), "", d);
                }
                None => {}
            }
        }
        if self.rule.kind == RuleType::NewTerms {
            let mut seen: Vec<&str> = Vec::new();
            for (i, field) in rule.new_terms_fields().into_iter().enumerate() {
                if seen.contains(&field) {
                    let d = Diagnostic::new(Code::RP1605, format!("the field `{field}` is there twice"));
                    self.at(&format!("{}/{i}", rule.new_terms_pointer()), "", d);
                }
                seen.push(field);
            }
        }
    }

    fn tactics(&mut self) {
        let mut seen: Vec<&str> = Vec::new();
        let threats = self.rule.json().get("threat").and_then(Value::as_array);
        for (i, threat) in threats.into_iter().flatten().enumerate() {
            let Some(id) = threat.get("tactic").and_then(|t| t.get("id")?.as_str()) else { continue };
            if seen.contains(&id) {
                let d = Diagnostic::new(Code::RP1606, format!("the tactic `{id}` has two entries"))
                    .help("put the techniques of both into one");
                self.at(&format!("/rule/threat/{i}/tactic/id"), "", d);
            }
            seen.push(id);
        }
    }

    fn counts(&mut self) {
        if let Some(n) = self.get("max_signals").and_then(Value::as_u64)
            && n > MOST_SIGNALS
        {
            let d = Diagnostic::new(
                Code::RP1609,
                format!("Kibana writes at most {MOST_SIGNALS} alerts of a run"),
            )
            .note("`xpack.alerting.rules.run.alerts.max` in kibana.yml sets that limit")
            .fix(
                self.rule.value_span("/rule/max_signals"),
                MOST_SIGNALS.to_string(),
                Safety::Suggested,
            );
            self.at("/rule/max_signals", "", d);
        }
        for key in ["version", "revision"] {
            if self.get(key).is_some() {
                let mut d = Diagnostic::new(Code::RP1608, format!("`{key}` is counted elsewhere"));
                d = if key == "revision" {
                    d.note("Kibana counts the writes of a rule itself")
                } else {
                    d.note("`deploy` counts the version up from the live one when the content has changed")
                };
                self.at(&format!("/rule/{key}"), "", d.help("leave it out"));
            }
        }
    }

    fn timeline(&mut self) {
        let pair = ["timeline_id", "timeline_title"];
        let there: Vec<&str> = pair.into_iter().filter(|k| self.get(k).is_some()).collect();
        if let [key] = there.as_slice() {
            let other = if *key == "timeline_id" { "timeline_title" } else { "timeline_id" };
            let d = Diagnostic::new(Code::RP1612, format!("`{key}` does nothing without `{other}`"));
            self.at(&format!("/rule/{key}"), "", d);
        }
    }

    /// The buttons of a guide: each placeholder has an entry of `[transform]`, and each entry a placeholder.
    fn guide(&mut self) {
        let note = self.rule.note().unwrap_or_default();
        let inline = INLINE.iter().find(|mark| note.contains(**mark));
        if let (Some(mark), Some(_)) = (inline, self.rule.transform()) {
            let message =
                format!("a button is written out in the note (`{mark}`) beside those of [transform]");
            let d = Diagnostic::new(Code::RP1613, message)
                .note("numbers of placeholders count the entries of [transform] alone")
                .help("make it an entry of [transform] too, and write its placeholder");
            self.at("/rule/note", "", d);
        }
        for kind in ["osquery", "investigate"] {
            let entries = self.rule.transform().and_then(|t| t.get(kind)?.as_array()).map_or(0, Vec::len);
            let used = placeholders(note, kind);
            let missing: Vec<usize> = used.iter().copied().filter(|i| *i >= entries).collect();
            if let Some(first) = missing.first() {
                let d = Diagnostic::new(
                    Code::RP1613,
                    format!("`${kind}_{first}` in the note stands for nothing"),
                )
                .note(format!("[transform] has {entries} of `{kind}`, counted from 0"))
                .help("people would read the placeholder as it is");
                self.at("/rule/note", "", d);
            }
            for i in (0..entries).filter(|i| !used.contains(i)) {
                let d = Diagnostic::new(Code::RP1613, "this button is in no place of the note")
                    .help(format!("write `${kind}_{i}` where it belongs"));
                self.at(&format!("/transform/{kind}/{i}"), "", d);
            }
        }
    }

    fn deprecated(&mut self) {
        let date = self.rule.metadata().get("deprecation_date");
        match (self.rule.maturity(), date) {
            (Some("deprecated"), None) => {
                let d = Diagnostic::new(Code::RP1616, "a deprecated rule says since when")
                    .help("`deprecation_date = \"yyyy/mm/dd\"` in [metadata]");
                self.at("/metadata/maturity", "", d);
            }
            (maturity, Some(_)) if maturity != Some("deprecated") => {
                let d =
                    Diagnostic::new(Code::RP1616, "this rule has a `deprecation_date` and is not deprecated")
                        .help("`maturity = \"deprecated\"`, or leave the date out");
                self.at("/metadata/deprecation_date", "", d);
            }
            _ => {}
        }
    }

    /// A package that the metadata name and none of the data comes from.
    fn integration(&mut self, datasets: &[String]) {
        let index = self.rule.index();
        let exact = |p: &&str| {
            let local = p.rsplit_once(':').map_or(*p, |(_, p)| p);
            local.strip_prefix("logs-").is_some_and(|rest| rest.contains('.'))
        };
        if index.is_empty() || datasets.is_empty() || !index.iter().all(exact) {
            return;
        }
        let package = |d: &str| d.split(['.', '-', '*']).next().unwrap_or(d).to_owned();
        let mut packages: Vec<String> = datasets.iter().map(|d| package(d)).collect();
        packages.extend(index.iter().filter_map(|p| {
            let local = p.rsplit_once(':').map_or(*p, |(_, p)| p);
            local.strip_prefix("logs-").map(package)
        }));
        for (i, name) in self.rule.integrations().into_iter().enumerate() {
            if packages.iter().any(|p| p == name) {
                continue;
            }
            packages.sort();
            packages.dedup();
            let d =
                Diagnostic::new(Code::RP1614, format!("none of the data comes from the package `{name}`"))
                    .note(format!("the index patterns and datasets are those of {}", list(&packages)));
            let place = format!("/metadata/integration/{i}");
            let is_list = self.rule.metadata().get("integration").is_some_and(Value::is_array);
            self.at(if is_list { &place } else { "/metadata/integration" }, "", d);
        }
    }

    /// Fields that alerts are grouped by.
    fn groups(&mut self, compiled: &CompiledRule, config: &Config) {
        let fields = self.get("alert_suppression").and_then(|s| s.get("group_by")?.as_array());
        let fields: Vec<String> =
            fields.into_iter().flatten().filter_map(|f| f.as_str().map(str::to_owned)).collect();
        if fields.is_empty() {
            return;
        }
        // where rows stand for groups, an alert has the columns of the answer and no other field
        let table = compiled.plan.as_ref().and_then(Plan::table).filter(|t| t.aggregates);
        let schema = compiled.schema(config);
        for (i, field) in fields.iter().enumerate() {
            let what = match table {
                Some(table) if table.output.iter().any(|c| *c.name == **field) => continue,
                Some(_) => "which is no column of the query's answer",
                None if self.rule.kind == RuleType::Esql => continue,
                None if schema.is_open() || schema.resolve(field).is_some() => continue,
                None => "which no event has",
            };
            let d = Diagnostic::new(Code::RP1618, format!("alerts are grouped by `{field}`, {what}"))
                .note("they would all be in one group, or in none");
            self.at(&format!("/rule/alert_suppression/group_by/{i}"), "", d);
        }
    }
}

/// What a note holds of buttons that are written out, such as `!{osquery`.
const INLINE: [&str; 2] = ["!{osquery", "!{investigate"];

fn list(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// The numbers of the placeholders of a kind in a note.
fn placeholders(note: &str, kind: &str) -> Vec<usize> {
    let mark = format!("${kind}_");
    let number = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let word = rest.get(digits..)?.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        rest.get(..digits)?.parse().ok().filter(|_| !word)
    };
    note.split(&mark).skip(1).filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::placeholders;

    #[test]
    fn placeholders_are_whole_words() {
        assert_eq!(placeholders("a $osquery_0, $osquery_12.", "osquery"), [0, 12]);
        assert_eq!(placeholders("$osquery_0x $osquery_ $investigate_1", "osquery"), [0; 0]);
    }
}
