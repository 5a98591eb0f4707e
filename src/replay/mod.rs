//! Rules over events: what would have alerted.

mod batches;
pub mod course;
pub mod decision;
mod engine;
pub mod events;
pub mod input;
pub mod layout;
mod members;
pub mod monitor;
pub mod newterms;
mod part;
pub mod prefilter;
pub mod query;
pub mod records;
pub mod selection;
pub mod table;

pub use engine::{Alert, Engine, Evidence, Examined, Problem, ProblemKind, Report, RunRule};
pub use members::MAX_MEMBERS;
pub use selection::Selection;
