//! The status of receivers, for the API and the metrics.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Attempt, Timestamp};

/// The upper bounds of the buckets of [`Latencies`], in seconds.
pub const LATENCY_BOUNDS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverState {
    /// No failure is known.
    Ok,
    /// The circuit is open and probes are sent until one succeeds; or the receiver asked for a `Retry-After`
    /// of more than a minute.
    Failing { since: Timestamp },
    /// The receiver answered 410: nothing is sent until it is resumed, a test succeeds, or the warden
    /// restarts.
    Paused {
        since: Timestamp,
        /// The error of the attempt that was answered so.
        reason: Arc<str>,
    },
}

impl ReceiverState {
    /// The word for it.
    pub const fn word(&self) -> warden_api::word::ReceiverState {
        match self {
            Self::Ok => warden_api::word::ReceiverState::Ok,
            Self::Failing { .. } => warden_api::word::ReceiverState::Failing,
            Self::Paused { .. } => warden_api::word::ReceiverState::Paused,
        }
    }
}

/// The counts are since the start.
#[derive(Clone, Debug)]
pub struct ReceiverStatus {
    pub name: Arc<str>,
    pub state: ReceiverState,
    /// The number of queued deliveries.
    pub waiting: usize,
    /// When the oldest of them was created.
    pub oldest_waiting: Option<Timestamp>,
    /// The failures since the last success.
    pub consecutive_failures: u32,
    /// The next attempt, which may be in the past for a moment. `None` while nothing waits or nothing may go.
    pub next_attempt_at: Option<Timestamp>,
    /// Without the response body.
    pub last_attempt: Option<Attempt>,
    pub outcomes: Outcomes,
    pub latencies: Latencies,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Deliveries answered with 2xx.
    pub delivered: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Deliveries that became dead.
    pub dead: u64,
    /// Refreshes answered with 2xx.
    pub refreshed: u64,
}

/// A histogram of the durations of attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    /// By bucket, not cumulative; the last one is above all of [`LATENCY_BOUNDS`].
    pub counts: [u64; LATENCY_BOUNDS.len() + 1],
    pub sum: Duration,
}

impl Latencies {
    pub(super) fn note(&mut self, took: Duration) {
        let place = LATENCY_BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_counts_for_the_least_bound_that_it_keeps() {
        let mut latencies = Latencies::default();
        for millis in [0, 10, 11, 30_000, 30_001] {
            latencies.note(Duration::from_millis(millis));
        }
        let mut expected = [0; 12];
        expected[0] = 2;
        expected[1] = 1;
        expected[10] = 1;
        expected[11] = 1;
        assert_eq!((latencies.counts, latencies.sum), (expected, Duration::from_millis(60_022)));
    }
}
