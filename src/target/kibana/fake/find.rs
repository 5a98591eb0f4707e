//! `_find`: pages of rules by filter and order (contract 2.1).

use super::call::Call;
use super::filter::Filter;
use super::http::Reply;
use super::refusal::Refusal;
use super::state::{Rule, State};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// Elasticsearch's result window.
pub(super) const WINDOW: usize = 10_000;

const PARAMS: &[&str] = &["page", "per_page", "sort_field", "sort_order", "filter"];

/// A page of a list: `page` from 1 and `per_page`, within the result window.
pub(super) fn page(call: &Call<'_>) -> Result<(usize, usize), Refusal> {
    let number = |name: &str, default: usize, least: usize| match call.request.param(name) {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(n) if n >= least => Ok(n),
            _ => {
                let text = format!("{name}: Number must be greater than or equal to {least}");
                Err(Refusal::request("query", text))
            }
        },
    };
    let (page, size) = (number("page", 1, 1)?, number("per_page", 20, 0)?);
    if page.checked_mul(size).is_none_or(|n| n > WINDOW) {
        let text =
            format!("Result window is too large, from + size must be less than or equal to: [{WINDOW}]");
        return Err(Refusal::siem(400, text));
    }
    Ok((page, size))
}

/// `GET /api/detection_engine/rules/_find`
pub(super) fn find(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    for name in call.request.params() {
        if !PARAMS.contains(&name) {
            return Err(Refusal::request("query", format!("the fake does not know the parameter '{name}'")));
        }
    }
    let (page, size) = page(call)?;
    let order = order(call)?;
    let filter = Filter::rules(call.request.param("filter").unwrap_or(""))?;
    let rules = &state.space(&call.space)?.rules;
    let mut found: Vec<&Rule> = rules.iter().filter(|r| filter.matches(*r)).collect();
    if let Some((key, descending)) = order {
        // stable, and no unique key: equal ones stay in the order of creation
        found.sort_by(|a, b| {
            let order = key(a, b);
            if descending { order.reverse() } else { order }
        });
    }
    let total = found.len();
    let rules: Vec<Rule> =
        found.into_iter().skip((page - 1).saturating_mul(size)).take(size).cloned().collect();
    let data: Vec<Value> = rules.iter().map(|r| super::rules::shown(state, r)).collect();
    Ok(Reply::ok(&json!({ "page": page, "perPage": size, "total": total, "data": data })))
}

type Compare = fn(&Rule, &Rule) -> Ordering;

fn order(call: &Call<'_>) -> Result<Option<(Compare, bool)>, Refusal> {
    let (field, direction) = (call.request.param("sort_field"), call.request.param("sort_order"));
    let (field, descending) = match (field, direction) {
        (None, None) => return Ok(None),
        (Some(f), Some("asc")) => (f, false),
        (Some(f), Some("desc")) => (f, true),
        (Some(_), Some(_)) => {
            return Err(Refusal::request("query", "sort_order: Invalid enum value. Expected 'asc' | 'desc'"));
        }
        _ => {
            let text = "\"sort_field\" and \"sort_order\" need each other";
            return Err(Refusal::list(vec![text.to_owned()]));
        }
    };
    let key: Compare = match field {
        "created_at" | "createdAt" => |a, b| a.created.0.cmp(&b.created.0),
        "updated_at" | "updatedAt" => |a, b| a.updated.0.cmp(&b.updated.0),
        "enabled" => |a, b| a.enabled().cmp(&b.enabled()),
        "name" => |a, b| a.text("name").cmp(b.text("name")),
        "risk_score" | "riskScore" => |a, b| {
            let score = |r: &Rule| r.body.get("risk_score").and_then(Value::as_i64);
            score(a).cmp(&score(b))
        },
        "severity" => |a, b| {
            let rank = |r: &Rule| {
                ["low", "medium", "high", "critical"].iter().position(|s| *s == r.text("severity"))
            };
            rank(a).cmp(&rank(b))
        },
        f if f.starts_with("execution_summary.last_execution.") => |_, _| Ordering::Equal,
        other => {
            return Err(Refusal::request(
                "query",
                format!("sort_field: Invalid enum value, received '{other}'"),
            ));
        }
    };
    Ok(Some((key, descending)))
}
