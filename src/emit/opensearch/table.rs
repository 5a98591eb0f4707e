//! ES|QL rules: searches for single events become monitors of conditions, counts per group become
//! bucket-level monitors.

use super::condition::{Condition, Reading, Reason};
use super::search::{self, Metric, Source};
use super::{Draft, Making, MonitorKind, Refusal, document, monitor};
use crate::func::column::Aggregate;
use crate::plan::table::{AggregateCall, Aggregation, Expr, Pipeline, Slot, Stage};
use crate::plan::{Comparison, Plan};
use crate::value::{Datum, Value};
use std::collections::BTreeMap;

pub(super) fn draft(making: &Making<'_>, plan: &Plan) -> Result<Draft, Refusal> {
    let Some(pipeline) = plan.table() else { return Err("its query is no pipeline".to_owned().into()) };
    let (beside, mut differences) = document::condition(making, plan)?;
    let schema = making.compiled.schema(making.config);
    let mut reading = Reading::new(&plan.fields, &schema);
    let mut parts = vec![beside];
    let mut rows = Rows::default();
    for stage in &pipeline.stages {
        match (stage, rows.aggregation) {
            (Stage::Filter(e), None) => parts.push(reading.row(e, &pipeline.source, true)?),
            (Stage::Filter(e), Some(_)) => rows.after.push(e),
            (Stage::Eval(list), None) => rows.computed.extend(list.iter().map(|(slot, e)| (*slot, e))),
            (Stage::Aggregate(a), None) => rows.aggregation = Some(a),
            (Stage::Sort(_), _) => {}
            (Stage::Limit(n), _) => {
                // ES|QL itself adds the limit of a thousand
                if *n != 1_000 {
                    differences.push(format!("all rows alert, not the first {n}"));
                }
            }
            (other, _) => return Err(format!("{} has no counterpart in a monitor", name(other)).into()),
        }
    }
    differences.append(&mut reading.differences);
    let condition = Condition::all(parts);
    match rows.aggregation {
        None => document::of_condition(making, condition, differences, &pipeline.patterns),
        Some(aggregation) => groups(making, plan, pipeline, &rows, aggregation, condition, differences),
    }
}

/// What a pipeline does beside choosing documents.
#[derive(Default)]
struct Rows<'p> {
    computed: BTreeMap<Slot, &'p Expr>,
    aggregation: Option<&'p Aggregation>,
    after: Vec<&'p Expr>,
}

fn name(stage: &Stage) -> &'static str {
    match stage {
        Stage::Filter(_) => "`WHERE`",
        Stage::Eval(_) => "`EVAL` after `STATS`",
        Stage::Expand { .. } => "`MV_EXPAND`",
        Stage::Dissect { .. } => "`DISSECT`",
        Stage::Grok { .. } => "`GROK`",
        Stage::Aggregate(_) => "a second `STATS`",
        Stage::Inline(_) => "`INLINE STATS`",
        Stage::Sort(_) => "`SORT`",
        Stage::Limit(_) => "`LIMIT`",
        Stage::Lookup(_) => "`ENRICH` or `LOOKUP JOIN`",
        Stage::Complete { .. } => "`COMPLETION`",
    }
}

fn groups(
    making: &Making<'_>,
    plan: &Plan,
    pipeline: &Pipeline,
    rows: &Rows<'_>,
    aggregation: &Aggregation,
    condition: Condition,
    mut differences: Vec<String>,
) -> Result<Draft, Refusal> {
    let schema = making.compiled.schema(making.config);
    let reading = Reading::new(&plan.fields, &schema);
    let field = |e: &Expr| -> Result<String, Refusal> {
        let id = reading.column(e, &pipeline.source)?;
        let name = plan.fields.get(id).map_or("", |f| f.name.as_ref());
        making.shaped_field(name)
    };
    let mut sources = Vec::new();
    for slot in &aggregation.keys {
        sources.push(match rows.computed.get(slot) {
            None => Source::Terms(field(&Expr::Column(*slot))?, true),
            Some(e) => {
                let (column, millis) = truncated(e)?;
                Source::Histogram(field(column)?, millis)
            }
        });
    }
    if sources.is_empty() {
        return Err("`STATS` without groups has no counterpart in a bucket-level monitor".to_owned().into());
    }
    let mut used: Vec<(String, String)> = Vec::new();
    let mut metrics: Vec<Metric> = Vec::new();
    let mut clauses = Vec::new();
    for e in &rows.after {
        clauses.push(script(e, &mut |slot| {
            let call = aggregation.calls.iter().find(|c| c.out == slot);
            let call = call.ok_or_else(|| "a condition on a group's key has no counterpart".to_owned())?;
            if matches!(call.kind, Aggregate::CountDistinct)
                && !differences.iter().any(|d| d.starts_with("distinct values"))
            {
                differences.push("distinct values are counted approximately, by another sketch".to_owned());
            }
            metric(call, &field, &mut used, &mut metrics)
        })?);
    }
    let clauses = if clauses.is_empty() {
        used.push(("count".to_owned(), "_count".to_owned()));
        "params.count > 0".to_owned()
    } else {
        clauses.join(" && ")
    };
    differences.push("alerts name the group, not the other columns of the row".to_owned());
    differences
        .push("an alert stays while its group is found, and is not raised anew for the same key".to_owned());
    let indices = making.indices(&pipeline.patterns)?;
    let (condition, shaped) = making.shaped(condition)?;
    differences.extend(shaped);
    let filter = document::query(&condition)?;
    let (range, mut more_fields) = search::time_range(making)?;
    more_fields.extend(sources.iter().map(|s| match s {
        Source::Terms(f, _) | Source::Histogram(f, _) => f.clone(),
    }));
    more_fields.extend(metrics.iter().map(|m| m.2.clone()));
    let search = search::buckets(filter, range, &sources, &metrics);
    let monitor = monitor::bucket_level(making, indices, search, &used, &clauses);
    Ok(Draft { kind: MonitorKind::BucketLevel, monitor, condition, more_fields, differences })
}

