//! Elasticsearch mappings to fields: `{"properties": …}`, `{"mappings": …}`, or the answer of
//! `GET index/_mapping` with one or several indices.

use super::{Field, FieldType, Fields, Kind, Origin};
use crate::value::Scalar;
use serde_json::{Map, Value};

/// How deep objects may nest in a mapping.
const MAX_DEPTH: usize = 100;

/// Why a JSON text is no mapping.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// It is no JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It has none of the known shapes.
    #[error("neither `properties` nor `mappings` was found; give the answer of `GET index/_mapping`")]
    Shape,
    /// It nests too deep.
    #[error("objects nest deeper than {MAX_DEPTH} levels")]
    Depth,
}

/// Reads a mapping. A field that several indices map differently keeps all its types.
///
/// # Errors
/// When the text is no JSON or no mapping.
pub fn parse_mapping(json: &str) -> Result<Fields, MappingError> {
    let root: Value = serde_json::from_str(json)?;
    let Value::Object(map) = &root else { return Err(MappingError::Shape) };
    of_json(map)
}

/// Reads a mapping that is already parsed.
pub(super) fn of_json(map: &Map<String, Value>) -> Result<Fields, MappingError> {
    let mut fields = Fields::default();
    if let Some(mapping) = mapping_of(map) {
        add_mapping(mapping, &mut fields)?;
        return Ok(fields);
    }
    let mut found = false;
    for index in map.values() {
        if let Some(mapping) = index.as_object().and_then(mapping_of) {
            add_mapping(mapping, &mut fields)?;
            found = true;
        }
    }
    if found { Ok(fields) } else { Err(MappingError::Shape) }
}

/// The object that holds `properties`: this one, or its `mappings`.
fn mapping_of(map: &Map<String, Value>) -> Option<&Map<String, Value>> {
    if map.get("properties").is_some_and(Value::is_object) {
        return Some(map);
    }
    map.get("mappings")?.as_object()
}

/// Adds the fields of a mapping, runtime fields included: those hide mapped ones of the same name.
pub(super) fn add_mapping(mapping: &Map<String, Value>, fields: &mut Fields) -> Result<(), MappingError> {
    let mut own = Fields::default();
    for (name, spec) in mapping.get("runtime").and_then(Value::as_object).into_iter().flatten() {
        let Some(spec) = spec.as_object() else { continue };
        // `lookup` and `composite` give values of other fields
        if spec.get("type").and_then(Value::as_str).is_some_and(|t| t != "lookup" && t != "composite") {
            own.add(field(name, field_type(spec), None));
        }
    }
    if let Some(properties) = mapping.get("properties").and_then(Value::as_object) {
        let mut mapped = Fields::default();
        add_properties(properties, "", None, &mut mapped, 0)?;
        for f in mapped.iter().filter(|f| own.get(&f.name, None).is_none()) {
            fields.merge(f.clone());
        }
    }
    own.iter().for_each(|f| fields.merge(f.clone()));
    Ok(())
}

fn add_properties(
    properties: &Map<String, Value>,
    prefix: &str,
    nested: Option<&str>,
    fields: &mut Fields,
    depth: usize,
) -> Result<(), MappingError> {
    if depth > MAX_DEPTH {
        return Err(MappingError::Depth);
    }
    for (name, spec) in properties {
        let Some(spec) = spec.as_object() else { continue };
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let below = spec.get("properties").and_then(Value::as_object);
        let type_name = spec.get("type").and_then(Value::as_str);
        let mut inside = nested;
        match (type_name, below) {
            (None, None) if spec.is_empty() || spec.contains_key("dynamic") => {
                add(fields, field(&path, FieldType::of(Kind::Object), nested));
            }
            (None, None) => continue,
            (None | Some("object"), _) => add(fields, field(&path, FieldType::of(Kind::Object), nested)),
            (Some("nested"), _) => {
                add(fields, field(&path, FieldType::of(Kind::Nested), nested));
                inside = Some(&path);
            }
            (Some("alias"), _) => {
                let mut f = field(&path, FieldType::of(Kind::Other), nested);
                f.alias = spec.get("path").and_then(Value::as_str).map(Into::into);
                add(fields, f);
            }
            (Some(_), _) => {
                add(fields, field(&path, field_type(spec), nested));
                if let Some(multi) = spec.get("fields").and_then(Value::as_object) {
                    for (sub, spec) in multi {
                        let Some(spec) = spec.as_object() else { continue };
                        let mut f = field(&format!("{path}.{sub}"), field_type(spec), nested);
                        f.parent = Some(path.as_str().into());
                        add(fields, f);
                    }
                }
            }
        }
        if let Some(below) = below {
            add_properties(below, &path, inside, fields, depth + 1)?;
        }
    }
    Ok(())
}

