//! See `rulepack_fuzz::kql_print`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| rulepack_fuzz::kql_print(text));
