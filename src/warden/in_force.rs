//! What is in force: another configuration takes the place of the one before while the daemon runs.
//!
//! Whatever is derived from policies follows them: groups, redrives, retention, expectations, receivers.
//! Items, counters, timers and open incidents live on. An incident whose items move to other groups ends like
//! any other: after those that it is continued in have begun.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::census::Census;
use super::context::Context;
use super::expectations::ExpectedWork;
use super::redrives::Targets;
use super::steps::StepCounts;
use super::workflows::PolicySet;
use super::{Warden, WardenError};
use crate::model::{Clock, Definition, IndexedItem, ItemNumber, Workflow, WorkflowName};
use crate::notifier::{Notifier, Receiver};
use crate::store::{Command, DocumentSet, ListDocuments, Outcome, Store, StoreError, of_kind};

/// The most items read at once.
const READ_AT_ONCE: usize = 512;

/// What a configuration says that can change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Adopted {
    pub policies: PolicySet,
    pub receivers: Vec<Receiver>,
    pub redrives: Targets,
}

pub(super) struct InForce {
    store: Arc<dyn Store>,
    census: Arc<Census>,
    expected: Arc<ExpectedWork>,
    step_counts: Arc<StepCounts>,
    notifier: Notifier,
    clock: Arc<dyn Clock>,
    one_at_a_time: Mutex<()>,
}

impl InForce {
    pub(super) fn new(
        context: &Context,
        expected: Arc<ExpectedWork>,
        step_counts: Arc<StepCounts>,
        notifier: Notifier,
    ) -> Self {
        let Context { store, census, clock, .. } = context.clone();
        let one_at_a_time = Mutex::default();
        Self { store, census, expected, step_counts, notifier, clock, one_at_a_time }
    }

    /// Places items anew, which labels and redrives of another configuration may concern.
    async fn place_anew(&self, workflow: &WorkflowName, numbers: &[ItemNumber]) -> Result<(), StoreError> {
        for numbers in numbers.chunks(READ_AT_ONCE) {
            let items = self.store.items(numbers.to_vec()).await?;
            let items: Vec<IndexedItem> = items.iter().map(|item| item.indexed()).collect();
            self.census.place_anew(&items);
        }
        self.census.placed_anew(workflow);
        Ok(())
    }
}

/// The workflows that clients defined, as stored.
pub async fn stored_definitions(
    store: &dyn Store,
) -> Result<BTreeMap<WorkflowName, Arc<Definition>>, StoreError> {
    let stored: Vec<Workflow> = of_kind(store.documents(ListDocuments::all(DocumentSet::Workflows)).await?);
    let definition = |workflow: Workflow| Some((workflow.name, workflow.definition?));
    Ok(stored.into_iter().filter_map(definition).collect())
}

impl Warden {
    /// Stores the definition of a workflow, which [`Warden::adopt`] puts in force afterwards. Returns whether
    /// the workflow is new.
    pub async fn store_definition(
        &self,
        name: &WorkflowName,
        definition: Arc<Definition>,
    ) -> Result<bool, WardenError> {
        let stored_at = self.workflows.stored_at(name);
        let created_at = stored_at.unwrap_or_else(|| self.clock.now());
        let workflow = Workflow { name: name.clone(), created_at, definition: Some(definition) };
        match self.in_force.store.apply_one(Command::put(workflow)).await? {
            Outcome::StorageFull => Err(WardenError::StorageFull),
            _ => Ok(stored_at.is_none()),
        }
    }

    /// Puts a configuration in force. It is in force for whatever comes when this returns, and for most of it
    /// earlier.
    ///
    /// # Errors
    /// The items of a workflow could not be read: everything is in force, but some of its items stay in
    /// groups of the former labels until the next change of the configuration.
    pub async fn adopt(&self, adopted: Adopted) -> Result<(), StoreError> {
        let Adopted { policies, receivers, redrives } = adopted;
        let InForce { census, expected, step_counts, notifier, clock, one_at_a_time, .. } = &self.in_force;
        let _one = one_at_a_time.lock().await;
        let policies = Arc::new(policies);
        // Before the policies that name them.
        notifier.adopt(&receivers, clock.now());
        let moving = census.adopt(policies.clone());
        step_counts.recount_unnamed();
        expected.adopt(&policies);
        self.redrives.adopt(redrives);
        let mut placed = Ok(());
        for (workflow, numbers) in moving {
            placed = placed.and(self.in_force.place_anew(&workflow, &numbers).await);
        }
        // Also if some could not be read: the policies are in force.
        self.runs.decide_anew();
        self.alerting.decide_anew();
        placed
    }
}
