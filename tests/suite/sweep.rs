//! Retention: what has expired is removed from counters, store and disk.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use warden::model::ItemNumber;
use warden::store::Reads as _;

use crate::alerts::{
    DAY, HOUR, MINUTE, SECOND, delivery_when, id, incident_when, lose, metric, oncall_on_each_engine, told,
};
use crate::store::documents::ReadDocuments as _;
use crate::support::daemon::{Builder, expect};
use crate::support::{TestDaemon, TestReceiver, eventually};

pub fn on_each_engine(config: &str) -> [Builder; 2] {
    [TestDaemon::builder().config(config), TestDaemon::builder().config(config).on_sled()]
}

async fn stats_of(daemon: &TestDaemon, workflow: &str) -> Value {
    daemon.get(&format!("/v1/workflows/{workflow}/stats")).await
}

async fn stats(daemon: &TestDaemon) -> Value {
    stats_of(daemon, "uploads").await
}

/// Lets seconds pass until so many closed items are remembered: the sweep looks every second, reckoned from
/// the end of the last time.
async fn remembered(daemon: &TestDaemon, count: usize) {
    eventually(&format!("{count} remembered items"), || async {
        daemon.advance(SECOND);
        (stats(daemon).await["closed"] == count).then_some(())
    })
    .await;
}

async fn status(daemon: &TestDaemon, path: &str) -> StatusCode {
    daemon.response(Method::GET, path).await.status()
}

#[tokio::test]
async fn a_closed_item_is_forgotten_when_its_retention_has_passed() {
    for builder in on_each_engine("[workflows.uploads]\nretention = \"1h\"") {
        let mut daemon = builder.start().await;
        let path = "/v1/workflows/uploads/items/file-1";
        daemon.create("uploads", "file-1", "", "payload").await;
        daemon.create("uploads", "open", "?deadline=10days", "payload").await;
        daemon.close("uploads", "file-1").await;
        daemon.advance(HOUR - Duration::from_millis(1));
        assert_eq!(daemon.get(path).await["state"], "closed");
        assert_eq!(stats(&daemon).await["closed"], 1);
        daemon.advance(Duration::from_millis(1));
        assert_eq!(status(&daemon, path).await, StatusCode::NOT_FOUND);
        remembered(&daemon, 0).await;
        daemon.restart().await;
        assert_eq!(stats(&daemon).await["closed"], 0, "its record is gone too");
        assert_eq!(daemon.get("/v1/items").await["data"].as_array().unwrap().len(), 1);
        daemon.create("uploads", "file-1", "", "another payload").await;
    }
}

#[tokio::test]
async fn a_close_of_what_nobody_created_is_forgotten_as_well() {
    for builder in on_each_engine("[workflows.uploads]\nretention = \"1h\"") {
        let daemon = builder.start().await;
        let path = "/v1/workflows/uploads/items/never";
        expect(daemon.request(Method::DELETE, path), StatusCode::NOT_FOUND).await;
        expect(daemon.request(Method::PUT, path).body("late"), StatusCode::CONFLICT).await;
        assert_eq!(stats(&daemon).await["closed"], 1);
        daemon.advance(HOUR);
        remembered(&daemon, 0).await;
        daemon.create("uploads", "never", "", "late").await;
    }
}

#[tokio::test]
async fn beyond_the_most_records_the_oldest_are_forgotten_first() {
    for builder in on_each_engine("[workflows.uploads]\nretention_max = 3") {
        let daemon = builder.start().await;
        for number in 0..10 {
            let item = format!("file-{number}");
            daemon.create("uploads", &item, "", "payload").await;
            daemon.create("downloads", &item, "", "payload").await;
            daemon.close("uploads", &item).await;
            daemon.close("downloads", &item).await;
            daemon.advance(Duration::from_millis(1));
        }
        remembered(&daemon, 3).await;
        for (number, status) in
            [(0, StatusCode::CREATED), (6, StatusCode::CREATED), (7, StatusCode::CONFLICT)]
        {
            let path = format!("/v1/workflows/uploads/items/file-{number}");
            expect(daemon.request(Method::PUT, &path).body("payload"), status).await;
        }
        assert_eq!(stats_of(&daemon, "downloads").await["closed"], 10, "a workflow of its own");
    }
}

