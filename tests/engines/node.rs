//! A running engine: indices, and queries put to them as rulepack compiles them.

use crate::interpreter::{self, refusal, table_of};
use crate::set::{Family, Language, Outcome};
use reqwest::blocking::Client;
use rulepack::lang::dsl::{self, Dialect, FieldInfo, Whole};
use rulepack::lang::{self, kql};
use rulepack::schema::Schema;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One engine.
pub struct Node {
    pub name: String,
    pub family: Family,
    pub version: String,
    url: String,
    client: Client,
    made: AtomicU64,
}

/// What became of a query.
pub enum Asked {
    Answered(Outcome),
    /// The engine cannot be asked: it lacks the language, or Query DSL cannot say the query.
    NotThere,
}

/// A query as it goes to the engine.
enum Sent {
    Search(Value),
    Refused(String),
    Nothing,
}

impl Node {
    /// `NAME=URL`.
    pub fn connect(given: &str) -> Node {
        let (name, url) = given.split_once('=').expect("NAME=URL");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().unwrap();
        let family = if name.starts_with("opensearch") { Family::OpenSearch } else { Family::Elasticsearch };
        let mut node = Node {
            name: name.to_owned(),
            family,
            version: String::new(),
            url: url.to_owned(),
            client,
            made: AtomicU64::new(0),
        };
        let nodes = node.call("GET", "/_nodes/_local/name", None).expect("the engine answers");
        let first = nodes["nodes"].as_object().and_then(|n| n.values().next()).cloned().unwrap();
        node.version = first["version"].as_str().unwrap_or_default().to_owned();
        node
    }

    /// A request with a JSON or NDJSON body.
    ///
    /// # Errors
    /// The engine's reason.
    pub fn call(&self, method: &str, path: &str, body: Option<String>) -> Result<Value, String> {
        let url = format!("{}{path}", self.url);
        let mut request = match method {
            "PUT" => self.client.put(url),
            "POST" => self.client.post(url),
            "DELETE" => self.client.delete(url),
            _ => self.client.get(url),
        };
        if let Some(body) = body {
            let many = path.contains("/_bulk") || path.contains("/_msearch");
            let kind = if many { "application/x-ndjson" } else { "application/json" };
            request = request.header("content-type", kind).body(body);
        }
        let answer = request.send().map_err(|e| e.to_string())?;
        let status = answer.status();
        let body: Value = serde_json::from_str(&answer.text().map_err(|e| e.to_string())?)
            .map_err(|e| format!("{path}: {e}"))?;
        if status.is_success() { Ok(body) } else { Err(reason(&body)) }
    }

    /// An index with documents; `None` when the engine lacks a type of the mapping.
    pub fn index(&self, properties: &Value, documents: &[(String, Value)]) -> Option<Index<'_>> {
        let name = format!("s{}-{}", std::process::id(), self.made.fetch_add(1, Ordering::Relaxed));
        let own = self.dialect(properties);
        let body = json!({
            "settings": { "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1" },
            "mappings": { "properties": own }
        });
        if let Err(why) = self.call("PUT", &format!("/{name}"), Some(body.to_string())) {
            let missing = [
                "No handler for type",
                "does not exist. It might have been created",
                "unsupported parameters",
            ];
            assert!(missing.iter().any(|m| why.contains(m)), "{why}");
            return None;
        }
        let mut bulk = String::new();
        for (id, source) in documents {
            bulk += &format!("{}\n{source}\n", json!({ "index": { "_id": id } }));
        }
        let answer = self.call("POST", &format!("/{name}/_bulk?refresh=true"), Some(bulk)).unwrap();
        if answer["errors"] == true {
            let items = answer["items"].as_array().cloned().unwrap_or_default();
            let bad = items.iter().find(|i| i["index"].get("error").is_some()).cloned().unwrap_or_default();
            println!("  {}: rejects a document, so the set is left out: {bad}", self.name);
            return None;
        }
        let fields =
            rulepack::schema::parse_mapping(&json!({ "properties": properties }).to_string()).unwrap();
        let layer = rulepack::schema::Layer {
            fields: std::sync::Arc::new(fields),
            version: None,
            label: "the mapping".to_owned(),
        };
        Some(Index { node: self, name, schema: Schema::new(vec![layer]) })
    }

    /// OpenSearch's name for a flattened field.
    fn dialect(&self, properties: &Value) -> Value {
        match properties {
            Value::Object(map) => map
                .iter()
                .map(|(k, v)| {
                    let is_type = k == "type" && v == "flattened" && self.family == Family::OpenSearch;
                    (k.clone(), if is_type { json!("flat_object") } else { self.dialect(v) })
                })
                .collect(),
            other => other.clone(),
        }
    }
}

