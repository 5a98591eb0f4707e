//! Findings as SARIF 2.1.0, for code scanning.

use super::Run;
use super::run::{REPOSITORY, page};
use crate::diag::{Code, Diagnostic, Severity};
use crate::lint::fingerprint;
use crate::source::{Source, Span};
use crate::trial::CaseResult;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The log of a run: one result a finding, and one a failed case.
pub fn sarif(run: &Run<'_>) -> Value {
    let mut used: BTreeSet<Code> = run.findings.iter().map(|d| d.code).collect();
    if run.failed_cases().next().is_some() {
        used.insert(Code::RP0708);
    }
    let index: BTreeMap<Code, usize> = used.iter().enumerate().map(|(i, c)| (*c, i)).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut results: Vec<Value> = run.findings.iter().map(|d| finding(d, &index, &mut seen)).collect();
    results.extend(run.failed_cases().map(|c| case(c, run.show_values, &index)));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "rulepack",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": REPOSITORY,
                "rules": used.iter().map(|c| descriptor(*c)).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": format!("rulepack/{}/", run.command) },
            "invocations": [{ "executionSuccessful": true }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn descriptor(code: Code) -> Value {
    let info = code.info();
    // the page's first paragraph says what the code is about
    let paragraph = info.page.split("\n\n").nth(1).unwrap_or(info.title).replace('\n', " ");
    json!({
        "id": code.to_string(),
        "shortDescription": { "text": info.title },
        "fullDescription": { "text": paragraph },
        "help": { "text": info.page, "markdown": info.page },
        "helpUri": page(code),
        "defaultConfiguration": { "level": level(info.severity) },
    })
}

fn finding(d: &Diagnostic, index: &BTreeMap<Code, usize>, seen: &mut BTreeMap<String, usize>) -> Value {
    let mut text = d.message.clone();
    if let Some(label) = d.labels.first().filter(|l| !l.text.is_empty()) {
        text.push_str(&format!(": {}", label.text));
    }
    for note in &d.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    if let Some(help) = &d.help {
        text.push_str(&format!("\nhelp: {help}"));
    }
    let mut out = Map::new();
    out.insert("ruleId".into(), d.code.to_string().into());
    out.insert("ruleIndex".into(), index.get(&d.code).copied().into());
    out.insert("level".into(), level(d.severity).into());
    out.insert("message".into(), json!({ "text": text }));
    if let Some(source) = &d.source {
        let place = |span: Option<Span>| {
            let mut at = json!({ "artifactLocation": artifact(source.name()) });
            if let (Some(span), Some(map)) = (span, at.as_object_mut()) {
                map.insert("region".into(), region(source, span));
            }
            at
        };
        out.insert("locations".into(), json!([{ "physicalLocation": place(d.span()) }]));
        let related: Vec<Value> = d
            .labels
            .iter()
            .skip(1)
            .map(|l| json!({ "physicalLocation": place(Some(l.span)), "message": { "text": l.text } }))
            .collect();
        if !related.is_empty() {
            out.insert("relatedLocations".into(), related.into());
        }
        if let Some(fix) = &d.fix {
            out.insert(
                "fixes".into(),
                json!([{
                    "description": { "text": d.help.clone().unwrap_or_else(|| "replace it".to_owned()) },
                    "artifactChanges": [{
                        "artifactLocation": artifact(source.name()),
                        "replacements": [{
                            "deletedRegion": region(source, fix.span),
                            "insertedContent": { "text": fix.replacement },
                        }],
                    }],
                }]),
            );
        }
    } else {
        out.insert("locations".into(), json!([]));
    }
    let print = fingerprint(d.source.as_ref().map_or("", |s| s.name()), d);
    // the same finding twice on lines of the same text: their order tells them apart
    let n = seen.entry(print.clone()).or_default();
    *n += 1;
    out.insert("partialFingerprints".into(), json!({ "rulepack/v1": format!("{print}:{n}") }));
    Value::Object(out)
}

fn case(c: &CaseResult, values: bool, index: &BTreeMap<Code, usize>) -> Value {
    let text = format!("{} · {}: {}", c.rule, c.case, c.outcome.sentence(values).unwrap_or_default());
    json!({
        "ruleId": Code::RP0708.to_string(),
        "ruleIndex": index.get(&Code::RP0708),
        "level": "error",
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": artifact(&c.file),
            "region": { "startLine": c.line },
        }}],
        "partialFingerprints": { "rulepack/v1": super::gitlab::print_of_case(c) },
    })
}

