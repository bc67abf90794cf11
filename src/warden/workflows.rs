//! Which workflows there are, and what holds for them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::WardenError;
use crate::model::{Policy, Timestamp, Workflow, WorkflowName};

/// The policies of the configuration, and the workflows that were made on first use.
pub struct Workflows {
    configured: BTreeMap<WorkflowName, Arc<Policy>>,
    default: Arc<Policy>,
    create_on_first_use: bool,
    limit: usize,
    noted: RwLock<BTreeMap<WorkflowName, Timestamp>>,
}

/// A workflow as it is shown.
#[derive(Clone, Debug)]
pub struct WorkflowEntry {
    /// Its name.
    pub name: WorkflowName,
    /// What holds for it.
    pub policy: Arc<Policy>,
    /// When it was first used; nothing when the configuration defines it.
    pub created_at: Option<Timestamp>,
}

impl Workflows {
    /// The configured policies, the default one, whether unknown workflows are made on first use, and how many there
    /// may be.
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
            noted: RwLock::default(),
        }
    }

    /// What holds for a workflow: its own policy, or the default.
    pub fn policy(&self, name: &str) -> &Arc<Policy> {
        self.configured.get(name).unwrap_or(&self.default)
    }

    /// The note that must be committed with the first use of this workflow; nothing when it is known.
    ///
    /// # Errors
    /// When it may not be made.
    pub fn first_use(&self, name: &WorkflowName, now: Timestamp) -> Result<Option<Workflow>, WardenError> {
        if self.configured.contains_key(name) {
            return Ok(None);
        }
        let noted = self.noted.read().unwrap_or_else(PoisonError::into_inner);
        if noted.contains_key(name) {
            return Ok(None);
        }
        if !self.create_on_first_use {
            return Err(WardenError::WorkflowNotFound(name.clone()));
        }
        if noted.len() + self.configured.len() >= self.limit {
            return Err(WardenError::TooManyWorkflows { name: name.clone(), limit: self.limit });
        }
        Ok(Some(Workflow { name: name.clone(), created_at: now }))
    }

    /// Takes note of a workflow that is in the store.
    pub fn note(&self, workflow: Workflow) {
        let mut noted = self.noted.write().unwrap_or_else(PoisonError::into_inner);
        noted.entry(workflow.name).or_insert(workflow.created_at);
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<WorkflowEntry> {
        let noted = self.noted.read().unwrap_or_else(PoisonError::into_inner);
        let mut entries: BTreeMap<_, _> = noted.iter().map(|(name, at)| (name.clone(), Some(*at))).collect();
        entries.extend(self.configured.keys().map(|name| (name.clone(), None)));
        let entry = |(name, created_at): (WorkflowName, _)| {
            let policy = self.policy(&name).clone();
            WorkflowEntry { name, policy, created_at }
        };
        entries.into_iter().map(entry).collect()
    }

    /// Whether a workflow is known.
    pub fn contains(&self, name: &str) -> bool {
        self.configured.contains_key(name)
            || self.noted.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
}
