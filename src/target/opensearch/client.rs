//! The calls of the Alerting plugin that a deploy needs.

use crate::emit::opensearch::Mark;
use crate::target::http::{Credentials, Failure, Http, Options, Repeat, encode};
use serde_json::{Value, json};

const MONITORS: &str = "/_plugins/_alerting/monitors";

/// The most monitors that are read: the plugin's own limit is a tenth of it.
const MOST: u32 = 10_000;

/// An OpenSearch.
#[derive(Debug)]
pub struct OpenSearch {
    http: Http,
}

/// What it says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The version.
    pub version: String,
    /// `opensearch`; another product says another word, or none.
    pub distribution: String,
    /// The names of the plugins.
    pub plugins: Vec<String>,
}

/// A monitor as it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The server's id.
    pub id: String,
    /// What a write has to name, so that it replaces this very state.
    pub seq_no: i64,
    /// The same.
    pub primary_term: i64,
    /// The monitor.
    pub monitor: Value,
}

impl Live {
    /// Its name.
    pub fn name(&self) -> &str {
        self.monitor.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whose it is.
    pub fn mark(&self) -> Option<Mark> {
        Mark::of(&self.monitor)
    }
}

/// The settings of a connection.
pub fn options(base: &str, credentials: Credentials) -> Options {
    let mut options = Options::new(base, credentials);
    options.in_flight = 4;
    options
}

fn unreadable(what: &str) -> Failure {
    let message = format!("the answer has no {what}; is this the address of OpenSearch?");
    Failure::Refused { status: 200, message, body: Value::Null }
}

fn live(answer: &Value, monitor: &Value) -> Option<Live> {
    Some(Live {
        id: answer.get("_id")?.as_str()?.to_owned(),
        seq_no: answer.get("_seq_no")?.as_i64()?,
        primary_term: answer.get("_primary_term")?.as_i64()?,
        // within an index the job stands below its kind
        monitor: monitor.get("monitor").unwrap_or(monitor).clone(),
    })
}

fn of_answer(answer: &Value) -> Result<Live, Failure> {
    let monitor = answer.get("monitor").ok_or_else(|| unreadable("monitor"))?;
    live(answer, monitor).ok_or_else(|| unreadable("id of a monitor"))
}

impl OpenSearch {
    /// The API at the end of a connection.
    pub fn new(http: Http) -> OpenSearch {
        OpenSearch { http }
    }

    /// The connection.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Version, distribution and plugins.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn about(&self) -> Result<About, Failure> {
        let root = self.http.send("GET", "/", None, Repeat::Free)?;
        let text = |p: &str| root.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = self.http.send("GET", "/_cat/plugins?format=json", None, Repeat::Free)?;
        let names = list.as_array().into_iter().flatten();
        let mut plugins: Vec<String> =
            names.filter_map(|p| Some(p.get("component")?.as_str()?.to_owned())).collect();
        plugins.sort();
        plugins.dedup();
        Ok(About { version: text("/version/number"), distribution: text("/version/distribution"), plugins })
    }

    /// Every monitor. Their metadata is not indexed, so whose they are is seen only here.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn monitors(&self) -> Result<Vec<Live>, Failure> {
        let body = json!({ "size": MOST, "seq_no_primary_term": true, "query": { "match_all": {} } });
        let answer = match self.http.send("POST", &format!("{MONITORS}/_search"), Some(&body), Repeat::Free) {
            // there is no index before the first monitor
            Err(Failure::Refused { status: 404, .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let hits =
            answer.pointer("/hits/hits").and_then(Value::as_array).ok_or_else(|| unreadable("hits"))?;
        let read = |hit: &Value| live(hit, hit.get("_source")?);
        // workflows and whatever else lives there are no monitors
        Ok(hits.iter().filter_map(read).filter(|l| l.monitor.get("monitor_type").is_some()).collect())
    }

    /// One monitor; `None` where it is gone.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn monitor(&self, id: &str) -> Result<Option<Live>, Failure> {
        match self.http.send("GET", &format!("{MONITORS}/{}", encode(id)), None, Repeat::Free) {
            Err(Failure::Refused { status: 404, .. }) => Ok(None),
            other => of_answer(&other?).map(Some),
        }
    }

    /// Makes a monitor. It is not tried twice: each time another one would come about.
    ///
    /// # Errors
    /// Where it is refused or nothing is heard.
    pub fn create(&self, monitor: &Value) -> Result<Live, Failure> {
        of_answer(&self.http.send("POST", MONITORS, Some(monitor), Repeat::Unsent)?)
    }

    /// Replaces the state that was read, and no other.
    ///
    /// # Errors
    /// 409 where it has changed since.
    pub fn update(&self, live: &Live, monitor: &Value) -> Result<Live, Failure> {
        let path = format!(
            "{MONITORS}/{}?if_seq_no={}&if_primary_term={}",
            encode(&live.id),
            live.seq_no,
            live.primary_term
        );
        of_answer(&self.http.send("PUT", &path, Some(monitor), Repeat::Unsent)?)
    }

    /// Deletes a monitor; one that is gone is as good.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn delete(&self, id: &str) -> Result<(), Failure> {
        match self.http.send("DELETE", &format!("{MONITORS}/{}", encode(id)), None, Repeat::Free) {
            Ok(_) | Err(Failure::Refused { status: 404, .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Runs query and trigger once, without an alert. Gives the error of the search or the trigger, which
    /// older versions hide within an answer that looks well.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn dry_run(&self, monitor: &Value) -> Result<Option<String>, Failure> {
        let path = format!("{MONITORS}/_execute?dryrun=true");
        let answer = self.http.send("POST", &path, Some(monitor), Repeat::Free)?;
        let text = |v: Option<&Value>| v.and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
        let of_triggers = || {
            let results = answer.get("trigger_results").and_then(Value::as_object)?;
            results.values().find_map(|r| text(r.get("error")))
        };
        Ok(text(answer.get("error"))
            .or_else(|| text(answer.pointer("/input_results/error")))
            .or_else(of_triggers))
    }

    /// The notification channels: id and name.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn channels(&self) -> Result<Vec<(String, String)>, Failure> {
        let answer = self.http.send("GET", "/_plugins/_notifications/channels", None, Repeat::Free)?;
        let list =
            answer.get("channel_list").and_then(Value::as_array).ok_or_else(|| unreadable("channels"))?;
        let text = |c: &Value, key: &str| c.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(list.iter().filter_map(|c| Some((text(c, "config_id")?, text(c, "name")?))).collect())
    }

    /// The types of some fields over all indices of some patterns: `None` where no index is there.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn field_types(&self, indices: &[String], fields: &[String]) -> Result<Option<Value>, Failure> {
        let path = format!(
            "/{}/_field_caps?ignore_unavailable=true&allow_no_indices=true&fields={}",
            indices.iter().map(|i| encode(i)).collect::<Vec<_>>().join(","),
            // encoded whole: signatures are made over a query in which a comma is encoded
            encode(&fields.join(","))
        );
        let answer = match self.http.send("GET", &path, None, Repeat::Free) {
            Err(Failure::Refused { status: 404, .. }) => return Ok(None),
            other => other?,
        };
        if answer.get("indices").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        Ok(answer.get("fields").cloned())
    }
}
