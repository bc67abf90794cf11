//! Reporting errors about open items.

use reqwest::Method;
use serde_json::{Value, json};

use super::item;
use crate::support::{TestDaemon, ask};

fn errors() -> String {
    format!("{}/errors", item("file-1"))
}

async fn with_item() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?step=copy", "hello").await;
    daemon
}

#[tokio::test]
async fn a_reported_error_gets_an_id_and_stands_in_the_item() {
    let daemon = with_item().await;
    let report =
        json!({"type": "io", "message": "no route", "retryable": true, "data": {"host": "b", "try": 2}});
    let receipt = daemon.send_json(Method::POST, &errors(), report).await.json(201);
    let id = receipt["error_id"].as_str().unwrap();
    assert!(id.starts_with("err_"), "{id}");
    daemon.advance(std::time::Duration::from_secs(1));
    daemon.send_json(Method::POST, &errors(), json!({"type": "other"})).await.json(201);
    let shown = daemon.get(&item("file-1")).await;
    let expected = json!({
        "id": id, "type": "io", "message": "no route", "retryable": true, "fatal": false, "step": "copy",
        "at": "2026-01-01T00:00:00.000Z", "data": {"host": "b", "try": 2},
        "stack": null,
    });
    assert_eq!(shown["errors"][0], expected);
    assert_eq!(shown["errors"][1]["message"], "");
    assert_ne!(shown["errors"][1]["id"], id);
    assert_eq!((&shown["state"], &shown["version"]), (&json!("open"), &json!(3)));
}

#[tokio::test]
async fn a_fatal_error_makes_the_item_fail() {
    let daemon = with_item().await;
    daemon.send_json(Method::POST, &errors(), json!({"type": "io", "fatal": true})).await.json(201);
    assert_eq!(daemon.get(&item("file-1")).await["state"], "failed");
    let page = daemon.get("/v1/items?state=failed").await;
    assert_eq!(page["data"][0]["id"], "file-1");
    assert_eq!(daemon.open_incidents(1).await[0]["kind"], "failed");
    daemon.close("uploads", "file-1").await;
    daemon.open_incidents(0).await;
}

#[tokio::test]
async fn an_item_keeps_the_latest_errors() {
    let daemon = with_item().await;
    for number in 0..25 {
        let report = json!({"type": "io", "message": number.to_string()});
        daemon.send_json(Method::POST, &errors(), report).await.json(201);
    }
    let shown = daemon.get(&item("file-1")).await;
    let messages: Vec<&str> =
        shown["errors"].as_array().unwrap().iter().map(|error| error["message"].as_str().unwrap()).collect();
    assert_eq!(messages, (5..25).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_refused() {
    let daemon = with_item().await;
    for report in [
        json!({}),
        json!([]),
        json!(["io"]),
        json!(null),
        json!({"type": ""}),
        json!({"type": 5}),
        json!({"type": "x".repeat(129)}),
        json!({"type": "io", "message": "x".repeat(2049)}),
        json!({"type": "io", "data": "x".repeat(4096)}),
        json!({"type": "io", "fatal": "yes"}),
        json!({"type": "io", "step": "copy"}),
    ] {
        daemon.send_json(Method::POST, &errors(), report).await.refused(400, "invalid-request");
    }
    let request = daemon.request(Method::POST, &errors()).header("content-type", "text/plain").body("broken");
    ask(request).await.refused(400, "invalid-request");
    assert_eq!(daemon.get(&item("file-1")).await["errors"], json!([]));
    let largest = json!({"type": "x".repeat(128), "message": "x".repeat(2048), "data": "x".repeat(4094)});
    daemon.send_json(Method::POST, &errors(), largest).await.json(201);
}

#[tokio::test]
async fn a_report_repeated_with_its_key_is_one_report() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    daemon.create("uploads", "file-2", "", "hello").await;
    let report = async |daemon: &TestDaemon, id: &str, key: &str| -> Value {
        let request =
            daemon.request(Method::POST, &format!("{}/errors", item(id))).header("idempotency-key", key);
        ask(request.json(&json!({"type": "io"}))).await.json(201)["error_id"].clone()
    };
    let first = report(&daemon, "file-1", "k1").await;
    assert_eq!(report(&daemon, "file-1", "k1").await, first);
    daemon.restart().await;
    assert_eq!(report(&daemon, "file-1", "k1").await, first);
    assert_ne!(report(&daemon, "file-1", "k2").await, first);
    assert_ne!(report(&daemon, "file-2", "k1").await, first, "a key holds for one item");
    let shown = daemon.get(&item("file-1")).await;
    assert_eq!((shown["errors"].as_array().unwrap().len(), &shown["version"]), (2, &json!(3)));
}
