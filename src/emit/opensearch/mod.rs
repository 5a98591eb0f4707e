//! From a rule to a monitor of OpenSearch's Alerting plugin, and what is lost on the way. Pure, as all of
//! `emit`.

mod condition;
mod document;
mod monitor;
mod ppl;
mod query_string;
mod search;
mod shape;
mod table;

pub use condition::{Ask, Condition};
pub use monitor::{GROUP_TAG, MARK, Mark, Notification, without_server_fields};
pub use shape::{Unmapped, mapped};

use crate::diag::{Code, Diagnostic};
use crate::lang::Shape;
use crate::lang::rule::{Rule, RuleType};
use crate::pack::{CompiledRule, Config, OpenSearch, Profile};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

/// The folder of the monitors below that of the generated files.
pub const FOLDER: &str = "opensearch";

/// How much of a rule OpenSearch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It finds the same events and alerts on each.
    Faithful,
    /// It finds something else, or alerts in other units; what differs is listed.
    Approximate,
    /// Nothing there comes near it.
    NotPossible,
}

impl Grade {
    /// The words that people read.
    pub fn name(self) -> &'static str {
        match self {
            Grade::Faithful => "faithful",
            Grade::Approximate => "approximate",
            Grade::NotPossible => "not possible",
        }
    }
}

/// The kinds of monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorKind {
    /// A finding for each new document that a query string matches.
    DocLevel,
    /// One alert while a search has hits.
    QueryLevel,
    /// An alert for each bucket of an aggregation.
    BucketLevel,
    /// An alert for each row of a PPL query.
    Ppl,
}

impl MonitorKind {
    /// The `monitor_type`.
    pub fn name(self) -> &'static str {
        match self {
            MonitorKind::DocLevel => "doc_level_monitor",
            MonitorKind::QueryLevel => "query_level_monitor",
            MonitorKind::BucketLevel => "bucket_level_monitor",
            MonitorKind::Ppl => "ppl_monitor",
        }
    }
}

/// What OpenSearch can do of a rule.
#[derive(Clone, Debug)]
pub struct Support {
    /// The rule's name.
    pub name: String,
    /// Its id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// How much.
    pub grade: Grade,
    /// What differs, or why it is not possible: sentences without a full stop; empty where it is faithful.
    pub reasons: Vec<String>,
    /// The kind of its monitor.
    pub kind: Option<MonitorKind>,
    /// Parts of the rule that say nothing about which events are found, and that monitors do not have.
    pub left_out: Vec<String>,
    /// Whether the configuration allows the loss, by the place of its entry.
    pub allowed: Option<usize>,
    /// The fields, in the shape of the data, that the monitor's query reads.
    pub fields: Vec<String>,
    /// The fields of the rule that have no place in the shape of the data.
    pub unmapped: Vec<Unmapped>,
    /// The monitor.
    pub monitor: Option<Value>,
    /// What its query asks of one document, in the shape of the data.
    pub condition: Option<Condition>,
}

impl Support {
    /// Whether the monitor is generated: it is there, and what it loses is allowed.
    pub fn is_generated(&self) -> bool {
        self.monitor.is_some() && (self.grade == Grade::Faithful || self.allowed.is_some())
    }

    /// Whether the loss is one that nobody has allowed.
    pub fn is_refused(&self) -> bool {
        self.grade != Grade::Faithful && self.allowed.is_none()
    }
}

/// A monitor on its way.
struct Draft {
    kind: MonitorKind,
    monitor: Value,
    condition: Condition,
    /// Fields that it reads beside those of the condition.
    more_fields: Vec<String>,
    differences: Vec<String>,
}

/// Why there is no monitor.
enum Refusal {
    Because(String),
    Unmapped(Vec<Unmapped>),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        Refusal::Because(reason)
    }
}

/// What a rule's monitor is made from.
struct Making<'a> {
    rule: &'a Rule,
    compiled: &'a CompiledRule,
    config: &'a Config,
    settings: &'a OpenSearch,
}

/// What OpenSearch can do of a rule, with the settings of the configuration.
pub fn support(compiled: &CompiledRule, config: &Config) -> Support {
    support_with(compiled, config, &config.opensearch)
}

