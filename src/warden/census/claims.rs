//! The claims interface of the census.

use std::sync::MutexGuard;

use tokio::sync::futures::Notified;

use super::claimable::Wanted;
use super::placed::Placed;
use super::troubled::Place;
use super::{Census, State};
use crate::model::{Item, ItemState, Timestamp};

/// Items reserved for a claim in progress; returned when this is dropped.
pub struct Reservation<'a> {
    /// In order.
    pub places: Vec<Place>,
    census: &'a Census,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.census.lock();
        state.claimable.give_back(&self.places);
        self.census.wake(&mut state);
    }
}

impl Census {
    /// The first claimable items that match, after a position.
    pub fn claimable(&self, wanted: &Wanted<'_>, after: Option<Place>, limit: usize) -> Vec<Place> {
        let now = self.clock.now();
        self.lock_freed(now).claimable.first(wanted, after, limit, now)
    }

    /// Reserves those of the items that are still claimable, at most `limit`.
    pub fn reserve(&self, places: &[Place], limit: usize) -> Reservation<'_> {
        Reservation { places: self.lock().claimable.reserve(places, limit), census: self }
    }

    /// Reserves the first claimable items that match, after a position.
    pub fn reserve_first(&self, wanted: &Wanted<'_>, after: Option<Place>, limit: usize) -> Reservation<'_> {
        let now = self.clock.now();
        let mut state = self.lock_freed(now);
        let places = state.claimable.first(wanted, after, limit, now);
        Reservation { places: state.claimable.reserve(&places, limit), census: self }
    }

    /// Locks the state once every item whose lease or back-off has expired is claimable. Works in batches, so
    /// that the committing thread does not wait for what has accumulated over hours.
    fn lock_freed(&self, now: Timestamp) -> MutexGuard<'_, State> {
        loop {
            let mut state = self.lock();
            let all = state.claimable.free(now);
            self.wake(&mut state);
            if all {
                return state;
            }
        }
    }

    /// Completes when an item becomes claimable after this was enabled or first polled.
    pub fn claimable_has_come(&self) -> Notified<'_> {
        self.claimable.notified()
    }

    /// When the next lease or back-off expires.
    pub fn next_free(&self) -> Timestamp {
        self.lock().claimable.next_free()
    }

    /// Starts to index items that are not due. Existing ones have to be passed to [`Census::fill_open`],
    /// followed by [`Census::filled_open`].
    pub fn keep_open(&self) {
        self.lock().claimable.keep_open();
    }

    /// Adds items that were read after [`Census::keep_open`], interrupted ones included, which can be claimed
    /// once that is over. Those that are not open any more are skipped.
    pub fn fill_open(&self, items: &[Item]) {
        let moment = self.clock.moment();
        let is_open = |item: &&Item| matches!(item.state(moment), ItemState::Open | ItemState::Interrupted);
        let mut state = self.lock();
        for item in items.iter().filter(is_open) {
            // One whose timer has fired is indexed as overdue.
            if state.wheel.contains(item.number.0) {
                let indexed = item.indexed();
                let step = state.named_step(&indexed.workflow, indexed.step.as_ref());
                let placed = Placed::new(&indexed, state.wall_places.deadline(&indexed));
                state.claimable.fill(placed, step, moment.now);
            }
        }
        self.wake(&mut state);
    }

    /// All existing items were added.
    pub fn filled_open(&self) {
        self.lock().claimable.filled();
    }

    /// Stops indexing items that are not due, because reading them failed.
    pub fn drop_open(&self) {
        self.lock().claimable.drop_open();
    }
}
