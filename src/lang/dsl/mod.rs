//! Query DSL: what KQL and Lucene are compiled to, and, as the language of rule filters and exceptions,
//! what is read and run ([`lower`]).

mod clause;
mod filters;
mod lower;
mod of_plan;
mod whole;

pub use super::fieldcaps::{Dialect, FieldInfo, Known};
pub use filters::{BadFilter, Clauses, clauses};
pub use lower::{Lowered, lower};
pub use of_plan::{Loss, of_op, of_plan};
pub use whole::{Refused, TimeRange, Whole, ZONE};
