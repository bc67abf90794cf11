//! Incidents: what people are told about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Timestamp, WorkflowName};

/// `inc_` and a UUIDv7, so that ids sort by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub Arc<str>);

/// What is wrong with the items of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// They are open and past their deadline.
    Overdue,
    /// A fatal error was reported about them.
    Failed,
    /// They should have been created and were not.
    Missed,
    /// Their workflow is on hold.
    Held,
}

impl IncidentKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Held => "held",
        }
    }
}

/// Whether there is still something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStatus {
    /// There is.
    Open,
    /// Nothing is left of it.
    Resolved,
}

/// All items of one workflow that are wrong in one way, as people are told about them.
///
/// The live count is derived from the items and not written for each of them; what stands here is what was
/// true when the incident was last committed: at its opening, at each notification, at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// What is wrong.
    pub kind: IncidentKind,
    /// Whether anything is left of it.
    pub status: IncidentStatus,
    /// How bad it is, from the workflow's policy.
    pub severity: Arc<str>,
    /// When its first item was noticed.
    pub opened_at: Timestamp,
    /// When its last item was closed or extended.
    pub resolved_at: Option<Timestamp>,
    /// How many items it held when it was last committed.
    pub count: u64,
    /// The most it is known to have held.
    pub peak: u64,
    /// The earliest deadline among its items.
    pub oldest_deadline: Option<Timestamp>,
    /// Its items by the step at which they are stuck; the empty name stands for items without one.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// When people were last told, if they were.
    pub notified_at: Option<Timestamp>,
    /// The count they were told.
    pub notified_count: u64,
    /// The steps they were told.
    pub notified_steps: BTreeSet<Arc<str>>,
    /// The receivers that were told, and are owed the end of the story.
    pub told: BTreeSet<Arc<str>>,
}
