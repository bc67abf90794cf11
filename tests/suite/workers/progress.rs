//! Progress of handlers, which is saved with their leases.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;
use warden_client::Error;
use warden_client::worker::{Done, Event, StepError};

use super::{Log, Running, etl, item, work, worker};
use crate::support::eventually;

#[tokio::test]
async fn progress_is_set_assigned_and_merged_and_passed_on() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    let log = Log::default();
    let (first, second) = (log.clone(), log.clone());
    let worker = worker(&daemon)
        .step("extract", move |job| {
            let log = first.clone();
            async move {
                job.shared().set(json!({"a": {"b": 1, "c": 2}, "d": 3})).await?;
                job.shared().assign(json!({"a": {"e": 5}, "f": null})).await?;
                job.shared().merge(json!({"a": {"g": 7}, "d": null})).await?;
                job.progress().set(json!({"rows": 10})).await?;
                job.progress().merge(json!({"rows": 11})).await?;
                let (shared, own) = (job.shared().get().await?, job.progress().get().await?);
                log.note(format!("{} {}", Value::Object(shared), Value::Object(own)));
                Ok(Done)
            }
        })
        .step("clean", move |job| {
            let log = second.clone();
            async move {
                log.note(Value::Object(job.shared().get().await?).to_string());
                Ok(Done)
            }
        });
    work(worker).await;
    let shared = r#"{"a":{"e":5,"g":7},"f":null}"#;
    assert_eq!(log.lines(), [format!(r#"{shared} {{"rows":11}}"#), shared.to_owned()]);
    let item = item(&daemon, "a").await;
    assert_eq!(item["progress"].to_string(), shared);
    assert_eq!(item["steps"][0]["progress"], json!({"rows": 11}));
}

#[tokio::test]
async fn what_is_no_object_or_too_large_is_refused_and_the_handler_goes_on() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    let log = Log::default();
    let note = log.clone();
    work(worker(&daemon).max(1).step("extract", move |job| {
        let note = note.clone();
        async move {
            assert!(matches!(job.progress().set(7).await, Err(Error::Invalid(_))));
            let large = job.progress().set(json!({"text": "x".repeat(40_000)})).await;
            note.note(format!("{:?}", large.unwrap_err().status()));
            job.shared().set(json!({"small": true})).await?;
            Ok(Done)
        }
    }))
    .await;
    assert_eq!(log.lines(), ["Some(400)"]);
    let item = item(&daemon, "a").await;
    assert_eq!((&item["step"], &item["progress"]), (&json!("clean"), &json!({"small": true})));
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_saves_nothing_more() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    let (log, go) = (Log::default(), Arc::new(Notify::new()));
    let (note, wait, tell) = (log.clone(), go.clone(), log.clone());
    let worker = worker(&daemon)
        .step("extract", move |job| {
            let (note, wait) = (note.clone(), wait.clone());
            async move {
                note.note("begun");
                wait.notified().await;
                let saved = job.shared().set(json!({"late": true})).await;
                note.note(format!("saved {}", saved.is_ok()));
                Ok(Done)
            }
        })
        .on_event(move |event| {
            if let Event::Ended(report) = event {
                tell.note(report.ending.as_str());
            }
        });
    let running = Running::start(worker);
    eventually("the handler", || async { (log.lines() == ["begun"]).then_some(()) }).await;
    let cancelled = daemon.response(Method::POST, "/v1/workflows/etl/items/a/cancel").await;
    assert_eq!(cancelled.status(), 204);
    go.notify_one();
    eventually("the loss", || async { log.lines().contains(&"lost".to_owned()).then_some(()) }).await;
    assert!(!log.lines().contains(&"saved true".to_owned()), "{:?}", log.lines());
    assert_eq!(item(&daemon, "a").await["progress"], json!({}));
    running.stop.cancel();
    running.ended().await;
}

#[tokio::test]
async fn a_step_that_takes_too_long_goes_on_from_its_checkpoint_without_a_retry() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    let log = Log::default();
    let note = log.clone();
    let clock = daemon.clock().clone();
    let worker = worker(&daemon).max(3).step("extract", move |job| {
        let (note, clock) = (note.clone(), clock.clone());
        async move {
            let mut part = job.shared().get().await?.get("part").and_then(Value::as_u64).unwrap_or(0);
            note.note(format!("from {part} at attempt {}", job.attempt()));
            while part < 6 {
                clock.advance(Duration::from_secs(4));
                part += 1;
                job.shared().assign(json!({"part": part})).await?;
                job.checkpoint(Duration::from_secs(10))?;
            }
            Ok(Done)
        }
    });
    work(worker).await;
    assert_eq!(log.lines(), ["from 0 at attempt 1", "from 3 at attempt 1", "from 6 at attempt 1"]);
    let item = item(&daemon, "a").await;
    assert_eq!((&item["step"], &item["progress"]["part"]), (&json!("clean"), &json!(6)));
    assert_eq!((&item["errors"], &item["steps"][0]["attempts"]), (&json!([]), &json!(1)));
}

#[tokio::test]
async fn a_checkpoint_goes_on_at_its_longest_time_and_gives_back_what_is_saved_a_millisecond_later() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    let log = Log::default();
    let note = log.clone();
    let clock = daemon.clock().clone();
    let worker = worker(&daemon).max(2).step("extract", move |job| {
        let (note, clock) = (note.clone(), clock.clone());
        async move {
            let saved = job.progress().get().await?.get("page").cloned();
            note.note(format!("from {saved:?} with retries {:?}", job.item().step_retries));
            if saved.is_some() {
                return Ok(Done);
            }
            clock.advance(Duration::from_millis(1_000));
            job.checkpoint(Duration::from_millis(1_000))?;
            note.note(format!("on after {} ms", job.elapsed().as_millis()));
            job.progress().assign(json!({"page": 50})).await?;
            clock.advance(Duration::from_millis(1));
            job.checkpoint(Duration::from_millis(1_000))?;
            note.note("on after more");
            Ok(Done)
        }
    });
    work(worker).await;
    let expected =
        ["from None with retries Some(0)", "on after 1000 ms", "from Some(Number(50)) with retries Some(0)"];
    assert_eq!(log.lines(), expected);
    let item = item(&daemon, "a").await;
    assert_eq!((&item["step"], &item["errors"]), (&json!("clean"), &json!([])));
    assert_eq!(item["steps"][0]["progress"], json!({"page": 50}));
}

#[tokio::test]
async fn the_next_run_of_a_step_finds_what_the_last_one_saved() {
    let daemon = etl().await;
    daemon.create("etl", "a", "?step=clean", "x").await;
    let log = Log::default();
    let note = log.clone();
    work(worker(&daemon).step("clean", move |job| {
        let note = note.clone();
        async move {
            note.note(Value::Object(job.progress().get().await?).to_string());
            job.progress().merge(json!({"rows": {"copy": job.attempt()}})).await?;
            Err(StepError::retryable("no room").after(Duration::ZERO))
        }
    }))
    .await;
    assert_eq!(log.lines(), ["{}", r#"{"rows":{"copy":1}}"#]);
    let progress = daemon.get("/v1/workflows/etl/items/a/steps/clean/progress").await;
    assert_eq!(progress, json!({"rows": {"copy": 2}}));
}
