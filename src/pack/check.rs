//! Checks of a rule that need more than its file's structure: ids, dates, times, ATT&CK.

use super::config::{Config, Ids};
use crate::diag::{Code, Diagnostic, Safety, did_you_mean};
use crate::lang::rule::{Rule, RuleType, interval, lookback};
use crate::schema::{Attack, AttackKind, Technique};
use serde_json::Value;

/// Every finding about a rule's own fields.
pub(super) fn rule(rule: &Rule, config: &Config) -> Vec<Diagnostic> {
    let mut check = Check { rule, found: Vec::new() };
    check.id(config);
    check.dates();
    check.times();
    check.threats();
    check.found
}

struct Check<'a> {
    rule: &'a Rule,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    /// A finding at the value of a JSON pointer.
    fn at(&mut self, pointer: &str, label: &str, d: Diagnostic) {
        let d = d.at(self.rule.value_span(pointer), label);
        self.found.push(d.in_source(&self.rule.source));
    }

    /// A finding at a string value that another string mends.
    fn mend(&mut self, pointer: &str, text: &str, safety: Safety, d: Diagnostic) {
        let d = d.fix(self.rule.value_span(pointer), Value::from(text).to_string(), safety);
        self.at(pointer, "", d);
    }

    fn id(&mut self, config: &Config) {
        let id = self.rule.rule_id();
        if config.ids == Ids::Any || id.is_empty() || is_uuid(id) {
            return;
        }
        let d = Diagnostic::new(Code::RP0605, format!("`{id}` is not a UUID in lower case"));
        if is_uuid(&id.to_ascii_lowercase()) {
            let lower = id.to_ascii_lowercase();
            let d = d.help(format!("write `{lower}`; to Kibana it is another rule than the old one"));
            self.mend("/rule/rule_id", &lower, Safety::Suggested, d);
        } else {
            self.at("/rule/rule_id", "", d.help("`ids = \"any\"` in rulepack.toml allows other ids"));
        }
    }

    fn dates(&mut self) {
        let date = |key: &str| self.rule.metadata().get(key).and_then(Value::as_str);
        let mut wrong = Vec::new();
        for key in ["creation_date", "updated_date", "deprecation_date"] {
            if let Some(text) = date(key)
                && has_date_form(text)
                && !is_date(text)
            {
                wrong.push((key, format!("there is no day `{text}`")));
            }
        }
        if let (Some(created), Some(updated)) = (date("creation_date"), date("updated_date"))
            && updated < created
            && wrong.is_empty()
        {
            let d = Diagnostic::new(Code::RP0602, format!("`{updated}` is before `{created}`"))
                .note("`updated_date` must not be before `creation_date`");
            self.at("/metadata/updated_date", "", d);
        }
        for (key, message) in wrong {
            self.at(&format!("/metadata/{key}"), "", Diagnostic::new(Code::RP0007, message));
        }
    }

    fn times(&mut self) {
        let rule = self.rule;
        if let (Some(from), Some(to)) = (lookback(rule.from()), lookback(rule.to()))
            && from <= to
        {
            let d = Diagnostic::new(Code::RP0606, "the rule reads no time at all").note(format!(
                "it reads from `{}` to `{}`",
                rule.from(),
                rule.to()
            ));
            self.at("/rule/from", "", d);
        }
        if interval(rule.interval()).is_none() && rule.json().get("interval").is_some() && !rule.broken {
            let d = Diagnostic::new(Code::RP0606, format!("`{}` is no interval", rule.interval()));
            self.at("/rule/interval", "", d);
        }
        if rule.kind == RuleType::NewTerms
            && let Some(start) = rule.history_window_start()
            && let (Some(history), Some(from)) = (lookback(start), lookback(rule.from()))
            && history <= from
        {
            let d = Diagnostic::new(Code::RP0604, "the history begins after the events that are looked at")
                .note(format!("history begins at `{start}`, each run reads from `{}`", rule.from()))
                .help("let the history begin earlier, such as `now-7d`");
            self.at(rule.history_pointer(), "", d);
        }
    }

    fn threats(&mut self) {
        let threats = self.rule.json().get("threat").and_then(Value::as_array);
        for (i, threat) in threats.into_iter().flatten().enumerate() {
            if threat.get("framework").and_then(Value::as_str) != Some("MITRE ATT&CK") {
                continue;
            }
            let at = format!("/rule/threat/{i}");
            let tactic = threat.get("tactic").unwrap_or(&Value::Null);
            let tactic_id = self.entry(tactic, &format!("{at}/tactic"), AttackKind::Tactic, None);
            let techniques = threat.get("technique").and_then(Value::as_array);
            for (j, technique) in techniques.into_iter().flatten().enumerate() {
                let at = format!("{at}/technique/{j}");
                let id = self.entry(technique, &at, AttackKind::Technique, tactic_id);
                let subs = technique.get("subtechnique").and_then(Value::as_array);
                for (k, sub) in subs.into_iter().flatten().enumerate() {
                    let at = format!("{at}/subtechnique/{k}");
                    let sub_id = self.entry(sub, &at, AttackKind::Subtechnique, None);
                    if let (Some(id), Some(sub)) = (id, sub_id)
                        && sub.split('.').next() != Some(id)
                    {
                        let d =
                            Diagnostic::new(Code::RP0603, format!("`{sub}` is no sub-technique of `{id}`"));
                        self.at(&format!("{at}/id"), "", d);
                    }
                }
            }
        }
    }

    /// Checks one entry against ATT&CK; its id if it is known.
    fn entry(
        &mut self,
        value: &Value,
        at: &str,
        kind: AttackKind,
        tactic: Option<&str>,
    ) -> Option<&'static str> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let id = text("id")?;
        let pointer = format!("{at}/id");
        let Some(known) = Attack::get().entry(id).filter(|e| e.kind == kind) else {
            let mut d = Diagnostic::new(Code::RP0603, format!("ATT&CK has no {} `{id}`", word(kind)));
            let named = text("name").and_then(|name| by_name(name, kind));
            if let Some(meant) = named {
                d = d.help(format!("`{}` is `{}`", meant.name, meant.id));
                self.mend(&pointer, meant.id, Safety::Suggested, d);
            } else {
                self.at(&pointer, "", d);
            }
            return None;
        };
        if known.status != "active" {
            // the rule detects what it detects; only its label is out of date
            let mut d = Diagnostic::new(Code::RP0603, format!("`{id}` is {} in ATT&CK", known.status))
                .severity(crate::diag::Severity::Warning);
            let next = known.replaced_by.and_then(|next| Attack::get().entry(next));
            if let Some(next) = next {
                d = d.help(format!("`{}` ({}) takes its place", next.id, next.name));
            }
            match next.filter(|n| n.kind == kind && n.status == "active") {
                // its name and its page follow, as those of any id
                Some(next) => self.mend(&pointer, next.id, Safety::Safe, d),
                None => self.at(&pointer, "", d),
            }
            return None;
        }
        if let Some(name) = text("name")
            && name != known.name
        {
            let d = Diagnostic::new(Code::RP0603, format!("`{id}` has another name than `{name}`"))
                .help(format!("it is `{}`", known.name));
            self.mend(&format!("{at}/name"), known.name, Safety::Safe, d);
        }
        if let Some(reference) = text("reference") {
            let wanted = page(known);
            if reference.trim_end_matches('/') != wanted.trim_end_matches('/') {
                let d = Diagnostic::new(Code::RP0603, format!("this is not the page of `{id}`"))
                    .help(format!("it is `{wanted}`"));
                self.mend(&format!("{at}/reference"), &wanted, Safety::Safe, d);
            }
        }
        if let Some(tactic) = tactic
            && !known.tactics.contains(&tactic)
        {
            let d = Diagnostic::new(Code::RP0603, format!("`{id}` does not serve the tactic `{tactic}`"))
                .note(format!("it serves {}", tactics(known)));
            self.at(&pointer, "", d);
        }
        Some(known.id)
    }
}

