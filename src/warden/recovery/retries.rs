//! Retries that a person requests: of items that have failed, are interrupted or wait.

use super::Recovery;
use crate::model::item::Retry;
use crate::model::{Item, ItemKey, Moment, StepName, Timestamp};
use crate::store::Command;
use crate::warden::WardenError;
use crate::warden::error::changed;

/// A request of a person to send items on.
#[derive(Clone, Debug, Default)]
pub struct RetryItems {
    /// `None` for the step that each is at.
    pub from: Option<StepName>,
    /// When they can be claimed; `None` for at once.
    pub at: Option<Timestamp>,
}

impl Recovery {
    /// Sends an item on that has failed, is interrupted or waits for its next attempt. Any other open item is
    /// changed only if the request names a step or an instant.
    pub async fn retry(&self, key: ItemKey, request: RetryItems) -> Result<Item, WardenError> {
        let now = self.clock.moment();
        changed(self.store.apply_one(self.retry_command(key, &request, now)).await?, now)
    }

    pub(super) fn retry_command(&self, key: ItemKey, request: &RetryItems, now: Moment) -> Command {
        let RetryItems { from, at } = request.clone();
        Command::Retry { key, retry: Retry { from, at }, policies: self.workflows.clone(), now }
    }
}
