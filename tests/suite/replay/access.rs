//! Who may start, see and steer a replay.

use super::*;
use crate::api::access::{ask_as, get_as, guarded};
use crate::support::Answer;

async fn start_as(daemon: &TestDaemon, token: &str, document: &Value) -> Answer {
    ask_as(token, daemon.request(Method::POST, "/v1/replays").json(document)).await
}

#[tokio::test]
async fn a_replay_takes_the_scope_recover() {
    let daemon = guarded().await;
    let document = to_url("http://127.0.0.1:1/", json!({"filter": {"labels": {"a": "b"}}}));
    for token in ["ingest", "read"] {
        start_as(&daemon, token, &document).await.refused(403, "forbidden");
        get_as(&daemon, token, "/v1/replays").await.refused(403, "forbidden");
    }
    let replay = start_as(&daemon, "recover", &document).await.json(202);
    for token in ["ingest", "read"] {
        get_as(&daemon, token, &path(&replay, "")).await.refused(403, "forbidden");
        for what in ["pause", "resume", "cancel"] {
            let request = daemon.request(Method::POST, &path(&replay, &format!("/{what}")));
            ask_as(token, request).await.refused(403, "forbidden");
        }
    }
    get_as(&daemon, "admin", &path(&replay, "")).await.json(200);
}

#[tokio::test]
async fn a_token_that_is_limited_replays_its_own_workflows_and_sees_no_other_replays() {
    let daemon = guarded().await;
    let target = TestReceiver::start().await;
    let document = |filter: Value| to(&target, json!({"filter": filter, "max_per_second": 0.01}));
    for globs in [json!(["*"]), json!(["reports"]), json!(["uploads", "reports"]), json!(["u*"])] {
        let refused = start_as(&daemon, "limited", &document(json!({"workflows": globs}))).await;
        refused.refused(403, "forbidden");
    }
    let own = start_as(&daemon, "limited", &document(json!({}))).await.json(202);
    assert_eq!((&own["filter"]["workflows"], &own["total"]), (&json!(["up*"]), &json!(1)));
    assert_eq!(target.next().await.header("warden-workflow"), "uploads");
    let named = start_as(&daemon, "limited", &document(json!({"workflows": ["uploads"]}))).await.json(202);
    let all = start_as(&daemon, "recover", &document(json!({}))).await.json(202);
    let reports = start_as(&daemon, "recover", &document(json!({"workflows": ["reports"]}))).await.json(202);

    let ids = |page: &Value| -> Vec<Value> {
        page["data"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect()
    };
    let mut seen = ids(&get_as(&daemon, "limited", "/v1/replays").await.json(200));
    seen.sort_by_key(ToString::to_string);
    let mut expected = vec![own["id"].clone(), named["id"].clone()];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(seen, expected);
    assert_eq!(ids(&get_as(&daemon, "recover", "/v1/replays").await.json(200)).len(), 4);
    for replay in [&all, &reports] {
        get_as(&daemon, "limited", &path(replay, "")).await.refused(403, "forbidden");
        let request = daemon.request(Method::POST, &path(replay, "/cancel"));
        ask_as("limited", request).await.refused(403, "forbidden");
    }
    let request = daemon.request(Method::POST, &path(&own, "/cancel"));
    assert_eq!(ask_as("limited", request).await.status, 409, "its one item was sent");
}

#[tokio::test]
async fn a_key_is_that_of_its_token() {
    let daemon = guarded().await;
    let document =
        to_url("http://127.0.0.1:1/", json!({"filter": {"workflows": ["uploads"], "step": "none"}}));
    let mut ids = Vec::new();
    for token in ["limited", "recover", "limited"] {
        let request = daemon.request(Method::POST, "/v1/replays").header("idempotency-key", "1");
        ids.push(ask_as(token, request.json(&document)).await.json(202)["id"].clone());
    }
    assert!(ids[0] != ids[1] && ids[0] == ids[2], "{ids:?}");
}
