//! The claims interface of the census.

use std::sync::MutexGuard;

use tokio::sync::futures::Notified;

use super::claimable::{Candidate, Wanted};
use super::placed::Placed;
use super::troubled::Place;
use super::{Census, State};
use crate::model::item::Status;
use crate::model::{Item, Timestamp};

/// Items reserved for a claim in progress; returned when this is dropped.
pub struct Reservation<'a> {
    /// In order.
    pub places: Vec<Place>,
    census: &'a Census,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.census.lock();
        state.claimable.give_back(&self.places, self.census.clock.now());
        self.census.wake(&mut state);
    }
}

impl Census {
    /// The first claimable items that match, after a position.
    pub fn claimable(&self, wanted: &Wanted<'_>, after: Option<Place>, limit: usize) -> Vec<Candidate> {
        let now = self.clock.now();
        self.lock_freed(now).claimable.first(wanted, after, limit, now)
    }

    /// Reserves those of the items that are still claimable, at most `limit`.
    pub fn reserve(&self, candidates: &[Candidate], limit: usize) -> Reservation<'_> {
        let places = self.lock_freed(self.clock.now()).claimable.reserve(candidates, limit);
        Reservation { places, census: self }
    }

    /// Reserves an item, if it is claimable as it was read.
    pub fn reserve_item(&self, item: &Item) -> Reservation<'_> {
        let indexed = item.indexed();
        let mut state = self.lock_freed(self.clock.now());
        let placed = Placed::new(&indexed, state.wall_places.deadline(&indexed));
        let place = state.claimable.reserve_item(placed, indexed.status == Status::Failed);
        Reservation { places: place.into_iter().collect(), census: self }
    }

    /// Reserves the first claimable items that match, after a position.
    pub fn reserve_first(&self, wanted: &Wanted<'_>, after: Option<Place>, limit: usize) -> Reservation<'_> {
        let now = self.clock.now();
        let mut state = self.lock_freed(now);
        let candidates = state.claimable.first(wanted, after, limit, now);
        Reservation { places: state.claimable.reserve(&candidates, limit), census: self }
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

    /// Completes when an item becomes claimable after this was enabled or first polled, one that is not due
    /// only if `open`.
    pub fn claimable_has_come(&self, open: bool) -> Notified<'_> {
        if open { self.claimable.notified() } else { self.claimable_due.notified() }
    }

    /// When the next lease or back-off expires.
    pub fn next_free(&self) -> Timestamp {
        self.lock().claimable.next_free()
    }
}
