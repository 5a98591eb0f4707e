//! The standard analyzer without stop words: UAX #29 words, lower-cased, tokens longer than 255
//! characters split.

use regex_automata::meta::Regex;
use std::sync::LazyLock;
use unicode_segmentation::UnicodeSegmentation;

const MAX_TOKEN: usize = 255;

/// The tokens of a text, in order.
pub fn standard(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for word in text.split_word_bounds().filter(|w| w.contains(char::is_alphanumeric) || is_emoji(w)) {
        let lower = word.to_lowercase();
        if lower.chars().count() <= MAX_TOKEN {
            tokens.push(lower);
        } else {
            let chars: Vec<char> = lower.chars().collect();
            tokens.extend(chars.chunks(MAX_TOKEN).map(|c| c.iter().collect::<String>()));
        }
    }
    tokens
}

/// Pictures, flags and key caps are tokens, other symbols are none.
fn is_emoji(word: &str) -> bool {
    static EMOJI: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"[\p{Extended_Pictographic}\p{Regional_Indicator}\u{20E3}]").ok());
    !word.is_ascii() && EMOJI.as_ref().is_some_and(|e| e.is_match(word))
}

#[cfg(test)]
mod tests {
    use super::standard;

    #[test]
    fn words_split_as_the_standard_tokenizer_does() {
        assert_eq!(
            standard("The quick-brown fox_jumped 3.14"),
            ["the", "quick", "brown", "fox_jumped", "3.14"]
        );
        assert_eq!(standard("user@example.com can't"), ["user", "example.com", "can't"]);
        assert_eq!(standard("C:\\Windows\\System32\\cmd.exe"), ["c", "windows", "system32", "cmd.exe"]);
        assert_eq!(standard("foo.bar.baz foo,bar 1,000"), ["foo.bar.baz", "foo", "bar", "1,000"]);
        assert!(standard("!!! → ✓").is_empty());
        assert_eq!(standard("a😀c ☀ ™😀😀 🇩🇪"), ["a", "😀", "c", "☀", "™", "😀", "😀", "🇩🇪"]);
    }
}
