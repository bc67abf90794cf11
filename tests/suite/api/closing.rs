//! Closing items, and the answers of a closed item.

use reqwest::Method;
use serde_json::json;

use super::item;
use crate::support::TestDaemon;

#[tokio::test]
async fn closing_an_item_again_is_fine_and_changes_nothing() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    let path = item("file-1");
    let closed = daemon.ask(Method::DELETE, &path).await;
    assert_eq!((closed.status, closed.body.len()), (204, 0));
    let before = daemon.get(&path).await;
    assert_eq!(before["closed_at"], "2026-01-01T00:00:00.000Z");
    daemon.advance(std::time::Duration::from_secs(60));
    assert_eq!(daemon.ask(Method::DELETE, &format!("{path}?outcome=failed")).await.status, 204);
    assert_eq!(daemon.get(&path).await, before);
}

#[tokio::test]
async fn a_close_says_how_the_item_ended() {
    let daemon = TestDaemon::start().await;
    for (query, outcome) in [
        ("", "success"),
        ("?outcome=success", "success"),
        ("?outcome=discarded", "discarded"),
        ("?outcome=failed", "failed"),
    ] {
        let id = format!("file{}", query.len());
        daemon.create("uploads", &id, "", "hello").await;
        assert_eq!(daemon.ask(Method::DELETE, &format!("{}{query}", item(&id))).await.status, 204);
        let closed = daemon.get(&item(&id)).await;
        assert_eq!((&closed["state"], &closed["outcome"]), (&json!("closed"), &json!(outcome)));
    }
    daemon.create("uploads", "file-x", "", "hello").await;
    for query in ["?outcome=done", "?outcome=", "?outcome=Success", "?outcome=failed&outcome=success"] {
        let refused = daemon.ask(Method::DELETE, &format!("{}{query}", item("file-x"))).await;
        assert!(refused.refused(400, "invalid-request").contains("outcome"), "{query}");
    }
    assert_eq!(daemon.get(&item("file-x")).await["state"], "open");
}

#[tokio::test]
async fn a_close_that_comes_before_its_create_keeps_the_late_create_out() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    let path = item("file-1");
    daemon.ask(Method::DELETE, &path).await.refused(404, "item-not-found");
    for restarted in [false, true] {
        if restarted {
            daemon.restart().await;
        }
        daemon.send(Method::PUT, &path, "hello").await.refused(409, "item-closed");
        daemon.ask(Method::DELETE, &path).await.refused(404, "item-not-found");
        daemon.ask(Method::GET, &path).await.refused(404, "item-not-found");
        assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
    }
}

#[tokio::test]
async fn a_closed_item_takes_no_changes() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    daemon.close("uploads", "file-1").await;
    let path = item("file-1");
    daemon.send_json(Method::PATCH, &path, json!({"deadline": "1h"})).await.refused(409, "item-closed");
    let errors = format!("{path}/errors");
    daemon.send_json(Method::POST, &errors, json!({"type": "io"})).await.refused(409, "item-closed");
    let again = daemon.send(Method::PUT, &path, "hello").await.refused(409, "item-closed");
    assert!(again.contains("2026-01-02T00:00:00.000Z"), "it says when the id is free again: {again}");
}

#[tokio::test]
async fn a_closed_item_is_closed_after_a_restart() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    daemon.close("uploads", "file-1").await;
    let before = daemon.get(&item("file-1")).await;
    daemon.restart().await;
    assert_eq!(daemon.get(&item("file-1")).await, before);
    daemon.ask(Method::GET, &format!("{}/payload", item("file-1"))).await.refused(410, "payload-gone");
}
