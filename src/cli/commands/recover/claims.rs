//! When items are claimed, and what follows from how that went.
//!
//! Invariants: one claim is on the way at a time; none begins while more would come than can begin at once. Whether a
//! claim took effect whose answer was lost cannot be known, and its items are behind no cursor yet: nothing is claimed
//! until they are free again, so that none is left out and none comes twice.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;
use warden_api::lease::{Claimed, ClaimedItem};

use crate::cli::commands::error::CliError;
use crate::cli::commands::worker::leases::Backoff;
use crate::cli::commands::worker::leases::LeaseClient;
use crate::cli::daemon::client::ClientError;
use crate::model::Timestamp;

/// How much longer than its lease an item is waited for whose claim was lost.
const SLACK: Duration = Duration::from_millis(500);

/// The outcome of a claim.
type Answered = Result<(Claimed, Timestamp), ClientError>;

/// What came of a claim.
#[derive(Debug)]
pub enum ClaimOutcome {
    /// These items, at least until this instant.
    Leased(Vec<ClaimedItem>, Timestamp),
    /// Nothing is claimable.
    Exhausted,
    /// It is tried again. Whoever watches should know this, if it is not known already.
    Retry(Option<String>),
    /// It cannot be.
    Failed(CliError),
}

/// The claims of a recovery.
pub struct Claims {
    leases: Arc<LeaseClient>,
    /// How long a daemon that cannot be asked is waited for.
    patience: Duration,
    asked: Option<AbortOnDropHandle<Answered>>,
    cursor: Option<String>,
    not_before: Timestamp,
    /// Since when claims fail, and how long the next is waited with.
    trouble: Option<(Timestamp, Backoff)>,
}

impl Claims {
    /// Claims at this leases, whose daemon is waited for so long when it does not answer any more.
    pub fn at(leases: Arc<LeaseClient>, patience: Duration) -> Self {
        Self { leases, patience, asked: None, cursor: None, not_before: Timestamp::MIN, trouble: None }
    }

    /// Whether a claim is on the way.
    pub fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Before when there must be no claim.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Sends a claim of so many items on its way.
    pub fn ask(&mut self, items: usize) {
        let (leases, cursor) = (self.leases.clone(), self.cursor.clone());
        let claim = async move { leases.claim(items, cursor.as_deref()).await };
        self.asked = Some(AbortOnDropHandle::new(tokio::spawn(claim)));
    }

    /// Waits for what comes of the claim that is on the way; for ever if there is none.
    pub async fn gain(&mut self) -> ClaimOutcome {
        let Some(asked) = &mut self.asked else { return std::future::pending().await };
        let claimed = asked.await;
        self.asked = None;
        match claimed {
            Ok(Ok((claim, expires))) => self.take(claim, expires),
            Ok(Err(error)) => self.fail(error),
            Err(error) => ClaimOutcome::Failed(CliError::Start(error.to_string())),
        }
    }

    fn take(&mut self, claim: Claimed, expires: Timestamp) -> ClaimOutcome {
        self.trouble = None;
        match claim.next_cursor {
            // It may be that all that was claimed is closed already; what is behind it is not.
            Some(cursor) => {
                self.cursor = Some(cursor);
                ClaimOutcome::Leased(claim.leases, expires)
            }
            None => ClaimOutcome::Exhausted,
        }
    }

    fn fail(&mut self, error: ClientError) -> ClaimOutcome {
        let now = self.leases.clock().now();
        let news = self.trouble.is_none();
        let (since, backoff) = self.trouble.get_or_insert_with(|| (now, Backoff::new()));
        if !error.may_pass() || now.since(*since) >= self.patience {
            return ClaimOutcome::Failed(error.into());
        }
        let mut wait = backoff.wait(error.retry_after());
        let patience = humantime::format_duration(self.patience);
        let mut said = news.then(|| format!("waiting at most {patience} for the daemon: {error}"));
        if error.may_be_done() {
            wait = wait.max(self.leases.ttl() + SLACK);
            let ttl = humantime::format_duration(self.leases.ttl());
            said = Some(format!(
                "a claim may have been made although its answer is lost; going on in {ttl}: {error}"
            ));
        }
        self.not_before = now.after(wait);
        ClaimOutcome::Retry(said)
    }
}

#[cfg(test)]
mod tests;
