//! Artifacts over HTTP: what ProcessTracker's users expect, and what is refused.

mod access;
mod claims;
mod dependencies;
mod finding;
mod keeping;
mod registering;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestDaemon};

/// Registers artifacts of the workflow `etl` at `/in`, ready, and gives their ids.
async fn ready(daemon: &TestDaemon, names: &[&str]) -> Vec<String> {
    let new = |name: &&str| json!({"workflow": "etl", "location": "/in", "name": name, "status": "ready"});
    let list: Vec<Value> = names.iter().map(new).collect();
    let made = daemon.send_json(Method::POST, "/v1/artifacts", json!(list)).await.json(201);
    assert_eq!(made["registered"], names.len());
    let ids = made["data"].as_array().expect("a list").iter();
    ids.map(|artifact| artifact["id"].as_str().expect("an id").to_owned()).collect()
}

/// Registers one that depends on others.
async fn depending(daemon: &TestDaemon, name: &str, on: &[&String]) -> String {
    let new =
        json!({"workflow": "etl", "location": "/in", "name": name, "status": "ready", "depends_on": on});
    let made = daemon.send_json(Method::POST, "/v1/artifacts", new).await.json(201);
    made["id"].as_str().expect("an id").to_owned()
}

async fn patch(daemon: &TestDaemon, id: &str, change: Value) -> Answer {
    daemon.send_json(Method::PATCH, &format!("/v1/artifacts/{id}"), change).await
}

async fn move_all(daemon: &TestDaemon, ids: &[&String], status: &str) -> Answer {
    let change = json!({"ids": ids, "status": status});
    daemon.send_json(Method::POST, "/v1/artifacts/status", change).await
}

async fn get(daemon: &TestDaemon, id: &str) -> Value {
    daemon.get(&format!("/v1/artifacts/{id}")).await
}

/// The names that a query finds.
async fn found(daemon: &TestDaemon, query: &str) -> Vec<String> {
    let page = daemon.get(&format!("/v1/artifacts?{query}")).await;
    names(&page)
}

fn names(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().expect("a list").iter();
    data.map(|artifact| artifact["name"].as_str().expect("a name").to_owned()).collect()
}
