//! How receivers are doing, for people and their graphs.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Attempt, Timestamp};

/// The upper bounds of what [`Latencies`] tells apart, in seconds.
pub const LATENCY_BOUNDS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Whether a receiver can be told anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverState {
    /// Nothing is known against it.
    Ok,
    /// So many attempts have failed in a row that one is made at a time, now and then, until one succeeds; or it asked
    /// to be left alone for more than a minute.
    Failing {
        /// Since when that is so.
        since: Timestamp,
    },
    /// It said that it is gone: nothing is sent until somebody resumes it, a test succeeds, or the warden is restarted.
    Paused {
        /// When it said so.
        since: Timestamp,
        /// In which words.
        reason: Arc<str>,
    },
}

impl ReceiverState {
    /// The words on the wire.
    pub const NAMES: [&str; 3] = ["ok", "failing", "paused"];

    /// The word on the wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing { .. } => "failing",
            Self::Paused { .. } => "paused",
        }
    }
}

/// How a receiver is doing, and what has become of its deliveries since the start.
#[derive(Clone, Debug)]
pub struct ReceiverStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it can be told anything.
    pub state: ReceiverState,
    /// How many deliveries wait for it.
    pub waiting: usize,
    /// When the oldest of them was decided.
    pub oldest_waiting: Option<Timestamp>,
    /// How many attempts have failed since the last success.
    pub consecutive_failures: u32,
    /// When it is tried next; it may lie in the past for a moment. Nothing while nothing waits, or what waits may not
    /// go.
    pub next_attempt_at: Option<Timestamp>,
    /// The latest attempt, without its answer.
    pub last_attempt: Option<Attempt>,
    /// What became of its deliveries.
    pub outcomes: Outcomes,
    /// How long attempts took.
    pub latencies: Latencies,
}

/// What became of attempts and deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Deliveries that were answered with 2xx.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Refreshes that were answered with 2xx.
    pub refreshed: u64,
}

/// How long attempts took: how many of them up to each of [`LATENCY_BOUNDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    /// How many took up to that bound and more than the one before. The last ones took more than every bound.
    pub counts: [u64; LATENCY_BOUNDS.len() + 1],
    /// The sum of all.
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
