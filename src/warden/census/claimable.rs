//! Which items may be claimed, in the order in which they are handed out: the earliest deadline first.
//!
//! Invariants:
//!
//! * An item that is not closed stands in at most one place: ready, busy (somebody holds it, or it waits for its next
//!   attempt), or reserved for somebody who is about to claim it. What is told of it last is where it stands.
//! * What stands here is a hint. The store judges each claim anew, so that one which comes too late gets nothing.
//! * Items that are not due yet are kept only from the moment on at which somebody first asks for such ones: most daemons
//!   are never asked, and would pay for each of their items.
//!
//! * Whether an open item is overdue is a question of the time, here as everywhere: it may be claimed as such before the
//!   timers have come round to it.
//! * Only the steps that a workflow's policy names have shelves of their own. Any others are chosen by clients, who could
//!   make as many of them as there are items.
//!
//! Deliberately absent: labels and other criteria that few claims name. Whoever asks looks the items up.

use std::cmp::Reverse;
use std::collections::btree_set::Range;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;
use std::time::Duration;

use super::placed::Placed;
use super::troubled::Place;
use crate::model::{ItemNumber, ItemState, StepName, Timestamp, WorkflowName};

/// How many items are taken at once from those whose time has come.
const FREED_AT_ONCE: usize = 4096;
/// After every deadline.
const END: Timestamp = Timestamp::from_millis(i64::MAX);

/// A shelf: items of one workflow, in one state, at one step.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shelf {
    workflow: WorkflowName,
    state: ItemState,
    /// One of those that the workflow's policy names; nothing for items at any other, or at none.
    step: Option<StepName>,
}

/// Where an item stands.
#[derive(Debug)]
struct Entry {
    shelf: Arc<Shelf>,
    deadline: Timestamp,
    hold: Hold,
}

#[derive(Debug, PartialEq, Eq)]
enum Hold {
    /// It stands on its shelf.
    Ready,
    /// It is held, or waits, until then.
    Busy(Timestamp),
    /// It is reserved.
    Reserved,
}

/// What is asked for.
pub struct Wanted<'a> {
    /// The workflows.
    pub admits: &'a (dyn Fn(&str) -> bool + Sync),
    /// In which states; those that no item can be claimed in are passed over.
    pub states: &'a [ItemState],
    /// At which step; any if none is named.
    pub step: Option<&'a str>,
}

impl Wanted<'_> {
    /// Between which deadlines what stands on a shelf is wanted, if any of it is: from the first on, and before the second.
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
        let is_at = |wanted: &str| shelf.step.as_ref().is_none_or(|step| step.as_str() == wanted);
        (self.step.is_none_or(is_at) && (self.admits)(&shelf.workflow)).then_some(range)
    }
}

/// The items that may be claimed. See the module's documentation.
#[derive(Debug, Default)]
pub struct Claimable {
    entries: HashMap<ItemNumber, Entry>,
    ready: HashMap<Arc<Shelf>, BTreeSet<Place>>,
    /// By the instant from which on they are ready.
    busy: BTreeSet<(Timestamp, ItemNumber)>,
    keeps_open: bool,
    /// While items that are not due are being read: those that have changed since that began.
    changed: Option<HashSet<ItemNumber>>,
    /// Whether anybody who waits for an item should look again.
    news: bool,
}

impl Claimable {
    /// Takes note that an item is in this state, wherever it stood before. `step` is its step if its workflow names that.
    pub fn put(&mut self, standing: Placed<'_>, state: ItemState, step: Option<StepName>, now: Timestamp) {
        let stood_on = self.take_out(standing.number);
        if state == ItemState::Open && !self.keeps_open {
            return;
        }
        let shelf = Shelf { workflow: standing.workflow.clone(), state, step };
        let shelf =
            self.ready.get_key_value(&shelf).map_or_else(|| Arc::new(shelf), |(known, _)| known.clone());
        let hold = if standing.free_at <= now { Hold::Ready } else { Hold::Busy(standing.free_at) };
        let entry = Entry { shelf, deadline: standing.deadline, hold };
        let stood_there = stood_on.as_ref() == Some(&entry.shelf);
        self.stand(standing.number, &entry, stood_there);
        self.entries.insert(standing.number, entry);
    }

    /// Takes an item out, wherever it stands.
    pub fn remove(&mut self, number: ItemNumber) {
        self.take_out(number);
    }

