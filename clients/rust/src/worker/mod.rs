//! A worker: takes the items of a workflow through its steps, with a handler for each step.
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use warden_client::worker::{Done, Repeat, StepError, Worker, interrupt, skip};
//! use warden_client::{CancellationToken, Client};
//!
//! let client = Client::new("http://127.0.0.1:8470", None)?;
//! let worker = Worker::new(client, "etl")
//!     .step("extract", |job| async move {
//!         let payload = job.payload().await?;
//!         if payload.is_empty() {
//!             return Ok(skip("there is nothing to extract"));
//!         }
//!         job.progress().assign(serde_json::json!({"bytes": payload.len()})).await?;
//!         Ok(Done)
//!     })
//!     .step("load", |job| async move {
//!         match std::fs::read("/srv/lookup") {
//!             Ok(_) => Ok(Done),
//!             Err(error) if job.attempt() < 5 => Err(StepError::retryable(error)),
//!             Err(_) => Ok(interrupt("no lookup").repeat(Repeat::after(Duration::from_secs(600)))),
//!         }
//!     })
//!     .concurrency(8);
//! worker.run(CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Each run of a handler holds a lease, which the worker renews. Invariants:
//!
//! * A handler runs only while its item is leased; when the lease is lost, the handler is cancelled: it is
//!   dropped where it awaits.
//! * What a handler saves goes with its lease, so a worker that lost it changes nothing more.
//! * An error or a panic in a handler concerns its item alone.
//! * After the stop nothing is claimed; what runs may finish within [`Worker::grace`], the rest is released.

mod attempt;
mod failure;
mod job;
mod outcome;
mod report;
mod run;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use warden_api::Item;
use warden_api::word::ItemState;

use crate::client::Client;
use crate::error::Error;

pub use self::failure::StepError;
pub use self::job::{Job, Progress};
pub use self::outcome::{Done, Outcome, Repeat, interrupt, skip};
pub use self::report::{Ending, Event, Report};

type Handler = Arc<dyn Fn(Job) -> BoxFuture<'static, Result<Outcome, StepError>> + Send + Sync>;
type CloseHandler = Arc<dyn Fn(Item) -> BoxFuture<'static, ()> + Send + Sync>;
type EventHandler = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// What happens to an item at a step that has no handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It is not claimed, so that another worker can take it.
    #[default]
    Leave,
    /// The step is reported as skipped.
    Skip,
}

/// A worker, to be started by [`Worker::run`].
#[must_use]
pub struct Worker {
    client: Client,
    workflow: String,
    item: Option<String>,
    states: Vec<ItemState>,
    handlers: HashMap<String, Handler>,
    unknown: Unknown,
    concurrency: usize,
    max: Option<u64>,
    until_empty: bool,
    ttl: Duration,
    grace: Duration,
    name: Option<String>,
    on_close: Option<CloseHandler>,
    on_event: Option<EventHandler>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps: Vec<&String> = self.handlers.keys().collect();
        steps.sort();
        formatter
            .debug_struct("Worker")
            .field("client", &self.client)
            .field("workflow", &self.workflow)
            .field("steps", &steps)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker for open and overdue items of this workflow.
    pub fn new(client: Client, workflow: impl Into<String>) -> Self {
        Self {
            client,
            workflow: workflow.into(),
            item: None,
            states: vec![ItemState::Open, ItemState::Overdue],
            handlers: HashMap::new(),
            unknown: Unknown::default(),
            concurrency: 1,
            max: None,
            until_empty: false,
            ttl: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            name: None,
            on_close: None,
            on_event: None,
        }
    }

    /// Runs this for items at the step of this name, instead of what was set for it before.
    pub fn step<F, R>(mut self, name: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Job) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Outcome, StepError>> + Send + 'static,
    {
        self.handlers.insert(name.into(), Arc::new(move |job| Box::pin(handler(job))));
        self
    }

    /// What happens to items at other steps; by default they are left.
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// Only the item with this id.
    pub fn item(mut self, id: impl Into<String>) -> Self {
        self.item = Some(id.into());
        self
    }

    /// Only items in these states, of `open`, `overdue` and `failed`; by default the first two.
    pub fn states(mut self, states: impl IntoIterator<Item = ItemState>) -> Self {
        self.states = states.into_iter().collect();
        self
    }

    /// The most handlers that run at once; by default one, at least one.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = most.max(1);
        self
    }

    /// Ends after so many steps, those that are skipped for want of a handler included.
    pub fn max(mut self, runs: u64) -> Self {
        self.max = Some(runs);
        self
    }

    /// Ends when nothing is left to claim, instead of waiting for more. An item that waits for a retry or a
    /// repetition does not keep it.
    pub fn until_empty(mut self) -> Self {
        self.until_empty = true;
        self
    }

    /// How long a lease lasts without a heartbeat, 1 s to 24 h; by default 60 s. After a crash the item is
    /// free again after this time.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long running handlers may go on after the stop; by default 30 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The name under which items are claimed; by default that of the token.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Runs this when an item is closed by the end of a handler: it went through its last step, or an
    /// ignorable error ended it. Not repeated after a crash. At most as many run at once as handlers do.
    pub fn on_close<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(Item) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.on_close = Some(Arc::new(move |item| Box::pin(handler(item))));
        self
    }

    /// Tells this of what happens, for logs and displays. It must not block.
    pub fn on_event(mut self, handler: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(handler));
        self
    }

    /// Works until it is stopped, or as [`Worker::max`] and [`Worker::until_empty`] say. While the daemon
    /// cannot be reached it tries again. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A claim was refused for good, for example because of the token. What was running has ended.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        run::run(self, stop).await
    }

    fn tell(&self, event: Event<'_>) {
        if let Some(handler) = &self.on_event {
            handler(event);
        }
    }
}

#[cfg(test)]
mod tests;
