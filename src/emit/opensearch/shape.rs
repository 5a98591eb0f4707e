//! The shapes that events can have in an index: a condition in words of ECS said in words of the shape.
//! What the AWS integration computes is undone here; what cannot be undone is an error, because a query
//! for a field that is not there would find nothing, without a word.

use super::condition::{Ask, Condition};
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal, Op};
use crate::lang::cloudtrail;
use crate::pack::Profile;
use crate::schema::{FieldType, Kind};

/// Something that a shape has no place for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// The field of the rule.
    pub field: String,
    /// What about it, where the field itself has a place; else empty.
    pub why: String,
}

impl Unmapped {
    /// The sentence about it.
    pub fn reason(&self) -> String {
        if self.why.is_empty() {
            format!("`{}` has no place there", self.field)
        } else {
            format!("`{}`: {}", self.field, self.why)
        }
    }
}

/// Where keys of a record's payloads are fields of their own in ECS.
pub(super) const FLATTENED: &str = "aws.cloudtrail.flattened.";

/// Fields that hold what a record holds: ECS, the record's path, OCSF's path (empty: none).
const MOVED: &[(&str, &str, &str)] = &[
    ("@timestamp", "eventTime", "time"),
    ("event.action", "eventName", "api.operation"),
    ("event.provider", "eventSource", "api.service.name"),
    ("event.id", "eventID", "metadata.uid"),
    ("cloud.region", "awsRegion", "cloud.region"),
    ("source.address", "sourceIPAddress", ""),
    ("user_agent.original", "userAgent", "http_request.user_agent"),
    ("user.id", "userIdentity.principalId", "actor.user.uid_alt"),
    ("aws.cloudtrail.api_version", "apiVersion", "api.version"),
    ("aws.cloudtrail.error_code", "errorCode", "api.response.error"),
    ("aws.cloudtrail.error_message", "errorMessage", "api.response.error_message"),
    ("aws.cloudtrail.event_category", "eventCategory", ""),
    ("aws.cloudtrail.event_type", "eventType", "metadata.event_code"),
    ("aws.cloudtrail.event_version", "eventVersion", ""),
    ("aws.cloudtrail.management_event", "managementEvent", ""),
    ("aws.cloudtrail.read_only", "readOnly", ""),
    ("aws.cloudtrail.recipient_account_id", "recipientAccountId", ""),
    ("aws.cloudtrail.request_id", "requestID", "api.request.uid"),
    ("aws.cloudtrail.session_credential_from_console", "sessionCredentialFromConsole", ""),
    ("aws.cloudtrail.vpc_endpoint_id", "vpcEndpointId", ""),
    ("aws.cloudtrail.user_identity.access_key_id", "userIdentity.accessKeyId", "actor.user.credential_uid"),
    ("aws.cloudtrail.user_identity.arn", "userIdentity.arn", "actor.user.uid"),
    ("aws.cloudtrail.user_identity.identity_provider", "userIdentity.identityProvider", "actor.idp.name"),
    ("aws.cloudtrail.user_identity.invoked_by", "userIdentity.invokedBy", "actor.invoked_by"),
    ("aws.cloudtrail.user_identity.type", "userIdentity.type", "actor.user.type"),
    (
        "aws.cloudtrail.user_identity.session_context.ec2_role_delivery",
        "userIdentity.sessionContext.ec2RoleDelivery",
        "",
    ),
    (
        "aws.cloudtrail.user_identity.session_context.mfa_authenticated",
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
        "",
    ),
    (
        "aws.cloudtrail.user_identity.session_context.session_issuer.arn",
        "userIdentity.sessionContext.sessionIssuer.arn",
        "actor.session.issuer",
    ),
    (
        "aws.cloudtrail.user_identity.session_context.session_issuer.type",
        "userIdentity.sessionContext.sessionIssuer.type",
        "",
    ),
    (
        "aws.cloudtrail.user_identity.session_context.source_identity",
        "userIdentity.sessionContext.sourceIdentity",
        "",
    ),
];

/// Fields that are the same in every record: the value, and any other value is never there.
const FIXED: &[(&str, &str)] = &[
    ("data_stream.dataset", "aws.cloudtrail"),
    ("data_stream.type", "logs"),
    ("event.dataset", "aws.cloudtrail"),
    ("event.module", "aws"),
    ("cloud.provider", "aws"),
];

/// Where CloudTrail has keys of request parameters that rules look for in their text.
const PARAMETERS: &[(&str, &str)] = &[
    ("policyArn", "policyArn"),
    ("policyName", "policyName"),
    ("userName", "userName"),
    ("roleName", "roleName"),
    ("groupName", "groupName"),
    ("instanceProfileName", "instanceProfileName"),
    ("roleArn", "roleArn"),
    ("sourceType", "source.sourceType"),
];

