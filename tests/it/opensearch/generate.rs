//! `rulepack generate --for opensearch`: files, the report, what is stale.

use crate::sandbox::Sandbox;
use serde_json::Value;

#[test]
fn the_report_about_the_projects_pack_is_up_to_date() {
    let s = Sandbox::pack();
    let ran = s.run(&["generate", "--for", "opensearch", "--format", "markdown", "--out", "out"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert_eq!(ran.out, s.read("docs/opensearch-support.md"), "run `rulepack generate --for opensearch`");
}

#[test]
fn monitors_are_written_beside_the_rules_of_kibana_and_checked() {
    let s = Sandbox::pack();
    assert_eq!(s.run(&["generate", "--for", "opensearch", "--check"]).code, Some(1));
    let ran = s.run(&["generate", "--for", "opensearch"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("ok: 13 monitors in"), "{}", ran.all());
    let monitor: Value =
        serde_json::from_str(&s.read("generated/opensearch/aws/iam/group_deleted.json")).unwrap();
    assert_eq!(monitor["monitor_type"], "doc_level_monitor");
    assert_eq!(s.run(&["generate", "--for", "opensearch", "--check"]).code, Some(0));
    // the rules of Kibana do not mind them
    assert_eq!(s.run(&["generate", "--check"]).code, Some(0));
    assert_eq!(s.run(&["generate"]).code, Some(0));
    assert_eq!(s.run(&["generate", "--for", "opensearch", "--check"]).code, Some(0));
    s.write("docs/opensearch-support.md", "old");
    let ran = s.run(&["ci"]);
    assert!(ran.out.contains("rulepack generate --for opensearch"), "{}", ran.all());
    assert_eq!(s.run(&["generate", "--for", "opensearch", "--check"]).code, Some(1));
}

#[test]
fn a_loss_is_an_error_until_it_is_allowed_and_an_allowance_without_a_loss_a_warning() {
    let s = Sandbox::pack();
    let config = s.read("rulepack.toml");
    let without =
        config.replace("    \"aws/iam/user_created_by_ec2_role\",\n", "    \"aws/iam/group_created\",\n");
    s.write("rulepack.toml", without);
    let ran = s.run(&["generate", "--for", "opensearch", "--format", "json", "--out", "out"]);
    assert_eq!(ran.code, Some(1));
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    let found: Vec<(&str, &str)> = answer["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["code"].as_str().unwrap(), d["severity"].as_str().unwrap()))
        .collect();
    assert!(found.contains(&("RP0811", "error")) && found.contains(&("RP0811", "warning")), "{found:?}");
    assert_eq!(answer["summary"]["faithful"], 11);
}
