//! Leases: what the holders of claimed items may do.
//!
//! Deliberately absent: any action when a lease expires. The item merely becomes claimable again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Recovery;
use crate::model::item::{AfterFailure, ProgressChange, StepOutcome};
use crate::model::{Item, LeaseCommand, LeaseId, LeaseLost};
use crate::store::{Command, Outcome};
use crate::warden::WardenError;
use crate::warden::error::changed;
use crate::warden::report::{ReportError, check_message, item_error};

/// The minimum and maximum time to live without a heartbeat.
pub const TTL: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// The time to live if the request names none.
pub const TTL_DEFAULT: Duration = Duration::from_secs(60);
/// The report that a step is done.
#[derive(Clone, Debug)]
pub struct CompleteStep {
    pub outcome: StepOutcome,
    /// Close the item even if steps are left.
    pub closes: bool,
    pub progress: Option<ProgressChange>,
}

#[derive(Clone, Debug)]
pub struct FailAttempt {
    /// Whether it is fatal also depends on the policy of the step.
    pub error: ReportError,
    /// The step ends without being done, or the item does, as the step says.
    pub ignorable: bool,
    /// The back-off before the next attempt; by default the policy's.
    pub retry_after: Option<Duration>,
    pub progress: Option<ProgressChange>,
}

#[derive(Debug, Default)]
pub struct LeaseCounts {
    /// Items.
    pub claimed: AtomicU64,
    /// Steps.
    pub completed: AtomicU64,
    /// Attempts.
    pub failed: AtomicU64,
    /// Items.
    pub released: AtomicU64,
    /// Requests refused because the lease was not valid any more.
    pub lost: AtomicU64,
}

impl Recovery {
    /// The leased item, whether the lease is still valid or not. If the caller may not know of it, the error
    /// and the counters are those of a lease that does not exist.
    pub async fn leased_item(
        &self,
        lease: LeaseId,
        may_know: impl FnOnce(&Item) -> bool,
    ) -> Result<Item, WardenError> {
        let item = self.store.items(vec![lease.item]).await?.pop();
        item.filter(may_know).ok_or_else(|| self.lost(LeaseLost::Forgotten))
    }

    /// Extends a lease until `ttl` from now. Without a `ttl` it is extended to [`TTL_DEFAULT`] from now and
    /// never shortened.
    pub async fn heartbeat(
        &self,
        lease: LeaseId,
        ttl: Option<Duration>,
        progress: Option<ProgressChange>,
    ) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let (may_shorten, ttl) = (ttl.is_some(), ttl.unwrap_or(TTL_DEFAULT));
        check_ttl(ttl)?;
        let act = LeaseCommand::Heartbeat { expires_at: now.after(ttl), may_shorten, progress };
        self.act_on_lease(lease, act).await
    }

    /// Ends the run of the step. After the last step the item is closed.
    pub async fn complete(&self, lease: LeaseId, request: CompleteStep) -> Result<Item, WardenError> {
        let CompleteStep { outcome, closes, progress } = request;
        check_message(outcome.message.as_deref())?;
        self.act_on_lease(lease, LeaseCommand::Complete { outcome, closes, progress }).await
    }

    /// Records a failed attempt on an item that was read by [`Recovery::leased_item`]. By the policy of its
    /// step it is retried after a back-off, goes on, or has failed.
    pub async fn fail(&self, lease: LeaseId, item: &Item, request: FailAttempt) -> Result<Item, WardenError> {
        let FailAttempt { error, ignorable, retry_after: wait, progress } = request;
        let error = Box::new(item_error(error, &item.key(), self.clock.moment(), &*self.random)?);
        let id = error.id.clone();
        let then = AfterFailure::ByPolicy { ignorable, wait, random: self.random.unit() };
        let item = self.act_on_lease(lease, LeaseCommand::Fail { error, then, progress }).await?;
        // Not logged for a repetition of the request.
        if let Some(error) = item.detail().errors.iter().find(|error| error.id == id) {
            let Item { workflow, id: item, .. } = &item;
            tracing::info!(%workflow, %item, error = %id, gives_up = error.fatal, "attempt failed");
        }
        Ok(item)
    }

    /// Returns an item without recording an error. It cannot be claimed for `delay`.
    pub async fn release(
        &self,
        lease: LeaseId,
        delay: Duration,
        progress: Option<ProgressChange>,
    ) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let retry_at = (!delay.is_zero()).then(|| now.after(delay));
        self.act_on_lease(lease, LeaseCommand::Release { retry_at, counts: false, progress }).await
    }

    async fn act_on_lease(&self, lease: LeaseId, act: LeaseCommand) -> Result<Item, WardenError> {
        let now = self.clock.moment();
        let counts = &self.counts;
        let count = match act {
            LeaseCommand::Heartbeat { .. } => None,
            LeaseCommand::Complete { .. } => Some(&counts.completed),
            LeaseCommand::Fail { .. } => Some(&counts.failed),
            LeaseCommand::Release { .. } => Some(&counts.released),
        };
        let command = Command::ActOnLease { lease, act, policies: self.workflows.clone(), now };
        match self.store.apply_one(command).await? {
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

    pub fn lease_counts(&self) -> &LeaseCounts {
        &self.counts
    }
}

pub(super) fn check_ttl(ttl: Duration) -> Result<(), WardenError> {
    if TTL.contains(&ttl) {
        return Ok(());
    }
    let (least, most) = (humantime::format_duration(*TTL.start()), humantime::format_duration(*TTL.end()));
    Err(WardenError::Invalid(format!("ttl must be {least} to {most}")))
}
