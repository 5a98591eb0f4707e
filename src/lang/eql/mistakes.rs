//! Every mistake that Elasticsearch refuses a query for has a place in the text and, where one can be made
//! out, a way out.

use super::tests::schema;
use super::*;

/// Query, code, the text that the first label marks, and words of message, label, notes or help.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    // strings and numbers
    (r#"any where tool == "\q""#, "RP0102", r"\q", "no escape"),
    (r#"any where tool == "\u{D}""#, "RP0102", r"\u{D}", "two to eight hex digits"),
    (r#"any where tool == "\u{10000000}""#, "RP0102", r"\u{10000000}", "10ffff"),
    (r#"any where tool == "\u{d800}""#, "RP0102", r"\u{d800}", "d800"),
    (r#"any where tool == "\uZ""#, "RP0102", r"\u", "write it like"),
    ("any where tool == 'a'", "RP0105", "'a'", "double quotes"),
    ("any where tool == ?'a'", "RP0105", "?'a'", "triple double quotes"),
    (r#"any where tool == ?"a""#, "RP0105", r#"?"a""#, "triple double quotes"),
    (r#"any where """"""a!""" == """b""""#, "RP0101", "", ""),
    // structure
    ("sequence with maxspan=1s by n [any where true] [any where true]", "RP0108", "by n", "before `with`"),
    ("sequence with maxspan=30 [any where true] [any where true]", "RP0107", "30", "`30s`"),
    ("sequence with maxspan=0s [any where true] [any where true]", "RP0107", "0s", ""),
    (
        "sequence with maxspan=5w [any where true] [any where true]",
        "RP0107",
        "w",
        "`ms`, `s`, `m`, `h` and `d`",
    ),
    ("sequence with maxspan=2.5m [any where true] [any where true]", "RP0107", "2.5m", "whole"),
    (
        "sequence [any where true] by n [any where true] by n, m",
        "RP0108",
        "[any where true]",
        "the first one has 1",
    ),
    ("any where true | heda 5", "RP0106", "heda", "did you mean `head`?"),
    ("any where true | count", "RP0106", "count", ""),
    ("any where true | unique n", "RP0106", "unique", ""),
    ("any where true | head", "RP0106", "head", "one"),
    ("any where true | head 1, 2", "RP0106", "", "one"),
    ("any where true | head -1", "RP0106", "-1", ""),
    ("any where true | head \"a\"", "RP0106", "\"a\"", ""),
    ("sequence [any where true] with runs=0", "RP0108", "", "runs"),
    ("sequence [any where true] with runs=101", "RP0108", "", "100"),
    ("sequence [any where true] ![any where true]", "RP0108", "", "maxspan"),
    ("sample by n [any where true]", "RP0108", "", "two"),
    ("join by n [any where true] [any where true]", "RP0105", "join", "sequence"),
    ("sequence by length(tool) [any where true] [any where true]", "RP0108", "length", "plain field"),
    ("any where child of [any where true]", "RP0105", "child of", ""),
    ("any where a[0].b == 1", "RP0105", "[0]", "any value of the array"),
    // names
    ("any where toool == \"x\"", "RP0201", "toool", "did you mean `tool`?"),
    ("any where spot == 1", "RP0204", "spot", "geo_point"),
    ("any where rows == 1", "RP0203", "rows", "nested"),
    ("any where rows.id == \"x\"", "RP0203", "rows.id", "`rows`"),
    ("any where body == \"x\"", "RP0305", "body", "keyword"),
    ("any where both == \"x\"", "RP0305", "both", "keyword"),
    ("any where lower == \"x\"", "RP0305", "lower", "normalizer"),
    // types
    ("any where n", "RP0303", "n", "`n != null`"),
    ("any where seen", "RP0303", "seen", "a date"),
    ("any where title", "RP0303", "title", "a keyword"),
    ("any where ip", "RP0303", "ip", "an ip"),
    ("any where indexOf(tool, \"x\")", "RP0303", "indexOf(tool, \"x\")", "boolean"),
    ("any where stringContain(tool, \"x\")", "RP0401", "stringContain", "did you mean `stringContains`?"),
    ("any where match(tool, \"x\")", "RP0401", "match", "`field regex"),
    ("any where wildcard(tool, \"x\")", "RP0401", "wildcard", "`field like"),
    ("any where between(tool, \"a\") == \"x\"", "RP0402", "between(tool, \"a\")", "3 or 4"),
    ("any where length() == 1", "RP0402", "length()", "1 argument"),
    ("any where cidrMatch(ip)", "RP0402", "cidrMatch(ip)", "at least 2"),
    ("any where endsWith(tool)", "RP0402", "endsWith(tool)", "2 arguments"),
    ("any where substring(tool) == \"x\"", "RP0402", "substring(tool)", "2 or 3"),
    ("any where between(tool, 1, \"2\") == \"x\"", "RP0403", "1", "string"),
    ("any where between(tool, \"a\", \"b\", 1) == \"x\"", "RP0403", "1", "boolean"),
    ("any where substring(tool, \"a\") == \"x\"", "RP0403", "\"a\"", "integer"),
    ("any where cidrMatch(tool, \"10.0.0.0/8\")", "RP0403", "tool", "address"),
    ("any where add(tool, 1) == 2", "RP0403", "tool", "number"),
    ("any where cidrMatch(ip, tool)", "RP0307", "tool", "constant"),
    ("any where length~(tool) == 1", "RP0405", "length~", ""),
    ("any where n : \"1\"", "RP0302", "", "`==`"),
    ("any where n in (1, \"s\")", "RP0304", "\"s\"", "the values of a list"),
    ("any where n == m", "RP0306", "", "constant"),
    ("any where length(tool) == length(path)", "RP0306", "", "constant"),
    ("sequence [any where true] by tool [any where true] by n", "RP0308", "n", "`tool` is a string"),
    ("sequence [any where true] by seen [any where true] by n", "RP0308", "n", "`seen` is a date"),
    ("sample [any where true] by tool [any where true] by n", "RP0308", "n", "`tool`"),
];

#[test]
fn every_mistake_is_marked_and_says_what_to_do() {
    let mut wrong = Vec::new();
    for (query, code, marked, words) in MISTAKES {
        let analysis = analyze(query, &schema(), &Settings::default());
        let Some(d) = analysis.diagnostics.iter().find(|d| d.code.to_string() == *code) else {
            wrong.push(format!("{query}\n  {code} is missing: {:?}", analysis.diagnostics));
            continue;
        };
        let shown = d.labels.first().map_or("", |l| l.span.slice(query));
        let mut said = vec![d.message.clone()];
        said.extend(d.labels.iter().map(|l| l.text.clone()));
        said.extend(d.notes.iter().chain(&d.help).cloned());
        let said = said.join(" | ");
        if (!marked.is_empty() && shown != *marked) || !said.contains(words) {
            wrong.push(format!("{query}\n  {code} marks `{shown}`: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
