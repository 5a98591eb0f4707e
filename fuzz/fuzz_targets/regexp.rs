//! See `rulepack_fuzz::regexp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| rulepack_fuzz::regexp(text));
