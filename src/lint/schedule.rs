//! Lints of a rule's schedule: what its runs look at, by which clock, and how often.

use crate::diag::{Code, Diagnostic, Safety};
use crate::lang::Shape;
use crate::lang::rule::{RuleType, interval, length, lookback};
use crate::pack::CompiledRule;
use crate::source::Span;

/// The least look-back and the least interval of a building block rule, in nanoseconds.
const BLOCK_LOOKBACK: i128 = 119 * MINUTE;
const BLOCK_INTERVAL: i128 = 60 * MINUTE;
const MINUTE: i128 = 60_000_000_000;

/// The findings about one rule.
pub(super) fn lints(compiled: &CompiledRule) -> Vec<Diagnostic> {
    let rule = &compiled.rule;
    let mut found = Vec::new();
    let written = |key: &str| rule.json().get(key).is_some();
    let at = |key: &str| {
        let pointer = if written(key) { format!("/rule/{key}") } else { "/rule/type".to_owned() };
        rule.value_span(&pointer)
    };
    let run = lookback(rule.from()).zip(lookback(rule.to())).map(|(from, to)| from - to);
    let every = interval(rule.interval());
    if let (Some(run), Some(every)) = (run, every)
        && run > 0
        && run < every
    {
        let gap = length(every - run);
        found.push(
            Diagnostic::new(Code::RP1602, "no run looks at some of the events")
                .at(
                    at(if written("from") { "from" } else { "interval" }),
                    format!(
                        "a run looks at {}, and the next one starts {} later",
                        length(run),
                        length(every)
                    ),
                )
                .note(format!("{gap} of every {} are skipped", length(every)))
                .help(format!(
                    "`from = \"now-{}\"` also leaves a minute for late events",
                    length(every + MINUTE)
                )),
        );
    }
    if let (Some(run), Some(every)) = (run, every)
        && rule.json().get("building_block_type").is_some()
        && rule.metadata().get("bypass_bbr_timing") != Some(&true.into())
        && (run < BLOCK_LOOKBACK || every < BLOCK_INTERVAL)
    {
        found.push(
            Diagnostic::new(Code::RP1611, "a building block runs as often as a rule that people look at")
                .at(at("building_block_type"), format!("every {}, over {}", length(every), length(run)))
                .help("`from = \"now-119m\"` and `interval = \"60m\"` are usual; `bypass_bbr_timing = true` in [metadata] says it is meant"),
        );
    }
    let several = matches!(compiled.shape, Shape::Sequence | Shape::Sample);
    let timed = !matches!(rule.kind, RuleType::MachineLearning | RuleType::Esql);
    if timed && !several && rule.timestamp_override().is_none() {
        let start = rule.key_span("/rule/type").start;
        found.push(
            Diagnostic::new(Code::RP1603, "events that arrive late are missed")
                .at(rule.value_span("/rule/type"), "without `timestamp_override`, runs go by `@timestamp`")
                .help("`timestamp_override = \"event.ingested\"` goes by the time of arrival")
                .fix(
                    Span { start, end: start },
                    "timestamp_override = \"event.ingested\"\n",
                    Safety::Suggested,
                ),
        );
    }
    let patterned = !matches!(rule.kind, RuleType::MachineLearning | RuleType::Esql);
    if patterned && !written("index") && !written("data_view_id") {
        found.push(
            Diagnostic::new(Code::RP1604, "this rule says nothing about the indices that it reads")
                .at(rule.value_span("/rule/type"), "Kibana takes whatever the space has set as default")
                .help("write `index = [\"logs-…\"]`, or `data_view_id`"),
        );
    }
    found.into_iter().map(|d| d.in_source(&rule.source)).collect()
}
