//! Whole records: what each rule of the conversion makes of them, and that a document made for a
//! few readers has the same values as the whole one.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn convert(record: &Value) -> Value {
    convert_with(record, Options::default())
}

fn convert_with(record: &Value, options: Options) -> Value {
    let text = serde_json::to_string(record).unwrap();
    Converter::new(options).convert(text.as_bytes(), &Needs::all()).unwrap().document
}

fn at<'v>(document: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(document, |v, k| &v[k])
}

/// A record of one call with these fields over those of any call.
fn call(service: &str, name: &str, more: Value) -> Value {
    let mut record = json!({
        "eventVersion": "1.09", "eventTime": "2025-01-02T03:04:05Z", "eventID": "e-1", "awsRegion": "eu-west-1",
        "eventSource": format!("{service}.amazonaws.com"), "eventName": name,
        "sourceIPAddress": "192.0.2.7", "recipientAccountId": "111122223333",
        "userIdentity": {"type": "IAMUser", "userName": "alice", "principalId": "AIDAEXAMPLE",
            "arn": "arn:aws:iam::111122223333:user/alice", "accountId": "111122223333"},
    });
    for (key, value) in more.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn role_session(session: &str) -> Value {
    json!({"type": "AssumedRole", "principalId": format!("AROAEXAMPLE:{session}"), "accountId": "111122223333",
        "arn": format!("arn:aws:sts::111122223333:assumed-role/deploy/{session}"), "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/deploy",
            "userName": "deploy", "accountId": "111122223333", "principalId": "AROAEXAMPLE"},
            "attributes": {"creationDate": "20250102T000000Z", "mfaAuthenticated": "false"}}})
}

#[test]
fn a_call_of_an_iam_user_becomes_an_ecs_document() {
    let record = call(
        "iam",
        "AttachRolePolicy",
        json!({"requestParameters": {"roleName": "app", "policyArn": "arn:aws:iam::111122223333:policy/p"},
            "responseElements": null, "managementEvent": true, "readOnly": false, "requestID": "r-1"}),
    );
    assert_eq!(
        convert(&record),
        json!({
            "@timestamp": "2025-01-02T03:04:05.000Z",
            "actor": {"entity": {"id": ["arn:aws:iam::111122223333:user/alice"]}},
            "aws": {"cloudtrail": {
                "event_version": "1.09", "management_event": "true", "read_only": false, "request_id": "r-1",
                "recipient_account_id": "111122223333",
                "request_parameters": "{policyArn=arn:aws:iam::111122223333:policy/p, roleName=app}",
                "flattened": {"request_parameters":
                    {"roleName": "app", "policyArn": "arn:aws:iam::111122223333:policy/p"}},
                "user_identity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice"}}},
            "cloud": {"account": {"id": "111122223333"}, "provider": "aws", "region": "eu-west-1",
                "service": {"name": "iam"}},
            "data_stream": {"dataset": "aws.cloudtrail", "namespace": "default", "type": "logs"},
            "ecs": {"version": "8.11.0"},
            "entity": {"target": {"id": ["app"]}},
            "event": {"action": "AttachRolePolicy", "category": ["iam"], "dataset": "aws.cloudtrail", "id": "e-1",
                "kind": "event", "module": "aws", "outcome": "success", "provider": "iam.amazonaws.com",
                "type": ["change"]},
            "related": {"entity": ["alice", "app", "arn:aws:iam::111122223333:policy/p",
                    "arn:aws:iam::111122223333:user/alice"],
                "ip": ["192.0.2.7"], "user": ["AIDAEXAMPLE", "alice"]},
            "source": {"address": "192.0.2.7", "ip": "192.0.2.7"},
            "target": {"entity": {"id": ["app"]}},
            "user": {"entity": {"id": ["arn:aws:iam::111122223333:user/alice"]}, "id": "AIDAEXAMPLE",
                "name": "alice"},
        })
    );
}

