//! The recent rate of ended items, for the displayed estimate.

use std::time::Duration;

use crate::model::Timestamp;

/// The number of buckets.
const BUCKETS: usize = 30;

/// Counts events in a sliding window.
#[derive(Clone, Debug)]
pub struct Recent {
    began_at: Timestamp,
    /// The length of a bucket in milliseconds.
    bucket: u64,
    /// By bucket number, modulo [`BUCKETS`].
    counts: [u64; BUCKETS],
    /// The number of the bucket that was counted in last.
    latest: u64,
}

impl Recent {
    /// `window` is at least [`BUCKETS`] milliseconds.
    pub fn new(window: Duration, now: Timestamp) -> Self {
        let bucket = (u64::try_from(window.as_millis()).unwrap_or(u64::MAX) / BUCKETS as u64).max(1);
        Self { began_at: now, bucket, counts: [0; BUCKETS], latest: 0 }
    }

    pub fn add(&mut self, now: Timestamp) {
        self.turn(now);
        self.counts[(self.latest % BUCKETS as u64) as usize] += 1;
    }

    /// Events per second within the window.
    pub fn per_second(&mut self, now: Timestamp) -> f64 {
        self.turn(now);
        let since = u64::try_from(now.since(self.began_at).as_millis()).unwrap_or(u64::MAX);
        let beyond = self.latest.saturating_sub(BUCKETS as u64 - 1) * self.bucket;
        let seconds = since.saturating_sub(beyond).max(self.bucket) as f64 / 1000.0;
        self.counts.iter().sum::<u64>() as f64 / seconds
    }

    /// Empties the buckets that have begun since the last call.
    fn turn(&mut self, now: Timestamp) {
        let since = u64::try_from(now.since(self.began_at).as_millis()).unwrap_or(u64::MAX);
        let current = (since / self.bucket).max(self.latest);
        for bucket in (self.latest + 1..=current).take(BUCKETS) {
            self.counts[(bucket % BUCKETS as u64) as usize] = 0;
        }
        self.latest = current;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn at(millis: u64) -> Timestamp {
        START.after(Duration::from_millis(millis))
    }

    #[test]
    fn a_rate_is_that_of_the_last_while() {
        let mut recent = Recent::new(Duration::from_secs(30), START);
        assert_eq!(recent.per_second(START), 0.0);
        for second in 0..100 {
            for _ in 0..5 {
                recent.add(at(second * 1000));
            }
        }
        assert!((recent.per_second(at(99_999)) - 5.0).abs() < 0.01);
        assert!(
            (recent.per_second(at(114_999)) - 2.5).abs() < 0.1,
            "there were no events in half of the window"
        );
        assert_eq!(recent.per_second(at(1_000_000)), 0.0);
        recent.add(at(1_000_000));
        assert!(recent.per_second(at(1_000_000)) > 0.0);
    }

    #[test]
    fn at_the_beginning_it_is_that_of_the_time_since() {
        let mut recent = Recent::new(Duration::from_secs(30), START);
        (0..20).for_each(|_| recent.add(at(500)));
        assert_eq!(recent.per_second(at(2_000)), 10.0);
        assert_eq!(recent.per_second(at(500)), 20.0, "the rate is not extrapolated");
    }
}
