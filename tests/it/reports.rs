//! Reports, the baseline, allowances and what `test` remembers and accepts, as the commands do it.

use crate::sandbox::Sandbox;
use serde_json::Value;
use std::process::Command;

/// The project's pack with an error in one rule and failing tests in another.
fn spoiled() -> Sandbox {
    let s = Sandbox::pack();
    edit(
        &s,
        "rules-toml/aws/iam/group_deleted.toml",
        "event.outcome: \"success\"",
        "event.outcome: \"succes\"",
    );
    edit(
        &s,
        "rules-toml/aws/iam/saml_provider_updated.toml",
        "user_agent.original: \"sso.amazonaws.com\"",
        "user_agent.original: \"sso.amazon.com\"",
    );
    s
}

fn edit(s: &Sandbox, file: &str, from: &str, to: &str) {
    let text = s.read(file);
    assert!(text.contains(from), "{file} has no `{from}`");
    s.write(file, text.replace(from, to));
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn one_run_writes_every_report_and_its_answer() {
    let s = spoiled();
    let formats = ["sarif", "junit", "gitlab", "github", "markdown", "json"];
    let reports: Vec<String> = formats.iter().map(|f| format!("{f}=out/{f}")).collect();
    let mut args = vec!["ci"];
    reports.iter().for_each(|r| args.extend(["--report", r.as_str()]));
    let ran = s.run(&args);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("failed: 1 error, 2 tests"), "{}", ran.all());
    let sarif = json(&s.read("out/sarif"));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    // the error, the stale files, two failed cases
    assert_eq!(results.len(), 4, "{sarif:#}");
    assert_eq!(json(&s.read("out/gitlab")).as_array().unwrap().len(), 4);
    assert_eq!(s.read("out/github").lines().filter(|l| l.starts_with("::error ")).count(), 4);
    assert_eq!(json(&s.read("out/json"))["ok"], false);
    let junit = quick_junit::Report::deserialize_from_str(&s.read("out/junit")).unwrap();
    assert_eq!((junit.failures, junit.errors), (4, 0));
    for format in ["sarif", "junit", "gitlab", "github", "markdown"] {
        let text = s.read(&format!("out/{format}"));
        assert!(!text.contains("the event has"), "{format} shows a value of an event");
    }
    let ran = s.run(&["ci", "--show-values", "--report", "markdown=shown.md"]);
    assert_eq!(ran.code, Some(1));
    assert!(s.read("shown.md").contains("the event has \"sso.amazonaws.com\""));
}

#[test]
fn the_formats_of_answers_are_those_of_reports() {
    let s = spoiled();
    for verb in ["validate", "test", "ci"] {
        for format in ["sarif", "gitlab", "markdown", "junit"] {
            let file = format!("{format}=file");
            let ran = s.run(&[verb, "-q", "--format", format, "--report", &file]);
            // the time that it took is in some verdicts
            let plain = |t: &str| t.lines().filter(|l| !l.contains("failed:")).collect::<Vec<_>>().join("\n");
            assert_eq!(plain(&ran.out), plain(&s.read("file")), "{verb} {format}");
            assert!(!ran.out.is_empty());
        }
    }
}

#[test]
fn a_report_that_cannot_be_written_or_made_is_a_mistake_of_usage() {
    let s = Sandbox::pack();
    s.write("folder/file", "");
    let ran = s.run(&["validate", "--report", "sarif=folder"]);
    assert_eq!(ran.code, Some(2), "{}", ran.all());
    let ran = s.run(&["validate", "--report", "sarf=x"]);
    assert!(ran.code == Some(2) && ran.err.contains("did you mean `sarif`?"), "{}", ran.all());
    let ran = s.run(&["replay", "--report", "junit=x"]);
    assert!(ran.code == Some(2) && ran.err.contains("it has json, markdown, github"), "{}", ran.all());
}

