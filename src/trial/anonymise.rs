//! Events out of real logs as fixtures that anybody may read: account ids, keys, names, addresses and hosts
//! become values that documentation uses. The same value becomes the same value everywhere, so that what
//! belongs together still does.

use regex_automata::meta::Regex;
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// Account ids that AWS uses in its documentation. Ids of one digit are documentation, too.
pub const ACCOUNTS: [&str; 12] = [
    "111122223333",
    "444455556666",
    "777788889999",
    "123456789012",
    "012345678901",
    "012345678910",
    "210987654321",
    "123456789123",
    "123456781234",
    "112233445566",
    "223344556677",
    "123412341234",
];

/// Kinds of values that are replaced, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Sort {
    Account,
    Key,
    Token,
    Address,
    Mail,
    Host,
    Name,
    Resource,
}

impl Sort {
    /// What people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Sort::Account => "account id",
            Sort::Key => "key id",
            Sort::Token => "token",
            Sort::Address => "address",
            Sort::Mail => "e-mail",
            Sort::Host => "host",
            Sort::Name => "name",
            Sort::Resource => "resource id",
        }
    }
}

/// Whether an account id is one of documentation.
pub fn is_documentation_account(id: &str) -> bool {
    let mut digits = id.bytes();
    let first = digits.next();
    // those with eight zeros are the ones made here when the others are used up
    ACCOUNTS.contains(&id) || id.starts_with("00000000") || digits.all(|d| Some(d) == first)
}

/// Replaces what must not be published. One of it for all events of a fixture.
#[derive(Debug, Default)]
pub struct Anonymiser {
    /// Text that a rule compares with: a value that stands in it is kept, or the rule would miss it.
    kept: String,
    replaced: FxHashMap<(Sort, String), String>,
    /// What stands for something: no two values may become one.
    given: FxHashSet<(Sort, String)>,
    /// How many values of a kind with a prefix there are.
    used: FxHashMap<String, usize>,
    /// Names that stood in a place of names, and so are names wherever they are a whole value.
    names: FxHashMap<String, String>,
}

/// Keys whose values say what happened, never to whom.
const PLAIN: [&str; 24] = [
    "eventName",
    "eventSource",
    "eventType",
    "eventCategory",
    "eventVersion",
    "awsRegion",
    "type",
    "errorCode",
    "action",
    "provider",
    "outcome",
    "category",
    "kind",
    "dataset",
    "module",
    "region",
    "eventTime",
    "@timestamp",
    "ingested",
    "created",
    "version",
    "platform",
    "eventID",
    "requestID",
];

/// Keys whose values are names, with what stands in their place.
const NAMED: [(&str, &str); 16] = [
    ("userName", "user"),
    ("user.name", "user"),
    ("roleName", "role"),
    ("groupName", "group"),
    ("group.name", "group"),
    ("policyName", "policy"),
    ("roleSessionName", "session"),
    ("instanceProfileName", "profile"),
    ("bucketName", "bucket"),
    ("full_name", "person"),
    ("sourceIdentity", "person"),
    ("functionName", "function"),
    ("keyName", "key"),
    ("serverCertificateName", "certificate"),
    ("user.target.name", "user"),
    ("newUserName", "user"),
];

/// What stands in place of names, before a number.
const KINDS: [&str; 17] = [
    "user",
    "role",
    "group",
    "policy",
    "session",
    "profile",
    "bucket",
    "person",
    "function",
    "key",
    "certificate",
    "mfa",
    "provider",
    "name",
    "path",
    "resource",
    "host",
];

/// Types of IAM resources, with what stands in place of their names.
const IAM: [(&str, &str); 11] = [
    ("user", "user"),
    ("role", "role"),
    ("assumed-role", "role"),
    ("group", "group"),
    ("policy", "policy"),
    ("instance-profile", "profile"),
    ("mfa", "mfa"),
    ("saml-provider", "provider"),
    ("federated-user", "user"),
    ("server-certificate", "certificate"),
    ("oidc-provider", "provider"),
];

struct Patterns {
    /// Everything in one, so that what stands for something is not looked at again. The groups: ARN,
    /// e-mail, key id, resource id, pair of a rendering (`userName=…`), address, account id.
    all: Option<Regex>,
    mail: Option<Regex>,
    resource: Option<Regex>,
}

