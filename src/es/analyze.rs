//! The standard analyzer without stop words: UAX #29 words, lower-cased, tokens longer than 255
//! characters split.

use unicode_segmentation::UnicodeSegmentation;

const MAX_TOKEN: usize = 255;

/// The tokens of a text, in order.
pub fn standard(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for word in text.unicode_words() {
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
        assert!(standard("!!!").is_empty());
    }
}
