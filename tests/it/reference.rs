//! The reference of EQL: its tables are those of the code, its queries are accepted.
//! `REFERENCE=write cargo test reference` writes the tables.

use rulepack::func::{self, Function, Language, Type};
use rulepack::lang::eql::{CompareOp, MatchOp, Membership, Unit};
use rulepack::lang::{self, Settings, analyze};
use rulepack::plan::{join, sequence};
use rulepack::replay::MAX_MEMBERS;
use rulepack::replay::query::MAX_MATCHES;
use rulepack::schema::{Schema, Version, ecs};
use std::fmt::Write;
use std::path::Path;

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn signature(f: &Function) -> String {
    let (least, _) = f.arity();
    let mut out = format!("{}{}(", f.name, if f.case_form { "[~]" } else { "" });
    for (i, p) in f.params.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = if i < least { write!(out, "{comma}{}", p.name) } else { write!(out, "[{comma}{}]", p.name) };
    }
    out + if f.variadic { ", …)" } else { ")" }
}

fn functions() -> String {
    let mut all: Vec<&Function> = func::all().filter(|f| f.languages.contains(&Language::Eql)).collect();
    all.sort_by_key(|f| f.name.to_ascii_lowercase());
    let mut out = "| function | gives | what |\n|---|---|---|\n".to_owned();
    for f in &all {
        let gives = if f.returns == Type::Any { "any value" } else { f.returns.name() };
        let _ = writeln!(out, "| `{}` | {gives} | {} |", signature(f), f.summary.replace('|', "\\|"));
    }
    out.push_str("\n```text\n");
    for (call, value) in all.iter().flat_map(|f| f.examples) {
        let _ = writeln!(out, "{call:55} {value}");
    }
    out + "```\n"
}

fn operators() -> String {
    let mut out = "| operator | what |\n|---|---|\n".to_owned();
    let mut row = |ops: &[&str], what: &str| {
        let ops: Vec<String> = ops.iter().map(|o| format!("`{o}`")).collect();
        let _ = writeln!(out, "| {} | {what} |", ops.join(" "));
    };
    row(
        &[CompareOp::Equal, CompareOp::NotEqual].map(CompareOp::text),
        "the same, or not; exact, case-sensitive",
    );
    row(
        &[CompareOp::Less, CompareOp::LessEqual, CompareOp::Greater, CompareOp::GreaterEqual]
            .map(CompareOp::text),
        "order: numbers, dates, addresses, versions, and text by its characters",
    );
    let member = |negated, case| Membership { negated, case }.text();
    use rulepack::es::Case::{Insensitive, Sensitive};
    row(&[member(false, Sensitive), member(true, Sensitive)], "one of a list of constants, or none");
    row(&[member(false, Insensitive), member(true, Insensitive)], "the same without case");
    row(
        &[MatchOp::Colon, MatchOp::LikeInsensitive].map(MatchOp::text),
        "one of some patterns with wildcards, without case",
    );
    row(&[MatchOp::Like.text()], "the same, case-sensitive");
    row(
        &[MatchOp::Regex, MatchOp::RegexInsensitive].map(MatchOp::text),
        "one of some regular expressions; with `~` without case",
    );
    row(
        &["+", "-", "*", "/", "%"],
        "numbers; of whole numbers `/` is cut to one, `%` has the sign of the left side",
    );
    row(&["and", "or", "not"], "`not` binds closest, then `and`");
    out
}

fn units() -> String {
    let mut out = "| unit | of time |\n|---|---|\n".to_owned();
    for unit in Unit::ALL {
        let _ = writeln!(out, "| `{}` | {} |", unit.text(), lang::rule::length(unit.nanos()));
    }
    out
}

fn limits() -> String {
    let mut out = "| limit | beyond it |\n|---|---|\n".to_owned();
    let mut row = |limit: String, beyond: &str| {
        let _ = writeln!(out, "| {limit} | {beyond} |");
    };
    row(
        format!("{} matches of the items of one rule", thousands(MAX_MEMBERS)),
        "`replay` says that the rule was not searched",
    );
    row(format!("{} matches of the items of a query", thousands(MAX_MATCHES as u64)), "the query fails");
    row(
        format!("{} keys with open sequences, without `maxspan`", thousands(sequence::MAX_OPEN as u64)),
        "those that waited longest are given up, and counted",
    );
    row(
        format!("{} combinations of keys of one event", thousands(join::MAX_TUPLES as u64)),
        "the query fails",
    );
    row(format!("{} levels of nesting", lang::MAX_DEPTH), "`RP0104`");
    out
}

#[test]
fn the_tables_of_the_eql_reference_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/eql.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut want = page.clone();
    let tables =
        [("functions", functions()), ("operators", operators()), ("units", units()), ("limits", limits())];
    for (name, table) in tables {
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
        let (head, rest) = want.split_once(&begin).unwrap();
        let (_, tail) = rest.split_once(&end).unwrap();
        want = format!("{head}{begin}{table}{end}{tail}");
    }
    if std::env::var("REFERENCE").is_ok_and(|v| v == "write") {
        std::fs::write(&path, &want).unwrap();
    } else {
        assert_eq!(page, want, "REFERENCE=write cargo test reference");
    }
}

#[test]
fn the_queries_of_the_eql_reference_are_accepted() {
    let page = include_str!("../../docs/reference/eql.md");
    let schema = Schema::new(vec![ecs().layer(Version(9, 5, 0))]);
    let queries: Vec<&str> =
        page.split("```eql\n").skip(1).filter_map(|s| s.split_once("```").map(|(q, _)| q)).collect();
    assert!(queries.len() >= 4);
    for query in queries {
        let analysis = analyze(lang::Language::Eql, query, &schema, &Settings::default());
        assert!(analysis.diagnostics.is_empty(), "{query}\n{:#?}", analysis.diagnostics);
        assert!(analysis.plan.is_some());
    }
}
