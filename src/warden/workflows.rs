//! Which workflows there are, and what holds for them.
//!
//! Which were made on first use is told by the store, in the order of the commits: a workflow is there from the commit of
//! its first item on, until that in which the store forgets it since nothing is left of it. So it is the store that says
//! whether one more may be made. Those of the configuration are there whatever happens.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::WardenError;
use crate::model::{Policy, Redrive, Timestamp, Workflow, WorkflowName, Zone, misspelling_of};
use crate::store::{Change, Document, DocumentId, Observer};

/// The policies of the configuration, and the workflows that were made on first use.
pub struct Workflows {
    configured: BTreeMap<WorkflowName, Arc<Policy>>,
    default: Arc<Policy>,
    create_on_first_use: bool,
    limit: usize,
    made: RwLock<BTreeMap<WorkflowName, Made>>,
}

/// A workflow that was made on first use.
struct Made {
    at: Timestamp,
    /// The configured workflow that was probably meant.
    misspells: Option<WorkflowName>,
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
            made: RwLock::default(),
        }
    }

    /// What holds for a workflow: its own policy, or the default.
    pub fn policy(&self, name: &str) -> &Arc<Policy> {
        self.configured.get(name).unwrap_or(&self.default)
    }

    /// The time zone in which people think of what is expected of a workflow, if they named one.
    pub fn zone(&self, name: &str) -> Option<Zone> {
        self.policy(name).expect.as_ref()?.zone()
    }

    /// The workflows whose overdue items are sent by themselves.
    pub fn redriving(&self) -> impl Iterator<Item = (WorkflowName, Redrive)> {
        let redrives =
            |(name, policy): (&WorkflowName, &Arc<Policy>)| Some((name.clone(), policy.redrive.clone()?));
        self.configured.iter().filter_map(redrives)
    }

    /// How many workflows may have been made on first use when this one is made by its first item; nothing if it need not be
    /// made, since the configuration defines it.
    ///
    /// # Errors
    /// When it may not be made.
    pub fn room_for(&self, name: &WorkflowName) -> Result<Option<usize>, WardenError> {
        if self.configured.contains_key(name) {
            return Ok(None);
        }
        if self.create_on_first_use {
            return Ok(Some(self.limit.saturating_sub(self.configured.len())));
        }
        // It was made while that was allowed. If it is forgotten meanwhile, it is not made again.
        if self.is_made(name) { Ok(Some(0)) } else { Err(WardenError::WorkflowNotFound(name.clone())) }
    }

    /// Why there was no room for one more.
    pub fn no_room_for(&self, name: WorkflowName) -> WardenError {
        if self.create_on_first_use {
            WardenError::TooManyWorkflows { name, limit: self.limit }
        } else {
            WardenError::WorkflowNotFound(name)
        }
    }

    /// Whether the incidents of any workflow that the glob may mean are split by that label.
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

    /// Those that were made on first use.
    pub fn made(&self) -> Vec<WorkflowName> {
        self.read().keys().cloned().collect()
    }

    /// Whether a workflow was made on first use.
    pub fn is_made(&self, name: &str) -> bool {
        self.read().contains_key(name)
    }

    /// Whether the configuration defines a workflow.
    pub fn is_configured(&self, name: &str) -> bool {
        self.configured.contains_key(name)
    }

    /// The workflows that were made on first use and are called nearly as a configured one, each with that.
    pub fn misspelt(&self) -> Vec<(WorkflowName, WorkflowName)> {
        let made = self.read();
        made.iter().filter_map(|(name, made)| Some((name.clone(), made.misspells.clone()?))).collect()
    }

    /// The configured workflow that this one, made on first use, is probably a misspelling of.
    pub fn misspells(&self, name: &str) -> Option<WorkflowName> {
        self.read().get(name)?.misspells.clone()
    }

    /// The names of all of them, in no order; those that were made on first use and are configured by now come twice.
    pub fn names(&self) -> Vec<WorkflowName> {
        self.read().keys().chain(self.configured.keys()).cloned().collect()
    }

    /// All of them, by name.
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

    /// Whether a workflow is known.
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
                Change::Item { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}
