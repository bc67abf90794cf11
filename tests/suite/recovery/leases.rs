//! What the holder of a lease may do, and the effect on the item.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{act, claim, claim_one, ids, item};
use crate::support::TestDaemon;

const STEPS: &str = r#"
    [workflows.uploads]
    steps = ["copy", { name = "backup", deadline = "30m" }, "check"]
    deadline = "1h"
"#;

/// A daemon with an overdue item at the first of three steps.
async fn with_steps() -> TestDaemon {
    let daemon = TestDaemon::builder().config(STEPS).start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "hello").await;
    daemon
}

#[tokio::test]
async fn nobody_else_gets_a_leased_item_until_the_lease_has_run_out() {
    let daemon = with_steps().await;
    let first = claim_one(&daemon).await;
    assert_eq!(claim(&daemon, json!({})).await, Vec::<Value>::new());
    daemon.advance(Duration::from_millis(59_999));
    assert_eq!(claim(&daemon, json!({})).await, Vec::<Value>::new());
    daemon.advance(Duration::from_millis(1));
    assert_eq!(item(&daemon, "file-1").await["lease"], json!(null));
    let second = claim_one(&daemon).await;
    assert_eq!(second["attempt"], 2);
    for (say, document) in [
        ("heartbeat", json!({})),
        ("complete", json!({})),
        ("fail", json!({"error": {"type": "x"}})),
        ("release", json!({})),
    ] {
        let detail = act(&daemon, &first, say, document).await.refused(409, "lease-lost");
        assert!(detail.contains("another worker"), "{detail}");
    }
    act(&daemon, &second, "heartbeat", json!({})).await.json(200);
}

#[tokio::test]
async fn heartbeats_hold_a_lease_and_note_progress() {
    let daemon = with_steps().await;
    let lease = claim_one(&daemon).await;
    for _ in 0..5 {
        daemon.advance(Duration::from_secs(50));
        let held = act(&daemon, &lease, "heartbeat", json!({"progress": {"copied": 3}})).await.json(200);
        assert_eq!(
            (&held["id"], &held["token"], &held["attempt"]),
            (&lease["id"], &lease["token"], &json!(1))
        );
    }
    assert_eq!(item(&daemon, "file-1").await["progress"], json!({"copied": 3}));
    act(&daemon, &lease, "heartbeat", json!({"ttl": "5m"})).await.json(200);
    act(&daemon, &lease, "heartbeat", json!({"progress": {"copied": 4}})).await.json(200);
    daemon.advance(Duration::from_secs(299));
    assert_eq!(
        claim(&daemon, json!({})).await,
        Vec::<Value>::new(),
        "one that names no time takes none away"
    );
    daemon.advance(Duration::from_secs(1));
    let detail = act(&daemon, &lease, "heartbeat", json!({})).await.refused(409, "lease-lost");
    assert!(detail.contains("expired"), "{detail}");
}

#[tokio::test]
async fn completing_takes_an_item_from_step_to_step_and_closes_it_after_the_last() {
    let daemon = with_steps().await;
    let lease = claim_one(&daemon).await;
    let at_backup = act(&daemon, &lease, "complete", json!({"progress": {"bytes": 5}})).await.json(200);
    assert_eq!((&at_backup["step"], &at_backup["state"]), (&json!("backup"), &json!("overdue")));
    assert_eq!(at_backup["deadline"], "2026-01-01T00:00:00.000Z", "no step gives it more time than it has");
    let copied = &at_backup["steps"][0];
    assert_eq!((&copied["name"], &copied["status"]), (&json!("copy"), &json!("done")));
    assert_eq!(copied["at"], "2026-01-01T00:00:00.000Z");
    assert_eq!((&at_backup["progress"], &at_backup["lease"]), (&json!({"bytes": 5}), &json!(null)));

    let mut leases = claim(&daemon, json!({})).await;
    assert_eq!(leases[0]["attempt"], 1, "attempts are counted for each step");
    let at_check = act(&daemon, &leases.remove(0), "complete", json!({})).await.json(200);
    assert_eq!(
        (&at_check["step"], &at_check["deadline"]),
        (&json!("check"), &json!("2026-01-01T00:00:00.000Z"))
    );

    let mut leases = claim(&daemon, json!({})).await;
    let closed = act(&daemon, &leases.remove(0), "complete", json!({})).await.json(200);
    assert_eq!((&closed["state"], &closed["outcome"]), (&json!("closed"), &json!("success")));
    assert_eq!(closed["steps"].as_array().unwrap().len(), 3);
    let payload = daemon.ask(Method::GET, "/v1/workflows/uploads/items/file-1/payload").await;
    payload.refused(410, "payload-gone");
}

