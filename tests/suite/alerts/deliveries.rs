//! What the API shows of deliveries.

use super::raw::RawReceiver;
use super::*;

#[tokio::test]
async fn each_attempt_shows_when_it_was_made_how_long_it_took_and_what_came_of_it() {
    let receiver = RawReceiver::start().await;
    let url = receiver.url();
    let config = format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true"
    );
    let daemon = TestDaemon::builder().config(&config).start().await;
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    let request = receiver.request().await;
    let waiting = delivery_tried(&daemon, id(&incident), 0).await;
    assert_eq!((&waiting["status"], &waiting["attempts"]), (&json!("pending"), &json!([])));
    assert_eq!(waiting["id"], request.header("webhook-id"));
    daemon.advance(3 * SECOND);
    request.answer("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy").await;

    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    assert_eq!((&tried["receiver"], &tried["event"]), (&json!("oncall"), &json!("incident.opened")));
    assert_eq!((&tried["incident"], &tried["status"]), (&incident["id"], &json!("pending")));
    assert_eq!(tried["created_at"], "2026-01-01T00:00:10.000Z");
    let failed = json!({"at": "2026-01-01T00:00:10.000Z", "status": 503, "latency_ms": 3000,
        "error": "it answered 503: busy", "answer": "busy"});
    assert_eq!(tried["attempts"], json!([failed]));

    advance_to(&daemon, instant(&tried["next_attempt_at"]));
    receiver.request().await.answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine").await;
    let delivered = delivery_tried(&daemon, id(&incident), 2).await;
    assert_eq!((&delivered["status"], &delivered["next_attempt_at"]), (&json!("delivered"), &Value::Null));
    let succeeded = json!({"at": tried["next_attempt_at"], "status": 200, "latency_ms": 0, "error": null,
        "answer": "fine"});
    assert_eq!(delivered["attempts"], json!([failed, succeeded]));
}

#[tokio::test]
async fn an_answer_without_a_body_is_told_by_its_status_alone() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    receiver.answer(500, &[]);
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    assert_eq!(tried["attempts"][0]["error"], "it answered 500");
    assert_eq!(tried["attempts"][0]["answer"], Value::Null);
}

#[tokio::test]
async fn the_first_two_kilobytes_of_an_answer_are_kept_whatever_it_is() {
    let receiver = RawReceiver::start().await;
    let url = receiver.url();
    let config = format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true"
    );
    let daemon = TestDaemon::builder().config(&config).on_sled().start().await;
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    // What takes the most room when it is written down, in more attempts than are kept.
    let body = "\"\n\\".repeat(4_000);
    for attempts in 1..=12 {
        let status = if attempts < 12 { "500 No" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let request = receiver.request().await;
        let answering = tokio::spawn(request.answer(answer));
        let tried = delivery_tried(&daemon, id(&incident), attempts).await;
        let kept = tried["attempts"].as_array().unwrap();
        assert_eq!(kept.len() as u64, attempts.min(10));
        assert!(kept.iter().all(|attempt| attempt["answer"] == body[..2_048]));
        within_patience("the end of the answer", answering).await.unwrap();
        if attempts < 12 {
            let failed = receiver_failed(&daemon, "oncall", attempts).await;
            advance_to(&daemon, instant(&failed["next_attempt_at"]));
        }
    }
}

#[tokio::test]
async fn deliveries_stand_in_the_order_in_which_they_were_decided() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.config("[workflow_defaults]\nretention = \"0s\"").start().await;
        for round in 0..5 {
            let workflow = format!("uploads-{round}");
            lose(&daemon, &workflow, "file-1").await;
            daemon.open_incidents(1).await;
            daemon.advance(10 * SECOND);
            let incident = told(&receiver, "incident.opened").await;
            // At the same instant.
            daemon.close(&workflow, "file-1").await;
            told(&receiver, "incident.resolved").await;
            let deliveries = deliveries(&daemon, id(&incident)).await;
            let events: Vec<&Value> = deliveries.iter().map(|delivery| &delivery["event"]).collect();
            assert_eq!(events, ["incident.opened", "incident.resolved"]);
        }
    }
}

#[tokio::test]
async fn an_incident_that_nobody_knows_has_no_deliveries() {
    let daemon = TestDaemon::start().await;
    for path in ["/v1/incidents/inc_unknown", "/v1/incidents/inc_unknown/deliveries"] {
        let problem = expect(daemon.request(Method::GET, path), StatusCode::NOT_FOUND).await;
        assert_eq!(problem["type"], "/problems/incident-not-found");
    }
}
