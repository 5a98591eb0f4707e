//! KQL: reading never panics, and a printed query parses to the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rulepack::diag::Severity;
use rulepack::lang::{Language, Settings, analyze, kql};
use rulepack::schema::Schema;

fuzz_target!(|text: &str| {
    let parsed = kql::parse(text);
    let broken = parsed.diagnostics.iter().any(|d| d.severity == Severity::Error);
    if let Some(query) = parsed.query.filter(|_| !broken) {
        let printed = kql::print(&query);
        let again = kql::parse(&printed);
        assert_eq!(again.query.as_ref(), Some(&query), "{printed}\n{:?}", again.diagnostics);
    }
    let _ = analyze(Language::Kql, text, &Schema::none(), &Settings::default());
});
