//! Claims that wait for an item.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{act, claim_one, ids};
use crate::support::daemon::expect;
use crate::support::{TestDaemon, eventually, within_patience};

/// A claim that waits, and does so by now.
async fn waiting(daemon: &TestDaemon, document: Value) -> JoinHandle<Vec<Value>> {
    let mut claim = json!({"wait": "60s", "ttl": "10s", "max": 10});
    claim.as_object_mut().unwrap().extend(document.as_object().unwrap().clone());
    let request = daemon.request(Method::POST, "/v1/leases").json(&claim);
    let waiting = tokio::spawn(async move {
        expect(request, reqwest::StatusCode::OK).await["leases"].as_array().unwrap().clone()
    });
    wait_for_waiting(daemon, 1).await;
    waiting
}

/// Waits until so many claims wait.
async fn wait_for_waiting(daemon: &TestDaemon, count: usize) {
    eventually("claims that wait", || async {
        let figures = daemon.ask(Method::GET, "/metrics").await;
        figures.text().contains(&format!("warden_claims_waiting {count}.0\n")).then_some(())
    })
    .await;
}

async fn got(waiting: JoinHandle<Vec<Value>>) -> Vec<Value> {
    within_patience("the claim to be answered", waiting).await.unwrap()
}

#[tokio::test]
async fn a_waiting_claim_gets_what_falls_overdue() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=30s", "x").await;
    let waiting = waiting(&daemon, json!({})).await;
    daemon.advance(Duration::from_secs(30));
    assert_eq!(ids(&got(waiting).await), ["file-1"]);
}

#[tokio::test]
async fn a_waiting_claim_gets_what_is_created_late_released_or_runs_out() {
    let daemon = TestDaemon::start().await;
    let first = waiting(&daemon, json!({})).await;
    daemon.create("uploads", "file-1", "?deadline=0s", "x").await;
    let leases = got(first).await;
    assert_eq!(ids(&leases), ["file-1"]);
    let second = waiting(&daemon, json!({})).await;
    act(&daemon, &leases[0], "release", json!({})).await.json(200);
    assert_eq!(ids(&got(second).await), ["file-1"]);
    let third = waiting(&daemon, json!({})).await;
    daemon.advance(Duration::from_secs(10));
    assert_eq!(ids(&got(third).await), ["file-1"]);
}

#[tokio::test]
async fn a_waiting_claim_gets_what_waits_for_its_next_attempt_when_its_time_has_come() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "x").await;
    let lease = claim_one(&daemon).await;
    let failure = json!({"error": {"type": "x", "retryable": true}, "retry_after": "20s"});
    act(&daemon, &lease, "fail", failure).await.json(200);
    let waiting = waiting(&daemon, json!({})).await;
    daemon.advance(Duration::from_secs(20));
    assert_eq!(ids(&got(waiting).await), ["file-1"]);
}

#[tokio::test]
async fn a_claim_that_waits_in_vain_is_answered_with_nothing() {
    let daemon = TestDaemon::start().await;
    let waiting = waiting(&daemon, json!({"workflows": ["uploads"]})).await;
    daemon.create("exports", "file-1", "?deadline=0s", "x").await;
    daemon.get("/v1/items").await;
    assert!(!waiting.is_finished(), "it is of another workflow");
    daemon.advance(Duration::from_secs(60));
    assert_eq!(got(waiting).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_claim_waits_also_for_what_only_its_record_tells() {
    let daemon = TestDaemon::start().await;
    let waiting = waiting(&daemon, json!({"labels": {"region": "eu"}})).await;
    daemon.create("uploads", "elsewhere", "?deadline=0s&label=region:us", "x").await;
    daemon.get("/v1/items").await;
    assert!(!waiting.is_finished());
    daemon.create("uploads", "here", "?deadline=0s&label=region:eu", "x").await;
    assert_eq!(ids(&got(waiting).await), ["here"]);
}

#[tokio::test]
async fn a_daemon_that_stops_keeps_nobody_waiting() {
    let mut daemon = TestDaemon::start().await;
    let waiting = waiting(&daemon, json!({})).await;
    within_patience("the daemon to stop", daemon.stop()).await;
    assert_eq!(got(waiting).await, Vec::<Value>::new());
}

#[tokio::test]
async fn beyond_their_limit_claims_are_answered_without_waiting() {
    let daemon = TestDaemon::builder().config("[limits]\nwaiting_claims_max = 1").start().await;
    let first = waiting(&daemon, json!({})).await;
    let document = json!({"wait": "60s"});
    let answer = daemon.send_json(Method::POST, "/v1/leases", document).await.json(200);
    assert_eq!(answer["leases"], json!([]));
    daemon.create("uploads", "file-1", "?deadline=0s", "x").await;
    assert_eq!(ids(&got(first).await), ["file-1"]);
    wait_for_waiting(&daemon, 0).await;
}
