//! The histories of runs: in memory, fed by the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::model::run::Ended;
use crate::model::{RunHistory, WorkflowName};
use crate::store::{Change, Document, DocumentId, Observer};

#[derive(Default)]
struct State {
    histories: BTreeMap<WorkflowName, RunHistory>,
    /// Those that have changed since they were taken.
    touched: BTreeSet<WorkflowName>,
    /// The successes whose earlier failures were closed.
    followed: BTreeMap<WorkflowName, Vec<Ended>>,
}

#[derive(Default)]
pub struct KnownRuns {
    state: Mutex<State>,
    touched: Notify,
    /// For requests that wait for runs.
    changed: Notify,
}

impl KnownRuns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `view` makes of a history, under the lock; `None` if the workflow has none.
    pub(super) fn view<T>(&self, workflow: &WorkflowName, view: impl FnOnce(&RunHistory) -> T) -> Option<T> {
        self.lock().histories.get(workflow).map(view)
    }

    pub(super) fn contains(&self, workflow: &WorkflowName) -> bool {
        self.lock().histories.contains_key(workflow)
    }

    pub(super) fn all<T>(&self, view: impl Fn(WorkflowName, &RunHistory) -> T) -> Vec<T> {
        self.lock().histories.iter().map(|(name, history)| view(name.clone(), history)).collect()
    }

    /// The workflows that have or had runs.
    pub fn names(&self) -> BTreeSet<WorkflowName> {
        self.lock().histories.keys().cloned().collect()
    }

    /// The workflows whose histories have changed since the last call.
    pub(super) fn take_touched(&self) -> BTreeSet<WorkflowName> {
        std::mem::take(&mut self.lock().touched)
    }

    /// Names all workflows again.
    pub(super) fn touch_all(&self) {
        let state = &mut *self.lock();
        state.touched.extend(state.histories.keys().cloned());
        self.touched.notify_one();
    }

    /// Completes when there are workflows for [`KnownRuns::take_touched`].
    pub(super) async fn touched(&self) {
        self.touched.notified().await;
    }

    /// Completes with the next change after it was enabled.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// The latest successes, if failed runs before one of them may still be unclosed.
    pub(super) fn successes_to_follow(&self, workflow: &WorkflowName) -> Option<Vec<Ended>> {
        let state = self.lock();
        let successes: Vec<Ended> = state.histories.get(workflow)?.successes().collect();
        let is_followed = state.followed.get(workflow) == Some(&successes);
        Some(successes).filter(|successes| !is_followed && !successes.is_empty())
    }

    pub(super) fn followed(&self, workflow: &WorkflowName, successes: Vec<Ended>) {
        self.lock().followed.insert(workflow.clone(), successes);
    }
}

impl Observer for KnownRuns {
    fn committed(&self, changes: &[Change]) {
        let mut has_changed = false;
        for change in changes {
            match change {
                Change::Put(Document::RunHistory(workflow, history)) => {
                    let mut state = self.lock();
                    let former = state.histories.insert(workflow.clone(), (**history).clone());
                    if history.has_late_failure(former.as_ref()) {
                        state.followed.remove(workflow);
                    }
                    state.touched.insert(workflow.clone());
                    has_changed = true;
                }
                Change::Removed(DocumentId::RunHistory(workflow)) => {
                    let mut state = self.lock();
                    state.histories.remove(workflow);
                    state.followed.remove(workflow);
                    state.touched.insert(workflow.clone());
                    has_changed = true;
                }
                Change::Item { .. } | Change::Step { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
        if has_changed {
            self.touched.notify_one();
            self.changed.notify_waiters();
        }
    }
}
