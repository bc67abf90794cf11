//! What a handler is given: the item, its payload and its progress.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use warden_api::step::ProgressChange;
use warden_api::word::ProgressOperation;
use warden_api::{Item, Timestamp};

use super::failure::StepError;
use crate::backoff::Backoff;
use crate::error::Error;
use crate::keeper::HeldLease;
use crate::leases::Leases;

/// One run of a step. Clones are the same run.
#[derive(Clone)]
pub struct Job(Arc<Run>);

struct Run {
    held: HeldLease,
    /// As it came with the claim.
    payload: Option<Bytes>,
    leases: Arc<Leases>,
    begun: Timestamp,
    stopping: CancellationToken,
    /// The progress documents, as far as they are known.
    of_step: Mutex<Option<Map<String, Value>>>,
    shared: Mutex<Option<Map<String, Value>>>,
}

impl Job {
    pub(super) fn new(mut held: HeldLease, leases: Arc<Leases>, stopping: CancellationToken) -> Self {
        let payload = held.lease.payload_base64.take();
        let payload = payload.and_then(|text| STANDARD.decode(text).ok()).map(Bytes::from);
        let begun = leases.clock().now();
        let shared = Mutex::new(Some(held.lease.item.progress.clone()));
        Self(Arc::new(Run { held, payload, leases, begun, stopping, of_step: Mutex::new(None), shared }))
    }

    /// The lease, with the item as it was claimed.
    pub fn lease(&self) -> &warden_api::lease::ClaimedItem {
        &self.0.held.lease
    }

    /// The item as it was claimed.
    pub fn item(&self) -> &Item {
        &self.lease().item
    }

    /// The workflow of the item.
    pub fn workflow(&self) -> &str {
        &self.item().workflow
    }

    /// The id of the item within its workflow.
    pub fn id(&self) -> &str {
        &self.item().id
    }

    /// The step; empty if the item is at none.
    pub fn step(&self) -> &str {
        self.item().step.as_deref().unwrap_or_default()
    }

    /// The claims of the item at this step, including this one, from 1.
    pub fn attempt(&self) -> u32 {
        self.lease().attempt
    }

    /// The fencing token: it is larger than that of any earlier lease, so that other systems can reject late
    /// writes.
    pub fn fencing_token(&self) -> u64 {
        self.lease().token
    }

    /// The payload, the bytes as they were handed in. If it did not come with the claim, it is asked for
    /// while the lease lasts.
    pub async fn payload(&self) -> Result<Bytes, Error> {
        if let Some(payload) = &self.0.payload {
            return Ok(payload.clone());
        }
        self.while_held(|| self.0.leases.payload(self.lease())).await
    }

    /// The progress document of this step.
    pub fn progress(&self) -> Progress<'_> {
        Progress { job: self, of_step: true }
    }

    /// The progress document that all steps of the item share.
    pub fn shared(&self) -> Progress<'_> {
        Progress { job: self, of_step: false }
    }

    /// How long it has been running, since the claim.
    pub fn elapsed(&self) -> Duration {
        self.0.leases.clock().now().since(self.0.begun)
    }

    /// Cancelled when the worker is stopping: a handler that takes long should come to an end.
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// A place where the run may be interrupted. Once it has taken longer than `max`, or the worker is
    /// stopping, this is an error that gives the item back, which counts as no retry; the next run goes on
    /// from the saved progress. To be called after progress was saved, with `?`.
    pub fn checkpoint(&self, max: Duration) -> Result<(), StepError> {
        if self.0.stopping.is_cancelled() {
            return Err(StepError::released("the worker is stopping"));
        }
        if self.elapsed() > max {
            return Err(StepError::released("the step goes on later, from its checkpoint"));
        }
        Ok(())
    }

    pub(super) fn held(&self) -> &HeldLease {
        &self.0.held
    }

    /// Asks again while the daemon is away and the lease lasts.
    async fn while_held<T, F: Future<Output = Result<T, Error>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, Error> {
        let (clock, mut backoff) = (self.0.leases.clock(), Backoff::new());
        loop {
            match ask().await {
                Err(error) if error.is_transient() && clock.now() < self.0.held.expires() => {
                    clock.sleep_until(clock.now().after(backoff.wait(error.retry_after()))).await;
                }
                ended => return ended,
            }
        }
    }
}

/// A progress document: a JSON object. All documents of an item together take at most 32 KiB. A change is
/// durable when its method returns, and is refused once the lease is lost.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    job: &'a Job,
    of_step: bool,
}

impl Progress<'_> {
    /// The document; empty if nothing was saved.
    pub async fn get(&self) -> Result<Map<String, Value>, Error> {
        let mut known = self.known().lock().await;
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let run = &self.job.0;
        let document = self.job.while_held(|| run.leases.step_progress(&run.held.lease)).await?;
        *known = Some(document.clone());
        Ok(document)
    }

    /// The document as the daemon has it now: another process may have changed it with the same lease.
    pub async fn read_again(&self) -> Result<Map<String, Value>, Error> {
        let mut known = self.known().lock().await;
        let run = &self.job.0;
        let lease = &run.held.lease;
        let document = if self.of_step {
            self.job.while_held(|| run.leases.step_progress(lease)).await?
        } else {
            self.job.while_held(|| run.leases.shared_progress(lease)).await?
        };
        *known = Some(document.clone());
        Ok(document)
    }

    /// Replaces the document.
    ///
    /// # Errors
    /// The value is no JSON object, the document is too large, or the lease is lost. The same for the other
    /// changes.
    pub async fn set(&self, value: impl Serialize) -> Result<(), Error> {
        self.change(ProgressOperation::Set, value).await
    }

    /// Sets members at the top level; null is kept as a value.
    pub async fn assign(&self, value: impl Serialize) -> Result<(), Error> {
        self.change(ProgressOperation::Assign, value).await
    }

    /// Merges members at all levels (RFC 7396); null removes one.
    pub async fn merge(&self, value: impl Serialize) -> Result<(), Error> {
        self.change(ProgressOperation::Merge, value).await
    }

    async fn change(&self, op: ProgressOperation, value: impl Serialize) -> Result<(), Error> {
        let value = match serde_json::to_value(value) {
            Ok(Value::Object(value)) => value,
            Ok(other) => return Err(Error::Invalid(format!("progress is a JSON object, not {other}"))),
            Err(error) => return Err(Error::Invalid(format!("progress is no JSON: {error}"))),
        };
        // Held over the request, so that what is known follows the order of the changes.
        let mut known = self.known().lock().await;
        self.job.held().save(ProgressChange { op, value: value.clone(), of_step: self.of_step }).await?;
        *known = match (known.take(), op) {
            (_, ProgressOperation::Set) => Some(value),
            (Some(mut before), ProgressOperation::Assign) => {
                before.extend(value);
                Some(before)
            }
            (Some(before), ProgressOperation::Merge) => {
                let mut before = Value::Object(before);
                json_patch::merge(&mut before, &Value::Object(value));
                before.as_object_mut().map(std::mem::take)
            }
            (None, _) => None,
        };
        Ok(())
    }

    fn known(&self) -> &Mutex<Option<Map<String, Value>>> {
        if self.of_step { &self.job.0.of_step } else { &self.job.0.shared }
    }
}
