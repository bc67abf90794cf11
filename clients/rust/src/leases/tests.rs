use std::sync::Arc;

use serde_json::json;
use warden_api::lease::FailureRequest;

use super::*;
use crate::scripted::{ManualClock, Reply, START, ScriptedDaemon, item_document, lease_document};

const TTL: Duration = Duration::from_secs(60);

fn item(state: &str) -> Reply {
    Reply::Document(item_document("a", state))
}

/// Leases of a daemon that answers with these, and the clock by which they expire.
async fn leases(replies: impl IntoIterator<Item = Reply>) -> (ScriptedDaemon, ManualClock, Leases) {
    let daemon = ScriptedDaemon::answering(replies).await;
    let clock = ManualClock::new();
    let client = Client::builder(daemon.url()).clock(Arc::new(clock.clone())).build().unwrap();
    (daemon, clock, Leases::new(client, TTL))
}

/// Settles a lease while the clock advances after each request.
async fn settle(clock: &ManualClock, leases: &Leases, settlement: Settlement) -> Result<String, Error> {
    let mut settling = std::pin::pin!(leases.settle("lse_a", &settlement, START.after(TTL)));
    loop {
        match tokio::time::timeout(Duration::from_millis(20), &mut settling).await {
            Ok(settled) => return settled.map(|item| item.state.to_string()),
            Err(_) => clock.advance(Duration::from_secs(5)),
        }
    }
}

fn release() -> Settlement {
    Settlement::Release(ReleaseRequest::default())
}

#[tokio::test]
async fn a_claim_asks_for_leases_that_last_as_long_as_all_others() {
    let document = json!({"leases": [lease_document("a")], "next_cursor": "c1"});
    let (daemon, _, leases) = leases([Reply::Document(document)]).await;
    let request =
        ClaimRequest { max: 3, payloads: false, worker: Some("host-1".into()), ..ClaimRequest::default() };
    let (claimed, expires) = leases.claim(request, Duration::from_millis(1_500)).await.unwrap();
    assert_eq!((claimed.leases.len(), expires), (1, START.after(TTL)));
    let expected = json!({"max": 3, "ttl": "1m", "wait": "1s 500ms", "payloads": false, "worker": "host-1"});
    assert_eq!(daemon.requests()[0].document, expected);
}

#[tokio::test]
async fn a_settlement_is_what_the_daemon_takes() {
    let complete = CompleteRequest { close: true, ..CompleteRequest::default() };
    let error = FailureRequest { kind: "exit 3".to_owned(), message: "no".to_owned(), ..Default::default() };
    let fail = FailRequest { error, ..FailRequest::default() };
    let failed = json!({"error": {"type": "exit 3", "message": "no", "retryable": false}});
    for (settlement, path, document) in [
        (Settlement::Complete(complete), "complete", json!({"close": true})),
        (release(), "release", json!({})),
        (Settlement::Fail(fail), "fail", failed),
    ] {
        let (daemon, clock, leases) = leases([item("open")]).await;
        assert_eq!(settle(&clock, &leases, settlement).await.unwrap(), "open");
        let request = daemon.requests().remove(0);
        assert_eq!((request.line, request.document), (format!("POST /v1/leases/lse_a/{path}"), document));
    }
}

#[tokio::test]
async fn a_result_is_offered_again_while_the_daemon_is_away() {
    let replies = [Reply::Problem(503, "on the way down"), Reply::BrokenOff, item("closed")];
    let (daemon, clock, leases) = leases(replies).await;
    let complete = Settlement::Complete(CompleteRequest::default());
    assert_eq!(settle(&clock, &leases, complete).await.unwrap(), "closed");
    assert_eq!(daemon.requests().len(), 3);
}

#[tokio::test]
async fn a_result_is_offered_only_as_long_as_the_lease_may_last() {
    let (daemon, clock, leases) = leases((0..100).map(|_| Reply::Problem(503, "busy"))).await;
    let denied = settle(&clock, &leases, release()).await.unwrap_err();
    assert_eq!(denied.status(), Some(503));
    assert!(clock.now() >= START.after(TTL));
    assert!(daemon.requests().len() > 3, "{}", daemon.requests().len());
}

#[tokio::test]
async fn a_lost_lease_is_told_from_what_is_not_allowed() {
    let (_daemon, clock, leases) =
        leases([Reply::Problem(409, "closed since"), Reply::Problem(403, "no")]).await;
    let lost = settle(&clock, &leases, release()).await.unwrap_err();
    assert!(matches!(&lost, Error::Lost(reason) if reason == "closed since"), "{lost:?}");
    assert_eq!(settle(&clock, &leases, release()).await.unwrap_err().status(), Some(403));
}

#[tokio::test]
async fn an_item_counts_as_closed_only_if_the_daemon_says_so() {
    let (daemon, _, leases) = leases([item("closed"), item("overdue"), Reply::Problem(403, "no")]).await;
    let lease = serde_json::from_value(lease_document("a/b")).unwrap();
    assert!(leases.is_closed(&lease).await);
    assert!(!leases.is_closed(&lease).await);
    assert!(!leases.is_closed(&lease).await);
    assert_eq!(daemon.requests()[0].line, "GET /v1/workflows/uploads/items/a%2Fb");
}
