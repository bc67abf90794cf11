use std::time::Duration;

use serde_json::json;

use super::*;
use crate::cli::commands::sample::lease;
use crate::cli::commands::worker::fake_daemon::{FakeDaemon, Reply, START, TTL};

fn beaten() -> Reply {
    Reply::Document(
        json!({"id": "lse_a", "token": 7, "attempt": 2, "expires_at": "2026-01-01T00:01:00.000Z"}),
    )
}

fn keep(daemon: &FakeDaemon) -> (HeldLease, mpsc::UnboundedReceiver<LostLease>) {
    let (tell, losses) = mpsc::unbounded_channel();
    (HeldLease::keep(lease("uploads", "a"), START.after(TTL), daemon.leases.clone(), tell), losses)
}

async fn lost(losses: &mut mpsc::UnboundedReceiver<LostLease>) -> String {
    let loss = tokio::time::timeout(Duration::from_secs(30), losses.recv()).await.expect("it is told");
    let LostLease { lease, reason, .. } = loss.unwrap();
    assert_eq!(lease, "lse_a");
    reason
}

#[tokio::test]
async fn a_lease_is_prolonged_every_third_of_its_time() {
    let daemon = FakeDaemon::answering([beaten(), beaten()]).await;
    let (mut held, _losses) = keep(&daemon);
    assert_eq!(held.expires(), START.after(TTL));
    for beat in 1..=2u32 {
        daemon.clock.advance(TTL / 3);
        held.expires.changed().await.unwrap();
        assert_eq!(held.expires(), START.after(TTL + TTL / 3 * beat));
    }
    let beat = ("POST /v1/leases/lse_a/heartbeat".to_owned(), json!({"ttl": "1m"}));
    assert_eq!(daemon.requests(), [beat.clone(), beat]);
}

#[tokio::test]
async fn a_lease_that_the_daemon_calls_lost_is_told_of() {
    let daemon = FakeDaemon::answering([Reply::Problem(409, "the item is closed")]).await;
    let (_held, mut losses) = keep(&daemon);
    daemon.clock.advance(TTL / 3);
    assert_eq!(lost(&mut losses).await, "the item is closed");
}

#[tokio::test]
async fn a_daemon_that_is_away_is_asked_again_and_the_lease_is_lost_when_its_time_is_over() {
    let daemon = FakeDaemon::answering([Reply::Problem(503, "busy"), Reply::BrokenOff]).await;
    let (held, mut losses) = keep(&daemon);
    daemon.clock.advance(TTL / 3);
    daemon.nth_request(1).await;
    // The clock may stand anywhere when the keeper has its response.
    for second in 0..39 {
        daemon.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(losses.try_recv().is_err(), "lost after {second} s more");
    }
    assert!(daemon.requests().len() >= 2);
    daemon.clock.advance(Duration::from_secs(1));
    assert_eq!(lost(&mut losses).await, "it expired because the daemon could not be reached");
    assert_eq!(held.expires(), START.after(TTL));
}

#[tokio::test]
async fn whoever_does_not_hold_a_lease_any_more_does_not_prolong_it() {
    let daemon = FakeDaemon::answering([]).await;
    let (held, mut losses) = keep(&daemon);
    drop(held);
    assert_eq!(losses.recv().await, None, "its keeper is gone");
    daemon.clock.advance(TTL);
    assert!(daemon.requests().is_empty());
}
