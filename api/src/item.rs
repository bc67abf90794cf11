//! Items, and requests about them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifact::ArtifactSummary;
use crate::lease::Lease;
use crate::merge::{self, Merge};
use crate::name::Labels;
use crate::run::Lineage;
use crate::time::WallTime;
use crate::word::{CloseOutcome, HeldFor, ItemState, StepStatus, Word};

/// A unit of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Item {
    /// The name of its workflow.
    pub workflow: Arc<str>,
    /// 1 to 256 bytes, unique within the workflow.
    pub id: Arc<str>,
    /// Derived from the time and its errors.
    #[cfg_attr(feature = "schema", schema(value_type = ItemState))]
    pub state: Word<ItemState>,
    /// When it was created.
    pub created_at: WallTime,
    /// When it must be closed.
    pub deadline: WallTime,
    /// Its deadline, if that is past and the item is open.
    pub overdue_since: Option<WallTime>,
    /// When it was closed.
    pub closed_at: Option<WallTime>,
    /// How it ended, if it is closed.
    #[cfg_attr(feature = "schema", schema(value_type = Option<CloseOutcome>))]
    pub outcome: Option<Word<CloseOutcome>>,
    /// Names and values to filter by.
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, String>))]
    pub labels: Labels,
    /// The current step.
    pub step: Option<Arc<str>>,
    /// When it entered that step.
    pub step_entered_at: Option<WallTime>,
    /// The position of the step among the item's steps, from 0; null if it is none of them.
    pub step_index: Option<usize>,
    /// The claims at this step, without those that were released.
    pub step_attempts: u32,
    /// The retryable errors at this step.
    pub step_retries: Option<u32>,
    /// The leases that ran out at this step. One is counted at the next claim.
    pub step_losses: Option<u32>,
    /// The latest runs of its steps, oldest first; at most 64.
    pub steps: Vec<StepRecord>,
    /// When an interrupted item is repeated; null if a person has to retry it, or it is not interrupted.
    pub interrupted_until: Option<WallTime>,
    /// It cannot be claimed before; null if that is past.
    pub not_before: Option<WallTime>,
    /// When it failed, even if it was closed since.
    pub errored_at: Option<WallTime>,
    /// The message of its latest error, also if that was retried or ignored.
    pub error_message: Option<String>,
    /// The application's notes about its progress, shared by all steps.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub progress: Map<String, Value>,
    /// The latest errors, oldest first.
    pub errors: Vec<ItemError>,
    /// The artifacts that it used, the oldest registration first; at most 100.
    pub artifacts: Vec<ArtifactSummary>,
    /// The parameters of a run: `shared` ones, and those of its `jobs`, each with the window `from` and `to`.
    /// Null until it begins, and for an item that is no run.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub params: Option<Value>,
    /// The number of a run in its workflow, from 1.
    pub number: Option<u64>,
    /// Why a run is held, if it is.
    #[cfg_attr(feature = "schema", schema(value_type = Option<HeldFor>))]
    pub held_for: Option<Word<HeldFor>>,
    /// When a run began.
    pub started_at: Option<WallTime>,
    /// Who ran what, from where to where.
    pub lineage: Option<Lineage>,
    /// Counts that were told of a run, such as records read and written.
    #[cfg_attr(feature = "schema", schema(value_type = Option<BTreeMap<String, i64>>))]
    pub counts: Option<BTreeMap<Arc<str>, i64>>,
    /// The current lease, if there is one.
    pub lease: Option<Lease>,
    /// When it can be claimed again, if it waits for a retry.
    pub retry_at: Option<WallTime>,
    /// The id of its open incident, if there is one.
    pub incident: Option<Arc<str>>,
    /// The `traceparent` of the request that created it (W3C Trace Context).
    pub traceparent: Option<Arc<str>>,
    /// The `tracestate` of that request.
    pub tracestate: Option<Arc<str>>,
    /// Size, type and digest of its payload.
    pub payload: Payload,
    /// Incremented by each change; also the entity tag.
    pub version: u64,
}

/// A run of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StepRecord {
    /// The name of the step.
    pub name: Arc<str>,
    /// How the run ended.
    #[cfg_attr(feature = "schema", schema(value_type = StepStatus))]
    pub status: Word<StepStatus>,
    /// When the run ended.
    pub at: WallTime,
    /// The message that was reported with it.
    pub message: Option<Arc<str>>,
    /// When the item had entered the step.
    pub entered_at: Option<WallTime>,
    /// The claims at the step until then, without those that were released.
    pub attempts: Option<u32>,
    /// The progress document of the step as it is now; null unless this is the latest run of the step.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Map<String, Value>>,
}

/// A reported error of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemError {
    /// `err_` and a UUID; also in the daemon's log.
    pub id: Arc<str>,
    /// A name chosen by the reporter.
    #[serde(rename = "type")]
    pub kind: String,
    /// The reporter's description.
    pub message: String,
    /// Whether a retry may succeed.
    pub retryable: bool,
    /// Whether it made the item fail.
    pub fatal: bool,
    /// The step at which the item was.
    pub step: Option<Arc<str>>,
    /// When it was reported.
    pub at: WallTime,
    /// Further data of the reporter.
    pub data: Value,
    /// The stack trace that was reported with it.
    pub stack: Option<String>,
}

