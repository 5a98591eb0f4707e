//! Plans and writes against the fake.

mod faults;

use super::fake::{FakeOpenSearch, Fault, Settings as FakeSettings};
use super::*;
use crate::emit::opensearch::monitors;
use crate::pack::Pack;
use crate::pack::target::{Manage, OnDrift};
use crate::target::http::{Credentials, Http};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

/// The monitors of the project's own pack.
static WANTED: LazyLock<Vec<Wanted>> = LazyLock::new(|| {
    let pack = Pack::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let rules = pack.compile(&pack.select(&[]).unwrap());
    wanted(&monitors(&rules, &pack.config, true).support, &|_| false, false)
});

struct Lab {
    fake: FakeOpenSearch,
    api: OpenSearch,
    wanted: Vec<Wanted>,
    settings: Settings,
}

impl Lab {
    fn new() -> Lab {
        let fake = FakeOpenSearch::start(&FakeSettings::default()).unwrap();
        let mut options = options(&fake.url(), Credentials::None);
        options.pause = Duration::from_millis(1);
        let wanted = WANTED.clone();
        assert_eq!(wanted.len(), 13);
        let settings = Settings {
            pack: "aws-iam".to_owned(),
            on_drift: OnDrift::Stop,
            prune: false,
            manage: BTreeMap::new(),
        };
        Lab { fake, api: OpenSearch::new(Http::new(options).unwrap()), wanted, settings }
    }

    fn plan(&self) -> Vec<Change> {
        plan(&self.wanted, &self.api.monitors().unwrap(), &self.settings, true)
    }

    fn deploy(&self) -> Applied {
        apply(&self.plan(), &self.api)
    }

    /// Kinds of changes that are not `same`.
    fn words(&self) -> Vec<(String, &'static str)> {
        let all = self.plan();
        let other = all.iter().filter(|c| c.kind != Kind::Same);
        other.map(|c| (c.name.clone(), c.kind.words().1)).collect()
    }

    fn id_of(&self, rule: &str) -> String {
        let wanted = self.wanted.iter().find(|w| w.name.ends_with(rule)).unwrap();
        let all = self.api.monitors().unwrap();
        all.into_iter().find(|l| l.mark().unwrap().rule_id == wanted.rule_id).unwrap().id
    }
}

#[test]
fn what_is_deployed_is_read_back_and_planned_as_no_change() {
    let lab = Lab::new();
    assert_eq!(lab.words().len(), 13);
    let applied = lab.deploy();
    assert_eq!((applied.written, applied.failed.len(), applied.conflicts.len()), (13, 0, 0));
    assert_eq!(lab.words(), []);
    let writes = lab.fake.requests().len();
    assert_eq!(lab.deploy().written, 0);
    // the second deploy only reads
    assert!(lab.fake.requests().iter().skip(writes).all(|r| r.contains("/_search")));
}

#[test]
fn an_edit_is_a_conflict_until_it_is_overwritten_and_switching_off_is_none() {
    let mut lab = Lab::new();
    lab.deploy();
    let id = lab.id_of("group_created");
    lab.fake.edit(&id, |m| m["enabled"] = json!(false));
    assert_eq!(lab.words(), []);
    lab.fake.edit(&id, |m| m["inputs"][0]["doc_level_input"]["queries"][0]["query"] = json!("*:*"));
    assert_eq!(lab.words(), [("aws/iam/group_created".to_owned(), "conflict")]);
    assert_eq!(lab.deploy().written, 0);
    lab.settings.on_drift = OnDrift::Keep;
    assert_eq!(lab.words(), [("aws/iam/group_created".to_owned(), "kept")]);
    lab.settings.on_drift = OnDrift::Overwrite;
    assert_eq!(lab.deploy().written, 1);
    assert_eq!(lab.words(), []);
    assert_eq!(lab.fake.monitors()[&id]["enabled"], json!(false));
}

#[test]
fn a_monitor_whose_mark_dashboards_dropped_is_known_by_its_query() {
    let lab = Lab::new();
    lab.deploy();
    let id = lab.id_of("group_deleted");
    lab.fake.edit(&id, |m| drop(m["ui_metadata"].as_object_mut().unwrap().shift_remove("rulepack")));
    assert_eq!(lab.words(), [("aws/iam/group_deleted".to_owned(), "update")]);
    assert_eq!(lab.deploy().written, 1);
    assert_eq!(lab.fake.monitors().len(), 13);
    assert_eq!(lab.words(), []);
    // a search has no such place: another monitor of its name is not touched
    let id = lab.id_of("access_key_for_another_user");
    lab.fake.edit(&id, |m| drop(m["ui_metadata"].as_object_mut().unwrap().shift_remove("rulepack")));
    assert_eq!(lab.words(), [("aws/iam/access_key_for_another_user".to_owned(), "conflict")]);
}

