//! An incident that stays open: growth and reminders.

use super::*;

/// Tells of one overdue item and gives its incident.
async fn opened(daemon: &TestDaemon, receiver: &TestReceiver) -> Value {
    daemon.create("uploads", "file-0", "?deadline=0s&step=copy", "payload").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    told(receiver, "incident.opened").await
}

#[tokio::test]
async fn an_incident_that_has_doubled_is_told_again_after_the_group_interval() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = opened(&daemon, &receiver).await;
    daemon.create("uploads", "file-1", "?deadline=0s&step=copy", "payload").await;
    incident_of(&daemon, id(&incident), 2).await;
    daemon.advance(5 * MINUTE);
    let grown = told(&receiver, "incident.grown").await;
    assert_eq!((&grown["id"], &grown["count"]), (&incident["id"], &json!(2)));
    let notified = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await["notified_at"].clone();
    assert_eq!(notified, "2026-01-01T00:05:10.000Z");

    daemon.create("uploads", "file-2", "?deadline=0s&step=copy", "payload").await;
    incident_of(&daemon, id(&incident), 3).await;
    daemon.advance(HOUR);
    daemon.create("uploads", "file-3", "?deadline=0s&step=copy", "payload").await;
    let grown = told(&receiver, "incident.grown").await;
    assert_eq!(grown["count"], 4, "three are not twice as many as two");
}

#[tokio::test]
async fn a_step_that_nobody_was_told_of_is_growth() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config("[workflows.uploads]\ngrow_factor = 100.0").start().await;
    let incident = opened(&daemon, &receiver).await;
    daemon.create("uploads", "file-1", "?deadline=0s&step=copy", "payload").await;
    daemon.create("uploads", "file-2", "?deadline=0s&step=backup", "payload").await;
    incident_of(&daemon, id(&incident), 3).await;
    daemon.advance(5 * MINUTE);
    assert_eq!(told(&receiver, "incident.grown").await["by_step"], json!({"copy": 2, "backup": 1}));
}

#[tokio::test]
async fn people_are_reminded_of_what_goes_on() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = opened(&daemon, &receiver).await;
    for reminded in ["2026-01-01T04:00:10.000Z", "2026-01-01T08:00:10.000Z"] {
        daemon.advance(4 * HOUR);
        let reminder = receiver.next().await.json();
        assert_eq!(
            (&reminder["type"], &reminder["timestamp"]),
            (&json!("incident.reminder"), &json!(reminded))
        );
        assert_eq!(reminder["data"]["id"], incident["id"]);
    }
    daemon.close("uploads", "file-0").await;
    told(&receiver, "incident.resolved").await;
}

#[tokio::test]
async fn the_intervals_of_a_workflow_go_before_the_defaults() {
    let receiver = TestReceiver::start().await;
    let uploads = "[workflows.uploads]\ngroup_wait = \"1s\"\ngroup_interval = \"2s\"\nrepeat_interval = \
                   \"1m\"\ngrow_factor = 3.0\nseverity = \"info\"\nrunbook_url = \
                   \"https://wiki.example.com/uploads\"";
    let daemon = oncall(&receiver).config(uploads).start().await;
    lose(&daemon, "uploads", "file-0").await;
    daemon.open_incidents(1).await;
    daemon.advance(SECOND);
    let opened = told(&receiver, "incident.opened").await;
    assert_eq!(opened["severity"], "info");
    assert_eq!(opened["runbook_url"], "https://wiki.example.com/uploads");
    for item in ["file-1", "file-2"] {
        lose(&daemon, "uploads", item).await;
    }
    incident_of(&daemon, id(&opened), 3).await;
    daemon.advance(2 * SECOND);
    told(&receiver, "incident.grown").await;
    daemon.advance(MINUTE);
    told(&receiver, "incident.reminder").await;
}
