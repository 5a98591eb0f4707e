//! Exception lists and items: create, read, replace, find, delete, the default list of a rule.

use super::*;

const LISTS: &str = "/api/exception_lists";
const ITEMS: &str = "/api/exception_lists/items";

fn list(list_id: &str) -> Value {
    json!({ "list_id": list_id, "type": "detection", "name": "n", "description": "d" })
}

fn item(list_id: &str, item_id: &str, more: Value) -> Value {
    let mut item = json!({ "list_id": list_id, "item_id": item_id, "type": "simple", "name": "n", "description": "d",
        "entries": [{ "field": "user.name", "operator": "included", "type": "match", "value": "bob" }] });
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

/// A replacement of an item: a create without `list_id`.
fn replacement(item_id: &str, more: Value) -> Value {
    let mut body = item("l", item_id, more);
    body.as_object_mut().unwrap().remove("list_id");
    body
}

#[test]
fn a_list_has_its_defaults_and_exists_once() {
    let (_fake, client) = start();
    let made = client.post(LISTS, &list("l")).ok();
    assert_eq!(
        (&made["namespace_type"], &made["version"], &made["tags"]),
        (&json!("single"), &json!(1), &json!([]))
    );
    assert!(made["_version"].is_string() && made["tie_breaker_id"].is_string());
    assert_eq!(client.post(LISTS, &list("l")).status, 409);
    let mut agnostic = list("l");
    agnostic.as_object_mut().unwrap().insert("namespace_type".to_owned(), "agnostic".into());
    client.post(LISTS, &agnostic).ok();
    assert_eq!(client.get(&format!("{LISTS}?list_id=l")).ok(), made);
    assert_eq!(
        client.get(&format!("{LISTS}?list_id=l&namespace_type=agnostic")).ok()["namespace_type"],
        "agnostic"
    );
    assert_eq!(client.get(&format!("{LISTS}?list_id=m")).status, 404);
    assert_eq!(client.get(LISTS).status, 400);
}

#[test]
fn a_replacement_with_a_stale_version_conflicts() {
    let (fake, client) = start();
    client.post(LISTS, &list("l")).ok();
    let made = client
        .post(ITEMS, &item("l", "i", json!({ "tags": ["t"], "expire_time": "2027-01-01T00:00:00.000Z" })))
        .ok();
    let put = |more: Value| client.put(ITEMS, &replacement("i", more));
    let after = put(json!({ "_version": made["_version"], "name": "renamed" })).ok();
    assert_eq!(
        (&after["name"], &after["tags"], &after["list_id"]),
        (&json!("renamed"), &json!([]), &json!("l"))
    );
    assert!(after.get("expire_time").is_none());
    assert_eq!(put(json!({ "_version": made["_version"] })).status, 409);
    fake.edit(&json!({ "item_id": "i", "set": { "name": "theirs" } })).unwrap();
    assert_eq!(put(json!({ "_version": after["_version"] })).status, 409);
    assert_eq!(put(json!({})).ok()["name"], "n");
    let with_both = put(json!({ "id": made["id"] }));
    assert_eq!(with_both.status, 400);
}

#[test]
fn comments_are_only_appended() {
    let (_fake, client) = start();
    client.post(LISTS, &list("l")).ok();
    let made = client.post(ITEMS, &item("l", "i", json!({ "comments": [{ "comment": "one" }] }))).ok();
    let one = made["comments"][0].clone();
    assert_eq!(one["created_by"], "anonymous");
    let put = |comments: Value| client.put(ITEMS, &replacement("i", json!({ "comments": comments })));
    let two = put(json!([one, { "comment": "two" }])).ok();
    assert_eq!((&two["comments"][0], &two["comments"][1]["comment"]), (&one, &json!("two")));
    assert_eq!(put(json!([one])).status, 400);
    assert_eq!(put(json!([{ "comment": "one" }, { "comment": "two" }])).status, 400);
}

#[test]
fn items_that_do_not_fit_are_refused() {
    let (_fake, client) = start();
    client.post(LISTS, &list("l")).ok();
    let entry = |more: Value| {
        let mut e = json!({ "field": "a", "operator": "included" });
        e.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        e
    };
    let status = |entries: Value| client.post(ITEMS, &item("l", "i", json!({ "entries": entries }))).status;
    let value_list = entry(json!({ "type": "list", "list": { "id": "v", "type": "ip" } }));
    for bad in [
        json!([]),
        json!([entry(json!({ "type": "match" }))]),
        json!([entry(json!({ "type": "match_any", "value": [] }))]),
        json!([entry(json!({ "type": "like", "value": "x" }))]),
        json!([{ "field": "a", "type": "nested", "entries": [value_list] }]),
        json!([value_list, entry(json!({ "type": "exists" }))]),
    ] {
        assert_eq!(status(bad.clone()), 400, "{bad}");
    }
    assert_eq!(
        client.post(ITEMS, &item("l", "i", json!({ "expire_time": "2027-01-01T00:00:00Z" }))).status,
        400
    );
    assert_eq!(client.post(ITEMS, &item("l", "i", json!({ "colour": 1 }))).status, 400);
    assert_eq!(client.post(ITEMS, &item("m", "i", json!({}))).status, 404);
    assert_eq!(
        status(json!([{ "field": "a", "type": "nested", "entries": [entry(json!({ "type": "exists" }))] }])),
        200
    );
    assert_eq!(client.post(ITEMS, &item("l", "i", json!({}))).status, 409);
}

#[test]
fn items_are_found_by_lists_that_pair_with_namespaces() {
    let (fake, client) = start();
    fake.seed(&json!({ "exception_lists": [list("a"), list("b")] })).unwrap();
    for n in 0..25 {
        client.post(ITEMS, &item("a", &format!("i-{n:02}"), json!({ "name": format!("item {n}") }))).ok();
    }
    client.post(ITEMS, &item("b", "other", json!({}))).ok();
    let find = |query: &str| client.get(&format!("{ITEMS}/_find?{query}"));
    let page = find("list_id=a&namespace_type=single&page=2&per_page=20").ok();
    assert_eq!(
        (page["data"].as_array().unwrap().len(), &page["total"], &page["per_page"]),
        (5, &json!(25), &json!(20))
    );
    assert_eq!(find("list_id=a,b&namespace_type=single,single").ok()["total"], 26);
    assert_eq!(find("list_id=a,b&namespace_type=single").status, 400);
    assert_eq!(find("list_id=c&namespace_type=single").status, 404);
    assert_eq!(find("list_id=a&filter=exception-list.attributes.name%3A%20%22item%207%22").ok()["total"], 1);
    assert_eq!(
        client.get(&format!("{LISTS}/_find?filter=exception-list.attributes.list_id%3A%20b")).ok()["total"],
        1
    );
}

#[test]
fn deleting_a_list_takes_its_items_along() {
    let (_fake, client) = start();
    client.post(LISTS, &list("l")).ok();
    client.post(ITEMS, &item("l", "i", json!({}))).ok();
    client.post(ITEMS, &item("l", "j", json!({}))).ok();
    client.delete(&format!("{ITEMS}?item_id=i")).ok();
    assert_eq!(client.delete(&format!("{ITEMS}?item_id=i")).status, 404);
    client.delete(&format!("{LISTS}?list_id=l")).ok();
    assert_eq!(client.get(&format!("{ITEMS}?item_id=j")).status, 404);
    client.post(LISTS, &list("l")).ok();
    client.post(ITEMS, &item("l", "j", json!({}))).ok();
}

#[test]
fn the_default_list_of_a_rule_is_made_and_linked() {
    let (fake, client) = start();
    let id = created(&client, "r", json!({}))["id"].as_str().unwrap().to_owned();
    let mut one = item("", "i", json!({}));
    one.as_object_mut().unwrap().remove("list_id");
    let target = format!("{RULES}/{id}/exceptions");
    let made = client.post(&target, &json!({ "items": [one] })).ok();
    let live = fake.rule("default", "r").unwrap();
    assert_eq!((&live["exceptions_list"][0]["type"], &live["revision"]), (&json!("rule_default"), &json!(1)));
    assert_eq!(made[0]["list_id"], live["exceptions_list"][0]["list_id"]);
    one.as_object_mut().unwrap().insert("item_id".to_owned(), "j".into());
    client.post(&target, &json!({ "items": [one] })).ok();
    assert_eq!(fake.rule("default", "r").unwrap()["exceptions_list"].as_array().unwrap().len(), 1);
    // the list stays when the rule goes
    client.delete(&format!("{RULES}?rule_id=r")).ok();
    let list_id = made[0]["list_id"].as_str().unwrap();
    assert_eq!(client.get(&format!("{LISTS}?list_id={list_id}")).status, 200);
}

#[test]
fn shared_lists_and_the_endpoint_list_exist() {
    let (_fake, client) = start();
    let shared = client.post("/api/exceptions/shared", &json!({ "name": "n", "description": "d" })).ok();
    assert_eq!(shared["type"], "detection");
    let endpoint = format!("{LISTS}?list_id=endpoint_list&namespace_type=agnostic");
    assert_eq!(client.get(&endpoint).status, 404);
    created(&client, "r", json!({}));
    assert_eq!(client.get(&endpoint).ok()["type"], "endpoint");
}

#[test]
fn a_list_is_exported_imported_and_duplicated() {
    let (fake, client) = start();
    fake.seed(&json!({ "spaces": [{ "id": "soc" }], "exception_lists": [list("l")] })).unwrap();
    client.post(ITEMS, &item("l", "i", json!({ "comments": [{ "comment": "c" }] }))).ok();
    client.post(ITEMS, &item("l", "old", json!({ "expire_time": "2020-01-01T00:00:00.000Z" }))).ok();
    let target = "/api/exception_lists/_export?list_id=l&namespace_type=single";
    assert_eq!(client.post(target, &json!({})).body.lines().count(), 4);
    let export = client.post(&format!("{target}&include_expired_exceptions=false"), &json!({}));
    assert_eq!(export.body.lines().count(), 3);
    let import = |query: &str| {
        client.upload_to(&format!("/s/soc/api/exception_lists/_import{query}"), "l.ndjson", &export.body).ok()
    };
    let first = import("");
    assert_eq!((&first["success"], &first["success_count"]), (&json!(true), &json!(2)), "{first}");
    let again = import("");
    assert_eq!(
        (&again["success"], &again["errors"][0]["error"]["status_code"]),
        (&json!(false), &json!(409))
    );
    assert_eq!(import("?overwrite=true")["success_count_exception_list_items"], 1);
    let copy =
        client.post("/api/exception_lists/_duplicate?list_id=l&namespace_type=single", &json!({})).ok();
    assert_eq!(copy["name"], "n [Duplicate]");
    let copied = copy["list_id"].as_str().unwrap();
    assert_eq!(client.get(&format!("{ITEMS}/_find?list_id={copied}&namespace_type=single")).ok()["total"], 2);
}

#[test]
fn value_lists_need_their_index_and_are_kept_while_referred_to() {
    let (_fake, client) = start();
    let lists = "/api/lists";
    let body = json!({ "id": "v", "name": "v", "description": "d", "type": "ip" });
    assert_eq!((client.get("/api/lists/index").status, client.post(lists, &body).status), (404, 400));
    client.post("/api/lists/index", &json!({})).ok();
    assert_eq!(client.post("/api/lists/index", &json!({})).status, 409);
    let made = client.post(lists, &body).ok();
    assert_eq!((&made["version"], client.post(lists, &body).status), (&json!(1), 409));
    assert_eq!(client.post(lists, &json!({ "name": "v", "description": "d", "type": "money" })).status, 400);
    let renamed = client.patch(lists, &json!({ "id": "v", "name": "w", "_version": made["_version"] })).ok();
    assert_eq!((&renamed["name"], &renamed["type"]), (&json!("w"), &json!("ip")));
    assert_eq!(client.patch(lists, &json!({ "id": "v", "_version": made["_version"] })).status, 409);
    client
        .upload_to("/api/lists/items/_import?list_id=v", "ips.txt", "192.0.2.1\n192.0.2.2\n\n192.0.2.3\n")
        .ok();
    client.post("/api/lists/items", &json!({ "list_id": "v", "value": "192.0.2.4", "id": "four" })).ok();
    let find = |query: &str| client.get(&format!("/api/lists/items/_find?list_id=v&per_page=3{query}")).ok();
    let first = find("");
    assert_eq!((&first["total"], first["data"].as_array().unwrap().len()), (&json!(4), 3));
    let next = find(&format!("&cursor={}", first["cursor"].as_str().unwrap()));
    assert_eq!(next["data"].as_array().unwrap().len(), 1);
    client.put("/api/lists/items", &json!({ "id": "four", "value": "192.0.2.5" })).ok();
    assert_eq!(client.get("/api/lists/items?list_id=v&value=192.0.2.5").ok()[0]["id"], "four");
    client.delete("/api/lists/items?id=four").ok();
    assert_eq!(client.get("/api/lists/items?id=four").status, 404);

    client.post(LISTS, &list("l")).ok();
    let entry = json!({ "field": "source.ip", "operator": "included", "type": "list", "list": { "id": "v", "type": "ip" } });
    client.post(ITEMS, &item("l", "i", json!({ "entries": [entry] }))).ok();
    assert_eq!(client.delete("/api/lists?id=v").status, 409);
    client.delete("/api/lists?id=v&deleteReferences=true").ok();
    assert_eq!(
        (client.get("/api/lists?id=v").status, client.get(&format!("{ITEMS}?item_id=i")).status),
        (404, 404)
    );
    client.upload_to("/api/lists/items/_import?type=keyword", "names.txt", "bob\n").ok();
    assert_eq!(client.get("/api/lists/_find").ok()["data"][0]["id"], "names.txt");
}
