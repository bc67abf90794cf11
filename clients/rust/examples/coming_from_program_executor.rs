//! The worker of `docs/coming-from/program-executor.md`, which has the daemon and its configuration:
//!
//! ```sh
//! cargo run -p process-warden-client --example coming_from_program_executor
//! ```

use std::error::Error;
use std::time::Duration;

use serde_json::{Map, Value, json};
use warden_client::worker::{Done, Event, Job, Outcome, StepError, Worker};
use warden_client::{CancellationToken, Client, NewItem};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("WARDEN_URL").unwrap_or_else(|_| "http://127.0.0.1:8470".to_owned());
    let client = Client::new(&url, None)?;
    create(&client).await?;
    let stop = CancellationToken::new();
    worker(client, &stop, |line| println!("{line}")).run(stop).await?;
    Ok(())
}

/// Creates the program.
pub async fn create(client: &Client) -> Result<(), Box<dyn Error>> {
    client.item("programs", "run-11")?.create(NewItem::json(&json!({"customer": 7}))?).await?;
    Ok(())
}

/// The worker, which tells how each run of a step ended, and stops when a program is through.
pub fn worker(
    client: Client,
    stop: &CancellationToken,
    tell: impl Fn(String) + Send + Sync + 'static,
) -> Worker {
    let stop = stop.clone();
    let through = move |_| {
        stop.cancel();
        std::future::ready(())
    };
    jobs(client).on_close(through).on_event(move |event| {
        if let Event::Ended(report) = event {
            let (step, ending) = (report.step.as_deref().unwrap_or_default(), report.ending.as_str());
            tell(format!("{} {step}: {ending} {}", report.id, report.message).trim_end().to_owned());
        }
    })
}

// What the page has.
fn jobs(client: Client) -> Worker {
    Worker::new(client, "programs").step("a", a).step("b", b).step("c", c)
}

/// Counts the pages of a customer, for the jobs that follow. An error without more fails the program.
async fn a(job: Job) -> Result<Outcome, StepError> {
    let program: Value = serde_json::from_slice(&job.payload().await?)?;
    let pages = if program["customer"] == 7 { 3 } else { 1 };
    job.shared().assign(json!({"pages": pages})).await?;
    Ok(Done)
}

/// Fetches page after page from where the last run came to, and gives way once it took half a second.
async fn b(job: Job) -> Result<Outcome, StepError> {
    let number = |document: Map<String, Value>, name: &str| document.get(name).and_then(Value::as_u64);
    let pages = number(job.shared().get().await?, "pages").unwrap_or(0);
    let mut page = number(job.progress().get().await?, "page").unwrap_or(0);
    while page < pages {
        // The service is busy once.
        if page == 1 && job.item().step_retries == Some(0) {
            return Err(StepError::retryable("the service is busy"));
        }
        // A page takes long.
        tokio::time::sleep(Duration::from_millis(600)).await;
        page += 1;
        job.progress().assign(json!({"page": page})).await?;
        job.checkpoint(Duration::from_millis(500))?;
    }
    Ok(Done)
}

/// Nobody has to know that this did not work.
async fn c(_: Job) -> Result<Outcome, StepError> {
    Err(StepError::ignorable("no address to tell"))
}
// The end of what the page has.
