//! Claims, renews and settles leases over HTTP.
//!
//! A claim is not retried, as the caller has to decide what its failure means. Settling is retried until the
//! lease expires: it is idempotent, and a known result must survive a restart of the daemon.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;
use tokio::sync::Semaphore;
use warden_api::item::ItemFilter;
use warden_api::lease::{
    ClaimRequest, Claimed, ClaimedItem, CompleteRequest, FailRequest, FailureRequest, HeartbeatRequest,
    ReleaseRequest,
};
use warden_api::word::ItemState;
use warden_api::{Item, path};

use super::verdict::Settlement;
use crate::cli::daemon::client::{Client, ClientError, Query};
use crate::model::{Clock, ItemId, Timestamp, WorkflowName};

/// Payloads that are fetched at once. Heartbeats and settlements do not wait for them.
const PAYLOADS_MAX: usize = 16;
/// The longest request for a payload.
const PAYLOAD_TIME: Duration = Duration::from_secs(120);
/// The shortest and the longest timeout of other requests.
const CALL_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait, unless the daemon asks for more. Short, so that work resumes soon after an outage.
const LONGEST: Duration = Duration::from_secs(5);
/// The longest wait that the daemon can ask for.
const GRANTED_MAX: Duration = Duration::from_secs(30);

/// The waits between consecutive failures.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// The wait before the next attempt; `asked` is the daemon's `Retry-After`, in seconds.
    pub fn wait(&mut self, asked: Option<u64>) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait.max(Duration::from_secs(asked.unwrap_or(0)).min(GRANTED_MAX))
    }
}

#[derive(Clone, Debug)]
pub struct ClaimOptions {
    /// The items to claim.
    pub selection: ItemFilter,
    /// Of a lease, until the next heartbeat.
    pub ttl: Duration,
    /// `None` is the name of the token.
    pub worker: Option<String>,
}

pub struct LeaseClient {
    client: Client,
    clock: Arc<dyn Clock>,
    options: ClaimOptions,
    payloads: Semaphore,
}

#[derive(Debug)]
pub enum LeaseError {
    /// The lease is lost, with the daemon's reason.
    Lost(String),
    /// Any other failure.
    Client(ClientError),
}

impl LeaseClient {
    pub fn new(client: Client, clock: Arc<dyn Clock>, options: ClaimOptions) -> Self {
        Self { client, clock, options, payloads: Semaphore::new(PAYLOADS_MAX) }
    }

    /// The clock for the expiry of leases.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Of a lease after a heartbeat.
    pub fn ttl(&self) -> Duration {
        self.options.ttl
    }

    /// Claims at most `max` items after the cursor. The leases last at least until the returned time.
    pub async fn claim(&self, max: usize, cursor: Option<&str>) -> Result<(Claimed, Timestamp), ClientError> {
        let document = ClaimRequest {
            filter: self.options.selection.clone(),
            max,
            ttl: Some(self.ttl_text()),
            // Payloads are fetched during heartbeats: all at once could outlast the leases and the memory.
            payloads: false,
            worker: self.options.worker.as_deref().map(Into::into),
            cursor: cursor.map(str::to_owned),
            ..ClaimRequest::default()
        };
        let asked = self.clock.now();
        let request = self.client.request(Method::POST, path::LEASES, &Query::new())?;
        let request = request.json(&document).timeout(CALL_TIME.1);
        let bytes = self.client.send(request).await?.bytes().await?;
        let claim =
            serde_json::from_slice(&bytes).map_err(|error| self.client.unexpected(error.to_string()))?;
        Ok((claim, asked.after(self.options.ttl)))
    }

    /// Renews a lease. It lasts at least until the returned time.
    pub async fn heartbeat(&self, lease: &str) -> Result<Timestamp, LeaseError> {
        let asked = self.clock.now();
        let document = HeartbeatRequest { ttl: Some(self.ttl_text()), ..HeartbeatRequest::default() };
        self.act(lease, path::LEASE_HEARTBEAT, &document).await?;
        Ok(asked.after(self.options.ttl))
    }

