//! Whether the date of a rule's last change moved along with its content since an earlier revision.

use crate::diag::{Code, Diagnostic};
use crate::lang::rule::Rule;

/// The finding about a rule whose content differs from an earlier text of its file, and whose `updated_date` is
/// no later than there. `since` is how people know the revision. Comments and layout are no content.
pub fn not_moved(rule: &Rule, before: Vec<u8>, since: &str) -> Option<Diagnostic> {
    let (old, _) = Rule::read(&rule.name, rule.file(), before);
    let old = old?;
    let date = |r: &Rule| {
        let date = r.metadata().get("updated_date").and_then(serde_json::Value::as_str);
        date.map(str::to_owned)
    };
    let same = old.json() == rule.json() && old.transform() == rule.transform();
    let (then, now) = (date(&old)?, date(rule)?);
    if same || rule.broken || now > then {
        return None;
    }
    let d = Diagnostic::new(Code::RP1621, "the rule has changed and its date has not")
        .at(rule.value_span("/metadata/updated_date"), format!("`{then}` since {since}"))
        .help("`updated_date` is the day of the last change");
    Some(d.in_source(&rule.source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::rule::tests::example;

    fn found(before: &str, after: &str) -> bool {
        let (rule, _) = Rule::read("a", "a.toml", after.as_bytes().to_vec());
        not_moved(&rule.unwrap(), before.as_bytes().to_vec(), "main").is_some()
    }

    #[test]
    fn a_change_needs_a_later_date_and_a_comment_is_no_change() {
        let before = example();
        let changed = before.replace("A thing", "Another thing");
        assert_ne!(before, changed);
        assert!(found(&before, &changed));
        assert!(!found(&before, &changed.replace("2026/02/01", "2026/02/02")));
        assert!(found(&before, &changed.replace("2026/02/01", "2026/01/31")));
        assert!(!found(&before, &format!("# why\n{before}")));
        assert!(!found("no TOML at all [", &changed));
    }
}
