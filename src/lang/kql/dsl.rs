//! KQL compiled to Query DSL, exactly as Kibana does it: which query a clause becomes depends on what
//! the fields are, and on nothing else.

use super::ast::{Node, NodeKind, Query, RangeOp, Term, TermValue};
use super::check::pattern_matches;
use crate::diag::{Code, Diagnostic};
use crate::lang::fieldcaps::{Dialect, FieldInfo, Known, escape_query_string};
use crate::source::Span;
use serde_json::{Map, Value, json};

/// How a query is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Options<'s> {
    /// What the fields are; `None` for Kibana's "no field information".
    pub fields: Option<&'s FieldInfo>,
    /// The zone of dates that name none: `Zulu` for detection rules.
    pub time_zone: Option<&'s str>,
    /// Whose compiler.
    pub dialect: Dialect,
}

/// The Query DSL of a query.
///
/// # Errors
/// What the compiler refuses: nested fields outside of their group, and other fields inside.
pub fn compile(query: &Query, options: &Options<'_>) -> Result<Value, Vec<Diagnostic>> {
    let mut compiler = Compiler { options, found: Vec::new() };
    let compiled = match &query.root {
        Some(root) => compiler.node(root, None),
        None => json!({ "match_all": {} }),
    };
    if compiler.found.is_empty() { Ok(compiled) } else { Err(compiler.found) }
}

/// What a text means otherwise in OpenSearch Dashboards, where neither `\u` escapes nor no-break spaces
/// are special.
pub fn dql_difference(text: &str) -> Option<Diagnostic> {
    let at = text.find("\\u").or_else(|| text.find('\u{a0}'))?;
    let d = Diagnostic::new(Code::RP9001, "`\\u` escapes and no-break spaces in DQL are not supported yet");
    Some(d.at(Span::new(at, at + 2), "read otherwise by OpenSearch Dashboards"))
}

struct Compiler<'a> {
    options: &'a Options<'a>,
    found: Vec<Diagnostic>,
}

/// A field that a clause asks.
struct Target {
    name: String,
    known: Option<Known>,
}

impl Target {
    fn is_pure_keyword(&self, dialect: Dialect) -> bool {
        dialect == Dialect::Elastic && self.known.as_ref().is_some_and(|k| k.pure_keyword)
    }

    fn is_date(&self) -> bool {
        self.known.as_ref().is_some_and(|k| k.date)
    }
}

fn object(key: &str, value: Value) -> Value {
    let mut map = Map::new();
    map.insert(key.to_owned(), value);
    Value::Object(map)
}

