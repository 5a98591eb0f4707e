//! A plan as Query DSL, for languages that Kibana does not compile itself. What has no clause in Query DSL
//! is told as a loss; the query then matches more than the plan, never less.

use crate::es::{Case, Literal, Op};
use crate::plan::{Leaf, Plan, PlanFields, Pred};
use crate::source::Span;
use serde_json::{Map, Value, json};

/// A part of a plan that Query DSL cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where it stands in the query.
    pub span: Span,
}

/// The query of a plan's filters, and what was lost on the way.
pub fn of_plan(plan: &Plan) -> (Value, Vec<Loss>) {
    let mut losses = Vec::new();
    let mut all: Vec<Value> = plan.filter().map(|p| of_pred(p, &plan.fields, false, &mut losses)).collect();
    let query = match all.len() {
        0 => json!({ "match_all": {} }),
        1 => all.remove(0),
        _ => json!({ "bool": { "filter": all } }),
    };
    (query, losses)
}

fn of_pred(pred: &Pred, fields: &PlanFields, negated: bool, losses: &mut Vec<Loss>) -> Value {
    match pred {
        Pred::Const(true) => json!({ "match_all": {} }),
        Pred::Const(false) => json!({ "match_none": {} }),
        Pred::And(parts) => {
            let parts: Vec<Value> = parts.iter().map(|p| of_pred(p, fields, negated, losses)).collect();
            json!({ "bool": { "filter": parts } })
        }
        Pred::Or(parts) if parts.is_empty() => json!({ "match_none": {} }),
        Pred::Or(parts) => {
            let parts: Vec<Value> = parts.iter().map(|p| of_pred(p, fields, negated, losses)).collect();
            json!({ "bool": { "should": parts, "minimum_should_match": 1 } })
        }
        Pred::Not(inner) => {
            let inner = of_pred(inner, fields, !negated, losses);
            json!({ "bool": { "must_not": inner } })
        }
        Pred::Leaf(leaf) => of_leaf(leaf, fields).unwrap_or_else(|| open(negated)),
        Pred::Named(_, inner) => of_pred(inner, fields, negated, losses),
        Pred::Nested(nested) => {
            let path = fields.get(nested.field).map_or("", |f| f.name.as_ref());
            let query = of_pred(&nested.pred, &nested.fields, negated, losses);
            json!({ "nested": { "path": path, "query": query, "score_mode": "none" } })
        }
        Pred::Script(script) => {
            losses.push(Loss { span: script.span });
            open(negated)
        }
    }
}

/// What stands for a clause that is not known, so that the whole only grows.
fn open(negated: bool) -> Value {
    if negated { json!({ "match_none": {} }) } else { json!({ "match_all": {} }) }
}

fn of_leaf(leaf: &Leaf, fields: &PlanFields) -> Option<Value> {
    Some(of_op(&fields.get(leaf.field)?.name, &leaf.op))
}

/// The clause that asks something of a field.
pub fn of_op(name: &str, op: &Op) -> Value {
    let cased = |key: &str, value: Value, case: Case| {
        let mut body = Map::new();
        body.insert(key.to_owned(), value);
        if case == Case::Insensitive {
            body.insert("case_insensitive".to_owned(), true.into());
        }
        Value::Object(body)
    };
    match op {
        Op::Exists => json!({ "exists": { "field": name } }),
        Op::Term(value, case) => json!({ "term": { name: cased("value", literal(value), *case) } }),
        Op::Terms(values, Case::Sensitive) => {
            json!({ "terms": { name: values.iter().map(literal).collect::<Vec<_>>() } })
        }
        Op::Terms(values, case) => {
            let any: Vec<Value> = values
                .iter()
                .map(|v| json!({ "term": { name: cased("value", literal(v), *case) } }))
                .collect();
            json!({ "bool": { "should": any, "minimum_should_match": 1 } })
        }
        Op::Range { lower, upper } => {
            let mut body = Map::new();
            let sides = [(lower, "gt", "gte"), (upper, "lt", "lte")];
            for (bound, exclusive, inclusive) in sides {
                if let Some((value, included)) = bound {
                    let key = if *included { inclusive } else { exclusive };
                    body.insert(key.to_owned(), literal(value));
                }
            }
            json!({ "range": { name: body } })
        }
        Op::Wildcard(pattern) => {
            let case = if pattern.ignores_case() { Case::Insensitive } else { Case::Sensitive };
            json!({ "wildcard": { name: cased("value", pattern.to_string().into(), case) } })
        }
        Op::QueryWildcard(pattern) => {
            json!({ "query_string": { "fields": [name], "query": pattern.to_string() } })
        }
        Op::Regexp(text, case) => json!({ "regexp": { name: cased("value", text.as_ref().into(), *case) } }),
        Op::Match(value) => json!({ "match": { name: literal(value) } }),
        Op::Phrase(value) => json!({ "match_phrase": { name: literal(value) } }),
        Op::SloppyPhrase(value, slop) => {
            json!({ "match_phrase": { name: { "query": literal(value), "slop": slop } } })
        }
        Op::Fuzzy(text, edits) => json!({ "fuzzy": { name: { "value": text, "fuzziness": edits } } }),
    }
}

