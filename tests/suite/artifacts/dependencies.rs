//! What has to be loaded before something else.

use reqwest::Method;
use serde_json::json;

use super::{depending, get, move_all, patch, ready};
use crate::support::TestDaemon;

/// ProcessTracker 5.
#[tokio::test]
async fn an_artifact_is_loaded_after_what_it_depends_on_or_along_with_it() {
    let daemon = TestDaemon::start().await;
    let a = ready(&daemon, &["a"]).await.remove(0);
    let b = depending(&daemon, "b", &[&a]).await;
    let c = depending(&daemon, "c", &[&b]).await;
    let refused = patch(&daemon, &b, json!({"status": "loading"})).await;
    let detail = refused.refused(409, "dependency-not-met");
    assert!(detail.contains(&a) && detail.contains(&b), "{detail}");
    assert_eq!(refused.json(409)["dependencies"], json!([a]));
    let refused = move_all(&daemon, &[&c, &b], "loading").await.json(409);
    assert_eq!(
        (&refused["type"], &refused["dependencies"]),
        (&json!("/problems/dependency-not-met"), &json!([a]))
    );
    for id in [&a, &b, &c] {
        assert_eq!(get(&daemon, id).await["version"], 1, "nothing has changed");
    }
    let moved = move_all(&daemon, &[&b, &a], "loading").await.json(200);
    let ids: Vec<&serde_json::Value> =
        moved["data"].as_array().unwrap().iter().map(|artifact| &artifact["id"]).collect();
    assert_eq!(ids, [&b, &a], "in the order of the request");
    move_all(&daemon, &[&a, &b], "ready").await.json(200);
    patch(&daemon, &a, json!({"status": "loaded"})).await.json(200);
    patch(&daemon, &b, json!({"status": "loading"})).await.json(200);
}

#[tokio::test]
async fn what_is_in_error_has_to_be_mended_first_and_what_is_archived_is_loaded() {
    let daemon = TestDaemon::builder().config("[artifacts]\nstatuses = [\"checked\"]").start().await;
    let a = ready(&daemon, &["a"]).await.remove(0);
    let b = depending(&daemon, "b", &[&a]).await;
    for (status, expected) in [
        ("initializing", 409),
        ("ready", 409),
        ("loading", 409),
        ("error", 409),
        ("checked", 409),
        ("loaded", 200),
        ("archived", 200),
        ("deleted", 200),
    ] {
        move_all(&daemon, &[&a], status).await.json(200);
        let answer = patch(&daemon, &b, json!({"status": "loading"})).await;
        assert_eq!(answer.status, expected, "{status}: {}", answer.text());
        patch(&daemon, &b, json!({"status": "ready"})).await.json(200);
    }
}

#[tokio::test]
async fn a_request_may_give_each_artifact_a_status_of_its_own() {
    let daemon = TestDaemon::start().await;
    let ids = ready(&daemon, &["a", "b", "c"]).await;
    let change = json!({
        "ids": [ids[0]], "status": "archived", "run": {"workflow": "etl", "id": "run-1"},
        "changes": [{"id": ids[2], "status": "error"}, {"id": ids[1], "status": "loaded"}],
    });
    let moved = daemon.send_json(Method::POST, "/v1/artifacts/status", change).await.json(200);
    let statuses = moved["data"].as_array().unwrap().iter();
    let statuses: Vec<_> = statuses.map(|artifact| artifact["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["archived", "error", "loaded"]);
    assert_eq!(moved["data"][1]["uses"][0]["run"]["id"], "run-1");
    for (change, says) in [
        (json!({"ids": [ids[0]]}), "need the status"),
        (json!({}), "1 to 1000 artifacts"),
        (json!({"ids": [ids[0], ids[0]], "status": "ready"}), "named twice"),
        (json!({"ids": vec![&ids[0]; 1001], "status": "ready"}), "this one is about 1001"),
    ] {
        let refused = daemon.send_json(Method::POST, "/v1/artifacts/status", change).await;
        let detail = refused.refused(400, "invalid-request");
        assert!(detail.contains(says), "{detail}");
    }
    let refused = move_all(&daemon, &[&ids[0], &"art_0".to_owned()], "ready").await;
    assert!(refused.refused(404, "artifact-not-found").contains("art_0"));
    assert_eq!(get(&daemon, &ids[0]).await["status"], "archived");
}

#[tokio::test]
async fn no_artifact_depends_on_itself_or_on_one_that_is_not_there() {
    let daemon = TestDaemon::start().await;
    let a = ready(&daemon, &["a"]).await.remove(0);
    let b = depending(&daemon, "b", &[&a]).await;
    for on in [&a, &b, &"art_0".to_owned()] {
        let refused = patch(&daemon, &a, json!({"depends_on": [on]})).await;
        refused.refused(422, "dependency-refused");
    }
    assert_eq!(get(&daemon, &a).await["depends_on"], json!([]));
    let freed = patch(&daemon, &b, json!({"depends_on": []})).await.json(200);
    assert_eq!(freed["depends_on"], json!([]));
    patch(&daemon, &a, json!({"depends_on": [b]})).await.json(200);
}

#[tokio::test]
async fn what_may_be_loaded_once_is_loaded_once_and_no_more() {
    let daemon = TestDaemon::start().await;
    let new = json!({"workflow": "etl", "location": "/in", "name": "a", "status": "ready", "use": "once"});
    let made = daemon.send_json(Method::POST, "/v1/artifacts", new).await.json(201);
    let (id, other) = (made["id"].as_str().unwrap().to_owned(), ready(&daemon, &["b"]).await.remove(0));
    for status in ["loading", "ready", "loading", "loaded"] {
        patch(&daemon, &id, json!({"status": status})).await.json(200);
    }
    for status in ["initializing", "ready", "loading"] {
        let refused = move_all(&daemon, &[&other, &id], status).await;
        assert!(refused.refused(409, "artifact-loaded").contains(&id));
    }
    assert_eq!(get(&daemon, &other).await["version"], 1);
    patch(&daemon, &id, json!({"status": "loaded"})).await.json(200);
    for (status, expected) in [("archived", 200), ("loaded", 409), ("error", 200), ("ready", 409)] {
        assert_eq!(patch(&daemon, &id, json!({"status": status})).await.status, expected, "{status}");
    }
}