/// The field of a shape that holds the values of a field, unchanged.
pub(super) fn field(name: &str, profile: Profile) -> Option<String> {
    let (_, raw, ocsf) = MOVED.iter().find(|(ecs, ..)| *ecs == name).copied().or_else(|| {
        let rest = name.strip_prefix(FLATTENED)?;
        let key = rest.strip_prefix("request_parameters.")?;
        Some((name, key, ""))
    })?;
    let raw = if name.starts_with(FLATTENED) { format!("requestParameters.{raw}") } else { raw.to_owned() };
    match profile {
        Profile::Ecs => Some(name.to_owned()),
        Profile::Raw => Some(raw),
        Profile::Ss4o if name == "@timestamp" => Some(name.to_owned()),
        Profile::Ss4o => Some(format!("aws.cloudtrail.{raw}")),
        Profile::Ocsf => Some(ocsf.to_owned()).filter(|f| !f.is_empty()),
    }
}

/// The condition in the shape of the data, and what differs by that.
///
/// # Errors
/// Everything that has no place there.
pub fn mapped(condition: Condition, profile: Profile) -> Result<(Condition, Vec<String>), Vec<Unmapped>> {
    if profile == Profile::Ecs {
        return Ok((condition, Vec::new()));
    }
    let mut mapping = Mapping { profile, unmapped: Vec::new(), differences: Vec::new() };
    let mapped = mapping.of(&condition, None);
    if mapping.unmapped.is_empty() { Ok((mapped, mapping.differences)) } else { Err(mapping.unmapped) }
}

struct Mapping {
    profile: Profile,
    unmapped: Vec<Unmapped>,
    differences: Vec<String>,
}

/// The names that `event.action` must have where a condition stands.
type Names = Option<Vec<String>>;

/// The values of which a condition on `event.action` requires one.
fn required_names(condition: &Condition) -> Names {
    match condition {
        Condition::All(parts) => parts.iter().find_map(required_names),
        Condition::Any(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(required_names(part)?);
            }
            Some(all)
        }
        Condition::Ask(Ask { field, op, .. }) if field == "event.action" => match op {
            Op::Term(value, Case::Sensitive) | Op::Match(value) | Op::Phrase(value) => {
                Some(vec![value.text().into_owned()])
            }
            Op::Terms(values, Case::Sensitive) => {
                Some(values.iter().map(|v| v.text().into_owned()).collect())
            }
            _ => None,
        },
        _ => None,
    }
}

impl Mapping {
    fn of(&mut self, condition: &Condition, names: Option<&[String]>) -> Condition {
        match condition {
            Condition::Always | Condition::Never => condition.clone(),
            Condition::All(parts) => {
                let own = required_names(condition);
                let names = own.as_deref().or(names);
                Condition::all(parts.iter().map(|p| self.of(p, names)).collect())
            }
            Condition::Any(parts) => Condition::any(parts.iter().map(|p| self.of(p, names)).collect()),
            Condition::Not(inner) => self.of(inner, names).negate(),
            Condition::Ask(ask) => self.ask(ask, names),
            Condition::Nested(path, _) => self.nothing(path, "objects are not nested there"),
            Condition::Script(script) => {
                for field in &script.fields {
                    self.nothing(field, "a script compares fields as the rule names them");
                }
                Condition::Never
            }
        }
    }

    fn nothing(&mut self, field: &str, why: &str) -> Condition {
        let unmapped = Unmapped { field: field.to_owned(), why: why.to_owned() };
        if !self.unmapped.contains(&unmapped) {
            self.unmapped.push(unmapped);
        }
        Condition::Never
    }

    fn differs(&mut self, what: String) {
        if !self.differences.contains(&what) {
            self.differences.push(what);
        }
    }

    /// A path of the record in the shape; not for OCSF.
    fn path(&self, raw: &str) -> String {
        if self.profile == Profile::Ss4o { format!("aws.cloudtrail.{raw}") } else { raw.to_owned() }
    }