/// The shortest telling reason in an error.
fn reason(body: &Value) -> String {
    let error = &body["error"];
    let deepest = error["failed_shards"][0]["reason"].get("reason");
    let found = deepest.or_else(|| error["root_cause"][0].get("reason")).or_else(|| error.get("reason"));
    found.and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned)
}

/// An index of an engine, removed when it is dropped.
pub struct Index<'a> {
    node: &'a Node,
    name: String,
    schema: Schema,
}

impl Drop for Index<'_> {
    fn drop(&mut self) {
        let _ = self.node.call("DELETE", &format!("/{}", self.name), None);
    }
}

impl Index<'_> {
    /// Puts queries to the engine, all searches in one request.
    pub fn answers(&self, language: Language, queries: &[&str]) -> Vec<Asked> {
        if language == Language::Esql {
            return queries.iter().map(|q| self.esql(q)).collect();
        }
        if language == Language::Threshold {
            return queries.iter().map(|q| Asked::Answered(self.threshold(q))).collect();
        }
        let sent: Vec<Sent> = queries.iter().map(|q| compile(language, q, &self.schema)).collect();
        let mut answers = Vec::new();
        let searches: Vec<&Value> =
            sent.iter().filter_map(|s| if let Sent::Search(q) = s { Some(q) } else { None }).collect();
        for part in searches.chunks(100) {
            let bodies: Vec<String> = part
                .iter()
                .map(|q| json!({ "size": 1000, "_source": false, "query": q }).to_string())
                .collect();
            let many = bodies.iter().map(|b| format!("{{}}\n{b}\n")).collect();
            match self.node.call("POST", &format!("/{}/_msearch", self.name), Some(many)) {
                Ok(answer) => answers.extend(answer["responses"].as_array().cloned().unwrap_or_default()),
                // one that cannot be parsed spoils the request
                Err(_) => answers.extend(bodies.into_iter().map(|body| {
                    let path = format!("/{}/_search", self.name);
                    self.node
                        .call("POST", &path, Some(body))
                        .unwrap_or_else(|why| json!({ "error": { "reason": why } }))
                })),
            }
        }
        let mut answers = answers.into_iter();
        sent.iter()
            .map(|s| match s {
                Sent::Refused(why) => Asked::Answered(Outcome::Refused(why.clone())),
                Sent::Nothing => Asked::NotThere,
                Sent::Search(_) => Asked::Answered(of_search(&answers.next().unwrap_or_default())),
            })
            .collect()
    }

    /// The search of a threshold rule: a composite aggregation, of which the buckets below the threshold are left out.
    fn threshold(&self, query: &str) -> Outcome {
        let asked = interpreter::asked(query);
        let sources: Vec<Value> = asked
            .fields
            .iter()
            .enumerate()
            .map(|(i, f)| json!({ format!("k{i}"): { "terms": { "field": f } } }))
            .collect();
        let mut inner = serde_json::Map::new();
        if let Some((field, _)) = &asked.cardinality {
            inner.insert("distinct".to_owned(), json!({ "cardinality": { "field": field } }));
        }
        let aggs = if sources.is_empty() {
            json!({ "groups": { "filter": { "match_all": {} }, "aggs": inner } })
        } else {
            json!({ "groups": { "composite": { "size": 1000, "sources": sources }, "aggs": inner } })
        };
        let body = json!({ "size": 0, "query": { "match_all": {} }, "aggs": aggs });
        let path = format!("/{}/_search", self.name);
        let answer = match self.node.call("POST", &path, Some(body.to_string())) {
            Ok(answer) => answer,
            Err(why) => return Outcome::Refused(why),
        };
        let groups = &answer["aggregations"]["groups"];
        let listed = groups["buckets"].as_array().cloned().unwrap_or_else(|| vec![groups.clone()]);
        let found = listed.iter().filter_map(|b| {
            let key = (0..asked.fields.len()).map(|i| b["key"][format!("k{i}")].clone()).collect();
            let n = b["doc_count"].as_u64()?;
            let distinct = b["distinct"]["value"].as_u64();
            let least = asked.cardinality.as_ref().map_or(0, |(_, least)| *least);
            (n >= asked.value.max(1) && distinct.unwrap_or(0) >= least).then_some((key, n, distinct))
        });
        interpreter::buckets(&asked, found.collect())
    }

    fn esql(&self, query: &str) -> Asked {
        // without the machine learning plugin, which is not on Central, these end the node
        let fatal = ["CHANGE_POINT", "CATEGORIZE"].iter().any(|word| query.contains(word));
        if self.node.family == Family::OpenSearch || fatal {
            return Asked::NotThere;
        }
        let query = query.replacen("FROM docs", &format!("FROM {}", self.name), 1);
        let body = json!({ "query": query }).to_string();
        Asked::Answered(match self.node.call("POST", "/_query", Some(body)) {
            // the plugin is not there
            Err(why) if why.contains("Incorrect HTTP method for uri [/_query]") => return Asked::NotThere,
            Err(why) => Outcome::Refused(why),
            Ok(table) => {
                let columns = table["columns"].as_array().cloned().unwrap_or_default();
                let columns = columns.iter().map(|c| {
                    format!("{}:{}", c["name"].as_str().unwrap_or("?"), c["type"].as_str().unwrap_or("?"))
                });
                let rows = table["values"].as_array().cloned().unwrap_or_default();
                table_of(columns.collect(), rows, &query)
            }
        })
    }
}

