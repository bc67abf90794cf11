//! When a delivery is tried again, as a pure function of its history.
//!
//! The first attempt is due at once; after each failed one comes a wait: 5 s, 15 s, 30 s, 1 min, 2 min, and
//! from then on 5 min, until the delivery is 24 h old. Invariants:
//!
//! - No delivery dies untried, however long the warden itself was down.
//! - A wait is never shorter than its place in the schedule, nor than what the receiver asks for with
//!   `Retry-After` (as far as one hour, so that a garbage value cannot silence a receiver). Up to a fifth
//!   more is added as jitter, so that receivers that failed together are not tried together.
//! - The one exception is the end: the last attempt is made exactly when the delivery is 24 h old, even if
//!   that shortens the last wait. One attempt too early is better than none after the receiver has come
//!   back. That wait, too, is at least 5 s: a delivery that fails within its last 5 s is dead.
//! - No delivery is tried for ever, even if it was created while the clock was years ahead.
//!
//! Deliberately absent: reading a clock, drawing the jitter, and any judgement of which answer is a
//! failure.

use std::time::{Duration, UNIX_EPOCH};

/// The waits after the first, second, … failed attempt, in milliseconds; the last one repeats.
const WAITS: [i64; 6] = [5_000, 15_000, 30_000, 60_000, 120_000, 300_000];
/// How long a delivery is tried, in milliseconds since it was created.
const WINDOW: i64 = 24 * 60 * 60 * 1000;
/// The longest wait that a receiver can ask for, in milliseconds.
const LONGEST_RETRY_AFTER: i64 = 60 * 60 * 1000;
/// The greatest part of a wait that is added to it as jitter.
const JITTER_SHARE: f64 = 0.2;
/// More attempts than fit into the window by the schedule (294). Only a delivery whose creation lies in the
/// future, because the clock was ahead and has been set right, ever makes as many.
const MOST_ATTEMPTS: u32 = 300;

/// What becomes of a delivery that has not been delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is to be tried at this instant, in milliseconds since the Unix epoch. It may lie in the past: at
    /// once.
    At(i64),
    /// It has been tried for 24 h and is given up.
    Dead,
}

