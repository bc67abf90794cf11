//! The worker of `docs/coming-from/workflow-engine.md`, which has the daemon and its configuration:
//!
//! ```sh
//! cargo run -p process-warden-client --example coming_from_workflow_engine
//! ```

use std::error::Error;
use std::io;

use serde_json::{Value, json};
use warden_client::api::Problem;
use warden_client::worker::{Done, Event, Job, Outcome, Repeat, StepError, Worker, interrupt, skip};
use warden_client::{CancellationToken, Client, NewItem};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("WARDEN_URL").unwrap_or_else(|_| "http://127.0.0.1:8470".to_owned());
    let client = Client::new(&url, None)?;
    create(&client).await?;
    worker(client, |line| println!("{line}")).run(CancellationToken::new()).await?;
    Ok(())
}

/// Creates the invoices. Another run finds them, open or closed.
pub async fn create(client: &Client) -> Result<(), Box<dyn Error>> {
    for (id, invoice) in [
        ("inv-11", json!({"customer": 7, "currency": "EUR", "amount": 90})),
        ("inv-12", json!({"customer": 7, "currency": "EUR", "amount": 0})),
        ("inv-13", json!({"customer": 8, "currency": "EUR", "amount": 40})),
        ("inv-14", json!({"customer": 7, "currency": "XAU", "amount": 1})),
    ] {
        match client.item("invoices", id)?.create(NewItem::json(&invoice)?).await {
            Err(error) if error.problem() == Some(Problem::ItemClosed) => {}
            created => drop(created?),
        }
    }
    Ok(())
}

/// The worker, which tells how each run of a step ended.
pub fn worker(client: Client, tell: impl Fn(String) + Send + Sync + 'static) -> Worker {
    steps(client).until_empty().on_event(move |event| {
        if let Event::Ended(report) = event {
            let (step, ending) = (report.step.as_deref().unwrap_or_default(), report.ending.as_str());
            tell(format!("{} {step}: {ending} {}", report.id, report.message).trim_end().to_owned());
        }
    })
}

// What the page has.
fn steps(client: Client) -> Worker {
    Worker::new(client, "invoices").step("check", check).step("book", book).step("send", send)
}

/// Interrupts the invoice of a customer who is not known yet, and asks again, three times in all. Then a
/// person has to retry it.
async fn check(job: Job) -> Result<Outcome, StepError> {
    let invoice: Value = serde_json::from_slice(&job.payload().await?)?;
    let asked = job.progress().get().await?.get("asked").and_then(Value::as_u64).unwrap_or(0);
    job.progress().set(json!({"asked": asked + 1})).await?;
    // Customer 8 is there when the register is asked for the third time.
    if invoice["customer"] == 8 && asked < 2 {
        return Ok(interrupt("customer 8 is not known yet").repeat(Repeat::at_most(3)));
    }
    Ok(Done)
}

/// Skips what comes to nothing, and fails without a rate, which a person can add to the progress.
async fn book(job: Job) -> Result<Outcome, StepError> {
    let invoice: Value = serde_json::from_slice(&job.payload().await?)?;
    if invoice["amount"] == 0 {
        return Ok(skip("nothing to book"));
    }
    if invoice["currency"] != "EUR" {
        let shared = job.shared().get().await?;
        shared.get("rate").ok_or_else(|| io::Error::other("no rate for this currency"))?;
    }
    Ok(Done)
}

async fn send(_: Job) -> Result<Outcome, StepError> {
    Ok(Done)
}
// The end of what the page has.
