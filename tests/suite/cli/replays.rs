//! Replays on the command line.

use serde_json::json;

use super::warden;
use crate::alerts::{SECOND, id};
use crate::replay::{completed, lose, lose_many, now};
use crate::support::{TestDaemon, TestReceiver};

#[tokio::test]
async fn a_replay_is_started_shown_and_steered() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 3).await;
    let line = format!(
        "replay start --to {} --name monday --workflow up* --max-per-second 0.01 --canary 1 --secret \
         whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        target.url()
    );
    let said = warden(&daemon, &line.split_whitespace().collect::<Vec<_>>()).await;
    let notes = said.notes.clone();
    assert_eq!(notes, format!("The replay of 3 items to {} is running.\n", target.url()));
    let out = said.done();
    let replay = out.trim_end();
    assert!(replay.starts_with("rpl_"), "{out}");
    let received = target.next().await;
    assert!(received.header("webhook-signature").starts_with("v1,"));

    let list = warden(&daemon, &["replay", "list", "--status", "running,paused"]).await.done();
    let line = list.lines().nth(1).unwrap();
    for told in [replay, "running", "monday", target.url()] {
        assert!(line.contains(told), "{told}: {list}");
    }
    let shown = warden(&daemon, &["replay", "show", replay]).await.done();
    for told in ["items       overdue or failed of up*", "pace        0.01/s, 8 at a time", "canary      1"] {
        assert!(shown.lines().any(|line| line == told), "{told}: {shown}");
    }
    let said = warden(&daemon, &["replay", "pause", replay]).await.done();
    assert!(said.starts_with(&format!("{replay} is paused: ")), "{said}");
    let resumed = warden(&daemon, &["replay", "resume", replay, "--output", "json"]).await.json();
    assert_eq!(resumed["status"], "running");
    let said = warden(&daemon, &["replay", "cancel", replay]).await.done();
    assert!(said.starts_with(&format!("{replay} is cancelled: ")), "{said}");
    let refused = warden(&daemon, &["replay", "resume", replay]).await.failed(1);
    assert!(refused.contains("the replay is cancelled"), "{refused}");
    let json = warden(&daemon, &["replay", "show", replay, "--output", "json"]).await.json();
    assert_eq!(json, now(&daemon, &json!({"id": replay})).await);
}

#[tokio::test]
async fn a_dry_run_prints_figures_and_starts_nothing() {
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 3).await;
    let start = ["replay", "start", "--to", "http://127.0.0.1:1/", "--dry-run"];
    let figures = warden(&daemon, &start).await.done();
    assert!(figures.starts_with("items        3\n"), "{figures}");
    let summary = warden(&daemon, &[&start[..], &["--output", "json"]].concat()).await.json();
    assert_eq!(summary["count"], 3);
    let none = warden(&daemon, &["replay", "list"]).await;
    assert_eq!((&*none.out, &*none.notes), ("", "No replay is like that.\n"));
}

#[tokio::test]
async fn one_that_is_followed_ends_the_command_by_how_it_ended() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 1).await;
    let start = ["replay", "start", "--to", target.url(), "--follow"];
    let said = warden(&daemon, &start).await;
    assert!(said.notes.contains(" was started, with 1 items\n"), "{}", said.notes);
    assert!(said.done().contains("1 of 1"));
    target.answer(500, &[]);
    let said = warden(&daemon, &[&start[..], &["--canary", "5"]].concat()).await;
    assert_eq!(said.code, 1, "{}", said.notes);
    assert!(
        said.out.contains("HTTP 500") && said.notes.contains(" is completed (1 of 1, 1 failed)"),
        "{}",
        said.notes
    );
    for id in ["a", "b"] {
        lose(&daemon, id).await;
    }
    target.answer(500, &[]);
    let said = warden(&daemon, &[&start[..], &["--canary", "2"]].concat()).await;
    assert_eq!(said.code, 1, "{}", said.notes);
    assert!(
        said.notes.contains("is paused: the canary failed after 0 of 2 items: HTTP 500"),
        "{}",
        said.notes
    );
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
async fn what_the_daemon_does_not_take_is_said() {
    let daemon = TestDaemon::start().await;
    for (line, code, told) in [
        ("replay start --to ftp://x", 1, "target.url must begin with http:// or https://"),
        ("replay start --to http://x --concurrency 0", 1, "concurrency is a number from 1 to 256"),
        ("replay start --to http://x --label a:1 --label a:2", 64, "stands twice"),
        ("replay start", 64, "--to <URL>"),
        ("replay show rpl_0", 1, "There is no such replay"),
        ("replay show a/b", 64, "an id of the daemon's"),
        ("replay list --status late", 64, "possible values: running, paused, completed, cancelled"),
    ] {
        let said = warden(&daemon, &line.split_whitespace().collect::<Vec<_>>()).await.failed(code);
        assert!(said.contains(told), "{line}: {said}");
    }
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
