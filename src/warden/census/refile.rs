//! Refiling items when the wall clock was set.
//!
//! Only items whose deadline is an instant of the wall clock move. This is done in batches, so that the
//! committing thread does not wait for all of them.

use super::classes::Class;
use super::workflow::WorkflowCensus;
use super::{Census, State};
use crate::model::item::Status;
use crate::model::{ClockTime, IncidentKey, IncidentKind, ItemNumber, Moment, Timestamp, WorkflowName};

pub(super) enum Left {
    Timer,
    Incident(IncidentKey),
}

impl Census {
    /// Refiles the next items, at most `limit`, whose deadline is on the wall clock, after one of them.
    /// Returns the last one; `None` if there are no more.
    pub fn refile(&self, after: Option<ItemNumber>, limit: usize) -> Option<ItemNumber> {
        let mut state = self.lock();
        // Read under the lock: items added later use this moment or a later one.
        let moment = self.clock.moment();
        let numbers = state.wall_places.after(after, limit);
        for number in &numbers {
            state.refile(*number, moment);
        }
        self.wake(&mut state);
        numbers.last().copied()
    }
}

impl State {
    fn refile(&mut self, number: ItemNumber, moment: Moment) {
        let Some(place) = self.wall_places.get_mut(number) else { return };
        let deadline = moment.steady(ClockTime::on_wall(place.wall));
        let stood = std::mem::replace(&mut place.deadline, deadline);
        let workflow = place.workflow.clone();
        if stood == deadline {
            return;
        }
        let Some((left, class)) = self.take_out(&workflow, (stood, number)) else { return };
        self.claimable.postpone(self.placed(number, &class, stood), deadline);
        match left {
            Left::Timer => drop(self.put_open(number, &class, deadline, moment.now)),
            Left::Incident(left) => self.put_back(number, &class, deadline, left, moment.now),
        }
    }

    /// Adds an item that left an incident.
    pub(super) fn put_back(
        &mut self,
        number: ItemNumber,
        class: &Class,
        deadline: Timestamp,
        left: IncidentKey,
        now: Timestamp,
    ) {
        let (entered, status) = match left.kind {
            IncidentKind::Failed => (Some(self.put_failed(number, class, deadline)), Status::Failed),
            // Whether it is on hold or waits is not known here, and it stays in an incident.
            IncidentKind::Held => (Some(self.put_held(number, class, deadline)), Status::Open),
            _ => (self.put_open(number, class, deadline, now), Status::Open),
        };
        self.accounts.leave(&left, entered, status, now);
    }

    /// Removes an open item.
    pub(super) fn take_out(
        &mut self,
        workflow: &WorkflowName,
        place: (Timestamp, ItemNumber),
    ) -> Option<(Left, Class)> {
        if let Some(class) = self.cancel_timer(place.1) {
            return Some((Left::Timer, (*class).clone()));
        }
        let census = self.workflows.get_mut(workflow)?;
        let overdue = census.overdue.remove_at(place).map(|found| (IncidentKind::Overdue, found));
        let failed = |census: &mut WorkflowCensus| {
            census.failed.remove_at(place).map(|found| (IncidentKind::Failed, found))
        };
        let held = |census: &mut WorkflowCensus| {
            census.held.remove_at(place).map(|found| (IncidentKind::Held, found))
        };
        let found = overdue.or_else(|| failed(census)).or_else(|| held(census));
        let (kind, (group, step)) = found?;
        let key = IncidentKey { workflow: workflow.clone(), kind, group: group.clone() };
        self.touched.insert(key.clone());
        let class = match kind {
            IncidentKind::Held => kind,
            _ => IncidentKind::Overdue,
        };
        Some((Left::Incident(key), Class { workflow: workflow.clone(), group, step, kind: class }))
    }
}
