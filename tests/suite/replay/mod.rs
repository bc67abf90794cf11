//! Replays, to targets that are real HTTP servers.
//!
//! The daemon's clock stands still unless a test moves it, so a replay sends one item and then waits: tests
//! that do not check the rate let time run ([`run_until`]).

mod access;
mod kills;
mod leases;
mod limits;
mod outcomes;
mod pace;
mod redrives;
mod restarts;
mod selection;
mod sending;
mod steering;
mod trouble;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestDaemon, TestReceiver, eventually, within_patience};

pub const SECOND: Duration = Duration::from_secs(1);

/// A document that sends what is overdue or has failed to this target, as fast as can be, one at a time.
pub fn to(target: &TestReceiver, changes: Value) -> Value {
    to_url(target.url(), changes)
}

/// The same to this address.
pub fn to_url(url: &str, changes: Value) -> Value {
    let mut document = json!({"target": {"url": url}, "max_per_second": 10_000, "concurrency": 1});
    json_patch::merge(&mut document, &changes);
    document
}

/// Starts a replay.
pub async fn start(daemon: &TestDaemon, document: Value) -> Value {
    let answer = daemon.send_json(Method::POST, "/v1/replays", document).await;
    let replay = answer.json(202);
    assert_eq!(answer.header("location"), path(&replay, ""));
    replay
}

/// The path of a replay, and below it.
pub fn path(replay: &Value, below: &str) -> String {
    format!("/v1/replays/{}{below}", replay["id"].as_str().expect("an id"))
}

/// A replay as it is now.
pub async fn now(daemon: &TestDaemon, replay: &Value) -> Value {
    daemon.ask(Method::GET, &path(replay, "")).await.json(200)
}

/// Does something about a replay.
pub async fn act(daemon: &TestDaemon, replay: &Value, what: &str) -> Value {
    daemon.ask(Method::POST, &path(replay, &format!("/{what}"))).await.json(200)
}

/// A replay as soon as it is as it should be, while the time stands still.
pub async fn when(daemon: &TestDaemon, replay: &Value, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("a replay with {what}"), || async { Some(now(daemon, replay).await).filter(&is) })
        .await
}

/// The same while the time runs.
pub async fn run_until(
    daemon: &TestDaemon,
    replay: &Value,
    what: &str,
    is: impl Fn(&Value) -> bool,
) -> Value {
    within_patience(&format!("a replay with {what}"), async {
        loop {
            let replay = now(daemon, replay).await;
            if is(&replay) {
                return replay;
            }
            daemon.advance(Duration::from_millis(20));
        }
    })
    .await
}

/// Lets the time run until the replay is over.
pub async fn completed(daemon: &TestDaemon, replay: &Value) -> Value {
    run_until(daemon, replay, "its end", |replay| replay["status"] == "completed").await
}

/// Creates an item of `uploads` that is due at once.
pub async fn lose(daemon: &TestDaemon, id: &str) {
    daemon.create("uploads", id, "?deadline=0s", format!("payload of {id}")).await;
}

/// Creates so many of them, each due a millisecond after the one before.
pub async fn lose_many(daemon: &TestDaemon, count: usize) {
    let line = |number: usize| {
        let deadline = daemon_time(daemon, number as u64);
        json!({"op": "create", "workflow": "uploads", "id": format!("{number:04}"),
            "payload": number.to_string(),
            "deadline": deadline})
        .to_string()
    };
    let lines: Vec<String> = (0..count).map(line).collect();
    let answers = daemon.send(Method::POST, "/v1/batch", lines.join("\n")).await.lines(200);
    assert!(answers.iter().all(|answer| answer["status"] == 201), "{answers:?}");
    daemon.advance(Duration::from_millis(count as u64));
}

fn daemon_time(daemon: &TestDaemon, millis: u64) -> String {
    use warden::model::Clock as _;
    daemon.clock().now().after(Duration::from_millis(millis)).to_string()
}

/// The ids of the items that have arrived, in their order.
pub async fn arrived(target: &TestReceiver) -> Vec<String> {
    target.arrived().await.iter().map(|one| one.header("warden-item-id").to_owned()).collect()
}

/// The counters of a replay: total, sent, succeeded, failed, skipped.
pub fn counts(replay: &Value) -> [u64; 5] {
    ["total", "sent", "succeeded", "failed", "skipped"].map(|name| replay[name].as_u64().expect("a number"))
}
