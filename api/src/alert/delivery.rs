//! Deliveries of notifications to receivers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;
use crate::word::{DeliveryStatus, Event, Word};

/// One notification to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Also the `webhook-id` of every attempt.
    pub id: Arc<str>,
    /// The id of the incident; empty if it is about an item.
    pub incident: Arc<str>,
    /// The item; null if it is about an incident.
    pub item: Option<ItemName>,
    /// The name of the receiver.
    pub receiver: Arc<str>,
    /// The kind of notification.
    #[cfg_attr(feature = "schema", schema(value_type = Event))]
    pub event: Word<Event>,
    /// Grows with the notifications of the incident, from 1, or with those of the item.
    pub sequence: u64,
    /// Whether it was delivered.
    #[cfg_attr(feature = "schema", schema(value_type = DeliveryStatus))]
    pub status: Word<DeliveryStatus>,
    /// When the notification was decided.
    pub created_at: WallTime,
    /// When a person last resent it.
    pub resent_at: Option<WallTime>,
    /// The number of attempts, including those that are not kept.
    pub attempts_made: u32,
    /// When it is due. If the receiver as a whole fails, the attempt is later; if it is paused, there is
    /// none.
    pub next_attempt_at: Option<WallTime>,
    /// The latest attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// Names an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemName {
    /// The name of the workflow.
    pub workflow: Arc<str>,
    /// Unique within the workflow.
    pub id: Arc<str>,
}

/// An attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// When the request was sent.
    pub at: WallTime,
    /// The HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// From the request to the end of the response, in milliseconds.
    pub latency_ms: u64,
    /// The reason of the failure; null after a success.
    pub error: Option<String>,
    /// The beginning of the response's body; null if the token is limited to some workflows.
    pub answer: Option<String>,
}
