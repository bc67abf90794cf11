//! Incidents, and what people say of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;
use crate::word::{ActionWord, IncidentKind, IncidentStatus, Severity, WaitingFor, Word};

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Incident {
    /// Its id.
    pub id: Arc<str>,
    /// The workflow whose items it is about.
    pub workflow: Arc<str>,
    /// What is wrong with them.
    #[cfg_attr(feature = "schema", schema(value_type = IncidentKind))]
    pub kind: Word<IncidentKind>,
    /// The labels that its items share, where the workflow is split by them.
    pub group: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether anything is left of it.
    #[cfg_attr(feature = "schema", schema(value_type = IncidentStatus))]
    pub status: Word<IncidentStatus>,
    /// How bad it is.
    #[cfg_attr(feature = "schema", schema(value_type = Severity))]
    pub severity: Word<Severity>,
    /// When its first item was noticed.
    pub opened_at: WallTime,
    /// When it began anew after a short end.
    pub reopened_at: Option<WallTime>,
    /// When nothing was left of it.
    pub resolved_at: Option<WallTime>,
    /// How many items it holds.
    pub count: u64,
    /// The most it held.
    pub peak: u64,
    /// The earliest deadline among its items.
    pub oldest_deadline: Option<WallTime>,
    /// What became of the items that have left it since it last began; null if it is not about items, or if
    /// that was not counted then.
    pub became: Option<Became>,
    /// The incident in which its items are in trouble after its end, if they are.
    pub continued_in: Option<Arc<str>>,
    /// Items by the step at which they are stuck; the empty name stands for items without one.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// What was expected and is missed, if that is what it is about; then `count` is the number of windows.
    pub missed: Option<Missed>,
    /// When people were last told.
    pub notified_at: Option<WallTime>,
    /// When people are told next if nothing happens to its items: of its beginning, its growth, that it is
    /// still open, or what a receiver has not taken yet. The end waits for the incident in which its items
    /// are in trouble, if they are. Null if nobody is to be told, or if that waits for a paused receiver.
    pub next_told_at: Option<WallTime>,
    /// What holds that back; null if it is only the next reminder or level of escalation.
    #[cfg_attr(feature = "schema", schema(value_type = Option<WaitingFor>))]
    pub waiting_for: Option<Word<WaitingFor>>,
    /// The receivers that were told.
    pub told: Vec<Arc<str>>,
    /// How many levels of escalation were told.
    pub escalations: usize,
    /// Whether somebody looks after it.
    pub acknowledged: bool,
    /// Until when nobody is told, if somebody said so.
    pub snoozed_until: Option<WallTime>,
    /// What people did about it, oldest first.
    pub actions: Vec<Action>,
}

/// What became of items, as they left an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Became {
    /// Closed as done.
    pub closed: u64,
    /// Closed as given up.
    pub discarded: u64,
    /// Their deadline was moved, by hand or by the next step.
    pub extended: u64,
    /// They failed, or were closed as failed.
    pub failed: u64,
    /// They had failed and were sent back to be done again; left out if none were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried: Option<u64>,
    /// They are as wrong as before, in another group; left out if none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<u64>,
}

/// What was expected and is missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Missed {
    /// When it should have begun, in the first of the windows.
    pub expected_at: WallTime,
    /// The time zone in which it was expected, such as `Europe/Berlin`, where the workflow names one.
    pub timezone: Option<Cow<'static, str>>,
    /// The end of the first window.
    pub since: WallTime,
    /// How many windows on end.
    pub windows: u64,
    /// How many items were wanted in each.
    pub wanted: u64,
    /// How many were created since the first window began.
    pub created: u64,
    /// How many windows ended while nobody watched, because the machine slept or the daemon was down. Those
    /// of one such time count as one in `windows`.
    pub unobserved: u64,
}

/// What a person did about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Action {
    /// What.
    #[cfg_attr(feature = "schema", schema(value_type = ActionWord))]
    pub action: Word<ActionWord>,
    /// Who.
    pub by: Arc<str>,
    /// When.
    pub at: WallTime,
    /// What they said to it.
    pub comment: Option<Arc<str>>,
    /// Until when it was snoozed.
    pub until: Option<WallTime>,
}

/// Who acknowledges, and what they say to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AcknowledgeRequest {
    /// Who looks after it; by default the token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// What they say; at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
}

/// For how long an incident is to be quiet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SnoozeRequest {
    /// A duration such as `30m`, at most 7 days; `0s` ends a snooze.
    #[serde(rename = "for")]
    pub duration: String,
    /// Who says so; by default the token's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// What they say; at most 512 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
}

/// Something to be noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CommentRequest {
    /// Who says it; by default the token's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// What they say; at most 512 bytes.
    pub comment: Arc<str>,
}
