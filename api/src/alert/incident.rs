//! Incidents, and actions on them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;
use crate::word::{ActionWord, IncidentKind, IncidentStatus, Severity, WaitingFor, Word};

/// The items of a workflow that are in trouble of one kind, or its missed starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Incident {
    /// `inc_` and a UUID.
    pub id: Arc<str>,
    /// The name of the workflow.
    pub workflow: Arc<str>,
    /// The kind of trouble.
    #[cfg_attr(feature = "schema", schema(value_type = IncidentKind))]
    pub kind: Word<IncidentKind>,
    /// The labels that the items share, if the workflow has `group_by`.
    pub group: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether anything is still in trouble.
    #[cfg_attr(feature = "schema", schema(value_type = IncidentStatus))]
    pub status: Word<IncidentStatus>,
    /// From the workflow's configuration.
    #[cfg_attr(feature = "schema", schema(value_type = Severity))]
    pub severity: Word<Severity>,
    /// When its first item was found.
    pub opened_at: WallTime,
    /// When it began again within `group_interval` of its end.
    pub reopened_at: Option<WallTime>,
    /// When the last item left.
    pub resolved_at: Option<WallTime>,
    /// The items in it now; for missed starts, the windows.
    pub count: u64,
    /// The highest `count`.
    pub peak: u64,
    /// The earliest deadline of its items.
    pub oldest_deadline: Option<WallTime>,
    /// What happened to the items that left since it last began; null for missed starts, and if that was not
    /// counted.
    pub became: Option<Became>,
    /// The open incident in which its items are now.
    pub continued_in: Option<Arc<str>>,
    /// Items by step; the empty name stands for items without a step.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// For missed starts only.
    pub missed: Option<Missed>,
    /// When the last notification was decided.
    pub notified_at: Option<WallTime>,
    /// The next notification if the items do not change: the opening, growth, a reminder, or one that a
    /// receiver has not accepted. The resolution waits for the incident in which the items are now. Null if
    /// none is planned, or it waits for a paused receiver.
    pub next_told_at: Option<WallTime>,
    /// What delays it; null if it is merely the next reminder or escalation.
    #[cfg_attr(feature = "schema", schema(value_type = Option<WaitingFor>))]
    pub waiting_for: Option<Word<WaitingFor>>,
    /// The receivers that were notified.
    pub told: Vec<Arc<str>>,
    /// The levels of escalation that were notified.
    pub escalations: usize,
    /// Whether a person acknowledged it.
    pub acknowledged: bool,
    /// Until when no notification is sent.
    pub snoozed_until: Option<WallTime>,
    /// Actions of people, oldest first.
    pub actions: Vec<Action>,
}

/// The outcomes of the items that left an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Became {
    /// Closed as `success`.
    pub closed: u64,
    /// Closed as `discarded`.
    pub discarded: u64,
    /// With a later deadline, set by a request or by the next step.
    pub extended: u64,
    /// Failed, or closed as `failed`.
    pub failed: u64,
    /// Failed items that were retried; left out if 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried: Option<u64>,
    /// In the same trouble, but in another group; left out if 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<u64>,
    /// Held runs that began; left out if 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<u64>,
}

/// Missed starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Missed {
    /// When the start was expected, in the first window.
    pub expected_at: WallTime,
    /// The time zone of the schedule, such as `Europe/Berlin`, if it has one.
    pub timezone: Option<Cow<'static, str>>,
    /// The end of the first window.
    pub since: WallTime,
    /// Consecutive windows that were missed.
    pub windows: u64,
    /// The items expected in each window.
    pub wanted: u64,
    /// The items created since the first window began.
    pub created: u64,
    /// Windows that ended while the daemon was down or the machine slept. Those of one such period count as
    /// one in `windows`.
    pub unobserved: u64,
}

/// An action of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Action {
    /// The kind of action.
    #[cfg_attr(feature = "schema", schema(value_type = ActionWord))]
    pub action: Word<ActionWord>,
    /// The name of the person or token.
    pub by: Arc<str>,
    /// When it was taken.
    pub at: WallTime,
    /// The comment given with it.
    pub comment: Option<Arc<str>>,
    /// The end of the snooze, for a snooze.
    pub until: Option<WallTime>,
}

/// A request to acknowledge an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AcknowledgeRequest {
    /// The person; by default the token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// At most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
}

/// A request to snooze an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SnoozeRequest {
    /// A duration such as `30m`, at most 7 days; `0s` ends a snooze.
    #[serde(rename = "for")]
    pub duration: String,
    /// The person; by default the token's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// At most 512 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
}

/// A request to add a comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CommentRequest {
    /// The person; by default the token's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// At most 512 bytes.
    pub comment: Arc<str>,
}
