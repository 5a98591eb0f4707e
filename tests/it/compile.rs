//! `rulepack compile` and `rulepack fmt` as people call them: what goes to stdout, and how they exit.

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

fn rulepack(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rulepack")).args(args).current_dir(dir).output().unwrap()
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_query_compiles_with_the_fields_of_a_mapping_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = json!({"properties": {"name": {"type": "keyword"}}});
    std::fs::write(dir.path().join("m.json"), mapping.to_string()).unwrap();
    let with =
        rulepack(dir.path(), &["compile", "--to", "query-dsl", "--mapping", "m.json", "--", "name: web"]);
    assert_eq!(answer(&with).pointer("/bool/should/0/term/name/value"), Some(&json!("web")));
    let without = rulepack(dir.path(), &["compile", "--", "name: web"]);
    assert_eq!(answer(&without).pointer("/bool/should/0/match/name"), Some(&json!("web")));
    let wrong = rulepack(dir.path(), &["compile", "--", "name: (web"]);
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("RP0101"));
}

#[test]
fn a_rule_compiles_with_its_filters_exceptions_and_range() {
    let dir = tempfile::tempdir().unwrap();
    let rule = json!({
        "type": "query", "language": "kuery", "query": "a: b",
        "filters": [{"meta": {"negate": true}, "query": {"exists": {"field": "c"}}}],
        "exceptions": [{"entries": [{"field": "d", "type": "match", "operator": "included", "value": "e"}]}]});
    std::fs::write(dir.path().join("r.json"), rule.to_string()).unwrap();
    let whole = answer(&rulepack(dir.path(), &["compile", "--rule", "r.json"]));
    assert_eq!(whole.pointer("/bool/filter/0/bool/should/0/match/a"), Some(&json!("b")));
    assert_eq!(whole.pointer("/bool/must_not/0/exists/field"), Some(&json!("c")));
    let exception = "/bool/must_not/1/bool/should/0/bool/should/0/match_phrase/d";
    assert_eq!(whole.pointer(exception), Some(&json!("e")));
    let run = answer(&rulepack(dir.path(), &["compile", "--rule", "r.json", "--since", "now-1h"]));
    assert_eq!(run.pointer("/bool/filter/1/range/@timestamp/gte"), Some(&json!("now-1h")));
}

#[test]
fn a_rule_that_is_named_compiles_with_the_fields_of_its_pack() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let clause = |rule: &str| {
        let out = rulepack(root, &["compile", "--rule", rule]);
        assert!(String::from_utf8_lossy(&out.stderr).contains("with the fields of the pack"));
        answer(&out)
    };
    // a KQL rule on keyword fields: `term`, not the `match_phrase` of a query without fields
    let kql = clause("aws/iam/group_deleted").to_string();
    assert!(kql.contains(r#"{"term":{"event.action":{"value":"DeleteGroup"}}}"#), "{kql}");
    assert!(!kql.contains("match_phrase"), "{kql}");
    // an EQL event rule: its query beside the filters; of ES|QL only the filters
    let eql = clause("aws/iam/administrator_policy_to_user");
    assert!(eql.pointer("/bool/filter/0").unwrap().to_string().contains("AttachUserPolicy"));
    let esql = clause("aws/iam/discovery_burst_from_cli");
    assert!(!esql.to_string().contains("aws-cli"));
    let several = rulepack(root, &["compile", "--rule", "aws/iam/group_*"]);
    assert_eq!(several.status.code(), Some(2));
    let none = rulepack(root, &["compile", "--rule", "aws/iam/group_delet"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("did you mean `aws/iam/group_deleted`?"));
}

#[test]
fn the_bundled_pack_is_in_form_and_fmt_says_what_is_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = rulepack(root, &["fmt", "--check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("one.toml");
    let text = "[metadata]\nmaturity='production' # why\n[rule]\ntype = 'query'\nlanguage = 'kuery'\nquery = 'a:b  and c:d'\n";
    std::fs::write(&file, text).unwrap();
    assert_eq!(rulepack(dir.path(), &["fmt", "--check", "one.toml"]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    assert!(rulepack(dir.path(), &["fmt", "one.toml"]).status.success());
    let formatted = std::fs::read_to_string(&file).unwrap();
    assert!(formatted.contains("maturity = 'production' # why\n\n[rule]\n"), "{formatted}");
    assert!(formatted.contains("query = '''\na: b and c: d\n'''\n"), "{formatted}");
    assert!(rulepack(dir.path(), &["fmt", "--check", "one.toml"]).status.success());
}
