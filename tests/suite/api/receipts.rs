//! What a client may see of items that it may write but not read.

use reqwest::Method;
use serde_json::{Value, json};

use super::access::{ask_as, guarded};
use super::item;
use crate::support::{Answer, TestDaemon};

/// What another client has put on record with the item, and nobody else is to see.
async fn with_secrets() -> TestDaemon {
    let daemon = guarded().await;
    let secrets = json!({"labels": {"customer": "secret"}, "progress": {"note": "secret"}});
    let patch = daemon.request(Method::PATCH, &item("file-1")).json(&secrets);
    ask_as("admin", patch).await.json(200);
    let error = json!({"type": "secret", "message": "secret"});
    let report = daemon.request(Method::POST, &format!("{}/errors", item("file-1"))).json(&error);
    ask_as("admin", report).await.json(201);
    daemon
}

fn names(answer: &Value) -> Vec<&str> {
    answer.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn whoever_may_not_read_is_shown_what_it_sent_the_state_and_the_version() {
    let daemon = with_secrets().await;
    let ask = async |method: Method, path: &str, body: &str| -> Answer {
        ask_as("ingest", daemon.request(method, path).body(body.to_owned())).await
    };
    let new = ask(Method::PUT, &format!("{}?deadline=5m&label=region:eu", item("file-2")), "hello").await;
    assert_eq!(new.header("etag"), "\"1\"");
    let payload = json!({"size": 5, "content_type": "application/octet-stream",
        "content_encoding": null,
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"});
    let expected = json!({"workflow": "uploads", "id": "file-2", "state": "open", "version": 1,
        "payload": payload,
        "deadline": "2026-01-01T00:05:00.000Z", "labels": {"region": "eu"}});
    assert_eq!(new.json(201), expected);

    // What was there before is told by no more than its state, whoever made it.
    let again = ask(Method::PUT, &format!("{}?label=region:us", item("file-1")), "hello").await;
    let expected =
        json!({"workflow": "uploads", "id": "file-1", "state": "overdue", "version": 3, "payload": payload});
    assert_eq!(again.json(200), expected);
    let nothing = ask(Method::PATCH, &item("file-1"), "{}").await;
    let expected = json!({"workflow": "uploads", "id": "file-1", "state": "overdue", "version": 4});
    assert_eq!(nothing.json(200), expected);
    let changed =
        ask(Method::PATCH, &item("file-1"), r#"{"deadline":"5m","labels":{"a":"b"}}"#).await.json(200);
    assert_eq!(names(&changed), ["deadline", "id", "state", "version", "workflow"]);
    assert_eq!((&changed["state"], &changed["version"]), (&json!("open"), &json!(5)));

    let reported =
        ask(Method::POST, &format!("{}/errors", item("file-1")), r#"{"type":"io"}"#).await.json(201);
    assert_eq!(names(&reported), ["error_id"]);
    let whole = ask_as("admin", daemon.request(Method::GET, &item("file-1"))).await.json(200);
    assert_eq!(whole["labels"], json!({"customer": "secret", "a": "b"}));
}

#[tokio::test]
async fn a_repetition_under_a_key_shows_no_more_than_the_first_answer_did() {
    let daemon = guarded().await;
    let post = async |token: &str| {
        let request = daemon.request(Method::POST, "/v1/workflows/uploads/items");
        ask_as(token, request.header("idempotency-key", "1").body("hello")).await
    };
    let first = post("ingest").await;
    let path = first.header("location").to_owned();
    let secrets = json!({"labels": {"customer": "secret"}});
    ask_as("admin", daemon.request(Method::PATCH, &path).json(&secrets)).await.json(200);
    let again = post("ingest").await;
    assert_eq!((again.status, again.header("location")), (201, &*path));
    assert_eq!(names(&again.json(201)), ["id", "payload", "state", "version", "workflow"]);
    assert_eq!(post("admin").await.json(201)["labels"], secrets["labels"], "who may read sees it whole");
}

#[tokio::test]
async fn refusals_tell_whoever_may_not_read_nothing_of_the_item_that_is_there() {
    let daemon = with_secrets().await;
    let line = |op: &str, payload: &str| {
        json!({"op": op, "workflow": "uploads", "id": "file-1", "payload": payload}).to_string()
    };
    let year = "2026";
    for close in [false, true] {
        if close {
            ask_as("admin", daemon.request(Method::DELETE, &item("file-1"))).await;
        }
        let put = || daemon.request(Method::PUT, &item("file-1")).body("another");
        let batch = || daemon.request(Method::POST, "/v1/batch").body(line("create", "another"));
        let patch = || daemon.request(Method::PATCH, &item("file-1")).body(r#"{"labels":{"a":null}}"#);
        let slug = if close { "item-closed" } else { "item-conflict" };
        assert!(!ask_as("ingest", put()).await.refused(409, slug).contains(year));
        assert!(!ask_as("ingest", batch()).await.lines(200)[0].to_string().contains(year));
        assert!(ask_as("admin", put()).await.refused(409, slug).contains(year), "{close}");
        assert!(ask_as("admin", batch()).await.lines(200)[0].to_string().contains(year), "{close}");
        if close {
            assert!(!ask_as("ingest", patch()).await.refused(409, slug).contains(year));
        }
    }
}
