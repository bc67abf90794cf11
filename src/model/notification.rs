//! Notifications: what people are told, in the `standard` form from which every other form is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Became, Event, Group, IncidentKind, IncidentStatus, Missed, Severity, Timestamp};

/// What happened, and to what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// What happened.
    #[serde(rename = "type")]
    pub event: Event,
    /// When.
    pub timestamp: Timestamp,
    /// The incident.
    pub data: Subject,
}

/// An incident as people are told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The incident's id.
    pub id: Arc<str>,
    /// Its workflow.
    pub workflow: Arc<str>,
    /// What is wrong.
    pub kind: IncidentKind,
    /// The labels that its items share, where the workflow is split by them.
    #[serde(default)]
    pub group: Group,
    /// Whether anything is left of it.
    pub status: IncidentStatus,
    /// How bad it is.
    pub severity: Severity,
    /// When its first item was noticed.
    pub opened_at: Timestamp,
    /// When nothing was left of it.
    pub resolved_at: Option<Timestamp>,
    /// How many items it holds.
    pub count: u64,
    /// The most it held.
    pub peak: u64,
    /// How many more items than people were told last; fewer if negative.
    #[serde(default)]
    pub growth: i64,
    /// The earliest deadline among them.
    pub oldest_deadline: Option<Timestamp>,
    /// The items by the step at which they are stuck; the empty name stands for items without one.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// What was expected and is missed, if that is what it is about; then `count` is the number of windows.
    #[serde(default)]
    pub missed: Option<Missed>,
    /// What became of its items, where nothing is left of it.
    #[serde(default)]
    pub became: Option<Became>,
    /// The incident in which its items are in trouble after its end, if they are.
    #[serde(default)]
    pub continued_in: Option<Arc<str>>,
    /// All of this in one sentence.
    pub summary: String,
    /// Where it is written what to do.
    pub runbook_url: Option<Arc<str>>,
    /// Who looks after it, if anybody does.
    #[serde(default)]
    pub acknowledged_by: Option<Arc<str>>,
    /// Some of the items, the earliest deadline first.
    pub items: Vec<Sample>,
    /// How many items are not shown.
    pub truncated: u64,
    /// The incident's address.
    pub url: String,
}

/// One of an incident's items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The item's id.
    pub id: String,
    /// By when it should have been closed.
    pub deadline: Timestamp,
    /// Where it is stuck.
    pub step: Option<String>,
    /// Its address.
    pub url: String,
    /// Its payload's address.
    pub payload_url: String,
}
