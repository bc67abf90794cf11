//! What a queue gives out, what it is told of it, and what follows.

use std::time::Duration;

use crate::model::{Attempt, Delivery, Timestamp};
use crate::notifier::backoff;

#[derive(Clone, Debug)]
pub(in crate::notifier) struct Waiting {
    pub delivery: Delivery,
    /// The start of its 24 h of attempts.
    pub since: Timestamp,
}

impl Waiting {
    /// When it becomes dead if its receiver is still paused: after its 24 h, but not before a failed attempt
    /// to store that is repeated.
    pub(super) fn gives_up_at(&self) -> Timestamp {
        let day_end = Timestamp::from_millis(backoff::day_end(self.since.as_millis()));
        day_end.max(self.delivery.next_attempt_at)
    }
}

#[derive(Debug)]
pub(in crate::notifier) enum Task {
    Send(Waiting),
    /// Make it dead without an attempt, for this reason.
    GiveUp(Waiting, String),
}

/// The result of an attempt.
#[derive(Debug)]
pub(in crate::notifier) struct Attempted {
    pub attempt: Attempt,
    /// The parsed `Retry-After`.
    pub retry_after: Option<Duration>,
    pub record: Record,
}

/// What was stored of an attempt.
#[derive(Debug)]
pub(in crate::notifier) enum Record {
    /// The delivery as committed.
    Committed(Box<Delivery>),
    /// The store refused it: the attempt does not count and is repeated.
    Refused,
    /// Nothing is stored of a refresh.
    None,
}

/// A change of the receiver's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::notifier) enum Turn {
    /// The circuit opened.
    Opened,
    /// The circuit closed.
    Closed,
    /// The receiver answered 410.
    Paused,
}

/// The verdict on a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::notifier) enum Refresh {
    Goes,
    /// Not needed: a delivery of the topic waits or is in flight.
    Needless,
    /// Nothing may be sent to the receiver now.
    Refused,
}
