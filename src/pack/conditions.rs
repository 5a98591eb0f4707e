//! What a rule asks beside its query: its filters and its exceptions, added to the plan of the query.

use super::exceptions::{Applied, Exceptions, list_ids};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::{Literal, Op, date};
use crate::lang::dsl::{self, FieldInfo};
use crate::lang::exception::item_query;
use crate::lang::rule::Rule;
use crate::lang::{Analysis, Settings};
use crate::plan::{FieldId, Plan, PlanField, PlanFields, Pred, Stage};
use crate::schema::{FieldType, Kind, Schema};
use crate::source::Span;
use crate::value::Access;
use serde_json::Value;

/// Adds the filters and exceptions of a rule to its analysis: findings, and conditions of the plan.
pub(super) fn add(
    rule: &Rule,
    exceptions: &Exceptions,
    schema: &Schema,
    settings: &Settings,
    analysis: &mut Analysis,
) {
    let filters = rule.json().get("filters").and_then(Value::as_array).filter(|f| !f.is_empty());
    let applied = exceptions.of(rule);
    if analysis.plan.is_none() && rule.query.is_none() && filters.is_some() {
        // a rule of filters alone asks them of every document
        analysis.plan = Some(Plan::default());
    }
    let mut builder = Builder {
        rule,
        schema,
        // what is not there matches nothing: no reason to refuse the rule
        settings: Settings { unknown_field: Severity::Warning, ..settings.clone() },
        fields: analysis.plan.as_mut().map(|p| std::mem::take(&mut p.fields)).unwrap_or_default(),
        stages: Vec::new(),
        found: Vec::new(),
    };
    if let Some(filters) = filters {
        builder.filters(filters);
    }
    builder.missing_lists(exceptions);
    for one in applied {
        builder.exception(one, exceptions, analysis.plan.as_ref());
    }
    let Builder { fields, stages, found, .. } = builder;
    let failed = found.iter().any(|d| d.severity == Severity::Error);
    analysis.diagnostics.extend(found);
    if failed {
        analysis.plan = None;
    }
    if let Some(plan) = &mut analysis.plan {
        plan.fields = fields;
        let after = plan.stages.iter().take_while(|s| matches!(s, Stage::Filter(_))).count();
        let rest = plan.stages.split_off(after);
        plan.stages.extend(stages.into_iter().map(Stage::Filter));
        plan.stages.extend(rest);
    }
}

