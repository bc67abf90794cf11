//! Notifications in the `standard` format, from which all other formats are rendered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::run::{Counts, Lineage, RunError, RunStatus, Window};
use super::{
    CloseOutcome, Event, Group, IncidentKind, IncidentStatus, Labels, Missed, OutcomeCounts, Severity,
    Timestamp,
};

/// The notification of an incident, or of another subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification<S = Subject> {
    #[serde(rename = "type")]
    pub event: Event,
    /// When it was decided; for an event of an item, when that happened.
    pub timestamp: Timestamp,
    pub data: S,
}

/// The notification of an event of an item.
pub type ItemNotification = Notification<ItemSubject>;

/// The incident in a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    pub id: Arc<str>,
    pub workflow: Arc<str>,
    pub kind: IncidentKind,
    /// The labels that the items share, if the workflow has `group_by`.
    #[serde(default)]
    pub group: Group,
    pub status: IncidentStatus,
    pub severity: Severity,
    /// When its first item was found.
    pub opened_at: Timestamp,
    /// When the last item left.
    pub resolved_at: Option<Timestamp>,
    /// The items in it; for missed starts, the windows.
    pub count: u64,
    /// The highest count.
    pub peak: u64,
    /// The change of `count` since the last notification.
    #[serde(default)]
    pub growth: i64,
    /// The earliest deadline of its items.
    pub oldest_deadline: Option<Timestamp>,
    /// Items by step; the empty name stands for items without a step.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// For missed starts only.
    #[serde(default)]
    pub missed: Option<Missed>,
    /// The outcomes of its items, in a resolution.
    #[serde(default, rename = "became")]
    pub outcomes: Option<OutcomeCounts>,
    /// The incident in which its items are now, if they are still in trouble.
    #[serde(default)]
    pub continued_in: Option<Arc<str>>,
    /// One sentence.
    pub summary: String,
    pub runbook_url: Option<Arc<str>>,
    /// The person who acknowledged it.
    #[serde(default)]
    pub acknowledged_by: Option<Arc<str>>,
    /// Some items, the earliest deadline first.
    pub items: Vec<Sample>,
    /// The number of items that are not listed.
    pub truncated: u64,
    /// A link to the incident.
    pub url: String,
}

/// An item of the incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub id: String,
    pub deadline: Timestamp,
    pub step: Option<String>,
    /// A link to the item.
    pub url: String,
    /// A link to its payload.
    pub payload_url: String,
}

/// The item in a notification of one of its events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemSubject {
    pub id: Arc<str>,
    pub workflow: Arc<str>,
    pub created_at: Timestamp,
    pub deadline: Timestamp,
    pub labels: Labels,
    /// If it is closed.
    pub outcome: Option<CloseOutcome>,
    /// If it is a run.
    pub run: Option<Box<RunSubject>>,
    /// One sentence.
    pub summary: String,
    /// Whether something is left out, since the notification would be too large.
    pub truncated: bool,
    /// A link to the item.
    pub url: String,
    /// A link to its payload.
    pub payload_url: String,
}

/// The run in a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSubject {
    pub number: u64,
    pub status: RunStatus,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// What its jobs cover together.
    pub window: Option<Window>,
    pub lineage: Option<Lineage>,
    pub counts: Counts,
    /// Why it failed.
    pub error: Option<RunError>,
}
