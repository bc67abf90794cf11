//! Removing workflows: unused ones that were created on first use, and those that an operator deletes.
//! What a client defined is removed only by a client.
//!
//! The store decides, in commit order: an item that is created at the same time keeps its workflow.
//! Workflows that a file defines are never removed.

use super::Retention;
use crate::model::WorkflowName;
use crate::store::{Command, DocumentId, Outcome, StoreError};
use crate::warden::WardenError;

/// The most closed items removed by one commit when a workflow is deleted.
const BATCH: usize = 1024;

impl Retention {
    /// Removes at most `limit` unused workflows. Returns whether there were candidates.
    pub(super) async fn sweep_workflows(&self, limit: usize) -> Result<bool, StoreError> {
        let names = self.census.take_emptied(limit);
        if names.is_empty() {
            return Ok(false);
        }
        // Those that are in use after all, or could not be removed now, are candidates again in the next
        // history sweep.
        self.store.apply(names.into_iter().map(DocumentId::Workflow).map(Command::Remove).collect()).await?;
        Ok(true)
    }

    /// Deletes a workflow that was created on first use or defined by a client, with its closed items, whose
    /// ids are free again, its finished artifacts, and the ledger and history of its runs. A workflow that is
    /// not stored can have those as well.
    ///
    /// # Errors
    ///
    /// The workflow does not exist, is configured in a file, or has open items or incidents, or artifacts
    /// that are not finished.
    pub async fn delete_workflow(&self, name: &WorkflowName) -> Result<(), WardenError> {
        let is_defined = self.workflows.is_defined(name);
        if self.workflows.is_configured(name) && !is_defined {
            return Err(WardenError::WorkflowConfigured(name.clone()));
        }
        let tally = self.census.tally(name);
        let has_runs = self.swept.runs.history(name).is_ok_and(|history| history.last_number > 0);
        let has_more = has_runs || self.swept.artifacts.has_any_of(name);
        if !is_defined
            && !self.workflows.is_created_on_first_use(name)
            && tally.unclosed + tally.closed == 0
            && !has_more
        {
            return Err(WardenError::WorkflowUnknown(name.clone()));
        }
        // Items that are closed meanwhile are removed as well, but clients that keep closing must not keep
        // this loop busy.
        for _ in 0..=tally.closed.div_ceil(BATCH as u64) {
            self.check_ended(name)?;
            let closed = self.census.closed_of(name, BATCH);
            if closed.is_empty() {
                break;
            }
            self.store.apply(closed.into_iter().map(Command::Forget).collect()).await?;
        }
        while self.swept.artifacts.forget_finished_of(name, BATCH).await? {
            self.check_ended(name)?;
        }
        self.check_ended(name)?;
        self.swept.runs.forget(name).await?;
        match self.store.apply_one(Command::Remove(DocumentId::Workflow(name.clone()))).await? {
            Outcome::Done => Ok(()),
            _ => {
                self.check_ended(name)?;
                Err(WardenError::WorkflowInUse {
                    name: name.clone(),
                    what: "it was used just now; try again".into(),
                })
            }
        }
    }

    fn check_ended(&self, name: &WorkflowName) -> Result<(), WardenError> {
        let in_use = |what: String| Err(WardenError::WorkflowInUse { name: name.clone(), what });
        match self.census.tally(name).unclosed {
            0 => {}
            1 => return in_use("1 of its items is not closed".into()),
            count => return in_use(format!("{count} of its items are not closed")),
        }
        if let Some(incident) = self.live_incidents.open_of(name) {
            return in_use(format!("its incident {} is still open", incident.id.0));
        }
        // Those that are kept for their run are removed with the closed items.
        match self.swept.artifacts.to_be_loaded_of(name) {
            0 => Ok(()),
            1 => in_use("1 of its artifacts is not loaded, archived or deleted".into()),
            count => in_use(format!("{count} of its artifacts are not loaded, archived or deleted")),
        }
    }
}
