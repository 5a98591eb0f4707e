//! Headers, sizes, connections, and how the fake ends.

use super::client::read;
use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn writes_need_the_xsrf_header_and_a_known_version() {
    let (_fake, client) = start();
    let bare = Client { headers: String::new(), ..client.with("x: y") };
    assert_eq!(
        bare.post(RULES, &rule("r", json!({}))).refusal(),
        (400, "Request must contain a kbn-xsrf header.".to_owned())
    );
    assert_eq!(bare.get(&format!("{RULES}/_find")).status, 200);
    let old = bare.with("elastic-api-version: 2020-01-01");
    assert_eq!(old.get(&format!("{RULES}/_find")).status, 400);
    assert_eq!(client.with("kbn-version: 1.2.3").get("/api/status").status, 400);
    let text = client.send("POST", RULES, "text/plain", b"{}");
    assert_eq!(text.status, 415);
    let broken = client.send("POST", RULES, "application/json", b"{");
    assert_eq!((broken.status, &broken.json()["statusCode"]), (400, &json!(400)));
    let nowhere = client.get("/api/nowhere");
    assert_eq!(nowhere.json(), json!({ "statusCode": 404, "error": "Not Found", "message": "Not Found" }));
}

#[test]
fn a_connection_serves_many_requests() {
    let (_fake, client) = start();
    let stream = client.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for n in 0..3 {
        let body = rule(&n.to_string(), json!({})).to_string();
        (&stream).write_all(&client.request("POST", RULES, "application/json", body.as_bytes())).unwrap();
        assert_eq!(read(&mut reader).status, 200);
    }
    let chunked = format!(
        "POST {RULES} HTTP/1.1\r\nkbn-xsrf: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    );
    let body = rule("chunked", json!({})).to_string();
    let (a, b) = body.split_at(10);
    write!(&stream, "{chunked}{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", a.len(), b.len()).unwrap();
    assert_eq!(read(&mut reader).status, 100);
    assert_eq!(read(&mut reader).ok()["rule_id"], "chunked");
}

#[test]
fn a_body_that_is_too_large_is_refused_and_the_answer_arrives() {
    let (_fake, client) = start();
    let large = vec![b' '; 3 * 1024 * 1024];
    let answer = client.send("POST", RULES, "application/json", &large);
    assert_eq!((answer.status, answer.whole), (413, true));
    let import = client.send("POST", &format!("{RULES}/_import"), "multipart/form-data; boundary=b", &large);
    assert_eq!(import.status, 400);
}

#[test]
fn it_stops_when_it_is_dropped_and_open_connections_end() {
    let (fake, client) = start();
    let stream = client.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    (&stream).write_all(&client.request("GET", "/api/status", "", b"")).unwrap();
    assert_eq!(read(&mut reader).status, 200);
    let address = fake.url().strip_prefix("http://").unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1:"));
    let began = Instant::now();
    drop(fake);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(read(&mut reader).status, 0);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_taken_port_and_a_wrong_version_are_errors() {
    let (fake, _client) = start();
    let port = fake.url().rsplit(':').next().unwrap().parse().unwrap();
    let error = |settings: Settings| FakeKibana::start(&settings).err().unwrap().to_string();
    assert!(error(Settings { port, ..Settings::default() }).contains("cannot be listened on"));
    assert!(
        error(Settings { version: "new".to_owned(), ..Settings::default() }).contains("`new` is no version")
    );
}

#[test]
fn more_than_five_bulk_actions_at_once_are_too_many() {
    let settings = Settings { latency: Duration::from_millis(300), ..Settings::default() };
    let fake = FakeKibana::start(&settings).unwrap();
    let client = Client::new(&fake.url());
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let bulk = || {
            client.post(&format!("{RULES}/_bulk_action"), &json!({ "action": "enable", "query": "" })).status
        };
        let all: Vec<_> = (0..8).map(|_| scope.spawn(bulk)).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(statuses.contains(&429) && statuses.contains(&200), "{statuses:?}");
}

#[test]
fn a_thousand_rules_are_written_and_read_in_seconds() {
    let (_fake, client) = start();
    let began = Instant::now();
    let stream = client.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for method in ["POST", "PUT"] {
        for n in 0..1_000 {
            let body = rule(&format!("r-{n}"), json!({ "tags": ["rulepack:a"] })).to_string();
            (&stream).write_all(&client.request(method, RULES, "application/json", body.as_bytes())).unwrap();
            assert_eq!(read(&mut reader).status, 200);
        }
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_slow_answer_does_not_hold_up_the_end() {
    let (fake, client) = start();
    client.fault(json!({ "kind": "slow", "ms": 600_000 }));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| client.get("/api/status").status);
        while fake.state()["faults"][0]["fired"] == 0 {
            std::thread::yield_now();
        }
        drop(fake);
        slow.join().unwrap();
    });
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_command_says_where_it_listens_and_runs_until_it_is_ended() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .args(["dev", "kibana", "--port", "0", "--version", "8.19.2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().find(|w| w.starts_with("http://127.0.0.1:")).unwrap_or_default();
    let status = std::panic::catch_unwind(|| Client::new(url.trim_end_matches(',')).get("/api/status").ok());
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("fake Kibana 8.19.2 listens on http://127.0.0.1:"), "{line}");
    assert!(running);
    assert_eq!(status.unwrap()["version"]["number"], "8.19.2");
    let taken = Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .args(["dev", "kibana", "--version", "new"])
        .output()
        .unwrap();
    assert_eq!(taken.status.code(), Some(2));
    assert_eq!(String::from_utf8(taken.stderr).unwrap(), "error: `new` is no version; write it as 9.5.1\n");
}
