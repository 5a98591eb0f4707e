//! What Elasticsearch means by a comparison: the one place for it. A language lowers a clause to an
//! [`Op`]; [`prepare`] turns it into a [`Test`] for a field type, or refuses it as Elasticsearch would.

pub mod analyze;
pub mod date;
pub mod ip;
pub mod regexp;
mod test;
mod values;
pub mod version;
pub mod wildcard;

pub use test::{Case, Context, Literal, Op, Reject, Test, date_value, fits, indexed_text, prepare};
pub use values::{doc_values, groups, typed};
