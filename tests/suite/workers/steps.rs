//! Items go through their steps.

use warden_client::Client;
use warden_client::worker::{Done, Event, Unknown, Worker};

use super::{Log, etl, item, work, worker};

#[tokio::test]
async fn each_step_of_an_item_runs_once_and_in_order() {
    let daemon = etl().await;
    let ids: Vec<String> = (0..20).map(|number| format!("run-{number:02}")).collect();
    for id in &ids {
        daemon.create("etl", id, "", format!("payload of {id}")).await;
    }
    let log = Log::default();
    let mut worker = worker(&daemon).concurrency(8);
    for step in ["extract", "clean", "load"] {
        let log = log.clone();
        worker = worker.step(step, move |job| {
            let log = log.clone();
            async move {
                assert_eq!(job.payload().await?, format!("payload of {}", job.id()));
                log.note(format!("{} {}", job.id(), job.step()));
                Ok(Done)
            }
        });
    }
    let closed = Log::default();
    let on_close = closed.clone();
    work(worker.on_close(move |item| {
        let closed = on_close.clone();
        async move { closed.note(format!("{} {}", item.id, item.state)) }
    }))
    .await;
    for id in &ids {
        let lines = log.lines().into_iter().filter(|line| line.starts_with(id.as_str()));
        let expected = ["extract", "clean", "load"].map(|step| format!("{id} {step}"));
        assert_eq!(lines.collect::<Vec<_>>(), expected);
        assert_eq!(item(&daemon, id).await["outcome"], "success");
    }
    let mut closed = closed.lines();
    closed.sort();
    assert_eq!(closed, ids.iter().map(|id| format!("{id} closed")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_step_without_a_handler_is_left_for_others() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    daemon.create("etl", "b", "?step=clean", "x").await;
    work(worker(&daemon).step("extract", |_| async { Ok(Done) })).await;
    for id in ["a", "b"] {
        let item = item(&daemon, id).await;
        assert_eq!(
            (&item["step"], &item["state"], &item["step_attempts"]),
            (&"clean".into(), &"open".into(), &0.into())
        );
    }
}

#[tokio::test]
async fn a_step_without_a_handler_is_skipped_where_that_is_wanted() {
    let daemon = etl().await;
    daemon.create("etl", "a", "", "x").await;
    let (log, told) = (Log::default(), Log::default());
    let note = log.clone();
    let tell = told.clone();
    let worker = worker(&daemon)
        .unknown(Unknown::Skip)
        .step("load", move |job| {
            let note = note.clone();
            async move {
                note.note(job.step());
                Ok(Done)
            }
        })
        .on_event(move |event| {
            if let Event::Ended(report) = event {
                tell.note(format!(
                    "{} {}",
                    report.step.as_deref().unwrap_or_default(),
                    report.ending.as_str()
                ));
            }
        });
    work(worker).await;
    assert_eq!(log.lines(), ["load"]);
    assert_eq!(told.lines(), ["extract skipped", "clean skipped", "load done"]);
    let item = item(&daemon, "a").await;
    assert_eq!((&item["state"], &item["steps"][0]["status"]), (&"closed".into(), &"skipped".into()));
    assert_eq!(item["steps"][0]["message"], "no worker has a handler for the step extract");
}

#[tokio::test]
async fn an_item_at_no_step_is_not_closed_by_a_worker_for_steps() {
    let daemon = etl().await;
    daemon.create("plain", "a", "", "x").await;
    let client = Client::new(&daemon.url(""), None).unwrap();
    work(Worker::new(client, "plain").unknown(Unknown::Skip)).await;
    let item = daemon.get("/v1/workflows/plain/items/a").await;
    assert_eq!((&item["state"], &item["step_attempts"]), (&"open".into(), &0.into()));
}
