//! Leases: exclusive, expiring claims on items, and the actions of their holders.
//!
//! Invariants:
//!
//! * An item has at most one running lease. Lease tokens are fencing tokens: each is larger than all before
//!   it, of any item.
//! * Expiry is derived from `now`; it is never written.
//! * Closing an item ends its lease. A lease does not prevent a close.
//! * Ending a lease is idempotent: a repetition changes nothing and has the same response, until somebody
//!   else claims the item.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
pub use warden_api::limit::WORKER_MAX;

use super::{
    Item, ItemError, ItemNumber, ItemRefusal, ProgressChange, STEP_MESSAGE_MAX, StepOutcome, StepStatus,
    check_data,
};
use crate::model::random::repeatable_id;
use crate::model::{CloseOutcome, Moment, Policy, Timestamp};

/// Item and token. Written as `lse_` and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId {
    pub item: ItemNumber,
    pub token: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a lease: lse_ and 32 hexadecimal digits")]
pub struct LeaseIdError;

impl fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "lse_{:016x}{:016x}", self.item.0, self.token)
    }
}

impl FromStr for LeaseId {
    type Err = LeaseIdError;

    fn from_str(text: &str) -> Result<Self, LeaseIdError> {
        let digits = text.strip_prefix("lse_").filter(|digits| digits.len() == 32).ok_or(LeaseIdError)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(LeaseIdError);
        }
        let number = |digits: &str| u64::from_str_radix(digits, 16).map_err(|_| LeaseIdError);
        Ok(Self { item: ItemNumber(number(&digits[..16])?), token: number(&digits[16..])? })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The fencing token.
    pub token: u64,
    /// The holder.
    pub worker: Arc<str>,
    /// Unless a heartbeat renews it.
    pub expires_at: Timestamp,
    /// Set once it was ended, or its expiry was counted.
    pub ended: Option<LeaseEnd>,
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseEnd {
    Completed,
    Failed,
    Released,
    /// It ran out, and that was counted.
    Expired,
    /// Somebody else reported its step, or sent the item to another one.
    Withdrawn,
}

/// The consequence of a failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum AfterFailure {
    /// By the policy of the step: a retryable error is retried after a back-off until the retries are used
    /// up, an ignorable one ends or skips the step, and any other one makes the item fail.
    ByPolicy {
        ignorable: bool,
        /// The back-off; `None` for the policy's.
        wait: Option<Duration>,
        /// From 0 to 1, for the jitter.
        random: f64,
    },
    /// It can be claimed again at this instant, whatever the policy says. Counts as no retry.
    RetryAt(Timestamp),
}

/// A request of the holder of a lease.
#[derive(Clone, Debug)]
pub enum LeaseCommand {
    /// Renew it.
    Heartbeat {
        expires_at: Timestamp,
        /// Whether that may be earlier than its current expiry.
        may_shorten: bool,
        progress: Option<ProgressChange>,
    },
    /// End the run of the step.
    Complete {
        outcome: StepOutcome,
        /// Close the item, even if steps are left.
        closes: bool,
        progress: Option<ProgressChange>,
    },
    /// Report a failed attempt.
    Fail { error: Box<ItemError>, then: AfterFailure, progress: Option<ProgressChange> },
    /// Release the item.
    Release {
        /// When it can be claimed again.
        retry_at: Option<Timestamp>,
        /// Whether it counts as an attempt.
        counts: bool,
        progress: Option<ProgressChange>,
    },
}

impl LeaseCommand {
    /// Returns the item, which can be claimed at once. Counts as no attempt.
    pub const fn release() -> Self {
        Self::Release { retry_at: None, counts: false, progress: None }
    }
}

/// Why a lease is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseLost {
    /// The item is gone.
    #[error("the item of this lease does not exist: its retention is over, or it never existed")]
    Forgotten,
    /// The item was closed.
    #[error("the item was closed at {0}; stop working on it")]
    Closed(Timestamp),
    /// It expired, and nobody has claimed the item since.
    #[error("the lease expired at {0}; send heartbeats, or claim with a longer ttl")]
    Expired(Timestamp),
    /// There was no such lease.
    #[error("there never was such a lease")]
    Unknown,
    /// The item was claimed by somebody else after the lease was over.
    #[error("the item was claimed by another worker meanwhile")]
    Taken,
    /// Its holder ended it in another way.
    #[error("the lease was already ended: {}", match .0 {
        LeaseEnd::Completed => "the step was completed",
        LeaseEnd::Failed => "the attempt was reported as failed",
        LeaseEnd::Released => "the item was released",
        LeaseEnd::Expired => "it expired",
        LeaseEnd::Withdrawn => "somebody else reported the step, or sent the item to another one",
    })]
    Ended(LeaseEnd),
}

