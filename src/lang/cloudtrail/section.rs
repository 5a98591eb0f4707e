//! Objects of the document under construction: what is empty is never written.

use super::record::Node;
use serde_json::{Map, Value};

/// One object of the document.
#[derive(Default)]
pub(super) struct Section(pub Map<String, Value>);

impl Section {
    /// A section that will hold about so many keys.
    pub fn with_capacity(keys: usize) -> Section {
        Section(Map::with_capacity(keys))
    }

    /// Writes a value as it is in the record.
    pub fn node(&mut self, key: &str, node: &Node<'_>) {
        if !node.is_null() {
            self.0.insert(key.to_owned(), node.to_value());
        }
    }

    /// Writes the values of a record's object under new names.
    pub fn nodes(&mut self, from: &Node<'_>, names: &[(&str, &str)]) {
        for (key, name) in names {
            self.node(key, from.get(name));
        }
    }

    /// Writes a text.
    pub fn text(&mut self, key: &str, text: impl Into<String> + AsRef<str>) {
        if !text.as_ref().is_empty() {
            self.0.insert(key.to_owned(), Value::String(text.into()));
        }
    }

    /// Writes a text if there is one.
    pub fn maybe<T: Into<String> + AsRef<str>>(&mut self, key: &str, text: Option<T>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    /// Writes a list of texts.
    pub fn list<T: AsRef<str>>(&mut self, key: &str, texts: impl IntoIterator<Item = T>) {
        let items: Vec<Value> = texts.into_iter().map(|t| t.as_ref().into()).collect();
        self.value(key, Value::Array(items));
    }

    /// Writes a value.
    pub fn value(&mut self, key: &str, value: Value) {
        let empty = match &value {
            Value::Null => true,
            Value::String(s) => s.is_empty(),
            Value::Array(a) => a.is_empty(),
            Value::Object(o) => o.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !empty {
            self.0.insert(key.to_owned(), value);
        }
    }

    /// Writes an object below this one.
    pub fn section(&mut self, key: &str, section: Section) {
        self.value(key, Value::Object(section.0));
    }

    /// Writes a list as `key: {entity: {id: […]}}`-like nesting.
    pub fn nested<T: AsRef<str>>(&mut self, path: &[&str], texts: &[T]) {
        match path {
            [] => {}
            [key] => self.list(key, texts),
            [key, rest @ ..] => {
                let mut inner = Section::default();
                inner.nested(rest, texts);
                self.section(key, inner);
            }
        }
    }
}
