//! Texts of a rule as Kibana gets them: paragraphs that were wrapped for the file become one line;
//! queries and Markdown stay as they are.

use serde_json::{Map, Value};

/// Keys whose values, and everything below them, keep their line breaks.
const VERBATIM: [&str; 4] = ["query", "note", "setup", "message"];

/// Makes one line of every string, except those that must keep their form.
pub(super) fn normalise(map: &mut Map<String, Value>) {
    for (key, value) in map.iter_mut() {
        if !VERBATIM.contains(&key.as_str()) {
            value_of(value);
        }
    }
}

fn value_of(value: &mut Value) {
    match value {
        Value::String(text) => *text = one_line(text),
        Value::Array(items) => items.iter_mut().for_each(value_of),
        Value::Object(map) => normalise(map),
        _ => {}
    }
}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_text_becomes_one_line_and_queries_stay() {
        let json = serde_json::json!({
            "description": "\nFinds\n  things. \n", "query": "a\n b\n", "list": ["x\ny"], "actions": [{"message": "m\n"}]
        });
        let Value::Object(mut map) = json else { unreachable!() };
        normalise(&mut map);
        assert_eq!(
            Value::Object(map).to_string(),
            r#"{"description":"Finds things.","query":"a\n b\n","list":["x y"],"actions":[{"message":"m\n"}]}"#
        );
    }
}
