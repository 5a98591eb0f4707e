//! Rules over events: what would have alerted.

pub mod decision;
mod engine;
pub mod events;
pub mod input;
pub mod newterms;
pub mod prefilter;
pub mod query;
pub mod records;
pub mod selection;

pub use engine::{Alert, Engine, Evidence, Examined, Problem, ProblemKind, Report, RunRule};
pub use selection::Selection;