fn region(source: &Source, span: Span) -> Value {
    let (from, to) = (source.position(span.start), source.position(span.end));
    json!({
        "startLine": from.line,
        "startColumn": from.column,
        "endLine": to.line,
        "endColumn": to.column,
    })
}

/// A path as a URI reference: what has another meaning in one is escaped.
fn artifact(path: &str) -> Value {
    let mut uri = String::with_capacity(path.len());
    for b in path.replace('\\', "/").bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(b))
            }
            b => uri.push_str(&format!("%{b:02X}")),
        }
    }
    if path.starts_with('/') || path.starts_with("..") {
        return json!({ "uri": uri });
    }
    json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::run::tests::{cases, run};

    /// What the standard requires of the parts that are used.
    fn check(log: &Value) {
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert!(
            driver["name"].is_string() && driver["informationUri"].as_str().unwrap().starts_with("https://")
        );
        let rules = driver["rules"].as_array().unwrap();

        for rule in rules {
            assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string(), "{rule}");
            assert!(rule["fullDescription"]["text"].as_str().is_some_and(|t| !t.is_empty()), "{rule}");
            assert!(
                ["error", "warning", "note"]
                    .contains(&rule["defaultConfiguration"]["level"].as_str().unwrap())
            );
        }
        for invocation in run["invocations"].as_array().unwrap() {
            assert!(invocation["executionSuccessful"].is_boolean());
        }
        let prints: BTreeSet<&str> = run["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["partialFingerprints"]["rulepack/v1"].as_str().unwrap())
            .collect();
        assert_eq!(prints.len(), run["results"].as_array().unwrap().len(), "fingerprints tell results apart");
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(result["message"]["text"].as_str().is_some_and(|t| !t.is_empty()));
            for location in result["locations"].as_array().unwrap() {
                let physical = &location["physicalLocation"];
                let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
                assert!(uri.is_ascii() && !uri.contains(' ') && !uri.contains('\\'), "{uri}");
                let region = &physical["region"];
                let at = |k: &str| region[k].as_u64().unwrap_or(1);
                assert!(
                    at("startLine") >= 1 && at("endLine").max(at("startLine")) >= at("startLine"),
                    "{region}"
                );
                assert!(at("startColumn") >= 1 && at("endColumn") >= 1, "{region}");
            }
        }
    }

    #[test]
    fn the_log_has_what_the_standard_requires() {
        let cases = cases();
        let log = sarif(&run(&cases));
        check(&log);
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), 6);
        let first = &results[0];
        assert_eq!(first["ruleId"], "RP0501");
        let physical = &first["locations"][0]["physicalLocation"];
        assert_eq!(physical["artifactLocation"]["uri"], "rules/a%20b/%C3%B6.toml");
        // columns count characters, and the end is the column behind the last one
        assert_eq!(
            physical["region"],
            json!({"startLine": 2, "startColumn": 13, "endLine": 2, "endColumn": 19})
        );
        assert_eq!(first["relatedLocations"][0]["message"]["text"], "because of this");
        assert_eq!(
            first["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"],
            "success"
        );
        assert_eq!(results[3]["locations"], json!([]));
        assert_eq!(results[4]["ruleId"], "RP0708");
    }

    #[test]
    fn a_run_without_findings_is_a_log_too() {
        let mut clean = run(&[]);
        clean.findings.clear();
        let log = sarif(&clean);
        check(&log);
        assert_eq!(log["runs"][0]["results"], json!([]));
    }
}
