//! The shapes of events: a monitor made for a shape finds, among events of that shape, what the rule finds
//! among their ECS forms.

use super::selection::{PACK, RECORDS, RULES, alerted, query_string, selected};
use rulepack::emit::opensearch::{MonitorKind, support_with};
use rulepack::pack::{OpenSearch, Profile};
use rulepack::schema::Schema;
use serde_json::{Map, Value, json};

/// A record as an event of OCSF's class API Activity, as far as the profile reads it.
pub fn ocsf(record: &Value) -> Value {
    let text = |p: &str| record.pointer(p).filter(|v| !v.is_null()).cloned();
    let mut out = Map::new();
    let mut put = |path: &str, value: Option<Value>| {
        let Some(value) = value else { return };
        let mut map = &mut out;
        let (parents, leaf) = path.rsplit_once('.').unwrap_or(("", path));
        for key in parents.split('.').filter(|k| !k.is_empty()) {
            map = map.entry(key).or_insert_with(|| json!({})).as_object_mut().unwrap();
        }
        map.insert(leaf.to_owned(), value);
    };
    let failed = text("/errorCode").is_some() || text("/errorMessage").is_some();
    put("status_id", Some(json!(if failed { 2 } else { 1 })));
    put("api.operation", text("/eventName"));
    put("api.service.name", text("/eventSource"));
    put("api.response.error", text("/errorCode"));
    put("api.response.error_message", text("/errorMessage"));
    put("api.request.data", text("/requestParameters").map(|v| v.to_string().into()));
    put("actor.user.type", text("/userIdentity/type"));
    put("actor.user.uid", text("/userIdentity/arn"));
    put("actor.user.uid_alt", text("/userIdentity/principalId"));
    put("http_request.user_agent", text("/userAgent"));
    let address = text("/sourceIPAddress");
    let ip = address.as_ref().and_then(Value::as_str).is_some_and(|a| a.parse::<std::net::IpAddr>().is_ok());
    put(if ip { "src_endpoint.ip" } else { "src_endpoint.domain" }, address);
    Value::Object(out)
}

/// The names of the rules with a monitor of conditions, and that each finds what its rule finds.
fn checked(profile: Profile, shape: impl Fn(&Value) -> Value) -> Vec<String> {
    let documents: Vec<Value> = RECORDS.iter().map(shape).collect();
    let settings = OpenSearch { profile, index: vec!["trail-*".into()], ..OpenSearch::default() };
    let mut out = Vec::new();
    for rule in RULES.iter() {
        let support = support_with(rule, &PACK.config, &settings);
        if support.kind != Some(MonitorKind::DocLevel) {
            continue;
        }
        let query = query_string(&support.monitor.unwrap());
        assert_eq!(selected(&query, &Schema::none(), &documents), alerted(rule), "{}: {query}", support.name);
        out.push(support.name);
    }
    out
}

#[test]
fn records_as_they_are_give_the_alerts_of_their_ecs_form() {
    assert_eq!(checked(Profile::Raw, Value::clone).len(), 10);
}

#[test]
fn records_below_a_field_give_the_alerts_of_their_ecs_form() {
    let names = checked(Profile::Ss4o, |r| json!({ "aws": { "cloudtrail": r } }));
    assert_eq!(names.len(), 10);
}

#[test]
fn api_activities_give_the_alerts_of_their_ecs_form() {
    let names = checked(Profile::Ocsf, ocsf);
    assert!(names.iter().any(|n| n.ends_with("key_quarantine_policy_to_user")));
    assert_eq!(names.len(), 11);
}

#[test]
fn what_a_shape_has_no_place_for_is_named() {
    let settings = OpenSearch { profile: Profile::Raw, index: vec!["t".into()], ..OpenSearch::default() };
    let rule = RULES.iter().find(|r| r.rule.name.ends_with("discovery_burst_from_cli")).unwrap();
    let support = support_with(rule, &PACK.config, &settings);
    let fields: Vec<&str> = support.unmapped.iter().map(|u| u.field.as_str()).collect();
    assert_eq!(fields, ["user_agent.name", "source.ip", "user.name"]);
    assert!(support.monitor.is_none());
}
