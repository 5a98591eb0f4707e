//! Each fault, and the control endpoints that set them off from a shell.

use super::*;
use rulepack::target::kibana::fake::{Fault, FaultKind};
use std::time::{Duration, Instant};

#[test]
fn statuses_come_in_the_bodies_of_the_contract() {
    let (_fake, client) = start();
    let get = || client.get(&format!("{RULES}/_find"));
    client.rules_fault("conflict", "GET");
    assert_eq!((get().json()["status_code"].clone(), get().status), (json!(409), 200));
    client.rules_fault("overloaded", "GET");
    let overloaded = get();
    assert_eq!(
        overloaded.json(),
        json!({ "statusCode": 429, "error": "Too Many Requests", "message": "Server is overloaded" })
    );
    assert!(!overloaded.headers.contains("retry-after"));
    client.rules_fault("too_many_requests", "GET");
    assert_eq!(get().refusal(), (429, "Too Many Requests".to_owned()));
    client.fault(json!({ "kind": "status", "status": 503, "times": 2, "retry_after": 3 }));
    let unavailable = get();
    assert!(unavailable.status == 503 && unavailable.headers.contains("retry-after: 3\r\n"));
    assert_eq!((get().status, get().status), (503, 200));
    client.fault(json!({ "kind": "status", "status": 403, "body": { "message": "no", "status_code": 403 } }));
    assert_eq!(get().refusal(), (403, "no".to_owned()));
}

#[test]
fn a_reset_breaks_off_the_answer_after_the_write() {
    let (fake, client) = start();
    fake.fault(Fault::new(FaultKind::Reset).on("POST", RULES));
    let answer = client.post(RULES, &rule("r", json!({})));
    assert_eq!((answer.status, answer.whole), (200, false));
    assert!(!answer.body.is_empty());
    assert!(fake.rule("default", "r").is_some());
}

#[test]
fn a_lost_reply_has_been_written_and_a_refused_request_has_not() {
    let (fake, client) = start();
    fake.fault(Fault::new(FaultKind::LostReply).on("POST", RULES).containing("r-2"));
    fake.fault(Fault::new(FaultKind::Refuse).on("POST", RULES).containing("r-3"));
    for (id, status, there) in [("r-1", 200, true), ("r-2", 0, true), ("r-3", 0, false)] {
        assert_eq!(client.post(RULES, &rule(id, json!({}))).status, status, "{id}");
        assert_eq!(fake.rule("default", id).is_some(), there, "{id}");
    }
    assert_eq!(client.post(RULES, &rule("r-2", json!({}))).status, 409);
    assert_eq!(fake.requests()[1]["status"], Value::Null);
}

#[test]
fn a_slow_answer_takes_its_time_and_others_do_not_wait() {
    let (fake, client) = start();
    fake.fault(Fault::new(FaultKind::Slow(Duration::from_millis(700))).on("GET", "/api/status"));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| client.get("/api/status").status);
        while fake.state()["faults"][0]["fired"] == 0 {
            std::thread::yield_now();
        }
        assert_eq!(client.get(&format!("{RULES}/_find")).status, 200);
        assert!(!slow.is_finished());
        assert_eq!(slow.join().unwrap(), 200);
    });
    assert!(began.elapsed() >= Duration::from_millis(700));
}

#[test]
fn a_bulk_action_stops_half_way() {
    let (fake, client) = start();
    let ids: Vec<Value> = (0..4).map(|n| created(&client, &n.to_string(), json!({}))["id"].clone()).collect();
    client.rules_fault("half", "POST");
    let answer = client.post(&format!("{RULES}/_bulk_action"), &json!({ "action": "enable", "ids": ids }));
    assert_eq!(answer.status, 500);
    let attributes = &answer.json()["attributes"];
    assert_eq!(attributes["summary"], json!({ "failed": 2, "succeeded": 2, "skipped": 0, "total": 4 }));
    assert_eq!(attributes["errors"][0]["rules"][0]["id"], ids[2]);
    let enabled: Vec<Value> = fake.rules("default").iter().map(|r| r["enabled"].clone()).collect();
    assert_eq!(enabled, [true, true, false, false]);
}

