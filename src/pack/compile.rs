//! From a rule to a compiled one: its query is checked on every stack of the pack, and what runs is
//! the plan of the newest.

use super::catalog::Sources;
use super::config::Config;
use super::{Exceptions, Pack, RuleFile, check, conditions};
use crate::diag::{Code, Diagnostic, Safety, Severity};
use crate::es::Context;
use crate::es::wildcard::Pattern;
use crate::lang::resolve::unknown_field;
use crate::lang::rule::{Rule, RuleType, interval, lookback};
use crate::lang::{self, Analysis, Cut, FieldUse, Settings, Shape};
use crate::plan::table::Supplied;
use crate::plan::threshold::Window;
use crate::plan::{FieldId, Plan, PlanField, Stage, Threshold};
use crate::schema::{Field, FieldType, Kind, Origin, Schema, Version, ecs_of_stack};
use crate::value::Access;
use rayon::prelude::*;
use std::sync::Arc;

/// A field that no catalogue could confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// The dataset, or index pattern, without a catalogue.
    pub dataset: String,
    /// The field.
    pub field: String,
}

/// A rule with what its query means.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The plan on the newest stack; `None` where the rule is not run.
    pub plan: Option<Plan>,
    /// What its query, filters and exceptions ask of each event, without what the type of the rule adds;
    /// also for types that are not run. `None` where there are errors.
    pub asked: Option<Plan>,
    /// The kind of its answers.
    pub shape: Shape,
    /// EQL: the pipes of the query.
    pub pipes: Vec<Cut>,
    /// The fields that the query names, spans in the query's own text.
    pub fields: Vec<FieldUse>,
    /// Every finding about the rule, that of its file included, places in the file.
    pub diagnostics: Vec<Diagnostic>,
    /// Why it is not run, as a sentence without a full stop.
    pub not_run: Option<String>,
    /// Where its events come from.
    pub sources: Sources,
    /// The fields that no catalogue could confirm, each once.
    pub unchecked: Vec<Unchecked>,
    /// The stacks that it was checked on.
    pub stacks: Vec<Version>,
    /// Whether it would run if a test case supplied tables or answers.
    pub lacking: bool,
}

/// Why a rule with errors is not run.
const BECAUSE_OF_ERRORS: &str = "errors in the rule";

impl CompiledRule {
    /// Whether there is an error among its findings.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether what it asks for is not supported yet, rather than wrong.
    pub fn is_unsupported(&self) -> bool {
        self.not_run.as_deref().is_some_and(|r| r != BECAUSE_OF_ERRORS)
    }

    /// The schema of its events on the newest of its stacks.
    pub fn schema(&self, config: &Config) -> Schema {
        let newest = self.stacks.iter().max().copied().unwrap_or_else(|| config.newest_stack());
        self.sources.schema(newest)
    }
}

impl Pack {
    /// Compiles the rules of a selection, in its order. Files without a rule are left out.
    pub fn compile(&self, selection: &[&RuleFile]) -> Vec<CompiledRule> {
        selection
            .par_iter()
            .filter_map(|file| {
                let mut compiled =
                    compile(file.rule.as_ref()?, &self.config, &self.exceptions, &Supplied::default());
                compiled.diagnostics.extend(file.diagnostics.iter().cloned());
                crate::diag::sort(&mut compiled.diagnostics);
                Some(compiled)
            })
            .collect()
    }

    /// The rules as a target wants them: those to which its overlays give exceptions are compiled with them.
    pub fn compile_for(&self, rules: Vec<CompiledRule>, target: &super::Target) -> Vec<CompiledRule> {
        let mut exceptions = self.exceptions.clone();
        exceptions.at_target(target);
        rules
            .into_par_iter()
            .map(|held| {
                if self.exceptions.only_at(target, &held.rule).is_empty() {
                    return held;
                }
                compile(&held.rule, &self.config, &exceptions, &Supplied::default())
            })
            .collect()
    }

