//! Findings as workflow commands of GitHub Actions.

use super::Run;
use crate::diag::{Code, Diagnostic, Severity};
use crate::trial::CaseResult;

/// One annotation: `::error file=…,line=…,col=…,title=…::message`.
pub fn annotation(d: &Diagnostic) -> String {
    let command = match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(source) = &d.source {
        properties.push(format!("file={}", property(source.name())));
        if let Some(span) = d.span() {
            let (from, to) = (source.position(span.start), source.position(span.end));
            properties.push(format!("line={}", from.line));
            properties.push(format!("endLine={}", to.line));
            // columns are only understood within one line
            if from.line == to.line {
                properties.push(format!("col={}", from.column));
                properties.push(format!("endColumn={}", to.column));
            }
        }
    }
    properties.push(format!("title={}", property(&format!("{}: {}", d.code, d.code.info().title))));
    let mut message = d.message.clone();
    if let Some(label) = d.labels.first().filter(|l| !l.text.is_empty()) {
        message.push_str(&format!(": {}", label.text));
    }
    for note in &d.notes {
        message.push_str(&format!("\nnote: {note}"));
    }
    if let Some(help) = &d.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    format!("::{command} {}::{}", properties.join(","), data(&message))
}

/// The annotations of a run: findings, then failed cases; a line each.
pub fn annotations(run: &Run<'_>) -> Vec<String> {
    let cases = run.failed_cases().map(|c| case(c, run.show_values));
    run.findings.iter().map(annotation).chain(cases).collect()
}

fn case(c: &CaseResult, values: bool) -> String {
    let text = c.outcome.sentence(values).unwrap_or_default();
    format!(
        "::error file={},line={},title={}::{}",
        property(&c.file),
        c.line,
        property(&format!("{}: {}", Code::RP0708, Code::RP0708.info().title)),
        data(&format!("{} · {}: {text}", c.rule, c.case))
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Code;
    use crate::source::{Source, Span};
    use std::sync::Arc;

    #[test]
    fn annotations_escape_what_ends_them() {
        let source = Arc::new(Source::new("a,b.toml", "x = 1\ny = 2\n"));
        let d = Diagnostic::new(Code::RP0201, "50% of\nit").in_source(&source).at(Span::new(6, 7), "");
        assert_eq!(
            annotation(&d),
            "::error file=a%2Cb.toml,line=2,endLine=2,col=1,endColumn=2,title=RP0201%3A unknown field::50%25 of%0Ait"
        );
    }
}
