//! Who may start, see and control a replay.

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
    for token in ["ingest", "read", "work"] {
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
        get_as(&daemon, "limited", &path(replay, "")).await.refused(404, "replay-not-found");
        let request = daemon.request(Method::POST, &path(replay, "/cancel"));
        ask_as("limited", request).await.refused(404, "replay-not-found");
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

#[tokio::test]
async fn only_a_token_without_a_limit_sees_what_a_target_answered() {
    let daemon = guarded().await;
    let target = TestReceiver::start().await;
    target.usually(422, &[]);
    target.saying("secret of the target");
    for changes in [json!({"canary": 1}), json!({"pause_after_failures": 1})] {
        let mut document = to(&target, json!({"filter": {"workflows": ["uploads"]}}));
        json_patch::merge(&mut document, &changes);
        let answer = start_as(&daemon, "limited", &document).await;
        let replay = answer.json(202);
        let told = eventually("a failure", || async {
            let told = get_as(&daemon, "recover", &path(&replay, "")).await;
            (told.json(200)["failed"] == 1).then_some(told)
        });
        let told = told.await.json(200);
        assert_eq!(told["failures"][0]["reason"], "HTTP 422: secret of the target");
        let shown = get_as(&daemon, "limited", &path(&replay, "")).await;
        assert_eq!(shown.json(200)["failures"][0]["reason"], "HTTP 422");
        let item = get_as(&daemon, "limited", "/v1/workflows/uploads/items/file-1").await;
        let list = get_as(&daemon, "limited", "/v1/replays").await;
        let cancel = daemon.request(Method::POST, &path(&replay, "/cancel"));
        for answer in [shown, item, list, ask_as("limited", cancel).await] {
            assert!(!answer.text().contains("secret"), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_replay_never_calls_the_daemon_itself() {
    let daemon = TestDaemon::builder().config("[replay]\nallow_private = true").start().await;
    lose(&daemon, "file-1").await;
    let port = daemon.url("").rsplit(':').next().expect("a port").to_owned();
    for host in ["127.0.0.1", "0.0.0.0", "127.1", "[::ffff:127.0.0.1]"] {
        let document = to_url(&format!("http://{host}:{port}/v1/batch"), json!({}));
        let refused = daemon.send_json(Method::POST, "/v1/replays", document).await;
        let detail = refused.refused(400, "invalid-request");
        assert!(detail.contains("where this warden itself listens"), "{host}: {detail}");
    }
    let replay = start(&daemon, to_url(&format!("http://localhost:{port}/v1/batch"), json!({}))).await;
    let ended = completed(&daemon, &replay).await;
    let reason = ended["failures"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("never calls itself"), "{reason}");
}

#[tokio::test]
async fn loopback_is_not_where_targets_are_unless_it_is_allowed() {
    let networks = r#"["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]"#;
    let daemon =
        TestDaemon::builder().config(&format!("[replay]\nallow_networks = {networks}")).start().await;
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let document = to_url(&format!("http://{host}:1/"), json!({}));
        let refused = daemon.send_json(Method::POST, "/v1/replays", document).await;
        assert!(refused.refused(400, "invalid-request").contains("(loopback)"), "{host}");
    }
}
