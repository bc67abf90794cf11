//! Items that became overdue, of workflows with receivers that ask for overdue runs, until these are told.
//!
//! Whether an item is a run, and was told of before, is known to the store alone. So this may name an item
//! more often than needed, but never less often.

use std::collections::BTreeSet;

use super::Census;
use crate::model::{Event, ItemNumber, Policy};

#[derive(Debug, Default)]
pub(super) struct Untold {
    items: BTreeSet<ItemNumber>,
    has_news: bool,
}

impl Untold {
    pub(super) fn note(&mut self, number: ItemNumber, policy: &Policy) {
        if policy.events.wanted().contains(Event::RunOverdue) {
            self.items.insert(number);
            self.has_news = true;
        }
    }

    /// Whether there are more since the last call.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }
}

impl Census {
    /// Takes out some of them, the oldest first.
    pub fn take_untold(&self, limit: usize) -> Vec<ItemNumber> {
        let untold = &mut self.lock().untold.items;
        std::iter::from_fn(|| untold.pop_first()).take(limit).collect()
    }

    /// Puts back those that could not be told.
    pub fn put_back_untold(&self, numbers: Vec<ItemNumber>) {
        self.lock().untold.items.extend(numbers);
    }

    /// Completes when more items became overdue.
    pub async fn became_overdue(&self) {
        self.became_overdue.notified().await;
    }
}
