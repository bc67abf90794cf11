//! Aggregate counts of the items that match a filter.

use super::Queries;
use crate::model::{ItemFilter, ItemState, Order, Summary};
use crate::warden::WardenError;

/// How many items are read at once. None of them is kept.
const PAGE: usize = 500;

impl Queries {
    /// The figures of the chosen items. They are read page by page while others go on changing them: what is created or
    /// closed meanwhile is counted or not.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn summary(&self, filter: ItemFilter) -> Result<Summary, WardenError> {
        let now = self.clock.moment();
        // The overdue ones stand in order already; anything else is read in the order in which it is stored.
        let order = if filter.states == [ItemState::Overdue] { Order::Deadline } else { Order::Created };
        let mut summary = Summary::new(now);
        let mut place = None;
        loop {
            let page = self.list_at(filter.clone(), order, place, PAGE, now).await?;
            page.data.iter().for_each(|item| summary.add(item));
            place = page.next;
            if place.is_none() {
                return Ok(summary);
            }
        }
    }
}
