//! Holds: by failures in a row, and by hand.

use reqwest::Method;
use serde_json::json;

use super::{SECOND, daemon, fail, listed, open, path, post, refused, status, succeed};
use crate::support::{TestDaemon, TestReceiver, eventually};

#[tokio::test]
async fn a_person_puts_a_workflow_on_hold_and_its_open_run_keeps_its_deadline() {
    let daemon = daemon("[workflows.load]\nsingle = \"allow\"\ndeadline = \"1h\"").await;
    let running = open(&daemon, "load").await;
    let hold = json!({"by": "ada", "comment": "the disk is being changed"});
    let held = post(&daemon, "load", "hold", hold).await.json(200);
    assert_eq!((&held["hold"]["by"], &held["hold"]["run"]), (&json!("ada"), &json!(null)));
    let next = open(&daemon, "load").await;
    assert_eq!(next["state"], "held");
    assert_eq!(status(&daemon, "load").await["hold"]["run"], 2);
    daemon.advance(3600 * SECOND);
    assert_eq!(daemon.get(&path("load", &running)).await["state"], "overdue");
    refused(&daemon, "load", 409, "workflow-held").await;
}

#[tokio::test]
async fn a_held_run_can_be_released_as_if_it_had_succeeded_and_moves_no_window() {
    let config = "[workflows.load]\n[workflows.load.jobs.all]\ninitial_from = \"2025-01-01T00:00:00Z\"";
    let daemon = daemon(config).await;
    post(&daemon, "load", "hold", json!({})).await.json(200);
    open(&daemon, "load").await;
    let released = post(&daemon, "load", "release", json!({"as": "success"})).await.json(200);
    assert_eq!((&released["hold"], &released["watermarks"]), (&json!(null), &json!({})));
    daemon.advance(60 * SECOND);
    let run = open(&daemon, "load").await;
    assert_eq!(run["params"]["jobs"]["all"]["from"], "2025-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn a_run_that_is_released_while_another_is_open_begins_when_that_one_ends() {
    let daemon = daemon("[workflows.load]\nsingle = \"refuse\"").await;
    open(&daemon, "load").await;
    post(&daemon, "load", "hold", json!({})).await.json(200);
    let held = open(&daemon, "load").await;
    let released = post(&daemon, "load", "release", json!({})).await.json(200);
    assert_eq!(
        (&released["hold"], &released["waiting"], &released["open"]),
        (&json!(null), &json!(1), &json!(1))
    );
    daemon.advance(10 * SECOND);
    succeed(&daemon, "load").await;
    let path = path("load", &held);
    let opened = eventually("the run begins", || async {
        Some(daemon.get(&path).await).filter(|item| item["state"] == "open")
    })
    .await;
    assert_eq!(opened["started_at"], "2026-01-01T00:00:10.000Z");
}

#[tokio::test]
async fn the_hold_and_the_streak_outlive_every_item_and_a_restart() {
    let config = "[workflow_defaults]\nretention = \"1s\"\n[workflows.load]\nhold_after = 1";
    let mut daemon = daemon(config).await;
    open(&daemon, "load").await;
    fail(&daemon, "load").await;
    let path = path("load", &listed(&daemon, "load", "").await[0]);
    assert_eq!(daemon.ask(Method::DELETE, &format!("{path}?outcome=failed")).await.status, 204);
    daemon.advance(600 * SECOND);
    daemon.swept().await;
    assert_eq!(daemon.get("/v1/workflows/load/stats").await["closed"], 0, "the item is forgotten");
    daemon.restart().await;
    assert_eq!(status(&daemon, "load").await["failures"], 1);
    let held = open(&daemon, "load").await;
    assert_eq!((&held["state"], &held["number"]), (&json!("held"), &json!(2)));
    daemon.restart().await;
    refused(&daemon, "load", 409, "workflow-held").await;
    assert_eq!(listed(&daemon, "load", "?status=failed").await.len(), 1);
}

#[tokio::test]
async fn a_held_run_cannot_be_claimed_retried_or_reported_on_but_closed() {
    let daemon = daemon("[workflows.load]\nsteps = [\"copy\"]\nsingle = \"refuse\"").await;
    post(&daemon, "load", "hold", json!({})).await.json(200);
    let held = open(&daemon, "load").await;
    let path = path("load", &held);
    let claim = json!({"workflows": ["load"], "states": ["open", "overdue", "failed"], "worker": "host-1"});
    let claimed = daemon.send_json(Method::POST, "/v1/leases", claim).await.json(200);
    assert_eq!(claimed["leases"], json!([]));
    let retried = daemon.ask(Method::POST, &format!("{path}/retry")).await.json(200);
    assert_eq!(retried["state"], "held");
    let report = daemon.send_json(Method::POST, &format!("{path}/steps/copy"), json!({})).await;
    assert!(report.refused(409, "step-order").contains("held"));
    assert_eq!(daemon.ask(Method::DELETE, &path).await.status, 204);
    assert_eq!(status(&daemon, "load").await["hold"]["run"], json!(null));
    assert_eq!(open(&daemon, "load").await["state"], "held", "it is still on hold");
}

#[tokio::test]
async fn people_are_told_of_a_held_run_and_of_its_end() {
    let receiver = TestReceiver::start().await;
    let daemon = TestDaemon::builder()
        .receiver(&receiver)
        .config("[workflows.load]\nhold_after = 1\ngroup_wait = \"0s\"")
        .start()
        .await;
    open(&daemon, "load").await;
    fail(&daemon, "load").await;
    open(&daemon, "load").await;
    let opened = told(&receiver, "incident.opened").await;
    assert_eq!(opened["data"]["summary"], "1 item of load is held");
    post(&daemon, "load", "release", json!({})).await.json(200);
    let resolved = told(&receiver, "incident.resolved").await;
    assert_eq!(resolved["data"]["became"]["released"], 1, "{resolved}");
}

/// The next notification of this event about a hold.
async fn told(receiver: &TestReceiver, event: &str) -> serde_json::Value {
    loop {
        let body = receiver.next().await.json();
        if body["type"] == event && body["data"]["kind"] == "held" {
            return body;
        }
    }
}
