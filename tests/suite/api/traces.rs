//! The trace context of a create: kept with the item, and passed on with it.

use reqwest::Method;
use serde_json::{Value, json};

use super::item;
use crate::support::{TestDaemon, TestReceiver, ask};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

/// Creates an item with these headers, and gives it.
async fn create(daemon: &TestDaemon, id: &str, headers: &[(&str, &str)]) -> Value {
    let request = daemon.request(Method::PUT, &format!("{}?deadline=0s", item(id)));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    ask(request.body("hello")).await.json(201)
}

fn trace(item: &Value) -> [&Value; 2] {
    [&item["traceparent"], &item["tracestate"]]
}

#[tokio::test]
async fn the_trace_of_a_create_is_kept_and_given_to_whoever_claims_the_item() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    let headers = [("traceparent", PARENT), ("tracestate", STATE)];
    assert_eq!(trace(&create(&daemon, "file-1", &headers).await), [PARENT, STATE]);
    assert_eq!(trace(&create(&daemon, "file-2", &headers[..1]).await), [&json!(PARENT), &json!(null)]);
    assert_eq!(trace(&create(&daemon, "file-3", &[]).await), [&json!(null), &json!(null)]);
    daemon.restart().await;
    assert_eq!(trace(&daemon.get(&item("file-1")).await), [PARENT, STATE]);
    let claimed = daemon.send_json(Method::POST, "/v1/leases", json!({"max": 1})).await.json(200);
    assert_eq!(trace(&claimed["leases"][0]["item"]), [PARENT, STATE]);
}

#[tokio::test]
async fn a_malformed_trace_costs_no_item_and_is_left_out() {
    let daemon = TestDaemon::start().await;
    let twice = [("traceparent", PARENT), ("traceparent", PARENT)];
    let broken = [("traceparent", "00-abc"), ("tracestate", STATE)];
    let alone = [("tracestate", STATE)];
    for (id, headers) in [&twice[..], &broken, &alone].into_iter().enumerate() {
        let created = create(&daemon, &id.to_string(), headers).await;
        assert_eq!(trace(&created), [&json!(null), &json!(null)], "{headers:?}");
    }
    let parts = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    assert_eq!(trace(&create(&daemon, "parts", &parts).await), [PARENT, "a=1,b=2"]);
}

#[tokio::test]
async fn the_same_payload_again_keeps_the_first_trace() {
    let daemon = TestDaemon::start().await;
    create(&daemon, "file-1", &[("traceparent", PARENT)]).await;
    let other = PARENT.replace("0af7", "1af7");
    let request = daemon.request(Method::PUT, &item("file-1")).header("traceparent", other);
    assert_eq!(ask(request.body("hello")).await.json(200)["traceparent"], PARENT);
}

#[tokio::test]
async fn a_line_of_a_batch_carries_a_trace_and_an_export_hands_it_over() {
    let daemon = TestDaemon::start().await;
    let line = json!({"op": "create", "workflow": "uploads", "id": "file-1", "payload": "x",
        "traceparent": PARENT, "tracestate": STATE});
    let broken = json!({"op": "create", "workflow": "uploads", "id": "file-2", "payload": "x",
        "traceparent": "00-abc"});
    let lines = daemon.send(Method::POST, "/v1/batch", format!("{line}\n{broken}\n")).await.lines(200);
    assert_eq!(lines.iter().map(|line| &line["status"]).collect::<Vec<_>>(), [201, 201]);
    for history in [true, false] {
        let other = TestDaemon::start().await;
        let export = daemon.ask(Method::GET, &format!("/v1/export?history={history}")).await;
        other.send(Method::POST, "/v1/batch", export.body).await.lines(200);
        assert_eq!(trace(&other.get(&item("file-1")).await), [PARENT, STATE]);
        assert_eq!(trace(&other.get(&item("file-2")).await), [&json!(null), &json!(null)]);
    }
}

#[tokio::test]
async fn a_replay_sends_the_trace_along() {
    let (daemon, target) = (TestDaemon::start().await, TestReceiver::start().await);
    create(&daemon, "file-1", &[("traceparent", PARENT), ("tracestate", STATE)]).await;
    let replay = json!({"target": {"url": target.url()}});
    daemon.send_json(Method::POST, "/v1/replays", replay).await.json(202);
    let received = target.next().await;
    for (name, value) in [("traceparent", PARENT), ("tracestate", STATE)] {
        assert_eq!(received.headers[name], value, "{name}");
    }
}
