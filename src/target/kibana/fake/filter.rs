//! KQL over stored rules and exception lists, as `filter` and `query` parameters are (contract 2.1).

use super::refusal::Refusal;
use super::state::Rule;
use crate::es::date;
use crate::es::wildcard::{Part, Pattern};
use crate::lang::kql::{Node, NodeKind, RangeOp, TermValue, parse};
use rustc_hash::FxHashSet;
use serde_json::Value;

/// Clauses of one query, as Kibana's own chunks (contract 2.1).
const MAX_CLAUSES: usize = 1_024;

/// A condition on an object of the store.
#[derive(Debug)]
pub(super) enum Filter {
    All,
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// A field has one of these texts: what a list of ids becomes.
    In(Field, FxHashSet<String>),
    Test(Field, Test),
}

#[derive(Debug)]
pub(super) enum Test {
    Exists,
    Is(String),
    Like(Pattern),
    /// For the analyzed `name`: all words next to each other, or any.
    Words(Vec<String>, bool),
    Range(RangeOp, String),
}

/// A field: the names of the keys that lead to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field(Vec<String>);

/// What can be filtered: answers a field of the store.
pub(super) trait Stored {
    /// The values under a path, as a JSON value.
    fn value(&self, path: &[String]) -> Option<Value>;
}

impl Stored for Rule {
    fn value(&self, path: &[String]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        let own = match first.as_str() {
            "id" => Value::from(self.id.as_str()),
            "revision" => self.revision.into(),
            "immutable" => self.immutable().into(),
            "rule_source" if rest.first().is_some_and(|r| r == "type") => {
                return Some(if self.immutable() { "external" } else { "internal" }.into());
            }
            "created_at" => self.created.0.as_str().into(),
            "created_by" => self.created.1.as_str().into(),
            "updated_at" => self.updated.0.as_str().into(),
            "updated_by" => self.updated.1.as_str().into(),
            key => self.body.get(key)?.clone(),
        };
        collect(own, rest)
    }
}

impl Stored for Value {
    fn value(&self, path: &[String]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        collect(self.get(first)?.clone(), rest)
    }
}

/// Steps into objects; through lists to all their elements.
fn collect(value: Value, path: &[String]) -> Option<Value> {
    let Some((first, rest)) = path.split_first() else { return Some(value) };
    match value {
        Value::Object(mut o) => collect(o.remove(first)?, rest),
        Value::Array(all) => Some(Value::Array(all.into_iter().filter_map(|v| collect(v, path)).collect())),
        _ => None,
    }
}

impl Filter {
    /// The filter of rules that a KQL text is, over `alert.attributes.*`.
    pub(super) fn rules(text: &str) -> Result<Filter, Refusal> {
        Filter::read(text, &rule_field)
    }

    /// A filter over the attributes of a saved object, such as `exception-list.attributes.name`.
    pub(super) fn attributes(text: &str, prefixes: &'static [&'static str]) -> Result<Filter, Refusal> {
        Filter::read(text, &|name| {
            let short = prefixes.iter().find_map(|p| name.strip_prefix(p)?.strip_prefix(".attributes."))?;
            Some(Field(vec![snake(short)]))
        })
    }

    fn read(text: &str, field: &dyn Fn(&str) -> Option<Field>) -> Result<Filter, Refusal> {
        let parsed = parse(text);
        if let Some(d) = parsed.diagnostics.first() {
            return Err(Refusal::siem(400, format!("KQLSyntaxError: {}", d.message)));
        }
        let Some(root) = parsed.query.and_then(|q| q.root) else { return Ok(Filter::All) };
        let mut clauses = 0;
        let filter = compile(&root, field, &mut clauses)?;
        if clauses > MAX_CLAUSES {
            return Err(Refusal::siem(
                400,
                format!("too_many_clauses: maxClauseCount is set to {MAX_CLAUSES}"),
            ));
        }
        Ok(filter)
    }

    /// Whether an object satisfies it.
    pub(super) fn matches(&self, of: &impl Stored) -> bool {
        match self {
            Filter::All => true,
            Filter::And(all) => all.iter().all(|f| f.matches(of)),
            Filter::Or(all) => all.iter().any(|f| f.matches(of)),
            Filter::Not(inner) => !inner.matches(of),
            Filter::In(field, set) => any(of.value(&field.0), &|v| set.contains(&text(v))),
            Filter::Test(field, test) => any(of.value(&field.0), &|v| test.holds(v)),
        }
    }
}

