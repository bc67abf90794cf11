//! Which items a worker takes, and how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use warden_api::word::ItemState;
use warden_client::worker::{Done, Worker};
use warden_client::{CancellationToken, Client, Error, NewItem};

use super::{ETL, etl, item, work, worker};
use crate::support::{TestDaemon, within_patience};

#[tokio::test]
async fn only_so_many_runs_begin_and_only_so_many_at_once() {
    let daemon = etl().await;
    for id in ["a", "b", "c", "d", "e"] {
        daemon.create("etl", id, "?step=load", "x").await;
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (now.clone(), most.clone());
    let worker = worker(&daemon).concurrency(2).max(3).step("load", move |_| {
        let (running, peak) = (running.clone(), peak.clone());
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(Done)
        }
    });
    // Without `until_empty`: it ends by itself.
    within_patience("the worker to end", worker.run(CancellationToken::new())).await.unwrap();
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    let page = daemon.get("/v1/items?workflow=etl&state=closed").await;
    assert_eq!(page["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn one_item_is_taken_through_its_steps_and_no_other() {
    let daemon = etl().await;
    for id in ["a", "b%2Fc", "d"] {
        daemon.create("etl", id, "", "x").await;
    }
    let mut worker = worker(&daemon).item("b/c");
    for step in ["extract", "clean", "load"] {
        worker = worker.step(step, |_| async { Ok(Done) });
    }
    work(worker).await;
    assert_eq!(item(&daemon, "b%2Fc").await["state"], "closed");
    for id in ["a", "d"] {
        assert_eq!(item(&daemon, id).await["step"], "extract");
    }
}

#[tokio::test]
async fn failed_items_are_taken_only_where_that_is_wanted() {
    let daemon = etl().await;
    daemon.create("etl", "late", "?step=load&deadline=0s", "x").await;
    daemon.create("etl", "failed", "?step=load", "x").await;
    let error = json!({"type": "broken", "fatal": true});
    daemon.send_json(reqwest::Method::POST, "/v1/workflows/etl/items/failed/errors", error).await.json(201);
    daemon.advance(Duration::from_secs(1));
    work(worker(&daemon).step("load", |_| async { Ok(Done) })).await;
    assert_eq!(item(&daemon, "late").await["state"], "closed");
    assert_eq!(item(&daemon, "failed").await["state"], "failed");
    work(worker(&daemon).states([ItemState::Failed]).step("load", |_| async { Ok(Done) })).await;
    assert_eq!(item(&daemon, "failed").await["state"], "closed");
}

#[tokio::test]
async fn a_token_for_workers_is_enough() {
    let token = "[[tokens]]\nname = \"worker\"\nscopes = [\"work\"]\nworkflows = [\"etl\"]\nsha256 = \
                 \"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\"\n\
                 [[tokens]]\nname = \"pipeline\"\nscopes = [\"ingest\", \"read\"]\nsha256 = \
                 \"fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9\"\n";
    let daemon = TestDaemon::builder().config(&format!("{ETL}{token}")).start().await;
    let pipeline = Client::new(&daemon.url(""), Some("bar")).unwrap();
    let item = pipeline.item("etl", "a").unwrap();
    assert!(item.create(NewItem::new("rows").begins_at("load")).await.unwrap().is_new);
    let client = Client::new(&daemon.url(""), Some("foo")).unwrap();
    work(Worker::new(client, "etl").step("load", |job| async move {
        assert_eq!(job.payload().await?, "rows");
        job.progress().set(json!({"rows": 4})).await?;
        job.shared().set(json!({"rows": 4})).await?;
        assert_eq!(job.progress().get().await?.len() + job.shared().get().await?.len(), 2);
        Ok(Done)
    }))
    .await;
    assert_eq!(item.get().await.unwrap().state, ItemState::Closed);
}

#[tokio::test]
async fn a_worker_that_is_not_allowed_to_claim_ends_with_the_reason() {
    let daemon = etl().await;
    let worker = worker(&daemon).name("").step("load", |_| async { Ok(Done) });
    let error = worker.run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.status(), Some(400));
    let idle = super::worker(&daemon).run(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(idle, Error::Address(_)), "{idle}");
}
