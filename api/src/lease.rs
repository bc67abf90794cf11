//! Leases: claims on items, and what their holders say.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::item::{Item, ItemFilter, Unknown};
use crate::time::WallTime;

/// A claim on an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Lease {
    /// By which its holder speaks of it.
    pub id: String,
    /// Larger than that of any lease before it: what lies behind a worker can tell a late one by it.
    pub token: u64,
    /// Who holds it.
    pub worker: Arc<str>,
    /// How often the item was claimed at its present step, this time among them.
    pub attempt: u32,
    /// From when on it holds no longer, unless a heartbeat comes before.
    pub expires_at: WallTime,
}

/// What is to be claimed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ClaimRequest {
    /// Which items.
    #[serde(flatten)]
    pub filter: ItemFilter,
    /// How many items at most; 1 to 1000, 1 by default.
    pub max: usize,
    /// How long each is held unless a heartbeat comes, such as `60s`, which is the default; 1s to 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// How long to wait for an item if there is none, such as `20s`; at most 60s, by default not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// Who claims; by default the token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<Arc<str>>,
    /// Whether the payloads are wanted in the answer; true by default.
    pub payloads: bool,
    /// The `next_cursor` of an earlier claim: only items that come after those of that one, so that a run
    /// which hands it on gets each item once, unless that comes again at its next step with a later deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What nobody knows here. It is refused.
    #[serde(flatten, skip_serializing)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub unknown: Unknown,
}

impl Default for ClaimRequest {
    fn default() -> Self {
        Self {
            filter: ItemFilter::default(),
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

/// Items that were claimed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Claimed {
    /// The earliest deadline first; empty when there is nothing to be claimed.
    pub leases: Vec<ClaimedItem>,
    /// To be handed back as `cursor` to get only what comes after these; null when nothing was claimed.
    pub next_cursor: Option<String>,
}

/// An item that was claimed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimedItem {
    /// By which its holder speaks of the lease.
    pub id: String,
    /// Larger than that of any lease before it: what lies behind a worker can tell a late one by it.
    pub token: u64,
    /// From when on the lease holds no longer, unless a heartbeat comes before.
    pub expires_at: WallTime,
    /// How often the item was claimed at its present step, this time among them.
    pub attempt: u32,
    /// The item.
    pub item: Item,
    /// Its payload; null when none was asked for.
    pub payload_base64: Option<String>,
}

/// A sign of life of a holder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HeartbeatRequest {
    /// For how long from now on the lease is to hold; by default 60s, or as long as it holds already if that
    /// is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// A merge patch of the item's progress document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Map<String, Value>>,
}

/// What the holder says when the step is done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CompleteRequest {
    /// Whether the item is done, whatever steps are left.
    pub close: bool,
    /// A merge patch of the item's progress document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Map<String, Value>>,
}

/// What the holder says when the attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FailRequest {
    /// Why.
    pub error: FailureRequest,
    /// How long to wait for the next attempt, such as `30s`, if not as the workflow's policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FailureRequest {
    /// The worker's name for this sort of error; 1 to 128 bytes.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened; at most 2,048 bytes.
    #[serde(default)]
    pub message: String,
    /// Whether trying again may help. If not, or if it was tried often enough, the item has failed.
    #[serde(default)]
    pub retryable: bool,
    /// Whether it can be ignored: the item goes on as if the step were done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignorable: bool,
    /// Whatever else is to be kept; at most 4,096 bytes of JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// What the holder says when it gives an item back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseRequest {
    /// How long nobody else is to get it, such as `30s`; by default anybody may at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
}