/// Whether a value, or an element of a list, satisfies a test.
fn any(value: Option<Value>, test: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Array(all)) => all.iter().any(|v| any(Some(v.clone()), test)),
        Some(one) => test(&one),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Test::Exists => true,
            Test::Is(wanted) => text(value) == *wanted,
            Test::Like(pattern) => pattern.matches(&text(value)),
            Test::Words(words, phrase) => {
                let have = crate::es::analyze::standard(&text(value));
                if *phrase {
                    words.is_empty() || have.windows(words.len()).any(|w| w == words.as_slice())
                } else {
                    have.iter().any(|w| words.contains(w))
                }
            }
            Test::Range(op, bound) => {
                let order = match (value.as_f64(), bound.parse::<f64>()) {
                    (Some(a), Ok(b)) => a.partial_cmp(&b),
                    _ => match (date::parse_value(&text(value)), date::parse_value(bound)) {
                        (Some(a), Some(b)) => Some(a.cmp(&b)),
                        _ => Some(text(value).cmp(bound)),
                    },
                };
                order.is_some_and(|o| match op {
                    RangeOp::Greater => o.is_gt(),
                    RangeOp::GreaterEqual => o.is_ge(),
                    RangeOp::Less => o.is_lt(),
                    RangeOp::LessEqual => o.is_le(),
                })
            }
        }
    }
}

fn compile(
    node: &Node,
    field: &dyn Fn(&str) -> Option<Field>,
    clauses: &mut usize,
) -> Result<Filter, Refusal> {
    Ok(match &node.kind {
        NodeKind::And(all) => {
            Filter::And(all.iter().map(|n| compile(n, field, clauses)).collect::<Result<_, _>>()?)
        }
        NodeKind::Or(all) => {
            let mut rest = Vec::new();
            let mut sets: Vec<(Field, FxHashSet<String>)> = Vec::new();
            for one in all {
                match compile(one, field, clauses)? {
                    Filter::Test(f, Test::Is(v)) => match sets.iter_mut().find(|(known, _)| *known == f) {
                        Some((_, set)) => {
                            set.insert(v);
                        }
                        None => sets.push((f, FxHashSet::from_iter([v]))),
                    },
                    other => rest.push(other),
                }
            }
            rest.extend(sets.into_iter().map(|(f, set)| Filter::In(f, set)));
            Filter::Or(rest)
        }
        NodeKind::Not(inner) => Filter::Not(Box::new(compile(inner, field, clauses)?)),
        NodeKind::Is { field: Some(name), value } => {
            *clauses += 1;
            let name = name.value.to_string();
            let of = known(&name, field)?;
            let analyzed = of.0 == ["name"] && !name.ends_with(".keyword");
            Filter::Test(of, is(&value.value, analyzed))
        }
        NodeKind::Range { field: name, op, value } => {
            *clauses += 1;
            let of = known(&name.value.to_string(), field)?;
            Filter::Test(of, Test::Range(*op, value.value.to_string()))
        }
        NodeKind::Is { field: None, .. } | NodeKind::Nested { .. } => {
            return Err(Refusal::siem(400, "the fake answers filters of the form `field: value` only"));
        }
    })
}

/// A field of the store; Kibana refuses a key that it does not know.
fn known(name: &str, field: &dyn Fn(&str) -> Option<Field>) -> Result<Field, Refusal> {
    field(name)
        .ok_or_else(|| Refusal::siem(400, format!("This key '{name}' does not exist in the saved objects")))
}

