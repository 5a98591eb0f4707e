//! The shape of monitors: always whole, so that OpenSearch Dashboards can edit them.

use super::{Making, MonitorKind};
use crate::lang::rule::{Rule, interval};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A minute in nanoseconds.
pub(super) const MINUTE: i128 = 60_000_000_000;

/// The key of the mark of ownership, within `ui_metadata`.
pub const MARK: &str = "rulepack";

/// How the tag of a query begins that stands in a monitor of several rules; its id follows.
pub const GROUP_TAG: &str = "rulepack-group:";

/// Whose a monitor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The pack.
    pub pack: String,
    /// The rule's id.
    pub rule_id: String,
    /// The hash of what was written, less the parts; none in generated files.
    pub hash: Option<String>,
    /// The hashes of parts that may belong to those who use the monitor.
    pub parts: BTreeMap<String, String>,
}

impl Mark {
    /// The mark of a monitor. Where an edit in Dashboards has dropped it, a doc-level monitor still has the
    /// rule's id at its query, and the pack among its tags.
    pub fn of(monitor: &Value) -> Option<Mark> {
        let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(mark) = monitor.pointer(&format!("/ui_metadata/{MARK}")) {
            return Some(Mark {
                pack: text(mark, "pack")?,
                rule_id: text(mark, "rule_id")?,
                hash: text(mark, "hash"),
                parts: mark
                    .get("parts")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .filter_map(|(part, hash)| Some((part.clone(), hash.as_str()?.to_owned())))
                    .collect(),
            });
        }
        let query = monitor.pointer("/inputs/0/doc_level_input/queries/0")?;
        let tags = query.get("tags").and_then(Value::as_array)?;
        let pack = tags.iter().find_map(|t| t.as_str()?.strip_prefix("rulepack:"))?;
        if let Some(group) = tags.iter().find_map(|t| t.as_str()?.strip_prefix(GROUP_TAG)) {
            let (pack, rule_id) = (pack.to_owned(), group.to_owned());
            return Some(Mark { pack, rule_id, hash: None, parts: BTreeMap::new() });
        }
        Some(Mark { pack: pack.to_owned(), rule_id: text(query, "id")?, hash: None, parts: BTreeMap::new() })
    }
}

/// A monitor without what the server adds, for comparing: its own times and versions, who wrote it.
pub fn without_server_fields(monitor: &Value) -> Value {
    let mut out = monitor.clone();
    if let Some(map) = out.as_object_mut() {
        for key in [
            "schema_version",
            "last_update_time",
            "enabled_time",
            "user",
            "data_sources",
            "owner",
            "delete_query_index_in_every_run",
            "should_create_single_alert_for_findings",
            "fan_out_enabled",
            "id",
            "version",
        ] {
            map.shift_remove(key);
        }
    }
    out
}

/// Names that stored queries may have: letters, digits, `-`, `_` and single dots, a letter or digit first.
pub(super) fn query_name(rule: &Rule) -> String {
    let mut out = String::new();
    for c in rule.name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => out.push(c),
            '_' | '-' if !out.is_empty() => out.push(c),
            '.' if !out.is_empty() && !out.ends_with('.') => out.push('.'),
            _ if !out.is_empty() => out.push('-'),
            _ => {}
        }
    }
    if out.is_empty() { rule.rule_id().to_owned() } else { out }
}

/// `1` is the highest severity of a trigger.
fn severity(rule: &Rule) -> &'static str {
    match rule.severity() {
        "critical" => "1",
        "high" => "2",
        "medium" => "3",
        _ => "4",
    }
}

/// How often the monitor runs: whole minutes, hours or days.
fn period(rule: &Rule) -> (i128, &'static str) {
    let minutes = interval(rule.interval()).unwrap_or(5 * MINUTE).div_euclid(MINUTE).max(1);
    match minutes {
        m if m % 1440 == 0 => (m / 1440, "DAYS"),
        m if m % 60 == 0 => (m / 60, "HOURS"),
        m => (m, "MINUTES"),
    }
}

fn whole(making: &Making<'_>, kind: MonitorKind, input: Value, trigger: Value) -> Value {
    let rule = making.rule;
    let (every, unit) = period(rule);
    let every = i64::try_from(every).unwrap_or(i64::MAX);
    json!({
        "type": "monitor",
        "monitor_type": kind.name(),
        "name": rule.title(),
        "enabled": rule.enabled().unwrap_or(true),
        "schedule": { "period": { "interval": every, "unit": unit } },
        "inputs": [input],
        "triggers": [trigger],
        "ui_metadata": {
            "schedule": {
                "cronExpression": "",
                "daily": 0,
                "frequency": "interval",
                "monthly": { "day": 1, "type": "day" },
                "period": { "interval": every, "unit": unit },
                "timezone": Value::Null,
                "weekly": {
                    "mon": false, "tue": false, "wed": false, "thur": false, "fri": false, "sat": false,
                    "sun": false
                }
            },
            "search": { "searchType": "query" },
            "monitor_type": kind.name(),
            MARK: { "pack": making.config.name, "rule_id": rule.rule_id() },
        },
    })
}

/// The keys that every trigger has.
fn trigger(making: &Making<'_>, kind: MonitorKind) -> Map<String, Value> {
    let rule = making.rule;
    let mut out = Map::new();
    out.insert("id".to_owned(), format!("{}-trigger", rule.rule_id()).into());
    out.insert("name".to_owned(), rule.title().into());
    out.insert("severity".to_owned(), severity(rule).into());
    out.insert("actions".to_owned(), actions(making, kind));
    out
}

