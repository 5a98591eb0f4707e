//! CloudTrail records of a few users, and what a replay of them finds.

use rulepack::replay::{Engine, Report};
use serde_json::{Value, json};

/// A record so many seconds after ten o'clock.
pub fn record(id: usize, second: u32, name: &str, user: &str) -> Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": { "type": "IAMUser", "userName": user, "accountId": "111122223333" },
        "eventTime": format!("2026-01-05T10:{:02}:{:02}Z", second / 60, second % 60),
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.15",
        "requestParameters": { "userName": "someone" },
        "responseElements": null,
        "eventID": format!("{id:08}-0000-4000-8000-000000000000"),
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
        "eventCategory": "Management"
    })
}

/// A replay of delivery files.
pub fn replay(engine: &Engine, files: &[Vec<Value>]) -> Report {
    let texts: Vec<String> = files.iter().map(|f| json!({ "Records": f }).to_string()).collect();
    let named: Vec<(&str, &[u8])> = texts.iter().map(|t| ("x", t.as_bytes())).collect();
    engine.run_texts(&named, &[], None)
}

/// The events of each alert, by the first digits of their ids.
pub fn events(report: &Report) -> Vec<Vec<&str>> {
    report.alerts.iter().map(|a| a.events.iter().map(|e| &e[..8]).collect()).collect()
}