#[test]
fn a_change_between_plan_and_write_is_left_alone() {
    let mut lab = Lab::new();
    lab.deploy();
    lab.wanted.iter_mut().find(|w| w.name.ends_with("group_created")).unwrap().monitor["name"] =
        json!("Other");
    let planned = lab.plan();
    let id = lab.id_of("group_created");
    lab.fake.edit(&id, |m| m["name"] = json!("Mine"));
    let applied = apply(&planned, &lab.api);
    assert_eq!((applied.written, applied.conflicts), (0, vec!["aws/iam/group_created".to_owned()]));
    assert_eq!(lab.fake.monitors()[&id]["name"], "Mine");
}

#[test]
fn a_write_whose_answer_is_lost_makes_no_second_monitor() {
    let lab = Lab::new();
    lab.fake.fault(Fault::LostReply, 1, 3);
    let applied = lab.deploy();
    assert_eq!((applied.written, applied.failed), (13, vec![]));
    assert_eq!(lab.fake.monitors().len(), 13);
    assert_eq!(lab.words(), []);
}

#[test]
fn what_the_pack_no_longer_has_stays_until_it_is_pruned() {
    let mut lab = Lab::new();
    lab.deploy();
    lab.wanted.retain(|w| !w.name.ends_with("group_created"));
    assert_eq!(lab.words().iter().map(|w| w.1).collect::<Vec<_>>(), ["orphan"]);
    lab.settings.prune = true;
    assert_eq!(lab.deploy().written, 1);
    assert_eq!((lab.fake.monitors().len(), lab.words().len()), (12, 0));
    // monitors of others are nobody's business here
    let other = json!({"name": "theirs", "monitor_type": "query_level_monitor", "triggers": []});
    lab.api.create(&other).unwrap();
    assert_eq!(lab.words(), []);
}

#[test]
fn a_canary_has_no_triggers_and_gets_them_later() {
    let lab = Lab::new();
    let pack = Pack::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let rules = pack.compile(&pack.select(&[]).unwrap());
    let canary = wanted(&monitors(&rules, &pack.config, true).support, &|_| false, true);
    assert_eq!(canary.len(), 11);
    let planned = plan(&canary, &[], &lab.settings, false);
    assert_eq!(apply(&planned, &lab.api).written, 11);
    assert!(lab.fake.monitors().values().all(|m| m["triggers"] == json!([])));
    let changes = lab.plan();
    let updates: Vec<&Change> = changes.iter().filter(|c| c.kind == Kind::Update).collect();
    assert_eq!(updates.len(), 11);
    assert!(updates.iter().all(|c| c.fields == ["triggers"]));
    assert_eq!(lab.deploy().written, 13);
    assert_eq!(lab.words(), []);
}

#[test]
fn a_search_that_fails_in_a_dry_run_is_heard_of_in_an_answer_that_looks_well() {
    let lab = Lab::new();
    let body =
        lab.wanted.iter().find(|w| w.name.ends_with("discovery_burst_from_cli")).unwrap().monitor.clone();
    assert_eq!(lab.api.dry_run(&body), Ok(None));
    let mut bad = body;
    bad["inputs"][0]["search"]["query"]["query"] = json!({"no_such_clause": {}});
    assert_eq!(lab.api.dry_run(&bad).unwrap().as_deref(), Some("unknown query [no_such_clause]"));
    // stored queries over a pattern cannot be tried at all
    let stored = lab.wanted.iter().find(|w| w.name.ends_with("group_created")).unwrap().monitor.clone();
    assert!(lab.api.dry_run(&stored).unwrap_err().to_string().contains("Index patterns are not supported"));
}

