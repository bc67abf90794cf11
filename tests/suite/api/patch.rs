//! Changing open items by merge patch.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::item;
use crate::support::{Answer, TestDaemon, ask};

async fn with_item() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=15m&label=region:eu&label=tier:gold", "hello").await;
    daemon
}

async fn patch(daemon: &TestDaemon, document: serde_json::Value) -> Answer {
    let request =
        daemon.request(Method::PATCH, &item("file-1")).header("content-type", "application/merge-patch+json");
    ask(request.body(document.to_string())).await
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let daemon = with_item().await;
    let before = daemon.get(&item("file-1")).await;
    let patched = patch(&daemon, json!({"deadline": "2h"})).await;
    let mut expected = before.clone();
    expected["deadline"] = json!("2026-01-01T02:00:00.000Z");
    expected["version"] = json!(2);
    assert_eq!(patched.json(200), expected);
    assert_eq!(patched.header("etag"), "\"2\"");
    assert_eq!(daemon.get(&item("file-1")).await, expected);
    let at = patch(&daemon, json!({"deadline": "2026-01-01T03:00:00+01:00"})).await.json(200);
    assert_eq!(at["deadline"], "2026-01-01T02:00:00.000Z");
}

#[tokio::test]
async fn labels_and_progress_are_merged_and_null_removes() {
    let daemon = with_item().await;
    let labels =
        patch(&daemon, json!({"labels": {"tier": null, "region": "us", "new": "x", "absent": null}})).await;
    assert_eq!(labels.json(200)["labels"], json!({"region": "us", "new": "x"}));
    let progress = json!({"progress": {"copied": 3, "files": {"a": true, "b": [1, null]}}});
    assert_eq!(patch(&daemon, progress.clone()).await.json(200)["progress"], progress["progress"]);
    let merged = patch(&daemon, json!({"progress": {"copied": null, "files": {"b": 2}}})).await;
    assert_eq!(merged.json(200)["progress"], json!({"files": {"a": true, "b": 2}}));
    let emptied = patch(&daemon, json!({"progress": null, "labels": null})).await.json(200);
    assert_eq!((&emptied["progress"], &emptied["labels"]), (&json!({}), &json!({})));
}

#[tokio::test]
async fn a_patch_holds_only_for_the_version_it_was_meant_for() {
    let daemon = with_item().await;
    let guarded = async |tag: &str| {
        let request = daemon.request(Method::PATCH, &item("file-1")).header("if-match", tag);
        ask(request.json(&json!({"labels": {"by": tag.replace('"', "")}}))).await
    };
    for tag in ["\"2\"", "\"0\"", "2", "\"x\"", "W/\"1\"", ""] {
        guarded(tag).await.refused(412, "precondition-failed");
    }
    assert_eq!(daemon.get(&item("file-1")).await["version"], 1);
    assert_eq!(guarded("\"1\"").await.json(200)["version"], 2);
    let late = guarded("\"1\"").await.refused(412, "precondition-failed");
    assert!(late.contains("the version is 2"), "{late}");
    assert_eq!(guarded("*").await.json(200)["version"], 3);
    let missing = daemon.request(Method::PATCH, &item("nobody")).header("if-match", "\"1\"").json(&json!({}));
    ask(missing).await.refused(404, "item-not-found");
}

#[tokio::test]
async fn of_two_patches_of_one_version_one_wins() {
    let daemon = with_item().await;
    let guarded = |by: &'static str| {
        let request = daemon.request(Method::PATCH, &item("file-1")).header("if-match", "\"1\"");
        ask(request.json(&json!({"progress": {"by": by}})))
    };
    let (one, other) = tokio::join!(guarded("one"), guarded("other"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let winner = if one.status == 200 { "one" } else { "other" };
    assert_eq!(daemon.get(&item("file-1")).await["progress"], json!({"by": winner}));
}

#[tokio::test]
async fn a_patch_that_cannot_be_read_changes_nothing() {
    let daemon = with_item().await;
    let before = daemon.get(&item("file-1")).await;
    let long = "x".repeat(256);
    for document in [
        json!([]),
        json!(["1h"]),
        json!("deadline"),
        json!({"deadline": 5}),
        json!({"deadline": ""}),
        json!({"deadline": null}),
        json!({"deadline": "-1s"}),
        json!({"deadline": "99999999999y"}),
        json!({"deadline": "9999-12-31T23:59:59Z"}),
        json!({"state": "closed"}),
        json!({"labels": []}),
        json!({"labels": {"region": 5}}),
        json!({"labels": {"": "x"}}),
        json!({"labels": {"region": "\u{0}"}}),
        json!({"labels": {"region": long}}),
        json!({"progress": 5}),
        json!({"progress": {"a": "x".repeat(33_000)}}),
        json!({"progress": {"a": 1}, "labels": {" ": "x"}}),
    ] {
        patch(&daemon, document).await.refused(400, "invalid-request");
    }
    for text in ["", "{", "{}{}", "{\"deadline\":\"1h\",\"deadline\":\"2h\"}", "\u{feff}{}"] {
        let request =
            daemon.request(Method::PATCH, &item("file-1")).header("content-type", "application/json");
        ask(request.body(text)).await.refused(400, "invalid-request");
    }
    let nested = format!("{{\"progress\":{}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    daemon.send(Method::PATCH, &item("file-1"), nested).await.refused(400, "invalid-request");
    let query = format!("{}?deadline=1h", item("file-1"));
    daemon.send_json(Method::PATCH, &query, json!({})).await.refused(400, "invalid-request");
    assert_eq!(daemon.get(&item("file-1")).await, before);
}

#[tokio::test]
async fn a_patch_is_json_whatever_a_client_calls_it_and_is_not_large() {
    let daemon = with_item().await;
    let typed = |content_type: &str| {
        let request = daemon.request(Method::PATCH, &item("file-1")).header("content-type", content_type);
        ask(request.body("{}"))
    };
    // What curl -d and fetch say of a body when nobody tells them better.
    for content_type in ["application/merge-patch+json", "text/plain", "application/x-www-form-urlencoded"] {
        assert_eq!(typed(content_type).await.status, 200, "{content_type}");
    }
    let large = patch(&daemon, json!({"progress": {"a": "x".repeat(100_000)}})).await;
    assert!(large.refused(413, "payload-too-large").contains("65536"));
}

#[tokio::test]
async fn an_extended_deadline_ends_being_overdue_and_a_past_one_begins_it() {
    let daemon = with_item().await;
    daemon.advance(Duration::from_secs(900));
    daemon.open_incidents(1).await;
    assert_eq!(daemon.get(&item("file-1")).await["state"], "overdue");
    assert_eq!(patch(&daemon, json!({"deadline": "1h"})).await.json(200)["state"], "open");
    daemon.open_incidents(0).await;
    let past = patch(&daemon, json!({"deadline": "2025-01-01T00:00:00Z"})).await.json(200);
    assert_eq!(past["state"], "overdue");
    daemon.open_incidents(1).await;
}
