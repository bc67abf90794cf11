//! How a run of a handler ends, and what that does to its item.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use warden_client::worker::{Done, Event, Outcome, Repeat, StepError, interrupt, skip};

use super::{Log, Running, etl, item, work, worker};
use crate::support::{TestDaemon, eventually};

/// Creates an item at this step, and lets a handler for it end like this once.
async fn ended(step: &'static str, end: fn() -> Result<Outcome, StepError>) -> (TestDaemon, Value, Log) {
    let daemon = etl().await;
    daemon.create("etl", "a", &format!("?step={step}"), "x").await;
    let told = Log::default();
    let tell = told.clone();
    let worker = worker(&daemon).max(1).step(step, move |_| async move { end() }).on_event(move |event| {
        if let Event::Ended(report) = event {
            tell.note(format!("{}: {}", report.ending.as_str(), report.message));
        }
    });
    work(worker).await;
    let item = item(&daemon, "a").await;
    (daemon, item, told)
}

#[tokio::test]
async fn a_skipped_step_is_in_the_history_with_its_message() {
    let (_, item, told) = ended("extract", || Ok(skip("nothing to extract"))).await;
    assert_eq!(told.lines(), ["skipped: nothing to extract"]);
    assert_eq!((&item["step"], &item["steps"][0]["status"]), (&json!("clean"), &json!("skipped")));
    assert_eq!(item["steps"][0]["message"], "nothing to extract");
}

#[tokio::test]
async fn an_interrupted_item_goes_on_when_its_repetition_is_due() {
    let daemon = etl().await;
    daemon.create("etl", "a", "?step=load&deadline=9h", "x").await;
    let log = Log::default();
    let note = log.clone();
    let running = Running::start(worker(&daemon).step("load", move |job| {
        let note = note.clone();
        async move {
            note.note(job.step());
            match note.lines().len() {
                1 => Ok(interrupt("not there yet").repeat(Repeat::after(Duration::from_secs(3_600)))),
                _ => Ok(Done),
            }
        }
    }));
    let interrupted =
        || async { Some(item(&daemon, "a").await).filter(|item| item["state"] == "interrupted") };
    let shown = eventually("an interrupted item", interrupted).await;
    assert_eq!(shown["interrupted_until"], "2026-01-01T01:00:00.000Z");
    daemon.advance(Duration::from_secs(3_600));
    let closed = || async { (item(&daemon, "a").await["state"] == "closed").then_some(()) };
    eventually("a closed item", closed).await;
    running.stop.cancel();
    running.ended().await;
    assert_eq!(log.lines(), ["load", "load"]);
}

#[tokio::test]
async fn a_retryable_error_is_retried_as_often_as_the_step_allows() {
    let daemon = etl().await;
    daemon.create("etl", "a", "?step=clean", "x").await;
    let told = Log::default();
    let tell = told.clone();
    let worker = worker(&daemon)
        .step("clean", |_| async {
            Err(StepError::retryable(io::Error::other("busy")).kind("http").after(Duration::ZERO))
        })
        .on_event(move |event| {
            if let Event::Ended(report) = event {
                tell.note(format!("{}: {}", report.ending.as_str(), report.message));
            }
        });
    work(worker).await;
    assert_eq!(told.lines(), ["to be retried: busy", "failed: busy"]);
    let item = item(&daemon, "a").await;
    assert_eq!((&item["state"], &item["errors"][0]["type"]), (&json!("failed"), &json!("http")));
}

#[tokio::test]
async fn an_ignorable_error_does_what_the_step_says() {
    let (_, item, told) = ended("extract", || Err(StepError::ignorable("no such row"))).await;
    assert_eq!(told.lines(), ["ignored: no such row"]);
    assert_eq!((&item["step"], &item["state"]), (&json!("clean"), &json!("open")));
    let (_, item, _) = ended("load", || Err(StepError::ignorable("no such row"))).await;
    assert_eq!((&item["state"], &item["outcome"]), (&json!("closed"), &json!("failed")));
}

#[tokio::test]
async fn any_other_error_fails_the_item_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("the table cannot be read")]
    struct Broken(#[source] io::Error);
    let (_, item, told) = ended("extract", || Err(Broken(io::Error::other("no disk")).into())).await;
    assert_eq!(told.lines(), ["failed: the table cannot be read: no disk"]);
    assert_eq!((&item["state"], &item["step"]), (&json!("failed"), &json!("extract")));
    assert_eq!(item["errors"][0]["message"], "the table cannot be read: no disk");
}

#[tokio::test]
async fn a_panic_fails_its_item_and_no_other() {
    let daemon = etl().await;
    for id in ["a", "b"] {
        daemon.create("etl", id, "?step=load", "x").await;
    }
    work(worker(&daemon).step("load", |job| async move {
        assert_ne!(job.id(), "a", "this one cannot be loaded");
        Ok(Done)
    }))
    .await;
    let (bad, good) = (item(&daemon, "a").await, item(&daemon, "b").await);
    assert_eq!((&bad["state"], &good["state"]), (&json!("failed"), &json!("closed")));
    assert_eq!(bad["errors"][0]["type"], "panic");
    assert!(bad["errors"][0]["message"].as_str().unwrap().contains("this one cannot be loaded"));
}

#[tokio::test]
async fn an_item_that_is_given_back_counts_as_not_tried() {
    let (_, item, told) =
        ended("extract", || Err(StepError::released("not now").after(Duration::from_secs(30)))).await;
    assert_eq!(told.lines(), ["released: not now"]);
    assert_eq!((&item["step_attempts"], &item["errors"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn a_result_that_the_daemon_refuses_fails_the_item_and_says_so() {
    let repeated = || Ok(skip("empty").repeat(Repeat::at_most(2)));
    let (_, item, told) = ended("extract", repeated).await;
    assert!(
        told.lines()[0].starts_with("failed: its result was refused: invalid-request"),
        "{told:?}",
        told = told.lines()
    );
    assert_eq!((&item["state"], &item["errors"][0]["type"]), (&json!("failed"), &json!("result-refused")));
}
