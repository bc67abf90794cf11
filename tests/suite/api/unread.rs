//! Answers that clients do not read. The daemon's timeouts are short where they should expire, those of the
//! tests long.

use std::future::poll_fn;
use std::time::Duration;

use axum::http;
use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Ping, PingPong};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::item;
use crate::support::{TestDaemon, Wire, eventually, within_patience};

/// A line of an export that is not small, in bytes.
const PAYLOAD: usize = 900_000;

async fn fill(daemon: &TestDaemon, count: usize) {
    for number in 0..count {
        daemon.create("uploads", &format!("file-{number}"), "?deadline=0s", vec![b'x'; PAYLOAD]).await;
    }
}

/// Items whose list is about 600 KiB.
async fn fill_lists(daemon: &TestDaemon) {
    let labels: String = (0..5).map(|number| format!(r#""label-{number}":"{}","#, "x".repeat(60))).collect();
    let line = |number: usize| {
        format!(
            r#"{{"op":"create","workflow":"uploads","id":"f{number}","labels":{{{labels}"z":"z"}},"payload":1}}"#
        ) + "\n"
    };
    let lines: String = (0..1000).map(line).collect();
    daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
}

/// Asks for something, and does not read the answer.
async fn ask_for(daemon: &TestDaemon, path: &str) -> Wire {
    let mut wire = Wire::open_narrow(daemon).await;
    wire.send(format!("GET {path} HTTP/1.1\r\nhost: warden\r\n\r\n")).await;
    wire
}

/// A client of HTTP/2 that lets nothing of an answer's body come before it says so.
async fn without_window(daemon: &TestDaemon) -> (SendRequest<Bytes>, PingPong, JoinHandle<()>) {
    let stream =
        TcpStream::connect(daemon.url("").trim_start_matches("http://")).await.expect("a connection");
    let (http, mut connection) =
        Builder::new().initial_window_size(0).handshake(stream).await.expect("a handshake");
    let pings = connection.ping_pong().expect("the first to ask");
    let driven = tokio::spawn(async move {
        let _ = connection.await;
    });
    (http, pings, driven)
}

async fn get(http: &mut SendRequest<Bytes>, daemon: &TestDaemon, path: &str) -> ResponseFuture {
    let request = http::Request::get(daemon.url(path)).body(()).expect("a request");
    poll_fn(|cx| http.poll_ready(cx)).await.expect("a connection that takes requests");
    http.send_request(request, true).expect("it can be sent").0
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_answer_is_taken() {
    let daemon = TestDaemon::builder().config("[limits]\nrequests_max = 3").start().await;
    fill_lists(&daemon).await;
    let unread = join_all((0..3).map(|_| ask_for(&daemon, "/v1/items?limit=1000"))).await;
    eventually("the places to be taken", || async {
        (daemon.response(Method::GET, "/v1/items").await.status() == 503).then_some(())
    })
    .await;
    for _ in 0..10 {
        let refused = daemon.ask(Method::GET, "/v1/items?limit=1000").await;
        assert!(refused.refused(503, "overloaded").contains("limits.requests_max"));
    }
    assert_eq!(daemon.ask(Method::GET, "/healthz").await.status, 200);
    for mut wire in unread {
        wire.answer().await.json(200);
    }
    eventually("the places to be given back", || async {
        (daemon.response(Method::GET, "/v1/items").await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn answers_beyond_answers_max_are_refused_until_those_before_are_taken() {
    let daemon = TestDaemon::builder().config("[limits]\nanswers_max = \"1280KiB\"").start().await;
    fill_lists(&daemon).await;
    let mut unread = ask_for(&daemon, "/v1/items?limit=1000").await;
    unread.head().await;
    let refused = daemon.ask(Method::GET, "/v1/items?limit=1000").await;
    assert!(refused.refused(503, "overloaded").contains("limits.answers_max"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(daemon.ask(Method::GET, "/v1/items?limit=1").await.status, 200, "what is small finds room");
    unread.answer().await.json(200);
    eventually("room for another", || async {
        (daemon.response(Method::GET, "/v1/items?limit=1000").await.status() == 200).then_some(())
    })
    .await;
    drop(ask_for(&daemon, "/v1/items?limit=1000").await);
    eventually("the room of a client that has gone", || async {
        (daemon.response(Method::GET, "/v1/items?limit=1000").await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn answers_of_http_2_without_a_window_stay_within_answers_max() {
    let config = "[limits]\nanswers_max = \"4MiB\"\nwrite_timeout = \"2s\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    fill_lists(&daemon).await;
    let (mut first, ..) = without_window(&daemon).await;
    let (mut second, ..) = without_window(&daemon).await;
    let mut answers = Vec::new();
    for _ in 0..50 {
        answers.push(get(&mut first, &daemon, "/v1/items?limit=1000").await);
        answers.push(get(&mut second, &daemon, "/v1/items?limit=1000").await);
    }
    let answers = within_patience("a hundred heads", join_all(answers)).await;
    let count = |status: u16| answers.iter().flatten().filter(|answer| answer.status() == status).count();
    let (taken, refused) = (count(200), count(503));
    assert_eq!(taken + refused, 100);
    assert!((1..=8).contains(&taken), "{taken} of more than half a mebibyte each in four mebibytes");
    // Nobody takes anything: they are cut off, and others are served again.
    eventually("room for another", || async {
        (daemon.response(Method::GET, "/v1/items?limit=1000").await.status() == 200).then_some(())
    })
    .await;
    drop(answers);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let config = "[limits]\nwrite_timeout = \"300ms\"\npayload_max = \"64MiB\"\nrequests_max = 8";
    let daemon = TestDaemon::builder().config(config).start().await;
    fill(&daemon, 12).await;
    fill_lists(&daemon).await;
    daemon.create("uploads", "large", "", vec![b'x'; 32 << 20]).await;
    let large = format!("{}/payload", item("large"));
    let mut unread = Vec::new();
    for path in ["/v1/export", "/v1/items?limit=1000", &large] {
        unread.push((path, ask_for(&daemon, path).await));
    }
    let claim = r#"{"max":10}"#;
    let mut claims = Wire::open_narrow(&daemon).await;
    let length = claim.len();
    claims
        .send(format!("POST /v1/leases HTTP/1.1\r\nhost: warden\r\ncontent-length: {length}\r\n\r\n{claim}"))
        .await;
    unread.push(("a claim", claims));
    // A connection that has been closed is found out by writing: at the latest the second time.
    for (what, mut wire) in unread {
        eventually(&format!("the daemon to hang up on {what}"), || {
            let sent = futures_util::FutureExt::now_or_never(wire.try_send("GET /healthz HTTP/1.1\r\n"));
            async move { (sent == Some(false)).then_some(()) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_slow_client_that_goes_on_reading_is_waited_for() {
    let config = "[limits]\nwrite_timeout = \"4s\"\nheader_timeout = \"500ms\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    fill(&daemon, 4).await;
    let mut reader = ask_for(&daemon, "/v1/export").await;
    // Nine seconds, much longer than the daemon waits for one that takes nothing.
    for number in 0..30 {
        assert!(reader.skip(64 * 1024).await, "it was cut off at its piece {number}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut_off_alone() {
    let config = "[limits]\nwrite_timeout = \"1s\"\nheader_timeout = \"60s\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    fill(&daemon, 1).await;
    let (mut http, _pings, _driven) = without_window(&daemon).await;
    let path = format!("{}/payload", item("file-0"));
    let mut stalled = get(&mut http, &daemon, &path).await.await.expect("an answer").into_body();
    // As long as the clock stands, so does this one, and it is the daemon that lets it wait.
    let claim = http::Request::post(daemon.url("/v1/leases")).body(()).expect("a request");
    let (waiting, mut body) = http.send_request(claim, false).expect("it can be sent");
    body.send_data(r#"{"workflows":["none"],"wait":"60s"}"#.into(), true).expect("it can be sent");
    let waiting = tokio::spawn(waiting);
    let cut = within_patience("the stalled stream to be cut off", stalled.data()).await;
    assert!(cut.is_none_or(|cut| cut.is_err()), "nothing of it was let through");
    assert_eq!(get(&mut http, &daemon, "/healthz").await.await.expect("an answer").status(), 200);
    assert!(!waiting.is_finished(), "it was not asked to hurry");
    daemon.advance(Duration::from_secs(61));
    assert_eq!(
        within_patience("the claim", waiting).await.expect("no panic").expect("an answer").status(),
        200
    );
}

#[tokio::test]
async fn an_idle_connection_of_http_2_ends_however_well_it_answers_pings() {
    let daemon = TestDaemon::builder().config("[limits]\nheader_timeout = \"500ms\"").start().await;
    let (mut http, mut pings, driven) = without_window(&daemon).await;
    get(&mut http, &daemon, "/healthz").await.await.expect("an answer");
    let pinging = async {
        while pings.ping(Ping::opaque()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within_patience("the connection to end", async { tokio::join!(pinging, driven).1.expect("no panic") })
        .await;
}

#[tokio::test]
async fn health_is_told_however_many_clients_there_are() {
    let config = "[limits]\nconnections_max = 4\nwrite_timeout = \"60s\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    fill(&daemon, 6).await;
    let _exports = join_all((0..4).map(|_| ask_for(&daemon, "/v1/export"))).await;
    let _waiting = join_all((0..60).map(|_| ask_for(&daemon, "/v1/export"))).await;
    for path in ["/healthz", "/readyz"] {
        for _ in 0..3 {
            let mut wire = Wire::open(&daemon).await;
            let answer = wire.exchange(Method::GET, path.as_bytes(), "", b"").await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(wire.closed().await, "", "its place is for others");
        }
    }
    let mut wire = Wire::open(&daemon).await;
    let refused = wire.exchange(Method::GET, b"/v1/items", "", b"").await;
    assert!(refused.refused(503, "overloaded").contains("limits.connections_max"));
}

#[tokio::test]
async fn the_answers_of_a_batch_stay_within_answers_max() {
    let daemon = TestDaemon::builder().config("[limits]\nanswers_max = \"1MiB\"").start().await;
    // Each line is refused with a problem of some hundred bytes.
    let lines = "{\"op\":\"close\"}\n".repeat(20_000);
    let refused = daemon.send(Method::POST, "/v1/batch", lines).await.refused(503, "overloaded");
    assert!(refused.contains("limits.answers_max") && refused.contains("lines are done"), "{refused}");
    let lines = "{\"op\":\"close\"}\n".repeat(2_000);
    assert_eq!(daemon.send(Method::POST, "/v1/batch", lines).await.lines(200).len(), 2_000);
}

#[tokio::test]
async fn little_is_repeated_of_what_was_sent() {
    let config = "[limits]\npayload_max = \"16MiB\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let long = "\u{1}".repeat(1 << 20);
    let create = json!({"op": "create", "workflow": "uploads", "id": "a", "payload": 1});
    let mut lines = String::new();
    for field in
        ["deadline", "workflow", "id", "step", "payload_base64", "content_type", "op", "idempotency_key"]
    {
        let mut line = create.clone();
        line[field] = long.clone().into();
        lines += &format!("{line}\n");
    }
    lines +=
        &format!("{}\n", json!({"op": "create", "workflow": "uploads", "id": "a", "labels": {&long: "a"}}));
    lines += &format!("{}\n", json!({"op": "create", "workflow": "uploads", "id": "a", &long: 1}));
    let answer = daemon.send(Method::POST, "/v1/batch", lines).await;
    for line in answer.lines(200) {
        let length = line.to_string().len();
        assert!(length < 8 * 1024, "{length} bytes for {}", &line.to_string()[..200]);
    }
    let long = "%01".repeat(3_000);
    for path in [
        format!("/v1/workflows/{long}"),
        format!("/v1/workflows/{long}/items/a"),
        format!("/v1/items?limit={long}"),
        format!("/v1/items?state={long}"),
        format!("/v1/items?order={long}"),
        format!("/v1/items?cursor={long}"),
        format!("/v1/items?label={long}"),
        format!("/v1/items?workflow={long}"),
        format!("/v1/items?created_before={long}"),
        format!("/v1/items?{long}=1"),
        format!("/v1/incidents?status={long}"),
        format!("/v1/incidents?kind={long}"),
        format!("/v1/incidents/{long}"),
        format!("/v1/deliveries?status={long}"),
        format!("/v1/silences?status={long}"),
        format!("/v1/replays/{long}"),
        format!("/v1/export?end={long}"),
    ] {
        let answer = daemon.ask(Method::GET, &path).await;
        assert!(answer.body.len() < 8 * 1024, "{} for {}", answer.body.len(), &path[..30]);
    }
    let headers = format!("if-match: \"{}\"\r\ncontent-length: 0\r\n", "y".repeat(9_000));
    let mut wire = Wire::open(&daemon).await;
    let answer = wire.exchange(Method::PATCH, item("a").as_bytes(), &headers, b"").await;
    assert!(answer.status >= 400 && answer.body.len() < 8 * 1024, "{}", answer.status);
}
