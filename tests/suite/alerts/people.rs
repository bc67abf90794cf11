//! What people do about an incident: acknowledge, snooze, comment; and what follows if they do nothing.

use super::*;
use crate::support::Answer;

/// A daemon that tells `oncall`, and `manager` half an hour later.
fn escalating(oncall: &TestReceiver, manager: &TestReceiver) -> Builder {
    let escalate = "[workflows.uploads]\nescalate = [{ after = \"30m\", receivers = [\"manager\"] }]";
    let url = manager.url();
    let manager = format!("[receivers.manager]\nurl = \"{url}\"\nallow_private = true");
    super::oncall(oncall).config(&manager).config(escalate)
}

async fn act(daemon: &TestDaemon, incident: &Value, what: &str, document: Value) -> Answer {
    daemon.send_json(Method::POST, &format!("/v1/incidents/{}/{what}", id(incident)), document).await
}

/// Loses an item, and gives its incident once it was told.
async fn opened(daemon: &TestDaemon, receiver: &TestReceiver) -> Value {
    lose(daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    told(receiver, "incident.opened").await
}

#[tokio::test]
async fn what_nobody_acknowledges_is_escalated_and_everybody_hears_of_the_end() {
    let (oncall, manager) = (TestReceiver::start().await, TestReceiver::start().await);
    let mut daemon = escalating(&oncall, &manager).on_sled().start().await;
    let incident = opened(&daemon, &oncall).await;
    daemon.restart_after(20 * MINUTE).await;
    daemon.advance(10 * MINUTE);
    let escalated = told(&manager, "incident.escalated").await;
    assert_eq!((&escalated["id"], &escalated["count"]), (&incident["id"], &json!(1)));
    let known = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await;
    assert_eq!((&known["escalations"], &known["told"]), (&json!(1), &json!(["manager", "oncall"])));
    daemon.close("uploads", "file-1").await;
    told(&oncall, "incident.resolved").await;
    told(&manager, "incident.resolved").await;
}

#[tokio::test]
async fn what_somebody_acknowledged_is_not_escalated_not_even_after_a_restart() {
    let (oncall, manager) = (TestReceiver::start().await, TestReceiver::start().await);
    let mut daemon = escalating(&oncall, &manager).on_sled().start().await;
    let incident = opened(&daemon, &oncall).await;
    let acknowledged = json!({"by": "kim", "comment": "on it"});
    let answer = act(&daemon, &incident, "ack", acknowledged.clone()).await.json(200);
    assert_eq!(answer["acknowledged"], true);
    let action = json!({"action": "acknowledge", "by": "kim", "comment": "on it",
        "at": "2026-01-01T00:00:10.000Z", "until": null});
    assert_eq!(answer["actions"], json!([action]));
    let again = act(&daemon, &incident, "ack", acknowledged).await.json(200);
    assert_eq!(again["actions"], json!([action]), "once more is not twice");
    daemon.restart().await;
    daemon.advance(4 * HOUR);
    let reminder = told(&oncall, "incident.reminder").await;
    assert_eq!(reminder["acknowledged_by"], "kim");
    let known = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await;
    assert_eq!((&known["escalations"], &known["told"]), (&json!(0), &json!(["oncall"])));
    assert!(manager.arrived().await.is_empty());
}

#[tokio::test]
async fn what_comes_back_must_be_acknowledged_anew_even_in_the_same_words() {
    let (oncall, manager) = (TestReceiver::start().await, TestReceiver::start().await);
    let daemon = escalating(&oncall, &manager).start().await;
    let incident = opened(&daemon, &oncall).await;
    let kim = json!({"by": "kim"});
    act(&daemon, &incident, "ack", kim.clone()).await.json(200);
    daemon.close("uploads", "file-1").await;
    told(&oncall, "incident.resolved").await;
    lose(&daemon, "uploads", "file-2").await;
    let again = daemon.open_incidents(1).await.remove(0);
    assert_eq!((&again["id"], &again["acknowledged"]), (&incident["id"], &json!(false)));
    let again = act(&daemon, &incident, "ack", kim).await.json(200);
    assert_eq!((&again["acknowledged"], again["actions"].as_array().unwrap().len()), (&json!(true), 2));
    daemon.advance(5 * MINUTE);
    told(&oncall, "incident.opened").await;
    daemon.advance(4 * HOUR);
    told(&oncall, "incident.reminder").await;
    assert!(manager.arrived().await.is_empty());
}

#[tokio::test]
async fn an_acknowledgement_needs_no_body() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = opened(&daemon, &receiver).await;
    let path = format!("/v1/incidents/{}/ack", id(&incident));
    let answer = daemon.ask(Method::POST, &path).await.json(200);
    assert_eq!(answer["actions"][0]["by"], "anonymous");
}

