//! Entities: what a record names (`related.entity`), what it acts on (`target.entity.id` and its
//! typed forms) and who acts (`actor.entity.id` and its typed forms).

use super::names::Names;
use super::record::{Field, Node, Record};
use super::section::Section;
use crate::schema::catalog::Table;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Where an entity stands in the record.
#[derive(Debug)]
enum Place {
    /// A text at a path.
    At(Field, Vec<&'static str>),
    /// A scalar at a path, as text.
    Scalar(Field, Vec<&'static str>),
    /// Each text of a list at a path.
    Each(Field, Vec<&'static str>),
    /// The ARN of each resource.
    Resources,
}

impl Place {
    /// Reads `rq.a.b`, `rs.a`, `more.a`, `*rq.a` (each), `#rq.a` (as text), `@acct` or `@res`.
    fn parse(text: &'static str) -> Option<Place> {
        match text {
            "@acct" => return Some(Place::At(Field::RecipientAccountId, Vec::new())),
            "@res" => return Some(Place::Resources),
            "@source" => return Some(Place::At(Field::SourceIdentity, Vec::new())),
            _ => {}
        }
        let path = text.trim_start_matches(['*', '#']);
        let (root, path) = path.split_once('.')?;
        let field = match root {
            "rq" => Field::RequestParameters,
            "rs" => Field::ResponseElements,
            "more" => Field::AdditionalEventData,
            _ => return None,
        };
        let path = path.split('.').collect();
        Some(match text.as_bytes().first() {
            Some(b'*') => Place::Each(field, path),
            Some(b'#') => Place::Scalar(field, path),
            _ => Place::At(field, path),
        })
    }

    fn parse_all(text: &'static str) -> Vec<Place> {
        text.split_whitespace().filter_map(Place::parse).collect()
    }
}

/// What the calls of a service name besides their targets.
const RELATED: &[(&str, &str)] = &[
    (
        "cloudtrail",
        "rq.name rq.s3BucketName rs.cloudWatchLogsLogGroupArn rs.cloudWatchLogsRoleArn rs.kmsKeyId rs.snsTopicARN rs.trailARN rs.name",
    ),
    ("config", "rq.configurationRecorderName"),
    (
        "ec2",
        "rq.groupId rq.groupName rq.roleName rq.subnetId rq.volumeId rq.networkInterfaceId rq.vpcId rq.snapshotId rs.groupId rs.reservationId rs.vpc.vpcId rs.vpc.dhcpOptionsId rs.snapshotId rs.volumeId",
    ),
    ("guardduty", "rq.detectorId rs.detectorId"),
    (
        "iam",
        "rq.userName rq.serialNumber rq.accessKeyId rq.policyArn rq.roleName rq.policyName rs.accessKey.userName rs.accessKey.accessKeyId rs.user.arn rs.user.userId rs.user.userName rs.userId rs.role.arn rs.serialNumber",
    ),
    ("kms", "rq.keyId rs.keyId rs.keyMetadata.arn rs.keyMetadata.keyId"),
    ("lambda", "rq.functionName rs.functionArn rs.functionName rs.role"),
    (
        "rds",
        "rq.dBInstanceIdentifier rq.dBInstanceArn rs.dBInstanceIdentifier rs.dbInstanceArn rs.dBSubnetGroup.vpcId",
    ),
    ("s3", "rq.bucketName"),
    ("sts", "rq.roleArn @source more.MFAIdentifier rs.assumedRoleUser.arn rq.roleSessionName rs.accessKeyId"),
    ("wafv2", "rq.id rs.summary"),
];

#[derive(Default)]
struct Places {
    related: FxHashMap<&'static str, Vec<Place>>,
    /// By service, then by event name.
    targets: FxHashMap<&'static str, FxHashMap<&'static str, Vec<Place>>>,
}

static PLACES: LazyLock<Places> = LazyLock::new(|| {
    let mut places = Places::default();
    places.related.extend(RELATED.iter().map(|(service, paths)| (*service, Place::parse_all(paths))));
    let table = Table::new(include_str!("../../../schemas/aws.cloudtrail.entity-targets.tsv"));
    for row in table.rows() {
        let events = places.targets.entry(row.get("service")).or_default();
        events.insert(row.get("eventName"), Place::parse_all(row.get("paths")));
    }
    places
});

/// A value of another type than the pipeline expects, which stops it.
struct Unexpected;

type Done = Result<(), Unexpected>;

/// The items of a list; none where there is none.
fn items<'r, 'a>(node: &'r Node<'a>) -> Result<&'r [Node<'a>], Unexpected> {
    match node {
        Node::Null => Ok(&[]),
        Node::List(items) => Ok(items),
        _ => Err(Unexpected),
    }
}

/// Adds a text; whether it is new.
fn add<'r>(names: &mut Names<'r>, node: &'r Node<'_>) -> Result<bool, Unexpected> {
    match node {
        Node::Null => Ok(false),
        Node::Str(text) => Ok(names.add(Cow::Borrowed(text))),
        _ => Err(Unexpected),
    }
}

/// Adds the texts of a list up to the first that is missing or known. That the rest is then left
/// out is how the integration does it.
fn add_while_new<'r, 'a: 'r>(names: &mut Names<'r>, nodes: impl IntoIterator<Item = &'r Node<'a>>) -> Done {
    let mut new = true;
    for node in nodes {
        if !matches!(node, Node::Null | Node::Str(_)) {
            return Err(Unexpected);
        }
        new = new && add(names, node)?;
    }
    Ok(())
}