const MAIL: &str = r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+";
const RESOURCE: &str = r"\b(?:i|vpc|vpce|subnet|sg|sgr|eni|vol|ami|snap|rtb|igw|acl|lt|eipalloc|eipassoc|nat|tgw)-(?:[0-9a-f]{17}|[0-9a-f]{8})\b";

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let groups = [
        r"arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:(?:[0-9]{12}|aws)?:[A-Za-z0-9_+=,.@/:*-]+",
        MAIL,
        r"\b(?:AKIA|ASIA|AIDA|AROA|AGPA|ANPA|ANVA|AIPA|APKA|ABIA|ACCA|ASCA)[A-Z0-9]{12,124}\b",
        RESOURCE,
        r"[{ ,](?:userName|roleName|groupName|policyName|roleSessionName|instanceProfileName|bucketName)=[^,}=]+",
        r"[0-9A-Fa-f:.]*[0-9A-Fa-f]+[:.][0-9A-Fa-f:.]+",
        r"\b[0-9]{12}\b",
    ];
    Patterns {
        all: Regex::new(&format!("({})", groups.join(")|("))).ok(),
        mail: Regex::new(MAIL).ok(),
        resource: Regex::new(RESOURCE).ok(),
    }
});

impl Anonymiser {
    /// One that keeps what stands literally in the query of a rule.
    pub fn keeping(query: &str) -> Anonymiser {
        Anonymiser { kept: query.to_owned(), ..Anonymiser::default() }
    }

    /// Replaces in a whole event.
    pub fn event(&mut self, event: &mut Value) {
        self.learn(event, "");
        self.walk(event, "");
    }

    /// How many values of each kind were replaced.
    pub fn counts(&self) -> Vec<(Sort, usize)> {
        let mut out: FxHashMap<Sort, usize> = FxHashMap::default();
        for ((sort, old), new) in &self.replaced {
            if old != new {
                *out.entry(*sort).or_default() += 1;
            }
        }
        let mut out: Vec<(Sort, usize)> = out.into_iter().collect();
        out.sort();
        out
    }

