//! The judgement of a case: expected alerts against those that came, and which event explains the
//! difference.

use super::{Failure, Outcome, Texts, short};
use crate::es::date::{self, Nanos};
use crate::lang::rule::length;
use crate::pack::{Case, Expect, ExpectedAlert};
use crate::replay::course::course;
use crate::replay::{Alert, Engine, Examined, Report};
use serde_json::Value;

/// What came of a case.
pub(super) fn judge(engine: &Engine, case: &Case, texts: &Texts, report: &Report) -> Outcome {
    if report.foreign > 0 {
        return Outcome::Broken("an event is neither CloudTrail nor an ECS document".to_owned());
    }
    if let Some(p) = report.problems.first() {
        return Outcome::Broken(format!("{}, {}: {}", p.file, p.place, p.message));
    }
    let failure = case.expect.as_ref().and_then(|expect| compare(engine, case, expect, texts, report));
    match (&case.todo, failure) {
        (None, None) => Outcome::Passed,
        (None, Some(f)) => Outcome::Failed(Box::new(f)),
        // a gap without an expectation stays a gap until somebody says what is expected
        (Some(todo), None) if case.expect.is_some() => Outcome::TodoPasses(todo.clone()),
        (Some(todo), _) => Outcome::Todo(todo.clone()),
    }
}

fn compare(engine: &Engine, case: &Case, expect: &Expect, texts: &Texts, report: &Report) -> Option<Failure> {
    let mut surplus: Vec<&Alert> = report.alerts.iter().collect();
    let mut missing: Vec<&ExpectedAlert> = Vec::new();
    match expect {
        Expect::Count(n) if report.alerts.len() as u64 == *n => return None,
        Expect::Count(_) => {}
        Expect::Alerts(wanted) => {
            // the most specific expectations choose first
            let mut order: Vec<&ExpectedAlert> = wanted.iter().collect();
            order.sort_by_key(|w| std::cmp::Reverse(w.events.len() + w.group.len()));
            for want in order {
                match surplus.iter().position(|a| fits(want, a)) {
                    Some(i) => drop(surplus.remove(i)),
                    None => missing.push(want),
                }
            }
            if surplus.is_empty() && missing.is_empty() {
                return None;
            }
        }
    }
    let examined = engine.examine(0, &texts.events());
    let wanted = match expect.count() {
        0 => "no alert".to_owned(),
        1 => "1 alert".to_owned(),
        n => format!("{n} alerts"),
    };
    let got = match report.alerts.len() {
        0 => "none".to_owned(),
        n => n.to_string(),
    };
    let alerted = |id: &str| report.alerts.iter().any(|a| a.events.iter().any(|e| e == id));
    // the event to explain: one that should have alerted, or one that should not
    let lost = match missing.first().and_then(|m| m.events.first()) {
        Some(prefix) => examined.iter().find(|e| e.id.starts_with(prefix.as_str())),
        None if report.alerts.len() < expect.count() => {
            let nearest = |e: &&Examined| e.decision.lines.iter().filter(|l| l.result).count();
            examined.iter().filter(|e| !alerted(&e.id)).max_by_key(nearest)
        }
        None => None,
    };
    if let Some(event) = lost {
        let mut failure = Failure { event: Some(event.id.clone()), ..Failure::default() };
        let why = absence(engine, case, texts, event, &examined, &mut failure);
        failure.summary = format!("expected {wanted} on event {}, got {got}{why}", short(&event.id));
        failure.course = course_of(engine, &examined, &event.id);
        return Some(failure);
    }
    if let Some(id) = missing.first().and_then(|m| m.events.first()) {
        let summary = format!("expected {wanted} on event {id}, but the case has no such event");
        return Some(Failure { summary, ..Failure::default() });
    }
    let Some(alert) = surplus.first() else {
        let groups: Vec<String> =
            missing.iter().flat_map(|m| m.group.iter().map(|(k, v)| format!("{k} = {}", plain(v)))).collect();
        let summary = format!("expected {wanted} with {}, got {got}", groups.join(", "));
        let names: Vec<&str> = missing.iter().flat_map(|m| m.group.iter().map(|(k, _)| k.as_str())).collect();
        let without_values = Some(format!("expected {wanted} with another {}, got {got}", names.join(", ")));
        return Some(Failure { summary, without_values, ..Failure::default() });
    };
    let event = alert.events.first().map_or("", String::as_str);
    let course = course_of(engine, &examined, event);
    let decision = examined.into_iter().find(|e| e.id == event).map(|e| e.decision.lines);
    Some(Failure {
        course,
        summary: format!("expected {wanted}, got {got} on event {} ({})", short(event), alert.file),
        without_values: None,
        event: Some(event.to_owned()),
        decision: decision.unwrap_or_default(),
        remark: engine.history(0).map(|_| "this combination was not seen before".to_owned()),
        terms: alert.group.clone(),
    })
}

/// What the sequences went through that an event took part in.
fn course_of(engine: &Engine, examined: &[Examined], event: &str) -> Vec<String> {
    let Some(rule) = engine.rules().first() else { return Vec::new() };
    let parts: Vec<_> =
        examined.iter().filter_map(|e| Some((short(&e.id).to_owned(), e.part.clone()?))).collect();
    let happenings = course(rule, &parts).into_iter();
    happenings.filter(|h| h.events.iter().any(|e| e == short(event))).map(|h| h.text).collect()
}

/// Why an event did not alert: its clauses, or terms that were not new. Gives the end of the summary.
fn absence(
    engine: &Engine,
    case: &Case,
    texts: &Texts,
    event: &Examined,
    examined: &[Examined],
    failure: &mut Failure,
) -> &'static str {
    if let Some(index) = &event.outside {
        failure.remark = Some(format!("the event is in `{index}`"));
        return ": the rule does not look at its index";
    }
    let names = engine.new_terms_fields(0);
    if !event.decision.matched || names.is_empty() {
        failure.decision.clone_from(&event.decision.lines);
        return "";
    }
    let Some(terms) = event.terms.first() else {
        failure.remark = Some(format!("the event lacks a value for {}", names.join(" or ")));
        return ": the query matched, but a new-terms field has no value";
    };
    let history = engine.examine(0, &texts.history());
    let at = case.at.or_else(|| examined.iter().filter_map(|e| e.time).max());
    let earlier = history
        .iter()
        .chain(examined.iter().filter(|e| e.id != event.id))
        .filter(|e| e.decision.matched && e.terms.contains(terms))
        .max_by_key(|e| e.time);
    failure.terms = names.into_iter().zip(terms.iter().map(ToString::to_string)).collect();
    failure.remark = earlier.map(|e| {
        let when = e.time.map_or_else(|| "without a time".to_owned(), date_text);
        let window = engine.history(0).zip(at).map(|(history, at)| {
            format!("; history starts {} ({})", date_text(at - history), length(history))
        });
        format!("seen before in event {}, {when}{}", short(&e.id), window.unwrap_or_default())
    });
    ": the query matched, but the terms are not new"
}

fn date_text(at: Nanos) -> String {
    date::format(at).replace(".000Z", "Z")
}

/// Whether an alert is what a test expects.
fn fits(want: &ExpectedAlert, alert: &Alert) -> bool {
    let same = |w: &String| alert.events.iter().any(|e| e.starts_with(w.as_str()));
    let events =
        want.events.is_empty() || (want.events.len() == alert.events.len() && want.events.iter().all(same));
    events && want.group.iter().all(|(k, v)| alert.group.iter().any(|(n, g)| n == k && *g == plain(v)))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
