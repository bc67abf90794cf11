//! Listing overdue items by deadline: from the census, which has them in that order, not by a scan of the
//! store.

use super::Queries;
use crate::model::{Item, ItemFilter, Moment, Page, Position};
use crate::store::SCAN_MAX;
use crate::warden::WardenError;

/// The most overdue items read at once.
const BATCH: usize = 512;

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
        let mut scanned = 0;
        loop {
            let places = self.census.overdue(|name| filter.admits_workflow(name), place, BATCH);
            let ended = places.len() < BATCH;
            scanned += places.len();
            let numbers = places.iter().map(|(_, number)| *number).collect();
            for item in self.store.items(numbers).await? {
                if filter.admits(&item, now) {
                    // The page has a successor only if another item follows its last one.
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
            if scanned >= SCAN_MAX {
                let next = place.map(|(deadline, number)| Position { deadline, number });
                return Ok(Page { data, next });
            }
        }
    }
}
