//! Keeps a lease alive while its item is worked on, and tells when it is lost.
//!
//! Invariant: a lease is given up for lost no later than it can be anybody else's. Its end is counted from the moment
//! before the daemon was asked, so that it is never later than the daemon's own.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use warden_api::lease::ClaimedItem;

use super::leases::Backoff;
use super::leases::{LeaseClient, LeaseError};
use crate::model::Timestamp;

/// A lease that is kept alive for as long as this exists.
pub struct HeldLease {
    /// The lease.
    pub lease: ClaimedItem,
    expires: watch::Receiver<Timestamp>,
    _keeper: AbortOnDropHandle<()>,
}

/// That a lease is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLease {
    /// The lease's id.
    pub lease: String,
    /// Why.
    pub reason: String,
    /// Whether the daemon said so; otherwise it ran out, and may be another's.
    pub denied: bool,
}

impl HeldLease {
    /// Keeps a lease that lasts until `expires`, and tells `losses` when it is lost.
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
            // Whoever does not listen any more has no use for it.
            let _ = losses.send(LostLease { lease: id, reason, denied });
        });
        Self { lease, expires: known, _keeper: AbortOnDropHandle::new(keeper) }
    }

    /// Until when it lasts at least.
    pub fn expires(&self) -> Timestamp {
        *self.expires.borrow()
    }
}

/// Sends heartbeats, every third of the lease's time. When the lease is lost, it gives whether the daemon said so, and the
/// reason.
async fn keep(leases: &LeaseClient, lease: &str, expires: &watch::Sender<Timestamp>) -> (bool, String) {
    let clock = leases.clock();
    // A third after its beginning, counted from its end.
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
                return (false, "it ran out because the daemon could not be reached".to_owned());
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