/// A key of an item that must be an object.
fn of<'r, 'a>(item: &'r Node<'a>, key: &str) -> Result<&'r Node<'a>, Unexpected> {
    if item.map().is_some() { Ok(item.get(key)) } else { Err(Unexpected) }
}

fn add_places<'r>(names: &mut Names<'r>, record: &'r Record<'_>, places: &[Place]) -> Done {
    for place in places {
        match place {
            Place::At(field, path) => _ = add(names, record.get(*field).at(path))?,
            Place::Scalar(field, path) => {
                if let Some(text) = record.get(*field).at(path).text() {
                    names.add(text);
                }
            }
            Place::Each(field, path) => {
                for item in items(record.get(*field).at(path))? {
                    add(names, item)?;
                }
            }
            Place::Resources => {
                for item in items(record.get(Field::Resources))? {
                    add(names, of(item, "ARN")?)?;
                }
            }
        }
    }
    Ok(())
}

/// The entities of one record.
struct Entities<'r> {
    related: Names<'r>,
    targets: Names<'r>,
    actor: Option<&'r str>,
    kind: &'r str,
    /// The role that the actor assumed.
    role: Option<&'r str>,
}

fn collect<'r>(record: &'r Record<'_>) -> Result<Entities<'r>, Unexpected> {
    let text = |node: &'r Node<'_>| match node {
        Node::Null => Ok(None),
        Node::Str(s) => Ok(Some(s.as_ref())),
        _ => Err(Unexpected),
    };
    let identity = record.get(Field::UserIdentity);
    let issuer = identity.at(&["sessionContext", "sessionIssuer"]);
    let kind = identity.get("type").str().unwrap_or_default();
    let (mut related, mut targets) = (Names::default(), Names::default());
    for node in [
        identity.get("accessKeyId"),
        identity.get("arn"),
        identity.get("userName"),
        issuer.get("arn"),
        issuer.get("userName"),
    ] {
        add(&mut related, node)?;
    }
    if kind == "IdentityCenterUser" {
        add(&mut related, identity.at(&["onBehalfOf", "identityStoreArn"]))?;
    }
    add_places(&mut related, record, &[Place::Resources])?;
    let service = text(record.get(Field::EventSource))?.and_then(|s| s.strip_suffix(".amazonaws.com"));
    let name = text(record.get(Field::EventName))?.unwrap_or_default();
    let service = service.unwrap_or_default();
    if let Some(places) = PLACES.related.get(service) {
        add_places(&mut related, record, places)?;
    }
    match service {
        "ec2" => ec2(record, name, &mut related, &mut targets)?,
        "lambda" => lambda(record, name, &mut related, &mut targets)?,
        "rds" => rds(record, &mut related)?,
        "ssm" if name == "SendCommand" => send_command(record, &mut targets)?,
        _ => {}
    }
    if let Some(places) = PLACES.targets.get(service).and_then(|events| events.get(name)) {
        add_places(&mut targets, record, places)?;
    }
    let (arn, role) = (text(identity.get("arn"))?, issuer.get("arn").str());
    let actor = match (service, name, kind) {
        ("sts", "AssumeRole", "AWSService") => text(identity.get("invokedBy"))?,
        ("sts", "AssumeRole", "AssumedRole") => role,
        ("sts", "AssumeRole" | "GetCallerIdentity", _) => arn,
        _ => match arn {
            Some(arn) => Some(arn),
            None => text(identity.at(&["onBehalfOf", "userId"]))?,
        },
    };
    Ok(Entities { related, targets, actor, kind, role })
}

