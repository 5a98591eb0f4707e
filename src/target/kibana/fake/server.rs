//! The listener: one thread a connection, all answers under one lock, and the faults in between.

use super::control;
use super::http::{NoRequest, Reply, Request};
use super::route;
use super::state::State;
use super::user::User;
use super::{Settings, faults::Fired};
use crate::schema::Version;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Connections at once.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may say nothing.
const IDLE: Duration = Duration::from_secs(60);
/// `_bulk_action`s at once (contract 1).
const MAX_BULK: usize = 5;
/// Bytes of a refused body that are read so that the client hears the answer.
const MAX_DRAINED: u64 = 64 * 1024 * 1024;

struct Shared {
    state: Mutex<State>,
    latency: Duration,
    stopping: AtomicBool,
    bulk: AtomicUsize,
    /// The open connections, to end them.
    open: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Shared {
    /// Waits, but not beyond the end of the server.
    fn pause(&self, mut left: Duration) {
        while !left.is_zero() && !self.stopping.load(Ordering::SeqCst) {
            let step = left.min(Duration::from_millis(20));
            thread::sleep(step);
            left -= step;
        }
    }
}

/// A lock that a panic elsewhere does not poison for good.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running listener.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(settings: &Settings, version: Version) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(settings, version)),
            latency: settings.latency,
            stopping: AtomicBool::new(false),
            bulk: AtomicUsize::new(0),
            open: Mutex::new(BTreeMap::new()),
        });
        let held = Arc::clone(&shared);
        let accepting =
            thread::Builder::new().name("fake-kibana".to_owned()).spawn(move || accept(&listener, &held))?;
        Ok(Server { address, shared, accepting: Some(accepting) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    pub(super) fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.stopping.store(true, Ordering::SeqCst);
        // wakes the listener
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = accepting.join();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Takes connections until told to stop, then waits for those that are open.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut workers: Vec<JoinHandle<()>> = Vec::new();
    for (number, stream) in (0u64..).zip(listener.incoming()) {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else {
            // out of file handles, most likely
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        workers.retain(|w| !w.is_finished());
        let Ok(copy) = stream.try_clone() else { continue };
        if workers.len() >= MAX_CONNECTIONS {
            continue;
        }
        lock(&shared.open).insert(number, copy);
        let held = Arc::clone(shared);
        let worker = thread::Builder::new().name(format!("fake-kibana-{number}")).spawn(move || {
            // the client is gone: nobody to tell
            let _ = serve(&stream, &held);
            let _ = stream.shutdown(Shutdown::Both);
            lock(&held.open).remove(&number);
        });
        match worker {
            Ok(worker) => workers.push(worker),
            Err(_) => {
                lock(&shared.open).remove(&number);
            }
        }
    }
    // one may have come in while the others were ended
    for stream in lock(&shared.open).values() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for worker in workers {
        let _ = worker.join();
    }
}

/// What the client gets to see.
enum Seen {
    Whole(Reply),
    /// The head, and half of the body.
    Half(Reply),
    Nothing,
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream.try_clone()?;
    while !shared.stopping.load(Ordering::SeqCst) {
        let request = match Request::read(&mut reader, &mut writer) {
            Ok(request) => request,
            Err(NoRequest::Gone) => return Ok(()),
            Err(NoRequest::Refused(reply)) => {
                writer.write_all(&reply.bytes(false))?;
                stream.shutdown(Shutdown::Write)?;
                stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                io::copy(&mut reader.by_ref().take(MAX_DRAINED), &mut io::sink())?;
                return Ok(());
            }
        };
        match answer(shared, &request) {
            Seen::Whole(reply) => {
                writer.write_all(&reply.bytes(request.keep_alive))?;
                if !request.keep_alive {
                    return Ok(());
                }
            }
            Seen::Half(reply) => {
                let all = reply.bytes(true);
                let end = all.len() - reply.body.len().div_ceil(2);
                return writer.write_all(all.get(..end).unwrap_or_default());
            }
            Seen::Nothing => return Ok(()),
        }
    }
    Ok(())
}

fn answer(shared: &Shared, request: &Request) -> Seen {
    if request.path.starts_with("/_fake/") {
        return Seen::Whole(control::answer(&mut lock(&shared.state), request));
    }
    let (space, path) = route::split(&request.path);
    let fired = lock(&shared.state).faults.fire(request, space, path);
    let is_bulk = path == "/api/detection_engine/rules/_bulk_action";
    let bulk = is_bulk.then(|| Turn::take(&shared.bulk));
    let crowded = bulk.as_ref().is_some_and(|turn| turn.number > MAX_BULK);
    shared.pause(shared.latency + fired.delay);
    let mut state = lock(&shared.state);
    let (seen, status) = if fired.refuse {
        (Seen::Nothing, Value::Null)
    } else {
        let reply = if crowded {
            Reply::platform(429, "Too Many Requests")
        } else {
            edited(&mut state, &fired, request)
        };
        let status = Value::from(reply.status);
        if fired.lost {
            (Seen::Nothing, Value::Null)
        } else if fired.reset {
            (Seen::Half(reply), status)
        } else {
            (Seen::Whole(reply), status)
        }
    };
    let auth = User::of(request.header("authorization")).auth.word();
    state.note(json!({ "method": request.method, "target": request.target, "space": space, "auth": auth,
        "status": status }));
    seen
}

/// The answer, with the edits of other users around it.
fn edited(state: &mut State, fired: &Fired, request: &Request) -> Reply {
    for edit in &fired.before {
        // an edit of something that is not there is no edit
        let _ = control::edit(state, edit);
    }
    let reply = match &fired.answer {
        Some(reply) => reply.clone(),
        None => route::answer(state, request, fired.half),
    };
    for edit in &fired.after {
        let _ = control::edit(state, edit);
    }
    reply
}

/// A place among those that run at the same time.
struct Turn<'a> {
    count: &'a AtomicUsize,
    number: usize,
}

impl Turn<'_> {
    fn take(count: &AtomicUsize) -> Turn<'_> {
        Turn { count, number: count.fetch_add(1, Ordering::SeqCst) + 1 }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}
