//! Silences: incidents exist, and nobody is notified for a while.

use super::*;

async fn silence(daemon: &TestDaemon, document: Value) -> Value {
    daemon.send_json(Method::POST, "/v1/silences", document).await.json(201)
}

fn for_uploads(duration: &str) -> Value {
    json!({"workflow": "up*", "for": duration, "author": "kim", "comment": "moving the disks"})
}

#[tokio::test]
async fn what_is_still_open_when_a_silence_ends_is_told_then() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        let made = silence(&daemon, for_uploads("2h")).await;
        assert_eq!(made["status"], "active");
        assert_eq!(made["ends_at"], "2026-01-01T02:00:00.000Z");
        lose(&daemon, "uploads", "file-1").await;
        lose(&daemon, "downloads", "file-2").await;
        daemon.open_incidents(2).await;
        daemon.advance(10 * SECOND);
        assert_eq!(told(&receiver, "incident.opened").await["workflow"], "downloads");
        daemon.restart_after(HOUR).await;
        let incidents = daemon.open_incidents(2).await;
        let silenced = incidents.iter().find(|incident| incident["workflow"] == "uploads").unwrap();
        assert_eq!((&silenced["notified_at"], &silenced["told"]), (&Value::Null, &json!([])));
        daemon.close("downloads", "file-2").await;
        assert_eq!(told(&receiver, "incident.resolved").await["workflow"], "downloads");
        daemon.advance(HOUR);
        assert_eq!(told(&receiver, "incident.opened").await["workflow"], "uploads");
        daemon.close("uploads", "file-1").await;
        assert_eq!(told(&receiver, "incident.resolved").await["workflow"], "uploads");
    }
}

#[tokio::test]
async fn what_ends_within_a_silence_was_never_told() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    silence(&daemon, for_uploads("2h")).await;
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(HOUR);
    daemon.close("uploads", "file-1").await;
    daemon.open_incidents(0).await;
    assert!(deliveries(&daemon, id(&incident)).await.is_empty());
}

#[tokio::test]
async fn the_end_is_told_through_a_silence_to_those_who_heard_of_the_beginning() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    lose(&daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    let opened = told(&receiver, "incident.opened").await;
    silence(&daemon, for_uploads("2h")).await;
    daemon.close("uploads", "file-1").await;
    assert_eq!(told(&receiver, "incident.resolved").await["id"], opened["id"]);
}

#[tokio::test]
async fn a_silence_that_is_ended_by_hand_lets_what_it_held_back_out_at_once() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let made = silence(&daemon, for_uploads("1d")).await;
    lose(&daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(HOUR);
    let path = format!("/v1/silences/{}", made["id"].as_str().unwrap());
    assert_eq!(daemon.ask(Method::DELETE, &path).await.status, 204);
    told(&receiver, "incident.opened").await;
    assert_eq!(daemon.ask(Method::DELETE, &path).await.status, 204, "again is fine");
    let ended = daemon.ask(Method::GET, &path).await.json(200);
    assert_eq!(
        (&ended["status"], &ended["ends_at"]),
        (&json!("expired"), &json!("2026-01-01T01:00:00.000Z"))
    );
}

#[tokio::test]
async fn a_silence_that_begins_later_holds_from_then_on() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let mut later = for_uploads("1h");
    later["starts_at"] = json!("2026-01-01T01:00:00Z");
    assert_eq!(silence(&daemon, later).await["status"], "pending");
    lose(&daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    told(&receiver, "incident.opened").await;
    daemon.close("uploads", "file-1").await;
    told(&receiver, "incident.resolved").await;
    daemon.advance(HOUR);
    lose(&daemon, "uploads", "file-2").await;
    daemon.open_incidents(1).await;
    daemon.advance(30 * MINUTE);
    lose(&daemon, "downloads", "file-3").await;
    daemon.open_incidents(2).await;
    daemon.advance(10 * SECOND);
    assert_eq!(told(&receiver, "incident.opened").await["workflow"], "downloads");
    daemon.advance(30 * MINUTE);
    assert_eq!(told(&receiver, "incident.opened").await["workflow"], "uploads");
}

#[tokio::test]
async fn a_silence_is_for_the_kind_and_the_labels_that_it_names() {
    let receiver = TestReceiver::start().await;
    let split = "[workflows.uploads]\ngroup_by = [\"region\"]";
    let daemon = oncall(&receiver).config(split).start().await;
    let labels = json!({"region": "eu"});
    silence(&daemon, json!({"workflow": "uploads", "labels": labels, "kind": "overdue", "for": "1h"})).await;
    for (item, region) in [("a", "eu"), ("b", "us"), ("c", "eu")] {
        let deadline = if item == "c" { "1d" } else { "0s" };
        let query = format!("?deadline={deadline}&label=region:{region}");
        daemon.create("uploads", item, &query, "payload").await;
    }
    fail(&daemon, "uploads", "c").await;
    daemon.open_incidents(3).await;
    daemon.advance(10 * SECOND);
    let mut heard = Vec::new();
    for _ in 0..2 {
        let opened = told(&receiver, "incident.opened").await;
        heard.push((opened["kind"].clone(), opened["group"]["region"].clone()));
    }
    heard.sort_by_key(|(kind, _)| kind.to_string());
    assert_eq!(heard, [(json!("failed"), json!("eu")), (json!("overdue"), json!("us"))]);
}