    /// Finds the names of an event: values of keys that hold names.
    fn learn(&mut self, value: &Value, path: &str) {
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| self.learn(v, &join(path, k))),
            Value::Array(items) => items.iter().for_each(|v| self.learn(v, path)),
            Value::String(text) => {
                if let Some((_, kind)) = NAMED.iter().find(|(key, _)| ends_with_key(path, key)) {
                    self.name(kind, text);
                }
            }
            _ => {}
        }
    }

    fn walk(&mut self, value: &mut Value, path: &str) {
        match value {
            Value::Object(map) => map.iter_mut().for_each(|(k, v)| self.walk(v, &join(path, k))),
            Value::Array(items) => items.iter_mut().for_each(|v| self.walk(v, path)),
            Value::String(text) => *text = self.text(text, path),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, path: &str) -> String {
        let key = path.rsplit('.').next().unwrap_or(path);
        if PLAIN.contains(&key) {
            return text.to_owned();
        }
        let lower = key.to_ascii_lowercase();
        if lower.contains("sessiontoken")
            || (text.len() > 100 && (text.starts_with("FwoG") || text.starts_with("IQoJ")))
        {
            return self.replace(Sort::Token, text, "EXAMPLE-SESSION-TOKEN");
        }
        if lower.contains("account") && text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            return self.account(text);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return self.address(text, address);
        }
        if (lower.contains("host") || path.ends_with("host.name") || lower == "domain") && is_host(text) {
            return self.host(text);
        }
        if let Some(name) = self.names.get(text) {
            return name.clone();
        }
        if let Ok(before @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(text) {
            // a document inside a document, such as a policy; its own spelling stays if nothing changed
            let mut inner = before.clone();
            self.learn(&inner, path);
            self.walk(&mut inner, path);
            return if inner == before { text.to_owned() } else { inner.to_string() };
        }
        // the session behind a principal's id
        if let Some((principal, session)) = text.split_once(':')
            && lower.ends_with("id")
            && principal.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            && !session.is_empty()
        {
            let principal = if principal.len() < 16 { principal.to_owned() } else { self.key(principal) };
            let session = self.name("session", session);
            return format!("{principal}:{session}");
        }
        // versions of browsers look like addresses
        let agent = lower.contains("agent") || path.contains("user_agent");
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for found in PATTERNS.all.iter().flat_map(|p| p.captures_iter(text)) {
            let Some((group, span)) = (1..=7).find_map(|g| Some((g, found.get_group(g)?))) else { continue };
            out.push_str(text.get(end..span.start).unwrap_or(""));
            end = span.end;
            let part = text.get(span.start..span.end).unwrap_or("");
            let new = match group {
                1 => self.arn(part),
                2 => self.mail(part),
                3 => self.key(part),
                4 => self.resource(part),
                5 => self.pair(part),
                6 if !agent => self.addresses(part),
                7 if self.replaced.contains_key(&(Sort::Account, part.to_owned())) => self.account(part),
                _ => part.to_owned(),
            };
            out.push_str(&new);
        }
        out.push_str(text.get(end..).unwrap_or(""));
        out
    }

    /// `userName=bob` in parameters that are rendered as text.
    fn pair(&mut self, pair: &str) -> String {
        let Some((key, value)) = pair.split_once('=') else { return pair.to_owned() };
        let kind = NAMED.iter().find(|(k, _)| key.ends_with(k)).map_or("name", |(_, kind)| kind);
        format!("{key}={}", self.name(kind, value))
    }

    /// What may be an address, and marks of the sentence behind it.
    fn addresses(&mut self, token: &str) -> String {
        let trimmed = token.trim_end_matches([':', '.']);
        match trimmed.parse::<IpAddr>() {
            Ok(address) => self.address(trimmed, address) + token.get(trimmed.len()..).unwrap_or(""),
            Err(_) => token.to_owned(),
        }
    }

    /// What stands for a value: `new`, unless the rule asks for the value itself.
    fn replace(&mut self, sort: Sort, old: &str, new: &str) -> String {
        let key = (sort, old.to_owned());
        if let Some(known) = self.replaced.get(&key) {
            return known.clone();
        }
        let new = if self.kept.contains(old) { old } else { new };
        self.given.insert((sort, new.to_owned()));
        self.replaced.insert(key, new.to_owned());
        new.to_owned()
    }

    /// Keeps a value of documentation, unless it stands for another value already.
    fn keep(&mut self, sort: Sort, old: &str) -> Option<String> {
        let key = (sort, old.to_owned());
        match self.replaced.get(&key) {
            Some(known) => Some(known.clone()),
            None if self.given.contains(&key) => None,
            None => Some(self.replace(sort, old, old)),
        }
    }

    /// The next number of a kind, from 0.
    fn next(&mut self, kind: &str) -> usize {
        let n = self.used.entry(kind.to_owned()).or_default();
        *n += 1;
        *n - 1
    }

    /// What stands for a value, made only when it is new.
    fn fresh(&mut self, sort: Sort, old: &str, kind: &str, make: impl Fn(usize) -> String) -> String {
        if let Some(known) = self.replaced.get(&(sort, old.to_owned())) {
            return known.clone();
        }
        if self.kept.contains(old) {
            return self.replace(sort, old, old);
        }
        // a value that is there already may be what comes next
        let mut new = make(self.next(kind));
        while new == old || self.taken(sort, &new) {
            new = make(self.next(kind));
        }
        self.replace(sort, old, &new)
    }

    fn taken(&self, sort: Sort, value: &str) -> bool {
        let key = (sort, value.to_owned());
        self.replaced.contains_key(&key) || self.given.contains(&key)
    }

    fn account(&mut self, id: &str) -> String {
        if is_documentation_account(id)
            && let Some(kept) = self.keep(Sort::Account, id)
        {
            return kept;
        }
        self.fresh(Sort::Account, id, "account", |n| match ACCOUNTS.get(n) {
            Some(id) => (*id).to_owned(),
            None => format!("{:012}", n),
        })
    }

    fn key(&mut self, id: &str) -> String {
        if id.ends_with("EXAMPLE")
            && let Some(kept) = self.keep(Sort::Key, id)
        {
            return kept;
        }
        let prefix = id.get(..4).unwrap_or("AKIA").to_owned();
        let length = id.len();
        self.fresh(Sort::Key, id, &prefix.clone(), |n| {
            if n == 0 && prefix == "AKIA" && length == 20 {
                return "AKIAIOSFODNN7EXAMPLE".to_owned();
            }
            let width = length.saturating_sub(prefix.len() + "EXAMPLE".len());
            format!("{prefix}{}EXAMPLE", letters(n, width))
        })
    }

    fn resource(&mut self, id: &str) -> String {
        let Some((prefix, hex)) = id.rsplit_once('-') else { return id.to_owned() };
        if hex.starts_with("0123456")
            && let Some(kept) = self.keep(Sort::Resource, id)
        {
            return kept;
        }
        let width = hex.len();
        self.fresh(Sort::Resource, id, prefix, |n| {
            let counted = format!("{n:x}");
            let head: String =
                "0123456789abcdef0".chars().take(width.saturating_sub(counted.len())).collect();
            format!("{prefix}-{head}{counted}")
        })
    }

    fn mail(&mut self, mail: &str) -> String {
        let domain = mail.rsplit('@').next().unwrap_or("");
        if ["example.com", "example.org", "example.net"].iter().any(|d| domain.ends_with(d))
            && let Some(kept) = self.keep(Sort::Mail, mail)
        {
            return kept;
        }
        self.fresh(Sort::Mail, mail, "mail", |n| format!("person-{}@example.com", n + 1))
    }

    fn host(&mut self, host: &str) -> String {
        let public =
            [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com", ".aws", "example.com", "example.org"];
        if public.iter().any(|p| host.ends_with(p)) || host == "localhost" {
            return host.to_owned();
        }
        let dotted = host.contains('.');
        self.fresh(Sort::Host, host, "host", |n| {
            format!("host-{}{}", n + 1, if dotted { ".example.com" } else { "" })
        })
    }

    fn address(&mut self, text: &str, address: IpAddr) -> String {
        if is_documentation_address(address)
            && let Some(kept) = self.keep(Sort::Address, text)
        {
            return kept;
        }
        let (kind, make): (&str, fn(usize) -> String) = match address {
            // rules tell private from public, so what is private stays so
            IpAddr::V4(a) if a.octets().first() == Some(&10) => ("10", |n| offset([10, 0, 0, 1], n)),
            IpAddr::V4(a) if a.octets().first() == Some(&172) && a.is_private() => {
                ("172", |n| offset([172, 16, 0, 1], n))
            }
            IpAddr::V4(a) if a.is_private() => ("192", |n| offset([192, 168, 0, 1], n)),
            IpAddr::V4(a) if a.is_link_local() => ("169", |n| offset([169, 254, 0, 1], n)),
            IpAddr::V4(_) => ("public", |n| {
                // the three networks for documentation, and what is for benchmarks behind them
                match n {
                    0..=253 => offset([192, 0, 2, 1], n),
                    254..=507 => offset([198, 51, 100, 1], n - 254),
                    508..=761 => offset([203, 0, 113, 1], n - 508),
                    n => offset([198, 18, 0, 1], n - 762),
                }
            }),
            IpAddr::V6(_) => ("v6", |n| {
                let low = u16::try_from(n % 65535).unwrap_or(0) + 1;
                let high = u16::try_from(n / 65535).unwrap_or(0);
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, high, low).to_string()
            }),
        };
        self.fresh(Sort::Address, text, kind, make)
    }

    fn name(&mut self, kind: &str, name: &str) -> String {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let numbered = name
            .rsplit_once('-')
            .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let generic = numbered && KINDS.contains(&name.rsplit_once('-').map_or("", |(kind, _)| kind));
        // what AWS itself is called, and what stands for everything
        let public = name.starts_with("AWS")
            || ["root", "Root", "*", "", "-"].contains(&name)
            || name.contains(".amazonaws.com");
        if generic || public {
            return name.to_owned();
        }
        let new = if name.contains('@') && self.is_mail(name) {
            self.mail(name)
        } else if self.is_resource(name) {
            self.resource(name)
        } else if let Ok(address) = name.parse::<IpAddr>() {
            self.address(name, address)
        } else {
            self.fresh(Sort::Name, name, kind, |n| format!("{kind}-{}", n + 1))
        };
        self.names.insert(name.to_owned(), new.clone());
        new
    }

    fn is_mail(&self, text: &str) -> bool {
        PATTERNS.mail.as_ref().and_then(|p| p.find(text)).is_some_and(|m| m.range() == (0..text.len()))
    }

    fn is_resource(&self, text: &str) -> bool {
        PATTERNS.resource.as_ref().and_then(|p| p.find(text)).is_some_and(|m| m.range() == (0..text.len()))
    }

    fn arn(&mut self, arn: &str) -> String {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [head, partition, service, region, account, resource] = parts.as_slice() else {
            return arn.to_owned();
        };
        if *account == "aws" || resource.contains("aws-service-role/") || resource.starts_with("AWS") {
            let account = if account.len() == 12 { self.account(account) } else { (*account).to_owned() };
            return [*head, partition, service, region, account.as_str(), resource].join(":");
        }
        let account = if account.len() == 12 { self.account(account) } else { (*account).to_owned() };
        let resource = match *service {
            "iam" | "sts" => self.iam_resource(resource),
            "s3" => match resource.split_once('/') {
                Some((bucket, object)) => format!("{}/{object}", self.name("bucket", bucket)),
                None => self.name("bucket", resource),
            },
            _ => self.other_resource(resource),
        };
        [*head, partition, service, region, account.as_str(), resource.as_str()].join(":")
    }

    fn iam_resource(&mut self, resource: &str) -> String {
        let segments: Vec<&str> = resource.split('/').collect();
        let Some((first, rest)) = segments.split_first() else { return resource.to_owned() };
        let kind = IAM.iter().find(|(t, _)| t == first).map_or("name", |(_, kind)| kind);
        let mut out = vec![(*first).to_owned()];
        for (i, segment) in rest.iter().enumerate() {
            let last = i + 1 == rest.len();
            out.push(match *first {
                "assumed-role" if i > 0 => self.name("session", segment),
                "assumed-role" => self.name("role", segment),
                _ if last => self.name(kind, segment),
                _ if ["service-role", "aws-reserved", "sso.amazonaws.com"].contains(segment) => {
                    (*segment).to_owned()
                }
                _ => self.name("path", segment),
            });
        }
        out.join("/")
    }

    /// A resource of another service: its type stays, ids of known shapes are replaced as such.
    fn other_resource(&mut self, resource: &str) -> String {
        let Some(at) = resource.find([':', '/']) else { return self.part(resource) };
        let (kind, rest) = resource.split_at(at);
        let mut out = kind.to_owned();
        for part in rest.split_inclusive([':', '/']) {
            let (text, mark) = match part.strip_suffix([':', '/']) {
                Some(text) => (text, part.get(text.len()..).unwrap_or("")),
                None => (part, ""),
            };
            out.push_str(&self.part(text));
            out.push_str(mark);
        }
        out
    }

    fn part(&mut self, text: &str) -> String {
        let plain =
            text.is_empty() || text.contains('*') || text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if plain || uuid::Uuid::parse_str(text).is_ok() {
            text.to_owned()
        } else {
            self.name("resource", text)
        }
    }
}

