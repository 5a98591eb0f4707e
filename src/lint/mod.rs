//! Everything that `rulepack validate` has to say about a selection of rules: the findings of each,
//! and, counted for the whole, what was not checked or will not run.

mod allow;
mod baseline;
mod conventions;
pub mod dates;
mod duplicates;
mod exceptions;
mod fields;
pub mod locked;
mod schedule;
mod secrets;
mod sequence;
#[cfg(test)]
mod tests;

pub use baseline::{Baseline, Compared, DEFAULT as DEFAULT_BASELINE, fingerprint};

use crate::diag::{Code, Diagnostic, Severity};
use crate::es::date::Nanos;
use crate::pack::{CompiledRule, Pack, RuleFile};
use std::collections::{BTreeMap, BTreeSet};

/// The outcome of checking a selection.
#[derive(Debug)]
pub struct Validation {
    /// The rules that could be read, in the order of the selection.
    pub rules: Vec<CompiledRule>,
    /// How many files were looked at, unreadable ones included.
    pub files: usize,
    /// Every finding, sorted by place, the levels of the configuration applied; those about the whole
    /// come last.
    pub diagnostics: Vec<Diagnostic>,
    /// How many findings more there are that the baseline makes known.
    pub known: usize,
}

impl Validation {
    /// How many findings have a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == severity).count()
    }

    /// Whether something fails the run.
    pub fn failed(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many of the files that were looked at have an error.
    pub fn files_with_errors(&self) -> usize {
        let errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        errors.filter_map(|d| d.source.as_ref()).map(|s| s.name()).collect::<BTreeSet<_>>().len()
    }

    /// How many findings `--fix` would mend.
    pub fn fixable(&self) -> usize {
        let safe = |d: &&Diagnostic| d.fix.as_ref().is_some_and(|f| f.safety == crate::diag::Safety::Safe);
        self.diagnostics.iter().filter(safe).count()
    }

    /// How many rules are not run because of errors of which none is shown: they are allowed, known, or no
    /// errors by the configuration.
    pub fn quietly_not_run(&self) -> usize {
        let shown: BTreeSet<&str> = self
            .diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .filter_map(|d| d.source.as_ref())
            .map(|s| s.name())
            .collect();
        let quiet = |r: &&CompiledRule| r.has_errors() && r.plan.is_none() && !shown.contains(r.rule.file());
        self.rules.iter().filter(quiet).count()
    }

    /// Takes out what a baseline makes known, and says which of its entries nothing fits any more. `file` is
    /// the baseline as people see it; with `whole`, all rules of the pack were looked at.
    pub fn compare(&mut self, baseline: &Baseline, pack: &Pack, file: &str, whole: bool) {
        let compared = baseline.compare(std::mem::take(&mut self.diagnostics), &|f| subject(pack, f));
        self.diagnostics = compared.new;
        self.known = compared.known;
        let n = compared.stale.len();
        if n == 0 || !whole {
            return;
        }
        let fit = if n == 1 { "fits" } else { "fit" };
        let entries = if n == 1 { "1 entry".to_owned() } else { format!("{n} entries") };
        let mut d =
            Diagnostic::new(Code::RP0714, format!("{entries} of the baseline {fit} no finding any more"))
                .help("`rulepack validate --baseline` takes them out")
                .in_source(&std::sync::Arc::new(crate::source::Source::new(file, "")));
        for entry in compared.stale.iter().take(3) {
            d = d.note(entry.clone());
        }
        if n > 3 {
            d = d.note(format!("and {} more", n - 3));
        }
        if let Some(severity) = pack.config.level(d.code, d.severity, file) {
            self.diagnostics.push(d.severity(severity));
        }
    }
}

/// What a finding in a file is about: the rule's name, or the file.
pub fn subject(pack: &Pack, file: &str) -> String {
    pack.files.iter().find(|f| f.file == file).map_or(file, |f| &f.name).to_owned()
}

/// Rules whose severity requires a test and that have no case.
fn untested(pack: &Pack, rules: &[CompiledRule], selection: &[&RuleFile]) -> Vec<Diagnostic> {
    const RANKS: [&str; 4] = ["low", "medium", "high", "critical"];
    let rank = |severity: &str| RANKS.iter().position(|r| *r == severity);
    let Some(from) = pack.config.tests_required_from.as_deref().and_then(rank) else { return Vec::new() };
    let (tests, _) = pack.tests(selection);
    // a test file with mistakes is no missing test
    let tested: BTreeSet<&str> = tests
        .iter()
        .filter(|t| !t.cases.is_empty() || !t.diagnostics.is_empty())
        .map(|t| t.name.as_str())
        .collect();
    let required = |r: &&CompiledRule| {
        rank(r.rule.severity()).is_some_and(|s| s >= from) && !tested.contains(r.rule.name.as_str())
    };
    let finding = |r: &CompiledRule| {
        let wanted = pack.config.tests_required_from.as_deref().unwrap_or_default();
        Diagnostic::new(Code::RP0713, format!("a rule of severity `{}` needs a test", r.rule.severity()))
            .at(r.rule.value_span("/rule/severity"), "")
            .note(format!("`tests_required_from = \"{wanted}\"` in rulepack.toml"))
            .help(format!("write {}/{}.toml", pack.shown(&pack.config.tests), r.rule.name))
            .in_source(&r.rule.source)
    };
    rules.iter().filter(required).map(finding).collect()
}