    fn ask(&mut self, ask: &Ask, names: Option<&[String]>) -> Condition {
        let name = ask.field.as_str();
        if ask.multi {
            return self.nothing(name, "multi-fields are those of Elastic's mapping");
        }
        if let Some((_, value)) = FIXED.iter().find(|(field, _)| *field == name) {
            return match holds(&ask.op, &[value]) {
                Some(true) => Condition::Always,
                Some(false) => Condition::Never,
                None => {
                    self.nothing(name, "it is always the same, and asked in a way that cannot be decided")
                }
            };
        }
        match name {
            "event.outcome" => self.outcome(ask, names),
            "event.category" | "event.type" => self.kind(ask, names),
            "cloud.account.id" => self.account(ask),
            "source.ip" | "source.address" => self.source(ask),
            "aws.cloudtrail.request_parameters" => self.parameters(ask),
            _ => match field(name, self.profile) {
                Some(field) if name.starts_with(FLATTENED) => {
                    let types = vec![FieldType::of(Kind::Keyword)];
                    asked(&field, types, ask.op.clone())
                }
                Some(field) => {
                    if name == "user.id" {
                        self.differs(
                            "`user.id` is the principal also of calls that a service makes".to_owned(),
                        );
                    }
                    asked(&field, ask.types.clone(), ask.op.clone())
                }
                None => self.nothing(name, ""),
            },
        }
    }

    /// `success` or `failure`, which a record says by having an error or not.
    fn outcome(&mut self, ask: &Ask, names: Option<&[String]>) -> Condition {
        let (success, failure) = (holds(&ask.op, &["success"]), holds(&ask.op, &["failure"]));
        let (Some(success), Some(failure)) = (success, failure) else {
            return self.nothing("event.outcome", "it is asked in a way that cannot be decided");
        };
        if success == failure {
            // whatever it is, it is there
            return if success { Condition::Always } else { Condition::Never };
        }
        if self.profile == Profile::Ocsf {
            let id = Literal::Int(if success { 1 } else { 2 });
            return asked("status_id", vec![FieldType::of(Kind::Integer)], Op::Term(id, Case::Sensitive));
        }
        let failed = Condition::any(vec![self.exists("errorCode"), self.exists("errorMessage")]);
        let of_calls = if success { failed.negate() } else { failed };
        if names.is_some_and(|n| !n.iter().any(|n| n == "ConsoleLogin")) {
            return of_calls;
        }
        // of a login the answer says it
        let answer = self.path("responseElements.ConsoleLogin");
        let login = Condition::all(vec![
            text(&self.path("eventName"), "ConsoleLogin"),
            asked(&answer, vec![FieldType::of(Kind::Keyword)], Op::Exists),
        ]);
        let said = if success { "Success" } else { "Failure" };
        Condition::any(vec![
            Condition::all(vec![login.clone(), text(&answer, said)]),
            Condition::all(vec![login.negate(), of_calls]),
        ])
    }

    fn exists(&self, raw: &str) -> Condition {
        asked(&self.path(raw), vec![FieldType::of(Kind::Keyword)], Op::Exists)
    }

    /// The category and type of an event, which follow from its name.
    fn kind(&mut self, ask: &Ask, names: Option<&[String]>) -> Condition {
        let name = ask.field.as_str();
        let Some(names) = names else {
            return self.nothing(name, "it follows from the name of the event, and the rule requires none");
        };
        let mut among = Vec::new();
        for event in names {
            let (categories, types) = cloudtrail::kinds(event);
            match holds(&ask.op, if name == "event.category" { categories } else { types }) {
                Some(true) => among.push(event.clone()),
                Some(false) => {}
                None => return self.nothing(name, "it is asked in a way that cannot be decided"),
            }
        }
        if among.len() == names.len() {
            return Condition::Always;
        }
        let field = field("event.action", self.profile).unwrap_or_default();
        Condition::any(among.iter().map(|n| text(&field, n)).collect())
    }

    /// The account of the caller, or else of the trail.
    fn account(&mut self, ask: &Ask) -> Condition {
        if self.profile == Profile::Ocsf {
            return asked("cloud.account.uid", ask.types.clone(), ask.op.clone());
        }
        let (caller, trail) = (self.path("userIdentity.accountId"), self.path("recipientAccountId"));
        let none = asked(&caller, ask.types.clone(), Op::Exists).negate();
        Condition::any(vec![
            asked(&caller, ask.types.clone(), ask.op.clone()),
            Condition::all(vec![none, asked(&trail, ask.types.clone(), ask.op.clone())]),
        ])
    }

