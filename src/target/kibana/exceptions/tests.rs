//! Exception lists against the fake Kibana: what people have there stays, what the pack has arrives before
//! the rules that need it, and no single fault loses an exception, a comment or a link.

use super::*;
use crate::lang::exception::ExceptionFile;
use crate::pack::Config;
use crate::pack::target::{Manage, OnDrift};
use crate::target::http::each;
use crate::target::kibana::fake::{FakeKibana, Fault, FaultKind};
use crate::target::kibana::tests::{
    Memory, PACK, connect, fake, linked, lists as ui_lists, read as read_rules, rule, settings,
};
use crate::target::kibana::{Applied, Changeset, Kibana, Kind, Settings, Wanted, deploy, resolve};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

/// A pack: rules, and lists with the rules that they are for.
#[derive(Clone, Default)]
struct Lab {
    rules: Vec<Wanted>,
    lists: WantedLists,
}

impl Lab {
    fn rule(mut self, id: &str, more: Value) -> Lab {
        self.rules.push(rule(id, "query", more));
        self
    }

    /// Adds a list from the text of a file, for some of the rules.
    fn list(mut self, text: &str, rules: &[&str]) -> Lab {
        let (file, found) = ExceptionFile::read("exceptions/a.toml", text.as_bytes().to_vec());
        assert!(found.is_empty(), "{found:#?}");
        let file = file.unwrap();
        for list in &file.lists {
            let mut list = wanted::build(&file, list, PACK, &mut Vec::new());
            list.rules = rules.iter().map(|r| (*r).to_owned()).collect();
            for want in self.rules.iter_mut().filter(|w| rules.contains(&w.rule_id.as_str())) {
                wanted::link(want, &list.key, "detection");
            }
            self.lists.lists.push(list);
        }
        self
    }

    fn values(mut self, id: &str, values: &[&str]) -> Lab {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        self.lists.values.push(WantedValues { id: id.to_owned(), kind: "ip".to_owned(), values });
        self
    }
}

fn list(id: &str, items: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "[[exceptions]]\n[exceptions.container]\nlist_id = \"{id}\"\nname = \"{id}\"\ntype = \"detection\"\n"
    );
    for (item, value, more) in items {
        text.push_str(&format!(
            "[[exceptions.items]]\nitem_id = \"{item}\"\nname = \"{item}\"\n{more}\n\
             entries = [{{ field = \"user.name\", type = \"match\", value = \"{value}\" }}]\n"
        ));
    }
    text
}

/// What a deploy reads and plans; `None` where reading failed.
fn look(kibana: &Kibana, lab: &Lab, settings: &Settings) -> Option<(Vec<Wanted>, Changeset, ListPlan)> {
    let mut rules = lab.rules.clone();
    let ids: Vec<&str> = rules.iter().map(|w| w.rule_id.as_str()).collect();
    let mut live = kibana.with_tag(&crate::target::kibana::tag(PACK)).ok()?;
    live.extend(kibana.with_rule_ids(&ids).ok()?);
    live.sort_by(|a, b| a.id().cmp(b.id()));
    live.dedup_by(|a, b| a.id() == b.id());
    let there = read(kibana, &lab.lists, PACK, true, settings.prune).ok()?;
    assert!(obstacles(kibana, &lab.lists, &there).ok()?.is_empty());
    let config = Config::of_folder(PACK);
    assert!(resolve(&mut rules, &live, kibana, &config, &there.ids(&lab.lists)).ok()?.is_empty());
    let changes = crate::target::kibana::plan(&rules, &live, settings, true);
    let lists = plan(&lab.lists, &there, settings, true, &changes);
    Some((rules, changes, lists))
}

fn go(kibana: &Kibana, lab: &Lab, settings: &Settings) -> Option<Applied> {
    let (rules, changes, plan) = look(kibana, lab, settings)?;
    let lists = Lists { wanted: &lab.lists, plan: &plan };
    Some(deploy(&changes, lists, &rules, kibana, settings, &Memory::default(), Duration::ZERO))
}