#[test]
fn a_role_session_is_its_role_and_names_its_session() {
    let d = convert(&call("s3", "ListBuckets", json!({"userIdentity": role_session("bob@example.com")})));
    assert_eq!(at(&d, "user.name"), "deploy");
    assert_eq!(at(&d, "user.id"), "AROAEXAMPLE:bob@example.com");
    assert_eq!(at(&d, "user.email"), "bob@example.com");
    assert_eq!(at(&d, "user.entity.id"), &json!(["arn:aws:iam::111122223333:role/deploy"]));
    assert_eq!(
        at(&d, "related.user"),
        &json!(["bob@example.com", "bob", "AROAEXAMPLE:bob@example.com", "deploy"])
    );
    let context = at(&d, "aws.cloudtrail.user_identity.session_context");
    assert_eq!(context["creation_date"], "2025-01-02T00:00:00.000Z");
    assert_eq!(context["session_issuer"]["principal_id"], "AROAEXAMPLE");
}

#[test]
fn a_session_arn_without_partition_is_an_error() {
    let mut identity = role_session("x");
    identity["arn"] = "arn:aws_x:sts::111122223333:assumed-role/deploy/x".into();
    let text = serde_json::to_string(&call("s3", "ListBuckets", json!({"userIdentity": identity}))).unwrap();
    let c = Converter::default().convert(text.as_bytes(), &Needs::all()).unwrap();
    assert_eq!(c.errors.len(), 1);
    assert_eq!(at(&c.document, "error.message"), &json!(c.errors));
    assert_eq!(at(&c.document, "event.kind"), "pipeline_error");
    assert_eq!(at(&c.document, "event.original"), &json!(text));
    assert_eq!(at(&c.document, "tags"), &json!(["preserve_original_event"]));
}

#[test]
fn services_are_no_users() {
    let identity = json!({"type": "AWSService", "invokedBy": "backup.amazonaws.com"});
    let d = convert(&call(
        "sts",
        "AssumeRole",
        json!({"userIdentity": identity, "sourceIPAddress": "backup.amazonaws.com",
            "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/b", "roleSessionName": "s"}}),
    ));
    assert_eq!(at(&d, "service.name"), "backup.amazonaws.com");
    assert_eq!(at(&d, "service.entity.id"), &json!(["backup.amazonaws.com"]));
    assert_eq!(at(&d, "user"), &json!({"target": {"entity": {"id": ["arn:aws:iam::111122223333:role/b"]}}}));
    assert_eq!(at(&d, "source"), &json!({"address": "backup.amazonaws.com"}));
    assert_eq!(at(&d, "cloud.account.id"), "111122223333");
    // a role that only a service may assume, with nobody named
    let mut identity = role_session("s");
    identity["sessionContext"]["sessionIssuer"]["arn"] =
        "arn:aws:iam::111122223333:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig".into();
    let d = convert(&call("s3", "GetBucketAcl", json!({"userIdentity": identity})));
    assert_eq!((at(&d, "service.name"), at(&d, "user.name")), (&json!("config.amazonaws.com"), &Value::Null));
    // a console session names a service, too
    let mut record = call("iam", "CreateUser", json!({}));
    record["userIdentity"]["invokedBy"] = "signin.amazonaws.com".into();
    assert_eq!(at(&convert(&record), "service"), &Value::Null);
}

#[test]
fn identity_center_users_have_the_id_they_act_for() {
    let record = call(
        "signin",
        "UserAuthentication",
        json!({"userIdentity": {"type": "IdentityCenterUser", "accountId": "111122223333",
                "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1"}},
            "additionalEventData": {"UserName": "bob@example.com", "LoginTo": "https://example.com/"}}),
    );
    let d = convert(&record);
    assert_eq!(at(&d, "user"), &json!({"email": "bob@example.com", "id": "u-1", "name": "bob@example.com"}));
    assert_eq!(at(&d, "aws.cloudtrail.additional_eventdata"), "{LoginTo=https://example.com/}");
    assert_eq!(at(&d, "related.user"), &json!(["u-1", "bob@example.com"]));
    assert_eq!(at(&d, "entity.id"), &json!(["u-1"]));
}

