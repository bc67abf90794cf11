//! The known workflows and their policies.
//!
//! The store feeds which workflows were created on first use: one exists from the commit of its first item
//! until the commit that removes it because it is unused. So the store also enforces the most workflows.
//! Configured workflows always exist.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::WardenError;
use crate::model::{Policies, Policy, Redrive, Timestamp, Workflow, WorkflowName, Zone, misspelling_of};
use crate::store::{Change, Document, DocumentId, Observer};

pub struct Workflows {
    configured: BTreeMap<WorkflowName, Arc<Policy>>,
    default: Arc<Policy>,
    create_on_first_use: bool,
    limit: usize,
    made: RwLock<BTreeMap<WorkflowName, Made>>,
}

/// A workflow that was created on first use.
struct Made {
    at: Timestamp,
    /// The configured workflow that its name resembles.
    misspells: Option<WorkflowName>,
}

#[derive(Clone, Debug)]
pub struct WorkflowEntry {
    pub name: WorkflowName,
    pub policy: Arc<Policy>,
    /// When it was first used; `None` if it is configured.
    pub created_at: Option<Timestamp>,
}

impl Policies for Workflows {
    fn policy_of(&self, workflow: &WorkflowName) -> Arc<Policy> {
        self.policy(workflow).clone()
    }
}

impl fmt::Debug for Workflows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Workflows")
            .field("configured", &self.configured.len())
            .finish_non_exhaustive()
    }
}

impl Workflows {
    /// `limit` is the most workflows, configured ones included.
    pub fn new(
        configured: BTreeMap<WorkflowName, Policy>,
        default: Policy,
        create_on_first_use: bool,
        limit: usize,
    ) -> Self {
        Self {
            configured: configured.into_iter().map(|(name, policy)| (name, Arc::new(policy))).collect(),
            default: Arc::new(default),
            create_on_first_use,
            limit,
            made: RwLock::default(),
        }
    }

    /// The workflow's policy, or the default one.
    pub fn policy(&self, name: &str) -> &Arc<Policy> {
        self.configured.get(name).unwrap_or(&self.default)
    }

    /// The time zone of the workflow's schedule, if one is configured.
    pub fn zone(&self, name: &str) -> Option<Zone> {
        self.policy(name).expect.as_ref()?.zone()
    }

    /// The workflows whose runs require those of this one.
    pub fn requiring(&self, workflow: &WorkflowName) -> Vec<WorkflowName> {
        let requires = |policy: &Policy| {
            policy.runs.requires.iter().any(|requirement| requirement.workflow == *workflow)
        };
        let requiring = self.configured.iter().filter(|(_, policy)| requires(policy));
        requiring.map(|(name, _)| name.clone()).collect()
    }

    /// Workflows with redrives.
    pub fn redriving(&self) -> impl Iterator<Item = (WorkflowName, Redrive)> {
        let redrives =
            |(name, policy): (&WorkflowName, &Arc<Policy>)| Some((name.clone(), policy.redrive.clone()?));
        self.configured.iter().filter_map(redrives)
    }

    /// The most workflows created on first use that may exist for this item to be stored; `None` if the
    /// workflow is configured. The store enforces it. An error if the workflow does not exist and must not be
    /// created.
    pub fn room_for(&self, name: &WorkflowName) -> Result<Option<usize>, WardenError> {
        if self.configured.contains_key(name) {
            return Ok(None);
        }
        if self.create_on_first_use {
            return Ok(Some(self.limit.saturating_sub(self.configured.len())));
        }
        // Created while `create_on_first_use` was on. If it is removed in the meantime, it is not created
        // again.
        if self.is_made(name) { Ok(Some(0)) } else { Err(WardenError::WorkflowNotFound(name.clone())) }
    }

    /// The error if the store reached the limit of [`Workflows::room_for`].
    pub fn no_room_for(&self, name: WorkflowName) -> WardenError {
        if self.create_on_first_use {
            WardenError::TooManyWorkflows { name, limit: self.limit }
        } else {
            WardenError::WorkflowNotFound(name)
        }
    }

    /// Whether any workflow that the glob may match has this label in `group_by`.
    pub fn are_split_by(&self, glob: &str, label: &str) -> bool {
        let glob = wildmatch::WildMatch::new(glob);
        let split = |policy: &Policy| policy.alerting.group_by.iter().any(|name| &**name == label);
        let configured = self.configured.iter().filter(|(name, _)| glob.matches(name));
        configured.map(|(_, policy)| policy).chain([&self.default]).any(|policy| split(policy))
    }

    fn put(&self, workflow: &Workflow) {
        let meant = misspelling_of(&workflow.name, self.configured.keys().map(|name| &**name));
        let misspells = meant.and_then(|meant| WorkflowName::new(meant).ok());
        self.write().insert(workflow.name.clone(), Made { at: workflow.created_at, misspells });
    }

    /// Those that were created on first use.
    pub fn made(&self) -> Vec<WorkflowName> {
        self.read().keys().cloned().collect()
    }

    pub fn is_made(&self, name: &str) -> bool {
        self.read().contains_key(name)
    }

    pub fn is_configured(&self, name: &str) -> bool {
        self.configured.contains_key(name)
    }

    /// Workflows created on first use whose names resemble a configured one, with that.
    pub fn misspelt(&self) -> Vec<(WorkflowName, WorkflowName)> {
        let made = self.read();
        made.iter().filter_map(|(name, made)| Some((name.clone(), made.misspells.clone()?))).collect()
    }

    /// The configured workflow that the name of this one, created on first use, resembles.
    pub fn misspells(&self, name: &str) -> Option<WorkflowName> {
        self.read().get(name)?.misspells.clone()
    }

    /// In no order. Workflows that were created on first use and are configured by now occur twice.
    pub fn names(&self) -> Vec<WorkflowName> {
        self.read().keys().chain(self.configured.keys()).cloned().collect()
    }

    /// By name.
    pub fn list(&self) -> Vec<WorkflowEntry> {
        let mut entries: BTreeMap<_, _> =
            self.read().iter().map(|(name, made)| (name.clone(), Some(made.at))).collect();
        entries.extend(self.configured.keys().map(|name| (name.clone(), None)));
        let entry = |(name, created_at): (WorkflowName, _)| {
            let policy = self.policy(&name).clone();
            WorkflowEntry { name, policy, created_at }
        };
        entries.into_iter().map(entry).collect()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.configured.contains_key(name) || self.read().contains_key(name)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<WorkflowName, Made>> {
        self.made.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<WorkflowName, Made>> {
        self.made.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Workflows {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(Document::Workflow(workflow)) => self.put(workflow),
                Change::Removed(DocumentId::Workflow(name)) => drop(self.write().remove(name)),
                Change::Item { .. }
                | Change::Step { .. }
                | Change::Run { .. }
                | Change::Put(_)
                | Change::Removed(_) => {}
            }
        }
    }
}
