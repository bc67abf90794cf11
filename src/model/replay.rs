//! Replays: items that the warden sends to a target, at a set rate.
//!
//! Invariants:
//!
//! * The selection is stored in chunks when the replay is created, and never grows.
//! * Each item ends once, as succeeded, failed or skipped, and is counted. When all have ended, so has the
//!   replay.
//! * A failed canary, or too many consecutive failures, pause the replay with a reason. It does not resume by
//!   itself.
//! * An ended replay does not change, except for what was in flight when it was cancelled. It has no secret.
//! * The size of the document is bounded, see the limits below.
//!
//! Deliberately absent: when the next item is sent, which a pacer decides, and how.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use warden_api::limit::{GLOBS_MAX, REPLAY_NAME_MAX, TARGET_URL_MAX};
pub use warden_api::word::{OnSuccess, ReplayStatus};

use super::{ItemId, ItemNumber, ItemState, StepName, Timestamp, WorkflowName};

/// The most items in a chunk of the selection.
pub const CHUNK_ITEMS: usize = 256;
/// The latest failures that are kept.
pub const FAILURES_KEPT: usize = 20;
/// The reasons that are counted separately.
pub const REASONS_KEPT: usize = 20;
/// In characters.
pub const REASON_MAX: usize = 200;
/// The reason for failures that are not counted separately.
pub const OTHER_REASONS: &str = "other";

/// `rpl_` and a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplayId(pub Arc<str>);

impl ReplayId {
    /// The prefix of ids, without the underscore.
    pub const PREFIX: &str = "rpl";
}

/// The selection as it was requested.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayFilter {
    /// Globs of workflow names, any of which may match; empty for all.
    pub workflows: Vec<Arc<str>>,
    /// States, any of which may match.
    pub states: Vec<ItemState>,
    /// Labels with exactly these values.
    pub labels: BTreeMap<String, String>,
    /// The current step.
    pub step: Option<StepName>,
    /// Items with at least so many retryable errors at their step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_retries_min: Option<u32>,
    /// Created at or after this instant of the wall clock.
    pub created_after: Option<Timestamp>,
    /// Created before this instant of the wall clock.
    pub created_before: Option<Timestamp>,
    /// Due at or after this instant of the wall clock.
    pub deadline_after: Option<Timestamp>,
    /// Due before this instant of the wall clock.
    pub deadline_before: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayTarget {
    /// `http` or `https`. All but scheme, host, port and path may be secret.
    pub url: Arc<str>,
    /// For signing: `whsec_` and base64.
    pub secret: Option<Arc<str>>,
}

impl fmt::Debug for ReplayTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReplayTarget").field("url", &plain_url(&self.url)).finish_non_exhaustive()
    }
}

/// Removes user, password and query, which may be secret.
pub fn plain_url(url: &str) -> String {
    let url = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// The most items in a second.
    pub max_per_second: f64,
    /// The most items at once.
    pub concurrency: usize,
    /// The items that must succeed before the others are sent.
    pub canary: u64,
    /// How long the rate takes to grow from zero to its maximum.
    pub ramp_up: Duration,
    /// The consecutive failures after which it pauses; zero is never.
    pub pause_after_failures: u64,
}

/// An item that the target did not accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayFailure {
    pub workflow: WorkflowName,
    pub id: ItemId,
    /// At most [`REASON_MAX`] characters.
    pub reason: Arc<str>,
    /// The HTTP status of the response, if there was one.
    pub status: Option<u16>,
    pub at: Timestamp,
}

impl ReplayFailure {
    /// The reason without the target's response.
    pub fn plain_reason(&self) -> Arc<str> {
        self.status.map_or_else(|| self.reason.clone(), |status| format!("HTTP {status}").into())
    }
}

/// How an item of the selection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemEnd {
    /// The target accepted it.
    Succeeded,
    /// The target did not accept it.
    Failed {
        failure: ReplayFailure,
        /// The reason to count it under, at most [`REASON_MAX`] characters.
        counts_as: Arc<str>,
    },
    /// It was not sent, as it was closed or leased by others.
    Skipped,
}

/// A replay without its selection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    pub id: ReplayId,
    /// For people; may be empty.
    pub name: Arc<str>,
    pub filter: ReplayFilter,
    pub target: ReplayTarget,
    pub pace: Pace,
    pub on_success: OnSuccess,
    /// The longest wait for the target's response to one item.
    pub timeout: Duration,
    pub status: ReplayStatus,
    /// Why it paused, unless a person paused it.
    pub reason: Option<Arc<str>>,
    /// When its selection was stored.
    pub created_at: Timestamp,
    /// When the first item was sent.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The selected items.
    pub total: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    /// The items of the canary that have succeeded since it began.
    pub canary_passed: u64,
    /// The failures since the last success.
    pub failures_in_a_row: u64,
    /// The number of chunks from the beginning whose items have all ended.
    pub chunks_done: u32,
    /// The latest failures, oldest first; at most [`FAILURES_KEPT`].
    pub failures: Vec<ReplayFailure>,
    /// Failed items by reason; at most [`REASONS_KEPT`], and [`OTHER_REASONS`].
    pub failure_reasons: BTreeMap<Arc<str>, u64>,
}

