//! Three runs through two steps. Start a daemon with `warden serve`, then
//!
//! ```sh
//! cargo run -p process-warden-client --example etl
//! ```
//!
//! Ctrl-C stops it in good order: what runs may finish, and the rest is given back. Started again it goes on
//! where it was.

use std::error::Error;
use std::io;
use std::time::Duration;

use serde_json::json;
use warden_client::worker::{Done, Event, Job, Outcome, StepError, Worker, skip};
use warden_client::{CancellationToken, Client, NewItem};

const ROWS: u64 = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("WARDEN_URL").unwrap_or_else(|_| "http://127.0.0.1:8470".to_owned());
    let mut client = Client::builder(url);
    if let Ok(token) = std::env::var("WARDEN_TOKEN") {
        client = client.token(token);
    }
    let client = client.build()?;
    for run in 1..=3 {
        // Creating it again changes nothing; usually another program does it, before the work begins.
        let item = NewItem::json(&json!({"rows": ROWS * (run - 1)}))?.deadline("15m");
        let item = item.step("extract").step("load");
        match client.item("etl-example", &format!("run-{run}"))?.create(item).await {
            Ok(created) if created.is_new => println!("run-{run} is created"),
            Ok(_) => println!("run-{run} is there"),
            Err(error) if error.problem() == Some(warden_client::api::Problem::ItemClosed) => {
                println!("run-{run} is done");
            }
            Err(error) => return Err(error.into()),
        }
    }
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopping.cancel();
        }
    });
    Worker::new(client, "etl-example")
        .step("extract", extract)
        .step("load", load)
        .concurrency(2)
        .grace(Duration::from_secs(10))
        .on_close(|item| async move { println!("{} is through, {} rows", item.id, item.progress["rows"]) })
        .on_event(|event| match event {
            Event::Ended(report) => {
                let step = report.step.as_deref().unwrap_or_default();
                println!("{} {step}: {} {}", report.id, report.ending.as_str(), report.message);
            }
            Event::Waiting(error, wait) => println!("claiming again in {wait:?}: {error}"),
            _ => {}
        })
        .until_empty()
        .run(stop)
        .await?;
    Ok(())
}

/// Counts the rows of the payload.
async fn extract(job: Job) -> Result<Outcome, StepError> {
    let run: serde_json::Value = serde_json::from_slice(&job.payload().await?)?;
    let rows = run["rows"].as_u64().ok_or_else(|| io::Error::other("the payload has no rows"))?;
    // For the steps that follow.
    job.shared().assign(json!({"rows": rows})).await?;
    Ok(if rows == 0 { skip("there is nothing to extract") } else { Done })
}

/// Loads the rows a hundred at a time, from where the last run of the step came to.
async fn load(job: Job) -> Result<Outcome, StepError> {
    let rows = job.shared().get().await?.get("rows").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let loaded = job.progress().get().await?.get("loaded").and_then(serde_json::Value::as_u64);
    let mut loaded = loaded.unwrap_or(0);
    while loaded < rows {
        // A busy table is no reason to give up.
        insert(loaded).await.map_err(StepError::retryable)?;
        loaded += 100;
        job.progress().set(json!({"loaded": loaded})).await?;
        // Others are to have their turn, and a stop is not to wait for all rows.
        job.checkpoint(Duration::from_secs(2))?;
    }
    Ok(Done)
}

async fn insert(_from: u64) -> Result<(), io::Error> {
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}
