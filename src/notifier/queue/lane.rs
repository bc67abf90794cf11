//! A lane: the deliveries of one topic to one receiver.

use std::collections::VecDeque;

use super::{Outcomes, Waiting};
use crate::model::{Delivery, DeliveryStatus, Event, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) under_way: Option<Errand>,
    /// The delivery in flight was resent; it is queued again once the result of its attempt is applied.
    pub(super) again: Option<Waiting>,
    pub(super) planned_at: Option<Timestamp>,
    /// Whether the last delivery is dead.
    pub(super) lost: bool,
    /// Whether the first delivery goes without waiting for another lane, to break a deadlock.
    pub(super) unbound: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Sending the first delivery.
    Delivery,
    /// Storing that the first delivery is dead.
    GivingUp,
    Refresh,
}

impl Lane {
    /// Applies the stored result of the first delivery.
    pub(super) fn recorded(&mut self, delivery: Delivery, outcomes: &mut Outcomes) {
        match delivery.status {
            DeliveryStatus::Pending => {
                outcomes.failed += 1;
                if let Some(first) = self.waiting.front_mut() {
                    first.delivery = delivery;
                }
            }
            DeliveryStatus::Delivered => {
                outcomes.delivered += 1;
                self.lost = false;
                self.waiting.pop_front();
            }
            DeliveryStatus::Dead => {
                outcomes.failed += 1;
                outcomes.dead += 1;
                // After a resolution there is nothing left to tell a fallback, nor is there one for events of
                // items.
                self.lost = delivery.incident().is_some() && delivery.event != Event::Resolved;
                self.waiting.pop_front();
            }
        }
    }
}
