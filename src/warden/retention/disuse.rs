//! How workflows end: those that were made on first use when nothing is left of them, and those that somebody deletes.
//!
//! The store has the last word, at its place in the order of the commits: an item that comes at the same moment keeps its
//! workflow, whoever looked before. What the configuration names is there whatever happens.

use super::Retention;
use crate::model::WorkflowName;
use crate::store::{Command, DocumentId, Outcome, StoreError};
use crate::warden::WardenError;

/// How many closed items are forgotten by one commit when their workflow is deleted.
const BITE: usize = 1024;

impl Retention {
    /// Has at most `limit` workflows forgotten of which nothing is left; whether there were any to ask about.
    pub(super) async fn sweep_workflows(&self, limit: usize) -> Result<bool, StoreError> {
        let names = self.census.take_emptied(limit);
        if names.is_empty() {
            return Ok(false);
        }
        // Those of which something is left after all, or which cannot be forgotten now, are named again with the history.
        self.store.apply(names.into_iter().map(DocumentId::Workflow).map(Command::Remove).collect()).await?;
        Ok(true)
    }

    /// Deletes a workflow that was made on first use, with the closed items that are remembered of it: their ids are free
    /// again. Of a workflow whose name nobody keeps it is the closed items alone.
    ///
    /// # Errors
    /// When there is nothing of that name, the configuration defines it, something of it has not ended, or the store refuses.
    pub async fn delete_workflow(&self, name: &WorkflowName) -> Result<(), WardenError> {
        if self.workflows.is_configured(name) {
            return Err(WardenError::WorkflowConfigured(name.clone()));
        }
        let tally = self.census.tally(name);
        if !self.workflows.is_made(name) && tally.unclosed + tally.closed == 0 {
            return Err(WardenError::WorkflowUnknown(name.clone()));
        }
        // What is closed meanwhile is forgotten as well, but nobody is kept busy for ever by those who go on closing.
        for _ in 0..=tally.closed.div_ceil(BITE as u64) {
            self.check_ended(name)?;
            let closed = self.census.closed_of(name, BITE);
            if closed.is_empty() {
                break;
            }
            self.store.apply(closed.into_iter().map(Command::Forget).collect()).await?;
        }
        match self.store.apply_one(Command::Remove(DocumentId::Workflow(name.clone()))).await? {
            Outcome::Done => Ok(()),
            _ => {
                self.check_ended(name)?;
                Err(WardenError::WorkflowInUse {
                    name: name.clone(),
                    what: "something came to it just now".into(),
                })
            }
        }
    }

    /// Checks that everything of a workflow has come to its end.
    fn check_ended(&self, name: &WorkflowName) -> Result<(), WardenError> {
        let in_use = |what: String| Err(WardenError::WorkflowInUse { name: name.clone(), what });
        match self.census.tally(name).unclosed {
            0 => {}
            1 => return in_use("1 of its items is not closed".into()),
            count => return in_use(format!("{count} of its items are not closed")),
        }
        match self.live_incidents.open_of(name) {
            Some(incident) => {
                in_use(format!("its incident {} is still open, and ends in a moment", incident.id.0))
            }
            None => Ok(()),
        }
    }
}
