use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::scripted::{ManualClock, Reply, ScriptedDaemon, item_document, lease_document};

fn claimed(ids: &[&str]) -> Reply {
    let leases: Vec<Value> = ids.iter().map(|id| lease_document(id)).collect();
    Reply::Document(json!({"leases": leases, "next_cursor": null}))
}

/// A worker of a daemon that answers with these, on a clock that is set by hand, and what it tells.
async fn stage(
    replies: impl IntoIterator<Item = Reply>,
) -> (ScriptedDaemon, ManualClock, Worker, Arc<Mutex<Vec<String>>>) {
    let daemon = ScriptedDaemon::answering(replies).await;
    let clock = ManualClock::new();
    let client = Client::builder(daemon.url()).clock(Arc::new(clock.clone())).build().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let worker = Worker::new(client, "uploads").step("copy", |_| async { Ok(Done) }).on_event(move |event| {
        tell.lock().unwrap().push(match event {
            Event::Begun(item) => format!("begun {}", item.id),
            Event::Ended(report) => format!("{} {}", report.id, report.ending.as_str()),
            Event::Waiting(error, wait) => format!("waiting {wait:?}: {:?}", error.status()),
            Event::Resumed => "resumed".to_owned(),
        });
    });
    (daemon, clock, worker, told)
}

/// Moves the clock while the worker runs.
async fn passing(clock: &ManualClock, worker: Worker) -> Result<(), Error> {
    let mut running = std::pin::pin!(worker.run(CancellationToken::new()));
    for _ in 0..1_000 {
        match tokio::time::timeout(Duration::from_millis(10), &mut running).await {
            Ok(ended) => return ended,
            Err(_) => clock.advance(Duration::from_millis(100)),
        }
    }
    panic!("the worker does not end");
}

#[tokio::test]
async fn a_claim_names_the_steps_and_is_made_again_after_a_failure() {
    let done = Reply::Document(item_document("a", "open"));
    let replies = [Reply::Problem(503, "busy"), Reply::BrokenOff, claimed(&["a"]), done];
    let (daemon, clock, worker, told) = stage(replies).await;
    passing(&clock, worker.max(1).name("host-1")).await.unwrap();
    let told = told.lock().unwrap().clone();
    let expected = ["waiting 100ms: Some(503)", "waiting 200ms: None", "resumed", "begun a", "a done"];
    assert_eq!(told, expected);
    let claim = json!({"workflows": ["uploads"], "states": ["open", "overdue"], "steps": ["copy"], "max": 1,
        "ttl": "1m", "wait": "20s", "worker": "host-1", "payloads": true});
    let requests = daemon.requests();
    assert_eq!(requests[2].document, claim);
    assert_eq!(requests[3].line, "POST /v1/leases/lse_a/complete");
    assert_eq!(requests[3].document, json!({"close": false, "status": "done"}));
}

#[tokio::test]
async fn a_daemon_that_lets_no_claim_wait_is_not_asked_in_a_loop() {
    let done = Reply::Document(item_document("a", "closed"));
    let (daemon, clock, worker, _) = stage([claimed(&[]), claimed(&["a"]), done]).await;
    let running = tokio::spawn(worker.max(1).run(CancellationToken::new()));
    daemon.nth_request(1).await;
    clock.advance(Duration::from_millis(900));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(daemon.requests().len(), 1);
    while daemon.requests().len() < 3 {
        clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refused_claim_ends_the_worker_with_the_reason() {
    let (_daemon, clock, worker, told) = stage([Reply::Problem(403, "no")]).await;
    assert_eq!(passing(&clock, worker).await.unwrap_err().status(), Some(403));
    assert!(told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_result_that_cannot_be_reported_while_the_lease_lasts_counts_as_lost() {
    let replies = std::iter::once(claimed(&["a"])).chain((0..200).map(|_| Reply::Problem(503, "busy")));
    let (_daemon, clock, worker, told) = stage(replies).await;
    passing(&clock, worker.max(1).ttl(Duration::from_secs(10))).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["begun a", "a lost"]);
}
