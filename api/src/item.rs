//! Items: what they are, and what is said of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lease::Lease;
use crate::merge::{self, Merge};
use crate::name::Labels;
use crate::time::WallTime;
use crate::word::{CloseOutcome, ItemState, StepStatus, Word};

/// An item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Item {
    /// The workflow it belongs to.
    pub workflow: Arc<str>,
    /// Its id within the workflow.
    pub id: Arc<str>,
    /// How it stands.
    #[cfg_attr(feature = "schema", schema(value_type = ItemState))]
    pub state: Word<ItemState>,
    /// When it was accepted.
    pub created_at: WallTime,
    /// By when it must be closed.
    pub deadline: WallTime,
    /// Since when it is overdue: its deadline.
    pub overdue_since: Option<WallTime>,
    /// When it was closed.
    pub closed_at: Option<WallTime>,
    /// How it ended, of a closed item.
    #[cfg_attr(feature = "schema", schema(value_type = Option<CloseOutcome>))]
    pub outcome: Option<Word<CloseOutcome>>,
    /// Names and values to find it by.
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// The step where it is.
    pub step: Option<Arc<str>>,
    /// When it came to that step.
    pub step_entered_at: Option<WallTime>,
    /// How often it was claimed at this step, less what was given back unharmed.
    pub step_attempts: u32,
    /// The steps that are behind it, oldest first.
    pub steps: Vec<StepRecord>,
    /// What the application noted about its progress.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub progress: Map<String, Value>,
    /// The latest errors, oldest first.
    pub errors: Vec<ItemError>,
    /// Nothing yet.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<Object>))]
    pub artifacts: Vec<Value>,
    /// Nothing yet.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub params: Option<Value>,
    /// Who holds it.
    pub lease: Option<Lease>,
    /// It waits for its next attempt, and is not to be claimed before.
    pub retry_at: Option<WallTime>,
    /// The open incident that it belongs to.
    pub incident: Option<Arc<str>>,
    /// What is known of its payload.
    pub payload: Payload,
    /// Raised by one at each change; also the entity tag.
    pub version: u64,
}

/// A step that an item has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StepRecord {
    /// The step.
    pub name: Arc<str>,
    /// How the item left it.
    #[cfg_attr(feature = "schema", schema(value_type = StepStatus))]
    pub status: Word<StepStatus>,
    /// When.
    pub at: WallTime,
}

/// An error that was reported about an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemError {
    /// `err_` and a UUID; also in the daemon's log.
    pub id: Arc<str>,
    /// The reporter's name for this sort of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// Whether the item has failed by it.
    pub fatal: bool,
    /// The step at which the item was.
    pub step: Option<Arc<str>>,
    /// When it was reported.
    pub at: WallTime,
    /// Whatever else was kept.
    pub data: Value,
}

/// What is known of a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Payload {
    /// In bytes.
    pub size: u64,
    /// The content type that it came with.
    pub content_type: Arc<str>,
    /// The content codings that were applied to its bytes, such as `gzip`, if there are any.
    pub content_encoding: Option<Arc<str>>,
    /// In hexadecimal.
    pub sha256: String,
}

/// The answer to a create or a change: the item, or to a token without the scope `read` the receipt for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ItemAnswer {
    /// For whoever may read it.
    Item(Box<Item>),
    /// For whoever may only write.
    Receipt(ItemReceipt),
}

/// An item as a token sees it that may write but not read: what it sent, and the state and the version that
/// followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemReceipt {
    /// The workflow it belongs to.
    pub workflow: Arc<str>,
    /// Its id within the workflow.
    pub id: Arc<str>,
    /// How it stands.
    #[cfg_attr(feature = "schema", schema(value_type = ItemState))]
    pub state: Word<ItemState>,
    /// Of an item that is new, or where the request set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = WallTime, required = false))]
    pub deadline: Option<WallTime>,
    /// Of an item that is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, String>, required = false))]
    pub labels: Option<Labels>,
    /// Of an item that is new and has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = String, required = false))]
    pub step: Option<Arc<str>>,
    /// The payload that the request brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Payload, required = false))]
    pub payload: Option<Payload>,
    /// Raised by one at each change; also the entity tag.
    pub version: u64,
}

/// What of an item may be changed: a JSON merge patch (RFC 7396).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PatchRequest {
    /// A duration from now, or an RFC 3339 instant. It cannot be removed.
    #[serde(default, deserialize_with = "merge::some", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub deadline: Option<String>,
    /// Labels to set, or to remove by null; null for all of them.
    #[serde(default, deserialize_with = "merge::member", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<BTreeMap<String, Option<String>>>))]
    pub labels: Option<Merge<BTreeMap<String, Option<String>>>>,
    /// A patch of the progress document; null empties it.
    #[serde(default, deserialize_with = "merge::member", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Merge<Map<String, Value>>>,
}

/// An error to be reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ErrorRequest {
    /// The reporter's name for this sort of error; 1 to 128 bytes.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened; at most 2,048 bytes.
    #[serde(default)]
    pub message: String,
    /// Whether trying again may help.
    #[serde(default)]
    pub retryable: bool,
    /// Whether the item has failed by it.
    #[serde(default)]
    pub fatal: bool,
    /// Whatever else is to be kept; at most 4,096 bytes of JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// The answer to an error report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ErrorReceipt {
    /// The id by which the error is found in the item and in the log.
    pub error_id: Arc<str>,
}

/// What became of a request to send many items back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Retried {
    /// How many were sent back.
    pub retried: u64,
    /// To be handed back as `cursor` to go on; null at the end.
    pub next_cursor: Option<String>,
}

/// The figures of a choice of items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Summary {
    /// How many items.
    pub count: u64,
    /// Of the payloads that are still kept.
    pub bytes: u64,
    /// When the oldest was created.
    pub oldest_created_at: Option<WallTime>,
    /// The earliest deadline.
    pub oldest_deadline: Option<WallTime>,
    /// How many of each workflow.
    pub by_workflow: BTreeMap<Arc<str>, u64>,
    /// How many at each step. The empty name stands for items without a step.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// Items at steps beyond the first thousand, which are not told apart any more.
    pub other_steps: u64,
    /// How many in each state.
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<ItemState, u64>))]
    pub by_state: BTreeMap<Word<ItemState>, u64>,
}

/// Which items are meant, in a request. Every criterion that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ItemFilter {
    /// Globs of workflow names, any of which may match; all of them if none is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<String>,
    /// `open`, `overdue` or `failed`, any of which may hold. If none is given a claim takes those that are
    /// overdue, a replay those that have failed as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub states: Vec<ItemState>,
    /// Labels that must be there with exactly this value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The current step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Created before this instant (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<String>,
    /// Created at or after this instant (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_after: Option<String>,
    /// Due before this instant (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_before: Option<String>,
    /// Due at or after this instant (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_after: Option<String>,
}

/// The fields of a request that are none of its own, where serde cannot refuse them by itself. A client
/// leaves it empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Unknown(BTreeMap<String, IgnoredAny>);

impl Unknown {
    /// One of their names.
    pub fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }
}
