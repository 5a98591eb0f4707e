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
    refused(&all, "space = \"soc\"\n", "OpenSearch has no spaces: a cluster keeps all monitors together");
    refused(&all, "manage = { tags = \"add\" }\n", "a monitor has no `tags` that others could own");
    refused(
        &Settings { channels: vec![("c1".into(), "soc-pager".into())], ..all.clone() },
        "[[target.soc.overlay]]\nactions = [{ connector = \"soc-pagr\" }]\n",
        "did you mean `soc-pager`?",
    );
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

/// The monitor of a rule.
fn monitor(lab: &Lab, title: &str) -> Value {
    lab.fake.monitors().into_values().find(|m| m["name"] == title).unwrap()
}

const OVERLAYS: &str = "manage = { actions = \"add\", schedule = \"create-only\" }\n\
    [[target.soc.overlay]]\nwhen = { severity = [\"low\"] }\nindex = [\"quiet-*\"]\n\
    [[target.soc.overlay]]\nrules = [\"aws/iam/group_created\"]\nexceptions = [\"exceptions/x.toml\"]\n\
    actions = [{ connector = \"soc-pager\", params = { message = \"look\" }, \
    frequency = { summary = true, notifyWhen = \"onThrottleInterval\", throttle = \"2h\" } }]\n";

fn overlaid() -> Lab {
    let settings = Settings { channels: vec![("c1".into(), "soc-pager".into())], ..keywords() };
    let lab = Lab::with(&settings, OVERLAYS);
    lab.s.write(
        "exceptions/x.toml",
        "[[exceptions]]\n[exceptions.container]\nlist_id = \"x\"\nname = \"x\"\ntype = \"detection\"\n\n\
         [[exceptions.items]]\nname = \"one\"\ncomments = [{ comment = \"why\" }]\n\
         entries = [{ field = \"user.name\", type = \"match\", operator = \"included\", value = \"build\" }]\n",
    );
    lab
}

