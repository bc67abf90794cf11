//! Unused workflows: their counters are dropped, and they are named as candidates for removal.
//!
//! A candidate is a hint. Only the store knows whether anything is left, such as an open incident.

use super::workflow::WorkflowCensus;
use super::{Census, State};
use crate::model::WorkflowName;

impl Census {
    /// Workflows created on first use that have become empty since the last call.
    pub fn take_emptied(&self, limit: usize) -> Vec<WorkflowName> {
        let emptied = &mut self.lock().emptied;
        std::iter::from_fn(|| emptied.pop_first()).take(limit).collect()
    }

    /// Makes all empty workflows that were created on first use candidates again: whatever else kept them may
    /// be gone.
    pub fn name_emptied_again(&self) {
        let state = &mut *self.lock();
        for name in state.policies.created_on_first_use() {
            state.note_emptied(&name);
        }
    }
}

impl State {
    fn has_items(&self, name: &WorkflowName) -> bool {
        self.workflows.get(name).is_some_and(|census| !census.is_empty()) || self.closed.count(name) > 0
    }

    /// Makes a workflow a candidate if its last item is gone.
    pub(super) fn note_emptied(&mut self, name: &WorkflowName) {
        if !self.has_items(name) && self.policies.is_created_on_first_use(name) {
            self.emptied.insert(name.clone());
        }
    }

    /// Drops the counters of an empty workflow that is not known.
    pub(super) fn drop_unknown(&mut self, name: &WorkflowName) {
        let is_empty = self.workflows.get(name).is_some_and(WorkflowCensus::is_empty);
        if is_empty && !self.policies.contains(name) {
            self.workflows.remove(name);
        }
    }

    /// A workflow was removed. Its counters are dropped, even if it was created again in the same commit.
    pub(super) fn forget_workflow(&mut self, name: &WorkflowName) {
        self.emptied.remove(name);
        let is_empty = self.workflows.get(name).is_some_and(WorkflowCensus::is_empty);
        if is_empty && !self.policies.is_configured(name) {
            self.workflows.remove(name);
        }
    }
}
