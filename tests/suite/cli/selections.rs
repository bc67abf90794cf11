//! `warden close`, `cancel`, `extend` and `retry` for all items that match.

use serde_json::json;

use super::recover::{item, lose};
use super::warden;
use crate::support::TestDaemon;

#[tokio::test]
async fn all_that_match_are_cancelled_once_a_person_agrees() {
    let daemon = TestDaemon::start().await;
    lose(&daemon, &["a", "b"]).await;
    daemon.create("uploads", "c", "?deadline=1h", "payload").await;
    let overdue = ["cancel", "--workflow", "uploads", "--state", "overdue"];
    let refused = warden(&daemon, &overdue).await.failed(64);
    assert!(refused.contains("--dry-run") && refused.contains("--yes"), "{refused}");
    let shown = warden(&daemon, &[&overdue[..], &["--dry-run"]].concat()).await.done();
    assert!(shown.contains("2 overdue"), "{shown}");
    // What is closed is not counted among what would be cancelled.
    warden(&daemon, &["close", "uploads", "c"]).await.done();
    daemon.create("uploads", "d", "?deadline=1h", "payload").await;
    let all = warden(&daemon, &["cancel", "--workflow", "uploads", "--dry-run"]).await.done();
    assert!(all.contains("1 open, 2 overdue") && !all.contains("closed"), "{all}");
    assert_eq!(item(&daemon, "a").await["state"], "overdue");
    let said = warden(&daemon, &[&overdue[..], &["--yes"]].concat()).await.done();
    assert_eq!(said, "cancelled 2 items\n");
    assert_eq!(item(&daemon, "b").await["outcome"], "discarded");
    assert_eq!(item(&daemon, "d").await["state"], "open");
}

#[tokio::test]
async fn one_item_is_cancelled_or_extended_without_a_question() {
    let daemon = TestDaemon::start().await;
    lose(&daemon, &["a", "b"]).await;
    let said = warden(&daemon, &["extend", "uploads", "a", "--deadline", "2h"]).await.done();
    assert!(said.starts_with("uploads a is due 2026-01-01T02:00:00"), "{said}");
    assert_eq!(item(&daemon, "a").await["state"], "open");
    let said = warden(&daemon, &["cancel", "uploads", "b"]).await.done();
    assert_eq!(said, "uploads b is cancelled\n");
    let printed = warden(&daemon, &["cancel", "uploads", "b", "--output", "json"]).await.json();
    assert_eq!(printed, json!({"workflow": "uploads", "id": "b", "state": "closed"}));
    warden(&daemon, &["cancel", "uploads", "nothing"]).await.failed(1);
}

#[tokio::test]
async fn all_that_match_are_closed_or_extended() {
    let daemon = TestDaemon::start().await;
    lose(&daemon, &["a", "b"]).await;
    daemon.create("uploads", "late", "?deadline=3h", "payload").await;
    let extend = ["extend", "--workflow", "*", "--deadline", "2h", "--yes"];
    assert_eq!(warden(&daemon, &extend).await.done(), "extended 2 items\n");
    assert_eq!(item(&daemon, "late").await["deadline"], "2026-01-01T03:00:00.000Z");
    let close = ["close", "--workflow", "uploads", "--outcome", "failed", "--yes", "--output", "json"];
    assert_eq!(warden(&daemon, &close).await.json(), json!({"changed": 3}));
    assert_eq!(item(&daemon, "a").await["outcome"], "failed");
}

#[tokio::test]
async fn a_retry_can_go_on_from_another_step_and_later() {
    let daemon =
        TestDaemon::builder().config("[workflows.uploads]\nsteps = [\"copy\", \"backup\"]").start().await;
    daemon.create("uploads", "a", "?deadline=1h&step=backup", "payload").await;
    let said = warden(&daemon, &["retry", "uploads", "a", "--from", "copy", "--after", "30m"]).await.done();
    let expected = "uploads a goes on from the step copy, and can be claimed 2026-01-01T00:30:00.000Z";
    assert!(said.starts_with(expected), "{said}");
    let found = item(&daemon, "a").await;
    assert_eq!((&found["step"], &found["retry_at"]), (&json!("copy"), &json!("2026-01-01T00:30:00.000Z")));
    let all = ["retry", "--workflow", "uploads", "--state", "open", "--from", "backup"];
    assert_eq!(warden(&daemon, &all).await.done(), "retried 1 item\n");
    assert_eq!(item(&daemon, "a").await["step"], "backup");
    let refused = warden(&daemon, &["retry", "uploads", "a", "--from", "upload"]).await.failed(1);
    assert!(refused.contains("copy, backup"), "{refused}");
    warden(&daemon, &["retry", "uploads", "a", "--after", "1m", "--at", "2026-01-01T00:00:00Z"])
        .await
        .failed(64);
}

#[tokio::test]
async fn a_rate_makes_the_requests_small() {
    let daemon = TestDaemon::start().await;
    lose(&daemon, &["a", "b", "c", "d", "e"]).await;
    let said =
        warden(&daemon, &["cancel", "--workflow", "uploads", "--yes", "--rate", "2000/s"]).await.done();
    assert_eq!(said, "cancelled 5 items\n");
    let limited = ["cancel", "--workflow", "uploads", "--yes", "--rate", "0/s"];
    warden(&daemon, &limited).await.failed(64);
}

#[tokio::test]
async fn an_item_is_created_with_steps_of_its_own_and_a_time_before_which_nobody_works_on_it() {
    let daemon = TestDaemon::start().await;
    let create = ["create", "uploads", "a", "--file", "/dev/null", "--own-step", "x", "--own-step", "y"];
    warden(&daemon, &[&create[..], &["--not-before", "10m"]].concat()).await.done();
    let found = item(&daemon, "a").await;
    assert_eq!((&found["step"], &found["not_before"]), (&json!("x"), &json!("2026-01-01T00:10:00.000Z")));
    warden(&daemon, &["retry", "uploads", "a", "--from", "y"]).await.done();
    assert_eq!(item(&daemon, "a").await["step_index"], 1);
}
