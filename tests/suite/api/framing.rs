//! Bodies that are not what their headers say, over a bare socket.

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
