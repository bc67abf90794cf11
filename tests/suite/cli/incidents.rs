//! Incidents on the command line: shown, acknowledged, snoozed, commented.

use serde_json::{Value, json};

use super::{command, run, warden};
use crate::alerts::{SECOND, id, lose, oncall, told};
use crate::support::{TestDaemon, TestReceiver};

/// Loses an item, and gives the id of its incident once it was told.
async fn opened(daemon: &TestDaemon, receiver: &TestReceiver) -> String {
    lose(daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    id(&told(receiver, "incident.opened").await).to_owned()
}

#[tokio::test]
async fn json_is_what_the_daemon_answered() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = &opened(&daemon, &receiver).await;
    let path = format!("/v1/incidents/{incident}");
    for arguments in [
        &["ack", incident, "--output", "json"][..],
        &["snooze", incident, "1h", "--output", "json"],
        &["comment", incident, "disk full?", "--output", "json"],
        &["incident", incident, "--output", "json"],
    ] {
        let printed = warden(&daemon, arguments).await.json();
        assert_eq!(printed, daemon.get(&path).await, "{arguments:?}");
    }
    let list = warden(&daemon, &["incidents", "--output", "json"]).await.json();
    assert_eq!(list, json!({"data": [daemon.get(&path).await], "next_cursor": null}));
}

#[tokio::test]
async fn whoever_has_no_name_here_has_that_of_the_token() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = &opened(&daemon, &receiver).await;
    let mut nobody = command(&daemon.url(""), &["comment", incident, "first"]);
    nobody.env("USER", "");
    run(nobody).await.done();
    warden(&daemon, &["comment", incident, "second"]).await.done();
    warden(&daemon, &["comment", incident, "third", "--by", "alex"]).await.done();
    let known = daemon.get(&format!("/v1/incidents/{incident}")).await;
    let by: Vec<&Value> = known["actions"].as_array().unwrap().iter().map(|action| &action["by"]).collect();
    assert_eq!(by, ["anonymous", "kim", "alex"]);
}

#[tokio::test]
async fn what_somebody_noted_does_not_steer_the_terminal() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = &opened(&daemon, &receiver).await;
    warden(&daemon, &["comment", incident, "all\tis\nwell"]).await.done();
    let shown = warden(&daemon, &["incident", incident]).await.done();
    assert!(shown.contains("all\\tis\\nwell"), "{shown}");
}
