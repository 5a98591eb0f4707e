//! The calls of Kibana's API that a deploy needs, each with what Kibana is known to do about it.

use super::ownership::Live;
use crate::target::http::{Credentials, Failure, Http, Options, Repeat, each, encode};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many rules one page of a search has.
const PAGE: usize = 500;

/// The most ids that one bulk action takes.
pub const BULK: usize = 100;

/// The longest list of rule ids in one search, in bytes of the URL; servers take 8 KB.
const MAX_CLAUSE: usize = 6_000;

/// A space of a Kibana.
#[derive(Debug)]
pub struct Kibana {
    http: Http,
    space: String,
    prefix: String,
}

/// What a Kibana says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its version; `None` where the caller may not know.
    pub version: Option<String>,
    /// Whether it is a serverless project.
    pub serverless: bool,
}

/// What a bulk action came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bulk {
    /// Why it failed, by the id of the object.
    pub failed: BTreeMap<String, String>,
}

/// The settings for a Kibana at an address: with the headers that it wants to see.
pub fn options(base: &str, credentials: Credentials) -> Options {
    let mut options = Options::new(base, credentials);
    options.headers = &[("kbn-xsrf", "rulepack"), ("elastic-api-version", "2023-10-31")];
    options
}

impl Kibana {
    /// A space of the Kibana that `http` reaches.
    pub fn new(http: Http, space: &str) -> Kibana {
        let prefix = if space == "default" { String::new() } else { format!("/s/{}", encode(space)) };
        Kibana { http, space: space.to_owned(), prefix }
    }

    /// The connection.
    pub fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<Value, Failure> {
        self.http.send(method, &format!("{}{path}", self.prefix), body, repeat)
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call("GET", path, None, Repeat::Free)
    }

    /// Sends a file, as a form of a web page does. Not repeated when the answer is lost.
    pub(super) fn upload(&self, path: &str, name: &str, content: &[u8]) -> Result<(), Failure> {
        self.http.upload(&format!("{}{path}", self.prefix), name, content).map(|_| ())
    }

    /// Version and flavour. Someone without rights gets an answer without them.
    ///
    /// # Errors
    /// When Kibana is not reached, not ready, or refuses the credentials.
    pub fn about(&self) -> Result<About, Failure> {
        let status = self.http.send("GET", "/api/status", None, Repeat::Free)?;
        if status.get("status").is_none() {
            let message = "the answer is not that of a Kibana; is the address right?".to_owned();
            return Err(Failure::Refused { status: 200, message, body: Value::Null });
        }
        let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
        Ok(About {
            version: text("/version/number").map(crate::target::http::one_line),
            serverless: text("/version/build_flavor") == Some("serverless"),
        })
    }

    /// Whether the space exists; `None` where the caller may not look.
    ///
    /// # Errors
    /// When Kibana does not answer.
    pub fn has_space(&self) -> Result<Option<bool>, Failure> {
        match self.http.send("GET", &format!("/api/spaces/space/{}", encode(&self.space)), None, Repeat::Free)
        {
            Ok(_) => Ok(Some(true)),
            Err(Failure::Refused { status: 404, .. }) => Ok(Some(false)),
            Err(Failure::Refused { status: 403, .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The caller's privileges, as the Detection Engine sees them.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn privileges(&self) -> Result<Value, Failure> {
        self.get("/api/detection_engine/privileges")
    }

    /// Every rule that a filter (KQL over saved objects) finds, each once, oldest first.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn find(&self, filter: &str) -> Result<Vec<Live>, Failure> {
        // pages shift when rules come or go meanwhile: then everything is read once more
        let mut result = self.find_once(filter)?;
        for _ in 0..3 {
            if result.1 {
                break;
            }
            result = self.find_once(filter)?;
        }
        Ok(result.0)
    }

    fn find_once(&self, filter: &str) -> Result<(Vec<Live>, bool), Failure> {
        let mut found: Vec<Live> = Vec::new();
        let mut ids = std::collections::BTreeSet::new();
        let mut total = None;
        let mut steady = true;
        for page in 1..=10_000 / PAGE {
            let mut path = format!(
                "/api/detection_engine/rules/_find?page={page}&per_page={PAGE}&sort_field=created_at&sort_order=asc"
            );
            if !filter.is_empty() {
                path.push_str(&format!("&filter={}", encode(filter)));
            }
            let answer = self.get(&path)?;
            let now = answer.get("total").and_then(Value::as_u64);
            steady &= total.is_none_or(|t| Some(t) == now);
            total = now;
            let rows = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let full = rows.len() >= PAGE;
            for row in rows {
                let live = Live::new(row.clone());
                if ids.insert(live.id().to_owned()) {
                    found.push(live);
                }
            }
            if !full || total.is_some_and(|t| (page * PAGE) as u64 >= t) {
                break;
            }
        }
        steady &= total.is_none_or(|t| t == found.len() as u64);
        Ok((found, steady))
    }

    /// Every rule of the space; `None` where there are more than can be listed.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn all_rules(&self) -> Result<Option<Vec<Live>>, Failure> {
        let (found, steady) = self.find_once("")?;
        Ok((steady && found.len() < 10_000).then_some(found))
    }

    /// Every rule of the space that is not one of Elastic's own.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn custom_rules(&self) -> Result<Vec<Live>, Failure> {
        self.find("alert.attributes.params.immutable: false")
    }

