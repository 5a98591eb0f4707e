//! As much of HTTP/1.1 as clients of Kibana speak: bounded heads and bodies, Content-Length and chunked
//! bodies, keep-alive, `Expect: 100-continue`.

use serde_json::Value;
use std::io::{self, BufRead, Read, Write};

/// Bytes of a request line and headers together; Node's limit.
const MAX_HEAD: u64 = 16 * 1024;
/// Bytes of a request target. Proxies cut at about this (contract 2.1).
const MAX_TARGET: usize = 8 * 1024;
/// Bytes of a body, `server.maxPayload` (contract 1).
const MAX_BODY: usize = 1024 * 1024;
/// Bytes of an imported file, `maxRuleImportPayloadBytes` (contract 1), and its multipart frame.
const MAX_IMPORT: usize = 10_485_760 + 4096;

/// One request, read whole.
#[derive(Clone, Debug, Default)]
pub(in crate::target) struct Request {
    /// In upper case.
    pub(in crate::target) method: String,
    /// The path, percent-decoded, without the query.
    pub(in crate::target) path: String,
    /// The target as it was sent.
    pub(in crate::target) target: String,
    /// The query, decoded, in order.
    pub(in crate::target) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(in crate::target) headers: Vec<(String, String)>,
    /// The body, unchunked.
    pub(in crate::target) body: Vec<u8>,
    /// Whether the client goes on with this connection.
    pub(in crate::target) keep_alive: bool,
}

/// Why there is no request.
pub(in crate::target) enum NoRequest {
    /// The client is gone, or said nothing for too long.
    Gone,
    /// It gets this answer, and the connection ends.
    Refused(Reply),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        NoRequest::Gone
    }
}

impl Request {
    /// Reads the next request; `out` is for `100 Continue`.
    pub(in crate::target) fn read(
        from: &mut impl BufRead,
        out: &mut impl Write,
    ) -> Result<Request, NoRequest> {
        let mut head = from.by_ref().take(MAX_HEAD);
        let mut line = next_line(&mut head)?;
        while line.is_empty() {
            line = next_line(&mut head)?;
        }
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(refused(400, "Bad Request"));
        };
        if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
            return Err(refused(400, "Bad Request"));
        }
        if target.len() > MAX_TARGET {
            return Err(refused(414, "URI Too Long"));
        }
        let mut request = Request { method: method.to_ascii_uppercase(), ..Request::default() };
        request.target = target.to_owned();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        request.path = decoded(path, false);
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            request.query.push((decoded(name, true), decoded(value, true)));
        }
        let one_zero = version == "HTTP/1.0";
        loop {
            let line = next_line(&mut head)?;
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { return Err(refused(400, "Bad Request")) };
            request.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let connection = request.header("connection").unwrap_or("").to_ascii_lowercase();
        request.keep_alive = if one_zero { connection == "keep-alive" } else { connection != "close" };
        request.read_body(from, out)?;
        Ok(request)
    }

    fn read_body(&mut self, from: &mut impl BufRead, out: &mut impl Write) -> Result<(), NoRequest> {
        let limit = if self.path.ends_with("/_import") { MAX_IMPORT } else { MAX_BODY };
        let too_large =
            || refused(413, format!("Payload content length greater than maximum allowed: {limit}"));
        let chunked =
            self.header("transfer-encoding").is_some_and(|t| t.to_ascii_lowercase().contains("chunked"));
        let length = match self.header("content-length") {
            None => 0,
            Some(text) => match text.parse::<usize>() {
                Ok(n) if !chunked => n,
                _ => return Err(refused(400, "Bad Request")),
            },
        };
        if length > limit {
            return Err(too_large());
        }
        if self.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
            out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            out.flush()?;
        }
        if !chunked {
            let read = from.by_ref().take(length as u64).read_to_end(&mut self.body)?;
            return if read == length { Ok(()) } else { Err(NoRequest::Gone) };
        }
        loop {
            let line = next_line(&mut from.by_ref().take(256))?;
            let digits = line.split(';').next().unwrap_or("").trim();
            let Ok(size) = usize::from_str_radix(digits, 16) else { return Err(refused(400, "Bad Request")) };
            if size == 0 {
                // trailers, then an empty line
                let mut rest = from.by_ref().take(MAX_HEAD);
                while !next_line(&mut rest)?.is_empty() {}
                return Ok(());
            }
            if size > limit.saturating_sub(self.body.len()) {
                return Err(too_large());
            }
            let read = from.by_ref().take(size as u64).read_to_end(&mut self.body)?;
            if read != size || !next_line(&mut from.by_ref().take(2))?.is_empty() {
                return Err(NoRequest::Gone);
            }
        }
    }

    /// The first header of this name (in lower case).
    pub(in crate::target) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first query parameter of this name.
    pub(in crate::target) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The names of the query parameters.
    pub(in crate::target) fn params(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|(n, _)| n.as_str())
    }

    /// Whether a query parameter is `true`.
    pub(in crate::target) fn flag(&self, name: &str) -> bool {
        self.param(name) == Some("true")
    }
}

/// A line without its end. A head that ends before a line does is cut by its limit, or by the client.
fn next_line(from: &mut io::Take<&mut impl BufRead>) -> Result<String, NoRequest> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        let full = from.limit() == 0;
        return Err(if full { refused(431, "Request Header Fields Too Large") } else { NoRequest::Gone });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| refused(400, "Bad Request"))
}

