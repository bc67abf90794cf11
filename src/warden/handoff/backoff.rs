//! The back-off of a target that answered 429 or 503.
//!
//! Nothing is sent for the time that the target asks for, or else for an exponentially growing time. Then one
//! item is sent as a probe; the others follow if it gets another answer.

use std::time::Duration;

use crate::model::Timestamp;

/// The first back-off if the target asks for none, and the shortest.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest back-off that the target did not ask for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The back-off of one target.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    until: Option<Timestamp>,
    /// The number of back-offs in a row.
    times: u32,
}

impl Backoff {
    /// The target answered that it is overloaded, with `Retry-After` as `wait` if it sent one.
    pub fn busy(&mut self, wait: Option<Duration>, now: Timestamp) {
        // Items that were sent together are answered together and count once.
        if self.until.is_none_or(|until| until <= now) {
            self.times = self.times.saturating_add(1);
        }
        let own = WAIT_MIN.saturating_mul(1 << self.times.saturating_sub(1).min(10)).min(WAIT_MAX);
        let until = now.after(wait.map_or(own, |wait| wait.max(WAIT_MIN)));
        self.until = self.until.max(Some(until));
    }

    /// Sends nothing for a while because of a condition of the warden.
    pub fn pause(&mut self, wait: Duration, now: Timestamp) {
        self.until = self.until.max(Some(now.after(wait)));
    }

    /// The target gave another answer. Answers to requests sent before the back-off are ignored.
    pub fn free(&mut self, now: Timestamp) {
        if self.until.is_none_or(|until| until <= now) {
            self.clear();
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn until(&self) -> Timestamp {
        self.until.unwrap_or(Timestamp::MIN)
    }

    /// How many items may be in flight at once.
    pub fn room(&self) -> usize {
        if self.until.is_some() { 1 } else { usize::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn nothing_is_delayed_until_the_target_is_overloaded() {
        let mut backoff = Backoff::default();
        assert_eq!((backoff.until(), backoff.room()), (Timestamp::MIN, usize::MAX));
        backoff.busy(Some(Duration::from_secs(20)), START);
        assert_eq!((backoff.until(), backoff.room()), (at(20), 1));
        backoff.free(at(19));
        assert_eq!((backoff.until(), backoff.room()), (at(20), 1));
        backoff.free(at(20));
        assert_eq!((backoff.until(), backoff.room()), (Timestamp::MIN, usize::MAX));
    }

    #[test]
    fn each_back_off_is_longer_up_to_a_minute_but_items_sent_together_count_once() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        let mut now = START;
        for _ in 0..9 {
            for _ in 0..8 {
                backoff.busy(None, now);
            }
            waits.push(backoff.until().since(now).as_secs());
            now = backoff.until();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn the_longest_of_several_back_offs_counts_and_none_is_shorter_than_a_second() {
        let mut backoff = Backoff::default();
        for seconds in [3, 30, 2] {
            backoff.busy(Some(Duration::from_secs(seconds)), START);
        }
        assert_eq!(backoff.until(), at(30));
        let mut backoff = Backoff::default();
        backoff.busy(Some(Duration::ZERO), START);
        assert_eq!(backoff.until(), at(1));
    }
}
