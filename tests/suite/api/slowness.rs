//! Slow clients. The daemon's timeouts are short here, those of the tests long.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::item;
use crate::support::{TestDaemon, Wire, within_patience};

const IMPATIENT_BODIES: &str = "[limits]\nbody_timeout = \"200ms\"";
const IMPATIENT_HEADS: &str = "[limits]\nheader_timeout = \"200ms\"";

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let daemon = TestDaemon::builder().config(IMPATIENT_BODIES).start().await;
    for (method, path, body) in [
        (Method::PUT, item("file-1"), "content-length: 10\r\n\r\nhello"),
        (Method::PUT, item("file-1"), "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        (Method::POST, "/v1/workflows/uploads/items".into(), "content-length: 1\r\n\r\n"),
        (Method::PATCH, item("file-1"), "content-length: 10\r\n\r\n{"),
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(format!("{method} {path} HTTP/1.1\r\nhost: warden\r\n{body}")).await;
        let answer = wire.answer().await;
        assert!(answer.refused(408, "body-timeout").contains("limits.body_timeout"), "{method} {path}");
        assert_eq!(answer.header("connection"), "close");
        wire.finish().await;
        assert_eq!(wire.closed().await, "");
    }
    assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
}

#[tokio::test]
async fn a_batch_that_does_not_arrive_in_time_says_how_far_it_came() {
    let daemon = TestDaemon::builder().config(IMPATIENT_BODIES).start().await;
    let line = |id: &str| json!({"op": "create", "workflow": "uploads", "id": id, "payload": 1}).to_string();
    let mut wire = Wire::open(&daemon).await;
    let body = format!("{}\n{}\n{}", line("a"), line("b"), &line("c")[..10]);
    wire.send(format!("POST /v1/batch HTTP/1.1\r\nhost: warden\r\ncontent-length: 9999\r\n\r\n{body}")).await;
    let detail = wire.answer().await.refused(408, "body-timeout");
    assert!(detail.contains("first 2 lines"), "{detail}");
    let stored = daemon.get("/v1/items").await;
    let ids: Vec<_> = stored["data"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_the_connection() {
    let daemon = TestDaemon::builder().config(IMPATIENT_HEADS).start().await;
    for begun in [
        "",
        "G",
        "P",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n",
        "GET /healthz HTTP/1.1\r\nhost: warden\r\nx: ",
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(begun).await;
        let said = wire.closed().await;
        assert!(!said.contains(" 200 "), "{begun:?}: {said}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_not_waited_for() {
    let daemon = TestDaemon::builder().config(IMPATIENT_HEADS).start().await;
    let mut wire = Wire::open(&daemon).await;
    wire.send("GET /healthz HTTP/1.1\r\n").await;
    let mut dripping = tokio::time::interval(Duration::from_millis(20));
    within_patience("the daemon to hang up", async {
        while wire.try_send("x: y\r\n").await {
            dripping.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let daemon = TestDaemon::builder().config(IMPATIENT_HEADS).start().await;
    let mut wire = Wire::open(&daemon).await;
    assert_eq!(wire.exchange(Method::GET, b"/healthz", "", b"").await.status, 200);
    assert_eq!(wire.closed().await, "");
}

#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let daemon = TestDaemon::start().await;
    let idle = join_all((0..500).map(|_| Wire::open(&daemon))).await;
    daemon.create("uploads", "file-1", "", "hello").await;
    daemon.close("uploads", "file-1").await;
    drop(idle);
}

#[tokio::test]
async fn connections_beyond_connections_max_are_served_when_their_turn_comes() {
    let config = "[limits]\nconnections_max = 2\nheader_timeout = \"200ms\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let _idle = (Wire::open(&daemon).await, Wire::open(&daemon).await);
    let mut third = Wire::open(&daemon).await;
    third.send("GET /healthz HTTP/1.1\r\nhost: warden\r\n\r\n").await;
    assert_eq!(third.answer().await.status, 200);
}
