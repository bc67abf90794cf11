//! Incidents: incidents, incident, ack, snooze, comment.

use super::Transcript;
use crate::alerts::{MINUTE, SECOND, id, lose, oncall, told};
use crate::support::{TestDaemon, TestReceiver};

/// Loses two items, and gives the id of their incident once it was told.
async fn opened(daemon: &TestDaemon, receiver: &TestReceiver) -> String {
    lose(daemon, "uploads", "file-1").await;
    lose(daemon, "uploads", "file-2").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    let incident = id(&told(receiver, "incident.opened").await).to_owned();
    delivered(daemon, 1).await;
    incident
}

/// Waits until so many deliveries are recorded as delivered.
async fn delivered(daemon: &TestDaemon, count: usize) {
    crate::support::eventually("the deliveries' records", || async {
        let page = daemon.get("/v1/deliveries?status=delivered").await;
        (page["data"].as_array()?.len() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_incident_is_acknowledged_snoozed_commented_and_resolved() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let mut transcript = Transcript::new();
    transcript.enter(&daemon, "warden incidents").await;
    let incident = opened(&daemon, &receiver).await;
    transcript.aside("the deadlines of two items have passed, and 10 seconds later oncall is told");
    transcript.enter(&daemon, "warden incidents").await;
    transcript.enter(&daemon, &format!("warden incident {incident}")).await;
    transcript.enter(&daemon, &format!("warden ack {incident} --comment 'on it'")).await;
    transcript.enter(&daemon, "warden incidents").await;
    daemon.advance(5 * MINUTE);
    transcript.aside("5 minutes later");
    for line in [
        format!("warden snooze {incident} 30m --by alex"),
        format!("warden comment {incident} 'the disk is full'"),
        "warden incidents".to_owned(),
        format!("warden incident {incident}"),
        format!("warden incident {incident} --output json"),
        format!("warden snooze {incident} 0s"),
        format!("warden snooze {incident} 1s"),
        format!("warden snooze {incident} 30d"),
    ] {
        transcript.enter(&daemon, &line).await;
    }
    daemon.advance(MINUTE);
    transcript.aside("a minute later");
    transcript.enter(&daemon, "warden incidents").await;
    transcript.enter(&daemon, &format!("warden incident {incident}")).await;
    daemon.close("uploads", "file-1").await;
    daemon.close("uploads", "file-2").await;
    daemon.open_incidents(0).await;
    transcript.aside("both items are closed");
    for line in [
        "warden incidents".to_owned(),
        "warden incidents --status resolved".to_owned(),
        format!("warden incident {incident}"),
        format!("warden comment {incident} 'it was the disk' --output json"),
        format!("warden ack {incident}"),
        format!("warden snooze {incident} 1h"),
    ] {
        transcript.enter(&daemon, &line).await;
    }
    transcript.compare("incidents");
}

#[tokio::test]
async fn what_cannot_be_done_about_an_incident_is_said_with_why() {
    let daemon = TestDaemon::start().await;
    let mut transcript = Transcript::new();
    for line in [
        "warden incident inc_0",
        "warden ack inc_0",
        "warden snooze inc_0 1h",
        "warden comment inc_0 'on it'",
        "warden incident ../silences",
        "warden incident",
        "warden snooze inc_0",
        "warden snooze inc_0 soon",
        "warden snooze inc_0 30d",
        "warden comment inc_0",
        "warden incidents --status odd",
        "warden incidents --workflow 'a/b'",
        "warden incidents --limit few",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("incidents-refused");
}
