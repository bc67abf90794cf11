//! Leases: what the holders of claimed items say.
//!
//! Deliberately absent: anything that happens by itself when a lease runs out. The item may be claimed again, and that is
//! all there is to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};

use super::Recovery;
use crate::model::item::Merge;
use crate::model::lease::{Advance, AfterFailure};
use crate::model::{CloseOutcome, Item, LeaseAct, LeaseId, LeaseLost};
use crate::store::{Command, Outcome};
use crate::warden::WardenError;
use crate::warden::error::changed;
use crate::warden::report::{ReportError, item_error};

/// The shortest and the longest time for which a lease holds without a heartbeat.
pub const TTL: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// For how long a lease holds of which nothing else is said.
pub const TTL_DEFAULT: Duration = Duration::from_secs(60);
/// What the holder of a lease says when the step is done.
#[derive(Clone, Debug, Default)]
pub struct CompleteStep {
    /// Whether the item is done, whatever steps are left.
    pub close: bool,
    /// A merge patch of the progress document.
    pub progress: Option<Merge<Map<String, Value>>>,
}

/// What the holder of a lease says when the attempt failed.
#[derive(Clone, Debug)]
pub struct FailAttempt {
    /// Why. Whether it is fatal follows from the workflow's policy.
    pub error: ReportError,
    /// Whether the step counts as done all the same.
    pub ignorable: bool,
    /// How long to wait for the next attempt, if not as the policy says.
    pub retry_after: Option<Duration>,
}

/// What became of leases since the start.
#[derive(Debug, Default)]
pub struct LeaseCounts {
    /// Items that were claimed.
    pub claimed: AtomicU64,
    /// Steps that were completed.
    pub completed: AtomicU64,
    /// Attempts that failed.
    pub failed: AtomicU64,
    /// Items that were given back.
    pub released: AtomicU64,
    /// Times that a holder was told that its lease holds no longer.
    pub lost: AtomicU64,
}

impl Recovery {
    /// The item that was leased, whether the lease still holds or not, provided that the asker may know of it: to one that may
    /// not, and in what is counted, it is like one that is forgotten.
    ///
    /// # Errors
    /// When it is forgotten, or the store cannot read.
    pub async fn leased_item(
        &self,
        lease: LeaseId,
        may_know: impl FnOnce(&Item) -> bool,
    ) -> Result<Item, WardenError> {
        let item = self.store.items(vec![lease.item]).await?.pop();
        item.filter(may_know).ok_or_else(|| self.lost(LeaseLost::Forgotten))
    }

    /// Holds a lease for longer: until `ttl` from now; without one for a minute, unless it holds for longer already.
    ///
    /// # Errors
    /// When the lease holds no longer, a limit is broken, or the store refuses.
    pub async fn heartbeat(
        &self,
        lease: LeaseId,
        ttl: Option<Duration>,
        progress: Option<Merge<Map<String, Value>>>,
    ) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let (may_shorten, ttl) = (ttl.is_some(), ttl.unwrap_or(TTL_DEFAULT));
        check_ttl(ttl)?;
        let act = LeaseAct::Heartbeat { expires_at: now.after(ttl), may_shorten, progress };
        self.act_on_lease(lease, act).await
    }

    /// Takes note that the step is done of an item that was read by [`Recovery::leased_item`]. After the last step it is closed.
    ///
    /// # Errors
    /// When the lease holds no longer, a limit is broken, or the store refuses.
    pub async fn complete(
        &self,
        lease: LeaseId,
        item: &Item,
        request: CompleteStep,
    ) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let policy = self.workflows.policy(&item.workflow);
        let advance = if request.close {
            Advance::Close(policy.closing(CloseOutcome::Success, now))
        } else {
            policy.advance(item, now)
        };
        self.act_on_lease(lease, LeaseAct::Complete { advance, progress: request.progress }).await
    }

    /// Takes note that the attempt failed of an item that was read by [`Recovery::leased_item`]. It is tried again as the
    /// workflow's policy says, or has failed.
    ///
    /// # Errors
    /// When the lease holds no longer, a limit is broken, or the store refuses.
    pub async fn fail(&self, lease: LeaseId, item: &Item, request: FailAttempt) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let policy = self.workflows.policy(&item.workflow);
        let wait = policy.retry.wait_after(item.work.attempts, self.random.unit());
        let then = match wait {
            _ if request.ignorable => AfterFailure::Ignore(policy.advance(item, now)),
            Some(wait) if request.error.retryable => {
                AfterFailure::Retry(now.after(request.retry_after.unwrap_or(wait)))
            }
            _ => AfterFailure::GiveUp,
        };
        let error = Box::new(item_error(request.error, &item.key(), now, &*self.random)?);
        let (id, gives_up) = (error.id.clone(), then == AfterFailure::GiveUp);
        let item = self.act_on_lease(lease, LeaseAct::Fail { error, then }).await?;
        // Not when it was said before.
        if item.has_error(&id) {
            tracing::info!(workflow = %item.workflow, item = %item.id, error = %id, gives_up, "an attempt failed");
        }
        Ok(item)
    }

    /// Gives an item back unharmed; nobody else gets it for `delay`.
    ///
    /// # Errors
    /// When the lease holds no longer, or the store refuses.
    pub async fn release(&self, lease: LeaseId, delay: Duration) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let retry_at = (!delay.is_zero()).then(|| now.after(delay));
        self.act_on_lease(lease, LeaseAct::Release { retry_at, counts: false }).await
    }

    async fn act_on_lease(&self, lease: LeaseId, act: LeaseAct) -> Result<Item, WardenError> {
        let now = self.clock.moment();
        let counts = &self.counts;
        let count = match act {
            LeaseAct::Heartbeat { .. } => None,
            LeaseAct::Complete { .. } => Some(&counts.completed),
            LeaseAct::Fail { .. } => Some(&counts.failed),
            LeaseAct::Release { .. } => Some(&counts.released),
        };
        match self.store.apply_one(Command::ActOnLease { lease, act, now }).await? {
            Outcome::LeaseLost(LeaseLost::Unknown) => Err(WardenError::LeaseNotFound),
            Outcome::LeaseLost(lost) => Err(self.lost(lost)),
            outcome => {
                let item = changed(outcome, now)?;
                count.map(|count| count.fetch_add(1, Ordering::Relaxed));
                Ok(item)
            }
        }
    }

    fn lost(&self, lost: LeaseLost) -> WardenError {
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
        WardenError::LeaseLost(lost.shown(self.clock.moment()))
    }

    /// What became of leases since the start.
    pub fn lease_counts(&self) -> &LeaseCounts {
        &self.counts
    }
}

/// Checks for how long a lease is to hold.
///
/// # Errors
/// When that is too short or too long.
pub(super) fn check_ttl(ttl: Duration) -> Result<(), WardenError> {
    if TTL.contains(&ttl) {
        return Ok(());
    }
    let (least, most) = (humantime::format_duration(*TTL.start()), humantime::format_duration(*TTL.end()));
    Err(WardenError::Invalid(format!("ttl must be from {least} to {most}")))
}