    /// An address, or the name of a service.
    fn source(&mut self, ask: &Ask) -> Condition {
        let values: Vec<&Literal> = match &ask.op {
            Op::Term(value, Case::Sensitive) | Op::Match(value) | Op::Phrase(value) => vec![value],
            Op::Terms(values, Case::Sensitive) => values.iter().collect(),
            Op::Exists if ask.field == "source.address" && self.profile != Profile::Ocsf => {
                return self.exists("sourceIPAddress");
            }
            Op::Wildcard(_) if ask.field == "source.address" && self.profile != Profile::Ocsf => {
                let types = vec![FieldType::of(Kind::Keyword)];
                return asked(&self.path("sourceIPAddress"), types, ask.op.clone());
            }
            _ => return self.nothing(&ask.field, "addresses and names of services are one text there"),
        };
        if ask.field == "source.ip" && values.iter().any(|v| v.text().contains('/')) {
            return self.nothing(&ask.field, "a network is not asked of a text");
        }
        let of = |value: &Literal| {
            let value = value.text();
            let is_ip = value.parse::<std::net::IpAddr>().is_ok();
            match self.profile {
                Profile::Ocsf if is_ip => text("src_endpoint.ip", &value),
                Profile::Ocsf => text("src_endpoint.domain", &value),
                _ => text(&self.path("sourceIPAddress"), &value),
            }
        };
        Condition::any(values.into_iter().map(of).collect())
    }

    /// The text of the request parameters. In ECS it is `{key=value, …}`, in OCSF it is JSON, in a record
    /// each key is a field.
    fn parameters(&mut self, ask: &Ask) -> Condition {
        const NAME: &str = "aws.cloudtrail.request_parameters";
        let pattern = match &ask.op {
            Op::Exists if self.profile == Profile::Ocsf => {
                return asked("api.request.data", ask.types.clone(), Op::Exists);
            }
            Op::Wildcard(pattern) | Op::QueryWildcard(pattern) if !pattern.ignores_case() => pattern,
            _ => return self.nothing(NAME, "only what its text contains can be asked"),
        };
        let [Part::Any, Part::Text(sought), Part::Any] = pattern.parts() else {
            return self.nothing(NAME, "only what its text contains can be asked");
        };
        let contains = |sought: String| {
            let pattern = Pattern::new([Part::Any, Part::Text(sought), Part::Any], false);
            asked("api.request.data", vec![FieldType::of(Kind::Keyword)], Op::Wildcard(pattern))
        };
        let Some((key, value)) = sought.split_once('=') else {
            if self.profile != Profile::Ocsf {
                return self.nothing(NAME, "a text anywhere in the parameters has no field of its own");
            }
            if sought.contains(['"', '\\', '{', '}', ',', '/']) {
                return self.nothing(NAME, "this text may be written in another way in JSON");
            }
            self.differs(format!("`{sought}` is sought in the JSON of the request"));
            return contains(sought.clone());
        };
        if value.contains(['=', '"', '\\', '{', '}', ',']) {
            return self.nothing(NAME, "more than one key is asked at once");
        }
        if self.profile == Profile::Ocsf {
            self.differs(format!("`{key}=` is sought as a key in the JSON of the request"));
            let quote = if value.is_empty() { "" } else { "\"" };
            return contains(format!("\"{key}\":{quote}{value}"));
        }
        let Some((_, path)) = PARAMETERS.iter().find(|(k, _)| *k == key) else {
            return self.nothing(NAME, "this key of the parameters has no known place");
        };
        self.differs(format!(
            "`{key}=` within the text of the parameters is asked of `requestParameters.{path}` alone"
        ));
        let field = self.path(&format!("requestParameters.{path}"));
        let op = if value.is_empty() {
            Op::Exists
        } else {
            Op::Wildcard(Pattern::new([Part::Text(value.to_owned()), Part::Any], false))
        };
        asked(&field, vec![FieldType::of(Kind::Keyword)], op)
    }
}

fn asked(field: &str, types: Vec<FieldType>, op: Op) -> Condition {
    Condition::Ask(Ask { field: field.to_owned(), types, multi: false, flattened: false, op })
}

fn text(field: &str, value: &str) -> Condition {
    asked(field, vec![FieldType::of(Kind::Keyword)], Op::Term(Literal::Str(value.into()), Case::Sensitive))
}

/// Whether what is asked holds of a field with these values; `None` where that is not decided here.
fn holds(op: &Op, values: &[&str]) -> Option<bool> {
    let is = |v: &str, asked: &Literal, case: Case| match case {
        Case::Sensitive => v == asked.text(),
        Case::Insensitive => v.eq_ignore_ascii_case(&asked.text()),
    };
    match op {
        Op::Exists => Some(!values.is_empty()),
        Op::Term(asked, case) => Some(values.iter().any(|v| is(v, asked, *case))),
        Op::Match(asked) | Op::Phrase(asked) => Some(values.iter().any(|v| is(v, asked, Case::Sensitive))),
        Op::Terms(list, case) => Some(values.iter().any(|v| list.iter().any(|a| is(v, a, *case)))),
        Op::Wildcard(p) | Op::QueryWildcard(p) => Some(values.iter().any(|v| p.matches(v))),
        _ => None,
    }
}