/// Whether an address tells nothing: those of documentation and of the machine itself, and the first of
/// each private network, which stand for private addresses here.
fn is_documentation_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            a.is_loopback()
                || a.is_unspecified()
                || a.is_broadcast()
                || a.is_documentation()
                || matches!(
                    a.octets(),
                    [10, 0, 0, _] | [172, 16, 0, _] | [192, 168, 0, _] | [169, 254, 0, _] | [198, 18, ..]
                )
        }
        IpAddr::V6(a) => a.is_loopback() || a.is_unspecified() || a.segments().starts_with(&[0x2001, 0xdb8]),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether a path ends with a key, or a key below it that is written with dots.
fn ends_with_key(path: &str, key: &str) -> bool {
    path.strip_suffix(key).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_')
}

fn offset(base: [u8; 4], n: usize) -> String {
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    Ipv4Addr::from(u32::from(Ipv4Addr::from(base)).wrapping_add(n)).to_string()
}

/// A number in capital letters, of a fixed width.
fn letters(mut n: usize, width: usize) -> String {
    let mut out = vec!['A'; width];
    for place in out.iter_mut().rev() {
        *place = char::from(b'A' + u8::try_from(n % 26).unwrap_or(0));
        n /= 26;
    }
    out.into_iter().collect()
}

#[cfg(test)]
mod tests;