#[tokio::test]
async fn a_holder_may_close_an_item_whatever_steps_are_left() {
    let daemon = with_steps().await;
    let lease = claim_one(&daemon).await;
    assert_eq!(act(&daemon, &lease, "complete", json!({"close": true})).await.json(200)["state"], "closed");
}

#[tokio::test]
async fn an_item_without_steps_is_closed_when_it_is_completed_and_its_incident_resolved() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "hello").await;
    daemon.open_incidents(1).await;
    let lease = claim_one(&daemon).await;
    assert_eq!(act(&daemon, &lease, "complete", json!({})).await.json(200)["state"], "closed");
    daemon.open_incidents(0).await;
}

#[tokio::test]
async fn closing_an_item_wins_over_whoever_holds_it() {
    let daemon = with_steps().await;
    let lease = claim_one(&daemon).await;
    daemon.close("uploads", "file-1").await;
    for say in ["heartbeat", "complete", "release"] {
        let detail = act(&daemon, &lease, say, json!({})).await.refused(409, "lease-lost");
        assert!(detail.contains("closed"), "{detail}");
    }
    assert_eq!(item(&daemon, "file-1").await["lease"], json!(null));
}

#[tokio::test]
async fn what_ended_a_lease_may_be_said_again() {
    let daemon = with_steps().await;
    for (say, document) in [
        ("release", json!({})),
        ("fail", json!({"error": {"type": "x", "retryable": true}, "retry_after": "0s"})),
        ("complete", json!({})),
    ] {
        let lease = claim_one(&daemon).await;
        let first = act(&daemon, &lease, say, document.clone()).await.json(200);
        daemon.advance(Duration::from_secs(3600));
        let again = act(&daemon, &lease, say, document).await.json(200);
        assert_eq!((&again["version"], &again["errors"]), (&first["version"], &first["errors"]), "{say}");
        let other = if say == "release" { "complete" } else { "release" };
        act(&daemon, &lease, other, json!({})).await.refused(409, "lease-lost");
    }
}

#[tokio::test]
async fn what_ended_a_lease_may_be_said_again_when_another_has_the_next_step() {
    let daemon = with_steps().await;
    let first = claim_one(&daemon).await;
    act(&daemon, &first, "complete", json!({})).await.json(200);
    let second = claim(&daemon, json!({})).await;
    let again = act(&daemon, &first, "complete", json!({})).await.json(200);
    assert_eq!((&again["step"], &again["lease"]["id"]), (&json!("backup"), &second[0]["id"]));
    act(&daemon, &second[0], "complete", json!({})).await.json(200);
    assert_eq!(item(&daemon, "file-1").await["step"], "check");
}

#[tokio::test]
async fn a_deadline_that_was_moved_while_an_item_was_held_stays_moved() {
    let daemon = with_steps().await;
    let lease = claim_one(&daemon).await;
    act(&daemon, &lease, "complete", json!({})).await.json(200);
    let mut leases = claim(&daemon, json!({})).await;
    let patch = json!({"deadline": "5h"});
    daemon.send_json(Method::PATCH, "/v1/workflows/uploads/items/file-1", patch).await.json(200);
    let at_check = act(&daemon, &leases.remove(0), "complete", json!({})).await.json(200);
    assert_eq!(at_check["deadline"], "2026-01-01T05:00:00.000Z");
}

