//! The retry schedule of a delivery, as a pure function of its history.
//!
//! The first attempt is due at once. The waits after failures are 5 s, 15 s, 30 s, 1 min, 2 min, and then 5
//! min, until the delivery has been tried for 24 h. Invariants:
//!
//! - A delivery becomes dead only after an attempt that began after its 24 h, however long its receiver or
//!   the warden was down.
//! - A wait is never shorter than scheduled, nor than `Retry-After` asks for, capped at one hour so that a
//!   bad value cannot silence a receiver. Jitter adds up to a fifth, so that receivers that failed together
//!   are not tried together.
//! - The exception is the last attempt, which is made at the end of the 24 h even if that shortens the wait,
//!   though never below 5 s: an attempt too early is better than none after the receiver has come back.
//!
//! Deliberately absent: reading a clock, drawing the jitter, which response is a failure, and the state of
//! the receiver as a whole, for which see [`super::breaker`].

use std::time::Duration;

use crate::outbound::retry_after::granted;

/// The waits after the first, second, … failure, in milliseconds; the last one repeats.
const WAITS: [i64; 6] = [5_000, 15_000, 30_000, 60_000, 120_000, 300_000];
/// The time for which a delivery is tried, in milliseconds.
const WINDOW: i64 = 24 * 60 * 60 * 1000;
/// The most jitter, as a share of the wait.
const JITTER_SHARE: f64 = 0.2;

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next attempt, in milliseconds since the Unix epoch.
    At(i64),
    /// It has been tried for 24 h.
    Dead,
}

/// A failed attempt. Instants are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Consecutive failures including this one; 0 counts as 1.
    pub failures: usize,
    /// The start of the 24 h.
    pub since: i64,
    /// The start of the attempt.
    pub tried_at: i64,
    /// The end of the attempt.
    pub now: i64,
    /// See [`crate::outbound::retry_after`].
    pub retry_after: Option<Duration>,
}

/// Plans the next attempt. `jitter` is a random number from 0 to 1; values outside are clamped.
pub fn next_attempt(failure: &Failure, jitter: f64) -> Next {
    let end = day_end(failure.since);
    if failure.tried_at >= end {
        return Next::Dead;
    }
    let scheduled = WAITS[failure.failures.clamp(1, WAITS.len()) - 1];
    let wait = scheduled.max(failure.retry_after.map_or(0, bounded));
    let extra = (wait as f64 * JITTER_SHARE * jitter.clamp(0.0, 1.0)) as i64;
    let last = end.max(failure.now.saturating_add(WAITS[0]));
    Next::At(failure.now.saturating_add(wait + extra).min(last))
}

/// The end of the 24 h that began at `since`, in milliseconds since the Unix epoch.
pub fn day_end(since: i64) -> i64 {
    since.saturating_add(WINDOW)
}

