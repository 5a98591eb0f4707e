//! From a request to its answer: the space, the headers that Kibana wants (contract 1), the route.

use super::call::Call;
use super::exception_form::Kind;
use super::exceptions;
use super::http::{Reply, Request};
use super::refusal::Refusal;
use super::state::State;
use super::user::User;
use super::{bulk, connectors, exception_files, find, lists, platform, rules, transfer};

/// The version that all these routes have.
const API_VERSION: &str = "2023-10-31";

/// The space and the path within it. `/s/default` is the default space too.
pub(super) fn split(path: &str) -> (&str, &str) {
    let Some(rest) = path.strip_prefix("/s/") else { return ("default", path) };
    match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    }
}

/// Answers a request of the API.
pub(super) fn answer(state: &mut State, request: &Request, half: bool) -> Reply {
    let (space, path) = split(&request.path);
    let user = User::of(request.header("authorization"));
    let call = Call { request, path, space: space.to_owned(), user, half };
    let reply = headers(state, &call).and_then(|()| {
        state.space(&call.space)?;
        routed(state, &call)
    });
    reply.unwrap_or_else(|refusal| refusal.reply())
}

/// The headers of contract section 1.
fn headers(state: &State, call: &Call<'_>) -> Result<(), Refusal> {
    let request = call.request;
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    if !reads && request.header("kbn-xsrf").is_none_or(str::is_empty) {
        return Err(Refusal::platform(400, "Request must contain a kbn-xsrf header."));
    }
    if let Some(version) = request.header("kbn-version")
        && version != state.version_text
    {
        let text = format!(
            "Browser client is out of date, please refresh the page (\"kbn-version\" header was \
\"{version}\" but should be \"{}\")",
            state.version_text
        );
        return Err(Refusal::platform(400, text));
    }
    let internal = call.path.starts_with("/internal/");
    if internal && state.version.0 >= 9 && request.header("x-elastic-internal-origin").is_none() {
        let text = format!(
            "uri [{}] with method [{}] exists but is not available with the current configuration",
            call.path,
            request.method.to_ascii_lowercase()
        );
        return Err(Refusal::platform(400, text));
    }
    match request.header("elastic-api-version") {
        Some(version) if version != API_VERSION && !internal => {
            let text = format!(
                "No version \"{version}\" available for [{}] [{}]. Available versions are: [{API_VERSION}]",
                request.method.to_ascii_lowercase(),
                call.path
            );
            Err(Refusal::platform(400, text))
        }
        _ => Ok(()),
    }
}

fn routed(state: &mut State, call: &Call<'_>) -> Result<Reply, Refusal> {
    let path = call.path.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (call.request.method.as_str(), parts.as_slice()) {
        ("GET", ["api", "status"]) => Ok(platform::status(state)),
        ("GET", ["internal", "security", "me"]) => Ok(platform::me(call)),
        (method, ["api", "spaces", "space", rest @ ..]) => match (method, rest) {
            ("GET", []) => Ok(platform::spaces(state)),
            ("POST", []) => platform::create_space(state, call),
            ("GET", [id]) => platform::space(state, id),
            ("DELETE", [id]) => platform::delete_space(state, id),
            _ => Err(not_found()),
        },
        (method, ["api", "actions", rest @ ..]) => match (method, rest) {
            ("GET", ["connectors"]) => connectors::list(state, call),
            ("POST", ["connector"]) => connectors::create(state, call, None),
            ("POST", ["connector", id]) => connectors::create(state, call, Some(id)),
            ("GET", ["connector", id]) => connectors::get(state, call, id),
            ("PUT", ["connector", id]) => connectors::replace(state, call, id),
            ("DELETE", ["connector", id]) => connectors::delete(state, call, id),
            _ => Err(not_found()),
        },
        ("POST", ["api", "alerting", "rule", id, "_update_api_key"]) => rules::renew_key(state, call, id),
        (method, ["api", "exception_lists", rest @ ..]) => {
            match (method, rest) {
                ("POST", ["_export"]) => return exception_files::export(state, call),
                ("POST", ["_import"]) => return exception_files::import(state, call),
                ("POST", ["_duplicate"]) => return exception_files::duplicate(state, call),
                _ => {}
            }
            let (kind, rest) = match rest {
                ["items", rest @ ..] => (Kind::Item, rest),
                rest => (Kind::List, rest),
            };
            match (method, rest) {
                ("POST", []) => exceptions::create(state, call, kind),
                ("PUT", []) => exceptions::replace(state, call, kind),
                ("GET", []) => exceptions::get(state, call, kind),
                ("DELETE", []) => exceptions::delete(state, call, kind),
                ("GET", ["_find"]) => exceptions::find(state, call, kind),
                _ => Err(not_found()),
            }
        }
        (_, ["api", "lists", rest @ ..]) => lists::answer(state, call, rest),
        ("POST", ["api", "exceptions", "shared"]) => exceptions::shared(state, call),
        (method, ["api", "detection_engine", rest @ ..]) => match (method, rest) {
            ("GET", ["privileges"]) => platform::privileges(state, call),
            ("GET", ["tags"]) => rules::tags(state, call),
            ("POST", ["rules"]) => rules::create(state, call),
            ("GET", ["rules"]) => rules::get(state, call),
            ("PUT", ["rules"]) => rules::put(state, call),
            ("PATCH", ["rules"]) => rules::patch(state, call),
            ("DELETE", ["rules"]) => rules::delete(state, call),
            ("GET", ["rules", "_find"]) => find::find(state, call),
            ("POST", ["rules", "_bulk_action"]) => bulk::action(state, call),
            ("POST", ["rules", "_import"]) => transfer::import(state, call),
            ("POST", ["rules", "_export"]) => transfer::export(state, call),
            ("POST", ["rules", "preview"]) => rules::preview(state, call),
            ("GET", ["rules", "prepackaged", "_status"]) => rules::prepackaged(state, call, false),
            ("PUT", ["rules", "prepackaged"]) => rules::prepackaged(state, call, true),
            ("POST", ["rules", id, "exceptions"]) => exceptions::rule_default(state, call, id),
            _ => Err(not_found()),
        },
        _ => Err(not_found()),
    }
}

fn not_found() -> Refusal {
    Refusal::platform(404, "Not Found")
}
