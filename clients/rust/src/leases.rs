//! Claims, renews and settles leases.
//!
//! A claim is not repeated, as the caller has to decide what its failure means. Settling is repeated until
//! the lease expires: it is idempotent, and a known result must survive a restart of the daemon.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use warden_api::lease::{
    ClaimRequest, Claimed, ClaimedItem, CompleteRequest, FailRequest, HeartbeatRequest, ReleaseRequest,
};
use warden_api::step::ProgressChange;
use warden_api::word::ItemState;
use warden_api::{Item, Timestamp, path};

use crate::backoff::Backoff;
use crate::client::{Client, Query};
use crate::clock::Clock;
use crate::error::Error;

/// Payloads that are fetched at once. Heartbeats and settlements do not wait for them.
const PAYLOADS_MAX: usize = 16;
/// The longest request for a payload.
const PAYLOAD_TIME: Duration = Duration::from_secs(120);
/// The shortest and the longest timeout of other requests.
const CALL_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Requests about leases, all of which last equally long.
#[derive(Debug)]
pub struct Leases {
    client: Client,
    ttl: Duration,
    payloads: Semaphore,
}

/// How a lease is given up.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// The run of the step has ended well, or is interrupted.
    Complete(CompleteRequest),
    /// The run has failed.
    Fail(FailRequest),
    /// As if the item had not been claimed.
    Release(ReleaseRequest),
}

impl Leases {
    /// `ttl` is how long a lease lasts without a heartbeat, 1 s to 24 h.
    pub fn new(client: Client, ttl: Duration) -> Self {
        Self { client, ttl, payloads: Semaphore::new(PAYLOADS_MAX) }
    }

    /// The client that sends the requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The clock for the expiry of leases.
    pub fn clock(&self) -> &dyn Clock {
        self.client.clock()
    }

    /// How long a lease lasts after a heartbeat.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Claims items, waiting for at most `wait`. The leases last at least until the returned instant, which
    /// counts from before the request: many large payloads at once can outlast them.
    pub async fn claim(&self, request: ClaimRequest, wait: Duration) -> Result<(Claimed, Timestamp), Error> {
        let document = ClaimRequest {
            ttl: Some(text(self.ttl)),
            wait: (!wait.is_zero()).then(|| text(wait)),
            ..request
        };
        let asked = self.clock().now();
        let request = self.client.request(Method::POST, path::LEASES, &Query::new())?;
        let answer = self.client.send(request.json(&document).timeout(CALL_TIME.1 + wait)).await?;
        let bytes = answer.bytes().await?;
        let claim =
            serde_json::from_slice(&bytes).map_err(|error| self.client.unexpected(error.to_string()))?;
        Ok((claim, asked.after(self.ttl)))
    }

    /// Renews a lease, and changes a progress document of its item with it. The lease lasts at least until
    /// the returned instant.
    pub async fn heartbeat(&self, lease: &str, change: Option<&ProgressChange>) -> Result<Timestamp, Error> {
        let asked = self.clock().now();
        let ttl = Some(text(self.ttl));
        let document =
            HeartbeatRequest { ttl, progress_change: change.cloned(), ..HeartbeatRequest::default() };
        self.act(lease, path::LEASE_HEARTBEAT, &document).await?;
        Ok(asked.after(self.ttl))
    }

    /// Settles a lease that expires at `expires`, with retries until then. Returns the changed item.
    pub async fn settle(
        &self,
        lease: &str,
        settlement: &Settlement,
        expires: Timestamp,
    ) -> Result<Item, Error> {
        let mut backoff = Backoff::new();
        loop {
            let answered = match settlement {
                Settlement::Complete(document) => self.act(lease, path::LEASE_COMPLETE, document).await,
                Settlement::Fail(document) => self.act(lease, path::LEASE_FAIL, document).await,
                Settlement::Release(document) => self.act(lease, path::LEASE_RELEASE, document).await,
            };
            match answered {
                Err(error) if error.is_transient() && self.clock().now() < expires => {
                    let next = self.clock().now().after(backoff.wait(error.retry_after()));
                    self.clock().sleep_until(next.min(expires)).await;
                }
                answered => {
                    let item = serde_json::from_slice(&answered?);
                    return item.map_err(|error| self.client.unexpected(error.to_string()));
                }
            }
        }
    }

    /// The payload of a leased item. One request; at most 16 at a time are sent.
    pub async fn payload(&self, lease: &ClaimedItem) -> Result<Bytes, Error> {
        let _permit = self.payloads.acquire().await;
        let of = [&*lease.item.workflow, &*lease.item.id];
        self.ask(Method::GET, &path::fill(path::ITEM_PAYLOAD, &of), PAYLOAD_TIME, |request| request).await
    }

    /// The progress document of the step of a leased item; empty if there is none. One request.
    pub async fn step_progress(&self, lease: &ClaimedItem) -> Result<Map<String, Value>, Error> {
        let Some(step) = &lease.item.step else { return Ok(Map::new()) };
        let path = path::fill(path::STEP_PROGRESS, &[&lease.item.workflow, &lease.item.id, step]);
        self.document(&path).await
    }

    /// The progress document that all steps of a leased item share, as it is now.
    pub async fn shared_progress(&self, lease: &ClaimedItem) -> Result<Map<String, Value>, Error> {
        self.document(&path::fill(path::ITEM_PROGRESS, &[&lease.item.workflow, &lease.item.id])).await
    }

    async fn document(&self, path: &str) -> Result<Map<String, Value>, Error> {
        let bytes = self.ask(Method::GET, path, self.call_time(), |request| request).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.client.unexpected(error.to_string()))
    }

    /// Whether the item of a lost lease is closed; false if that cannot be determined.
    pub async fn is_closed(&self, lease: &ClaimedItem) -> bool {
        let path = path::fill(path::ITEM, &[&lease.item.workflow, &lease.item.id]);
        let known = self.ask(Method::GET, &path, self.call_time(), |request| request).await;
        let item = known.ok().and_then(|bytes| serde_json::from_slice::<Item>(&bytes).ok());
        item.is_some_and(|item| item.state == ItemState::Closed)
    }

    async fn act(&self, lease: &str, path: &str, document: &impl Serialize) -> Result<Bytes, Error> {
        let path = path::fill(path, &[lease]);
        self.ask(Method::POST, &path, self.call_time(), |request| request.json(document)).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        most: Duration,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Bytes, Error> {
        let request = with(self.client.request(method, path, &Query::new())?.timeout(most));
        let answered = async { self.client.send(request).await?.bytes().await };
        answered.await.map_err(Error::of_lease)
    }

    fn call_time(&self) -> Duration {
        (self.ttl / 3).clamp(CALL_TIME.0, CALL_TIME.1)
    }
}

/// A duration as requests have it.
pub(crate) fn text(duration: Duration) -> String {
    // Finer ones are refused.
    let whole = Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    humantime::format_duration(whole).to_string()
}

#[cfg(test)]
mod tests;