#[test]
fn console_logins_succeed_by_their_answer() {
    let record = |answer: &str| {
        call(
            "signin",
            "ConsoleLogin",
            json!({"responseElements": {"ConsoleLogin": answer}, "errorMessage": "Failed authentication",
                "additionalEventData": {"MFAUsed": "No", "MobileVersion": "Yes", "LoginTo": "https://example.com/"}}),
        )
    };
    let d = convert(&record("Failure"));
    assert_eq!(at(&d, "event.outcome"), "failure");
    assert_eq!(
        at(&d, "aws.cloudtrail.console_login.additional_eventdata"),
        &json!({"login_to": "https://example.com/", "mfa_used": false, "mobile_version": true})
    );
    assert_eq!(at(&convert(&record("Success")), "event.outcome"), "success");
    assert_eq!(at(&d, "entity.target.id"), &json!(["111122223333"]));
}

#[test]
fn errors_of_a_call_are_failures_and_unknown_calls_are_info() {
    let d = convert(&call("iam", "CreateRole", json!({"errorCode": "AccessDenied"})));
    assert_eq!(at(&d, "event.outcome"), "failure");
    assert_eq!((at(&d, "event.type"), at(&d, "event.category")), (&json!(["info"]), &Value::Null));
}

#[test]
fn empty_values_leave_texts_and_copies() {
    let d = convert(&call(
        "ec2",
        "RunInstances",
        json!({"requestParameters": {"a": "none", "b": "-", "c": {"d": []}, "keep": 0}, "apiVersion": "-"}),
    ));
    assert_eq!(at(&d, "aws.cloudtrail.request_parameters"), "{keep=0}");
    assert_eq!(at(&d, "aws.cloudtrail.flattened.request_parameters"), &json!({"keep": 0}));
    assert_eq!(at(&d, "aws.cloudtrail.api_version"), &Value::Null);
}

#[test]
fn long_payloads_have_no_flattened_copy() {
    let record = |n: usize| call("iam", "X", json!({"requestParameters": {"a": "é".repeat(n)}}));
    // "{a=}" and the text
    let d = convert(&record(32_766 - 4 - 1));
    assert!(at(&d, "aws.cloudtrail.flattened.request_parameters").is_object());
    let d = convert(&record(32_766 - 4));
    assert!(at(&d, "aws.cloudtrail.request_parameters").is_string());
    assert_eq!(at(&d, "aws.cloudtrail.flattened"), &Value::Null);
}

#[test]
fn retain_decides_which_forms_are_kept() {
    let record = call(
        "iam",
        "X",
        json!({"requestParameters": {"policyArn": "p", "other": "o"}, "responseElements": {"x": 1},
            "additionalEventData": {"SSEApplied": "s", "y": 2}}),
    );
    let forms = |retain| {
        let d = convert_with(&record, Options { retain, ..Options::default() });
        (at(&d, "aws.cloudtrail.request_parameters").is_string(), at(&d, "aws.cloudtrail.flattened").clone())
    };
    let both = json!({"request_parameters": {"policyArn": "p", "other": "o"}, "response_elements": {"x": 1},
        "additional_eventdata": {"SSEApplied": "s", "y": 2}});
    assert_eq!(forms(Retain::All), (true, both.clone()));
    assert_eq!(forms(Retain::Flattened), (false, both));
    assert_eq!(forms(Retain::Keyword), (true, Value::Null));
    assert_eq!(forms(Retain::None), (false, Value::Null));
    let few = json!({"request_parameters": {"policyArn": "p"}, "additional_eventdata": {"SSEApplied": "s"}});
    assert_eq!(forms(Retain::Minimal), (true, few));
}

#[test]
fn resources_come_once_in_the_order_of_a_java_map() {
    let d = convert(&call(
        "s3",
        "GetObject",
        json!({"resources": [
            {"ARN": "arn:aws:s3:::example", "accountId": "111122223333", "type": "AWS::S3::Bucket", "n": 1},
            {"ARN": "arn:aws:s3:::example/key", "type": "AWS::S3::Object"},
            {"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::example", "accountId": "111122223333", "n": 2},
            "odd"]}),
    ));
    let resources = at(&d, "aws.cloudtrail.resources").as_array().unwrap();
    assert_eq!(resources.len(), 2);
    assert!(resources.contains(&json!({"arn": "arn:aws:s3:::example", "account_id": "111122223333",
        "type": "AWS::S3::Bucket", "n": 2})));
    // an item that is no object stops the entities, as it does in the pipeline
    assert_eq!((at(&d, "event.kind"), at(&d, "related.entity")), (&json!("pipeline_error"), &Value::Null));
}

