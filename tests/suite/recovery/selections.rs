//! What a person does to all items that match.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{act, claim, item};
use crate::support::TestDaemon;

const MINUTE: Duration = Duration::from_secs(60);

/// Sends a request without a body, and gives the answer.
async fn post(daemon: &TestDaemon, path: &str) -> Value {
    daemon.ask(Method::POST, path).await.json(200)
}

/// Sends the request until there is nothing left to continue, and counts the changed items of each.
async fn post_all(daemon: &TestDaemon, path: &str) -> Vec<u64> {
    let (mut counts, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = post(daemon, &format!("{path}{cursor}")).await;
        counts.push(answer["changed"].as_u64().expect("a count"));
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return counts,
        }
    }
}

async fn states(daemon: &TestDaemon, ids: &[&str]) -> Vec<String> {
    let mut states = Vec::new();
    for id in ids {
        let item = item(daemon, id).await;
        let outcome = item["outcome"].as_str().map(|outcome| format!(" as {outcome}")).unwrap_or_default();
        states.push(format!("{}{outcome}", item["state"].as_str().expect("a state")));
    }
    states
}

/// A daemon with items a to d, of which c is late and d has failed.
async fn with_items() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    for (id, deadline) in [("a", "1h"), ("b", "1h"), ("c", "1m"), ("d", "1h")] {
        daemon.create("uploads", id, &format!("?deadline={deadline}"), "hello").await;
    }
    daemon.create("downloads", "x", "?deadline=1m", "hello").await;
    daemon.advance(2 * MINUTE);
    let fatal = json!({"type": "broken", "fatal": true});
    daemon.send_json(Method::POST, "/v1/workflows/uploads/items/d/errors", fatal).await.json(201);
    daemon
}

#[tokio::test]
async fn cancel_ends_what_matches_and_nothing_else() {
    let daemon = with_items().await;
    let cancelled = post(&daemon, "/v1/items/cancel?workflow=up*&state=overdue&state=failed").await;
    assert_eq!(cancelled, json!({"changed": 2, "next_cursor": null}));
    let expected = ["open", "open", "closed as discarded", "closed as discarded"];
    assert_eq!(states(&daemon, &["a", "b", "c", "d"]).await, expected);
    assert_eq!(daemon.get("/v1/workflows/downloads/items/x").await["state"], "overdue");
}

#[tokio::test]
async fn close_takes_all_that_are_not_closed_and_the_outcome_that_is_named() {
    let daemon = with_items().await;
    daemon.close("uploads", "a").await;
    let closed = post(&daemon, "/v1/items/close?workflow=uploads&outcome=failed").await;
    assert_eq!(closed["changed"], 3);
    let expected = ["closed as success", "closed as failed", "closed as failed", "closed as failed"];
    assert_eq!(states(&daemon, &["a", "b", "c", "d"]).await, expected);
    assert_eq!(post(&daemon, "/v1/items/close?workflow=uploads").await["changed"], 0);
}

#[tokio::test]
async fn extend_moves_deadlines_later_and_never_earlier() {
    let daemon = with_items().await;
    let extend = |deadline: &str| {
        let document = json!({ "deadline": deadline });
        daemon.send_json(Method::POST, "/v1/items/extend?workflow=uploads", document)
    };
    assert_eq!(extend("30m").await.json(200)["changed"], 1);
    assert_eq!(item(&daemon, "c").await["deadline"], "2026-01-01T00:32:00.000Z");
    assert_eq!(item(&daemon, "a").await["deadline"], "2026-01-01T01:00:00.000Z");
    assert_eq!(states(&daemon, &["c", "d"]).await, ["open", "failed"]);
    assert_eq!(extend("2026-01-02T00:00:00Z").await.json(200)["changed"], 4);
    extend("11years").await.refused(400, "invalid-request");
}

#[tokio::test]
async fn a_selection_continues_where_it_ended_and_leaves_out_what_came_after_it_began() {
    let daemon = with_items().await;
    let path = "/v1/items/cancel?workflow=uploads&limit=3";
    let first = post(&daemon, path).await;
    assert_eq!(first["changed"], 3);
    daemon.advance(MINUTE);
    daemon.create("uploads", "late", "", "hello").await;
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = post(&daemon, &format!("{path}&cursor={cursor}")).await;
    assert_eq!(second, json!({"changed": 1, "next_cursor": null}));
    assert_eq!(states(&daemon, &["d", "late"]).await, ["closed as discarded", "open"]);
}

#[tokio::test]
async fn every_item_of_a_selection_gets_its_turn_once() {
    let daemon = with_items().await;
    for number in 0..25 {
        daemon.create("uploads", &format!("file-{number}"), "", "hello").await;
    }
    let counts = post_all(&daemon, "/v1/items/close?workflow=uploads&limit=4").await;
    assert_eq!(counts.iter().sum::<u64>(), 29, "{counts:?}");
    assert!(counts.iter().all(|count| *count <= 4), "{counts:?}");
}

#[tokio::test]
async fn a_selection_without_workflows_is_refused() {
    let daemon = with_items().await;
    for path in ["/v1/items/close", "/v1/items/cancel?state=failed", "/v1/items/cancel?label=a:b"] {
        let detail = daemon.ask(Method::POST, path).await.refused(400, "invalid-request");
        assert!(detail.contains("workflow=*"), "{detail}");
    }
    let document = json!({"deadline": "1h"});
    daemon.send_json(Method::POST, "/v1/items/extend", document).await.refused(400, "invalid-request");
    assert_eq!(post(&daemon, "/v1/items/cancel?workflow=*").await["changed"], 5);
}

#[tokio::test]
async fn the_holder_of_a_cancelled_item_learns_it() {
    let daemon = with_items().await;
    let lease = claim(&daemon, json!({"worker": "host-1", "workflows": ["uploads"]})).await.remove(0);
    post(&daemon, "/v1/items/cancel?workflow=uploads&state=overdue").await;
    act(&daemon, &lease, "heartbeat", json!({})).await.refused(409, "lease-lost");
}

#[tokio::test]
async fn items_are_selected_by_the_retries_at_their_step() {
    let daemon = TestDaemon::builder()
        .config("[workflows.uploads]\nretry = {max = 5, backoff = \"1s..1s\", jitter = 0.0}")
        .start()
        .await;
    for (id, errors) in [("none", 0), ("one", 1), ("two", 2)] {
        daemon.create("uploads", id, "?deadline=1h", "hello").await;
        for _ in 0..errors {
            let wanted = json!({"worker": "host-1", "states": ["open"], "max": 10});
            let leases = claim(&daemon, wanted).await;
            for lease in leases {
                let (path, document) = if lease["item"]["id"] == id {
                    ("fail", json!({"error": {"type": "Timeout", "retryable": true}}))
                } else {
                    ("release", json!({}))
                };
                act(&daemon, &lease, path, document).await.json(200);
            }
            daemon.advance(2 * Duration::from_secs(1));
        }
    }
    for (least, expected) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
        let path = format!("/v1/items?workflow=uploads&step_retries_min={least}");
        assert_eq!(daemon.get(&path).await["data"].as_array().unwrap().len(), expected, "{least}");
    }
    daemon.ask(Method::GET, "/v1/items?step_retries_min=-1").await.refused(400, "invalid-request");
    let wanted = json!({"worker": "host-1", "states": ["open"], "max": 10, "step_retries_min": 2});
    let leases = claim(&daemon, wanted).await;
    assert_eq!(super::ids(&leases), ["two"]);
}