fn ec2<'r>(record: &'r Record<'_>, name: &str, related: &mut Names<'r>, targets: &mut Names<'r>) -> Done {
    let (request, response) = (record.get(Field::RequestParameters), record.get(Field::ResponseElements));
    let rules = items(response.at(&["securityGroupRuleSet", "items"]))?;
    for rule in rules {
        let nodes = [
            of(rule, "groupId")?,
            rule.at(&["referencedGroupInfo", "groupId"]),
            rule.get("securityGroupRuleId"),
        ];
        add_while_new(related, nodes)?;
    }
    for payload in [response, request] {
        for group in items(payload.at(&["groupSet", "items"]))? {
            add(related, of(group, "groupId")?)?;
        }
    }
    for instance in items(request.at(&["instancesSet", "items"]))? {
        add(related, of(instance, "instanceId")?)?;
    }
    for instance in items(response.at(&["instancesSet", "items"]))? {
        let keys = ["subnetId", "vpcId", "instanceId", "imageId"].map(|k| instance.get(k));
        of(instance, "instanceId")?;
        add_while_new(related, keys.into_iter().chain([instance.at(&["iamInstanceProfile", "arn"])]))?;
        for interface in items(instance.at(&["networkInterfaceSet", "items"]))? {
            of(interface, "networkInterfaceId")?;
            add_while_new(related, ["networkInterfaceId", "vpcId", "subnetId"].map(|k| interface.get(k)))?;
            for group in items(interface.at(&["groupSet", "items"]))? {
                add(related, of(group, "groupId")?)?;
            }
        }
    }
    for rule in items(request.at(&["revokedSecurityGroupRuleSet", "items"]))? {
        add_while_new(related, [of(rule, "securityGroupRuleId")?, rule.get("groupId")])?;
    }
    if matches!(name, "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress") {
        add(targets, request.get("groupId"))?;
        for rule in rules {
            add(targets, rule.get("securityGroupRuleId"))?;
        }
    }
    Ok(())
}

fn lambda<'r>(record: &'r Record<'_>, name: &str, related: &mut Names<'r>, targets: &mut Names<'r>) -> Done {
    let config = record.get(Field::ResponseElements).get("vpcConfig");
    for key in ["securityGroupIds", "subnetIds"] {
        add_while_new(related, items(config.get(key))?)?;
    }
    // the API's version is part of its event names
    if name.contains("AddPermission") {
        add(targets, record.get(Field::RequestParameters).get("functionName"))?;
    } else if name.contains("ListFunctions") {
        add(targets, record.get(Field::RecipientAccountId))?;
    }
    Ok(())
}

fn rds<'r>(record: &'r Record<'_>, related: &mut Names<'r>) -> Done {
    let response = record.get(Field::ResponseElements);
    for subnet in items(response.at(&["dBSubnetGroup", "subnets"]))? {
        add(related, of(subnet, "subnetIdentifier")?)?;
    }
    for group in items(response.get("vpcSecurityGroups"))? {
        add(related, of(group, "vpcSecurityGroupId")?)?;
    }
    Ok(())
}

