//! Claimable items, the earliest deadline first: all that are not closed, whether they are due or not.
//!
//! Invariants:
//!
//! * An item that is not closed is in exactly one place: on its shelf if it is ready, among the busy ones if
//!   it is leased or waits, or among those reserved for a claim in progress. The last change fed by the store
//!   decides which.
//! * An entry is a hint. The store judges each claim, so a claim that comes too late gets nothing.
//! * An item is on the same shelf before and after its deadline: whether it is overdue depends on the time
//!   alone. So it can be claimed as overdue before its timer has fired.
//! * A ready item takes its place on the shelf and nothing else, some 20 bytes. All that is needed to find it
//!   again comes with each change.
//! * Clients could create as many steps as items. Once a workflow has [`SHELVES_MAX`] shelves, further steps
//!   have one of their own only if its policy names them; items at others share one.
//!
//! Deliberately absent: labels and other criteria that few claims use. The caller reads the items to check
//! them.

mod row;
mod shelf;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use self::row::Row;
pub use self::shelf::Wanted;
use self::shelf::{At, Shelf};
use super::placed::Placed;
use super::troubled::Place;
use crate::model::{ItemNumber, StepName, Timestamp, WorkflowName};

/// The most shelves of a workflow, except those of steps that its policy names.
const SHELVES_MAX: usize = 64;
/// The most items freed under one lock.
const FREED_AT_ONCE: usize = 4096;

#[derive(Debug, Default)]
struct Shelved {
    ready: Row,
    /// How many items belong here, busy and reserved ones included.
    items: u64,
}

/// An item that is not on its shelf.
#[derive(Debug)]
struct Away {
    shelf: Arc<Shelf>,
    deadline: Timestamp,
}

/// An item that a claim may reserve.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub place: Place,
    shelf: Arc<Shelf>,
}

/// Which waiting claims should try again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Those of overdue and failed items.
    pub due: bool,
    /// Those that also ask for items that are not due.
    pub any: bool,
}

#[derive(Debug, Default)]
pub struct Claimable {
    shelves: BTreeMap<Arc<Shelf>, Shelved>,
    /// Leased or waiting, by the instant at which they become ready.
    busy: BTreeMap<(Timestamp, ItemNumber), Away>,
    reserved: HashMap<ItemNumber, Away>,
    news: News,
}

impl Claimable {
    /// Adds an item that is not closed. `is_named` tells whether its policy names a step.
    pub fn put(
        &mut self,
        placed: Placed<'_>,
        failed: bool,
        is_named: impl FnOnce(&StepName) -> bool,
        now: Timestamp,
    ) {
        let own = Shelf::of(placed, failed);
        // Nearly every item is ready and has a shelf: one look-up instead of three.
        if placed.free_at <= now
            && let Some(shelved) = self.shelves.get_mut(&own)
        {
            shelved.items += 1;
            shelved.ready.insert((placed.deadline, placed.number));
            self.note_ready(failed, placed.deadline, now);
            return;
        }
        let shelf = self.shelf_for(own, is_named);
        self.shelves.entry(shelf.clone()).or_default().items += 1;
        let item = Away { shelf, deadline: placed.deadline };
        self.settle(placed.number, item, placed.free_at, now);
    }

    /// Removes an item that was added as it is placed here.
    pub fn remove(&mut self, placed: Placed<'_>, failed: bool) {
        if let Some((Away { shelf, .. }, _)) = self.take(placed, failed)
            && let Some(shelved) = self.shelves.get_mut(&shelf)
        {
            shelved.items -= 1;
            if shelved.items == 0 {
                self.shelves.remove(&shelf);
            }
        }
    }

    /// The item is busy until another instant.
    pub fn hold(&mut self, placed: Placed<'_>, failed: bool, until: Timestamp, now: Timestamp) {
        let news = self.news;
        if let Some((item, was_ready)) = self.take(placed, failed) {
            self.settle(placed.number, item, until, now);
            if was_ready && until <= now {
                self.news = news;
            }
        }
    }