#[tokio::test]
async fn the_payload_of_a_closed_item_is_kept_for_its_time_and_then_dropped() {
    for builder in on_each_engine("[workflows.uploads]\nretention = \"2h\"\nkeep_payload = \"1h\"") {
        let mut daemon = builder.start().await;
        let payload = "/v1/workflows/uploads/items/file-1/payload";
        daemon.create("uploads", "file-1", "", "the payload").await;
        daemon.close("uploads", "file-1").await;
        daemon.advance(HOUR - Duration::from_millis(1));
        assert_eq!(daemon.response(Method::GET, payload).await.text().await.unwrap(), "the payload");
        let before = metric(&daemon, "warden_store_commands_total").await;
        daemon.advance(Duration::from_millis(1));
        assert_eq!(status(&daemon, payload).await, StatusCode::GONE);
        assert_eq!(daemon.get("/v1/workflows/uploads/items/file-1").await["payload"]["size"], 11);
        eventually("a commit", || async {
            daemon.advance(SECOND);
            (metric(&daemon, "warden_store_commands_total").await > before).then_some(())
        })
        .await;
        daemon.stop().await;
        assert_eq!(daemon.stored_payload(ItemNumber(1)).await, None, "it is not only hidden");
        daemon.start_again().await;
        assert_eq!(status(&daemon, payload).await, StatusCode::GONE);
        daemon.advance(2 * HOUR);
        remembered(&daemon, 0).await;
    }
}

#[tokio::test]
async fn an_item_counts_once_as_created_and_once_as_closed() {
    for builder in on_each_engine("[workflows.uploads]\nretention = \"2h\"\nkeep_payload = \"1h\"") {
        let mut daemon = builder.start().await;
        let totals = |stats: Value| (stats["created_total"].clone(), stats["closed_total"].clone());
        daemon.create("uploads", "closed", "", "payload").await;
        daemon.create("uploads", "open", "?deadline=10days", "payload").await;
        daemon.close("uploads", "closed").await;
        daemon.close("uploads", "closed").await;
        assert_eq!(totals(stats(&daemon).await), (json!(2), json!(1)));
        daemon.advance(2 * HOUR);
        remembered(&daemon, 0).await;
        assert_eq!(
            totals(stats(&daemon).await),
            (json!(2), json!(1)),
            "dropping and forgetting are no closes"
        );
        daemon.restart().await;
        assert_eq!(totals(stats(&daemon).await), (json!(0), json!(0)), "since the start");
    }
}

#[tokio::test]
async fn thousands_of_closed_items_are_forgotten_without_another_tick() {
    for builder in on_each_engine("[workflows.uploads]\nretention = \"1h\"") {
        let daemon = builder.start().await;
        let lines = |op: &str| -> String {
            (0..3000)
                .map(|number| {
                    let id = format!("file-{number}");
                    match op {
                        "create" => json!({"op": op, "workflow": "uploads", "id": id, "payload": "x"}),
                        _ => json!({"op": op, "workflow": "uploads", "id": id}),
                    }
                })
                .map(|line| format!("{line}\n"))
                .collect()
        };
        for op in ["create", "close"] {
            let request = daemon.request(Method::POST, "/v1/batch").body(lines(op));
            assert_eq!(request.send().await.unwrap().text().await.unwrap().lines().count(), 3000);
        }
        assert_eq!(stats(&daemon).await["closed"], 3000);
        daemon.advance(HOUR);
        eventually("all are forgotten", || async { (stats(&daemon).await["closed"] == 0).then_some(()) })
            .await;
    }
}

#[tokio::test]
async fn a_resolved_incident_is_forgotten_with_its_deliveries_when_its_history_has_passed() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        lose(&daemon, "downloads", "stays").await;
        daemon.open_incidents(2).await;
        daemon.advance(10 * SECOND);
        let mut incidents =
            [told(&receiver, "incident.opened").await, told(&receiver, "incident.opened").await];
        incidents.sort_by_key(|incident| incident["workflow"].to_string());
        let [stays, goes] = incidents;
        daemon.close("uploads", "file-1").await;
        told(&receiver, "incident.resolved").await;
        let path = format!("/v1/incidents/{}", id(&goes));
        incident_when(&daemon, id(&goes), "its end", |incident| incident["status"] == "resolved").await;
        daemon.advance(30 * DAY - SECOND);
        assert_eq!(status(&daemon, &path).await, StatusCode::OK);
        // The history is looked through every minute, reckoned from the end of the last time.
        eventually("it is forgotten", || async {
            daemon.advance(MINUTE);
            (status(&daemon, &path).await == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        assert_eq!(status(&daemon, &format!("{path}/deliveries")).await, StatusCode::NOT_FOUND);
        daemon.restart().await;
        let left = daemon.get("/v1/incidents").await["data"].as_array().unwrap().clone();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0]["id"], stays["id"], "an open one stays, however old");
        receiver.arrived().await;
    }
}

