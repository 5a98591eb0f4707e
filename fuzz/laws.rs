//! What holds for every text that comes from outside: it is read, checked and lowered without a panic, and
//! what parses is printed to a text that parses to the same tree.

use rulepack::diag::Severity;
use rulepack::es::regexp::Regexp;
use rulepack::lang::dsl::Dialect;
use rulepack::lang::{self, Language, Settings, analyze};
use rulepack::schema::Schema;

fn analyzed(language: Language, text: &str) {
    let settings = Settings { stack: Some(rulepack::schema::Version(9, 5, 0)), ..Settings::default() };
    let _ = analyze(language, text, &Schema::none(), &settings);
}

/// EQL.
pub fn eql(text: &str) {
    if let Ok(query) = lang::eql::parse(text) {
        let printed = lang::eql::print(&query);
        match lang::eql::parse(&printed) {
            Ok(again) => assert_eq!(again, query, "{printed}"),
            Err(found) => panic!("{printed}\ndoes not parse: {found:?}"),
        }
    }
    analyzed(Language::Eql, text);
}

/// ES|QL.
pub fn esql(text: &str) {
    let (query, found) = lang::esql::parse(text);
    if found.is_empty() {
        let printed = lang::esql::print(&query);
        let (again, found) = lang::esql::parse(&printed);
        assert!(found.is_empty(), "{printed}\ndoes not parse: {found:?}");
        assert_eq!(again, query, "{printed}");
    }
    analyzed(Language::Esql, text);
}

/// KQL.
pub fn kql(text: &str) {
    let parsed = lang::kql::parse(text);
    let broken = parsed.diagnostics.iter().any(|d| d.severity == Severity::Error);
    if let Some(query) = parsed.query.filter(|_| !broken) {
        let printed = lang::kql::print(&query);
        let again = lang::kql::parse(&printed);
        assert_eq!(again.query.as_ref(), Some(&query), "{printed}\n{:?}", again.diagnostics);
    }
    analyzed(Language::Kql, text);
}

/// KQL's printers, on one line and over several: the tree compiles to the same Query DSL.
pub fn kql_print(text: &str) {
    let Some(query) = lang::kql::parse(text).query else { return };
    let options = lang::kql::DslOptions { fields: None, time_zone: Some("Zulu"), dialect: Dialect::Elastic };
    let compiled = lang::kql::compile(&query, &options).ok();
    for printed in [lang::kql::print(&query), lang::kql::layout(&query, 40)] {
        let again = lang::kql::parse(&printed).query;
        assert_eq!(again.as_ref(), Some(&query), "{printed}");
        assert_eq!(again.and_then(|q| lang::kql::compile(&q, &options).ok()), compiled, "{printed}");
    }
}

/// Lucene query strings.
pub fn lucene(text: &str) {
    if let Ok(query) = lang::lucene::parse(text) {
        let printed = lang::lucene::print(&query);
        assert_eq!(lang::lucene::parse(&printed).ok().as_ref(), Some(&query), "{printed}");
    }
    analyzed(Language::Lucene, text);
}

/// Regular expressions; the first line is the pattern, the rest is matched.
pub fn regexp(text: &str) {
    let (pattern, value) = text.split_once('\n').unwrap_or((text, ""));
    for ignore_case in [false, true] {
        if let Ok(regexp) = Regexp::new(pattern, ignore_case) {
            regexp.matches(value);
        }
    }
}
