//! The census of one workflow, and its aggregate counts.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::placed::Placed;
use super::troubled::{GROUPS_MAX, Groups, Troubled};
use crate::model::item::Status;
use crate::model::{Group, IncidentKey, IncidentKind, IndexedItem, ItemNumber, Policy, Timestamp};

/// Aggregate counts of a workflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not closed: in time, overdue, failed or held.
    pub unclosed: u64,
    pub overdue: u64,
    /// The earliest deadline of the overdue items.
    pub oldest_overdue: Option<Timestamp>,
    pub failed: u64,
    /// Interrupted, whether overdue or not.
    pub interrupted: u64,
    /// Runs that have not begun.
    pub held: u64,
    /// Closed, within their retention.
    pub closed: u64,
    /// Since the start, or since the workflow was created if that is later.
    pub created_total: u64,
    /// Likewise.
    pub closed_total: u64,
}

/// Open items and counters of a workflow. Kept as long as there are such items, or the workflow is known.
#[derive(Debug, Default)]
pub(super) struct WorkflowCensus {
    pub(super) group_by: Arc<[Arc<str>]>,
    pub(super) unclosed: u64,
    pub(super) overdue: Groups,
    pub(super) failed: Groups,
    /// Runs that are held because the workflow is on hold, or have waited for others for longer than they
    /// would have had.
    pub(super) held: Groups,
    /// All runs that are held.
    pub(super) held_count: u64,
    /// Interrupted items by the end of the interruption. Those that ended may still be here.
    pub(super) interrupted: BTreeSet<(Timestamp, ItemNumber)>,
    created_total: u64,
    closed_total: u64,
    /// While items are regrouped: those that need not be any more. The others are in the groups of the former
    /// labels.
    pub(super) regrouped: Option<HashSet<ItemNumber>>,
}

impl WorkflowCensus {
    pub(super) fn new(policy: &Policy) -> Self {
        Self { group_by: policy.alerting.group_by.as_slice().into(), ..Self::default() }
    }

    /// `closed` is the number of closed items.
    pub(super) fn tally(&mut self, closed: u64, now: Timestamp) -> Tally {
        while self.interrupted.first().is_some_and(|(until, _)| *until <= now) {
            self.interrupted.pop_first();
        }
        Tally {
            interrupted: self.interrupted.len() as u64,
            unclosed: self.unclosed,
            overdue: self.overdue.len(),
            oldest_overdue: self.overdue.oldest(),
            failed: self.failed.len(),
            held: self.held_count,
            closed,
            created_total: self.created_total,
            closed_total: self.closed_total,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unclosed == 0 && self.overdue.is_empty() && self.failed.is_empty() && self.held.is_empty()
    }

    pub(super) fn groups(&self, kind: IncidentKind) -> Option<&Groups> {
        match kind {
            IncidentKind::Overdue => Some(&self.overdue),
            IncidentKind::Failed => Some(&self.failed),
            IncidentKind::Held => Some(&self.held),
            IncidentKind::Missed => None,
        }
    }

    fn groups_mut(&mut self, kind: IncidentKind) -> &mut Groups {
        match kind {
            IncidentKind::Failed => &mut self.failed,
            IncidentKind::Held => &mut self.held,
            IncidentKind::Overdue | IncidentKind::Missed => &mut self.overdue,
        }
    }

    pub(super) fn troubled(&self, key: &IncidentKey) -> Option<&Troubled> {
        self.groups(key.kind)?.get(&key.group)
    }

    /// Adds an overdue, failed or held item. Returns its incident.
    pub(super) fn add_troubled(
        &mut self,
        kind: IncidentKind,
        group: Group,
        placed: Placed<'_>,
    ) -> IncidentKey {
        // While items are regrouped, former groups count beside the new ones.
        let most = if self.regrouped.is_some() { 2 * GROUPS_MAX } else { GROUPS_MAX };
        let group = self.groups_mut(kind).insert(group, placed, most);
        IncidentKey { workflow: placed.workflow.clone(), kind, group }
    }

    /// Returns the incident that the item was in.
    pub(super) fn remove_troubled(
        &mut self,
        kind: IncidentKind,
        group: Group,
        placed: Placed<'_>,
    ) -> Option<IncidentKey> {
        let is_regrouping = self.regrouped.is_some();
        let groups = self.groups_mut(kind);
        let group = match groups.remove(group, placed) {
            Some(group) => group,
            None if is_regrouping => groups.remove_at((placed.deadline, placed.number))?.0,
            None => return None,
        };
        Some(IncidentKey { workflow: placed.workflow.clone(), kind, group })
    }

    pub(super) fn count(&mut self, event: Event) {
        match event {
            Event::Created => self.created_total += 1,
            Event::Closed => self.closed_total += 1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Created,
    Closed,
}

impl Event {
    /// The event of a change. The tombstone of an item that was never created counts as neither.
    pub(super) fn of(before: Option<&IndexedItem>, after: &IndexedItem) -> Option<Self> {
        let is_closed = |indexed: &IndexedItem| matches!(indexed.status, Status::Closed { .. });
        match before {
            None if !is_closed(after) => Some(Self::Created),
            Some(before) if !is_closed(before) && is_closed(after) => Some(Self::Closed),
            _ => None,
        }
    }
}
