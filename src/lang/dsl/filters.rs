//! Kibana's saved filters, the `filters` of a rule: from the filter objects to the clauses that Kibana
//! sends, negated ones apart.

use super::FieldInfo;
use crate::lang::MAX_DEPTH;
use serde_json::{Map, Value, json};

/// What a list of filters comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clauses {
    /// What a document must satisfy: the place of the filter in the list, and its query.
    pub filter: Vec<(usize, Value)>,
    /// What it must not.
    pub must_not: Vec<(usize, Value)>,
}

/// A filter that Kibana or rulepack cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFilter {
    /// JSON pointer below the list.
    pub pointer: String,
    /// What is wrong, lower case, no full stop.
    pub message: String,
}

/// The clauses of filters; disabled ones are left out.
///
/// # Errors
/// The filters that are none, or that Kibana would refuse.
pub fn clauses(filters: &[Value], fields: Option<&FieldInfo>) -> Result<Clauses, Vec<BadFilter>> {
    let mut bad = Vec::new();
    let out = list(filters, fields, "", 0, &mut bad);
    if bad.is_empty() { Ok(out) } else { Err(bad) }
}

fn list(
    filters: &[Value],
    fields: Option<&FieldInfo>,
    at: &str,
    depth: usize,
    bad: &mut Vec<BadFilter>,
) -> Clauses {
    let mut out = Clauses::default();
    for (i, filter) in filters.iter().enumerate() {
        if filter.is_null() || filter == &Value::Bool(false) {
            continue;
        }
        let pointer = format!("{at}/{i}");
        let Some(filter) = filter.as_object() else {
            bad.push(BadFilter { pointer, message: "a filter is a table".to_owned() });
            continue;
        };
        let meta = |key: &str| filter.get("meta").and_then(|m| m.get(key));
        if meta("disabled") == Some(&Value::Bool(true)) {
            continue;
        }
        let negated = meta("negate") == Some(&Value::Bool(true));
        match one(filter, fields, &pointer, depth, bad) {
            Ok(query) if negated => out.must_not.push((i, query)),
            Ok(query) => out.filter.push((i, query)),
            Err(message) => bad.push(BadFilter { pointer, message }),
        }
    }
    out
}

fn one(
    filter: &Map<String, Value>,
    fields: Option<&FieldInfo>,
    pointer: &str,
    depth: usize,
    bad: &mut Vec<BadFilter>,
) -> Result<Value, String> {
    let meta = filter.get("meta");
    let kind = meta.and_then(|m| m.get("type")).and_then(Value::as_str);
    if kind == Some("combined") {
        return combined(meta, fields, pointer, depth, bad);
    }
    let query = migrated(filter, fields)?;
    let nested = field_of(meta, &query).and_then(|f| fields?.get(&f)?.nested.clone());
    Ok(match nested {
        Some(path) => json!({ "nested": { "path": path, "query": query } }),
        None => query,
    })
}

/// A filter that joins others.
fn combined(
    meta: Option<&Value>,
    fields: Option<&FieldInfo>,
    pointer: &str,
    depth: usize,
    bad: &mut Vec<BadFilter>,
) -> Result<Value, String> {
    if depth >= MAX_DEPTH {
        return Err(format!("filters nest deeper than {MAX_DEPTH} levels"));
    }
    let params = meta.and_then(|m| m.get("params")).and_then(Value::as_array);
    let Some(params) = params else {
        return Err("a combined filter has its parts in `meta.params`".to_owned());
    };
    let at = format!("{pointer}/meta/params");
    let and = meta.and_then(|m| m.get("relation")).and_then(Value::as_str) == Some("AND");
    if and {
        return Ok(list(params, fields, &at, depth + 1, bad).query());
    }
    let mut parts = Vec::with_capacity(params.len());
    for i in 0..params.len() {
        let single = params.get(i..=i).unwrap_or(&[]);
        parts.push(list(single, fields, &at, depth + 1, bad).query());
    }
    Ok(json!({ "bool": { "should": parts, "minimum_should_match": 1 } }))
}

impl Clauses {
    /// One `bool` of all of them, as Kibana writes it.
    pub fn query(self) -> Value {
        let queries = |list: Vec<(usize, Value)>| list.into_iter().map(|(_, q)| q).collect::<Vec<_>>();
        let filter: Vec<Value> = queries(self.filter).into_iter().filter(|q| !is_match_all(q)).collect();
        json!({ "bool": { "must": [], "filter": filter, "should": [], "must_not": queries(self.must_not) } })
    }
}

/// Whether a query is exactly `match_all` without options.
pub fn is_match_all(query: &Value) -> bool {
    *query == json!({ "match_all": {} })
}