    /// Settles a lease that expires at `expires`, with retries until then. Returns the changed item.
    pub async fn settle(
        &self,
        lease: &str,
        settlement: &Settlement,
        expires: Timestamp,
    ) -> Result<Item, LeaseError> {
        let mut backoff = Backoff::new();
        loop {
            match self.say(lease, settlement).await {
                Err(LeaseError::Client(error)) if error.is_transient() && self.clock.now() < expires => {
                    let next = self.clock.now().after(backoff.wait(error.retry_after()));
                    self.clock.sleep_until(next.min(expires)).await;
                }
                answered => {
                    let bytes = answered?;
                    let item = serde_json::from_slice(&bytes);
                    return item
                        .map_err(|error| LeaseError::Client(self.client.unexpected(error.to_string())));
                }
            }
        }
    }

    /// The payload of a leased item.
    pub async fn payload(&self, lease: &ClaimedItem) -> Result<Bytes, LeaseError> {
        let _permit = self.payloads.acquire().await;
        self.about(lease, "/payload", PAYLOAD_TIME).await
    }

    /// Whether the item of a lost lease is closed; false if that cannot be determined.
    pub async fn is_closed(&self, lease: &ClaimedItem) -> bool {
        let known = self.about(lease, "", self.call_time()).await;
        let item = known.ok().and_then(|bytes| serde_json::from_slice::<Item>(&bytes).ok());
        item.is_some_and(|item| item.state == ItemState::Closed)
    }

    async fn about(&self, lease: &ClaimedItem, below: &str, most: Duration) -> Result<Bytes, LeaseError> {
        let name =
            |error: crate::model::NameError| LeaseError::Client(self.client.unexpected(error.to_string()));
        let workflow = WorkflowName::new(lease.item.workflow.clone()).map_err(name)?;
        let id = ItemId::new(lease.item.id.clone()).map_err(name)?;
        let request = self.client.item_request(Method::GET, (&workflow, &id), below, &Query::new());
        self.ask(request.map_err(LeaseError::Client)?.timeout(most)).await
    }

    async fn say(&self, lease: &str, settlement: &Settlement) -> Result<Bytes, LeaseError> {
        match settlement {
            Settlement::Complete { close } => {
                let document = CompleteRequest { close: *close, ..CompleteRequest::default() };
                self.act(lease, path::LEASE_COMPLETE, &document).await
            }
            Settlement::Release => self.act(lease, path::LEASE_RELEASE, &ReleaseRequest::default()).await,
            Settlement::Fail { kind, message, retryable } => {
                let (kind, message) = (kind.clone(), message.clone());
                let error =
                    FailureRequest { kind, message, retryable: *retryable, ..FailureRequest::default() };
                self.act(lease, path::LEASE_FAIL, &FailRequest { error, ..FailRequest::default() }).await
            }
        }
    }

    async fn act(&self, lease: &str, path: &str, document: &impl Serialize) -> Result<Bytes, LeaseError> {
        let request = self.client.request(Method::POST, &path::fill(path, &[lease]), &Query::new());
        self.ask(request.map_err(LeaseError::Client)?.json(document).timeout(self.call_time())).await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Bytes, LeaseError> {
        let answered = async { self.client.send(request).await?.bytes().await };
        answered.await.map_err(|error| match error {
            ClientError::Refused { problem, .. } if matches!(problem.status, 404 | 409 | 410) => {
                LeaseError::Lost(problem.detail.into_owned())
            }
            error => LeaseError::Client(error),
        })
    }

    fn call_time(&self) -> Duration {
        (self.options.ttl / 3).clamp(CALL_TIME.0, CALL_TIME.1)
    }

    fn ttl_text(&self) -> String {
        humantime::format_duration(self.options.ttl).to_string()
    }
}

#[cfg(test)]
mod tests;