impl Replay {
    /// The items that have not ended.
    pub fn left(&self) -> u64 {
        self.total.saturating_sub(self.succeeded + self.failed + self.skipped)
    }

    /// How many more items may be in flight, regardless of the rate. Zero unless it is running.
    pub fn room(&self, in_flight: usize) -> usize {
        if self.status != ReplayStatus::Running {
            return 0;
        }
        let mut most = self.pace.concurrency;
        if self.is_in_canary() {
            let wanted = self.pace.canary - self.canary_passed;
            most = most.min(usize::try_from(wanted).unwrap_or(usize::MAX));
        }
        most.saturating_sub(in_flight)
    }

    /// Whether the canary has not succeeded yet.
    pub fn is_in_canary(&self) -> bool {
        self.canary_passed < self.pace.canary
    }

    /// Records that the first item is sent.
    pub fn begin(&mut self, now: Timestamp) {
        self.started_at.get_or_insert(now);
    }

    /// Records how an item ended. This may pause or complete the replay.
    pub fn record(&mut self, end: ItemEnd, now: Timestamp) {
        match end {
            ItemEnd::Succeeded => {
                self.succeeded += 1;
                self.failures_in_a_row = 0;
                if self.status == ReplayStatus::Running && self.is_in_canary() {
                    self.canary_passed += 1;
                }
            }
            ItemEnd::Failed { failure, counts_as } => {
                self.failed += 1;
                self.failures_in_a_row += 1;
                self.pause_after(&failure);
                self.count_reason(counts_as);
                self.failures.push(failure);
                let surplus = self.failures.len().saturating_sub(FAILURES_KEPT);
                self.failures.drain(..surplus);
            }
            ItemEnd::Skipped => self.skipped += 1,
        }
        self.complete_if_done(now);
    }

    fn pause_after(&mut self, failure: &ReplayFailure) {
        if self.status != ReplayStatus::Running {
            return;
        }
        let why = failure.plain_reason();
        if self.is_in_canary() {
            let passed = self.canary_passed;
            let text = format!("the canary failed after {passed} of {} items: {why}", self.pace.canary);
            self.pause(Some(text.into()));
        } else if (1..=self.failures_in_a_row).contains(&self.pace.pause_after_failures) {
            let count = self.failures_in_a_row;
            self.pause(Some(format!("{count} items in a row failed, the last one: {why}").into()));
        }
    }

    fn count_reason(&mut self, reason: Arc<str>) {
        let is_known = self.failure_reasons.contains_key(&reason);
        let told_apart = self.failure_reasons.keys().filter(|known| &***known != OTHER_REASONS).count();
        let reason = if is_known || told_apart < REASONS_KEPT { reason } else { OTHER_REASONS.into() };
        *self.failure_reasons.entry(reason).or_default() += 1;
    }

    /// Completes it if all items have ended.
    pub fn complete_if_done(&mut self, now: Timestamp) {
        if self.left() == 0 && !self.status.is_ended() {
            self.end(ReplayStatus::Completed, now);
        }
    }

    /// Pauses it if it is running; without a reason on behalf of a person.
    pub fn pause(&mut self, reason: Option<Arc<str>>) {
        if self.status == ReplayStatus::Running {
            self.status = ReplayStatus::Paused;
            self.reason = reason;
        }
    }

    /// Resumes it if it is paused. A canary that has not succeeded begins again, and so does counting
    /// failures.
    pub fn resume(&mut self) {
        if self.status == ReplayStatus::Paused {
            self.status = ReplayStatus::Running;
            self.reason = None;
            self.failures_in_a_row = 0;
            if self.is_in_canary() {
                self.canary_passed = 0;
            }
        }
    }

    /// Cancels it unless it has ended.
    pub fn cancel(&mut self, now: Timestamp) {
        if !self.status.is_ended() {
            self.end(ReplayStatus::Cancelled, now);
        }
    }

    fn end(&mut self, status: ReplayStatus, now: Timestamp) {
        self.status = status;
        self.reason = None;
        self.ended_at = Some(now);
        self.target.secret = None;
        self.target.url = plain_url(&self.target.url).into();
    }
}

/// The state of an item in a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemProgress {
    Pending,
    Succeeded,
    Failed,
    Skipped,
}

impl From<&ItemEnd> for ItemProgress {
    fn from(end: &ItemEnd) -> Self {
        match end {
            ItemEnd::Succeeded => Self::Succeeded,
            ItemEnd::Failed { .. } => Self::Failed,
            ItemEnd::Skipped => Self::Skipped,
        }
    }
}

/// A part of the selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayChunk {
    /// From zero.
    pub index: u32,
    /// In the order of sending, at most [`CHUNK_ITEMS`].
    pub items: Vec<(ItemNumber, ItemProgress)>,
}

impl ReplayChunk {
    pub fn new(index: u32, numbers: impl Iterator<Item = ItemNumber>) -> Self {
        Self { index, items: numbers.map(|number| (number, ItemProgress::Pending)).collect() }
    }

    /// The number of chunks for this many items.
    pub fn count(items: u64) -> u32 {
        u32::try_from(items.div_ceil(CHUNK_ITEMS as u64)).unwrap_or(u32::MAX)
    }

    /// Whether all of its items have ended.
    pub fn is_done(&self) -> bool {
        self.items.iter().all(|(_, progress)| *progress != ItemProgress::Pending)
    }
}
