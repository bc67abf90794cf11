use serde_json::{Value, json};

use super::*;
use crate::cli::commands::sample::lease_document as document;
use crate::cli::commands::worker::fake_daemon::{FakeDaemon, Reply, START, TTL, claim as claim_request};
use warden_client::Clock as _;

const PATIENCE: Duration = Duration::from_secs(120);

fn leases(ids: &[&str], next_cursor: Value) -> Reply {
    let leases: Vec<Value> = ids.iter().map(|id| document("uploads", id)).collect();
    Reply::Document(json!({"leases": leases, "next_cursor": next_cursor}))
}

async fn claims(replies: impl IntoIterator<Item = Reply>) -> (FakeDaemon, Claims) {
    let daemon = FakeDaemon::answering(replies).await;
    let claims = Claims::at(daemon.leases.clone(), claim_request(), PATIENCE);
    (daemon, claims)
}

async fn claim(claims: &mut Claims, items: usize) -> ClaimOutcome {
    claims.send(items);
    assert!(claims.is_pending());
    let outcome = tokio::time::timeout(Duration::from_secs(30), claims.outcome()).await.expect("a result");
    assert!(!claims.is_pending());
    outcome
}

#[tokio::test]
async fn each_claim_goes_on_behind_the_last_item_of_the_one_before() {
    let replies = [leases(&["a", "b"], "c1".into()), leases(&[], Value::Null), leases(&["c"], "c2".into())];
    let (daemon, mut claims) = claims(replies).await;
    let ClaimOutcome::Leased(got, expires) = claim(&mut claims, 2).await else { panic!("two leases") };
    assert_eq!(got.iter().map(|lease| &*lease.item.id).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(expires, START.after(TTL));
    assert!(matches!(claim(&mut claims, 1).await, ClaimOutcome::Exhausted));
    assert!(matches!(claim(&mut claims, 1).await, ClaimOutcome::Leased(..)));
    let first = json!({
        "states": ["overdue"], "max": 2, "ttl": "1m", "payloads": false, "worker": "host-1",
    });
    let mut asked = daemon.requests().into_iter();
    assert_eq!(asked.next(), Some(("POST /v1/leases".to_owned(), first)));
    let cursors: Vec<Value> = asked.map(|(_, document)| document["cursor"].clone()).collect();
    assert_eq!(cursors, ["c1", "c1"]);
}

#[tokio::test]
async fn a_claim_whose_items_were_all_closed_meanwhile_is_not_the_end() {
    let (daemon, mut claims) = claims([leases(&[], "c1".into()), leases(&[], Value::Null)]).await;
    assert!(matches!(claim(&mut claims, 1).await, ClaimOutcome::Leased(none, _) if none.is_empty()));
    assert!(matches!(claim(&mut claims, 1).await, ClaimOutcome::Exhausted));
    assert_eq!(daemon.requests()[1].1["cursor"], "c1");
}

#[tokio::test]
async fn after_a_lost_answer_nothing_is_claimed_until_what_it_may_have_held_is_free_again() {
    let replies = [leases(&["a"], "c1".into()), Reply::BrokenOff, leases(&["b"], "c2".into())];
    let (daemon, mut claims) = claims(replies).await;
    claim(&mut claims, 1).await;
    let ClaimOutcome::Retry(Some(said)) = claim(&mut claims, 1).await else { panic!("it is put off") };
    assert!(said.contains("answer to a claim is lost; claiming again in 1m"), "{said}");
    assert_eq!(claims.not_before(), START.after(TTL + SLACK));
    claim(&mut claims, 1).await;
    assert_eq!(daemon.requests()[2], daemon.requests()[1], "the same place is asked for again");
}

#[tokio::test]
async fn an_overloaded_daemon_is_waited_for_and_told_of_once() {
    let busy = || Reply::Problem(503, "too much at once");
    let (_daemon, mut claims) = claims([busy(), busy(), leases(&["a"], "c1".into()), busy()]).await;
    let ClaimOutcome::Retry(Some(said)) = claim(&mut claims, 1).await else { panic!("it is put off") };
    assert!(said.starts_with("waiting at most 2m for the daemon: ") && said.contains("too much"), "{said}");
    let first = claims.not_before();
    assert!(matches!(claim(&mut claims, 1).await, ClaimOutcome::Retry(None)));
    assert!(START < first && first < claims.not_before());
    claim(&mut claims, 1).await;
    assert!(matches!(claim(&mut claims, 1).await, ClaimOutcome::Retry(Some(_))), "it is trouble anew");
}

#[tokio::test]
async fn patience_ends() {
    let (daemon, mut claims) = claims([Reply::Problem(503, "busy"), Reply::Problem(503, "busy")]).await;
    assert!(matches!(claim(&mut claims, 1).await, ClaimOutcome::Retry(Some(_))));
    daemon.clock.advance(PATIENCE);
    assert!(matches!(claim(&mut claims, 1).await, ClaimOutcome::Failed(CliError::Client(_))));
    assert_eq!(daemon.clock.now(), START.after(PATIENCE));
}

#[tokio::test]
async fn what_is_refused_is_not_asked_again() {
    let (_daemon, mut claims) = claims([Reply::Problem(403, "not yours")]).await;
    let ClaimOutcome::Failed(error) = claim(&mut claims, 1).await else { panic!("it is refused") };
    assert!(error.to_string().contains("not yours"), "{error}");
}
