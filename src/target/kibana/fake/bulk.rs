//! `_bulk_action` (contract 2.2): many rules by id or by query; a failure of some is HTTP 500 with the
//! results of all (contract 0.5, 1).

use super::call::Call;
use super::edit;
use super::filter::Filter;
use super::http::Reply;
use super::refusal::Refusal;
use super::rules::Writer;
use super::state::{Rule, Source, State};
use super::{merge, rules};
use serde_json::{Value, json};

/// Rules by id in one call.
const MAX_IDS: usize = 100;
/// Rules that a query may reach, and those that an edit may.
const MAX_FOUND: usize = 10_000;
const MAX_EDITED: usize = 2_000;
/// Rules that the alerting framework enables by one query.
const MAX_ENABLED: usize = 1_000;
/// Characters of a message.
const MAX_MESSAGE: usize = 1_000;

/// Why one rule was not changed.
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) code: Option<&'static str>,
}

impl Failure {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into(), code: None }
    }

    pub(super) fn coded(code: &'static str, message: &str) -> Failure {
        Failure { status: 400, message: message.to_owned(), code: Some(code) }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::new(refusal.status, refusal.message())
    }
}

/// What became of one rule.
enum Outcome {
    Updated(Rule),
    Created(Rule),
    Deleted(Rule),
    Skipped(Rule),
}

#[derive(Default)]
struct Tally {
    updated: Vec<Value>,
    created: Vec<Value>,
    deleted: Vec<Value>,
    skipped: Vec<Value>,
    errors: Vec<Value>,
    failed: usize,
}

impl Tally {
    /// Errors are grouped by their message.
    fn fail(&mut self, failure: Failure, id: &str, name: Option<&str>) {
        self.failed += 1;
        let message: String = failure.message.chars().take(MAX_MESSAGE).collect();
        let rule = match name {
            Some(name) => json!({ "id": id, "name": name }),
            None => json!({ "id": id }),
        };
        let same = self.errors.iter_mut().find(|e| {
            e.get("message").and_then(Value::as_str) == Some(&message)
                && e.get("status_code").and_then(Value::as_u64) == Some(failure.status.into())
        });
        if let Some(rules) = same.and_then(|e| e.get_mut("rules")).and_then(Value::as_array_mut) {
            rules.push(rule);
            return;
        }
        let mut error = json!({ "message": message, "status_code": failure.status, "rules": [rule] });
        if let (Some(code), Some(error)) = (failure.code, error.as_object_mut()) {
            error.insert("err_code".to_owned(), code.into());
        }
        self.errors.push(error);
    }

    fn reply(self, dry_run: bool) -> Reply {
        let succeeded = self.updated.len() + self.created.len() + self.deleted.len();
        let total = succeeded + self.skipped.len() + self.failed;
        let summary = json!({ "failed": self.failed, "succeeded": succeeded, "skipped": self.skipped.len(),
            "total": total });
        let results = if dry_run {
            json!({ "updated": [], "created": [], "deleted": [], "skipped": [] })
        } else {
            json!({ "updated": self.updated, "created": self.created, "deleted": self.deleted,
                "skipped": self.skipped })
        };
        if self.failed == 0 {
            let attributes = json!({ "results": results, "summary": summary });
            return Reply::ok(&json!({ "success": true, "rules_count": total, "attributes": attributes }));
        }
        let message = if succeeded + self.skipped.len() > 0 {
            "Bulk edit partially failed"
        } else {
            "Bulk edit failed"
        };
        let attributes = json!({ "errors": self.errors, "results": results, "summary": summary });
        Reply::json(500, &json!({ "message": message, "status_code": 500, "attributes": attributes }))
    }
}

/// `POST /api/detection_engine/rules/_bulk_action`
pub(super) fn action(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.object()?;
    let dry_run = call.request.flag("dry_run");
    let Some(action) = body.get("action").and_then(Value::as_str) else {
        return Err(Refusal::request("body", "action: Required"));
    };
    let payload = body.get(if action == "duplicate" { "duplicate" } else { "edit" });
    let edits = match action {
        "enable" | "disable" | "delete" | "export" | "run" | "duplicate" => Vec::new(),
        "edit" => edit::read(payload)?,
        other => {
            let text = format!(
                "action: Invalid discriminator value, received '{other}' (the fake knows enable, \
disable, delete, duplicate, export, edit and run)"
            );
            return Err(Refusal::request("body", text));
        }
    };
    if action == "export" && dry_run {
        return Err(Refusal::siem(400, "Export action doesn't support dry_run mode"));
    }
    let targets = targets(state, call, &body, action)?;
    if action == "export" {
        let ids: Vec<&str> = targets.iter().map(|(id, _)| id.as_str()).collect();
        let found = state.space(&call.space)?.rules.iter().filter(|r| ids.contains(&r.id.as_str()));
        let found: Vec<Rule> = found.cloned().collect();
        return Ok(super::transfer::lines(state, &call.space, &found, &[]));
    }
    let mut tally = Tally::default();
    // a fault stops the call here: the first half is written, the rest is not
    let reached = if call.half { targets.len() / 2 } else { targets.len() };
    for (i, (id, rule)) in targets.into_iter().enumerate() {
        let Some(rule) = rule else {
            tally.fail(Failure::new(500, "Rule not found"), &id, None);
            continue;
        };
        if i >= reached {
            tally.fail(
                Failure::new(500, "the server stopped half-way (fault)"),
                &id,
                Some(rule.text("name")),
            );
            continue;
        }
        let name = rule.text("name").to_owned();
        match one(state, call, action, &edits, payload, rule, dry_run) {
            Err(failure) => tally.fail(failure, &id, Some(&name)),
            Ok(Outcome::Updated(r)) => tally.updated.push(rules::shown(state, &r)),
            Ok(Outcome::Created(r)) => tally.created.push(rules::shown(state, &r)),
            Ok(Outcome::Deleted(r)) => tally.deleted.push(rules::shown(state, &r)),
            Ok(Outcome::Skipped(r)) => tally
                .skipped
                .push(json!({ "id": r.id, "name": r.text("name"), "skip_reason": "RULE_NOT_MODIFIED" })),
        }
    }
    Ok(tally.reply(dry_run))
}

