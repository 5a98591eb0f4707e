//! The sections that are plain moves or a table: `event`, `cloud`, `source`, `tls`, `user`, `group`
//! and the scalars below `aws.cloudtrail`.

use super::identity::Actor;
use super::record::{Field, Node, Record};
use super::related::is_ip;
use super::section::Section;
use crate::schema::catalog::Table;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

struct Kind {
    category: Vec<&'static str>,
    types: Vec<&'static str>,
}

/// `event.category` and `event.type` by event name.
static KINDS: LazyLock<FxHashMap<&'static str, Kind>> = LazyLock::new(|| {
    let table = Table::new(include_str!("../../../schemas/aws.cloudtrail.events.tsv"));
    let list = |cell: &'static str| cell.split(',').filter(|c| !c.is_empty()).collect();
    let kind = |r: &crate::schema::catalog::Row<'_>| Kind {
        category: list(r.get("event.category")),
        types: list(r.get("event.type")),
    };
    table.rows().map(|r| (r.get("eventName"), kind(&r))).collect()
});

static NULL: Node<'static> = Node::Null;

/// `event.category` and `event.type` of an event name.
pub fn kinds(event_name: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match KINDS.get(event_name) {
        Some(kind) => (&kind.category, &kind.types),
        None => (&[], &["info"]),
    }
}

/// `tlsDetails`, unless it is a header row taken for a value.
pub(super) fn tls_details<'r, 'a>(record: &'r Record<'a>) -> &'r Node<'a> {
    let details = record.get(Field::TlsDetails);
    if details.get("tlsVersion").is("tlsVersion") { &NULL } else { details }
}

/// Writes the parts of `event` that come from the record.
pub(super) fn event(record: &Record<'_>, out: &mut Section) {
    let name = record.get(Field::EventName).text();
    out.maybe("action", name.as_deref());
    let kind = name.and_then(|n| KINDS.get(n.as_ref()));
    if let Some(kind) = kind {
        out.list("category", &kind.category);
    }
    out.node("id", record.get(Field::EventId));
    out.text("outcome", outcome(record));
    out.node("provider", record.get(Field::EventSource));
    match kind {
        Some(kind) => out.list("type", &kind.types),
        None => out.list("type", ["info"]),
    }
}

fn outcome(record: &Record<'_>) -> String {
    if record.get(Field::EventName).is("ConsoleLogin")
        && let Some(answer) = record.get(Field::ResponseElements).get("ConsoleLogin").str()
    {
        return answer.to_lowercase();
    }
    let failed = [Field::ErrorCode, Field::ErrorMessage].iter().any(|f| !record.get(*f).is_null());
    if failed { "failure" } else { "success" }.to_owned()
}

/// `cloud`.
pub(super) fn cloud(record: &Record<'_>) -> Section {
    let mut out = Section::default();
    let accounts = [
        record.get(Field::UserIdentity).get("accountId"),
        record.get(Field::RecipientAccountId),
        record.get(Field::AwsAccountId),
    ];
    let mut account = Section::default();
    account.node("id", accounts.into_iter().find(|a| !a.is_null()).unwrap_or(&NULL));
    out.section("account", account);
    out.text("provider", "aws");
    out.node("region", record.get(Field::AwsRegion));
    let mut service = Section::default();
    service
        .maybe("name", record.get(Field::EventSource).str().and_then(|s| s.strip_suffix(".amazonaws.com")));
    out.section("service", service);
    out
}

/// `source`, without what a GeoIP database would add.
pub(super) fn source(record: &Record<'_>) -> Section {
    let mut out = Section::default();
    let address = record.get(Field::SourceIpAddress);
    out.node("address", address);
    if address.str().is_some_and(is_ip) {
        out.node("ip", address);
    }
    out
}

/// `tls`.
pub(super) fn tls(record: &Record<'_>) -> Section {
    let mut out = Section::default();
    let details = tls_details(record);
    out.node("cipher", details.get("cipherSuite"));
    let mut client = Section::default();
    client.node("server_name", details.get("clientProvidedHostHeader"));
    out.section("client", client);
    let version = details.get("tlsVersion");
    match version.str().and_then(|v| v.split_once('v')) {
        Some((protocol, version)) => {
            out.text("version", version);
            out.text("version_protocol", protocol.to_lowercase());
        }
        None => out.node("version", version),
    }
    out
}

/// `group`.
pub(super) fn group(record: &Record<'_>) -> Section {
    let mut out = Section::default();
    out.node("id", record.get(Field::ResponseElements).at(&["group", "groupId"]));
    out.node("name", record.get(Field::RequestParameters).get("groupName"));
    out
}

/// `user` without its entities.
pub(super) fn user(record: &Record<'_>, actor: &Actor<'_, '_>, out: &mut Section, target: &mut Section) {
    let request = record.get(Field::RequestParameters);
    let mut changes = Section::default();
    changes.node("name", request.get("newUserName"));
    out.section("changes", changes);
    out.maybe("email", actor.email());
    out.node("id", actor.user_id);
    out.node("name", actor.user_name);
    target.node("id", record.get(Field::ResponseElements).at(&["user", "userId"]));
    target.node("name", request.get("userName"));
}

/// The scalars below `aws.cloudtrail` that are moved as they are.
pub(super) fn plain(record: &Record<'_>, out: &mut Section) {
    for (key, field) in [
        ("api_version", Field::ApiVersion),
        ("error_code", Field::ErrorCode),
        ("error_message", Field::ErrorMessage),
        ("event_category", Field::EventCategory),
        ("event_type", Field::EventType),
        ("event_version", Field::EventVersion),
    ] {
        out.node(key, record.get(field));
    }
    out.maybe("management_event", record.get(Field::ManagementEvent).text());
    for (key, field) in [
        ("read_only", Field::ReadOnly),
        ("recipient_account_id", Field::RecipientAccountId),
        ("request_id", Field::RequestId),
        ("session_credential_from_console", Field::SessionCredentialFromConsole),
    ] {
        out.node(key, record.get(field));
    }
    let shared = match record.get(Field::SharedEventId) {
        Node::Null => record.get(Field::SharedEventIdOld),
        known => known,
    };
    out.node("shared_event_id", shared);
    out.node("vpc_endpoint_account_id", record.get(Field::VpcEndpointAccountId));
    out.node("vpc_endpoint_id", record.get(Field::VpcEndpointId));
}

/// `aws.cloudtrail.addendum`.
pub(super) fn addendum(record: &Record<'_>) -> Section {
    let mut out = Section::default();
    let names = [
        ("original_event_id", "originalEventID"),
        ("original_request_id", "originalRequestID"),
        ("reason", "reason"),
        ("updated_fields", "updatedFields"),
    ];
    out.nodes(record.get(Field::Addendum), &names);
    out
}

/// `aws.cloudtrail.console_login`.
pub(super) fn console_login(record: &Record<'_>) -> Section {
    let (mut out, mut data) = (Section::default(), Section::default());
    if record.get(Field::EventName).is("ConsoleLogin") {
        let more = record.get(Field::AdditionalEventData);
        data.node("login_to", more.get("LoginTo"));
        for (key, name) in [("mfa_used", "MFAUsed"), ("mobile_version", "MobileVersion")] {
            let answer = more.get(name);
            if !answer.is_null() {
                data.value(key, (!answer.is("No")).into());
            }
        }
        out.section("additional_eventdata", data);
    }
    out
}
