//! Listing overdue items in the order of their deadlines: from the census, which has them in that order, instead of by a
//! scan of the store.

use super::Queries;
use crate::model::{Item, ItemFilter, Moment, Page, Position};
use crate::store::SCAN_MAX;
use crate::warden::WardenError;

/// How many overdue items are read at once.
const BITE: usize = 512;

impl Queries {
    pub(super) async fn list_overdue(
        &self,
        filter: &ItemFilter,
        after: Option<Position>,
        limit: usize,
        now: Moment,
    ) -> Result<Page<Item>, WardenError> {
        let mut place = after.map(|position| (position.deadline, position.number));
        let mut data: Vec<Item> = Vec::new();
        let position = |item: &Item| Position { deadline: now.steady(item.deadline), number: item.number };
        let mut looked_at = 0;
        loop {
            let places = self.census.overdue(|name| filter.admits_workflow(name), place, BITE);
            let ended = places.len() < BITE;
            looked_at += places.len();
            let numbers = places.iter().map(|(_, number)| *number).collect();
            for item in self.store.items(numbers).await? {
                if filter.admits(&item, now) {
                    // Only now is it known that another follows the last one of the page.
                    if data.len() == limit {
                        let next = data.last().map(position);
                        return Ok(Page { data, next });
                    }
                    data.push(item);
                }
            }
            place = places.last().copied();
            if ended {
                return Ok(Page { data, next: None });
            }
            if looked_at >= SCAN_MAX {
                let next = place.map(|(deadline, number)| Position { deadline, number });
                return Ok(Page { data, next });
            }
        }
    }
}
