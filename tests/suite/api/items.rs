//! The life of an item through the API.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::TestDaemon;
use crate::support::daemon::expect;

#[tokio::test]
async fn an_item_is_created_read_and_closed() {
    let daemon = TestDaemon::start().await;
    let created =
        daemon.create("uploads", "file-1", "?deadline=15m&label=region:eu&step=copy", "hello").await;
    assert_eq!(created["state"], "open");
    assert_eq!(created["deadline"], "2026-01-01T00:15:00.000Z");
    assert_eq!(created["labels"], json!({"region": "eu"}));
    assert_eq!(created["payload"]["size"], 5);
    let path = "/v1/workflows/uploads/items/file-1";
    assert_eq!(daemon.get(path).await, created);
    let payload = daemon.response(Method::GET, &format!("{path}/payload")).await;
    assert_eq!(payload.bytes().await.unwrap(), "hello");
    daemon.close("uploads", "file-1").await;
    assert_eq!(daemon.get(path).await["state"], "closed");
    let gone = daemon.response(Method::GET, &format!("{path}/payload")).await;
    assert_eq!(gone.status(), StatusCode::GONE);
}

#[tokio::test]
async fn creating_again_is_told_apart_by_the_payload() {
    let daemon = TestDaemon::start().await;
    let path = "/v1/workflows/uploads/items/a%2Fb";
    let put = |body: &'static str| daemon.request(Method::PUT, path).body(body);
    expect(put("one"), StatusCode::CREATED).await;
    expect(put("one"), StatusCode::OK).await;
    let conflict = expect(put("two"), StatusCode::CONFLICT).await;
    assert_eq!(conflict["type"], "/problems/item-conflict");
    daemon.close("uploads", "a%2Fb").await;
    let closed = expect(put("one"), StatusCode::CONFLICT).await;
    assert_eq!(closed["type"], "/problems/item-closed");
}
