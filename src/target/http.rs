//! HTTP to a server that may be slow, overloaded or behind a proxy: a few requests at once, retries with
//! growing pauses under one budget, and every kind of failure as one sentence.

use super::secret::{Secret, base64};
use super::sigv4::Signer;
use reqwest::blocking::{Client, Response};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Identity, Method, Proxy, redirect};
use serde_json::Value;
use std::io::Read;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// The longest pause before another attempt.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How the caller proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    None,
    /// An API key, as Elasticsearch encodes it.
    ApiKey(Secret),
    /// `user:password`.
    Basic(Secret),
    /// A token.
    Bearer(Secret),
}

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address that every path is appended to, without a slash at the end.
    pub base: String,
    /// Who calls.
    pub credentials: Credentials,
    /// Who signs each request, besides.
    pub signer: Option<Signer>,
    /// A certificate and its key (PEM) that the caller shows.
    pub identity: Option<Secret>,
    /// Certificates (PEM) that are trusted besides those of the system.
    pub ca: Option<Vec<u8>>,
    /// The proxy, which may hold credentials.
    pub proxy: Option<Secret>,
    /// Headers of every request.
    pub headers: &'static [(&'static str, &'static str)],
    /// The longest time for one request and its answer.
    pub timeout: Duration,
    /// How many requests run at once.
    pub in_flight: usize,
    /// How often one request is tried.
    pub attempts: u32,
    /// How many repeated attempts all requests share.
    pub budget: u32,
    /// The pause before the first repeated attempt; it doubles from there.
    pub pause: Duration,
}

impl Options {
    /// The usual settings for a server.
    pub fn new(base: &str, credentials: Credentials) -> Options {
        Options {
            base: base.trim_end_matches('/').to_owned(),
            credentials,
            signer: None,
            identity: None,
            ca: None,
            proxy: None,
            headers: &[],
            timeout: Duration::from_secs(60),
            in_flight: 8,
            attempts: 6,
            budget: 400,
            pause: Duration::from_millis(250),
        }
    }
}

/// Whether a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Sending it twice is sending it once: reads, replacements, deletions.
    Free,
    /// Only if it cannot have been acted on. Otherwise the caller gets the failure and has to look.
    Unsent,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server was not reached, so nothing happened there.
    #[error("{0}")]
    Unreachable(String),
    /// The answer did not arrive, so it is not known what happened.
    #[error("{0}")]
    Lost(String),
    /// The server answered with an error.
    #[error("{message} (HTTP {status})")]
    Refused {
        /// The status.
        status: u16,
        /// What the server says, on one line.
        message: String,
        /// The answer as JSON; null where it is none.
        body: Value,
    },
}

impl Failure {
    /// The status of an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Failure::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the request may have been acted on all the same.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Failure::Unreachable(_) => false,
            Failure::Lost(_) => true,
            // a proxy gives these when the server behind it may be at work
            Failure::Refused { status, .. } => matches!(status, 500 | 502 | 503 | 504),
        }
    }
}