/// Metadata of a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Payload {
    /// In bytes.
    pub size: u64,
    /// As given when it was created.
    pub content_type: Arc<str>,
    /// Its content codings, such as `gzip`; null without any.
    pub content_encoding: Option<Arc<str>>,
    /// In hexadecimal.
    pub sha256: String,
}

/// The response to a create or a change: the item, or a receipt if the token has no scope `read`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ItemAnswer {
    /// For a token with the scope `read`.
    Item(Box<Item>),
    /// For other tokens.
    Receipt(Box<ItemReceipt>),
}

/// An item for a token that may write but not read: what it sent, and the resulting state and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemReceipt {
    /// The name of its workflow.
    pub workflow: Arc<str>,
    /// Its id within the workflow.
    pub id: Arc<str>,
    /// Its state after the request.
    #[cfg_attr(feature = "schema", schema(value_type = ItemState))]
    pub state: Word<ItemState>,
    /// If the item is new, or the request set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = WallTime, required = false))]
    pub deadline: Option<WallTime>,
    /// If the item is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, String>, required = false))]
    pub labels: Option<Labels>,
    /// If the item is new and has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = String, required = false))]
    pub step: Option<Arc<str>>,
    /// If the request contained it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Payload, required = false))]
    pub payload: Option<Payload>,
    /// The number of a run, if the item is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = u64, required = false))]
    pub number: Option<u64>,
    /// The parameters of a run, if the item is new and has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Object, required = false))]
    pub params: Option<Value>,
    /// Incremented by each change; also the entity tag.
    pub version: u64,
}

/// A change of an item: a JSON merge patch (RFC 7396).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PatchRequest {
    /// A duration from now, or an instant (RFC 3339). It cannot be removed.
    #[serde(default, deserialize_with = "merge::some", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub deadline: Option<String>,
    /// Labels to set, or to remove by null; null removes all.
    #[serde(default, deserialize_with = "merge::member", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<BTreeMap<String, Option<String>>>))]
    pub labels: Option<Merge<BTreeMap<String, Option<String>>>>,
    /// A patch of the progress document; null empties it.
    #[serde(default, deserialize_with = "merge::member", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub progress: Option<Merge<Map<String, Value>>>,
    /// Counts of a run to set, or to remove by null; null removes all. The workflow sums them up.
    #[serde(default, deserialize_with = "merge::member", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<BTreeMap<String, Option<i64>>>))]
    pub counts: Option<Merge<BTreeMap<Arc<str>, Option<i64>>>>,
}

/// A request to report an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ErrorRequest {
    /// A name for this kind of error; 1 to 128 bytes.
    #[serde(rename = "type")]
    pub kind: String,
    /// The description; at most 2,048 bytes.
    #[serde(default)]
    pub message: String,
    /// Whether a retry may succeed.
    #[serde(default)]
    pub retryable: bool,
    /// Whether the item fails because of it.
    #[serde(default)]
    pub fatal: bool,
    /// Further data; at most 4,096 bytes of JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// The stack trace, or the end of the output; at most 10,240 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// When it occurred, if that is past: an instant (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// The response to a reported error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ErrorReceipt {
    /// The id of the error in the item and in the log.
    pub error_id: Arc<str>,
}

/// The response to a retry of many items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Retried {
    /// The items that were retried by this request.
    pub retried: u64,
    /// The `cursor` for the next request; null at the end.
    pub next_cursor: Option<String>,
}

/// The response to a change of many items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Changed {
    /// The items that were changed by this request.
    pub changed: u64,
    /// The `cursor` for the next request; null at the end.
    pub next_cursor: Option<String>,
}

/// A later deadline for many items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// A duration from now, such as `2h`, or an instant (RFC 3339).
    pub deadline: String,
}

/// Counts of selected items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Summary {
    /// The number of items.
    pub count: u64,
    /// The size of their payloads, without removed ones.
    pub bytes: u64,
    /// When the oldest was created.
    pub oldest_created_at: Option<WallTime>,
    /// The earliest deadline.
    pub oldest_deadline: Option<WallTime>,
    /// Items by workflow.
    pub by_workflow: BTreeMap<Arc<str>, u64>,
    /// Items by step. The empty name stands for items without a step.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// Items at steps beyond the first thousand, which are not counted separately.
    pub other_steps: u64,
    /// Items by state.
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<ItemState, u64>))]
    pub by_state: BTreeMap<Word<ItemState>, u64>,
}

/// A selection of items in a request. All given criteria must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ItemFilter {
    /// Globs of workflow names, any of which may match; by default all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<String>,
    /// `open`, `overdue` or `failed`, any of which may match. By default `overdue` for a claim, `overdue` and
    /// `failed` for a replay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub states: Vec<ItemState>,
    /// Labels with exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The current step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Items with at least so many retryable errors at their step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_retries_min: Option<u32>,
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

/// Unknown fields of a request, where serde cannot refuse them by itself. Clients leave it empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Unknown(BTreeMap<String, IgnoredAny>);

impl Unknown {
    /// The name of one of them.
    pub fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }
}
