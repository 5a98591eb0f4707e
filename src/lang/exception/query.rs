//! An exception as Query DSL, as the detection engine builds it: a document that it matches does not
//! alert.

use serde_json::{Value, json};

/// A part of an item that cannot be made into a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// JSON pointer below the item.
    pub pointer: String,
    /// What is wrong, lower case, no full stop.
    pub message: String,
}

/// The query of an item. `values` gives the values of a value list.
///
/// # Errors
/// When an entry has not the form of its type, or a value list is not there.
pub fn item_query(
    item: &Value,
    values: &dyn Fn(&str) -> Result<Vec<String>, String>,
) -> Result<Value, Unusable> {
    let own = conditions(item, "", None, values)?;
    let systems = item.get("os_types").and_then(Value::as_array).filter(|s| !s.is_empty());
    let Some(systems) = systems else { return Ok(all(own)) };
    let mut any = Vec::with_capacity(systems.len() * 2);
    for system in systems {
        for field in ["host.os.type", "host.os.name.caseless"] {
            let mut with = vec![phrase(field, system)];
            with.extend(own.iter().cloned());
            any.push(all(with));
        }
    }
    Ok(json!({ "bool": { "should": any, "minimum_should_match": 1 } }))
}

fn all(mut queries: Vec<Value>) -> Value {
    if queries.len() == 1 { queries.remove(0) } else { json!({ "bool": { "filter": queries } }) }
}

fn phrase(field: &str, value: &Value) -> Value {
    json!({ "bool": { "should": [{ "match_phrase": { field: value } }], "minimum_should_match": 1 } })
}

fn conditions(
    holder: &Value,
    at: &str,
    parent: Option<&str>,
    values: &dyn Fn(&str) -> Result<Vec<String>, String>,
) -> Result<Vec<Value>, Unusable> {
    let entries = holder.get("entries").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(n, e)| condition(e, &format!("{at}/entries/{n}"), parent, values))
        .collect()
}

fn condition(
    entry: &Value,
    at: &str,
    parent: Option<&str>,
    values: &dyn Fn(&str) -> Result<Vec<String>, String>,
) -> Result<Value, Unusable> {
    let bad = |message: &str| Unusable { pointer: at.to_owned(), message: message.to_owned() };
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let field = text("field").ok_or_else(|| bad("a condition needs a `field`"))?;
    let full = parent.map_or_else(|| field.to_owned(), |p| format!("{p}.{field}"));
    let value = || entry.get("value").ok_or_else(|| bad("this condition needs a `value`"));
    let excluded = text("operator") == Some("excluded");
    let not = |q: Value| if excluded { json!({ "bool": { "must_not": q } }) } else { q };
    // Kibana puts these two into `filter` or `must_not`
    let filtered = |q: Value| {
        let key = if excluded { "must_not" } else { "filter" };
        json!({ "bool": { key: q } })
    };
    Ok(match text("type") {
        Some("match") => not(phrase(&full, value()?)),
        Some("match_any") => {
            let list = value()?.as_array().ok_or_else(|| bad("`match_any` needs a list of values"))?;
            match list.as_slice() {
                [one] => not(phrase(&full, one)),
                many => {
                    let any: Vec<Value> = many.iter().map(|v| phrase(&full, v)).collect();
                    not(json!({ "bool": { "should": any, "minimum_should_match": 1 } }))
                }
            }
        }
        Some("exists") => {
            not(json!({ "bool": { "should": [{ "exists": { "field": full } }], "minimum_should_match": 1 } }))
        }
        Some("wildcard") => filtered(json!({ "wildcard": { &full: value()? } })),
        Some("list") => {
            let list = entry.get("list").ok_or_else(|| bad("`list` needs a `list`"))?;
            let id = list.get("id").and_then(Value::as_str).unwrap_or_default();
            let kind = list.get("type").and_then(Value::as_str).unwrap_or_default();
            let found = values(id).map_err(|message| bad(&message))?;
            filtered(of_list(&full, kind, &found))
        }
        Some("nested") if parent.is_none() => {
            let inner = all(conditions(entry, at, Some(&full), values)?);
            json!({ "nested": { "path": full, "query": inner, "score_mode": "none" } })
        }
        _ => return Err(bad("this type of condition cannot be evaluated")),
    })
}

