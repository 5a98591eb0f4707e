//! Input that is damaged, hostile or absurd, through the binary: it ends with a documented exit code, says
//! the place, and loses nothing else. `Sandbox::run` fails on a panic or a signal.

use crate::sandbox::{Ran, Sandbox};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;

/// A rule of the pack that the tests spoil, one that alerts on [`event`], and another one.
const SPOILED: &str = "rules-toml/aws/iam/group_created.toml";
const ALERTING: &str = "aws/iam/group_deleted";
const OTHER: &str = "rules-toml/aws/iam/saml_provider_updated.toml";

/// The deletion of a group, as CloudTrail has it, with an id of its own.
fn event(number: usize) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "arn": "arn:aws:iam::111122223333:user/dora.kern",
            "accountId": "111122223333",
            "userName": "dora.kern",
        },
        "eventTime": "2026-01-08T10:00:00Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "DeleteGroup",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.41",
        "requestParameters": { "groupName": format!("group-{number}") },
        "responseElements": null,
        "eventID": format!("{number:08x}-1111-4222-8333-{:012x}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16),
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// `events` as CloudTrail delivers them.
fn delivery(events: std::ops::Range<usize>) -> Vec<u8> {
    json!({ "Records": events.map(event).collect::<Vec<_>>() }).to_string().into_bytes()
}

/// Replays a file of this content; the answer, and how the run ended.
fn replay(s: &Sandbox, name: &str, content: impl AsRef<[u8]>) -> (Value, Ran) {
    s.write(name, content);
    let ran = s.run(&["replay", "--format", "json", name]);
    (serde_json::from_str(&ran.out).unwrap(), ran)
}

fn alerts(answer: &Value) -> usize {
    let all = answer["alerts"].as_array().unwrap();
    assert!(all.iter().all(|a| a["rule"]["name"] == ALERTING));
    all.len()
}

/// `code place: message` of each problem.
fn problems(answer: &Value) -> Vec<String> {
    let text = |p: &Value, key: &str| p[key].as_str().unwrap().to_owned();
    let all = answer["problems"].as_array().unwrap();
    all.iter().map(|p| format!("{} {}: {}", text(p, "code"), text(p, "place"), text(p, "message"))).collect()
}

/// The findings of `validate`, a line each.
fn findings(s: &Sandbox) -> (Vec<String>, Ran) {
    let ran = s.run(&["validate", "--format", "concise"]);
    let lines = ran.out.lines().filter(|l| l.contains("error[")).map(str::to_owned).collect();
    (lines, ran)
}

#[track_caller]
fn one_finding(s: &Sandbox, start: &str) {
    let (found, ran) = findings(s);
    assert_eq!(ran.code, Some(1));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(start), "{found:#?}");
}

/// Changes the spoiled rule.
fn spoil(s: &Sandbox, change: impl Fn(&str) -> String) {
    let (before, after) = (s.read(SPOILED), change(&s.read(SPOILED)));
    assert_ne!(before, after);
    s.write(SPOILED, after);
}

/// The spoiled rule with another query.
fn with_query(s: &Sandbox, query: &str) {
    spoil(s, |text| {
        let (head, rest) = text.split_once("query = '''").unwrap();
        let (_, tail) = rest.split_once("'''").unwrap();
        format!("{head}query = '''{query}'''{tail}")
    });
}