impl LeaseLost {
    /// With instants of the wall clock, for messages.
    #[must_use]
    pub const fn shown(self, moment: Moment) -> Self {
        match self {
            Self::Closed(at) => Self::Closed(moment.wall(at)),
            Self::Expired(at) => Self::Expired(moment.wall(at)),
            other => other,
        }
    }
}

/// Why a request of a holder changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseRefusal {
    Lost(LeaseLost),
    /// The same request was executed before.
    Repeated,
    /// A limit would be exceeded.
    Item(ItemRefusal),
}

impl From<ItemRefusal> for LeaseRefusal {
    fn from(refusal: ItemRefusal) -> Self {
        Self::Item(refusal)
    }
}

impl LeaseEnd {
    /// Whether the holder asked for it, and so may repeat the request.
    pub const fn is_by_holder(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Released)
    }
}

impl LeaseCommand {
    /// How it ends the lease, if it does.
    pub const fn end(&self) -> Option<LeaseEnd> {
        match self {
            Self::Heartbeat { .. } => None,
            Self::Complete { .. } => Some(LeaseEnd::Completed),
            Self::Fail { .. } => Some(LeaseEnd::Failed),
            Self::Release { .. } => Some(LeaseEnd::Released),
        }
    }

    /// The change of a progress document that it asks for.
    pub const fn progress(&self) -> &Option<ProgressChange> {
        match self {
            Self::Heartbeat { progress, .. }
            | Self::Complete { progress, .. }
            | Self::Fail { progress, .. }
            | Self::Release { progress, .. } => progress,
        }
    }

    /// Whether it may add progress, errors or runs of steps.
    pub const fn adds_detail(&self) -> bool {
        matches!(self, Self::Complete { .. } | Self::Fail { .. }) || self.progress().is_some()
    }

    /// Whether it may add much.
    pub const fn grows(&self) -> bool {
        matches!(self, Self::Fail { .. }) || self.progress().is_some()
    }
}

impl Item {
    /// Leases the item. A lease before it that ran out must have been counted.
    pub fn claim(&mut self, token: u64, worker: Arc<str>, expires_at: Timestamp) {
        if let Some(Lease { token, ended: Some(end), .. }) = self.work.lease
            && end.is_by_holder()
        {
            self.work.ended_before = Some((token, end));
        }
        self.work.lease = Some(Lease { token, worker, expires_at, ended: None });
        self.work.attempts = self.work.attempts.saturating_add(1);
        self.work.retry_at = None;
        self.course.interruption = None;
        self.version += 1;
    }

    /// Counts a lease that ran out. If more did at the step than may, the item fails with an error and cannot
    /// be claimed. Returns whether that is so.
    pub fn fail_if_lost(&mut self, policy: &Policy, moment: Moment) -> bool {
        self.end_expired_lease(moment.now);
        if !self.has_lost_too_much(policy) || self.failed_at.is_some() {
            return false;
        }
        let lease = self.work.lease.as_ref();
        let (token, worker) = lease.map_or((0, ""), |lease| (lease.token, &*lease.worker));
        let losses = self.course.losses;
        let at = self.step.as_ref().map(|step| format!(" at the step {step}")).unwrap_or_default();
        let error = ItemError {
            id: repeatable_id("err", &[&self.workflow, &self.id, &token.to_string()]),
            kind: "leases_expired".into(),
            message: format!(
                "{losses} leases ran out{at}, the last one of {worker}; the item may be the reason"
            ),
            retryable: false,
            fatal: true,
            step: None,
            at: moment.now,
            data: serde_json::Value::Null,
            stack: None,
        };
        self.report(error).is_ok()
    }

