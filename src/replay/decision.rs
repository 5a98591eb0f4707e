//! Why a rule did or did not match an event: its clauses, one a line, with what each answered and what
//! the event had.

use super::RunRule;
use crate::es::date::Nanos;
use crate::plan::table::{Meta, Pipeline};
use crate::plan::{Leaf, Nested, Pred, Row, Script, Trace, trace};
use crate::value::Scalar;

/// One line of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How deep it stands.
    pub depth: usize,
    /// What it answered.
    pub result: bool,
    /// The clause, or the shape of a group: `not ( ... and ... )`.
    pub clause: String,
    /// What the event had, where that explains the answer.
    pub found: Option<String>,
}

/// The clauses of a rule over one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether the event passes all of it.
    pub matched: bool,
    /// The clauses.
    pub lines: Vec<Line>,
    /// A clause that failed, as the search would.
    pub failed: Option<String>,
}

/// The longest value that is shown whole.
const SHOWN: usize = 60;

/// Decides a rule over an event, clause by clause.
pub fn decide(rule: &RunRule, row: &Row<'_>) -> Decision {
    if rule.plan.is_grouped() && rule.plan.threshold().is_none() {
        return items(rule, row);
    }
    let mut out = Decision { matched: true, ..Decision::default() };
    let mut missing = Vec::new();
    for field in rule.plan.threshold().iter().flat_map(|t| &t.fields) {
        let name = rule.plan.fields.get(*field).map_or("", |f| &f.name);
        if row.values(*field).is_empty() {
            missing.push(name);
        }
    }
    for pred in rule.plan.filter() {
        match trace(pred, row) {
            Ok(t) => {
                out.matched &= t.result;
                match t.pred {
                    Pred::And(_) => t.parts.iter().for_each(|p| line(p, rule, 0, &mut out.lines)),
                    _ => line(&t, rule, 0, &mut out.lines),
                }
            }
            Err(e) => {
                out.matched = false;
                out.failed = Some(e.0);
            }
        }
    }
    for name in missing {
        out.matched = false;
        let found = Some(format!("the event has no `{name}`, by which events are grouped"));
        out.lines.push(Line { depth: 0, result: false, clause: format!("grouped by {name}"), found });
    }
    out
}

/// The items of a sequence or sample, each with its clauses; the event matches if it satisfies one.
fn items(rule: &RunRule, row: &Row<'_>) -> Decision {
    let mut out = Decision::default();
    for (i, item) in rule.plan.items().into_iter().enumerate() {
        let t = match trace(&item.pred, row) {
            Ok(t) => t,
            Err(e) => {
                out.failed = Some(e.0);
                continue;
            }
        };
        let lacks =
            item.keys.iter().find(|k| !k.optional && k.field.is_none_or(|f| row.values(f).is_empty()));
        let result = t.result && lacks.is_none();
        out.matched |= result;
        let found = lacks.filter(|_| t.result).map(|k| format!("the event has no `{}`, a join key", k.name));
        out.lines.push(Line { depth: 0, result, clause: item_text(rule, i), found });
        match t.pred {
            Pred::And(_) => t.parts.iter().for_each(|p| line(p, rule, 1, &mut out.lines)),
            _ => line(&t, rule, 1, &mut out.lines),
        }
    }
    out
}

/// Decides the conditions that a rule over tables puts to a single event.
pub fn table(rule: &RunRule, pipeline: &Pipeline, row: &Row<'_>, meta: &Meta<'_>, now: Nanos) -> Decision {
    let mut out = Decision { matched: true, ..Decision::default() };
    for clause in pipeline.trace(row, meta, now) {
        out.matched &= clause.result;
        let Some(span) = clause.span else { continue };
        let had: Vec<String> = clause
            .fields
            .iter()
            .filter_map(|id| {
                let name = &row.fields.get(*id)?.name;
                let values: Vec<String> = row.cell(*id).values.iter().map(|v| format!("\"{v}\"")).collect();
                Some(match values.len() {
                    0 => format!("the event has no `{name}`"),
                    1 => format!("`{name}` is {}", values.join("")),
                    n => format!("`{name}` has {n} values: {}", values.join(", ")),
                })
            })
            .collect();
        let found = (!clause.result && !had.is_empty()).then(|| had.join("; "));
        out.lines.push(Line {
            depth: 0,
            result: clause.result,
            clause: one_line(span.slice(&rule.query)),
            found,
        });
    }
    out
}

/// An item of a sequence or sample as the query has it, on one line, cut if long.
pub fn item_text(rule: &RunRule, item: usize) -> String {
    let items = rule.plan.items();
    let text = items.get(item).map_or_else(String::new, |i| one_line(i.span.slice(&rule.query)));
    let text = format!("[{}]", shorten(&text, SHOWN));
    match rule.plan.sequence() {
        Some(s) if s.steps.get(item).is_some_and(|s| s.missing) => format!("!{text}"),
        Some(s) if item >= s.steps.len() => format!("until {text}"),
        _ => text,
    }
}

