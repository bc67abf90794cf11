//! Bodies that do not match their headers, over a bare socket.

use reqwest::Method;
use serde_json::json;

use super::item;
use crate::support::{TestDaemon, Wire};

fn put(id: &str, headers: &str, body: &str) -> String {
    format!("PUT {} HTTP/1.1\r\nhost: warden\r\n{headers}\r\n{body}", item(id))
}

async fn nothing_is_stored(daemon: &TestDaemon) {
    assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
}

#[tokio::test]
async fn half_a_body_is_not_stored() {
    let daemon = TestDaemon::start().await;
    for (headers, body) in [
        ("content-length: 10\r\n", "hello"),
        ("content-length: 10\r\n", ""),
        ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n"),
        ("transfer-encoding: chunked\r\n", "5\r\nhel"),
        ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
        ("transfer-encoding: chunked\r\n", "zz\r\nhello\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "5\r\nhelloworld\r\n0\r\n\r\n"),
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(put("file-1", headers, body)).await;
        wire.finish().await;
        let said = wire.closed().await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{body:?}: {said}");
        nothing_is_stored(&daemon).await;
    }
}

#[tokio::test]
async fn half_a_batch_stores_no_half_line() {
    let daemon = TestDaemon::start().await;
    let whole = json!({"op": "create", "workflow": "uploads", "id": "whole", "payload": 1}).to_string();
    // Cut off at a place where what came would be a line by itself.
    let half = json!({"op": "close", "workflow": "uploads", "id": "half"}).to_string();
    let body = format!("{whole}\n{half}");
    let mut wire = Wire::open(&daemon).await;
    let head =
        format!("POST /v1/batch HTTP/1.1\r\nhost: warden\r\ncontent-length: {}\r\n\r\n", body.len() + 10);
    wire.send(head + &body).await;
    wire.finish().await;
    let said = wire.closed().await;
    assert!(said.is_empty() || said.contains("/problems/incomplete-body"), "{said}");
    daemon.create("uploads", "half", "", "hello").await;
}

#[tokio::test]
async fn a_length_that_is_none_is_refused() {
    let daemon = TestDaemon::start().await;
    for headers in [
        "content-length: abc\r\n",
        "content-length: -5\r\n",
        "content-length: +5\r\n",
        "content-length: 5 5\r\n",
        "content-length: 5, 6\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length: 0x5\r\n",
        "content-length:\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, gzip\r\n",
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(put("file-1", headers, "hello")).await;
        let said = wire.closed().await;
        assert!(said.starts_with("HTTP/1.1 4"), "{headers:?}: {said}");
        nothing_is_stored(&daemon).await;
    }
}

#[tokio::test]
async fn what_follows_a_body_is_no_part_of_it() {
    let daemon = TestDaemon::start().await;
    let mut wire = Wire::open(&daemon).await;
    wire.send(put("file-1", "content-length: 3\r\n", "hello world\r\n\r\n")).await;
    assert_eq!(wire.answer().await.json(201)["payload"]["size"], 3);
    assert!(wire.closed().await.starts_with("HTTP/1.1 400 "));
    assert_eq!(daemon.ask(Method::GET, &format!("{}/payload", item("file-1"))).await.text(), "hel");
}

#[tokio::test]
async fn requests_in_one_go_are_answered_in_order() {
    let daemon = TestDaemon::start().await;
    let mut wire = Wire::open(&daemon).await;
    let chunked = put(
        "b",
        "transfer-encoding: chunked\r\n",
        "3\r\nhel\r\n2;extension\r\nlo\r\n0\r\ntrailer: x\r\n\r\n",
    );
    wire.send(put("a", "content-length: 5\r\n", "hello") + &chunked + &put("c", "", "")).await;
    for (id, size) in [("a", 5), ("b", 5), ("c", 0)] {
        let created = wire.answer().await.json(201);
        assert_eq!((&created["id"], &created["payload"]["size"]), (&json!(id), &json!(size)));
    }
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_it_is_sent() {
    let daemon = TestDaemon::start().await;
    for (method, path, length, slug) in [
        (Method::PUT, item("file-1"), 1_048_577_u64, "payload-too-large"),
        (Method::PUT, item("file-1"), u64::MAX / 2, "payload-too-large"),
        (Method::POST, "/v1/batch".into(), 256 * 1024 * 1024 + 1, "batch-too-large"),
        (Method::PATCH, item("file-1"), 65_537, "payload-too-large"),
    ] {
        let headers =
            format!("content-length: {length}\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n");
        let mut wire = Wire::open(&daemon).await;
        let answer = wire.exchange(method, path.as_bytes(), &headers, b"").await;
        answer.refused(413, slug);
        assert_eq!(
            answer.header("connection"),
            "close",
            "what would follow could not be told from a request"
        );
        wire.finish().await;
        assert_eq!(wire.closed().await, "");
    }
    nothing_is_stored(&daemon).await;
}

#[tokio::test]
async fn a_client_that_sends_before_it_listens_hears_the_refusal() {
    let daemon = TestDaemon::start().await;
    let unread = vec![b'x'; 32 << 20];
    let announced = format!("content-length: {}\r\n", unread.len());
    let chunk = [format!("{:x}\r\n", unread.len()).as_bytes(), &unread, b"\r\n0\r\n\r\n"].concat();
    let chunked = "transfer-encoding: chunked\r\n".to_owned();
    let (path, nowhere) = (item("file-1"), "/v1/nowhere".to_owned());
    for (method, path, headers, body, status) in [
        (Method::PUT, &path, &announced, &unread, 413),
        (Method::PUT, &path, &chunked, &chunk, 413),
        (Method::PUT, &format!("{path}?colour=red"), &announced, &unread, 400),
        (Method::PUT, &item("%FF"), &announced, &unread, 400),
        (Method::PUT, &nowhere, &announced, &unread, 404),
        (Method::PUT, &"/v1/items".to_owned(), &chunked, &chunk, 405),
        (Method::PATCH, &path, &announced, &unread, 413),
    ] {
        let headers = format!("{headers}content-type: text/plain\r\n");
        let answer = Wire::open(&daemon).await.exchange(method, path.as_bytes(), &headers, body).await;
        assert_eq!(answer.status, status, "{path}");
    }
    nothing_is_stored(&daemon).await;
}

#[tokio::test]
async fn a_client_of_the_old_protocol_is_served() {
    let daemon = TestDaemon::start().await;
    let mut wire = Wire::open(&daemon).await;
    wire.send(format!("PUT {} HTTP/1.0\r\ncontent-length: 5\r\n\r\nhello", item("file-1"))).await;
    assert_eq!(wire.answer().await.status, 201);
    assert_eq!(wire.closed().await, "");
}

#[tokio::test]
async fn an_offer_of_http_2_does_not_cost_the_answer_to_a_refused_body() {
    let daemon = TestDaemon::start().await;
    let unread = vec![b'x'; 32 << 20];
    let offer = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAA\r\n";
    let announced = format!("{offer}content-length: {}\r\n", unread.len());
    let chunked = format!("{offer}transfer-encoding: chunked\r\n");
    let chunk = [format!("{:x}\r\n", unread.len()).as_bytes(), &unread, b"\r\n0\r\n\r\n"].concat();
    let path = item("file-1");
    for (target, headers, body, status) in [
        (&path, &announced, &unread, 413),
        (&path, &chunked, &chunk, 413),
        (&format!("{path}?colour=red"), &announced, &unread, 400),
        (&"/v1/nowhere".to_owned(), &chunked, &chunk, 404),
    ] {
        let mut wire = Wire::open(&daemon).await;
        let answer = wire.exchange(Method::PUT, target.as_bytes(), headers, body).await;
        assert_eq!(answer.status, status, "{target}");
    }
    nothing_is_stored(&daemon).await;
    let taken = format!("{offer}content-length: 5\r\n");
    let answer = Wire::open(&daemon).await.exchange(Method::PUT, path.as_bytes(), &taken, b"hello").await;
    answer.json(201);
    let whole = format!("{offer}content-length: 0\r\n");
    let mut wire = Wire::open(&daemon).await;
    wire.exchange(Method::GET, format!("{path}/payload").as_bytes(), &whole, b"").await;
}

#[tokio::test]
async fn the_old_protocol_must_say_how_long_a_body_is() {
    let daemon = TestDaemon::start().await;
    let path = item("file-1");
    for (method, path) in [("PUT", &*path), ("POST", "/v1/batch"), ("PATCH", &path), ("POST", "/v1/leases")] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(format!("{method} {path} HTTP/1.0\r\n\r\nhello")).await;
        wire.answer().await.refused(411, "length-required");
        wire.finish().await;
        assert_eq!(wire.closed().await, "");
    }
    nothing_is_stored(&daemon).await;
    for (line, status) in [
        (format!("PUT {path} HTTP/1.0\r\ncontent-length: 0"), 201),
        ("GET /healthz HTTP/1.0".to_owned(), 200),
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(format!("{line}\r\n\r\n")).await;
        assert_eq!(wire.answer().await.status, status, "{line}");
    }
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let daemon = TestDaemon::start().await;
    for headers in [
        "",
        "host:\r\n",
        "host: warden\r\nhost: warden\r\n",
        "host: warden\r\nhost: other\r\n",
        "host: a b\r\n",
        "host: warden/path\r\n",
        "host: user@warden\r\n",
        "host: warden:port\r\n",
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(format!("PUT {} HTTP/1.1\r\n{headers}content-length: 5\r\n\r\nhello", item("file-1")))
            .await;
        let detail = wire.answer().await.refused(400, "invalid-request");
        assert!(detail.contains("Host"), "{headers:?}: {detail}");
        wire.finish().await;
        assert_eq!(wire.closed().await, "");
    }
    nothing_is_stored(&daemon).await;
    for host in ["127.0.0.1", "localhost:8470", "[::1]:8470"] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        assert_eq!(wire.answer().await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_coding_that_is_not_understood_is_refused() {
    let daemon = TestDaemon::start().await;
    for (headers, status, slug) in [
        ("transfer-encoding: gzip, chunked\r\n", 501, "not-implemented"),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", 501, "not-implemented"),
        ("transfer-encoding: identity, chunked\r\n", 501, "not-implemented"),
        ("transfer-encoding: chunked, chunked\r\n", 400, "invalid-request"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 400, "invalid-request"),
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(put("file-1", headers, "5\r\nhello\r\n0\r\n\r\n")).await;
        wire.answer().await.refused(status, slug);
        assert_eq!(wire.closed().await, "", "{headers:?}");
    }
    nothing_is_stored(&daemon).await;
}

#[tokio::test]
async fn chunks_go_before_a_length() {
    let daemon = TestDaemon::start().await;
    for (id, headers) in [
        ("a", "content-length: 3\r\ntransfer-encoding: chunked\r\n"),
        ("b", "transfer-encoding: chunked\r\ncontent-length: 3\r\n"),
        ("c", "transfer-encoding: Chunked\r\n"),
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(put(id, headers, "5\r\nhello\r\n0\r\n\r\n")).await;
        assert_eq!(wire.answer().await.json(201)["payload"]["size"], 5, "{headers:?}");
    }
}

#[tokio::test]
async fn a_client_that_ends_its_half_is_answered() {
    let daemon = TestDaemon::start().await;
    let mut wire = Wire::open(&daemon).await;
    wire.send(
        put("file-1", "content-length: 5\r\n", "hello") + &put("file-2", "content-length: 2\r\n", "ho"),
    )
    .await;
    wire.finish().await;
    assert_eq!(wire.answer().await.json(201)["id"], "file-1");
    assert_eq!(wire.answer().await.json(201)["id"], "file-2");
    assert_eq!(wire.closed().await, "");
    let mut wire = Wire::open(&daemon).await;
    wire.send(format!("GET {}/payload HTTP/1.0\r\n\r\n", item("file-1"))).await;
    wire.finish().await;
    assert_eq!(wire.answer().await.text(), "hello");
    let mut waiting = Wire::open(&daemon).await;
    let claim = r#"{"wait":"60s"}"#;
    let head = format!("POST /v1/leases HTTP/1.1\r\nhost: warden\r\ncontent-length: {}\r\n\r\n", claim.len());
    waiting.send(head + claim).await;
    waiting.finish().await;
    let said = waiting.closed().await;
    assert!(said.starts_with("HTTP/1.1 200 "), "nobody waits with a client that may be gone: {said}");
}
