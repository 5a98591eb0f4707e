//! Longer texts about packs: comparisons, pages and catalogues.

pub mod comparison;
pub mod opensearch;
pub mod page;
