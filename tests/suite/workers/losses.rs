//! What ends a handler from outside: a lost lease, and the stop of the worker.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::sync::Notify;
use warden_client::worker::{Done, Event};

use super::{Log, Running, etl, item, worker};
use crate::support::eventually;

/// Notes when it is dropped.
struct Dropped(Log);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

#[tokio::test]
async fn a_lost_lease_cancels_the_handler() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    let log = Log::default();
    let (note, tell) = (log.clone(), log.clone());
    let worker = worker(&daemon)
        .step("extract", move |_| {
            let dropped = Dropped(note.clone());
            async move {
                dropped.0.note("begun");
                std::future::pending::<()>().await;
                drop(dropped);
                Ok(Done)
            }
        })
        .on_event(move |event| {
            if let Event::Ended(report) = event {
                tell.note(format!("{}: {}", report.ending.as_str(), report.message));
            }
        });
    let running = Running::start(worker);
    eventually("the handler", || async { (log.lines() == ["begun"]).then_some(()) }).await;
    let cancelled = daemon.response(Method::POST, "/v1/workflows/etl/items/a/cancel").await;
    assert_eq!(cancelled.status(), 204);
    // A third of the lease at a time, which is when it is renewed.
    eventually("the loss", || async {
        daemon.advance(Duration::from_secs(20));
        (log.lines().len() == 3).then_some(())
    })
    .await;
    assert_eq!(log.lines()[1], "dropped");
    assert!(log.lines()[2].starts_with("lost: "), "{:?}", log.lines());
    running.stop.cancel();
    running.ended().await;
}

#[tokio::test]
async fn what_runs_at_the_stop_may_finish_and_nothing_more_begins() {
    let daemon = etl().await;
    for id in ["a", "b"] {
        daemon.create("etl", id, "?step=load", "x").await;
    }
    let (log, go) = (Log::default(), Arc::new(Notify::new()));
    let (note, wait) = (log.clone(), go.clone());
    let running = Running::start(worker(&daemon).step("load", move |job| {
        let (note, wait) = (note.clone(), wait.clone());
        async move {
            note.note(format!("{} begun", job.id()));
            wait.notified().await;
            note.note(format!("{} stopping {}", job.id(), job.stopping().is_cancelled()));
            Ok(Done)
        }
    }));
    eventually("the handler", || async { (log.lines().len() == 1).then_some(()) }).await;
    running.stop.cancel();
    go.notify_one();
    running.ended().await;
    assert_eq!(log.lines(), ["a begun", "a stopping true"]);
    let (first, second) = (item(&daemon, "a").await, item(&daemon, "b").await);
    assert_eq!((&first["state"], &second["state"]), (&json!("closed"), &json!("open")));
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_given_back_as_if_it_had_not_been_tried() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    let log = Log::default();
    let note = log.clone();
    let worker = worker(&daemon).grace(Duration::from_secs(10)).step("extract", move |_| {
        let dropped = Dropped(note.clone());
        async move {
            dropped.0.note("begun");
            std::future::pending::<()>().await;
            Ok(Done)
        }
    });
    let running = Running::start(worker);
    eventually("the handler", || async { (log.lines() == ["begun"]).then_some(()) }).await;
    running.stop.cancel();
    eventually("the end of the grace", || async {
        daemon.advance(Duration::from_secs(1));
        running.ended.is_finished().then_some(())
    })
    .await;
    running.ended().await;
    assert_eq!(log.lines(), ["begun", "dropped"]);
    let item = item(&daemon, "a").await;
    assert_eq!(
        (&item["lease"], &item["step_attempts"], &item["state"]),
        (&json!(null), &json!(0), &json!("open"))
    );
}
