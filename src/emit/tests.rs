//! Tests of the generated JSON, on rules of their own and on the project's pack.

use super::*;
use crate::lang::rule::tests::example;
use crate::lint::validate;
use crate::pack::Pack;
use std::path::Path;

/// A folder pack with one rule, generated.
fn emitted(text: &str) -> Emitted {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.toml"), text).unwrap();
    let pack = Pack::open(dir.path()).unwrap();
    let rules = pack.compile(&pack.select(&[]).unwrap());
    assert_eq!(rules.len(), 1);
    detection_rule(&rules[0], &pack.config)
}

#[test]
fn keys_are_sorted_and_nothing_is_defaulted() {
    let out = emitted(&example());
    assert!(out.diagnostics.is_empty(), "{:#?}", out.diagnostics);
    let keys: Vec<&str> = out.json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut in_order = keys.clone();
    in_order.sort_unstable();
    assert_eq!(keys, in_order);
    assert!(out.json.get("interval").is_none());
    assert_eq!(out.json["query"], "event.action: \"CreateUser\"\n");
    let row = json!([{"integration": "cloudtrail", "package": "aws", "version": ">=8.9.0"}]);
    assert_eq!(out.json["related_integrations"], row);
}

#[test]
fn new_terms_are_flattened() {
    let text = example().replace("\"query\"\n", "\"new_terms\"\n")
        + "[rule.new_terms]\nfield = \"new_terms_fields\"\nvalue = [\"user.name\", \"user.id\"]\n\
           [[rule.new_terms.history_window_start]]\nfield = \"history_window_start\"\nvalue = \"now-7d\"\n";
    let json = emitted(&text).json;
    assert_eq!(json["new_terms_fields"], json!(["user.name", "user.id"]));
    assert_eq!(json["history_window_start"], "now-7d");
    assert!(json.get("new_terms").is_none());
}

#[test]
fn tactics_get_a_list_of_techniques_and_setup_leaves_the_note() {
    let text = example()
        + "note = \"## Guide\\n\\n## Setup\\n\\nTurn it on.\"\n[[rule.threat]]\nframework = \"MITRE ATT&CK\"\n\
           [rule.threat.tactic]\nid = \"TA0003\"\nname = \"Persistence\"\n\
           reference = \"https://attack.mitre.org/tactics/TA0003/\"\n";
    let json = emitted(&text).json;
    assert_eq!(json["threat"][0]["technique"], json!([]));
    assert_eq!(json["setup"], "Turn it on.");
    assert_eq!(json["note"], "## Guide");
}

#[test]
fn placeholders_without_an_entry_are_counted_and_stay() {
    let text = example()
        + "note = \"Run $osquery_0 and $osquery_1.\"\n[[transform.osquery]]\nlabel = \"l\"\nquery = \"select 1\"\n";
    let out = emitted(&text);
    assert_eq!(out.placeholders, 1);
    assert_eq!(out.json["note"], "Run !{osquery{\"label\":\"l\",\"query\":\"select 1\"}} and $osquery_1.");
}

#[test]
fn what_kibana_would_refuse_is_placed_in_the_rule_file() {
    let dir = tempfile::tempdir().unwrap();
    // whitespace alone passes the file's structure, but nothing of it is left when it is generated
    let text = example().replace("\"Finds a thing.\"", "\"\"\"\n   \n\"\"\"");
    std::fs::write(dir.path().join("a.toml"), &text).unwrap();
    let pack = Pack::open(dir.path()).unwrap();
    let out = generate(&pack.compile(&pack.select(&[]).unwrap()), &pack.config, true);
    assert_eq!(out.diagnostics.len(), 1, "{:#?}", out.diagnostics);
    assert_eq!(out.diagnostics[0].code, Code::RP0710);
    assert_eq!(out.diagnostics[0].span().unwrap().slice(&text), "\"\"\"\n   \n\"\"\"");
}

/// The project's own rules as a pack.
fn own_pack() -> Pack {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Pack::open(&root.join("rules-toml")).unwrap()
}

#[test]
fn the_own_pack_is_valid_and_generates_the_same_bytes_on_any_number_of_threads() {
    let pack = own_pack();
    let selection = pack.select(&[]).unwrap();
    let validation = validate(&pack, &selection);
    let errors: Vec<_> =
        validation.diagnostics.iter().filter(|d| d.severity == crate::diag::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let out = generate(&validation.rules, &pack.config, true);
    assert!(out.diagnostics.is_empty(), "{:#?}", out.diagnostics);
    assert_eq!(out.files.len(), pack.files.len() + 1);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = one.install(|| generate(&pack.compile(&selection), &pack.config, true));
    assert_eq!(out.files, again.files);
    assert!(out.files["rules.ndjson"].ends_with(b"}\n"));
}
