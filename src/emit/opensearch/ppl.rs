//! New terms rules: a PPL monitor, where the version has it.

use super::condition::{Ask, Condition, Reason};
use super::{Draft, Making, MonitorKind, Refusal, document, monitor, search};
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal, Op};
use crate::lang::rule::lookback;
use crate::plan::Plan;
use crate::schema::Version;

/// The version whose Alerting plugin has monitors in PPL for good.
const SINCE: Version = Version(3, 7, 0);

/// The longest query of such a monitor, in characters.
const MAX_CHARS: usize = 2_000;

pub(super) fn draft(making: &Making<'_>, plan: &Plan) -> Result<Draft, Refusal> {
    let (condition, mut differences) = document::condition(making, plan)?;
    let version = making.settings.version;
    if version < SINCE {
        return Err(format!(
            "new terms need a PPL monitor, which OpenSearch has since {SINCE}; `version` in [opensearch] is {version}"
        )
        .into());
    }
    let rule = making.rule;
    let keys =
        rule.new_terms_fields().iter().map(|f| making.shaped_field(f)).collect::<Result<Vec<_>, _>>()?;
    let relative = |text: &str| {
        let back = lookback(text).filter(|b| *b > 0);
        back.map(|b| b / 1_000_000_000)
            .ok_or_else(|| Refusal::Because(format!("`{text}` is no fixed time before a run")))
    };
    let history = relative(rule.history_window_start().unwrap_or_default())?;
    let run = relative(rule.from())?;
    let indices = making.indices(&[])?;
    let (condition, shaped) = making.shaped(condition)?;
    differences.extend(shaped);
    let time = search::time_field(making.settings.profile);
    let mut all = vec![format!("{} >= DATE_SUB(NOW(), INTERVAL {history} SECOND)", name(time)?)];
    for key in &keys {
        all.push(format!("isnotnull({})", name(key)?));
    }
    all.push(print(&condition)?);
    let by = keys.iter().map(|k| name(k)).collect::<Result<Vec<_>, _>>()?.join(", ");
    let query = format!(
        "source={} | where {} | stats min({}) as first_seen by {by} | where first_seen >= DATE_SUB(NOW(), INTERVAL {run} SECOND)",
        indices.join(","),
        all.join(" AND "),
        name(time)?
    );
    if query.chars().count() > MAX_CHARS {
        return Err(format!(
            "the PPL query has {} characters, and a monitor takes {MAX_CHARS}",
            query.chars().count()
        )
        .into());
    }
    differences.extend([
        "alerts name the new combination, not the event that brought it".to_owned(),
        "of a field with several values the combinations are others".to_owned(),
        format!("each run reads the whole history by `{time}`, and finds at most 10,000 combinations"),
    ]);
    let monitor = monitor::ppl(making, &query);
    let mut more_fields = keys;
    more_fields.push(time.to_owned());
    Ok(Draft { kind: MonitorKind::Ppl, monitor, condition, more_fields, differences })
}

fn name(field: &str) -> Result<String, Reason> {
    if field.contains('`') {
        return Err(format!("PPL cannot name `{field}`"));
    }
    Ok(format!("`{field}`"))
}

/// A condition as PPL. Comparisons with a field that is not there are null, so a negation says so.
fn print(condition: &Condition) -> Result<String, Reason> {
    let all = |parts: &[Condition], with: &str| {
        let parts = parts.iter().map(print).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Reason>(format!("({})", parts.join(with)))
    };
    match condition {
        Condition::Always => Ok("true".to_owned()),
        Condition::Never => Ok("false".to_owned()),
        Condition::All(parts) => all(parts, " AND "),
        Condition::Any(parts) => all(parts, " OR "),
        Condition::Not(inner) => match inner.as_ref() {
            Condition::Ask(Ask { field, op: Op::Exists, .. }) => Ok(format!("isnull({})", name(field)?)),
            Condition::Ask(a) => Ok(format!("(isnull({}) OR NOT {})", name(&a.field)?, ask(a)?)),
            // null is kept at the leaves, where it can be told
            Condition::All(parts) | Condition::Any(parts) => {
                let negated: Vec<Condition> = parts.iter().cloned().map(Condition::negate).collect();
                all(&negated, if matches!(inner.as_ref(), Condition::All(_)) { " OR " } else { " AND " })
            }
            Condition::Always | Condition::Never | Condition::Not(_) => {
                print(&inner.as_ref().clone().negate())
            }
            Condition::Nested(..) | Condition::Script(_) => print(inner),
        },
        Condition::Ask(a) => ask(a),
        Condition::Nested(path, _) => Err(format!("PPL asks the nested field `{path}` in another way")),
        Condition::Script(script) => Err(format!("{} needs a script", script.what)),
    }
}

fn ask(ask: &Ask) -> Result<String, Reason> {
    if !ask.types.iter().all(|t| t.kind.is_keyword() || t.kind.is_number()) {
        return Err(format!("`{}` has a type that PPL compares in another way", ask.field));
    }
    let field = name(&ask.field)?;
    match &ask.op {
        Op::Exists => Ok(format!("isnotnull({field})")),
        Op::Term(value, Case::Sensitive) | Op::Match(value) | Op::Phrase(value) => {
            Ok(format!("{field} = {}", literal(value)?))
        }
        Op::Terms(values, Case::Sensitive) => {
            let list = values.iter().map(literal).collect::<Result<Vec<_>, _>>()?;
            Ok(format!("{field} IN ({})", list.join(", ")))
        }
        Op::Wildcard(pattern) | Op::QueryWildcard(pattern) if !pattern.ignores_case() => {
            Ok(format!("LIKE({field}, '{}')", like(&ask.field, pattern)?))
        }
        Op::Range { lower, upper } => {
            let mut all = Vec::new();
            for (side, exclusive, inclusive) in [(lower, ">", ">="), (upper, "<", "<=")] {
                if let Some((value, included)) = side {
                    all.push(format!(
                        "{field} {} {}",
                        if *included { inclusive } else { exclusive },
                        literal(value)?
                    ));
                }
            }
            Ok(format!("({})", all.join(" AND ")))
        }
        _ => Err(format!("`{}` is asked in a way that PPL does not have", ask.field)),
    }
}

fn literal(value: &Literal) -> Result<String, Reason> {
    match value {
        Literal::Null => Err("PPL cannot compare with null".to_owned()),
        Literal::Str(s) if s.contains(['\'', '\\']) => {
            Err("a value with a quote or a backslash has no certain form in PPL".to_owned())
        }
        Literal::Str(s) => Ok(format!("'{s}'")),
        other => Ok(other.text().into_owned()),
    }
}

fn like(field: &str, pattern: &Pattern) -> Result<String, Reason> {
    let mut out = String::new();
    for part in pattern.parts() {
        match part {
            Part::Any => out.push('%'),
            Part::One => out.push('_'),
            Part::Text(text) if text.contains(['%', '_', '\'', '\\']) => {
                return Err(format!(
                    "the pattern on `{field}` has a character that PPL reads in another way"
                ));
            }
            Part::Text(text) => out.push_str(text),
        }
    }
    Ok(out)
}