fn assert_same(kibana: &Kibana, lab: &Lab, settings: &Settings, step: &str) {
    let (_, rules, lists) = look(kibana, lab, settings).unwrap();
    assert!(!rules.writes(), "{step}\n{:#?}", rules.changes);
    assert!(!lists.writes(), "{step}\n{lists:#?}");
}

fn settle(kibana: &Kibana, lab: &Lab, settings: &Settings) {
    let applied = go(kibana, lab, settings).unwrap();
    assert!(applied.failed.is_empty() && applied.lists.failed.is_empty(), "{applied:#?}");
    assert_same(kibana, lab, settings, "after a deploy");
}

/// The items of a list as the fake holds them.
fn items(fake: &FakeKibana, list: &str) -> Vec<Value> {
    let state = fake.state();
    let lists = state["spaces"]["default"]["exception_lists"].as_array().cloned().unwrap_or_default();
    let found = lists.into_iter().find(|l| l["list_id"] == list);
    found.map(|l| l["items"].as_array().cloned().unwrap_or_default()).unwrap_or_default()
}

fn item(fake: &FakeKibana, list: &str, id: &str) -> Option<Value> {
    items(fake, list).into_iter().find(|i| i["item_id"] == id)
}

fn comments(item: &Value) -> Vec<String> {
    let all = item["comments"].as_array().cloned().unwrap_or_default();
    all.iter().map(|c| c["comment"].as_str().unwrap().to_owned()).collect()
}

/// What somebody puts into a list in Kibana.
fn add_theirs(fake: &FakeKibana, list: &str, id: &str) {
    fake.seed(&json!({ "exception_items": [{ "list_id": list, "item_id": id, "name": id, "description": "d", "type": "simple",
        "entries": [{ "field": "user.name", "type": "match", "operator": "included", "value": "x" }] }] }))
        .unwrap();
}

#[test]
fn a_list_with_every_kind_of_condition_reads_back_equal_when_it_is_made_changed_and_emptied() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let conditions = [
        "{ field = \"a\", type = \"match\", value = \"x\" }",
        "{ field = \"a\", type = \"match\", operator = \"excluded\", value = \"x\" }",
        "{ field = \"a\", type = \"match_any\", value = [\"x\", \"y\"] }",
        "{ field = \"a\", type = \"exists\" }",
        "{ field = \"a\", type = \"wildcard\", value = \"x*\" }",
        "{ field = \"a\", type = \"list\", list = { id = \"v\", type = \"ip\" } }",
        "{ field = \"a\", type = \"nested\", entries = [{ field = \"b\", type = \"match\", value = \"x\" }] }",
    ];
    let file = |more: &str, first: usize| {
        let mut text = list("l", &[]).replace("name =", &format!("{more}\nname ="));
        for i in 0..conditions.len() {
            text.push_str(&format!(
                "[[exceptions.items]]\nname = \"item {i}\"\n{more}\nentries = [{}]\n",
                conditions[(i + first) % conditions.len()]
            ));
        }
        text
    };
    let lab = |text: &str| {
        Lab::default().rule("a", json!({})).list(text, &["a"]).values("v", &["10.0.0.1", "10.0.0.2"])
    };
    let settings = settings();
    settle(&kibana, &lab(&file("tags = [\"owner:soc\"]", 0)), &settings);
    assert_eq!(items(&fake, "l").len(), conditions.len());
    settle(&kibana, &lab(&file("description = \"why\"\nmeta = { ticket = 1 }", 1)), &settings);
    settle(&kibana, &lab(&list("l", &[])), &settings);
    assert!(items(&fake, "l").is_empty());
    assert_eq!(linked(&fake, "a"), ["l"]);
    for (from, to) in [
        ("", "expire_time = \"2027-01-01T00:00:00Z\""),
        ("expire_time = \"2027-02-01T00:00:00.000Z\"", ""),
        ("", "os_types = [\"linux\"]"),
    ] {
        settle(&kibana, &lab(&list("l", &[("i", "x", from)])), &settings);
        settle(&kibana, &lab(&list("l", &[("i", "x", to)])), &settings);
    }
}