fn line(t: &Trace<'_>, rule: &RunRule, depth: usize, out: &mut Vec<Line>) {
    let text = |clause: String, found: Option<String>| Line { depth, result: t.result, clause, found };
    match t.pred {
        Pred::Const(b) => out.push(text(if *b { "always" } else { "never" }.to_owned(), None)),
        Pred::Named(name, _) => out.push(text(name.to_string(), None)),
        Pred::Leaf(Leaf { span, .. })
        | Pred::Script(Script { span, .. })
        | Pred::Nested(Nested { span, .. }) => {
            out.push(text(one_line(span.slice(&rule.query)), (!t.result).then(|| found(t))));
        }
        Pred::And(_) | Pred::Or(_) => {
            let word = if matches!(t.pred, Pred::And(_)) { "and" } else { "or" };
            out.push(text(format!("( ... {word} ... )"), None));
            t.parts.iter().for_each(|p| line(p, rule, depth + 1, out));
        }
        Pred::Not(_) => {
            let Some(inner) = t.parts.first() else { return };
            match inner.pred {
                Pred::Named(name, _) => out.push(text(format!("not {name}"), None)),
                Pred::Leaf(Leaf { span, .. })
                | Pred::Script(Script { span, .. })
                | Pred::Nested(Nested { span, .. }) => {
                    let clause = format!("not {}", one_line(span.slice(&rule.query)));
                    out.push(text(clause, (!t.result).then(|| found(inner))));
                }
                Pred::And(_) | Pred::Or(_) => {
                    let word = if matches!(inner.pred, Pred::And(_)) { "and" } else { "or" };
                    out.push(text(format!("not ( ... {word} ... )"), None));
                    inner.parts.iter().for_each(|p| line(p, rule, depth + 1, out));
                }
                _ => {
                    out.push(text("not".to_owned(), None));
                    line(inner, rule, depth + 1, out);
                }
            }
        }
    }
}

/// The clauses of a condition without an event, a line each, indented by depth.
pub fn outline(pred: &Pred, query: &str) -> Vec<String> {
    fn go(pred: &Pred, query: &str, depth: usize, negated: bool, out: &mut Vec<String>) {
        let pad = "  ".repeat(depth);
        let not = if negated { "not " } else { "" };
        match pred {
            Pred::Const(b) => out.push(format!("{pad}{not}{}", if *b { "always" } else { "never" })),
            Pred::Named(name, _) => out.push(format!("{pad}{not}{name}")),
            Pred::Leaf(Leaf { span, .. })
            | Pred::Script(Script { span, .. })
            | Pred::Nested(Nested { span, .. }) => {
                out.push(format!("{pad}{not}{}", one_line(span.slice(query))));
            }
            Pred::Not(inner) => go(inner, query, depth, !negated, out),
            Pred::And(parts) | Pred::Or(parts) => {
                let word = if matches!(pred, Pred::And(_)) { "all" } else { "any" };
                out.push(format!("{pad}{not}{word} of"));
                parts.iter().for_each(|p| go(p, query, depth + 1, false, out));
            }
        }
    }
    let mut out = Vec::new();
    match pred {
        Pred::And(parts) => parts.iter().for_each(|p| go(p, query, 0, false, &mut out)),
        other => go(other, query, 0, false, &mut out),
    }
    out
}

fn one_line(clause: &str) -> String {
    clause.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `the event has "x"`, `the event has no `f``.
fn found(t: &Trace<'_>) -> String {
    let parts: Vec<String> = t
        .values
        .iter()
        .map(|(name, values)| {
            if matches!(t.pred, Pred::Nested(_)) {
                return format!("no object below `{name}` satisfies it");
            }
            if values.is_empty() {
                return format!("the event has no `{name}`");
            }
            let shown: Vec<String> = values.iter().take(5).map(quoted).collect();
            let more =
                if values.len() > 5 { format!(" and {} more", values.len() - 5) } else { String::new() };
            format!("the event has {}{more}", shown.join(", "))
        })
        .collect();
    parts.join("; ")
}

/// A value as people read it, cut in the middle if long.
pub fn quoted(value: &Scalar) -> String {
    match value {
        Scalar::Str(s) => format!("\"{}\"", shorten(s, SHOWN)),
        other => other.text().into_owned(),
    }
}

/// A text cut in its middle to at most `limit` characters.
pub fn shorten(text: &str, limit: usize) -> String {
    let n = text.chars().count();
    if n <= limit {
        return text.to_owned();
    }
    let keep = limit.saturating_sub(3);
    let head: String = text.chars().take(keep.div_ceil(2)).collect();
    let tail: String = text.chars().skip(n - keep / 2).collect();
    format!("{head}...{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_in_the_middle() {
        assert_eq!(shorten("abcdefghij", 7), "ab...ij");
        assert_eq!(shorten("abc", 7), "abc");
    }
}
