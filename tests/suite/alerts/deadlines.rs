//! Which deadline holds, and what moving it does.

use super::*;
use crate::support::daemon::START;

const STEPS: &str = r#"
[workflow_defaults]
deadline = "3h"
[workflows.uploads]
deadline = "2h"
steps = [{ name = "copy", deadline = "5m" }, { name = "backup" }]
"#;

#[tokio::test]
async fn the_earlier_of_request_and_step_holds_and_without_them_that_of_the_workflow_or_the_default() {
    let daemon = TestDaemon::builder().config(STEPS).start().await;
    for (workflow, item, query, deadline) in [
        ("uploads", "asked", "?deadline=1m&step=copy", "2026-01-01T00:01:00.000Z"),
        ("uploads", "instant", "?deadline=2026-01-01T01:30:00%2B01:00", "2026-01-01T00:05:00.000Z"),
        ("uploads", "later", "?deadline=2026-01-01T01:30:00%2B01:00&step=backup", "2026-01-01T00:30:00.000Z"),
        ("uploads", "first-step", "", "2026-01-01T00:05:00.000Z"),
        ("uploads", "step", "?step=copy", "2026-01-01T00:05:00.000Z"),
        ("uploads", "step-without", "?step=backup", "2026-01-01T02:00:00.000Z"),
        ("other", "default", "", "2026-01-01T03:00:00.000Z"),
        ("other", "any-step", "?step=copy", "2026-01-01T03:00:00.000Z"),
    ] {
        assert_eq!(daemon.create(workflow, item, query, "payload").await["deadline"], deadline, "{item}");
    }
}

#[tokio::test]
async fn each_deadline_is_kept_to_the_millisecond() {
    let daemon = TestDaemon::builder().config(STEPS).start().await;
    for (item, query) in
        [("asked", "?deadline=1m&step=copy"), ("step", "?step=copy"), ("workflow", "?step=backup")]
    {
        daemon.create("uploads", item, query, "payload").await;
    }
    for (passed, count) in [(MINUTE, 1), (5 * MINUTE, 2), (2 * HOUR, 3)] {
        let overdue = || async { daemon.get("/v1/workflows/uploads/stats").await["overdue"].clone() };
        advance_to(&daemon, START.after(passed - Duration::from_millis(1)));
        assert_eq!(overdue().await, count - 1);
        daemon.advance(Duration::from_millis(1));
        eventually("one more overdue item", || async { (overdue().await == count).then_some(()) }).await;
    }
    assert_eq!(daemon.open_incidents(1).await[0]["count"], 3);
}

#[tokio::test]
async fn a_deadline_in_the_past_is_due_at_once() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let item = daemon.create("uploads", "old", "?deadline=2020-02-29T12:00:00Z", "payload").await;
    assert_eq!((&item["state"], &item["deadline"]), (&json!("overdue"), &json!("2020-02-29T12:00:00.000Z")));
    let incident = daemon.open_incidents(1).await.remove(0);
    assert_eq!(incident["opened_at"], "2026-01-01T00:00:00.000Z");
    assert_eq!(incident["oldest_deadline"], "2020-02-29T12:00:00.000Z");
    daemon.advance(10 * SECOND);
    let opened = told(&receiver, "incident.opened").await;
    let summary = opened["summary"].as_str().unwrap();
    assert!(summary.starts_with("1 item of uploads is overdue, the oldest for 5years "), "{summary}");
}

#[tokio::test]
async fn an_extension_before_the_deadline_puts_the_alert_off() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    daemon.create("uploads", "file-1", "?deadline=1m", "payload").await;
    daemon.advance(30 * SECOND);
    patch(&daemon, "uploads", "file-1", json!({"deadline": "2m"})).await;
    daemon.advance(30 * SECOND);
    daemon.advance(90 * SECOND);
    let incident = daemon.open_incidents(1).await.remove(0);
    assert_eq!(incident["opened_at"], "2026-01-01T00:02:30.000Z");
}

#[tokio::test]
async fn an_extension_of_the_last_overdue_item_resolves_until_it_is_late_again() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    lose(&daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    let opened = told(&receiver, "incident.opened").await;
    let item = patch(&daemon, "uploads", "file-1", json!({"deadline": "1h"})).await;
    assert_eq!(item["state"], "open");
    assert_eq!(told(&receiver, "incident.resolved").await["id"], opened["id"]);
    daemon.advance(HOUR);
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    assert_ne!(told(&receiver, "incident.opened").await["id"], opened["id"]);
}

#[tokio::test]
async fn moving_a_deadline_to_another_past_instant_leaves_the_incident_open() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    patch(&daemon, "uploads", "file-1", json!({"deadline": "2025-01-01T00:00:00Z"})).await;
    let moved = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await;
    assert_eq!((&moved["count"], &moved["oldest_deadline"]), (&json!(1), &json!("2025-01-01T00:00:00.000Z")));
    daemon.advance(10 * SECOND);
    assert_eq!(told(&receiver, "incident.opened").await["id"], incident["id"]);
    daemon.close("uploads", "file-1").await;
    assert_eq!(told(&receiver, "incident.resolved").await["id"], incident["id"]);
}

#[tokio::test]
async fn a_deadline_brought_forward_wakes_the_daemon_earlier() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=10years", "payload").await;
    patch(&daemon, "uploads", "file-1", json!({"deadline": "1m"})).await;
    daemon.advance(MINUTE);
    daemon.open_incidents(1).await;
}
