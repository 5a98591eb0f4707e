//! `_find`: pages, order, filters.

use super::*;

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn seeded(count: usize) -> (FakeKibana, Client) {
    let (fake, client) = start();
    let rules: Vec<Value> = (0..count)
        .map(|n| rule(&format!("r-{n:04}"), json!({ "tags": [if n % 2 == 0 { "rulepack:a" } else { "b" }] })))
        .collect();
    fake.seed(&json!({ "rules": rules })).unwrap();
    (fake, client)
}

#[test]
fn pages_cover_all_rules_once() {
    let (_fake, client) = seeded(1_000);
    let mut seen = Vec::new();
    for page in 1..=3 {
        let target = format!("{RULES}/_find?page={page}&per_page=400&sort_field=created_at&sort_order=asc");
        let answer = client.get(&target).ok();
        assert_eq!(
            (&answer["page"], &answer["perPage"], &answer["total"]),
            (&json!(page), &json!(400), &json!(1000))
        );
        seen.extend(
            answer["data"].as_array().unwrap().iter().map(|r| r["rule_id"].as_str().unwrap().to_owned()),
        );
    }
    let all: Vec<String> = (0..1_000).map(|n| format!("r-{n:04}")).collect();
    assert_eq!(seen, all);
    assert_eq!(client.get(&format!("{RULES}/_find")).ok()["data"].as_array().unwrap().len(), 20);
    assert_eq!(client.get(&format!("{RULES}/_find?per_page=0")).ok()["data"], json!([]));
}

#[test]
fn filters_choose_by_tag_and_by_rule_id() {
    let (_fake, client) = seeded(300);
    let find = |filter: &str| client.get(&format!("{RULES}/_find?per_page=500&filter={}", encoded(filter)));
    assert_eq!(find("alert.attributes.tags: \"rulepack:a\"").ok()["total"], 150);
    let ids: Vec<String> = (0..150).map(|n| format!("\"r-{n:04}\"")).collect();
    let chunk = format!("alert.attributes.params.ruleId: ({})", ids.join(" or "));
    assert_eq!(find(&chunk).ok()["total"], 150);
    assert_eq!(find("alert.attributes.enabled: true").ok()["total"], 0);
    assert_eq!(find("alert.attributes.tags: (").status, 400);
    assert_eq!(find("tags: b").status, 400);
}

#[test]
fn what_kibana_does_not_list_is_refused() {
    let (_fake, client) = seeded(1);
    let status = |query: &str| client.get(&format!("{RULES}/_find?{query}")).status;
    assert_eq!(status("page=21&per_page=500"), 400);
    assert_eq!(status("page=20&per_page=500"), 200);
    assert_eq!(status("page=0"), 400);
    assert_eq!(status("sort_field=name"), 400);
    assert_eq!(status("sort_field=rule_id&sort_order=asc"), 400);
    assert_eq!(status("sort_field=name&sort_order=up"), 400);
    assert_eq!(status("fields=name"), 400);
    assert_eq!(status(&format!("filter={}", "a".repeat(8_200))), 414);
}

#[test]
fn an_order_can_be_turned_round() {
    let (fake, client) = start();
    for (id, severity, score) in [("a", "low", 3), ("b", "critical", 1), ("c", "medium", 2)] {
        fake.seed(&json!({ "rules": [rule(id, json!({ "severity": severity, "risk_score": score }))] }))
            .unwrap();
    }
    let order = |field: &str, way: &str| -> String {
        let answer = client.get(&format!("{RULES}/_find?sort_field={field}&sort_order={way}")).ok();
        answer["data"].as_array().unwrap().iter().map(|r| r["rule_id"].as_str().unwrap()).collect()
    };
    assert_eq!(order("severity", "desc"), "bca");
    assert_eq!(order("riskScore", "asc"), "bca");
    assert_eq!(order("name", "desc"), "cba");
    assert_eq!(order("createdAt", "desc"), "cba");
}

#[test]
fn two_rules_with_one_rule_id_are_both_listed() {
    let (fake, client) = start();
    fake.seed(&json!({ "rules": [rule("r", json!({})), rule("r", json!({ "name": "second" }))] })).unwrap();
    let filter = encoded("alert.attributes.params.ruleId: \"r\"");
    assert_eq!(client.get(&format!("{RULES}/_find?filter={filter}")).ok()["total"], 2);
    let first = client.delete(&format!("{RULES}?rule_id=r")).ok();
    assert_eq!(first["name"], "r");
    assert_eq!(fake.rule("default", "r").unwrap()["name"], "second");
}

#[test]
fn all_tags_are_listed_once() {
    let (_fake, client) = seeded(5);
    assert_eq!(client.get("/api/detection_engine/tags").ok(), json!(["b", "rulepack:a"]));
}
