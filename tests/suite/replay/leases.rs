//! Replays and other workers on the same items.

use super::*;
use crate::alerts::raw::RawReceiver;

async fn claim(daemon: &TestDaemon, worker: &str) -> Vec<Value> {
    let answer = daemon.send_json(Method::POST, "/v1/leases", json!({"worker": worker, "max": 10})).await;
    answer.json(200)["leases"].as_array().unwrap().clone()
}

#[tokio::test]
async fn nobody_else_gets_an_item_while_it_is_on_its_way() {
    let target = RawReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    let replay = start(&daemon, to_url(&target.url(), json!({"timeout": "10m"}))).await;
    let request = target.request().await;
    assert_eq!(claim(&daemon, "host-1").await, Vec::<Value>::new());
    let item = daemon.get("/v1/workflows/uploads/items/file-1").await;
    assert_eq!(item["lease"]["worker"], replay["id"]);
    request.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
    assert_eq!(claim(&daemon, "host-1").await.len(), 1);
}

#[tokio::test]
async fn what_somebody_else_works_on_is_skipped() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    assert_eq!(claim(&daemon, "host-1").await.len(), 1);
    lose(&daemon, "file-2").await;
    let replay = start(&daemon, to(&target, json!({}))).await;
    assert_eq!(counts(&completed(&daemon, &replay).await), [2, 1, 1, 0, 1]);
    assert_eq!(arrived(&target).await, ["file-2"]);
}

#[tokio::test]
async fn what_waits_for_its_next_attempt_waits_no_longer() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    let lease = claim(&daemon, "host-1").await.remove(0);
    let failure = json!({"error": {"type": "Timeout", "retryable": true}, "retry_after": "1h"});
    let path = format!("/v1/leases/{}/fail", lease["id"].as_str().unwrap());
    let item = daemon.send_json(Method::POST, &path, failure).await.json(200);
    assert!(!item["retry_at"].is_null(), "{item}");
    let replay = start(&daemon, to(&target, json!({}))).await;
    assert_eq!(counts(&completed(&daemon, &replay).await), [1, 1, 1, 0, 0]);
}

#[tokio::test]
async fn an_item_that_is_closed_while_it_is_on_its_way_was_taken_all_the_same() {
    for on_success in ["accept", "close"] {
        let target = RawReceiver::start().await;
        let daemon = TestDaemon::start().await;
        lose(&daemon, "file-1").await;
        let replay =
            start(&daemon, to_url(&target.url(), json!({"on_success": on_success, "timeout": "10m"}))).await;
        let request = target.request().await;
        daemon.close("uploads", "file-1").await;
        request.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        let ended = when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
        assert_eq!(counts(&ended), [1, 1, 1, 0, 0]);
    }
}

#[tokio::test]
async fn two_replays_of_the_same_items_send_none_at_the_same_time() {
    let target = RawReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    let first = start(&daemon, to_url(&target.url(), json!({"timeout": "10m"}))).await;
    let request = target.request().await;
    let second = start(&daemon, to_url(&target.url(), json!({}))).await;
    let skipped = when(&daemon, &second, "its end", |replay| replay["status"] == "completed").await;
    assert_eq!(counts(&skipped), [1, 0, 0, 0, 1]);
    request.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    when(&daemon, &first, "its end", |replay| replay["status"] == "completed").await;
}

#[tokio::test]
async fn what_somebody_else_is_done_with_by_its_turn_is_sent() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    daemon.advance(SECOND);
    lose(&daemon, "second").await;
    let lease = claim(&daemon, "host-1").await.remove(0);
    daemon.create("uploads", "first", "?deadline=2026-01-01T00:00:00Z", "x").await;
    let replay = start(&daemon, to(&target, json!({"max_per_second": 0.01}))).await;
    when(&daemon, &replay, "the first", |replay| replay["succeeded"] == 1).await;
    let path = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
    daemon.ask(Method::POST, &path).await.json(200);
    daemon.advance(100 * SECOND);
    let ended = when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
    assert_eq!(counts(&ended), [2, 2, 2, 0, 0]);
    assert_eq!(arrived(&target).await, ["first", "second"]);
}

#[tokio::test]
async fn an_item_whose_lease_ran_out_on_the_way_is_closed_all_the_same() {
    let target = RawReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    let document = to_url(&target.url(), json!({"on_success": "close", "timeout": "10m"}));
    let replay = start(&daemon, document).await;
    let request = target.request().await;
    // As if the machine had slept.
    daemon.advance(3600 * SECOND);
    assert_eq!(claim(&daemon, "host-1").await.len(), 1);
    request.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    let ended = when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
    assert_eq!(counts(&ended), [1, 1, 1, 0, 0]);
    eventually("the item to be closed", || async {
        let item = daemon.get("/v1/workflows/uploads/items/file-1").await;
        (item["state"] == "closed").then_some(())
    })
    .await;
}
