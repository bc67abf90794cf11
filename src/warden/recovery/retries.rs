//! Retries that an operator requests: of failed items, and of items in back-off.

use super::Recovery;
use crate::model::{Item, ItemFilter, ItemKey, ItemState, Order, Position};
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

impl Recovery {
    /// Retries a failed item at its step, and ends the back-off of one that waits for its next attempt. Any
    /// other open item is not changed.
    pub async fn retry(&self, key: ItemKey) -> Result<Item, WardenError> {
        let moment = self.clock.moment();
        changed(self.store.apply_one(Command::Retry { key, now: moment.now }).await?, moment)
    }

    /// Retries up to [`BATCH`] items that match the filter, after a position. Without a state in the filter
    /// these are the failed ones.
    pub async fn retry_all(
        &self,
        mut filter: ItemFilter,
        after: Option<Position>,
    ) -> Result<Retried, WardenError> {
        if filter.states.is_empty() {
            filter.states.push(ItemState::Failed);
        }
        let now = self.clock.moment();
        let question = ListItems { filter, order: Order::Created, after, limit: BATCH, now };
        let page = self.store.list(question).await?;
        let to_retry = |item: &&Item| item.failed_at.is_some() || item.work.retry_at.is_some();
        let retry = |item: &Item| Command::Retry { key: item.key(), now: now.now };
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
