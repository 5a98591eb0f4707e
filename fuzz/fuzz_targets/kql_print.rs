//! KQL's printers: what parses prints to a text that parses to the same tree, on one line and over
//! several, and it compiles to the same Query DSL.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rulepack::lang::dsl::Dialect;
use rulepack::lang::kql;

fuzz_target!(|text: &str| {
    let parsed = kql::parse(text);
    let Some(query) = parsed.query else { return };
    let options = kql::DslOptions { fields: None, time_zone: Some("Zulu"), dialect: Dialect::Elastic };
    let compiled = kql::compile(&query, &options).ok();
    for printed in [kql::print(&query), kql::layout(&query, 40)] {
        let again = kql::parse(&printed).query;
        assert_eq!(again.as_ref(), Some(&query), "{printed}");
        assert_eq!(again.and_then(|q| kql::compile(&q, &options).ok()), compiled, "{printed}");
    }
});
