//! Which parts of the document somebody reads, so that the others are not computed.

use super::record::Field;

macro_rules! parts {
    ($($name:ident: $($path:literal)+;)*) => {
        /// A part of the document that is computed as one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Part { $($name,)* }

        const PARTS: &[(Part, &[&str])] = &[$((Part::$name, &[$($path),+]),)*];
    };
}

parts! {
    Timestamp: "@timestamp";
    Additional: "aws.cloudtrail.additional_eventdata";
    Request: "aws.cloudtrail.request_parameters";
    Response: "aws.cloudtrail.response_elements";
    Service: "aws.cloudtrail.service_event_details";
    FlatAdditional: "aws.cloudtrail.flattened.additional_eventdata";
    FlatRequest: "aws.cloudtrail.flattened.request_parameters";
    FlatResponse: "aws.cloudtrail.flattened.response_elements";
    FlatService: "aws.cloudtrail.flattened.service_event_details";
    Digest: "aws.cloudtrail.flattened.digest";
    Insight: "aws.cloudtrail.flattened.insight_details";
    Addendum: "aws.cloudtrail.addendum";
    ConsoleLogin: "aws.cloudtrail.console_login";
    Resources: "aws.cloudtrail.resources";
    Identity: "aws.cloudtrail.user_identity";
    Plain: "aws.cloudtrail.api_version" "aws.cloudtrail.error_code" "aws.cloudtrail.error_message"
        "aws.cloudtrail.event_category" "aws.cloudtrail.event_type" "aws.cloudtrail.event_version"
        "aws.cloudtrail.management_event" "aws.cloudtrail.read_only" "aws.cloudtrail.recipient_account_id"
        "aws.cloudtrail.request_id" "aws.cloudtrail.session_credential_from_console"
        "aws.cloudtrail.shared_event_id" "aws.cloudtrail.vpc_endpoint_account_id"
        "aws.cloudtrail.vpc_endpoint_id";
    Entities: "actor.entity" "entity" "host.entity" "host.target" "related.entity" "service.entity"
        "service.target" "target.entity" "user.entity" "user.target.entity";
    Cloud: "cloud";
    Constants: "data_stream" "ecs.version" "event.dataset" "event.module";
    Event: "event.action" "event.category" "event.id" "event.outcome" "event.provider" "event.type";
    // whether the conversion went well: needs everything that may go wrong
    Errors: "error" "event.kind" "event.original" "tags";
    File: "file";
    Group: "group";
    RelatedHash: "related.hash";
    RelatedHosts: "related.hosts";
    RelatedIp: "related.ip";
    RelatedUser: "related.user";
    ServiceName: "service.name";
    Source: "source";
    Tls: "tls" "aws.cloudtrail.tls_details";
    User: "user.changes" "user.email" "user.id" "user.name" "user.target.id" "user.target.name";
    UserAgent: "user_agent.original";
    UserAgentAnswers: "user_agent.device" "user_agent.name" "user_agent.os" "user_agent.version";
}

/// What of the document somebody reads; parts nobody reads are not computed. A part may hold more
/// than what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    parts: u64,
    /// The record's fields to parse.
    fields: u64,
}

impl Needs {
    /// The whole document.
    pub fn all() -> Needs {
        Needs { parts: u64::MAX, fields: u64::MAX }
    }

    /// What these paths read. A path stands for all below it; a `*` in it for any text.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Needs {
        let mut parts = 0;
        for path in paths {
            for (part, prefixes) in PARTS {
                if prefixes.iter().any(|p| touches(path, p)) {
                    parts |= 1 << *part as u32;
                }
            }
        }
        let mut needs = Needs { parts, fields: 0 };
        needs.fields = needs.fields_read();
        needs
    }

    /// Whether a part is read.
    pub(super) fn has(&self, part: Part) -> bool {
        self.parts & (1 << part as u32) != 0
    }

    fn any(&self, parts: &[Part]) -> bool {
        parts.iter().any(|p| self.has(*p))
    }

    /// Whether the entities must be worked out.
    pub(super) fn entities(&self) -> bool {
        self.any(&[Part::Entities, Part::Errors])
    }

    /// Whether a field of the record must be parsed.
    pub(super) fn reads(&self, field: Field) -> bool {
        self.fields & (1 << field as u32) != 0
    }

    /// All fields but the large ones that nothing needed is made of.
    fn fields_read(&self) -> u64 {
        use Part::*;
        let large: [(Field, &[Part]); 8] = [
            (
                Field::RequestParameters,
                &[Request, FlatRequest, Entities, Errors, RelatedHosts, RelatedUser, Group, User],
            ),
            (
                Field::ResponseElements,
                &[Response, FlatResponse, Entities, Errors, RelatedHosts, RelatedUser, Group, User, Event],
            ),
            (
                Field::AdditionalEventData,
                &[Additional, FlatAdditional, Entities, Errors, ConsoleLogin, RelatedUser, User],
            ),
            (Field::ServiceEventDetails, &[Service, FlatService, RelatedIp]),
            (Field::Resources, &[Resources, Entities, Errors, RelatedHosts]),
            (Field::TlsDetails, &[Tls, RelatedHosts]),
            (Field::InsightDetails, &[Insight]),
            (Field::LogFiles, &[Digest]),
        ];
        let unread = large.iter().filter(|(_, parts)| !self.any(parts));
        unread.fold(u64::MAX, |fields, (field, _)| fields & !(1 << *field as u32))
    }
}

/// Whether a path that is read and the path of a part have something in common.
fn touches(path: &str, part: &str) -> bool {
    if let Some((head, _)) = path.split_once('*') {
        return head.starts_with(part) || part.starts_with(head);
    }
    let below = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    below(part, path) || below(path, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_needs_the_parts_above_and_below_it() {
        let needs = Needs::of(["aws.cloudtrail.request_parameters.text", "user_agent.original"]);
        assert!(needs.has(Part::Request) && needs.has(Part::UserAgent));
        assert!(!needs.has(Part::UserAgentAnswers) && !needs.has(Part::FlatRequest));
        assert!(needs.reads(Field::RequestParameters) && !needs.reads(Field::ResponseElements));
        let needs = Needs::of(["aws.cloudtrail.flattened", "user_agent.n*"]);
        assert!(needs.has(Part::FlatRequest) && needs.has(Part::Digest) && needs.has(Part::UserAgentAnswers));
        assert!(!needs.has(Part::UserAgent));
        assert_eq!(Needs::of(["event.ingested"]).parts, 0);
        assert!(PARTS.iter().all(|(part, _)| Needs::of(["*"]).has(*part)));
        assert!(Field::VpcEndpointId as u32 <= 63 && Part::UserAgentAnswers as u32 <= 63);
    }
}
