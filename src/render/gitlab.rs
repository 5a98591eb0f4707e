//! Findings as a Code Quality report of GitLab.

use super::Run;
use crate::diag::{Code, Severity};
use crate::lint::fingerprint;
use crate::trial::CaseResult;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a finding about no file stands at: GitLab knows no finding without a file.
const NOWHERE: &str = "rulepack.toml";

/// The report: an array of findings, failed cases among them. Fingerprints do not change when lines move.
pub fn gitlab(run: &Run<'_>) -> Value {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for d in &run.findings {
        let (path, line) = match (&d.source, d.span()) {
            (Some(source), Some(span)) => (source.name(), source.position(span.start).line),
            (Some(source), None) => (source.name(), 1),
            (None, _) => (NOWHERE, 1),
        };
        let print = fingerprint(path, d);
        let n = seen.entry(print.clone()).or_default();
        *n += 1;
        let fingerprint = if *n == 1 { print } else { format!("{print}{n:04x}") };
        let mut description = d.message.clone();
        if let Some(help) = &d.help {
            description.push_str(&format!("; help: {help}"));
        }
        out.push(json!({
            "description": description,
            "check_name": d.code.to_string(),
            "fingerprint": fingerprint,
            "severity": match d.severity {
                Severity::Error => "major",
                Severity::Warning => "minor",
                Severity::Note => "info",
            },
            "location": { "path": path, "lines": { "begin": line } },
        }));
    }
    for c in run.failed_cases() {
        let text = c.outcome.sentence(run.show_values).unwrap_or_default();
        out.push(json!({
            "description": format!("{} · {}: {text}", c.rule, c.case),
            "check_name": Code::RP0708.to_string(),
            "fingerprint": print_of_case(c),
            "severity": "major",
            "location": { "path": c.file, "lines": { "begin": c.line } },
        }));
    }
    Value::Array(out)
}

/// The fingerprint of a failed case: its rule and its name, which is unique among them.
pub(super) fn print_of_case(c: &CaseResult) -> String {
    let mut hash = Sha256::new();
    for part in [&c.rule, &c.case] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::run::tests::{cases, run};
    use crate::source::{Source, Span};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    #[test]
    fn each_entry_has_what_gitlab_reads_and_a_fingerprint_of_its_own() {
        let cases = cases();
        let report = gitlab(&run(&cases));
        let rows = report.as_array().unwrap();
        assert_eq!(rows.len(), 6);
        let prints: BTreeSet<&str> = rows.iter().map(|r| r["fingerprint"].as_str().unwrap()).collect();
        assert_eq!(prints.len(), rows.len());
        for row in rows {
            assert!(["info", "minor", "major"].contains(&row["severity"].as_str().unwrap()), "{row}");
            assert!(row["description"].is_string() && row["check_name"].is_string(), "{row}");
            assert!(!row["location"]["path"].as_str().unwrap().starts_with("./"), "{row}");
            assert!(row["location"]["lines"]["begin"].as_u64().unwrap() >= 1, "{row}");
        }
        assert_eq!(rows[0]["location"]["lines"]["begin"], 2);
        assert_eq!(rows[3]["location"]["path"], "rulepack.toml");
    }

    #[test]
    fn fingerprints_do_not_change_when_lines_move() {
        let print = |text: &str| {
            let at = text.find("succes").unwrap();
            let source = Arc::new(Source::new("a.toml", text));
            let d = crate::diag::Diagnostic::new(Code::RP0501, "m")
                .at(Span::new(at, at + 6), "")
                .in_source(&source);
            let mut one = run(&[]);
            one.findings = vec![d];
            gitlab(&one)[0]["fingerprint"].clone()
        };
        assert_eq!(print("query = 'a: succes'\n"), print("# new\n\n  query = 'a: succes'\n"));
        assert_ne!(print("query = 'a: succes'\n"), print("query = 'b: succes'\n"));
    }
}
