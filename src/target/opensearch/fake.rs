//! An OpenSearch to practise on: as much of the Alerting plugin as a deploy and its tests meet, on
//! 127.0.0.1. It keeps monitors while it runs, gives them ids and sequence numbers of its own, adds what a
//! server adds, and refuses what the plugin refuses.

mod faults;

pub use faults::Fault;

use crate::target::kibana::fake::http::{NoRequest, Reply, Request};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// `plugins.alerting.monitor.max_monitors`.
const MAX_MONITORS: usize = 1_000;

/// How it is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The port; 0 for any that is free.
    pub port: u16,
    /// The version that it says it has.
    pub version: String,
    /// The word for the product.
    pub distribution: String,
    /// The plugins.
    pub plugins: Vec<String>,
    /// The mapping of every index: the type by the field's name, `*` for any other; none where no index is
    /// there.
    pub fields: Option<BTreeMap<String, String>>,
    /// The notification channels: id and name.
    pub channels: Vec<(String, String)>,
    /// `plugins.alerting.monitor.max_monitors`.
    pub max_monitors: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            port: 0,
            version: "2.19.1".to_owned(),
            distribution: "opensearch".to_owned(),
            plugins: vec!["opensearch-alerting".to_owned(), "opensearch-job-scheduler".to_owned()],
            fields: None,
            channels: Vec::new(),
            max_monitors: MAX_MONITORS,
        }
    }
}

/// A monitor with its place in the order of writes.
#[derive(Clone, Debug)]
struct Held {
    seq_no: i64,
    monitor: Value,
}

#[derive(Debug, Default)]
struct State {
    monitors: BTreeMap<String, Held>,
    writes: i64,
    faults: Vec<faults::Planned>,
    requests: Vec<String>,
}

impl State {
    fn edit_all(&mut self, property: &str, value: &Value) {
        for held in self.monitors.values_mut() {
            self.writes += 1;
            held.seq_no = self.writes;
            if let Some(map) = held.monitor.as_object_mut() {
                map.insert(property.to_owned(), value.clone());
            }
        }
    }
}

struct Shared {
    settings: Settings,
    state: Mutex<State>,
    stopping: AtomicBool,
}

/// A running fake; it ends when it is dropped.
pub struct FakeOpenSearch {
    address: SocketAddr,
    shared: Arc<Shared>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeOpenSearch {
    /// Starts it.
    ///
    /// # Errors
    /// Where the port cannot be had.
    pub fn start(settings: &Settings) -> io::Result<FakeOpenSearch> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            state: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let held = Arc::clone(&shared);
        thread::Builder::new().name("fake-opensearch".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                if held.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&held)) else { continue };
                // a client that is gone needs no answer
                let _ = thread::Builder::new().spawn(move || drop(serve(&stream, &shared)));
            }
        })?;
        Ok(FakeOpenSearch { address, shared })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The monitors by id.
    pub fn monitors(&self) -> BTreeMap<String, Value> {
        lock(&self.shared.state).monitors.iter().map(|(id, h)| (id.clone(), h.monitor.clone())).collect()
    }

    /// Puts a monitor there, whoever's it is.
    pub fn put(&self, id: &str, monitor: Value) {
        let mut state = lock(&self.shared.state);
        state.writes += 1;
        let held = Held { seq_no: state.writes, monitor };
        state.monitors.insert(id.to_owned(), held);
    }

    /// Changes a monitor as somebody in Dashboards does.
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut Value)) {
        let mut state = lock(&self.shared.state);
        state.writes += 1;
        let seq_no = state.writes;
        if let Some(held) = state.monitors.get_mut(id) {
            change(&mut held.monitor);
            held.seq_no = seq_no;
        }
    }

    /// Lets a thing go wrong so many times, once so many requests have gone well.
    pub fn fault(&self, fault: Fault, after: usize, times: usize) {
        lock(&self.shared.state).faults.push(faults::Planned { fault, after, times });
    }

    /// Lets everything go well again.
    pub fn heal(&self) {
        lock(&self.shared.state).faults.clear();
    }

    /// What was asked so far: method and path.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.state).requests.clone()
    }
}

