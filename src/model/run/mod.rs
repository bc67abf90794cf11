//! Runs: items of named processes, of which at most so many are open, which require each other, are put on
//! hold after failures, and cover windows of time without gaps.
//!
//! A run is an item with a [`Run`]. [`RunEntry`] is what its workflow's ledger keeps of it: a projection of
//! the item, renewed with every change that affects it, and kept long after the item. [`RunHistory`] is what
//! every decision about a workflow's runs is made by; it outlives items and entries. [`policy`] says what is
//! asked of runs, [`window`] computes what a run covers.
//!
//! Invariants:
//!
//! * A run has a number, from 1 without gaps in its workflow.
//! * The windows of successful runs that are no backfills leave no gap: a window begins where the last
//!   successful one ended, or earlier.
//! * A held run has no deadline and no window. Both begin when it opens.
//! * An open backfill is an open run like others, but its success and its failure say nothing about how
//!   things stand.
//! * A discarded run counts as not made: it changes neither streak nor watermarks, and satisfies and blocks
//!   nobody.

mod entry;
mod history;
pub mod policy;
pub mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub use warden_api::limit::{
    COUNTS_MAX, HOLD_AFTER_MAX, JOBS_MAX, LINEAGE_NAMES_MAX, LINEAGE_SIZE_MAX, PARAMS_SIZE_MAX, REQUIRES_MAX,
};
pub use warden_api::name::JobName;
pub use warden_api::run::Lineage;
pub use warden_api::word::{HeldFor, ReleaseAs, RunStatus, Single, Truncate, Unmet, UnmetReason};

pub use self::entry::{RunEntry, RunError};
pub use self::history::{Ended, Hold, Judgement, LISTED_MAX, RunHistory, RunRefusal, UnmetRequirement};
pub use self::policy::{JobPolicy, Requirement, RunPolicy};
pub use self::window::Window;
use super::{ClockTime, Timestamp};

/// The counts of a run, such as records read, by name.
pub type Counts = BTreeMap<Arc<str>, i64>;

/// What makes an item a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Unique within the workflow.
    pub number: u64,
    /// Why it has not begun; `None` once it has.
    pub held: Option<HeldFor>,
    /// When it began: at its creation, or when it was released.
    pub started_at: Option<Timestamp>,
    /// When it ended, if that was told with its end.
    pub ended_at: Option<Timestamp>,
}

/// The part of a run that may be large.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunDetail {
    /// Computed when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<RunParams>,
    /// The window that its request asked for, which leaves the watermarks alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: Counts,
    /// The deadline that receivers were told it has missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_overdue: Option<ClockTime>,
}

/// The parameters of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunParams {
    pub shared: Map<String, Value>,
    pub jobs: BTreeMap<JobName, JobParams>,
}

/// The parameters of a job, and the window that it is to process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobParams {
    pub window: Window,
    pub params: Map<String, Value>,
    /// How much of the window before is covered again.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub reprocess: Duration,
    /// To what the beginning was rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<Truncate>,
    /// The name of its section in a parameter file of Informatica; `None` for that of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<Arc<str>>,
}
