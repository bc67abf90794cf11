//! Placing items anew when the wall clock was set.
//!
//! Only items whose deadline is an instant of the wall clock move. They are read again and placed bit by bit, so that the
//! committing thread does not wait for all of them. An item of which a change is told meanwhile is placed by that, and
//! what was read of it counts no more.

use super::{Census, State};
use crate::model::{IncidentKey, IncidentKind, Item, ItemNumber, ItemState, Timestamp, WorkflowName};

impl Census {
    /// The next items, at most `limit`, that are placed by the wall clock, after one of them. They are to be looked up and
    /// handed to [`Census::refile`].
    pub fn placed_by_wall(&self, after: Option<ItemNumber>, limit: usize) -> Vec<ItemNumber> {
        let mut state = self.lock();
        let numbers = state.wall_places.after(after, limit);
        state.refiling = numbers.iter().copied().collect();
        numbers
    }

    /// Places items anew whose deadline is elsewhere by now. Those of which a change was told since they were named
    /// by [`Census::placed_by_wall`] are passed over.
    pub fn refile(&self, items: &[Item]) {
        let mut state = self.lock();
        let moment = self.clock.moment();
        for item in items {
            if !state.refiling.remove(&item.number) {
                continue;
            }
            let place = moment.steady(item.deadline);
            // One that has fired is placed when it is confirmed.
            let moved = state.wall_places.get(item.number).filter(|stood| *stood != place);
            if let Some(stood) = moved.filter(|_| !state.fired.contains(&item.number)) {
                let left = state.take_out(&item.workflow, (stood, item.number));
                let entered = match item.state(moment) {
                    ItemState::Failed => Some(state.place_failed(&item.standing(), moment)),
                    open @ (ItemState::Open | ItemState::Overdue) => {
                        state.place_open(&item.standing(), open, moment)
                    }
                    // Its close is told in a moment.
                    ItemState::Held | ItemState::Closed => None,
                };
                state.accounts.note(None, Some(&item.standing()), left, entered, moment);
            }
        }
        self.wake(&mut state);
    }
}

impl State {
    /// Takes an unclosed item out of where it stands, whatever has become of its labels since.
    /// The incident that it belonged to.
    pub(super) fn take_out(
        &mut self,
        workflow: &WorkflowName,
        place: (Timestamp, ItemNumber),
    ) -> Option<IncidentKey> {
        self.wall_places.forget(place.1);
        self.wheel.cancel(place.1.0);
        self.claimable.remove(place.1);
        self.redrivable.remove(place.1);
        let census = self.workflows.get_mut(workflow)?;
        let overdue = census.overdue.remove_at(place).map(|group| (IncidentKind::Overdue, group));
        let failed = census.failed.remove_at(place).map(|group| (IncidentKind::Failed, group));
        let (kind, group) = overdue.or(failed)?;
        let key = IncidentKey { workflow: workflow.clone(), kind, group };
        self.touched.insert(key.clone());
        Some(key)
    }
}
