//! ES|QL: any text is read, checked and lowered without a panic; what parses prints to a text that
//! parses to the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rulepack::lang::esql::{analyze, parse, print};
use rulepack::lang::Settings;
use rulepack::schema::Schema;

fuzz_target!(|text: &str| {
    analyze(text, &Schema::none(), &Settings::default());
    let (query, found) = parse(text);
    if found.is_empty() {
        let printed = print(&query);
        let (again, found) = parse(&printed);
        assert!(found.is_empty(), "{printed}");
        assert_eq!(again, query, "{printed}");
    }
});
