use serde_json::json;

use super::*;
use crate::cli::commands::sample::{lease, lease_document as document};
use crate::cli::commands::worker::stand_in::{Reply, START, StandIn, TTL};

fn item(state: &str) -> Reply {
    let mut document = document("uploads", "a")["item"].clone();
    document["state"] = state.into();
    Reply::Document(document)
}

/// Settles a lease while the clock is moved on whenever the daemon is asked.
async fn settle(daemon: &StandIn, settlement: Settlement) -> Result<String, Denial> {
    let settling = daemon.desk.settle("lse_a", &settlement, START.after(TTL));
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
        let daemon = StandIn::answering([item("open")]).await;
        assert_eq!(settle(&daemon, settlement).await.unwrap(), "open");
        assert_eq!(daemon.asked(), [(format!("POST /v1/leases/lse_a/{path}"), document)]);
    }
}

#[tokio::test]
async fn a_result_is_offered_again_while_the_daemon_is_away() {
    let replies = [Reply::Problem(503, "on the way down"), Reply::BrokenOff, item("closed")];
    let daemon = StandIn::answering(replies).await;
    assert_eq!(settle(&daemon, Settlement::Complete { close: false }).await.unwrap(), "closed");
    assert_eq!(daemon.asked().len(), 3);
}

#[tokio::test]
async fn a_result_is_offered_only_as_long_as_the_lease_may_last() {
    let daemon = StandIn::answering((0..100).map(|_| Reply::Problem(503, "busy"))).await;
    let denied = settle(&daemon, Settlement::Release).await.unwrap_err();
    assert!(matches!(denied, Denial::NoAnswer(ClientError::Refused { .. })), "{denied:?}");
    assert!(daemon.clock.now() >= START.after(TTL));
    assert!(daemon.asked().len() > 3, "{}", daemon.asked().len());
}

#[tokio::test]
async fn a_lost_lease_is_told_from_what_is_not_allowed() {
    let daemon = StandIn::answering([Reply::Problem(409, "closed since"), Reply::Problem(403, "no")]).await;
    let lost = settle(&daemon, Settlement::Release).await.unwrap_err();
    assert!(matches!(&lost, Denial::Lost(reason) if reason == "closed since"), "{lost:?}");
    assert!(matches!(settle(&daemon, Settlement::Release).await, Err(Denial::NoAnswer(_))));
}

#[tokio::test]
async fn an_item_counts_as_closed_only_if_the_daemon_says_so() {
    let daemon = StandIn::answering([item("closed"), item("overdue"), Reply::Problem(403, "no")]).await;
    let lease = lease("uploads", "a/b");
    assert!(daemon.desk.is_closed(&lease).await);
    assert!(!daemon.desk.is_closed(&lease).await);
    assert!(!daemon.desk.is_closed(&lease).await);
    assert_eq!(daemon.asked()[0].0, "GET /v1/workflows/uploads/items/a%2Fb");
}
