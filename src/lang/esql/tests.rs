//! What queries mean: findings with their places, columns and their types, and answers over small tables.

use super::{analyze, cell_json, parse};
use crate::diag::Code;
use crate::func::column;
use crate::lang::{Analysis, Settings};
use crate::plan::Row;
use crate::plan::table::{Meta, Run, TableRow};
use crate::schema::{Layer, Schema, Version, parse_mapping};
use crate::source::Source;
use crate::value::{Datum, ProjectionBuilder};
use std::sync::Arc;

const MAPPING: &str = r#"{"properties": {
    "@timestamp": {"type": "date"}, "host": {"properties": {"name": {"type": "keyword"}, "ip": {"type": "ip"}}},
    "tags": {"type": "keyword", "ignore_above": 8}, "note": {"type": "text"}, "n": {"type": "integer"}, "big": {"type": "long"},
    "d": {"type": "double"}, "ok": {"type": "boolean"}, "flat": {"type": "flattened"},
    "list": {"type": "nested", "properties": {"x": {"type": "keyword"}}}}}"#;

fn schema() -> Schema {
    let fields = parse_mapping(MAPPING).unwrap();
    Schema::new(vec![Layer { fields: Arc::new(fields), version: None, label: "mapping.json".into() }])
}

fn read(query: &str) -> Analysis {
    analyze(query, &schema(), &Settings::default())
}

/// Code and text of the first label of each finding.
fn found(query: &str) -> Vec<(Code, String)> {
    let label =
        |d: &crate::diag::Diagnostic| d.span().map_or_else(String::new, |s| s.slice(query).to_owned());
    read(query).diagnostics.iter().map(|d| (d.code, label(d))).collect()
}

/// The answer of a query over documents: header, rows and warnings.
fn answer(query: &str, documents: &[serde_json::Value]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let analysis = read(query);
    let plan = analysis.plan.unwrap_or_else(|| panic!("{query}: {:?}", analysis.diagnostics));
    let pipeline = plan.table().unwrap();
    let mut builder = ProjectionBuilder::default();
    let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
    let projection = builder.build();
    let mut run = Run::new(pipeline, 0);
    if pipeline.literal {
        run.feed(TableRow { cells: vec![Datum::Null; pipeline.slots], events: Vec::new() });
    }
    for (i, d) in documents.iter().enumerate() {
        let document = projection.project_value(d);
        let row = Row { fields: &plan.fields, document: &document, slots: &slots };
        let meta = Meta { id: &i.to_string(), index: "a", source: &|| Some(d.to_string()) };
        run.feed(pipeline.load(&row, &meta));
    }
    let finished = run.finish();
    let header = pipeline.output.iter().map(|c| format!("{}:{}", c.name, c.ty.name())).collect();
    let text = |row: &TableRow| {
        let cells = pipeline.output.iter().map(|c| cell_json(&row.cells[c.slot]).to_string());
        cells.collect::<Vec<_>>().join(" ")
    };
    (header, finished.rows.iter().map(text).collect(), finished.warnings.texts(&Source::new("q", query)))
}

fn rows(query: &str, documents: &[serde_json::Value]) -> Vec<String> {
    answer(query, documents).1
}

/// What one expression gives.
fn value(expression: &str) -> String {
    rows(&format!("ROW r = {expression}"), &[]).join("")
}

#[test]
fn every_example_of_the_function_table_holds() {
    let mut without = Vec::new();
    for f in column::all() {
        let evaluated = !f.is_aggregate() && !matches!(f.form, column::Form::FullText | column::Form::Bucket);
        if evaluated && f.examples.is_empty() && f.params.len() > 1 {
            without.push(f.name);
        }
        for (call, wanted) in f.examples {
            let wanted =
                if wanted.starts_with('[') { wanted.replace(", ", ",") } else { (*wanted).to_owned() };
            assert_eq!(value(call), wanted, "{call}");
        }
    }
    assert!(without.is_empty(), "functions without an example: {without:?}");
}

#[test]
fn several_mistakes_are_told_with_their_places() {
    let query = "FROM a | WHERE hots.name == \"x\" | EVAL y = n + tags, z = conct(tags, \"a\") | KEEP q";
    assert_eq!(
        found(query),
        [
            (Code::RP0201, "hots.name".into()),
            (Code::RP0304, "tags".into()),
            (Code::RP0401, "conct".into()),
            (Code::RP0201, "q".into()),
        ]
    );
    let help = read(query).diagnostics.into_iter().map(|d| d.help.unwrap_or_default()).collect::<Vec<_>>();
    assert!(help[0].contains("`host.name`") && help[2].contains("`concat`"), "{help:?}");
    let (_, syntax) = parse("FROM a | WHER x | EVAL = 1 | LIMIT x");
    assert_eq!(syntax.len(), 3);
    assert_eq!(syntax[0].help.as_deref(), Some("did you mean `WHERE`?"));
}