struct Builder<'a> {
    rule: &'a Rule,
    schema: &'a Schema,
    settings: Settings,
    fields: PlanFields,
    stages: Vec<Pred>,
    found: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn filters(&mut self, filters: &[Value]) {
        let rule = self.rule;
        let info = FieldInfo::of(self.schema);
        let clauses = match dsl::clauses(filters, Some(&info)) {
            Ok(clauses) => clauses,
            Err(bad) => {
                let finding = |b: dsl::BadFilter| {
                    Diagnostic::new(Code::RP0607, b.message)
                        .at(rule.value_span(&format!("/rule/filters{}", b.pointer)), "")
                        .in_source(&rule.source)
                };
                self.found.extend(bad.into_iter().map(finding));
                return;
            }
        };
        let all = clauses.filter.iter().map(|c| (c, false));
        for ((i, query), negated) in all.chain(clauses.must_not.iter().map(|c| (c, true))) {
            let at = format!("/rule/filters/{i}/query");
            let place = |pointer: &str| rule.value_span(&format!("{at}{pointer}"));
            let found = dsl::lower(query, self.schema, &self.settings, &mut self.fields, &place);
            self.found.extend(found.diagnostics.into_iter().map(|d| d.in_source(&rule.source)));
            let named = Pred::Named(format!("filter {}", i + 1).into(), Box::new(found.pred));
            self.stages.push(if negated { named.negate() } else { named });
        }
    }

    /// Lists that are not part of the pack cannot be applied.
    fn missing_lists(&mut self, exceptions: &Exceptions) {
        let rule = self.rule;
        for file in exceptions.files.iter().filter(|f| f.broken) {
            let missing = || list_ids(rule).any(|id| exceptions.list(id).is_none());
            if file.rule_ids.iter().any(|id| id == rule.rule_id()) || missing() {
                let message = format!("exceptions of `{}` may stand in a file with errors", rule.name);
                let d = Diagnostic::new(Code::RP0608, message).in_source(&file.source);
                self.found.push(d.help("mend the file: without its exceptions the rule is not run"));
                return;
            }
        }
        for (i, id) in list_ids(self.rule).enumerate() {
            if exceptions.list(id).is_none() {
                let d =
                    Diagnostic::new(Code::RP0712, format!("the exception list `{id}` is not in this pack"))
                        .at(
                            self.rule.value_span(&format!("/rule/exceptions_list/{i}/list_id")),
                            "not applied here",
                        )
                        .in_source(&self.rule.source);
                self.found.push(d);
            }
        }
    }

    fn exception(&mut self, one: Applied<'_>, exceptions: &Exceptions, plan: Option<&Plan>) {
        let Applied { file, item, .. } = one;
        let place = |pointer: &str| file.span(&format!("{}{pointer}", item.pointer));
        let query = match item_query(&item.json, &|id| exceptions.values(id)) {
            Ok(query) => query,
            Err(bad) => {
                let d = Diagnostic::new(Code::RP0608, bad.message).at(place(&bad.pointer), "");
                self.found.push(d.in_source(&file.source));
                return;
            }
        };
        let found = dsl::lower(&query, self.schema, &self.settings, &mut self.fields, &|_| place("/entries"));
        // entries hold one field each, so a finding about a field is shown at its entry
        let entry_of = |d: &Diagnostic| {
            let entries = item.json.get("entries").and_then(Value::as_array)?;
            let at = entries.iter().position(|e| {
                e.get("field").and_then(Value::as_str).is_some_and(|f| {
                    d.message.contains(&format!("`{f}`"))
                        || d.labels.iter().any(|l| l.text.contains(&format!("`{f}`")))
                })
            })?;
            Some(place(&format!("/entries/{at}/field")))
        };
        for mut d in found.diagnostics {
            if let (Some(span), Some(label)) = (entry_of(&d), d.labels.first_mut()) {
                label.span = span;
            }
            self.found.push(d.in_source(&file.source));
        }
        if let Some(plan) = plan
            && item.expires.is_none()
            && swallows(&item.json, plan, &self.fields)
        {
            let d = Diagnostic::new(
                Code::RP1403,
                format!("this exception leaves no alert of `{}`", self.rule.name),
            )
            .at(place("/name"), "every event that the rule finds satisfies it")
            .help("narrow it down, or disable the rule");
            self.found.push(d.in_source(&file.source));
        }
        let mut pred = found.pred;
        if let Some(expires) = item.expires {
            pred = Pred::all(vec![self.before(expires), pred]);
        }
        let named = Pred::Named(format!("exception `{}`", item.name).into(), Box::new(pred));
        self.stages.push(named.negate());
    }

    /// Whether an event is older than an instant: an exception that has ended does not apply to later ones.
    fn before(&mut self, instant: date::Nanos) -> Pred {
        let id: FieldId = self.fields.add(PlanField {
            name: "@timestamp".into(),
            access: Access::Path("@timestamp".to_owned()),
            types: vec![FieldType::of(Kind::Date)],
            key_below: false,
        });
        let millis = i64::try_from(instant / 1_000_000).unwrap_or(i64::MAX);
        let op = Op::Range { lower: None, upper: Some((Literal::Int(millis), false)) };
        self.fields.leaf(id, op, Span::default(), &self.settings.context).unwrap_or(Pred::Const(true))
    }
}

/// Whether each condition of an exception follows from what the query requires of every document.
fn swallows(item: &Value, plan: &Plan, fields: &PlanFields) -> bool {
    if item.get("os_types").and_then(Value::as_array).is_some_and(|s| !s.is_empty()) {
        return false;
    }
    let entries = item.get("entries").and_then(Value::as_array);
    entries.into_iter().flatten().all(|entry| {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let Some(field) = text("field") else { return false };
        let required = plan.filter().find_map(|p| p.required_values(fields, field));
        let Some(required) = required.filter(|r| !r.is_empty() && text("operator") != Some("excluded"))
        else {
            return false;
        };
        let covered = |values: &[&str]| required.iter().all(|r| values.contains(&r.as_ref()));
        match text("type") {
            Some("exists") => true,
            Some("match") => text("value").is_some_and(|v| covered(&[v])),
            Some("match_any") => {
                let values = entry.get("value").and_then(Value::as_array);
                covered(&values.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>())
            }
            _ => false,
        }
    })
}
