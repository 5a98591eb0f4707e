//! Lucene query strings: no text makes the parser, the checker or the printer panic, and what is printed
//! parses to the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rulepack::lang::{Settings, lucene};
use rulepack::schema::Schema;

fuzz_target!(|text: &str| {
    if let Ok(query) = lucene::parse(text) {
        let printed = lucene::print(&query);
        assert_eq!(lucene::parse(&printed).ok().as_ref(), Some(&query), "{printed}");
    }
    let _ = lucene::analyze(text, &Schema::none(), &Settings::default());
});