fn bounded(retry_after: Duration) -> i64 {
    i64::try_from(granted(retry_after).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1000;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    const EXAMPLE: i64 = 784_111_777 * SECOND;

    /// A delivery of [`EXAMPLE`] after an attempt that failed at once.
    fn failure(failures: usize, now: i64) -> Failure {
        Failure { failures, since: EXAMPLE, tried_at: now, now, retry_after: None }
    }

    /// The instants of all attempts, relative to the first, of a delivery that always fails at once.
    fn attempts(retry_after: Option<Duration>, mut jitter: impl FnMut() -> f64) -> Vec<i64> {
        let mut made = vec![0];
        let mut now = EXAMPLE;
        let mut next =
            |made: &[i64], now| next_attempt(&Failure { retry_after, ..failure(made.len(), now) }, jitter());
        while let Next::At(at) = next(&made, now) {
            made.push(at - EXAMPLE);
            now = at;
        }
        made
    }

    #[test]
    fn a_delivery_is_tried_at_once_then_ever_less_often_then_every_five_minutes_for_a_day() {
        let attempts = attempts(None, || 0.0);
        let seconds: Vec<i64> = attempts.iter().map(|at| at / SECOND).collect();
        assert_eq!(seconds[..9], [0, 5, 20, 50, 110, 230, 530, 830, 1130]);
        assert!(seconds[6..seconds.len() - 1].windows(2).all(|pair| pair[1] - pair[0] == 300));
        assert_eq!(attempts.last(), Some(&(24 * HOUR)));
        assert_eq!(attempts.len(), 294);
    }

    #[test]
    fn a_delivery_dies_of_an_attempt_that_began_after_its_day_and_of_no_other() {
        let end = EXAMPLE + 24 * HOUR;
        for late in [0, 1, 100 * HOUR] {
            assert_eq!(next_attempt(&failure(1, end + late), 0.0), Next::Dead);
        }
        assert_eq!(next_attempt(&failure(200, end - 1), 0.0), Next::At(end - 1 + 5 * SECOND));
        let slow = Failure { tried_at: end - 1, ..failure(200, end + MINUTE) };
        assert_eq!(next_attempt(&slow, 0.0), Next::At(end + MINUTE + 5 * SECOND));
    }

    #[test]
    fn the_last_wait_is_cut_short_by_the_end_of_the_day_but_not_below_five_seconds() {
        let end = EXAMPLE + 24 * HOUR;
        for (left, wait) in [(200, 200), (5, 5), (4, 5), (0, 5)] {
            let now = end - left * SECOND;
            let expected = if left == 0 { Next::Dead } else { Next::At(now + wait * SECOND) };
            assert_eq!(next_attempt(&failure(200, now), 1.0), expected, "{left} s before the end");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() {
        let after = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            next_attempt(&Failure { retry_after, ..failure(1, EXAMPLE) }, 0.0)
        };
        assert_eq!(after(0), Next::At(EXAMPLE + 5 * SECOND));
        assert_eq!(after(90), Next::At(EXAMPLE + 90 * SECOND));
    }

    #[test]
    fn a_receiver_cannot_silence_itself_for_more_than_an_hour_at_a_time() {
        for asked in [Duration::from_secs(3601), Duration::from_secs(u64::MAX), Duration::MAX] {
            let asking = Failure { retry_after: Some(asked), ..failure(1, EXAMPLE) };
            assert_eq!(next_attempt(&asking, 0.0), Next::At(EXAMPLE + HOUR));
            assert_eq!(granted(asked), Duration::from_secs(3600));
        }
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_what_is_due_and_a_fifth_more_unless_the_day_ends(
            failures in 1usize..300,
            age in 0i64..24 * HOUR,
            asked in prop::option::of(0u64..2 * HOUR as u64),
            jitter in 0.0f64..=1.0,
        ) {
            let now = EXAMPLE + age;
            let last = (EXAMPLE + 24 * HOUR).max(now + 5 * SECOND);
            let seconds = [5, 15, 30, 60, 120].get(failures - 1).copied().unwrap_or(300);
            let scheduled = seconds * SECOND;
            let least = scheduled.max((asked.unwrap_or(0) as i64).min(HOUR));
            let retry_after = asked.map(Duration::from_millis);
            match next_attempt(&Failure { retry_after, ..failure(failures, now) }, jitter) {
                Next::Dead => prop_assert!(false, "it dies within its day"),
                Next::At(at) if at == last => prop_assert!(last - now <= least + least / 5),
                Next::At(at) => prop_assert!((least..=least + least / 5).contains(&(at - now)) && at < last),
            }
        }

        #[test]
        fn whatever_the_jitter_attempts_go_on_to_the_end_of_the_day_and_stop(
            jitters in prop::collection::vec(0.0f64..=1.0, 1..50),
            asked in prop::option::of(0u64..100_000),
        ) {
            let mut jitter = jitters.iter().copied().cycle();
            let attempts = attempts(asked.map(Duration::from_secs), || jitter.next().unwrap());
            prop_assert_eq!(attempts[0], 0);
            prop_assert!(attempts.windows(2).all(|pair| pair[1] - pair[0] >= 5 * SECOND));
            let last = attempts[attempts.len() - 1];
            prop_assert!((24 * HOUR..24 * HOUR + 5 * SECOND).contains(&last));
        }

        #[test]
        fn no_argument_makes_it_panic(
            failures: usize, since: i64, tried_at: i64, now: i64, seconds: Option<u64>, jitter: f64,
        ) {
            let retry_after = seconds.map(Duration::from_secs);
            let failure = Failure { failures, since, tried_at, now, retry_after };
            if let Next::At(at) = next_attempt(&failure, jitter) {
                prop_assert!(at >= now);
            }
        }
    }
}
