//! The known workflows and their policies.
//!
//! The store feeds which workflows are stored: those that a client defined, until it removes them, and those
//! that were created on first use, from the commit of the first item until the commit that removes the
//! workflow because it is unused. So the store also enforces the most workflows. Configured workflows always
//! exist.
//!
//! The policies in force are replaced as a whole ([`Workflows::replace`]): whoever takes one policy gets all
//! of it from one configuration. Only the census replaces them, under its lock, so that what it derives from
//! a policy never is of another configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use warden_api::word::WorkflowSource;

use super::WardenError;
use crate::model::{
    Definition, Policies, Policy, Redrive, Timestamp, Workflow, WorkflowName, Zone, misspelling_of,
};
use crate::store::{Change, Document, DocumentId, Observer};

/// What one configuration says of workflows.
#[derive(Clone, Debug)]
pub struct PolicySet {
    pub configured: BTreeMap<WorkflowName, Arc<Policy>>,
    /// Those of them that clients defined, and no file.
    pub defined: BTreeSet<WorkflowName>,
    /// How many workflows clients defined in all, also those that a file defines too.
    pub definitions: usize,
    /// Of all other workflows.
    pub default: Arc<Policy>,
    pub create_on_first_use: bool,
    /// The most workflows, configured ones included.
    pub limit: usize,
    /// How long resolved incidents and their deliveries are kept.
    pub incident_history: Duration,
}

pub struct Workflows {
    in_force: RwLock<Arc<PolicySet>>,
    stored: RwLock<BTreeMap<WorkflowName, Stored>>,
}

/// A workflow that is stored.
struct Stored {
    at: Timestamp,
    /// `None` if it was created on first use.
    definition: Option<Arc<Definition>>,
    /// The configured workflow that its name resembles.
    misspells: Option<WorkflowName>,
}

#[derive(Clone, Debug)]
pub struct WorkflowEntry {
    pub name: WorkflowName,
    pub policy: Arc<Policy>,
    pub source: WorkflowSource,
    /// When it was first used or defined by a client; `None` if it is configured.
    pub created_at: Option<Timestamp>,
}

impl Policies for Workflows {
    fn policy_of(&self, workflow: &WorkflowName) -> Arc<Policy> {
        self.policy(workflow)
    }
}

impl fmt::Debug for Workflows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Workflows")
            .field("configured", &self.in_force().configured.len())
            .finish_non_exhaustive()
    }
}

impl PolicySet {
    /// These policies, without limits.
    #[cfg(test)]
    pub fn of(configured: BTreeMap<WorkflowName, Arc<Policy>>, default: Arc<Policy>) -> Self {
        let (limit, incident_history) = (usize::MAX, Duration::MAX);
        let (defined, definitions) = (BTreeSet::new(), 0);
        Self { configured, defined, definitions, default, create_on_first_use: true, limit, incident_history }
    }

    /// The workflow's policy, or the default one.
    pub fn policy(&self, name: &str) -> &Arc<Policy> {
        self.configured.get(name).unwrap_or(&self.default)
    }

    /// The configured workflow that this name resembles.
    fn meant_by(&self, name: &str) -> Option<WorkflowName> {
        let meant = misspelling_of(name, self.configured.keys().map(|name| &**name));
        meant.and_then(|meant| WorkflowName::new(meant).ok())
    }
}

impl Workflows {
    pub fn new(policies: PolicySet) -> Self {
        Self { in_force: RwLock::new(Arc::new(policies)), stored: RwLock::default() }
    }

