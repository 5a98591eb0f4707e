//! See `rulepack_fuzz::kql`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| rulepack_fuzz::kql(text));