/// As [`support`], with other settings.
pub fn support_with(compiled: &CompiledRule, config: &Config, settings: &OpenSearch) -> Support {
    let rule = compiled.rule.as_ref();
    let making = Making { rule, compiled, config, settings };
    let mut out = Support {
        name: rule.name.clone(),
        rule_id: rule.rule_id().to_owned(),
        title: rule.title().to_owned(),
        grade: Grade::NotPossible,
        reasons: Vec::new(),
        kind: None,
        left_out: left_out(rule),
        allowed: settings.allowed_by(rule),
        fields: Vec::new(),
        unmapped: Vec::new(),
        monitor: None,
        condition: None,
    };
    match draft(&making) {
        Ok(draft) => {
            out.fields = draft.condition.fields();
            out.fields.extend(draft.more_fields);
            out.fields.sort();
            out.fields.dedup();
            out.reasons = draft.differences;
            out.reasons.extend(envelope(&making));
            out.grade = if out.reasons.is_empty() { Grade::Faithful } else { Grade::Approximate };
            out.kind = Some(draft.kind);
            out.monitor = Some(super::sorted(draft.monitor));
            out.condition = Some(draft.condition);
        }
        Err(Refusal::Because(reason)) => out.reasons.push(reason),
        Err(Refusal::Unmapped(unmapped)) => {
            out.reasons = unmapped.iter().map(Unmapped::reason).collect();
            out.unmapped = unmapped;
        }
    }
    out
}

fn draft(making: &Making<'_>) -> Result<Draft, Refusal> {
    let Making { rule, compiled, .. } = making;
    if rule.broken || compiled.has_errors() {
        return Err("the rule has errors".to_owned().into());
    }
    match rule.kind {
        RuleType::MachineLearning => {
            return Err("anomaly detection is another thing there than a machine learning job"
                .to_owned()
                .into());
        }
        RuleType::ThreatMatch => {
            return Err("monitors do not compare events with indicators of another index".to_owned().into());
        }
        RuleType::SavedQuery => return Err("its query is stored in Kibana".to_owned().into()),
        _ => {}
    }
    match compiled.shape {
        Shape::Sequence => {
            return Err("monitors know no order of events joined by a key".to_owned().into());
        }
        Shape::Sample => return Err("monitors do not join events by a key".to_owned().into()),
        Shape::Events | Shape::Table => {}
    }
    if !compiled.pipes.is_empty() {
        return Err("the pipes of the query have no counterpart".to_owned().into());
    }
    let plan = compiled.asked.as_ref().ok_or_else(|| {
        compiled.not_run.clone().unwrap_or_else(|| "its query cannot be compiled".to_owned())
    })?;
    match rule.kind {
        RuleType::NewTerms => ppl::draft(making, plan),
        RuleType::Threshold => search::threshold(making, plan),
        RuleType::Esql => table::draft(making, plan),
        _ => document::draft(making, plan),
    }
}

/// What of the rule around its query differs.
fn envelope(making: &Making<'_>) -> Vec<String> {
    let rule = making.rule;
    let mut out = Vec::new();
    if rule.json().get("alert_suppression").is_some() {
        out.push("alerts are not suppressed by group".to_owned());
    }
    if let Some(d) = making.compiled.diagnostics.iter().find(|d| d.code == Code::RP0712) {
        out.push(format!("{}, so its exceptions are not in the query", d.message));
    }
    if crate::lang::rule::interval(rule.interval()).is_some_and(|i| i < monitor::MINUTE) {
        out.push(format!("it runs once a minute, not every {}", rule.interval()));
    }
    out
}

