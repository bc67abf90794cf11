//! Where leases are claimed, kept and settled: the daemon, over HTTP.
//!
//! A claim is tried once, since whoever claims decides what follows from its failure. A settlement is tried until the
//! lease would have run out: it may be repeated, and a result that is known must not be lost because the daemon restarts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::backoff::Backoff;
use super::lease::{Claim, Lease, Settlement};
use crate::cli::client::{Client, ClientError, Query};
use crate::cli::item::Item;
use crate::incident::notification::path_segment;
use crate::model::{Clock, ItemId, Timestamp, WorkflowName};

/// How many payloads are on the way at once. Heartbeats and settlements wait for none of them.
const PAYLOADS_MAX: usize = 16;
/// How long a payload may take.
const PAYLOAD_TIME: Duration = Duration::from_secs(120);
/// The least and the most time that the daemon has to answer a question about a lease.
const CALL_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How items are claimed.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which items.
    pub selection: Map<String, Value>,
    /// For how long, until the next heartbeat.
    pub ttl: Duration,
    /// In whose name; without one it is the token's.
    pub worker: Option<String>,
}

/// A daemon that hands out leases.
pub struct Desk {
    client: Client,
    clock: Arc<dyn Clock>,
    terms: Terms,
    payloads: Semaphore,
}

/// Why something was not done with a lease.
#[derive(Debug)]
pub enum Denial {
    /// It is no longer ours, and this is what the daemon said.
    Lost(String),
    /// The daemon gave no answer to go on with.
    NoAnswer(ClientError),
}

/// What is known of an item whose lease is lost.
#[derive(Deserialize)]
struct Fate {
    state: String,
}

impl Desk {
    /// A desk at which leases are claimed on these terms.
    pub fn new(client: Client, clock: Arc<dyn Clock>, terms: Terms) -> Self {
        Self { client, clock, terms, payloads: Semaphore::new(PAYLOADS_MAX) }
    }

    /// The clock that leases are counted by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// How long a lease lasts after a heartbeat.
    pub fn ttl(&self) -> Duration {
        self.terms.ttl
    }

    /// Claims at most `max` items behind the cursor. What comes lasts at least until the instant that comes with it.
    ///
    /// # Errors
    /// When there is no answer, or the daemon refuses.
    pub async fn claim(&self, max: usize, cursor: Option<&str>) -> Result<(Claim, Timestamp), ClientError> {
        let mut document = self.terms.selection.clone();
        document.insert("max".to_owned(), max.into());
        document.insert("ttl".to_owned(), self.ttl_text().into());
        // They are fetched while the leases are kept alive: all at once could outlast them, and might not fit.
        document.insert("payloads".to_owned(), false.into());
        document.extend(self.terms.worker.clone().map(|worker| ("worker".to_owned(), worker.into())));
        document.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor.into())));
        let asked = self.clock.now();
        let request = self.client.request(Method::POST, "/v1/leases", &Query::new())?;
        let request = request.json(&document).timeout(CALL_TIME.1);
        let bytes = self.client.send(request).await?.bytes().await?;
        let claim =
            serde_json::from_slice(&bytes).map_err(|error| self.client.stranger(error.to_string()))?;
        Ok((claim, asked.after(self.terms.ttl)))
    }

    /// Says that the work on a lease goes on. It lasts until the instant that is answered.
    ///
    /// # Errors
    /// When the lease is lost, or there is no answer.
    pub async fn heartbeat(&self, lease: &str) -> Result<Timestamp, Denial> {
        let asked = self.clock.now();
        self.act(lease, "heartbeat", &json!({"ttl": self.ttl_text()})).await?;
        Ok(asked.after(self.terms.ttl))
    }

    /// Settles a lease that lasts until `expires`, and gives the item as it is then.
    ///
    /// # Errors
    /// When the lease is lost, or there is no answer until it has run out.
    pub async fn settle(
        &self,
        lease: &str,
        settlement: &Settlement,
        expires: Timestamp,
    ) -> Result<Item, Denial> {
        let (verb, document) = match settlement {
            Settlement::Complete { close } => ("complete", json!({"close": close})),
            Settlement::Release => ("release", json!({})),
            Settlement::Fail { kind, message, retryable } => {
                ("fail", json!({"error": {"type": kind, "message": message, "retryable": retryable}}))
            }
        };
        let mut backoff = Backoff::new();
        loop {
            match self.act(lease, verb, &document).await {
                Err(Denial::NoAnswer(error)) if error.may_pass() && self.clock.now() < expires => {
                    let next = self.clock.now().after(backoff.wait(error.retry_after()));
                    self.clock.sleep_until(next.min(expires)).await;
                }
                answered => {
                    let bytes = answered?;
                    let item = serde_json::from_slice(&bytes);
                    return item.map_err(|error| Denial::NoAnswer(self.client.stranger(error.to_string())));
                }
            }
        }
    }

    /// The payload of a leased item.
    ///
    /// # Errors
    /// When the item was closed meanwhile, or there is no answer.
    pub async fn payload(&self, lease: &Lease) -> Result<Bytes, Denial> {
        let _permit = self.payloads.acquire().await;
        self.about(lease, "/payload", PAYLOAD_TIME).await
    }

    /// Whether an item whose lease is lost is closed. Where that cannot be learnt it counts as open.
    pub async fn is_closed(&self, lease: &Lease) -> bool {
        let known = self.about(lease, "", self.call_time()).await;
        let fate = known.ok().and_then(|bytes| serde_json::from_slice::<Fate>(&bytes).ok());
        fate.is_some_and(|fate| fate.state == "closed")
    }

    async fn about(&self, lease: &Lease, below: &str, most: Duration) -> Result<Bytes, Denial> {
        let name = |error: crate::model::NameError| Denial::NoAnswer(self.client.stranger(error.to_string()));
        let workflow = WorkflowName::new(lease.item.workflow.as_str()).map_err(name)?;
        let id = ItemId::new(lease.item.id.as_str()).map_err(name)?;
        let request = self.client.item_request(Method::GET, (&workflow, &id), below, &Query::new());
        self.ask(request.map_err(Denial::NoAnswer)?.timeout(most)).await
    }

    async fn act(&self, lease: &str, verb: &str, document: &Value) -> Result<Bytes, Denial> {
        let path = format!("/v1/leases/{}/{verb}", path_segment(lease));
        let request = self.client.request(Method::POST, &path, &Query::new());
        self.ask(request.map_err(Denial::NoAnswer)?.json(document).timeout(self.call_time())).await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Bytes, Denial> {
        let answered = async { self.client.send(request).await?.bytes().await };
        answered.await.map_err(|error| match error {
            ClientError::Refused { problem, .. } if matches!(problem.status, 404 | 409 | 410) => {
                Denial::Lost(problem.detail)
            }
            error => Denial::NoAnswer(error),
        })
    }

    fn call_time(&self) -> Duration {
        (self.terms.ttl / 3).clamp(CALL_TIME.0, CALL_TIME.1)
    }

    fn ttl_text(&self) -> String {
        humantime::format_duration(self.terms.ttl).to_string()
    }
}

#[cfg(test)]
mod tests;