    /// Every rule with a tag.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn with_tag(&self, tag: &str) -> Result<Vec<Live>, Failure> {
        self.find(&format!("alert.attributes.tags: {}", quoted(tag)))
    }

    /// Every rule with one of these rule ids; several may have the same one.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn with_rule_ids(&self, rule_ids: &[&str]) -> Result<Vec<Live>, Failure> {
        let mut filters: Vec<String> = Vec::new();
        let mut clause = String::new();
        let close = |clause: &str| format!("alert.attributes.params.ruleId: ({clause})");
        for id in rule_ids {
            let id = quoted(id);
            if !clause.is_empty() && encode(&clause).len() + encode(&id).len() > MAX_CLAUSE {
                filters.push(close(&std::mem::take(&mut clause)));
            }
            if !clause.is_empty() {
                clause.push_str(" OR ");
            }
            clause.push_str(&id);
        }
        if !clause.is_empty() {
            filters.push(close(&clause));
        }
        let mut found = Vec::new();
        for part in each(&filters, self.http.in_flight(), |filter| self.find(filter)) {
            found.extend(part?);
        }
        Ok(found)
    }

    /// A rule by its rule id.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn rule(&self, rule_id: &str) -> Result<Option<Live>, Failure> {
        self.one(&format!("rule_id={}", encode(rule_id)))
    }

    /// A rule by the id of its object.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn object(&self, id: &str) -> Result<Option<Live>, Failure> {
        self.one(&format!("id={}", encode(id)))
    }

    fn one(&self, query: &str) -> Result<Option<Live>, Failure> {
        match self.get(&format!("/api/detection_engine/rules?{query}")) {
            Ok(rule) => Ok(Some(Live::new(rule))),
            Err(Failure::Refused { status: 404, .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Creates a rule. Not repeated when the answer is lost: look first.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn create(&self, rule: &Map<String, Value>) -> Result<Live, Failure> {
        let body = Value::Object(rule.clone());
        self.call("POST", "/api/detection_engine/rules", Some(&body), Repeat::Unsent).map(Live::new)
    }

    /// Replaces every property of a rule; what is left out falls back to its default.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn put(&self, rule: &Map<String, Value>) -> Result<Live, Failure> {
        let body = Value::Object(rule.clone());
        self.call("PUT", "/api/detection_engine/rules", Some(&body), Repeat::Free).map(Live::new)
    }

    /// Deletes a rule by the id of its object; one that is gone already is deleted.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn delete(&self, id: &str) -> Result<(), Failure> {
        let path = format!("/api/detection_engine/rules?id={}", encode(id));
        match self.call("DELETE", &path, None, Repeat::Free) {
            Ok(_) | Err(Failure::Refused { status: 404, .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Enables or disables up to 100 rules. A part of them may fail, which is an answer, not an error.
    ///
    /// # Errors
    /// When Kibana refuses the whole or does not answer.
    pub fn toggle(&self, enable: bool, ids: &[String]) -> Result<Bulk, Failure> {
        let body = json!({ "action": if enable { "enable" } else { "disable" }, "ids": ids });
        // switching on what is on changes nothing, so this may be repeated
        match self.call("POST", "/api/detection_engine/rules/_bulk_action", Some(&body), Repeat::Free) {
            Ok(_) => Ok(Bulk::default()),
            Err(Failure::Refused { body, .. }) if body.pointer("/attributes/results").is_some() => {
                Ok(self.partly(&body))
            }
            Err(e) => Err(e),
        }
    }

    /// Which rules of a bulk action failed, and why.
    fn partly(&self, body: &Value) -> Bulk {
        let mut failed = BTreeMap::new();
        let list = |v: Option<&Value>| v.and_then(Value::as_array).cloned().unwrap_or_default();
        for error in list(body.pointer("/attributes/errors")) {
            let message = error.get("message").and_then(Value::as_str).unwrap_or("no reason given");
            for rule in list(error.get("rules")) {
                if let Some(id) = rule.get("id").and_then(Value::as_str) {
                    failed.insert(id.to_owned(), self.http.shown(message));
                }
            }
        }
        Bulk { failed }
    }

    /// The connectors of the space: `id`, `name`, `connector_type_id`, `is_missing_secrets`.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn connectors(&self) -> Result<Vec<Value>, Failure> {
        let answer = self.get("/api/actions/connectors")?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// The id of an exception list in this space.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn exception_list(&self, list_id: &str, namespace: &str) -> Result<Option<String>, Failure> {
        let path =
            format!("/api/exception_lists?list_id={}&namespace_type={}", encode(list_id), encode(namespace));
        match self.get(&path) {
            Ok(list) => Ok(list.get("id").and_then(Value::as_str).map(str::to_owned)),
            Err(Failure::Refused { status: 404, .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// A string of KQL.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
