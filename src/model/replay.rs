//! Replays: items that the warden itself sends to a target again, at a set pace.
//!
//! Invariants:
//!
//! * The selection is frozen: it is written down in chunks when the replay is made, and nothing is added to it.
//! * Each item of it ends once, as succeeded, failed or skipped; the counters say how many did, and when all have ended
//!   so has the replay.
//! * A replay does not go on by itself after what should make somebody look: a canary that failed, or too many failures
//!   in a row. It pauses, and says why.
//! * An ended replay never changes again, but for what was on its way when it was cancelled. It holds no secret.
//! * The document stays small whatever a client or a target says; the limits stand below.
//!
//! Deliberately absent: when the next item is to be sent, which is a pacer's business, and how.

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

/// How many items a chunk of the selection holds at most.
pub const CHUNK_ITEMS: usize = 256;
/// How many of the latest failures are kept.
pub const FAILURES_KEPT: usize = 20;
/// How many reasons of failures are told apart; the others count as one.
pub const REASONS_KEPT: usize = 20;
/// The longest reason that is kept, in characters.
pub const REASON_MAX: usize = 200;
/// What the failures are counted under whose reasons are not told apart.
pub const OTHER_REASONS: &str = "other";

/// `rpl_` and a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplayId(pub Arc<str>);

impl ReplayId {
    /// What the ids of replays begin with, followed by an underscore.
    pub const PREFIX: &str = "rpl";
}

/// Which items were selected, as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayFilter {
    /// Globs of workflows, any of which may match; none for all.
    pub workflows: Vec<Arc<str>>,
    /// The states, any of which may hold.
    pub states: Vec<ItemState>,
    /// Labels that must be there with exactly this value.
    pub labels: BTreeMap<String, String>,
    /// The current step.
    pub step: Option<StepName>,
    /// Created at or after this instant of the wall clock.
    pub created_after: Option<Timestamp>,
    /// Created before this instant of the wall clock.
    pub created_before: Option<Timestamp>,
    /// Due at or after this instant of the wall clock.
    pub deadline_after: Option<Timestamp>,
    /// Due before this instant of the wall clock.
    pub deadline_before: Option<Timestamp>,
}

/// Where the items go.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayTarget {
    /// `http` or `https`. What stands in it besides scheme, host, port and path may be a secret.
    pub url: Arc<str>,
    /// What signs them: `whsec_` and base64.
    pub secret: Option<Arc<str>>,
}

impl fmt::Debug for ReplayTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReplayTarget").field("url", &plain_url(&self.url)).finish_non_exhaustive()
    }
}

/// A URL without what may be a secret in it: its user, its password and its query.
pub fn plain_url(url: &str) -> String {
    let url = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// How fast, and how carefully.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// The most items in a second.
    pub max_per_second: f64,
    /// The most items at one time.
    pub concurrency: usize,
    /// How many items must have succeeded before the others are sent.
    pub canary: u64,
    /// How long the rate takes to grow from nothing to its maximum.
    pub ramp_up: Duration,
    /// How many failures in a row make it pause; zero for however many.
    pub pause_after_failures: u64,
}

/// An item that the target did not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayFailure {
    /// The workflow it belongs to.
    pub workflow: WorkflowName,
    /// Its id within the workflow.
    pub id: ItemId,
    /// Why, at most [`REASON_MAX`] characters.
    pub reason: Arc<str>,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// When.
    pub at: Timestamp,
}

impl ReplayFailure {
    /// Why, without anything of what the target said.
    pub fn plain_reason(&self) -> Arc<str> {
        self.status.map_or_else(|| self.reason.clone(), |status| format!("HTTP {status}").into())
    }
}

/// How an item of the selection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemEnd {
    /// The target took it.
    Succeeded,
    /// It did not.
    Failed {
        /// What is kept of it.
        failure: ReplayFailure,
        /// What it counts under, at most [`REASON_MAX`] characters.
        counts_as: Arc<str>,
    },
    /// It was not sent: it is closed, or somebody else works on it.
    Skipped,
}

