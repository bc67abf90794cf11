//! Waiting until workflows have succeeded.

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use super::{SECOND, at, daemon, daemon_at, fail, open, post, succeed};
use crate::support::{Answer, TestDaemon, ask};

const LOAD: &str = "[workflows.load]\nsingle = \"refuse\"";

async fn wait(daemon: &TestDaemon, query: &str) -> Answer {
    daemon.ask(Method::GET, &format!("/v1/workflows/load/wait?{query}")).await
}

/// Starts a request that waits, and lets it reach the daemon. That has the thread of this test alone, and so
/// has taken it up before the last of those that are sent later is answered.
async fn waiting(daemon: &TestDaemon, query: &str) -> JoinHandle<Answer> {
    let request = daemon.request(Method::GET, &format!("/v1/workflows/load/wait?{query}"));
    let asked = tokio::spawn(ask(request));
    for _ in 0..5 {
        daemon.get("/v1/workflows/load").await;
    }
    asked
}

#[tokio::test]
async fn the_success_of_yesterday_does_not_count_today() {
    let daemon = daemon_at("2026-03-01T23:59:00Z", LOAD).await;
    open(&daemon, "load").await;
    at(&daemon, "2026-03-01T23:59:59Z");
    succeed(&daemon, "load").await;
    assert_eq!(wait(&daemon, "since=today").await.status, 200);
    at(&daemon, "2026-03-02T00:00:01Z");
    let asked = waiting(&daemon, "since=today&timeout=60s").await;
    assert!(!asked.is_finished(), "yesterday's does not count");
    open(&daemon, "load").await;
    daemon.advance(4 * SECOND);
    succeed(&daemon, "load").await;
    let waited = asked.await.unwrap().json(200);
    assert_eq!(
        waited["runs"],
        json!([{"workflow": "load", "number": 2, "ended_at": "2026-03-02T00:00:05.000Z"}])
    );
}

#[tokio::test]
async fn today_begins_anew_at_midnight_while_a_request_waits() {
    let daemon = daemon_at("2026-03-01T23:59:30Z", LOAD).await;
    open(&daemon, "load").await;
    let asked = waiting(&daemon, "since=today&timeout=60s").await;
    at(&daemon, "2026-03-02T00:00:10Z");
    let end = json!({"at": "2026-03-01T23:59:50Z"});
    post(&daemon, "load", "runs/current/close", end).await.json(200);
    // In Berlin it has been the 2nd for an hour.
    assert_eq!(wait(&daemon, "since=today&timezone=Europe/Berlin").await.status, 200);
    at(&daemon, "2026-03-02T00:00:30Z");
    assert_eq!(asked.await.unwrap().status, 204, "it ended yesterday");
    open(&daemon, "load").await;
    succeed(&daemon, "load").await;
    at(&daemon, "2026-03-02T23:30:00Z");
    assert_eq!(wait(&daemon, "since=today").await.status, 200);
    assert_eq!(wait(&daemon, "since=today&timezone=Europe/Berlin").await.status, 204);
}

#[tokio::test]
async fn an_earlier_success_does_not_count_while_a_later_run_is_open_or_failed() {
    let daemon = daemon(LOAD).await;
    assert_eq!(wait(&daemon, "").await.status, 204, "it never ran");
    open(&daemon, "load").await;
    succeed(&daemon, "load").await;
    assert_eq!(wait(&daemon, "").await.status, 200);
    open(&daemon, "load").await;
    assert_eq!(wait(&daemon, "").await.status, 204);
    fail(&daemon, "load").await;
    assert_eq!(wait(&daemon, "").await.status, 204);
    let failed = wait(&daemon, "fail_fast=true").await;
    assert!(failed.refused(409, "run-failed").contains("run 2"));
    wait(&daemon, "since=yesterday").await.refused(400, "invalid-request");
    let unknown = daemon.ask(Method::GET, "/v1/workflows/nothing/wait").await;
    unknown.refused(404, "workflow-not-found");
}

#[tokio::test]
async fn several_workflows_are_waited_for_together() {
    let config = "[workflows.load]\nsingle = \"refuse\"\n[workflows.other]\nsingle = \"refuse\"";
    let daemon = daemon(config).await;
    for workflow in ["load", "other"] {
        open(&daemon, workflow).await;
    }
    succeed(&daemon, "load").await;
    let path = "/v1/wait?workflow=load&workflow=other";
    assert_eq!(daemon.ask(Method::GET, path).await.status, 204);
    succeed(&daemon, "other").await;
    let waited = daemon.ask(Method::GET, path).await.json(200);
    assert_eq!(waited["runs"].as_array().unwrap().len(), 2);
    daemon.ask(Method::GET, "/v1/wait").await.refused(400, "invalid-request");
}

#[tokio::test]
async fn a_wait_for_covered_time_ends_once_every_job_covers_it() {
    let config = "[workflows.load]\nsingle = \"refuse\"\n[workflows.load.jobs.a]\n[workflows.load.jobs.b]";
    let daemon = daemon(config).await;
    open(&daemon, "load").await;
    succeed(&daemon, "load").await;
    assert_eq!(wait(&daemon, "covers=2025-12-31T23:59:59Z").await.status, 200);
    assert_eq!(wait(&daemon, "covers=2026-01-01T00:00:00Z").await.status, 204);
    daemon.advance(SECOND);
    open(&daemon, "load").await;
    succeed(&daemon, "load").await;
    assert_eq!(wait(&daemon, "covers=2026-01-01T00:00:00Z").await.status, 200);
}
