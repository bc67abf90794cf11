//! What a person does to all items that match a filter: retry, close, extend.
//!
//! A request changes a bounded number of items, in the order of their creation, and says where the next one
//! continues. What is created after the first request does not belong to the selection, and no item is
//! changed twice, so the sequence ends. Whether an item matches is judged by the store together with its
//! change: one that was closed or retried meanwhile is left alone.

use std::sync::Arc;
use std::time::Duration;

use super::Recovery;
use super::retries::RetryItems;
use crate::model::item::ItemPatch;
use crate::model::{
    CloseOutcome, Item, ItemFilter, ItemNumber, ItemState, Moment, Order, Position, Timestamp,
};
use crate::store::{Command, ListItems, Outcome};
use crate::warden::WardenError;
use crate::warden::intake::Deadline;

/// The most items that a request changes.
pub const SELECTION_MAX: usize = 1000;

/// What is done to each item.
#[derive(Clone, Debug)]
pub enum Act {
    /// Items that have not failed, are not interrupted and wait for nothing are changed only if the request
    /// names a step or an instant; items without the step are not.
    Retry(RetryItems),
    Close(CloseOutcome),
    /// Items with a later deadline are not changed.
    Extend(Deadline),
}

impl Act {
    /// The states that a filter without states means.
    fn states(&self) -> Vec<ItemState> {
        match self {
            Self::Retry(_) => vec![ItemState::Failed],
            Self::Close(_) | Self::Extend(_) => {
                vec![ItemState::Open, ItemState::Overdue, ItemState::Interrupted, ItemState::Failed]
            }
        }
    }
}

/// Where a selection continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// When the first request was made.
    pub begun_at: Timestamp,
    /// The last item of the request before.
    pub after: ItemNumber,
}

/// The items of a request.
#[derive(Clone, Debug)]
pub struct Selection {
    pub filter: ItemFilter,
    /// `None` for the first request.
    pub from: Option<Continuation>,
    /// 1 to [`SELECTION_MAX`].
    pub limit: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Acted {
    /// How many items were changed.
    pub count: u64,
    /// Where the next request continues; `None` at the end.
    pub next: Option<Continuation>,
}

impl Recovery {
    pub async fn act_on_all(&self, selection: Selection, act: &Act) -> Result<Acted, WardenError> {
        let Selection { mut filter, from, limit } = selection;
        let now = self.clock.moment();
        let begun_at = from.map_or(now.now, |from| from.begun_at);
        let end = begun_at.after(Duration::from_millis(1));
        filter.created_before = Some(filter.created_before.map_or(end, |before| before.min(end)));
        if filter.states.is_empty() {
            filter.states = act.states();
        }
        if let Act::Extend(deadline) = act {
            let end = now.steady(deadline.resolve(now)?);
            filter.deadline_before = Some(filter.deadline_before.map_or(end, |before| before.min(end)));
        }
        let after = from.map(|from| Position { deadline: begun_at, number: from.after });
        let question = ListItems { filter: filter.clone(), order: Order::Created, after, limit, now };
        let filter = Arc::new(filter);
        let page = self.store.list(question).await?;
        let mut commands = Vec::new();
        let mut versions = Vec::new();
        for item in &page.data {
            if let Some(command) = self.command_for(item, act, now)? {
                let (number, filter, command) = (item.number, filter.clone(), Box::new(command));
                commands.push(Command::IfMatching { number, filter, command, now });
                versions.push(item.version);
            }
        }
        let outcomes = if commands.is_empty() { Vec::new() } else { self.store.apply(commands).await? };
        let is_changed = |(outcome, before): &(Outcome, u64)| match outcome {
            Outcome::Closed(_) => true,
            Outcome::Changed(item) => item.version != *before,
            _ => false,
        };
        let count = outcomes.into_iter().zip(versions).filter(is_changed).count() as u64;
        let next = page.next.map(|position| Continuation { begun_at, after: position.number });
        Ok(Acted { count, next })
    }

    /// The command that changes the item; `None` if it is to stay as it is.
    fn command_for(&self, item: &Item, act: &Act, now: Moment) -> Result<Option<Command>, WardenError> {
        let key = item.key();
        Ok(match act {
            Act::Retry(request) => {
                let is_plain = request.from.is_none() && request.at.is_none();
                let is_meant = !is_plain || item.failed_at.is_some() || item.waits();
                is_meant.then(|| self.retry_command(key, request, now))
            }
            Act::Close(outcome) => {
                let closing = self.workflows.policy(&item.workflow).closing(*outcome, now.now);
                Some(Command::Close { key, closing })
            }
            Act::Extend(deadline) => {
                let patch = ItemPatch { deadline: Some(deadline.resolve(now)?), ..ItemPatch::default() };
                let policies = self.workflows.clone();
                Some(Command::Patch { key, patch, if_version: None, policies, now: now.now })
            }
        })
    }
}