#[test]
fn the_summary_of_a_job_is_appended() {
    let s = Sandbox::pack();
    let summary = s.write("summary.md", "before\n");
    for _ in 0..2 {
        let out = Command::new(env!("CARGO_BIN_EXE_rulepack"))
            .args(["validate", "aws/iam/group_deleted"])
            .current_dir(s.path(""))
            .env("GITHUB_STEP_SUMMARY", &summary)
            .output()
            .unwrap();
        assert!(out.status.success());
    }
    let text = s.read("summary.md");
    assert!(text.starts_with("before\n"));
    assert_eq!(text.matches("## rulepack validate").count(), 2, "{text}");
}

#[test]
fn reports_lie_where_the_command_was_started() {
    let s = Sandbox::pack();
    let out = Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .args(["validate", "--report", "json=here.json"])
        .current_dir(s.path("rules-toml"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    assert!(s.path("rules-toml/here.json").is_file());
}

#[test]
fn input_is_looked_for_where_the_command_was_started() {
    let s = Sandbox::pack();
    let out = Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .args(["replay", "-q", "../tests/fixtures"])
        .current_dir(s.path("rules-toml"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
}

#[test]
fn only_new_findings_fail_after_a_baseline() {
    let s = spoiled();
    assert_eq!(s.run(&["validate", "--baseline"]).code, Some(0));
    let ran = s.run(&["validate"]);
    assert!(ran.code == Some(0) && ran.out.contains("1 known finding"), "{}", ran.all());
    // elsewhere in the file things change, the finding stays known
    edit(&s, "rules-toml/aws/iam/group_deleted.toml", "[rule]\n", "[rule]\n# a comment\n\n");
    assert_eq!(s.run(&["validate"]).code, Some(0));
    edit(
        &s,
        "rules-toml/aws/iam/group_created.toml",
        "event.outcome: \"success\"",
        "event.outcome: \"succes\"",
    );
    let ran = s.run(&["validate", "--format", "json"]);
    let answer = json(&ran.out);
    assert_eq!((ran.code, answer["summary"]["errors"].as_u64()), (Some(1), Some(1)), "{answer:#}");
    assert_eq!(answer["summary"]["known"], 1);
    // a selection adds its own and keeps the rest
    let ran = s.run(&["validate", "--baseline", "aws/iam/group_created"]);
    assert!(ran.out.contains("2 findings") && ran.out.contains("1 new, 0 gone"), "{}", ran.all());
    assert_eq!(s.run(&["validate"]).code, Some(0));
    // mended: the entries are stale, which is told and fails nothing
    for rule in ["group_created", "group_deleted"] {
        edit(&s, &format!("rules-toml/aws/iam/{rule}.toml"), "\"succes\"", "\"success\"");
    }
    let ran = s.run(&["validate"]);
    assert!(
        ran.code == Some(0) && ran.out.contains("2 entries of the baseline fit no finding"),
        "{}",
        ran.all()
    );
    assert!(!s.run(&["validate", "aws/iam/group_created"]).out.contains("RP0714"));
    s.write(".rulepack/baseline.json", "{}");
    assert!(s.run(&["validate"]).out.contains("RP0715"));
}

#[test]
fn comments_allow_findings_with_a_reason() {
    let s = spoiled();
    let file = "rules-toml/aws/iam/group_deleted.toml";
    edit(&s, file, "query = ", "# rulepack: allow RP0501 -- the lab writes it so\nquery = ");
    let ran = s.run(&["validate"]);
    assert!(ran.code == Some(0) && ran.out.contains("known or allowed"), "{}", ran.all());
    edit(&s, file, " -- the lab writes it so", "");
    let ran = s.run(&["validate"]);
    assert!(ran.code == Some(1) && ran.out.contains("RP1502") && ran.out.contains("RP0501"), "{}", ran.all());
    edit(&s, file, "allow RP0501", "allow RP0502 -- nothing");
    assert!(s.run(&["validate"]).out.contains("RP1501"));
}

#[test]
fn levels_hold_by_code_by_prefix_and_by_path() {
    let s = spoiled();
    let config = s.read("rulepack.toml");
    for (levels, code, word) in [
        ("RP0501 = \"warning\"", 0, "warning[RP0501]"),
        ("RP05 = \"warning\"", 0, "warning[RP0501]"),
        ("\"rules-toml/aws/iam/group_*.toml\" = { RP05 = \"warning\" }", 0, "warning[RP0501]"),
        ("\"rules-toml/azure/**\" = { RP05 = \"warning\" }", 1, "error[RP0501]"),
        ("RP05 = \"allow\"\nRP0501 = \"warning\"", 0, "warning[RP0501]"),
    ] {
        s.write("rulepack.toml", format!("{config}\n[lint.levels]\n{levels}\n"));
        let ran = s.run(&["validate"]);
        assert_eq!(ran.code, Some(code), "{levels}: {}", ran.all());
        assert!(ran.out.contains(word), "{levels}: {}", ran.all());
    }
    s.write("rulepack.toml", format!("{config}\n[lint.levels]\nRP05 = \"allow\"\n"));
    assert!(!s.run(&["validate"]).out.contains("RP0501"));
}

#[test]
fn a_severity_can_require_tests() {
    let s = Sandbox::pack();
    let config = s.read("rulepack.toml");
    std::fs::remove_file(s.path("tests/rules/aws/iam/group_deleted.toml")).unwrap();
    std::fs::remove_file(s.path("tests/rules/aws/iam/login_profile_for_root.toml")).unwrap();
    let ran = s.run(&["test"]);
    assert!(ran.code == Some(0) && ran.out.contains("2 rules without a test"), "{}", ran.all());
    s.write("rulepack.toml", format!("{config}\n[lint]\ntests_required_from = \"medium\"\n"));
    let ran = s.run(&["validate", "--format", "concise"]);
    assert_eq!(ran.code, Some(1));
    let found: Vec<&str> = ran.out.lines().filter(|l| l.contains("error[RP0713]")).collect();
    assert!(found.len() == 1 && found[0].contains("login_profile_for_root"), "{}", ran.all());
    assert_eq!(s.run(&["ci"]).code, Some(1));
}

#[test]
fn cases_that_failed_last_are_remembered_until_they_pass() {
    let s = spoiled();
    assert_eq!(s.run(&["test", "--failed"]).out, "ok: no case failed last\n");
    assert_eq!(s.run(&["test"]).code, Some(1));
    assert!(s.run(&["test", "--failed"]).out.contains("failed: 2 of 2 cases"));
    // another rule's tests do not make it forget
    assert_eq!(s.run(&["test", "aws/iam/group_created"]).code, Some(0));
    assert!(s.run(&["test", "--failed"]).out.contains("failed: 2 of 2 cases"));
    edit(&s, "rules-toml/aws/iam/saml_provider_updated.toml", "sso.amazon.com", "sso.amazonaws.com");
    let ran = s.run(&["test", "--failed"]);
    assert!(ran.code == Some(0) && ran.out.contains("2 cases of 1 rule passed"), "{}", ran.all());
    assert_eq!(s.run(&["test", "--failed"]).out, "ok: no case failed last\n");
    s.write(".rulepack/last-failed.json", "nonsense");
    assert_eq!(s.run(&["test", "--failed"]).out, "ok: no case failed last\n");
}

#[test]
fn accepted_outcomes_pass_and_nothing_else_changes() {
    let s = spoiled();
    edit(&s, "rules-toml/aws/iam/group_deleted.toml", "\"succes\"", "\"success\"");
    let file = "tests/rules/aws/iam/saml_provider_updated.toml";
    edit(&s, file, "identity_center.json\"]\nexpect = 0", "identity_center.json\"]\nexpect = 0 # mine");
    let before = s.read(file);
    let ran = s.run(&["test", "--accept"]);
    assert!(ran.code == Some(0) && ran.out.contains("ok: 2 cases written in 1 file"), "{}", ran.all());
    assert!(
        ran.out.contains("-expect = 0 # mine\n+expect = [{ events = [\"21f1eec5\"] }] # mine"),
        "{}",
        ran.out
    );
    let after = s.read(file);
    let changed = before.lines().zip(after.lines()).filter(|(a, b)| a != b).count();
    assert_eq!((changed, before.lines().count()), (2, after.lines().count()));
    assert_eq!(s.run(&["test"]).code, Some(0));
    let ran = s.run(&["test", "--accept"]);
    assert!(ran.out.contains("nothing to write"), "{}", ran.all());
    assert_eq!(s.read(file), after);
}

#[test]
fn a_tree_of_rules_is_green_after_init_and_a_baseline() {
    let pack = spoiled();
    let s = Sandbox::empty();
    for rule in ["group_deleted", "group_created", "login_profile_for_root"] {
        s.write(&format!("rules/aws/{rule}.toml"), pack.read(&format!("rules-toml/aws/iam/{rule}.toml")));
    }
    s.write(
        "_config.yaml",
        "rule_dirs: [rules]\nfiles:\n  packages: etc/packages.yaml\nbypass_tags_validation: true\n",
    );
    s.write("etc/packages.yaml", "package:\n  name: \"9.3\"\n");
    let ran = s.run(&["init", "--name", "acme"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    for line in [
        "rules: 3 rules in `rules`",
        "stacks: 9.3 from `etc/packages.yaml`",
        "left         bypass_tags_validation",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    assert_eq!(s.run(&["ci"]).code, Some(1));
    assert_eq!(s.run(&["validate", "--baseline"]).code, Some(0));
    let ran = s.run(&["ci"]);
    assert!(
        ran.code == Some(0) && ran.out.contains("nothing new in 3 rules, 1 finding known"),
        "{}",
        ran.all()
    );
}

/// A record of CloudTrail that the bundled rule `group_deleted` alerts on.
fn record(id: &str, time: &str, account: &str, region: &str) -> String {
    format!(
        r#"{{"Records":[{{"eventVersion":"1.11","eventTime":"{time}","eventSource":"iam.amazonaws.com","eventName":"DeleteGroup","awsRegion":"{region}","sourceIPAddress":"203.0.113.9","userAgent":"aws-cli/2","eventID":"{id}","eventType":"AwsApiCall","recipientAccountId":"{account}","requestParameters":{{"groupName":"g"}},"responseElements":null,"userIdentity":{{"type":"IAMUser","accountId":"{account}","userName":"u"}}}}]}}"#
    )
}

/// An S3 delivery of two accounts, two regions and three days, with one file that must not be opened.
fn delivery() -> Sandbox {
    let s = Sandbox::pack();
    let mut n = 0;
    for account in ["111122223333", "444455556666"] {
        for region in ["us-east-1", "eu-west-1"] {
            for day in ["10", "11", "12"] {
                n += 1;
                let id = format!("00000000-0000-4000-8000-{n:012}");
                let text = record(&id, &format!("2026-01-{day}T12:00:00Z"), account, region);
                let name = format!("logs/AWSLogs/{account}/CloudTrail/{region}/2026/01/{day}/a.json");
                s.write(&name, text);
            }
        }
    }
    s.write("logs/AWSLogs/444455556666/CloudTrail/us-east-1/2026/01/01/broken.json.gz", "\x1f\u{8b}no gzip");
    s
}

fn alerts(s: &Sandbox, flags: &[&str]) -> (usize, Value) {
    let mut args = vec!["replay", "--rules", "aws/iam/group_deleted", "--format", "json", "logs"];
    args.extend(flags);
    let ran = s.run(&args);
    let answer = json(&ran.out);
    (answer["alerts"].as_array().unwrap().len(), answer)
}

#[test]
fn input_is_selected_by_path_and_by_event() {
    let s = delivery();
    assert_eq!(alerts(&s, &[]).0, 12);
    let (n, answer) = alerts(&s, &["--account", "111122223333", "--region", "eu-west-1"]);
    assert_eq!((n, answer["complete"].as_bool()), (3, Some(true)), "{answer:#}");
    assert_eq!(answer["read"]["records"], 3);
    assert_eq!(answer["skipped"]["paths_outside"], 2);
    let (n, answer) = alerts(&s, &["--since", "2026-01-11", "--until", "2026-01-12"]);
    assert_eq!((n, answer["read"]["records"].as_u64()), (4, Some(8)), "{answer:#}");
    assert_eq!(answer["skipped"]["events_outside"], 4);
    assert_eq!(alerts(&s, &["--since", "1d", "--now", "2026-01-13T06:00:00Z"]).0, 4);
    // files that are no delivery are judged by their events
    let all: Vec<String> = ["10", "11"]
        .iter()
        .map(|d| record(d, &format!("2026-01-{d}T12:00:00Z"), "111122223333", "us-east-1"))
        .collect();
    let s = Sandbox::pack();
    s.write("logs/a.json", &all[0]);
    s.write("logs/b.json", &all[1]);
    assert_eq!(alerts(&s, &["--since", "2026-01-11"]).0, 1);
    assert_eq!(alerts(&s, &["--region", "eu-west-1"]).0, 0);
    for verb in [&["query", "event.action: *"][..], &["convert"][..]] {
        let mut args = verb.to_vec();
        args.extend(["logs", "--since", "2026-01-11"]);
        let ran = s.run(&args);
        assert!(ran.code == Some(0) && ran.out.lines().count() == 1, "{}", ran.all());
    }
    assert_eq!(s.run(&["replay", "logs", "--since", "2026-02-01", "--until", "2026-01-01"]).code, Some(2));
}

#[test]
fn a_record_that_comes_twice_counts_once() {
    let s = Sandbox::pack();
    let text =
        record("00000000-0000-4000-8000-000000000001", "2026-01-10T12:00:00Z", "111122223333", "us-east-1");
    for name in ["a", "b", "c"] {
        s.write(&format!("logs/{name}.json"), &text);
    }
    let (n, answer) = alerts(&s, &[]);
    assert_eq!((n, answer["skipped"]["duplicates"].as_u64()), (1, Some(2)), "{answer:#}");
    assert_eq!(answer["alerts"][0]["file"], "logs/a.json");
    assert_eq!(alerts(&s, &["--keep-duplicates"]).0, 3);
    assert_eq!(s.run(&["convert", "logs"]).out.lines().count(), 1);
    assert_eq!(s.run(&["convert", "logs", "--keep-duplicates"]).out.lines().count(), 3);
    assert_eq!(s.run(&["query", "event.action: *", "logs"]).out.lines().count(), 1);
}

#[test]
fn what_is_before_the_span_is_history_for_new_terms() {
    let s = Sandbox::pack();
    let rule = "aws/iam/customer_policy_to_role_by_rare_user";
    let run = |flags: &[&str]| {
        let mut args = vec!["replay", "--rules", rule, "--format", "json"];
        args.extend(flags);
        json(&s.run(&args).out)["alerts"].as_array().unwrap().clone()
    };
    let all = run(&[]);
    let since = all[all.len() / 2]["time"].as_str().unwrap().to_owned();
    let later: Vec<&Value> = all.iter().filter(|a| a["time"].as_str().unwrap() >= since.as_str()).collect();
    let cut = run(&["--since", &since]);
    assert!(!cut.is_empty() && cut.len() < all.len());
    assert_eq!(cut.iter().collect::<Vec<_>>(), later);
}
