//! Deliveries: one notification of one incident to one receiver, kept in the durable outbox until it is
//! delivered or dead.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use warden_api::limit::ATTEMPTS_KEPT;
pub use warden_api::word::{DeliveryStatus, Event};

use super::{IncidentId, Timestamp};

/// `dlv_` and a UUIDv7. It is the `webhook-id` of every attempt, by which a receiver knows a repetition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryId(pub Arc<str>);

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// From the request to the end of the answer, in milliseconds.
    pub latency_ms: u64,
    /// What went wrong, if anything did.
    pub error: Option<String>,
    /// The beginning of the answer's body, at most 2,048 bytes.
    #[serde(default)]
    pub answer: Option<String>,
}

/// A notification on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// What it tells about.
    pub incident: IncidentId,
    /// Where it goes.
    pub receiver: Arc<str>,
    /// What it says.
    pub event: Event,
    /// It is not sent before its receiver has heard of this incident what was decided before, or that was given up: the end
    /// of one whose items are in trouble there.
    #[serde(default)]
    pub after: Option<IncidentId>,
    /// Which of its incident's notifications it carries, counted from one.
    #[serde(default)]
    pub sequence: u64,
    /// The notification in the `standard` form; what other receivers get is made from it.
    pub body: Arc<str>,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When somebody last asked for it to be sent again.
    #[serde(default)]
    pub resent_at: Option<Timestamp>,
    /// How far it has come.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts_made: u32,
    /// When it is tried next, while it is pending.
    pub next_attempt_at: Timestamp,
    /// The latest tries, oldest first; at most [`ATTEMPTS_KEPT`].
    pub attempts: Vec<Attempt>,
}

impl Delivery {
    /// Its place in the story that its receiver hears of the incident. Neither ids nor instants tell that for sure, since
    /// two notifications may be decided within one millisecond, and the clock may be set back between them.
    pub fn place(&self) -> (u64, &DeliveryId) {
        (self.sequence, &self.id)
    }

    /// How often it has failed since it was decided or sent again, as far as tries are kept.
    pub fn failures(&self) -> usize {
        let since = self.resent_at.unwrap_or(Timestamp::MIN);
        let failed = |attempt: &&Attempt| attempt.error.is_some() && attempt.at >= since;
        self.attempts.iter().rev().take_while(failed).count()
    }

    /// Has it sent again: it waits as it did when it was decided.
    pub fn resend(&mut self, now: Timestamp) {
        self.status = DeliveryStatus::Pending;
        self.resent_at = Some(now);
        self.next_attempt_at = now;
    }

    /// Takes note of a try and of what follows from it.
    pub fn record(&mut self, attempt: Attempt, status: DeliveryStatus, next_attempt_at: Timestamp) {
        self.attempts_made += 1;
        self.attempts.push(attempt);
        let surplus = self.attempts.len().saturating_sub(ATTEMPTS_KEPT);
        self.attempts.drain(..surplus);
        self.status = status;
        self.next_attempt_at = next_attempt_at;
    }
}