    /// The policies in force.
    pub fn in_force(&self) -> Arc<PolicySet> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the policies in force. Returns the former ones.
    pub(super) fn replace(&self, policies: Arc<PolicySet>) -> Arc<PolicySet> {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *in_force, policies.clone());
        drop(in_force);
        for (name, stored) in self.write().iter_mut() {
            stored.misspells = policies.meant_by(name);
        }
        former
    }

    /// The workflow's policy, or the default one.
    pub fn policy(&self, name: &str) -> Arc<Policy> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).policy(name).clone()
    }

    /// The time zone of the workflow's schedule, if one is configured.
    pub fn zone(&self, name: &str) -> Option<Zone> {
        self.policy(name).zone()
    }

    /// How long resolved incidents and their deliveries are kept.
    pub fn incident_history(&self) -> Duration {
        self.in_force().incident_history
    }

    /// The workflows whose runs require those of this one.
    pub fn requiring(&self, workflow: &WorkflowName) -> Vec<WorkflowName> {
        let requires = |policy: &Policy| {
            policy.runs.requires.iter().any(|requirement| requirement.workflow == *workflow)
        };
        let policies = self.in_force();
        let requiring = policies.configured.iter().filter(|(_, policy)| requires(policy));
        requiring.map(|(name, _)| name.clone()).collect()
    }

    /// Workflows with redrives.
    pub fn redriving(&self) -> Vec<(WorkflowName, Redrive)> {
        let redrives =
            |(name, policy): (&WorkflowName, &Arc<Policy>)| Some((name.clone(), policy.redrive.clone()?));
        self.in_force().configured.iter().filter_map(redrives).collect()
    }

    /// The most workflows that may be stored, created on first use or defined by clients, for this item to be
    /// stored; `None` if the workflow is configured. The store enforces it. An error if the workflow does not
    /// exist and must not be created.
    pub fn room_for(&self, name: &WorkflowName) -> Result<Option<usize>, WardenError> {
        let policies = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        if policies.configured.contains_key(name) {
            return Ok(None);
        }
        if policies.create_on_first_use {
            // The store counts definitions too.
            let room = policies.limit.saturating_sub(policies.configured.len());
            return Ok(Some(room.saturating_add(policies.definitions)));
        }
        drop(policies);
        // Created while `create_on_first_use` was on. If it is removed in the meantime, it is not created
        // again.
        if self.is_created_on_first_use(name) {
            Ok(Some(0))
        } else {
            Err(WardenError::WorkflowNotFound(name.clone()))
        }
    }

    /// The error if the store reached the limit of [`Workflows::room_for`].
    pub fn no_room_for(&self, name: WorkflowName) -> WardenError {
        let policies = self.in_force();
        if policies.create_on_first_use {
            WardenError::TooManyWorkflows { name, limit: policies.limit }
        } else {
            WardenError::WorkflowNotFound(name)
        }
    }

    /// Whether any workflow that the glob may match has this label in `group_by`.
    pub fn are_split_by(&self, glob: &str, label: &str) -> bool {
        let glob = wildmatch::WildMatch::new(glob);
        let split = |policy: &Policy| policy.alerting.group_by.iter().any(|name| &**name == label);
        let policies = self.in_force();
        let configured = policies.configured.iter().filter(|(name, _)| glob.matches(name));
        configured.map(|(_, policy)| policy).chain([&policies.default]).any(|policy| split(policy))
    }

    fn put(&self, workflow: &Workflow) {
        let mut stored = self.write();
        // Read under the lock: policies that replace these come to this workflow afterwards.
        let misspells = self.in_force().meant_by(&workflow.name);
        let Workflow { name, created_at: at, definition } = workflow.clone();
        stored.insert(name, Stored { at, definition, misspells });
    }

    pub fn created_on_first_use(&self) -> Vec<WorkflowName> {
        let stored = self.read();
        stored
            .iter()
            .filter(|(_, stored)| stored.definition.is_none())
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub fn is_created_on_first_use(&self, name: &str) -> bool {
        self.read().get(name).is_some_and(|stored| stored.definition.is_none())
    }

    /// What clients defined, whether in force or not.
    pub fn definitions(&self) -> BTreeMap<WorkflowName, Arc<Definition>> {
        let stored = self.read();
        stored.iter().filter_map(|(name, stored)| Some((name.clone(), stored.definition.clone()?))).collect()
    }

    /// Whether a client defined the policy in force.
    pub fn is_defined(&self, name: &str) -> bool {
        self.in_force().defined.contains(name)
    }

    /// Whether a client may define this workflow.
    pub fn check_definable(&self, name: &WorkflowName) -> Result<(), WardenError> {
        let policies = self.in_force();
        let is_configured = policies.configured.contains_key(name);
        if is_configured && !policies.defined.contains(name) {
            return Err(WardenError::WorkflowConfigured(name.clone()));
        }
        let is_known = is_configured || self.read().contains_key(name);
        if !is_known && policies.configured.len() + self.created_on_first_use().len() >= policies.limit {
            return Err(WardenError::TooManyWorkflows { name: name.clone(), limit: policies.limit });
        }
        Ok(())
    }

    /// When it was stored; `None` if it is not.
    pub(super) fn stored_at(&self, name: &str) -> Option<Timestamp> {
        self.read().get(name).map(|stored| stored.at)
    }

    pub fn is_configured(&self, name: &str) -> bool {
        self.in_force().configured.contains_key(name)
    }

    /// Workflows created on first use whose names resemble a configured one, with that.
    pub fn misspelt(&self) -> Vec<(WorkflowName, WorkflowName)> {
        let stored = self.read();
        let misspelt = stored.iter().filter(|(_, stored)| stored.definition.is_none());
        misspelt.filter_map(|(name, stored)| Some((name.clone(), stored.misspells.clone()?))).collect()
    }

    /// The configured workflow that the name of this one, created on first use, resembles.
    pub fn misspells(&self, name: &str) -> Option<WorkflowName> {
        self.read().get(name).filter(|stored| stored.definition.is_none())?.misspells.clone()
    }

    /// Pairs of a workflow and one that it requires and that does not exist. Without `within` such a
    /// requirement is met.
    pub fn unknown_requirements(&self) -> Vec<(WorkflowName, WorkflowName)> {
        let (policies, stored) = (self.in_force(), self.read());
        let is_known = |name: &str| policies.configured.contains_key(name) || stored.contains_key(name);
        let required = policies.configured.iter().flat_map(|(name, policy)| {
            policy.runs.requires.iter().map(move |requirement| (name.clone(), requirement.workflow.clone()))
        });
        required.filter(|(_, required)| !is_known(required)).collect()
    }

    /// In no order. A workflow that is both stored and configured occurs twice.
    pub fn names(&self) -> Vec<WorkflowName> {
        self.read().keys().chain(self.in_force().configured.keys()).cloned().collect()
    }

    /// By name.
    pub fn list(&self) -> Vec<WorkflowEntry> {
        let policies = self.in_force();
        let mut entries: BTreeMap<_, _> =
            self.read().iter().map(|(name, stored)| (name.clone(), Some(stored.at))).collect();
        let by_files = policies.configured.keys().filter(|name| !policies.defined.contains(*name));
        entries.extend(by_files.map(|name| (name.clone(), None)));
        let entry = |(name, created_at): (WorkflowName, Option<Timestamp>)| {
            let policy = policies.policy(&name).clone();
            let source = if policies.defined.contains(&name) {
                WorkflowSource::Api
            } else if created_at.is_some() {
                WorkflowSource::FirstUse
            } else {
                WorkflowSource::Config
            };
            WorkflowEntry { name, policy, source, created_at }
        };
        entries.into_iter().map(entry).collect()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.is_configured(name) || self.read().contains_key(name)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<WorkflowName, Stored>> {
        self.stored.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<WorkflowName, Stored>> {
        self.stored.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Workflows {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(Document::Workflow(workflow)) => self.put(workflow),
                Change::Removed(DocumentId::Workflow(name)) => drop(self.write().remove(name)),
                Change::Item { .. } | Change::Step { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}