#[test]
fn overlays_give_a_target_its_indices_actions_and_exceptions() {
    let lab = overlaid();
    let ran = lab.deploy(&["--yes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let (created, deleted) = (monitor(&lab, "AWS IAM group created"), monitor(&lab, "AWS IAM group deleted"));
    let input = |m: &Value| m["inputs"][0]["doc_level_input"].clone();
    assert_eq!(
        (&input(&created)["indices"], &input(&deleted)["indices"]),
        (&json!(["quiet-*"]), &json!(["quiet-*"]))
    );
    let query = |m: &Value| input(m)["queries"][0]["query"].as_str().unwrap().to_owned();
    assert!(
        query(&created).contains("user.name") && !query(&deleted).contains("user.name"),
        "{}",
        query(&created)
    );
    let action = &created["triggers"][0]["document_level_trigger"]["actions"][0];
    assert_eq!((&action["destination_id"], &action["throttle"]["value"]), (&json!("c1"), &json!(120)));
    assert_eq!(action["message_template"]["source"], "look");
    assert_eq!(deleted["triggers"][0]["document_level_trigger"]["actions"], json!([]));
    let high = monitor(&lab, "AWS IAM MFA device deactivated");
    assert_eq!(input(&high)["indices"], json!(["filebeat-*", "logs-aws.cloudtrail-*"]));
    let ran = lab.deploy(&["--yes", "--exit-code"]);
    assert!(ran.code == Some(0) && ran.out.contains("no changes: 13 monitors"), "{}", ran.all());
}

#[test]
fn what_is_generated_for_a_target_is_what_goes_there() {
    let lab = overlaid();
    let ran = lab.s.run(&["generate", "--for", "opensearch", "--target", "soc", "--out", "out"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.err.contains("note: 1 action left out"), "{}", ran.all());
    let file: Value = serde_json::from_str(&lab.s.read("out/aws/iam/group_created.json")).unwrap();
    assert_eq!(file["inputs"][0]["doc_level_input"]["indices"], json!(["quiet-*"]));
    assert_eq!(lab.s.run(&["generate", "--for", "opensearch", "--target", "soc"]).code, Some(2));
    let ran = lab.s.run(&["generate", "--target", "soc", "--out", "other"]);
    assert!(
        ran.code == Some(2) && ran.err.contains("`--for opensearch` makes what it takes"),
        "{}",
        ran.all()
    );
}

#[test]
fn a_difference_from_what_is_live_is_told_value_by_value() {
    let lab = Lab::new();
    let ran = lab.s.run(&["diff", "--target", "soc", "--exit-code"]);
    assert!(ran.code == Some(1) && ran.out.contains("13 monitors differ, 0 the same"), "{}", ran.all());
    assert!(lab.fake.monitors().is_empty());
    lab.deploy(&["--yes"]);
    let ran = lab.s.run(&["diff", "--target", "soc", "--exit-code"]);
    assert!(ran.code == Some(0) && ran.out.contains("no changes: 13 monitors are the same"), "{}", ran.all());
    let file = "rules-toml/aws/iam/group_created.toml";
    lab.s.write(file, lab.s.read(file).replace("severity = \"low\"", "severity = \"high\""));
    let ran = lab.s.run(&["diff", "--target", "soc"]);
    assert!(ran.code == Some(0) && ran.out.contains("1 monitor differs"), "{}", ran.all());
    assert!(
        ran.out.contains("triggers/0/document_level_trigger/severity\n        -  \"4\"\n        +  \"2\""),
        "{}",
        ran.all()
    );
    let ran = lab.s.run(&["diff", "--target", "soc", "--format", "json"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    let paths: Vec<&str> = answer["changes"][0]["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["path"].as_str().unwrap())
        .collect();
    assert!(paths.contains(&"/triggers/0/document_level_trigger/severity"), "{paths:?}");
    assert_eq!(lab.s.run(&["diff", "--target", "soc", "--format", "markdown"]).code, Some(2));
}

/// `rulepack dev opensearch`, ended with the test.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_practice_opensearch_takes_a_pack_and_then_nothing_is_left_to_do() {
    use std::io::BufRead;
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .args(["dev", "opensearch", "--port", "0"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let served = Served(child);
    // it says where it is, or the test ends
    let (say, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = std::io::BufReader::new(out).read_line(&mut line);
        let _ = say.send(line);
    });
    let line = heard.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert!(line.starts_with("fake OpenSearch 2.19.1 listens on http://127.0.0.1:"), "{line}");
    let url = line.split_whitespace().find(|w| w.starts_with("http")).unwrap().trim_end_matches(',');
    let s = Sandbox::pack();
    let config = s.read("rulepack.toml");
    s.write("rulepack.toml", format!("{config}\n[target.lab]\nopensearch = \"{url}\"\n"));
    let deploy = |more: &[&str]| {
        let mut arguments = vec!["deploy", "--target", "lab"];
        arguments.extend(more);
        s.run(&arguments)
    };
    assert_eq!(deploy(&["--dry-run", "--exit-code"]).code, Some(1));
    let ran = deploy(&["--yes"]);
    assert!(ran.code == Some(0) && ran.out.contains("ok: 13 monitors written"), "{}", ran.all());
    let ran = deploy(&["--yes", "--exit-code"]);
    assert!(ran.code == Some(0) && ran.out.contains("no changes: 13 monitors in lab"), "{}", ran.all());
    let ran = s.run(&["diff", "--target", "lab", "--exit-code"]);
    assert!(ran.code == Some(0) && ran.out.contains("no changes"), "{}", ran.all());
    drop(served);
    let ran = deploy(&["--yes"]);
    assert!(ran.code == Some(3) && ran.err.contains("was not reached"), "{}", ran.all());
    // a port that is taken is a mistake of the caller
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_eq!(s.run(&["dev", "opensearch", "--port", &port]).code, Some(2));
}

#[test]
fn rules_that_read_the_same_share_monitors_and_move_there_and_back_without_a_gap() {
    let lab = Lab::new();
    assert_eq!(lab.deploy(&["--yes"]).code, Some(0));
    let config = lab.s.read("rulepack.toml");
    lab.s.write("rulepack.toml", config.replace("\n[target.soc]\n", "\n[target.soc]\ngroup = true\n"));
    let ran = lab.deploy(&["--dry-run"]);
    assert!(ran.out.contains("11 to replace"), "{}", ran.all());
    let ran = lab.deploy(&["--yes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let queries = || -> Vec<String> {
        let all = lab.fake.monitors();
        let lists =
            all.values().filter_map(|m| m["inputs"][0]["doc_level_input"]["queries"].as_array().cloned());
        let mut ids: Vec<String> = lists.flatten().map(|q| q["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let all = lab.fake.monitors();
    assert!(all.len() < 8, "{}", all.len());
    for m in all.values().filter(|m| m["monitor_type"] == "doc_level_monitor") {
        let triggers = m["triggers"].as_array().unwrap();
        let names = m["inputs"][0]["doc_level_input"]["queries"].as_array().unwrap();
        assert!(triggers.len() <= 10 && triggers.len() == names.len());
        for (trigger, query) in triggers.iter().zip(names) {
            let source = &trigger["document_level_trigger"]["condition"]["script"]["source"];
            assert_eq!(*source, format!("query[name={}]", query["name"].as_str().unwrap()));
        }
    }
    let ids = queries();
    assert_eq!((ids.len(), ids.iter().collect::<std::collections::BTreeSet<_>>().len()), (11, 11));
    let ran = lab.deploy(&["--yes", "--exit-code"]);
    assert!(ran.code == Some(0) && ran.out.contains("no changes"), "{}", ran.all());
    // an edit in Dashboards that drops the mark makes no second group
    let id = all.iter().find(|(_, m)| m["triggers"].as_array().unwrap().len() > 1).unwrap().0;
    lab.fake.edit(id, |m| drop(m["ui_metadata"].as_object_mut().unwrap().shift_remove("rulepack")));
    assert_eq!(lab.deploy(&["--yes"]).code, Some(0));
    assert_eq!(queries(), ids);
    assert_eq!(lab.deploy(&["--yes", "aws/iam/group_created"]).code, Some(2));
    // the rule is written before the old monitors go: when that fails, they stay
    lab.s.write("rulepack.toml", &config);
    lab.fake.fault(rulepack::target::opensearch::fake::Fault::ReadOnly, 5, usize::MAX);
    assert_ne!(lab.deploy(&["--yes"]).code, Some(0));
    assert!(ids.iter().all(|id| queries().contains(id)));
    lab.fake.heal();
    assert_eq!(lab.deploy(&["--yes"]).code, Some(0));
    assert_eq!((lab.fake.monitors().len(), queries()), (13, ids));
    let ran = lab.deploy(&["--yes", "--exit-code"]);
    assert!(ran.code == Some(0) && ran.out.contains("no changes"), "{}", ran.all());
}

#[test]
fn more_monitors_than_a_cluster_takes_are_refused_with_the_way_out() {
    let lab = Lab::new();
    for i in 0..995 {
        lab.fake.put(
            &format!("their{i}"),
            json!({ "name": format!("m{i}"), "monitor_type": "query_level_monitor" }),
        );
    }
    let ran = lab.deploy(&["--yes"]);
    assert!(
        ran.code == Some(2) && ran.err.contains("13 more monitors would be more than the 1000"),
        "{}",
        ran.all()
    );
    assert!(ran.err.contains("`group = true` in [target.soc]"), "{}", ran.all());
    assert_eq!(lab.fake.monitors().len(), 995);
    let config = lab.s.read("rulepack.toml");
    lab.s.write("rulepack.toml", config.replace("\n[target.soc]\n", "\n[target.soc]\ngroup = true\n"));
    let ran = lab.deploy(&["--yes"]);
    assert!(ran.code == Some(0) && ran.out.contains("written and read back equal"), "{}", ran.all());
}