#[test]
fn what_people_add_to_a_list_in_kibana_stays_and_their_edits_are_conflicts() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let settings = settings();
    let before =
        list("l", &[("a", "1", "comments = [{ comment = \"SOC-1\" }]"), ("b", "1", ""), ("c", "1", "")]);
    let lab = |text: &str| Lab::default().rule("r", json!({})).list(text, &["r"]);
    settle(&kibana, &lab(&before), &settings);
    add_theirs(&fake, "l", "theirs");
    let said = item(&fake, "l", "a").unwrap()["comments"].clone();
    let mut more = said.as_array().cloned().unwrap();
    more.push(json!({ "id": "c-2", "comment": "seen", "created_by": "j.doe" }));
    fake.edit(&json!({ "item_id": "a", "set": { "comments": more, "tags": ["soc", tag()] } })).unwrap();
    fake.edit(&json!({ "item_id": "b", "user": "j.doe", "set": { "name": "mine" } })).unwrap();
    fake.edit(&json!({ "item_id": "c", "user": "j.doe", "set": { "description": "mine" } })).unwrap();
    // an addition is no edit
    let (_, _, same) = look(&kibana, &lab(&before), &settings).unwrap();
    assert_eq!(same.lists[0].items.iter().filter(|i| i.kind == Kind::Same).count(), 1);
    let after = list(
        "l",
        &[("a", "2", "comments = [{ comment = \"SOC-1\" }, { comment = \"SOC-2\" }]"), ("b", "2", "")],
    );
    let (_, _, planned) = look(&kibana, &lab(&after), &settings).unwrap();
    let change = &planned.lists[0];
    assert_eq!((change.word(), change.kept, change.conflicts()), ("update", 1, 1));
    let Kind::Conflict { reason, .. } = &change.items[1].kind else { panic!("{change:#?}") };
    assert_eq!(reason, "edited in Kibana by j.doe");
    assert!(matches!(change.items[2].kind, Kind::Orphan { .. }), "{change:#?}");
    let theirs = item(&fake, "l", "theirs").unwrap();
    settle(&kibana, &lab(&after), &settings);
    assert_eq!(item(&fake, "l", "theirs").unwrap(), theirs);
    let a = item(&fake, "l", "a").unwrap();
    assert_eq!(comments(&a), ["SOC-1", "seen", "SOC-2"]);
    assert_eq!(a["comments"][1]["id"], "c-2");
    assert!(a["tags"].as_array().unwrap().contains(&json!("soc")));
    assert_eq!(item(&fake, "l", "b").unwrap()["name"], "mine");
    assert!(item(&fake, "l", "c").is_some());
    let mut overwrite = settings.clone();
    overwrite.on_drift = OnDrift::Overwrite;
    settle(&kibana, &lab(&after), &overwrite);
    assert_eq!(item(&fake, "l", "b").unwrap()["name"], "b");
    assert!(item(&fake, "l", "c").is_none() && item(&fake, "l", "theirs").is_some());
}

fn tag() -> String {
    crate::target::kibana::tag(PACK)
}

#[test]
fn a_list_that_somebody_made_is_used_as_it_is_and_what_says_the_same_is_taken_over() {
    let fake = fake();
    let kibana = connect(&fake.url());
    ui_lists(&fake, &["l"]);
    add_theirs(&fake, "l", "same");
    add_theirs(&fake, "l", "other");
    let mut text = list("l", &[("same", "x", "description = \"d\""), ("other", "y", ""), ("new", "z", "")]);
    text = text.replacen("name = \"l\"", "name = \"our name\"", 1);
    let lab = Lab::default().rule("r", json!({})).list(&text, &["r"]);
    let applied = go(&kibana, &lab, &settings()).unwrap();
    assert!(applied.failed.is_empty() && applied.lists.failed.is_empty(), "{applied:#?}");
    assert_same(&kibana, &lab, &settings(), "");
    let state = fake.state();
    let there = &state["spaces"]["default"]["exception_lists"]
        .as_array()
        .unwrap()
        .iter()
        .find(|l| l["list_id"] == "l")
        .unwrap()
        .clone();
    assert_eq!((&there["name"], &there["tags"]), (&json!("l"), &json!([])));
    let owned = |id: &str| item(&fake, "l", id).unwrap()["tags"].as_array().unwrap().contains(&json!(tag()));
    assert_eq!([owned("same"), owned("other"), owned("new")], [true, false, true]);
    assert_eq!(linked(&fake, "r"), ["l"]);
}

