//! rulepack: detection rules for Elastic Security and OpenSearch, checked, tested and replayed offline.
//! ARCHITECTURE.md says which module may call which.

pub mod cli;
pub mod diag;
pub mod diff;
pub mod emit;
pub mod es;
pub mod func;
pub mod lang;
pub mod lint;
pub mod pack;
pub mod plan;
pub mod render;
pub mod replay;
pub mod report;
pub mod schema;
pub mod source;
pub mod target;
pub mod trial;
pub mod value;
