//! Claimable items, the earliest deadline first.
//!
//! Invariants:
//!
//! * An open item is in at most one state here: ready, busy (leased or in back-off), or reserved for a claim
//!   in progress. The last change fed by the store decides which.
//! * An entry is a hint. The store judges each claim, so a claim that comes too late gets nothing.
//! * Items that are not due are indexed only once a claim has asked for some: most daemons never need them,
//!   and would pay for each item.
//! * Whether an open item is overdue depends on the time alone: it can be claimed as overdue before its timer
//!   has fired.
//! * Only steps that a policy names have shelves of their own. Clients could create as many other steps as
//!   items.
//!
//! Deliberately absent: labels and other criteria that few claims use. The caller reads the items to check
//! them.

use std::cmp::Reverse;
use std::collections::btree_set::Range;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;
use std::time::Duration;

use super::placed::Placed;
use super::troubled::Place;
use crate::model::{ItemNumber, ItemState, StepName, Timestamp, WorkflowName};

/// The most items freed under one lock.
const FREED_AT_ONCE: usize = 4096;
/// After every deadline.
const END: Timestamp = Timestamp::from_millis(i64::MAX);

/// The items of one workflow, in one state, at one step.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shelf {
    workflow: WorkflowName,
    state: ItemState,
    /// A step that the policy names; `None` for items at any other step, or at none.
    step: Option<StepName>,
}

#[derive(Debug)]
struct Entry {
    shelf: Arc<Shelf>,
    deadline: Timestamp,
    availability: Availability,
}

#[derive(Debug, PartialEq, Eq)]
enum Availability {
    /// On its shelf.
    Ready,
    /// Leased or in back-off until then.
    Busy(Timestamp),
    Reserved,
}

/// The criteria of a claim that the index can judge.
pub struct Wanted<'a> {
    pub admits: &'a (dyn Fn(&str) -> bool + Sync),
    /// States in which no item can be claimed match nothing.
    pub states: &'a [ItemState],
    /// `None` matches any step.
    pub step: Option<&'a (dyn Fn(&str) -> bool + Sync)>,
}

impl Wanted<'_> {
    /// The range of deadlines on a shelf that matches: from the first, and before the second.
    fn range_of(&self, shelf: &Shelf, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let in_time = now.after(Duration::from_millis(1));
        let has = |state| self.states.contains(&state);
        let range = match (shelf.state, has(ItemState::Open), has(ItemState::Overdue)) {
            (ItemState::Open, true, true) => (Timestamp::MIN, END),
            (ItemState::Open, true, false) => (in_time, END),
            (ItemState::Open, false, true) => (Timestamp::MIN, in_time),
            (ItemState::Open, false, false) => return None,
            (state, ..) if has(state) => (Timestamp::MIN, END),
            _ => return None,
        };
        // A shelf without a step may have items at any that the policy does not name.
        let admits = |step: &StepName| self.step.is_none_or(|admits| admits(step.as_str()));
        (shelf.step.as_ref().is_none_or(admits) && (self.admits)(&shelf.workflow)).then_some(range)
    }
}

#[derive(Debug, Default)]
pub struct Claimable {
    entries: HashMap<ItemNumber, Entry>,
    ready: HashMap<Arc<Shelf>, BTreeSet<Place>>,
    /// By the instant at which they become ready.
    busy: BTreeSet<(Timestamp, ItemNumber)>,
    keeps_open: bool,
    /// While items that are not due are read: the items that have changed since reading began.
    changed: Option<HashSet<ItemNumber>>,
    /// Whether waiting claims should try again.
    news: bool,
}

impl Claimable {
    /// The item is in this state now. `step` is its step if the policy names that.
    pub fn put(&mut self, indexed: Placed<'_>, state: ItemState, step: Option<StepName>, now: Timestamp) {
        let stood_on = self.take_out(indexed.number);
        if state == ItemState::Open && !self.keeps_open {
            return;
        }
        let shelf = Shelf { workflow: indexed.workflow.clone(), state, step };
        let shelf =
            self.ready.get_key_value(&shelf).map_or_else(|| Arc::new(shelf), |(known, _)| known.clone());
        let availability =
            if indexed.free_at <= now { Availability::Ready } else { Availability::Busy(indexed.free_at) };
        let entry = Entry { shelf, deadline: indexed.deadline, availability };
        let stood_there = stood_on.as_ref() == Some(&entry.shelf);
        self.place(indexed.number, &entry, stood_there);
        self.entries.insert(indexed.number, entry);
    }

    pub fn remove(&mut self, number: ItemNumber) {
        self.take_out(number);
    }

    /// Removes an item. Returns the shelf if it was ready.
    fn take_out(&mut self, number: ItemNumber) -> Option<Arc<Shelf>> {
        if let Some(changed) = &mut self.changed {
            changed.insert(number);
        }
        match self.entries.remove(&number) {
            Some(Entry { shelf, deadline, availability: Availability::Ready }) => {
                self.unshelve(&shelf, (deadline, number));
                return Some(shelf);
            }
            Some(Entry { availability: Availability::Busy(until), .. }) => {
                self.busy.remove(&(until, number));
            }
            Some(Entry { availability: Availability::Reserved, .. }) | None => {}
        }
        None
    }