fn refused(status: u16, message: impl Into<String>) -> NoRequest {
    NoRequest::Refused(Reply::platform(status, message))
}

/// Resolves `%41`; `plus` also turns `+` into a space. What is no escape stays.
fn decoded(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let hex = |d: Option<u8>| d.and_then(|d| char::from(d).to_digit(16));
        match b {
            b'%' => {
                let mut ahead = bytes.clone();
                if let (Some(high), Some(low)) = (hex(ahead.next()), hex(ahead.next())) {
                    out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                    bytes = ahead;
                } else {
                    out.push(b);
                }
            }
            b'+' if plus => out.push(b' '),
            b => out.push(b),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer.
#[derive(Clone, Debug)]
pub(in crate::target) struct Reply {
    /// The HTTP status.
    pub(in crate::target) status: u16,
    /// The body, already text.
    pub(in crate::target) body: Vec<u8>,
    /// Seconds of a `Retry-After`, which Kibana itself never sends.
    pub(in crate::target) retry_after: Option<u64>,
    kind: &'static str,
}

impl Reply {
    fn new(status: u16, body: Vec<u8>, kind: &'static str) -> Reply {
        Reply { status, body, retry_after: None, kind }
    }

    /// A JSON answer.
    pub(in crate::target) fn json(status: u16, body: &Value) -> Reply {
        Reply::new(status, body.to_string().into_bytes(), "application/json; charset=utf-8")
    }

    /// 200 with JSON.
    pub(in crate::target) fn ok(body: &Value) -> Reply {
        Reply::json(200, body)
    }

    /// 204.
    pub(in crate::target) fn empty() -> Reply {
        Reply::new(204, Vec::new(), "")
    }

    /// A file of JSON lines.
    pub(in crate::target) fn lines(body: Vec<u8>) -> Reply {
        Reply::new(200, body, "application/ndjson")
    }

    /// The platform's error body: `statusCode`, `error`, `message` (contract 1).
    pub(in crate::target) fn platform(status: u16, message: impl Into<String>) -> Reply {
        let body =
            serde_json::json!({ "statusCode": status, "error": phrase(status), "message": message.into() });
        Reply::json(status, &body)
    }

    /// The whole answer as it goes over the wire.
    pub(in crate::target) fn bytes(&self, keep_alive: bool) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} {}\r\nkbn-name: fake\r\n", self.status, phrase(self.status));
        out.push_str(if keep_alive { "connection: keep-alive\r\n" } else { "connection: close\r\n" });
        if let Some(seconds) = self.retry_after {
            out.push_str(&format!("retry-after: {seconds}\r\n"));
        }
        if self.status != 204 {
            out.push_str("content-type: ");
            out.push_str(self.kind);
            out.push_str("\r\nelastic-api-version: 2023-10-31\r\n");
            out.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }
}

/// The words for a status.
pub(in crate::target) fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Request Entity Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, u16> {
        match Request::read(&mut text.as_bytes(), &mut Vec::new()) {
            Ok(r) => Ok(r),
            Err(NoRequest::Gone) => Err(0),
            Err(NoRequest::Refused(reply)) => Err(reply.status),
        }
    }

    #[test]
    fn a_request_is_read_with_its_escapes() {
        let r = read("get /s/a%2Db/x?f=%22a+b%22&e HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcrest")
            .unwrap();
        assert_eq!((r.method.as_str(), r.path.as_str()), ("GET", "/s/a-b/x"));
        assert_eq!((r.param("f"), r.param("e"), r.param("g")), (Some("\"a b\""), Some(""), None));
        assert_eq!(r.body, b"abc");
        assert!(r.keep_alive);
        assert_eq!(decoded("100%", true), "100%");
        assert_eq!(decoded("%zz%4", true), "%zz%4");
    }

    #[test]
    fn chunks_are_joined() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(
            read(&format!("{head}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: v\r\n\r\n")).unwrap().body,
            b"abcde"
        );
        assert_eq!(read(&format!("{head}zz\r\n")).unwrap_err(), 400);
        assert_eq!(read(&format!("{head}3\r\nab")).unwrap_err(), 0);
        assert_eq!(read(&format!("{head}fffffffffffffff\r\n")).unwrap_err(), 413);
    }

    #[test]
    fn sizes_have_limits() {
        assert_eq!(read(&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9_000))).unwrap_err(), 414);
        assert_eq!(read(&format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "a".repeat(20_000))).unwrap_err(), 431);
        assert_eq!(read("PUT / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n").unwrap_err(), 413);
        assert_eq!(read("PUT /_import HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n").unwrap_err(), 0);
        assert_eq!(read("PUT /_import HTTP/1.1\r\nContent-Length: 90000000\r\n\r\n").unwrap_err(), 413);
        for bad in
            ["hello\r\n\r\n", "GET x HTTP/1.1\r\n\r\n", "GET / HTTP/3\r\n\r\n", "GET / HTTP/1.1\r\nx\r\n\r\n"]
        {
            assert_eq!(read(bad).unwrap_err(), 400, "{bad}");
        }
        assert_eq!(read("GET / HT").unwrap_err(), 0);
    }
}
