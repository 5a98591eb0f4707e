//! Field-level differences of two rules as Kibana would get them.

use serde_json::Value;

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// The field, as `severity` or `threshold.value`.
    pub path: String,
    /// The older value; `None` where there was none.
    pub before: Option<Value>,
    /// The newer value; `None` where there is none.
    pub after: Option<Value>,
}

/// The fields in which two rules differ, in alphabetical order; objects are compared key by key, lists as
/// a whole.
pub fn changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut out = Vec::new();
    compare("", Some(before), Some(after), &mut out);
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            for (key, value) in a {
                compare(&below(key), Some(value), b.get(key), out);
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                compare(&below(key), None, Some(value), out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(FieldChange { path: path.to_owned(), before: a.cloned(), after: b.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_compared_by_key_and_lists_as_a_whole() {
        let found = changes(
            &json!({ "a": 1, "t": { "x": 1, "y": 2 }, "l": [1, 2], "gone": true }),
            &json!({ "a": 1, "t": { "x": 1, "y": 3 }, "l": [2, 1], "new": null }),
        );
        let paths: Vec<&str> = found.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["gone", "l", "new", "t.y"]);
        assert_eq!(found[3].before, Some(json!(2)));
        assert_eq!(found[2].after, Some(Value::Null));
    }
}
