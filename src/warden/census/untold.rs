//! Items that became overdue, of workflows that have runs and receivers that ask for overdue ones, until
//! these are told.
//!
//! Whether an item is a run, and was told of before, is known to the store alone. So this may name an item
//! more often than needed, but never less often.

use std::collections::{BTreeSet, HashSet};

use super::{Census, State};
use crate::model::{Event, ItemNumber, Policy, WorkflowName};

#[derive(Debug, Default)]
pub(super) struct Untold {
    items: BTreeSet<ItemNumber>,
    has_news: bool,
    /// The workflows that have runs.
    with_runs: HashSet<WorkflowName>,
}

impl Untold {
    pub(super) fn note(&mut self, number: ItemNumber, workflow: &WorkflowName, policy: &Policy) {
        if policy.events.wanted().contains(Event::RunOverdue) && self.with_runs.contains(workflow) {
            self.items.insert(number);
            self.has_news = true;
        }
    }

    /// Whether there are more since the last call.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }
}

impl State {
    /// A workflow has runs. Items of it may be overdue already.
    pub(super) fn note_runs(&mut self, workflow: &WorkflowName) {
        if self.untold.with_runs.insert(workflow.clone()) {
            self.note_overdue(workflow);
        }
    }

    pub(super) fn forget_runs(&mut self, workflow: &WorkflowName) {
        self.untold.with_runs.remove(workflow);
    }

    /// Notes all overdue items of a workflow.
    pub(super) fn note_overdue(&mut self, workflow: &WorkflowName) {
        let Some(census) = self.workflows.get(workflow) else { return };
        let policy = self.policies.policy(workflow);
        for (_, number) in census.overdue.after(None, usize::MAX) {
            self.untold.note(number, workflow, &policy);
        }
    }
}

impl Census {
    /// Takes out some of them, the oldest first.
    pub fn take_untold(&self, limit: usize) -> Vec<ItemNumber> {
        let untold = &mut self.lock().untold.items;
        std::iter::from_fn(|| untold.pop_first()).take(limit).collect()
    }

    /// Puts back those that could not be told.
    pub fn put_back_untold(&self, numbers: Vec<ItemNumber>) {
        self.lock().untold.items.extend(numbers);
    }

    /// Completes when more items became overdue.
    pub async fn became_overdue(&self) {
        self.became_overdue.notified().await;
    }
}
