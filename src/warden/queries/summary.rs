//! Aggregate counts of the items that match a filter.

use super::Queries;
use crate::model::{ItemFilter, ItemState, Order, Summary};
use crate::warden::WardenError;

/// The most items read at once. None of them is kept.
const PAGE: usize = 500;

impl Queries {
    /// Aggregate counts of the items that match the filter. They are read page by page while the store goes
    /// on changing: items created or closed meanwhile may or may not be counted.
    pub async fn summary(&self, filter: ItemFilter) -> Result<Summary, WardenError> {
        let now = self.clock.moment();
        // The census has overdue items in order; all others are read in the order in which they are stored.
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
