//! `rulepack deploy` to OpenSearch as people and pipelines see it.

use crate::sandbox::{Ran, Sandbox};
use rulepack::target::opensearch::fake::{FakeOpenSearch, Settings};
use serde_json::{Value, json};

struct Lab {
    s: Sandbox,
    fake: FakeOpenSearch,
}

impl Lab {
    fn with(settings: &Settings, extra: &str) -> Lab {
        let (s, fake) = (Sandbox::pack(), FakeOpenSearch::start(settings).unwrap());
        let config = s.read("rulepack.toml");
        let target = format!("{config}\n[target.soc]\nopensearch = \"{}\"\n{extra}", fake.url());
        s.write("rulepack.toml", target);
        Lab { s, fake }
    }

    fn new() -> Lab {
        Lab::with(&keywords(), "")
    }

    fn deploy(&self, more: &[&str]) -> Ran {
        let mut arguments = vec!["deploy", "--target", "soc"];
        arguments.extend(more);
        self.s.run(&arguments)
    }
}

fn keywords() -> Settings {
    let fields = [("*".to_owned(), "keyword".to_owned())].into_iter().collect();
    Settings { fields: Some(fields), ..Settings::default() }
}

#[test]
fn a_pack_is_deployed_and_the_second_deploy_changes_nothing() {
    let lab = Lab::new();
    let ran = lab.deploy(&["--dry-run", "--exit-code"]);
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    assert!(ran.out.contains("plan: 13 to create"), "{}", ran.all());
    assert!(lab.fake.monitors().is_empty());
    let ran = lab.deploy(&["--yes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("ok: 13 monitors written and read back equal"), "{}", ran.all());
    let ran = lab.deploy(&["--yes", "--exit-code"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("no changes: 13 monitors in soc are what the pack says"), "{}", ran.all());
    let ran = lab.deploy(&["--dry-run", "--format", "json"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&answer["changes"], &answer["same"]), (&json!([]), &json!(13)));
}

#[test]
fn a_canary_comes_before_the_alerts() {
    let lab = Lab::new();
    assert_eq!(lab.deploy(&["--canary", "--yes"]).code, Some(0));
    assert_eq!(lab.fake.monitors().len(), 11);
    assert!(lab.fake.monitors().values().all(|m| m["triggers"] == json!([])));
    let ran = lab.deploy(&["--dry-run"]);
    assert!(ran.out.contains("plan: 2 to create, 11 to update"), "{}", ran.all());
    assert_eq!(lab.deploy(&["--yes"]).code, Some(0));
    // what alerts is not silenced by a canary
    let ran = lab.deploy(&["--canary", "--yes"]);
    assert!(ran.out.contains("no changes"), "{}", ran.all());
    assert!(lab.fake.monitors().values().all(|m| m["triggers"] != json!([])));
}

#[test]
fn what_cannot_be_deployed_to_is_said_before_anything_is_written() {
    let refused = |settings: &Settings, extra: &str, part: &str| {
        let lab = Lab::with(settings, extra);
        let ran = lab.deploy(&["--yes"]);
        assert_ne!(ran.code, Some(0));
        assert!(ran.err.contains(part), "{part}: {}", ran.all());
        assert!(lab.fake.monitors().is_empty());
    };
    let all = keywords();
    refused(&Settings { plugins: vec![], ..all.clone() }, "", "the Alerting plugin is not installed there");
    refused(&Settings { distribution: "other".into(), ..all.clone() }, "", "is other, not OpenSearch");
    refused(&Settings { version: "2.9.0".into(), ..all.clone() }, "", "OpenSearch is 2.9.0");
    refused(&Settings { fields: None, ..all.clone() }, "", "no index is there of filebeat-*");
    let text = [("*".to_owned(), "text".to_owned())].into_iter().collect();
    refused(&Settings { fields: Some(text), ..all.clone() }, "", "`event.action` is text in");
    let few = [("event.action".to_owned(), "keyword".to_owned())].into_iter().collect();
    refused(&Settings { fields: Some(few), ..all.clone() }, "", "has the field `event.outcome`");
    refused(&all, "select = { severity = [\"critical\"] }\n", "selects none of these rules");
    refused(&all, "auth = { basic_env = \"NOT_THERE\" }\n", "`NOT_THERE` is not set");
    refused(&all, "auth = { client_cert_env = \"NOT_THERE\" }\n", "`NOT_THERE` is not set");
    refused(&all, "auth = { sigv4 = { region = \"eu-west-1\" } }\n", "no credentials of AWS");
    refused(&all, "space = \"soc\"\n", "`space` of a target that is OpenSearch is not supported yet");
}

#[test]
fn serverless_and_rules_of_security_analytics_are_refused_with_the_reason() {
    let s = Sandbox::pack();
    let config = s.read("rulepack.toml");
    s.write(
        "rulepack.toml",
        format!("{config}\n[target.soc]\nopensearch = \"https://abc.eu-west-1.aoss.amazonaws.com\"\n"),
    );
    let ran = s.run(&["deploy", "--target", "soc", "--yes"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("RP0921") && ran.err.contains("Serverless has no Alerting"), "{}", ran.all());
    let ran = s.run(&["deploy", "--target", "soc", "--as", "sigma-rule"]);
    assert!(ran.err.contains("RP9001") && ran.err.contains("not supported yet"), "{}", ran.all());
    assert_eq!(s.run(&["deploy", "--target", "demo", "--canary"]).code, Some(2));
}

#[test]
fn a_loss_that_nobody_allows_stops_the_deploy() {
    let lab = Lab::new();
    let config = lab.s.read("rulepack.toml");
    lab.s.write("rulepack.toml", config.replace("    \"aws/iam/discovery_burst_from_cli\",\n", ""));
    let ran = lab.deploy(&["--yes"]);
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    assert!(ran.err.contains("RP0811") && ran.err.contains("nothing was deployed"), "{}", ran.all());
}
