//! Per workflow, the number of items, including closed ones, of artifacts, the open incidents, and whether it
//! has runs; the artifacts that are removed with the item of their run; and the number of events.
//!
//! Commands decide by it, without a search, whether a workflow created on first use may be removed, which
//! artifacts go with an item, and whether one more event may be written. It is derived, and counted when an
//! engine opens.
//!
//! A workflow is in use while it has artifacts, as they outlive their items: who may see them is decided by
//! its name.
//!
//! Deliberately absent: what outlives a workflow or matches it by a pattern. A silence applies to a workflow
//! that is created again, a replay has item numbers, and resolved incidents are history.

use std::collections::{BTreeSet, HashMap};

use super::{Document, DocumentId, DocumentSet};
use crate::model::{Artifact, ArtifactId, Incident, IncidentId, IncidentStatus, ItemKey, WorkflowName};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    is_stored: bool,
    items: u64,
    open_incidents: u64,
    /// Whether it has a history of runs, which decides about the next one.
    has_runs: bool,
    artifacts: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    /// Only workflows with any of these.
    workflows: HashMap<WorkflowName, Held>,
    stored: usize,
    open_incidents: HashMap<IncidentId, WorkflowName>,
    artifacts: usize,
    events: usize,
    /// The artifacts that are removed with an item.
    of_runs: HashMap<ItemKey, BTreeSet<ArtifactId>>,
}

impl Holdings {
    /// The documents that are counted when an engine opens.
    pub(super) const OF: [DocumentSet; 5] = [
        DocumentSet::Workflows,
        DocumentSet::Incidents,
        DocumentSet::RunHistories,
        DocumentSet::Artifacts,
        DocumentSet::Events,
    ];

    /// Counts a written document; an artifact or an event only if it is new.
    pub(super) fn put(&mut self, document: &Document) {
        match document {
            Document::Workflow(workflow) => self.add_workflow(&workflow.name),
            Document::Incident(incident) => self.put_incident(incident),
            Document::RunHistory(workflow, _) => self.change(workflow, |held| held.has_runs = true),
            Document::Artifact(artifact) => self.add_artifact(artifact),
            Document::Event(_) => self.events += 1,
            _ => {}
        }
    }

    /// Uncounts a removed document.
    pub(super) fn remove(&mut self, id: &DocumentId) {
        match id {
            DocumentId::Workflow(name) => self.remove_workflow(name),
            DocumentId::Incident(id) => self.remove_incident(id),
            DocumentId::RunHistory(workflow) => self.change(workflow, |held| held.has_runs = false),
            DocumentId::Event(_) => self.events -= 1,
            _ => {}
        }
    }

    /// The number of stored workflows.
    pub(super) fn workflow_count(&self) -> usize {
        self.stored
    }

    /// Whether the workflow is stored.
    pub(super) fn has_workflow(&self, workflow: &str) -> bool {
        self.workflows.get(workflow).is_some_and(|held| held.is_stored)
    }

    /// Whether it has items, artifacts, open incidents or a history of runs.
    pub(super) fn is_in_use(&self, workflow: &str) -> bool {
        let is_used =
            |held: &Held| held.items > 0 || held.open_incidents > 0 || held.has_runs || held.artifacts > 0;
        self.workflows.get(workflow).is_some_and(is_used)
    }

    /// The number of stored artifacts.
    pub(super) fn artifact_count(&self) -> usize {
        self.artifacts
    }

    /// The number of events that have no deliveries yet.
    pub(super) fn event_count(&self) -> usize {
        self.events
    }

    /// Those that are removed with this item.
    pub(super) fn artifacts_of_run(&self, run: &ItemKey) -> Vec<ArtifactId> {
        self.of_runs.get(run).map(|ids| ids.iter().cloned().collect()).unwrap_or_default()
    }

    fn add_artifact(&mut self, artifact: &Artifact) {
        self.artifacts += 1;
        self.change(&artifact.workflow, |held| held.artifacts += 1);
        if let Some(run) = artifact.removed_with() {
            self.of_runs.entry(run.clone()).or_default().insert(artifact.id.clone());
        }
    }

    pub(super) fn remove_artifact(&mut self, artifact: &Artifact) {
        self.artifacts -= 1;
        self.change(&artifact.workflow, |held| held.artifacts -= 1);
        if let Some(run) = artifact.removed_with()
            && let Some(ids) = self.of_runs.get_mut(run)
        {
            ids.remove(&artifact.id);
            if ids.is_empty() {
                self.of_runs.remove(run);
            }
        }
    }

    fn add_workflow(&mut self, workflow: &WorkflowName) {
        let held = self.workflows.entry(workflow.clone()).or_default();
        self.stored += usize::from(!held.is_stored);
        held.is_stored = true;
    }

    fn remove_workflow(&mut self, workflow: &WorkflowName) {
        self.stored -= usize::from(self.has_workflow(workflow));
        self.change(workflow, |held| held.is_stored = false);
    }

    pub(super) fn add_items(&mut self, workflow: &WorkflowName, count: u64) {
        self.change(workflow, |held| held.items += count);
    }

    pub(super) fn remove_item(&mut self, workflow: &WorkflowName) {
        self.change(workflow, |held| held.items = held.items.saturating_sub(1));
    }

    fn put_incident(&mut self, incident: &Incident) {
        if incident.status != IncidentStatus::Open {
            return self.remove_incident(&incident.id);
        }
        let workflow = &incident.key.workflow;
        if self.open_incidents.insert(incident.id.clone(), workflow.clone()).is_none() {
            self.change(workflow, |held| held.open_incidents += 1);
        }
    }

    /// Removes an incident that is resolved or removed.
    fn remove_incident(&mut self, id: &IncidentId) {
        if let Some(workflow) = self.open_incidents.remove(id) {
            self.change(&workflow, |held| held.open_incidents -= 1);
        }
    }

    /// Changes the counts of a workflow, and removes an empty entry.
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
        holdings.add_workflow(&uploads);
        holdings.add_workflow(&uploads);
        holdings.add_items(&uploads, 2);
        assert_eq!((holdings.workflow_count(), holdings.is_in_use(&uploads)), (1, true));
        holdings.remove_item(&uploads);
        assert!(holdings.is_in_use(&uploads));
        holdings.remove_item(&uploads);
        assert_eq!((holdings.has_workflow(&uploads), holdings.is_in_use(&uploads)), (true, false));
        holdings.remove_workflow(&uploads);
        holdings.remove_workflow(&uploads);
        assert_eq!((holdings.workflow_count(), holdings.has_workflow(&uploads)), (0, false));
        assert!(holdings.workflows.is_empty());
    }
}
