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
//! Deliberately absent: labels and other criteria that few claims name. Whoever asks looks the items up.

use std::cmp::Reverse;
use std::collections::btree_set::Range;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::troubled::Place;
use crate::model::{ItemNumber, ItemState, Standing, StepName, Timestamp, WorkflowName};

/// A shelf: items of one workflow, in one state, at one step.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shelf {
    workflow: WorkflowName,
    state: ItemState,
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
    fn is_met_by(&self, shelf: &Shelf) -> bool {
        self.states.contains(&shelf.state)
            && self.step.is_none_or(|wanted| shelf.step.as_deref() == Some(wanted))
            && (self.admits)(&shelf.workflow)
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
    /// Takes note that an item is in this state, wherever it stood before.
    pub fn put(&mut self, standing: &Standing, state: ItemState, now: Timestamp) {
        self.remove(standing.number);
        if state == ItemState::Open && !self.keeps_open {
            return;
        }
        let (workflow, step) = (standing.workflow.clone(), standing.step.clone());
        let shelf = Shelf { workflow, state, step };
        let shelf =
            self.ready.get_key_value(&shelf).map_or_else(|| Arc::new(shelf), |(known, _)| known.clone());
        let hold = if standing.free_at <= now { Hold::Ready } else { Hold::Busy(standing.free_at) };
        let entry = Entry { shelf, deadline: standing.deadline, hold };
        self.stand(standing.number, &entry);
        self.entries.insert(standing.number, entry);
    }

    /// Takes an item out, wherever it stands.
    pub fn remove(&mut self, number: ItemNumber) {
        if let Some(changed) = &mut self.changed {
            changed.insert(number);
        }
        match self.entries.remove(&number) {
            Some(Entry { shelf, deadline, hold: Hold::Ready }) => self.unshelve(&shelf, (deadline, number)),
            Some(Entry { hold: Hold::Busy(until), .. }) => drop(self.busy.remove(&(until, number))),
            Some(Entry { hold: Hold::Reserved, .. }) | None => {}
        }
    }

    /// The first `limit` items after a place, in order.
    pub fn first(
        &mut self,
        wanted: &Wanted<'_>,
        after: Option<Place>,
        limit: usize,
        now: Timestamp,
    ) -> Vec<Place> {
        self.free(now);
        let from = after.map_or(Unbounded, Excluded);
        let met = self.ready.iter().filter(|(shelf, _)| wanted.is_met_by(shelf));
        let mut rows: Vec<Range<'_, Place>> =
            met.map(|(_, places)| places.range((from, Unbounded))).collect();
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
    pub fn fill(&mut self, standing: &Standing, now: Timestamp) {
        let Some(changed) = self.changed.take() else { return };
        if !changed.contains(&standing.number) {
            self.put(standing, ItemState::Open, now);
        }
        self.changed = Some(changed);
    }

    /// Takes note that all of them were put in.
    pub fn filled(&mut self) {
        self.changed = None;
    }

    /// Makes those ready whose time has come.
    fn free(&mut self, now: Timestamp) {
        while let Some((until, number)) = self.busy.pop_first() {
            if until > now {
                self.busy.insert((until, number));
                return;
            }
            self.make_ready(number, &Hold::Busy(until));
        }
    }

    /// Puts an item on its shelf that is held like this.
    fn make_ready(&mut self, number: ItemNumber, hold: &Hold) {
        if let Some(mut entry) = self.entries.remove(&number) {
            if entry.hold == *hold {
                entry.hold = Hold::Ready;
                self.stand(number, &entry);
            }
            self.entries.insert(number, entry);
        }
    }

    /// Puts an item where its entry says, and takes note that whoever waits has something to look at; be it that they have
    /// to wake earlier than they meant to.
    fn stand(&mut self, number: ItemNumber, entry: &Entry) {
        self.news = true;
        match entry.hold {
            Hold::Ready => {
                self.ready.entry(entry.shelf.clone()).or_default().insert((entry.deadline, number));
            }
            Hold::Busy(until) => drop(self.busy.insert((until, number))),
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
