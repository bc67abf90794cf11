//! What the census has of one workflow, and the figures that it shows of it.

use std::sync::Arc;

use super::placed::Placed;
use super::troubled::{Groups, Troubled};
use crate::model::item::Status;
use crate::model::{Group, IncidentKey, IncidentKind, Policy, Standing, Timestamp};

/// What is known of a workflow's items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not closed: all of them, whether in time, overdue or failed.
    pub unclosed: u64,
    /// Past their deadline.
    pub overdue: u64,
    /// The earliest deadline among those; nothing when none is overdue.
    pub oldest_overdue: Option<Timestamp>,
    /// Failed.
    pub failed: u64,
    /// Closed and remembered.
    pub closed: u64,
    /// Created since the start, or since the workflow was made if it was forgotten before.
    pub created_total: u64,
    /// Closed since then.
    pub closed_total: u64,
}

/// A workflow's unclosed items, and how many there were. It is there as long as there are such items, or the workflow has a
/// name that is kept.
#[derive(Debug, Default)]
pub(super) struct WorkflowCensus {
    pub(super) group_by: Arc<[Arc<str>]>,
    pub(super) unclosed: u64,
    pub(super) overdue: Groups,
    pub(super) failed: Groups,
    created_total: u64,
    closed_total: u64,
}

impl WorkflowCensus {
    pub(super) fn new(policy: &Policy) -> Self {
        Self { group_by: policy.alerting.group_by.as_slice().into(), ..Self::default() }
    }

    /// The figures, with so many closed items that are remembered.
    pub(super) fn tally(&self, closed: u64) -> Tally {
        Tally {
            unclosed: self.unclosed,
            overdue: self.overdue.len(),
            oldest_overdue: self.overdue.oldest(),
            failed: self.failed.len(),
            closed,
            created_total: self.created_total,
            closed_total: self.closed_total,
        }
    }

    /// Whether it has no items.
    pub(super) fn is_empty(&self) -> bool {
        self.unclosed == 0 && self.overdue.is_empty() && self.failed.is_empty()
    }

    pub(super) fn groups(&self, kind: IncidentKind) -> Option<&Groups> {
        match kind {
            IncidentKind::Overdue => Some(&self.overdue),
            IncidentKind::Failed => Some(&self.failed),
            IncidentKind::Missed | IncidentKind::Held => None,
        }
    }

    pub(super) fn troubled(&self, key: &IncidentKey) -> Option<&Troubled> {
        self.groups(key.kind)?.get(&key.group)
    }

    /// Counts an item among those that are wrong in this way; the incident that it belongs to.
    pub(super) fn add_troubled(
        &mut self,
        kind: IncidentKind,
        group: Group,
        placed: Placed<'_>,
    ) -> IncidentKey {
        let groups = if kind == IncidentKind::Failed { &mut self.failed } else { &mut self.overdue };
        IncidentKey { workflow: placed.workflow.clone(), kind, group: groups.insert(group, placed) }
    }

    /// Takes it out again; the incident that it belonged to, if it counted.
    pub(super) fn remove_troubled(
        &mut self,
        kind: IncidentKind,
        group: Group,
        placed: Placed<'_>,
    ) -> Option<IncidentKey> {
        let groups = if kind == IncidentKind::Failed { &mut self.failed } else { &mut self.overdue };
        let group = groups.remove(group, placed)?;
        Some(IncidentKey { workflow: placed.workflow.clone(), kind, group })
    }

    /// Counts an item that was created or closed.
    pub(super) fn count(&mut self, event: Event) {
        match event {
            Event::Created => self.created_total += 1,
            Event::Closed => self.closed_total += 1,
        }
    }
}

/// What is counted of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Created,
    Closed,
}

impl Event {
    /// What a change is counted as, if it is. The tombstone of an item that nobody ever created is neither.
    pub(super) fn of(before: Option<&Standing>, after: &Standing) -> Option<Self> {
        let is_closed = |standing: &Standing| matches!(standing.status, Status::Closed { .. });
        match before {
            None if !is_closed(after) => Some(Self::Created),
            Some(before) if !is_closed(before) && is_closed(after) => Some(Self::Closed),
            _ => None,
        }
    }
}
