//! What there is of each workflow: how many items, closed ones included, and which open incidents.
//!
//! By it is judged whether a workflow that was made on first use may be forgotten, where commands are settled and without
//! looking for anything. It is derived, and counted anew when an engine opens.
//!
//! Deliberately absent: what outlives a workflow's name, or means it by a pattern. A silence holds for a workflow that comes
//! again, a replay has its items by number, and resolved incidents are history.

use std::collections::HashMap;

use super::{Document, DocumentId};
use crate::model::{Incident, IncidentId, IncidentStatus, WorkflowName};

/// What there is of one workflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    is_noted: bool,
    items: u64,
    open_incidents: u64,
}

/// What there is of all workflows. See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    /// Those of which there is anything.
    workflows: HashMap<WorkflowName, Held>,
    noted: usize,
    open_incidents: HashMap<IncidentId, WorkflowName>,
}

impl Holdings {
    /// Counts a document that was written.
    pub(super) fn put(&mut self, document: &Document) {
        match document {
            Document::Workflow(workflow) => self.note(&workflow.name),
            Document::Incident(incident) => self.put_incident(incident),
            _ => {}
        }
    }

    /// Counts a document no more that was removed.
    pub(super) fn remove(&mut self, id: &DocumentId) {
        match id {
            DocumentId::Workflow(name) => self.forget(name),
            DocumentId::Incident(id) => self.remove_incident(id),
            _ => {}
        }
    }

    /// How many workflows are noted.
    pub(super) fn noted(&self) -> usize {
        self.noted
    }

    /// Whether a workflow is noted.
    pub(super) fn is_noted(&self, workflow: &str) -> bool {
        self.workflows.get(workflow).is_some_and(|held| held.is_noted)
    }

    /// Whether anything is left of a workflow besides its name.
    pub(super) fn is_in_use(&self, workflow: &str) -> bool {
        self.workflows.get(workflow).is_some_and(|held| held.items > 0 || held.open_incidents > 0)
    }

    /// A workflow is noted.
    fn note(&mut self, workflow: &WorkflowName) {
        let held = self.workflows.entry(workflow.clone()).or_default();
        self.noted += usize::from(!held.is_noted);
        held.is_noted = true;
    }

    /// It is noted no longer.
    fn forget(&mut self, workflow: &WorkflowName) {
        self.noted -= usize::from(self.is_noted(workflow));
        self.change(workflow, |held| held.is_noted = false);
    }

    /// So many items of a workflow came.
    pub(super) fn add_items(&mut self, workflow: &WorkflowName, count: u64) {
        self.change(workflow, |held| held.items += count);
    }

    /// An item of a workflow is forgotten.
    pub(super) fn remove_item(&mut self, workflow: &WorkflowName) {
        self.change(workflow, |held| held.items = held.items.saturating_sub(1));
    }

    /// An incident was written.
    fn put_incident(&mut self, incident: &Incident) {
        if incident.status != IncidentStatus::Open {
            return self.remove_incident(&incident.id);
        }
        let workflow = &incident.key.workflow;
        if self.open_incidents.insert(incident.id.clone(), workflow.clone()).is_none() {
            self.change(workflow, |held| held.open_incidents += 1);
        }
    }

    /// An incident is open no longer, or forgotten.
    fn remove_incident(&mut self, id: &IncidentId) {
        if let Some(workflow) = self.open_incidents.remove(id) {
            self.change(&workflow, |held| held.open_incidents -= 1);
        }
    }

    /// Changes what there is of a workflow; nothing stays of one of which there is nothing.
    fn change(&mut self, workflow: &WorkflowName, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.workflows.get_mut(workflow) {
            change(held);
            if *held == Held::default() {
                self.workflows.remove(workflow);
            }
            return;
        }
        let mut held = Held::default();
        change(&mut held);
        if held != Held::default() {
            self.workflows.insert(workflow.clone(), held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_a_workflow_of_which_there_is_nothing() {
        let mut holdings = Holdings::default();
        let uploads = WorkflowName::new("uploads").unwrap();
        holdings.remove_item(&uploads);
        assert!(holdings.workflows.is_empty(), "it was never there");
        holdings.note(&uploads);
        holdings.note(&uploads);
        holdings.add_items(&uploads, 2);
        assert_eq!((holdings.noted(), holdings.is_in_use(&uploads)), (1, true));
        holdings.remove_item(&uploads);
        assert!(holdings.is_in_use(&uploads));
        holdings.remove_item(&uploads);
        assert_eq!((holdings.is_noted(&uploads), holdings.is_in_use(&uploads)), (true, false));
        holdings.forget(&uploads);
        holdings.forget(&uploads);
        assert_eq!((holdings.noted(), holdings.is_noted(&uploads)), (0, false));
        assert!(holdings.workflows.is_empty());
    }
}
