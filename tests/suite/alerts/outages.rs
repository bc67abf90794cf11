//! The daemon was down for long, or while the clock was set.

use super::*;
use crate::support::daemon::START;

#[tokio::test]
async fn what_fell_overdue_while_the_daemon_was_down_is_told_once_for_each_workflow() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        for workflow in ["billing", "downloads", "uploads"] {
            for hour in 1..=20 {
                let query = format!("?deadline={hour}h");
                daemon.create(workflow, &format!("file-{hour}"), &query, "payload").await;
            }
        }
        daemon.restart_after(DAY).await;
        for incident in daemon.open_incidents(3).await {
            assert_eq!(
                (&incident["count"], &incident["oldest_deadline"]),
                (&json!(20), &json!("2026-01-01T01:00:00.000Z"))
            );
        }
        daemon.advance(10 * SECOND);
        let mut opened = Vec::new();
        for _ in 0..3 {
            let data = told(&receiver, "incident.opened").await;
            assert_eq!(data["count"], 20);
            opened.push(data["workflow"].as_str().unwrap().to_owned());
        }
        opened.sort();
        assert_eq!(opened, ["billing", "downloads", "uploads"]);
        for hour in 1..=20 {
            daemon.close("uploads", &format!("file-{hour}")).await;
        }
        assert_eq!(told(&receiver, "incident.resolved").await["peak"], 20);
    }
}

#[tokio::test]
async fn of_an_incident_that_went_on_people_are_told_once_and_not_of_each_reminder_they_missed() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let incident = told(&receiver, "incident.opened").await;
        delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;
        daemon.restart_after(DAY).await;
        assert_eq!(told(&receiver, "incident.reminder").await["id"], incident["id"]);
        daemon.close("uploads", "file-1").await;
        assert_eq!(told(&receiver, "incident.resolved").await["id"], incident["id"]);
    }
}

#[tokio::test]
async fn a_delivery_that_waited_out_the_outage_is_tried_once_more() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.config("[workflows.uploads]\nrepeat_interval = \"30d\"").start().await;
        receiver.answer(500, &[]);
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let first = receiver.next().await;
        let incident = first.json()["data"].clone();
        delivery_tried(&daemon, id(&incident), 1).await;
        daemon.restart_after(3 * DAY).await;
        let second = receiver.next().await;
        assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(delivery_tried(&daemon, id(&incident), 2).await["status"], "delivered");
    }
}

#[tokio::test]
async fn a_delivery_does_not_wait_for_a_clock_that_was_set_back() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        daemon.create("uploads", "file-1", "?deadline=2020-01-01T00:00:00Z", "payload").await;
        daemon.open_incidents(1).await;
        receiver.answer(500, &[]);
        daemon.advance(10 * SECOND);
        let first = receiver.next().await;
        let incident = first.json()["data"].clone();
        delivery_tried(&daemon, id(&incident), 1).await;
        daemon.reboot(START.moved(-86_400_000)).await;
        daemon.advance(MINUTE);
        let second = receiver.next().await;
        assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(delivery_tried(&daemon, id(&incident), 2).await["status"], "delivered");
    }
}

#[tokio::test]
async fn an_incident_does_not_wait_for_a_clock_that_was_set_back() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        daemon.create("uploads", "file-1", "?deadline=2020-01-01T00:00:00Z", "payload").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        let yesterday = START.moved(-86_400_000);
        daemon.reboot(yesterday).await;
        daemon.advance(10 * SECOND);
        assert_eq!(told(&receiver, "incident.opened").await["id"], incident["id"]);
        delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;
        daemon.reboot(yesterday.moved(-86_400_000)).await;
        daemon.advance(4 * HOUR);
        told(&receiver, "incident.reminder").await;
        daemon.close("uploads", "file-1").await;
        told(&receiver, "incident.resolved").await;
    }
}