#[tokio::test]
async fn silences_are_listed_by_where_they_stand_and_forgotten_with_the_history() {
    let mut daemon = TestDaemon::builder().config("[alerting]\nhistory = \"2h\"").on_sled().start().await;
    let mut later = for_uploads("1h");
    later["starts_at"] = json!("2026-01-01T05:00:00Z");
    let (short, later) = (silence(&daemon, for_uploads("1h")).await, silence(&daemon, later).await);
    let ids = |page: &Value| -> Vec<Value> {
        page["data"].as_array().unwrap().iter().map(|silence| silence["id"].clone()).collect()
    };
    let mut both = vec![short["id"].clone(), later["id"].clone()];
    both.sort_by_key(Value::to_string);
    assert_eq!(ids(&daemon.ask(Method::GET, "/v1/silences").await.json(200)), both);
    daemon.advance(HOUR);
    assert_eq!(ids(&daemon.get("/v1/silences").await), [later["id"].clone()]);
    assert_eq!(ids(&daemon.get("/v1/silences?status=expired").await), [short["id"].clone()]);
    let first = daemon.get("/v1/silences?status=expired&status=pending&limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/v1/silences?status=expired&status=pending&limit=1&cursor={cursor}");
    let second = daemon.get(&path).await;
    assert_eq!([ids(&first), ids(&second)].concat(), both);

    daemon.advance(2 * HOUR + 2 * MINUTE);
    let path = format!("/v1/silences/{}", short["id"].as_str().unwrap());
    eventually("the end of the history", || async {
        // The sweep may have been under way when the clock moved; then it looks again a second later.
        daemon.advance(SECOND);
        (daemon.ask(Method::GET, &path).await.status == 404).then_some(())
    })
    .await;
    daemon.restart().await;
    daemon.ask(Method::GET, &path).await.refused(404, "silence-not-found");
    assert_eq!(ids(&daemon.get("/v1/silences").await), [later["id"].clone()]);
}

#[tokio::test]
async fn a_repeated_request_with_the_same_key_makes_one_silence() {
    let daemon = TestDaemon::start().await;
    let mut made = Vec::new();
    for _ in 0..2 {
        let request = daemon.request(Method::POST, "/v1/silences").header("idempotency-key", "k1");
        made.push(expect(request.json(&for_uploads("1h")), StatusCode::CREATED).await);
    }
    assert_eq!(made[0], made[1]);
    assert_eq!(daemon.get("/v1/silences").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_silence_for_a_label_that_no_item_can_have_is_refused() {
    let split = "[workflows.uploads]\ngroup_by = [\"region\"]";
    let daemon = TestDaemon::builder().config(split).on_sled().start().await;
    for value in ["x".repeat(256), "x".repeat(60_000), "\u{1}".into()] {
        let document = json!({"workflow": "uploads", "for": "1h", "labels": {"region": value}});
        daemon.send_json(Method::POST, "/v1/silences", document).await.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn of_silences_that_are_over_only_the_latest_are_remembered() {
    let daemon = TestDaemon::start().await;
    for _ in 0..1_010 {
        silence(&daemon, for_uploads("1ms")).await;
        daemon.advance(Duration::from_millis(1));
    }
    silence(&daemon, for_uploads("1h")).await;
    let mut expired = 0;
    let mut path = "/v1/silences?status=expired&limit=1000".to_owned();
    loop {
        let page = daemon.get(&path).await;
        expired += page["data"].as_array().unwrap().len();
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/silences?status=expired&limit=1000&cursor={cursor}");
    }
    assert_eq!(expired, 1_000);
}

#[tokio::test]
async fn a_silence_that_would_silence_nothing_is_refused() {
    let daemon = TestDaemon::start().await;
    for document in [
        json!({"workflow": "uploads"}),
        json!({"workflow": "uploads", "for": "1h", "ends_at": "2026-01-02T00:00:00Z"}),
        json!({"workflow": "uploads", "for": "0s"}),
        json!({"workflow": "uploads", "ends_at": "2025-12-31T00:00:00Z"}),
        json!({"workflow": "uploads", "starts_at": "2025-12-31T00:00:00Z", "for": "1h"}),
        json!({"workflow": "uploads", "for": "1h", "labels": {"region": "eu"}}),
        json!({"workflow": "uploads", "for": "1h", "kind": "sad"}),
        json!({"workflow": "uploads", "for": "1h", "comment": "\u{7}"}),
        json!({"workflow": "", "for": "1h"}),
        json!({"workflow": "a b", "for": "1h"}),
        json!({"workflow": "uploads", "for": "1h", "comment": "x".repeat(513)}),
        json!({"for": "1h"}),
    ] {
        let answer = daemon.send_json(Method::POST, "/v1/silences", document).await;
        answer.refused(400, "invalid-request");
    }
    daemon.ask(Method::GET, "/v1/silences/sil_0").await.refused(404, "silence-not-found");
    daemon.ask(Method::DELETE, "/v1/silences/sil_0").await.refused(404, "silence-not-found");
}
