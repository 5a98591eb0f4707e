//! Who made the call: `aws.cloudtrail.user_identity.*`, and what of it becomes `user.*` or
//! `service.name`.

use super::Errors;
use super::record::{Field, Node, Record};
use super::section::Section;
use super::time;

/// Who made the call, as far as other fields are made of it.
pub(super) struct Actor<'r, 'a> {
    /// The service, if it is one; then there is no user.
    pub service: Option<&'r str>,
    pub user_name: &'r Node<'a>,
    pub user_id: &'r Node<'a>,
    /// The name of an assumed role's session.
    pub session: Option<&'r str>,
}

static NULL: Node<'static> = Node::Null;

/// The service behind a call. What calls for a user (a console sign-in) also names one in
/// `invokedBy`, so that alone doesn't decide.
fn service<'r>(identity: &'r Node<'_>) -> Option<&'r str> {
    const MARKER: &str = ":role/aws-service-role/";
    let invoked_by = identity.get("invokedBy").str();
    match identity.get("type").str()? {
        "AWSService" => invoked_by,
        "AssumedRole" => {
            let issuer = identity.at(&["sessionContext", "sessionIssuer", "arn"]).str()?;
            let (_, rest) = issuer.split_once(MARKER)?;
            invoked_by.or_else(|| rest.split_once('/').map(|(service, _)| service).filter(|s| !s.is_empty()))
        }
        _ => None,
    }
}

/// The session of `arn:<partition>:sts:…/<session>`: what stands behind the last slash.
fn session(arn: &str) -> Option<&str> {
    let rest = arn.strip_prefix("arn:")?;
    let (partition, rest) = rest.split_once(':')?;
    let named = partition.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let rest = rest.strip_prefix("sts:").filter(|r| named && !partition.is_empty() && !r.contains('\n'))?;
    Some(rest.rsplit_once('/')?.1)
}

/// Whether user.name comes from the additional data: a sign-in that names its user nowhere else.
pub(super) fn lacks_user_name(record: &Record<'_>) -> bool {
    record.get(Field::EventName).is("UserAuthentication") && base(record).1.is_null()
}

/// The service and the user's name as the identity alone gives them.
fn base<'r, 'a>(record: &'r Record<'a>) -> (Option<&'r str>, &'r Node<'a>) {
    let identity = record.get(Field::UserIdentity);
    let service = service(identity);
    if service.is_some() {
        return (service, &NULL);
    }
    let issuer = identity.at(&["sessionContext", "sessionIssuer", "userName"]);
    let by_role = identity.get("type").is("AssumedRole") || identity.get("type").is("FederatedUser");
    let name = if by_role && !issuer.is_null() { issuer } else { identity.get("userName") };
    (None, name)
}

/// Reads who made the call. `signed_in` is the name that the additional data gave, if it was needed.
pub(super) fn actor<'r, 'a>(
    record: &'r Record<'a>,
    signed_in: &'r Node<'a>,
    errors: &mut Errors,
) -> Actor<'r, 'a> {
    let identity = record.get(Field::UserIdentity);
    let (service, name) = base(record);
    let user_name = if name.is_null() { signed_in } else { name };
    let kind = identity.get("type").str().unwrap_or_default();
    let mut user_id = if service.is_some() { &NULL } else { identity.get("principalId") };
    if user_id.is_null() && kind == "IdentityCenterUser" {
        user_id = identity.at(&["onBehalfOf", "userId"]);
    }
    let mut actor = Actor { service, user_name, user_id, session: None };
    if matches!(kind, "AssumedRole" | "FederatedUser" | "IdentityCenterUser")
        && let Some(arn) = identity.get("arn").str()
        && arn.contains(":sts:")
        && arn.contains('/')
    {
        actor.session = session(arn);
        if actor.session.is_none() {
            errors.add("grok", "session_name", format_args!("the ARN [{arn}] has no session name"));
        }
    }
    actor
}

impl<'r> Actor<'r, '_> {
    /// The part of a session name before its `@`.
    pub fn session_user(&self) -> Option<&'r str> {
        self.session?.split_once('@').map(|(user, _)| user)
    }

    /// The address: the session's name, else the user's, if that is one.
    pub fn email(&self) -> Option<&'r str> {
        self.session
            .filter(|s| s.contains('@'))
            .or_else(|| self.user_name.str().filter(|n| n.find('@').is_some_and(|i| i > 0)))
    }
}

/// When the session was made; a text that is no time is an error and left out.
fn creation_date(identity: &Node<'_>, errors: &mut Errors) -> Option<String> {
    let text = identity.at(&["sessionContext", "attributes", "creationDate"]).text()?;
    let date = time::iso_or_basic(&text);
    if date.is_none() {
        errors.add("date", "creation_date", format_args!("unable to parse date [{text}]"));
    }
    date
}

/// Only finds what is wrong with the identity.
pub(super) fn check(record: &Record<'_>, errors: &mut Errors) {
    creation_date(record.get(Field::UserIdentity), errors);
}

/// `aws.cloudtrail.user_identity`.
pub(super) fn write(record: &Record<'_>, errors: &mut Errors) -> Section {
    let identity = record.get(Field::UserIdentity);
    let mut out = Section::with_capacity(8);
    if identity.is_null() {
        return out;
    }
    out.nodes(
        identity,
        &[("access_key_id", "accessKeyId"), ("arn", "arn"), ("credential_id", "credentialId")],
    );
    out.node("identity_provider", identity.get("identityProvider"));
    let mut scope = Section::default();
    let names = [
        ("credentials_issued_to", "credentialsIssuedTo"),
        ("issuer_type", "issuerType"),
        ("source_account", "sourceAccount"),
        ("source_arn", "sourceArn"),
    ];
    scope.nodes(identity.get("inScopeOf"), &names);
    out.section("in_scope_of", scope);
    out.node("invoked_by", identity.get("invokedBy"));
    let mut delegate = Section::default();
    delegate.node("account_id", identity.at(&["invokedByDelegate", "accountId"]));
    out.section("invoked_by_delegate", delegate);
    let mut behalf = Section::default();
    let names = [("identity_store_arn", "identityStoreArn"), ("user_id", "userId")];
    behalf.nodes(identity.get("onBehalfOf"), &names);
    out.section("on_behalf_of", behalf);
    let context = identity.get("sessionContext");
    if !context.is_null() {
        out.section("session_context", session_context(identity, context, errors));
    }
    out.node("type", identity.get("type"));
    out
}

fn session_context(identity: &Node<'_>, context: &Node<'_>, errors: &mut Errors) -> Section {
    let mut out = Section::default();
    out.node("assumed_root", context.get("assumedRoot"));
    out.maybe("creation_date", creation_date(identity, errors));
    out.node("ec2_role_delivery", context.get("ec2RoleDelivery"));
    out.node("mfa_authenticated", context.at(&["attributes", "mfaAuthenticated"]));
    let mut issuer = Section::default();
    let names =
        [("account_id", "accountId"), ("arn", "arn"), ("principal_id", "principalId"), ("type", "type")];
    issuer.nodes(context.get("sessionIssuer"), &names);
    out.section("session_issuer", issuer);
    out.nodes(context, &[("sign_in_session_arn", "signInSessionArn"), ("source_identity", "sourceIdentity")]);
    let mut federation = Section::default();
    let names = [("attributes", "attributes"), ("federated_provider", "federatedProvider")];
    federation.nodes(context.get("webIdFederationData"), &names);
    out.section("web_id_federation_data", federation);
    out
}
