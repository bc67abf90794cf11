//! What one incident has to tell one receiver.

use std::collections::VecDeque;

use super::{Outcomes, Waiting};
use crate::model::{Delivery, DeliveryStatus, Event, Timestamp};

/// What one incident has to tell the receiver.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) under_way: Option<Errand>,
    /// The one under way, to be sent again once it is known what came of it.
    pub(super) again: Option<Waiting>,
    pub(super) planned_at: Option<Timestamp>,
    /// Whether what was told last was given up.
    pub(super) lost: bool,
    /// Whether the first that waits goes whatever another lane has to tell: they waited for each other.
    pub(super) unbound: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// The first that waits.
    Delivery,
    /// The same, which is not sent.
    GivingUp,
    Refresh,
}

impl Lane {
    /// Takes note of what became of the first that waits.
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
                // After the end there is nothing left that somebody else could be told instead.
                self.lost = delivery.event != Event::Resolved;
                self.waiting.pop_front();
            }
        }
    }
}
