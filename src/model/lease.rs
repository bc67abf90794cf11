//! Leases: exclusive, expiring claims on items, and what their holders may do.
//!
//! Invariants:
//!
//! * An item has at most one running lease. Its token is larger than that of any lease before it, of whatever item, so
//!   that what lies behind a worker can tell a late one by it (a fencing token).
//! * That a lease has run out is derived from `now`; it is never written.
//! * Closing an item ends its lease. Nobody's lease keeps an item from being closed.
//! * What ends a lease may be repeated: the repetition changes nothing and is answered as the first was, for as long as
//!   nobody else has claimed the item.
//!
//! Deliberately absent: how long to wait before the next attempt and what the next step is. Those are the workflow's
//! policy, and are decided before.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use warden_api::limit::{STEPS_KEPT, WORKER_MAX};
pub use warden_api::word::StepStatus;

use super::item::{Closing, Item, ItemError, ItemNumber, ItemPatch, ItemRefusal, Merge};
use super::{Moment, StepName, Timestamp};

/// Names a lease: the item and the token. Written as `lse_` and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId {
    /// The item that is leased.
    pub item: ItemNumber,
    /// The lease's token.
    pub token: u64,
}

/// A text that names no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no id of a lease: it takes lse_ and 32 hexadecimal digits")]
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

/// A claim on an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The fencing token.
    pub token: u64,
    /// Who holds it.
    pub worker: Arc<str>,
    /// From when on it holds no longer, unless a heartbeat comes before.
    pub expires_at: Timestamp,
    /// How its holder ended it.
    pub ended: Option<LeaseEnd>,
}

/// How the holder of a lease ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseEnd {
    /// The step is done.
    Completed,
    /// The attempt failed.
    Failed,
    /// It was given back.
    Released,
}

/// How the work on an item stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The latest lease, be it running, ended or expired.
    pub lease: Option<Lease>,
    /// The token of the last lease before it that its holder ended, and how: an answer may have been lost, and be asked for
    /// again when the item has long been claimed by another.
    pub ended_before: Option<(u64, LeaseEnd)>,
    /// How often the item was claimed at its present step, less what was given back unharmed. A lease that ran out counts.
    pub attempts: u32,
    /// Before this instant it is not to be claimed.
    pub retry_at: Option<Timestamp>,
}

/// A step that an item has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step.
    pub name: StepName,
    /// How.
    pub status: StepStatus,
    /// When.
    pub at: Timestamp,
}

/// By when an item must be closed that enters a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDeadline {
    /// The step has a deadline of its own.
    At(Timestamp),
    /// By when it had to be closed before, or at this instant if that is later.
    NotBefore(Timestamp),
}

/// Where an item goes when its step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// On to another step.
    To {
        /// Which.
        step: StepName,
        /// By when the item must be closed from then on.
        deadline: StepDeadline,
    },
    /// Nowhere: it is done.
    Close(Closing),
}

/// What becomes of an item whose attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// It may be claimed again from this instant on.
    Retry(Timestamp),
    /// It has failed, and waits for somebody to act.
    GiveUp,
    /// The error does not matter: it goes on as if the step were done.
    Ignore(Advance),
}

/// What the holder of a lease asks for.
#[derive(Clone, Debug)]
pub enum LeaseAct {
    /// To hold it longer, and to note progress.
    Heartbeat {
        /// Until when.
        expires_at: Timestamp,
        /// Whether that may be earlier than it holds already.
        may_shorten: bool,
        /// A patch of the progress document.
        progress: Option<Merge<serde_json::Map<String, serde_json::Value>>>,
    },
    /// To take note that the step is done.
    Complete {
        /// Where the item goes.
        advance: Advance,
        /// A patch of the progress document.
        progress: Option<Merge<serde_json::Map<String, serde_json::Value>>>,
    },
    /// To take note that the attempt failed.
    Fail {
        /// Why.
        error: Box<ItemError>,
        /// What becomes of the item.
        then: AfterFailure,
    },
    /// To give it back.
    Release {
        /// Before this instant nobody else is to claim the item.
        retry_at: Option<Timestamp>,
        /// Whether it counts as an attempt.
        counts: bool,
    },
}

/// Why the holder of a lease holds it no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseLost {
    /// There is no item of its number any more.
    #[error("there is no item that this lease could be of: it was closed and is forgotten, or never was")]
    Forgotten,
    /// Somebody closed the item.
    #[error("the item was closed at {0}; whatever is still being done for it is too much")]
    Closed(Timestamp),
    /// It ran out, and nobody has claimed the item since.
    #[error("the lease ran out at {0}; send heartbeats, or claim with a longer ttl")]
    Expired(Timestamp),
    /// No claim ever gave it out.
    #[error("no claim ever gave this lease out")]
    Unknown,
    /// Somebody else claimed the item after it ran out or was ended.
    #[error("the item was claimed by another worker meanwhile")]
    Taken,
    /// It was ended otherwise by its holder.
    #[error("the lease was ended before: {}", match .0 {
        LeaseEnd::Completed => "the step was completed",
        LeaseEnd::Failed => "the attempt was reported as failed",
        LeaseEnd::Released => "the item was released",
    })]
    Ended(LeaseEnd),
}

impl LeaseLost {
    /// The same with the wall clock's times, as it is told to whoever held it.
    #[must_use]
    pub const fn shown(self, moment: Moment) -> Self {
        match self {
            Self::Closed(at) => Self::Closed(moment.wall(at)),
            Self::Expired(at) => Self::Expired(moment.wall(at)),
            other => other,
        }
    }
}

/// Why an act of a holder changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseRefusal {
    /// The lease holds no longer.
    Lost(LeaseLost),
    /// It was done before, just like that.
    Repeated,
    /// A limit would be broken.
    Item(ItemRefusal),
}