#[test]
fn the_text_of_a_list_of_entities_stops_at_the_first_that_is_known() {
    let rule = json!({"groupId": "sg-1", "securityGroupRuleId": "sgr-1"});
    let d = convert(&call(
        "ec2",
        "DescribeSecurityGroupRules",
        json!({"requestParameters": {"groupId": "sg-1"}, "responseElements": {"securityGroupRuleSet": {"items": [rule]}}}),
    ));
    assert_eq!(at(&d, "related.entity"), &json!(["alice", "arn:aws:iam::111122223333:user/alice", "sg-1"]));
    let d = convert(&call(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        json!({"requestParameters": {"groupId": "sg-1"}, "responseElements": {"securityGroupRuleSet": {"items": [rule]}}}),
    ));
    assert_eq!(at(&d, "service.target.entity.id"), &json!(["sg-1", "sgr-1"]));
}

#[test]
fn a_command_to_all_instances_targets_the_account() {
    let send = |request: Value| convert(&call("ssm", "SendCommand", json!({"requestParameters": request})));
    let d = send(json!({"targets": [{"key": "InstanceIds", "values": ["*"]}]}));
    assert_eq!(at(&d, "target.entity.id"), &json!(["111122223333"]));
    let d = send(json!({"instanceIds": ["i-0123456789abcdef0", "i-0123456789abcdef1"]}));
    assert_eq!(at(&d, "host.target.id"), &json!(["i-0123456789abcdef0", "i-0123456789abcdef1"]));
    assert_eq!(at(&d, "host.target.entity.id"), at(&d, "related.hosts"));
}

#[test]
fn entities_can_be_left_out() {
    let record = call("iam", "CreateUser", json!({"requestParameters": {"userName": "bob"}}));
    let d = convert_with(&record, Options { entities: false, ..Options::default() });
    for path in ["actor", "target", "entity", "related.entity", "user.entity"] {
        assert_eq!(at(&d, path), &Value::Null, "{path}");
    }
    assert_eq!(at(&d, "user.target"), &json!({"name": "bob"}));
}

#[test]
fn hosts_and_addresses_are_gathered() {
    let d = convert(&call(
        "ssm",
        "RegisterManagedInstance",
        json!({"sourceIPAddress": "host.example.net", "requestParameters": {"computerName": "pc-1", "target": "i-short"},
            "serviceEventDetails": {"sourceIpAddress": "2001:db8::1"},
            "resources": [{"ARN": "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0"}],
            "tlsDetails": {"tlsVersion": "TLSv1.3", "clientProvidedHostHeader": "api.example.com"}}),
    ));
    assert_eq!(
        at(&d, "related.hosts"),
        &json!(["api.example.com", "host.example.net", "pc-1", "i-0123456789abcdef0"])
    );
    assert_eq!(at(&d, "related.ip"), &json!(["2001:db8::1"]));
    assert_eq!(
        at(&d, "tls"),
        &json!({"client": {"server_name": "api.example.com"}, "version": "1.3", "version_protocol": "tls"})
    );
    let d =
        convert(&call("iam", "X", json!({"tlsDetails": {"tlsVersion": "tlsVersion", "cipherSuite": "c"}})));
    assert_eq!(at(&d, "tls"), &Value::Null);
}

#[test]
fn groups_and_changed_users_are_named() {
    let d = convert(&call(
        "iam",
        "UpdateUser",
        json!({"requestParameters": {"userName": "bob", "newUserName": "rob", "groupName": "g"},
            "responseElements": {"group": {"groupId": "G1"}, "user": {"userId": "U1"}}}),
    ));
    assert_eq!(at(&d, "group"), &json!({"id": "G1", "name": "g"}));
    assert_eq!(at(&d, "user.changes.name"), "rob");
    assert_eq!(at(&d, "user.target"), &json!({"id": "U1", "name": "bob"}));
    assert_eq!(at(&d, "related.user"), &json!(["bob", "rob", "U1", "AIDAEXAMPLE", "alice"]));
}

