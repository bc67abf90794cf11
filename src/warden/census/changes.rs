//! Applies committed changes, and counts the outcome of items that leave an incident.

use super::classes::Class;
use super::placed::Placed;
use super::workflow::Event;
use super::{Census, State};
use crate::model::incident::group_of;
use crate::model::item::Status;
use crate::model::run::HeldFor;
use crate::model::{IncidentKey, IncidentKind, IncidentStatus, IndexedItem, ItemState, Moment, Timestamp};
use crate::store::{Change, Document, DocumentId, Observer};

impl State {
    /// Applies a change that concerns only lease and back-off, and so cannot affect an incident. These are by
    /// far the most frequent ones during a recovery. Returns false for any other change.
    fn apply_lease_change(&mut self, before: &IndexedItem, after: &IndexedItem, now: Timestamp) -> bool {
        let leased = IndexedItem { free_at: after.free_at, attempts: after.attempts, ..before.clone() };
        if leased != *after {
            return false;
        }
        let Some(census) = self.workflows.get(&after.workflow) else { return false };
        let group = group_of(&after.labels, &census.group_by);
        let placed = Placed::new(after, self.wall_places.deadline(after));
        let state = match after.status {
            Status::Failed if census.failed.contains(&group, placed) => ItemState::Failed,
            Status::Open if census.overdue.contains(&group, placed) => ItemState::Overdue,
            Status::Open if self.wheel.contains(after.number.0) => ItemState::Open,
            _ => return false,
        };
        self.claimed.note(after);
        self.redrivable.put(placed, state);
        let stood = Placed { free_at: before.free_at, ..placed };
        self.claimable.hold(stood, after.status == Status::Failed, after.free_at, now);
        true
    }

    /// Removes an item. Returns its incident.
    fn remove(&mut self, indexed: &IndexedItem) -> Option<IncidentKey> {
        let placed = Placed::new(indexed, self.wall_places.deadline(indexed));
        let mut remove_unclosed = |kind| {
            self.claimable.remove(placed, kind == IncidentKind::Failed);
            let census = self.workflows.get_mut(&indexed.workflow)?;
            census.unclosed -= 1;
            census.held_count -= u64::from(kind == IncidentKind::Held);
            if let Some(until) = indexed.interrupted_until {
                census.interrupted.remove(&(until, indexed.number));
            }
            let group = group_of(&indexed.labels, &census.group_by);
            census.remove_troubled(kind, group, placed)
        };
        let troubled = match indexed.status {
            Status::Open => remove_unclosed(IncidentKind::Overdue),
            Status::Failed => remove_unclosed(IncidentKind::Failed),
            Status::Held(_) => remove_unclosed(IncidentKind::Held),
            Status::Closed { record_until, payload_until, .. } => {
                self.closed.remove(&indexed.workflow, record_until, indexed.number);
                if let Some(until) = payload_until {
                    self.kept_payloads.remove(&(until, indexed.number));
                }
                None
            }
        };
        self.wall_places.forget(indexed.number);
        self.claimed.forget(indexed.number);
        self.redrivable.remove(indexed.number);
        if matches!(indexed.status, Status::Open | Status::Held(_)) && troubled.is_none() {
            self.cancel_timer(indexed.number);
        }
        self.touched.extend(troubled.clone());
        troubled
    }

    /// Adds an item. Returns its incident.
    fn add(&mut self, indexed: &IndexedItem, moment: Moment) -> Option<IncidentKey> {
        if let Status::Closed { record_until, payload_until, .. } = indexed.status {
            let most = self.policies.policy(&indexed.workflow).retention_max;
            self.closed.insert(&indexed.workflow, record_until, indexed.number, most);
            if let Some(until) = payload_until {
                self.kept_payloads.insert((until, indexed.number));
            }
            return None;
        }
        let census = self.workflow(&indexed.workflow);
        census.unclosed += 1;
        census.held_count += u64::from(matches!(indexed.status, Status::Held(_)));
        if let Some(regrouped) = &mut census.regrouped {
            regrouped.insert(indexed.number);
        }
        if let Some(until) = indexed.interrupted_until {
            census.interrupted.insert((until, indexed.number));
        }
        let class = Class {
            workflow: indexed.workflow.clone(),
            group: group_of(&indexed.labels, &census.group_by),
            step: indexed.step.clone(),
            kind: match indexed.status {
                Status::Held(_) => IncidentKind::Held,
                _ => IncidentKind::Overdue,
            },
        };
        self.claimed.note(indexed);
        let deadline = self.wall_places.place(indexed, moment);
        let policy = self.policies.policy(&indexed.workflow);
        let is_failed = indexed.status == Status::Failed;
        let placed = Placed::new(indexed, deadline);
        self.claimable.put(placed, is_failed, |step| policy.step(step).is_some(), moment.now);
        match indexed.status {
            Status::Failed => Some(self.put_failed(indexed.number, &class, deadline)),
            // It is a person's to decide about. One that waits for other runs is nobody's, unless it waits
            // for longer than it would have had.
            Status::Held(HeldFor::Hold) => Some(self.put_held(indexed.number, &class, deadline)),
            _ => self.put_open(indexed.number, &class, deadline, moment.now),
        }
    }
}

impl Observer for Census {
    fn committed(&self, changes: &[Change]) {
        let mut state = self.lock();
        // Read under the lock: a refile either comes first and has updated the offset, or comes later and
        // finds the items added here.
        let moment = self.clock.moment();
        for change in changes {
            match change {
                Change::Item { before, after } => {
                    self.apply(&mut state, before.as_ref(), after.as_ref(), moment);
                }
                // It was open when the last process ended.
                Change::Put(Document::Incident(incident))
                    if !state.recovered && incident.status == IncidentStatus::Open =>
                {
                    state.accounts.count_on(incident, moment.now);
                }
                Change::Put(Document::RunHistory(workflow, _)) => state.note_runs(workflow),
                Change::Removed(DocumentId::RunHistory(workflow)) => state.forget_runs(workflow),
                Change::Removed(DocumentId::Workflow(name)) => state.forget_workflow(name),
                Change::Step { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
        self.wake(&mut state);
    }
}

impl Census {
    fn apply(
        &self,
        state: &mut State,
        before: Option<&IndexedItem>,
        after: Option<&IndexedItem>,
        moment: Moment,
    ) {
        if let (Some(before), Some(after)) = (before, after)
            && state.apply_lease_change(before, after, moment.now)
        {
            return;
        }
        let left = before.and_then(|before| state.remove(before));
        let entered = after.and_then(|after| state.add(after, moment));
        state.accounts.note(before, after, left, entered, moment);
        if let Some(after) = after.filter(|_| state.recovered)
            && let Some(event) = Event::of(before, after)
        {
            state.workflow(&after.workflow).count(event);
        }
        match (before, after) {
            (Some(before), None) => {
                state.drop_unknown(&before.workflow);
                state.note_emptied(&before.workflow);
            }
            (Some(before), Some(_)) => state.drop_unknown(&before.workflow),
            (None, _) => {}
        }
    }
}
