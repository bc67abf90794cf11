//! The work that a command does for leased items, as far as it is the same for all of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use warden_api::lease::ClaimedItem;
use warden_api::word::ItemState;
use warden_client::{Backoff, Error as ClientError, HeldLease, Leases, Settlement};

use super::events::EventSender;
use super::process::{CommandLine, Output};
use super::report::Ending;
use super::verdict::{OnSuccess, Verdict};
use crate::cli::daemon::wording::worded;

/// The work for each item.
pub struct Work {
    pub leases: Arc<Leases>,
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
pub async fn payload(leases: &Leases, held: &HeldLease) -> Result<Bytes, Verdict> {
    let (clock, mut backoff) = (leases.clock(), Backoff::new());
    loop {
        match leases.payload(&held.lease).await {
            Ok(payload) => return Ok(payload),
            Err(ClientError::Lost(reason)) => return Err(Verdict::Lost(reason)),
            Err(error) if error.is_transient() && clock.now() < held.expires() => {
                clock.sleep_until(clock.now().after(backoff.wait(error.retry_after()))).await;
            }
            Err(error) => {
                let reason = format!("its payload cannot be fetched: {}", worded(&error));
                return Err(Verdict::Untried(reason));
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
    let moves_on = matches!(&settlement, Settlement::Complete(request) if !request.close);
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
        Err(ClientError::Lost(_))
            if *verdict == Verdict::Done && work.leases.is_closed(&held.lease).await =>
        {
            (Ending::Done, String::new())
        }
        Err(ClientError::Lost(reason)) => (Ending::Lost, reason),
        Err(error) => (Ending::Lost, format!("the result could not be reported: {}", worded(&error))),
    }
}
