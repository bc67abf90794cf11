//! Receivers, and how they are doing. Never a path, a query or a secret of theirs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::time::WallTime;
use crate::word::{ReceiverFormat, ReceiverState, Word};

/// A place to which notifications go, and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Receiver {
    /// Its name.
    pub name: Arc<str>,
    /// The form of what it is sent. Null when the configuration does not name the receiver although something
    /// waits for it.
    #[cfg_attr(feature = "schema", schema(value_type = Option<ReceiverFormat>))]
    pub format: Option<Word<ReceiverFormat>>,
    /// Scheme, host and port of its address.
    pub origin: Option<String>,
    /// Whether it can be told anything.
    #[cfg_attr(feature = "schema", schema(value_type = ReceiverState))]
    pub state: Word<ReceiverState>,
    /// Since when it fails or is paused.
    pub since: Option<WallTime>,
    /// Why it is paused.
    pub reason: Option<Arc<str>>,
    /// How many deliveries wait for it.
    pub waiting: usize,
    /// When the oldest of them was decided.
    pub oldest_waiting_at: Option<WallTime>,
    /// How many attempts have failed since the last success.
    pub consecutive_failures: u32,
    /// When it is tried next. Null while nothing waits, while it is paused, and while all that it takes at
    /// once is under way.
    pub next_attempt_at: Option<WallTime>,
    /// The latest attempt since the start, without its answer.
    pub last_attempt: Option<Attempt>,
    /// What has become of its deliveries since the start.
    pub since_start: Outcomes,
}

/// What has become of the deliveries to a receiver since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Outcomes {
    /// Deliveries that were answered with 2xx.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Notifications that were repeated for receivers which forget, and answered with 2xx.
    pub refreshed: u64,
}

/// What came of the test of a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReceiverTest {
    /// Whether it was answered with 2xx.
    pub delivered: bool,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// From the request to the end of the answer, in milliseconds.
    pub latency_ms: u64,
    /// What went wrong, if anything did.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub answer: Option<String>,
}
