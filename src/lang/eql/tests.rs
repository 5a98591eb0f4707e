//! What whole queries mean, and which mistakes are found in them.

use super::*;
use crate::diag::Severity;
use crate::lang::{MAX_DEPTH, Shape};
use crate::plan::Pred;
use crate::schema::{Layer, parse_mapping};
use crate::value::{Document, ProjectionBuilder};
use serde_json::{Value as Json, json};
use std::sync::Arc;

pub(super) fn schema() -> Schema {
    let keyword = json!({"type": "keyword"});
    let mapping = json!({"properties": {
        "@timestamp": {"type": "date"},
        "event": {"properties": {"category": keyword, "outcome": keyword, "kind": {"type": "alias", "path": "tool"}}},
        "tool": keyword, "path": keyword, "lower": {"type": "text", "fields": {"raw": {"type": "keyword", "normalizer": "lowercase"}}}, "short": {"type": "keyword", "ignore_above": 4},
        "none": {"type": "keyword", "null_value": "nix"},
        "title": {"type": "text", "fields": {"raw": keyword}},
        "body": {"type": "text"},
        "both": {"type": "text", "fields": {"a": keyword, "b": keyword}},
        "n": {"type": "long"}, "m": {"type": "integer"}, "ratio": {"type": "double"},
        "ok": {"type": "boolean"}, "ip": {"type": "ip"}, "seen": {"type": "date"}, "rel": {"type": "version"},
        "spot": {"type": "geo_point"}, "bag": {"type": "flattened"},
        "rows": {"type": "nested", "properties": {"id": keyword}},
    }});
    let fields = Arc::new(parse_mapping(&mapping.to_string()).unwrap());
    Schema::new(vec![Layer { fields, version: None, label: "index".into() }])
}

fn read(query: &str) -> Analysis {
    analyze(query, &schema(), &Settings::default())
}

pub(super) fn project(plan: &Plan, doc: &Json) -> (Document, Vec<usize>) {
    let mut b = ProjectionBuilder::default();
    let slots = plan.fields.iter().map(|f| b.slot(&f.access)).collect();
    (b.build().project_value(doc), slots)
}

/// Whether a document matches `any where condition`.
pub(super) fn holds(condition: &str, doc: &Json) -> bool {
    let query = format!("any where {condition}");
    let analysis = read(&query);
    let plan = analysis.plan.unwrap_or_else(|| panic!("{query}: {:?}", analysis.diagnostics));
    let (doc, slots) = project(&plan, doc);
    plan.matches(&doc, &slots).unwrap()
}

fn check_all(doc: &Json, yes: &[&str], no: &[&str]) {
    for c in yes {
        assert!(holds(c, doc), "{c}");
    }
    for c in no {
        assert!(!holds(c, doc), "{c}");
    }
}

/// The codes of a query's findings.
fn codes(query: &str) -> Vec<String> {
    read(query).diagnostics.iter().map(|d| d.code.to_string()).collect()
}

#[test]
fn negation_is_the_complement_also_without_the_field() {
    check_all(
        &json!({}),
        &[
            r#"tool != "vi""#,
            r#"not tool == "vi""#,
            r#"tool not in ("vi", "ed")"#,
            r#"not startsWith(tool, "v")"#,
            r#"not tool : "v*""#,
            "not (n > 5)",
            "not ok",
            r#"startsWith(tool, "v") == false"#,
            "(n > 5) != true",
            r#"not length(tool) > 1"#,
            "tool == null",
            "null == (n > 1)",
            r#"concat(tool, path) == null"#,
            r#"tool == concat(null, "x")"#,
        ],
        &["ok == false", "n != null", "length(tool) > 0", "n > 5 or n <= 5", "tool == \"\""],
    );
}

