//! Renews a lease while its item is worked on, and reports its loss.
//!
//! Invariant: a lease counts as lost before anybody else can get it. Its expiry is computed from the time
//! before the request, so that it is never later than the daemon's.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use warden_api::lease::ClaimedItem;

use super::leases::{Backoff, LeaseClient, LeaseError};
use crate::model::Timestamp;

/// A lease that is renewed until this is dropped.
pub struct HeldLease {
    pub lease: ClaimedItem,
    expires: watch::Receiver<Timestamp>,
    _keeper: AbortOnDropHandle<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLease {
    /// The id of the lease.
    pub lease: String,
    pub reason: String,
    /// Whether the daemon reported the loss; otherwise the lease expired, and somebody else may have it.
    pub denied: bool,
}

impl HeldLease {
    /// Renews a lease that expires at `expires`, and reports its loss to `losses`.
    pub fn keep(
        lease: ClaimedItem,
        expires: Timestamp,
        leases: Arc<LeaseClient>,
        losses: mpsc::UnboundedSender<LostLease>,
    ) -> Self {
        let (told, known) = watch::channel(expires);
        let id = lease.id.clone();
        let keeper = tokio::spawn(async move {
            let (denied, reason) = keep(&leases, &id, &told).await;
            // The receiver is gone if the attempt is over.
            let _ = losses.send(LostLease { lease: id, reason, denied });
        });
        Self { lease, expires: known, _keeper: AbortOnDropHandle::new(keeper) }
    }

    /// It lasts at least until then.
    pub fn expires(&self) -> Timestamp {
        *self.expires.borrow()
    }
}

/// Sends heartbeats every third of the lease's time. Returns when the lease is lost: whether the daemon
/// reported that, and the reason.
async fn keep(leases: &LeaseClient, lease: &str, expires: &watch::Sender<Timestamp>) -> (bool, String) {
    let clock = leases.clock();
    // A third of the lease after its begin.
    let beat_at = |end: Timestamp| end.moved(-i64::try_from((leases.ttl() * 2 / 3).as_millis()).unwrap_or(0));
    let mut backoff = Backoff::new();
    let mut next = beat_at(*expires.borrow());
    loop {
        let end = *expires.borrow();
        let beat = async {
            clock.sleep_until(next.min(end)).await;
            leases.heartbeat(lease).await
        };
        let beaten = tokio::select! {
            beaten = beat => beaten,
            () = clock.sleep_until(end) => {
                return (false, "it expired because the daemon could not be reached".to_owned());
            }
        };
        match beaten {
            Ok(end) => {
                expires.send_replace(end);
                backoff = Backoff::new();
                next = beat_at(end);
            }
            Err(LeaseError::Lost(reason)) => return (true, reason),
            Err(LeaseError::Client(error)) => next = clock.now().after(backoff.wait(error.retry_after())),
        }
    }
}

#[cfg(test)]
mod tests;
