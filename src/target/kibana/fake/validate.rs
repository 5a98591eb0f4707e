//! What Kibana refuses in a rule: the request's schema (ours, which also refuses unknown keys), and the
//! checks that its code makes beyond it (contract 3.1, 3.2), which answer with a list of messages.

use super::refusal::Refusal;
use super::state::Object;
use crate::lang::rule::{interval, lookback};
use crate::schema::Version;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// How many mistakes a message names, as zod's do.
const MAX_NAMED: usize = 5;

/// Which request a rule comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// POST, and a line of an import.
    Create,
    /// PUT.
    Update,
    /// PATCH: nothing is required.
    Patch,
}

struct Schema {
    json: Value,
    validator: Option<Validator>,
}

impl Schema {
    fn new(form: Form) -> Schema {
        let mut json: Value =
            serde_json::from_str(include_str!("../../../../schemas/detection-rule.schema.json"))
                .unwrap_or_default();
        // what Kibana checks in code, with other words and in another shape
        remove(&mut json, "", &["dependentRequired"]);
        remove(&mut json, "/properties/exceptions_list", &["contains", "minContains", "maxContains"]);
        remove(&mut json, "/$defs/threat_mapping/properties/entries", &["contains"]);
        if let Some(required) = json.pointer_mut("/required").and_then(Value::as_array_mut) {
            required.retain(|k| form != Form::Patch && k != "rule_id");
        }
        if form != Form::Create
            && let Some(properties) = json.pointer_mut("/properties").and_then(Value::as_object_mut)
        {
            properties.insert("id".to_owned(), json!({ "type": "string", "format": "uuid" }));
        }
        if form == Form::Patch
            && let Some(parts) = json.pointer_mut("/$defs").and_then(Value::as_object_mut)
        {
            for (_, part) in parts.iter_mut().filter(|(name, _)| name.starts_with("type_")) {
                remove(part, "", &["required"]);
            }
        }
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&json).ok();
        Schema { json, validator }
    }

    fn of(form: Form) -> &'static Schema {
        static CREATE: LazyLock<Schema> = LazyLock::new(|| Schema::new(Form::Create));
        static UPDATE: LazyLock<Schema> = LazyLock::new(|| Schema::new(Form::Update));
        static PATCH: LazyLock<Schema> = LazyLock::new(|| Schema::new(Form::Patch));
        match form {
            Form::Create => &CREATE,
            Form::Update => &UPDATE,
            Form::Patch => &PATCH,
        }
    }
}

fn remove(json: &mut Value, pointer: &str, keys: &[&str]) {
    if let Some(object) = json.pointer_mut(pointer).and_then(Value::as_object_mut) {
        object.retain(|k, _| !keys.contains(&k.as_str()));
    }
}

/// Checks a rule against the request's schema.
pub(super) fn structure(rule: &Value, form: Form) -> Result<(), Refusal> {
    let schema = Schema::of(form);
    let Some(validator) = &schema.validator else {
        return Err(Refusal::platform(500, "the embedded rule schema could not be read"));
    };
    if validator.is_valid(rule) {
        return Ok(());
    }
    let mut found: Vec<String> = Vec::new();
    for error in validator.iter_errors(rule) {
        let text = worded(&error, &schema.json);
        if !found.contains(&text) {
            found.push(text);
        }
    }
    let more = found.len().saturating_sub(MAX_NAMED);
    found.truncate(MAX_NAMED);
    let mut text = found.join(", ");
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    Err(Refusal::request("body", text))
}