#[test]
fn any_value_of_an_array_satisfies_a_leaf() {
    check_all(
        &json!({"n": [1, 9], "tool": ["vi", "ed"], "path": ["/a", "/b"]}),
        &[
            r#"tool == "ed""#,
            "n > 5 and n < 5",
            r#"concat(tool, path) == "vi/b""#,
            "n * n == 81",
            "n - n == 0",
            "length(tool) == 2",
        ],
        &[r#"tool != "ed""#, "n * n == 9", "n != 9"],
    );
}

#[test]
fn unmapped_optional_fields_are_constant_nulls() {
    check_all(
        &json!({"tool": "vi"}),
        &["?gone == null", r#"?gone != "x""#, "?gone == ?lost", "?tool == \"vi\"", "true or ?gone"],
        &[
            "?gone != null",
            "?gone",
            "?gone == 1",
            "?gone < 1",
            "not (?gone < 1)",
            "not ?gone",
            r#"not (?gone : "a*")"#,
            r#"?gone in ("a", "b")"#,
        ],
    );
}

#[test]
fn strings_compare_exactly_and_patterns_expand() {
    check_all(
        &json!({"tool": "Vim.exe", "path": r"C:\a*b\Ünder", "title": "Some Title", "none": null}),
        &[
            r#"tool : "vim.EXE""#,
            r#"tool : ("ed", "v?m*")"#,
            r#"tool like ("ed", "V*.exe")"#,
            r#"tool like~ "V*.EXE""#,
            r#"tool in~ ("ed", "VIM.exe")"#,
            r#"tool regex "V.m\\.[a-z]+""#,
            r#"tool regex~ ("ed", "v.*")"#,
            r#"path like "C:\\a**""#,
            r#"startsWith(path, "C:\\a*b")"#,
            r#"endsWith~(tool, ".EXE")"#,
            r#"stringContains(tool, "im")"#,
            r#"title == "Some Title""#,
            r#"substring(title, 5) : "t*""#,
            r#"none == "nix""#,
            r#"tool > "V" and tool < "W""#,
            r#"event.kind == "Vim.exe""#,
        ],
        &[
            r#"tool == "vim.exe""#,
            r#"tool == "Vim*""#,
            r#"tool in~ ("v*")"#,
            r#"tool regex "im""#,
            r#"path : "*ünder""#,
            r#"startsWith(path, "C:\\aX")"#,
            r#"stringContains(tool, "")"#,
            r#"stringContains(tool, "*")"#,
            r#"none == null"#,
        ],
    );
}

#[test]
fn values_are_typed() {
    check_all(
        &json!({"n": "12", "ratio": 0.5, "ip": "10.1.2.3", "seen": "2024-03-05T10:00:00.250Z", "rel": "1.10.0", "ok": "true"}),
        &[
            "n == 12",
            "n == 12.0",
            r#"n == "12""#,
            "13 > n",
            "n / 5 == 2",
            "n % 5 == 2",
            "-n == -12",
            "ratio * 2 == 1",
            r#"ip == "10.1.2.3""#,
            r#"ip == "10.0.0.0/8""#,
            r#"cidrMatch(ip, "10.0.0.0/8", "192.168.0.0/16")"#,
            r#"string(ip) == "10.1.2.3""#,
            r#"seen == "2024-03-05""#,
            r#"seen == "2024-03-05T10:00:00""#,
            r#"seen > "2024-03-04" and seen <= "2024-03-05""#,
            "seen > 1709600000000",
            r#"string(seen >= "2024-03-05") == "true""#,
            r#"rel > "1.9""#,
            "ok",
            "ok == true",
        ],
        &[
            "n in (1, 2)",
            r#"cidrMatch(ip, "11.0.0.0/8")"#,
            r#"seen > "2024-03-05""#,
            r#"rel == "1.10""#,
            "ok == false",
        ],
    );
}

#[test]
fn the_category_is_a_condition_of_its_own() {
    let analysis = read("process where n == 1");
    let plan = analysis.plan.unwrap();
    for (doc, want) in [
        (json!({"event": {"category": ["file", "process"]}, "n": 1}), true),
        (json!({"event": {"category": "Process"}, "n": 1}), false),
        (json!({"n": 1}), false),
    ] {
        let (doc, slots) = project(&plan, &doc);
        assert_eq!(plan.matches(&doc, &slots), Ok(want));
    }
    let names: Vec<&str> = analysis.fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["event.category", "n"]);
}

#[test]
fn conditions_on_fields_become_leaves_and_the_rest_is_computed() {
    let kinds = |condition: &str| {
        let plan = read(&format!("any where {condition}")).plan.unwrap();
        let mut leaves = (0, 0);
        for p in plan.filter() {
            p.visit(&mut |p, _| match p {
                Pred::Script(_) => leaves.1 += 1,
                _ => leaves.0 += 1,
            });
        }
        leaves
    };
    assert_eq!(kinds(r#"tool == "a" and not n < 1 and tool in ("a", "b") and ip == null"#), (4, 0));
    assert_eq!(
        kinds(r#"startsWith~(tool, "a") or cidrMatch(ip, "10.0.0.0/8") or endsWith(title, "x")"#),
        (3, 0)
    );
    assert_eq!(kinds(r#"length(tool) > 1 or n + m > 3 or string(n) : "1*""#), (0, 3));
    assert_eq!(kinds(r#"tool : ("a", "b", "c*", "d*")"#), (3, 0));
}

#[test]
fn mistakes_of_syntax_have_their_codes() {
    for (query, code) in [
        ("", "RP0101"),
        ("process", "RP0101"),
        ("process where", "RP0101"),
        (r#"tool == "x""#, "RP0101"),
        ("any where n = 1", "RP0101"),
        ("any where n == 1 == 2", "RP0101"),
        ("any where n == 1 AND n == 2", "RP0101"),
        ("any where n in ()", "RP0101"),
        ("any where n in (1,)", "RP0101"),
        (r#"any where tool not like "a*""#, "RP0101"),
        ("any where tool : length(tool)", "RP0101"),
        ("any where event.sequence == 1", "RP0101"),
        ("any where n == 1)", "RP0101"),
        ("any where n > (1", "RP0101"),
        ("any where $n", "RP0101"),
        ("/* any where true", "RP0101"),
        ("`a` where true", "RP0101"),
        ("42 where true", "RP0101"),
        ("any where n == 1e999", "RP0102"),
        (r#"any where tool == "a"#, "RP0103"),
        (r#"any where tool == """a"#, "RP0103"),
        ("any where `tool == 1", "RP0103"),
        ("any where tool == 'a'", "RP0105"),
        ("any where child of [any where true]", "RP0105"),
        ("any where tags[0] == 1", "RP0105"),
        ("any where true | heda 5", "RP0106"),
        ("any where true | count", "RP0106"),
        ("any where true | sort a, b | head 2", "RP0106"),
        ("any where true | head", "RP0106"),
        ("any where true | head 1, 2", "RP0106"),
        ("any where true | tail -1", "RP0106"),
        ("any where true | tail 1.5", "RP0106"),
        ("sequence with maxspan=30 [any where true] [any where true]", "RP0107"),
        ("sequence with maxspan=0s [any where true] [any where true]", "RP0107"),
        ("sequence with maxspan=5w [any where true] [any where true]", "RP0107"),
        ("sequence with maxspan=2.5m [any where true] [any where true]", "RP0107"),
        ("sequence with maxspan=1s by n [any where true] [any where true]", "RP0108"),
        ("sequence [any where true] by n [any where true] by n, m", "RP0108"),
        ("sequence [any where true] by n [any where true] by n until [any where true]", "RP0108"),
        ("sequence by length(tool) [any where true] [any where true]", "RP0108"),
        ("sequence [any where true]", "RP0108"),
        ("sequence [any where true] with runs=0", "RP0108"),
        ("sequence [any where true] with runs=101", "RP0108"),
        ("sequence [any where true] with runs=-1", "RP0108"),
        ("sequence [any where true] with loops=2", "RP0108"),
        ("sequence [any where true] ![any where true]", "RP0108"),
        ("sequence with maxspan=1s ![any where true] ![any where true]", "RP0108"),
        ("sequence with maxspan=1s [any where true] [any where true] until ![any where true]", "RP0108"),
        ("sequence [any where true] [any where true] until [any where true] with runs=2", "RP0108"),
        ("sample [any where true] [any where true]", "RP0108"),
        ("sample by n [any where true]", "RP0108"),
        ("sample by n [any where true] ![any where true]", "RP0108"),
        ("sample by n [any where true] [any where true] | head 1", "RP0106"),
    ] {
        let found = parse(query).expect_err(query);
        assert_eq!(found[0].code.to_string(), code, "{query}: {found:?}");
        let in_text = |s: Span| s.end as usize <= query.len() && query.get(s.range()).is_some();
        assert!(found.iter().flat_map(|d| &d.labels).all(|l| in_text(l.span)), "{query}");
    }
}

#[test]
fn mistakes_of_names_and_types_have_their_codes() {
    for (query, code) in [
        (r#"any where tol == "x""#, "RP0201"),
        ("any where rows.id == \"x\"", "RP0203"),
        ("any where rows == 1", "RP0203"),
        ("any where spot == 1", "RP0204"),
        ("any where bag.key == \"x\"", "RP0204"),
        ("any where event == 1", "RP0206"),
        (r#"any where body == "x""#, "RP0305"),
        (r#"any where both : "x""#, "RP0305"),
        ("any where n : 1", "RP0302"),
        (r#"any where n : "1""#, "RP0302"),
        (r#"any where ip like "10.*""#, "RP0302"),
        ("any where n in~ (1)", "RP0302"),
        ("any where tool : 1", "RP0302"),
        ("any where n", "RP0303"),
        ("any where n == 1 and tool", "RP0303"),
        ("any where not seen", "RP0303"),
        (r#"any where indexOf(tool, "x")"#, "RP0303"),
        (r#"any where n in (1, "x")"#, "RP0304"),
        (r#"any where tool + 1 == 2"#, "RP0304"),
        ("any where n == m", "RP0306"),
        ("any where length(tool) == length(path)", "RP0306"),
        ("any where tool in (path, \"x\")", "RP0306"),
        ("any where cidrMatch(ip, tool)", "RP0307"),
        ("sequence [any where true] by n [any where true] by tool", "RP0308"),
        ("sequence [any where true] by n [any where true] by m until [any where true] by seen", "RP0308"),
        ("any where lenght(tool) == 1", "RP0401"),
        (r#"any where wildcard(tool, "x")"#, "RP0401"),
        ("any where between(tool) == \"x\"", "RP0402"),
        ("any where length() == 1", "RP0402"),
        ("any where cidrMatch(ip)", "RP0402"),
        ("any where length(n) == 1", "RP0403"),
        (r#"any where cidrMatch(tool, "10.0.0.0/8")"#, "RP0403"),
        (r#"any where cidrMatch(ip, "10.0.0.0/99")"#, "RP0403"),
        (r#"any where number(tool, 1.0) == 1"#, "RP0403"),
        ("any where 1 / 0 == 1", "RP0404"),
        (r#"any where n == number("x")"#, "RP0404"),
        ("any where length~(tool) == 1", "RP0405"),
        (r#"any where tool regex "a(""#, "RP0102"),
        (r#"any where tool regex "<1-x>""#, "RP0102"),
        ("join by n [any where true] [any where true]", "RP0105"),
    ] {
        let analysis = read(query);
        assert_eq!(codes(query).first().map(String::as_str), Some(code), "{query}");
        assert!(analysis.has_errors() && analysis.plan.is_none(), "{query}");
    }
}

#[test]
fn values_that_can_never_match_are_told() {
    let d = &read(r#"any where n == "abc""#).diagnostics[0];
    assert_eq!((d.code, d.severity), (Code::RP0301, Severity::Warning));
    assert_eq!(codes(r#"any where short == "12345""#), ["RP0503"]);
    assert_eq!(codes(r#"any where seen > "soon""#), ["RP0301"]);
    let settings = Settings { ecs: Some(crate::schema::Version(9, 5, 0)), ..Settings::default() };
    let found = |q: &str| analyze(q, &schema(), &settings).diagnostics;
    let d = &found(r#"any where event.outcome == "succes""#)[0];
    assert_eq!((d.code, d.severity), (Code::RP0501, Severity::Error));
    assert_eq!(d.fix.as_ref().unwrap().replacement, "\"success\"");
    let d = &found(r#"any where event.outcome in ("failure", "denied")"#)[0];
    assert_eq!((d.code, d.severity), (Code::RP0501, Severity::Warning));
    let d = &found("proces where true")[0];
    assert_eq!(d.fix.as_ref().unwrap().replacement, "process");
}

#[test]
fn one_query_may_have_several_findings() {
    assert_eq!(codes("any where tol == 1 and n : 1 and lengt(tool) > 1"), ["RP0201", "RP0302", "RP0401"]);
    let found = parse("sequence [any where ] [any where n ==] [any where true] | hed 1 | tail").unwrap_err();
    let codes: Vec<String> = found.iter().map(|d| d.code.to_string()).collect();
    assert_eq!(codes, ["RP0101", "RP0101", "RP0106", "RP0106"]);
}

#[test]
fn the_event_category_field_must_exist_unless_any_is_asked_for() {
    let settings = Settings { event_category_field: "event.cat".into(), ..Settings::default() };
    let found = analyze("process where true", &schema(), &settings).diagnostics;
    assert_eq!(found[0].code, Code::RP0201);
    assert!(analyze("any where true", &schema(), &settings).plan.is_some());
    let settings = Settings { event_category_field: "tool".into(), ..Settings::default() };
    assert!(analyze("process where true", &schema(), &settings).plan.is_some());
}

#[test]
fn a_sequence_and_a_sample_become_a_stage() {
    let query = "sequence by tool with maxspan=5m [process where n == 1] by m ![file where true] by ?n [any where ok] by n with runs=2 until [any where m == 0] by m | tail 3";
    let analysis = read(query);
    assert!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics);
    assert_eq!(analysis.shape, Shape::Sequence);
    assert_eq!(analysis.pipes, [crate::lang::Cut { tail: true, limit: 3 }]);
    let plan = analysis.plan.unwrap();
    let s = plan.sequence().unwrap();
    assert_eq!(s.maxspan, Some(300_000_000_000));
    let steps: Vec<(bool, usize)> = s.steps.iter().map(|s| (s.missing, s.runs)).collect();
    assert_eq!((steps, s.stages()), (vec![(false, 1), (true, 1), (false, 2)], 3));
    let keys: Vec<(&str, bool)> =
        s.steps[1].item.keys.iter().map(|k| (k.name.as_ref(), k.optional)).collect();
    assert_eq!(keys, [("tool", false), ("n", true)]);
    assert_eq!(&*plan.fields.get(s.time).unwrap().name, "@timestamp");
    assert!(s.until.is_some() && s.tiebreaker.is_none());
    let sample = read("sample by ?nowhere [any where n == 1] [any where n == 2]");
    assert_eq!((sample.shape, sample.diagnostics.len()), (Shape::Sample, 0));
    let plan = sample.plan.unwrap();
    assert_eq!(plan.items().iter().map(|i| i.keys[0].field).collect::<Vec<_>>(), [None, None]);
}

#[test]
fn what_an_item_asks_of_a_key_its_partners_must_satisfy() {
    let clauses = |query: &str| -> Vec<String> {
        let analysis = read(query);
        assert!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics);
        let plan = analysis.plan.unwrap();
        let text = |p: &Pred| match p {
            Pred::Leaf(l) => {
                format!("{}~{}", plan.fields.get(l.field).unwrap().name, l.span.slice(query))
            }
            Pred::Const(b) => b.to_string(),
            _ => "…".to_owned(),
        };
        let item = |p: &Pred| match p {
            Pred::And(ps) => ps.iter().map(text).collect::<Vec<_>>().join(" & "),
            p => text(p),
        };
        plan.items().iter().map(|i| item(&i.pred)).collect()
    };
    assert_eq!(
        clauses(
            "sequence by n with maxspan=1m [any where n == 1 and ok] ![any where true] [any where m > 2] until [any where true]"
        ),
        ["n~n == 1 & ok~ok", "true", "m~m > 2 & n~n == 1", "true"]
    );
    // the key's own name in the other item, and not what holds `or` or another field
    assert_eq!(clauses("sample [any where n == 1] by n [any where true] by m"), ["n~n == 1", "m~n == 1"]);
    assert_eq!(clauses("sample by n [any where n == 1 or n == 2] [any where true]"), ["…", "true"]);
    assert_eq!(clauses("sample by n [any where n == 1] [any where n == 1]"), ["n~n == 1", "n~n == 1"]);
}

#[test]
fn an_open_schema_accepts_every_name() {
    let analysis = analyze(
        r#"foo where a.b == "x" and c > 5 and d and length(e) == 1 and ?f : "g*""#,
        &Schema::none(),
        &Settings::default(),
    );
    assert!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics);
    let plan = analysis.plan.unwrap();
    let doc = json!({"event.category": "foo", "a": {"b": "x"}, "c": 5.5, "d": true, "e": "1", "f": "G1"});
    let (doc, slots) = project(&plan, &doc);
    assert_eq!(plan.matches(&doc, &slots), Ok(true));
}

#[test]
fn queries_that_nest_too_deep_are_refused() {
    for deep in [
        format!("any where {}true{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("any where {}true", "not ".repeat(100_000)),
        format!("any where {}n == 1", "- ".repeat(100_000)),
        format!("any where n{} == 1", " + n".repeat(100_000)),
        format!("any where {}n{} == 1", "length(".repeat(100_000), ")".repeat(100_000)),
    ] {
        assert_eq!(parse(&deep).unwrap_err()[0].code, Code::RP0104);
    }
    let fits = format!("any where {}ok{}", "(not ".repeat(MAX_DEPTH / 2 - 2), ")".repeat(MAX_DEPTH / 2 - 2));
    assert!(read(&fits).plan.is_some());
    let wide = format!("any where {}true", "n == 1 or ".repeat(20_000));
    assert!(read(&wide).plan.is_some());
}

#[test]
fn the_examples_of_every_function_hold() {
    for f in crate::func::all().filter(|f| f.languages.contains(&crate::func::Language::Eql)) {
        assert!(!f.examples.is_empty() && !f.summary.is_empty(), "{}", f.name);
        for (call, value) in f.examples {
            assert!(holds(&format!("{call} == {value}"), &json!({})), "{call} is not {value}");
        }
    }
}

#[test]
fn the_printer_writes_one_form() {
    let canonical = |q: &str| print(&parse(q).unwrap());
    assert_eq!(
        canonical("process   where ((a) == 1) and (b or c) and not(d) // x"),
        "process where a == 1 and (b or c) and not d"
    );
    assert_eq!(canonical("any where -(1) < - x and (-5) in (1)"), "any where -1 < -x and (-5) in (1)");
    assert_eq!(canonical("\"any\" where `a b`.c : (\"x\")"), "\"any\" where `a b.c` : \"x\"");
    assert_eq!(canonical(r#"any where a == """C:\x""""#), r#"any where a == """C:\x""""#);
    let empty = parse(r#"any where a == """""""#).unwrap();
    assert_eq!(parse(&print(&empty)).unwrap(), empty);
    assert_eq!(
        canonical(
            "sequence by a,?b with maxspan = 5 m [x where true] [y where (1+2)*3 == 9] with runs = 2 until [any where z] | head 3|tail 1"
        ),
        "sequence by a, ?b with maxspan=5m\n  [x where true]\n  [y where (1 + 2) * 3 == 9] with runs=2\n  until [any where z]\n| head 3\n| tail 1"
    );
}