#[test]
fn a_digest_is_one_event_of_its_own_time() {
    let d = convert_with(
        &json!({"awsAccountId": "111122223333", "digestStartTime": "2025-01-01T00:00:00Z",
            "digestEndTime": "2025-01-01T01:00:00Z", "digestS3Bucket": "b", "digestS3Object": "o",
            "previousDigestHashValue": "abc", "logFiles": [{"s3Object": "x"}], "newestEventTime": "soon"}),
        Options { retain: Retain::None, ..Options::default() },
    );
    assert_eq!(at(&d, "@timestamp"), "2025-01-01T01:00:00.000Z");
    assert_eq!((at(&d, "cloud.account.id"), at(&d, "file.path")), (&json!("111122223333"), &json!("o")));
    assert_eq!(at(&d, "related.hash"), &json!(["abc"]));
    assert_eq!(
        at(&d, "aws.cloudtrail.flattened.digest"),
        &json!({"start_time": "2025-01-01T00:00:00.000Z", "end_time": "2025-01-01T01:00:00.000Z", "s3_bucket": "b",
            "previous_hash_value": "abc", "log_files": [{"s3Object": "x"}]})
    );
    assert_eq!(at(&d, "event.kind"), "pipeline_error");
}

#[test]
fn insights_have_no_action_and_no_entities() {
    let d = convert(
        &json!({"eventTime": "2025-01-01T00:00:00Z", "eventCategory": "Insight", "sharedEventID": "s",
        "insightDetails": {"state": "Start", "eventName": "X", "n": 2.0}, "recipientAccountId": "111122223333"}),
    );
    assert_eq!(at(&d, "aws.cloudtrail.flattened.insight_details.n"), &json!(2.0));
    assert_eq!(at(&d, "aws.cloudtrail.shared_event_id"), "s");
    assert_eq!((at(&d, "event.action"), at(&d, "related")), (&Value::Null, &Value::Null));
}

#[test]
fn a_time_that_is_none_is_an_error() {
    let text = br#"{"eventName":"X","eventTime":"yesterday"}"#;
    let c = Converter::default().convert(text, &Needs::all()).unwrap();
    assert_eq!(c.errors.len(), 1);
    assert_eq!(at(&c.document, "@timestamp"), &Value::Null);
}

