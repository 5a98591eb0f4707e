//! Adopting rulepack: rules out of Kibana, catalogues of one's own, fixtures out of logs.

use crate::sandbox::Sandbox;

const OKTA: &str = r#"{"rule_id":"5e1f8a44-7d1c-4f6b-9a37-0c2b6d6f1e10","name":"Okta reset","description":"d","type":"query","language":"kuery","query":"okta.actor.id: \"x\" and okta.count > 3","index":["logs-okta.system-*"],"severity":"low","risk_score":21,"author":["A"]}"#;

#[test]
fn an_import_into_an_empty_pack_is_valid_and_a_second_one_changes_nothing() {
    let s = Sandbox::bare();
    s.write("rules-toml/.keep", "");
    s.write("rules.json", OKTA);
    let ran = s.run(&["import", "rules.json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("+ rules-toml/okta_reset.toml"), "{}", ran.out);
    assert_eq!(s.run(&["validate"]).code, Some(0));
    let before = s.read("rules-toml/okta_reset.toml");
    let ran = s.run(&["import", "rules.json"]);
    assert!(ran.out.ends_with("ok: 0 new, 0 changed, 1 same\n"), "{}", ran.out);
    assert_eq!(s.read("rules-toml/okta_reset.toml"), before);
}

#[test]
fn a_dry_run_writes_nothing_and_a_broken_line_costs_only_itself() {
    let s = Sandbox::bare();
    s.write("rules-toml/.keep", "");
    s.write("x.ndjson", format!("{OKTA}\n{{\"rule_id\": \n{{\"list_id\":\"l\",\"type\":\"detection\"}}\n"));
    let ran = s.run(&["import", "--dry-run", "x.ndjson"]);
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    assert!(ran.out.contains("! x.ndjson:2: "), "{}", ran.out);
    assert!(!s.path("rules-toml/okta_reset.toml").exists() && !s.path("exceptions/l.toml").exists());
    let ran = s.run(&["import", "x.ndjson"]);
    assert_eq!(ran.code, Some(1));
    assert!(s.path("rules-toml/okta_reset.toml").exists() && s.path("exceptions/l.toml").exists());
    assert_eq!(s.run(&["import", "--into", "../x", "x.ndjson"]).code, Some(2));
    assert_eq!(s.run(&["import", "nothing.json"]).code, Some(2));
}

#[test]
fn a_catalogue_makes_fields_checked() {
    let s = Sandbox::empty();
    s.write("rulepack.toml", "# ours\n[pack]\nname = \"t\"\n\n[schemas]\nunknown = \"error\" # strict\n");
    s.write("rules-toml/.keep", "");
    s.write("rules.json", OKTA);
    s.run(&["import", "rules.json"]);
    let ran = s.run(&["validate"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out.contains("error[RP0202]") || ran.out.contains("error: `okta.system` has no"),
        "{}",
        ran.out
    );
    s.write("m.tsv", "okta.actor.id\tkeyword\nokta.count\tkeyword\n");
    assert_eq!(s.run(&["fields", "--add", "okta.system", "--mapping", "m.tsv"]).code, Some(0));
    let config = s.read("rulepack.toml");
    assert!(
        config.starts_with("# ours\n[pack]") && config.contains("unknown = \"error\" # strict"),
        "{config}"
    );
    let ran = s.run(&["validate"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("RP1007"), "a range on a keyword is found: {}", ran.out);
    s.write("m.tsv", "okta.actor.name\tkeyword\n");
    s.run(&["fields", "--add", "okta.system", "--mapping", "m.tsv"]);
    let ran = s.run(&["validate"]);
    assert!(ran.out.contains("RP0201") && ran.out.contains("not in okta.system"), "{}", ran.out);
    s.write("bad.json", "{\"a\": 1}");
    assert_eq!(s.run(&["fields", "--add", "okta.system", "--mapping", "bad.json"]).code, Some(1));
    s.write("schemas/okta.system.tsv", "nonsense\n");
    let ran = s.run(&["validate"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("RP0716") && ran.err.contains("rulepack.toml:6"), "{}", ran.err);
}

#[test]
fn a_fixture_of_a_new_terms_rule_brings_the_event_that_decides() {
    let s = Sandbox::pack();
    for name in
        ["customer_policy_to_role.json", "customer_policy_to_role_5_days_ago.json", "create_group.json"]
    {
        let text = s.read(&format!("tests/fixtures/iam/{name}"));
        let text = text.replace("111122223333", "302746918530").replace("marek.sandoval", "real.person");
        s.write(&format!("logs/{name}"), text);
    }
    let event: serde_json::Value =
        serde_json::from_str(&s.read("logs/customer_policy_to_role.json")).unwrap();
    let id = event["eventID"].as_str().unwrap();
    let rule = "aws/iam/customer_policy_to_role_by_rare_user";
    let dry = s.run(&["fixture", "--event", id, "--rule", rule, "logs", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.all());
    assert!(!s.path("tests/fixtures/aws").exists());
    let ran = s.run(&["fixture", "--event", id, "--rule", rule, "logs", "--name", "seen before"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("history = [") && ran.out.contains("expect = 0"), "{}", ran.out);
    let fixture = s.read(&format!("tests/fixtures/{rule}/{}.json", &id[..8]));
    assert!(!fixture.contains("302746918530") && !fixture.contains("real.person"), "{fixture}");
    let tested = s.run(&["test", rule]);
    assert_eq!(tested.code, Some(0), "{}", tested.all());
    let again = s.run(&["fixture", "--event", id, "--rule", rule, "logs", "--name", "seen before"]);
    assert_eq!(again.code, Some(2), "the case is there already");
    assert_eq!(s.run(&["fixture", "--event", "nope", "--rule", rule, "logs"]).code, Some(2));
}