#[test]
fn the_pack_takes_its_own_links_away_and_no_others_and_lists_go_only_when_nobody_needs_them() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let both = Lab::default()
        .rule("r", json!({}))
        .rule("s", json!({}))
        .list(&list("l", &[("a", "1", "")]), &["r", "s"]);
    settle(&kibana, &both, &settings());
    let ui = ui_lists(&fake, &["ui"]);
    let mut links = fake.rule("default", "r").unwrap()["exceptions_list"].as_array().cloned().unwrap();
    links.extend(ui);
    fake.edit(&json!({ "rule_id": "r", "via": "api", "set": { "exceptions_list": links } })).unwrap();
    let none = Lab::default().rule("r", json!({})).rule("s", json!({}));
    let (_, rules, lists) = look(&kibana, &none, &settings()).unwrap();
    assert_eq!((rules.count("update"), lists.count("orphan"), lists.count("delete")), (2, 1, 0));
    assert_eq!(rules.changes[0].kept.exceptions, 1);
    // somebody linked the list to a rule of his own
    fake.seed(&json!({ "rules": [{ "rule_id": "foreign", "name": "f", "type": "query", "exceptions_list": [links[0]] }] })).unwrap();
    let mut prune = settings();
    prune.prune = true;
    let (_, _, lists) = look(&kibana, &none, &prune).unwrap();
    assert!(
        matches!(&lists.lists[0].kind, Kind::Orphan { reason } if reason.contains("a rule uses it")),
        "{lists:#?}"
    );
    settle(&kibana, &none, &prune);
    assert_eq!((linked(&fake, "r"), linked(&fake, "s")), (vec!["ui".to_owned()], Vec::new()));
    assert_eq!((linked(&fake, "foreign"), items(&fake, "l").len()), (vec!["l".to_owned()], 1));
    fake.edit(&json!({ "rule_id": "foreign", "delete": true })).unwrap();
    // nor does a list go in which somebody has an exception
    add_theirs(&fake, "l", "theirs");
    let (_, _, lists) = look(&kibana, &none, &prune).unwrap();
    assert!(
        matches!(&lists.lists[0].kind, Kind::Orphan { reason } if reason.contains("were made or edited")),
        "{lists:#?}"
    );
    fake.edit(&json!({ "item_id": "theirs", "delete": true })).unwrap();
    settle(&kibana, &none, &prune);
    let state = fake.state();
    let left = state["spaces"]["default"]["exception_lists"].as_array().unwrap();
    assert!(left.iter().all(|l| l["list_id"] != "l"), "{left:#?}");
}

#[test]
fn manage_decides_whether_links_are_added_set_made_once_or_left_alone() {
    for (mode, first, then) in [
        (Manage::Add, &["l"][..], &["l", "ui"][..]),
        (Manage::Set, &["l"], &["l"]),
        (Manage::CreateOnly, &["l"], &["ui"]),
        (Manage::Ignore, &[], &["ui"]),
    ] {
        let fake = fake();
        let kibana = connect(&fake.url());
        let mut settings = settings();
        settings.on_drift = OnDrift::Overwrite;
        settings.manage.insert("exceptions_list".to_owned(), mode);
        let lab = Lab::default().rule("r", json!({})).list(&list("l", &[("a", "1", "")]), &["r"]);
        settle(&kibana, &lab, &settings);
        assert_eq!(linked(&fake, "r"), first, "{mode:?}");
        let ui = ui_lists(&fake, &["ui"]);
        fake.edit(&json!({ "rule_id": "r", "via": "api", "set": { "exceptions_list": ui } })).unwrap();
        settle(&kibana, &lab, &settings);
        let mut links = linked(&fake, "r");
        links.sort();
        assert_eq!(links, then, "{mode:?}");
    }
}

