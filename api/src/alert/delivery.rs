//! Deliveries: notifications on their way to receivers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;
use crate::word::{DeliveryStatus, Event, Word};

/// A notification on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Its id, which is the `webhook-id` of every attempt.
    pub id: Arc<str>,
    /// What it tells about.
    pub incident: Arc<str>,
    /// Where it goes.
    pub receiver: Arc<str>,
    /// What it says.
    #[cfg_attr(feature = "schema", schema(value_type = Event))]
    pub event: Word<Event>,
    /// Which of its incident's notifications it carries, counted from one.
    pub sequence: u64,
    /// How far it has come.
    #[cfg_attr(feature = "schema", schema(value_type = DeliveryStatus))]
    pub status: Word<DeliveryStatus>,
    /// When it was decided.
    pub created_at: WallTime,
    /// When somebody last had it sent again.
    pub resent_at: Option<WallTime>,
    /// How often it was tried.
    pub attempts_made: u32,
    /// When it is due by itself. While its receiver as a whole fails, it is tried when its turn comes, and
    /// not while that is paused.
    pub next_attempt_at: Option<WallTime>,
    /// The latest attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// When it began.
    pub at: WallTime,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// From the request to the end of the answer, in milliseconds.
    pub latency_ms: u64,
    /// What went wrong, if anything did.
    pub error: Option<String>,
    /// The beginning of the answer's body, unless the token is limited to some workflows.
    pub answer: Option<String>,
}
