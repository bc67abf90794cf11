//! Events of items and runs, for receivers that ask for them.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::support::receiver::Received;

const ALL: &str = "events = [\"run.started\", \"run.completed\", \"run.failed\", \"run.aborted\", \
                   \"run.overdue\", \"item.closed\"]";

/// A daemon that tells this receiver of every event, one after the other.
fn chain(receiver: &TestReceiver) -> Builder {
    oncall(receiver).config(ALL)
}

async fn run(daemon: &TestDaemon, path: &str, document: Value) -> Value {
    let answer = daemon.send_json(Method::POST, &format!("/v1/workflows/{path}"), document).await;
    let status = answer.status;
    assert!((200..300).contains(&status), "{status}: {}", answer.text());
    answer.json(status)
}

async fn open(daemon: &TestDaemon, document: Value) -> String {
    id(&run(daemon, "nightly/runs", document).await).to_owned()
}

/// The next notifications, by what they say.
async fn events(receiver: &TestReceiver, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(receiver.next().await.event());
    }
    events
}

fn sha256(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn listed(daemon: &TestDaemon, query: &str) -> Vec<Value> {
    let page = daemon.get(&format!("/v1/deliveries{query}")).await;
    page["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_run_is_told_of_from_its_beginning_to_its_end_with_what_the_next_work_needs() {
    let receiver = TestReceiver::start().await;
    for daemon in [chain(&receiver), chain(&receiver).on_sled()] {
        let daemon = daemon.start().await;
        let lineage = json!({ "sources": ["crm"], "targets": ["dwh"] });
        let item = open(&daemon, json!({ "id": "monday", "lineage": lineage })).await;
        daemon.advance(MINUTE);
        run(&daemon, "nightly/runs/current/close", json!({ "counts": { "written": 3 } })).await;
        let started = receiver.next().await;
        assert!(started.header("webhook-id").starts_with("dlv_"));
        assert_eq!(started.event(), "run.started");
        assert_eq!(started.json()["timestamp"], "2026-01-01T00:00:00.000Z");
        let completed = receiver.next().await.json();
        assert_eq!(completed["type"], "run.completed");
        assert_eq!(completed["timestamp"], "2026-01-01T00:01:00.000Z");
        let data = &completed["data"];
        assert_eq!((&data["workflow"], &data["id"]), (&json!("nightly"), &json!(item)));
        assert_eq!(data["summary"], "run 1 of nightly has succeeded after 1m");
        assert_eq!(data["outcome"], "success");
        assert_eq!((&data["run"]["number"], &data["run"]["status"]), (&json!(1), &json!("success")));
        assert_eq!((&data["run"]["lineage"], &data["run"]["counts"]), (&lineage, &json!({ "written": 3 })));
        let path = "/v1/workflows/nightly/items/monday";
        assert_eq!(data["url"], daemon.url(path));
        assert_eq!(data["payload_url"], daemon.url(&format!("{path}/payload")));
        assert_eq!(daemon.get(path).await["state"], "closed");
        assert_eq!(receiver.next().await.event(), "item.closed");
        // What arrived is of no use to anybody.
        eventually("an empty outbox", || async { listed(&daemon, "").await.is_empty().then_some(()) }).await;
    }
}

#[tokio::test]
async fn every_way_to_end_and_to_go_on_is_told() {
    let receiver = TestReceiver::start().await;
    let daemon = chain(&receiver)
        .config("[workflows.takeover]\nsingle = \"supersede\"\n[workflows.strict]\nhold_after = 1")
        .start()
        .await;
    open(&daemon, json!({ "id": "a" })).await;
    let error = json!({ "type": "Timeout", "message": "no answer" });
    run(&daemon, "nightly/runs/current/fail", json!({ "error": error })).await;
    daemon.ask(Method::POST, "/v1/workflows/nightly/items/a/retry").await.json(200);
    daemon.ask(Method::DELETE, "/v1/workflows/nightly/items/a?outcome=discarded").await;
    assert_eq!(events(&receiver, 1).await, ["run.started"]);
    let failed = receiver.next().await.json();
    assert_eq!(failed["type"], "run.failed");
    assert_eq!(failed["data"]["run"]["error"]["message"], "no answer");
    assert_eq!(events(&receiver, 3).await, ["run.started", "run.aborted", "item.closed"]);

    // One takes the place of another.
    run(&daemon, "takeover/runs", json!({ "id": "first" })).await;
    assert_eq!(events(&receiver, 1).await, ["run.started"]);
    run(&daemon, "takeover/runs", json!({ "id": "second" })).await;
    let mut told: Vec<(String, String)> = Vec::new();
    for _ in 0..3 {
        let received = receiver.next().await;
        told.push((received.json()["data"]["id"].as_str().unwrap().to_owned(), received.event()));
    }
    told.sort();
    let expected = [("first", "item.closed"), ("first", "run.aborted"), ("second", "run.started")];
    assert_eq!(told, expected.map(|(id, event)| (id.to_owned(), event.to_owned())));

    // A run that is held has not begun.
    run(&daemon, "strict/runs", json!({ "id": "bad" })).await;
    run(&daemon, "strict/runs/current/fail", json!({})).await;
    run(&daemon, "strict/runs", json!({ "id": "held" })).await;
    assert_eq!(events(&receiver, 2).await, ["run.started", "run.failed"]);
    run(&daemon, "strict/release", json!({})).await;
    let begun = receiver.next().await;
    assert_eq!((begun.event().as_str(), &begun.json()["data"]["id"]), ("run.started", &json!("held")));
}

#[tokio::test]
async fn a_run_that_died_without_a_word_is_overdue_once_for_each_deadline() {
    let receiver = TestReceiver::start().await;
    let mut daemon = chain(&receiver).on_sled().start().await;
    open(&daemon, json!({ "id": "a", "deadline": "10m" })).await;
    assert_eq!(events(&receiver, 1).await, ["run.started"]);
    daemon.advance(10 * MINUTE);
    let overdue = receiver.next().await.json();
    assert_eq!(overdue["type"], "run.overdue");
    assert_eq!(overdue["data"]["summary"], "run 1 of nightly is overdue: it has not ended after 10m");
    daemon.restart().await;
    // The same is not told again, and one with a new deadline is.
    let extended = json!({ "deadline": "5m" });
    daemon.send_json(Method::PATCH, "/v1/workflows/nightly/items/a", extended).await.json(200);
    daemon.advance(5 * MINUTE);
    let again = receiver.next().await.json();
    assert_eq!(again["data"]["summary"], "run 1 of nightly is overdue: it has not ended after 15m");
    // It ends after all. Nobody sees a version of their own in between.
    assert_eq!(daemon.get("/v1/workflows/nightly/items/a").await["version"], 2);
    run(&daemon, "nightly/runs/current/close", json!({})).await;
    assert_eq!(events(&receiver, 2).await, ["run.completed", "item.closed"]);
}

#[tokio::test]
async fn who_asks_for_events_gets_no_incidents_and_who_does_not_gets_no_events() {
    let (chain, people) = (TestReceiver::start().await, TestReceiver::start().await);
    let daemon = TestDaemon::builder()
        .config(&format!(
            "[alerting]\nreceivers = [\"chain\", \"people\"]\n\
             [receivers.chain]\nurl = \"{}\"\nallow_private = true\nevents = [\"item.closed\"]\n\
             [receivers.people]\nurl = \"{}\"\nallow_private = true",
            chain.url(),
            people.url()
        ))
        .start()
        .await;
    daemon.create("uploads", "file-1", "?deadline=0s&label=region:eu", "payload").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    assert_eq!(people.next().await.event(), "incident.opened");
    daemon.close("uploads", "file-1").await;
    assert_eq!(people.next().await.event(), "incident.resolved");
    let closed = chain.next().await.json();
    assert_eq!(closed["type"], "item.closed");
    assert_eq!(closed["data"]["labels"], json!({ "region": "eu" }));
    assert_eq!((&closed["data"]["outcome"], &closed["data"]["run"]), (&json!("success"), &Value::Null));
    assert_eq!(closed["data"]["summary"], "file-1 of uploads was closed as success after 10s");
    // Nothing was created there, so nothing was closed.
    daemon.ask(Method::DELETE, "/v1/workflows/uploads/items/nothing").await;
    daemon.create("uploads", "file-2", "", "payload").await;
    daemon.close("uploads", "file-2").await;
    assert_eq!(chain.next().await.json()["data"]["id"], "file-2");
    assert_eq!(chain.arrived().await.len() + people.arrived().await.len(), 0);
}

#[tokio::test]
async fn what_a_receiver_does_not_take_is_tried_again_in_order_and_after_a_restart() {
    let receiver = TestReceiver::start().await;
    receiver.usually(503, &[]);
    let mut daemon = chain(&receiver).on_sled().start().await;
    open(&daemon, json!({ "id": "a" })).await;
    run(&daemon, "nightly/runs/current/close", json!({})).await;
    let first = receiver.next().await;
    assert_eq!(first.event(), "run.started");
    let waiting = eventually("three that wait", || async {
        Some(listed(&daemon, "?status=pending").await).filter(|waiting| waiting.len() == 3)
    })
    .await;
    for delivery in &waiting {
        assert_eq!(delivery["incident"], "");
        assert_eq!(delivery["item"], json!({ "workflow": "nightly", "id": "a" }));
    }
    daemon.stop().await;
    receiver.usually(204, &[]);
    daemon.start_again().await;
    daemon.advance(HOUR);
    let mut told: Vec<Received> = Vec::new();
    while told.last().is_none_or(|last| last.event() != "item.closed") {
        told.push(receiver.next().await);
    }
    told.dedup_by_key(|received| received.header("webhook-id").to_owned());
    let events: Vec<String> = told.iter().map(Received::event).collect();
    assert_eq!(events, ["run.started", "run.completed", "item.closed"]);
    assert_eq!(told[0].header("webhook-id"), first.header("webhook-id"), "the same one");
}

#[tokio::test]
async fn what_nobody_took_for_a_day_is_dead_and_can_be_resent_and_is_forgotten_like_incidents() {
    let receiver = TestReceiver::start().await;
    receiver.usually(500, &[]);
    let daemon = oncall(&receiver).config("events = [\"item.closed\"]").start().await;
    daemon.create("uploads", "a", "", "payload").await;
    daemon.close("uploads", "a").await;
    receiver.next().await;
    let dead = eventually("a dead delivery", || async {
        daemon.advance(HOUR);
        listed(&daemon, "?status=dead").await.pop()
    })
    .await;
    assert_eq!(dead["event"], "item.closed");
    receiver.usually(204, &[]);
    receiver.arrived().await;
    let resend = format!("/v1/deliveries/{}/resend", id(&dead));
    daemon.ask(Method::POST, &resend).await.json(200);
    let received = receiver.next().await;
    assert_eq!(received.header("webhook-id"), id(&dead));
    eventually("an empty outbox", || async { listed(&daemon, "").await.is_empty().then_some(()) }).await;
    daemon.ask(Method::POST, &resend).await.refused(404, "delivery-not-found");

    receiver.usually(410, &[]);
    daemon.create("uploads", "b", "", "payload").await;
    daemon.close("uploads", "b").await;
    receiver.next().await;
    eventually("a delivery given up", || async {
        daemon.advance(HOUR);
        listed(&daemon, "?status=dead").await.pop()
    })
    .await;
    daemon.advance(30 * DAY);
    eventually("nothing left", || async { listed(&daemon, "").await.is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn a_token_sees_the_events_of_its_workflows_only() {
    let receiver = TestReceiver::start().await;
    receiver.usually(503, &[]);
    let daemon = oncall(&receiver)
        .config(&format!(
            "events = [\"item.closed\"]\n\
             [[tokens]]\nname = \"all\"\nsha256 = \"{}\"\nscopes = [\"ingest\", \"read\"]\n\
             [[tokens]]\nname = \"own\"\nsha256 = \"{}\"\nscopes = [\"read\"]\nworkflows = [\"up*\"]",
            sha256("all"),
            sha256("own"),
        ))
        .start()
        .await;
    for workflow in ["uploads", "reports"] {
        let path = format!("/v1/workflows/{workflow}/items/a");
        let create = daemon.request(Method::PUT, &path).bearer_auth("all").body("payload");
        assert_eq!(create.send().await.unwrap().status(), StatusCode::CREATED);
        let close = daemon.request(Method::DELETE, &path).bearer_auth("all");
        assert_eq!(close.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    }
    let seen_by = async |token: &str| {
        let page = expect(daemon.request(Method::GET, "/v1/deliveries").bearer_auth(token), StatusCode::OK);
        let page = page.await;
        let deliveries = page["data"].as_array().unwrap().iter();
        let mut workflows: Vec<String> =
            deliveries.map(|it| it["item"]["workflow"].as_str().unwrap().to_owned()).collect();
        workflows.sort();
        workflows
    };
    let both = || async { Some(seen_by("all").await).filter(|seen| seen.len() == 2) };
    assert_eq!(eventually("both deliveries", both).await, ["reports", "uploads"]);
    assert_eq!(seen_by("own").await, ["uploads"]);
}

#[tokio::test]
async fn other_settings_are_in_force_for_what_happens_next_and_for_what_is_overdue_already() {
    let receiver = TestReceiver::start().await;
    let config = |events: &str| {
        format!(
            "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{}\"\nallow_private = true\n\
             concurrency = 1\nevents = [{events}]",
            receiver.url()
        )
    };
    let mut daemon = TestDaemon::builder().config(&config("\"item.closed\"")).start().await;
    open(&daemon, json!({ "id": "a", "deadline": "1m" })).await;
    daemon.advance(2 * MINUTE);
    daemon.open_incidents(1).await;
    daemon.reload(&config("\"run.overdue\", \"run.completed\"")).await;
    assert_eq!(events(&receiver, 1).await, ["run.overdue"]);
    run(&daemon, "nightly/runs/current/close", json!({})).await;
    assert_eq!(events(&receiver, 1).await, ["run.completed"]);
    open(&daemon, json!({ "id": "b" })).await;
    run(&daemon, "nightly/runs/current/close", json!({})).await;
    assert_eq!(receiver.next().await.json()["data"]["id"], "b");
    assert_eq!(receiver.arrived().await.len(), 0);
}

const TEMPLATE: &str = r#"
format = "template"
body = '{"said": {{ data.summary | tojson }}, "type": {{ type | tojson }}}'
"#;

#[tokio::test]
async fn events_have_a_form_in_every_format_that_takes_them() {
    let receiver = TestReceiver::start().await;
    for (more, check) in [
        ("format = \"cloudevents\"", cloud_event as fn(&Value)),
        ("format = \"slack\"", slack),
        (TEMPLATE, template),
    ] {
        let daemon = oncall(&receiver).config(&format!("events = [\"run.failed\"]\n{more}")).start().await;
        open(&daemon, json!({ "id": "monday" })).await;
        run(&daemon, "nightly/runs/current/fail", json!({})).await;
        check(&receiver.next().await.json());
    }
}

fn cloud_event(event: &Value) {
    assert_eq!((&event["type"], &event["specversion"]), (&json!("run.failed"), &json!("1.0")));
    assert_eq!(event["subject"], "nightly/monday");
    assert_eq!(event["data"]["run"]["number"], 1);
}

fn slack(message: &Value) {
    assert!(
        message["text"].as_str().unwrap().starts_with("*Failed* run 1 of nightly has failed"),
        "{message}"
    );
    assert!(message["attachments"].to_string().contains("/v1/workflows/nightly/items/monday|Item>"));
}

fn template(document: &Value) {
    assert_eq!(document["type"], "run.failed");
    assert!(document["said"].as_str().unwrap().starts_with("run 1 of nightly has failed"), "{document}");
}
