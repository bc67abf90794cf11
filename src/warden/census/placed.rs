//! The positions of items in the orders of the census.
//!
//! All orders are by steady time. When the wall clock is set, a deadline on it moves in steady time, so the
//! position of such an item is kept, to find the item again whatever the clocks show by then.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use crate::model::item::Status;
use crate::model::{ClockTime, IndexedItem, ItemNumber, Moment, StepName, Timestamp, WorkflowName};

/// The ordering data of an open item.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    pub number: ItemNumber,
    pub workflow: &'a WorkflowName,
    pub step: Option<&'a StepName>,
    /// In steady time.
    pub deadline: Timestamp,
    /// The number of claims at the current step.
    pub attempts: u32,
    /// When its lease and back-off have expired.
    pub free_at: Timestamp,
}

impl<'a> Placed<'a> {
    pub fn new(indexed: &'a IndexedItem, deadline: Timestamp) -> Self {
        Self {
            number: indexed.number,
            workflow: &indexed.workflow,
            step: indexed.step.as_ref(),
            deadline,
            attempts: indexed.attempts,
            free_at: indexed.free_at,
        }
    }
}

/// The position of an item whose deadline is an instant of the wall clock.
#[derive(Clone, Debug)]
pub struct WallPlace {
    pub workflow: WorkflowName,
    /// The deadline on the wall clock.
    pub wall: Timestamp,
    /// The steady time by which it is ordered.
    pub deadline: Timestamp,
}

/// The positions of open items whose deadline is an instant of the wall clock.
#[derive(Debug, Default)]
pub struct WallPlaces(BTreeMap<ItemNumber, WallPlace>);

impl WallPlaces {
    /// The steady time by which to order an open item. It is kept if the deadline is on the wall clock.
    pub fn place(&mut self, indexed: &IndexedItem, moment: Moment) -> Timestamp {
        let deadline = moment.steady(indexed.deadline);
        if let ClockTime::Wall { wall } = indexed.deadline {
            let place = WallPlace { workflow: indexed.workflow.clone(), wall, deadline };
            self.0.insert(indexed.number, place);
        }
        deadline
    }

    /// The steady time by which an item is ordered.
    pub fn deadline(&self, indexed: &IndexedItem) -> Timestamp {
        match indexed.deadline {
            ClockTime::Steady(deadline) => deadline,
            // One without a position is closed, and in no order.
            ClockTime::Wall { wall } => self.0.get(&indexed.number).map_or(wall, |place| place.deadline),
        }
    }

    pub fn get_mut(&mut self, number: ItemNumber) -> Option<&mut WallPlace> {
        self.0.get_mut(&number)
    }

    pub fn forget(&mut self, number: ItemNumber) {
        self.0.remove(&number);
    }

    /// In order of their numbers.
    pub fn after(&self, after: Option<ItemNumber>, limit: usize) -> Vec<ItemNumber> {
        let from = after.map_or(Unbounded, Excluded);
        self.0.range((from, Unbounded)).take(limit).map(|(number, _)| *number).collect()
    }
}

/// Attempts and back-offs of the open items that have any.
#[derive(Debug, Default)]
pub struct Claimed(HashMap<ItemNumber, (u32, Timestamp)>);

impl Claimed {
    pub fn note(&mut self, indexed: &IndexedItem) {
        let is_closed = matches!(indexed.status, Status::Closed { .. });
        if is_closed || (indexed.attempts, indexed.free_at) == (0, Timestamp::MIN) {
            self.0.remove(&indexed.number);
        } else {
            self.0.insert(indexed.number, (indexed.attempts, indexed.free_at));
        }
    }

    pub fn forget(&mut self, number: ItemNumber) {
        self.0.remove(&number);
    }

    /// The attempts at the current step, and when lease and back-off have expired.
    pub fn get(&self, number: ItemNumber) -> (u32, Timestamp) {
        self.0.get(&number).copied().unwrap_or((0, Timestamp::MIN))
    }
}

#[cfg(test)]
impl<'a> From<&'a IndexedItem> for Placed<'a> {
    /// With steady time and wall clock equal.
    fn from(indexed: &'a IndexedItem) -> Self {
        Self::new(indexed, Moment::from(Timestamp::MIN).steady(indexed.deadline))
    }
}