#[tokio::test]
async fn a_released_item_was_never_tried_and_may_be_kept_back_for_a_while() {
    let daemon = with_steps().await;
    let lease = claim_one(&daemon).await;
    let released = act(&daemon, &lease, "release", json!({"delay": "30s"})).await.json(200);
    assert_eq!((&released["step_attempts"], &released["state"]), (&json!(0), &json!("overdue")));
    assert_eq!(released["retry_at"], "2026-01-01T00:00:30.000Z");
    daemon.advance(Duration::from_millis(29_999));
    assert_eq!(claim(&daemon, json!({})).await, Vec::<Value>::new());
    daemon.advance(Duration::from_millis(1));
    assert_eq!(claim_one(&daemon).await["attempt"], 1);
}

#[tokio::test]
async fn leases_and_waits_outlive_a_restart() {
    let mut daemon = TestDaemon::builder().config(STEPS).on_sled().start().await;
    for id in ["held", "waiting", "free"] {
        daemon.create("uploads", id, "?deadline=0s", id).await;
    }
    let leases = claim(&daemon, json!({"max": 2, "worker": "host-1"})).await;
    assert_eq!(ids(&leases), ["held", "waiting"]);
    let failure = json!({"error": {"type": "x", "retryable": true}, "retry_after": "2m"});
    act(&daemon, &leases[1], "fail", failure).await.json(200);
    daemon.restart().await;
    assert_eq!(item(&daemon, "held").await["lease"]["id"], leases[0]["id"]);
    let after = claim(&daemon, json!({"max": 10, "ttl": "1h"})).await;
    assert_eq!(ids(&after), ["free"]);
    assert!(after[0]["token"].as_u64() > leases[1]["token"].as_u64(), "tokens grow across restarts");
    act(&daemon, &leases[0], "heartbeat", json!({"ttl": "60s"})).await.json(200);
    daemon.restart_after(Duration::from_secs(60)).await;
    assert_eq!(ids(&claim(&daemon, json!({"max": 10, "ttl": "1h"})).await), ["held"]);
    daemon.advance(Duration::from_secs(60));
    assert_eq!(ids(&claim(&daemon, json!({"max": 10})).await), ["waiting"]);
}

#[tokio::test]
async fn what_is_no_id_of_a_lease_is_not_found_and_one_of_a_forgotten_item_is_lost() {
    let daemon = with_steps().await;
    let beat = async |id: &str| {
        daemon.send_json(Method::POST, &format!("/v1/leases/{id}/heartbeat"), json!({})).await
    };
    for id in ["x", "lse_", "lse_12", &format!("lse_{}", "g".repeat(32))] {
        beat(id).await.refused(404, "lease-not-found");
    }
    beat(&format!("lse_{}", "f".repeat(32))).await.refused(409, "lease-lost");
    beat(&format!("lse_{:016x}{:016x}", 1, 1)).await.refused(404, "lease-not-found");
    let lease = claim_one(&daemon).await;
    daemon.close("uploads", "file-1").await;
    daemon.advance(Duration::from_secs(2 * 24 * 60 * 60));
    act(&daemon, &lease, "complete", json!({})).await.refused(409, "lease-lost");
}

#[tokio::test]
async fn what_a_holder_says_wrongly_ends_nothing() {
    let daemon = with_steps().await;
    let lease = claim_one(&daemon).await;
    for (say, document) in [
        ("heartbeat", json!({"ttl": "0s"})),
        ("heartbeat", json!({"tll": "60s"})),
        ("complete", json!({"progress": {"text": "x".repeat(40_000)}})),
        ("fail", json!({})),
        ("fail", json!({"error": {"type": ""}})),
        ("fail", json!({"error": {"type": "x", "message": "m".repeat(3000)}})),
        ("release", json!({"delay": "soon"})),
    ] {
        act(&daemon, &lease, say, document).await.refused(400, "invalid-request");
    }
    act(&daemon, &lease, "complete", json!({})).await.json(200);
}