    /// Takes an item out, wherever it stands. The shelf on which it stood to be claimed, if it did.
    fn take_out(&mut self, number: ItemNumber) -> Option<Arc<Shelf>> {
        if let Some(changed) = &mut self.changed {
            changed.insert(number);
        }
        match self.entries.remove(&number) {
            Some(Entry { shelf, deadline, hold: Hold::Ready }) => {
                self.unshelve(&shelf, (deadline, number));
                return Some(shelf);
            }
            Some(Entry { hold: Hold::Busy(until), .. }) => drop(self.busy.remove(&(until, number))),
            Some(Entry { hold: Hold::Reserved, .. }) | None => {}
        }
        None
    }

    /// The first `limit` items after a place, in order. Those whose time has come are to be freed before.
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
                // A range that ends before it begins must not be asked for.
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

    /// Reserves those of the items that are still ready, at most `limit` of them, and gives their places. Each is to be given
    /// back, or claimed.
    pub fn reserve(&mut self, places: &[Place], limit: usize) -> Vec<Place> {
        let mut reserved = Vec::new();
        for (_, number) in places {
            if reserved.len() == limit {
                break;
            }
            let ready = |entry: &&mut Entry| entry.hold == Hold::Ready;
            if let Some(entry) = self.entries.get_mut(number).filter(ready) {
                entry.hold = Hold::Reserved;
                let (shelf, place) = (entry.shelf.clone(), (entry.deadline, *number));
                self.unshelve(&shelf, place);
                reserved.push(place);
            }
        }
        reserved
    }

    /// Gives reserved items back. Those that have changed meanwhile stand in their new place already.
    pub fn give_back(&mut self, places: &[Place]) {
        for (_, number) in places {
            self.make_ready(*number, &Hold::Reserved);
        }
    }

    /// When the next of those that are busy is ready.
    pub fn next_free(&self) -> Timestamp {
        self.busy.first().map_or(Timestamp::MAX, |(free_at, _)| *free_at)
    }

    /// Whether anybody who waits for an item should look again; asked once for each time that it is so.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Keeps items that are not due from now on. Those that there are already are to be put in by
    /// [`Claimable::fill`], followed by [`Claimable::filled`]. Nothing happens when they are kept already.
    pub fn keep_open(&mut self) {
        if !self.keeps_open {
            self.keeps_open = true;
            self.changed = Some(HashSet::new());
        }
    }

    /// Puts an item in that is not due, as it was read, unless it has changed since reading began.
    pub fn fill(&mut self, standing: Placed<'_>, step: Option<StepName>, now: Timestamp) {
        let Some(changed) = self.changed.take() else { return };
        if !changed.contains(&standing.number) {
            self.put(standing, ItemState::Open, step, now);
        }
        self.changed = Some(changed);
    }

    /// Takes note that all of them were put in.
    pub fn filled(&mut self) {
        self.changed = None;
    }

    /// Keeps no items any more that are not due, because they could not be read.
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

    /// Makes some of those ready whose time has come; whether that were all of them.
    pub fn free(&mut self, now: Timestamp) -> bool {
        for _ in 0..FREED_AT_ONCE {
            match self.busy.first().copied() {
                Some((until, number)) if until <= now => {
                    self.busy.pop_first();
                    self.make_ready(number, &Hold::Busy(until));
                }
                _ => return true,
            }
        }
        false
    }

    /// Puts an item on its shelf that is held like this.
    fn make_ready(&mut self, number: ItemNumber, hold: &Hold) {
        if let Some(mut entry) = self.entries.remove(&number) {
            if entry.hold == *hold {
                entry.hold = Hold::Ready;
                self.stand(number, &entry, false);
            }
            self.entries.insert(number, entry);
        }
    }

    /// Puts an item where its entry says. Whoever waits has something to look at if it can be claimed and could not before, not
    /// by those who ask for this shelf, or if they have to wake earlier for it than they meant to.
    fn stand(&mut self, number: ItemNumber, entry: &Entry, stood_there: bool) {
        match entry.hold {
            Hold::Ready => {
                self.news |= !stood_there;
                self.ready.entry(entry.shelf.clone()).or_default().insert((entry.deadline, number));
            }
            Hold::Busy(until) => {
                self.news |= self.busy.first().is_none_or(|(first, _)| until < *first);
                self.busy.insert((until, number));
            }
            Hold::Reserved => {}
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
