//! Deliveries: one notification to one receiver, in the durable outbox until it is delivered or dead.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use warden_api::limit::ATTEMPTS_KEPT;
pub use warden_api::word::{DeliveryStatus, Event};

use super::{IncidentId, ItemKey, ItemNumber, Timestamp};

/// `dlv_` and a UUIDv7. It is the `webhook-id` of every attempt, by which receivers recognise duplicates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryId(pub Arc<str>);

/// What deliveries are about. Those of one topic to one receiver are sent in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    Incident(IncidentId),
    #[serde(rename = "item_number")]
    Item(ItemNumber),
}

impl From<IncidentId> for Topic {
    fn from(incident: IncidentId) -> Self {
        Self::Incident(incident)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the request was sent.
    pub at: Timestamp,
    /// The HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// From the request to the end of the response, in milliseconds.
    pub latency_ms: u64,
    /// The reason of the failure; `None` after a success.
    pub error: Option<String>,
    /// The beginning of the response's body, at most 2,048 bytes.
    #[serde(default)]
    pub answer: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    #[serde(flatten)]
    pub topic: Topic,
    /// If that is an item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemKey>,
    pub receiver: Arc<str>,
    pub event: Event,
    /// Set for a resolution whose items are in trouble in this incident: it is sent only after the receiver
    /// was notified of that one, or that delivery is dead.
    #[serde(default)]
    pub after: Option<IncidentId>,
    /// Grows within the topic. For an incident, the number of the notification, from 1.
    #[serde(default)]
    pub sequence: u64,
    /// The notification in the `standard` format, from which all formats are rendered.
    pub body: Arc<str>,
    /// When the notification was decided.
    pub created_at: Timestamp,
    /// When a person last resent it.
    #[serde(default)]
    pub resent_at: Option<Timestamp>,
    pub status: DeliveryStatus,
    /// Including attempts that are not kept.
    pub attempts_made: u32,
    /// Valid while it is pending.
    pub next_attempt_at: Timestamp,
    /// The latest attempts, oldest first; at most [`ATTEMPTS_KEPT`].
    pub attempts: Vec<Attempt>,
}

impl Delivery {
    /// The incident that it is about, if it is about one.
    pub fn incident(&self) -> Option<&IncidentId> {
        match &self.topic {
            Topic::Incident(incident) => Some(incident),
            Topic::Item(_) => None,
        }
    }

    /// The order of the deliveries of a topic to a receiver. Ids and instants do not determine it: two
    /// notifications may be decided within a millisecond, and the clock may be set back.
    pub fn place(&self) -> (u64, &DeliveryId) {
        (self.sequence, &self.id)
    }

    /// The failures since it was decided or resent, as far as attempts are kept.
    pub fn failures(&self) -> usize {
        let since = self.resent_at.unwrap_or(Timestamp::MIN);
        let failed = |attempt: &&Attempt| attempt.error.is_some() && attempt.at >= since;
        self.attempts.iter().rev().take_while(failed).count()
    }

    /// Makes it pending again.
    pub fn resend(&mut self, now: Timestamp) {
        self.status = DeliveryStatus::Pending;
        self.resent_at = Some(now);
        self.next_attempt_at = now;
    }

    /// Records an attempt and its consequences.
    pub fn record(&mut self, attempt: Attempt, status: DeliveryStatus, next_attempt_at: Timestamp) {
        self.attempts_made += 1;
        self.attempts.push(attempt);
        let surplus = self.attempts.len().saturating_sub(ATTEMPTS_KEPT);
        self.attempts.drain(..surplus);
        self.status = status;
        self.next_attempt_at = next_attempt_at;
    }
}
