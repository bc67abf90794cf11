//! Which workflows there are, and what holds for them.
//!
//! A workflow that is made on first use takes its place here before it is committed, so that no number of first uses at
//! once makes more than there may be; it gives the place back when the store refuses it. Until it is known to be stored,
//! each request that names it commits it again, which does no harm.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::WardenError;
use crate::model::{Policy, Redrive, Timestamp, Workflow, WorkflowName, Zone, misspelling_of};

/// The policies of the configuration, and the workflows that were made on first use.
pub struct Workflows {
    configured: BTreeMap<WorkflowName, Arc<Policy>>,
    default: Arc<Policy>,
    create_on_first_use: bool,
    limit: usize,
    made: RwLock<BTreeMap<WorkflowName, Made>>,
}

/// A workflow that was made on first use, or is about to be.
struct Made {
    at: Timestamp,
    stored: bool,
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

    /// The workflow that must be committed together with this use of it; nothing when it is known. What comes of that is
    /// to be told by [`Workflows::note`] or [`Workflows::withdraw`].
    ///
    /// # Errors
    /// When it may not be made.
    pub fn first_use(&self, name: &WorkflowName, now: Timestamp) -> Result<Option<Workflow>, WardenError> {
        if self.configured.contains_key(name) || self.read().get(name).is_some_and(|made| made.stored) {
            return Ok(None);
        }
        if !self.create_on_first_use {
            return Err(WardenError::WorkflowNotFound(name.clone()));
        }
        let mut made = self.write();
        if !made.contains_key(name) && made.len() + self.configured.len() >= self.limit {
            return Err(WardenError::TooManyWorkflows { name: name.clone(), limit: self.limit });
        }
        let made = made.entry(name.clone()).or_insert_with(|| self.made_at(name, now));
        Ok((!made.stored).then(|| Workflow { name: name.clone(), created_at: made.at }))
    }

    /// Whether the incidents of any workflow that the glob may mean are split by that label.
    pub fn are_split_by(&self, glob: &str, label: &str) -> bool {
        let glob = wildmatch::WildMatch::new(glob);
        let split = |policy: &Policy| policy.alerting.group_by.iter().any(|name| &**name == label);
        let configured = self.configured.iter().filter(|(name, _)| glob.matches(name));
        configured.map(|(_, policy)| policy).chain([&self.default]).any(|policy| split(policy))
    }

    /// Takes note of a workflow that is in the store.
    pub fn note(&self, workflow: Workflow) {
        let Workflow { name, created_at } = workflow;
        let mut made = self.write();
        let made = made.entry(name.clone()).or_insert_with(|| self.made_at(&name, created_at));
        made.stored = true;
    }

    fn made_at(&self, name: &WorkflowName, at: Timestamp) -> Made {
        let meant = misspelling_of(name, self.configured.keys().map(|name| &**name));
        Made { at, stored: false, misspells: meant.and_then(|meant| WorkflowName::new(meant).ok()) }
    }

    /// The workflows that were made on first use and are called nearly as a configured one, each with that.
    pub fn misspelt(&self) -> Vec<(WorkflowName, WorkflowName)> {
        let made = self.read();
        let pairs = made.iter().filter(|(_, made)| made.stored);
        pairs.filter_map(|(name, made)| Some((name.clone(), made.misspells.clone()?))).collect()
    }

    /// The configured workflow that this one, made on first use, is probably a misspelling of.
    pub fn misspells(&self, name: &str) -> Option<WorkflowName> {
        self.read().get(name)?.misspells.clone()
    }

    /// Gives up a workflow that the store refused.
    pub fn withdraw(&self, workflow: &Workflow) {
        let mut made = self.write();
        if made.get(&workflow.name).is_some_and(|made| !made.stored) {
            made.remove(&workflow.name);
        }
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
