//! Latencies in buckets of a fixed relative width.
//!
//! Each power of two of nanoseconds is divided into 32 buckets, so a quantile is at most about 3 % too high.
//! What is deliberately absent: minimum, maximum and mean, which say little on a noisy machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const BITS: u32 = 5;
const BUCKETS: usize = (64 - BITS as usize + 1) << BITS;

/// Counts of latencies. Shared by all connections of a round; they live on one thread, so the atomics are
/// never contended and only make it `Sync`.
pub struct Histogram {
    counts: Box<[AtomicU64]>,
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub fn record(&self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanoseconds)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many latencies were recorded.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The upper edge of the bucket in which the latency of this rank lies; zero when nothing was recorded.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((self.total() as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if seen >= rank {
                return Duration::from_nanos(upper_edge(index));
            }
        }
        Duration::ZERO
    }
}

/// Below 32 ns a bucket is a nanosecond; above, the leading bit chooses the row and the next five the bucket.
fn bucket(nanoseconds: u64) -> usize {
    let row = (64 - nanoseconds.leading_zeros()).saturating_sub(BITS + 1);
    ((row as usize) << BITS) + (nanoseconds >> row) as usize
}

fn upper_edge(index: usize) -> u64 {
    let row = (index >> BITS).saturating_sub(1);
    let first = (index - (row << BITS)) as u64;
    (((u128::from(first) + 1) << row) - 1).min(u128::from(u64::MAX)) as u64
}
