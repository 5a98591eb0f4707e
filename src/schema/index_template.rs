//! Mappings inside templates: the answers of `GET _index_template`, `GET _component_template`, and
//! `POST _index_template/_simulate`. All templates of an answer are one catalogue.

use super::Fields;
use super::mapping::{MappingError, add_mapping};
use serde_json::{Map, Value};

/// The names under which an answer lists its templates, and the key of each template.
const LISTS: [(&str, &str); 2] =
    [("index_templates", "index_template"), ("component_templates", "component_template")];

/// Reads the templates of an answer; `None` if it has none.
pub(super) fn parse(root: &Map<String, Value>) -> Result<Option<Fields>, MappingError> {
    let mut fields = Fields::default();
    let mut found = false;
    for (list, key) in LISTS {
        for entry in root.get(list).and_then(Value::as_array).into_iter().flatten() {
            if let Some(template) = entry.get(key) {
                found = true;
                add(template, &mut fields)?;
            }
        }
    }
    if root.get("template").is_some_and(Value::is_object) {
        found = true;
        add(&Value::Object(root.clone()), &mut fields)?;
    }
    Ok(found.then_some(fields))
}

fn add(template: &Value, fields: &mut Fields) -> Result<(), MappingError> {
    match template.pointer("/template/mappings").and_then(Value::as_object) {
        Some(mappings) => add_mapping(mappings, fields),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Kind;
    use serde_json::json;

    #[test]
    fn all_templates_of_an_answer_are_one_catalogue() {
        let answer = json!({"index_templates": [
            {"name": "a", "index_template": {"index_patterns": ["a-*"], "template": {"mappings": {"properties": {"x": {"type": "ip"}}}}}},
            {"name": "b", "index_template": {"index_patterns": ["b-*"], "composed_of": []}},
        ]});
        let fields = parse(answer.as_object().unwrap()).unwrap().unwrap();
        assert_eq!(fields.get("x", None).unwrap().kind(), Kind::Ip);
        let simulated =
            json!({"template": {"mappings": {"runtime": {"r": {"type": "long"}}}}, "overlapping": []});
        let fields = parse(simulated.as_object().unwrap()).unwrap().unwrap();
        assert_eq!(fields.get("r", None).unwrap().kind(), Kind::Long);
        assert!(parse(json!({"a": {}}).as_object().unwrap()).unwrap().is_none());
    }
}
