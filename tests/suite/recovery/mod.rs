//! Recovery: leases, retries, and a whole recovery.

mod claimants;
mod claims;
mod courses;
mod leases;
mod progress;
mod retries;
mod selections;
mod step_figures;
mod story;
mod waiting;
mod workers;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestDaemon};

/// Claims, and gives what was claimed.
async fn claim(daemon: &TestDaemon, document: Value) -> Vec<Value> {
    let answer = daemon.send_json(Method::POST, "/v1/leases", document).await.json(200);
    answer["leases"].as_array().expect("a list").clone()
}

/// Claims the one item that there is to claim.
async fn claim_one(daemon: &TestDaemon) -> Value {
    let mut leases = claim(daemon, json!({"worker": "host-1"})).await;
    assert_eq!(leases.len(), 1, "{leases:?}");
    leases.remove(0)
}

/// The ids of the items that these leases are for.
fn ids(leases: &[Value]) -> Vec<&str> {
    leases.iter().map(|lease| lease["item"]["id"].as_str().expect("an id")).collect()
}

/// Says something as the holder of a lease.
async fn act(daemon: &TestDaemon, lease: &Value, act: &str, document: Value) -> Answer {
    let id = lease["id"].as_str().expect("an id");
    daemon.send_json(Method::POST, &format!("/v1/leases/{id}/{act}"), document).await
}

/// The item of this id in the workflow of the tests.
async fn item(daemon: &TestDaemon, id: &str) -> Value {
    daemon.get(&format!("/v1/workflows/uploads/items/{id}")).await
}
