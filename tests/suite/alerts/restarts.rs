//! A restart at any point of an incident's life: nothing is lost, no notification gets a new id, and the
//! incident stays the same.

use super::raw::RawReceiver;
use super::*;

#[tokio::test]
async fn before_the_deadline() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        daemon.create("uploads", "late", "?deadline=1m", "payload").await;
        daemon.create("uploads", "closed", "?deadline=1m", "payload").await;
        daemon.close("uploads", "closed").await;
        daemon.restart().await;
        daemon.advance(MINUTE);
        let incident = daemon.open_incidents(1).await.remove(0);
        assert_eq!(incident["opened_at"], "2026-01-01T00:01:00.000Z");
        daemon.advance(10 * SECOND);
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!((&opened["count"], &opened["items"][0]["id"]), (&json!(1), &json!("late")));
    }
}

#[tokio::test]
async fn before_the_group_wait_has_passed() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        daemon.restart_after(4 * SECOND).await;
        assert_eq!(daemon.open_incidents(1).await[0]["id"], incident["id"]);
        daemon.advance(5 * SECOND);
        daemon.restart().await;
        daemon.advance(SECOND);
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!((&opened["id"], &opened["opened_at"]), (&incident["id"], &incident["opened_at"]));
        daemon.close("uploads", "file-1").await;
        told(&receiver, "incident.resolved").await;
    }
}

#[tokio::test]
async fn between_the_decision_and_its_delivery() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        receiver.answer(500, &[]);
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let first = receiver.next().await;
        let incident = first.json()["data"].clone();
        let tried = delivery_tried(&daemon, id(&incident), 1).await;
        daemon.restart().await;
        assert_eq!(delivery_tried(&daemon, id(&incident), 1).await, tried);
        advance_to(&daemon, instant(&tried["next_attempt_at"]));
        let second = receiver.next().await;
        assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(second.body, first.body);
        assert_eq!(delivery_tried(&daemon, id(&incident), 2).await["status"], "delivered");
    }
}

#[tokio::test]
async fn while_an_attempt_is_under_way() {
    for engine in ["memory", "sled"] {
        let receiver = RawReceiver::start().await;
        let config = format!(
            "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{}\"\nallow_private = true",
            receiver.url()
        );
        let builder = TestDaemon::builder().config(&config);
        let mut daemon = if engine == "sled" { builder.on_sled() } else { builder }.start().await;
        lose(&daemon, "uploads", "file-1").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        daemon.advance(10 * SECOND);
        let unanswered = receiver.request().await;
        daemon.restart().await;
        let again = receiver.request().await;
        assert_eq!(again.header("webhook-id"), unanswered.header("webhook-id"));
        assert_eq!(again.body(), unanswered.body());
        again.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
        let delivered = delivery_tried(&daemon, id(&incident), 1).await;
        assert_eq!(
            (&delivered["status"], &delivered["id"]),
            (&json!("delivered"), &json!(unanswered.header("webhook-id")))
        );
    }
}

#[tokio::test]
async fn after_the_delivery() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let incident = told(&receiver, "incident.opened").await;
        delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;
        daemon.restart_after(HOUR).await;
        daemon.restart_after(HOUR).await;
        // Four hours after people were told, not after the start.
        daemon.advance(2 * HOUR);
        assert_eq!(told(&receiver, "incident.reminder").await["id"], incident["id"]);
        daemon.restart().await;
        daemon.close("uploads", "file-1").await;
        assert_eq!(told(&receiver, "incident.resolved").await["id"], incident["id"]);
    }
}

#[tokio::test]
async fn between_the_close_and_the_telling_of_the_end() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let incident = told(&receiver, "incident.opened").await;
        delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;
        receiver.answer(500, &[]);
        daemon.close("uploads", "file-1").await;
        let first = receiver.next().await;
        let [_, tried] = eventually("an attempt to tell the end", || async {
            let deliveries: Result<[Value; 2], _> = deliveries(&daemon, id(&incident)).await.try_into();
            deliveries.ok().filter(|[_, resolved]| resolved["attempts_made"] == 1)
        })
        .await;
        daemon.restart().await;
        daemon.open_incidents(0).await;
        advance_to(&daemon, instant(&tried["next_attempt_at"]));
        let second = receiver.next().await;
        assert_eq!(second.event(), "incident.resolved");
        assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(second.body, first.body);
    }
}

#[tokio::test]
async fn right_after_the_close() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let incident = told(&receiver, "incident.opened").await;
        daemon.close("uploads", "file-1").await;
        // Whether the end was decided before the stop or is after the start, it is told, and under one id.
        daemon.restart().await;
        let end = receiver.next().await;
        assert_eq!((end.event().as_str(), &end.json()["data"]["id"]), ("incident.resolved", &incident["id"]));
        let ends = eventually("the end", || async {
            let mut ends = deliveries(&daemon, id(&incident)).await;
            ends.retain(|delivery| delivery["event"] == "incident.resolved");
            ends.iter().all(|delivery| delivery["status"] == "delivered").then_some(ends)
        })
        .await;
        assert_eq!(ends.len(), 1);
        assert_eq!(ends[0]["id"], end.header("webhook-id"));
        // One that was under way at the stop may have come twice.
        receiver.arrived().await;
    }
}

#[tokio::test]
async fn of_an_incident_that_ended_in_silence() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        daemon.close("uploads", "file-1").await;
        daemon.restart_after(HOUR).await;
        daemon.open_incidents(0).await;
        let ended = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await;
        assert_eq!((&ended["status"], &ended["told"]), (&json!("resolved"), &json!([])));
        assert!(deliveries(&daemon, id(&incident)).await.is_empty());
    }
}

#[tokio::test]
async fn of_a_failed_item() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        daemon.create("uploads", "file-1", "?deadline=1h", "payload").await;
        fail(&daemon, "uploads", "file-1").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        daemon.restart_after(10 * SECOND).await;
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!((&opened["id"], &opened["kind"]), (&incident["id"], &json!("failed")));
        daemon.restart().await;
        daemon.close("uploads", "file-1").await;
        assert_eq!(told(&receiver, "incident.resolved").await["id"], incident["id"]);
    }
}