fn of_search(answer: &Value) -> Outcome {
    if answer.get("error").is_some() {
        return Outcome::Refused(reason(answer));
    }
    let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
    Outcome::Hits(hits.iter().filter_map(|h| h["_id"].as_str().map(str::to_owned)).collect())
}

/// A query as Query DSL, by rulepack's own compilers.
fn compile(language: Language, text: &str, schema: &Schema) -> Sent {
    let fields = FieldInfo::of(schema);
    match language {
        Language::Kql | Language::KqlPlain => {
            let parsed = kql::parse(text);
            if let Some(why) = refusal(&parsed.diagnostics) {
                return Sent::Refused(why);
            }
            let Some(query) = parsed.query else { return Sent::Refused("no query".to_owned()) };
            let fields = (language == Language::Kql).then_some(&fields);
            let options = kql::DslOptions { fields, time_zone: Some(dsl::ZONE), dialect: Dialect::Elastic };
            match kql::compile(&query, &options) {
                Ok(made) => Sent::Search(made),
                Err(found) => Sent::Refused(refusal(&found).unwrap_or_default()),
            }
        }
        Language::Lucene => {
            let whole = Whole {
                language: lang::Language::Lucene,
                query: text,
                filters: &[],
                exceptions: Vec::new(),
                fields: None,
                dialect: Dialect::Elastic,
            };
            match whole.compile() {
                Ok(made) => Sent::Search(made),
                Err(e) => Sent::Refused(format!("{e:?}")),
            }
        }
        Language::Eql => {
            let analysis = lang::analyze(lang::Language::Eql, text, schema, &interpreter::settings(language));
            // there is no EQL server to ask whether the refusal is right
            if analysis.has_errors() || !analysis.pipes.is_empty() {
                return Sent::Nothing;
            }
            let Some(plan) = analysis.plan else { return Sent::Nothing };
            let (made, losses) = dsl::of_plan(&plan);
            if losses.is_empty() { Sent::Search(made) } else { Sent::Nothing }
        }
        Language::Dsl => Sent::Search(serde_json::from_str(text).unwrap()),
        Language::Esql | Language::Threshold => Sent::Nothing,
    }
}
