//! The summary: counts of selected items.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::item;
use crate::support::TestDaemon;

const MINUTE: Duration = Duration::from_secs(60);

async fn summary(daemon: &TestDaemon, query: &str) -> Value {
    daemon.ask(Method::GET, &format!("/v1/items/summary{query}")).await.json(200)
}

#[tokio::test]
async fn a_summary_counts_what_a_list_with_the_same_filters_holds() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "late", "?deadline=5m&label=region:eu&step=copy", "12345").await;
    daemon.advance(MINUTE);
    daemon.create("uploads", "open", "?deadline=2h&label=region:us&step=copy", "1234567").await;
    daemon.create("reports", "failed", "?deadline=1h&label=region:eu&step=print", "123").await;
    let fatal = json!({"type": "io", "fatal": true});
    daemon.send_json(Method::POST, "/v1/workflows/reports/items/failed/errors", fatal).await.json(201);
    daemon.create("reports", "closed", "", "1").await;
    daemon.close("reports", "closed").await;
    daemon.advance(9 * MINUTE);
    daemon.open_incidents(2).await;

    let expected = json!({
        "count": 4, "bytes": 15, "oldest_created_at": "2026-01-01T00:00:00.000Z",
        "oldest_deadline": "2026-01-01T00:05:00.000Z", "by_workflow": {"uploads": 2, "reports": 2},
        "by_step": {"": 1, "copy": 2, "print": 1}, "other_steps": 0,
        "by_state": {"overdue": 1, "open": 1, "failed": 1, "closed": 1},
    });
    assert_eq!(summary(&daemon, "").await, expected);
    let none = json!({
        "count": 0, "bytes": 0, "oldest_created_at": null, "oldest_deadline": null, "by_workflow": {},
        "by_step": {},
        "other_steps": 0, "by_state": {},
    });
    assert_eq!(summary(&daemon, "?workflow=nobody").await, none);

    for filters in [
        "workflow=up*",
        "workflow=uploads&workflow=reports&state=open",
        "state=overdue",
        "state=overdue&state=failed",
        "state=closed",
        "label=region:eu",
        "step=copy&label=region:us",
        "created_after=2026-01-01T00:01:00Z",
        "created_before=2026-01-01T00:01:00Z",
        "deadline_after=2026-01-01T01:00:00Z&deadline_before=2026-01-01T01:30:00Z",
    ] {
        let found = summary(&daemon, &format!("?{filters}")).await;
        let listed = daemon.get(&format!("/v1/items?{filters}")).await;
        let listed = listed["data"].as_array().unwrap();
        let mut by_state: BTreeMap<&str, u64> = BTreeMap::new();
        listed.iter().for_each(|item| *by_state.entry(item["state"].as_str().unwrap()).or_default() += 1);
        assert_eq!(
            (&found["count"], &found["by_state"]),
            (&json!(listed.len()), &json!(by_state)),
            "{filters}"
        );
        let oldest = listed.iter().map(|item| &item["deadline"]).min_by_key(|deadline| deadline.to_string());
        assert_eq!(&found["oldest_deadline"], oldest.unwrap_or(&Value::Null), "{filters}");
    }
    for query in ["state=late", "order=deadline", "limit=5", "cursor=x"] {
        let answer = daemon.ask(Method::GET, &format!("/v1/items/summary?{query}")).await;
        answer.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn a_summary_reaches_over_many_pages_in_either_order() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let create = |number: usize| {
        json!({"op": "create", "workflow": "uploads", "id": format!("{number:05}"),
            "payload": "x".repeat(number % 10),
            "deadline": if number.is_multiple_of(3) { "1h" } else { "0s" },
            "step": format!("step-{}", number % 2)})
    };
    let lines: String = (0..1300).map(|number| format!("{}\n", create(number))).collect();
    daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    daemon.ask(Method::DELETE, &item("00001")).await;
    let all = summary(&daemon, "?state=open&state=overdue").await;
    assert_eq!((&all["count"], &all["bytes"]), (&json!(1299), &json!(130 * 45 - 1)));
    assert_eq!(all["by_step"], json!({"step-0": 650, "step-1": 649}));
    // The overdue are asked for as everybody asks for them.
    let overdue = summary(&daemon, "?state=overdue").await;
    assert_eq!((&overdue["count"], &overdue["by_state"]), (&json!(865), &json!({"overdue": 865})));
}