#[test]
fn a_gzip_file_that_is_cut_off_keeps_its_alerts_and_says_after_which_record() {
    let s = Sandbox::pack();
    let mut packed = gzip(&delivery(0..2_000));
    packed.truncate(packed.len() / 2);
    let (answer, ran) = replay(&s, "logs/cut.json.gz", &packed);
    assert_eq!(ran.code, Some(1));
    assert_eq!(answer["complete"], false);
    let read = alerts(&answer);
    assert!((500..1_500).contains(&read), "{read}");
    assert_eq!(problems(&answer), [format!("RP0010 after record {read}: truncated gzip")]);
    assert_eq!(answer["problems"][0]["file"], "logs/cut.json.gz");
    // beside it, a whole file is read whole
    s.write("logs/whole.json.gz", gzip(&delivery(5_000..5_007)));
    let ran = s.run(&["replay", "logs"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("but 1 of 2 files was not read to its end"), "{}", ran.out);
    assert!(ran.out.contains(" after record ") && ran.out.contains(": logs/cut.json.gz"), "{}", ran.out);
    let ndjson = s.run(&["replay", "--format", "ndjson", "logs"]);
    assert_eq!(ndjson.out.lines().count(), read + 7);
    for command in [vec!["convert", "logs/cut.json.gz"], vec!["query", "event.action: *", "logs/cut.json.gz"]]
    {
        let ran = s.run(&command);
        assert_eq!(ran.code, Some(1), "{command:?}");
        assert!(ran.err.contains("truncated gzip") && ran.err.contains("logs/cut.json.gz"), "{}", ran.err);
    }
}

#[test]
fn a_gzip_file_that_is_damaged_in_the_middle_keeps_what_came_before() {
    let s = Sandbox::pack();
    let whole = gzip(&delivery(0..2_000));
    let mut wrong_checksum = whole.clone();
    let at = wrong_checksum.len() - 8;
    wrong_checksum[at] ^= 0xff;
    let (answer, ran) = replay(&s, "sum.json.gz", &wrong_checksum);
    assert_eq!((ran.code, alerts(&answer)), (Some(1), 2_000));
    assert!(
        problems(&answer)[0].starts_with("RP0010 after record 2000: damaged gzip"),
        "{:?}",
        problems(&answer)
    );

    // stored blocks: the damage is in one record only, and in the checksum
    let mut packer = GzEncoder::new(Vec::new(), Compression::none());
    packer.write_all(&delivery(0..50)).unwrap();
    let mut stored = packer.finish().unwrap();
    let name = b"\"group-25\"";
    let at = stored.windows(name.len()).position(|w| w == name).unwrap();
    stored[at] = b'!';
    let (answer, ran) = replay(&s, "middle.json.gz", &stored);
    assert_eq!(ran.code, Some(1));
    assert!(alerts(&answer) >= 25, "{}", ran.out);
    assert!(problems(&answer).iter().any(|p| p.starts_with("RP0010")), "{:?}", problems(&answer));

    // a block that no longer unpacks
    let mut broken = whole;
    let at = broken.len() / 2;
    broken[at..at + 64].fill(0xff);
    let (answer, ran) = replay(&s, "broken.json.gz", &broken);
    assert_eq!(ran.code, Some(1));
    assert!(alerts(&answer) > 500, "{}", ran.out);
    // the tail of anything may follow a gzip file, but not nonsense alone
    let (answer, ran) = replay(&s, "head.json.gz", &gzip(b"{}")[..5]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(problems(&answer), ["RP0010 after record 0: truncated gzip"]);
}

#[test]
fn a_record_that_is_not_json_costs_only_itself() {
    let s = Sandbox::pack();
    let text =
        format!("{{\"Records\":[{},nonsense,{},{{\"eventName\": }},{}]}}", event(1), event(2), event(3));
    let (answer, ran) = replay(&s, "array.json", text);
    assert_eq!((ran.code, alerts(&answer)), (Some(1), 3));
    let found = problems(&answer);
    assert_eq!(found[0], "RP0009 record 2: not a JSON object");
    assert!(found[1].starts_with("RP0009 record 4: invalid JSON: "), "{found:?}");
    assert_eq!(found.len(), 2);

    let text = format!("{}\nhello\n{{\"a\": \n{}\n\n[1,\n{}\n", event(1), event(2), event(3));
    let (answer, ran) = replay(&s, "lines.ndjson", text);
    assert_eq!((ran.code, alerts(&answer)), (Some(1), 3));
    let found = problems(&answer);
    let places: Vec<&str> = found.iter().map(|p| &p[..14]).collect();
    assert_eq!(places, ["RP0009 line 2:", "RP0009 line 3:", "RP0009 line 6:"], "{found:?}");
    let ran = s.run(&["replay", "lines.ndjson"]);
    assert!(ran.out.contains("        lines.ndjson:2: not a JSON object\n"), "{}", ran.out);
}

#[test]
fn the_end_of_a_text_may_be_missing() {
    let s = Sandbox::pack();
    let whole = delivery(0..3);
    for (cut, expected) in [(2, 3), (5, 2)] {
        let (answer, ran) = replay(&s, "a.json", &whole[..whole.len() - cut]);
        assert_eq!((ran.code, alerts(&answer)), (Some(1), expected));
        assert!(problems(&answer)[0].starts_with("RP0009 record "), "{:?}", problems(&answer));
    }
}

#[test]
fn records_that_nest_too_deep_are_said_and_the_rest_is_read() {
    let s = Sandbox::pack();
    for depth in [300, 200_000] {
        let deep = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let lists = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let raw = |inner: &str| event(9).to_string().replace("{\"groupName\":\"group-9\"}", inner);
        let ecs = format!("{{\"event\":{{\"action\":\"DeleteGroup\",\"x\":{deep}}}}}");
        let text = format!("{}\n{}\n{ecs}\n{}\n", raw(&deep), raw(&lists), event(1));
        let (answer, ran) = replay(&s, "deep.ndjson", text);
        assert_eq!((ran.code, alerts(&answer)), (Some(1), 1), "{}", ran.err);
        let found = problems(&answer);
        assert!(
            found.iter().all(|p| p.starts_with("RP0011 line") || p.starts_with("RP0009 line")),
            "{found:?}"
        );
        assert!(found.iter().all(|p| p.contains("nested deeper than 128 levels")), "{found:?}");
        assert!(found.len() >= 2, "{found:?}");
    }
}

#[test]
fn a_line_of_ten_megabytes_is_read() {
    let s = Sandbox::pack();
    let mut long = event(1);
    long["userAgent"] = "x".repeat(10 << 20).into();
    let (answer, ran) = replay(&s, "long.ndjson", format!("{long}\n{}\n", event(2)));
    assert_eq!((ran.code, alerts(&answer)), (Some(0), 2), "{}", ran.err);
}

#[test]
fn a_record_beyond_the_limit_costs_only_itself() {
    let s = Sandbox::pack();
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(65 << 20));
    for (name, text, place) in [
        ("lines.ndjson", format!("{}\n{huge}\n{}\n", event(1), event(3)), "line 2"),
        ("array.json", format!("{{\"Records\":[{},{huge},{}]}}", event(1), event(3)), "record 2"),
    ] {
        let (answer, ran) = replay(&s, name, text);
        assert_eq!((ran.code, alerts(&answer)), (Some(1), 2), "{}", ran.err);
        assert_eq!(problems(&answer), [format!("RP0008 {place}: the record is longer than 64 MB")]);
    }
}

#[test]
fn paths_that_cannot_be_read_are_named_and_the_others_are_read() {
    let s = Sandbox::pack();
    s.write("good.ndjson", format!("{}\n", event(1)));
    let ran = s.run(&["replay", "--format", "json", "missing.json", "good.ndjson", "also/missing"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, alerts(&answer)), (Some(1), 1));
    assert_eq!(problems(&answer), ["RP0001 : no such file or folder"; 2]);
    for (args, place) in [
        (vec!["query", "a: b", "missing.json"], "missing.json"),
        (vec!["convert", "missing.json"], "missing.json"),
        (vec!["query", "--mapping", "missing.json", "a: b", "good.ndjson"], "missing.json"),
        (vec!["query", "--mapping", "rules-toml", "a: b", "good.ndjson"], "rules-toml"),
        (vec!["-C", "missing", "validate"], "missing"),
    ] {
        let ran = s.run(&args);
        assert_eq!(ran.code, Some(2), "{args:?}");
        assert!(ran.err.contains(place), "{args:?}: {}", ran.err);
    }
}

#[test]
fn folders_and_broken_links_in_place_of_files_are_said() {
    let s = Sandbox::pack();
    std::fs::create_dir_all(s.path("tests/rules/aws/iam/unknown.toml")).unwrap();
    std::fs::create_dir_all(s.path("rules-toml/aws/folder.toml")).unwrap();
    assert_eq!(findings(&s).1.code, Some(0));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", s.path("rules-toml/aws/dangling.toml")).unwrap();
        one_finding(&s, "rules-toml/aws/dangling.toml: error[RP0001]: this link leads nowhere");
    }
    let s = Sandbox::pack();
    std::fs::remove_file(s.path("rulepack.toml")).unwrap();
    std::fs::create_dir(s.path("rulepack.toml")).unwrap();
    let ran = s.run(&["validate"]);
    assert_eq!(ran.code, Some(2), "{}", ran.all());
    assert!(ran.err.contains("error[RP0001]: this file cannot be read: is a folder"), "{}", ran.err);
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let s = Sandbox::pack();
    let (answer, ran) = replay(&s, "bom.json", [b"\xef\xbb\xbf".as_slice(), &delivery(0..2)].concat());
    assert_eq!((ran.code, alerts(&answer)), (Some(0), 2));
    assert_eq!(s.run(&["generate"]).code, Some(0));
    spoil(&s, |text| format!("\u{feff}{text}"));
    assert_eq!(findings(&s).1.code, Some(0));
    assert_eq!(s.run(&["generate", "--check"]).code, Some(0));
}