fn literal(value: &Literal) -> Value {
    match value {
        Literal::Str(s) => s.as_ref().into(),
        Literal::Int(i) => (*i).into(),
        Literal::Float(f) => (*f).into(),
        Literal::Bool(b) => (*b).into(),
        Literal::Null => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::{Language, Settings, analyze, dsl};
    use crate::schema::{Layer, Schema, parse_mapping};
    use crate::value::ProjectionBuilder;
    use std::sync::Arc;

    fn schema() -> Schema {
        let mapping = json!({"properties": {
            "event": {"properties": {"category": {"type": "keyword"}}},
            "name": {"type": "keyword"}, "size": {"type": "long"}}});
        let fields = Arc::new(parse_mapping(&mapping.to_string()).unwrap());
        Schema::new(vec![Layer { fields, version: None, label: "m".into() }])
    }

    fn compiled(query: &str) -> (Value, Vec<Loss>) {
        let a = analyze(Language::Eql, query, &schema(), &Settings::default());
        of_plan(&a.plan.unwrap_or_else(|| panic!("{query}: {:?}", a.diagnostics)))
    }

    #[test]
    fn what_query_dsl_can_say_is_said_and_the_rest_is_told() {
        let (query, losses) = compiled("any where name == \"a\" and size > 4");
        assert_eq!(losses, []);
        assert_eq!(
            query,
            json!({"bool": {"filter": [{"term": {"name": {"value": "a"}}}, {"range": {"size": {"gt": 4}}}]}})
        );
        let (query, losses) = compiled("any where name : \"A*\" and length(name) > 4");
        assert_eq!(losses.len(), 1);
        assert_eq!(query.pointer("/bool/filter/0/wildcard/name/case_insensitive"), Some(&json!(true)));
        assert_eq!(query.pointer("/bool/filter/1"), Some(&json!({"match_all": {}})));
        let (query, _) = compiled("any where not length(name) > 4");
        assert_eq!(query, json!({"bool": {"must_not": {"match_none": {}}}}));
    }

    /// What is compiled from a plan is read back to a plan that answers the same.
    #[test]
    fn the_compiled_query_matches_what_the_query_matches() {
        let documents = [
            json!({"name": "abc", "size": 5, "event": {"category": "process"}}),
            json!({"name": ["ABC", "x"], "event": {"category": ["file", "process"]}}),
            json!({"size": [1, 9]}),
            json!({}),
        ];
        for text in [
            "process where name == \"abc\"",
            "any where name : (\"abc\", \"X\") or size >= 9",
            "any where not (name like~ \"A*\") and size != 5",
            "file where name regex \"[A-Z]+\" and size == null",
            "any where name in (\"abc\", \"x\") and not size in (5, 6)",
        ] {
            let a = analyze(Language::Eql, text, &schema(), &Settings::default());
            let plan = a.plan.unwrap_or_else(|| panic!("{text}: {:?}", a.diagnostics));
            let (query, losses) = of_plan(&plan);
            let mut fields = PlanFields::default();
            let back = dsl::lower(&query, &schema(), &Settings::default(), &mut fields, &|_| Span::default());
            assert!(
                losses.is_empty() && back.diagnostics.is_empty(),
                "{text}: {query} {:?}",
                back.diagnostics
            );
            let again = Plan { fields, stages: vec![crate::plan::Stage::Filter(back.pred)] };
            for document in &documents {
                let holds = |plan: &Plan| {
                    let mut builder = ProjectionBuilder::default();
                    let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
                    plan.matches(&builder.build().project_value(document), &slots).unwrap()
                };
                assert_eq!(holds(&plan), holds(&again), "{text} on {document}: {query}");
            }
        }
    }
}
