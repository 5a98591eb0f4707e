//! The fake Kibana over the wire: each endpoint, what the server fills in, what writes keep, each fault.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "helpers of tests count as code to clippy")]

mod bulk;
mod client;
mod connectors;
mod exceptions;
mod faults;
mod find;
mod round_trip;
mod rules;
mod transfer;
mod transport;

use client::Client;
use rulepack::target::kibana::fake::{FakeKibana, Settings};
use serde_json::{Value, json};

const RULES: &str = "/api/detection_engine/rules";

/// A fake with its defaults, and a client of it.
fn start() -> (FakeKibana, Client) {
    let fake = FakeKibana::start(&Settings::default()).unwrap();
    let client = Client::new(&fake.url());
    (fake, client)
}

/// The least rule, with more keys.
fn rule(rule_id: &str, more: Value) -> Value {
    let mut rule = json!({ "rule_id": rule_id, "name": rule_id, "description": "d", "risk_score": 47,
        "severity": "medium", "type": "query", "query": "event.action: DeleteGroup" });
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

/// Creates a rule and gives it back as the server shows it.
fn created(client: &Client, rule_id: &str, more: Value) -> Value {
    client.post(RULES, &rule(rule_id, more)).ok()
}
