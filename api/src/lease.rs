//! Leases of items, and requests of their holders.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::item::{Item, ItemFilter, Unknown};
use crate::step::{ProgressChange, RepeatRequest};
use crate::time::WallTime;
use crate::word::StepStatus;

/// An exclusive, expiring claim on an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Lease {
    /// Identifies the lease in requests of its holder.
    pub id: String,
    /// The fencing token: it is larger than that of any earlier lease, so that other systems can reject late
    /// writes.
    pub token: u64,
    /// The holder.
    pub worker: Arc<str>,
    /// The claims of the item at its current step, including this one.
    pub attempt: u32,
    /// When it expires, unless it is renewed.
    pub expires_at: WallTime,
}

/// A request to claim items.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ClaimRequest {
    /// The items to claim.
    #[serde(flatten)]
    pub filter: ItemFilter,
    /// The current step, any of which; by default any. At most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// The id of the only item to claim; `workflows` must then be the name of its workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The most items; 1 to 1000, by default 1.
    pub max: usize,
    /// How long each lease lasts without a heartbeat, such as `60s`, the default; 1s to 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// How long to wait if there is no item, such as `20s`; at most 60s, by default not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// The holder; by default the token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<Arc<str>>,
    /// Whether the response includes payloads; by default true.
    pub payloads: bool,
    /// The `next_cursor` of an earlier claim: only items after those are claimed. A run that passes it on
    /// gets each item once, unless one returns at its next step with a later deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Unknown fields, which are refused.
    #[serde(flatten, skip_serializing)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub unknown: Unknown,
}

impl Default for ClaimRequest {
    fn default() -> Self {
        Self {
            filter: ItemFilter::default(),
            steps: Vec::new(),
            id: None,
            max: 1,
            ttl: None,
            wait: None,
            worker: None,
            payloads: true,
            cursor: None,
            unknown: Unknown::default(),
        }
    }
}

/// The response to a claim.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Claimed {
    /// The earliest deadline first; empty if there is nothing to claim.
    pub leases: Vec<ClaimedItem>,
    /// The `cursor` for items after these; null if nothing was claimed.
    pub next_cursor: Option<String>,
}

/// A claimed item.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimedItem {
    /// Identifies the lease in requests of its holder.
    pub id: String,
    /// The fencing token: it is larger than that of any earlier lease, so that other systems can reject late
    /// writes.
    pub token: u64,
    /// When the lease expires, unless it is renewed.
    pub expires_at: WallTime,
    /// The claims of the item at its current step, including this one.
    pub attempt: u32,
    /// The item.
    pub item: Item,
    /// The payload in base64; null if it was not requested.
    pub payload_base64: Option<String>,
}

/// A request to renew a lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HeartbeatRequest {
    /// How long the lease lasts from now on; by default 60s, or its remaining time if that is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// A merge patch of the item's progress document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Map<String, Value>>,
    /// Another change of a progress document than a merge patch of the shared one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_change: Option<ProgressChange>,
}

/// A request to end the run of an item's step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CompleteRequest {
    /// Whether to close the item, whatever steps remain.
    pub close: bool,
    /// How the run ended; by default `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StepStatus>,
    /// A message for the history; at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<str>>,
    /// A request to run the step again, after `done` or `interrupted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatRequest>,
    /// A merge patch of the item's progress document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Map<String, Value>>,
    /// Another change of a progress document than a merge patch of the shared one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_change: Option<ProgressChange>,
}

/// A request to report a failed attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FailRequest {
    /// The reason.
    pub error: FailureRequest,
    /// The wait before the next attempt, such as `30s`; by default that of the workflow's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// A merge patch of the item's progress document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Map<String, Value>>,
    /// Another change of a progress document than a merge patch of the shared one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_change: Option<ProgressChange>,
}

/// The reason of a failed attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FailureRequest {
    /// A name for this kind of error; 1 to 128 bytes.
    #[serde(rename = "type")]
    pub kind: String,
    /// The description; at most 2,048 bytes.
    #[serde(default)]
    pub message: String,
    /// Whether a retry may succeed. If not, or after the last retry, the item fails.
    #[serde(default)]
    pub retryable: bool,
    /// Whether to ignore it: the item goes to its next step, or ends, as the step's `on_ignorable` says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignorable: bool,
    /// Further data; at most 4,096 bytes of JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// The stack trace, or the end of the output; at most 10,240 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// A request to release an item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseRequest {
    /// How long nobody can claim it, such as `30s`; by default not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// A merge patch of the item's progress document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Map<String, Value>>,
    /// Another change of a progress document than a merge patch of the shared one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_change: Option<ProgressChange>,
}
