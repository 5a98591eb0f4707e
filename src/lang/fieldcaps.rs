//! What the compilers to Query DSL share: what Kibana knows of fields when it compiles a query (the answer
//! of `_field_caps`, reduced to what decides which query is written), and whose Query DSL it is.

use crate::schema::{Field, Schema};
use std::collections::BTreeMap;

/// What is known of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its types are exactly the keyword family.
    pub pure_keyword: bool,
    /// Its types are dates.
    pub date: bool,
    /// Its types are numbers.
    pub number: bool,
    /// Its type is boolean.
    pub boolean: bool,
    /// The innermost nested field above it.
    pub nested: Option<Box<str>>,
}

/// Every field of a data view, by name: objects and keys below flattened fields are none.
#[derive(Clone, Debug, Default)]
pub struct FieldInfo {
    fields: BTreeMap<Box<str>, Known>,
}

impl FieldInfo {
    /// The fields of a schema.
    pub fn of(schema: &Schema) -> FieldInfo {
        let mut fields = BTreeMap::new();
        for field in schema.iter().filter(|f| !f.kind().is_object()) {
            let resolved = schema.resolve(&field.name);
            let target = resolved.as_ref().map_or(field, |r| r.field);
            fields.insert(field.name.clone(), known(target, field.nested.clone()));
        }
        FieldInfo { fields }
    }

    /// What is known of a name.
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.fields.get(name)
    }

    /// Every field, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Known)> {
        self.fields.iter().map(|(n, k)| (n.as_ref(), k))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

fn known(field: &Field, nested: Option<Box<str>>) -> Known {
    let all = |f: fn(crate::schema::Kind) -> bool| field.types.iter().all(|t| f(t.kind));
    Known {
        pure_keyword: field.is_pure_keyword(),
        date: all(crate::schema::Kind::is_date),
        number: all(crate::schema::Kind::is_number),
        boolean: all(|k| k == crate::schema::Kind::Boolean),
        nested,
    }
}

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
