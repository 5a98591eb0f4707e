//! Whatever is sent, the fake answers, and its rules stay findable.

use super::http::Request;
use super::state::State;
use super::{Settings, control, route};
use crate::schema::Version;
use proptest::prelude::*;
use serde_json::{Value, json};

fn words() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z:*()\" ]{0,8}".prop_map(Value::from),
        prop_oneof![
            Just("query"),
            Just("threshold"),
            Just("enable"),
            Just("edit"),
            Just("r-1"),
            Just("l-1"),
            Just("single"),
            Just("simple"),
            Just("detection")
        ]
        .prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("rule_id"),
        Just("id"),
        Just("ids"),
        Just("query"),
        Just("action"),
        Just("edit"),
        Just("type"),
        Just("value"),
        Just("name"),
        Just("description"),
        Just("severity"),
        Just("risk_score"),
        Just("actions"),
        Just("threshold"),
        Just("list_id"),
        Just("item_id"),
        Just("entries"),
        Just("exceptions_list"),
        Just("items"),
        Just("rules"),
        Just("set"),
        Just("comments"),
        Just("objects"),
        Just("kind"),
        Just("match"),
        Just("namespace_type"),
        Just("required_fields"),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        Just("/api/detection_engine/rules"),
        Just("/api/detection_engine/rules/_bulk_action"),
        Just("/api/detection_engine/rules/_find"),
        Just("/api/detection_engine/rules/_export"),
        Just("/api/detection_engine/rules/preview"),
        Just("/api/detection_engine/rules/r-1/exceptions"),
        Just("/api/exception_lists"),
        Just("/api/exception_lists/items"),
        Just("/api/exception_lists/items/_find"),
        Just("/api/exceptions/shared"),
        Just("/api/lists"),
        Just("/api/lists/items"),
        Just("/api/actions/connector/c-1"),
        Just("/api/spaces/space"),
        Just("/_fake/edit"),
        Just("/_fake/seed"),
        Just("/_fake/faults"),
    ];
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "(/s)?(/[a-z_.%]{0,6}){0,5}"]
}

proptest! {
    #[test]
    fn every_request_has_an_answer(
        requests in prop::collection::vec((path(), prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("PATCH"), Just("DELETE")], words()), 1..12)
    ) {
        let mut state = State::new(&Settings::default(), Version(9, 5, 1));
        control::seed(&mut state, &json!({ "rules": [{ "rule_id": "r-1", "id": "r-1" }],
            "exception_lists": [{ "list_id": "l-1", "type": "detection", "name": "n", "description": "d" }] })).unwrap();
        for (path, method, body) in requests {
            let request = Request {
                method: method.to_owned(),
                path,
                query: vec![("rule_id".to_owned(), "r-1".to_owned()), ("list_id".to_owned(), "l-1".to_owned()),
                    ("filter".to_owned(), body.as_str().unwrap_or("").to_owned())],
                headers: vec![("kbn-xsrf".to_owned(), "x".to_owned()), ("content-type".to_owned(), "application/json".to_owned())],
                body: body.to_string().into_bytes(),
                ..Request::default()
            };
            let reply = if request.path.starts_with("/_fake/") {
                control::answer(&mut state, &request)
            } else {
                route::answer(&mut state, &request, false)
            };
            prop_assert!((200..600).contains(&reply.status));
            if reply.status != 204 && !request.path.ends_with("_export") {
                prop_assert!(serde_json::from_slice::<Value>(&reply.body).is_ok());
            }
            for space in state.spaces.values() {
                for rule in space.rules.iter() {
                    prop_assert_eq!(space.rules.by_id(&rule.id).map(|r| &r.id), Some(&rule.id));
                    prop_assert!(space.rules.by_rule_id(rule.rule_id()).is_some());
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), head in any::<bool>()) {
        let mut all = if head { b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec() } else { Vec::new() };
        all.extend(bytes);
        let _ = Request::read(&mut all.as_slice(), &mut Vec::new());
    }
}
