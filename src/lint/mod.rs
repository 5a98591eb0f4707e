//! Everything that `rulepack validate` has to say about a selection of rules: the findings of each,
//! and, counted for the whole, what was not checked or will not run.

mod exceptions;
mod secrets;
mod sequence;

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
        found.extend(pack.config.targets.iter().flat_map(|t| t.check(&pack.files, document)));
    }
    found.extend(rules.iter().flat_map(sequence::lints));
    found.extend(exceptions::findings(&pack.exceptions.files, now));
    found.extend(secrets::check(pack, selection));
    crate::diag::sort(&mut found);
    found.extend(without_catalogue(pack, &rules));
    found.extend(not_supported(&rules));
    let level = |mut d: Diagnostic| {
        let path = d.source.as_ref().map_or("", |s| s.name()).to_owned();
        d.severity = pack.config.level(d.code, d.severity, &path)?;
        Some(d)
    };
    let diagnostics = found.into_iter().filter_map(level).collect();
    Validation { rules, files: selection.len(), diagnostics }
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
