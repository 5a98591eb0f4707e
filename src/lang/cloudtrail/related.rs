//! `related.*` but entities: the users, hosts, addresses and hashes of a record in one place each.

use super::identity::Actor;
use super::names::Names;
use super::needs::{Needs, Part};
use super::record::{Field, Node, Record};
use super::section::Section;
use std::borrow::Cow;

/// Adds the text of a scalar.
fn add<'r>(names: &mut Names<'r>, node: &'r Node<'_>) {
    if let Some(text) = node.text() {
        names.add(text);
    }
}

/// Whether a text is an address.
pub(super) fn is_ip(text: &str) -> bool {
    crate::es::ip::parse(text).is_some()
}

/// Writes all but `related.entity`.
pub(super) fn write(record: &Record<'_>, actor: &Actor<'_, '_>, needs: &Needs, out: &mut Section) {
    if needs.has(Part::RelatedHash) {
        out.list("hash", record.get(Field::PreviousDigestHashValue).text());
    }
    if needs.has(Part::RelatedHosts) {
        out.list("hosts", hosts(record).list());
    }
    if needs.has(Part::RelatedIp) {
        let mut ips = Names::default();
        let seen = record.get(Field::ServiceEventDetails).get("sourceIpAddress");
        for node in [record.get(Field::SourceIpAddress), seen] {
            if node.str().is_some_and(is_ip) {
                add(&mut ips, node);
            }
        }
        out.list("ip", ips.list());
    }
    if needs.has(Part::RelatedUser) {
        out.list("user", users(record, actor).list());
    }
}

fn users<'r>(record: &'r Record<'_>, actor: &Actor<'r, '_>) -> Names<'r> {
    let (request, response) = (record.get(Field::RequestParameters), record.get(Field::ResponseElements));
    let mut users = Names::default();
    for name in [actor.session, actor.session_user()].into_iter().flatten() {
        users.add(Cow::Borrowed(name));
    }
    add(&mut users, request.get("userName"));
    add(&mut users, request.get("newUserName"));
    add(&mut users, response.at(&["user", "userId"]));
    add(&mut users, actor.user_id);
    add(&mut users, actor.user_name);
    add(&mut users, record.get(Field::UserIdentity).at(&["onBehalfOf", "userId"]));
    users
}

fn hosts<'r>(record: &'r Record<'_>) -> Names<'r> {
    let mut hosts = Names::default();
    let of_amazon = |host: &str| host.ends_with(".amazonaws.com");
    let server = super::event::tls_details(record).get("clientProvidedHostHeader");
    if server.str().is_some_and(|h| !of_amazon(h)) {
        add(&mut hosts, server);
    }
    let address = record.get(Field::SourceIpAddress);
    // "AWS Internal" is no host
    let is_host = |a: &str| !is_ip(a) && a.contains('.') && !a.contains(' ') && !of_amazon(a);
    if address.str().is_some_and(is_host) {
        add(&mut hosts, address);
    }
    let (request, response) = (record.get(Field::RequestParameters), record.get(Field::ResponseElements));
    add(&mut hosts, request.get("computerName"));
    let mut instance = |text: Option<&'r str>| {
        if let Some(id) = text.filter(|t| t.starts_with("i-") && t.encode_utf16().count() >= 10) {
            hosts.add(Cow::Borrowed(id));
        }
    };
    for resource in record.get(Field::Resources).items() {
        let arn = ["ARN", "arn"].iter().find_map(|k| resource.get(k).str());
        let arn = arn.filter(|a| a.contains(":instance/"));
        instance(arn.and_then(|a| a.rsplit_once('/')).map(|(_, id)| id));
    }
    for payload in [request, response] {
        for key in ["instanceId", "target", "resourceId"] {
            instance(payload.get(key).str());
        }
        for id in payload.get("instanceIds").items() {
            instance(id.str());
        }
        for item in payload.at(&["instancesSet", "items"]).items() {
            instance(item.get("instanceId").str());
        }
    }
    hosts
}