impl From<ItemRefusal> for LeaseRefusal {
    fn from(refusal: ItemRefusal) -> Self {
        Self::Item(refusal)
    }
}

impl LeaseAct {
    /// How the lease ends by it, if it does.
    pub const fn end(&self) -> Option<LeaseEnd> {
        match self {
            Self::Heartbeat { .. } => None,
            Self::Complete { .. } => Some(LeaseEnd::Completed),
            Self::Fail { .. } => Some(LeaseEnd::Failed),
            Self::Release { .. } => Some(LeaseEnd::Released),
        }
    }
}

impl LeaseAct {
    /// Whether it may add to the item's progress, errors or steps.
    pub const fn adds_detail(&self) -> bool {
        match self {
            Self::Heartbeat { progress, .. } => progress.is_some(),
            Self::Complete { .. } | Self::Fail { .. } => true,
            Self::Release { .. } => false,
        }
    }

    /// Whether what it adds may be large.
    pub const fn grows(&self) -> bool {
        match self {
            Self::Heartbeat { progress, .. } | Self::Complete { progress, .. } => progress.is_some(),
            Self::Fail { .. } => true,
            Self::Release { .. } => false,
        }
    }
}

impl Work {
    /// From when on the item may be claimed, as far as leases and waits go; long ago if it could at any time.
    pub fn free_at(&self) -> Timestamp {
        let leased_until = self.lease.as_ref().filter(|lease| lease.ended.is_none()).map(|it| it.expires_at);
        leased_until.into_iter().chain(self.retry_at).max().unwrap_or(Timestamp::MIN)
    }

    /// The lease that runs at `now`.
    pub fn running(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.ended.is_none() && now < lease.expires_at)
    }
}

impl Item {
    /// Whether it may be claimed at `now`: it is not closed, nobody holds it, and it waits for nothing.
    pub fn is_claimable(&self, now: Timestamp) -> bool {
        self.closed.is_none() && self.work.free_at() <= now
    }

    /// Leases it to a worker.
    pub fn claim(&mut self, token: u64, worker: Arc<str>, expires_at: Timestamp) {
        if let Some(Lease { token, ended: Some(end), .. }) = self.work.lease {
            self.work.ended_before = Some((token, end));
        }
        self.work.lease = Some(Lease { token, worker, expires_at, ended: None });
        self.work.attempts = self.work.attempts.saturating_add(1);
        self.work.retry_at = None;
        self.version += 1;
    }

    /// Does what the holder of the lease with this token asks for; wholly or not at all.
    ///
    /// # Errors
    /// When the lease holds no longer, it was done before, or a limit would be broken.
    pub fn act(&mut self, token: u64, act: LeaseAct, moment: Moment) -> Result<(), LeaseRefusal> {
        let (end, version) = (act.end(), self.version);
        self.check_holder(token, end, moment.now)?;
        match act {
            LeaseAct::Heartbeat { expires_at, may_shorten, progress } => {
                self.note_progress(progress)?;
                if let Some(lease) = &mut self.work.lease {
                    let least = if may_shorten { expires_at } else { lease.expires_at };
                    lease.expires_at = expires_at.max(least);
                }
            }
            LeaseAct::Complete { advance, progress } => {
                self.note_progress(progress)?;
                self.advance(advance, StepStatus::Done, moment);
            }
            LeaseAct::Fail { mut error, then } => {
                error.fatal = then == AfterFailure::GiveUp;
                self.report(*error)?;
                match then {
                    AfterFailure::Retry(at) => self.work.retry_at = Some(at),
                    AfterFailure::GiveUp => {}
                    AfterFailure::Ignore(advance) => self.advance(advance, StepStatus::Skipped, moment),
                }
            }
            LeaseAct::Release { retry_at, counts } => {
                self.work.retry_at = retry_at;
                if !counts {
                    self.work.attempts = self.work.attempts.saturating_sub(1);
                }
            }
        }
        // However much of it changed.
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

    fn note_progress(
        &mut self,
        progress: Option<Merge<serde_json::Map<String, serde_json::Value>>>,
    ) -> Result<(), ItemRefusal> {
        match progress {
            Some(_) => self.patch(&ItemPatch { progress, ..ItemPatch::default() }),
            None => Ok(()),
        }
    }

    /// Leaves its step behind. A failure is behind it as well.
    fn advance(&mut self, advance: Advance, status: StepStatus, moment: Moment) {
        let now = moment.now;
        if let Some(name) = self.step.clone() {
            let steps = &mut self.detail.get_or_insert_default().steps;
            steps.push(StepRecord { name, status, at: now });
            let surplus = steps.len().saturating_sub(STEPS_KEPT);
            steps.drain(..surplus);
        }
        match advance {
            Advance::To { step, deadline } => {
                self.step = Some(step);
                self.step_entered_at = now;
                self.deadline = match deadline {
                    StepDeadline::At(deadline) => deadline.into(),
                    StepDeadline::NotBefore(least) if moment.steady(self.deadline) < least => least.into(),
                    StepDeadline::NotBefore(_) => self.deadline,
                };
                self.failed_at = None;
                self.work.attempts = 0;
                self.work.retry_at = None;
            }
            Advance::Close(closing) => self.close(closing),
        }
    }

    /// Sends it back to its step after it has failed, and has it wait no longer: what an operator asks for. Whether there
    /// was anything to change. Who holds it goes on holding it.
    pub fn retry(&mut self) -> bool {
        if self.failed_at.is_none() && self.work.retry_at.is_none() {
            return false;
        }
        self.failed_at = None;
        self.work.retry_at = None;
        self.work.attempts = 0;
        self.version += 1;
        true
    }
}

#[cfg(test)]
mod tests;