#[test]
fn texts_that_are_no_records_say_where() {
    let convert = |text: &[u8]| Converter::default().convert(text, &Needs::all()).unwrap_err();
    let Err(ConvertError::Syntax { line, column, offset, .. }) = Err::<(), _>(convert(b"{\"a\":1,\n b:2}"))
    else {
        panic!("a syntax error");
    };
    assert_eq!((line, column, offset), (2, 2, 9));
    assert_eq!(convert(b"[1]"), ConvertError::NotAnObject);
    assert!(matches!(convert(b"{} x"), ConvertError::Syntax { offset: 3, .. }));
    assert!(matches!(convert(b"{\"a\":\"\xff\"}"), ConvertError::Syntax { column: 7, .. }));
    let deep = format!("{{\"requestParameters\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(convert(deep.as_bytes()), ConvertError::TooDeep);
}

#[test]
fn the_original_is_kept_on_request() {
    let record = call("iam", "X", json!({}));
    let d = convert_with(&record, Options { keep_original: true, ..Options::default() });
    assert_eq!(at(&d, "event.original"), &json!(serde_json::to_string(&record).unwrap()));
    assert_eq!(at(&d, "tags"), &Value::Null);
}

/// Any JSON, with the words that the rules look for.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "",
            "-",
            "none",
            "*",
            "No",
            "AssumedRole",
            "AWSService",
            "IAMUser",
            "IdentityCenterUser",
            "alice",
            "bob@example.com",
            "iam.amazonaws.com",
            "192.0.2.7",
            "host.example.net",
            "i-0123456789abcdef0",
            "arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
            "arn:aws:sts::111122223333:assumed-role/r/s@x",
            "arn:aws::sts:x/",
            "TLSv1.3",
            "tlsVersion",
            "2025-01-02T03:04:05Z",
            "aws-cli/2.17.1",
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        4 => word,
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let key = prop::sample::select(vec![
        "type",
        "arn",
        "ARN",
        "userName",
        "userId",
        "accountId",
        "accessKeyId",
        "invokedBy",
        "principalId",
        "sessionContext",
        "sessionIssuer",
        "attributes",
        "creationDate",
        "onBehalfOf",
        "roleName",
        "roleArn",
        "groupId",
        "groupSet",
        "items",
        "instancesSet",
        "instanceId",
        "instanceIds",
        "targets",
        "values",
        "UserName",
        "ConsoleLogin",
        "MFAUsed",
        "tlsVersion",
        "clientProvidedHostHeader",
        "sourceIpAddress",
        "vpcConfig",
        "securityGroupIds",
        "resourceId",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|e| Value::Object(e.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn any_record() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "eventTime",
        "eventName",
        "eventSource",
        "userIdentity",
        "requestParameters",
        "responseElements",
        "additionalEventData",
        "serviceEventDetails",
        "resources",
        "tlsDetails",
        "sourceIPAddress",
        "userAgent",
        "errorCode",
        "recipientAccountId",
        "insightDetails",
        "digestEndTime",
        "logFiles",
        "addendum",
        "eventID",
    ]);
    let call = prop::sample::select(vec![
        ("sts", "AssumeRole"),
        ("ec2", "RunInstances"),
        ("ec2", "AuthorizeSecurityGroupIngress"),
        ("ssm", "SendCommand"),
        ("signin", "ConsoleLogin"),
        ("signin", "UserAuthentication"),
        ("iam", "CreateUser"),
        ("lambda", "AddPermission20150331v2"),
        ("s3", "GetObject"),
        ("rds", "StopDBInstance"),
    ]);
    (prop::collection::vec((key, any_json()), 0..10), call, any::<bool>()).prop_map(
        |(fields, (service, name), known)| {
            let mut record = if known { call_only(service, name) } else { json!({}) };
            for (key, value) in fields {
                record[key] = value;
            }
            record
        },
    )
}

fn call_only(service: &str, name: &str) -> Value {
    call(service, name, json!({}))
}

/// The leaf paths of a document.
fn paths(value: &Value, prefix: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                // what lies in a payload is one path: its keys may hold dots
                if path.starts_with("aws.cloudtrail.flattened.") {
                    out.push(path)
                } else {
                    paths(value, &path, out)
                }
            }
        }
        _ => out.push(prefix.to_owned()),
    }
}

proptest! {
    #[test]
    fn any_record_converts_the_same_for_whoever_reads_it(record in any_record(), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let text = serde_json::to_string(&record).unwrap();
        let converter = Converter::default();
        let whole = converter.convert(text.as_bytes(), &Needs::all()).unwrap().document;
        let mut known = Vec::new();
        paths(&whole, "", &mut known);
        known.extend(["aws.cloudtrail.request_parameters", "event.kind", "related.hosts", "user.name"].map(str::to_owned));
        let picked: Vec<&str> = picks.iter().map(|i| i.get(&known).as_str()).collect();
        let part = converter.convert(text.as_bytes(), &Needs::of(picked.iter().copied())).unwrap().document;
        for path in picked {
            prop_assert_eq!(at(&part, path), at(&whole, path), "{}", path);
        }
    }

    #[test]
    fn any_text_converts_or_says_why(text in "[{}\\[\\]\":,a-z0-9.e\\\\-]{0,40}") {
        let _ = Converter::default().convert(text.as_bytes(), &Needs::all());
    }

    #[test]
    fn any_object_converts(value in any_json()) {
        let text = serde_json::to_string(&json!({"requestParameters": value, "eventName": "X"})).unwrap();
        let converted = Converter::default().convert(text.as_bytes(), &Needs::all()).unwrap();
        prop_assert!(converted.document.is_object());
    }
}