/// The instances of a command: listed, or matched by tags; all of them stand for the account.
fn send_command<'r>(record: &'r Record<'_>, targets: &mut Names<'r>) -> Done {
    let request = record.get(Field::RequestParameters);
    let mut ids: Vec<&Node<'_>> = items(request.get("instanceIds"))?.iter().collect();
    if ids.is_empty() {
        for target in items(request.get("targets"))? {
            let Node::List(values) = of(target, "values")? else { return Err(Unexpected) };
            ids.extend(values);
        }
    }
    if let [only] = ids.as_slice()
        && only.is("*")
    {
        ids = vec![record.get(Field::RecipientAccountId)];
    }
    add_while_new(targets, ids)
}

/// What an entity is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    User,
    Host,
    Service,
    Other,
}

/// The resource type of an ARN: its sixth part up to a slash; `None` for what is no ARN.
fn resource_type(text: &str) -> Option<&str> {
    if !text.starts_with("arn:") {
        return None;
    }
    let resource = text.split(':').nth(5)?;
    Some(match resource.split_once('/') {
        Some((kind, _)) if !kind.is_empty() => kind,
        _ => resource,
    })
}

fn is_service_role(arn: &str) -> bool {
    arn.contains("/AWSServiceRoleFor") || arn.contains("/aws-service-role/")
}

fn class_of_target(target: &str) -> Class {
    if target.starts_with("arn:") {
        return match resource_type(target) {
            None => Class::Other,
            Some(_) if is_service_role(target) => Class::Service,
            Some(
                "user" | "role" | "assumed-role" | "federated-user" | "instance-profile" | "mfa"
                | "serialNumber",
            ) => Class::User,
            Some("instance") => Class::Host,
            Some(
                "stack"
                | "stack-set"
                | "trail"
                | "configuration-recorder"
                | "file-system"
                | "mount-target"
                | "rule"
                | "detector"
                | "key"
                | "function"
                | "log-group"
                | "log-stream"
                | "alarm"
                | "db"
                | "cluster"
                | "global-cluster"
                | "trust-anchor"
                | "resolver-query-log-config"
                | "secret"
                | "parameter"
                | "document"
                | "session"
                | "webacl"
                | "rulegroup"
                | "ipset"
                | "topic"
                | "model"
                | "loadbalancer"
                | "table"
                | "group"
                | "policy"
                | "security-group"
                | "network-interface"
                | "vpc"
                | "subnet"
                | "network-acl"
                | "dhcp-options",
            ) => Class::Service,
            Some(_) if target.split(':').nth(2) == Some("s3") => Class::Service,
            Some(_) => Class::Other,
        };
    }
    const SERVICES: [&str; 12] =
        ["sg-", "sgr-", "eni-", "vpc-", "subnet-", "acl-", "rtb-", "igw-", "nat-", "vpce-", "tgw-", "pcx-"];
    if target.starts_with("AKIA") && target.encode_utf16().count() == 20 {
        Class::User
    } else if target.starts_with("i-") {
        Class::Host
    } else if SERVICES.iter().any(|p| target.starts_with(p)) {
        Class::Service
    } else {
        Class::Other
    }
}

fn class_of_actor(actor: &str, kind: &str) -> Class {
    if kind == "AWSService" || is_service_role(actor) {
        return Class::Service;
    }
    if matches!(kind, "IAMUser" | "Root" | "AssumedRole") {
        return Class::User;
    }
    match resource_type(actor) {
        Some("user" | "role" | "assumed-role" | "federated-user") => Class::User,
        Some("instance") => Class::Host,
        _ if actor.starts_with("i-") => Class::Host,
        _ => Class::Other,
    }
}

/// The id of an EC2 instance, given bare or as an ARN.
fn instance_id(host: &str) -> Option<&str> {
    let id = if host.starts_with("arn:") {
        let mut parts = host.split(':').skip(2);
        let service = parts.next();
        parts.nth(2).filter(|_| service == Some("ec2"))?.strip_prefix("instance/")?
    } else {
        host
    };
    id.starts_with("i-").then_some(id)
}

/// The sections that entities are written to.
#[derive(Default)]
pub(super) struct Sections {
    pub actor: Section,
    pub entity: Section,
    pub host: Section,
    pub related: Section,
    pub service: Section,
    pub target: Section,
    pub user: Section,
    pub user_target: Section,
}

