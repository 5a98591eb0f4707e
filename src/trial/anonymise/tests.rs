//! What must be gone from an event, and what must stay.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn after(mut event: Value) -> Value {
    Anonymiser::default().event(&mut event);
    event
}

#[test]
fn a_record_tells_nothing_of_where_it_comes_from_and_what_belongs_together_still_does() {
    let out = after(json!({
        "eventName": "AttachRolePolicy",
        "eventSource": "iam.amazonaws.com",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROA4QFZ7XKLM2PQRST3U:jo.smith@corp.test",
            "arn": "arn:aws:sts::302746918530:assumed-role/Ops/jo.smith@corp.test", "accountId": "302746918530",
            "accessKeyId": "ASIA4QFZ7XKLM2PQRST3",
        },
        "sourceIPAddress": "52.94.11.7", "userAgent": "Mozilla/5.0 Chrome/120.0.0.0",
        "requestParameters": {"roleName": "billing", "policyArn": "arn:aws:iam::302746918530:policy/team/x"},
        "rendered": "{roleName=billing, policyArn=arn:aws:iam::aws:policy/AdministratorAccess}",
        "resources": ["arn:aws:iam::302746918530:role/billing"], "note": "from 52.94.11.7 in 302746918530",
        "vpc": "vpc-0a1b2c3d", "inner": "{\"Principal\":\"arn:aws:iam::302746918530:user/eve\"}",
    }));
    assert_eq!(
        out["userIdentity"]["arn"],
        "arn:aws:sts::111122223333:assumed-role/role-2/person-1@example.com"
    );
    assert_eq!(out["userIdentity"]["principalId"], "AROAAAAAAAAAAAEXAMPLE:person-1@example.com");
    assert_eq!(out["userIdentity"]["accessKeyId"], "ASIAAAAAAAAAAEXAMPLE");
    assert_eq!(out["userIdentity"]["accountId"], "111122223333");
    assert_eq!(out["sourceIPAddress"], "192.0.2.1");
    assert_eq!(out["userAgent"], "Mozilla/5.0 Chrome/120.0.0.0");
    assert_eq!(out["requestParameters"]["roleName"], "role-1");
    assert_eq!(out["requestParameters"]["policyArn"], "arn:aws:iam::111122223333:policy/path-1/policy-1");
    assert_eq!(out["rendered"], "{roleName=role-1, policyArn=arn:aws:iam::aws:policy/AdministratorAccess}");
    assert_eq!(out["resources"][0], "arn:aws:iam::111122223333:role/role-1");
    assert_eq!(out["note"], "from 192.0.2.1 in 111122223333");
    assert_eq!(out["vpc"], "vpc-01234560");
    assert_eq!(out["inner"], "{\"Principal\":\"arn:aws:iam::111122223333:user/user-1\"}");
    assert_eq!(
        (&out["eventName"], &out["eventSource"]),
        (&json!("AttachRolePolicy"), &json!("iam.amazonaws.com"))
    );
    assert_eq!(after(out.clone()), out, "documentation values stay");
}

#[test]
fn private_addresses_stay_private_and_hosts_of_aws_stay() {
    let out = after(json!({
        "a": "10.4.5.6", "b": "172.20.1.1", "c": "192.168.7.7", "d": "2600:1f18::5", "e": "127.0.0.1",
        "hostname": "build7.corp.test", "host": {"name": "ws-0042"}, "clientProvidedHostHeader": "iam.amazonaws.com",
        "cidr": "52.94.0.0/16",
    }));
    let expected = json!({
        "a": "10.0.0.1", "b": "172.16.0.1", "c": "192.168.0.1", "d": "2001:db8::1", "e": "127.0.0.1",
        "hostname": "host-1.example.com", "host": {"name": "host-2"}, "clientProvidedHostHeader": "iam.amazonaws.com",
        "cidr": "192.0.2.1/16",
    });
    assert_eq!(out, expected);
}

#[test]
fn what_the_rule_asks_for_is_kept() {
    let mut event = json!({"userIdentity": {"accountId": "302746918530", "userName": "break-glass"}, "recipientAccountId": "302746918531"});
    let mut a = Anonymiser::keeping("cloud.account.id: 302746918530 and user.name: \"break-glass\"");
    a.event(&mut event);
    assert_eq!(event["userIdentity"], json!({"accountId": "302746918530", "userName": "break-glass"}));
    assert_eq!(event["recipientAccountId"], "111122223333");
    assert_eq!(a.counts(), [(Sort::Account, 1)]);
}

proptest! {
    #[test]
    fn different_values_stay_different_and_equal_ones_equal(
        ids in prop::collection::vec("[0-9]{12}", 1..20), hosts in prop::collection::vec("[1-9][0-9]?\\.[0-9]\\.[0-9]\\.[0-9]", 1..20),
        keys in prop::collection::vec("AKIA[A-Z2-7]{16}", 1..10),
    ) {
        let event = json!({"accountId": ids, "ip": hosts, "accessKeyId": keys});
        let out = after(event.clone());
        for key in ["accountId", "ip", "accessKeyId"] {
            let (was, is) = (event[key].as_array().unwrap(), out[key].as_array().unwrap());
            for (i, a) in was.iter().enumerate() {
                for (j, b) in was.iter().enumerate() {
                    prop_assert_eq!(a == b, is[i] == is[j], "{} {} {:?}", a, b, is);
                }
            }
        }
        prop_assert_eq!(after(out.clone()), out);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(arn:aws:iam::|1{12}|:|/|@|\\.|a|é|=|\\{|AKIA|[0-9]){0,24}") {
        let _ = after(json!({"x": text, "accountId": text, "hostname": text, "userName": text, "principalId": text}));
    }
}