#[tokio::test]
async fn an_incident_is_not_forgotten_before_its_end_is_told() {
    let receiver = TestReceiver::start().await;
    let url = receiver.url();
    let config = format!(
        "[alerting]\nreceivers = [\"oncall\"]\nhistory = \"1m\"\n\
         [receivers.oncall]\nurl = \"{url}\"\nallow_private = true\nconcurrency = 1"
    );
    for builder in on_each_engine(&config) {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let incident = told(&receiver, "incident.opened").await;
        delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;
        receiver.answer(503, &[("retry-after", "3600")]);
        daemon.close("uploads", "file-1").await;
        told(&receiver, "incident.resolved").await;
        daemon.advance(2 * MINUTE);
        daemon.restart_after(2 * MINUTE).await;
        daemon.advance(2 * HOUR);
        told(&receiver, "incident.resolved").await;
        daemon.advance(2 * MINUTE);
        let path = format!("/v1/incidents/{}", id(&incident));
        eventually("it is forgotten", || async {
            daemon.advance(SECOND);
            (status(&daemon, &path).await == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        assert_eq!(metric(&daemon, "warden_deliveries_waiting").await, 0.0);
    }
}

#[tokio::test]
async fn when_all_is_forgotten_the_store_holds_nothing_of_it() {
    let receiver = TestReceiver::start().await;
    let [_, builder] = oncall_on_each_engine(&receiver);
    let mut daemon = builder.config("[workflows.kept]\nkeep_payload = \"1h\"").start().await;
    let large = "x".repeat(1 << 20);
    for (workflow, item) in [("uploads", "file-1"), ("uploads", "file%2F2"), ("kept", "file-3")] {
        daemon.create(workflow, item, "?deadline=0s&label=region:eu&step=copy", large.clone()).await;
        crate::alerts::fail(&daemon, workflow, item).await;
    }
    let post = daemon
        .request(Method::POST, "/v1/workflows/uploads/items")
        .header("idempotency-key", "once")
        .body("small");
    let posted = expect(post, StatusCode::CREATED).await["id"].as_str().unwrap().to_owned();
    daemon.open_incidents(2).await;
    daemon.advance(10 * SECOND);
    for _ in 0..2 {
        told(&receiver, "incident.opened").await;
    }
    for (workflow, item) in
        [("uploads", "file-1"), ("uploads", "file%2F2"), ("kept", "file-3"), ("uploads", &posted)]
    {
        daemon.close(workflow, item).await;
    }
    for _ in 0..2 {
        told(&receiver, "incident.resolved").await;
    }
    daemon.open_incidents(0).await;
    eventually("an empty outbox", || async {
        (metric(&daemon, "warden_deliveries_waiting").await == 0.0).then_some(())
    })
    .await;
    daemon.advance(31 * DAY);
    eventually("no incidents, and no workflow but that of the configuration", || async {
        daemon.advance(SECOND);
        let none = daemon.get("/v1/incidents").await["data"] == json!([]);
        let workflows = daemon.get("/v1/workflows").await["data"].as_array().map(Vec::len);
        (none && workflows == Some(1) && stats_of(&daemon, "kept").await["closed"] == 0).then_some(())
    })
    .await;
    assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
    let data = daemon.data().unwrap();
    daemon.stop().await;
    let store = crate::store::engine::open(&data).unwrap();
    assert_eq!(store.list(crate::store::sample::everything(9)).await.unwrap().data, []);
    assert_eq!(store.incidents(None, 9).await.unwrap(), []);
    assert_eq!(store.workflows().await.unwrap(), []);
    assert_eq!(store.progresses().await.unwrap(), []);
    assert_eq!(store.silences().await.unwrap(), []);
    assert_eq!(store.replays().await.unwrap(), []);
}