#[test]
fn a_put_stops_before_it_enables_and_an_import_half_way() {
    let (fake, client) = start();
    created(&client, "r", json!({}));
    client.rules_fault("half", "PUT");
    let on = rule("r", json!({ "enabled": true, "severity": "high" }));
    assert_eq!(client.put(RULES, &on).status, 500);
    let live = fake.rule("default", "r").unwrap();
    assert_eq!((&live["severity"], &live["enabled"]), (&json!("high"), &json!(false)));
    assert_eq!(client.put(RULES, &on).ok()["enabled"], true);
    client.rules_fault("half", "POST");
    let answer = client.import("", &[rule("a", json!({})), rule("b", json!({}))]).ok();
    assert_eq!((&answer["success_count"], &answer["errors"][0]["rule_id"]), (&json!(1), &json!("b")));
}

#[test]
fn another_user_edits_between_two_requests() {
    let (fake, client) = start();
    created(&client, "r", json!({ "meta": { "rulepack": { "hash": "h" } } }));
    let edit = json!({ "rule_id": "r", "set": { "severity": "low" } });
    client.fault(json!({ "kind": "edit", "edit": edit, "when": "after", "match": { "method": "GET" } }));
    let get = || client.get(&format!("{RULES}?rule_id=r")).ok();
    let (seen, then) = (get(), get());
    assert_eq!((&seen["severity"], &seen["revision"]), (&json!("medium"), &json!(0)));
    assert_eq!(
        (&then["severity"], &then["revision"], &then["updated_by"]),
        (&json!("low"), &json!(1), &json!("j.doe"))
    );
    assert!(then["meta"].get("rulepack").is_none());
    fake.fault(Fault::new(FaultKind::EditBefore(json!({ "rule_id": "r", "delete": true }))).on("PUT", RULES));
    assert_eq!(client.put(RULES, &rule("r", json!({}))).status, 404);
}

#[test]
fn the_control_endpoints_need_no_headers_and_say_what_is_wrong() {
    let (fake, client) = start();
    let bare = Client { headers: String::new(), ..client.with("x: y") };
    let seed = json!({ "spaces": [{ "id": "soc" }], "space": "soc", "user": "ann", "rules": [
        { "rule_id": "f", "name": "foreign", "type": "vulnerability_check", "enabled": true, "tags": ["x"],
          "revision": 4, "execution_summary": { "last_execution": {} } }] });
    bare.post("/_fake/seed", &seed).ok();
    bare.post(
        "/_fake/edit",
        &json!({ "space": "soc", "rule_id": "f", "set": { "enabled": false }, "user": "bob" }),
    )
    .ok();
    let foreign = fake.rule("soc", "f").unwrap();
    assert_eq!(
        (&foreign["created_by"], &foreign["updated_by"], &foreign["revision"]),
        (&json!("ann"), &json!("bob"), &json!(4))
    );
    assert_eq!((&foreign["type"], &foreign["from"]), (&json!("vulnerability_check"), &json!("now-6m")));
    assert!(foreign.get("execution_summary").is_some() && foreign.get("meta").is_none());
    let state = bare.get("/_fake/state").ok();
    assert_eq!(state["spaces"]["soc"]["rules"][0]["rule_id"], "f");
    assert_eq!(state, fake.state());
    for (target, body) in [
        ("/_fake/faults", json!({ "kind": "nap" })),
        ("/_fake/seed", json!({ "rule": [] })),
        ("/_fake/seed", json!({ "space": "nowhere" })),
        ("/_fake/edit", json!({ "rule_id": "gone" })),
        ("/_fake/edit", json!([])),
    ] {
        assert_eq!(bare.post(target, &body).status, 400, "{body}");
    }
    assert_eq!(bare.get("/_fake/nowhere").status, 404);
    bare.fault(json!({ "kind": "overloaded", "times": 0 }));
    assert_eq!((client.get("/api/status").status, client.get("/api/status").status), (429, 429));
    let faults = bare.get("/_fake/faults").ok();
    assert_eq!((&faults[0]["kind"], &faults[0]["fired"]), (&json!("overloaded"), &json!(2)));
    bare.delete("/_fake/faults").ok();
    assert_eq!(client.get("/api/status").status, 200);
    assert_eq!(bare.get("/_fake/requests").ok().as_array().unwrap().len(), 3);
}
