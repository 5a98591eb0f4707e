//! Query DSL: what KQL and Lucene are compiled to, and, as the language of rule filters and exceptions,
//! what is read and run ([`lower`]).

mod clause;
mod fields;
mod filters;
mod lower;
mod whole;

pub use fields::{FieldInfo, Known};
pub use filters::{BadFilter, Clauses, clauses};
pub use lower::{Lowered, lower};
pub use whole::{Refused, TimeRange, Whole, ZONE};

/// Whose Query DSL is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Kibana's main branch.
    #[default]
    Elastic,
    /// OpenSearch Dashboards (DQL).
    OpenSearch,
}

/// A text as it stands in a `query_string` or `wildcard` query, every special character escaped.
pub fn escape_query_string(text: &str, dialect: Dialect) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let special = match c {
            '+' | '-' | '=' | '&' | '|' | '>' | '<' | '!' | '(' | ')' | '{' | '}' | '[' | ']' | '^' | '"'
            | '~' | '*' | '?' | ':' | '\\' | '/' => true,
            // OpenSearch's class of characters has a range from `+` to `=`
            '+'..='=' => dialect == Dialect::OpenSearch,
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
