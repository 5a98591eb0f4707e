//! Rules that alert on each event: a doc-level monitor where a query string says the same, or else a
//! query-level monitor with Query DSL.

use super::condition::{Ask, Condition, Reading, Reason};
use super::{Draft, Making, MonitorKind, Refusal, monitor, query_string, search};
use crate::es::Op;
use crate::lang::dsl;
use crate::plan::Plan;
use serde_json::{Value, json};

/// The condition of a plan's filters, in words of the rule, and what differs.
pub(super) fn condition(making: &Making<'_>, plan: &Plan) -> Result<(Condition, Vec<String>), Refusal> {
    let schema = making.compiled.schema(making.config);
    let mut reading = Reading::new(&plan.fields, &schema);
    let parts = plan.filter().map(|p| reading.pred(p)).collect::<Result<Vec<_>, _>>()?;
    Ok((Condition::all(parts), reading.differences))
}

pub(super) fn draft(making: &Making<'_>, plan: &Plan) -> Result<Draft, Refusal> {
    let (condition, differences) = condition(making, plan)?;
    of_condition(making, condition, differences, &[])
}

/// The monitor of a condition on single events.
pub(super) fn of_condition(
    making: &Making<'_>,
    condition: Condition,
    mut differences: Vec<String>,
    patterns: &[Box<str>],
) -> Result<Draft, Refusal> {
    let (condition, shaped) = making.shaped(condition)?;
    differences.extend(shaped);
    let indices = making.indices(patterns)?;
    if condition == Condition::Never {
        return Err("its condition can never be true".to_owned().into());
    }
    match query_string::print(&condition) {
        Ok(query) => Ok(Draft {
            kind: MonitorKind::DocLevel,
            monitor: monitor::doc_level(making, indices, &query),
            condition,
            more_fields: Vec::new(),
            differences,
        }),
        Err(why) => {
            differences.insert(
                0,
                "one alert stands for all events that a run finds, and stays while there are some".to_owned(),
            );
            differences.push(format!("a monitor that alerts on each event cannot ask this: {why}"));
            if let Some(field) = analysed(&condition) {
                differences.push(format!(
                    "`{field}` is text, which the analyser of the index may split differently"
                ));
            }
            let query = query(&condition)?;
            let (range, fields) = search::time_range(making)?;
            let input = json!({
                "size": 100,
                "query": { "bool": { "filter": [query, range] } }
            });
            Ok(Draft {
                kind: MonitorKind::QueryLevel,
                monitor: monitor::query_level(making, indices, input, "ctx.results[0].hits.total.value > 0"),
                condition,
                more_fields: fields,
                differences,
            })
        }
    }
}

fn analysed(condition: &Condition) -> Option<String> {
    let mut found = None;
    condition.visit(&mut |ask: &Ask| {
        if ask.op != Op::Exists && ask.types.iter().any(|t| t.kind.is_text()) {
            found.get_or_insert_with(|| ask.field.clone());
        }
    });
    found
}

/// A condition as Query DSL.
///
/// # Errors
/// What of it OpenSearch's Query DSL does not mean the same way.
pub(super) fn query(condition: &Condition) -> Result<Value, Reason> {
    let all = |parts: &[Condition]| parts.iter().map(query).collect::<Result<Vec<_>, _>>();
    Ok(match condition {
        Condition::Always => json!({ "match_all": {} }),
        Condition::Never => json!({ "match_none": {} }),
        Condition::All(parts) => {
            let (none, every): (Vec<_>, Vec<_>) =
                parts.iter().cloned().partition(|p| matches!(p, Condition::Not(_)));
            let mut body = serde_json::Map::new();
            body.insert("filter".to_owned(), all(&every)?.into());
            let none: Vec<Condition> = none.into_iter().map(Condition::negate).collect();
            body.insert("must_not".to_owned(), all(&none)?.into());
            json!({ "bool": body })
        }
        Condition::Any(parts) => json!({ "bool": { "should": all(parts)?, "minimum_should_match": 1 } }),
        Condition::Not(inner) => json!({ "bool": { "must_not": [query(inner)?] } }),
        Condition::Ask(ask) => {
            if let Op::QueryWildcard(pattern) = &ask.op
                && ask.types.iter().any(|t| t.kind.is_text())
            {
                return Err(format!("`{}` is text and asked by the pattern `{pattern}`", ask.field));
            }
            match &ask.op {
                // on whole texts both mean the same, and this one is said in one way
                Op::QueryWildcard(pattern) => dsl::of_op(&ask.field, &Op::Wildcard(pattern.clone())),
                op => dsl::of_op(&ask.field, op),
            }
        }
        Condition::Nested(path, inner) => {
            json!({ "nested": { "path": path, "query": query(inner)?, "score_mode": "none" } })
        }
        Condition::Script(script) => {
            json!({ "script": { "script": { "lang": "painless", "source": script.source } } })
        }
    })
}
