//! Workflows of which nothing is left: what is kept of them goes, and they are named to whoever has them forgotten.
//!
//! That a workflow is named here is a hint. Whether anything is left of it, an open incident among other things, is for the
//! store to say.

use super::workflow::WorkflowCensus;
use super::{Census, State};
use crate::model::WorkflowName;

impl Census {
    /// At most `limit` workflows that were made on first use and have had no item since they were last asked for.
    pub fn take_emptied(&self, limit: usize) -> Vec<WorkflowName> {
        let emptied = &mut self.lock().emptied;
        std::iter::from_fn(|| emptied.pop_first()).take(limit).collect()
    }

    /// Has all workflows that were made on first use and have no items named again: something else may have been left of
    /// them, or be so no longer.
    pub fn name_emptied_again(&self) {
        let state = &mut *self.lock();
        for name in state.policies.made() {
            state.note_emptied(&name);
        }
    }
}

impl State {
    fn has_items(&self, name: &WorkflowName) -> bool {
        self.workflows.get(name).is_some_and(|census| !census.is_empty()) || self.closed.count(name) > 0
    }

    /// Takes note that the last item of a workflow may be gone.
    pub(super) fn note_emptied(&mut self, name: &WorkflowName) {
        if !self.has_items(name) && self.policies.is_made(name) {
            self.emptied.insert(name.clone());
        }
    }

    /// Keeps nothing of a workflow without unclosed items whose name nobody keeps.
    pub(super) fn drop_unknown(&mut self, name: &WorkflowName) {
        let is_empty = self.workflows.get(name).is_some_and(WorkflowCensus::is_empty);
        if is_empty && !self.policies.contains(name) {
            self.workflows.remove(name);
        }
    }

    /// A workflow is forgotten. Its figures go with it, also if it is there again by the end of the same commit.
    pub(super) fn forget_workflow(&mut self, name: &WorkflowName) {
        self.emptied.remove(name);
        let is_empty = self.workflows.get(name).is_some_and(WorkflowCensus::is_empty);
        if is_empty && !self.policies.is_configured(name) {
            self.workflows.remove(name);
        }
    }
}