/// The rules that a call names, by exactly one of `ids` and `query`; an id without a rule stays alone.
fn targets(
    state: &mut State,
    call: &Call<'_>,
    body: &super::state::Object,
    action: &str,
) -> Result<Vec<(String, Option<Rule>)>, Refusal> {
    let rules = &state.space(&call.space)?.rules;
    let ids = body.get("ids");
    let query = body.get("query");
    if ids.is_some() && query.is_some() {
        return Err(Refusal::siem(400, "both \"ids\" and \"query\" are sent, one of them is needed"));
    }
    if let Some(ids) = ids {
        let ids: Option<Vec<&str>> = ids.as_array().map(|a| a.iter().filter_map(Value::as_str).collect());
        let ids = ids
            .filter(|i| !i.is_empty())
            .ok_or_else(|| Refusal::request("body", "ids: Array must contain at least 1 element(s)"))?;
        if ids.len() > MAX_IDS {
            let text = format!("More than {MAX_IDS} ids sent for bulk edit action.");
            return Err(Refusal::siem(400, text));
        }
        return Ok(ids.into_iter().map(|id| (id.to_owned(), rules.by_id(id).cloned())).collect());
    }
    let filter = Filter::rules(query.and_then(Value::as_str).unwrap_or(""))?;
    let found: Vec<_> =
        rules.iter().filter(|r| filter.matches(*r)).map(|r| (r.id.clone(), Some(r.clone()))).collect();
    let limit = match action {
        "edit" => MAX_EDITED,
        "enable" | "disable" => MAX_ENABLED,
        _ => MAX_FOUND,
    };
    if found.len() > limit {
        return Err(Refusal::siem(400, format!("More than {limit} rules matched the filter query.")));
    }
    Ok(found)
}

fn one(
    state: &mut State,
    call: &Call<'_>,
    action: &str,
    edits: &[edit::Edit],
    payload: Option<&Value>,
    mut rule: Rule,
    dry_run: bool,
) -> Result<Outcome, Failure> {
    match action {
        "enable" | "disable" => {
            // one that is so already is reported as updated all the same (contract 2.2)
            let on = action == "enable";
            if rule.enabled() != on {
                rule.body.insert("enabled".to_owned(), on.into());
                rule.touch(state.server.now(), &call.user);
                if on && rule.key.is_none() {
                    rule.key = Some(rules::key(&call.user));
                }
                if !dry_run {
                    state.space(&call.space)?.rules.put(rule.clone());
                }
            }
            Ok(Outcome::Updated(rule))
        }
        "delete" => {
            if !dry_run {
                state.space(&call.space)?.rules.remove(&rule.id);
            }
            Ok(Outcome::Deleted(rule))
        }
        "run" if !rule.enabled() => Err(Failure::coded(
            "MANUAL_RULE_RUN_DISABLED_RULE",
            "Cannot schedule manual rule run for a disabled rule",
        )),
        "run" => Ok(Outcome::Updated(rule)),
        "duplicate" => {
            if dry_run {
                return Ok(Outcome::Created(rule));
            }
            let mut given = rule.body;
            let linked = payload.and_then(|p| p.get("include_exceptions")) == Some(&Value::Bool(true));
            given.retain(|k, _| {
                !matches!(k.as_str(), "rule_id" | "enabled") && (linked || k != "exceptions_list")
            });
            if let Some(name) = given.get("name").and_then(Value::as_str).map(|n| format!("{n} [Duplicate]"))
            {
                given.insert("name".to_owned(), name.into());
            }
            if let Some(links) = given.get_mut("exceptions_list").and_then(Value::as_array_mut) {
                links.retain(|l| l.get("type").and_then(Value::as_str) != Some("rule_default"));
            }
            Ok(Outcome::Created(rules::add(state, Writer::of(call), &given, Source::Internal)?))
        }
        _ => {
            if rule.immutable() && state.version < crate::schema::Version(8, 18, 0) {
                return Err(Failure::coded("IMMUTABLE", "Elastic rule can't be edited"));
            }
            let before = rule.body.clone();
            for one in edits {
                one.apply(state, &call.space, &mut rule)?;
            }
            if !merge::is_revised(&before, &rule.body) {
                return Ok(Outcome::Skipped(rule));
            }
            rule.revision += 1;
            rule.touch(state.server.now(), &call.user);
            if !dry_run {
                state.space(&call.space)?.rules.put(rule.clone());
            }
            Ok(Outcome::Updated(rule))
        }
    }
}
