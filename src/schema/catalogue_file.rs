//! A file that says which fields some data has: an answer of Elasticsearch about mappings, templates or
//! field capabilities, a package's `fields.yml`, or a table of two columns.

use super::mapping::{self, MappingError};
use super::{Fields, field_caps, index_template, package_fields, tsv};
use serde_json::Value;

/// The largest file that is read, in bytes.
pub const MAX_CATALOGUE_BYTES: usize = 64 * 1024 * 1024;

/// The most fields that one file may have.
pub const MAX_CATALOGUE_FIELDS: usize = 200_000;

/// Why a file is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It is no mapping.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// It is no YAML.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// A line is wrong.
    #[error("line {0}: {1}")]
    Line(usize, String),
    /// It has none of the known shapes.
    #[error("{0}")]
    Shape(&'static str),
    /// It is too large.
    #[error("larger than the {} MB, or with more fields than the {MAX_CATALOGUE_FIELDS}, that are read", MAX_CATALOGUE_BYTES / 1024 / 1024)]
    Size,
    /// It is not text.
    #[error("not UTF-8 text")]
    Text,
}

/// Reads a catalogue. The end of `name` tells a table (`.tsv`) and a package's fields (`.yml`, `.yaml`);
/// everything else is JSON, told apart by its keys.
///
/// # Errors
/// When the file is none of these, or too large.
pub fn parse_catalogue(name: &str, bytes: &[u8]) -> Result<Fields, CatalogueError> {
    if bytes.len() > MAX_CATALOGUE_BYTES {
        return Err(CatalogueError::Size);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| CatalogueError::Text)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let ending = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    let fields = match ending.as_str() {
        "tsv" | "txt" => tsv::parse(text)?,
        "yml" | "yaml" => package_fields::parse(text)?,
        _ => json(text)?,
    };
    if fields.len() > MAX_CATALOGUE_FIELDS {
        return Err(CatalogueError::Size);
    }
    Ok(fields)
}

fn json(text: &str) -> Result<Fields, CatalogueError> {
    let root: Value = serde_json::from_str(text).map_err(MappingError::from)?;
    let Some(map) = root.as_object() else { return Err(MappingError::Shape.into()) };
    if let (Some(Value::Object(fields)), false) = (map.get("fields"), map.contains_key("properties")) {
        return Ok(field_caps::parse(fields));
    }
    if let Some(fields) = index_template::parse(map)? {
        return Ok(fields);
    }
    Ok(mapping::of_json(map)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Kind;
    use proptest::prelude::*;

    #[test]
    fn the_kinds_of_files_are_told_apart() {
        let kind = |name: &str, text: &str| {
            parse_catalogue(name, text.as_bytes()).map(|f| f.get("x", None).map(|f| f.kind()))
        };
        let ip = Some(Kind::Ip);
        let mapping = r#"{"i": {"mappings": {"properties": {"x": {"type": "ip"}}}}}"#;
        assert_eq!(kind("a.json", mapping).unwrap(), ip);
        assert_eq!(kind("a.json", &format!("\u{feff}{mapping}")).unwrap(), ip);
        assert_eq!(
            kind("a.json", r#"{"indices": ["i"], "fields": {"x": {"ip": {"type": "ip"}}}}"#).unwrap(),
            ip
        );
        assert_eq!(
            kind("a.json", r#"{"template": {"mappings": {"properties": {"x": {"type": "ip"}}}}}"#).unwrap(),
            ip
        );
        assert_eq!(kind("a.yml", "- name: x\n  type: ip\n").unwrap(), ip);
        assert_eq!(kind("a.tsv", "x\tip\n").unwrap(), ip);
        for (name, text) in
            [("a.json", "[]"), ("a.json", "{"), ("a.json", "{\"a\": 1}"), ("a.tsv", ""), ("a.yml", "1")]
        {
            assert!(kind(name, text).is_err(), "{name} {text}");
        }
        assert!(matches!(parse_catalogue("a.json", b"\xff"), Err(CatalogueError::Text)));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in "(\\{|\\}|\\[|\\]|\"fields\"|\"properties\"|\"type\"|\"ip\"|:|,|- name: a|\n| |\t){0,30}",
            name in "a\\.(json|yml|tsv)",
        ) {
            let _ = parse_catalogue(&name, text.as_bytes());
        }
    }
}
