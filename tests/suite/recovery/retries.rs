//! Failed attempts: retried, given up, ignored, and put back by people.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{act, claim, claim_one, item};
use crate::support::{TestDaemon, TestReceiver};

const POLICY: &str = r#"
    [workflows.uploads]
    steps = ["copy", "backup"]
    retry = { max = 2, backoff = "10s..15s", jitter = 0.0 }
"#;

async fn with_policy() -> TestDaemon {
    let daemon = TestDaemon::builder().config(POLICY).start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "hello").await;
    daemon
}

fn failure(retryable: bool) -> Value {
    json!({"error": {"type": "Timeout", "message": "no answer", "retryable": retryable,
        "data": {"host": "b-1"}}})
}

#[tokio::test]
async fn an_attempt_that_may_succeed_later_is_tried_as_often_as_the_policy_says_and_then_the_item_has_failed()
{
    let receiver = TestReceiver::start().await;
    let daemon = TestDaemon::builder().config(POLICY).receiver(&receiver).start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "hello").await;
    for (attempt, wait) in [(1, 10), (2, 15)] {
        let lease = claim_one(&daemon).await;
        assert_eq!(lease["attempt"], attempt);
        let failed = act(&daemon, &lease, "fail", failure(true)).await.json(200);
        assert_eq!((&failed["state"], &failed["step_attempts"]), (&json!("overdue"), &json!(attempt)));
        daemon.advance(Duration::from_millis(wait * 1000 - 1));
        assert_eq!(claim(&daemon, json!({})).await, Vec::<Value>::new());
        daemon.advance(Duration::from_millis(1));
    }
    let lease = claim_one(&daemon).await;
    let failed = act(&daemon, &lease, "fail", failure(true)).await.json(200);
    assert_eq!((&failed["state"], &failed["retry_at"]), (&json!("failed"), &json!(null)));
    let errors = failed["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 3);
    assert_eq!((&errors[0]["fatal"], &errors[2]["fatal"]), (&json!(false), &json!(true)));
    assert_eq!((&errors[2]["step"], &errors[2]["data"]), (&json!("copy"), &json!({"host": "b-1"})));
    let incidents = daemon.open_incidents(1).await;
    assert_eq!((&incidents[0]["kind"], &incidents[0]["count"]), (&json!("failed"), &json!(1)));
}

#[tokio::test]
async fn an_attempt_that_cannot_succeed_fails_the_item_at_once() {
    let daemon = with_policy().await;
    let lease = claim_one(&daemon).await;
    let failed = act(&daemon, &lease, "fail", failure(false)).await.json(200);
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["errors"][0]["message"], "no answer");
}

#[tokio::test]
async fn a_worker_may_say_how_long_to_wait() {
    let daemon = with_policy().await;
    let lease = claim_one(&daemon).await;
    let document = json!({"error": {"type": "Busy", "retryable": true}, "retry_after": "2h"});
    let failed = act(&daemon, &lease, "fail", document).await.json(200);
    assert_eq!(failed["retry_at"], "2026-01-01T02:00:00.000Z");
}

#[tokio::test]
async fn an_error_that_can_be_ignored_takes_the_item_to_its_next_step() {
    let daemon = with_policy().await;
    let lease = claim_one(&daemon).await;
    let document = json!({"error": {"type": "NoThumbnail", "ignorable": true}});
    let skipped = act(&daemon, &lease, "fail", document).await.json(200);
    assert_eq!((&skipped["step"], &skipped["steps"][0]["status"]), (&json!("backup"), &json!("skipped")));
    assert_eq!(skipped["errors"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_operator_sends_a_failed_item_back_to_its_step() {
    let daemon = with_policy().await;
    let lease = claim_one(&daemon).await;
    act(&daemon, &lease, "fail", failure(false)).await.json(200);
    let retry = "/v1/workflows/uploads/items/file-1/retry";
    let back = daemon.ask(Method::POST, retry).await.json(200);
    assert_eq!((&back["state"], &back["step"]), (&json!("overdue"), &json!("copy")));
    assert_eq!(back["step_attempts"], 0);
    let again = daemon.ask(Method::POST, retry).await.json(200);
    assert_eq!(again["version"], back["version"], "there is nothing left to change");
    daemon.ask(Method::POST, "/v1/workflows/uploads/items/nobody/retry").await.refused(404, "item-not-found");
    daemon.close("uploads", "file-1").await;
    daemon.ask(Method::POST, retry).await.refused(409, "item-closed");
}

#[tokio::test]
async fn an_operator_has_an_item_tried_again_without_waiting() {
    let daemon = with_policy().await;
    let lease = claim_one(&daemon).await;
    act(&daemon, &lease, "fail", failure(true)).await.json(200);
    daemon.ask(Method::POST, "/v1/workflows/uploads/items/file-1/retry").await.json(200);
    assert_eq!(claim_one(&daemon).await["attempt"], 1);
}

#[tokio::test]
async fn many_failed_items_are_sent_back_in_bites() {
    let daemon = TestDaemon::start().await;
    let lines: Vec<String> = (0..1500)
        .map(|number| {
            json!({"op": "create", "workflow": "uploads", "id": number.to_string(), "payload": "x",
                "deadline": "0s"})
        })
        .map(|line| line.to_string())
        .collect();
    daemon.send(Method::POST, "/v1/batch", lines.join("\n")).await.lines(200);
    for _ in 0..2 {
        for lease in claim(&daemon, json!({"max": 750, "payloads": false, "states": ["overdue"]})).await {
            act(&daemon, &lease, "fail", failure(false)).await.json(200);
        }
    }
    daemon.create("other", "failed", "", "x").await;
    let errors = "/v1/workflows/other/items/failed/errors";
    daemon.send_json(Method::POST, errors, json!({"type": "Broken", "fatal": true})).await.json(201);

    let (mut retried, mut cursor, mut requests) = (0, String::new(), 0);
    loop {
        let path = format!("/v1/items/retry?workflow=up*{cursor}");
        let answer = daemon.ask(Method::POST, &path).await.json(200);
        retried += answer["retried"].as_u64().unwrap();
        requests += 1;
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((retried, requests), (1500, 2));
    assert_eq!(daemon.get("/v1/workflows/uploads/stats").await["failed"], 0);
    let other = daemon.get("/v1/workflows/other/items/failed").await;
    assert_eq!(other["state"], "failed", "the other workflow was not meant");
}

#[tokio::test]
async fn a_failed_item_may_be_claimed_and_brought_through() {
    let daemon = with_policy().await;
    let lease = claim_one(&daemon).await;
    act(&daemon, &lease, "fail", failure(false)).await.json(200);
    assert_eq!(claim(&daemon, json!({})).await, Vec::<Value>::new(), "not by whoever claims on and on");
    let leases = claim(&daemon, json!({"states": ["failed"]})).await;
    assert_eq!(leases[0]["item"]["state"], "failed");
    act(&daemon, &leases[0], "complete", json!({"close": true})).await.json(200);
    assert_eq!(item(&daemon, "file-1").await["state"], "closed");
    daemon.open_incidents(0).await;
}
