//! What is to be said about the exceptions of a pack as such: whether they still apply, and whether
//! anybody knows why.

use crate::diag::{Code, Diagnostic};
use crate::es::date::Nanos;
use crate::lang::exception::{ExceptionFile, ExceptionItem};
use serde_json::Value;

const DAY: Nanos = 86_400_000_000_000;

/// How long before its end an exception is worth a look.
const SOON: Nanos = 14 * DAY;

/// The findings about all exceptions; without a clock, nothing is said about their end.
pub(super) fn findings(files: &[ExceptionFile], now: Option<Nanos>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for file in files {
        for item in file.lists.iter().flat_map(|l| &l.items) {
            found.extend(now.and_then(|now| ending(file, item, now)));
            found.extend(without_reason(file, item));
        }
    }
    found
}

fn ending(file: &ExceptionFile, item: &ExceptionItem, now: Nanos) -> Option<Diagnostic> {
    let left = item.expires? - now;
    if left > SOON {
        return None;
    }
    let end = item.json.get("expire_time").and_then(Value::as_str).unwrap_or_default();
    let (message, label) = if left <= 0 {
        (format!("the exception `{}` has ended", item.name), format!("since {end}"))
    } else {
        let days = left / DAY;
        let plural = if days == 1 { "" } else { "s" };
        (format!("the exception `{}` will end soon", item.name), format!("{days} day{plural} left"))
    };
    let d = Diagnostic::new(Code::RP1401, message)
        .at(file.span(&format!("{}/expire_time", item.pointer)), label)
        .help(if left <= 0 { "remove it, or extend it" } else { "extend it, or let it end" });
    Some(d.in_source(&file.source))
}

fn without_reason(file: &ExceptionFile, item: &ExceptionItem) -> Option<Diagnostic> {
    let has = |key: &str| match item.json.get(key) {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::String(text)) => !text.trim().is_empty(),
        _ => false,
    };
    let tags = item.json.get("tags").and_then(Value::as_array);
    let owned = tags.into_iter().flatten().filter_map(Value::as_str).any(|t| t.starts_with("owner:"));
    if owned || has("comments") || has("description") {
        return None;
    }
    let d = Diagnostic::new(Code::RP1402, format!("nobody says why the exception `{}` is right", item.name))
        .at(file.span(&format!("{}/name", item.pointer)), "no comment, no description, no owner")
        .help("add a `comments` entry, a `description`, or a tag `owner:NAME`");
    Some(d.in_source(&file.source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::es::date;

    fn findings_of(item: &str, now: Option<Nanos>) -> Vec<Code> {
        let text = format!(
            "[[exceptions]]\n[exceptions.container]\nlist_id = \"l\"\nname = \"l\"\ntype = \"detection\"\n\
             [[exceptions.items]]\nname = \"i\"\nentries = [{{ field = \"f\", type = \"exists\" }}]\n{item}\n"
        );
        let (file, found) = ExceptionFile::read("e.toml", text.into_bytes());
        assert!(found.is_empty(), "{found:?}");
        findings(file.as_slice(), now).iter().map(|d| d.code).collect()
    }

    #[test]
    fn an_end_in_the_past_or_soon_is_told_when_there_is_a_clock() {
        let item = "expire_time = \"2026-02-10T00:00:00.000Z\"\ntags = [\"owner:soc\"]";
        assert_eq!(findings_of(item, date::parse_value("2026-01-01T00:00:00Z")), []);
        assert_eq!(findings_of(item, date::parse_value("2026-02-01T00:00:00Z")), [Code::RP1401]);
        assert_eq!(findings_of(item, date::parse_value("2027-02-01T00:00:00Z")), [Code::RP1401]);
        assert_eq!(findings_of(item, None), []);
    }

    #[test]
    fn somebody_must_say_why() {
        assert_eq!(findings_of("", None), [Code::RP1402]);
        assert_eq!(findings_of("tags = [\"other\"]", None), [Code::RP1402]);
        assert_eq!(findings_of("description = \"SOC-1\"", None), []);
        assert_eq!(findings_of("comments = [{ comment = \"SOC-1\" }]", None), []);
    }
}