/// Works the entities out; `Err` when a value has a type that stops the pipeline, which then writes
/// none.
pub(super) fn write(record: &Record<'_>) -> Result<Sections, &'static str> {
    let mut out = Sections::default();
    if record.get(Field::EventName).is_null() {
        return Ok(out);
    }
    let Ok(mut found) = collect(record) else { return Err("a value has another type than expected") };
    found.targets.sort();
    let targets = found.targets.list();
    out.target.nested(&["entity", "id"], targets);
    let of = |class: Class| -> Vec<&str> {
        targets.iter().map(AsRef::as_ref).filter(|t| class_of_target(t) == class).collect()
    };
    if !targets.is_empty() {
        out.user_target.nested(&["entity", "id"], &of(Class::User));
        out.service.nested(&["target", "entity", "id"], &of(Class::Service));
        out.entity.nested(&["target", "id"], &of(Class::Other));
        let hosts = of(Class::Host);
        let mut ids = Names::default();
        for id in hosts.iter().filter_map(|h| instance_id(h)) {
            ids.add(Cow::Borrowed(id));
        }
        ids.sort();
        let mut target = Section::default();
        target.nested(&["entity", "id"], &hosts);
        target.list("id", ids.list());
        out.host.section("target", target);
    }
    if let Some(actor) = found.actor {
        out.actor.nested(&["entity", "id"], &[actor]);
        match class_of_actor(actor, found.kind) {
            Class::User => {
                let role = found.role.filter(|_| found.kind == "AssumedRole");
                out.user.nested(&["entity", "id"], &[role.unwrap_or(actor)]);
            }
            Class::Host => out.host.nested(&["entity", "id"], &[actor]),
            Class::Service => out.service.nested(&["entity", "id"], &[actor]),
            Class::Other => out.entity.list("id", [actor]),
        }
    }
    let mut related = found.related;
    for target in targets {
        related.add(target.clone());
    }
    related.sort();
    out.related.list("entity", related.list());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_tables_is_understood() {
        for (_, paths) in RELATED {
            assert_eq!(Place::parse_all(paths).len(), paths.split(' ').count(), "{paths}");
        }
        for row in Table::new(include_str!("../../../schemas/aws.cloudtrail.entity-targets.tsv")).rows() {
            let paths = row.get("paths");
            assert_eq!(Place::parse_all(paths).len(), paths.split_whitespace().count(), "{paths}");
        }
    }

    #[test]
    fn targets_are_classified_by_arn_or_by_prefix() {
        for (target, class) in [
            ("arn:aws:iam::111122223333:user/bob", Class::User),
            ("arn:aws:iam::111122223333:role/app", Class::User),
            (
                "arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
                Class::Service,
            ),
            ("arn:aws:iam::111122223333:mfa/bob", Class::User),
            ("arn:aws:iam::aws:policy/ReadOnlyAccess", Class::Service),
            ("arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0", Class::Host),
            ("arn:aws:lambda:eu-west-1:111122223333:function:f", Class::Service),
            ("arn:aws:sns:eu-west-1:111122223333:alerts", Class::Other),
            ("arn:aws:s3:::example-bucket/key", Class::Service),
            ("arn:aws:s3", Class::Other),
            ("AKIAIOSFODNN7EXAMPLE", Class::User),
            ("AKIASHORT", Class::Other),
            ("i-0123456789abcdef0", Class::Host),
            ("sgr-0123", Class::Service),
            ("111122223333", Class::Other),
            ("some-role", Class::Other),
        ] {
            assert_eq!(class_of_target(target), class, "{target}");
        }
    }

    #[test]
    fn instances_are_known_by_their_bare_id() {
        assert_eq!(instance_id("i-0123"), Some("i-0123"));
        assert_eq!(instance_id("arn:aws:ec2:eu-west-1:111122223333:instance/i-0123"), Some("i-0123"));
        assert_eq!(instance_id("arn:aws:ssm:eu-west-1:111122223333:instance/i-0123"), None);
        assert_eq!(instance_id("arn:aws:ec2:eu-west-1:111122223333:instance/mi-0123"), None);
    }
}