    /// The deadline of an item has moved.
    pub fn postpone(&mut self, placed: Placed<'_>, to: Timestamp) {
        let number = placed.number;
        let busy = self.busy.get_mut(&(placed.free_at, number));
        if let Some(away) = self.reserved.get_mut(&number).or(busy) {
            away.deadline = to;
            return;
        }
        let first = Shelf { workflow: placed.workflow.clone(), failed: false, at: At::NoStep };
        let shelves = self.shelves.range_mut::<Shelf, _>(&first..);
        for (_, shelved) in shelves.take_while(|(shelf, _)| shelf.workflow == first.workflow) {
            if shelved.ready.remove((placed.deadline, number)) {
                shelved.ready.insert((to, number));
                self.news = News { due: true, any: true };
                return;
            }
        }
    }

    /// An item has become overdue.
    pub fn note_due(&mut self) {
        self.news.due = true;
    }

    /// The first matching items after a position, in order. Call [`Claimable::free`] first.
    pub fn first(
        &self,
        wanted: &Wanted<'_>,
        after: Option<Place>,
        limit: usize,
        now: Timestamp,
    ) -> Vec<Candidate> {
        let after = after.map(|(deadline, number)| (deadline, ItemNumber(number.0.saturating_add(1))));
        let rows = self.shelves.iter().filter_map(|(shelf, shelved)| {
            let (from, to) = wanted.range_of(shelf, now)?;
            let from = after.max(Some((from, ItemNumber(0))))?;
            Some((shelf, shelved.ready.range(from, (to, ItemNumber(0)))))
        });
        let mut rows: Vec<_> = rows.collect();
        let mut heads = BinaryHeap::new();
        for (row, (_, places)) in rows.iter_mut().enumerate() {
            heads.extend(places.next().map(|place| Reverse((place, row))));
        }
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(Reverse((place, row))) = heads.pop()
        {
            let (shelf, places) = &mut rows[row];
            found.push(Candidate { place, shelf: Arc::clone(shelf) });
            heads.extend(places.next().map(|place| Reverse((place, row))));
        }
        found
    }

    /// Reserves those of the items that are still ready, at most `limit`, and returns their positions. Each
    /// has to be given back or claimed.
    pub fn reserve(&mut self, candidates: &[Candidate], limit: usize) -> Vec<Place> {
        let mut reserved = Vec::new();
        for Candidate { place, shelf } in candidates {
            if reserved.len() == limit {
                break;
            }
            if self.shelves.get_mut(shelf).is_some_and(|shelved| shelved.ready.remove(*place)) {
                self.reserved.insert(place.1, Away { shelf: shelf.clone(), deadline: place.0 });
                reserved.push(*place);
            }
        }
        reserved
    }

    /// Reserves an item if it is ready, and returns its position. Call [`Claimable::free`] first.
    pub fn reserve_item(&mut self, placed: Placed<'_>, failed: bool) -> Option<Place> {
        let place = (placed.deadline, placed.number);
        let own = Shelf::of(placed, failed);
        let other = Shelf { at: At::OtherStep, ..own.clone() };
        [own, other].into_iter().find_map(|shelf| {
            let (shelf, _) = self.shelves.get_key_value(&shelf)?;
            self.reserve(&[Candidate { place, shelf: shelf.clone() }], 1).pop()
        })
    }

    /// Returns reserved items. Those that have changed in the meantime are already elsewhere.
    pub fn give_back(&mut self, places: &[Place], now: Timestamp) {
        for (_, number) in places {
            if let Some(item) = self.reserved.remove(number) {
                self.make_ready(*number, &item, now);
            }
        }
    }

    /// All items of a workflow, in no order.
    pub fn of(&self, workflow: &WorkflowName) -> Vec<ItemNumber> {
        let shelves = self.shelves_of(workflow).filter_map(|shelf| self.shelves.get(shelf));
        let ready = shelves.flat_map(|shelved| shelved.ready.all()).map(|(_, number)| number);
        let busy = self.busy.iter().map(|((_, number), away)| (number, away));
        let away = busy.chain(&self.reserved).filter(|(_, away)| away.shelf.workflow == *workflow);
        ready.chain(away.map(|(number, _)| *number)).collect()
    }

