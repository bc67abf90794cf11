//! Queries: items, their payloads, lists and counts.

mod overdue;
mod summary;

use std::sync::Arc;

use bytes::Bytes;

use super::census::{Census, Tally};
use super::context::Context;
use super::steps::{StepCounts, StepTallies};
use super::{ClosedSince, WardenError};
use crate::model::{
    Clock, Item, ItemFilter, ItemKey, ItemNumber, ItemState, Moment, Order, Page, PayloadInfo, Position,
    WorkflowName,
};
use crate::store::{ListItems, Reads};

pub struct Queries {
    store: Arc<dyn Reads>,
    census: Arc<Census>,
    steps: Arc<StepCounts>,
    clock: Arc<dyn Clock>,
}

impl Queries {
    pub(super) fn new(context: &Context, steps: Arc<StepCounts>) -> Self {
        let Context { store, census, clock, .. } = context.clone();
        Self { store, census, steps, clock }
    }

    pub fn tally(&self, workflow: &str) -> Tally {
        self.census.tally(workflow)
    }

    /// Of all workflows that have or had items.
    pub fn tallies(&self) -> Vec<(WorkflowName, Tally)> {
        self.census.tallies()
    }

    /// What has happened at the steps of a workflow since the start.
    pub fn step_tallies(&self, workflow: &str) -> StepTallies {
        self.steps.of(workflow)
    }

    /// Of all workflows at whose steps something has happened.
    pub fn all_step_tallies(&self) -> Vec<(WorkflowName, StepTallies)> {
        self.steps.all()
    }

    /// The item, unless its retention has ended.
    pub async fn item(&self, key: ItemKey) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let item = self.store.get(key).await?;
        item.filter(|item| item.is_visible(now)).ok_or(WardenError::ItemNotFound)
    }

    /// The item with this number, even if its retention has ended.
    pub async fn numbered(&self, number: ItemNumber) -> Result<Option<Item>, WardenError> {
        Ok(self.store.items(vec![number]).await?.pop())
    }

    /// An item and its payload's metadata. Fails when the payload is no longer stored.
    pub async fn item_with_payload(&self, key: ItemKey) -> Result<(Item, PayloadInfo), WardenError> {
        let item = self.item(key).await?;
        match item.kept_payload(self.clock.now()).cloned() {
            Some(info) => Ok((item, info)),
            None => Err(WardenError::PayloadGone(ClosedSince::of(&item, self.clock.moment()))),
        }
    }

    /// A part of an item's payload; `None` if it was dropped in the meantime.
    pub async fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, WardenError> {
        Ok(self.store.payload(number, offset, length).await?)
    }

    pub async fn list(
        &self,
        filter: ItemFilter,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<Item>, WardenError> {
        self.list_at(filter, order, after, limit, self.clock.moment()).await
    }

    /// Like [`Queries::list`], with the states as of `now`.
    pub(super) async fn list_at(
        &self,
        filter: ItemFilter,
        order: Order,
        after: Option<Position>,
        limit: usize,
        now: Moment,
    ) -> Result<Page<Item>, WardenError> {
        // The census has overdue items in order of deadline; any other list in that order is a scan.
        if order == Order::Deadline && filter.states == [ItemState::Overdue] {
            return self.list_overdue(&filter, after, limit, now).await;
        }
        Ok(self.store.list(ListItems { filter, order, after, limit, now }).await?)
    }
}
