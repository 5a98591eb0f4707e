//! Buttons of an investigation guide: `$osquery_0` and `$investigate_1` in the note stand for entries
//! of `[transform]`, which Kibana wants in the note itself as `!{osquery{…}}`.

use super::sorted;
use serde_json::Value;

/// The note with its placeholders replaced, and how many of them have no entry and stay.
pub(super) fn substitute(note: &str, transform: Option<&Value>) -> (String, usize) {
    let mut out = String::with_capacity(note.len());
    let mut left = 0;
    let mut rest = note;
    while let Some(at) = rest.find('$') {
        out.push_str(rest.get(..at).unwrap_or(""));
        rest = rest.get(at..).unwrap_or("");
        let Some((kind, index, length)) = placeholder(rest) else {
            out.push('$');
            rest = rest.get(1..).unwrap_or("");
            continue;
        };
        match transform.and_then(|t| t.get(kind)?.get(index)) {
            Some(entry) => {
                out.push_str(&format!("!{{{kind}{}}}", sorted(entry.clone())));
            }
            None => {
                out.push_str(rest.get(..length).unwrap_or(""));
                left += 1;
            }
        }
        rest = rest.get(length..).unwrap_or("");
    }
    out.push_str(rest);
    (out, left)
}

/// A note as the file has it: the buttons that an entry of `[transform]` stands for are placeholders
/// again.
pub fn restore(note: &str, transform: Option<&Value>) -> String {
    let mut out = note.to_owned();
    for kind in ["osquery", "investigate"] {
        let entries = transform.and_then(|t| t.get(kind)?.as_array());
        for (i, entry) in entries.into_iter().flatten().enumerate() {
            out = out.replace(&format!("!{{{kind}{}}}", sorted(entry.clone())), &format!("${kind}_{i}"));
        }
    }
    out
}

/// Kind, index and length of the placeholder that a text begins with.
fn placeholder(text: &str) -> Option<(&'static str, usize, usize)> {
    ["osquery", "investigate"].into_iter().find_map(|kind| {
        let digits = text.strip_prefix('$')?.strip_prefix(kind)?.strip_prefix('_')?;
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        // more of a word behind the digits is another word
        let next = digits.get(count..)?.chars().next();
        if next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        Some((kind, digits.get(..count)?.parse().ok()?, 1 + kind.len() + 1 + count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_buttons_and_those_without_an_entry_stay() {
        let transform = serde_json::json!({"osquery": [{"query": "select 1", "label": "One"}]});
        let (note, left) = substitute("- $osquery_0, costs $5, $osquery_1 $osquery_0x", Some(&transform));
        assert_eq!(
            note,
            "- !{osquery{\"label\":\"One\",\"query\":\"select 1\"}}, costs $5, $osquery_1 $osquery_0x"
        );
        assert_eq!(left, 1);
        assert_eq!(restore(&note, Some(&transform)), "- $osquery_0, costs $5, $osquery_1 $osquery_0x");
    }
}