/// One mistake as zod words it: `severity_mapping.0.value: Required`.
fn worded(error: &jsonschema::ValidationError<'_>, schema: &Value) -> String {
    let place = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
    let at = |place: &str, text: String| if place.is_empty() { text } else { format!("{place}: {text}") };
    let here = schema.pointer(error.schema_path().as_str());
    let value = error.instance();
    let text = match error.kind() {
        Kind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            let place = if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
            return at(&place, "Required".to_owned());
        }
        Kind::AdditionalProperties { unexpected } => {
            let keys: Vec<String> = unexpected.iter().map(|k| format!("'{k}'")).collect();
            format!("Unrecognized key(s) in object: {}", keys.join(", "))
        }
        Kind::FalseSchema => {
            let (holder, key) = place.rsplit_once('.').unwrap_or(("", &place));
            return at(holder, format!("Unrecognized key(s) in object: '{key}'"));
        }
        Kind::Type { .. } => {
            let expected = match here {
                Some(Value::Array(all)) => {
                    all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ")
                }
                Some(Value::String(one)) => one.clone(),
                _ => "another type".to_owned(),
            };
            format!("Expected {expected}, received {}", type_of(value))
        }
        Kind::Enum { .. } => {
            let options: Vec<String> = here
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|o| format!("'{}'", o.as_str().unwrap_or_default()))
                .collect();
            let options = options.join(" | ");
            if place == "type" {
                format!("Invalid discriminator value. Expected {options}")
            } else {
                format!("Invalid enum value. Expected {options}, received '{}'", shown(value))
            }
        }
        Kind::Constant { expected_value } => format!("Invalid literal value, expected {expected_value}"),
        Kind::MinLength { limit } => format!("String must contain at least {limit} character(s)"),
        Kind::MinItems { limit } => format!("Array must contain at least {limit} element(s)"),
        Kind::MaxItems { limit } => format!("Array must contain at most {limit} element(s)"),
        Kind::Minimum { limit } => format!("Number must be greater than or equal to {limit}"),
        Kind::Maximum { limit } => format!("Number must be less than or equal to {limit}"),
        Kind::Format { format } => format!("Invalid {format}"),
        _ => "Invalid".to_owned(),
    };
    at(&place, text)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The checks that Kibana makes in code, of a whole rule or of a patch (contract 3.2).
pub(super) fn semantics(rule: &Object, form: Form, version: Version) -> Result<(), Refusal> {
    let mut found = Vec::new();
    let text = |key: &str| rule.get(key).and_then(Value::as_str);
    let has = |key: &str| rule.contains_key(key);
    if form != Form::Create {
        match (has("id"), has("rule_id")) {
            (true, true) => found.push("\"id\" and \"rule_id\" exclude each other"),
            (false, false) => found.push("one of \"id\" and \"rule_id\" is needed"),
            _ => {}
        }
    }
    match (has("timeline_id"), has("timeline_title")) {
        (true, false) => found.push("\"timeline_id\" needs \"timeline_title\""),
        (false, true) => found.push("\"timeline_title\" needs \"timeline_id\""),
        _ => {}
    }
    // only on create (contract 3.2)
    if form == Form::Create {
        match (has("concurrent_searches"), has("items_per_search")) {
            (true, false) => {
                found.push("\"concurrent_searches\" needs \"items_per_search\"");
            }
            (false, true) => {
                found.push("\"items_per_search\" needs \"concurrent_searches\"");
            }
            _ => {}
        }
    }
    if let Some(threshold) = rule.get("threshold")
        && cardinality_repeats(threshold)
    {
        found.push("the cardinality of a field that is grouped by is always 1");
    }
    for group in rule.get("threat_mapping").and_then(Value::as_array).into_iter().flatten() {
        let entries = group.get("entries").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let negated = |e: &Value| e.get("negate") == Some(&Value::Bool(true));
        if !entries.is_empty() && entries.iter().all(negated) {
            found.push("a group of \"threat_mapping\" needs an entry that is not negated");
        }
        let pair = |e: &Value| (e.get("field").cloned(), e.get("value").cloned());
        let (no, yes): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(|e| negated(e));
        if no.iter().any(|n| yes.iter().any(|y| pair(n) == pair(y))) {
            found.push("an entry of \"threat_mapping\" is both negated and matched");
        }
    }
    if super::state::default_lists(rule).nth(1).is_some() {
        found.push("a rule can have only one exception list of type rule_default");
    }
    if form != Form::Patch && version >= Version(9, 5, 0) {
        let from = lookback(text("from").unwrap_or("now-6m"));
        let to = lookback(text("to").unwrap_or("now"));
        if let (Some(from), Some(to), Some(every)) = (from, to, interval(text("interval").unwrap_or("5m")))
            && from - to < every
        {
            found.push("the time from \"from\" to \"to\" must not be shorter than \"interval\"");
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Refusal::list(found.into_iter().map(str::to_owned).collect())) }
}

