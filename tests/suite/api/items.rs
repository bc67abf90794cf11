//! Creating items and reading them.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::item;
use crate::support::{TestDaemon, ask};

const ITEMS: &str = "/v1/workflows/uploads/items";

#[tokio::test]
async fn an_item_is_created_read_and_closed() {
    let daemon = TestDaemon::start().await;
    let created =
        daemon.create("uploads", "file-1", "?deadline=15m&label=region:eu&step=copy", "hello").await;
    assert_eq!(created["state"], "open");
    assert_eq!(created["deadline"], "2026-01-01T00:15:00.000Z");
    assert_eq!(created["labels"], json!({"region": "eu"}));
    assert_eq!(created["payload"]["size"], 5);
    let path = item("file-1");
    assert_eq!(daemon.get(&path).await, created);
    assert_eq!(daemon.ask(Method::GET, &format!("{path}/payload")).await.text(), "hello");
    daemon.close("uploads", "file-1").await;
    assert_eq!(daemon.get(&path).await["state"], "closed");
    daemon.ask(Method::GET, &format!("{path}/payload")).await.refused(410, "payload-gone");
}

#[tokio::test]
async fn an_item_shows_every_field_of_the_contract() {
    let daemon = TestDaemon::start().await;
    let query = "?deadline=15m&label=region:eu&label=tier:gold&step=backup";
    let created = daemon.create("uploads", "file-123", query, "hello").await;
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let expected = json!({
        "workflow": "uploads", "id": "file-123", "state": "open",
        "created_at": "2026-01-01T00:00:00.000Z", "deadline": "2026-01-01T00:15:00.000Z",
        "overdue_since": null, "closed_at": null, "outcome": null,
        "labels": {"region": "eu", "tier": "gold"},
        "step": "backup", "step_entered_at": "2026-01-01T00:00:00.000Z", "step_index": null,
        "step_attempts": 0, "step_retries": 0, "step_losses": 0, "steps": [],
        "interrupted_until": null, "not_before": null, "errored_at": null, "error_message": null,
        "progress": {}, "errors": [], "artifacts": [], "lease": null, "retry_at": null,
        "params": null, "number": null, "held_for": null, "started_at": null, "lineage": null, "counts": null,
        "incident": null, "traceparent": null, "tracestate": null,
        "payload": {"size": 5, "content_type": "application/octet-stream", "content_encoding": null,
        "sha256": digest}, "version": 1,
    });
    assert_eq!(created, expected);
}

#[tokio::test]
async fn an_item_past_its_deadline_is_overdue_and_names_its_incident() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=15m", "hello").await;
    daemon.advance(Duration::from_secs(900));
    let incident = daemon.open_incidents(1).await.remove(0);
    let overdue = daemon.get(&item("file-1")).await;
    assert_eq!(overdue["state"], "overdue");
    assert_eq!(overdue["overdue_since"], "2026-01-01T00:15:00.000Z");
    assert_eq!(overdue["incident"], incident["id"]);
}

#[tokio::test]
async fn creating_again_is_told_apart_by_the_payload() {
    let daemon = TestDaemon::start().await;
    let path = item("a%2Fb");
    let put = |body: &'static str| daemon.send(Method::PUT, &path, body);
    let created = put("one").await.json(201);
    assert_eq!(created["id"], "a/b");
    assert_eq!(put("one").await.json(200), created);
    put("two").await.refused(409, "item-conflict");
    let other_type = daemon.request(Method::PUT, &path).header("content-type", "text/plain").body("one");
    ask(other_type).await.refused(409, "item-conflict");
    assert_eq!(daemon.get(&path).await, created, "a refused create changes nothing");
    daemon.close("uploads", "a%2Fb").await;
    put("one").await.refused(409, "item-closed");
}

