//! How many items have ended lately, as a rate: for people, who want to know when it will be over.

use std::time::Duration;

use crate::model::Timestamp;

/// Into how many parts the time that counts as lately is divided.
const PARTS: usize = 30;

/// Counts what happened within the last while.
#[derive(Clone, Debug)]
pub struct Recent {
    began_at: Timestamp,
    /// How long a part is, in milliseconds.
    part: u64,
    /// By the number of the part, modulo [`PARTS`].
    counts: [u64; PARTS],
    /// The number of the part that was counted in last.
    latest: u64,
}

impl Recent {
    /// A count that begins now, and looks back so far. At least [`PARTS`] milliseconds.
    pub fn new(lately: Duration, now: Timestamp) -> Self {
        let part = (u64::try_from(lately.as_millis()).unwrap_or(u64::MAX) / PARTS as u64).max(1);
        Self { began_at: now, part, counts: [0; PARTS], latest: 0 }
    }

    /// Counts one.
    pub fn note(&mut self, now: Timestamp) {
        self.turn(now);
        self.counts[(self.latest % PARTS as u64) as usize] += 1;
    }

    /// How many there were in a second, lately.
    pub fn per_second(&mut self, now: Timestamp) -> f64 {
        self.turn(now);
        let since = u64::try_from(now.since(self.began_at).as_millis()).unwrap_or(u64::MAX);
        let beyond = self.latest.saturating_sub(PARTS as u64 - 1) * self.part;
        let seconds = since.saturating_sub(beyond).max(self.part) as f64 / 1000.0;
        self.counts.iter().sum::<u64>() as f64 / seconds
    }

    /// Empties the parts that have begun since the last time.
    fn turn(&mut self, now: Timestamp) {
        let since = u64::try_from(now.since(self.began_at).as_millis()).unwrap_or(u64::MAX);
        let current = (since / self.part).max(self.latest);
        for part in (self.latest + 1..=current).take(PARTS) {
            self.counts[(part % PARTS as u64) as usize] = 0;
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
                recent.note(at(second * 1000));
            }
        }
        assert!((recent.per_second(at(99_999)) - 5.0).abs() < 0.01);
        assert!((recent.per_second(at(114_999)) - 2.5).abs() < 0.1, "nothing came for half of the while");
        assert_eq!(recent.per_second(at(1_000_000)), 0.0);
        recent.note(at(1_000_000));
        assert!(recent.per_second(at(1_000_000)) > 0.0);
    }

    #[test]
    fn at_the_beginning_it_is_that_of_the_time_since() {
        let mut recent = Recent::new(Duration::from_secs(30), START);
        (0..20).for_each(|_| recent.note(at(500)));
        assert_eq!(recent.per_second(at(2_000)), 10.0);
        assert_eq!(recent.per_second(at(500)), 20.0, "not faster than can be known");
    }
}