#[test]
fn two_default_lists_of_one_rule_are_a_conflict() {
    let fake = fake();
    let kibana = connect(&fake.url());
    fake.seed(&json!({ "exception_lists": [{ "list_id": "ui", "name": "n", "description": "d", "type": "rule_default" }] })).unwrap();
    settle(&kibana, &Lab::default().rule("r", json!({})), &settings());
    let id = kibana.exception_list("ui", "single").unwrap().unwrap();
    let link = json!([{ "id": id, "list_id": "ui", "type": "rule_default", "namespace_type": "single" }]);
    fake.edit(&json!({ "rule_id": "r", "via": "api", "set": { "exceptions_list": link } })).unwrap();
    let text = list("l", &[("a", "1", "")]).replace("\"detection\"", "\"rule_default\"");
    let mut lab = Lab::default().rule("r", json!({})).list(&text, &["r"]);
    lab.rules[0].body["exceptions_list"][0]["type"] = json!("rule_default");
    let (_, rules, _) = look(&kibana, &lab, &settings()).unwrap();
    assert!(
        matches!(&rules.changes[0].kind, Kind::Conflict { reason, .. } if reason.contains("takes one only")),
        "{rules:#?}"
    );
}

#[test]
fn value_lists_are_made_and_filled_up_and_lose_nothing() {
    let fake = fake();
    let kibana = connect(&fake.url());
    let text = list("l", &[])
        + "[[exceptions.items]]\nname = \"i\"\nentries = [{ field = \"source.ip\", type = \"list\", list = { id = \"v\", type = \"ip\" } }]\n";
    let many: Vec<String> = (0..1200).map(|i| format!("10.0.{}.{}", i / 250, i % 250)).collect();
    let lab = |n: usize| {
        let some: Vec<&str> = many.iter().take(n).map(String::as_str).collect();
        Lab::default().rule("r", json!({})).list(&text, &["r"]).values("v", &some)
    };
    settle(&kibana, &lab(1100), &settings());
    kibana.add_values("v", &["192.0.2.1"]).unwrap();
    let (_, _, planned) = look(&kibana, &lab(1200), &settings()).unwrap();
    assert_eq!(
        (planned.values[0].added.len(), planned.values[0].kept, planned.values[0].is_new),
        (100, 1, false)
    );
    settle(&kibana, &lab(1200), &settings());
    settle(&kibana, &lab(10), &settings());
    assert_eq!(kibana.values("v").unwrap().len(), 1201);
}

