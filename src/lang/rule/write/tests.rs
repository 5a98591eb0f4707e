//! What is written is read back, and what did not change is not touched.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn map(v: Value) -> Map<String, Value> {
    v.as_object().cloned().unwrap()
}

const FILE: &str = r#"# who owns this
[metadata]
creation_date = "2026/01/01"

[rule]
name = 'Odd'   # keep the quotes
risk_score = 21 # low
tags = [
    "a", # the first
    "b",
]

query = '''
a : 1
'''

# about threats
[[rule.threat]]
framework = "MITRE ATT&CK"

[rule.threat.tactic]
id = "TA0003" # persistence
name = "Persistence"

[rule.investigation_fields]
field_names = ["x"]
"#;

fn stands_for(text: &str) -> Map<String, Value> {
    let (document, found) = crate::lang::rule::Document::read("a.toml", text.as_bytes().to_vec());
    assert!(found.is_empty(), "{found:#?}\n{text}");
    map(document.unwrap().json()["rule"].clone())
}

#[test]
fn a_file_without_changes_is_the_same_file() {
    let old = stands_for(FILE);
    let (text, changed) = change(FILE, &old, &old, &[]).unwrap();
    assert_eq!((text.as_str(), changed), (FILE, vec![]));
}

#[test]
fn only_what_changed_is_touched() {
    let old = stands_for(FILE);
    let mut new = old.clone();
    new["risk_score"] = json!(73);
    new["tags"] = json!(["a", "b", "c"]);
    new["threat"][0]["tactic"]["id"] = json!("TA0004");
    new.insert("max_signals".to_owned(), json!(5));
    new.remove("investigation_fields");
    let (text, changed) = change(FILE, &old, &new, &[]).unwrap();
    assert_eq!(changed, ["risk_score", "tags", "threat", "max_signals", "investigation_fields"]);
    let expected = FILE
        .replace("risk_score = 21 # low", "risk_score = 73 # low")
        .replace("    \"b\",\n", "    \"b\",\n    \"c\",\n")
        .replace("\"TA0003\"", "\"TA0004\"")
        .replace("name = 'Odd'", "max_signals = 5\nname = 'Odd'")
        .replace("\n[rule.investigation_fields]\nfield_names = [\"x\"]\n", "");
    assert_eq!(text, expected);
    assert_eq!(stands_for(&text), new);
}

#[test]
fn keys_that_are_fixed_stay_whatever_the_new_rule_says() {
    let old = stands_for(FILE);
    let mut new = old.clone();
    new["name"] = json!("Other");
    new.remove("risk_score");
    let (text, changed) = change(FILE, &old, &new, &["name", "risk_score"]).unwrap();
    assert_eq!((text.as_str(), changed), (FILE, vec![]));
}

#[test]
fn line_ends_of_windows_stay() {
    let file = FILE.replace('\n', "\r\n");
    let old = stands_for(&file);
    let mut new = old.clone();
    new["query"] = json!("a : 2\nand b : 1\n");
    let (text, _) = change(&file, &old, &new, &[]).unwrap();
    assert_eq!(text, file.replace("a : 1", "a : 2\r\nand b : 1"));
}

#[test]
fn a_key_goes_into_the_table_it_belongs_to_or_a_new_one() {
    let text = with_key("[a] # x\nb = 1\n", "a", "c", &json!("d")).unwrap();
    assert_eq!(text, "[a] # x\nb = 1\nc = \"d\"\n");
    let text = with_key("[a]\nb = 1\n", "schemas", "logs-*", &json!("x.json")).unwrap();
    assert_eq!(text, "[a]\nb = 1\n\n[schemas]\n\"logs-*\" = \"x.json\"\n");
    assert!(matches!(with_key("a = 1\n", "a", "c", &json!(1)), Err(WriteError::NoTable(_))));
}

#[test]
fn what_toml_cannot_hold_is_told() {
    let mut gone = Vec::new();
    let mut v = json!({"a": null, "b": [1, null], "c": {"d/e": null}});
    strip_nulls(&mut v, "", &mut gone).unwrap();
    assert_eq!(v, json!({"b": [1], "c": {}}));
    assert_eq!(gone, ["/a", "/b/1", "/c/d~1e"]);
    let mut v = json!({"a": 18_446_744_073_709_551_615u64});
    assert_eq!(strip_nulls(&mut v, "", &mut gone), Err(WriteError::Number("/a".to_owned())));
}

#[test]
fn values_as_deep_as_the_limit_are_written_and_read() {
    let nest = |depth: usize, wrap: fn(Value) -> Value| (0..depth).fold(json!(1), |v, _| wrap(v));
    for wrap in [(|v| json!({"a": v})) as fn(Value) -> Value, |v| json!([v]), |v| json!([{"a": v}, 1])] {
        let mut deep = nest(MAX_DEPTH / 2 - 1, wrap);
        strip_nulls(&mut deep, "", &mut Vec::new()).unwrap();
        let rule = map(json!({"x": deep}));
        assert_eq!(stands_for(&document(&[("rule", &rule)])), rule);
        let mut deeper = nest(MAX_DEPTH + 1, wrap);
        assert!(matches!(strip_nulls(&mut deeper, "", &mut Vec::new()), Err(WriteError::Depth(_))));
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let text = "([a-z \"'\\\\\n\r\t\u{7f}\u{1}é=#\\[\\]]|'''|\"\"\"){0,12}";
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("(query|note|[a-c. \"]{0,3})", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn json_table() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("(query|note|threat|[a-d]{1,2})", json_value(), 1..5)
        .prop_map(|m| m.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(rule in json_table()) {
        let text = document(&[("rule", &rule)]);
        prop_assert_eq!(stands_for(&text), rule, "{}", text);
    }

    #[test]
    fn a_changed_file_stands_for_the_new_rule(old in json_table(), new in json_table()) {
        let text = document(&[("rule", &old)]);
        let (text, _) = change(&text, &old, &new, &[]).unwrap();
        prop_assert_eq!(stands_for(&text), new, "{}", text);
    }

    #[test]
    fn a_file_changed_in_one_place_stands_for_the_new_rule(
        old in json_table(), part in json_value(), at in 0usize..8, deep in 0usize..4,
    ) {
        let text = document(&[("rule", &old)]);
        let mut new = Value::Object(old.clone());
        let mut pointer = String::new();
        for _ in 0..=deep {
            match new.pointer(&pointer).unwrap() {
                Value::Object(m) if !m.is_empty() => {
                    let key = m.keys().nth(at % m.len()).unwrap();
                    pointer.push_str(&format!("/{key}"));
                }
                Value::Array(a) if !a.is_empty() => pointer.push_str(&format!("/{}", at % a.len())),
                _ => break,
            }
        }
        *new.pointer_mut(&pointer).unwrap() = part;
        let Value::Object(new) = new else { return Ok(()) };
        let (text, _) = change(&text, &old, &new, &[]).unwrap();
        prop_assert_eq!(stands_for(&text), new, "{}", text);
    }
}
