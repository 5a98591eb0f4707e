//! EQL: reading never panics, and a printed query parses to the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rulepack::lang::{Language, Settings, analyze, eql};
use rulepack::schema::Schema;

fuzz_target!(|text: &str| {
    if let Ok(query) = eql::parse(text) {
        let printed = eql::print(&query);
        match eql::parse(&printed) {
            Ok(again) => assert_eq!(again, query, "{printed}"),
            Err(found) => panic!("{printed}\ndoes not parse: {found:?}"),
        }
    }
    let _ = analyze(Language::Eql, text, &Schema::none(), &Settings::default());
});
