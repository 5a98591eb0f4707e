//! The answer of `GET index/_field_caps?fields=*`: every field of the indices as one list. A field that
//! indices map differently has a type for each.

use super::{Field, FieldType, Fields, Kind, Origin};
use serde_json::{Map, Value};

/// Reads the `fields` of an answer. Multi-fields are told by their names: `user.name.text` below a field
/// `user.name` that is no object.
pub(super) fn parse(fields: &Map<String, Value>) -> Fields {
    let mut out = Fields::default();
    for (name, types) in fields {
        let Some(types) = types.as_object() else { continue };
        let own = |t: &&Value| t.get("metadata_field") != Some(&Value::Bool(true)) && !unmapped(t);
        let mut found: Vec<FieldType> = types.values().filter(own).map(field_type).collect();
        // an order that does not depend on the server's
        found.sort_by_key(|t| t.kind.name());
        if found.is_empty() {
            continue;
        }
        let mut field = Field::new(name, FieldType::of(Kind::Other), Origin::Mapping);
        field.types = found;
        out.add(field);
    }
    families(&mut out);
    out
}

fn unmapped(t: &Value) -> bool {
    t.get("type").and_then(Value::as_str) == Some("unmapped")
}

fn field_type(t: &Value) -> FieldType {
    let mut ty = FieldType::of(Kind::from_name(t.get("type").and_then(Value::as_str).unwrap_or_default()));
    let flag = |key: &str| t.get(key).and_then(Value::as_bool).unwrap_or(true);
    ty.indexed = flag("searchable") || ty.kind.is_object();
    ty
}

/// Finds out which field belongs to which: multi-fields, and what is inside nested objects.
fn families(fields: &mut Fields) {
    let names: Vec<Box<str>> = fields.iter().map(|f| f.name.clone()).collect();
    for name in names {
        let above = |wanted: &dyn Fn(&Field) -> bool| {
            let mut end = name.len();
            while let Some(dot) = name.get(..end).and_then(|n| n.rfind('.')) {
                let parent = name.get(..dot).unwrap_or("");
                if let Some(f) = fields.get(parent, None)
                    && wanted(f)
                {
                    return Some(f.name.clone());
                }
                end = dot;
            }
            None
        };
        let nested = above(&|f| f.kind() == Kind::Nested);
        let parent = above(&|f| !f.kind().is_object() && f.kind() != Kind::Flattened);
        if let Some(field) = fields.get_mut(&name) {
            (field.nested, field.parent) = (nested, parent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_of_all_indices_are_kept_and_multi_fields_and_nested_parents_found() {
        let caps = json!({
            "user": {"object": {"type": "object", "searchable": false}},
            "user.name": {"keyword": {"type": "keyword", "indices": ["a"]}, "text": {"type": "text", "indices": ["b"]}},
            "user.name.text": {"match_only_text": {"type": "match_only_text"}},
            "n": {"nested": {"type": "nested", "searchable": false}},
            "n.a": {"long": {"type": "long", "searchable": false}, "unmapped": {"type": "unmapped"}},
            "_id": {"_id": {"type": "_id", "metadata_field": true}},
            "gone": {"unmapped": {"type": "unmapped"}},
        });
        let fields = parse(caps.as_object().unwrap());
        let get = |n: &str| fields.get(n, None).unwrap();
        assert_eq!(
            get("user.name").types.iter().map(|t| t.kind).collect::<Vec<_>>(),
            [Kind::Keyword, Kind::Text]
        );
        assert_eq!(get("user.name.text").parent.as_deref(), Some("user.name"));
        assert_eq!(get("user.name").parent, None);
        assert_eq!((get("n.a").nested.as_deref(), get("n.a").ty().indexed), (Some("n"), false));
        assert_eq!(fields.len(), 5);
    }
}