fn cardinality_repeats(threshold: &Value) -> bool {
    let fields: Vec<&str> = match threshold.get("field") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let counted = threshold.get("cardinality").and_then(Value::as_array).into_iter().flatten();
    counted.filter_map(|c| c.get("field")?.as_str()).any(|f| fields.contains(&f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(more: Value) -> Value {
        let mut rule =
            json!({ "name": "n", "description": "d", "risk_score": 21, "severity": "low", "type": "query" });
        for (k, v) in more.as_object().unwrap() {
            rule.as_object_mut().unwrap().insert(k.clone(), v.clone());
        }
        rule
    }

    fn said(rule: &Value, form: Form) -> String {
        structure(rule, form).err().map(|r| r.message()).unwrap_or_default()
    }

    #[test]
    fn mistakes_are_worded_like_zods() {
        let create = |more| said(&rule(more), Form::Create);
        assert_eq!(create(json!({})), "");
        assert_eq!(
            said(&json!({ "type": "query", "name": "n", "description": "d", "risk_score": 1 }), Form::Create),
            "severity: Required"
        );
        assert_eq!(create(json!({ "tag": [] })), "Unrecognized key(s) in object: 'tag'");
        assert_eq!(
            create(json!({ "threshold": { "field": "a", "value": 1 } })),
            "Unrecognized key(s) in object: 'threshold'"
        );
        assert_eq!(create(json!({ "tags": null })), "tags: Expected array, received null");
        assert_eq!(create(json!({ "tags": [1] })), "tags.0: Expected string, received number");
        assert_eq!(
            create(json!({ "severity": "bad" })),
            "severity: Invalid enum value. Expected 'low' | 'medium' | 'high' | 'critical', received 'bad'"
        );
        assert!(
            create(json!({ "type": "sql" }))
                .starts_with("type: Invalid discriminator value. Expected 'query' | ")
        );
        assert_eq!(
            create(json!({ "risk_score": 101 })),
            "risk_score: Number must be less than or equal to 100"
        );
        assert_eq!(create(json!({ "name": "" })), "name: String must contain at least 1 character(s)");
        assert_eq!(create(json!({ "id": "x" })), "Unrecognized key(s) in object: 'id'");
        assert_eq!(said(&rule(json!({ "id": "x" })), Form::Update), "id: Invalid uuid");
        assert_eq!(
            said(&rule(json!({ "name": 1, "description": 1, "from": 1, "to": 1, "note": 1, "setup": 1, "tags": 1 })), Form::Create)
                .rsplit(", ")
                .next(),
            Some("and 2 more")
        );
        assert_eq!(said(&json!({ "type": "eql", "tags": ["x"] }), Form::Patch), "");
    }

    #[test]
    fn what_code_checks_is_a_list_of_messages() {
        let check = |more: Value, form| {
            semantics(rule(more).as_object().unwrap(), form, Version(9, 5, 1)).err().map(|r| match r.shape {
                super::super::refusal::Shape::List(all) => all.len(),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(check(json!({}), Form::Create), None);
        assert_eq!(check(json!({ "timeline_id": "a", "concurrent_searches": 1 }), Form::Create), Some(2));
        assert_eq!(check(json!({ "rule_id": "a", "concurrent_searches": 1 }), Form::Update), None);
        assert_eq!(check(json!({}), Form::Update), Some(1));
        assert_eq!(check(json!({ "id": "a", "rule_id": "b" }), Form::Patch), Some(1));
        assert_eq!(check(json!({ "from": "now-4m" }), Form::Create), Some(1));
        assert_eq!(check(json!({ "from": "now-5m" }), Form::Create), None);
        let list =
            |id| json!({ "id": id, "list_id": id, "type": "rule_default", "namespace_type": "single" });
        assert_eq!(check(json!({ "exceptions_list": [list("a"), list("b")] }), Form::Create), Some(1));
        let threshold = json!({ "field": "a", "value": 2, "cardinality": [{ "field": "a", "value": 1 }] });
        assert_eq!(check(json!({ "threshold": threshold }), Form::Create), Some(1));
        let entry = |v: &str, n: bool| json!({ "field": "f", "type": "mapping", "value": v, "negate": n });
        let both = json!([{ "entries": [entry("v", true), entry("v", false)] }]);
        assert_eq!(check(json!({ "threat_mapping": both }), Form::Create), Some(1));
        let alone = json!([{ "entries": [entry("v", true)] }]);
        assert_eq!(check(json!({ "threat_mapping": alone }), Form::Create), Some(1));
    }
}
