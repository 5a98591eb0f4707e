//! Tests of packs on disk: loading, selecting, compiling, and the test files.

use super::*;
use crate::diag::Severity;
use crate::lang::rule::tests::example;
use crate::lint::validate;
use std::fs;
use tempfile::TempDir;

/// A pack with a `rulepack.toml` and the files that are given by path below it.
fn pack(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = [(CONFIG, "[pack]\nname = \"t\"\nstacks = [\"8.19\", \"9.5\"]\n")];
    for (name, text) in config.iter().chain(files) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// The example rule under another name and id.
fn rule(number: u8) -> String {
    example()
        .replace("A thing", &format!("Thing {number}"))
        .replace("1d0a4b8e", &format!("1d0a4b{number:02x}"))
}

fn names(files: &[&RuleFile]) -> String {
    files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn codes(found: &[Diagnostic]) -> String {
    found.iter().map(|d| d.code.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn rules_are_found_in_order_and_hidden_files_are_not() {
    let dir = pack(&[
        ("rules-toml/b.toml", &rule(1)),
        ("rules-toml/a/c.toml", &rule(2)),
        ("rules-toml/.hidden.toml", "x"),
        ("rules-toml/.git/d.toml", "x"),
        ("rules-toml/readme.md", "x"),
    ]);
    let pack = Pack::load(dir.path()).unwrap();
    assert_eq!(names(&pack.select(&[]).unwrap()), "a/c b");
    assert_eq!(pack.files[0].file, "rules-toml/a/c.toml");
    assert!(pack.diagnostics.is_empty(), "{:#?}", pack.diagnostics);
    assert_eq!(Pack::find(&dir.path().join("rules-toml/a")).unwrap(), dir.path());
    assert!(pack.rule("a/c").is_some());
}

#[test]
fn a_folder_without_a_pack_has_no_pack() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(codes(&Pack::load(dir.path()).unwrap_err()), "RP0711");
    assert_eq!(codes(&Pack::open(&dir.path().join("nothing")).unwrap_err()), "RP0001");
    fs::write(dir.path().join("one.toml"), rule(1)).unwrap();
    let pack = Pack::open(&dir.path().join("one.toml")).unwrap();
    assert_eq!(pack.rules().count(), 1);
    assert_eq!(Pack::open(dir.path()).unwrap().files[0].name, "one");
}

#[test]
fn selectors_are_names_paths_patterns_ids_tags_and_severities() {
    let high = rule(3).replace("\"low\"", "\"high\"").replace("\"one\"", "\"Other: tag\"");
    let dir = pack(&[
        ("rules-toml/aws/iam/one.toml", &rule(1)),
        ("rules-toml/aws/s3/two.toml", &rule(2)),
        ("rules-toml/okta/three.toml", &high),
    ]);
    let pack = Pack::load(dir.path()).unwrap();
    let select = |s: &str| names(&pack.select(&[s.to_owned()]).unwrap());
    assert_eq!(select("aws/iam/one"), "aws/iam/one");
    assert_eq!(select("rules-toml/aws/iam/one.toml"), "aws/iam/one");
    assert_eq!(select("./rules-toml/aws/"), "aws/iam/one aws/s3/two");
    assert_eq!(select("aws/*/*"), "aws/iam/one aws/s3/two");
    assert_eq!(select("**/t*"), "aws/s3/two okta/three");
    assert_eq!(select("1d0a4b02-62a3-4f67-9d0c-2f2d5b6c7e11"), "aws/s3/two");
    assert_eq!(select("tag:other: TAG"), "okta/three");
    assert_eq!(select("severity:high"), "okta/three");
    let two = pack.select(&["okta".to_owned(), "aws/s3/two".to_owned()]).unwrap();
    assert_eq!(names(&two), "aws/s3/two okta/three");
    let nothing = |s: &str| pack.select(&[s.to_owned()]).unwrap_err().remove(0);
    assert_eq!(nothing("aws/iam/on").help.as_deref(), Some("did you mean `aws/iam/one`?"));
    assert_eq!(nothing("three").help.as_deref(), Some("did you mean `okta/three`?"));
    assert_eq!(nothing("tag:Other: tga").help.as_deref(), Some("did you mean `tag:Other: tag`?"));
    assert_eq!(nothing("aw").code, Code::RP0707);
    assert_eq!(nothing("a[").code, Code::RP0707);
}

#[test]
fn ids_and_names_that_are_used_twice_name_both_files() {
    let dir = pack(&[("rules-toml/a.toml", &rule(1)), ("rules-toml/b.toml", &rule(1))]);
    let pack = Pack::load(dir.path()).unwrap();
    assert!(pack.files[0].diagnostics.is_empty());
    let found = &pack.files[1].diagnostics;
    assert_eq!(codes(found), "RP0701 RP0702");
    assert_eq!(found[0].place().as_deref(), Some("rules-toml/b.toml:14:11"));
    assert_eq!(found[0].notes, ["`a` has it too, at rules-toml/a.toml:14:11"]);
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_the_pack_or_round_in_circles() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.toml"), rule(9)).unwrap();
    let dir = pack(&[("rules-toml/a.toml", &rule(1)), ("tests/fixtures/f.json", "{}")]);
    let at = |p: &str| dir.path().join(p);
    symlink(outside.path().join("x.toml"), at("rules-toml/x.toml")).unwrap();
    symlink(at("rules-toml"), at("rules-toml/again")).unwrap();
    symlink("/etc/hosts", at("tests/fixtures/h.json")).unwrap();
    let pack = Pack::load(dir.path()).unwrap();
    assert_eq!(names(&pack.select(&[]).unwrap()), "a");
    assert_eq!(codes(&pack.diagnostics), "RP0706 RP0706");
    assert_eq!(pack.fixture("h.json").unwrap_err().code, Code::RP0706);
    assert_eq!(pack.fixture("../../rulepack.toml").unwrap_err().code, Code::RP0706);
    assert_eq!(pack.fixture("f.json").unwrap(), b"{}");
    assert_eq!(pack.fixture("g.json").unwrap_err().code, Code::RP0705);
}

#[test]
fn tests_are_read_with_their_events_and_expectations() {
    let text = "[[case]]\nname = \"one\"\nat = \"2026-01-11T10:00:00Z\"\nhistory = [\"old.json\"]\n\
                events = [\"new.json\", { \"user.name\" = \"x\", at = 2026-01-01T00:00:00Z }]\n\
                expect = [{ events = [\"abc\"], group = { \"user.name\" = \"x\" } }]\n\
                [[case]]\nname = \"two\"\nevents = [\"new.json\"]\nexpect = 0\ntodo = \"SOC-1\"\n";
    let dir = pack(&[
        ("rules-toml/a.toml", &rule(1)),
        ("tests/rules/a.toml", text),
        ("tests/fixtures/old.json", "{\"old\":1}"),
        ("tests/fixtures/new.json", "{}"),
    ]);
    let pack = Pack::load(dir.path()).unwrap();
    let (files, found) = pack.tests(&pack.select(&[]).unwrap());
    assert!(found.is_empty(), "{found:#?}");
    assert!(files[0].diagnostics.is_empty(), "{:#?}", files[0].diagnostics);
    let [one, two] = files[0].cases.as_slice() else { panic!("two cases") };
    assert_eq!(one.at, Some(1_768_125_600_000_000_000));
    assert!(matches!(&one.history[0], TestEvent::File { bytes, .. } if bytes.as_ref() == b"{\"old\":1}"));
    assert!(matches!(&one.events[1], TestEvent::Inline { json, .. } if json["at"] == "2026-01-01T00:00:00Z"));
    let Some(Expect::Alerts(alerts)) = &one.expect else { panic!("alerts") };
    assert_eq!((alerts[0].events[0].as_str(), alerts[0].group.len()), ("abc", 1));
    assert_eq!((two.expect.as_ref(), two.todo.as_deref()), (Some(&Expect::Count(0)), Some("SOC-1")));
}

#[test]
fn mistakes_in_tests_are_placed() {
    let text = "[[case]]\nname = \"one\"\nevents = [\"event.jsn\"]\nexpect = 0\n\
                [[case]]\nname = \"one\"\nevents = [\"../../rulepack.toml\"]\nexpect = 0\n";
    let dir = pack(&[
        ("rules-toml/a/thing.toml", &rule(1)),
        ("tests/rules/a/thing.toml", text),
        ("tests/rules/a/thign.toml", text),
        ("tests/fixtures/event.json", "{}"),
    ]);
    let pack = Pack::load(dir.path()).unwrap();
    let (files, found) = pack.tests(&pack.select(&[]).unwrap());
    assert_eq!(codes(&found), "RP0704");
    assert_eq!(found[0].help.as_deref(), Some("did you mean `a/thing`?"));
    assert_eq!(codes(&files[0].diagnostics), "RP0705 RP0007 RP0706");
    assert_eq!(files[0].diagnostics[0].place().as_deref(), Some("tests/rules/a/thing.toml:3:11"));
    assert_eq!(files[0].diagnostics[0].help.as_deref(), Some("did you mean `event.json`?"));
    assert!(files[0].cases.is_empty());
}

/// The findings of one rule on the stacks 8.19 and 9.5, what is not supported left out.
fn findings(text: &str) -> Vec<Diagnostic> {
    let dir = pack(&[("rules-toml/a.toml", text)]);
    let pack = Pack::load(dir.path()).unwrap();
    let found = validate(&pack, &pack.select(&[]).unwrap()).diagnostics;
    found.into_iter().filter(|d| d.code != Code::RP9001 && d.code != Code::RP1603).collect()
}

#[test]
fn a_field_that_one_stack_lacks_is_a_finding_about_stacks() {
    let base = example()
        .replace("min_stack_version = \"9.0\"\n", "")
        .replace("type = \"query\"", "type = \"new_terms\"\nhistory_window_start = \"now-7d\"");
    let with = |field: &str| base.replace("type =", &format!("new_terms_fields = [\"{field}\"]\ntype ="));
    assert!(findings(&with("user.name")).is_empty());
    let found = findings(&with("cloud.entity.attributes.storage_class"));
    assert_eq!(codes(&found), "RP0801", "{found:#?}");
    assert_eq!(found[0].notes, ["ECS has it since 9.4"]);
    assert_eq!(found[0].message, "`cloud.entity.attributes.storage_class` is unknown to stack 8.19");
    let found = findings(&with("user.nmae"));
    assert_eq!(codes(&found), "RP0201");
    assert_eq!(found[0].help.as_deref(), Some("did you mean `user.name`?"));
    assert_eq!(found[0].fix.as_ref().unwrap().replacement, "\"user.name\"");
    let newer = with("cloud.entity.attributes.storage_class")
        .replace("[rule]", "min_stack_version = \"9.5\"\n[rule]");
    assert!(findings(&newer).is_empty());
    let future = newer.replace("\"9.5\"", "\"10.0\"");
    assert_eq!(codes(&findings(&future)), "RP0802");
}

#[test]
fn what_cannot_be_run_is_one_note_a_reason() {
    let saved = |n| rule(n).replace("\"query\"\n", "\"saved_query\"\nsaved_id = \"one\"\n");
    let dir = pack(&[("rules-toml/a.toml", &saved(1)), ("rules-toml/b.toml", &saved(2))]);
    let pack = Pack::load(dir.path()).unwrap();
    let validation = validate(&pack, &pack.select(&[]).unwrap());
    let mut found = validation.diagnostics.clone();
    // the rules are alike, and have no timestamp override
    found.retain(|d| ![Code::RP1603, Code::RP1607].contains(&d.code));
    assert_eq!(codes(&found), "RP9001");
    let note = &found[0];
    assert_eq!(note.severity, Severity::Note);
    assert_eq!(note.message, "saved query rules are not supported yet, so 2 rules are not run");
    assert!(!validation.failed());
    assert!(validation.rules.iter().all(|r| r.plan.is_none()));
}

#[test]
fn sources_come_from_the_query_before_the_index_patterns() {
    let sources = |query: &str, index: &str| {
        let text = example()
            .replace("event.action: \"CreateUser\"", query)
            .replace("[\"logs-aws.cloudtrail-*\"]", index);
        let rule = Rule::read("a", "a.toml", text.into_bytes()).0.unwrap();
        let s = Sources::of(&rule, &Config::of_folder("t"));
        (s.is_complete(), s.datasets.join(" "), s.uncatalogued.join(" "))
    };
    let expected =
        |complete, datasets: &str, unknown: &str| (complete, datasets.to_owned(), unknown.to_owned());
    let cloudtrail = "[\"filebeat-*\", \"logs-aws.cloudtrail-*\"]";
    assert_eq!(sources("a: 1", cloudtrail), expected(true, "aws.cloudtrail", ""));
    assert_eq!(
        sources("event.dataset: okta.system", "[\"logs-*\"]"),
        expected(false, "okta.system", "okta.system")
    );
    assert_eq!(
        sources("event.dataset: aws.cloudtrail", "[\"logs-*\"]"),
        expected(true, "aws.cloudtrail", "")
    );
    assert_eq!(
        sources("a: 1", "[\"endgame-*\", \"logs-endpoint.events.*\"]"),
        expected(false, "endpoint.events", "endpoint.events endgame-*")
    );
}

/// A rule on raw field conditions, and an exception file.
fn with_exceptions(rule_extra: &str, exceptions: &str) -> TempDir {
    let rule = rule(1).replace("[rule]\n", &format!("[rule]\n{rule_extra}"));
    pack(&[
        ("rules-toml/a.toml", &rule),
        ("exceptions/a.toml", exceptions),
        ("exceptions/lists/admins.txt", "root\n\nadmin\n"),
    ])
}

fn item(entries: &str) -> String {
    format!(
        "[metadata]\nrule_ids = [\"1d0a4b01-62a3-4f67-9d0c-2f2d5b6c7e11\"]\n[[exceptions]]\n[exceptions.container]\n\
         list_id = \"l\"\nname = \"L\"\ntype = \"detection\"\n[[exceptions.items]]\nname = \"i\"\n{entries}"
    )
}

/// Whether the one rule of a pack alerts on an event, and what was found about it.
fn alerts(dir: &TempDir, event: &serde_json::Value) -> (Option<bool>, String) {
    let pack = Pack::load(dir.path()).unwrap();
    let compiled = pack.compile(&pack.select(&[]).unwrap()).remove(0);
    let found = codes(&compiled.diagnostics);
    let Some(plan) = compiled.plan else { return (None, found) };
    let mut builder = crate::value::ProjectionBuilder::default();
    let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
    (Some(plan.matches(&builder.build().project_value(event), &slots).unwrap()), found)
}

#[test]
fn exceptions_suppress_alerts_until_they_end() {
    let event = |user: &str, time: &str| serde_json::json!({"@timestamp": time, "event": {"action": "CreateUser"}, "user": {"name": user}});
    let january = "2026-01-01T00:00:00Z";
    let plain = item(
        "entries = [{ field = \"user.name\", type = \"match\", operator = \"included\", value = \"bot\" }]",
    );
    let dir = with_exceptions("", &plain);
    let (bot, found) = alerts(&dir, &event("bot", january));
    assert_eq!((bot, found.as_str()), (Some(false), ""));
    assert_eq!(alerts(&dir, &event("eve", january)).0, Some(true));

    let ended = plain.replace(
        "[[exceptions.items]]\n",
        "[[exceptions.items]]\nexpire_time = \"2026-01-15T00:00:00.000Z\"\n",
    );
    let dir = with_exceptions("", &ended);
    assert_eq!(alerts(&dir, &event("bot", january)).0, Some(false));
    assert_eq!(alerts(&dir, &event("bot", "2026-01-15T00:00:00Z")).0, Some(true));

    let list = item(
        "entries = [{ field = \"user.name\", type = \"list\", list = { id = \"admins\", type = \"keyword\" } }]",
    );
    let dir = with_exceptions("", &list);
    assert_eq!(alerts(&dir, &event("root", january)).0, Some(false));
    assert_eq!(alerts(&dir, &event("bot", january)).0, Some(true));

    let gone = with_exceptions("", &list.replace("admins", "nobody"));
    assert_eq!(alerts(&gone, &event("bot", january)), (None, "RP0608".to_owned()));
    let broken = plain.replace("operator = \"included\"", "operator = \"sometimes\"");
    assert_eq!(alerts(&with_exceptions("", &broken), &event("eve", january)), (None, "RP0608".to_owned()));
    let everything =
        item("entries = [{ field = \"event.action\", type = \"exists\", operator = \"included\" }]");
    assert_eq!(
        alerts(&with_exceptions("", &everything), &event("bot", january)),
        (Some(false), "RP1403".to_owned())
    );
    let unknown = item("entries = [{ field = \"user.nam\", type = \"match\", value = \"x\" }]");
    assert_eq!(
        alerts(&with_exceptions("", &unknown), &event("bot", january)),
        (Some(true), "RP0201".to_owned())
    );
}

#[test]
fn a_list_applies_where_the_rule_names_it_and_is_told_where_it_is_not_here() {
    let event = serde_json::json!({"event": {"action": "CreateUser"}, "user": {"name": "bot"}});
    let named = |id: &str| {
        format!(
            "exceptions_list = [{{ id = \"x\", list_id = \"{id}\", type = \"detection\", namespace_type = \"single\" }}]\n"
        )
    };
    let entries = item("entries = [{ field = \"user.name\", type = \"match\", value = \"bot\" }]");
    let unlinked =
        entries.split_once("[[exceptions]]").map(|(_, rest)| format!("[[exceptions]]{rest}")).unwrap();
    assert_eq!(alerts(&with_exceptions("", &unlinked), &event).0, Some(true));
    assert_eq!(alerts(&with_exceptions(&named("l"), &unlinked), &event), (Some(false), String::new()));
    assert_eq!(
        alerts(&with_exceptions(&named("other"), &unlinked), &event),
        (Some(true), "RP0712".to_owned())
    );
}

#[test]
fn filters_are_part_of_the_rule() {
    let event = |user: &str| serde_json::json!({"event": {"action": "CreateUser"}, "user": {"name": user}});
    let with = |filter: &str| {
        let dir = pack(&[("rules-toml/a.toml", &format!("{}\n[[rule.filters]]\n{filter}\n", rule(1)))]);
        (alerts(&dir, &event("bot-7")), alerts(&dir, &event("eve")).0)
    };
    let wildcard = "meta = { negate = true }\nquery = { wildcard = { \"user.name\" = { value = \"BOT-*\", case_insensitive = true } } }";
    assert_eq!(with(wildcard), ((Some(false), String::new()), Some(true)));
    let off = wildcard.replace("negate = true", "negate = true, disabled = true");
    assert_eq!(with(&off).0, (Some(true), String::new()));
    assert_eq!(with("query = { script = { source = \"x\" } }"), ((None, "RP0607".to_owned()), None));
}

#[test]
fn exceptions_of_a_target_apply_where_the_target_is_named_and_are_checked_all_the_same() {
    let list = |field: &str| {
        format!(
            "[[exceptions]]\n[exceptions.container]\nlist_id = \"glass\"\nname = \"glass\"\ntype = \"detection\"\n\
             [[exceptions.items]]\nname = \"broken glass\"\ndescription = \"SOC-1\"\n\
             entries = [{{ field = \"{field}\", type = \"match\", operator = \"included\", value = \"x\" }}]\n"
        )
    };
    let config = "[pack]\nname = \"t\"\nstacks = [\"9.5\"]\n[target.prod]\nkibana = \"https://kibana.example.com\"\n\
                  [[target.prod.overlay]]\nrules = [\"a\"]\nexceptions = [\"exceptions/prod.toml\"]\n";
    let dir = pack(&[
        ("rules-toml/a.toml", &rule(1)),
        ("rules-toml/b.toml", &rule(2)),
        ("exceptions/prod.toml", &list("user.name")),
        (CONFIG, config),
    ]);
    let mut pack = Pack::load(dir.path()).unwrap();
    let target = pack.config.target("prod").unwrap();
    let applied = |pack: &Pack, rule: &str| pack.exceptions.of(pack.rule(rule).unwrap()).len();
    assert_eq!((applied(&pack, "a"), applied(&pack, "b")), (0, 0));
    assert_eq!(pack.exceptions.only_at(&target, pack.rule("a").unwrap()).len(), 1);
    pack.exceptions.at_target(&target);
    assert_eq!((applied(&pack, "a"), applied(&pack, "b")), (1, 0));

    fs::write(dir.path().join("exceptions/prod.toml"), list("user.nam")).unwrap();
    let pack = Pack::load(dir.path()).unwrap();
    let found = validate(&pack, &pack.select(&[]).unwrap()).diagnostics;
    let of_file: Vec<&Diagnostic> = found
        .iter()
        .filter(|d| d.source.as_ref().is_some_and(|s| s.name() == "exceptions/prod.toml"))
        .collect();
    assert_eq!(of_file.len(), 1, "{found:#?}");
    assert!(of_file[0].message.contains("user.nam"));
}