    /// Executes a request of the holder of the lease with this token; on an error nothing is changed.
    pub fn act(
        &mut self,
        token: u64,
        act: LeaseCommand,
        policy: &Policy,
        moment: Moment,
    ) -> Result<(), LeaseRefusal> {
        let (end, version) = (act.end(), self.version);
        self.check_holder(token, end, moment.now)?;
        match act {
            LeaseCommand::Heartbeat { expires_at, may_shorten, progress } => {
                self.change_some_progress(progress)?;
                if let Some(lease) = &mut self.work.lease {
                    let least = if may_shorten { expires_at } else { lease.expires_at };
                    lease.expires_at = expires_at.max(least);
                }
            }
            LeaseCommand::Complete { outcome, closes, progress } => {
                self.change_some_progress(progress)?;
                if closes {
                    self.end_course(outcome, CloseOutcome::Success, policy, moment);
                } else {
                    self.finish_step(outcome, policy, moment);
                }
            }
            LeaseCommand::Fail { error, then, progress } => {
                self.fail(*error, then, progress, policy, moment)?
            }
            LeaseCommand::Release { retry_at, counts, progress } => {
                self.change_some_progress(progress)?;
                self.work.retry_at = retry_at;
                if !counts {
                    self.work.attempts = self.work.attempts.saturating_sub(1);
                }
            }
        }
        // One increment, however much changed.
        self.version = version + 1;
        if let Some(lease) = &mut self.work.lease {
            lease.ended = end;
        }
        Ok(())
    }

    fn fail(
        &mut self,
        mut error: ItemError,
        then: AfterFailure,
        progress: Option<ProgressChange>,
        policy: &Policy,
        moment: Moment,
    ) -> Result<(), ItemRefusal> {
        check_data(&error.data)?;
        self.change_some_progress(progress)?;
        let now = moment.now;
        let message: Arc<str> = shortened(&error.message, STEP_MESSAGE_MAX).into();
        let (ignorable, wait) = match then {
            AfterFailure::RetryAt(at) => {
                error.fatal = false;
                self.report(error)?;
                self.work.retry_at = Some(at);
                return Ok(());
            }
            AfterFailure::ByPolicy { ignorable: true, .. } => (true, None),
            AfterFailure::ByPolicy { wait, random, .. } if error.retryable => {
                let due =
                    self.retry_policy(policy).wait_before(self.course.retries.saturating_add(1), random);
                (false, due.map(|due| wait.unwrap_or(due)))
            }
            AfterFailure::ByPolicy { .. } => (false, None),
        };
        let ends = ignorable && self.ends_on_ignorable(policy);
        error.fatal = ends || (!ignorable && wait.is_none());
        let (is_retried, fatal) = (error.retryable && !ignorable, error.fatal);
        self.report(error)?;
        if is_retried && !fatal {
            self.course.retries = self.course.retries.saturating_add(1);
        }
        self.work.retry_at = wait.map(|wait| now.after(wait));
        if ignorable {
            let outcome = StepOutcome { message: Some(message), ..StepOutcome::plain(StepStatus::Skipped) };
            if ends {
                self.end_course(outcome, CloseOutcome::Failed, policy, moment);
            } else {
                self.finish_step(outcome, policy, moment);
            }
        }
        Ok(())
    }

    fn check_holder(&self, token: u64, end: Option<LeaseEnd>, now: Timestamp) -> Result<(), LeaseRefusal> {
        let lost = |lost| Err(LeaseRefusal::Lost(lost));
        let known = self.work.lease.as_ref().filter(|lease| token <= lease.token);
        let Some(lease) = known else { return lost(LeaseLost::Unknown) };
        let before = self.work.ended_before.filter(|(ended, _)| *ended == token).map(|(_, end)| end);
        if lease.token != token && before.is_none() {
            return lost(self.closed.map_or(LeaseLost::Taken, |closed| LeaseLost::Closed(closed.at)));
        }
        match (before.or(lease.ended), self.closed) {
            (Some(LeaseEnd::Expired), _) => lost(LeaseLost::Expired(lease.expires_at)),
            (Some(ended), _) if Some(ended) == end => Err(LeaseRefusal::Repeated),
            (Some(ended), _) => lost(LeaseLost::Ended(ended)),
            (None, Some(closed)) => lost(LeaseLost::Closed(closed.at)),
            (None, None) if lease.expires_at <= now => lost(LeaseLost::Expired(lease.expires_at)),
            (None, None) => Ok(()),
        }
    }

    fn change_some_progress(&mut self, progress: Option<ProgressChange>) -> Result<(), ItemRefusal> {
        progress.map_or(Ok(()), |progress| self.change_progress(progress))
    }
}

/// The beginning of a text, cut between characters.
fn shortened(text: &str, length: usize) -> String {
    let mut text = text.to_owned();
    crate::model::quote::shorten(&mut text, length);
    text
}