    /// What the exceptions of a target's overlays are found to be wrong with, in their files.
    pub fn check_exceptions_at(&self, target: &super::Target, rules: &[CompiledRule]) -> Vec<Diagnostic> {
        let concerned: Vec<(&CompiledRule, Vec<&str>)> = rules
            .iter()
            .filter(|r| target.select.accepts(&r.rule))
            .map(|r| {
                let lists = self.exceptions.only_at(target, &r.rule);
                (r, lists.iter().map(|(f, _)| f.source.name()).collect())
            })
            .filter(|(_, files): &(_, Vec<&str>)| !files.is_empty())
            .collect();
        if concerned.is_empty() {
            return Vec::new();
        }
        let mut exceptions = self.exceptions.clone();
        exceptions.at_target(target);
        concerned
            .par_iter()
            .flat_map_iter(|(r, files)| {
                let compiled = compile(&r.rule, &self.config, &exceptions, &Supplied::default());
                let of_files = |d: &Diagnostic| d.source.as_ref().is_some_and(|s| files.contains(&s.name()));
                compiled.diagnostics.into_iter().filter(of_files).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Compiles a rule anew with the tables and answers that a test case supplies.
    pub fn compile_with(&self, rule: &Arc<Rule>, supplied: &Supplied) -> CompiledRule {
        compile(rule, &self.config, &self.exceptions, supplied)
    }
}

/// Compiles one rule, with the exceptions that apply to it.
pub(super) fn compile(
    rule: &Arc<Rule>,
    config: &Config,
    exceptions: &Exceptions,
    supplied: &Supplied,
) -> CompiledRule {
    let mut out = CompiledRule {
        rule: Arc::clone(rule),
        plan: None,
        asked: None,
        shape: Shape::Events,
        pipes: Vec::new(),
        fields: Vec::new(),
        diagnostics: check::rule(rule, config),
        not_run: None,
        sources: Sources::of(rule, config),
        unchecked: Vec::new(),
        stacks: config
            .stacks
            .iter()
            .copied()
            .filter(|s| rule.min_stack_version().is_none_or(|min| (min.0, min.1) <= (s.0, s.1)))
            .collect(),
        lacking: false,
    };
    if out.stacks.is_empty() {
        let newest = config.newest_stack();
        let d =
            Diagnostic::new(Code::RP0802, format!("this rule is for no stack of the pack, up to {newest}"))
                .at(rule.value_span("/metadata/min_stack_version"), "")
                .in_source(&rule.source);
        out.diagnostics.push(d);
        out.not_run = Some(BECAUSE_OF_ERRORS.to_owned());
        return out;
    }
    let stacks = out.stacks.clone();
    let results: Vec<(Version, Schema, Analysis)> = stacks
        .iter()
        .map(|stack| {
            let mut schema = out.sources.schema(*stack);
            if rule.metadata().get("query_schema_validation") == Some(&false.into()) {
                schema = schema.with_unknown_fields();
            }
            let analysis = analyze(rule, *stack, &schema, exceptions, config.now, supplied);
            (*stack, schema, analysis)
        })
        .collect();
    let mut found: Vec<(Version, Vec<Diagnostic>)> = Vec::new();
    for (stack, schema, analysis) in &results {
        let mut of_stack = analysis.diagnostics.clone();
        of_stack.extend(rule_fields(rule, schema));
        of_stack.extend(ungroupable(rule, schema));
        found.push((*stack, of_stack));
    }
    let Some((_, schema, newest)) = results.into_iter().next_back() else { return out };
    let unsupported = newest.diagnostics.iter().find(|d| d.code == Code::RP9001).map(|d| d.message.clone());
    out.diagnostics.extend(merge(found, &out.sources));
    out.shape = newest.shape;
    out.lacking = newest.lacking;
    out.pipes = newest.pipes;
    out.unchecked = unchecked(&newest.fields, &schema, &out.sources);
    out.fields = newest.fields;
    let broken = rule.broken || out.has_errors();
    out.not_run = not_supported(rule, out.shape).or(unsupported);
    if out.not_run.is_none() && broken {
        out.not_run = Some(BECAUSE_OF_ERRORS.to_owned());
    }
    out.asked = newest.plan.clone().filter(|_| !broken);
    let mut plan = newest.plan.filter(|_| out.not_run.is_none());
    if let (Some(plan), RuleType::NewTerms) = (&mut plan, rule.kind) {
        match new_terms(rule, plan, &schema) {
            Ok(stage) => plan.stages.push(stage),
            Err(reason) => out.not_run = Some(reason),
        }
    }
    if let (Some(plan), RuleType::Threshold) = (&mut plan, rule.kind) {
        match threshold(rule, plan, &schema) {
            Ok(stage) => plan.stages.push(stage),
            Err(reason) => out.not_run = Some(reason),
        }
    }
    if plan.is_none() && out.not_run.is_none() {
        out.not_run = Some("its query cannot be run yet".to_owned());
    }
    out.plan = plan.filter(|_| out.not_run.is_none());
    out
}

fn analyze(
    rule: &Rule,
    stack: Version,
    schema: &Schema,
    exceptions: &Exceptions,
    now: crate::es::date::Nanos,
    supplied: &Supplied,
) -> Analysis {
    let mut settings = Settings {
        context: Context { now, offset: 0 },
        unknown_field: Severity::Error,
        ecs: Some(ecs_of_stack(stack)),
        field_information: stack >= Version(8, 8, 0),
        tiebreaker_field: rule.tiebreaker_field().map(str::to_owned),
        stack: Some(stack),
        supplied: supplied.clone(),
        ..Settings::default()
    };
    if let Some(field) = rule.event_category_override() {
        settings.event_category_field = field.to_owned();
    }
    if let Some(field) = rule.timestamp_field() {
        settings.timestamp_field = field.to_owned();
    }
    let mut analysis = analyze_query(rule, schema, settings.clone());
    conditions::add(rule, exceptions, schema, &settings, &mut analysis);
    analysis
}

fn analyze_query(rule: &Rule, schema: &Schema, mut settings: Settings) -> Analysis {
    let (Some(language), Some(query)) = (rule.language, &rule.query) else { return Analysis::default() };
    let ecs = settings.ecs.take_if(|_| schema.is_open());
    let mut analysis = lang::analyze(language, query.text(), schema, &settings);
    if ecs.is_some() {
        settings.ecs = ecs;
        let strict = lang::analyze(language, query.text(), schema, &settings);
        let probable = strict.diagnostics.into_iter().filter_map(|d| probable_typo(d, query.text()));
        analysis.diagnostics.extend(probable);
    }
    let found = std::mem::take(&mut analysis.diagnostics);
    analysis.diagnostics = found.into_iter().map(|d| d.relocate(query, &rule.source)).collect();
    analysis
}

/// Data without a catalogue does not always keep to the values that ECS allows (`Success`,
/// `process_started`). Of what ECS says about it, only what looks mistyped is worth a warning.
fn probable_typo(mut d: Diagnostic, query: &str) -> Option<Diagnostic> {
    let fix = d.fix.as_mut().filter(|_| d.code == Code::RP0501)?;
    if fix.span.slice(query).eq_ignore_ascii_case(&fix.replacement) {
        return None;
    }
    fix.safety = Safety::Suggested;
    d.help = d.help.and_then(|h| Some(h.split_once('?')?.0.to_owned() + "?"));
    Some(
        d.severity(Severity::Warning)
            .note("the data has no field catalogue, so it may have this value all the same"),
    )
}

/// Fields of a threshold that have no values to group by or to count.
fn ungroupable(rule: &Rule, schema: &Schema) -> Vec<Diagnostic> {
    let counted = rule.threshold_cardinality();
    let counted = counted.map(|(field, _)| ("/rule/threshold/cardinality/0/field".to_owned(), field));
    let named = rule.threshold_fields().into_iter().chain(counted);
    let refused = named.filter_map(|(pointer, name)| {
        let resolved = schema.resolve(name)?;
        let refused = resolved.field.types.iter().find(|t| !crate::es::groups(t));
        let why = match (refused, &resolved.field.nested) {
            (Some(ty), _) => format!("is of type {}", ty.kind.name()),
            (None, Some(parent)) => {
                format!("stands in the objects of `{parent}`, where an aggregation does not look")
            }
            (None, None) => return None,
        };
        let what = format!("events cannot be grouped by `{name}`, which {why}");
        let d = Diagnostic::new(Code::RP0305, what).at(rule.value_span(&pointer), "");
        Some(d.help("name a field of whole values, such as a keyword").in_source(&rule.source))
    });
    refused.collect()
}

/// Fields that the rule names outside its query.
fn rule_fields(rule: &Rule, schema: &Schema) -> Vec<Diagnostic> {
    let mut named: Vec<(String, &str)> = Vec::new();
    for (i, field) in rule.new_terms_fields().into_iter().enumerate() {
        named.push((format!("{}/{i}", rule.new_terms_pointer()), field));
    }
    named.extend(rule.threshold_fields());
    if let Some((field, _)) = rule.threshold_cardinality() {
        named.push(("/rule/threshold/cardinality/0/field".to_owned(), field));
    }
    let single = [
        ("/rule/event_category_override", rule.event_category_override()),
        ("/rule/timestamp_field", rule.timestamp_field()),
        ("/rule/tiebreaker_field", rule.tiebreaker_field()),
        ("/rule/timestamp_override", rule.timestamp_override()),
    ];
    named.extend(single.iter().filter_map(|(p, f)| Some(((*p).to_owned(), (*f)?))));
    named
        .into_iter()
        .filter(|(_, field)| schema.resolve(field).is_none())
        .filter_map(|(pointer, field)| {
            let span = rule.value_span(&pointer);
            let mut d = unknown_field(schema, field, span, Severity::Error)?;
            if let Some(fix) = &mut d.fix {
                fix.replacement = serde_json::Value::from(fix.replacement.as_str()).to_string();
            }
            Some(d.in_source(&rule.source))
        })
        .collect()
}

/// The findings of all stacks as one list: what several stacks say is said once, and a field that only
/// some of them lack is a finding about stacks. What is not supported is no finding about the rule.
fn merge(found: Vec<(Version, Vec<Diagnostic>)>, sources: &Sources) -> Vec<Diagnostic> {
    let stacks = found.len();
    let mut merged: Vec<(Diagnostic, Vec<Version>)> = Vec::new();
    for (stack, list) in found {
        for d in list.into_iter().filter(|d| d.code != Code::RP9001) {
            // data without a catalogue may have more fields than are known
            if d.code == Code::RP0205 && !sources.is_complete() {
                continue;
            }
            let same = |m: &&mut (Diagnostic, _)| {
                m.0.code == d.code && m.0.message == d.message && m.0.span() == d.span()
            };
            match merged.iter_mut().find(same) {
                // an unknown field is described by the newest stack, as the others know less
                Some((held, on)) => {
                    *held = d;
                    on.push(stack);
                }
                None => merged.push((d, vec![stack])),
            }
        }
    }
    merged
        .into_iter()
        .map(|(d, on)| if d.code == Code::RP0201 && on.len() < stacks { on_some(d, &on, sources) } else { d })
        .collect()
}

/// A field that only some stacks lack.
fn on_some(d: Diagnostic, on: &[Version], sources: &Sources) -> Diagnostic {
    let name = d.message.split('`').nth(1).unwrap_or_default().to_owned();
    let stacks: Vec<String> = on.iter().map(Version::to_string).collect();
    let plural = if on.len() == 1 { "stack" } else { "stacks" };
    let mut out =
        Diagnostic::new(Code::RP0801, format!("`{name}` is unknown to {plural} {}", stacks.join(" and ")));
    out.severity = d.severity;
    out.source = d.source;
    out.labels = d.labels;
    let everything = Schema::new(sources.schema(Version(9, 99, 0)).layers().to_vec());
    let since = everything.get(&name).and_then(|f| f.since);
    if let Some(since) = since {
        out = out.note(format!("ECS has it since {since}"));
        if since.0 >= 9 {
            out = out.help(format!(
                "`min_stack_version = \"{since}\"` in [metadata] keeps the rule from older stacks"
            ));
        }
    }
    out
}

fn unchecked(fields: &[FieldUse], schema: &Schema, sources: &Sources) -> Vec<Unchecked> {
    if !schema.is_open() {
        return Vec::new();
    }
    let mut out: Vec<Unchecked> = Vec::new();
    for field in fields.iter().filter(|f| f.span.end > f.span.start) {
        let name = field.name.as_str();
        if out.iter().any(|u| u.field == name) || is_known(name, schema) {
            continue;
        }
        let root = name.split('.').next().unwrap_or(name);
        let of_root = sources.uncatalogued.iter().find(|d| d.split('.').next() == Some(root));
        let dataset = of_root.or_else(|| sources.uncatalogued.first());
        let dataset = dataset.map_or("its data view", |d| d.as_str()).to_owned();
        out.push(Unchecked { dataset, field: name.to_owned() });
    }
    out
}

/// Whether a name, or a pattern of names, stands for something that the schema lists.
fn is_known(name: &str, schema: &Schema) -> bool {
    if name.contains('*') {
        let pattern = Pattern::plain(name, false);
        return schema.iter().any(|f| pattern.matches(&f.name));
    }
    schema.resolve(name).is_some() || schema.is_object(name)
}

/// What of a rule is not supported, whatever its query says.
fn not_supported(rule: &Rule, shape: Shape) -> Option<String> {
    if let Some(reason) = rule.kind.unsupported() {
        return Some(reason.to_owned());
    }
    match shape {
        Shape::Events | Shape::Table | Shape::Sequence | Shape::Sample => None,
    }
}

/// A field that the rule names outside its query. Without a catalogue it is taken to be of `kind`: Elasticsearch's default
/// for strings is what groups are made of.
fn field(plan: &mut Plan, schema: &Schema, name: &str, kind: Kind) -> FieldId {
    match schema.resolve(name) {
        Some(resolved) => plan.fields.intern(name, &resolved),
        None => plan.fields.add(PlanField {
            name: name.into(),
            access: Access::Path(name.to_owned()),
            types: Field::new(name, FieldType::of(kind), Origin::Data).types,
            key_below: false,
        }),
    }
}

/// The stage of a threshold rule.
fn threshold(rule: &Rule, plan: &mut Plan, schema: &Schema) -> Result<Stage, String> {
    let (Some(from), Some(to)) = (lookback(rule.from()), lookback(rule.to())) else {
        return Err(
            "a window that does not begin and end a fixed time before now is not supported yet".to_owned()
        );
    };
    let interval =
        interval(rule.interval()).ok_or_else(|| format!("`{}` is no interval", rule.interval()))?;
    let mut group = |name: &str| {
        let id = field(plan, schema, name, Kind::Keyword);
        let refused = plan.fields.get(id).and_then(|f| f.types.iter().find(|t| !crate::es::groups(t)));
        match refused {
            Some(ty) => {
                Err(format!("events cannot be grouped by `{name}`, which is of type {}", ty.kind.name()))
            }
            None => Ok(id),
        }
    };
    let fields = rule.threshold_fields().into_iter().map(|(_, f)| group(f)).collect::<Result<_, _>>()?;
    let cardinality = match rule.threshold_cardinality() {
        Some((name, least)) => Some((group(name)?, least)),
        None => None,
    };
    let of_event = rule.timestamp_override().into_iter().filter(|f| *f != "@timestamp");
    let fallback = (rule.timestamp_override().is_none() || rule.timestamp_fallback()).then_some("@timestamp");
    let time = of_event.chain(fallback).map(|name| field(plan, schema, name, Kind::Date)).collect();
    let window = Window { from, to, interval };
    Ok(Stage::Threshold(Threshold { fields, count: rule.threshold_value(), cardinality, time, window }))
}

/// The stage of a new terms rule.
fn new_terms(rule: &Rule, plan: &mut Plan, schema: &Schema) -> Result<Stage, String> {
    let history = rule.history_window_start().and_then(lookback).ok_or_else(|| {
        "a history that does not begin a fixed time before now is not supported yet".to_owned()
    })?;
    let fields =
        rule.new_terms_fields().into_iter().map(|name| field(plan, schema, name, Kind::Keyword)).collect();
    Ok(Stage::NewTerms { fields, history })
}
