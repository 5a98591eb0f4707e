//! The shape of one clause of Query DSL: a single key, and below it either options or a field with its
//! value or options.

use crate::diag::{Code, Diagnostic};
use crate::es::Case;
use serde_json::{Map, Value};

/// A finding about a clause that cannot be evaluated.
pub(super) fn bad(message: impl Into<String>) -> Box<Diagnostic> {
    Diagnostic::new(Code::RP0607, message).into()
}

/// `{ name: … }`.
pub(super) struct Clause<'q> {
    pub(super) name: &'q str,
    value: &'q Value,
}

impl<'q> Clause<'q> {
    /// The one clause of a query.
    pub(super) fn of(query: &'q Value) -> Result<Clause<'q>, Box<Diagnostic>> {
        let Some(map) = query.as_object() else {
            return Err(bad("a query is a table with one clause"));
        };
        let mut entries = map.iter();
        match (entries.next(), entries.next()) {
            (Some((name, value)), None) => Ok(Clause { name, value }),
            (None, _) => Err(bad("a query without a clause cannot be evaluated")),
            (Some((a, _)), Some((b, _))) => Err(bad(format!("a query has one clause, not `{a}` and `{b}`"))
                .help("join them in a `bool`")
                .into()),
        }
    }

    /// The options of a clause that names no field at once.
    pub(super) fn body(&self) -> Result<Body<'q>, Box<Diagnostic>> {
        let map = self.value.as_object().ok_or_else(|| bad(format!("`{}` needs a table", self.name)))?;
        Ok(Body::new(self.name, map))
    }

    /// The field and what stands below it.
    pub(super) fn only_field(&self) -> Result<(&'q str, &'q Value), Box<Diagnostic>> {
        let map = self.value.as_object().ok_or_else(|| bad(format!("`{}` needs a field", self.name)))?;
        let mut entries = map.iter().filter(|(k, _)| !matches!(k.as_str(), "boost" | "_name"));
        match (entries.next(), entries.next()) {
            (Some((name, value)), None) => Ok((name, value)),
            (None, _) => Err(bad(format!("`{}` needs a field", self.name))),
            (Some(_), Some((second, _))) => {
                Err(bad(format!("`{}` asks one field, not also `{second}`", self.name)))
            }
        }
    }

    /// The field and its options; a plain value stands for the option `short`.
    pub(super) fn field(&self, short: &'static str) -> Result<(&'q str, Body<'q>), Box<Diagnostic>> {
        let (name, value) = self.only_field()?;
        let body = match value.as_object() {
            Some(map) => Body::new(self.name, map),
            None => Body { clause: self.name, map: None, short: Some((short, value)) },
        };
        Ok((name, body))
    }
}

/// The options of a clause.
pub(super) struct Body<'q> {
    clause: &'q str,
    map: Option<&'q Map<String, Value>>,
    short: Option<(&'static str, &'q Value)>,
}

impl<'q> Body<'q> {
    pub(super) fn new(clause: &'q str, map: &'q Map<String, Value>) -> Body<'q> {
        Body { clause, map: Some(map), short: None }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'q Value> {
        match self.short {
            Some((name, value)) if name == key => Some(value),
            _ => self.map?.get(key),
        }
    }

    /// Refuses options that may change what the clause matches.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Box<Diagnostic>> {
        let unknown =
            self.map.into_iter().flat_map(Map::keys).find(|k| *k != "_name" && !known.contains(&k.as_str()));
        match unknown {
            Some(key) => Err(bad(format!("`{key}` in `{}` cannot be evaluated", self.clause))),
            None => Ok(()),
        }
    }

    pub(super) fn value(&self, key: &str) -> Result<&'q Value, Box<Diagnostic>> {
        self.get(key).ok_or_else(|| bad(format!("`{}` needs a `{key}`", self.clause)))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'q str>, Box<Diagnostic>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(_) => Err(bad(format!("`{key}` in `{}` is a string", self.clause))),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&'q str>>, Box<Diagnostic>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(s)) => Ok(Some(vec![s])),
            Some(Value::Array(items)) => Ok(Some(items.iter().filter_map(Value::as_str).collect())),
            Some(_) => Err(bad(format!("`{key}` in `{}` is a list of strings", self.clause))),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, Box<Diagnostic>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(b)) => Ok(*b),
            Some(Value::String(s)) if s == "true" || s == "false" => Ok(s == "true"),
            Some(_) => Err(bad(format!("`{key}` in `{}` is `true` or `false`", self.clause))),
        }
    }

    pub(super) fn case(&self) -> Result<Case, Box<Diagnostic>> {
        Ok(if self.flag("case_insensitive")? { Case::Insensitive } else { Case::Sensitive })
    }
}
