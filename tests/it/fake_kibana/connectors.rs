//! Connectors, spaces, status, privileges.

use super::*;

#[test]
fn connectors_are_kept_without_their_secrets() {
    let (fake, client) = start();
    let one = "/api/actions/connector/c-1";
    let body = json!({ "name": "soc", "connector_type_id": ".slack", "config": { "a": 1 }, "secrets": { "token": "hush" } });
    let made = client.post(one, &body).ok();
    assert_eq!((&made["id"], &made["is_missing_secrets"]), (&json!("c-1"), &json!(false)));
    assert_eq!(client.post(one, &body).status, 409);
    created(&client, "r", json!({ "actions": [{ "id": "c-1", "action_type_id": ".slack", "params": {} }] }));
    let all = client.get("/api/actions/connectors").ok();
    assert_eq!((&all[0]["name"], &all[0]["referenced_by_count"]), (&json!("soc"), &json!(1)));
    let renamed = client.put(one, &json!({ "name": "new" })).ok();
    assert_eq!((&renamed["name"], &renamed["connector_type_id"]), (&json!("new"), &json!(".slack")));
    assert_eq!(client.get(one).ok(), renamed);
    assert_eq!(client.put(one, &json!({ "name": "new", "connector_type_id": ".email" })).status, 400);
    assert!(!fake.state().to_string().contains("hush"));
    assert_eq!((client.delete(one).status, client.delete(one).status), (204, 404));
    assert!(client.post("/api/actions/connector", &body).ok()["id"].as_str().unwrap().len() == 36);
}

#[test]
fn spaces_keep_their_things_apart() {
    let (_fake, client) = start();
    assert_eq!(client.get("/api/spaces/space/soc").status, 404);
    assert_eq!(client.get(&format!("/s/soc{RULES}/_find")).status, 404);
    client.post("/api/spaces/space", &json!({ "id": "soc", "name": "SOC" })).ok();
    assert_eq!(client.post("/api/spaces/space", &json!({ "id": "soc", "name": "SOC" })).status, 409);
    assert_eq!(client.post("/api/spaces/space", &json!({ "id": "So C", "name": "x" })).status, 400);
    assert_eq!(client.get("/api/spaces/space/soc").ok()["name"], "SOC");
    assert_eq!(client.get("/api/spaces/space").ok().as_array().unwrap().len(), 2);
    created(&client, "r", json!({}));
    assert_eq!(client.get(&format!("/s/soc{RULES}/_find")).ok()["total"], 0);
    assert_eq!(client.get(&format!("/s/default{RULES}/_find")).ok()["total"], 1);
    assert_eq!(client.delete("/api/spaces/space/soc").status, 204);
    assert_eq!(client.delete("/api/spaces/space/default").status, 400);
}

#[test]
fn status_privileges_and_the_user_answer() {
    let (_fake, client) = start();
    let status = client.get("/api/status").ok();
    assert_eq!(
        (&status["version"]["number"], &status["status"]["overall"]["level"]),
        (&json!("9.5.1"), &json!("available"))
    );
    assert_eq!(status["version"]["build_flavor"], "traditional");
    let key = client.with("authorization: ApiKey aWQ6a2V5");
    let privileges = key.get("/api/detection_engine/privileges").ok();
    assert_eq!(
        (&privileges["has_all_requested"], &privileges["has_encryption_key"]),
        (&json!(true), &json!(true))
    );
    assert!(privileges["index"].get(".alerts-security.alerts-default").is_some());
    assert_eq!(key.get("/internal/security/me").status, 400);
    let inside = key.with("x-elastic-internal-origin: test");
    assert_eq!(inside.get("/internal/security/me").ok()["authentication_type"], "api_key");
}
