//! Other policies take the place of those in force.
//!
//! They are replaced under the lock, so that every item added later is placed by the new ones. Items that are
//! here already stay where they are, except those of workflows that are split by other labels or redriven
//! otherwise. The census keeps no labels, so the caller reads these items from the store and has them placed
//! anew, in batches. An item that changes in the meantime is placed anew by its change.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use super::classes::Class;
use super::refile::Left;
use super::{Census, State};
use crate::model::incident::group_of;
use crate::model::{Event, IndexedItem, ItemNumber, Moment, WorkflowName};
use crate::warden::workflows::PolicySet;

impl Census {
    /// Puts these policies in force. Returns the items of each workflow that are to be placed anew.
    pub fn adopt(&self, policies: Arc<PolicySet>) -> Vec<(WorkflowName, Vec<ItemNumber>)> {
        let mut state = self.lock();
        let state = &mut *state;
        let former = state.policies.replace(policies.clone());
        state.closed.limit(|workflow| policies.policy(workflow).retention_max);
        let begun: HashSet<WorkflowName> =
            state.redrivable.adopt(state.policies.redriving()).into_iter().collect();
        let mut moving = Vec::new();
        for (name, census) in &mut state.workflows {
            let group_by = &policies.policy(name).alerting.group_by;
            let is_split_otherwise = *census.group_by != **group_by;
            // Items may be left from the last time, if that was interrupted.
            if is_split_otherwise || begun.contains(name) || census.regrouped.is_some() {
                census.group_by = group_by.as_slice().into();
                census.regrouped = Some(HashSet::new());
                moving.push((name.clone(), state.claimable.of(name)));
            }
        }
        let listened = |name: &&WorkflowName| former.policy(name).events.wanted().contains(Event::RunOverdue);
        let names: Vec<WorkflowName> =
            state.workflows.keys().filter(|name| !listened(name)).cloned().collect();
        names.iter().for_each(|name| state.note_overdue(name));
        self.wake(state);
        moving
    }

    /// Places these items anew, unless they have changed since [`Census::adopt`].
    pub fn place_anew(&self, items: &[IndexedItem]) {
        let mut state = self.lock();
        // Read under the lock, as for changes.
        let moment = self.clock.moment();
        for item in items {
            state.place_anew(item, moment);
        }
        self.wake(&mut state);
    }

    /// All items of the workflow that [`Census::adopt`] named were placed anew.
    pub fn placed_anew(&self, workflow: &WorkflowName) {
        if let Some(census) = self.lock().workflows.get_mut(workflow) {
            census.regrouped = None;
        }
    }
}

impl State {
    fn place_anew(&mut self, item: &IndexedItem, moment: Moment) {
        let Some(census) = self.workflows.get(&item.workflow) else { return };
        if census.regrouped.as_ref().is_none_or(|regrouped| regrouped.contains(&item.number)) {
            return;
        }
        let group = group_of(&item.labels, &census.group_by);
        let deadline = self.wall_places.deadline(item);
        // What was read may be newer than what the census was told. Then the change is still to come.
        let Some((left, class)) = self.take_out(&item.workflow, (deadline, item.number)) else { return };
        let class = Class { group, ..class };
        match left {
            Left::Timer => drop(self.put_open(item.number, &class, deadline, moment.now)),
            Left::Incident(left) => self.put_back(item.number, &class, deadline, left, moment.now),
        }
    }
}
