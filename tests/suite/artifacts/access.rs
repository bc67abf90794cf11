//! Tokens that are limited to workflows, and such that may not read.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::access::{ask_as, get_as, guarded};
use crate::support::{Answer, TestDaemon};

async fn send(daemon: &TestDaemon, token: &str, method: Method, path: &str, document: Value) -> Answer {
    ask_as(token, daemon.request(method, path).json(&document)).await
}

fn new(workflow: &str, name: &str) -> Value {
    json!({"workflow": workflow, "location": "/in", "name": name, "status": "ready", "size": 7})
}

#[tokio::test]
async fn an_artifact_of_another_workflow_looks_as_if_it_did_not_exist() {
    let daemon = guarded().await;
    let both = json!([new("uploads", "own"), new("reports", "foreign")]);
    send(&daemon, "deputy", Method::POST, "/v1/artifacts", both.clone()).await.refused(403, "forbidden");
    let made = send(&daemon, "admin", Method::POST, "/v1/artifacts", both).await.json(201);
    let [own, foreign] = [0, 1].map(|place| made["data"][place]["id"].as_str().unwrap().to_owned());
    let found = get_as(&daemon, "deputy", "/v1/artifacts?workflow=*").await.json(200);
    assert_eq!(super::names(&found), ["own"]);
    let claimed = send(&daemon, "deputy", Method::POST, "/v1/artifacts/claim", json!({"max": 9})).await;
    assert_eq!(super::names(&claimed.json(200)), ["own"]);

    let path = |id: &str| format!("/v1/artifacts/{id}");
    for id in [&foreign, &"art_0".to_owned()] {
        get_as(&daemon, "deputy", &path(id)).await.refused(404, "artifact-not-found");
        let change = json!({"status": "error"});
        let refused = send(&daemon, "deputy", Method::PATCH, &path(id), change).await;
        refused.refused(404, "artifact-not-found");
        let change = json!({"ids": [own, id], "status": "error"});
        let refused = send(&daemon, "deputy", Method::POST, "/v1/artifacts/status", change).await;
        refused.refused(404, "artifact-not-found");
        let change = json!({"depends_on": [id]});
        let refused = send(&daemon, "deputy", Method::PATCH, &path(&own), change).await;
        let detail = refused.refused(422, "dependency-refused");
        assert!(detail.ends_with("no artifact has this id"), "{detail}");
    }
    let change = json!({"run": {"workflow": "reports", "id": "file-1"}});
    let refused = send(&daemon, "deputy", Method::PATCH, &path(&own), change).await;
    refused.refused(403, "forbidden");
    assert_eq!(get_as(&daemon, "admin", &path(&own)).await.json(200)["status"], "loading");
}

#[tokio::test]
async fn an_item_names_only_the_artifacts_that_the_token_may_see() {
    let daemon = guarded().await;
    let run = json!({"workflow": "uploads", "id": "file-1"});
    let mut both = [new("uploads", "own"), new("reports", "foreign")];
    both.iter_mut().for_each(|new| new["run"] = run.clone());
    let made = send(&daemon, "admin", Method::POST, "/v1/artifacts", json!(both)).await.json(201);
    let [own, foreign] = [0, 1].map(|place| made["data"][place]["id"].clone());
    let path = "/v1/workflows/uploads/items/file-1";
    let named = |item: Value| -> Vec<Value> {
        item["artifacts"].as_array().unwrap().iter().map(|artifact| artifact["id"].clone()).collect()
    };
    assert_eq!(named(get_as(&daemon, "admin", path).await.json(200)), [own.clone(), foreign]);
    assert_eq!(named(get_as(&daemon, "deputy", path).await.json(200)), [own]);
}

#[tokio::test]
async fn who_may_not_read_learns_of_a_known_artifact_its_status_and_version() {
    let daemon = guarded().await;
    let made = send(&daemon, "ingest", Method::POST, "/v1/artifacts", new("uploads", "a")).await.json(201);
    assert_eq!(made["size"], 7, "it is what was sent");
    let path = format!("/v1/artifacts/{}", made["id"].as_str().unwrap());
    let again = send(&daemon, "ingest", Method::POST, "/v1/artifacts", new("uploads", "a")).await.json(200);
    assert_eq!(
        (&again["size"], &again["status"], &again["version"]),
        (&json!(null), &json!("ready"), &json!(1))
    );
    let change = json!({"status": "loaded", "run": "file-1"});
    let changed = send(&daemon, "ingest", Method::PATCH, &path, change).await.json(200);
    assert_eq!(
        (&changed["status"], &changed["uses"], &changed["size"]),
        (&json!("loaded"), &json!([]), &json!(null))
    );
}
