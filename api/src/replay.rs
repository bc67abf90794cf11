//! Replays: items that the daemon itself sends to a target again. Durations are in the form `1h 30m`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::item::{ItemFilter, Unknown};
use crate::time::WallTime;
use crate::word::{ItemState, OnSuccess, ReplayStatus, Word};

/// A replay, and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Replay {
    /// Its id.
    pub id: Arc<str>,
    /// What people call it; may be empty.
    pub name: Arc<str>,
    /// Where it stands.
    #[cfg_attr(feature = "schema", schema(value_type = ReplayStatus))]
    pub status: Word<ReplayStatus>,
    /// Why it is paused, where nobody said so.
    pub reason: Option<Arc<str>>,
    /// Which items were selected.
    pub filter: ReplayFilter,
    /// Where they go.
    pub target: ReplayTarget,
    /// The most items in a second.
    pub max_per_second: f64,
    /// The most items at one time.
    pub concurrency: usize,
    /// How many items must succeed before the others are sent.
    pub canary: u64,
    /// How long the rate takes to grow from nothing to its maximum.
    pub ramp_up: String,
    /// What becomes of an item that the target took.
    #[cfg_attr(feature = "schema", schema(value_type = OnSuccess))]
    pub on_success: Word<OnSuccess>,
    /// How long the target may take for one item.
    pub timeout: String,
    /// How many failures in a row make it pause; 0 for however many.
    pub pause_after_failures: u64,
    /// When it was started.
    pub created_at: WallTime,
    /// When its first item was sent.
    pub started_at: Option<WallTime>,
    /// When it ended.
    pub ended_at: Option<WallTime>,
    /// How many items were selected.
    pub total: u64,
    /// Those that were sent and have ended, and those that are on their way.
    pub sent: u64,
    /// Those that the target took.
    pub succeeded: u64,
    /// Those that it did not take.
    pub failed: u64,
    /// Those that were closed meanwhile, or on which somebody else worked when it was their turn.
    pub skipped: u64,
    /// How many end in a second, lately.
    pub rate: f64,
    /// When it will be over if it goes on like that.
    pub eta: Option<WallTime>,
    /// Until when nothing is sent, because the target said that it has no room, or the disk is full.
    pub held_until: Option<WallTime>,
    /// The latest failures, oldest first.
    pub failures: Vec<ReplayFailure>,
    /// How many items failed for which reason; those of rare reasons under `other`.
    pub failure_reasons: BTreeMap<Arc<str>, u64>,
}

/// Which items were selected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReplayFilter {
    /// Globs of workflows, any of which may match; none for all.
    pub workflows: Vec<Arc<str>>,
    /// The states, any of which may hold.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<ItemState>))]
    pub states: Vec<Word<ItemState>>,
    /// Labels that must be there with exactly this value.
    pub labels: BTreeMap<String, String>,
    /// The current step.
    pub step: Option<Arc<str>>,
    /// Created before this instant.
    pub created_before: Option<WallTime>,
    /// Created at or after this instant.
    pub created_after: Option<WallTime>,
    /// Due before this instant.
    pub deadline_before: Option<WallTime>,
    /// Due at or after this instant.
    pub deadline_after: Option<WallTime>,
}

/// Where they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReplayTarget {
    /// Without what may be a secret in it: user, password and query.
    pub url: String,
    /// Whether they are signed. When it has ended that is forgotten.
    pub signed: bool,
}

/// An item that the target did not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReplayFailure {
    /// Its workflow.
    pub workflow: Arc<str>,
    /// Its id within the workflow.
    pub id: Arc<str>,
    /// With the beginning of what the target answered, unless the token is limited to some workflows.
    pub reason: Arc<str>,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// When.
    pub at: WallTime,
}

/// Which items are to be sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ReplayFilterRequest {
    /// Which.
    #[serde(flatten)]
    pub filter: ItemFilter,
    /// What nobody knows here. It is refused.
    #[serde(flatten, skip_serializing)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub unknown: Unknown,
}

/// Where the items go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplayTargetRequest {
    /// `http` or `https`. What stands in it besides scheme, host, port and path is never shown.
    pub url: String,
    /// What signs them by the rules of Standard Webhooks: `whsec_` and base64. It is forgotten when the
    /// replay ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A replay to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// What people call it; at most 128 bytes.
    #[serde(default)]
    pub name: String,
    /// Which items are to be sent.
    #[serde(default)]
    pub filter: ReplayFilterRequest,
    /// Where they go.
    pub target: ReplayTargetRequest,
    /// The most items in a second; 0.01 to 10,000, 50 by default.
    #[serde(default = "max_per_second")]
    pub max_per_second: f64,
    /// The most items at one time; 1 to 256, 8 by default.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// How many items must succeed before the others are sent; if one does not, the replay pauses.
    #[serde(default)]
    pub canary: u64,
    /// How long the rate takes to grow from nothing to its maximum, such as `10m`; at most 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp_up: Option<String>,
    /// `accept` (default): the item is left to whoever took it. `close`: it is done, and is closed.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub on_success: OnSuccess,
    /// How long the target may take for one item; `30s` by default, at most 10 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How many failures in a row make it pause; 20 by default, 0 for however many.
    #[serde(default = "pause_after_failures")]
    pub pause_after_failures: u64,
    /// Only say what would be sent.
    #[serde(default)]
    pub dry_run: bool,
}

fn max_per_second() -> f64 {
    50.0
}

fn concurrency() -> usize {
    8
}

fn pause_after_failures() -> u64 {
    20
}

impl ReplayRequest {
    /// A replay of what has failed or is overdue to this target, at the default pace.
    pub fn to(target: ReplayTargetRequest) -> Self {
        Self {
            name: String::new(),
            filter: ReplayFilterRequest::default(),
            target,
            max_per_second: max_per_second(),
            concurrency: concurrency(),
            canary: 0,
            ramp_up: None,
            on_success: OnSuccess::default(),
            timeout: None,
            pause_after_failures: pause_after_failures(),
            dry_run: false,
        }
    }
}