#[tokio::test]
async fn a_snoozed_incident_is_quiet_until_it_is_over_and_is_recalled_then() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).on_sled().start().await;
    let incident = opened(&daemon, &receiver).await;
    let snoozed = act(&daemon, &incident, "snooze", json!({"for": "6h", "by": "kim"})).await.json(200);
    assert_eq!(snoozed["snoozed_until"], "2026-01-01T06:00:10.000Z");
    daemon.advance(4 * HOUR);
    daemon.restart().await;
    daemon.advance(HOUR);
    lose(&daemon, "downloads", "file-2").await;
    daemon.open_incidents(2).await;
    daemon.advance(10 * SECOND);
    let other = told(&receiver, "incident.opened").await;
    assert_eq!(other["workflow"], "downloads", "the snoozed one would have been recalled before");
    daemon.advance(HOUR);
    let recalled = told(&receiver, "incident.reminder").await;
    assert_eq!(recalled["id"], incident["id"]);
    let woken = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await;
    assert_eq!(woken["snoozed_until"], Value::Null);
}

#[tokio::test]
async fn a_snooze_can_be_ended_before_its_time() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = opened(&daemon, &receiver).await;
    act(&daemon, &incident, "snooze", json!({"for": "1d"})).await.json(200);
    daemon.advance(5 * HOUR);
    act(&daemon, &incident, "snooze", json!({"for": "0s"})).await.json(200);
    assert_eq!(told(&receiver, "incident.reminder").await["id"], incident["id"]);
}

#[tokio::test]
async fn the_end_is_told_through_a_snooze() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = opened(&daemon, &receiver).await;
    act(&daemon, &incident, "snooze", json!({"for": "1d"})).await.json(200);
    daemon.close("uploads", "file-1").await;
    assert_eq!(told(&receiver, "incident.resolved").await["id"], incident["id"]);
}

#[tokio::test]
async fn comments_are_kept_with_who_and_when_also_after_the_end() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        let incident = opened(&daemon, &receiver).await;
        act(&daemon, &incident, "comments", json!({"by": "kim", "comment": "disk full?"})).await.json(200);
        daemon.close("uploads", "file-1").await;
        told(&receiver, "incident.resolved").await;
        daemon.advance(HOUR);
        lose(&daemon, "uploads", "file-2").await;
        let another = daemon.open_incidents(1).await.remove(0);
        let late = json!({"by": "alex", "comment": "it was the disk"});
        act(&daemon, &incident, "comments", late).await.json(200);
        daemon.restart().await;
        let known = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await;
        let said: Vec<&Value> =
            known["actions"].as_array().unwrap().iter().map(|action| &action["comment"]).collect();
        assert_eq!(said, ["disk full?", "it was the disk"]);
        assert_eq!(known["status"], "resolved");
        let open = daemon.open_incidents(1).await.remove(0);
        assert_eq!(open["id"], another["id"], "the one that stands now is left alone");
        daemon.close("uploads", "file-2").await;
        daemon.open_incidents(0).await;
    }
}

#[tokio::test]
async fn what_is_over_cannot_be_looked_after_and_what_is_unknown_cannot_be_acted_on() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let incident = opened(&daemon, &receiver).await;
    daemon.close("uploads", "file-1").await;
    told(&receiver, "incident.resolved").await;
    act(&daemon, &incident, "ack", json!({})).await.refused(409, "incident-resolved");
    act(&daemon, &incident, "snooze", json!({"for": "1h"})).await.refused(409, "incident-resolved");
    let unknown = json!({"id": "inc_0"});
    act(&daemon, &unknown, "ack", json!({})).await.refused(404, "incident-not-found");
    for (what, document) in [
        ("snooze", json!({"for": "8d"})),
        ("snooze", json!({"for": "soon"})),
        ("snooze", json!({})),
        ("ack", json!({"by": ""})),
        ("ack", json!({"by": "x".repeat(129)})),
        ("ack", json!({"who": "kim"})),
        ("comments", json!({"comment": "x".repeat(513)})),
        ("comments", json!({"by": "kim"})),
        ("comments", json!({"comment": ""})),
        ("comments", json!({"comment": "\u{1}"})),
    ] {
        act(&daemon, &incident, what, document).await.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn an_incident_that_everybody_talks_about_stays_small() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).on_sled().start().await;
    let incident = opened(&daemon, &receiver).await;
    let mut known = Value::Null;
    for round in 0..40 {
        let comment = format!("{round:02}{}", "\n".repeat(510));
        let document = json!({"by": "k".repeat(128), "comment": comment});
        known = act(&daemon, &incident, "comments", document).await.json(200);
    }
    let actions = known["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 20);
    assert!(actions[0]["comment"].as_str().unwrap().starts_with("20"), "the latest are kept");
}
