//! `Prefer` on creates.

use reqwest::Method;
use serde_json::json;

use super::access::{ask_as, guarded};
use super::item;
use crate::support::{Answer, TestDaemon, ask};

const ITEMS: &str = "/v1/workflows/uploads/items";

async fn create(daemon: &TestDaemon, method: Method, path: &str, prefer: &str, payload: &str) -> Answer {
    ask(daemon.request(method, path).header("prefer", prefer).body(payload.to_owned())).await
}

/// What an answer without a body has all the same.
fn assert_minimal(answer: &Answer, status: u16) {
    assert_eq!((answer.status, answer.text()), (status, ""));
    assert_eq!(answer.header("preference-applied"), "return=minimal");
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!((answer.header("content-type"), answer.header("content-length")), ("", "0"));
}

#[tokio::test]
async fn a_create_is_answered_without_a_body_when_the_client_prefers_that() {
    let daemon = TestDaemon::start().await;
    let path = item("file-1");
    assert_minimal(&create(&daemon, Method::PUT, &path, "return=minimal", "hello").await, 201);
    assert_minimal(&create(&daemon, Method::PUT, &path, "return=minimal", "hello").await, 200);
    assert_eq!(daemon.get(&path).await["payload"]["size"], 5, "it is there as any other");
}

#[tokio::test]
async fn a_minimal_answer_still_says_where_an_item_without_an_id_is() {
    let daemon = TestDaemon::start().await;
    let posted = create(&daemon, Method::POST, ITEMS, "respond-async, return=minimal", "hello").await;
    assert_minimal(&posted, 201);
    assert_eq!(daemon.get(posted.header("location")).await["payload"]["size"], 5);
}

#[tokio::test]
async fn a_refusal_says_what_was_wrong_whatever_the_client_prefers() {
    let daemon = TestDaemon::start().await;
    let path = item("file-1");
    create(&daemon, Method::PUT, &path, "return=minimal", "one").await;
    let refused = create(&daemon, Method::PUT, &path, "return=minimal", "two").await;
    assert_eq!(refused.header("preference-applied"), "");
    refused.refused(409, "item-conflict");
}

#[tokio::test]
async fn a_preference_that_is_not_known_changes_nothing() {
    let daemon = TestDaemon::start().await;
    for (number, prefer) in ["return=representation", "return=none", "wait=10", "\"", ""].iter().enumerate() {
        let path = item(&format!("file-{number}"));
        let answer = create(&daemon, Method::PUT, &path, prefer, "hello").await;
        assert_eq!(answer.header("preference-applied"), "", "{prefer}");
        assert_eq!(answer.json(201), daemon.get(&path).await, "{prefer}");
    }
}

#[tokio::test]
async fn a_minimal_answer_is_the_same_for_a_token_that_may_not_read() {
    let daemon = guarded().await;
    let request = daemon.request(Method::PUT, &item("file-2")).header("prefer", "return=minimal");
    assert_minimal(&ask_as("ingest", request.body("hello")).await, 201);
}

#[tokio::test]
async fn the_description_tells_of_the_preference_where_it_is_met() {
    let document = TestDaemon::start().await.get("/openapi.json").await;
    for (path, method) in [("/v1/workflows/{workflow}/items/{id}", "put"), (ITEMS_PATH, "post")] {
        let parameters = document["paths"][path][method]["parameters"].as_array().expect("parameters");
        let prefer = parameters.iter().find(|parameter| parameter["name"] == "prefer").expect("prefer");
        assert_eq!((&prefer["in"], &prefer["required"]), (&json!("header"), &json!(false)), "{path}");
    }
}

const ITEMS_PATH: &str = "/v1/workflows/{workflow}/items";