    /// The first matching items after a position, in order. Call [`Claimable::free`] first.
    pub fn first(
        &self,
        wanted: &Wanted<'_>,
        after: Option<Place>,
        limit: usize,
        now: Timestamp,
    ) -> Vec<Place> {
        let row = |(shelf, places): (&Arc<Shelf>, _)| -> Option<Range<'_, Place>> {
            let places: &BTreeSet<Place> = places;
            let (from, to) = wanted.range_of(shelf, now)?;
            let (from, to) = ((from, ItemNumber(0)), (to, ItemNumber(0)));
            match after {
                // The range of a `BTreeSet` must not end before it begins.
                Some(after) if after >= to => None,
                Some(after) if after >= from => Some(places.range((Excluded(after), Excluded(to)))),
                _ => Some(places.range((Included(from), Excluded(to)))),
            }
        };
        let mut rows: Vec<Range<'_, Place>> = self.ready.iter().filter_map(row).collect();
        let first =
            |(row, places): (usize, &mut Range<'_, Place>)| places.next().map(|place| Reverse((*place, row)));
        let mut heads: BinaryHeap<_> = rows.iter_mut().enumerate().filter_map(first).collect();
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(Reverse((place, row))) = heads.pop()
        {
            found.push(place);
            heads.extend(rows[row].next().map(|place| Reverse((*place, row))));
        }
        found
    }

    /// Reserves those of the items that are still ready, at most `limit`, and returns their positions. Each
    /// has to be given back or claimed.
    pub fn reserve(&mut self, places: &[Place], limit: usize) -> Vec<Place> {
        let mut reserved = Vec::new();
        for (_, number) in places {
            if reserved.len() == limit {
                break;
            }
            let ready = |entry: &&mut Entry| entry.availability == Availability::Ready;
            if let Some(entry) = self.entries.get_mut(number).filter(ready) {
                entry.availability = Availability::Reserved;
                let (shelf, place) = (entry.shelf.clone(), (entry.deadline, *number));
                self.unshelve(&shelf, place);
                reserved.push(place);
            }
        }
        reserved
    }

    /// Returns reserved items. Those that have changed in the meantime are already elsewhere.
    pub fn give_back(&mut self, places: &[Place]) {
        for (_, number) in places {
            self.make_ready(*number, &Availability::Reserved);
        }
    }

    /// When the next lease or back-off expires.
    pub fn next_free(&self) -> Timestamp {
        self.busy.first().map_or(Timestamp::MAX, |(free_at, _)| *free_at)
    }

    /// Whether waiting claims should try again. Resets it.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Starts to index items that are not due. Existing ones are added by [`Claimable::fill`], followed by
    /// [`Claimable::filled`]. Without effect if they are indexed already.
    pub fn keep_open(&mut self) {
        if !self.keeps_open {
            self.keeps_open = true;
            self.changed = Some(HashSet::new());
        }
    }

    /// Adds an item that is not due, unless it has changed since reading began.
    pub fn fill(&mut self, indexed: Placed<'_>, step: Option<StepName>, now: Timestamp) {
        let Some(changed) = self.changed.take() else { return };
        if !changed.contains(&indexed.number) {
            self.put(indexed, ItemState::Open, step, now);
        }
        self.changed = Some(changed);
    }

    /// All existing items were added.
    pub fn filled(&mut self) {
        self.changed = None;
    }

    /// Stops indexing items that are not due, because they could not be read.
    pub fn drop_open(&mut self) {
        (self.keeps_open, self.changed) = (false, None);
        let is_open = |(number, entry): (&ItemNumber, &Entry)| {
            (entry.shelf.state == ItemState::Open).then_some(*number)
        };
        let open: Vec<ItemNumber> = self.entries.iter().filter_map(is_open).collect();
        for number in open {
            self.remove(number);
        }
    }

    /// Makes a batch of items ready whose lease or back-off has expired. Returns whether these were all.
    pub fn free(&mut self, now: Timestamp) -> bool {
        for _ in 0..FREED_AT_ONCE {
            match self.busy.first().copied() {
                Some((until, number)) if until <= now => {
                    self.busy.pop_first();
                    self.make_ready(number, &Availability::Busy(until));
                }
                _ => return true,
            }
        }
        false
    }

    /// Makes an item ready if it is in the given state.
    fn make_ready(&mut self, number: ItemNumber, expected: &Availability) {
        if let Some(mut entry) = self.entries.remove(&number) {
            if entry.availability == *expected {
                entry.availability = Availability::Ready;
                self.place(number, &entry, false);
            }
            self.entries.insert(number, entry);
        }
    }

    /// Files an item as its entry says. Waiting claims should try again if the item has become ready on
    /// another shelf, or is the next to become ready.
    fn place(&mut self, number: ItemNumber, entry: &Entry, stood_there: bool) {
        match entry.availability {
            Availability::Ready => {
                self.news |= !stood_there;
                self.ready.entry(entry.shelf.clone()).or_default().insert((entry.deadline, number));
            }
            Availability::Busy(until) => {
                self.news |= self.busy.first().is_none_or(|(first, _)| until < *first);
                self.busy.insert((until, number));
            }
            Availability::Reserved => {}
        }
    }

    fn unshelve(&mut self, shelf: &Arc<Shelf>, place: Place) {
        if let Some(places) = self.ready.get_mut(shelf) {
            places.remove(&place);
            if places.is_empty() {
                self.ready.remove(shelf);
            }
        }
    }
}

#[cfg(test)]
mod tests;
