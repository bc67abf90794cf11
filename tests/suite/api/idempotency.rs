//! Repeated and concurrent requests.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::item;
use crate::support::{Answer, TestDaemon, ask};

const ITEMS: &str = "/v1/workflows/uploads/items";

async fn post(daemon: &TestDaemon, workflow: &str, key: &str, body: &'static str) -> Answer {
    let path = format!("/v1/workflows/{workflow}/items");
    ask(daemon.request(Method::POST, &path).header("idempotency-key", key).body(body)).await
}

#[tokio::test]
async fn a_post_repeated_with_its_key_finds_the_first_item() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    let first = post(&daemon, "uploads", "k1", "hello").await;
    let created = first.json(201);
    let repeated = post(&daemon, "uploads", "k1", "hello").await;
    assert_eq!(repeated.json(201), created);
    assert_eq!(repeated.header("location"), first.header("location"));
    daemon.restart().await;
    assert_eq!(post(&daemon, "uploads", "k1", "hello").await.json(201), created);
    post(&daemon, "uploads", "k1", "other").await.refused(409, "item-conflict");
    assert_ne!(post(&daemon, "uploads", "k2", "hello").await.json(201)["id"], created["id"]);
    assert_ne!(post(&daemon, "reports", "k1", "hello").await.json(201)["id"], created["id"]);
}

#[tokio::test]
async fn a_key_is_remembered_as_long_as_its_item() {
    let daemon = TestDaemon::start().await;
    let created = post(&daemon, "uploads", "k1", "hello").await.json(201);
    daemon.close("uploads", created["id"].as_str().unwrap()).await;
    post(&daemon, "uploads", "k1", "hello").await.refused(409, "item-closed");
    daemon.advance(std::time::Duration::from_secs(24 * 3600));
    assert_ne!(post(&daemon, "uploads", "k1", "hello").await.json(201)["id"], created["id"]);
}

#[tokio::test]
async fn a_key_is_1_to_255_visible_characters() {
    let daemon = TestDaemon::start().await;
    for key in ["", "ä", &"k".repeat(256)] {
        let request = daemon.request(Method::POST, ITEMS).header("idempotency-key", key).body("hello");
        ask(request).await.refused(400, "invalid-request");
    }
    let request =
        daemon.request(Method::POST, ITEMS).header("idempotency-key", "k".repeat(255)).body("hello");
    ask(request).await.json(201);
}

#[tokio::test]
async fn of_many_equal_creates_at_once_exactly_one_makes_the_item() {
    for builder in [TestDaemon::builder(), TestDaemon::builder().on_sled()] {
        let daemon = builder.start().await;
        let path = item("file-1");
        let mut statuses: Vec<_> = join_all((0..32).map(|_| daemon.send(Method::PUT, &path, "hello")))
            .await
            .iter()
            .map(|a| a.status)
            .collect();
        statuses.sort_unstable();
        assert_eq!((&statuses[..31], statuses[31]), ([200; 31].as_slice(), 201));
    }
}

#[tokio::test]
async fn of_many_conflicting_creates_at_once_exactly_one_wins() {
    for builder in [TestDaemon::builder(), TestDaemon::builder().on_sled()] {
        let daemon = builder.start().await;
        let path = item("file-1");
        let answers =
            join_all((0..32).map(|number| daemon.send(Method::PUT, &path, format!("payload {number}"))))
                .await;
        let won: Vec<_> = (0..32).filter(|number| answers[*number].status == 201).collect();
        assert_eq!(won.len(), 1);
        for (_, loser) in answers.iter().enumerate().filter(|(number, _)| *number != won[0]) {
            loser.refused(409, "item-conflict");
        }
        let payload = daemon.ask(Method::GET, &format!("{path}/payload")).await;
        assert_eq!(payload.text(), format!("payload {}", won[0]));
    }
}

#[tokio::test]
async fn of_many_posts_with_one_key_at_once_exactly_one_makes_an_item() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let answers = join_all((0..32).map(|_| post(&daemon, "uploads", "k1", "hello"))).await;
    let ids: std::collections::BTreeSet<String> =
        answers.iter().map(|answer| answer.json(201)["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(daemon.get("/v1/items").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn of_creates_and_closes_at_once_the_close_has_the_last_word() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let path = item("file-1");
    let (creates, closes) = tokio::join!(
        join_all((0..16).map(|_| daemon.send(Method::PUT, &path, "hello"))),
        join_all((0..16).map(|_| daemon.ask(Method::DELETE, &path))),
    );
    assert!(creates.iter().all(|answer| [200, 201, 409].contains(&answer.status)));
    assert!(closes.iter().all(|answer| [204, 404].contains(&answer.status)));
    daemon.send(Method::PUT, &path, "hello").await.refused(409, "item-closed");
}

#[tokio::test]
async fn a_line_of_a_batch_may_carry_a_key() {
    let daemon = TestDaemon::start().await;
    let line =
        json!({"op": "create", "workflow": "uploads", "payload": 1, "idempotency_key": "k1"}).to_string();
    let first = daemon.send(Method::POST, "/v1/batch", line.clone()).await.lines(200);
    let repeated = daemon.send(Method::POST, "/v1/batch", line).await.lines(200);
    assert_eq!((&first[0]["status"], &repeated[0]["status"]), (&json!(201), &json!(200)));
    assert_eq!(first[0]["id"], repeated[0]["id"]);
}
