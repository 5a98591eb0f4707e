//! Why a rule did or did not match an event: its clauses, one a line, with what each answered and what
//! the event had.

use super::RunRule;
use crate::es::date::Nanos;
use crate::plan::table::{Meta, Pipeline};
use crate::plan::{Leaf, Pred, Row, Script, Trace, trace};
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
    let mut out = Decision { matched: true, ..Decision::default() };
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

fn line(t: &Trace<'_>, rule: &RunRule, depth: usize, out: &mut Vec<Line>) {
    let text = |clause: String, found: Option<String>| Line { depth, result: t.result, clause, found };
    match t.pred {
        Pred::Const(b) => out.push(text(if *b { "always" } else { "never" }.to_owned(), None)),
        Pred::Leaf(Leaf { span, .. }) | Pred::Script(Script { span, .. }) => {
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
                Pred::Leaf(Leaf { span, .. }) | Pred::Script(Script { span, .. }) => {
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

fn one_line(clause: &str) -> String {
    clause.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `the event has "x"`, `the event has no `f``.
fn found(t: &Trace<'_>) -> String {
    let parts: Vec<String> = t
        .values
        .iter()
        .map(|(name, values)| {
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