/// Any file of a list: exceptions with conditions, comments, tags, an end, and names that may be there twice.
fn any_list() -> impl Strategy<Value = String> {
    let leaf = || {
        prop_oneof![
            "[a-z]{1,3}".prop_map(|v| format!("type = \"match\", value = \"{v}\"")),
            "[a-z]{1,3}".prop_map(|v| format!("type = \"match\", operator = \"excluded\", value = \"{v} \"")),
            "[a-z]{1,3}".prop_map(|v| format!("type = \"match_any\", value = [\"{v}\", \"B\"]")),
            Just("type = \"exists\"".to_owned()),
        ]
    };
    let entry = prop_oneof![
        leaf(),
        Just("type = \"wildcard\", value = \"a*\\\\*\"".to_owned()),
        leaf().prop_map(|l| format!("type = \"nested\", entries = [{{ field = \"n\", {l} }}]")),
    ];
    let more = prop::sample::subsequence(
        vec![
            "description = \"why\"",
            "comments = [{ comment = \"SOC-1\" }, { comment = \"SOC-1\" }]",
            "tags = [\"owner:soc\", \"b\"]",
            "os_types = [\"linux\"]",
            "expire_time = \"2027-01-01T00:00:00Z\"",
            "meta = { ticket = { id = 7 } }",
        ],
        0..=6,
    );
    let item = ("[a-c]", any::<bool>(), prop::collection::vec(entry, 1..3), more);
    prop::collection::vec(item, 0..5).prop_map(|items| {
        let mut text = list("l", &[]);
        for (i, (name, own, entries, more)) in items.iter().enumerate() {
            let id = if *own { format!("item_id = \"own-{i}\"\n") } else { String::new() };
            let entries: Vec<String> =
                entries.iter().map(|e| format!("{{ field = \"f.{name}\", {e} }}")).collect();
            text.push_str(&format!(
                "[[exceptions.items]]\nname = \"{name}\"\n{id}{}\nentries = [{}]\n",
                more.join("\n"),
                entries.join(", ")
            ));
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn any_list_reads_back_equal_after_it_is_made_and_after_it_becomes_any_other(texts in prop::collection::vec(any_list(), 2)) {
        let fake = fake();
        let kibana = connect(&fake.url());
        for text in &texts {
            settle(&kibana, &Lab::default().rule("r", json!({})).list(text, &["r"]), &settings());
            let wanted = text.matches("[[exceptions.items]]").count();
            prop_assert_eq!(items(&fake, "l").len(), wanted);
            prop_assert_eq!(linked(&fake, "r"), vec!["l".to_owned()]);
        }
    }
}

#[test]
fn two_deploys_at_once_make_every_exception_once_and_the_next_has_nothing_to_do() {
    let text = list("l", &[("a", "1", "comments = [{ comment = \"x\" }]"), ("b", "1", ""), ("c", "1", "")]);
    let lab = Lab::default().rule("r", json!({})).list(&text, &["r"]).values("v", &["10.0.0.1"]);
    for _ in 0..10 {
        let fake = fake();
        let run = || go(&connect(&fake.url()), &lab, &settings()).unwrap();
        let (one, two) = std::thread::scope(|s| {
            let (a, b) = (s.spawn(run), s.spawn(run));
            (a.join().unwrap(), b.join().unwrap())
        });
        assert!(one.lists.failed.is_empty() && two.lists.failed.is_empty(), "{one:#?} {two:#?}");
        assert_eq!(items(&fake, "l").len(), 3);
        assert!(items(&fake, "l").iter().all(|i| comments(i).len() <= 1));
        settle(&connect(&fake.url()), &lab, &settings());
    }
}

/// A Kibana with lists that people added to, and the next state of the pack: an exception changed, one new,
/// one stale, a new list with a value list, a list that goes, a rule that is new and one that changes.
fn scene() -> (FakeKibana, Lab, Settings) {
    let fake = fake();
    let kibana = connect(&fake.url());
    let before = Lab::default()
        .rule("r", json!({}))
        .rule("s", json!({}))
        .list(
            &list(
                "l",
                &[
                    ("same", "1", ""),
                    ("changed", "1", "comments = [{ comment = \"ours\" }]"),
                    ("stale", "1", ""),
                ],
            ),
            &["r", "s"],
        )
        .list(&list("old", &[("o", "1", "")]), &["s"]);
    settle(&kibana, &before, &settings());
    add_theirs(&fake, "l", "theirs");
    let mut said = item(&fake, "l", "changed").unwrap()["comments"].as_array().cloned().unwrap();
    said.push(json!({ "id": "c-2", "comment": "theirs" }));
    fake.edit(&json!({ "item_id": "changed", "set": { "comments": said } })).unwrap();
    let mut links = fake.rule("default", "r").unwrap()["exceptions_list"].as_array().cloned().unwrap();
    links.extend(ui_lists(&fake, &["ui"]));
    fake.edit(&json!({ "rule_id": "r", "via": "api", "set": { "exceptions_list": links } })).unwrap();
    let with_values = list("new", &[])
        + "[[exceptions.items]]\nitem_id = \"n\"\nname = \"n\"\nentries = [{ field = \"source.ip\", type = \"list\", list = { id = \"v\", type = \"ip\" } }]\n";
    let after = Lab::default()
        .rule("r", json!({ "severity": "high" }))
        .rule("s", json!({}))
        .rule("t", json!({}))
        .list(
            &list(
                "l",
                &[
                    ("same", "1", ""),
                    ("changed", "2", "comments = [{ comment = \"ours\" }, { comment = \"more\" }]"),
                    ("fresh", "1", ""),
                ],
            ),
            &["r", "s"],
        )
        .list(&with_values, &["r", "t"])
        .values("v", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    let mut settings = settings();
    settings.prune = true;
    (fake, after, settings)
}

/// What must hold at any moment of a deploy, whatever went wrong.
fn assert_nothing_lost(fake: &FakeKibana, step: &str) {
    for id in ["same", "changed", "theirs"] {
        assert!(item(fake, "l", id).is_some(), "lost `{id}`: {step}");
    }
    let said = comments(&item(fake, "l", "changed").unwrap());
    assert!(said.starts_with(&["ours".to_owned(), "theirs".to_owned()]), "{said:?}: {step}");
    for (rule, links) in [("r", &["l", "ui"][..]), ("s", &["l"])] {
        let there = linked(fake, rule);
        assert!(links.iter().all(|l| there.iter().any(|t| t == l)), "{rule} has {there:?}: {step}");
    }
    // a rule never refers to a list that is not complete
    for rule in fake.rules("default") {
        for link in rule["exceptions_list"].as_array().unwrap() {
            let least = match link["list_id"].as_str().unwrap() {
                "new" | "old" => 1,
                "l" => 3,
                _ => 0,
            };
            assert!(items(fake, link["list_id"].as_str().unwrap()).len() >= least, "{rule}: {step}");
        }
    }
}

#[test]
fn no_single_fault_at_any_step_loses_an_exception_a_comment_or_a_link() {
    let (made, lab, settings) = scene();
    let fake = made.twin().unwrap();
    let before = fake.requests().len();
    let applied = go(&connect(&fake.url()), &lab, &settings).unwrap();
    assert!(applied.failed.is_empty() && applied.lists.failed.is_empty(), "{applied:#?}");
    assert_eq!(applied.lists.written, 4);
    let requests = u64::try_from(fake.requests().len() - before).unwrap();
    let deleted: Vec<String> = fake
        .requests()
        .iter()
        .filter(|r| r["method"] == "DELETE")
        .map(|r| r["target"].as_str().unwrap().split('?').next().unwrap().to_owned())
        .collect();
    assert_eq!(deleted, ["/api/exception_lists/items", "/api/exception_lists"]);
    let kinds = [
        FaultKind::Conflict,
        FaultKind::Overloaded,
        FaultKind::Status(400, None),
        FaultKind::Status(404, None),
        FaultKind::Status(500, None),
        FaultKind::Status(503, None),
        FaultKind::Reset,
        FaultKind::Refuse,
        FaultKind::LostReply,
        FaultKind::Half,
    ];
    // each once; and some from then on, as when Kibana goes down
    let once = kinds.iter().flat_map(|kind| (0..requests).map(|at| (kind.clone(), at, 1)));
    let down = [FaultKind::Refuse, FaultKind::Status(500, None)];
    let ever = down.iter().flat_map(|kind| (0..requests).step_by(4).map(|at| (kind.clone(), at, 0)));
    let cases: Vec<(FaultKind, u64, u64)> = once.chain(ever).collect();
    each(&cases, 8, |(kind, at, times)| {
        let fake = made.twin().unwrap();
        // once, or from then on
        fake.fault(Fault::new(kind.clone()).after(*at).times(*times));
        let mut options = crate::target::kibana::options(&fake.url(), crate::target::http::Credentials::None);
        (options.pause, options.attempts) = (Duration::from_micros(100), 3);
        let kibana = Kibana::new(crate::target::http::Http::new(options).unwrap(), "default");
        let applied = if *times == 0 && matches!(kind, FaultKind::Status(404, _)) {
            None
        } else {
            go(&kibana, &lab, &settings)
        };
        fake.clear_faults();
        let step = format!("{kind:?} at request {at} of {requests}, {times} times: {applied:#?}");
        assert_nothing_lost(&fake, &step);
        if applied
            .as_ref()
            .is_some_and(|a| a.failed.is_empty() && a.conflicts.is_empty() && a.lists.failed.is_empty())
            && *times == 1
            && !matches!(kind, FaultKind::Status(404 | 403, _))
        {
            assert_same(&connect(&fake.url()), &lab, &settings, &step);
        }
        // and the next deploy ends it
        let kibana = connect(&fake.url());
        let again = go(&kibana, &lab, &settings).unwrap();
        assert!(
            again.failed.is_empty() && again.conflicts.is_empty() && again.lists.failed.is_empty(),
            "{step}\n{again:#?}"
        );
        assert_same(&kibana, &lab, &settings, &step);
        assert_nothing_lost(&fake, &step);
        let mut links = linked(&fake, "r");
        links.sort();
        assert_eq!(
            (links, linked(&fake, "s"), linked(&fake, "t")),
            (
                vec!["l".to_owned(), "new".to_owned(), "ui".to_owned()],
                vec!["l".to_owned()],
                vec!["new".to_owned()]
            ),
            "{step}"
        );
        assert_eq!(comments(&item(&fake, "l", "changed").unwrap()), ["ours", "theirs", "more"], "{step}");
        assert!(item(&fake, "l", "stale").is_none() && item(&fake, "l", "fresh").is_some(), "{step}");
        assert_eq!(kibana.values("v").unwrap().len(), 3, "{step}");
    });
}

#[test]
fn what_people_do_between_plan_and_write_stays() {
    let (fake, lab, settings) = scene();
    let kibana = connect(&fake.url());
    let (rules, changes, plan) = look(&kibana, &lab, &settings).unwrap();
    fake.edit(&json!({ "item_id": "changed", "user": "j.doe", "set": { "description": "mine" } })).unwrap();
    fake.edit(&json!({ "item_id": "stale", "user": "j.doe", "set": { "description": "mine" } })).unwrap();
    add_theirs(&fake, "l", "late");
    add_theirs(&fake, "old", "late-too");
    let lists = Lists { wanted: &lab.lists, plan: &plan };
    let applied = deploy(&changes, lists, &rules, &kibana, &settings, &Memory::default(), Duration::ZERO);
    assert_eq!(applied.lists.conflicts.len(), 2, "{applied:#?}");
    assert_eq!(applied.lists.failed.len(), 1, "{applied:#?}");
    assert!(applied.lists.failed[0].message.contains("were made or edited"), "{applied:#?}");
    assert_eq!(item(&fake, "l", "changed").unwrap()["description"], "mine");
    for (list, id) in [("l", "stale"), ("l", "late"), ("old", "late-too")] {
        assert!(item(&fake, list, id).is_some(), "{id}");
    }
    assert!(read_rules(&kibana, &rules).len() >= 3);
}

#[test]
fn a_stale_exception_stays_while_a_rule_that_it_keeps_quiet_is_not_written() {
    let (fake, lab, settings) = scene();
    fake.fault(
        Fault::new(FaultKind::Status(400, None))
            .on("PUT", "/api/detection_engine/rules")
            .containing("\"r\"")
            .times(0),
    );
    let kibana = connect(&fake.url());
    let applied = go(&kibana, &lab, &settings).unwrap();
    assert!(!applied.failed.is_empty(), "{applied:#?}");
    assert!(applied.lists.failed.iter().any(|f| f.item.as_deref() == Some("stale")), "{applied:#?}");
    assert!(item(&fake, "l", "stale").is_some());
    fake.clear_faults();
    settle(&kibana, &lab, &settings);
    assert!(item(&fake, "l", "stale").is_none());
}