/// A server.
pub struct Http {
    client: Client,
    options: Options,
    headers: HeaderMap,
    left: AtomicU32,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Http {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// In words: credentials that fit no header, certificates or a proxy that cannot be used.
    pub fn new(options: Options) -> Result<Http, String> {
        // fails where another part of the process chose a provider before, which serves as well
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("rulepack/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10).min(options.timeout))
            .timeout(options.timeout)
            .pool_max_idle_per_host(options.in_flight)
            .no_proxy();
        if let Some(pem) = &options.ca {
            let certificates = Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|c| !c.is_empty())
                .ok_or_else(|| "the certificates of `ca` are no PEM".to_owned())?;
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(pem) = &options.identity {
            let identity = Identity::from_pem(pem.expose().as_bytes())
                .map_err(|_| "the client certificate is no PEM with a certificate and its key".to_owned())?;
            builder = builder.identity(identity);
        }
        if let Some(proxy) = &options.proxy {
            let proxy = Proxy::all(proxy.expose()).map_err(|_| "the proxy's address is no URL".to_owned())?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|e| format!("no HTTPS on this machine: {}", chain(&e)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in options.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let authorization = match &options.credentials {
            Credentials::None => None,
            Credentials::ApiKey(key) => Some(format!("ApiKey {}", key.expose())),
            Credentials::Bearer(token) => Some(format!("Bearer {}", token.expose())),
            Credentials::Basic(pair) => Some(format!("Basic {}", base64(pair.expose().as_bytes()))),
        };
        if let Some(text) = authorization {
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| "the credentials have characters that no header may have".to_owned())?;
            value.set_sensitive(true);
            headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        let left = AtomicU32::new(options.budget);
        Ok(Http { client, options, headers, left })
    }

    /// How many requests run at once.
    pub fn in_flight(&self) -> usize {
        self.options.in_flight.max(1)
    }

    /// Sends a request and reads the JSON of its answer; null for an empty one.
    ///
    /// # Errors
    /// After all attempts, or at once where another attempt could do harm.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<Value, Failure> {
        let text = body.map(Value::to_string);
        self.repeated(method, path, text.as_deref().map(|t| ("application/json", t.as_bytes())), repeat)
    }

    /// Sends a file as the field `file` of a form. Once only, unless it cannot have been acted on.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub fn upload(&self, path: &str, name: &str, content: &[u8]) -> Result<Value, Failure> {
        // random, so that no file can hold it
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let mut body = format!(
            "--{mark}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{mark}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={mark}");
        self.repeated("POST", path, Some((&kind, &body)), Repeat::Unsent)
    }

    fn repeated(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
        repeat: Repeat,
    ) -> Result<Value, Failure> {
        let mut attempt = 1;
        loop {
            let (failure, wait) = match self.once(method, path, body) {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let again = match (&failure, repeat) {
                (Failure::Unreachable(_), _) => attempt < 3,
                (Failure::Lost(_), repeat) => repeat == Repeat::Free,
                // load shedding and rate limits come before the work
                (Failure::Refused { status: 429, .. }, _) => true,
                (Failure::Refused { status: 502..=504, .. }, repeat) => repeat == Repeat::Free,
                // a bulk action that failed in part answers so, and is data
                (Failure::Refused { status: 500, body, .. }, Repeat::Free) => {
                    body.pointer("/attributes/results").is_none() && attempt < 3
                }
                _ => false,
            };
            if !again || attempt >= self.options.attempts || !self.take() {
                return Err(failure);
            }
            std::thread::sleep(wait.unwrap_or_else(|| self.pause(attempt)));
            attempt += 1;
        }
    }

    /// Takes one repeated attempt out of the budget.
    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
    }

    /// The pause after an attempt: doubled each time, and anything from half of it to all of it, so that
    /// many callers do not come back at once.
    pub fn pause(&self, attempt: u32) -> Duration {
        let whole = self.options.pause.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(MAX_PAUSE);
        let chance = uuid::Uuid::new_v4().as_bytes().first().copied().unwrap_or(0);
        whole / 2 + whole / 2 * u32::from(chance) / 255
    }

    fn once(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> Result<Value, (Failure, Option<Duration>)> {
        let method_name = method;
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        let mut request =
            self.client.request(method, format!("{}{path}", self.options.base)).headers(self.headers.clone());
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body.to_vec());
        }
        if let Some(signer) = &self.options.signer {
            let (host, prefix) = host_and_path(&self.options.base);
            let target = format!("{prefix}{path}");
            let bytes = body.map_or(&[][..], |(_, bytes)| bytes);
            for (name, value) in signer.headers(method_name, host, &target, bytes) {
                request = request.header(name, value);
            }
        }
        let response = request.send().map_err(|e| (self.not_answered(&e), None))?;
        let status = response.status().as_u16();
        let wait = retry_after(&response);
        let location = response.headers().get("location").and_then(|l| l.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        let read = response.take(MAX_ANSWER + 1).read_to_end(&mut bytes);
        if let Err(e) = read {
            let why = format!("the answer broke off: {}", self.shown(&chain(&e)));
            return Err((Failure::Lost(why), None));
        }
        if bytes.len() as u64 > MAX_ANSWER {
            return Err((Failure::Lost("the answer has more than 64 MB".to_owned()), None));
        }
        let json: Option<Value> =
            if bytes.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&bytes).ok() };
        match status {
            200..=299 => json.ok_or_else(|| {
                let why = "the answer is no JSON; is this the right address?".to_owned();
                (Failure::Refused { status, message: why, body: Value::Null }, None)
            }),
            300..=399 => {
                let to = location.map_or_else(String::new, |l| format!(" to `{}`", self.shown(&l)));
                let message = format!("a redirect{to}, which is not followed with credentials");
                Err((Failure::Refused { status, message, body: Value::Null }, None))
            }
            _ => {
                let body = json.unwrap_or(Value::Null);
                let message = self.shown(&message(&body).unwrap_or_else(|| words(status).to_owned()));
                Err((Failure::Refused { status, message, body }, wait))
            }
        }
    }

    fn not_answered(&self, e: &reqwest::Error) -> Failure {
        let why = self.shown(&chain(e));
        if e.is_connect() || e.is_builder() {
            Failure::Unreachable(self.shown(&deepest(e)))
        } else if e.is_timeout() {
            Failure::Lost(format!("no answer within {} s", self.options.timeout.as_secs_f32()))
        } else {
            Failure::Lost(format!("the connection broke off: {why}"))
        }
    }