impl Drop for FakeOpenSearch {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // wakes the listener
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream.try_clone()?;
    while !shared.stopping.load(Ordering::SeqCst) {
        let request = match Request::read(&mut reader, &mut writer) {
            Ok(request) => request,
            Err(NoRequest::Gone) => return Ok(()),
            Err(NoRequest::Refused(reply)) => return writer.write_all(&reply.bytes(false)),
        };
        let mut state = lock(&shared.state);
        state.requests.push(format!("{} {}", request.method, request.target));
        let is_write = matches!(request.method.as_str(), "PUT" | "DELETE")
            || (request.method == "POST" && request.path.ends_with("/monitors"));
        let faults: Vec<Fault> = state.faults.iter_mut().filter_map(faults::Planned::next).collect();
        if faults.contains(&Fault::Refuse) {
            return Ok(());
        }
        for fault in &faults {
            match fault {
                Fault::Slow(time) => {
                    drop(state);
                    thread::sleep(*time);
                    state = lock(&shared.state);
                }
                Fault::EditBefore(property, value) => state.edit_all(property, value),
                _ => {}
            }
        }
        let instead = faults.iter().find_map(|f| f.instead(is_write, &request.target));
        let reply = match instead {
            Some(reply) => reply,
            None => answer(&request, &shared.settings, &mut state),
        };
        drop(state);
        if faults.contains(&Fault::LostReply) {
            return Ok(());
        }
        let bytes = reply.bytes(request.keep_alive);
        if faults.contains(&Fault::Reset) {
            return writer.write_all(bytes.get(..bytes.len().saturating_sub(7)).unwrap_or_default());
        }
        writer.write_all(&bytes)?;
        if !request.keep_alive {
            return Ok(());
        }
    }
    Ok(())
}

/// OpenSearch's envelope of errors.
fn refused(status: u16, kind: &str, reason: &str) -> Reply {
    let cause = json!({ "type": kind, "reason": reason });
    Reply::json(
        status,
        &json!({ "error": { "root_cause": [cause], "type": kind, "reason": reason }, "status": status }),
    )
}

fn answer(request: &Request, settings: &Settings, state: &mut State) -> Reply {
    let path = request.path.as_str();
    match (request.method.as_str(), path) {
        ("GET", "/") => {
            return Reply::ok(&json!({
                "name": "fake",
                "version": { "number": settings.version, "distribution": settings.distribution },
            }));
        }
        ("GET", "/_cat/plugins") => {
            let row = |p: &String| json!({ "name": "fake", "component": p, "version": settings.version });
            return Reply::ok(&settings.plugins.iter().map(row).collect());
        }
        ("GET", "/_plugins/_notifications/channels") => {
            let row = |(id, name): &(String, String)| json!({ "config_id": id, "name": name, "config_type": "slack", "is_enabled": true });
            let list: Vec<Value> = settings.channels.iter().map(row).collect();
            return Reply::ok(&json!({ "total_hits": list.len(), "channel_list": list }));
        }
        _ => {}
    }
    if request.method == "GET" && path.ends_with("/_field_caps") {
        return field_caps(request, settings);
    }
    let Some(rest) = path.strip_prefix("/_plugins/_alerting/monitors") else {
        return refused(404, "resource_not_found_exception", "there is nothing here");
    };
    if !settings.plugins.iter().any(|p| p == "opensearch-alerting") {
        let text = format!("no handler found for uri [{}] and method [{}]", request.target, request.method);
        return Reply::json(400, &json!({ "error": text, "status": 400 }));
    }
    let body: Value = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(_) if request.body.is_empty() => Value::Null,
        Err(e) => return refused(400, "parse_exception", &e.to_string()),
    };
    match (request.method.as_str(), rest) {
        ("POST", "/_search") => search(state),
        ("POST", "/_execute") => execute(request, &body),
        ("POST", "") => create(&body, settings, state),
        ("GET", rest) => match state.monitors.get(id(rest)) {
            Some(held) => Reply::ok(&whole(id(rest), held)),
            None => refused(404, "alerting_exception", "Monitor not found."),
        },
        ("PUT", rest) => update(id(rest), request, &body, state),
        ("DELETE", rest) => match state.monitors.remove(id(rest)) {
            Some(held) => Reply::ok(&json!({ "_id": id(rest), "_version": held.seq_no + 1 })),
            None => refused(404, "alerting_exception", "Monitor not found."),
        },
        _ => refused(405, "alerting_exception", "method not allowed"),
    }
}

fn id(rest: &str) -> &str {
    rest.trim_start_matches('/')
}

fn whole(id: &str, held: &Held) -> Value {
    json!({ "_id": id, "_version": 1, "_seq_no": held.seq_no, "_primary_term": 1, "monitor": held.monitor })
}

fn search(state: &State) -> Reply {
    if state.monitors.is_empty() && state.writes == 0 {
        return refused(
            404,
            "index_not_found_exception",
            "Configured indices are not found: [.opendistro-alerting-config]",
        );
    }
    let hits: Vec<Value> = state
        .monitors
        .iter()
        .map(|(id, h)| json!({ "_id": id, "_seq_no": h.seq_no, "_primary_term": 1, "_source": h.monitor }))
        .collect();
    Reply::ok(&json!({ "hits": { "total": { "value": hits.len(), "relation": "eq" }, "hits": hits } }))
}

fn create(body: &Value, settings: &Settings, state: &mut State) -> Reply {
    if let Some(why) = invalid(body) {
        return refused(400, "alerting_exception", &why);
    }
    if state.monitors.len() >= settings.max_monitors {
        let why =
            format!("This request would create more than the allowed monitors [{}].", settings.max_monitors);
        return refused(400, "alerting_exception", &why);
    }
    state.writes += 1;
    let id = format!("fake{:016x}", state.writes);
    let held = Held { seq_no: state.writes, monitor: completed(body) };
    let answer = whole(&id, &held);
    state.monitors.insert(id, held);
    Reply::json(201, &answer)
}