#[test]
fn empty_files_and_folders_say_that_nothing_was_read() {
    let s = Sandbox::pack();
    for content in ["", "\n\n \n", "[]", "{\"Records\":[]}"] {
        let (answer, ran) = replay(&s, "empty.json", content);
        assert_eq!((ran.code, &answer["read"]["records"]), (Some(0), &json!(0)), "{content:?}: {}", ran.err);
    }
    let (_, ran) = replay(&s, "empty.json.gz", gzip(b""));
    assert_eq!(ran.code, Some(0));
    std::fs::create_dir(s.path("none")).unwrap();
    let ran = s.run(&["replay", "none"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("ok: no alert in 0 records"), "{}", ran.out);

    s.write(SPOILED, "");
    let (found, ran) = findings(&s);
    assert_eq!(ran.code, Some(1));
    let start = format!("{SPOILED}:1:1: error[RP0004]: missing key");
    assert!(found.len() == 2 && found.iter().all(|f| f.starts_with(&start)), "{found:#?}");
    s.write("rulepack.toml", "");
    assert_eq!(s.run(&["validate"]).code, Some(2));
    let empty = Sandbox::empty();
    assert_eq!(empty.run(&["ci"]).code, Some(2));
    empty.write("rulepack.toml", "[pack]\nname = \"t\"\n");
    assert_eq!(empty.run(&["ci"]).code, Some(1));
    std::fs::create_dir(empty.path("rules-toml")).unwrap();
    assert_eq!(empty.run(&["ci"]).code, Some(2));
}

#[test]
fn several_mistakes_of_toml_are_reported_in_one_run_and_the_other_rules_are_checked() {
    let s = Sandbox::pack();
    spoil(&s, |text| {
        text.replace("severity = \"low\"", "severity = low")
            .replace("risk_score = ", "risk_score = 1\nrisk_score = ")
    });
    s.write(OTHER, s.read(OTHER).replace("event.outcome: \"success\"", "event.outcome: \"succes\""));
    let (found, ran) = findings(&s);
    assert_eq!(ran.code, Some(1));
    let of = |file: &str, code: &str| {
        found.iter().filter(|f| f.starts_with(&format!("{file}:")) && f.contains(code)).count()
    };
    assert_eq!((of(SPOILED, "[RP0003]"), of(OTHER, "[RP0501]"), found.len()), (2, 1, 3), "{found:#?}");
    // the rules without a mistake are tested and replayed
    let ran = s.run(&["test"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("failed: 2 rules were not run, because of errors ("), "{}", ran.out);
    let (answer, ran) = replay(&s, "a.ndjson", format!("{}\n", event(1)));
    assert_eq!((ran.code, alerts(&answer)), (Some(1), 1));
    assert_eq!(answer["not_run"].as_array().unwrap().len(), 2);
}

#[test]
fn a_rule_file_that_is_not_utf8_is_placed() {
    let s = Sandbox::pack();
    let text = s.read(SPOILED);
    let (head, tail) = text.split_once("description = \"\"\"\n").unwrap();
    let line = head.lines().count() + 2;
    s.write(SPOILED, [head.as_bytes(), b"description = \"\"\"\nDr\xfccken ", tail.as_bytes()].concat());
    one_finding(&s, &format!("{SPOILED}:{line}:3: error[RP0002]: this file is not UTF-8 text"));
    s.write("rulepack.toml", b"[pack]\nname = \"\xff\"\n");
    let ran = s.run(&["validate"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("rulepack.toml:2:9"), "{}", ran.err);
}

#[test]
fn windows_line_ends_give_the_same_rules_and_the_same_places() {
    let (lf, crlf) = (Sandbox::pack(), Sandbox::pack());
    let files: Vec<String> = walk(&lf, "rules-toml").into_iter().chain(walk(&lf, "tests/rules")).collect();
    assert!(files.len() > 20);
    for file in &files {
        crlf.write(file, lf.read(file).replace('\n', "\r\n"));
    }
    for s in [&lf, &crlf] {
        assert_eq!(s.run(&["generate"]).code, Some(0));
        assert_eq!(s.run(&["ci"]).code, Some(0));
    }
    let generated = walk(&lf, "generated");
    assert!(generated.len() > 10 && generated == walk(&crlf, "generated"));
    for file in generated {
        assert_eq!(lf.read(&file), crlf.read(&file), "{file}");
    }
    for s in [&lf, &crlf] {
        let text = s.read(OTHER).replace("event.outcome: \"success\"", "event.outcome: \"succes\"");
        s.write(OTHER, text.replace("risk_score = ", "risk_score = 1"));
    }
    assert_eq!(findings(&lf).0, findings(&crlf).0);
    assert!(findings(&lf).0.len() >= 2);
}

fn walk(s: &Sandbox, folder: &str) -> Vec<String> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(s.path(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() { out.extend(walk(s, &name)) } else { out.push(name) }
    }
    out
}

#[test]
fn control_characters_in_a_rule_are_refused() {
    let s = Sandbox::pack();
    let place = |text: &str| {
        let at = text.find('\0').unwrap();
        let line = text[..at].lines().count();
        (line, at - text[..at].rfind('\n').unwrap())
    };
    spoil(&s, |text| text.replacen("event.action", "event.\0action", 1));
    let (line, column) = place(&s.read(SPOILED));
    one_finding(
        &s,
        &format!("{SPOILED}:{line}:{column}: error[RP0003]: TOML syntax: control character U+0000"),
    );
    // as an escape it is text like any other
    let s = Sandbox::pack();
    spoil(&s, |text| text.replacen("severity = \"low\"", "severity = \"low\\u0000\"", 1));
    let (found, _) = findings(&s);
    assert!(found.len() == 1 && found[0].contains("[RP0007]"), "{found:#?}");
}

#[test]
fn a_query_of_a_megabyte_that_nests_without_end_is_refused_at_its_place() {
    let depth = 100_000;
    let padding = " ".repeat(800_000);
    let kql = format!("{}{padding}user.name: a{}", "(".repeat(depth), ")".repeat(depth));
    let s = Sandbox::pack();
    with_query(&s, &kql);
    let text = s.read(SPOILED);
    let line = text[..text.find("query = '''").unwrap()].lines().count() + 1;
    one_finding(&s, &format!("{SPOILED}:{line}:"));
    assert!(findings(&s).0[0].contains("[RP0104]"));
    for (lang, query) in [
        ("kql", format!("{}user.name: a", "not ".repeat(depth / 4))),
        ("kql", format!("{}user.name: a", "x:{".repeat(depth / 4))),
        ("eql", format!("any where {}true{}", "(".repeat(depth / 2), ")".repeat(depth / 2))),
        ("eql", format!("any where {}true", "not ".repeat(depth / 4))),
    ] {
        let ran = s.run(&["query", "--check", "--lang", lang, &query]);
        assert!(matches!(ran.code, Some(0 | 1)), "{lang}: {}", &query[..40]);
        assert!(ran.err.len() < 4_000, "{lang}: {} bytes of message", ran.err.len());
    }
    // a wide query is no deep one
    let wide = vec!["user.name: \"somebody\""; 40_000].join(" or ");
    let s = Sandbox::pack();
    with_query(&s, &wide);
    assert_eq!(findings(&s).1.code, Some(0));
}

#[test]
fn fixtures_outside_of_the_pack_are_refused() {
    for path in [
        "../../etc/passwd",
        "../../../../../../etc/passwd",
        "/etc/passwd",
        "..\\..\\x",
        "iam/../../../rulepack.toml",
    ] {
        let s = Sandbox::pack();
        let file = "tests/rules/aws/iam/group_created.toml";
        let quoted = Value::from(path).to_string();
        s.write(file, format!("[[case]]\nname = \"a\"\nevents = [{quoted}]\nexpect = 0\n"));
        let ran = s.run(&["test", "--format", "github"]);
        assert_eq!(ran.code, Some(1), "{path}");
        let place = format!("file={file},line=3,endLine=3,col=11");
        assert!(ran.out.contains(&place) && !ran.out.contains("root:"), "{path}: {}", ran.out);
        assert!(ran.out.contains("RP0706"), "{path}: {}", ran.out);
        assert!(ran.err.contains("passed"), "{}", ran.err);
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_pack_are_refused() {
    use std::os::unix::fs::symlink;
    let outside = Sandbox::pack();
    let s = Sandbox::pack();
    symlink(outside.path(SPOILED), s.path("rules-toml/aws/outside.toml")).unwrap();
    one_finding(&s, "rules-toml/aws/outside.toml: error[RP0706]: this link leads out of the pack");
    let s = Sandbox::pack();
    symlink(outside.path("rules-toml"), s.path("rules-toml/more")).unwrap();
    one_finding(&s, "rules-toml/more: error[RP0706]");
    let s = Sandbox::pack();
    symlink(s.path("rules-toml"), s.path("rules-toml/round")).unwrap();
    one_finding(&s, "rules-toml/round: error[RP0706]: this folder leads back to one above it");
    let s = Sandbox::pack();
    symlink("/etc/passwd", s.path("tests/fixtures/link.json")).unwrap();
    s.write(
        "tests/rules/aws/iam/group_created.toml",
        "[[case]]\nname = \"a\"\nevents = [\"link.json\"]\nexpect = 0\n",
    );
    let ran = s.run(&["test", "--format", "github"]);
    assert!(ran.code == Some(1) && ran.out.contains("RP0706") && !ran.out.contains("root:"), "{}", ran.out);
    let s = Sandbox::pack();
    s.write("rulepack.toml", "[pack]\nname = \"t\"\nrules = \"../rules\"\n");
    let ran = s.run(&["validate"]);
    assert!(ran.code == Some(2) && ran.err.contains("RP0706"), "{}", ran.err);
}

#[test]
fn numbers_without_measure_are_refused_or_read_but_never_wrapped() {
    let s = Sandbox::pack();
    for number in
        ["99999999999999999999999999", "-99999999999999999999", "1e999", "inf", "nan", "0xffffffffffffffffff"]
    {
        let s = Sandbox::pack();
        spoil(&s, |text| text.replacen("risk_score = ", &format!("risk_score = {number} # "), 1));
        let (found, ran) = findings(&s);
        assert_eq!(ran.code, Some(1), "{number}");
        assert!(
            found.len() == 1 && found[0].starts_with(SPOILED) && found[0].contains("[RP0007]"),
            "{number}: {found:#?}"
        );
    }
    for number in ["9223372036854775807", "-1", "101"] {
        let s = Sandbox::pack();
        spoil(&s, |text| text.replacen("risk_score = ", &format!("risk_score = {number} # "), 1));
        let (found, _) = findings(&s);
        assert!(found.len() == 1 && found[0].contains("[RP0007]"), "{number}: {found:#?}");
    }
    let numbers = format!("\"a\": 1e400, \"b\": {}, \"c\": -1e-400, \"eventVersion\"", "9".repeat(400));
    let text = format!("{}\n{}\n", event(1).to_string().replace("\"eventVersion\"", &numbers), event(2));
    let (answer, ran) = replay(&s, "numbers.ndjson", text);
    assert!(alerts(&answer) >= 1, "{}", ran.err);
    let ports = r#"{"event":{"kind":"event"},"source":{"port":99999999999999999999}}"#;
    s.write("ports.ndjson", ports);
    for query in [
        "source.port > 5",
        "source.port < 99999999999999999999999999",
        "source.port: 1e400",
        "source.port: -0",
    ] {
        assert!(
            matches!(s.run(&["query", "--lang", "kql", query, "ports.ndjson"]).code, Some(0 | 1)),
            "{query}"
        );
    }
    let ran = s.run(&["query", "--check", "--lang", "eql", "any where source.port == 1e999"]);
    assert!(ran.code == Some(1) && ran.err.contains("query:1:26"), "{}", ran.err);
    assert_eq!(s.run(&["query", "--size", "99999999999999999999999", "a: b", "ports.ndjson"]).code, Some(2));
}