/// What becomes of a delivery after `attempts_made` attempts, the last of which failed just `now`.
///
/// `created_at` and `now` are milliseconds since the Unix epoch. `retry_after` is the wait that the
/// receiver asked for, if any (see [`parse_retry_after`]). `jitter` is a random number from 0 to 1; values
/// outside count as the nearer bound.
pub fn next_attempt(
    attempts_made: u32,
    created_at: i64,
    now: i64,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Next {
    let Some(failures_before) = attempts_made.checked_sub(1) else {
        return Next::At(created_at);
    };
    let window_end = created_at.saturating_add(WINDOW);
    if now > window_end.saturating_sub(WAITS[0]) || attempts_made >= MOST_ATTEMPTS {
        return Next::Dead;
    }
    let scheduled = WAITS[WAITS.len().min(failures_before as usize + 1) - 1];
    let wait = scheduled.max(retry_after.map_or(0, bounded));
    let extra = (wait as f64 * JITTER_SHARE * jitter.clamp(0.0, 1.0)) as i64;
    Next::At(now.saturating_add(wait + extra).min(window_end))
}

fn bounded(retry_after: Duration) -> i64 {
    i64::try_from(retry_after.as_millis()).map_or(LONGEST_RETRY_AFTER, |asked| asked.min(LONGEST_RETRY_AFTER))
}

/// The wait that the value of a `Retry-After` header asks for: a number of seconds, or a date in any of the
/// three forms of HTTP, taken relative to `now` (milliseconds since the Unix epoch; a date in the past is
/// no wait). `None` when it is neither; the header is then ignored.
pub fn parse_retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // The only way to fail is a number too large, which asks for a wait beyond every bound.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let wait = i64::try_from(date.as_millis()).ok()?.saturating_sub(now);
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
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

    /// The instants of all attempts, relative to creation, of a delivery that fails at once whenever it is
    /// tried.
    fn attempts(created_at: i64, retry_after: Option<Duration>, mut jitter: impl FnMut() -> f64) -> Vec<i64> {
        let mut made = Vec::new();
        let mut now = created_at;
        while let Next::At(at) = next_attempt(made.len() as u32, created_at, now, retry_after, jitter()) {
            made.push(at - created_at);
            now = at;
        }
        made
    }

    #[test]
    fn a_delivery_is_tried_at_once_then_ever_less_often_then_every_five_minutes_for_a_day() {
        let attempts = attempts(EXAMPLE, None, || 0.0);
        let seconds: Vec<i64> = attempts.iter().map(|at| at / SECOND).collect();
        assert_eq!(seconds[..9], [0, 5, 20, 50, 110, 230, 530, 830, 1130]);
        assert!(seconds[6..seconds.len() - 1].windows(2).all(|pair| pair[1] - pair[0] == 300));
        assert_eq!(attempts.last(), Some(&(24 * HOUR)));
        assert_eq!(attempts.len(), 294);
    }

    #[test]
    fn a_delivery_that_was_never_tried_is_due_however_old_it_is() {
        assert_eq!(next_attempt(0, EXAMPLE, EXAMPLE + 100 * HOUR, None, 0.5), Next::At(EXAMPLE));
        assert_eq!(next_attempt(1, EXAMPLE, EXAMPLE + 100 * HOUR, None, 0.5), Next::Dead);
    }

    #[test]
    fn a_failure_in_the_last_five_seconds_is_the_end() {
        let end = EXAMPLE + 24 * HOUR;
        assert_eq!(next_attempt(200, EXAMPLE, end - 5 * SECOND, None, 0.0), Next::At(end));
        assert_eq!(next_attempt(200, EXAMPLE, end - 5 * SECOND + 1, None, 0.0), Next::Dead);
        assert_eq!(next_attempt(200, EXAMPLE, end, None, 0.0), Next::Dead);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() {
        let after = |seconds| next_attempt(1, EXAMPLE, EXAMPLE, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(after(0), Next::At(EXAMPLE + 5 * SECOND));
        assert_eq!(after(90), Next::At(EXAMPLE + 90 * SECOND));
    }

    #[test]
    fn a_receiver_cannot_silence_itself_for_more_than_an_hour_at_a_time() {
        for asked in [Duration::from_secs(3601), Duration::from_secs(u64::MAX), Duration::MAX] {
            assert_eq!(next_attempt(1, EXAMPLE, EXAMPLE, Some(asked), 0.0), Next::At(EXAMPLE + HOUR));
        }
    }

    #[test]
    fn a_delivery_from_the_future_is_given_up_after_some_hundred_attempts() {
        let created_at = EXAMPLE + 1_000_000 * HOUR;
        let mut made = 1;
        let mut now = EXAMPLE;
        while let Next::At(at) = next_attempt(made, created_at, now, None, 0.0) {
            now = at;
            made += 1;
        }
        assert_eq!(made, 300);
        assert!(now - EXAMPLE > 24 * HOUR);
    }

    #[test]
    fn retry_after_is_read_as_seconds() {
        assert_eq!(parse_retry_after("0", EXAMPLE), Some(Duration::ZERO));
        assert_eq!(parse_retry_after(" 120 ", EXAMPLE), Some(Duration::from_secs(120)));
        assert_eq!(parse_retry_after(&"9".repeat(100), EXAMPLE), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn retry_after_is_read_as_a_date_in_every_form_of_http() {
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_retry_after(date, EXAMPLE - 1500), Some(Duration::from_millis(1500)), "{date}");
            assert_eq!(parse_retry_after(date, EXAMPLE + 1), Some(Duration::ZERO), "{date}");
        }
    }

    #[test]
    fn a_retry_after_that_means_nothing_is_ignored() {
        for value in
            ["", " ", "-5", "+5", "1.5", "5s", "soon", "٣", "Sun, 06 Nov 1994", "2026-01-01T00:00:00Z"]
        {
            assert_eq!(parse_retry_after(value, EXAMPLE), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_what_is_due_and_a_fifth_more_unless_the_day_ends(
            attempts_made in 1u32..300,
            age in 0i64..24 * HOUR,
            asked in prop::option::of(0u64..2 * HOUR as u64),
            jitter in 0.0f64..=1.0,
        ) {
            let now = EXAMPLE + age;
            let end = EXAMPLE + 24 * HOUR;
            let seconds = [5, 15, 30, 60, 120].get(attempts_made as usize - 1).copied().unwrap_or(300);
            let scheduled = seconds * SECOND;
            let least = scheduled.max((asked.unwrap_or(0) as i64).min(HOUR));
            match next_attempt(attempts_made, EXAMPLE, now, asked.map(Duration::from_millis), jitter) {
                Next::Dead => prop_assert!(end - now < 5 * SECOND),
                Next::At(at) if at == end => {
                    prop_assert!(end - now >= 5 * SECOND && end - now <= least + least / 5);
                }
                Next::At(at) => prop_assert!((least..=least + least / 5).contains(&(at - now)) && at < end),
            }
        }

        #[test]
        fn whatever_the_jitter_attempts_go_on_to_the_end_of_the_day_and_stop(
            jitters in prop::collection::vec(0.0f64..=1.0, 1..50),
            asked in prop::option::of(0u64..100_000),
        ) {
            let mut jitter = jitters.iter().copied().cycle();
            let attempts = attempts(EXAMPLE, asked.map(Duration::from_secs), || jitter.next().unwrap());
            prop_assert_eq!(attempts[0], 0);
            prop_assert!(attempts.windows(2).all(|pair| pair[1] - pair[0] >= 5 * SECOND));
            let last = attempts[attempts.len() - 1];
            prop_assert!((24 * HOUR - 5 * SECOND..=24 * HOUR).contains(&last));
        }

        #[test]
        fn no_argument_makes_it_panic(
            attempts_made: u32, created_at: i64, now: i64, seconds: Option<u64>, jitter: f64, value: String,
        ) {
            let retry_after = parse_retry_after(&value, now).or(seconds.map(Duration::from_secs));
            if let Next::At(at) = next_attempt(attempts_made, created_at, now, retry_after, jitter) {
                prop_assert!(attempts_made == 0 || at >= now);
            }
        }
    }
}