fn word(kind: AttackKind) -> &'static str {
    match kind {
        AttackKind::Tactic => "tactic",
        AttackKind::Technique => "technique",
        AttackKind::Subtechnique => "sub-technique",
    }
}

fn by_name(name: &str, kind: AttackKind) -> Option<&'static Technique> {
    let attack = Attack::get();
    let entries =
        || attack.ids().filter_map(|id| attack.entry(id)).filter(|e| e.kind == kind && e.status == "active");
    let near = did_you_mean(name, entries().map(|e| e.name))?;
    entries().filter(|e| e.name == near).min_by_key(|e| e.id)
}

fn page(entry: &Technique) -> String {
    let folder = if entry.kind == AttackKind::Tactic { "tactics" } else { "techniques" };
    format!("https://attack.mitre.org/{folder}/{}/", entry.id.replace('.', "/"))
}

fn tactics(entry: &Technique) -> String {
    let named = |id: &&str| match Attack::get().entry(id) {
        Some(tactic) => format!("`{id}` ({})", tactic.name),
        None => format!("`{id}`"),
    };
    entry.tactics.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// A UUID in lower case with its four hyphens.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

fn has_date_form(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if matches!(i, 4 | 7) { b == b'/' } else { b.is_ascii_digit() })
}

fn is_date(text: &str) -> bool {
    text.replace('/', "-").parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::rule::tests::example;

    fn check(text: &str) -> Vec<Diagnostic> {
        let (read, found) = Rule::read("a", "a.toml", text.as_bytes().to_vec());
        assert!(found.is_empty(), "{found:#?}");
        let mut config = Config::of_folder("t");
        config.ids = Ids::Uuid;
        rule(&read.unwrap(), &config)
    }

    fn threat(tactic: (&str, &str), technique: (&str, &str, &str)) -> String {
        example()
            + &format!(
                "[[rule.threat]]\nframework = \"MITRE ATT&CK\"\n[[rule.threat.technique]]\nid = \"{}\"\n\
                 name = \"{}\"\nreference = \"https://attack.mitre.org/techniques/{}/\"\n[rule.threat.tactic]\n\
                 id = \"{}\"\nname = \"{}\"\nreference = \"https://attack.mitre.org/tactics/{}/\"\n",
                technique.0, technique.1, technique.2, tactic.0, tactic.1, tactic.0
            )
    }

    #[test]
    fn attack_entries_are_checked_by_id_name_page_and_tactic() {
        let persistence = ("TA0003", "Persistence");
        let message = |text: &str| {
            let found = check(text);
            assert_eq!(found.len(), 1, "{found:#?}");
            (found[0].message.clone(), found[0].fix.as_ref().map(|f| f.replacement.clone()))
        };
        assert!(check(&threat(persistence, ("T1098", "Account Manipulation", "T1098"))).is_empty());
        let (m, fix) = message(&threat(persistence, ("T1098", "Acount Manipulation", "T1098")));
        assert_eq!(m, "`T1098` has another name than `Acount Manipulation`");
        assert_eq!(fix.as_deref(), Some("\"Account Manipulation\""));
        let (m, _) = message(&threat(persistence, ("T1098", "Account Manipulation", "T1099")));
        assert_eq!(m, "this is not the page of `T1098`");
        let (m, fix) = message(&threat(persistence, ("T9999", "Account Manipulation", "T9999")));
        assert_eq!(m, "ATT&CK has no technique `T9999`");
        assert_eq!(fix.as_deref(), Some("\"T1098\""));
        let (m, _) = message(&threat(("TA0009", "Collection"), ("T1098", "Account Manipulation", "T1098")));
        assert_eq!(m, "`T1098` does not serve the tactic `TA0009`");
        let (m, _) = message(&threat(persistence, ("T1004", "Winlogon Helper DLL", "T1004")));
        assert_eq!(m, "`T1004` is revoked in ATT&CK");
        let collection = ("TA0009", "Collection");
        let (_, fix) = message(&threat(collection, ("T1002", "Data Compressed", "T1002")));
        assert_eq!(fix.as_deref(), Some("\"T1560\""));
    }

    #[test]
    fn ids_dates_and_times_are_checked() {
        let one = |from: &str, to: &str| {
            let found = check(&example().replace(from, to));
            assert_eq!(found.len(), 1, "{found:#?}");
            found[0].code
        };
        assert!(check(&example()).is_empty());
        assert_eq!(one("1d0a4b8e", "1D0A4B8E"), Code::RP0605);
        assert_eq!(one("1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e11", "my-rule"), Code::RP0605);
        assert_eq!(one("2026/02/01", "2025/02/01"), Code::RP0602);
        assert_eq!(one("2026/02/01", "2026/02/31"), Code::RP0007);
        assert_eq!(one("severity", "from = \"now-5m\"\nto = \"now-5m\"\nseverity"), Code::RP0606);
        let terms =
            "new_terms_fields = [\"user.name\"]\nhistory_window_start = \"now-5m\"\ntype = \"new_terms\"";
        assert_eq!(one("type = \"query\"", terms), Code::RP0604);
    }
}
