//! When items are claimed, and what a failed claim means.
//!
//! Invariants: at most one claim is in flight, for no more items than can begin at once. If a response is
//! lost, the claim may have succeeded, and its items are not behind the cursor yet: nothing is claimed until
//! their leases have expired, so that no item is skipped or processed twice.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;
use warden_api::lease::{ClaimRequest, Claimed, ClaimedItem};
use warden_client::{Backoff, Error as ClientError, Leases};

use crate::cli::commands::error::CliError;
use crate::cli::daemon::wording::worded;
use crate::model::Timestamp;

/// Added to the time of a lease whose claim was lost.
const SLACK: Duration = Duration::from_millis(500);

type Answered = Result<(Claimed, Timestamp), ClientError>;

#[derive(Debug)]
pub enum ClaimOutcome {
    /// Items, leased at least until this time.
    Leased(Vec<ClaimedItem>, Timestamp),
    /// Nothing is left to claim.
    Exhausted,
    /// Retried later; with a message, if there is something new.
    Retry(Option<String>),
    Failed(CliError),
}

pub struct Claims {
    leases: Arc<Leases>,
    /// What is claimed, and for whom.
    request: ClaimRequest,
    /// How long failing claims are retried.
    patience: Duration,
    pending: Option<AbortOnDropHandle<Answered>>,
    cursor: Option<String>,
    not_before: Timestamp,
    /// The first failure, and the waits since.
    failing: Option<(Timestamp, Backoff)>,
}

impl Claims {
    /// Claims of the items of `request`, a few at a time. Failing ones are retried for `patience`.
    pub fn at(leases: Arc<Leases>, request: ClaimRequest, patience: Duration) -> Self {
        Self {
            leases,
            request,
            patience,
            pending: None,
            cursor: None,
            not_before: Timestamp::MIN,
            failing: None,
        }
    }

    /// Whether a claim is in flight.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// The earliest time of the next claim.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Sends a claim of this many items.
    pub fn send(&mut self, items: usize) {
        let (leases, cursor) = (self.leases.clone(), self.cursor.clone());
        let request = ClaimRequest { max: items, cursor, ..self.request.clone() };
        let claim = async move { leases.claim(request, Duration::ZERO).await };
        self.pending = Some(AbortOnDropHandle::new(tokio::spawn(claim)));
    }

    /// Waits for the result of the claim in flight; for ever if there is none.
    pub async fn outcome(&mut self) -> ClaimOutcome {
        let Some(pending) = &mut self.pending else { return std::future::pending().await };
        let claimed = pending.await;
        self.pending = None;
        match claimed {
            Ok(Ok((claim, expires))) => self.take(claim, expires),
            Ok(Err(error)) => self.fail(error),
            Err(error) => ClaimOutcome::Failed(CliError::Start(error.to_string())),
        }
    }

    fn take(&mut self, claim: Claimed, expires: Timestamp) -> ClaimOutcome {
        self.failing = None;
        match claim.next_cursor {
            // Even if all items were closed meanwhile, others may follow.
            Some(cursor) => {
                self.cursor = Some(cursor);
                ClaimOutcome::Leased(claim.leases, expires)
            }
            None => ClaimOutcome::Exhausted,
        }
    }

    fn fail(&mut self, error: ClientError) -> ClaimOutcome {
        let now = self.leases.clock().now();
        let is_new = self.failing.is_none();
        let (since, backoff) = self.failing.get_or_insert_with(|| (now, Backoff::new()));
        if !error.is_transient() || now.since(*since) >= self.patience {
            return ClaimOutcome::Failed(error.into());
        }
        let mut wait = backoff.wait(error.retry_after());
        let patience = humantime::format_duration(self.patience);
        let mut said =
            is_new.then(|| format!("waiting at most {patience} for the daemon: {}", worded(&error)));
        if error.may_have_taken_effect() {
            wait = wait.max(self.leases.ttl() + SLACK);
            let ttl = humantime::format_duration(self.leases.ttl());
            said = Some(format!(
                "the answer to a claim is lost; claiming again in {ttl}, after its leases: {}",
                worded(&error)
            ));
        }
        self.not_before = now.after(wait);
        ClaimOutcome::Retry(said)
    }
}

#[cfg(test)]
mod tests;
