//! Findings as JSON.

use crate::diag::{Diagnostic, Safety};
use crate::source::{Source, Span};
use serde_json::{Map, Value, json};

/// One finding: `code`, `severity`, `message`, `file`, `line`, `column`, `end_line`, `end_column`,
/// `labels`, `notes`, `help`, `fix`; lines and columns count from 1.
pub fn diagnostic(d: &Diagnostic) -> Value {
    let mut out = Map::new();
    out.insert("code".into(), d.code.to_string().into());
    out.insert("severity".into(), d.severity.word().into());
    out.insert("message".into(), d.message.clone().into());
    if let Some(source) = &d.source {
        out.insert("file".into(), source.name().into());
        if let Some(span) = d.span() {
            out.extend(place(source, span));
        }
        let labels: Vec<Value> = d
            .labels
            .iter()
            .map(|l| {
                let mut label = place(source, l.span);
                label.insert("text".into(), l.text.clone().into());
                Value::Object(label)
            })
            .collect();
        out.insert("labels".into(), labels.into());
    }
    out.insert("notes".into(), d.notes.clone().into());
    out.insert("help".into(), d.help.clone().into());
    if let (Some(fix), Some(source)) = (&d.fix, &d.source) {
        let mut f = place(source, fix.span);
        f.insert("replacement".into(), fix.replacement.clone().into());
        f.insert("safe".into(), (fix.safety == Safety::Safe).into());
        out.insert("fix".into(), f.into());
    }
    Value::Object(out)
}

fn place(source: &Source, span: Span) -> Map<String, Value> {
    let (from, to) = (source.position(span.start), source.position(span.end));
    let mut out = Map::new();
    for (key, n) in
        [("line", from.line), ("column", from.column), ("end_line", to.line), ("end_column", to.column)]
    {
        out.insert(key.into(), n.into());
    }
    out
}

/// All findings as one document: `{"diagnostics": […]}`.
pub fn diagnostics(found: &[Diagnostic]) -> Value {
    json!({ "diagnostics": found.iter().map(diagnostic).collect::<Vec<_>>() })
}
