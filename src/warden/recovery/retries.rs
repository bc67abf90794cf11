//! Sending items back that have failed, or wait for their next attempt: what an operator asks for.

use super::Recovery;
use crate::model::{Item, ItemFilter, ItemKey, ItemState, Order, Position};
use crate::store::{Command, ListItems, Outcome};
use crate::warden::WardenError;
use crate::warden::error::changed;

/// How many items are sent back by one request for many.
const BITE: usize = 1000;

/// What became of a request to send many items back.
#[derive(Clone, Copy, Debug)]
pub struct Retried {
    /// How many were sent back.
    pub count: u64,
    /// Where to go on; nothing at the end.
    pub next: Option<Position>,
}

impl Recovery {
    /// Sends an item back to its step that has failed, and has one that waits for its next attempt wait no longer. Any other
    /// open item is left as it is.
    ///
    /// # Errors
    /// When there is no such open item, or the store refuses.
    pub async fn retry(&self, key: ItemKey) -> Result<Item, WardenError> {
        let moment = self.clock.moment();
        changed(self.store.apply_one(Command::Retry { key, now: moment.now }).await?, moment)
    }

    /// The same for the first thousand of the items of this choice, after a place. Without any state those are meant that have
    /// failed.
    ///
    /// # Errors
    /// When the store cannot read, or refuses.
    pub async fn retry_all(
        &self,
        mut filter: ItemFilter,
        after: Option<Position>,
    ) -> Result<Retried, WardenError> {
        if filter.states.is_empty() {
            filter.states.push(ItemState::Failed);
        }
        let now = self.clock.moment();
        let question = ListItems { filter, order: Order::Created, after, limit: BITE, now };
        let page = self.store.list(question).await?;
        let to_retry = |item: &&Item| item.failed_at.is_some() || item.work.retry_at.is_some();
        let retry = |item: &Item| Command::Retry { key: item.key(), now: now.now };
        let commands: Vec<Command> = page.data.iter().filter(to_retry).map(retry).collect();
        let outcomes = if commands.is_empty() { Vec::new() } else { self.store.apply(commands).await? };
        let versions = page.data.iter().filter(to_retry).map(|item| item.version);
        let is_changed = |(outcome, before): &(Outcome, u64)| matches!(outcome, Outcome::Changed(item) if item.version != *before);
        let count = outcomes.into_iter().zip(versions).filter(is_changed).count() as u64;
        Ok(Retried { count, next: page.next })
    }
}
