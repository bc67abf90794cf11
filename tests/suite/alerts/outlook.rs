//! An incident shows when it is notified next, and what delays that.

use super::*;

fn silence(workflow: &str, lasts: &str) -> Value {
    json!({"workflow": workflow, "for": lasts, "author": "kim", "comment": "maintenance"})
}

/// What lies ahead of the only open incident: when it is told next, and what it waits for.
async fn ahead(daemon: &TestDaemon) -> (Value, Value) {
    let open = daemon.open_incidents(1).await.remove(0);
    let alone = daemon.get(&format!("/v1/incidents/{}", id(&open))).await;
    assert_eq!(
        (&alone["next_told_at"], &alone["waiting_for"]),
        (&open["next_told_at"], &open["waiting_for"])
    );
    (open["next_told_at"].clone(), open["waiting_for"].clone())
}

#[tokio::test]
async fn an_open_incident_waits_for_the_group_wait_and_then_only_for_its_reminder() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).on_sled().start().await;
    lose(&daemon, "uploads", "file-1").await;
    let gathers = (json!("2026-01-01T00:00:10.000Z"), json!("group_wait"));
    assert_eq!(ahead(&daemon).await, gathers);
    daemon.restart().await;
    assert_eq!(ahead(&daemon).await, gathers, "the restart has changed nothing");
    daemon.advance(10 * SECOND);
    told(&receiver, "incident.opened").await;
    assert_eq!(ahead(&daemon).await, (json!("2026-01-01T04:00:10.000Z"), Value::Null));
    for item in ["file-2", "file-3"] {
        lose(&daemon, "uploads", item).await;
    }
    let id = id(&daemon.open_incidents(1).await[0]).to_owned();
    incident_of(&daemon, &id, 3).await;
    assert_eq!(ahead(&daemon).await, (json!("2026-01-01T00:05:10.000Z"), json!("group_interval")));
    for item in ["file-1", "file-2", "file-3"] {
        daemon.close("uploads", item).await;
    }
    told(&receiver, "incident.resolved").await;
    let resolved = daemon.get(&format!("/v1/incidents/{id}")).await;
    assert_eq!((&resolved["next_told_at"], &resolved["waiting_for"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_silence_and_a_snooze_say_until_when_they_hold_it_back() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let request = daemon.request(Method::POST, "/v1/silences").json(&silence("up*", "1h"));
    expect(request, StatusCode::CREATED).await;
    lose(&daemon, "uploads", "file-1").await;
    assert_eq!(ahead(&daemon).await, (json!("2026-01-01T01:00:00.000Z"), json!("silence")));
    let id = id(&daemon.open_incidents(1).await[0]).to_owned();
    let path = format!("/v1/incidents/{id}/snooze");
    let snoozed =
        expect(daemon.request(Method::POST, &path).json(&json!({"for": "2h"})), StatusCode::OK).await;
    assert_eq!(snoozed["waiting_for"], "snooze");
    assert_eq!(ahead(&daemon).await, (json!("2026-01-01T02:00:00.000Z"), json!("snooze")));
}

#[tokio::test]
async fn a_receiver_that_cannot_be_reached_is_what_it_waits_for() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).on_sled().start().await;
    receiver.usually(503, &[]);
    lose(&daemon, "uploads", "file-1").await;
    let id = id(&daemon.open_incidents(1).await[0]).to_owned();
    daemon.advance(10 * SECOND);
    let waits = |incident: &Value| incident["waiting_for"] == "receiver";
    let incident = incident_when(&daemon, &id, "a receiver that fails", waits).await;
    let delivery = delivery_tried(&daemon, &id, 1).await;
    assert_eq!(incident["next_told_at"], delivery["next_attempt_at"]);
    daemon.restart().await;
    incident_when(&daemon, &id, "a receiver that fails", waits).await;
    receiver.usually(410, &[]);
    daemon.advance(MINUTE);
    let is_paused = |incident: &Value| waits(incident) && incident["next_told_at"].is_null();
    incident_when(&daemon, &id, "a receiver that is paused", is_paused).await;
}
