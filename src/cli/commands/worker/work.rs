//! The work that a command does for leased items, as far as it is the same for all of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use warden_api::lease::ClaimedItem;
use warden_api::word::ItemState;

use super::events::EventSender;
use super::keeper::HeldLease;
use super::leases::{Backoff, LeaseClient, LeaseError};
use super::process::{CommandLine, Output};
use super::report::Ending;
use super::verdict::{OnSuccess, Settlement, Verdict};

/// The work for each item.
pub struct Work {
    pub leases: Arc<LeaseClient>,
    pub line: CommandLine,
    /// Whether the command takes several items at once, as lines of JSON.
    pub in_batches: bool,
    /// The longest run of the command; `None` is unlimited.
    pub timeout: Option<Duration>,
    pub on_success: OnSuccess,
    pub output: Output,
    /// Shows stdout of the command, if it is read line by line.
    pub events: EventSender,
    pub advanced: AdvancedItems,
}

/// The items that may have advanced to their next step by this run, as workflow and id. Their deadlines are
/// new, so that they can be claimed again; but the command is not meant for the next step.
#[derive(Debug, Default)]
pub struct AdvancedItems(Mutex<HashSet<(String, String)>>);

impl AdvancedItems {
    pub fn has(&self, lease: &ClaimedItem) -> bool {
        self.items().contains(&key(lease))
    }

    fn items(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        // The set is consistent even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(lease: &ClaimedItem) -> (String, String) {
    (lease.item.workflow.to_string(), lease.item.id.to_string())
}

/// The payload of a leased item, or the verdict without one.
pub async fn payload(leases: &LeaseClient, held: &HeldLease) -> Result<Bytes, Verdict> {
    let (clock, mut backoff) = (leases.clock(), Backoff::new());
    loop {
        match leases.payload(&held.lease).await {
            Ok(payload) => return Ok(payload),
            Err(LeaseError::Lost(reason)) => return Err(Verdict::Lost(reason)),
            Err(LeaseError::Client(error)) if error.is_transient() && clock.now() < held.expires() => {
                clock.sleep_until(clock.now().after(backoff.wait(error.retry_after()))).await;
            }
            Err(LeaseError::Client(error)) => {
                return Err(Verdict::Untried(format!("its payload cannot be fetched: {error}")));
            }
        }
    }
}

/// Settles the lease. Returns how the attempt ended, and why the item is not done.
pub async fn settle(work: &Work, held: &HeldLease, verdict: &Verdict) -> (Ending, String) {
    let Some(settlement) = verdict.settlement(work.on_success) else {
        return (Ending::Lost, verdict.reason());
    };
    // Recorded before, as the item can be claimed as soon as the lease is settled.
    let moves_on = settlement == Settlement::Complete { close: false };
    if moves_on {
        work.advanced.items().insert(key(&held.lease));
    }
    match work.leases.settle(&held.lease.id, &settlement, held.expires()).await {
        Ok(item) => {
            if moves_on && item.state == ItemState::Closed {
                work.advanced.items().remove(&key(&held.lease));
            }
            let ending = match verdict {
                Verdict::Done => Ending::Done,
                Verdict::Failed { .. } if item.state == ItemState::Failed => Ending::Failed,
                Verdict::Failed { .. } => Ending::Retry,
                Verdict::Untried(_) | Verdict::Lost(_) => Ending::Skipped,
            };
            (ending, verdict.reason())
        }
        // The command, or the pipeline that it triggered, may have closed the item.
        Err(LeaseError::Lost(_)) if *verdict == Verdict::Done && work.leases.is_closed(&held.lease).await => {
            (Ending::Done, String::new())
        }
        Err(LeaseError::Lost(reason)) => (Ending::Lost, reason),
        Err(LeaseError::Client(error)) => {
            (Ending::Lost, format!("the result could not be reported: {error}"))
        }
    }
}
