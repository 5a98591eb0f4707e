//! A stateful fake of Kibana's Detection Engine, for tests and for trying `rulepack deploy` without a
//! server. It keeps rules, exception lists and connectors by space while it runs, fills in what the server
//! fills in, refuses what it refuses, and fails on demand. Any credential is let in; it listens on loopback
//! only. It speaks for a contract that was gathered from published schemas, documentation and sources; the
//! comments give its sections: 1 transport and errors, 2 endpoints, 3 properties and defaults, 4 what each
//! write does, 5 exceptions, 6 connectors and spaces, 7 privileges. See docs/dev-kibana.md.

mod bulk;
mod call;
mod connectors;
mod control;
mod edit;
mod exception_files;
mod exception_form;
mod exceptions;
mod faults;
mod filter;
mod find;
pub(in crate::target) mod http;
#[cfg(test)]
mod laws;
mod lists;
mod merge;
mod platform;
mod refusal;
mod route;
mod rules;
mod server;
mod state;
mod transfer;
mod user;
mod validate;

pub use faults::{Fault, FaultKind};

use crate::es::date::{self, Nanos};
use crate::schema::Version;
use serde_json::Value;
use server::Server;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Tells the time; the library has no clock of its own.
pub type Clock = Arc<dyn Fn() -> Nanos + Send + Sync>;

/// How a fake runs.
#[derive(Clone)]
pub struct Settings {
    /// The port on 127.0.0.1; 0 for any that is free.
    pub port: u16,
    /// The version that it says it has, and some behaviour hangs on.
    pub version: String,
    /// How long each answer takes at least.
    pub latency: Duration,
    /// Where ids start from; the same seed and requests give the same ids.
    pub seed: u64,
    /// The time of writes.
    pub clock: Clock,
}

impl Default for Settings {
    /// Any port, 9.5.1, no latency, and a clock that starts in 2026 and goes on a second each time it is
    /// read.
    fn default() -> Settings {
        let reads = AtomicI64::new(1_767_225_600_000);
        Settings {
            port: 0,
            version: "9.5.1".to_owned(),
            latency: Duration::ZERO,
            seed: 1,
            clock: Arc::new(move || date::from_millis(reads.fetch_add(1_000, Ordering::Relaxed))),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("port", &self.port)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Why a fake does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The version is none.
    #[error("`{0}` is no version; write it as 9.5.1")]
    Version(String),
    /// The port cannot be listened on.
    #[error("port {0} of 127.0.0.1 cannot be listened on: {1}")]
    Port(u16, io::Error),
}

/// A running fake; it stops when this is dropped.
pub struct FakeKibana {
    server: Server,
}

impl FakeKibana {
    /// Starts a fake.
    ///
    /// # Errors
    /// When the version cannot be read or the port is taken.
    pub fn start(settings: &Settings) -> Result<FakeKibana, StartError> {
        let version =
            Version::parse(&settings.version).ok_or_else(|| StartError::Version(settings.version.clone()))?;
        let server = Server::start(settings, version).map_err(|e| StartError::Port(settings.port, e))?;
        Ok(FakeKibana { server })
    }

    /// Where it listens: `http://127.0.0.1:` and the port.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.server.state().faults.add(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.server.state().faults.clear();
    }

    /// Puts things there without a request, as `/_fake/seed` does.
    ///
    /// # Errors
    /// A message that says what is wrong with the seed.
    pub fn seed(&self, seed: &Value) -> Result<(), String> {
        control::seed(&mut self.server.state(), seed)
    }

    /// An edit by another user, as `/_fake/edit` makes it.
    ///
    /// # Errors
    /// A message that says what is wrong with the edit.
    pub fn edit(&self, edit: &Value) -> Result<(), String> {
        control::edit(&mut self.server.state(), edit)
    }

    /// A rule as the API shows it.
    pub fn rule(&self, space: &str, rule_id: &str) -> Option<Value> {
        let state = self.server.state();
        let rule = state.spaces.get(space)?.rules.by_rule_id(rule_id)?;
        Some(rules::shown(&state, rule))
    }

    /// The rules of a space in order of creation.
    pub fn rules(&self, space: &str) -> Vec<Value> {
        let state = self.server.state();
        let rules = state.spaces.get(space).into_iter().flat_map(|s| s.rules.iter());
        rules.map(|r| rules::shown(&state, r)).collect()
    }

    /// Everything that is kept, as `/_fake/state` shows it.
    pub fn state(&self) -> Value {
        control::dump(&self.server.state())
    }

    /// The requests so far, oldest first, at most 10,000: `method`, `target`, `space`, `auth`, `status`
    /// (`null` when there was no answer).
    pub fn requests(&self) -> Vec<Value> {
        self.server.state().log.iter().cloned().collect()
    }

    /// Another one that holds the same, so that a test need not make it again.
    #[cfg(test)]
    pub(super) fn twin(&self) -> Result<FakeKibana, StartError> {
        let twin = FakeKibana::start(&Settings::default())?;
        *twin.server.state() = self.server.state().clone();
        Ok(twin)
    }

    /// Ends all connections and waits for them. Dropping does the same.
    pub fn stop(&mut self) {
        self.server.stop();
    }
}
