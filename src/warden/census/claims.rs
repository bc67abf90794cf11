//! What those who claim items ask the census, and what it keeps for them.

use std::sync::MutexGuard;

use tokio::sync::futures::Notified;

use super::claimable::Wanted;
use super::placed::Placed;
use super::troubled::Place;
use super::{Census, State};
use crate::model::{Item, ItemState, Timestamp};

/// Items that are reserved for somebody who is about to claim them, and given back when this is dropped.
pub struct Reservation<'a> {
    /// Where they stand, in order.
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
    /// The first `limit` items that may be claimed and are wanted, after a place in their order.
    pub fn claimable(&self, wanted: &Wanted<'_>, after: Option<Place>, limit: usize) -> Vec<Place> {
        let now = self.clock.now();
        self.freed(now).claimable.first(wanted, after, limit, now)
    }

    /// Reserves those of the items that may still be claimed, at most `limit` of them.
    pub fn reserve(&self, places: &[Place], limit: usize) -> Reservation<'_> {
        Reservation { places: self.lock().claimable.reserve(places, limit), census: self }
    }

    /// Reserves the first `limit` items that may be claimed and are wanted, after a place in their order.
    pub fn reserve_first(&self, wanted: &Wanted<'_>, after: Option<Place>, limit: usize) -> Reservation<'_> {
        let now = self.clock.now();
        let mut state = self.freed(now);
        let places = state.claimable.first(wanted, after, limit, now);
        Reservation { places: state.claimable.reserve(&places, limit), census: self }
    }

    /// The state when everything has become ready whose time has come. That is done bit by bit: what a night has gathered
    /// must not keep the committing thread waiting.
    fn freed(&self, now: Timestamp) -> MutexGuard<'_, State> {
        loop {
            let mut state = self.lock();
            let all = state.claimable.free(now);
            self.wake(&mut state);
            if all {
                return state;
            }
        }
    }

    /// Completes when an item that may be claimed has come since this was enabled, or first polled.
    pub fn claimable_has_come(&self) -> Notified<'_> {
        self.claimable.notified()
    }

    /// When the next of the items that are held, or wait, may be claimed again.
    pub fn next_free(&self) -> Timestamp {
        self.lock().claimable.next_free()
    }

    /// Has items that are not due yet reserved as well from now on. Those that there are already are to be read and handed to
    /// [`Census::fill_open`], followed by [`Census::filled_open`].
    pub fn keep_open(&self) {
        self.lock().claimable.keep_open();
    }

    /// Takes items that were read since [`Census::keep_open`]. Those that are not open by now are passed over.
    pub fn fill_open(&self, items: &[Item]) {
        let moment = self.clock.moment();
        let mut state = self.lock();
        for item in items.iter().filter(|item| item.state(moment) == ItemState::Open) {
            // One that has fired is among the overdue ones.
            if state.wheel.contains(item.number.0) {
                let standing = item.standing();
                let step = state.named_step(&standing.workflow, standing.step.as_ref());
                let placed = Placed::new(&standing, state.wall_places.deadline(&standing));
                state.claimable.fill(placed, step, moment.now);
            }
        }
        self.wake(&mut state);
    }

    /// Takes note that all of them were read.
    pub fn filled_open(&self) {
        self.lock().claimable.filled();
    }

    /// Has items that are not due reserved no longer, because not all of them could be read.
    pub fn drop_open(&self) {
        self.lock().claimable.drop_open();
    }
}