#[test]
fn errors_of_the_plugin_are_told_in_its_words() {
    let lab = Lab::new();
    let bad = json!({"name": "x", "monitor_type": "doc_level_monitor", "inputs": [
        {"doc_level_input": {"indices": ["a"], "queries": [{"id": "1", "name": "_x", "query": "*:*"}]}}]});
    let e = lab.api.create(&bad).unwrap_err();
    assert!(e.to_string().contains("may not start with [_, +, -]"), "{e}");
    let settings = FakeSettings { plugins: Vec::new(), ..FakeSettings::default() };
    let without = FakeOpenSearch::start(&settings).unwrap();
    let api = OpenSearch::new(Http::new(options(&without.url(), Credentials::None)).unwrap());
    assert!(api.monitors().unwrap_err().to_string().contains("no handler found for uri"));
    assert_eq!(api.about().unwrap().plugins, Vec::<String>::new());
}

#[test]
fn the_types_of_fields_are_asked_of_all_indices() {
    let fields = [("a".to_owned(), "text".to_owned())].into_iter().collect();
    let fake =
        FakeOpenSearch::start(&FakeSettings { fields: Some(fields), ..FakeSettings::default() }).unwrap();
    let api = OpenSearch::new(Http::new(options(&fake.url(), Credentials::None)).unwrap());
    let types = api.field_types(&["x-*".to_owned()], &["a".to_owned(), "b".to_owned()]).unwrap().unwrap();
    assert_eq!(types.pointer("/a/text/type"), Some(&Value::from("text")));
    assert!(types.get("b").is_none());
    assert!(fake.requests()[0].ends_with("fields=a%2Cb"));
    assert_eq!(Lab::new().api.field_types(&["x-*".to_owned()], &["a".to_owned()]), Ok(None));
}

#[test]
fn parts_that_belong_to_their_users_are_left_to_them() {
    let mut lab = Lab::new();
    lab.wanted.retain(|w| w.name.ends_with("group_created"));
    let theirs = json!([{ "id": "mine", "name": "call me" }]);
    let actions = |lab: &Lab| {
        let all = lab.fake.monitors();
        all.values().next().unwrap()["triggers"][0]["document_level_trigger"]["actions"].clone()
    };
    let channel =
        crate::emit::opensearch::Notification { id: "a".into(), channel: "c".into(), ..Default::default() };
    lab.wanted[0].notify(&channel);
    lab.deploy();
    let id = lab.id_of("group_created");
    assert_eq!(actions(&lab)[0]["destination_id"], "c");
    let edit = |lab: &Lab| {
        lab.fake.edit(&id, |m| {
            m["triggers"][0]["document_level_trigger"]["actions"] = theirs.clone();
            m["schedule"] = json!({ "period": { "interval": 1, "unit": "HOURS" } });
        });
    };
    edit(&lab);
    assert_eq!(lab.words()[0].1, "conflict");
    for how in [Manage::CreateOnly, Manage::Ignore] {
        lab.settings.manage = [("actions".to_owned(), how), ("schedule".to_owned(), how)].into();
        assert_eq!(lab.words(), []);
    }
    // a change of the pack goes out, and what is theirs stays
    lab.wanted[0].monitor["name"] = json!("Other");
    assert_eq!(lab.words()[0].1, "update");
    assert_eq!(lab.deploy().written, 1);
    assert_eq!(actions(&lab), theirs);
    assert_eq!(lab.fake.monitors()[&id]["schedule"]["period"]["unit"], "HOURS");
    assert_eq!(lab.words(), []);
    // theirs and ours together
    lab.settings.manage =
        [("actions".to_owned(), Manage::Add), ("schedule".to_owned(), Manage::Ignore)].into();
    assert_eq!(lab.deploy().written, 1);
    assert_eq!(actions(&lab).as_array().unwrap().len(), 2);
    assert_eq!(lab.words(), []);
    // the pack's state of `enabled` holds where it is said so
    lab.fake.edit(&id, |m| m["enabled"] = json!(false));
    assert_eq!(lab.words(), []);
    lab.settings.manage.insert("enabled".to_owned(), Manage::Set);
    lab.settings.on_drift = OnDrift::Overwrite;
    assert_eq!(lab.deploy().written, 1);
    assert_eq!(lab.fake.monitors()[&id]["enabled"], json!(true));
    // what is never the pack's is not there at the beginning either
    let mut fresh = Lab::new();
    fresh.wanted.retain(|w| w.name.ends_with("group_created"));
    fresh.wanted[0].notify(&channel);
    fresh.settings.manage = [("actions".to_owned(), Manage::Ignore)].into();
    fresh.deploy();
    assert_eq!(actions(&fresh), json!([]));
}