/// A field that holds one of the values of a list. Ranges are `from-to`.
fn of_list(field: &str, kind: &str, values: &[String]) -> Value {
    if kind != "ip_range" {
        return json!({ "terms": { field: values } });
    }
    let (ranges, blocks): (Vec<&String>, Vec<&String>) = values.iter().partition(|v| v.contains('-'));
    let mut any: Vec<Value> = ranges
        .into_iter()
        .filter_map(|r| r.split_once('-'))
        .map(|(from, to)| json!({ "range": { field: { "gte": from.trim(), "lte": to.trim() } } }))
        .collect();
    if !blocks.is_empty() {
        any.push(json!({ "terms": { field: blocks } }));
    }
    json!({ "bool": { "should": any, "minimum_should_match": 1 } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(entries: Value) -> Value {
        let values = |id: &str| match id {
            "nets" => Ok(vec!["10.0.0.0/8".to_owned(), "192.0.2.1-192.0.2.9".to_owned()]),
            "names" => Ok(vec!["a".to_owned(), "b".to_owned()]),
            _ => Err("no such list".to_owned()),
        };
        item_query(&json!({ "entries": entries }), &values).unwrap()
    }

    #[test]
    fn conditions_become_what_kibana_sends() {
        let one = |entry: Value| query(json!([entry]));
        let phrase = json!({"bool": {"should": [{"match_phrase": {"f": "x"}}], "minimum_should_match": 1}});
        assert_eq!(one(json!({"field": "f", "type": "match", "operator": "included", "value": "x"})), phrase);
        assert_eq!(
            one(json!({"field": "f", "type": "match_any", "operator": "included", "value": ["x"]})),
            phrase
        );
        assert_eq!(
            one(json!({"field": "f", "type": "match", "operator": "excluded", "value": "x"})),
            json!({"bool": {"must_not": phrase}})
        );
        assert_eq!(
            one(json!({"field": "f", "type": "wildcard", "operator": "included", "value": "x*"})),
            json!({"bool": {"filter": {"wildcard": {"f": "x*"}}}})
        );
        assert_eq!(
            one(
                json!({"field": "f", "type": "list", "operator": "excluded", "list": {"id": "names", "type": "keyword"}})
            ),
            json!({"bool": {"must_not": {"terms": {"f": ["a", "b"]}}}})
        );
        let ranges = one(json!({"field": "f", "type": "list", "list": {"id": "nets", "type": "ip_range"}}));
        assert_eq!(
            ranges.pointer("/bool/filter/bool/should"),
            Some(
                &json!([{"range": {"f": {"gte": "192.0.2.1", "lte": "192.0.2.9"}}}, {"terms": {"f": ["10.0.0.0/8"]}}])
            )
        );
        let nested =
            one(json!({"field": "n", "type": "nested", "entries": [{"field": "a", "type": "exists"}]}));
        assert_eq!(nested.pointer("/nested/query/bool/should/0/exists/field"), Some(&json!("n.a")));
        let both = query(json!([{"field": "f", "type": "exists"}, {"field": "g", "type": "exists"}]));
        assert_eq!(both.pointer("/bool/filter").and_then(Value::as_array).map(Vec::len), Some(2));
    }

    #[test]
    fn a_system_is_told_by_two_fields() {
        let item = json!({"os_types": ["linux"], "entries": [{"field": "f", "type": "exists"}]});
        let made = item_query(&item, &|_| Ok(Vec::new())).unwrap();
        let should = made.pointer("/bool/should").and_then(Value::as_array).unwrap();
        assert_eq!(should.len(), 2);
        assert_eq!(
            should[1].pointer("/bool/filter/0/bool/should/0/match_phrase/host.os.name.caseless"),
            Some(&json!("linux"))
        );
    }

    #[test]
    fn what_cannot_be_evaluated_is_told_with_its_place() {
        let missing = json!({"entries": [{"field": "f", "type": "list", "list": {"id": "x", "type": "ip"}}]});
        let err = item_query(&missing, &|_| Err("gone".to_owned())).unwrap_err();
        assert_eq!((err.pointer.as_str(), err.message.as_str()), ("/entries/0", "gone"));
        assert!(item_query(&json!({"entries": [{"type": "match"}]}), &|_| Ok(Vec::new())).is_err());
    }
}