fn add(fields: &mut Fields, new: Field) {
    fields.merge(new);
}

fn field(path: &str, ty: FieldType, nested: Option<&str>) -> Field {
    let mut f = Field::new(path, ty, Origin::Mapping);
    f.nested = nested.map(Into::into);
    f
}

fn field_type(spec: &Map<String, Value>) -> FieldType {
    let name = spec.get("type").and_then(Value::as_str).unwrap_or("object");
    let mut ty = FieldType::of(Kind::from_name(name));
    ty.ignore_above =
        spec.get("ignore_above").and_then(Value::as_u64).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    ty.normalized = spec.get("normalizer").is_some_and(Value::is_string);
    ty.lowercase = spec.get("normalizer").and_then(Value::as_str) == Some("lowercase");
    ty.constant = spec.get("value").filter(|_| ty.kind == Kind::ConstantKeyword).and_then(|v| match v {
        Value::String(s) => Some(s.as_str().into()),
        Value::Null => None,
        other => Some(other.to_string().into()),
    });
    ty.null_value = spec.get("null_value").and_then(Scalar::from_json);
    ty.format = spec.get("format").and_then(Value::as_str).map(Into::into);
    ty.indexed = spec.get("index").and_then(Value::as_bool).unwrap_or(true)
        || spec.get("doc_values").and_then(Value::as_bool).unwrap_or(true);
    ty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_shapes_are_read_and_conflicts_kept() {
        let one = r#"{"properties":{"a":{"properties":{"b":{"type":"keyword","fields":{"text":{"type":"text"}}}}}}}"#;
        let f = parse_mapping(one).unwrap();
        assert_eq!(f.get("a.b", None).unwrap().kind(), Kind::Keyword);
        assert_eq!(f.get("a.b.text", None).unwrap().parent.as_deref(), Some("a.b"));
        let two = r#"{"i1":{"mappings":{"properties":{"x":{"type":"keyword"}}}},
                      "i2":{"mappings":{"properties":{"x":{"type":"text"}}}}}"#;
        let f = parse_mapping(two).unwrap();
        let x = f.get("x", None).unwrap();
        assert_eq!(x.types.len(), 2);
        assert!(!x.is_pure_keyword());
        assert!(matches!(parse_mapping(r#"{"a":1}"#), Err(MappingError::Shape)));
    }

    #[test]
    fn runtime_fields_and_aliases_are_fields() {
        let json = r#"{"mappings":{"runtime":{"day":{"type":"keyword"},"x":{"type":"long"},"l":{"type":"lookup"}},
            "properties":{"x":{"type":"keyword"},"who":{"type":"alias","path":"x"}}}}"#;
        let f = parse_mapping(json).unwrap();
        assert_eq!(f.get("day", None).unwrap().kind(), Kind::Keyword);
        assert_eq!(f.get("x", None).unwrap().types, [FieldType::of(Kind::Long)]);
        assert_eq!(f.get("who", None).unwrap().alias.as_deref(), Some("x"));
        assert!(f.get("l", None).is_none());
    }

    #[test]
    fn fields_below_a_nested_object_know_their_parent() {
        let f =
            parse_mapping(r#"{"properties":{"n":{"type":"nested","properties":{"a":{"type":"keyword"}}}}}"#);
        assert_eq!(f.unwrap().get("n.a", None).unwrap().nested.as_deref(), Some("n"));
    }
}
