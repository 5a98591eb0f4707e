//! The smallest client that does: one connection a request, or some requests over one.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Talks to one address.
pub struct Client {
    pub address: String,
    /// Headers of each request, with their line ends.
    pub headers: String,
}

/// An answer, or what there was of it.
#[derive(Debug)]
pub struct Answer {
    /// 0 when the connection ended before an answer.
    pub status: u16,
    /// In lower case, with their line ends.
    pub headers: String,
    pub body: String,
    /// Whether the body is as long as the head says.
    pub whole: bool,
}

impl Answer {
    /// The body of a 200.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// Status and message.
    pub fn refusal(&self) -> (u16, String) {
        let message = &self.json()["message"];
        (self.status, message.as_str().map_or_else(|| message.to_string(), str::to_owned))
    }
}

impl Client {
    pub fn new(url: &str) -> Client {
        let headers = "kbn-xsrf: test\r\nelastic-api-version: 2023-10-31\r\n".to_owned();
        Client { address: url.strip_prefix("http://").unwrap().to_owned(), headers }
    }

    /// Another client with one more header.
    pub fn with(&self, header: &str) -> Client {
        Client { address: self.address.clone(), headers: format!("{}{header}\r\n", self.headers) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The bytes of a request.
    pub fn request(&self, method: &str, target: &str, kind: &str, body: &[u8]) -> Vec<u8> {
        let kind = if kind.is_empty() { String::new() } else { format!("content-type: {kind}\r\n") };
        let mut out = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\n{}{kind}content-length: {}\r\n\r\n",
            self.headers,
            body.len()
        )
        .into_bytes();
        out.extend_from_slice(body);
        out
    }

    pub fn send(&self, method: &str, target: &str, kind: &str, body: &[u8]) -> Answer {
        let stream = self.connect();
        // a refused body may not be read to its end
        let _ = (&stream).write_all(&self.request(method, target, kind, body));
        read(&mut BufReader::new(stream))
    }

    fn json(&self, method: &str, target: &str, body: &Value) -> Answer {
        self.send(method, target, "application/json", body.to_string().as_bytes())
    }

    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", b"")
    }

    pub fn delete(&self, target: &str) -> Answer {
        self.send("DELETE", target, "", b"")
    }

    pub fn post(&self, target: &str, body: &Value) -> Answer {
        self.json("POST", target, body)
    }

    pub fn put(&self, target: &str, body: &Value) -> Answer {
        self.json("PUT", target, body)
    }

    pub fn patch(&self, target: &str, body: &Value) -> Answer {
        self.json("PATCH", target, body)
    }

    /// Imports a file of JSON lines.
    pub fn import(&self, query: &str, lines: &[Value]) -> Answer {
        let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
        self.upload(query, "rules.ndjson", &text)
    }

    pub fn upload(&self, query: &str, name: &str, text: &str) -> Answer {
        self.upload_to(&format!("/api/detection_engine/rules/_import{query}"), name, text)
    }

    pub fn upload_to(&self, target: &str, name: &str, text: &str) -> Answer {
        let body = format!(
            "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: \
application/ndjson\r\n\r\n{text}\r\n--b0--\r\n"
        );
        self.send("POST", target, "multipart/form-data; boundary=b0", body.as_bytes())
    }

    pub fn fault(&self, fault: Value) {
        self.post("/_fake/faults", &fault).ok();
    }

    /// Sets a fault of a kind for the next request of a method to the rules.
    pub fn rules_fault(&self, kind: &str, method: &str) {
        self.fault(
            json!({ "kind": kind, "match": { "method": method, "path": "/api/detection_engine/rules*" } }),
        );
    }
}

/// Reads one answer.
pub fn read(from: &mut impl BufRead) -> Answer {
    let mut answer = Answer { status: 0, headers: String::new(), body: String::new(), whole: false };
    let mut line = String::new();
    if from.read_line(&mut line).unwrap_or(0) == 0 {
        return answer;
    }
    answer.status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut length = 0;
    loop {
        line.clear();
        if from.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(n) = lower.strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        answer.headers.push_str(&lower);
    }
    let mut body = Vec::new();
    let _ = from.take(length).read_to_end(&mut body);
    answer.whole = body.len() as u64 == length;
    answer.body = String::from_utf8(body).unwrap();
    answer
}