fn is(value: &TermValue, analyzed: bool) -> Test {
    match value {
        TermValue::Wildcard(parts) if value.is_lone_star() => {
            debug_assert_eq!(parts.len(), 2);
            Test::Exists
        }
        TermValue::Wildcard(parts) => {
            let mut pattern = Vec::new();
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    pattern.push(Part::Any);
                }
                pattern.push(Part::Text(part.to_string()));
            }
            Test::Like(Pattern::new(pattern, analyzed))
        }
        TermValue::Text { text, quoted } if analyzed => {
            Test::Words(crate::es::analyze::standard(text), *quoted)
        }
        other => Test::Is(other.to_string()),
    }
}

/// `alert.attributes.params.ruleId` is the rule's `rule_id`, and so on.
fn rule_field(name: &str) -> Option<Field> {
    if name == "alert.id" {
        return Some(Field(vec!["id".to_owned()]));
    }
    let short = name.strip_prefix("alert.attributes.")?;
    let short = short.strip_suffix(".keyword").unwrap_or(short);
    let (own, path) = match short.strip_prefix("params.") {
        Some(param) => (true, param),
        None => (false, short),
    };
    let path: Vec<String> = path.split('.').map(snake).collect();
    let first = path.first()?.as_str();
    let outside = [
        "name",
        "tags",
        "enabled",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "revision",
        "actions",
    ];
    (own != outside.contains(&first)).then_some(Field(path))
}

/// `riskScore` is `risk_score`.
fn snake(camel: &str) -> String {
    let mut out = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule() -> Rule {
        let body = json!({ "rule_id": "r-1", "name": "Root login, twice", "tags": ["rulepack:prod", "Cloud"],
            "enabled": true, "risk_score": 47, "threat": [{ "tactic": { "id": "TA0001" } }] });
        Rule {
            id: "abc".to_owned(),
            body: body.as_object().unwrap().clone(),
            revision: 2,
            created: ("2026-01-02T03:04:05.000Z".to_owned(), "a".to_owned()),
            updated: ("2026-01-03T03:04:05.000Z".to_owned(), "b".to_owned()),
            source: super::super::state::Source::Internal,
            key: None,
            extra: Default::default(),
        }
    }

    #[test]
    fn rules_are_found_by_their_attributes() {
        let rule = rule();
        let yes = |text: &str| Filter::rules(text).unwrap().matches(&rule);
        for text in [
            "",
            "alert.attributes.tags: \"rulepack:prod\"",
            "alert.attributes.tags: rule*prod and alert.attributes.enabled: true",
            "alert.attributes.params.ruleId: (\"x\" or \"r-1\")",
            "alert.attributes.params.immutable: false",
            "not alert.attributes.params.ruleSource.type: \"external\"",
            "alert.attributes.params.riskScore >= 47",
            "alert.attributes.createdAt < \"2026-01-02T03:04:06Z\"",
            "alert.attributes.name: \"root LOGIN\"",
            "alert.attributes.name.keyword: \"Root login, twice\"",
            "alert.attributes.params.threat.tactic.id: TA0001",
            "alert.attributes.params.author: x or alert.attributes.updatedBy: b",
            "alert.attributes.tags: *",
            "alert.id: abc",
        ] {
            assert!(yes(text), "{text}");
        }
        for text in [
            "alert.attributes.tags: \"rulepack\"",
            "alert.attributes.tags: cloud",
            "alert.attributes.name: \"login root\"",
            "alert.attributes.params.note: *",
            "alert.attributes.params.riskScore > 47",
        ] {
            assert!(!yes(text), "{text}");
        }
    }

    #[test]
    fn a_filter_that_kibana_refuses_is_refused() {
        for text in [
            "tags: x",
            "alert.attributes.params.tags: x",
            "alert.attributes.ruleId: x",
            "alert.attributes.tags: (",
            "x",
        ] {
            assert_eq!(Filter::rules(text).unwrap_err().status, 400, "{text}");
        }
        let many = vec!["a"; MAX_CLAUSES + 1].join(" or ");
        assert_eq!(Filter::rules(&format!("alert.attributes.tags: ({many})")).unwrap_err().status, 400);
    }
}
