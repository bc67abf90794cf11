//! Incidents on the command line: shown, acknowledged, snoozed, commented.

use serde_json::{Value, json};

use super::{command, run, warden};
use crate::alerts::{HOUR, SECOND, id, lose, oncall, told};
use crate::support::{TestDaemon, TestReceiver};

/// Loses an item, and gives the id of its incident once it was told.
async fn opened(daemon: &TestDaemon, receiver: &TestReceiver) -> String {
    lose(daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    id(&told(receiver, "incident.opened").await).to_owned()
}

#[tokio::test]
async fn who_acknowledged_snoozed_and_commented_is_shown() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = &opened(&daemon, &receiver).await;

    let said = warden(&daemon, &["ack", incident, "--comment", "on it"]).await.done();
    assert_eq!(said, format!("uploads {incident} is acknowledged\n"));
    let list = warden(&daemon, &["incidents"]).await.done();
    let line: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(line[..7], [incident, "uploads", "overdue", "acknowledged", "critical", "1", "1"]);

    let said = warden(&daemon, &["snooze", incident, "30m", "--by", "alex"]).await.done();
    let until = "2026-01-01T00:30:10.000Z";
    assert!(said.starts_with(&format!("uploads {incident} is snoozed until {until}")), "{said}");
    let said = warden(&daemon, &["comment", incident, "disk full?", "--by", "sam"]).await.done();
    assert_eq!(said, format!("uploads {incident} has one more comment\n"));

    let shown = warden(&daemon, &["incident", incident]).await.done();
    let lines: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for (start, end) in [
        ("status", &*format!("open, acknowledged, snoozed until {until}")),
        ("told", "told oncall"),
        ("escalations", "escalations 0"),
        ("", "kim acknowledge on it"),
        ("", &format!("alex snooze until {until}")),
        ("", "sam comment disk full?"),
    ] {
        assert!(lines.iter().any(|line| line.starts_with(start) && line.contains(end)), "{end} in {shown}");
    }
    let list = warden(&daemon, &["incidents"]).await.done();
    assert!(list.contains("snoozed"), "{list}");

    let said = warden(&daemon, &["snooze", incident, "0s"]).await.done();
    assert_eq!(said, format!("uploads {incident} is not snoozed any more\n"));
    daemon.advance(HOUR);
    daemon.close("uploads", "file-1").await;
    daemon.open_incidents(0).await;
    let list = warden(&daemon, &["incidents", "--status", "resolved"]).await.done();
    assert!(list.contains(incident) && list.contains("resolved"), "{list}");
    warden(&daemon, &["comment", incident, "it was the disk"]).await.done();
    let said = warden(&daemon, &["ack", incident]).await.failed(1);
    assert!(said.starts_with("warden: The incident is resolved"), "{said}");
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

#[tokio::test]
async fn what_cannot_be_done_about_an_incident_says_why_and_in_the_exit_code() {
    let daemon = TestDaemon::start().await;
    for arguments in [
        &["incident", "inc_0"][..],
        &["ack", "inc_0"],
        &["snooze", "inc_0", "1h"],
        &["comment", "inc_0", "a"],
    ] {
        let said = warden(&daemon, arguments).await.failed(1);
        assert!(said.starts_with("warden: There is no such incident"), "{said}");
    }
    for (arguments, told) in [
        (&["incident", "../silences"][..], "an id of the daemon's is letters"),
        (&["snooze", "inc_0", "soon"], "is not a duration"),
        (&["snooze", "inc_0"], "<FOR>"),
        (&["incidents", "--status", "odd"], "possible values: open, resolved, any"),
    ] {
        let said = warden(&daemon, arguments).await.failed(64);
        assert!(said.contains(told), "{told}: {said}");
    }
}
