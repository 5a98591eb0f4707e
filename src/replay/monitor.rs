//! The query of a monitor of OpenSearch as something that runs: it is read back from the monitor, so that
//! what is replayed is what is deployed.

use super::RunRule;
use crate::emit::opensearch::{MonitorKind, Support, support_with};
use crate::lang::rule::RuleType;
use crate::lang::{Settings, dsl, esql, lucene};
use crate::pack::{CompiledRule, Config, OpenSearch, Profile};
use crate::plan::{Plan, PlanFields, Pred, Stage};
use crate::schema::{Field, Fields, Layer, Origin, Schema};
use crate::source::Span;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What OpenSearch can do of a rule where events have the shape of a profile. The indices of the configuration
/// are those of its own profile; for another one any index will do.
pub fn support(compiled: &CompiledRule, config: &Config, profile: Profile) -> Support {
    let configured = &config.opensearch;
    let index = match &configured.index {
        list if configured.profile == profile && !list.is_empty() => list.clone(),
        _ => vec!["*".to_owned()],
    };
    support_with(compiled, config, &OpenSearch { profile, index, ..configured.clone() })
}

/// The rule to run of a monitor.
///
/// # Errors
/// Why it does not run, as a sentence without a full stop.
pub fn run_rule(support: &Support, compiled: &CompiledRule, config: &Config) -> Result<RunRule, String> {
    let Some(monitor) = &support.monitor else {
        return Err(format!("there is no monitor: {}", support.reasons.join("; ")));
    };
    let profile_schema = schema(support, compiled, config);
    let (query, plan) = match support.kind {
        Some(MonitorKind::DocLevel) => doc_level(monitor, &profile_schema)?,
        Some(MonitorKind::QueryLevel | MonitorKind::BucketLevel)
            if compiled.rule.kind == RuleType::Threshold =>
        {
            return Err("replaying monitors of threshold rules is not supported yet".to_owned());
        }
        Some(MonitorKind::QueryLevel) => {
            let (text, fields, pred) = filter(monitor, &profile_schema)?;
            (text, Plan { fields, stages: vec![Stage::Filter(pred)] })
        }
        Some(MonitorKind::BucketLevel) => bucket_level(monitor, &profile_schema)?,
        Some(MonitorKind::Ppl) | None => {
            return Err("replaying monitors in PPL is not supported yet".to_owned());
        }
    };
    let mut run = RunRule::with_plan(compiled, plan);
    run.query = query.into();
    run.index = indices(monitor);
    // alerts of monitors are not limited
    run.max_signals = u64::MAX;
    Ok(run)
}

/// The fields that the query names, with the types that it was made for.
fn schema(support: &Support, compiled: &CompiledRule, config: &Config) -> Schema {
    let mut fields = Fields::default();
    if let Some(condition) = &support.condition {
        condition.visit(&mut |ask| {
            if ask.multi || ask.flattened {
                return;
            }
            for ty in &ask.types {
                fields.merge(Field::new(&ask.field, ty.clone(), Origin::Mapping));
            }
        });
    }
    let own = Layer { fields: Arc::new(fields), version: None, label: "monitor".to_owned() };
    let mut layers = vec![own];
    layers.extend(compiled.schema(config).layers().iter().cloned());
    Schema::new(layers).with_unknown_fields()
}

