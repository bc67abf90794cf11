//! Retries that a person requests: of items that have failed, are interrupted or wait.

use super::Recovery;
use crate::model::item::Retry;
use crate::model::{Item, ItemFilter, ItemKey, ItemState, Moment, Order, Position, StepName, Timestamp};
use crate::store::{Command, ListItems, Outcome};
use crate::warden::WardenError;
use crate::warden::error::changed;

/// The most items retried by one request.
const BATCH: usize = 1000;

#[derive(Clone, Copy, Debug)]
pub struct Retried {
    /// How many items were retried.
    pub count: u64,
    /// Where the next request continues; `None` at the end.
    pub next: Option<Position>,
}

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

    fn retry_command(&self, key: ItemKey, request: &RetryItems, now: Moment) -> Command {
        let RetryItems { from, at } = request.clone();
        Command::Retry { key, retry: Retry { from, at }, policies: self.workflows.clone(), now }
    }

    /// Retries up to [`BATCH`] items that match the filter, after a position. Without a state in the filter
    /// these are the failed ones. Items without the step that the request names are not changed.
    pub async fn retry_all(
        &self,
        mut filter: ItemFilter,
        request: &RetryItems,
        after: Option<Position>,
    ) -> Result<Retried, WardenError> {
        if filter.states.is_empty() {
            filter.states.push(ItemState::Failed);
        }
        let now = self.clock.moment();
        let question = ListItems { filter, order: Order::Created, after, limit: BATCH, now };
        let page = self.store.list(question).await?;
        let is_plain = request.from.is_none() && request.at.is_none();
        let to_retry = |item: &&Item| !is_plain || item.failed_at.is_some() || item.waits();
        let retry = |item: &Item| self.retry_command(item.key(), request, now);
        let commands: Vec<Command> = page.data.iter().filter(to_retry).map(retry).collect();
        let outcomes = if commands.is_empty() { Vec::new() } else { self.store.apply(commands).await? };
        let versions = page.data.iter().filter(to_retry).map(|item| item.version);
        let is_changed = |(outcome, before): &(Outcome, u64)| match outcome {
            Outcome::Changed(item) => item.version != *before,
            _ => false,
        };
        let count = outcomes.into_iter().zip(versions).filter(is_changed).count() as u64;
        Ok(Retried { count, next: page.next })
    }
}