/// A replay, without its selection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// What people call it; may be empty.
    pub name: Arc<str>,
    /// Which items were selected.
    pub filter: ReplayFilter,
    /// Where they go.
    pub target: ReplayTarget,
    /// How fast, and how carefully.
    pub pace: Pace,
    /// What becomes of an item that the target took.
    pub on_success: OnSuccess,
    /// How long the target may take for one item.
    pub timeout: Duration,
    /// Where it stands.
    pub status: ReplayStatus,
    /// Why it is paused, if it is and not because somebody said so.
    pub reason: Option<Arc<str>>,
    /// When it was made, and its selection frozen.
    pub created_at: Timestamp,
    /// When the first item was sent.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many items were selected.
    pub total: u64,
    /// How many the target took.
    pub succeeded: u64,
    /// How many it did not.
    pub failed: u64,
    /// How many were not sent.
    pub skipped: u64,
    /// How many items of the canary have succeeded since it began.
    pub canary_passed: u64,
    /// How many items have failed since the last that succeeded.
    pub failures_in_a_row: u64,
    /// The chunks from the first on whose items have all ended.
    pub chunks_done: u32,
    /// The latest failures, oldest first; at most [`FAILURES_KEPT`].
    pub failures: Vec<ReplayFailure>,
    /// How many items failed for which reason; at most [`REASONS_KEPT`], and [`OTHER_REASONS`].
    pub failure_reasons: BTreeMap<Arc<str>, u64>,
}

impl Replay {
    /// How many items have not ended yet.
    pub fn left(&self) -> u64 {
        self.total.saturating_sub(self.succeeded + self.failed + self.skipped)
    }

    /// How many more items may be on their way besides those that are, whatever the rate. Nothing unless it runs.
    pub fn room(&self, on_their_way: usize) -> usize {
        if self.status != ReplayStatus::Running {
            return 0;
        }
        let mut most = self.pace.concurrency;
        if self.is_in_canary() {
            let wanted = self.pace.canary - self.canary_passed;
            most = most.min(usize::try_from(wanted).unwrap_or(usize::MAX));
        }
        most.saturating_sub(on_their_way)
    }

    /// Whether the canary has not passed yet.
    pub fn is_in_canary(&self) -> bool {
        self.canary_passed < self.pace.canary
    }

    /// Takes note that the first item is sent.
    pub fn begin(&mut self, now: Timestamp) {
        self.started_at.get_or_insert(now);
    }

    /// Takes note of how an item ended, and of what follows from it: a pause, or the end.
    pub fn note(&mut self, end: ItemEnd, now: Timestamp) {
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

    /// Ends it if nothing is left to be sent.
    pub fn complete_if_done(&mut self, now: Timestamp) {
        if self.left() == 0 && !self.status.is_ended() {
            self.end(ReplayStatus::Completed, now);
        }
    }

    /// Has it wait, for a reason of its own or because somebody says so. One that does not run stays as it is.
    pub fn pause(&mut self, reason: Option<Arc<str>>) {
        if self.status == ReplayStatus::Running {
            self.status = ReplayStatus::Paused;
            self.reason = reason;
        }
    }

    /// Has it go on. A canary that has not passed begins anew, and so does the counting of failures in a row. One that is
    /// not paused stays as it is.
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

    /// Ends it before all of its items have. One that has ended stays as it is.
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

/// How far an item of the selection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemProgress {
    /// It has not ended.
    Pending,
    /// The target took it.
    Succeeded,
    /// The target did not take it.
    Failed,
    /// It was not sent.
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

/// A piece of the selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayChunk {
    /// Which, counted from zero.
    pub index: u32,
    /// The items in the order in which they are sent, at most [`CHUNK_ITEMS`].
    pub items: Vec<(ItemNumber, ItemProgress)>,
}

impl ReplayChunk {
    /// One whose items have not ended.
    pub fn new(index: u32, numbers: impl Iterator<Item = ItemNumber>) -> Self {
        Self { index, items: numbers.map(|number| (number, ItemProgress::Pending)).collect() }
    }

    /// How many there are of a selection of so many items.
    pub fn count(items: u64) -> u32 {
        u32::try_from(items.div_ceil(CHUNK_ITEMS as u64)).unwrap_or(u32::MAX)
    }

    /// Whether all of its items have ended.
    pub fn is_done(&self) -> bool {
        self.items.iter().all(|(_, progress)| *progress != ItemProgress::Pending)
    }
}
