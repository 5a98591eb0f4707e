//! Where events of a shape say what every replay asks of them: when they happened, what and who it was.

use super::events::Form;
use crate::pack::Profile;

/// The places of an event.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The shape that is wanted; `None` for ECS, into which CloudTrail records are converted.
    pub form: Option<Form>,
    /// What happened.
    pub action: &'static str,
    /// Who did it.
    pub actor: &'static str,
    /// When.
    pub time: &'static str,
    /// Its id.
    pub id: &'static str,
    /// The account, and where it stands if it does not stand there.
    pub account: (&'static str, Option<&'static str>),
    /// The region.
    pub region: &'static str,
    /// Where an event lacks the first field, it has the value of the second.
    pub fallbacks: &'static [(&'static str, &'static str)],
}

impl Layout {
    /// ECS, as the AWS integration makes it.
    pub fn ecs() -> Layout {
        Layout {
            form: None,
            action: "event.action",
            actor: "user.name",
            time: "@timestamp",
            id: "event.id",
            account: ("cloud.account.id", None),
            region: "cloud.region",
            // nothing is ingested here: an event counts as ingested when it happened
            fallbacks: &[("event.ingested", "@timestamp")],
        }
    }

    /// Events of the shape of a profile.
    pub fn of(form: Form) -> Layout {
        let ecs = Layout { form: Some(form), ..Layout::ecs() };
        match form.profile {
            Profile::Ecs => ecs,
            Profile::Raw => Layout {
                action: "eventName",
                actor: "userIdentity.arn",
                time: "eventTime",
                id: "eventID",
                account: ("userIdentity.accountId", Some("recipientAccountId")),
                region: "awsRegion",
                fallbacks: &[],
                ..ecs
            },
            Profile::Ss4o => Layout {
                action: "aws.cloudtrail.eventName",
                actor: "aws.cloudtrail.userIdentity.arn",
                id: "aws.cloudtrail.eventID",
                account: ("aws.cloudtrail.userIdentity.accountId", Some("aws.cloudtrail.recipientAccountId")),
                region: "aws.cloudtrail.awsRegion",
                fallbacks: &[("@timestamp", "aws.cloudtrail.eventTime")],
                ..ecs
            },
            Profile::Ocsf => Layout {
                action: "api.operation",
                actor: "actor.user.uid",
                time: "time",
                id: "metadata.uid",
                account: ("cloud.account.uid", None),
                fallbacks: &[("time", "time_dt")],
                ..ecs
            },
        }
    }
}