/// `DATE_TRUNC` of a fixed span, or `BUCKET` of one: the date and the span in milliseconds.
fn truncated(e: &Expr) -> Result<(&Expr, i64), Reason> {
    let other = || "a group by something calculated has no counterpart".to_owned();
    let Expr::Call(call) = e else { return Err(other()) };
    let (first, second) = (call.args.first(), call.args.get(1));
    match (call.function.name, first, second, call.args.len()) {
        ("date_trunc", Some(Expr::Const(Datum::One(Value::Duration(ms)))), Some(date), 2)
        | ("bucket", Some(date), Some(Expr::Const(Datum::One(Value::Duration(ms)))), 2)
            if *ms > 0 =>
        {
            Ok((date, *ms))
        }
        _ => Err(other()),
    }
}

/// The parameter for an aggregate.
fn metric(
    call: &AggregateCall,
    field: &dyn Fn(&Expr) -> Result<String, Refusal>,
    used: &mut Vec<(String, String)>,
    metrics: &mut Vec<Metric>,
) -> Result<String, Reason> {
    if call.filter.is_some() {
        return Err("an aggregate with a condition of its own has no counterpart".to_owned());
    }
    let kind = match call.kind {
        Aggregate::Count if call.args.is_empty() => {
            let count = ("count".to_owned(), "_count".to_owned());
            if !used.contains(&count) {
                used.push(count);
            }
            return Ok("params.count".to_owned());
        }
        Aggregate::Count => "value_count",
        Aggregate::CountDistinct => "cardinality",
        Aggregate::Sum => "sum",
        Aggregate::Avg => "avg",
        Aggregate::Min => "min",
        Aggregate::Max => "max",
        _ => return Err("this aggregate has no counterpart in a bucket-level monitor".to_owned()),
    };
    let argument =
        call.args.first().ok_or_else(|| "an aggregate of nothing has no counterpart".to_owned())?;
    let field = field(argument).map_err(|r| match r {
        Refusal::Because(why) => why,
        Refusal::Unmapped(fields) => {
            fields.iter().map(super::Unmapped::reason).collect::<Vec<_>>().join("; ")
        }
    })?;
    let name = format!("m{}", metrics.len());
    used.push((name.clone(), name.clone()));
    metrics.push((name.clone(), kind, field));
    Ok(format!("params.{name}"))
}

/// A condition on a group's numbers, as Painless.
fn script(e: &Expr, of: &mut dyn FnMut(Slot) -> Result<String, Reason>) -> Result<String, Reason> {
    match e {
        Expr::And(parts) => {
            Ok(parts.iter().map(|p| script(p, of)).collect::<Result<Vec<_>, _>>()?.join(" && "))
        }
        Expr::Or(parts) => {
            let parts = parts.iter().map(|p| script(p, of)).collect::<Result<Vec<_>, _>>()?;
            Ok(format!("({})", parts.join(" || ")))
        }
        Expr::Not(inner) => Ok(format!("!({})", script(inner, of)?)),
        Expr::Compare(op, sides, _) => {
            let mut side = |e: &Expr| match e {
                Expr::Column(slot) => of(*slot),
                Expr::Const(Datum::One(Value::Int(i))) => Ok(i.to_string()),
                Expr::Const(Datum::One(Value::Double(d))) => Ok(d.to_string()),
                _ => Err("a calculated condition on groups has no counterpart".to_owned()),
            };
            let sign = match op {
                Comparison::Equal => "==",
                Comparison::Less => "<",
                Comparison::LessEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterEqual => ">=",
            };
            Ok(format!("{} {sign} {}", side(&sides.0)?, side(&sides.1)?))
        }
        _ => Err("a calculated condition on groups has no counterpart".to_owned()),
    }
}
