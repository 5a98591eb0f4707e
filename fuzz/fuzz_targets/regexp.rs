//! Regular expressions: preparing and matching never panics. The first line is the pattern.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rulepack::es::regexp::Regexp;

fuzz_target!(|text: &str| {
    let (pattern, value) = text.split_once('\n').unwrap_or((text, ""));
    for ignore_case in [false, true] {
        if let Ok(regexp) = Regexp::new(pattern, ignore_case) {
            regexp.matches(value);
        }
    }
});
