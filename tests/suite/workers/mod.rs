//! Workers of the client crate, on a daemon in this process whose clock they share.

mod endings;
mod limits;
mod losses;
mod progress;
mod steps;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::task::JoinHandle;
use warden::model::{Clock as _, ManualClock, Timestamp};
use warden_client::worker::Worker;
use warden_client::{CancellationToken, Client, Clock, Error};

use crate::support::{TestDaemon, within_patience};

/// Three steps, of which the second is retried once, and an ignorable error of the third ends the
/// item.
const ETL: &str = r#"
[workflows.etl]
steps = ["extract", { name = "clean", retry = { max = 1, backoff = "30s..30s" } },
         { name = "load", on_ignorable = "end" }]
"#;

/// The daemon's clock, for the client.
struct Shared(ManualClock);

impl Clock for Shared {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        self.0.sleep_until(instant)
    }
}

async fn etl() -> TestDaemon {
    TestDaemon::builder().config(ETL).start().await
}

fn worker(daemon: &TestDaemon) -> Worker {
    let clock = Arc::new(Shared(daemon.clock().clone()));
    let client = Client::builder(daemon.url("")).clock(clock).build().expect("an address");
    Worker::new(client, "etl").name("host-1").ttl(Duration::from_secs(60))
}

/// Works until nothing is left.
async fn work(worker: Worker) {
    within_patience("the worker to end", worker.until_empty().run(CancellationToken::new()))
        .await
        .expect("its claims are allowed");
}

/// A worker that runs until it is stopped.
struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start(worker: Worker) -> Self {
        let stop = CancellationToken::new();
        Self { stop: stop.clone(), ended: tokio::spawn(worker.run(stop)) }
    }

    async fn ended(self) {
        within_patience("the worker to end", self.ended).await.expect("no panic").expect("it may claim");
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn item(daemon: &TestDaemon, id: &str) -> Value {
    daemon.get(&format!("/v1/workflows/etl/items/{id}")).await
}
