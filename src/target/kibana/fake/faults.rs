//! Faults on demand: what goes wrong with which request, and how often (contract 1, 0.5, 0.6, 4.1).

use super::http::{Reply, Request};
use super::state::Object;
use crate::es::wildcard::Pattern;
use serde_json::{Value, json};
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// 409: somebody else wrote at the same time (contract 1).
    Conflict,
    /// 429 of load shedding, without Retry-After (contract 0.6).
    Overloaded,
    /// 429 of a route's limit, without Retry-After (contract 0.6).
    TooManyRequests,
    /// This status and body instead of an answer; the platform's body when there is none. Nothing is done.
    Status(u16, Option<Value>),
    /// The request is done; the answer breaks off in the middle of its body.
    Reset,
    /// The connection ends before anything is done.
    Refuse,
    /// The request is done after this long.
    Slow(Duration),
    /// The request is done; the connection ends without an answer.
    LostReply,
    /// `_bulk_action` and `_import` do the first half and report the rest as failed; PUT and PATCH do not
    /// get to the step that enables or disables, and answer 500 (contract 4.1).
    Half,
    /// Before the request another user makes this edit, as `/_fake/edit` takes it.
    EditBefore(Value),
    /// After the request another user makes this edit.
    EditAfter(Value),
}

impl FaultKind {
    /// The kind as `/_fake/faults` calls it.
    fn name(&self) -> &'static str {
        match self {
            FaultKind::Conflict => "conflict",
            FaultKind::Overloaded => "overloaded",
            FaultKind::TooManyRequests => "too_many_requests",
            FaultKind::Status(..) => "status",
            FaultKind::Reset => "reset",
            FaultKind::Refuse => "refuse",
            FaultKind::Slow(_) => "slow",
            FaultKind::LostReply => "lost_reply",
            FaultKind::Half => "half",
            FaultKind::EditBefore(_) | FaultKind::EditAfter(_) => "edit",
        }
    }
}

/// A fault and the requests that it happens to. Without more it is the next request, once.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: FaultKind,
    method: Option<String>,
    path: Option<Pattern>,
    path_text: String,
    space: Option<String>,
    contains: Option<String>,
    retry_after: Option<u64>,
    after: u64,
    /// 0 for ever.
    times: u64,
    matched: u64,
    fired: u64,
}

impl Fault {
    /// The fault, once, at the next request.
    pub fn new(kind: FaultKind) -> Fault {
        Fault {
            kind,
            method: None,
            path: None,
            path_text: String::new(),
            space: None,
            contains: None,
            retry_after: None,
            after: 0,
            times: 1,
            matched: 0,
            fired: 0,
        }
    }

    /// Only requests of this method, to this path without the space; `*` stands for anything.
    pub fn on(mut self, method: &str, path: &str) -> Fault {
        self.method = Some(method.to_ascii_uppercase());
        path.clone_into(&mut self.path_text);
        self.path = Some(Pattern::plain(path, false));
        self
    }

    /// Only requests to this space.
    pub fn in_space(mut self, space: &str) -> Fault {
        self.space = Some(space.to_owned());
        self
    }

    /// Only requests with this text in their target or body, such as a `rule_id`.
    pub fn containing(mut self, text: &str) -> Fault {
        self.contains = Some(text.to_owned());
        self
    }

    /// Lets the first `n` of these requests through.
    pub fn after(mut self, n: u64) -> Fault {
        self.after = n;
        self
    }

    /// How often it happens; 0 for ever.
    pub fn times(mut self, n: u64) -> Fault {
        self.times = n;
        self
    }

    /// Adds a `Retry-After` of so many seconds, as a proxy does.
    pub fn retry_after(mut self, seconds: u64) -> Fault {
        self.retry_after = Some(seconds);
        self
    }

