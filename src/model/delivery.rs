//! Deliveries: one notification of one incident to one receiver, kept in the durable outbox until it is
//! delivered or dead.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{IncidentId, Timestamp};

/// How many of the latest attempts a delivery keeps.
pub const ATTEMPTS_KEPT: usize = 10;

/// `dlv_` and a UUIDv7. It is the `webhook-id` of every attempt, by which a receiver knows a repetition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryId(pub Arc<str>);

/// What a notification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// An incident opened.
    #[serde(rename = "incident.opened")]
    Opened,
    /// It grew.
    #[serde(rename = "incident.grown")]
    Grown,
    /// It is still open.
    #[serde(rename = "incident.reminder")]
    Reminder,
    /// Nothing is left of it.
    #[serde(rename = "incident.resolved")]
    Resolved,
}

impl Event {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "incident.opened",
            Self::Grown => "incident.grown",
            Self::Reminder => "incident.reminder",
            Self::Resolved => "incident.resolved",
        }
    }
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It waits for its next attempt.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// It was given up.
    Dead,
}

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
    /// The notification in the `standard` form: the same text in every attempt.
    pub body: Arc<str>,
    /// When it was decided.
    pub created_at: Timestamp,
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
    /// Its place in the story that its receiver hears of the incident: the beginning before everything else, the end
    /// after it. Neither ids nor instants tell that for sure, since both may be decided within one millisecond, and the
    /// clock may be set back between them.
    pub fn place(&self) -> (u8, Timestamp, &DeliveryId) {
        let chapter = match self.event {
            Event::Opened => 0,
            Event::Grown | Event::Reminder => 1,
            Event::Resolved => 2,
        };
        (chapter, self.created_at, &self.id)
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
