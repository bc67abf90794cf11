//! Incidents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use warden_api::limit::{ACTIONS_KEPT, COMMENT_MAX, PERSON_MAX};
pub use warden_api::word::{IncidentKind, IncidentStatus, WaitingFor};

use super::item::Labels;
use super::{Missed, Severity, Timestamp, WorkflowName};

pub const REOPENINGS_KEPT: usize = 20;
/// `inc_` and a UUIDv7, so that ids sort by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub Arc<str>);

/// The values of the workflow's `group_by` labels that the items of an incident share. Empty without
/// `group_by`, and for the incident of the remaining items if there are too many groups.
pub type Group = BTreeMap<Arc<str>, Arc<str>>;

/// The group of an item with these labels; a missing label counts as empty.
pub fn group_of(labels: &Labels, group_by: &[Arc<str>]) -> Group {
    let value =
        |name: &Arc<str>| labels.get(&**name).map_or_else(Arc::default, |value| value.as_str().into());
    group_by.iter().map(|name| (name.clone(), value(name))).collect()
}

/// There is at most one open incident for a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentKey {
    pub workflow: WorkflowName,
    pub kind: IncidentKind,
    #[serde(default)]
    pub group: Group,
}

/// An action of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    #[serde(flatten)]
    pub kind: ActionKind,
    pub by: Arc<str>,
    pub at: Timestamp,
    pub comment: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ActionKind {
    /// The incident is being handled, and is not escalated any further.
    Acknowledge,
    /// No notifications until then.
    Snooze {
        until: Timestamp,
    },
    Comment,
}

/// The outcomes of the items that left an incident. An item that returns counts each time it leaves, unless
/// it failed and was retried: then its failure is subtracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// Closed as `success`.
    pub closed: u64,
    /// Closed as `discarded`.
    pub discarded: u64,
    /// With a later deadline, by a request or the next step.
    pub extended: u64,
    /// Failed, or closed as `failed`.
    pub failed: u64,
    /// Failed items that were retried.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retried: u64,
    /// In the same trouble, but in another group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moved: u64,
    /// Held runs that began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl OutcomeCounts {
    pub const fn total(&self) -> u64 {
        let Self { closed, discarded, extended, failed, retried, moved, released } = *self;
        closed + discarded + extended + failed + retried + moved + released
    }

    /// Words and counts, without zeros.
    pub fn words(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self { closed, discarded, extended, failed, retried, moved, released } = *self;
        let all = [
            ("closed", closed),
            ("discarded", discarded),
            ("extended", extended),
            ("failed", failed),
            ("retried", retried),
            ("moved", moved),
            ("released", released),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Those after `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            closed: self.closed.saturating_sub(earlier.closed),
            discarded: self.discarded.saturating_sub(earlier.discarded),
            extended: self.extended.saturating_sub(earlier.extended),
            failed: self.failed.saturating_sub(earlier.failed),
            retried: self.retried.saturating_sub(earlier.retried),
            moved: self.moved.saturating_sub(earlier.moved),
            released: self.released.saturating_sub(earlier.released),
        }
    }
}

/// The incident that the items of a resolved one are in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuation {
    pub incident: IncidentId,
    pub kind: IncidentKind,
}

/// The items of one workflow and group that are in trouble of one kind.
///
/// The live count is derived from the items. What is stored was valid at the last commit: at the opening, a
/// notification, or the resolution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    #[serde(flatten)]
    pub key: IncidentKey,
    pub status: IncidentStatus,
    pub severity: Severity,
    /// When its first item was found.
    pub opened_at: Timestamp,
    /// When it began again after a short end.
    #[serde(default)]
    pub reopened_at: Option<Timestamp>,
    /// The times of its reopenings, oldest first, at most [`REOPENINGS_KEPT`].
    #[serde(default)]
    pub reopenings: Vec<Timestamp>,
    /// When its last item left.
    pub resolved_at: Option<Timestamp>,
    /// Since when it has no items, while its resolution waits for the notification of another incident.
    #[serde(default)]
    pub ending_since: Option<Timestamp>,
    /// The outcomes of its items since it last began; `None` for missed starts, or if they were not counted
    /// then.
    #[serde(default, rename = "became")]
    pub outcomes: Option<OutcomeCounts>,
    /// When `outcomes` was last committed.
    #[serde(default)]
    pub counted_at: Option<Timestamp>,
    /// Where its items are after its end, if they are in trouble.
    #[serde(default)]
    pub continued_in: Option<Continuation>,
    /// The items at the last commit.
    pub count: u64,
    /// The highest known count.
    pub peak: u64,
    /// The earliest deadline of its items.
    pub oldest_deadline: Option<Timestamp>,
    /// Items by step; the empty name stands for items without a step.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// For missed starts only.
    #[serde(default)]
    pub missed: Option<Missed>,
    /// The last notification.
    pub notified_at: Option<Timestamp>,
    /// The first notification since it last began.
    #[serde(default)]
    pub first_notified_at: Option<Timestamp>,
    /// The count of the last notification.
    pub notified_count: u64,
    /// The steps that were notified.
    pub notified_steps: BTreeSet<Arc<str>>,
    /// The receivers that were notified, and will be of the resolution.
    pub told: BTreeSet<Arc<str>>,
    /// The levels of escalation that it has reached.
    #[serde(default)]
    pub escalations: usize,
    /// Whether a silence or snooze delays a notification.
    #[serde(default)]
    pub muted: bool,
    /// The number of notifications, which numbers them.
    #[serde(default)]
    pub notifications: u64,
    #[serde(default)]
    pub acknowledged: bool,
    #[serde(default)]
    pub snoozed_until: Option<Timestamp>,
    /// Actions of people, oldest first; at most [`ACTIONS_KEPT`].
    #[serde(default)]
    pub actions: Vec<Action>,
}

impl Incident {
    /// Its opening, or its last reopening.
    pub fn began_at(&self) -> Timestamp {
        self.reopened_at.unwrap_or(self.opened_at)
    }

    /// Whether it has no items, even if its resolution is not notified yet.
    pub fn is_over(&self) -> bool {
        self.status == IncidentStatus::Resolved || self.ending_since.is_some()
    }

    /// Records an action.
    pub fn record_action(&mut self, action: Action) {
        match action.kind {
            ActionKind::Acknowledge => self.acknowledged = true,
            ActionKind::Snooze { until } => self.snoozed_until = Some(until),
            ActionKind::Comment => {}
        }
        self.actions.push(action);
        let surplus = self.actions.len().saturating_sub(ACTIONS_KEPT);
        self.actions.drain(..surplus);
    }

    /// The latest acknowledgement, if it is still valid.
    pub fn acknowledgement(&self) -> Option<&Action> {
        let acknowledges = |action: &&Action| action.kind == ActionKind::Acknowledge;
        self.actions.iter().rev().find(acknowledges).filter(|_| self.acknowledged)
    }
}
