//! Where items stand in the orders of the census when their deadline is an instant of the wall clock.
//!
//! Everything here is ordered by steady time. A deadline on the wall clock moves in it when that clock is set, so the place
//! that such an item was given is kept: by it the item is found again, whatever the clocks say by then.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Deref;

use crate::model::item::Status;
use crate::model::{ClockTime, ItemNumber, Moment, Standing, Timestamp};

/// How an item stands, with the deadline by which the census orders it.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    standing: &'a Standing,
    /// In steady time.
    pub deadline: Timestamp,
}

impl Deref for Placed<'_> {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        self.standing
    }
}

impl<'a> Placed<'a> {
    /// As it has to be placed at that moment.
    pub fn at(standing: &'a Standing, moment: Moment) -> Self {
        Self { standing, deadline: moment.steady(standing.deadline) }
    }
}

/// The places of unclosed items whose deadline is an instant of the wall clock.
#[derive(Debug, Default)]
pub struct WallPlaces(BTreeMap<ItemNumber, Timestamp>);

impl WallPlaces {
    /// Places an item by what the clocks say, and keeps the place if it would move with the wall clock.
    pub fn place<'a>(&mut self, standing: &'a Standing, moment: Moment) -> Placed<'a> {
        let placed = Placed::at(standing, moment);
        let is_closed = matches!(standing.status, Status::Closed { .. });
        match standing.deadline {
            ClockTime::Wall { .. } if !is_closed => self.0.insert(standing.number, placed.deadline),
            _ => self.0.remove(&standing.number),
        };
        placed
    }

    /// An item as it was placed, be it by what was read of it ahead of the change that is told now.
    pub fn placed<'a>(&self, standing: &'a Standing) -> Placed<'a> {
        let deadline = self.get(standing.number).unwrap_or(match standing.deadline {
            // One on the wall clock that has no place is closed, or was read ahead with another deadline.
            ClockTime::Steady(deadline) | ClockTime::Wall { wall: deadline } => deadline,
        });
        Placed { standing, deadline }
    }

    /// Forgets the place of an item, and tells it.
    pub fn forget(&mut self, number: ItemNumber) -> Option<Timestamp> {
        self.0.remove(&number)
    }

    /// Where an item was placed.
    pub fn get(&self, number: ItemNumber) -> Option<Timestamp> {
        self.0.get(&number).copied()
    }

    /// The next items, at most `limit`, in the order of their numbers.
    pub fn after(&self, after: Option<ItemNumber>, limit: usize) -> Vec<ItemNumber> {
        let from = after.map_or(Unbounded, Excluded);
        self.0.range((from, Unbounded)).take(limit).map(|(number, _)| *number).collect()
    }
}

#[cfg(test)]
impl<'a> From<&'a Standing> for Placed<'a> {
    /// While both clocks show the same.
    fn from(standing: &'a Standing) -> Self {
        Self::at(standing, Moment::from(Timestamp::MIN))
    }
}