fn indices(monitor: &Value) -> Vec<String> {
    let list = ["/inputs/0/doc_level_input/indices", "/inputs/0/search/indices"];
    let list = list.iter().find_map(|p| monitor.pointer(p)?.as_array());
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn doc_level(monitor: &Value, schema: &Schema) -> Result<(String, Plan), String> {
    let text = monitor.pointer("/inputs/0/doc_level_input/queries/0/query").and_then(Value::as_str);
    let text = text.ok_or_else(|| "the monitor has no query".to_owned())?;
    let query = lucene::parse(text).map_err(|d| unread(&d.message))?;
    let mut fields = PlanFields::default();
    let defaults = lucene::Defaults { lenient: true, ..lucene::Defaults::default() };
    let lowered = lucene::lower(&query, text, schema, &Settings::default(), &defaults, &mut fields);
    // a pattern that begins with a wildcard is slow, and says the same
    if let Some(d) = lowered.diagnostics.into_iter().find(|d| d.code != crate::diag::Code::RP1001) {
        return Err(unread(&d.message));
    }
    Ok((text.to_owned(), Plan { fields, stages: vec![Stage::Filter(lowered.pred)] }))
}

fn unread(why: &str) -> String {
    format!("the query of its monitor cannot be run here: {why}")
}

/// The part of a search that chooses documents, apart from the time range of a run.
fn filter(monitor: &Value, schema: &Schema) -> Result<(String, PlanFields, Pred), String> {
    let mut fields = PlanFields::default();
    let (text, pred) = filter_with(monitor, schema, &mut fields)?;
    Ok((text, fields, pred))
}

fn filter_with(monitor: &Value, schema: &Schema, fields: &mut PlanFields) -> Result<(String, Pred), String> {
    let query = monitor.pointer("/inputs/0/search/query/query/bool/filter/0");
    let query = query.ok_or_else(|| "the monitor has no query".to_owned())?;
    let mut printed = Printed::default();
    printed.value(query, "");
    let place = |pointer: &str| printed.spans.get(pointer).copied().unwrap_or_default();
    let lowered = dsl::lower(query, schema, &Settings::default(), fields, &place);
    match lowered.diagnostics.into_iter().next() {
        Some(d) => Err(unread(&d.message)),
        None => Ok((printed.text, lowered.pred)),
    }
}

/// A composite aggregation and the condition on its buckets, as the pipe of ES|QL that says the same.
fn bucket_level(monitor: &Value, schema: &Schema) -> Result<(String, Plan), String> {
    let text = pipe(monitor).ok_or_else(|| "its groups cannot be read back".to_owned())?;
    let analysis = esql::analyze(&text, schema, &Settings::default());
    let Some(Plan { mut fields, stages }) = analysis.plan else {
        let why = analysis.diagnostics.into_iter().next().map(|d| d.message).unwrap_or_default();
        return Err(format!("its groups cannot be counted: {why}"));
    };
    let (_, pred) = filter_with(monitor, schema, &mut fields)?;
    let mut all = vec![Stage::Filter(pred)];
    all.extend(stages);
    Ok((text, Plan { fields, stages: all }))
}

fn pipe(monitor: &Value) -> Option<String> {
    let column = |name: &str| format!("`{}`", name.replace('`', "``"));
    let groups = monitor.pointer("/inputs/0/search/query/aggregations/groups")?;
    let mut present = Vec::new();
    let mut keys = Vec::new();
    for source in groups.pointer("/composite/sources")?.as_array()? {
        let (name, kind) = source.as_object()?.iter().next()?;
        if let Some(terms) = kind.get("terms") {
            let field = column(terms.get("field")?.as_str()?);
            if terms.get("missing_bucket") != Some(&Value::Bool(true)) {
                present.push(format!("{field} IS NOT NULL"));
            }
            keys.push(field);
        } else {
            let histogram = kind.get("date_histogram")?;
            let field = column(histogram.get("field")?.as_str()?);
            let span = histogram.get("fixed_interval")?.as_str()?.strip_suffix("ms")?;
            keys.push(format!("{name} = DATE_TRUNC({span} milliseconds, {field})"));
        }
    }
    let mut counted = vec!["count = COUNT(*)".to_owned()];
    for (name, metric) in groups.get("aggregations").and_then(Value::as_object).into_iter().flatten() {
        let (kind, body) = metric.as_object()?.iter().next()?;
        let function = match kind.as_str() {
            "value_count" => "COUNT",
            "cardinality" => "COUNT_DISTINCT",
            "sum" => "SUM",
            "avg" => "AVG",
            "min" => "MIN",
            "max" => "MAX",
            _ => return None,
        };
        counted.push(format!("{name} = {function}({})", column(body.get("field")?.as_str()?)));
    }
    let script = monitor.pointer("/triggers/0/bucket_level_trigger/condition/script/source")?.as_str()?;
    let condition =
        script.replace("params.", "").replace("&&", "AND").replace("||", "OR").replace("!(", "NOT (");
    let present =
        if present.is_empty() { String::new() } else { format!(" | WHERE {}", present.join(" AND ")) };
    Some(format!("FROM *{present} | STATS {} BY {} | WHERE {condition}", counted.join(", "), keys.join(", ")))
}

/// JSON on one line, and where in it each value stands; of a member with its key.
#[derive(Default)]
struct Printed {
    text: String,
    spans: BTreeMap<String, Span>,
}

impl Printed {
    fn value(&mut self, value: &Value, at: &str) {
        let start = self.text.len();
        self.bare(value, at);
        self.spans.entry(at.to_owned()).or_insert(Span::new(start, self.text.len()));
    }

    fn bare(&mut self, value: &Value, at: &str) {
        match value {
            Value::Object(map) => {
                self.text.push('{');
                for (i, (key, inner)) in map.iter().enumerate() {
                    if i > 0 {
                        self.text.push_str(", ");
                    }
                    let start = self.text.len();
                    self.text.push_str(&format!("{}: ", Value::from(key.as_str())));
                    let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.bare(inner, &pointer);
                    self.spans.insert(pointer, Span::new(start, self.text.len()));
                }
                self.text.push('}');
            }
            Value::Array(items) => {
                self.text.push('[');
                for (i, inner) in items.iter().enumerate() {
                    if i > 0 {
                        self.text.push_str(", ");
                    }
                    self.value(inner, &format!("{at}/{i}"));
                }
                self.text.push(']');
            }
            other => self.text.push_str(&other.to_string()),
        }
    }
}
