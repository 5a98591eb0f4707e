//! Findings for people: the lines of the source with what is to be said about them.

use crate::diag::{Diagnostic, Severity};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// How text is dressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use colours.
    pub color: bool,
}

/// A finding with its source lines, several lines long, without a line end.
pub fn diagnostic(d: &Diagnostic, style: Style) -> String {
    if d.source.is_none() {
        return without_source(d, style);
    }
    let level = match d.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut title = level.primary_title(d.message.as_str());
    // a note is a remark, its code would only be noise
    if d.severity != Severity::Note {
        title = title.id(d.code.to_string());
    }
    let mut group = match &d.source {
        Some(source) if !d.labels.is_empty() => {
            let text = source.text();
            let snippet = Snippet::source(text).path(source.name());
            let annotations = d.labels.iter().enumerate().map(|(i, label)| {
                let kind = if i == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let (start, end) = boundaries(text, label.span.start as usize, label.span.end as usize);
                let annotation = kind.span(start..end);
                if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
            });
            title.element(snippet.annotations(annotations))
        }
        Some(source) => title.element(annotate_snippets::Origin::path(source.name())),
        None => annotate_snippets::Group::with_title(title),
    };
    for note in &d.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &d.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(100).render(&[group])
}

/// A finding about no place in particular: its facts and its help stand below, indented, and for a
/// warning marked as they are beside source lines.
fn without_source(d: &Diagnostic, style: Style) -> String {
    use anstyle::{AnsiColor, Style as Ansi};
    let word = match d.severity {
        Severity::Note => "note".to_owned(),
        severity => format!("{}[{}]", severity.word(), d.code),
    };
    let color = match d.severity {
        Severity::Error => AnsiColor::BrightRed,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::BrightGreen,
    };
    let (on, bold) = if style.color {
        (color.on_default().bold(), Ansi::new().bold())
    } else {
        (Ansi::new(), Ansi::new())
    };
    let mut text = format!("{on}{word}{on:#}{bold}: {}{bold:#}", d.message);
    let indent = " ".repeat(d.severity.word().len() + 2);
    let (note_mark, help_mark) = match d.severity {
        Severity::Warning => ("   = note: ".to_owned(), "   = help: ".to_owned()),
        _ => (indent.clone(), format!("{indent}help: ")),
    };
    for note in &d.notes {
        text.push_str(&format!("\n{note_mark}{note}"));
    }
    if let Some(help) = &d.help {
        text.push_str(&format!("\n{help_mark}{help}"));
    }
    text
}

/// The nearest character boundaries of a span.
fn boundaries(text: &str, start: usize, end: usize) -> (usize, usize) {
    let start = text.floor_char_boundary(start.min(text.len()));
    let end = text.ceil_char_boundary(end.min(text.len()));
    (start, end.max(start))
}

/// A finding on one line: `path:line:column: error[RP0201]: message; help: …`.
pub fn concise(d: &Diagnostic) -> String {
    let place = d.place().map(|p| format!("{p}: ")).unwrap_or_default();
    let mut line = format!("{place}{}[{}]: {}", d.severity.word(), d.code, d.message);
    if let Some(label) = d.labels.first().filter(|l| !l.text.is_empty()) {
        line.push_str(&format!(" ({})", label.text));
    }
    if let Some(help) = &d.help {
        line.push_str(&format!("; help: {help}"));
    }
    line
}