    /// A text from the server as people may see it: one line, not endless, and without our credentials.
    pub fn shown(&self, text: &str) -> String {
        let mut text: String = text.to_owned();
        let secrets = match &self.options.credentials {
            Credentials::None => Vec::new(),
            Credentials::Bearer(s) => vec![s.clone()],
            // encoded it is sent, and decoded it is as good
            Credentials::ApiKey(s) => {
                let pair = s.unbase64();
                let key = pair.as_ref().and_then(|p| p.expose().split_once(':').map(|(_, k)| Secret::new(k)));
                [Some(s.clone()), pair, key].into_iter().flatten().collect()
            }
            Credentials::Basic(s) => {
                let password = s.expose().split_once(':').map_or("", |p| p.1);
                vec![Secret::new(&base64(s.expose().as_bytes())), s.clone(), Secret::new(password)]
            }
        };
        let signing = self.options.signer.iter().flat_map(|s| [Some(&s.secret), s.token.as_ref()]).flatten();
        for secret in secrets.iter().chain(&self.options.proxy).chain(signing) {
            text = secret.scrub(&text);
        }
        one_line(&text)
    }
}

/// A text on one line of at most 300 characters, without control characters.
pub fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let joined = words.join(" ");
    if joined.chars().count() <= 300 {
        return joined;
    }
    joined.chars().take(297).chain("...".chars()).collect()
}

/// Runs `work` on every item, up to `in_flight` at once; the answers are in the order of the items.
pub fn each<T: Sync, R: Send>(items: &[T], in_flight: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { return done };
            done.push((i, work(item)));
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..in_flight.clamp(1, items.len().max(1))).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .flat_map(|t| match t.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    all.sort_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, r)| r).collect()
}

/// The host of an address, without the port that its scheme has anyway, and the path.
fn host_and_path(base: &str) -> (&str, &str) {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let usual = if base.starts_with("https:") { ":443" } else { ":80" };
    (host.strip_suffix(usual).unwrap_or(host), path)
}

/// A part of a URL, everything but letters, digits and `-._~` encoded.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What the server wants us to wait, if it says so in seconds.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(2 * MAX_PAUSE))
}

