//! Limits on single requests and on all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::json;
use tokio::sync::Semaphore;

use super::item;
use crate::support::interference::{InterferedStore, Interference};
use crate::support::{TestDaemon, Wire, eventually};

/// A store that takes its time to read lists.
struct Slow {
    under_way: Arc<AtomicUsize>,
    may_end: Arc<Semaphore>,
}

impl Interference for Slow {
    fn while_listing(&self) -> BoxFuture<'static, ()> {
        let (under_way, may_end) = (self.under_way.clone(), self.may_end.clone());
        Box::pin(async move {
            under_way.fetch_add(1, Ordering::SeqCst);
            may_end.acquire().await.expect("it is not closed").forget();
            under_way.fetch_sub(1, Ordering::SeqCst);
        })
    }
}

/// The head of a create that waits for permission to send its body. The permission proves that it is under
/// way.
async fn begin_create(daemon: &TestDaemon, id: &str, length: usize) -> Wire {
    let mut wire = Wire::open(daemon).await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: warden\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n",
        item(id)
    );
    wire.send(head).await;
    assert_eq!(wire.answer().await.status, 100);
    wire
}

#[tokio::test]
async fn requests_beyond_requests_max_are_asked_to_come_back() {
    let daemon = TestDaemon::builder().config("[limits]\nrequests_max = 1").start().await;
    let mut under_way = begin_create(&daemon, "file-1", 5).await;
    let refused = daemon.ask(Method::GET, "/v1/items").await;
    assert!(refused.refused(503, "overloaded").contains("limits.requests_max"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(daemon.ask(Method::GET, "/healthz").await.status, 200, "it lives, however busy");
    assert_eq!(daemon.ask(Method::GET, "/readyz").await.status, 200);
    under_way.send("hello").await;
    assert_eq!(under_way.answer().await.status, 201);
    assert_eq!(daemon.ask(Method::GET, "/v1/items").await.status, 200);
}

#[tokio::test]
async fn requests_in_flight_count_on_when_the_configuration_changes() {
    let daemon = TestDaemon::builder().config("[limits]\nrequests_max = 2").start().await;
    let first = begin_create(&daemon, "file-1", 5).await;
    daemon.send_json(Method::PUT, "/v1/workflows/reports", json!({"deadline": "5m"})).await.json(201);
    let mut second = begin_create(&daemon, "file-2", 5).await;
    daemon.ask(Method::GET, "/v1/items").await.refused(503, "overloaded");
    second.send("hello").await;
    assert_eq!(second.answer().await.status, 201);
    drop(first);
    eventually("both places to be free", || async {
        (daemon.ask(Method::GET, "/v1/items").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn reads_of_clients_that_have_gone_count_as_requests_until_they_are_over() {
    let slow = Arc::new(Slow { under_way: Arc::default(), may_end: Arc::new(Semaphore::new(0)) });
    let daemon = TestDaemon::builder()
        .config("[limits]\nrequests_max = 2")
        .on(InterferedStore::starts(&slow))
        .start()
        .await;
    let under_way = || slow.under_way.load(Ordering::SeqCst);
    for request in
        ["GET /v1/items", "GET /v1/items/summary", "GET /v1/export?end=true", "POST /v1/items/retry"]
    {
        for _ in 0..2 {
            let before = under_way();
            let mut wire = Wire::open(&daemon).await;
            wire.send(format!("{request} HTTP/1.1\r\nhost: warden\r\ncontent-length: 0\r\n\r\n")).await;
            eventually("the read", || async { (under_way() > before).then_some(()) }).await;
            wire.reset();
        }
        for _ in 0..10 {
            daemon.ask(Method::GET, "/v1/items").await.refused(503, "overloaded");
        }
        assert_eq!(under_way(), 2, "{request}");
        slow.may_end.add_permits(2);
        eventually("the places of those that are over", || async {
            (daemon.response(Method::GET, "/v1/incidents").await.status() == 200).then_some(())
        })
        .await;
        eventually("nothing more to be read", || async { (under_way() == 0).then_some(()) }).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_still_being_sent_counts_as_a_request() {
    let daemon =
        TestDaemon::builder().config("[limits]\nrequests_max = 1\npayload_max = \"64MiB\"").start().await;
    daemon.create("uploads", "large", "", vec![b'x'; 64 << 20]).await;
    let mut reader = Wire::open(&daemon).await;
    reader.send(format!("GET {}/payload HTTP/1.1\r\nhost: warden\r\n\r\n", item("large"))).await;
    reader.head().await;
    daemon.ask(Method::GET, "/v1/items").await.refused(503, "overloaded");
    assert_eq!(reader.answer().await.body.len(), 64 << 20);
    eventually("the place of the finished answer", || async {
        (daemon.response(Method::GET, "/v1/items").await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn bodies_beyond_buffered_max_are_asked_to_come_back() {
    let daemon = TestDaemon::builder().config("[limits]\nbuffered_max = \"1MiB\"").start().await;
    let mut under_way = begin_create(&daemon, "file-1", 1 << 20).await;
    // What is only announced takes no room.
    daemon.create("uploads", "file-0", "", "hello").await;
    under_way.send(vec![b'x'; (1 << 20) - 1]).await;
    eventually("the body to have come", || async {
        (daemon.send(Method::PUT, &item("file-0"), "hello").await.status == 503).then_some(())
    })
    .await;
    let line = json!({"op": "create", "workflow": "uploads", "id": "file-3", "payload": 1}).to_string();
    let create = daemon.send(Method::PUT, &item("file-2"), "hello").await;
    let batch = daemon.send(Method::POST, "/v1/batch", line.clone()).await;
    for refused in [create, batch] {
        assert!(refused.refused(503, "overloaded").contains("limits.buffered_max"));
        assert_eq!(refused.header("retry-after"), "1");
    }
    under_way.send("x").await;
    assert_eq!(under_way.answer().await.status, 201);
    daemon.create("uploads", "file-2", "", "hello").await;
    let answers = daemon.send(Method::POST, "/v1/batch", line).await.lines(200);
    assert_eq!(answers[0]["status"], 201, "a batch takes what there is: {answers:?}");
}

#[tokio::test]
async fn a_chunked_body_as_large_as_the_whole_budget_is_taken() {
    let config = "[limits]\nbuffered_max = \"1500KiB\"\npayload_max = \"1500KiB\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let pieces = (0..15).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100 * 1024]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let created = daemon.create("uploads", "file-1", "", body).await;
    assert_eq!(created["payload"]["size"], 1500 * 1024);
}

#[tokio::test]
async fn a_batch_of_too_many_lines_is_refused_after_the_lines_before_are_done() {
    let daemon = TestDaemon::builder().on_sled().config("[limits]\nbatch_items_max = 600").start().await;
    let create = |number: usize| {
        json!({"op": "create", "workflow": "uploads", "id": format!("f{number}"),
            "payload": 1})
    };
    let lines = |count: usize| (0..count).map(|number| format!("{}\n", create(number))).collect::<String>();
    let detail = daemon.send(Method::POST, "/v1/batch", lines(601)).await.refused(413, "batch-too-large");
    assert!(detail.contains("limits.batch_items_max") && detail.contains("600"), "{detail}");
    let stored = daemon.get("/v1/items?limit=1000").await;
    assert_eq!(stored["data"].as_array().unwrap().len(), 600, "as it says: {detail}");
    assert_eq!(daemon.send(Method::POST, "/v1/batch", lines(600)).await.lines(200).len(), 600);
}

#[tokio::test]
async fn a_batch_of_too_many_bytes_is_refused_before_or_while_it_is_read() {
    let config = "[limits]\nbatch_max = \"64KiB\"\npayload_max = \"1KiB\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let create = |number: usize| {
        json!({"op": "create", "workflow": "uploads", "id": format!("f{number}"),
            "payload": "x".repeat(900)})
    };
    let lines: String = (0..80).map(|number| format!("{}\n", create(number))).collect();
    let announced =
        daemon.send(Method::POST, "/v1/batch", lines.clone()).await.refused(413, "batch-too-large");
    assert!(announced.contains("limits.batch_max"), "{announced}");
    assert_eq!(daemon.get("/v1/items").await["data"], json!([]), "it was told beforehand");
    let pieces: Vec<_> =
        lines.as_bytes().chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let streamed = daemon.send(Method::POST, "/v1/batch", body).await.refused(413, "batch-too-large");
    let stored = daemon.get("/v1/items?limit=1000").await["data"].as_array().unwrap().len();
    assert!(
        streamed.contains(&format!("first {stored} lines")),
        "{stored} are stored, and it says: {streamed}"
    );
    assert!(stored > 50, "{stored}");
}
