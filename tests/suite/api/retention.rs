//! How long closed items and their payloads are kept.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::item;
use crate::support::{TestDaemon, eventually};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_id_of_a_closed_item_is_free_again_after_its_retention() {
    for builder in [TestDaemon::builder(), TestDaemon::builder().on_sled()] {
        let daemon = builder.start().await;
        let path = item("file-1");
        daemon.create("uploads", "file-1", "", "one").await;
        daemon.close("uploads", "file-1").await;
        daemon.ask(Method::DELETE, &item("never-created")).await.refused(404, "item-not-found");
        daemon.advance(24 * HOUR - Duration::from_millis(1));
        assert_eq!(daemon.get(&path).await["state"], "closed");
        daemon.send(Method::PUT, &path, "two").await.refused(409, "item-closed");
        daemon.advance(Duration::from_millis(1));
        daemon.ask(Method::GET, &path).await.refused(404, "item-not-found");
        daemon.ask(Method::GET, &format!("{path}/payload")).await.refused(404, "item-not-found");
        assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
        daemon.create("uploads", "file-1", "", "two").await;
        daemon.create("uploads", "never-created", "", "two").await;
        assert_eq!(daemon.ask(Method::GET, &format!("{path}/payload")).await.text(), "two");
    }
}

#[tokio::test]
async fn a_workflow_may_remember_for_a_time_of_its_own() {
    let daemon = TestDaemon::builder().config("[workflows.uploads]\nretention = \"1h\"").start().await;
    for workflow in ["uploads", "reports"] {
        daemon.create(workflow, "file-1", "", "one").await;
        daemon.close(workflow, "file-1").await;
    }
    daemon.advance(HOUR);
    daemon.ask(Method::GET, &item("file-1")).await.refused(404, "item-not-found");
    assert_eq!(daemon.get("/v1/workflows/reports/items/file-1").await["state"], "closed");
}

#[tokio::test]
async fn beyond_retention_max_the_items_closed_first_are_forgotten_first() {
    let daemon = TestDaemon::builder().config("[workflows.uploads]\nretention_max = 2").start().await;
    for id in ["a", "b", "c", "d"] {
        daemon.create("uploads", id, "", "hello").await;
        daemon.close("uploads", id).await;
        daemon.advance(Duration::from_millis(1));
    }
    let ids = eventually("the sweep to forget the surplus", || async {
        // The sweep looks every second of the daemon's clock, which stands still unless it is moved.
        daemon.advance(Duration::from_secs(1));
        let page = daemon.get("/v1/items?state=closed").await;
        let ids: Vec<String> = page["data"]
            .as_array()?
            .iter()
            .map(|item| item["id"].as_str().unwrap_or_default().to_owned())
            .collect();
        (ids.len() <= 2).then_some(ids)
    })
    .await;
    assert_eq!(ids, ["c", "d"]);
}

#[tokio::test]
async fn a_payload_is_kept_after_the_close_as_long_as_the_workflow_says() {
    for builder in [TestDaemon::builder(), TestDaemon::builder().on_sled()] {
        let daemon = builder.config("[workflows.uploads]\nkeep_payload = \"1h\"").start().await;
        daemon.create("uploads", "file-1", "", "hello").await;
        daemon.close("uploads", "file-1").await;
        let path = format!("{}/payload", item("file-1"));
        daemon.advance(HOUR - Duration::from_millis(1));
        assert_eq!(daemon.ask(Method::GET, &path).await.text(), "hello");
        daemon.send(Method::PUT, &item("file-1"), "hello").await.refused(409, "item-closed");
        daemon.advance(Duration::from_millis(1));
        daemon.ask(Method::GET, &path).await.refused(410, "payload-gone");
        let shown = daemon.get(&item("file-1")).await;
        assert_eq!(shown["payload"]["size"], 5, "what the payload was is remembered: {shown}");
    }
}