    /// Reads a fault as `/_fake/faults` takes it.
    ///
    /// # Errors
    /// A message that says what is wrong.
    pub fn read(given: &Value) -> Result<Fault, String> {
        let object = given.as_object().ok_or("a fault is an object")?;
        let known =
            ["match", "kind", "after", "times", "status", "body", "ms", "edit", "when", "retry_after"];
        unknown(object, &known)?;
        let number = |key: &str| match object.get(key) {
            None => Ok(None),
            Some(v) => v.as_u64().map(Some).ok_or_else(|| format!("`{key}` must be a number from 0")),
        };
        let edit = || object.get("edit").filter(|e| e.is_object()).cloned().ok_or("`edit` must be an object");
        let kind = match object.get("kind").and_then(Value::as_str).ok_or("`kind` is missing")? {
            "conflict" => FaultKind::Conflict,
            "overloaded" => FaultKind::Overloaded,
            "too_many_requests" => FaultKind::TooManyRequests,
            "status" => {
                let status = number("status")?.and_then(|n| u16::try_from(n).ok());
                let status = status.filter(|s| (200..600).contains(s));
                FaultKind::Status(
                    status.ok_or("`status` must be from 200 to 599")?,
                    object.get("body").cloned(),
                )
            }
            "reset" => FaultKind::Reset,
            "refuse" => FaultKind::Refuse,
            "slow" => {
                FaultKind::Slow(Duration::from_millis(number("ms")?.ok_or("`ms` is missing")?.min(600_000)))
            }
            "lost_reply" => FaultKind::LostReply,
            "half" => FaultKind::Half,
            "edit" => match object.get("when").and_then(Value::as_str) {
                None | Some("before") => FaultKind::EditBefore(edit()?),
                Some("after") => FaultKind::EditAfter(edit()?),
                Some(other) => return Err(format!("`when` is before or after, not `{other}`")),
            },
            other => {
                let kinds = "conflict, overloaded, too_many_requests, status, reset, refuse, slow, lost_reply, half, edit";
                return Err(format!("there is no kind `{other}`; there are {kinds}"));
            }
        };
        let mut fault = Fault::new(kind);
        fault.after = number("after")?.unwrap_or(0);
        fault.times = number("times")?.unwrap_or(1);
        fault.retry_after = number("retry_after")?;
        if let Some(on) = object.get("match") {
            let on = on.as_object().ok_or("`match` must be an object")?;
            unknown(on, &["method", "path", "space", "contains"])?;
            let text = |key: &str| on.get(key).and_then(Value::as_str);
            fault.method = text("method").map(str::to_ascii_uppercase);
            fault.path = text("path").map(|p| Pattern::plain(p, false));
            text("path").unwrap_or("").clone_into(&mut fault.path_text);
            fault.space = text("space").map(str::to_owned);
            fault.contains = text("contains").map(str::to_owned);
        }
        Ok(fault)
    }

    fn matches(&self, request: &Request, space: &str, path: &str) -> bool {
        let contained = |text: &str| {
            request.target.contains(text) || memchr::memmem::find(&request.body, text.as_bytes()).is_some()
        };
        self.method.as_ref().is_none_or(|m| *m == request.method)
            && self.path.as_ref().is_none_or(|p| p.matches(path))
            && self.space.as_ref().is_none_or(|s| s == space)
            && self.contains.as_deref().is_none_or(contained)
    }

    fn shown(&self) -> Value {
        json!({ "kind": self.kind.name(), "method": self.method, "path": self.path_text,
            "space": self.space, "contains": self.contains, "after": self.after, "times": self.times,
            "matched": self.matched, "fired": self.fired })
    }
}

pub(super) fn unknown(object: &Object, known: &[&str]) -> Result<(), String> {
    match object.keys().find(|k| !known.contains(&k.as_str())) {
        Some(key) => Err(format!("there is no key `{key}`; there are {}", known.join(", "))),
        None => Ok(()),
    }
}

/// The faults that are set, in the order in which they were.
#[derive(Clone, Default)]
pub(super) struct Faults(Vec<Fault>);

