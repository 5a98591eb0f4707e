//! See `rulepack_fuzz::lucene`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| rulepack_fuzz::lucene(text));
