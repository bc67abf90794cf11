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
    // What is said of an artifact, without its id.
    let told = async |id: &str| {
        let depending = json!({"workflow": "uploads", "location": "/in", "name": "new", "depends_on": [id]});
        let both = json!({"ids": [own, id], "status": "error"});
        let mut details = vec![get_as(&daemon, "deputy", &path(id)).await.refused(404, "artifact-not-found")];
        for (method, path, change, status, slug) in [
            (Method::PATCH, path(id), json!({"status": "error"}), 404, "artifact-not-found"),
            (Method::POST, path("status"), both, 404, "artifact-not-found"),
            (Method::PATCH, path(&own), json!({"depends_on": [id]}), 422, "dependency-refused"),
            (Method::PATCH, path(&own), json!({"depends_on": [id, id]}), 400, "invalid-request"),
            (Method::POST, "/v1/artifacts".to_owned(), depending, 422, "dependency-refused"),
        ] {
            let refused = send(&daemon, "deputy", method, &path, change).await;
            details.push(refused.refused(status, slug));
        }
        // Of a change that is refused or without effect anyway nothing is told either.
        let outdated = daemon.request(Method::PATCH, &path(&own)).header("if-match", "\"99\"");
        let refused = ask_as("deputy", outdated.json(&json!({"depends_on": [id]}))).await;
        details.push(refused.refused(412, "precondition-failed"));
        let mut known = new("uploads", "own");
        known["depends_on"] = json!([id]);
        send(&daemon, "deputy", Method::POST, "/v1/artifacts", known).await.json(200);
        details.iter().map(|detail| detail.replace(id, "ID")).collect::<Vec<_>>()
    };
    assert_eq!(told(&foreign).await, told("art_0").await);
    // What somebody else has made it depend on may stay.
    send(&daemon, "admin", Method::PATCH, &path(&own), json!({"depends_on": [foreign]})).await.json(200);
    let other = send(&daemon, "deputy", Method::POST, "/v1/artifacts", new("uploads", "other")).await;
    let both = json!({"depends_on": [foreign, other.json(201)["id"]]});
    let extended = send(&daemon, "deputy", Method::PATCH, &path(&own), both.clone()).await.json(200);
    assert_eq!(extended["depends_on"], both["depends_on"]);
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
async fn an_artifact_names_only_the_runs_that_the_token_may_see() {
    let daemon = guarded().await;
    let run = |workflow: &str| json!({"workflow": workflow, "id": "file-1"});
    let mut new = new("uploads", "a");
    new["run"] = run("reports");
    let made = send(&daemon, "admin", Method::POST, "/v1/artifacts", new.clone()).await.json(201);
    let path = format!("/v1/artifacts/{}", made["id"].as_str().unwrap());
    for user in ["reports", "uploads"] {
        let change = json!({"status": "loaded", "run": run(user)});
        send(&daemon, "admin", Method::PATCH, &path, change).await.json(200);
    }
    let users = |artifact: &Value| -> Vec<Value> {
        artifact["uses"].as_array().unwrap().iter().map(|used| used["run"]["workflow"].clone()).collect()
    };
    let all = get_as(&daemon, "admin", &path).await.json(200);
    assert_eq!((&all["run"], users(&all).len()), (&run("reports"), 2));
    let seen = get_as(&daemon, "deputy", &path).await.json(200);
    assert_eq!((&seen["run"], users(&seen)), (&Value::Null, vec![json!("uploads")]));
    let changed = send(&daemon, "deputy", Method::PATCH, &path, json!({"alias": "b"})).await.json(200);
    assert_eq!((&changed["run"], users(&changed)), (&Value::Null, vec![json!("uploads")]));
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