/// What happens to one request.
#[derive(Default)]
pub(super) struct Fired {
    pub(super) delay: Duration,
    pub(super) before: Vec<Value>,
    pub(super) after: Vec<Value>,
    pub(super) answer: Option<Reply>,
    pub(super) half: bool,
    pub(super) refuse: bool,
    pub(super) reset: bool,
    pub(super) lost: bool,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn shown(&self) -> Value {
        self.0.iter().map(Fault::shown).collect()
    }

    /// The faults that a request meets; each counts it.
    pub(super) fn fire(&mut self, request: &Request, space: &str, path: &str) -> Fired {
        let mut out = Fired::default();
        for fault in &mut self.0 {
            if !fault.matches(request, space, path) {
                continue;
            }
            fault.matched += 1;
            let spent = fault.times > 0 && fault.fired >= fault.times;
            if fault.matched <= fault.after || spent {
                continue;
            }
            fault.fired += 1;
            let mut answer = |mut reply: Reply| {
                reply.retry_after = fault.retry_after;
                out.answer.get_or_insert(reply);
            };
            match &fault.kind {
                FaultKind::Conflict => {
                    let body = json!({ "message": "version conflict, the rule was changed meanwhile", "status_code": 409 });
                    answer(Reply::json(409, &body));
                }
                FaultKind::Overloaded => answer(Reply::platform(429, "Server is overloaded")),
                FaultKind::TooManyRequests => answer(Reply::platform(429, "Too Many Requests")),
                FaultKind::Status(status, Some(body)) => answer(Reply::json(*status, body)),
                FaultKind::Status(status, None) => {
                    answer(Reply::platform(*status, super::http::phrase(*status)));
                }
                FaultKind::Reset => out.reset = true,
                FaultKind::Refuse => out.refuse = true,
                FaultKind::Slow(delay) => out.delay += *delay,
                FaultKind::LostReply => out.lost = true,
                FaultKind::Half => out.half = true,
                FaultKind::EditBefore(edit) => out.before.push(edit.clone()),
                FaultKind::EditAfter(edit) => out.after.push(edit.clone()),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_to_its_requests_only_and_as_often_as_it_says() {
        let fault = json!({ "kind": "status", "status": 503, "after": 1, "times": 2,
            "match": { "method": "put", "path": "/api/*/rules", "space": "soc", "contains": "r-1" } });
        let mut faults = Faults::default();
        faults.add(Fault::read(&fault).unwrap());
        let request = |method: &str, body: &str| Request {
            method: method.to_owned(),
            body: body.as_bytes().to_vec(),
            ..Request::default()
        };
        let path = "/api/detection_engine/rules";
        assert!(faults.fire(&request("GET", "r-1"), "soc", path).answer.is_none());
        assert!(faults.fire(&request("PUT", "r-2"), "soc", path).answer.is_none());
        assert!(faults.fire(&request("PUT", "r-1"), "default", path).answer.is_none());
        assert!(faults.fire(&request("PUT", "r-1"), "soc", "/api/x").answer.is_none());
        let fired: Vec<bool> =
            (0..5).map(|_| faults.fire(&request("PUT", "r-1"), "soc", path).answer.is_some()).collect();
        assert_eq!(fired, [false, true, true, false, false]);
    }

    #[test]
    fn a_wrong_fault_is_told_what_is_wrong() {
        for (given, said) in [
            (json!({ "kind": "nap" }), "there is no kind `nap`"),
            (json!({ "kind": "slow" }), "`ms` is missing"),
            (json!({ "kind": "status", "status": 99 }), "`status` must be from 200 to 599"),
            (json!({ "kind": "reset", "match": { "verb": "PUT" } }), "there is no key `verb`"),
            (json!({ "kind": "edit", "edit": {}, "when": "now" }), "`when` is before or after"),
            (json!({ "kind": "half", "times": -1 }), "`times` must be a number"),
        ] {
            assert!(Fault::read(&given).unwrap_err().starts_with(said), "{given}");
        }
    }
}
