use serde_json::json;

use super::*;
use crate::cli::commands::sample::{lease, lease_document as document};
use crate::cli::commands::worker::fake_daemon::{FakeDaemon, Reply, START, TTL};

fn item(state: &str) -> Reply {
    let mut document = document("uploads", "a")["item"].clone();
    document["state"] = state.into();
    Reply::Document(document)
}

/// Settles a lease while the clock advances after each request.
async fn settle(daemon: &FakeDaemon, settlement: Settlement) -> Result<String, LeaseError> {
    let settling = daemon.leases.settle("lse_a", &settlement, START.after(TTL));
    let mut settling = std::pin::pin!(settling);
    loop {
        let turn = Duration::from_millis(20);
        match tokio::time::timeout(turn, &mut settling).await {
            Ok(settled) => return settled.map(|item| item.state.to_string()),
            Err(_) => daemon.clock.advance(Duration::from_secs(5)),
        }
    }
}

#[tokio::test]
async fn a_settlement_is_what_the_daemon_takes() {
    let failed = Settlement::Fail { kind: "exit 3".to_owned(), message: "no".to_owned(), retryable: true };
    for (settlement, path, document) in [
        (Settlement::Complete { close: true }, "complete", json!({"close": true})),
        (Settlement::Release, "release", json!({})),
        (failed, "fail", json!({"error": {"type": "exit 3", "message": "no", "retryable": true}})),
    ] {
        let daemon = FakeDaemon::answering([item("open")]).await;
        assert_eq!(settle(&daemon, settlement).await.unwrap(), "open");
        assert_eq!(daemon.requests(), [(format!("POST /v1/leases/lse_a/{path}"), document)]);
    }
}

#[tokio::test]
async fn a_result_is_offered_again_while_the_daemon_is_away() {
    let replies = [Reply::Problem(503, "on the way down"), Reply::BrokenOff, item("closed")];
    let daemon = FakeDaemon::answering(replies).await;
    assert_eq!(settle(&daemon, Settlement::Complete { close: false }).await.unwrap(), "closed");
    assert_eq!(daemon.requests().len(), 3);
}

#[tokio::test]
async fn a_result_is_offered_only_as_long_as_the_lease_may_last() {
    let daemon = FakeDaemon::answering((0..100).map(|_| Reply::Problem(503, "busy"))).await;
    let denied = settle(&daemon, Settlement::Release).await.unwrap_err();
    assert!(matches!(denied, LeaseError::Client(ClientError::Refused { .. })), "{denied:?}");
    assert!(daemon.clock.now() >= START.after(TTL));
    assert!(daemon.requests().len() > 3, "{}", daemon.requests().len());
}

#[tokio::test]
async fn a_lost_lease_is_told_from_what_is_not_allowed() {
    let daemon =
        FakeDaemon::answering([Reply::Problem(409, "closed since"), Reply::Problem(403, "no")]).await;
    let lost = settle(&daemon, Settlement::Release).await.unwrap_err();
    assert!(matches!(&lost, LeaseError::Lost(reason) if reason == "closed since"), "{lost:?}");
    assert!(matches!(settle(&daemon, Settlement::Release).await, Err(LeaseError::Client(_))));
}

#[tokio::test]
async fn an_item_counts_as_closed_only_if_the_daemon_says_so() {
    let daemon = FakeDaemon::answering([item("closed"), item("overdue"), Reply::Problem(403, "no")]).await;
    let lease = lease("uploads", "a/b");
    assert!(daemon.leases.is_closed(&lease).await);
    assert!(!daemon.leases.is_closed(&lease).await);
    assert!(!daemon.leases.is_closed(&lease).await);
    assert_eq!(daemon.requests()[0].0, "GET /v1/workflows/uploads/items/a%2Fb");
}

#[test]
fn waits_grow_to_a_bound_and_a_daemon_may_ask_for_longer_ones_within_another() {
    let mut backoff = Backoff::new();
    let waits: Vec<u128> = (0..8).map(|_| backoff.wait(None).as_millis()).collect();
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    assert_eq!(Backoff::new().wait(Some(7)), Duration::from_secs(7));
    assert_eq!(Backoff::new().wait(Some(u64::MAX)), GRANTED_MAX);
    assert_eq!(Backoff::new().wait(Some(0)), FIRST);
}
