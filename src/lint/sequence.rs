//! Lints of EQL rules: what a sequence, a sample or a pipe asks for, and what the runs of a detection
//! rule can give.

use crate::diag::{Code, Diagnostic};
use crate::lang::Language;
use crate::lang::eql::{self, Body};
use crate::lang::rule::{interval, length, lookback};
use crate::pack::CompiledRule;
use crate::plan::Pred;
use crate::source::Span;

/// The findings about one rule; none where its query has errors.
pub(super) fn lints(compiled: &CompiledRule) -> Vec<Diagnostic> {
    let rule = &compiled.rule;
    let (Some(Language::Eql), Some(text)) = (rule.language, &rule.query) else { return Vec::new() };
    if compiled.has_errors() {
        return Vec::new();
    }
    let Ok(query) = eql::parse(text.text()) else { return Vec::new() };
    let mut found = Vec::new();
    if let Body::Sequence(sequence) = &query.body {
        match sequence.maxspan {
            Some(maxspan) => {
                found.extend(window(compiled, maxspan.nanos(), maxspan.at.0));
                found.extend(rereads(compiled, maxspan.nanos(), maxspan.at.0));
            }
            None => found.push(
                Diagnostic::new(Code::RP1102, "this sequence has no `maxspan`")
                    .at(sequence.at.0, "events of any distance are joined, within the look-back of a run")
                    .help("write `sequence by … with maxspan=…` with the longest time that one attack takes"),
            ),
        }
    }
    found.extend(pipes(compiled, &query));
    found.extend(never(compiled));
    found.into_iter().map(|d| d.relocate(text, &rule.source)).collect()
}

/// A sequence of `maxspan` must fit the time that one run looks at; and as runs follow each other, every
/// such sequence is whole in some run only if the runs overlap by that much.
fn window(compiled: &CompiledRule, maxspan: i128, at: Span) -> Option<Diagnostic> {
    let rule = &compiled.rule;
    let run = lookback(rule.from())? - lookback(rule.to())?;
    let every = interval(rule.interval())?;
    if maxspan <= run - every {
        return None;
    }
    let d = Diagnostic::new(Code::RP1101, "some sequences of this length are in no run of the rule");
    let d = if maxspan > run {
        d.at(at, format!("but a run looks at {} only", length(run)))
    } else {
        d.at(
            at,
            format!(
                "but runs of {}, every {}, overlap by {} only",
                length(run),
                length(every),
                length(run - every)
            ),
        )
    };
    let enough = length(maxspan + every);
    Some(d.help(format!("`from = \"now-{enough}\"` holds all of them; more, if events come late")))
}

/// The longest `maxspan` for which any interval is fine, in nanoseconds.
const SHORT: i128 = 300_000_000_000;

/// An interval far below `maxspan` reads every event many times over.
fn rereads(compiled: &CompiledRule, maxspan: i128, at: Span) -> Option<Diagnostic> {
    let every = interval(compiled.rule.interval())?;
    if maxspan <= SHORT || every <= 0 || every >= maxspan / 2 {
        return None;
    }
    let d = Diagnostic::new(
        Code::RP1617,
        format!("every event is read about {} times", (maxspan + every) / every),
    );
    let half = length((maxspan / 2 / SHORT * SHORT).max(SHORT));
    Some(
        d.at(at, format!("runs every {} look back by this span", length(every)))
            .help(format!("`interval = \"{half}\"` finds the same with fewer reads, a little later")),
    )
}

/// Pipes cut what a run finds before there are alerts.
fn pipes(compiled: &CompiledRule, query: &eql::Query) -> Vec<Diagnostic> {
    let signals = compiled.rule.json().get("max_signals").and_then(serde_json::Value::as_u64).unwrap_or(100);
    let signals = usize::try_from(signals).unwrap_or(usize::MAX);
    let d = |message: String| Diagnostic::new(Code::RP1103, message);
    let mut out = Vec::new();
    for pipe in &query.pipes {
        let word = if pipe.cut.tail { "tail" } else { "head" };
        if pipe.cut.limit == 0 {
            out.push(d(format!("`{word} 0` leaves nothing, so there is never an alert")).at(pipe.at.0, ""));
        } else if pipe.cut.limit >= signals {
            out.push(
                d(format!("`{word} {}` does nothing", pipe.cut.limit))
                    .at(pipe.at.0, format!("`max_signals` leaves at most {signals} of a run"))
                    .help("leave it out"),
            );
        }
    }
    let cuts: Vec<_> = query.pipes.iter().map(|p| p.cut).collect();
    let window = eql::combine(signals, true, &cuts);
    if let (Body::Event(_), Some(last)) = (&query.body, query.pipes.last())
        && window.offset > 0
        && out.is_empty()
    {
        let message = "pipes in both directions count from fixed places, not from what is found".to_owned();
        out.push(d(message).at(
            last.at.0,
            format!("a run that finds up to {} events alerts on none of them", window.offset),
        ));
    }
    out
}

