//! Searches of query-level and bucket-level monitors: the time range of a run, and threshold rules.

use super::{Draft, Making, MonitorKind, Refusal, document, monitor};
use crate::lang::rule::{Rule, lookback};
use crate::pack::Profile;
use crate::plan::Plan;
use serde_json::{Map, Value, json};

/// The name of the aggregation whose buckets alert.
pub(super) const GROUPS: &str = "groups";

/// The most buckets that one page of the composite aggregation holds; the monitor asks for all pages.
pub(super) const PAGE: u32 = 1_000;

/// The end of a run, and a time before it.
fn moment(back: i128) -> String {
    match back.div_euclid(1_000_000_000) {
        0 => "{{period_end}}".to_owned(),
        s if s < 0 => format!("{{{{period_end}}}}||+{}s", -s),
        s if s % 60 == 0 => format!("{{{{period_end}}}}||-{}m", s / 60),
        s => format!("{{{{period_end}}}}||-{s}s"),
    }
}

/// The range of a run, by the time that the rule goes by, and the fields that it reads.
pub(super) fn time_range(making: &Making<'_>) -> Result<(Value, Vec<String>), Refusal> {
    let rule: &Rule = making.rule;
    let relative = |text: &str| {
        lookback(text).ok_or_else(|| Refusal::Because(format!("`{text}` is no fixed time before a run")))
    };
    let (from, to) = (moment(relative(rule.from())?), moment(relative(rule.to())?));
    let range =
        |field: &str| json!({ "range": { field: { "gte": from, "lte": to, "format": "epoch_millis" } } });
    let plain = time_field(making.settings.profile);
    let field = match rule.timestamp_override() {
        Some(field) if making.settings.profile == Profile::Ecs && field != plain => field,
        _ => return Ok((range(plain), vec![plain.to_owned()])),
    };
    if rule.json().get("timestamp_override_fallback_disabled") == Some(&Value::Bool(true)) {
        return Ok((range(field), vec![field.to_owned()]));
    }
    let either = json!({ "bool": { "minimum_should_match": 1, "should": [
        range(field),
        { "bool": {
            "filter": [range(plain)],
            "must_not": [{ "exists": { "field": field } }]
        } }
    ] } });
    Ok((either, vec![field.to_owned(), plain.to_owned()]))
}

/// The field of an event's time.
pub(super) fn time_field(profile: Profile) -> &'static str {
    match profile {
        Profile::Ecs | Profile::Ss4o => "@timestamp",
        Profile::Raw => "eventTime",
        Profile::Ocsf => "time",
    }
}

/// A group of a composite aggregation.
pub(super) enum Source {
    /// The values of a field; with `null` where it has none.
    Terms(String, bool),
    /// Times, cut to so many milliseconds.
    Histogram(String, i64),
}

/// What is computed of each bucket besides its number of documents: the name of the parameter, the kind
/// of the aggregation and its field.
pub(super) type Metric = (String, &'static str, String);

/// The search of a bucket-level monitor.
pub(super) fn buckets(filter: Value, range: Value, sources: &[Source], metrics: &[Metric]) -> Value {
    let sources: Vec<Value> = sources
        .iter()
        .enumerate()
        .map(|(i, source)| {
            let name = format!("g{i}");
            match source {
                Source::Terms(field, false) => json!({ name: { "terms": { "field": field } } }),
                Source::Terms(field, true) => {
                    json!({ name: { "terms": { "field": field, "missing_bucket": true } } })
                }
                Source::Histogram(field, millis) => {
                    json!({ name: { "date_histogram": { "field": field, "fixed_interval": format!("{millis}ms") } } })
                }
            }
        })
        .collect();
    let mut group = json!({ "composite": { "size": PAGE, "sources": sources } });
    if let (Some(map), false) = (group.as_object_mut(), metrics.is_empty()) {
        let aggs: Map<String, Value> = metrics
            .iter()
            .map(|(name, kind, field)| (name.clone(), json!({ *kind: { "field": field } })))
            .collect();
        map.insert("aggregations".to_owned(), aggs.into());
    }
    json!({
        "size": 0,
        "query": { "bool": { "filter": [filter, range] } },
        "aggregations": { GROUPS: group },
    })
}

pub(super) fn threshold(making: &Making<'_>, plan: &Plan) -> Result<Draft, Refusal> {
    let (condition, mut differences) = document::condition(making, plan)?;
    let indices = making.indices(&[])?;
    let (condition, shaped) = making.shaped(condition)?;
    differences.extend(shaped);
    let filter = document::query(&condition)?;
    let (range, mut more_fields) = time_range(making)?;
    let json = making.rule.json();
    let texts = |value: Option<&Value>| -> Vec<String> {
        match value {
            Some(Value::String(one)) if !one.is_empty() => vec![one.clone()],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    let groups = texts(json.pointer("/threshold/field"))
        .iter()
        .map(|f| making.shaped_field(f))
        .collect::<Result<Vec<_>, _>>()?;
    let least = json.pointer("/threshold/value").and_then(Value::as_u64).unwrap_or(1);
    let mut metrics: Vec<Metric> = Vec::new();
    let mut script = format!("params.count >= {least}");
    let cardinality = json.pointer("/threshold/cardinality").and_then(Value::as_array);
    for (i, one) in cardinality.into_iter().flatten().enumerate() {
        let field = making.shaped_field(one.get("field").and_then(Value::as_str).unwrap_or_default())?;
        let value = one.get("value").and_then(Value::as_u64).unwrap_or(0);
        script.push_str(&format!(" && params.distinct{i} >= {value}"));
        metrics.push((format!("distinct{i}"), "cardinality", field));
    }
    more_fields.extend(groups.iter().cloned());
    more_fields.extend(metrics.iter().map(|m| m.2.clone()));
    if groups.is_empty() {
        let mut body = json!({
            "size": 0,
            "track_total_hits": true,
            "query": { "bool": { "filter": [filter, range] } },
        });
        let mut script = format!("ctx.results[0].hits.total.value >= {least}");
        if let (Some(map), false) = (body.as_object_mut(), metrics.is_empty()) {
            let aggs: Map<String, Value> = metrics
                .iter()
                .map(|(name, kind, field)| (name.clone(), json!({ *kind: { "field": field } })))
                .collect();
            map.insert("aggregations".to_owned(), aggs.into());
            for (i, one) in cardinality.into_iter().flatten().enumerate() {
                let value = one.get("value").and_then(Value::as_u64).unwrap_or(0);
                script.push_str(&format!(" && ctx.results[0].aggregations.distinct{i}.value >= {value}"));
            }
        }
        let monitor = monitor::query_level(making, indices, body, &script);
        return Ok(Draft { kind: MonitorKind::QueryLevel, monitor, condition, more_fields, differences });
    }
    let sources: Vec<Source> = groups.into_iter().map(|g| Source::Terms(g, false)).collect();
    let mut paths = vec![("count".to_owned(), "_count".to_owned())];
    paths.extend(metrics.iter().map(|(name, ..)| (name.clone(), name.clone())));
    let search = buckets(filter, range, &sources, &metrics);
    let monitor = monitor::bucket_level(making, indices, search, &paths, &script);
    Ok(Draft { kind: MonitorKind::BucketLevel, monitor, condition, more_fields, differences })
}