impl Compiler<'_> {
    fn node(&mut self, node: &Node, path: Option<&str>) -> Value {
        match &node.kind {
            NodeKind::And(parts) => {
                let parts: Vec<Value> = parts.iter().map(|p| self.node(p, path)).collect();
                json!({ "bool": { "filter": parts } })
            }
            NodeKind::Or(parts) => {
                let parts: Vec<Value> = parts.iter().map(|p| self.node(p, path)).collect();
                json!({ "bool": { "should": parts, "minimum_should_match": 1 } })
            }
            NodeKind::Not(child) => {
                let child = self.node(child, path);
                json!({ "bool": { "must_not": child } })
            }
            NodeKind::Nested { path: own, child } => {
                let full = full_name(Some(own), path);
                let child = self.node(child, Some(&full));
                json!({ "nested": { "path": full, "query": child, "score_mode": "none" } })
            }
            NodeKind::Is { field, value } => self.is(field.as_deref(), value, node.span, path),
            NodeKind::Range { field, op, value } => self.range(field, *op, value, path),
        }
    }

    fn is(&mut self, field: Option<&Term>, value: &Term, span: Span, path: Option<&str>) -> Value {
        let lone_star = value.value.is_lone_star();
        if lone_star
            && self.options.dialect == Dialect::Elastic
            && field.is_some_and(|f| f.value.is_lone_star())
        {
            return json!({ "match_all": {} });
        }
        if field.is_none() && path.is_none() {
            return match &value.value {
                TermValue::Wildcard(parts) => {
                    json!({ "query_string": { "query": self.query_string(parts) } })
                }
                other => {
                    let kind = if is_quoted(other) { "phrase" } else { "best_fields" };
                    json!({ "multi_match": { "type": kind, "query": self.literal(other), "lenient": true } })
                }
            };
        }
        let targets = self.targets(field, span, path);
        if lone_star && self.options.dialect == Dialect::OpenSearch && self.is_every_field(field, &targets) {
            return json!({ "match_all": {} });
        }
        let mut clauses = Vec::with_capacity(targets.len());
        for target in &targets {
            let clause = self.clause(target, &value.value);
            clauses.push(self.wrapped(target, clause, path));
        }
        any(clauses)
    }

    /// One field and a value: the decision table.
    fn clause(&self, target: &Target, value: &TermValue) -> Value {
        let name = target.name.as_str();
        let keyword = target.is_pure_keyword(self.options.dialect);
        match value {
            v if v.is_lone_star() => json!({ "exists": { "field": name } }),
            TermValue::Wildcard(parts) if keyword => {
                json!({ "wildcard": object(name, json!({ "value": self.query_string(parts) })) })
            }
            TermValue::Wildcard(parts) => {
                json!({ "query_string": { "fields": [name], "query": self.query_string(parts) } })
            }
            v if keyword => json!({ "term": object(name, json!({ "value": self.literal(v) })) }),
            v if target.is_date() => {
                let value = self.literal(v);
                let mut range = Map::new();
                range.insert("gte".to_owned(), value.clone());
                range.insert("lte".to_owned(), value);
                let digits = is_digits(&v.to_string()) && self.options.dialect == Dialect::Elastic;
                self.add_zone(&mut range, !digits);
                json!({ "range": object(name, Value::Object(range)) })
            }
            v if is_quoted(v) => json!({ "match_phrase": object(name, self.literal(v)) }),
            v => json!({ "match": object(name, self.literal(v)) }),
        }
    }

    fn range(&mut self, field: &Term, op: RangeOp, value: &Term, path: Option<&str>) -> Value {
        let targets = self.targets(Some(field), field.span, path);
        let op = match op {
            RangeOp::Greater => "gt",
            RangeOp::GreaterEqual => "gte",
            RangeOp::Less => "lt",
            RangeOp::LessEqual => "lte",
        };
        let mut clauses = Vec::with_capacity(targets.len());
        for target in &targets {
            let mut range = Map::new();
            range.insert(op.to_owned(), self.literal(&value.value));
            self.add_zone(&mut range, target.is_date());
            let clause = json!({ "range": object(&target.name, Value::Object(range)) });
            clauses.push(self.wrapped(target, clause, path));
        }
        any(clauses)
    }

    fn add_zone(&self, range: &mut Map<String, Value>, wanted: bool) {
        if let (true, Some(zone)) = (wanted, self.options.time_zone) {
            range.insert("time_zone".to_owned(), zone.into());
        }
    }

    /// A nested field that a pattern of names found outside of any group.
    fn wrapped(&self, target: &Target, clause: Value, path: Option<&str>) -> Value {
        match target.known.as_ref().and_then(|k| k.nested.as_deref()) {
            Some(nested) if path.is_none() => {
                json!({ "nested": { "path": nested, "query": clause, "score_mode": "none" } })
            }
            _ => clause,
        }
    }

    /// The fields that a name stands for: a name that is not known stands for itself.
    fn targets(&mut self, field: Option<&Term>, span: Span, path: Option<&str>) -> Vec<Target> {
        let name = full_name(field, path);
        let span = field.map_or(span, |f| f.span);
        let mut found: Vec<Target> = Vec::new();
        let pattern = field.is_some_and(|f| matches!(f.value, TermValue::Wildcard(_)));
        if let Some(info) = self.options.fields {
            match field.map(|f| &f.value) {
                Some(TermValue::Wildcard(parts)) => {
                    let prefix = path.map(|p| format!("{p}."));
                    let matches = |full: &str| match &prefix {
                        Some(p) => full.strip_prefix(p.as_str()).is_some_and(|r| pattern_matches(parts, r)),
                        None => pattern_matches(parts, full),
                    };
                    let all = info.iter().filter(|(n, _)| matches(n));
                    found.extend(all.map(|(n, k)| Target { name: n.to_owned(), known: Some(k.clone()) }));
                }
                _ => found
                    .extend(info.get(&name).map(|k| Target { name: name.clone(), known: Some(k.clone()) })),
            }
        }
        if !(pattern && path.is_none()) {
            for target in &found {
                let own = target.known.as_ref().and_then(|k| k.nested.as_deref());
                self.found.extend(nested_misuse(&target.name, own, path, span));
            }
        }
        if found.is_empty() {
            found.push(Target { name, known: None });
        }
        found
    }

    /// OpenSearch Dashboards: a name that stands for all fields of the index pattern.
    fn is_every_field(&self, field: Option<&Term>, targets: &[Target]) -> bool {
        field.is_some_and(|f| f.value.is_lone_star())
            || self.options.fields.is_some_and(|info| !info.is_empty() && targets.len() == info.len())
    }

    fn query_string(&self, parts: &[Box<str>]) -> String {
        let parts: Vec<String> = parts.iter().map(|p| escape_query_string(p, self.options.dialect)).collect();
        parts.join("*")
    }

    fn literal(&self, value: &TermValue) -> Value {
        match value {
            TermValue::Null => Value::Null,
            TermValue::Bool(b) => Value::Bool(*b),
            TermValue::Text { text, quoted: false } if self.options.dialect == Dialect::OpenSearch => {
                dql_number(text).unwrap_or_else(|| text.as_ref().into())
            }
            other => other.to_string().into(),
        }
    }
}