#[tokio::test]
async fn an_item_posted_without_an_id_gets_one_and_says_where_it_is() {
    let daemon = TestDaemon::start().await;
    let answer =
        daemon.send(Method::POST, &format!("{ITEMS}?deadline=5m&label=a:b&step=copy"), "hello").await;
    let created = answer.json(201);
    let id: uuid::Uuid = created["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(answer.header("location"), format!("{ITEMS}/{id}"));
    assert_eq!(daemon.get(answer.header("location")).await, created);
    assert_eq!(created["deadline"], "2026-01-01T00:05:00.000Z");
    let another = daemon.send(Method::POST, ITEMS, "hello").await.json(201);
    assert_ne!(another["id"], created["id"], "without a key every post is a new item");
}

#[tokio::test]
async fn an_item_due_in_the_past_is_overdue_at_once() {
    let daemon = TestDaemon::start().await;
    for (id, deadline) in [("a", "0s"), ("b", "2025-12-31T23:59:59Z"), ("c", "0001-01-01T00:00:00Z")] {
        let created = daemon.create("uploads", id, &format!("?deadline={deadline}"), "hello").await;
        assert_eq!(created["state"], "overdue", "{deadline}");
    }
    assert_eq!(daemon.open_incidents(1).await[0]["workflow"], "uploads");
}

#[tokio::test]
async fn a_deadline_is_the_earlier_of_request_and_step_else_that_of_the_workflow_or_the_default() {
    let daemon = TestDaemon::builder()
        .config("[workflow_defaults]\ndeadline = \"2h\"")
        .config(
            "[workflows.uploads]\ndeadline = \"30m\"\nsteps = [{name = \"copy\", deadline = \"5m\"}, \
                 \"backup\"]",
        )
        .start()
        .await;
    let cases = [
        ("uploads", "?step=copy&deadline=10m", "2026-01-01T00:05:00.000Z"),
        ("uploads", "?step=copy&deadline=3m", "2026-01-01T00:03:00.000Z"),
        ("uploads", "?step=backup&deadline=2026-01-01T02:00:00%2B01:00", "2026-01-01T01:00:00.000Z"),
        ("uploads", "", "2026-01-01T00:05:00.000Z"),
        ("uploads", "?step=copy", "2026-01-01T00:05:00.000Z"),
        ("uploads", "?step=backup", "2026-01-01T00:30:00.000Z"),
        ("reports", "", "2026-01-01T02:00:00.000Z"),
    ];
    for (number, (workflow, query, deadline)) in cases.into_iter().enumerate() {
        let created = daemon.create(workflow, &format!("file-{number}"), query, "hello").await;
        assert_eq!(created["deadline"], deadline, "{workflow}{query}");
    }
    let unknown = daemon.send(Method::PUT, &format!("{ITEMS}/x?step=print"), "hello").await;
    assert!(unknown.refused(400, "invalid-request").contains("copy, backup"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_any_road() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "other", "", "hello").await;
    let path = item("file-1");
    daemon.ask(Method::GET, &path).await.refused(404, "item-not-found");
    daemon.ask(Method::GET, &format!("{path}/payload")).await.refused(404, "item-not-found");
    daemon.send_json(Method::PATCH, &path, json!({})).await.refused(404, "item-not-found");
    let report = json!({"type": "io"});
    daemon.send_json(Method::POST, &format!("{path}/errors"), report).await.refused(404, "item-not-found");
    daemon.ask(Method::GET, &format!("{path}/nothing")).await.refused(404, "not-found");
    daemon.ask(Method::GET, "/v1/nothing").await.refused(404, "not-found");
}

#[tokio::test]
async fn ids_of_every_script_come_back_as_they_were() {
    let daemon = TestDaemon::start().await;
    let longest = "x".repeat(256);
    let ids =
        ["a b", "ä/ö?#&=+", "日本語", "100%", "...", "../../etc/passwd", "\u{1f980}", "a\\b\"c", &longest];
    for id in ids {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let line = json!({"op": "create", "workflow": "uploads", "id": id, "payload": id}).to_string();
        assert_eq!(daemon.send(Method::POST, "/v1/batch", line).await.lines(200)[0]["status"], 201, "{id}");
        assert_eq!(daemon.get(&item(&encoded)).await["id"], id);
        assert_eq!(daemon.ask(Method::GET, &format!("{}/payload", item(&encoded))).await.text(), id);
    }
    let listed = daemon.get("/v1/items").await;
    let listed: BTreeSet<&str> =
        listed["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids.into_iter().collect());
}

#[tokio::test]
async fn an_item_is_the_same_after_a_restart() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    let path = item("file-1");
    daemon.create("uploads", "file-1", "?deadline=15m&label=region:eu&step=copy", vec![0, 255, 7]).await;
    let progress = json!({"progress": {"done": 7}});
    daemon.send_json(Method::PATCH, &path, progress).await.json(200);
    let error = json!({"type": "io", "message": "broke", "retryable": true, "data": {"try": 1}});
    daemon.send_json(Method::POST, &format!("{path}/errors"), error).await.json(201);
    let before: Value = daemon.get(&path).await;
    daemon.restart().await;
    assert_eq!(daemon.get(&path).await, before);
    assert_eq!(daemon.ask(Method::GET, &format!("{path}/payload")).await.body, [0, 255, 7]);
}
