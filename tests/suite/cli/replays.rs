//! Replays on the command line.

use serde_json::json;

use super::warden;
use crate::alerts::{SECOND, id};
use crate::replay::{completed, lose_many, now};
use crate::support::{TestDaemon, TestReceiver};

#[tokio::test]
async fn a_secret_signs_and_json_is_what_the_daemon_answered() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 1).await;
    let line = format!(
        "replay start --to {} --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw --output json",
        target.url()
    );
    let replay = warden(&daemon, &line.split_whitespace().collect::<Vec<_>>()).await.json();
    assert!(target.next().await.header("webhook-signature").starts_with("v1,"));
    completed(&daemon, &replay).await;
    let shown = warden(&daemon, &["replay", "show", id(&replay), "--output", "json"]).await.json();
    assert_eq!(shown, now(&daemon, &replay).await);
}

#[tokio::test]
async fn the_same_key_finds_the_same_replay_and_no_key_starts_another() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    let start = ["replay", "start", "--to", target.url()];
    let keyed = [&start[..], &["--idempotency-key", "night-1"]].concat();
    let first = warden(&daemon, &keyed).await.done();
    daemon.advance(SECOND);
    assert_eq!(warden(&daemon, &keyed).await.done(), first);
    assert_ne!(warden(&daemon, &start).await.done(), first);
}

#[tokio::test]
async fn all_that_is_said_of_a_replay_reaches_the_daemon() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 1).await;
    let line = format!(
        "replay start --to {} --state overdue --created-before 2027-01-01T00:00:00Z --max-per-second 3 \
         --concurrency 2 --canary 1 --ramp-up 1m --close --timeout 5s --pause-after-failures 7 --output json",
        target.url()
    );
    let started = warden(&daemon, &line.split_whitespace().collect::<Vec<_>>()).await.json();
    for (name, value) in [
        ("max_per_second", json!(3.0)),
        ("concurrency", json!(2)),
        ("canary", json!(1)),
        ("ramp_up", json!("1m")),
        ("on_success", json!("close")),
        ("timeout", json!("5s")),
        ("pause_after_failures", json!(7)),
    ] {
        assert_eq!(started[name], value, "{name}");
    }
    assert_eq!(started["filter"]["states"], json!(["overdue"]));
    assert_eq!(started["filter"]["created_before"], "2027-01-01T00:00:00.000Z");
    assert!(id(&started).starts_with("rpl_"));
    completed(&daemon, &started).await;
    let item = daemon.get("/v1/workflows/uploads/items/0000").await;
    assert_eq!(item["state"], "closed");
}