/// Takes what comments in the rules allow out of findings that are sorted by place.
fn without_allowed(rules: &[CompiledRule], found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let files: BTreeSet<&str> = rules.iter().map(|r| r.rule.file()).collect();
    let mut by_file: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
    let mut out = Vec::new();
    for d in found {
        match &d.source {
            Some(source) if files.contains(source.name()) => {
                by_file.entry(source.name().to_owned()).or_default().push(d);
            }
            _ => out.push(d),
        }
    }
    for rule in rules {
        let found = by_file.remove(rule.rule.file()).unwrap_or_default();
        out.extend(allow::apply(&rule.rule.source, found));
    }
    out
}

/// Checks the rules of a selection.
pub fn validate(pack: &Pack, selection: &[&RuleFile]) -> Validation {
    validate_at(pack, selection, None)
}

/// The same at a time, which decides what exceptions still apply.
pub fn validate_at(pack: &Pack, selection: &[&RuleFile], now: Option<Nanos>) -> Validation {
    let rules = pack.compile(selection);
    let mut found: Vec<Diagnostic> = pack.diagnostics.clone();
    found.extend(selection.iter().filter(|f| f.rule.is_none()).flat_map(|f| f.diagnostics.iter().cloned()));
    found.extend(rules.iter().flat_map(|r| r.diagnostics.iter().cloned()));
    if let Some(document) = &pack.config.document {
        found.extend(
            pack.config.targets.iter().flat_map(|t| t.check(&pack.files, &pack.exceptions.files, document)),
        );
    }
    found.extend(rules.iter().flat_map(sequence::lints));
    found.extend(rules.iter().flat_map(schedule::lints));
    found.extend(rules.iter().flat_map(|r| fields::lints(r, &pack.config)));
    if let Some(wanted) = &pack.config.conventions {
        found.extend(rules.iter().flat_map(|r| conventions::lints(r, wanted)));
    }
    found.extend(duplicates::logic(pack, &rules));
    found.extend(exceptions::findings(&pack.exceptions.files, now));
    for target in &pack.config.targets {
        crate::diag::add_new(&mut found, pack.check_exceptions_at(target, &rules));
    }
    found.extend(locked::findings(pack, &rules, selection.len() == pack.files.len()));
    found.extend(untested(pack, &rules, selection));
    found.extend(secrets::check(pack, selection));
    let mut found = without_allowed(&rules, found);
    crate::diag::sort(&mut found);
    found.extend(without_catalogue(pack, &rules));
    found.extend(not_supported(&rules));
    found.extend(duplicates::prebuilt(&rules));
    let level = |mut d: Diagnostic| {
        let path = d.source.as_ref().map_or("", |s| s.name()).to_owned();
        d.severity = pack.config.level(d.code, d.severity, &path)?;
        Some(d)
    };
    let diagnostics = found.into_iter().filter_map(level).collect();
    Validation { rules, files: selection.len(), diagnostics, known: 0 }
}

/// One finding for each dataset whose fields are not known.
fn without_catalogue(pack: &Pack, rules: &[CompiledRule]) -> Vec<Diagnostic> {
    let mut by_dataset: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for rule in rules {
        for unchecked in &rule.unchecked {
            let (fields, names) = by_dataset.entry(&unchecked.dataset).or_default();
            fields.insert(&unchecked.field);
            names.insert(&rule.rule.name);
        }
    }
    let finding = |(dataset, (fields, rules)): (&str, (BTreeSet<&str>, BTreeSet<&str>))| {
        let message = format!(
            "`{dataset}` has no field catalogue, so {} in {} {} not checked",
            count(fields.len(), "field"),
            count(rules.len(), "rule"),
            if fields.len() == 1 { "was" } else { "were" },
        );
        Diagnostic::new(Code::RP0202, message)
            .severity(pack.config.unknown)
            .help(format!("rulepack fields --add {dataset} --mapping mapping.json"))
    };
    by_dataset.into_iter().map(finding).collect()
}

/// One finding for each reason why rules are not run though nothing is wrong with them.
fn not_supported(rules: &[CompiledRule]) -> Vec<Diagnostic> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in rules.iter().filter(|r| r.is_unsupported()) {
        by_reason.entry(rule.not_run.as_deref().unwrap_or_default()).or_default().push(&rule.rule.name);
    }
    let finding = |(reason, names): (&str, Vec<&str>)| {
        let verb = if names.len() == 1 { "is" } else { "are" };
        let message = format!("{reason}, so {} {verb} not run", count(names.len(), "rule"));
        let mut shown: Vec<String> = names.iter().take(3).map(|n| format!("`{n}`")).collect();
        if names.len() > shown.len() {
            shown.push(format!("{} more", names.len() - shown.len()));
        }
        Diagnostic::new(Code::RP9001, message).severity(Severity::Note).note(shown.join(", "))
    };
    by_reason.into_iter().map(finding).collect()
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("{n} {what}") } else { format!("{n} {what}s") }
}
