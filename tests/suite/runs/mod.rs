//! Runs: named processes with numbers, windows, requirements and holds.

mod batchy;
mod expectations;
mod history;
mod holds;
mod parameters;
mod process_tracker;
mod requirements;
mod waiting;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use warden::model::{Clock as _, Timestamp};

use crate::support::{Answer, TestDaemon};

const SECOND: Duration = Duration::from_secs(1);

fn instant(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A daemon with these tables of workflows.
async fn daemon(config: &str) -> TestDaemon {
    TestDaemon::builder().config(config).start().await
}

/// The same, with its clock at an instant.
async fn daemon_at(start: &str, config: &str) -> TestDaemon {
    TestDaemon::builder().starting_at(instant(start)).config(config).start().await
}

/// Where the item of a run is.
fn path(workflow: &str, run: &Value) -> String {
    format!("/v1/workflows/{workflow}/items/{}", run["id"].as_str().expect("an id"))
}

async fn post(daemon: &TestDaemon, workflow: &str, path: &str, document: Value) -> Answer {
    daemon.send_json(Method::POST, &format!("/v1/workflows/{workflow}/{path}"), document).await
}

/// Moves the clock to an instant.
fn at(daemon: &TestDaemon, text: &str) {
    let now = daemon.clock().now();
    let then = instant(text);
    assert!(now <= then, "{text} is past");
    daemon.advance(then.since(now));
}

/// Opens a run.
async fn open(daemon: &TestDaemon, workflow: &str) -> Value {
    post(daemon, workflow, "runs", json!({})).await.json(201)
}

/// Ends the open run in success.
async fn succeed(daemon: &TestDaemon, workflow: &str) -> Value {
    post(daemon, workflow, "runs/current/close", json!({})).await.json(200)
}

/// Fails the open run.
async fn fail(daemon: &TestDaemon, workflow: &str) -> Value {
    post(daemon, workflow, "runs/current/fail", json!({})).await.json(200)
}

/// What is refused, with this status and type of problem.
async fn refused(daemon: &TestDaemon, workflow: &str, status: u16, slug: &str) -> Value {
    let problem = post(daemon, workflow, "runs", json!({})).await.json(status);
    assert_eq!(problem["type"], format!("/problems/{slug}"));
    problem
}

async fn status(daemon: &TestDaemon, workflow: &str) -> Value {
    daemon.get(&format!("/v1/workflows/{workflow}/runs/status")).await
}

/// The runs of a workflow, newest first.
async fn listed(daemon: &TestDaemon, workflow: &str, query: &str) -> Vec<Value> {
    let page = daemon.get(&format!("/v1/workflows/{workflow}/runs{query}")).await;
    page["data"].as_array().expect("a page").clone()
}
