//! What is counted at the steps of a workflow.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{act, claim};
use crate::support::TestDaemon;

const SECOND: Duration = Duration::from_secs(1);
const CONFIG: &str = "[workflows.uploads]\nsteps = [\"a\", \"b\"]\nmax_losses = 1\n\
                      retry = {max = 3, backoff = \"1s..1s\", jitter = 0.0}";

async fn take(daemon: &TestDaemon, id: &str) -> Value {
    let wanted =
        json!({"worker": "host-1", "workflows": ["uploads"], "id": id, "states": ["open"], "ttl": "10s"});
    claim(daemon, wanted).await.pop().expect("it can be claimed")
}

/// The counts of a step as they are in the stats, without the durations.
async fn counts(daemon: &TestDaemon, step: usize) -> Value {
    let mut step = daemon.get("/v1/workflows/uploads/stats").await["steps"][step].clone();
    step.as_object_mut().expect("a step").remove("durations");
    step
}

#[tokio::test]
async fn every_step_shows_what_happened_at_it_and_how_long_its_runs_took() {
    let mut daemon = TestDaemon::builder().config(CONFIG).on_sled().start().await;
    for id in ["1", "2", "3"] {
        daemon.create("uploads", id, "?deadline=1h", "hello").await;
    }
    // The first goes through, with a retryable error; the second is skipped and interrupted; of the third two
    // leases run out, one more than may.
    let lease = take(&daemon, "1").await;
    let timeout = json!({"error": {"type": "Timeout", "retryable": true}});
    act(&daemon, &lease, "fail", timeout).await.json(200);
    daemon.advance(2 * SECOND);
    for _ in 0..2 {
        let lease = take(&daemon, "1").await;
        act(&daemon, &lease, "complete", json!({})).await.json(200);
    }
    for status in ["skipped", "interrupted"] {
        let lease = take(&daemon, "2").await;
        act(&daemon, &lease, "complete", json!({ "status": status })).await.json(200);
    }
    for _ in 0..2 {
        take(&daemon, "3").await;
        daemon.advance(11 * SECOND);
    }
    claim(&daemon, json!({"workflows": ["uploads"], "id": "3", "states": ["open"]})).await;
    let expected = json!({"name": "a", "entered": 3, "done": 1, "skipped": 1, "interrupted": 0, "failed": 1,
        "retries": 1, "losses": 2});
    assert_eq!(counts(&daemon, 0).await, expected);
    let expected = json!({"name": "b", "entered": 2, "done": 1, "skipped": 0, "interrupted": 1, "failed": 0,
        "retries": 0, "losses": 0});
    assert_eq!(counts(&daemon, 1).await, expected);
    let stats = daemon.get("/v1/workflows/uploads/stats").await;
    let expected = json!({"count": 2, "average": 2.0, "min": 2.0, "max": 2.0});
    assert_eq!(stats["steps"][0]["durations"], expected);

    let metrics = daemon.ask(Method::GET, "/metrics").await;
    for line in [
        "warden_step_events_total{workflow=\"uploads\",step=\"a\",event=\"lost\"} 2",
        "warden_step_events_total{workflow=\"uploads\",step=\"b\",event=\"interrupted\"} 1",
        "warden_step_duration_seconds_bucket{le=\"5.0\",workflow=\"uploads\",step=\"a\"} 2",
        "warden_step_duration_seconds_count{workflow=\"uploads\",step=\"b\"} 2",
    ] {
        assert!(metrics.text().contains(line), "{line} in {}", metrics.text());
    }

    // Counts are since the start; the items that are there do not enter their steps again.
    daemon.restart().await;
    assert_eq!(counts(&daemon, 0).await["entered"], 0);
    assert_eq!(daemon.get("/v1/workflows/uploads/stats").await["steps"][0]["durations"], Value::Null);
}

#[tokio::test]
async fn a_repeated_report_and_an_import_count_nothing() {
    let daemon = TestDaemon::builder().config(CONFIG).start().await;
    daemon.create("uploads", "1", "?deadline=1h", "hello").await;
    let lease = take(&daemon, "1").await;
    for _ in 0..3 {
        act(&daemon, &lease, "complete", json!({})).await.json(200);
    }
    assert_eq!(counts(&daemon, 0).await["done"], 1);
    let export = daemon.ask(Method::GET, "/v1/export").await;
    let other = TestDaemon::builder().config(CONFIG).start().await;
    other.send(Method::POST, "/v1/batch", export.body).await.lines(200);
    for step in 0..2 {
        let counts = counts(&other, step).await;
        let numbers = counts.as_object().expect("counts").values().filter_map(Value::as_u64);
        assert_eq!(numbers.sum::<u64>(), 0, "{counts}");
    }
}

#[tokio::test]
async fn a_run_that_ends_when_a_person_reports_it_counts_like_any_other() {
    let daemon = TestDaemon::builder().config(CONFIG).start().await;
    daemon.create("uploads", "1", "?deadline=1h", "hello").await;
    daemon.advance(3 * SECOND);
    daemon.send(Method::POST, "/v1/workflows/uploads/items/1/steps/a", "{}").await.json(200);
    assert_eq!(
        (&counts(&daemon, 0).await["done"], &counts(&daemon, 1).await["entered"]),
        (&json!(1), &json!(1))
    );
    let retry = json!({"from": "a"});
    daemon.send_json(Method::POST, "/v1/workflows/uploads/items/1/retry", retry).await.json(200);
    assert_eq!(counts(&daemon, 0).await["entered"], 2);
}