#[test]
fn types_are_checked_where_they_meet() {
    let code = |q: &str| found(&format!("FROM a | {q}")).into_iter().map(|(c, _)| c).collect::<Vec<_>>();
    assert_eq!(code("WHERE n == \"1\""), [Code::RP0304]);
    assert_eq!(code("WHERE host.ip == tags"), [Code::RP0304]);
    assert_eq!(code("WHERE host.ip == \"192.0.2.1\" AND @timestamp > \"2026-01-01\""), []);
    assert_eq!(code("WHERE host.ip == \"nonsense\""), [Code::RP0301]);
    assert_eq!(code("WHERE n"), [Code::RP0303]);
    assert_eq!(code("WHERE CIDR_MATCH(tags, \"10.0.0.0/8\")"), [Code::RP0403]);
    assert_eq!(code("WHERE flat == \"x\""), [Code::RP0204]);
    assert_eq!(code("WHERE flat.key == \"x\""), [Code::RP0201]);
    assert_eq!(code("WHERE list.x == \"x\""), [Code::RP0201]);
    assert_eq!(code("WHERE n LIKE \"1*\""), [Code::RP0302]);
    assert_eq!(code("WHERE tags LIKE \"\\\\d\""), [Code::RP0102]);
    assert_eq!(code("EVAL x = 1 hour"), [Code::RP0403]);
    assert_eq!(code("EVAL x = 1 day - @timestamp"), [Code::RP0304]);
    assert_eq!(code("EVAL x = DATE_TRUNC(n, @timestamp)"), [Code::RP0403]);
    assert_eq!(code("EVAL x = ROUND()"), [Code::RP0402]);
    assert_eq!(code("EVAL x = CASE(ok, 1, \"a\")"), [Code::RP0403]);
    assert_eq!(code("DISSECT n \"%{a}\""), [Code::RP0302]);
    assert_eq!(code("GROK note \"%{NOPE:a}\""), [Code::RP0102]);
    assert_eq!(code("STATS x = SUM(@timestamp)"), [Code::RP0403]);
    assert_eq!(code("LIMIT -1"), [Code::RP0301]);
}

#[test]
fn aggregates_and_searches_have_their_places() {
    let code = |q: &str| found(&format!("FROM a | {q}")).into_iter().map(|(c, _)| c).collect::<Vec<_>>();
    assert_eq!(code("WHERE COUNT(*) > 1"), [Code::RP0406]);
    assert_eq!(code("STATS x = MAX(MIN(n))"), [Code::RP0406]);
    assert_eq!(code("STATS x = n + MAX(n)"), [Code::RP0406]);
    assert_eq!(code("STATS x = n + MAX(big) BY n"), []);
    assert_eq!(code("STATS x = n + MAX(big) BY y = n % 2"), [Code::RP0406]);
    assert_eq!(code("STATS c = COUNT(*) BY n | WHERE KQL(\"n: 1\")"), [Code::RP0406]);
    assert_eq!(code("MV_EXPAND tags | WHERE KQL(\"n: 1\")"), [Code::RP0406]);
    assert_eq!(code("WHERE KQL(\"n: 1\") OR note : \"quick\""), []);
    assert_eq!(code("EVAL x = MATCH(note, \"quick\")"), [Code::RP0406]);
    assert_eq!(code("EVAL x = BUCKET(n, 5)"), [Code::RP0406]);
}

#[test]
fn functions_are_newer_than_some_stacks() {
    let old = Settings { stack: Some(Version(8, 19, 0)), ..Settings::default() };
    let codes = |q: &str| -> Vec<Code> {
        let found = analyze(q, &schema(), &old).diagnostics;
        found.iter().map(|d| d.code).filter(|c| *c == Code::RP0803).collect()
    };
    assert_eq!(codes("FROM a | EVAL x = URL_DECODE(tags) | KEEP x"), [Code::RP0803]);
    assert_eq!(codes("FROM a | INLINE STATS c = COUNT(*) BY n"), [Code::RP0803]);
    assert_eq!(codes("FROM a | EVAL x = TO_LOWER(tags) | KEEP x"), []);
}

