//! Where items stand in the orders of the census.
//!
//! Everything here is ordered by steady time. A deadline on the wall clock moves in it when that clock is set, so the
//! place of such an item is kept: by it the item is found again, whatever the clocks say by then.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use crate::model::item::Status;
use crate::model::{ClockTime, ItemNumber, Moment, Standing, StepName, Timestamp, WorkflowName};

/// What the orders need of an unclosed item.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    pub number: ItemNumber,
    pub workflow: &'a WorkflowName,
    pub step: Option<&'a StepName>,
    /// In steady time.
    pub deadline: Timestamp,
    /// How often it was claimed at its step.
    pub attempts: u32,
    /// From when on it may be claimed, as far as leases and waits go.
    pub free_at: Timestamp,
}

impl<'a> Placed<'a> {
    pub fn new(standing: &'a Standing, deadline: Timestamp) -> Self {
        Self {
            number: standing.number,
            workflow: &standing.workflow,
            step: standing.step.as_ref(),
            deadline,
            attempts: standing.attempts,
            free_at: standing.free_at,
        }
    }
}

/// The place of an item whose deadline is an instant of the wall clock.
#[derive(Clone, Debug)]
pub struct WallPlace {
    pub workflow: WorkflowName,
    /// What the wall clock shows at the deadline.
    pub wall: Timestamp,
    /// The steady time under which it is ordered.
    pub deadline: Timestamp,
}

/// The places of unclosed items whose deadline is an instant of the wall clock.
#[derive(Debug, Default)]
pub struct WallPlaces(BTreeMap<ItemNumber, WallPlace>);

impl WallPlaces {
    /// The steady time by which to order an unclosed item, by what the clocks say. It is kept if the item would move with
    /// the wall clock.
    pub fn place(&mut self, standing: &Standing, moment: Moment) -> Timestamp {
        let deadline = moment.steady(standing.deadline);
        if let ClockTime::Wall { wall } = standing.deadline {
            let place = WallPlace { workflow: standing.workflow.clone(), wall, deadline };
            self.0.insert(standing.number, place);
        }
        deadline
    }

    /// The steady time by which an item is ordered.
    pub fn deadline(&self, standing: &Standing) -> Timestamp {
        match standing.deadline {
            ClockTime::Steady(deadline) => deadline,
            // One without a place is closed, and in no order.
            ClockTime::Wall { wall } => self.0.get(&standing.number).map_or(wall, |place| place.deadline),
        }
    }

    pub fn get_mut(&mut self, number: ItemNumber) -> Option<&mut WallPlace> {
        self.0.get_mut(&number)
    }

    pub fn forget(&mut self, number: ItemNumber) {
        self.0.remove(&number);
    }

    /// The next items, at most `limit`, in the order of their numbers.
    pub fn after(&self, after: Option<ItemNumber>, limit: usize) -> Vec<ItemNumber> {
        let from = after.map_or(Unbounded, Excluded);
        self.0.range((from, Unbounded)).take(limit).map(|(number, _)| *number).collect()
    }
}

/// Attempts and waits of the unclosed items that have any.
#[derive(Debug, Default)]
pub struct Claimed(HashMap<ItemNumber, (u32, Timestamp)>);

impl Claimed {
    pub fn note(&mut self, standing: &Standing) {
        let is_closed = matches!(standing.status, Status::Closed { .. });
        if is_closed || (standing.attempts, standing.free_at) == (0, Timestamp::MIN) {
            self.0.remove(&standing.number);
        } else {
            self.0.insert(standing.number, (standing.attempts, standing.free_at));
        }
    }

    pub fn forget(&mut self, number: ItemNumber) {
        self.0.remove(&number);
    }

    /// The attempts at its step, and from when on the item may be claimed.
    pub fn get(&self, number: ItemNumber) -> (u32, Timestamp) {
        self.0.get(&number).copied().unwrap_or((0, Timestamp::MIN))
    }
}

#[cfg(test)]
impl<'a> From<&'a Standing> for Placed<'a> {
    /// While both clocks show the same.
    fn from(standing: &'a Standing) -> Self {
        Self::new(standing, Moment::from(Timestamp::MIN).steady(standing.deadline))
    }
}
