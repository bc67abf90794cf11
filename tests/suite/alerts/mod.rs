//! From an overdue item to the notification, and to its end.
//!
//! That something is *not* sent cannot be waited for. Receivers here are therefore notified one at a time
//! ([`oncall`]), so that the next notification to arrive shows that none came before it.

mod alertmanager;
mod crashes;
mod deadlines;
mod deliveries;
mod endings;
mod events;
mod failed;
mod failing;
mod fallback;
mod flapping;
mod formats;
mod groups;
mod growth;
mod heartbeat;
mod hostile;
mod life;
mod lineage;
mod missed;
mod order;
mod outages;
mod outlook;
mod overload;
mod people;
pub mod raw;
mod receivers;
mod refreshes;
mod resend;
mod restarts;
mod retries;
pub mod signatures;
mod silences;
mod storm;
mod tls;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use warden::model::{Clock, Timestamp};

use crate::support::daemon::{Builder, expect};
use crate::support::{TestDaemon, TestReceiver, eventually, within_patience};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);

/// A daemon with the defaults that tells this receiver, one thing at a time.
pub fn oncall(receiver: &TestReceiver) -> Builder {
    TestDaemon::builder().receiver(receiver).config("concurrency = 1")
}

/// The same in memory and on disk.
pub fn oncall_on_each_engine(receiver: &TestReceiver) -> [Builder; 2] {
    [oncall(receiver), oncall(receiver).on_sled()]
}

/// Expects the next notification to say this, and gives its data.
pub async fn told(receiver: &TestReceiver, event: &str) -> Value {
    let received = receiver.next().await;
    assert_eq!(received.event(), event, "{}", received.json());
    received.json()["data"].clone()
}

/// An incident's id.
pub fn id(incident: &Value) -> &str {
    incident["id"].as_str().expect("an id")
}

/// An instant in an answer.
pub fn instant(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no instant"));
    Timestamp::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Moves the clock to an instant that lies ahead.
pub fn advance_to(daemon: &TestDaemon, instant: Timestamp) {
    daemon.advance(instant.since(daemon.clock().now()));
}

/// Creates an item that is due at once.
pub async fn lose(daemon: &TestDaemon, workflow: &str, item: &str) {
    daemon.create(workflow, item, "?deadline=0s", "payload").await;
}

/// An incident as soon as it is as it should be.
pub async fn incident_when(daemon: &TestDaemon, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("the incident with {what}"), || async {
        Some(daemon.get(&format!("/v1/incidents/{id}")).await).filter(&is)
    })
    .await
}

/// An incident as soon as it counts so many items.
pub async fn incident_of(daemon: &TestDaemon, id: &str, count: u64) -> Value {
    incident_when(daemon, id, &format!("{count} items"), |incident| incident["count"] == count).await
}

/// The deliveries of an incident.
pub async fn deliveries(daemon: &TestDaemon, incident: &str) -> Vec<Value> {
    let page = daemon.get(&format!("/v1/incidents/{incident}/deliveries")).await;
    page["data"].as_array().expect("a list").clone()
}

/// The only delivery of an incident, as soon as it is as it should be.
pub async fn delivery_when(
    daemon: &TestDaemon,
    incident: &str,
    what: &str,
    is: impl Fn(&Value) -> bool,
) -> Value {
    eventually(&format!("one delivery with {what}"), || async {
        match &deliveries(daemon, incident).await[..] {
            [delivery] if is(delivery) => Some(delivery.clone()),
            _ => None,
        }
    })
    .await
}

/// The only delivery of an incident, as soon as it has been tried so often.
pub async fn delivery_tried(daemon: &TestDaemon, incident: &str, attempts: u64) -> Value {
    let what = format!("{attempts} attempts");
    delivery_when(daemon, incident, &what, |delivery| delivery["attempts_made"] == attempts).await
}

/// A receiver as soon as it is as it should be.
pub async fn receiver_when(
    daemon: &TestDaemon,
    name: &str,
    what: &str,
    is: impl Fn(&Value) -> bool,
) -> Value {
    eventually(&format!("the receiver {name} with {what}"), || async {
        let page = daemon.get("/v1/receivers").await;
        page["data"].as_array()?.iter().find(|receiver| receiver["name"] == name && is(receiver)).cloned()
    })
    .await
}

/// A receiver as soon as so many attempts have failed in a row.
pub async fn receiver_failed(daemon: &TestDaemon, name: &str, failures: u64) -> Value {
    let what = format!("{failures} failures");
    receiver_when(daemon, name, &what, |receiver| receiver["consecutive_failures"] == failures).await
}

/// Changes an item.
pub async fn patch(daemon: &TestDaemon, workflow: &str, item: &str, patch: Value) -> Value {
    let path = format!("/v1/workflows/{workflow}/items/{item}");
    expect(daemon.request(Method::PATCH, &path).json(&patch), StatusCode::OK).await
}

/// Reports a fatal error about an item.
pub async fn fail(daemon: &TestDaemon, workflow: &str, item: &str) {
    let path = format!("/v1/workflows/{workflow}/items/{item}/errors");
    let error = json!({"type": "DiskGone", "message": "the disk is gone", "fatal": true});
    expect(daemon.request(Method::POST, &path).json(&error), StatusCode::CREATED).await;
}

/// A figure of the metrics.
pub async fn metric(daemon: &TestDaemon, name: &str) -> f64 {
    let text = daemon.response(Method::GET, "/metrics").await.text().await.expect("a text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

/// Waits until a figure of the metrics is this: what happened is committed first, and counted then.
pub async fn metric_becomes(daemon: &TestDaemon, name: &str, value: f64) {
    let what = format!("{name} of {value}");
    eventually(&what, || async { (metric(daemon, name).await == value).then_some(()) }).await;
}