    /// When the next lease or back-off expires.
    pub fn next_free(&self) -> Timestamp {
        self.busy.first_key_value().map_or(Timestamp::MAX, |((free_at, _), _)| *free_at)
    }

    /// Which waiting claims should try again. Resets it.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Makes a batch of items ready whose lease or back-off has expired. Returns whether these were all.
    pub fn free(&mut self, now: Timestamp) -> bool {
        for _ in 0..FREED_AT_ONCE {
            let Some(entry) = self.busy.first_entry().filter(|entry| entry.key().0 <= now) else {
                return true;
            };
            let ((_, number), item) = entry.remove_entry();
            self.make_ready(number, &item, now);
        }
        false
    }

    /// Files an item as ready or busy.
    fn settle(&mut self, number: ItemNumber, item: Away, free_at: Timestamp, now: Timestamp) {
        if free_at <= now {
            self.make_ready(number, &item, now);
            return;
        }
        // Waiting claims sleep until the first one is ready.
        if free_at < self.next_free() {
            self.news = News { due: true, any: true };
        }
        self.busy.insert((free_at, number), item);
    }

    fn make_ready(&mut self, number: ItemNumber, item: &Away, now: Timestamp) {
        self.note_ready(item.shelf.failed, item.deadline, now);
        if let Some(shelved) = self.shelves.get_mut(&item.shelf) {
            shelved.ready.insert((item.deadline, number));
        }
    }

    fn note_ready(&mut self, failed: bool, deadline: Timestamp, now: Timestamp) {
        self.news.any = true;
        self.news.due |= failed || deadline <= now;
    }

    /// Takes an item from where it is, and tells whether that was its shelf. It still counts there.
    fn take(&mut self, placed: Placed<'_>, failed: bool) -> Option<(Away, bool)> {
        let (number, deadline) = (placed.number, placed.deadline);
        let away = self.reserved.remove(&number).or_else(|| self.busy.remove(&(placed.free_at, number)));
        if let Some(away) = away {
            return Some((away, false));
        }
        let mut shelf = Shelf::of(placed, failed);
        loop {
            if let Some((shelf, shelved)) = self.shelves.range_mut::<Shelf, _>(&shelf..=&shelf).next()
                && shelved.ready.remove((deadline, number))
            {
                return Some((Away { shelf: shelf.clone(), deadline }, true));
            }
            if shelf.at == At::OtherStep {
                return None;
            }
            shelf.at = At::OtherStep;
        }
    }

    /// The shelf to which an item goes that would have this one of its own.
    fn shelf_for(&self, mut shelf: Shelf, is_named: impl FnOnce(&StepName) -> bool) -> Arc<Shelf> {
        if let Some((known, _)) = self.shelves.get_key_value(&shelf) {
            return known.clone();
        }
        if let At::Step(step) = &shelf.at
            && self.shelves_of(&shelf.workflow).nth(SHELVES_MAX - 1).is_some()
            && !is_named(step)
        {
            shelf.at = At::OtherStep;
        }
        let known = self.shelves.get_key_value(&shelf).map(|(known, _)| known.clone());
        known.unwrap_or_else(|| Arc::new(shelf))
    }

    fn shelves_of(&self, workflow: &WorkflowName) -> impl Iterator<Item = &Arc<Shelf>> {
        let first = Shelf { workflow: workflow.clone(), failed: false, at: At::NoStep };
        let shelves = self.shelves.range::<Shelf, _>(&first..);
        shelves.map(|(shelf, _)| shelf).take_while(|shelf| shelf.workflow == *workflow)
    }
}

#[cfg(test)]
impl Claimable {
    /// How many items belong to the shelves, and how many are on them, busy, or reserved.
    pub(super) fn counts(&self) -> (usize, usize) {
        let belong = self.shelves.values().map(|shelved| shelved.items as usize).sum();
        let ready = |shelved: &Shelved| {
            shelved.ready.range((Timestamp::MIN, ItemNumber(0)), (Timestamp::MAX, ItemNumber(0))).count()
        };
        let ready: usize = self.shelves.values().map(ready).sum();
        (belong, ready + self.busy.len() + self.reserved.len())
    }
}
