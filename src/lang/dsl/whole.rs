//! The whole query of a rule, as the detection engine sends it: the query, its filters, its exceptions
//! and, where one is asked for, the time range.

use super::filters::{BadFilter, Clauses, clauses, is_match_all};
use super::{Dialect, FieldInfo};
use crate::diag::{Code, Diagnostic};
use crate::lang::{Language, kql, lucene};
use serde_json::{Value, json};

/// The parts of a whole query.
#[derive(Clone, Debug)]
pub struct Whole<'a> {
    /// The language of the query.
    pub language: Language,
    /// Its text.
    pub query: &'a str,
    /// Kibana's filter objects.
    pub filters: &'a [Value],
    /// Queries of exceptions: documents that satisfy one do not alert.
    pub exceptions: Vec<Value>,
    /// What the fields are; `None` for "no field information".
    pub fields: Option<&'a FieldInfo>,
    /// Whose compiler.
    pub dialect: Dialect,
}

/// Why there is no whole query.
#[derive(Debug)]
pub enum Refused {
    /// Findings in the query; spans in its text.
    Query(Vec<Diagnostic>),
    /// Filters that are none.
    Filters(Vec<BadFilter>),
}

/// The range of a rule's run.
#[derive(Clone, Debug)]
pub struct TimeRange<'a> {
    /// The field of the rule's time: `@timestamp`, or its override.
    pub field: &'a str,
    /// Whether documents without the override are found by `@timestamp`.
    pub fallback: bool,
    /// The start, as Elasticsearch reads it.
    pub from: &'a str,
    /// The end.
    pub to: &'a str,
}

/// The zone that the detection engine gives dates without one.
pub const ZONE: &str = "Zulu";

impl Whole<'_> {
    /// The query and its filters, without the time range.
    ///
    /// # Errors
    /// What Kibana would refuse.
    pub fn compile(&self) -> Result<Value, Refused> {
        let mut must = Vec::new();
        let mut filter = Vec::new();
        match self.language {
            Language::Kql => {
                if self.dialect == Dialect::OpenSearch
                    && let Some(d) = kql::dql_difference(self.query)
                {
                    return Err(Refused::Query(vec![d]));
                }
                let parsed = kql::parse(self.query);
                let errors = || parsed.diagnostics.iter().any(|d| d.severity == crate::diag::Severity::Error);
                let Some(query) = parsed.query.as_ref().filter(|_| !errors()) else {
                    return Err(Refused::Query(parsed.diagnostics));
                };
                let options =
                    kql::DslOptions { fields: self.fields, time_zone: Some(ZONE), dialect: self.dialect };
                filter.push(kql::compile(query, &options).map_err(Refused::Query)?);
            }
            Language::Lucene => {
                lucene::parse(self.query).map_err(|d| Refused::Query(vec![*d]))?;
                must.push(if self.query.trim().is_empty() {
                    json!({ "match_all": {} })
                } else {
                    json!({ "query_string": {
                        "query": self.query, "analyze_wildcard": true, "time_zone": ZONE } })
                });
            }
            // Kibana sends these as they are, to their own endpoints, with the filters beside them
            other => {
                let message =
                    format!("compiling rules in {} to Query DSL is not supported yet", other.name());
                return Err(Refused::Query(vec![Diagnostic::new(Code::RP9001, message)]));
            }
        }
        let found: Clauses = clauses(self.filters, self.fields).map_err(Refused::Filters)?;
        filter.extend(found.filter.into_iter().map(|(_, q)| q));
        let mut must_not: Vec<Value> = found.must_not.into_iter().map(|(_, q)| q).collect();
        must_not.extend(self.exceptions.iter().cloned());
        must.retain(|q| !is_match_all(q));
        filter.retain(|q| !is_match_all(q));
        Ok(json!({ "bool": { "must": must, "filter": filter, "should": [], "must_not": must_not } }))
    }
}

impl TimeRange<'_> {
    /// The search of one run: the whole query within the range.
    pub fn around(&self, query: Value) -> Value {
        let range = |field: &str| {
            json!({ "range": { field: {
                "lte": self.to, "gte": self.from, "format": "strict_date_optional_time" } } })
        };
        let time = if self.field == "@timestamp" || !self.fallback {
            range(self.field)
        } else {
            json!({ "bool": { "minimum_should_match": 1, "should": [
                range(self.field),
                { "bool": { "filter": [
                    range("@timestamp"),
                    { "bool": { "must_not": { "exists": { "field": self.field } } } }
                ] } }
            ] } })
        };
        json!({ "bool": { "filter": [query, time] } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole<'a>(language: Language, query: &'a str, filters: &'a [Value]) -> Whole<'a> {
        Whole { language, query, filters, exceptions: Vec::new(), fields: None, dialect: Dialect::Elastic }
    }

    #[test]
    fn what_matches_everything_drops_out_but_not_where_it_is_negated() {
        let all = json!({"query": {"match_all": {}}});
        let none = json!({"meta": {"negate": true}, "query": {"match_all": {}}});
        let filters = [all, none];
        let made = whole(Language::Kql, "", &filters).compile().unwrap();
        assert_eq!(
            made,
            json!({"bool": {"must": [], "filter": [], "should": [], "must_not": [{"match_all": {}}]}})
        );
    }

    #[test]
    fn lucene_goes_to_elasticsearch_as_it_is() {
        let made = whole(Language::Lucene, "a:b", &[]).compile().unwrap();
        let sent = json!({"query": "a:b", "analyze_wildcard": true, "time_zone": "Zulu"});
        assert_eq!(made.pointer("/bool/must/0/query_string"), Some(&sent));
        let blank = whole(Language::Lucene, " ", &[]).compile().unwrap();
        assert_eq!(blank.pointer("/bool/must"), Some(&json!([])));
    }

    #[test]
    fn a_run_reads_by_the_override_and_else_by_the_time_of_the_event() {
        let range = TimeRange { field: "event.ingested", fallback: true, from: "now-6m", to: "now" };
        let search = range.around(json!({"match_all": {}}));
        assert!(search.pointer("/bool/filter/1/bool/should/1/bool/filter/0/range/@timestamp").is_some());
        let range = TimeRange { field: "@timestamp", fallback: true, from: "now-6m", to: "now" };
        let search = range.around(json!({"match_all": {}}));
        assert!(search.pointer("/bool/filter/1/range/@timestamp").is_some());
    }
}
