//! Progress documents by their own routes.

use reqwest::Method;
use serde_json::{Value, json};

use super::{act, claim, item};
use crate::support::{Answer, TestDaemon, ask};

const SHARED: &str = "/v1/workflows/uploads/items/file-1/progress";
const OF_STEP: &str = "/v1/workflows/uploads/items/file-1/steps/b/progress";

/// A daemon with an item at the first of the steps `a` and `b`.
async fn with_item() -> TestDaemon {
    let daemon = TestDaemon::builder().config("[workflows.uploads]\nsteps = [\"a\", \"b\"]").start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    daemon
}

async fn put(daemon: &TestDaemon, path: &str, document: Value) -> Value {
    daemon.send_json(Method::PUT, path, document).await.json(200)
}

async fn patch(daemon: &TestDaemon, path: &str, document: Value) -> Value {
    daemon.send_json(Method::PATCH, path, document).await.json(200)
}

async fn put_if(daemon: &TestDaemon, tag: &str, document: Value) -> Answer {
    ask(daemon.request(Method::PUT, SHARED).header("if-match", tag).json(&document)).await
}

#[tokio::test]
async fn a_document_that_was_never_written_is_empty() {
    let daemon = with_item().await;
    for path in [SHARED, OF_STEP] {
        let read = daemon.ask(Method::GET, path).await;
        assert_eq!((read.json(200), read.header("etag")), (json!({}), "\"1\""));
    }
}

#[tokio::test]
async fn put_replaces_a_document_and_leaves_the_others_alone() {
    let daemon = with_item().await;
    put(&daemon, SHARED, json!({"page": 1, "rest": [1, 2]})).await;
    put(&daemon, OF_STEP, json!({"row": 7})).await;
    assert_eq!(put(&daemon, SHARED, json!({"page": 2})).await, json!({"page": 2}));
    assert_eq!(daemon.get(SHARED).await, json!({"page": 2}));
    assert_eq!(daemon.get(OF_STEP).await, json!({"row": 7}));
    assert_eq!(item(&daemon, "file-1").await["progress"], json!({"page": 2}));
}

#[tokio::test]
async fn assign_is_shallow_and_keeps_null_where_merge_is_deep_and_removes_it() {
    let daemon = with_item().await;
    for path in [SHARED, OF_STEP] {
        put(&daemon, path, json!({"a": {"x": 1}, "b": 1})).await;
        let assign = format!("{path}?op=assign");
        assert_eq!(patch(&daemon, &assign, json!({"a": {"y": 2}})).await, json!({"a": {"y": 2}, "b": 1}));
        assert_eq!(patch(&daemon, &assign, json!({"b": null})).await, json!({"a": {"y": 2}, "b": null}));
        for merge in [path.to_owned(), format!("{path}?op=merge")] {
            let merged = patch(&daemon, &merge, json!({"a": {"x": 1}, "b": null})).await;
            assert_eq!(merged, json!({"a": {"x": 1, "y": 2}}));
        }
    }
    daemon.send(Method::PATCH, &format!("{SHARED}?op=set"), "{}").await.refused(400, "invalid-request");
}

#[tokio::test]
async fn a_change_of_a_version_that_is_not_current_any_more_is_refused() {
    let daemon = with_item().await;
    let tag = put_if(&daemon, "\"1\"", json!({"page": 1})).await.header("etag").to_owned();
    put_if(&daemon, "\"1\"", json!({"page": 9})).await.refused(412, "precondition-failed");
    assert_eq!(daemon.get(SHARED).await, json!({"page": 1}));
    // Any change of the item makes a new version.
    daemon.send_json(Method::POST, "/v1/workflows/uploads/items/file-1/errors", json!({"type": "x"})).await;
    put_if(&daemon, &tag, json!({"page": 2})).await.refused(412, "precondition-failed");
    put_if(&daemon, daemon.ask(Method::GET, OF_STEP).await.header("etag"), json!({"page": 2}))
        .await
        .json(200);
}

#[tokio::test]
async fn a_step_that_the_item_does_not_have_has_no_document() {
    let daemon = with_item().await;
    let path = "/v1/workflows/uploads/items/file-1/steps/z/progress";
    for method in [Method::GET, Method::PUT, Method::PATCH] {
        let detail = daemon.send(method, path, "{}").await.refused(422, "step-unknown");
        assert!(detail.contains("its steps are a, b"), "{detail}");
    }
    for method in [Method::GET, Method::PUT, Method::PATCH] {
        let nothing = "/v1/workflows/uploads/items/file-2/progress";
        daemon.send(method, nothing, "{}").await.refused(404, "item-not-found");
    }
}

#[tokio::test]
async fn a_closed_item_shows_its_progress_and_takes_no_change() {
    let daemon = with_item().await;
    put(&daemon, SHARED, json!({"page": 1})).await;
    daemon.close("uploads", "file-1").await;
    assert_eq!(daemon.get(SHARED).await, json!({"page": 1}));
    daemon.send(Method::PUT, SHARED, "{}").await.refused(409, "item-closed");
}

#[tokio::test]
async fn a_document_beyond_the_limit_is_refused_whole() {
    let daemon = with_item().await;
    put(&daemon, SHARED, json!({"page": 1})).await;
    let large = json!({"text": "x".repeat(40_000)});
    daemon.send_json(Method::PUT, SHARED, large).await.refused(400, "invalid-request");
    daemon.send(Method::PUT, SHARED, "[1]").await.refused(400, "invalid-request");
    assert_eq!(daemon.get(SHARED).await, json!({"page": 1}));
}

#[tokio::test]
async fn who_claims_the_step_next_gets_what_was_written_for_it() {
    let daemon = with_item().await;
    put(&daemon, OF_STEP, json!({"row": 7})).await;
    let states = json!({"worker": "host-1", "states": ["open"]});
    let lease = claim(&daemon, states.clone()).await.pop().unwrap();
    act(&daemon, &lease, "complete", json!({})).await.json(200);
    let lease = claim(&daemon, states).await.pop().unwrap();
    assert_eq!(lease["item"]["step"], "b");
    let change = json!({"op": "assign", "value": {"page": 1}, "of_step": true});
    act(&daemon, &lease, "release", json!({"progress_change": change})).await.json(200);
    assert_eq!(daemon.get(OF_STEP).await, json!({"row": 7, "page": 1}));
}

#[tokio::test]
async fn the_step_that_an_item_is_at_has_a_document_also_if_its_workflow_names_none() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?step=copy", "hello").await;
    let path = "/v1/workflows/uploads/items/file-1/steps/copy/progress";
    assert_eq!(daemon.get(path).await, json!({}));
    put(&daemon, path, json!({"page": 3})).await;
    assert_eq!(daemon.get(path).await, json!({"page": 3}));
    let other = "/v1/workflows/uploads/items/file-1/steps/other/progress";
    daemon.ask(Method::GET, other).await.refused(422, "step-unknown");
}

#[tokio::test]
async fn the_document_of_a_step_that_was_taken_out_of_the_configuration_can_be_read_and_emptied() {
    let both = "[workflows.uploads]\nsteps = [\"a\", \"b\"]";
    let mut daemon = TestDaemon::builder().config(both).on_sled().start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    put(&daemon, OF_STEP, json!({"row": 7})).await;
    daemon.restart_with("[workflows.uploads]\nsteps = [\"a\"]").await;
    assert_eq!(daemon.get(OF_STEP).await, json!({"row": 7}));
    assert_eq!(put(&daemon, OF_STEP, json!({})).await, json!({}), "what was done is not answered as refused");
    daemon.ask(Method::GET, OF_STEP).await.refused(422, "step-unknown");
}
