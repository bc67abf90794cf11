//! Receivers and their status, without paths, queries or secrets of their URLs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::time::WallTime;
use crate::word::{ReceiverFormat, ReceiverState, Word};

/// A destination of notifications, and its status since the daemon started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The format of notifications; null if the receiver is not configured but deliveries wait for it.
    #[cfg_attr(feature = "schema", schema(value_type = Option<ReceiverFormat>))]
    pub format: Option<Word<ReceiverFormat>>,
    /// Scheme, host and port of its URL.
    pub origin: Option<String>,
    /// Whether it accepts notifications.
    #[cfg_attr(feature = "schema", schema(value_type = ReceiverState))]
    pub state: Word<ReceiverState>,
    /// Since when it is `failing` or `paused`.
    pub since: Option<WallTime>,
    /// Why it is `paused`.
    pub reason: Option<Arc<str>>,
    /// The deliveries that wait for it.
    pub waiting: usize,
    /// When the oldest of these was decided.
    pub oldest_waiting_at: Option<WallTime>,
    /// The failed attempts since the last success.
    pub consecutive_failures: u32,
    /// When the next attempt is due; null if nothing waits, it is paused, or all permitted attempts are in
    /// flight.
    pub next_attempt_at: Option<WallTime>,
    /// The latest attempt, without the response's body.
    pub last_attempt: Option<Attempt>,
    /// Counts of results.
    pub since_start: Outcomes,
}

/// Results of deliveries to a receiver since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Outcomes {
    /// Deliveries with a 2xx response.
    pub delivered: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Deliveries that became dead.
    pub dead: u64,
    /// Notifications repeated for receivers that expire them, with a 2xx response.
    pub refreshed: u64,
}

/// The result of testing a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReceiverTest {
    /// Whether the response was 2xx.
    pub delivered: bool,
    /// The HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// From the request to the end of the response, in milliseconds.
    pub latency_ms: u64,
    /// The reason of the failure; null after a success.
    pub error: Option<String>,
    /// The beginning of the response's body.
    pub answer: Option<String>,
}
