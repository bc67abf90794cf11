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

use serde::{Deserialize, Serialize};
pub use warden_api::limit::WORKER_MAX;

use super::{Advance, Item, ItemError, ItemNumber, ItemPatch, ItemRefusal, Merge, StepStatus};
use crate::model::{Moment, Timestamp};

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
    /// Set once its holder ended it.
    pub ended: Option<LeaseEnd>,
}

/// How the holder ended a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseEnd {
    Completed,
    Failed,
    Released,
}

/// The consequence of a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// It can be claimed again at this instant.
    Retry(Timestamp),
    /// The item fails, and waits for a person.
    GiveUp,
    /// The error is ignored, and the item continues as if the step were complete.
    Ignore(Advance),
}

/// A request of the holder of a lease.
#[derive(Clone, Debug)]
pub enum LeaseCommand {
    /// Renew it, and patch the progress.
    Heartbeat {
        expires_at: Timestamp,
        /// Whether that may be earlier than its current expiry.
        may_shorten: bool,
        /// A patch of the progress document.
        progress: Option<Merge<serde_json::Map<String, serde_json::Value>>>,
    },
    /// Complete the step.
    Complete {
        advance: Advance,
        /// A patch of the progress document.
        progress: Option<Merge<serde_json::Map<String, serde_json::Value>>>,
    },
    /// Report a failed attempt.
    Fail { error: Box<ItemError>, then: AfterFailure },
    /// Release the item.
    Release {
        /// When it can be claimed again.
        retry_at: Option<Timestamp>,
        /// Whether it counts as an attempt.
        counts: bool,
    },
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

    /// Whether it may add progress, errors or steps.
    pub const fn adds_detail(&self) -> bool {
        match self {
            Self::Heartbeat { progress, .. } => progress.is_some(),
            Self::Complete { .. } | Self::Fail { .. } => true,
            Self::Release { .. } => false,
        }
    }

    /// Whether it may add much.
    pub const fn grows(&self) -> bool {
        match self {
            Self::Heartbeat { progress, .. } | Self::Complete { progress, .. } => progress.is_some(),
            Self::Fail { .. } => true,
            Self::Release { .. } => false,
        }
    }
}

impl Item {
    pub fn claim(&mut self, token: u64, worker: Arc<str>, expires_at: Timestamp) {
        if let Some(Lease { token, ended: Some(end), .. }) = self.work.lease {
            self.work.ended_before = Some((token, end));
        }
        self.work.lease = Some(Lease { token, worker, expires_at, ended: None });
        self.work.attempts = self.work.attempts.saturating_add(1);
        self.work.retry_at = None;
        self.version += 1;
    }

    /// Executes a request of the holder of the lease with this token; on an error nothing is changed.
    pub fn act(&mut self, token: u64, act: LeaseCommand, moment: Moment) -> Result<(), LeaseRefusal> {
        let (end, version) = (act.end(), self.version);
        self.check_holder(token, end, moment.now)?;
        match act {
            LeaseCommand::Heartbeat { expires_at, may_shorten, progress } => {
                self.patch_progress(progress)?;
                if let Some(lease) = &mut self.work.lease {
                    let least = if may_shorten { expires_at } else { lease.expires_at };
                    lease.expires_at = expires_at.max(least);
                }
            }
            LeaseCommand::Complete { advance, progress } => {
                self.patch_progress(progress)?;
                self.advance(advance, StepStatus::Done, moment);
            }
            LeaseCommand::Fail { mut error, then } => {
                error.fatal = then == AfterFailure::GiveUp;
                self.report(*error)?;
                match then {
                    AfterFailure::Retry(at) => self.work.retry_at = Some(at),
                    AfterFailure::GiveUp => {}
                    AfterFailure::Ignore(advance) => self.advance(advance, StepStatus::Skipped, moment),
                }
            }
            LeaseCommand::Release { retry_at, counts } => {
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

    fn check_holder(&self, token: u64, end: Option<LeaseEnd>, now: Timestamp) -> Result<(), LeaseRefusal> {
        let lost = |lost| Err(LeaseRefusal::Lost(lost));
        let known = self.work.lease.as_ref().filter(|lease| token <= lease.token);
        let Some(lease) = known else { return lost(LeaseLost::Unknown) };
        let before = self.work.ended_before.filter(|(ended, _)| *ended == token).map(|(_, end)| end);
        if lease.token != token && before.is_none() {
            return lost(self.closed.map_or(LeaseLost::Taken, |closed| LeaseLost::Closed(closed.at)));
        }
        match (before.or(lease.ended), self.closed) {
            (Some(ended), _) if Some(ended) == end => Err(LeaseRefusal::Repeated),
            (Some(ended), _) => lost(LeaseLost::Ended(ended)),
            (None, Some(closed)) => lost(LeaseLost::Closed(closed.at)),
            (None, None) if lease.expires_at <= now => lost(LeaseLost::Expired(lease.expires_at)),
            (None, None) => Ok(()),
        }
    }

    fn patch_progress(
        &mut self,
        progress: Option<Merge<serde_json::Map<String, serde_json::Value>>>,
    ) -> Result<(), ItemRefusal> {
        match progress {
            Some(_) => self.patch(&ItemPatch { progress, ..ItemPatch::default() }),
            None => Ok(()),
        }
    }
}