/// Items whose condition is false whatever the event.
fn never(compiled: &CompiledRule) -> Vec<Diagnostic> {
    let Some(plan) = &compiled.plan else { return Vec::new() };
    let steps = plan.sequence().map(|s| s.steps.as_slice());
    let items = plan.items().into_iter().enumerate();
    items
        .filter(|(_, item)| is_never(&item.pred))
        .map(|(i, item)| {
            let message = match steps.map(|s| s.get(i)) {
                Some(Some(step)) if step.missing => "no event matches this item, so it is always missing",
                Some(None) => "no event matches this item, so it never ends a sequence",
                _ => "no event matches this item, so there is never an alert",
            };
            Diagnostic::new(Code::RP1104, message).at(item.span, "")
        })
        .collect()
}

fn is_never(pred: &Pred) -> bool {
    match pred {
        Pred::Const(b) => !b,
        Pred::And(parts) => parts.iter().any(is_never),
        Pred::Or(parts) => parts.iter().all(is_never),
        Pred::Nested(nested) => is_never(&nested.pred),
        Pred::Named(_, inner) => is_never(inner),
        Pred::Not(_) | Pred::Leaf(_) | Pred::Script(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::diag::Code;
    use crate::lang::rule::tests::example;
    use crate::lint::validate;
    use crate::pack::Pack;
    use std::fs;

    /// The lints of a rule with this query and schedule.
    fn lints(query: &str, from: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let rule = example();
        let (head, _) = rule.split_once("type = ").unwrap();
        let head = head.replace("kuery", "eql");
        let rule = format!("{head}type = \"eql\"\nfrom = \"{from}\"\nquery = '''{query}'''\n");
        fs::create_dir_all(dir.path().join("rules-toml")).unwrap();
        fs::write(dir.path().join("rules-toml/a.toml"), rule).unwrap();
        fs::write(dir.path().join("rulepack.toml"), "[pack]\nname = \"t\"\nstacks = [\"9.5\"]\n").unwrap();
        let pack = Pack::load(dir.path()).unwrap();
        let found = validate(&pack, &pack.select(&[]).unwrap()).diagnostics;
        // a schedule that is short for its span is told of its own
        let shown = found.iter().filter(|d| ![Code::RP1603, Code::RP1617].contains(&d.code));
        shown.map(|d| format!("{} {}", d.code, d.message)).collect()
    }

    const ITEMS: &str = r#"[any where event.action == "a"] [any where event.action == "b"]"#;

    #[test]
    fn runs_must_overlap_by_maxspan() {
        let query = |span: &str| format!("sequence with maxspan={span} {ITEMS}");
        assert_eq!(lints(&query("4m"), "now-9m"), [""; 0]);
        assert!(lints(&query("5m"), "now-9m")[0].starts_with("RP1101"));
        assert!(lints(&query("1h"), "now-9m")[0].starts_with("RP1101"));
        assert_eq!(lints(&query("1h"), "now-65m"), [""; 0]);
        // months have no fixed length
        assert_eq!(lints(&query("1h"), "now-1M"), [""; 0]);
    }

    #[test]
    fn a_sequence_should_have_a_maxspan_and_a_sample_has_none() {
        assert_eq!(lints(&format!("sequence {ITEMS}"), "now-9m"), ["RP1102 this sequence has no `maxspan`"]);
        assert_eq!(lints(&format!("sample by user.name {ITEMS}"), "now-9m"), [""; 0]);
    }

    #[test]
    fn pipes_are_compared_with_max_signals_and_with_each_other() {
        let query = |pipes: &str| lints(&format!(r#"any where event.action == "a" {pipes}"#), "now-9m");
        assert_eq!(query("| head 20"), [""; 0]);
        assert_eq!(query("| head 100"), ["RP1103 `head 100` does nothing"]);
        assert_eq!(query("| tail 0"), ["RP1103 `tail 0` leaves nothing, so there is never an alert"]);
        assert!(query("| head 10 | tail 3")[0].starts_with("RP1103 pipes in both directions"));
    }

    #[test]
    fn an_item_that_no_event_matches_is_found() {
        let query = format!("sequence with maxspan=1m {ITEMS} until [any where ?no.such == 1]");
        assert_eq!(
            lints(&query, "now-9m"),
            ["RP1104 no event matches this item, so it never ends a sequence"]
        );
    }
}