/// An error with its causes, each once.
fn chain(e: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = e.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !parts.iter().any(|p| p.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    if parts.is_empty() { e.to_string() } else { parts.join(": ") }
}

/// The innermost cause of an error, without the number of the system.
fn deepest(e: &dyn std::error::Error) -> String {
    let mut cause = e;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The message of an error answer, in any of the shapes that Kibana has.
fn message(body: &Value) -> Option<String> {
    let text = |v: &Value| match v {
        Value::String(s) => Some(s.clone()),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            (!items.is_empty()).then(|| items.join("; "))
        }
        _ => None,
    };
    let details: Vec<String> = body
        .pointer("/attributes/errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|e| text(e.get("message")?))
        .collect();
    if !details.is_empty() {
        return Some(details.join("; "));
    }
    let own = body.get("message").and_then(text).filter(|m| !m.is_empty());
    // some bodies have their word only in `error`, which Elasticsearch makes an object
    own.or_else(|| text(body.get("error")?)).or_else(|| text(body.pointer("/error/reason")?))
}

fn words(status: u16) -> &'static str {
    match status {
        401 => "the credentials were refused",
        403 => "the credentials do not suffice",
        404 => "not found",
        413 => "the request is too large",
        429 => "too many requests",
        500..=599 => "the server failed",
        _ => "the request was refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write;
    use std::net::TcpListener;

    /// A server that gives one raw answer a connection, in order, and tells what it was asked.
    fn server(answers: Vec<&'static str>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = vec![0; 65536];
                let n = stream.read(&mut buffer).unwrap();
                asked.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        (base, thread)
    }

    fn http(base: &str, credentials: Credentials) -> Http {
        let mut options = Options::new(base, credentials);
        options.pause = Duration::from_millis(1);
        options.timeout = Duration::from_secs(5);
        Http::new(options).unwrap()
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    const BUSY: &str = "HTTP/1.1 429 x\r\ncontent-length: 2\r\nretry-after: 0\r\nconnection: close\r\n\r\n{}";
    const GATEWAY: &str = "HTTP/1.1 502 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\n{";

    #[test]
    fn reads_are_repeated_after_overload_gateways_and_broken_answers() {
        let (base, thread) = server(vec![BUSY, GATEWAY, CUT, OK]);
        assert_eq!(http(&base, Credentials::None).send("GET", "/", None, Repeat::Free), Ok(json!({})));
        assert_eq!(thread.join().unwrap().len(), 4);
    }

    #[test]
    fn a_write_that_may_have_happened_is_not_repeated() {
        for (answer, status) in [(GATEWAY, Some(502)), (CUT, None)] {
            let (base, thread) = server(vec![answer]);
            let failure = http(&base, Credentials::None)
                .send("POST", "/", Some(&json!({})), Repeat::Unsent)
                .unwrap_err();
            assert_eq!(failure.status(), status);
            assert!(failure.is_uncertain());
            thread.join().unwrap();
        }
    }

    #[test]
    fn the_budget_ends_repeated_attempts() {
        let (base, thread) = server(vec![BUSY, BUSY]);
        let mut options = Options::new(&base, Credentials::None);
        options.budget = 1;
        let failure = Http::new(options).unwrap().send("GET", "/", None, Repeat::Free).unwrap_err();
        assert_eq!(failure.status(), Some(429));
        thread.join().unwrap();
    }

    #[test]
    fn a_server_that_says_how_long_to_wait_is_heard() {
        let later = "HTTP/1.1 503 x\r\ncontent-length: 2\r\nretry-after: 1\r\nconnection: close\r\n\r\n{}";
        let (base, thread) = server(vec![later, OK]);
        let begun = std::time::Instant::now();
        http(&base, Credentials::None).send("GET", "/", None, Repeat::Free).unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1));
        thread.join().unwrap();
    }

    #[test]
    fn settings_that_cannot_work_are_refused_before_anything_is_sent() {
        let options = || Options::new("https://kibana.example.com", Credentials::None);
        let mut ca = options();
        ca.ca = Some(b"no certificate".to_vec());
        assert!(Http::new(ca).unwrap_err().contains("no PEM"));
        let mut proxy = options();
        proxy.proxy = Some(Secret::new("http://user:s3cret-pw@bad host"));
        let why = Http::new(proxy).unwrap_err();
        assert!(why.contains("proxy") && !why.contains("s3cret"), "{why}");
        let key = Options::new("https://kibana.example.com", Credentials::ApiKey(Secret::new("a\nb")));
        assert!(Http::new(key).unwrap_err().contains("header"));
    }

    #[test]
    fn redirects_are_refused_and_named() {
        let moved = "HTTP/1.1 302 x\r\nlocation: https://login.example.com/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let (base, thread) = server(vec![moved]);
        let failure = http(&base, Credentials::None).send("GET", "/", None, Repeat::Free).unwrap_err();
        assert!(failure.to_string().contains("`https://login.example.com/`"), "{failure}");
        thread.join().unwrap();
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let echo = "HTTP/1.1 401 x\r\ncontent-length: 44\r\nconnection: close\r\n\r\n{\"message\":\"bad: Basic ZG9yYTpzM2NyZXQtcHc=\"}";
        let (base, thread) = server(vec![echo]);
        let http = http(&base, Credentials::Basic(Secret::new("dora:s3cret-pw")));
        let failure = http.send("GET", "/x", None, Repeat::Free).unwrap_err();
        let asked = thread.join().unwrap().remove(0);
        assert!(asked.contains("authorization: Basic ZG9yYTpzM2NyZXQtcHc="), "{asked}");
        for text in [failure.to_string(), format!("{http:?}"), http.shown("s3cret-pw")] {
            assert!(!text.contains("s3cret-pw") && !text.contains("ZG9yY"), "{text}");
        }
    }

    #[test]
    fn every_shape_of_an_error_becomes_a_sentence() {
        for (body, sentence) in [
            (
                json!({"message": "rule_id: \"x\" already exists", "status_code": 409}),
                "rule_id: \"x\" already exists",
            ),
            (json!({"message": ["a is missing", "b too"], "status_code": 400}), "a is missing; b too"),
            (
                json!({"statusCode": 400, "error": "Bad Request", "message": "[request body]: no"}),
                "[request body]: no",
            ),
            (
                json!({"message": "Bulk edit failed", "attributes": {"errors": [{"message": "locked"}]}}),
                "locked",
            ),
            (json!({"error": {"reason": "gone"}}), "gone"),
        ] {
            assert_eq!(message(&body).as_deref(), Some(sentence));
        }
        assert_eq!(one_line("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(one_line(&"x".repeat(999)).len(), 300);
    }

    #[test]
    fn work_is_shared_out_and_answers_keep_their_order() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(each(&items, 8, |i| i * 2), items.iter().map(|i| i * 2).collect::<Vec<_>>());
        assert!(each(&[] as &[usize], 8, |i| *i).is_empty());
    }

    #[test]
    fn urls_are_encoded() {
        assert_eq!(encode("a b:\"ä\""), "a%20b%3A%22%C3%A4%22");
    }
}
