//! See `rulepack_fuzz::esql`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| rulepack_fuzz::esql(text));
