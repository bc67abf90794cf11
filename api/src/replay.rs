//! Replays: items that the daemon sends to a target. Durations are written like `1h 30m`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::item::{ItemFilter, Unknown};
use crate::time::WallTime;
use crate::word::{ItemState, OnSuccess, ReplayStatus, Word};

/// A replay and its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Replay {
    /// `rpl_` and a UUID.
    pub id: Arc<str>,
    /// A name for people; may be empty.
    pub name: Arc<str>,
    /// Whether it is sending.
    #[cfg_attr(feature = "schema", schema(value_type = ReplayStatus))]
    pub status: Word<ReplayStatus>,
    /// Why it paused, unless a person paused it.
    pub reason: Option<Arc<str>>,
    /// The selection.
    pub filter: ReplayFilter,
    /// The destination.
    pub target: ReplayTarget,
    /// The most items in a second.
    pub max_per_second: f64,
    /// The most items at once.
    pub concurrency: usize,
    /// The items that must succeed before the others are sent.
    pub canary: u64,
    /// How long the rate takes to grow from zero to its maximum.
    pub ramp_up: String,
    /// What happens to an item that the target accepted.
    #[cfg_attr(feature = "schema", schema(value_type = OnSuccess))]
    pub on_success: Word<OnSuccess>,
    /// The longest wait for the target's response to one item.
    pub timeout: String,
    /// The consecutive failures after which it pauses; 0 is never.
    pub pause_after_failures: u64,
    /// When it was created.
    pub created_at: WallTime,
    /// When its first item was sent.
    pub started_at: Option<WallTime>,
    /// When it was completed or cancelled.
    pub ended_at: Option<WallTime>,
    /// The selected items.
    pub total: u64,
    /// The items that were sent, including those in flight.
    pub sent: u64,
    /// The items that the target accepted.
    pub succeeded: u64,
    /// The items that the target did not accept.
    pub failed: u64,
    /// The items that were closed or leased by others when it was their turn.
    pub skipped: u64,
    /// The recent rate, in items per second.
    pub rate: f64,
    /// The expected end at that rate.
    pub eta: Option<WallTime>,
    /// Until when nothing is sent, because the target is overloaded or the disk is full.
    pub held_until: Option<WallTime>,
    /// The latest failures, oldest first.
    pub failures: Vec<ReplayFailure>,
    /// Failed items by reason; rare reasons are counted as `other`.
    pub failure_reasons: BTreeMap<Arc<str>, u64>,
}

/// The selection of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReplayFilter {
    /// Globs of workflow names, any of which may match; empty for all.
    pub workflows: Vec<Arc<str>>,
    /// States, any of which may match.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<ItemState>))]
    pub states: Vec<Word<ItemState>>,
    /// Labels with exactly these values.
    pub labels: BTreeMap<String, String>,
    /// The current step.
    pub step: Option<Arc<str>>,
    /// Items with at least so many retryable errors at their step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_retries_min: Option<u32>,
    /// Created before this instant.
    pub created_before: Option<WallTime>,
    /// Created at or after this instant.
    pub created_after: Option<WallTime>,
    /// Due before this instant.
    pub deadline_before: Option<WallTime>,
    /// Due at or after this instant.
    pub deadline_after: Option<WallTime>,
}

/// The destination of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReplayTarget {
    /// Without user, password and query, which may be secret.
    pub url: String,
    /// Whether requests are signed; false once the replay ended.
    pub signed: bool,
}

/// An item that the target did not accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReplayFailure {
    /// The name of its workflow.
    pub workflow: Arc<str>,
    /// Its id within the workflow.
    pub id: Arc<str>,
    /// With the beginning of the target's response, unless the token is limited to some workflows.
    pub reason: Arc<str>,
    /// The HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// When the attempt ended.
    pub at: WallTime,
}

/// The selection in a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ReplayFilterRequest {
    /// The criteria.
    #[serde(flatten)]
    pub filter: ItemFilter,
    /// Unknown fields, which are refused.
    #[serde(flatten, skip_serializing)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub unknown: Unknown,
}

/// The destination in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplayTargetRequest {
    /// `http` or `https`. Only scheme, host, port and path are ever shown.
    pub url: String,
    /// The secret that signs items according to Standard Webhooks: `whsec_` and base64. Removed when the
    /// replay ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A request to start a replay.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// A name for people; at most 128 bytes.
    #[serde(default)]
    pub name: String,
    /// The items to send.
    #[serde(default)]
    pub filter: ReplayFilterRequest,
    /// The destination.
    pub target: ReplayTargetRequest,
    /// The most items in a second; 0.01 to 10,000, by default 50.
    #[serde(default = "max_per_second")]
    pub max_per_second: f64,
    /// The most items at once; 1 to 256, by default 8.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// The items that must succeed before the others are sent; if one fails, the replay pauses.
    #[serde(default)]
    pub canary: u64,
    /// How long the rate takes to grow from zero to its maximum, such as `10m`; at most 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp_up: Option<String>,
    /// `accept` (default): the target closes the item. `close`: the item is closed.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub on_success: OnSuccess,
    /// The longest wait for the target's response to one item; by default `30s`, at most 10 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// The consecutive failures after which it pauses; by default 20, 0 is never.
    #[serde(default = "pause_after_failures")]
    pub pause_after_failures: u64,
    /// Only return what would be sent.
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
    /// A replay of failed and overdue items to this target with the default rate.
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