/// Parts of a rule that monitors do not have, as people call them.
fn left_out(rule: &Rule) -> Vec<String> {
    const PARTS: [(&str, &str); 12] = [
        ("risk_score", "risk score"),
        ("note", "investigation guide"),
        ("setup", "setup guide"),
        ("actions", "actions (they go to connectors of Kibana)"),
        ("response_actions", "response actions"),
        ("timeline_id", "timeline"),
        ("building_block_type", "building block"),
        ("rule_name_override", "name from the event"),
        ("severity_mapping", "severity from the event"),
        ("risk_score_mapping", "risk score from the event"),
        ("max_signals", "limit of alerts per run"),
        ("investigation_fields", "highlighted fields"),
    ];
    PARTS
        .iter()
        .filter(|(key, _)| rule.json().get(*key).is_some())
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// The monitors of some rules.
#[derive(Clone, Debug, Default)]
pub struct Monitors {
    /// What OpenSearch can do, rule by rule, in the order of the rules.
    pub support: Vec<Support>,
    /// The generated monitors by path below their folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Losses that nobody has allowed, and allowances that allow nothing.
    pub diagnostics: Vec<Diagnostic>,
}

/// Makes the monitors of some rules. `whole` tells whether they are all of the pack, so that an allowance
/// without a loss is worth a finding. The bytes depend on nothing but rules and configuration.
pub fn monitors(rules: &[CompiledRule], config: &Config, whole: bool) -> Monitors {
    monitors_with(rules, config, whole, &|_| config.opensearch.clone())
}

/// As [`monitors`], with the settings that each rule has.
pub fn monitors_with(
    rules: &[CompiledRule],
    config: &Config,
    whole: bool,
    settings: &(dyn Fn(&Rule) -> OpenSearch + Sync),
) -> Monitors {
    let support: Vec<Support> =
        rules.par_iter().map(|r| support_with(r, config, &settings(&r.rule))).collect();
    let mut out = Monitors::default();
    for (one, compiled) in support.iter().zip(rules) {
        if let Some(monitor) = one.monitor.as_ref().filter(|_| one.is_generated()) {
            let text = super::files::pretty(monitor);
            out.files.insert(format!("{}.json", one.name), text.into_bytes());
        }
        if one.is_refused() {
            out.diagnostics.push(refused(one, &compiled.rule, config));
        }
    }
    if let Some(document) = config.document.as_ref().filter(|_| whole) {
        for (i, written) in config.opensearch.allow.iter().enumerate() {
            if support.iter().any(|s| s.grade != Grade::Faithful && s.allowed == Some(i)) {
                continue;
            }
            let d = Diagnostic::new(Code::RP0811, format!("`{written}` allows no loss of any rule"))
                .severity(crate::diag::Severity::Warning)
                .at(document.nearest(&format!("/opensearch/allow/{i}")).value, "")
                .in_source(document.source());
            out.diagnostics.push(d);
        }
    }
    crate::diag::sort(&mut out.diagnostics);
    out.support = support;
    out
}

/// The finding about a loss that is not allowed.
fn refused(support: &Support, rule: &Rule, config: &Config) -> Diagnostic {
    let profile = config.opensearch.profile.name();
    let mut d = match support.grade {
        _ if !support.unmapped.is_empty() => {
            let message = format!("the profile `{profile}` has no place for what `{}` asks", support.name);
            Diagnostic::new(Code::RP0812, message)
        }
        Grade::NotPossible => {
            Diagnostic::new(Code::RP0811, format!("OpenSearch cannot run `{}`", support.name))
        }
        _ => Diagnostic::new(Code::RP0811, format!("OpenSearch runs `{}` differently", support.name)),
    };
    d = d.at(rule.value_span("/rule/type"), "").in_source(&rule.source);
    for reason in &support.reasons {
        d = d.note(reason.clone());
    }
    d.help(format!("`allow = [\"{}\"]` in [opensearch] accepts this", support.name))
}

impl Making<'_> {
    /// The condition in the shape of the data, and what differs by that.
    fn shaped(&self, condition: Condition) -> Result<(Condition, Vec<String>), Refusal> {
        let mut flattened = None;
        condition.visit(&mut |ask| {
            if ask.flattened {
                flattened.get_or_insert_with(|| ask.field.clone());
            }
        });
        if let Some(name) = flattened.filter(|_| self.settings.profile == Profile::Ecs) {
            return Err(format!(
                "`{name}` is flattened, and a `flat_object` of OpenSearch searches its keys differently"
            )
            .into());
        }
        shape::mapped(condition, self.settings.profile).map_err(Refusal::Unmapped)
    }

    /// The field of a group in the shape of the data.
    fn shaped_field(&self, field: &str) -> Result<String, Refusal> {
        if self.settings.profile == Profile::Ecs {
            if field.starts_with(shape::FLATTENED) {
                return Err(format!("groups are not made by `{field}`, a key below a flattened field").into());
            }
            return Ok(field.to_owned());
        }
        shape::field(field, self.settings.profile)
            .ok_or_else(|| Refusal::Unmapped(vec![Unmapped { field: field.to_owned(), why: String::new() }]))
    }

    /// The index patterns that the monitor reads.
    fn indices(&self, of_query: &[Box<str>]) -> Result<Vec<String>, Refusal> {
        if !self.settings.index.is_empty() {
            return Ok(self.settings.index.clone());
        }
        if self.settings.profile != Profile::Ecs {
            return Err(format!(
                "the indices of the rule hold ECS; `index` in [opensearch] names those of the profile `{}`",
                self.settings.profile.name()
            )
            .into());
        }
        let rule = self.rule.index().into_iter().map(str::to_owned);
        let all: Vec<String> = rule.chain(of_query.iter().map(|p| p.to_string())).collect();
        if let Some(other) = all.iter().find(|p| p.contains(':') || p.starts_with('-')) {
            return Err(format!(
                "`{other}` is no index of the cluster itself; `index` in [opensearch] names others"
            )
            .into());
        }
        if all.is_empty() {
            return Err("it names no index; `index` in [opensearch] does".to_owned().into());
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
