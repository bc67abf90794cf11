//! Renews a lease while its item is worked on, saves progress with that, and reports the loss of the lease.
//!
//! Invariant: a lease counts as lost before anybody else can get it. Its expiry is computed from the time
//! before the request, so that it is never later than the daemon's.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;
use warden_api::Timestamp;
use warden_api::lease::ClaimedItem;
use warden_api::step::ProgressChange;

use crate::backoff::Backoff;
use crate::clock::before;
use crate::error::Error;
use crate::leases::Leases;

/// A lease that is renewed until this is dropped.
pub struct HeldLease {
    /// The item and its lease, as they were claimed.
    pub lease: ClaimedItem,
    expires: watch::Receiver<Timestamp>,
    changes: mpsc::Sender<Change>,
    _keeper: AbortOnDropHandle<()>,
}

/// A change of a progress document, and where to say how it went.
struct Change {
    change: ProgressChange,
    answer: oneshot::Sender<Result<(), Error>>,
}

/// The end of a lease that nobody gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLease {
    /// The id of the lease.
    pub lease: String,
    /// For people.
    pub reason: String,
    /// Whether the daemon reported the loss; otherwise the lease expired, and somebody else may have it.
    pub denied: bool,
}

impl HeldLease {
    /// Renews a lease that expires at `expires`, every third of its time, and reports its loss to `losses`.
    /// Must be called within a tokio runtime.
    pub fn keep(
        lease: ClaimedItem,
        expires: Timestamp,
        leases: Arc<Leases>,
        losses: mpsc::UnboundedSender<LostLease>,
    ) -> Self {
        let (told, known) = watch::channel(expires);
        let (changes, requested) = mpsc::channel(1);
        let id = lease.id.clone();
        let keeper = tokio::spawn(async move {
            let (denied, reason) =
                Keeper { leases: &leases, lease: &id, expires: &told, requested }.run().await;
            // The receiver is gone if the work is over.
            let _ = losses.send(LostLease { lease: id, reason, denied });
        });
        Self { lease, expires: known, changes, _keeper: AbortOnDropHandle::new(keeper) }
    }

    /// It lasts at least until then.
    pub fn expires(&self) -> Timestamp {
        *self.expires.borrow()
    }

    /// Changes a progress document of the item with a heartbeat, so that only the holder can. Repeated while
    /// the lease lasts; durable when this returns.
    ///
    /// # Errors
    /// The lease is lost, or the daemon refuses the change, for example because the document is too large.
    pub async fn save(&self, change: ProgressChange) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let over = || Error::Lost("it was over before its progress was saved".to_owned());
        self.changes.send(Change { change, answer }).await.map_err(|_| over())?;
        answered.await.unwrap_or_else(|_| Err(over()))
    }
}

struct Keeper<'a> {
    leases: &'a Leases,
    lease: &'a str,
    expires: &'a watch::Sender<Timestamp>,
    requested: mpsc::Receiver<Change>,
}

impl Keeper<'_> {
    /// Sends heartbeats every third of the lease's time, and at once if there is progress to save. Returns
    /// when the lease is lost: whether the daemon reported that, and the reason.
    async fn run(mut self) -> (bool, String) {
        let clock = self.leases.clock();
        // A third of the lease after its begin.
        let beat_at = |end: Timestamp| before(end, self.leases.ttl() * 2 / 3);
        let mut backoff = Backoff::new();
        let mut next = beat_at(*self.expires.borrow());
        let mut change: Option<Change> = None;
        loop {
            let end = *self.expires.borrow();
            if change.is_none() {
                tokio::select! {
                    biased;
                    Some(requested) = self.requested.recv() => {
                        change = Some(requested);
                        next = clock.now();
                    }
                    () = clock.sleep_until(next.min(end)) => {}
                }
            }
            let beat = async {
                clock.sleep_until(next.min(end)).await;
                self.leases.heartbeat(self.lease, change.as_ref().map(|change| &change.change)).await
            };
            let beaten = tokio::select! {
                beaten = beat => beaten,
                () = clock.sleep_until(end) => {
                    let reason = "it expired because the daemon could not be reached".to_owned();
                    return self.lose(change, false, reason);
                }
            };
            match beaten {
                Ok(end) => {
                    self.expires.send_replace(end);
                    backoff = Backoff::new();
                    next = beat_at(end);
                    answer(change.take(), Ok(()));
                }
                Err(Error::Lost(reason)) => return self.lose(change, true, reason),
                Err(error) => {
                    next = clock.now().after(backoff.wait(error.retry_after()));
                    if !error.is_transient() && change.is_some() {
                        // It is the change that is refused.
                        answer(change.take(), Err(error));
                        next = clock.now();
                    }
                }
            }
        }
    }

    fn lose(&self, change: Option<Change>, denied: bool, reason: String) -> (bool, String) {
        answer(change, Err(Error::Lost(reason.clone())));
        (denied, reason)
    }
}

fn answer(change: Option<Change>, result: Result<(), Error>) {
    if let Some(change) = change {
        // Nobody waits for it if the work was cancelled.
        let _ = change.answer.send(result);
    }
}

#[cfg(test)]
mod tests;
