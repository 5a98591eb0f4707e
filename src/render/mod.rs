//! How findings are shown. A format is a file of its own.

mod github;
mod gitlab;
mod json;
mod junit;
mod markdown;
mod run;
mod sarif;
mod text;

pub use github::{annotation, annotations};
pub use gitlab::gitlab;
pub use json::{diagnostic as diagnostic_json, diagnostics as diagnostics_json};
pub use junit::junit;
pub use markdown::markdown;
pub use run::{AlertRow, CheckedRule, Run, Step};
pub use sarif::sarif;
pub use text::{Style, concise, diagnostic};

/// The formats of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, with the source lines.
    Text,
    /// For people, a line each.
    Concise,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Workflow commands that GitHub shows beside the code.
    Github,
}
