use std::time::Duration;

use serde_json::{Value, json};
use warden_api::word::ProgressOperation;

use super::*;
use crate::client::Client;
use crate::clock::Clock as _;
use crate::scripted::{ManualClock, Reply, START, ScriptedDaemon, lease_document};

const TTL: Duration = Duration::from_secs(60);

fn beaten() -> Reply {
    Reply::Document(
        json!({"id": "lse_a", "token": 7, "attempt": 2, "expires_at": "2026-01-01T00:01:00.000Z"}),
    )
}

/// A lease that is held, and whatever is to happen to it.
struct Stage {
    daemon: ScriptedDaemon,
    clock: ManualClock,
    held: HeldLease,
    losses: mpsc::UnboundedReceiver<LostLease>,
}

impl Stage {
    async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let daemon = ScriptedDaemon::answering(replies).await;
        let clock = ManualClock::new();
        let client = Client::builder(daemon.url()).clock(Arc::new(clock.clone())).build().unwrap();
        let (tell, losses) = mpsc::unbounded_channel();
        let lease = serde_json::from_value(lease_document("a")).unwrap();
        let held = HeldLease::keep(lease, START.after(TTL), Arc::new(Leases::new(client, TTL)), tell);
        Self { daemon, clock, held, losses }
    }

    async fn lost(&mut self) -> String {
        let loss = tokio::time::timeout(Duration::from_secs(30), self.losses.recv()).await;
        let LostLease { lease, reason, .. } = loss.expect("it is told").unwrap();
        assert_eq!(lease, "lse_a");
        reason
    }

    fn documents(&self) -> Vec<Value> {
        self.daemon.requests().into_iter().map(|request| request.document).collect()
    }
}

fn change(value: Value) -> ProgressChange {
    let value = value.as_object().unwrap().clone();
    ProgressChange { op: ProgressOperation::Set, value, of_step: true }
}

#[tokio::test]
async fn a_lease_is_prolonged_every_third_of_its_time() {
    let mut stage = Stage::new([beaten(), beaten()]).await;
    assert_eq!(stage.held.expires(), START.after(TTL));
    for beat in 1..=2u32 {
        stage.clock.advance(TTL / 3);
        stage.held.expires.changed().await.unwrap();
        assert_eq!(stage.held.expires(), START.after(TTL + TTL / 3 * beat));
    }
    assert_eq!(stage.documents(), [json!({"ttl": "1m"}), json!({"ttl": "1m"})]);
    assert_eq!(stage.daemon.requests()[0].line, "POST /v1/leases/lse_a/heartbeat");
}

#[tokio::test]
async fn a_lease_that_the_daemon_calls_lost_is_told_of() {
    let mut stage = Stage::new([Reply::Problem(409, "the item is closed")]).await;
    stage.clock.advance(TTL / 3);
    assert_eq!(stage.lost().await, "the item is closed");
}

#[tokio::test]
async fn a_daemon_that_is_away_is_asked_again_and_the_lease_is_lost_when_its_time_is_over() {
    let mut stage = Stage::new([Reply::Problem(503, "busy"), Reply::BrokenOff]).await;
    stage.clock.advance(TTL / 3);
    stage.daemon.nth_request(1).await;
    // The clock may stand anywhere when the keeper has its response.
    for second in 0..39 {
        stage.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(stage.losses.try_recv().is_err(), "lost after {second} s more");
    }
    assert!(stage.documents().len() >= 2);
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.lost().await, "it expired because the daemon could not be reached");
    assert_eq!(stage.held.expires(), START.after(TTL));
}

#[tokio::test]
async fn whoever_does_not_hold_a_lease_any_more_does_not_prolong_it() {
    let Stage { daemon, clock, held, mut losses } = Stage::new([]).await;
    drop(held);
    assert_eq!(losses.recv().await, None, "its keeper is gone");
    clock.advance(TTL);
    assert!(daemon.requests().is_empty());
}

#[tokio::test]
async fn progress_goes_with_a_heartbeat_at_once_and_prolongs_the_lease() {
    let stage = Stage::new([beaten()]).await;
    stage.clock.advance(Duration::from_secs(1));
    stage.held.save(change(json!({"rows": 7}))).await.unwrap();
    let expected = json!({"op": "set", "value": {"rows": 7}, "of_step": true});
    assert_eq!(stage.documents(), [json!({"ttl": "1m", "progress_change": expected})]);
    assert_eq!(stage.held.expires(), START.after(TTL + Duration::from_secs(1)));
}

#[tokio::test]
async fn progress_is_offered_again_while_the_daemon_is_away() {
    let stage = Stage::new([Reply::Problem(503, "busy"), beaten()]).await;
    let moved = async {
        stage.daemon.nth_request(1).await;
        loop {
            stage.clock.advance(Duration::from_millis(200));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        saved = stage.held.save(change(json!({}))) => saved.unwrap(),
        () = moved => unreachable!("the clock is moved for ever"),
    }
    let documents = stage.documents();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0], documents[1]);
}

#[tokio::test]
async fn progress_that_the_daemon_refuses_is_an_error_and_the_lease_stays() {
    let mut stage = Stage::new([Reply::Problem(422, "too large"), beaten()]).await;
    let refused = stage.held.save(change(json!({}))).await.unwrap_err();
    assert_eq!(refused.status(), Some(422));
    stage.daemon.nth_request(2).await;
    assert_eq!(stage.documents()[1], json!({"ttl": "1m"}));
    assert!(stage.losses.try_recv().is_err());
}

#[tokio::test]
async fn progress_of_a_lost_lease_is_not_saved() {
    let mut stage = Stage::new([Reply::Problem(409, "taken")]).await;
    let lost = stage.held.save(change(json!({}))).await.unwrap_err();
    assert!(matches!(&lost, Error::Lost(reason) if reason == "taken"), "{lost:?}");
    assert_eq!(stage.lost().await, "taken");
    assert!(matches!(stage.held.save(change(json!({}))).await, Err(Error::Lost(_))));
    assert_eq!(stage.clock.now(), START);
}
