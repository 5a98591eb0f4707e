//! Diagnostics are plain values: a stable code, a sentence, labelled spans, notes and a fix.
//! Who shows them, and how, is another floor's business.

mod codes;

pub use codes::{CODES, Code, CodeInfo};

use crate::source::{QueryText, Source, Span};
use std::sync::Arc;

/// How much a finding matters. Ordered: a note is less than an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For information; never fails a run.
    Note,
    /// Should be looked at; never fails a run.
    Warning,
    /// Fails the run.
    Error,
}

impl Severity {
    /// The lower-case word people see.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A place and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What; may be empty.
    pub text: String,
}

/// Whether a fix keeps the rule's meaning for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Applied by `--fix`.
    Safe,
    /// Only shown.
    Suggested,
}

/// A replacement of text that mends a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The text to replace.
    pub span: Span,
    /// The new text, as it is to stand in the file.
    pub replacement: String,
    /// Whether it may be applied without a person.
    pub safety: Safety,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// Lower case, no full stop, backticks round the user's text.
    pub message: String,
    /// The text that the labels point into; `None` while the spans are still those of a bare query.
    pub source: Option<Arc<Source>>,
    /// The first label is the primary one.
    pub labels: Vec<Label>,
    /// Facts that explain it.
    pub notes: Vec<String>,
    /// What to do next.
    pub help: Option<String>,
    /// A replacement that mends it.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A finding with its code's usual severity and no place.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: code.info().severity,
            message: message.into(),
            source: None,
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// Points at `span`; the first call gives the primary label.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Another severity than the code's usual one.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Adds a fact.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Says what to do next.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Offers a replacement.
    pub fn fix(mut self, span: Span, replacement: impl Into<String>, safety: Safety) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into(), safety });
        self
    }

    /// Names the text that the spans belong to.
    pub fn in_source(mut self, source: &Arc<Source>) -> Self {
        self.source = Some(Arc::clone(source));
        self
    }

    /// Moves spans of a bare query to the file that holds it.
    pub fn relocate(mut self, query: &QueryText, source: &Arc<Source>) -> Self {
        for label in &mut self.labels {
            label.span = query.file_span(label.span);
        }
        self.fix = self.fix.and_then(|fix| {
            let replacement = query.quoting().write(&fix.replacement)?;
            Some(Fix { span: query.file_span(fix.span), replacement, safety: fix.safety })
        });
        self.source = Some(Arc::clone(source));
        self
    }

    /// The primary span.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|l| l.span)
    }

    /// `path:line:column` of the primary label, or the path alone, or nothing.
    pub fn place(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        Some(match self.span() {
            Some(span) => source.place(span.start),
            None => source.name().to_owned(),
        })
    }
}

/// Adds the findings that are not there yet: the same code and message at the same place is one finding.
pub fn add_new(found: &mut Vec<Diagnostic>, more: impl IntoIterator<Item = Diagnostic>) {
    let key = |d: &Diagnostic| {
        (d.code, d.message.clone(), d.source.as_ref().map(|s| s.name().to_owned()), d.span())
    };
    let mut known: std::collections::HashSet<_> = found.iter().map(key).collect();
    found.extend(more.into_iter().filter(|d| known.insert(key(d))));
}

/// Sorts findings by file, place and code, so that every run prints them alike.
pub fn sort(found: &mut [Diagnostic]) {
    found.sort_by(|a, b| {
        let key = |d: &Diagnostic| {
            (d.source.as_ref().map(|s| s.name().to_owned()), d.span().map(|s| s.start), d.code)
        };
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
}

/// The known name nearest to a mistyped one, if one is near enough to be worth saying.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = (name.chars().count() / 3).clamp(1, 4);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        if candidate.len().abs_diff(name.len()) > limit + 2 {
            continue;
        }
        let d = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        if d <= limit && best.is_none_or(|(b, held)| (d, candidate) < (b, held)) {
            best = Some((d, candidate));
        }
    }
    best.map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn did_you_mean_needs_a_near_name() {
        assert_eq!(did_you_mean("succes", ["failure", "success"]), Some("success"));
        assert_eq!(did_you_mean("zzz", ["failure", "success"]), None);
    }
}
