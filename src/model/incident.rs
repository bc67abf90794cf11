//! Incidents: what people are told about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use warden_api::limit::{ACTIONS_KEPT, COMMENT_MAX, PERSON_MAX};
pub use warden_api::word::{IncidentKind, IncidentStatus, WaitingFor};

use super::item::Labels;
use super::{Missed, Severity, Timestamp, WorkflowName};

/// How many of the latest reopenings an incident keeps.
pub const REOPENINGS_KEPT: usize = 20;
/// `inc_` and a UUIDv7, so that ids sort by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub Arc<str>);

/// The labels by which a workflow's items are split into several incidents, with the values that the items of one share.
/// Empty where the workflow is not split, and for the one incident that takes what is left when there are too many.
pub type Group = BTreeMap<Arc<str>, Arc<str>>;

/// The group of an item with these labels: a label that it lacks counts as empty.
pub fn group_of(labels: &Labels, group_by: &[Arc<str>]) -> Group {
    let value =
        |name: &Arc<str>| labels.get(&**name).map_or_else(Arc::default, |value| value.as_str().into());
    group_by.iter().map(|name| (name.clone(), value(name))).collect()
}

/// What there is one incident for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentKey {
    /// The workflow.
    pub workflow: WorkflowName,
    /// What is wrong.
    pub kind: IncidentKind,
    /// Which of the workflow's items.
    #[serde(default)]
    pub group: Group,
}

/// What a person did about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What.
    #[serde(flatten)]
    pub kind: ActionKind,
    /// Who.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// What they said to it.
    pub comment: Option<Arc<str>>,
}

/// What people do about incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ActionKind {
    /// Somebody looks after it: it is not escalated any further.
    Acknowledge,
    /// It is to be told again from then on.
    Snooze {
        /// When that is.
        until: Timestamp,
    },
    /// Somebody noted something.
    Comment,
}

/// What became of the items that an incident held, as they left it. One that left and came back counts each time that it
/// left, but for one that failed and was sent back: that has not failed after all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Became {
    /// Closed as done.
    pub closed: u64,
    /// Closed as given up.
    pub discarded: u64,
    /// Their deadline was moved, by hand or by the next step.
    pub extended: u64,
    /// They failed, or were closed as failed.
    pub failed: u64,
    /// They had failed and were sent back to be done again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retried: u64,
    /// They are as wrong as before, in another group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moved: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Became {
    /// How many left in all.
    pub const fn total(&self) -> u64 {
        let Self { closed, discarded, extended, failed, retried, moved } = *self;
        closed + discarded + extended + failed + retried + moved
    }

    /// What happened to how many, as far as it happened to any.
    pub fn words(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self { closed, discarded, extended, failed, retried, moved } = *self;
        let all = [
            ("closed", closed),
            ("discarded", discarded),
            ("extended", extended),
            ("failed", failed),
            ("retried", retried),
            ("moved", moved),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Those that left since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            closed: self.closed.saturating_sub(earlier.closed),
            discarded: self.discarded.saturating_sub(earlier.discarded),
            extended: self.extended.saturating_sub(earlier.extended),
            failed: self.failed.saturating_sub(earlier.failed),
            retried: self.retried.saturating_sub(earlier.retried),
            moved: self.moved.saturating_sub(earlier.moved),
        }
    }
}

/// The incident in which the same items are in trouble after an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuation {
    /// Its id.
    pub incident: IncidentId,
    /// What is wrong with them there.
    pub kind: IncidentKind,
}

/// All items of one workflow and group that are wrong in one way, as people are told about them.
///
/// The live count is derived from the items and not written for each of them; what stands here is what was
/// true when the incident was last committed: at its opening, at each notification, at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// What it is for.
    #[serde(flatten)]
    pub key: IncidentKey,
    /// Whether anything is left of it.
    pub status: IncidentStatus,
    /// How bad it is, from the workflow's policy.
    pub severity: Severity,
    /// When its first item was noticed.
    pub opened_at: Timestamp,
    /// When it began anew, if it was resolved for a short while only.
    #[serde(default)]
    pub reopened_at: Option<Timestamp>,
    /// When it began anew before, and the last time; the oldest first, at most [`REOPENINGS_KEPT`].
    #[serde(default)]
    pub reopenings: Vec<Timestamp>,
    /// When its last item was closed or extended.
    pub resolved_at: Option<Timestamp>,
    /// Since when nothing is left of it, while its end waits for another incident to be told first.
    #[serde(default)]
    pub ending_since: Option<Timestamp>,
    /// What became of its items since it last began; nothing if it is not about items, or began before that was counted.
    #[serde(default)]
    pub became: Option<Became>,
    /// When that was last committed.
    #[serde(default)]
    pub counted_at: Option<Timestamp>,
    /// Where the trouble goes on after its end, if it does.
    #[serde(default)]
    pub continued_in: Option<Continuation>,
    /// How many items it held when it was last committed.
    pub count: u64,
    /// The most it is known to have held.
    pub peak: u64,
    /// The earliest deadline among its items.
    pub oldest_deadline: Option<Timestamp>,
    /// Its items by the step at which they are stuck; the empty name stands for items without one.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// What was expected and is missed, if that is what it is about.
    #[serde(default)]
    pub missed: Option<Missed>,
    /// When people were last told, if they were.
    pub notified_at: Option<Timestamp>,
    /// When people were first told that it is open, since it last began.
    #[serde(default)]
    pub first_notified_at: Option<Timestamp>,
    /// The count they were told.
    pub notified_count: u64,
    /// The steps they were told.
    pub notified_steps: BTreeSet<Arc<str>>,
    /// The receivers that were told, and are owed the end of the story.
    pub told: BTreeSet<Arc<str>>,
    /// How many levels of its workflow's escalation it has reached.
    #[serde(default)]
    pub escalations: usize,
    /// Whether a notification is held back by a silence or a snooze, and owed when that ends.
    #[serde(default)]
    pub muted: bool,
    /// How many times people were told anything; it numbers the notifications.
    #[serde(default)]
    pub notifications: u64,
    /// Whether somebody looks after it.
    #[serde(default)]
    pub acknowledged: bool,
    /// Until when nobody is to be told, if somebody said so.
    #[serde(default)]
    pub snoozed_until: Option<Timestamp>,
    /// What people did about it, oldest first; at most [`ACTIONS_KEPT`].
    #[serde(default)]
    pub actions: Vec<Action>,
}

impl Incident {
    /// When its present life began: at its opening, or at the reopening after a short end.
    pub fn began_at(&self) -> Timestamp {
        self.reopened_at.unwrap_or(self.opened_at)
    }

    /// Whether nothing is left of it, be it told or about to be.
    pub fn is_over(&self) -> bool {
        self.status == IncidentStatus::Resolved || self.ending_since.is_some()
    }

    /// Takes note of what a person did.
    pub fn act(&mut self, action: Action) {
        match action.kind {
            ActionKind::Acknowledge => self.acknowledged = true,
            ActionKind::Snooze { until } => self.snoozed_until = Some(until),
            ActionKind::Comment => {}
        }
        self.actions.push(action);
        let surplus = self.actions.len().saturating_sub(ACTIONS_KEPT);
        self.actions.drain(..surplus);
    }

    /// The latest acknowledgement, while it holds.
    pub fn acknowledgement(&self) -> Option<&Action> {
        let acknowledges = |action: &&Action| action.kind == ActionKind::Acknowledge;
        self.actions.iter().rev().find(acknowledges).filter(|_| self.acknowledged)
    }
}