fn any(clauses: Vec<Value>) -> Value {
    json!({ "bool": { "should": clauses, "minimum_should_match": 1 } })
}

fn is_quoted(value: &TermValue) -> bool {
    matches!(value, TermValue::Text { quoted: true, .. })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A name inside a group; Kibana glues `null` on for a value without a field.
fn full_name(field: Option<&Term>, path: Option<&str>) -> String {
    let own = field.map_or_else(|| "null".to_owned(), |f| f.value.to_string());
    match path {
        Some(path) => format!("{path}.{own}"),
        None => own,
    }
}

fn nested_misuse(name: &str, own: Option<&str>, path: Option<&str>, span: Span) -> Option<Diagnostic> {
    if own == path {
        return None;
    }
    let message = match (own, path) {
        (Some(own), None) => {
            format!("`{name}` is a nested field and can only be asked inside `{own}: {{ … }}`")
        }
        (Some(own), Some(here)) => format!("`{name}` belongs to `{own}: {{ … }}`, not to `{here}: {{ … }}`"),
        (None, _) => format!("`{name}` is not a nested field"),
    };
    Some(Diagnostic::new(Code::RP0203, message).at(span, "Kibana refuses it"))
}

/// The number that OpenSearch Dashboards makes of an unquoted text: `5`, `-1.5`, `0.25`, `.5`.
fn dql_number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let number = match unsigned.split_once('.') {
        None => text == "0" || (digits(unsigned) && !unsigned.starts_with('0')),
        Some(("", fraction)) => text.starts_with('.') && digits(fraction),
        Some(("0", fraction)) => text == "0.0" || (digits(fraction) && !fraction.ends_with('0')),
        Some((whole, fraction)) => digits(whole) && !whole.starts_with('0') && digits(fraction),
    };
    if !number {
        return None;
    }
    let whole = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
    whole.ok().or_else(|| {
        let f: f64 = text.parse().ok()?;
        if f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0 {
            return Some(Value::from(f as i64));
        }
        serde_json::Number::from_f64(f).map(Value::Number)
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::schema::{Layer, Schema, parse_mapping};
    use std::sync::Arc;

    fn info() -> FieldInfo {
        let fields = parse_mapping(
            &json!({"properties": {
                "name": {"type": "keyword", "fields": {"text": {"type": "text"}}},
                "seen": {"type": "date"}, "size": {"type": "long"}, "line": {"type": "wildcard"},
                "parts": {"type": "nested", "properties": {"sku": {"type": "keyword"}}}}})
            .to_string(),
        )
        .unwrap();
        FieldInfo::of(&Schema::new(vec![Layer {
            fields: Arc::new(fields),
            version: None,
            label: "m".into(),
        }]))
    }

    fn compiled(query: &str, fields: Option<&FieldInfo>, dialect: Dialect) -> Result<Value, Vec<Diagnostic>> {
        let options = Options { fields, time_zone: Some("Zulu"), dialect };
        compile(&parse(query).query.unwrap(), &options)
    }

    fn known(query: &str) -> Value {
        compiled(query, Some(&info()), Dialect::Elastic).unwrap()
    }

    fn unknown(query: &str) -> Value {
        compiled(query, None, Dialect::Elastic).unwrap()
    }

    fn one(clause: Value) -> Value {
        any(vec![clause])
    }

    #[test]
    fn a_clause_becomes_the_query_of_its_fields_type() {
        assert_eq!(known("name: web"), one(json!({"term": {"name": {"value": "web"}}})));
        assert_eq!(known("name: we*"), one(json!({"wildcard": {"name": {"value": "we*"}}})));
        assert_eq!(known("line: a-*"), one(json!({"wildcard": {"line": {"value": "a\\-*"}}})));
        assert_eq!(known("name.text: \"a b\""), one(json!({"match_phrase": {"name.text": "a b"}})));
        assert_eq!(
            known("name.text: a*"),
            one(json!({"query_string": {"fields": ["name.text"], "query": "a*"}}))
        );
        assert_eq!(
            known("seen: \"2026-01\""),
            one(json!({"range": {"seen": {"gte": "2026-01", "lte": "2026-01", "time_zone": "Zulu"}}}))
        );
        assert_eq!(known("seen: 5"), one(json!({"range": {"seen": {"gte": "5", "lte": "5"}}})));
        assert_eq!(known("seen > 5"), one(json!({"range": {"seen": {"gt": "5", "time_zone": "Zulu"}}})));
        assert_eq!(known("size: *"), one(json!({"exists": {"field": "size"}})));
        assert_eq!(known("*: *"), json!({"match_all": {}}));
    }

    #[test]
    fn the_deepest_query_compiles_and_is_laid_out() {
        let n = crate::lang::MAX_DEPTH / 2 - 1;
        let text = format!("{}a: b{}", "n: { not (x: y or ".repeat(n), ") }".repeat(n));
        let query = parse(&text).query.unwrap();
        let options = Options { fields: None, time_zone: None, dialect: Dialect::Elastic };
        assert!(compile(&query, &options).is_ok());
        assert_eq!(parse(&super::super::layout(&query, 40)).query, Some(query));
    }

    #[test]
    fn without_field_information_the_value_alone_decides() {
        assert_eq!(unknown("name: web"), one(json!({"match": {"name": "web"}})));
        assert_eq!(unknown("name: true"), one(json!({"match": {"name": true}})));
        assert_eq!(unknown("seen >= now-1d"), one(json!({"range": {"seen": {"gte": "now-1d"}}})));
        assert_eq!(
            unknown("web"),
            json!({"multi_match": {"type": "best_fields", "query": "web", "lenient": true}})
        );
        assert_eq!(unknown("*"), json!({"query_string": {"query": "*"}}));
        assert_eq!(unknown(""), json!({"match_all": {}}));
        assert_eq!(
            unknown("p: { sku: a and not x }"),
            json!({"nested": {"path": "p", "score_mode": "none", "query": {"bool": {"filter": [
                {"bool": {"should": [{"match": {"p.sku": "a"}}], "minimum_should_match": 1}},
                {"bool": {"must_not": {"bool": {
                    "should": [{"match": {"p.null": "x"}}], "minimum_should_match": 1}}}}]}}}})
        );
    }

    #[test]
    fn nested_fields_belong_into_their_group_and_patterns_bring_it() {
        assert_eq!(
            known("*sku: a"),
            one(json!({"nested": {"path": "parts", "score_mode": "none",
                "query": {"term": {"parts.sku": {"value": "a"}}}}}))
        );
        for refused in [
            "parts.sku: a",
            "parts: { name: a } or name: { name: b }",
            "parts: { sku: a and sku.x: { y: 1 } } and parts.sku > 1",
        ] {
            let answer = compiled(refused, Some(&info()), Dialect::Elastic);
            if refused.contains("parts.sku") {
                assert!(answer.unwrap_err().iter().all(|d| d.code == Code::RP0203), "{refused}");
            } else {
                // names that are not known are nobody's mistake to Kibana
                assert!(answer.is_ok(), "{refused}");
            }
        }
    }

    #[test]
    fn opensearch_dashboards_has_numbers_and_no_keyword_queries() {
        let dql = |query: &str| compiled(query, Some(&info()), Dialect::OpenSearch).unwrap();
        assert_eq!(dql("name: web"), one(json!({"match": {"name": "web"}})));
        assert_eq!(dql("size > 15"), one(json!({"range": {"size": {"gt": 15}}})));
        assert_eq!(dql("size: 1.5"), one(json!({"match": {"size": 1.5}})));
        for text in ["01", "1e3", "0.50", "-", "1.", "x"] {
            assert_eq!(dql_number(text), None, "{text}");
        }
        assert_eq!(dql_number("-0.5"), Some(json!(-0.5)));
        assert_eq!(dql("name: 1.*"), one(json!({"query_string": {"fields": ["name"], "query": "\\1\\.*"}})));
    }
}