#[test]
fn what_cannot_run_says_so_and_is_no_error() {
    let analysis = read("FROM a | COMPLETION answer = note WITH {\"inference_id\": \"m\"} | KEEP answer");
    assert!(!analysis.has_errors() && analysis.plan.is_none());
    assert_eq!(analysis.diagnostics[0].code, Code::RP9001);
    assert!(
        found("FROM a | COMPLETION n WITH {\"inference_id\": \"m\"}").iter().any(|(c, _)| *c == Code::RP0302)
    );
}

#[test]
fn stored_values_are_sorted_and_too_long_ones_are_gone() {
    let docs = [
        serde_json::json!({"tags": ["b", "a", "b", "much too long"], "n": [3, 1, 3], "note": ["z", "a", "z"]}),
    ];
    assert_eq!(rows("FROM a | KEEP tags, n, note", &docs), [r#"["a","b"] [1,3,3] ["z","a","z"]"#]);
    assert_eq!(rows("FROM a METADATA _ignored | KEEP _ignored", &docs), [r#""tags""#]);
}

#[test]
fn several_values_are_null_to_an_operator_and_that_is_said() {
    let docs =
        [serde_json::json!({"tags": ["a", "b"]}), serde_json::json!({"tags": "a"}), serde_json::json!({})];
    assert_eq!(rows("FROM a METADATA _id | WHERE tags == \"a\" | KEEP _id", &docs), [r#""1""#]);
    assert!(rows("FROM a | WHERE NOT tags == \"a\"", &docs).is_empty());
    assert!(rows("FROM a METADATA _id | WHERE tags != \"z\" | KEEP _id", &docs).len() == 1);
    assert_eq!(rows("FROM a METADATA _id | WHERE tags NOT LIKE \"*\" | KEEP _id", &docs), [r#""2""#]);
    assert_eq!(rows("FROM a METADATA _id | WHERE tags LIKE \"*\" | KEEP _id", &docs).len(), 2);
    assert_eq!(rows("FROM a METADATA _id | WHERE KQL(\"tags: b\") | KEEP _id", &docs), [r#""0""#]);
    let (_, _, warnings) = answer("FROM a | WHERE tags == \"a\"", &docs);
    assert_eq!(
        warnings,
        [
            "Line 1:16: evaluation of [tags == \"a\"] failed, treating result as null. Only first 20 failures recorded.",
            "Line 1:16: java.lang.IllegalArgumentException: single-value function encountered multi-value",
        ]
    );
}

#[test]
fn columns_have_their_order_and_names() {
    let header = |q: &str| answer(q, &[]).0.join(" ");
    assert_eq!(
        header("FROM a | KEEP n* | EVAL n = 1"),
        "note:text n:integer",
        "an overwritten column moves to the end"
    );
    assert_eq!(
        header("FROM a | KEEP *, d | DROP host*, @*, f*, b*, ok"),
        "n:integer note:text tags:keyword d:double"
    );
    assert_eq!(
        header("FROM a | STATS COUNT( * ), m = MAX(n) BY  tags"),
        "COUNT( * ):long m:integer tags:keyword"
    );
    assert_eq!(header("FROM a | RENAME n AS x, d = big | KEEP x, d"), "x:integer d:long");
    assert_eq!(header("FROM a | KEEP n | DISSECT \"a b\" \"%{n} %{m}\""), "n:keyword m:keyword");
    assert_eq!(header("ROW a = [1, 2.5], `b c` = null"), "a:double b c:null");
    assert_eq!(
        header("FROM a | KEEP n, tags | INLINE STATS s = SUM(n) BY tags"),
        "n:integer s:long tags:keyword"
    );
}

#[test]
fn groups_of_several_values_and_conditions_of_aggregates() {
    let docs = [
        serde_json::json!({"tags": ["a", "b"], "n": 1}),
        serde_json::json!({"tags": "b", "n": 5}),
        serde_json::json!({"n": 7}),
    ];
    let query = "FROM a | STATS s = SUM(n), big = COUNT(*) WHERE n > 1, t = COUNT(tags) BY tags | SORT tags";
    assert_eq!(rows(query, &docs), [r#"1 0 2 "a""#, r#"6 1 3 "b""#, "7 1 0 null"]);
    assert_eq!(rows("FROM a | WHERE n > 99 | STATS c = COUNT(*), m = MAX(n)", &docs), ["0 null"]);
    assert!(rows("FROM a | WHERE n > 99 | STATS c = COUNT(*) BY tags", &docs).is_empty());
}

#[test]
fn arithmetic_fails_softly() {
    assert_eq!(value("2147483647 + 1"), "null");
    assert_eq!(value("7 / 2"), "3");
    assert_eq!(value("-7 % 3"), "-1");
    assert_eq!(value("1 / 0"), "null");
    assert_eq!(value("1.0 / 0"), "null");
    assert_eq!(value("9223372036854775807 + 0"), "9223372036854775807");
    assert_eq!(value("1 IN (2, null)"), "null");
    assert_eq!(
        value("TO_STRING(\"2024-01-31T00:00:00Z\"::datetime + 1 month)"),
        "\"2024-02-29T00:00:00.000Z\""
    );
    assert_eq!(value("\"a\\\\b\" LIKE \"\"\"a\\\\*\"\"\""), "true");
    assert_eq!(value("\"ab\" RLIKE \"a(b|c)\" AND NOT \"xab\" RLIKE \"ab\""), "true");
}

#[test]
fn an_open_schema_takes_unknown_names_and_lists_them() {
    let analysis = analyze(
        "FROM a | WHERE x.y == 1 | STATS c = COUNT(*) BY z | WHERE c > 1",
        &Schema::none(),
        &Settings::default(),
    );
    assert!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics);
    let names: Vec<&str> = analysis.fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["x.y", "z"]);
}

/// The lints of a query as a rule, over ECS.
fn lints(query: &str) -> Vec<Code> {
    let schema = Schema::new(vec![crate::schema::ecs().layer(Version(9, 4, 0))]);
    let rule = Settings { stack: Some(Version(9, 4, 0)), ..Settings::default() };
    let found = analyze(query, &schema, &rule).diagnostics;
    assert!(found.iter().all(|d| d.severity != crate::diag::Severity::Error), "{query}: {found:?}");
    found.iter().map(|d| d.code).collect()
}

#[test]
fn rules_are_warned_of_rows_that_get_lost() {
    let event = |q: &str| lints(&format!("FROM a METADATA _id, _version, _index | {q} | KEEP *"));
    assert_eq!(event("WHERE event.category == \"iam\""), [Code::RP1201]);
    assert_eq!(event("WHERE event.type IN (\"creation\") AND event.type == \"x\""), [Code::RP1201]);
    assert_eq!(event("MV_EXPAND event.category | WHERE event.category == \"iam\""), []);
    assert_eq!(event("WHERE MV_CONTAINS(event.category, \"iam\")"), []);
    assert_eq!(event("WHERE user.name != \"x\""), [Code::RP1202]);
    assert_eq!(event("WHERE NOT user.name LIKE \"x*\""), [Code::RP1202]);
    assert_eq!(event("WHERE user.name IS NULL OR user.name != \"x\""), []);
    assert_eq!(event("WHERE STARTS_WITH(event.action, \"Get\") AND event.action != \"GetObject\""), []);
    assert_eq!(event("WHERE NOT user.name != \"x\""), []);
    assert_eq!(event("EVAL p = MV_FIRST(process.args)"), [Code::RP1207]);
    assert_eq!(event("WHERE process.command_line RLIKE \"a>.b[&]\""), []);
    assert_eq!(event("WHERE process.command_line RLIKE \"a@b\""), [Code::RP1203]);
}

#[test]
fn rules_are_warned_of_what_kibana_makes_of_them() {
    assert_eq!(lints("FROM a | WHERE event.action == \"x\" | KEEP user.name"), [Code::RP1205]);
    assert_eq!(lints("FROM a METADATA _id, _version, _index | KEEP user.name, _id"), [Code::RP1205]);
    assert_eq!(lints("FROM a | STATS c = COUNT(*) BY user.name // done"), [Code::RP1204]);
    assert_eq!(lints("FROM a | STATS c = COUNT(*) BY user.name // done\n"), []);
    assert_eq!(
        lints("FROM a | STATS c = COUNT(*), m = MAX(@timestamp) BY user.name | KEEP c"),
        [Code::RP1206]
    );
    assert_eq!(lints("FROM a | EVAL x = 1, y = x | STATS c = COUNT(y) BY user.name"), []);
    assert_eq!(lints("FROM a | EVAL x = 1, x = 2 | STATS c = COUNT(x) BY user.name"), [Code::RP1206]);
}

#[test]
fn a_match_may_be_fuzzy_or_want_every_word() {
    let docs = [
        serde_json::json!({"k": "svchost.exe", "t": "the quick fox"}),
        serde_json::json!({"k": "scvhost.exe", "t": "a quikc dog"}),
        serde_json::json!({"k": "svchost", "t": "fox"}),
    ];
    let mapping = serde_json::json!({"properties": {"k": {"type": "keyword"}, "t": {"type": "text"}}});
    let count = |condition: &str| {
        let fields = std::sync::Arc::new(crate::schema::parse_mapping(&mapping.to_string()).unwrap());
        let layer = crate::schema::Layer { fields, version: None, label: "index".into() };
        let query = format!("FROM a | WHERE {condition} | STATS n = COUNT(*)");
        let analysis = analyze(&query, &Schema::new(vec![layer]), &Settings::default());
        let plan = analysis.plan.unwrap_or_else(|| panic!("{:?}", analysis.diagnostics));
        let pipeline = plan.table().unwrap();
        let mut b = crate::value::ProjectionBuilder::default();
        let slots: Vec<usize> = plan.fields.iter().map(|f| b.slot(&f.access)).collect();
        let projection = b.build();
        let mut run = crate::plan::table::Run::new(pipeline, 0);
        for doc in &docs {
            let document = projection.project_value(doc);
            let row = crate::plan::Row { fields: &plan.fields, document: &document, slots: &slots };
            let meta = crate::plan::table::Meta { id: "x", index: "a", source: &|| None };
            run.feed(pipeline.load(&row, &meta));
        }
        cell_json(&run.finish().rows[0].cells[pipeline.output[0].slot]).to_string()
    };
    assert_eq!(count(r#"MATCH(k, "svchost.exe")"#), "1");
    assert_eq!(count(r#"MATCH(k, "svchost.exe", {"fuzziness": 1})"#), "2");
    assert_eq!(count(r#"MATCH(k, "svchots.exe", {"fuzziness": "AUTO"})"#), "2");
    assert_eq!(count(r#"MATCH(t, "quick fox")"#), "2");
    assert_eq!(count(r#"MATCH(t, "quick fox", {"operator": "AND"})"#), "1");
    assert_eq!(count(r#"MATCH(t, "quick", {"fuzziness": "auto"})"#), "2");
    let code = |q: &str| {
        let found = analyze(&format!("FROM a | WHERE {q}"), &Schema::none(), &Settings::default());
        found.diagnostics.first().map(|d| d.code)
    };
    assert_eq!(code(r#"MATCH(k, "x", {"fuzzines": 1})"#), Some(Code::RP0403));
    assert_eq!(code(r#"MATCH(k, "x", {"fuzziness": 3})"#), Some(Code::RP0403));
    assert_eq!(code(r#"MATCH(k, "x", {"operator": "xor"})"#), Some(Code::RP0403));
    assert_eq!(code(r#"MATCH(k, "x", {"prefix_length": 1})"#), Some(Code::RP9001));
    assert_eq!(code(r#"MATCH(k, "x", {"boost": 2.0})"#), None);
}

#[test]
fn options_buckets_and_tops() {
    assert_eq!(value("TO_STRING(TO_IP(\"010.0.0.09\", {\"leading_zeros\": \"decimal\"}))"), "\"10.0.0.9\"");
    assert_eq!(value("TO_STRING(TO_IP(\"010.0.0.1\", {\"leading_zeros\": \"octal\"}))"), "\"8.0.0.1\"");
    assert_eq!(value("TO_IP(\"010.0.0.1\")"), "null");
    let docs: Vec<_> =
        (1..=4).map(|i| serde_json::json!({"n": i * 10, "@timestamp": format!("2026-0{i}-15")})).collect();
    assert_eq!(
        rows("FROM a | STATS c = COUNT(*) BY b = BUCKET(n, 20) | SORT b", &docs),
        ["1 0.0", "2 20.0", "1 40.0"]
    );
    assert_eq!(
        rows("FROM a | STATS c = COUNT(*) BY b = BUCKET(n, 4, 0, 80) | SORT b | LIMIT 1", &docs),
        ["4 0.0"]
    );
    let months = "FROM a | STATS c = COUNT(*) BY m = BUCKET(@timestamp, 12, \"2026-01-01\", \"2027-01-01\") | SORT m | LIMIT 1";
    assert_eq!(rows(months, &docs), [r#"1 "2026-01-01T00:00:00.000Z""#]);
    assert_eq!(
        rows("FROM a | STATS t = TOP(n, 2, \"desc\"), u = TOP(n, 1, \"asc\", @timestamp)", &docs),
        [r#"[40,30] "2026-01-15T00:00:00.000Z""#]
    );
}
