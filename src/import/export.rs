//! What an export of Kibana, or any file of rules as JSON, holds: rules, exception lists and their items,
//! connectors. Objects are told apart by their keys, as Kibana's own import does.

use serde_json::{Map, Value};

/// The largest file that is read, in bytes. Kibana exports at most 10,000 rules.
pub const MAX_BYTES: usize = 256 * 1024 * 1024;

/// The objects of a file.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Rules, in the order of the file.
    pub rules: Vec<Map<String, Value>>,
    /// Exception lists, without their items.
    pub lists: Vec<Map<String, Value>>,
    /// Items of exception lists.
    pub items: Vec<Map<String, Value>>,
    /// Connectors.
    pub connectors: Vec<Map<String, Value>>,
    /// How many rules the file says that it holds.
    pub counted: Option<u64>,
    /// What could not be used: the line if it is known, and why.
    pub unusable: Vec<(Option<usize>, String)>,
}

impl Export {
    /// Reads a file: an object, an array, the answer of a search for rules, or one object a line.
    pub fn read(bytes: &[u8]) -> Export {
        let mut out = Export::default();
        if bytes.len() > MAX_BYTES {
            let limit = MAX_BYTES / 1024 / 1024;
            out.unusable.push((None, format!("the file is larger than the {limit} MB that are read")));
            return out;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(_) => {
                out.unusable.push((None, "the file is not UTF-8 text".to_owned()));
                return out;
            }
        };
        if text.trim().is_empty() {
            out.unusable.push((None, "the file is empty".to_owned()));
            return out;
        }
        // one document over several lines, or one a line
        match serde_json::from_str::<Value>(text) {
            Ok(value) => out.value(value, None),
            Err(e) => {
                let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
                if serde_json::from_str::<Value>(first).is_err() && !first.trim_start().starts_with("{\"") {
                    out.unusable.push((Some(e.line()), crate::replay::events::json_reason(&e)));
                    return out;
                }
                for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
                    match serde_json::from_str(line) {
                        Ok(value) => out.value(value, Some(i + 1)),
                        Err(e) => out.unusable.push((Some(i + 1), crate::replay::events::json_reason(&e))),
                    }
                }
            }
        }
        out
    }

    fn value(&mut self, value: Value, line: Option<usize>) {
        match value {
            Value::Array(items) => items.into_iter().for_each(|item| match item {
                Value::Object(map) => self.object(map, line),
                _ => self.unusable.push((line, "an entry of the array is no object".to_owned())),
            }),
            Value::Object(map) => self.object(map, line),
            _ => self.unusable.push((line, "neither an object nor an array".to_owned())),
        }
    }

    fn object(&mut self, mut map: Map<String, Value>, line: Option<usize>) {
        let has = |keys: &[&str]| keys.iter().any(|k| map.contains_key(*k));
        let kind = map.get("type").and_then(Value::as_str).unwrap_or("");
        if has(&["list_id", "item_id", "entries"]) {
            if has(&["item_id", "entries"]) { &mut self.items } else { &mut self.lists }.push(map);
        } else if kind == "security-rule" {
            // an asset of a package: the rule is what it says about itself
            match map.remove("attributes") {
                Some(Value::Object(rule)) => self.object(rule, line),
                _ => self.unusable.push((line, "a `security-rule` without `attributes`".to_owned())),
            }
        } else if has(&["attributes"]) {
            self.connectors.push(map);
        } else if map.keys().any(|k| k.starts_with("exported_")) {
            self.counted = map.get("exported_rules_count").and_then(Value::as_u64).or(self.counted);
        } else if has(&["rule_id"]) || (has(&["name"]) && has(&["risk_score", "severity", "type"])) {
            self.rules.push(map);
        } else if let (true, Some(Value::Array(data))) = (has(&["total", "perPage"]), map.remove("data")) {
            self.value(Value::Array(data), line);
        } else {
            let what = "neither a rule, an exception, a connector nor the line of counts";
            self.unusable.push((line, what.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(text: &str) -> (usize, usize, usize, usize, Vec<Option<usize>>) {
        let e = Export::read(text.as_bytes());
        let lines = e.unusable.iter().map(|u| u.0).collect();
        (e.rules.len(), e.lists.len(), e.items.len(), e.connectors.len(), lines)
    }

    const EXPORT: &str = r#"{"rule_id":"a","name":"A","type":"query"}
{"list_id":"l","type":"detection"}
{"list_id":"l","item_id":"i","type":"simple","entries":[]}
{"id":"c","type":"action","attributes":{"name":"C"}}
{"exported_count":4,"exported_rules_count":1}
"#;

    #[test]
    fn the_objects_of_an_export_are_told_apart_by_their_keys() {
        assert_eq!(shape(EXPORT), (1, 1, 1, 1, vec![]));
        assert_eq!(Export::read(EXPORT.as_bytes()).counted, Some(1));
        assert_eq!(shape(&EXPORT.replace('\n', "\r\n")), (1, 1, 1, 1, vec![]));
    }

    #[test]
    fn rules_come_as_an_object_an_array_an_answer_or_an_asset() {
        let rule = "{\n \"rule_id\": \"a\",\n \"name\": \"A\"\n}";
        assert_eq!(shape(rule), (1, 0, 0, 0, vec![]));
        assert_eq!(shape(&format!("[{rule},{rule}]")), (2, 0, 0, 0, vec![]));
        assert_eq!(shape(&format!("{{\"page\":1,\"perPage\":20,\"total\":1,\"data\":[{rule}]}}")).0, 1);
        let asset = format!("{{\"id\":\"a_1\",\"type\":\"security-rule\",\"attributes\":{rule}}}");
        assert_eq!(shape(&asset), (1, 0, 0, 0, vec![]));
    }

    #[test]
    fn a_broken_line_costs_only_itself() {
        let broken = EXPORT.replace("\"type\":\"detection\"}", "\"type\":");
        assert_eq!(shape(&broken), (1, 0, 1, 1, vec![Some(2)]));
        assert_eq!(shape("{\"rule_id\": 1}\n{\"x\":1}\n"), (1, 0, 0, 0, vec![Some(2)]));
        assert_eq!(shape("[1, 2"), (0, 0, 0, 0, vec![Some(1)]));
        assert_eq!(shape("").4, [None]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\{|\\}|\\[|\\]|\"rule_id\"|\"data\"|\"total\"|:|,|1|\n){0,30}") {
            let _ = Export::read(text.as_bytes());
        }
    }
}
