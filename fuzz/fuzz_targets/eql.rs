//! See `rulepack_fuzz::eql`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| rulepack_fuzz::eql(text));