/// The one action, where there is a channel.
fn actions(making: &Making<'_>, kind: MonitorKind) -> Value {
    let Some(channel) = &making.settings.channel else { return json!([]) };
    let throttle = making
        .rule
        .json()
        .pointer("/actions/0/frequency/throttle")
        .and_then(Value::as_str)
        .and_then(interval);
    let notification = Notification {
        id: format!("{}-action", making.rule.rule_id()),
        channel: channel.clone(),
        throttle,
        ..Notification::default()
    };
    json!([notification.action(kind)])
}

/// What is sent when a trigger fires.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notification {
    /// The action's id.
    pub id: String,
    /// The id of the channel.
    pub channel: String,
    /// The least time between two messages, in nanoseconds.
    pub throttle: Option<i128>,
    /// The subject, if it is another than usual.
    pub subject: Option<String>,
    /// The text, if it is another than usual.
    pub message: Option<String>,
}

impl Notification {
    /// As an action of a monitor of a kind.
    pub fn action(&self, kind: MonitorKind) -> Value {
        let scope = match kind {
            MonitorKind::QueryLevel | MonitorKind::Ppl => json!({ "per_execution": {} }),
            _ => json!({ "per_alert": { "actionable_alerts": ["DEDUPED", "NEW"] } }),
        };
        let template = |given: &Option<String>, usual: &str| {
            let source = given.as_deref().unwrap_or(usual);
            json!({ "source": source, "lang": "mustache" })
        };
        let throttle = self.throttle.map(|t| t.div_euclid(MINUTE).max(1));
        let mut action = json!({
            "id": self.id,
            "name": "notify",
            "destination_id": self.channel,
            "subject_template":
                template(&self.subject, "{{ctx.monitor.name}}: severity {{ctx.trigger.severity}}"),
            "message_template": template(
                &self.message,
                "{{ctx.monitor.name}} from {{ctx.periodStart}} to {{ctx.periodEnd}}, severity {{ctx.trigger.severity}}"
            ),
            "throttle_enabled": throttle.is_some(),
            "action_execution_policy": { "action_execution_scope": scope },
        });
        if let (Some(minutes), Some(map)) = (throttle, action.as_object_mut()) {
            let minutes = i64::try_from(minutes).unwrap_or(i64::MAX);
            map.insert("throttle".to_owned(), json!({ "value": minutes, "unit": "MINUTES" }));
        }
        action
    }
}

fn script(source: &str) -> Value {
    json!({ "script": { "source": source, "lang": "painless" } })
}

/// What the description of an input says; it is one line.
fn description(rule: &Rule) -> String {
    rule.description().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// ATT&CK ids, the severity and the pack: tags of queries have neither blanks nor brackets.
fn tags(making: &Making<'_>) -> Vec<String> {
    let mut out =
        vec![format!("rulepack:{}", making.config.name), format!("severity:{}", making.rule.severity())];
    fn ids(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                let id = map.get("id").and_then(Value::as_str);
                out.extend(id.filter(|id| is_attack(id)).map(str::to_owned));
                map.values().for_each(|v| ids(v, out));
            }
            Value::Array(items) => items.iter().for_each(|v| ids(v, out)),
            _ => {}
        }
    }
    if let Some(threat) = making.rule.json().get("threat") {
        ids(threat, &mut out);
    }
    out.sort();
    out.dedup();
    out
}

fn is_attack(id: &str) -> bool {
    id.starts_with('T') && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
}

pub(super) fn doc_level(making: &Making<'_>, indices: Vec<String>, query: &str) -> Value {
    let name = query_name(making.rule);
    let input = json!({ "doc_level_input": {
        "description": description(making.rule),
        "indices": indices,
        "queries": [{
            "id": making.rule.rule_id(),
            "name": name,
            "query": query,
            "fields": [],
            "tags": tags(making),
        }],
    } });
    let mut t = trigger(making, MonitorKind::DocLevel);
    t.insert("condition".to_owned(), script(&format!("query[name={name}]")));
    whole(making, MonitorKind::DocLevel, input, json!({ "document_level_trigger": t }))
}

pub(super) fn query_level(making: &Making<'_>, indices: Vec<String>, query: Value, condition: &str) -> Value {
    let input = json!({ "search": { "indices": indices, "query": query } });
    let mut t = trigger(making, MonitorKind::QueryLevel);
    t.insert("condition".to_owned(), script(condition));
    whole(making, MonitorKind::QueryLevel, input, json!({ "query_level_trigger": t }))
}

/// `paths` are the names of the script's parameters and what each reads of a bucket.
pub(super) fn bucket_level(
    making: &Making<'_>,
    indices: Vec<String>,
    query: Value,
    paths: &[(String, String)],
    condition: &str,
) -> Value {
    let input = json!({ "search": { "indices": indices, "query": query } });
    let mut t = trigger(making, MonitorKind::BucketLevel);
    let paths: Map<String, Value> = paths.iter().map(|(n, p)| (n.clone(), p.as_str().into())).collect();
    t.insert(
        "condition".to_owned(),
        json!({
            "buckets_path": paths,
            "parent_bucket_path": super::search::GROUPS,
            "script": { "source": condition, "lang": "painless" },
            "gap_policy": "skip",
        }),
    );
    whole(making, MonitorKind::BucketLevel, input, json!({ "bucket_level_trigger": t }))
}

pub(super) fn ppl(making: &Making<'_>, query: &str) -> Value {
    let input = json!({ "ppl_input": { "query": query, "query_language": "ppl" } });
    let mut t = trigger(making, MonitorKind::Ppl);
    t.insert("mode".to_owned(), "per_result".into());
    t.insert("type".to_owned(), "number_of_results".into());
    t.insert("num_results_condition".to_owned(), ">".into());
    t.insert("num_results_value".to_owned(), 0.into());
    whole(making, MonitorKind::Ppl, input, json!({ "ppl_trigger": t }))
}
