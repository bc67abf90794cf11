use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::clock::Clock as _;
use crate::scripted::{ManualClock, PAYLOAD, Reply, START, ScriptedDaemon, item_document};

async fn client(replies: impl IntoIterator<Item = Reply>) -> (ScriptedDaemon, ManualClock, Client) {
    let daemon = ScriptedDaemon::answering(replies).await;
    let clock = ManualClock::new();
    let client = Client::builder(daemon.url()).clock(Arc::new(clock.clone())).build().unwrap();
    (daemon, clock, client)
}

/// Moves the clock while this goes on.
async fn passing<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(Duration::from_millis(20), &mut work).await {
            Ok(done) => return done,
            Err(_) => clock.advance(Duration::from_secs(1)),
        }
    }
}

fn lines(daemon: &ScriptedDaemon) -> Vec<String> {
    daemon.requests().into_iter().map(|request| request.line).collect()
}

#[tokio::test]
async fn a_create_says_what_the_item_is_and_whether_it_is_new() {
    let item = || item_document("a", "open");
    let (daemon, _, client) = client([Reply::Created(item()), Reply::Document(item())]).await;
    let item = client.item("uploads", "a b").unwrap();
    let new = || NewItem::json(&json!({"n": 1})).unwrap().deadline("15m").label("region", "eu").step("copy");
    let created = item.create(new()).await.unwrap();
    assert!(created.is_new && matches!(created.answer, ItemAnswer::Item(item) if &*item.id == "a"));
    assert!(!item.create(new()).await.unwrap().is_new);
    let request = daemon.requests().remove(0);
    let query = "deadline=15m&label=region%3Aeu&steps=copy";
    assert_eq!(request.line, format!("PUT /v1/workflows/uploads/items/a%20b?{query}"));
    assert_eq!(request.document, json!({"n": 1}));
}

#[tokio::test]
async fn a_request_is_repeated_when_the_daemon_says_that_it_may_be() {
    let replies = [Reply::RetryAfter(503, 7), Reply::BrokenOff, Reply::Document(item_document("a", "open"))];
    let (daemon, clock, client) = client(replies).await;
    let item = client.item("uploads", "a").unwrap();
    let read = passing(&clock, item.get()).await.unwrap();
    assert_eq!(read.state.as_str(), "open");
    assert_eq!(daemon.requests().len(), 3);
    assert!(clock.now() >= START.after(Duration::from_secs(7)), "{}", clock.now());
}

#[tokio::test]
async fn all_tries_together_take_no_longer_than_the_patience() {
    let (daemon, clock, client) = client((0..1_000).map(|_| Reply::Problem(503, "busy"))).await;
    let item = client.item("uploads", "a").unwrap();
    let error = passing(&clock, item.close(CloseOutcome::Success)).await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    let took = clock.now().since(START);
    assert!(took > Duration::from_secs(15) && took <= Duration::from_secs(30), "{took:?}");
    assert!(lines(&daemon).iter().all(|line| line == "DELETE /v1/workflows/uploads/items/a?outcome=success"));
}

#[tokio::test]
async fn where_that_is_wanted_nothing_is_repeated() {
    let daemon = ScriptedDaemon::answering((0..2).map(|_| Reply::Problem(503, "busy"))).await;
    let client = Client::builder(daemon.url()).without_repetition().build().unwrap();
    assert_eq!(client.item("uploads", "a").unwrap().get().await.unwrap_err().status(), Some(503));
    assert_eq!(daemon.requests().len(), 1);
}

#[tokio::test]
async fn what_the_daemon_refuses_for_good_is_not_asked_again() {
    let (daemon, _, client) = client([Reply::Problem(409, "it is closed")]).await;
    let item = client.item("uploads", "a").unwrap();
    assert_eq!(item.create(NewItem::new("x")).await.unwrap_err().status(), Some(409));
    assert_eq!(daemon.requests().len(), 1);
}

#[tokio::test]
async fn a_payload_comes_as_it_was_handed_in() {
    let (_daemon, _, client) = client([]).await;
    assert_eq!(client.item("uploads", "a").unwrap().payload().await.unwrap(), PAYLOAD);
}

#[tokio::test]
async fn a_report_names_its_step() {
    let (daemon, _, client) = client([Reply::Document(item_document("a", "open"))]).await;
    client.item("uploads", "a").unwrap().step_done("copy").await.unwrap();
    let request = daemon.requests().remove(0);
    assert_eq!(request.line, "POST /v1/workflows/uploads/items/a/steps/copy");
    assert_eq!(request.document, json!({"status": "done"}));
}

#[test]
fn a_name_that_is_none_is_refused_before_anything_is_asked() {
    let client = Client::new("http://localhost:1", None).unwrap();
    for (workflow, id) in [("a/b", "a"), ("", "a"), ("a", ""), ("a", "."), ("a", "a\n")] {
        assert!(matches!(client.item(workflow, id), Err(Error::Address(_))), "{workflow:?} {id:?}");
    }
}