/// The query of a filter, old forms brought to the present one.
fn migrated(filter: &Map<String, Value>, fields: Option<&FieldInfo>) -> Result<Value, String> {
    let query = filter.get("query").filter(|q| !q.is_null());
    let matched = query.and_then(|q| q.get("match")).or_else(|| filter.get("match"));
    if let Some((name, params)) = matched.and_then(old_phrase) {
        let mut params = params.clone();
        params.remove("type");
        if let Some(value) = params.get_mut("query") {
            *value = converted(name, value, fields)?;
        }
        return Ok(json!({ "match_phrase": { name: params } }));
    }
    if let Some(query) = query {
        if !query.is_object() {
            return Err("the `query` of a filter is a table".to_owned());
        }
        return Ok(query.clone());
    }
    let rest: Map<String, Value> = filter
        .iter()
        .filter(|(k, _)| !matches!(k.as_str(), "meta" | "query" | "$state"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if rest.is_empty() {
        return Err("a filter without `query` asks nothing".to_owned());
    }
    Ok(Value::Object(rest))
}

/// `match: { field: { query, type: "phrase" } }`.
fn old_phrase(matched: &Value) -> Option<(&str, &Map<String, Value>)> {
    let (name, params) = matched.as_object()?.iter().next()?;
    let params = params.as_object()?;
    (params.get("type")?.as_str()? == "phrase").then_some((name.as_str(), params))
}

/// A value as the type of its field has it.
fn converted(name: &str, value: &Value, fields: Option<&FieldInfo>) -> Result<Value, String> {
    let Some(known) = fields.and_then(|f| f.get(name)) else { return Ok(value.clone()) };
    if known.boolean && !value.is_boolean() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return match text.as_str() {
            "true" | "1" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            other => Err(format!("`{other}` is no boolean, and `{name}` is one")),
        };
    }
    if known.number
        && let Some(text) = value.as_str()
    {
        let whole = text.parse::<i64>().ok().map(Value::from);
        let float = || text.parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number);
        return Ok(whole.or_else(float).unwrap_or_else(|| value.clone()));
    }
    Ok(value.clone())
}

/// The field that a simple filter asks.
fn field_of(meta: Option<&Value>, query: &Value) -> Option<String> {
    let key = meta.and_then(|m| m.get("key")).and_then(Value::as_str);
    let kind = meta.and_then(|m| m.get("type")).and_then(Value::as_str);
    if let Some(field) = query.pointer("/exists/field") {
        return field.as_str().map(str::to_owned);
    }
    let named = |clause: &str| query.get(clause)?.as_object()?.keys().next();
    if let Some(name) = named("match_phrase").or_else(|| named("range")) {
        return Some(name.clone());
    }
    key.filter(|_| matches!(kind, Some("phrases" | "range" | "phrase" | "exists"))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Layer, Schema, parse_mapping};
    use std::sync::Arc;

    fn info() -> FieldInfo {
        let mapping = json!({"properties": {
            "port": {"type": "long"}, "open": {"type": "boolean"},
            "parts": {"type": "nested", "properties": {"sku": {"type": "keyword"}}}}});
        let fields = Arc::new(parse_mapping(&mapping.to_string()).unwrap());
        FieldInfo::of(&Schema::new(vec![Layer { fields, version: None, label: "m".into() }]))
    }

    fn of(filter: Value) -> Result<Clauses, Vec<BadFilter>> {
        clauses(&[filter], Some(&info()))
    }

    #[test]
    fn disabled_filters_drop_out_and_negated_ones_stand_apart() {
        let filters = [
            Value::Null,
            json!({"meta": {"disabled": true}, "query": {"exists": {"field": "a"}}}),
            json!({"meta": {"negate": true}, "query": {"exists": {"field": "b"}}}),
            json!({"query": {"match_all": {}}}),
        ];
        let found = clauses(&filters, None).unwrap();
        assert_eq!(found.must_not, [(2, json!({"exists": {"field": "b"}}))]);
        assert_eq!(found.filter, [(3, json!({"match_all": {}}))]);
        assert_eq!(found.query().pointer("/bool/filter"), Some(&json!([])));
    }

    #[test]
    fn old_forms_are_brought_to_the_present_one() {
        let one = |filter: Value| of(filter).unwrap().filter.remove(0).1;
        assert_eq!(one(json!({"exists": {"field": "a"}, "meta": {}})), json!({"exists": {"field": "a"}}));
        assert_eq!(
            one(json!({"query": {"match": {"port": {"query": "80", "type": "phrase"}}}})),
            json!({"match_phrase": {"port": {"query": 80}}})
        );
        assert_eq!(
            one(json!({"match": {"open": {"query": 1, "type": "phrase"}}})),
            json!({"match_phrase": {"open": {"query": true}}})
        );
        let wrong = of(json!({"match": {"open": {"query": "maybe", "type": "phrase"}}}));
        assert!(wrong.unwrap_err()[0].message.contains("maybe"));
        assert!(of(json!({"meta": {}})).is_err());
        assert!(of(json!("text")).is_err());
    }

    #[test]
    fn a_nested_field_brings_its_group() {
        let found = of(json!({"meta": {}, "query": {"match_phrase": {"parts.sku": "x"}}})).unwrap();
        assert_eq!(
            found.filter[0].1,
            json!({"nested": {"path": "parts", "query": {"match_phrase": {"parts.sku": "x"}}}})
        );
    }

    #[test]
    fn combined_filters_keep_their_parts() {
        let parts =
            json!([{"query": {"term": {"a": 1}}}, {"meta": {"negate": true}, "query": {"term": {"b": 2}}}]);
        let and = of(json!({"meta": {"type": "combined", "relation": "AND", "params": parts}})).unwrap();
        assert_eq!(and.filter[0].1.pointer("/bool/must_not/0/term/b"), Some(&json!(2)));
        let or = of(json!({"meta": {"type": "combined", "relation": "OR", "params": parts}})).unwrap();
        assert_eq!(or.filter[0].1.pointer("/bool/should/0/bool/filter/0/term/a"), Some(&json!(1)));
        let mut deep = json!({"query": {"term": {"a": 1}}});
        for _ in 0..MAX_DEPTH + 2 {
            deep = json!({"meta": {"type": "combined", "relation": "AND", "params": [deep]}});
        }
        assert!(of(deep).is_err());
    }
}