fn update(id: &str, request: &Request, body: &Value, state: &mut State) -> Reply {
    let Some(held) = state.monitors.get(id) else {
        return refused(404, "alerting_exception", &format!("Monitor with {id} is not found"));
    };
    let number = |name: &str| request.param(name).and_then(|n| n.parse::<i64>().ok());
    let same = number("if_seq_no").is_none_or(|n| n == held.seq_no)
        && number("if_primary_term").is_none_or(|n| n == 1);
    if !same {
        let why = format!(
            "[{id}]: version conflict, required seqNo differs, current document has seqNo [{}]",
            held.seq_no
        );
        return refused(409, "version_conflict_engine_exception", &why);
    }
    if let Some(why) = invalid(body) {
        return refused(400, "alerting_exception", &why);
    }
    state.writes += 1;
    let held = Held { seq_no: state.writes, monitor: completed(body) };
    let answer = whole(id, &held);
    state.monitors.insert(id.to_owned(), held);
    Reply::ok(&answer)
}

/// What the plugin refuses.
fn invalid(monitor: &Value) -> Option<String> {
    let text = |p: &str| monitor.pointer(p).and_then(Value::as_str);
    if text("/name").is_none_or(str::is_empty) {
        return Some("Monitor name is null".to_owned());
    }
    let kind = text("/monitor_type").unwrap_or_default();
    if !["query_level_monitor", "bucket_level_monitor", "doc_level_monitor"].contains(&kind) {
        return Some(format!("Unexpected monitor type: {kind}"));
    }
    let queries = monitor.pointer("/inputs/0/doc_level_input/queries").and_then(Value::as_array);
    for name in queries.into_iter().flatten().filter_map(|q| q.get("name").and_then(Value::as_str)) {
        if name.starts_with(['_', '+', '-'])
            || name.contains("..")
            || name.contains([' ', '[', ']', '(', ')'])
        {
            return Some(format!(
                "Doc level query name may not start with [_, +, -], contain '..', or contain: [ ] ( ) : {name}"
            ));
        }
    }
    if monitor.get("triggers").and_then(Value::as_array).is_some_and(|t| t.len() > 10) {
        return Some("Monitors can only support up to 10 triggers.".to_owned());
    }
    None
}

/// A monitor with what the server adds.
fn completed(monitor: &Value) -> Value {
    let mut map: Map<String, Value> = monitor.as_object().cloned().unwrap_or_default();
    map.insert("schema_version".to_owned(), json!(8));
    map.insert("last_update_time".to_owned(), json!(1_700_000_000_000_i64));
    map.insert("enabled_time".to_owned(), json!(1_700_000_000_000_i64));
    map.insert("owner".to_owned(), json!("alerting"));
    map.insert("delete_query_index_in_every_run".to_owned(), json!(false));
    map.insert("should_create_single_alert_for_findings".to_owned(), json!(false));
    map.insert("user".to_owned(), json!({ "name": "deployer", "backend_roles": [] }));
    map.insert("data_sources".to_owned(), json!({ "query_index": ".opensearch-alerting-queries" }));
    Value::Object(map)
}

fn execute(request: &Request, body: &Value) -> Reply {
    if !request.flag("dryrun") {
        return refused(400, "alerting_exception", "only dry runs are made here");
    }
    if body.pointer("/monitor_type").and_then(Value::as_str) == Some("doc_level_monitor") {
        let indices = body.pointer("/inputs/0/doc_level_input/indices").and_then(Value::as_array);
        if indices.into_iter().flatten().any(|i| i.as_str().is_some_and(|i| i.contains('*'))) {
            return refused(
                400,
                "alerting_exception",
                "Index patterns are not supported in doc level monitors.",
            );
        }
    }
    // an older version tells of a failed search within an answer that looks well
    let text = body.pointer("/inputs/0/search/query").map(Value::to_string).unwrap_or_default();
    let error = text.contains("no_such_clause").then_some("unknown query [no_such_clause]");
    Reply::ok(&json!({
        "monitor_name": body.get("name"),
        "error": null,
        "input_results": { "results": [], "error": error },
        "trigger_results": {},
    }))
}

fn field_caps(request: &Request, settings: &Settings) -> Reply {
    let Some(known) = &settings.fields else {
        return Reply::ok(&json!({ "indices": [], "fields": {} }));
    };
    let asked = request.param("fields").unwrap_or_default().to_owned();
    let mut fields = Map::new();
    for name in asked.split(',') {
        if let Some(kind) = known.get(name).or_else(|| known.get("*")) {
            fields.insert(name.to_owned(), json!({ kind.as_str(): { "type": kind, "searchable": true } }));
        }
    }
    Reply::ok(&json!({ "indices": ["fake-000001"], "fields": fields }))
}
