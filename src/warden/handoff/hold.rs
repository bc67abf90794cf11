//! When a target that has no room is asked again.
//!
//! Everything that goes there waits as long as the target asks for, or else longer from time to time. Then one item is sent, and the
//! others follow when it is answered otherwise.

use std::time::Duration;

use crate::model::Timestamp;

/// The shortest wait, and the first where the target does not ask for one.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest wait that the target did not ask for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Holds back what goes to one target.
#[derive(Clone, Debug, Default)]
pub struct Hold {
    until: Option<Timestamp>,
    /// How often in a row it was begun.
    times: u32,
}

impl Hold {
    /// Takes note that the target has no room, and wants to be left alone so long if it says so.
    pub fn busy(&mut self, wait: Option<Duration>, now: Timestamp) {
        // Those that were sent together are answered together.
        if self.until.is_none_or(|until| until <= now) {
            self.times = self.times.saturating_add(1);
        }
        let own = WAIT_MIN.saturating_mul(1 << self.times.saturating_sub(1).min(10)).min(WAIT_MAX);
        let until = now.after(wait.map_or(own, |wait| wait.max(WAIT_MIN)));
        self.until = self.until.max(Some(until));
    }

    /// Takes note that nothing can be sent for so long, for a reason of our own.
    pub fn stuck(&mut self, wait: Duration, now: Timestamp) {
        self.until = self.until.max(Some(now.after(wait)));
    }

    /// Takes note that the target had room. What was on its way when it had none any more says nothing.
    pub fn free(&mut self, now: Timestamp) {
        if self.until.is_none_or(|until| until <= now) {
            self.clear();
        }
    }

    /// Holds nothing back any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// From when on items may be sent.
    pub fn until(&self) -> Timestamp {
        self.until.unwrap_or(Timestamp::MIN)
    }

    /// How many items may be on their way at once.
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
    fn nothing_is_held_before_the_target_has_no_room() {
        let mut hold = Hold::default();
        assert_eq!((hold.until(), hold.room()), (Timestamp::MIN, usize::MAX));
        hold.busy(Some(Duration::from_secs(20)), START);
        assert_eq!((hold.until(), hold.room()), (at(20), 1));
        hold.free(at(19));
        assert_eq!((hold.until(), hold.room()), (at(20), 1));
        hold.free(at(20));
        assert_eq!((hold.until(), hold.room()), (Timestamp::MIN, usize::MAX));
    }

    #[test]
    fn each_wait_is_longer_than_the_last_up_to_a_minute_but_for_those_that_were_sent_together() {
        let mut hold = Hold::default();
        let mut waits = Vec::new();
        let mut now = START;
        for _ in 0..9 {
            for _ in 0..8 {
                hold.busy(None, now);
            }
            waits.push(hold.until().since(now).as_secs());
            now = hold.until();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn the_longest_of_several_wishes_counts_and_none_is_shorter_than_a_second() {
        let mut hold = Hold::default();
        for seconds in [3, 30, 2] {
            hold.busy(Some(Duration::from_secs(seconds)), START);
        }
        assert_eq!(hold.until(), at(30));
        let mut hold = Hold::default();
        hold.busy(Some(Duration::ZERO), START);
        assert_eq!(hold.until(), at(1));
    }
}
