//! Texts of a rule as Kibana gets them: paragraphs that were wrapped for the file become one line;
//! queries and Markdown stay as they are.

use serde_json::{Map, Value};

/// Keys whose values, and everything below them, keep their line breaks.
const VERBATIM: [&str; 4] = ["query", "note", "setup", "message"];

/// Makes one line of every string that the file has over several lines, except those that must keep
/// their form. `deliberate` tells by JSON pointer whether a string stands on one line of the file, so
/// that its line breaks (`\n`) and spaces are meant.
pub(super) fn normalise(map: &mut Map<String, Value>, deliberate: &dyn Fn(&str) -> bool) {
    below(map, "", deliberate);
}

fn below(map: &mut Map<String, Value>, pointer: &str, deliberate: &dyn Fn(&str) -> bool) {
    for (key, value) in map.iter_mut() {
        if !VERBATIM.contains(&key.as_str()) {
            let key = key.replace('~', "~0").replace('/', "~1");
            value_of(value, &format!("{pointer}/{key}"), deliberate);
        }
    }
}

fn value_of(value: &mut Value, pointer: &str, deliberate: &dyn Fn(&str) -> bool) {
    match value {
        Value::String(text) => {
            let line = one_line(text);
            if line != *text && !deliberate(pointer) {
                *text = line;
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                value_of(item, &format!("{pointer}/{i}"), deliberate);
            }
        }
        Value::Object(map) => below(map, pointer, deliberate),
        _ => {}
    }
}

/// Whether a TOML string has line breaks of wrapping: in the file itself, or as `\n`. What `import` takes
/// over to the letter has them as `\u000A`.
pub(super) fn is_wrapped(token: &str) -> bool {
    let mut chars = token.chars();
    let escapes = token.starts_with('"');
    while let Some(c) = chars.next() {
        match c {
            '\n' => return true,
            '\\' if escapes && chars.next() == Some('n') => return true,
            _ => {}
        }
    }
    false
}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_of_wrapping_are_told_from_those_that_are_meant() {
        for token in [r#""a\n""#, "'''a\nb'''"] {
            assert!(is_wrapped(token), "{token}");
        }
        for token in [r#""a\u000A""#, r#""a\\n""#, r"'a\n'", r#"" a ""#] {
            assert!(!is_wrapped(token), "{token}");
        }
    }

    #[test]
    fn wrapped_text_becomes_one_line_and_queries_stay() {
        let json = serde_json::json!({
            "description": "\nFinds\n  things. \n", "query": "a\n b\n", "list": ["x\ny"], "kept": "p\nq ", "actions": [{"message": "m\n"}]
        });
        let Value::Object(mut map) = json else { unreachable!() };
        normalise(&mut map, &|pointer| pointer == "/kept");
        assert_eq!(
            Value::Object(map).to_string(),
            r#"{"description":"Finds things.","query":"a\n b\n","list":["x y"],"kept":"p\nq ","actions":[{"message":"m\n"}]}"#
        );
    }
}
