//! Rate limits, as a pure function of when attempts began.
//!
//! Invariant: no sliding window of the rate's length contains more attempts than the rate allows. A token
//! bucket would allow twice as many around the moment at which it is full.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::Timestamp;

/// The largest count of a rate.
const COUNT_MAX: u32 = 1_000_000;

/// At most `count` attempts in any window of length `per`. Written as `10/s`, `30/m` or `100/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// A second, a minute or an hour.
    pub per: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no rate: it takes a number from 1 to {COUNT_MAX} and s, m or h, such as \"10/s\" or \"30/m\"")]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, unit) = text.split_once('/').ok_or(RateError)?;
        let per = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            _ => return Err(RateError),
        };
        match count.trim().parse() {
            Ok(count) if (1..=COUNT_MAX).contains(&count) => Ok(Self { count, per }),
            _ => Err(RateError),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(formatter, "{}/{unit}", self.count)
    }
}

/// A sliding-window rate limiter.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    rate: Rate,
    /// When the attempts began that still count, the oldest first; at most `rate.count`.
    begun: VecDeque<Timestamp>,
}

impl RateLimiter {
    pub fn new(rate: Rate) -> Self {
        Self { rate, begun: VecDeque::new() }
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// When the next attempt may begin; `Timestamp::MIN` for at any time.
    pub fn free_at(&self) -> Timestamp {
        self.free_for(1)
    }

    /// When this many attempts may begin together; `Timestamp::MIN` for at any time, and `Timestamp::MAX` for
    /// never, since they exceed the rate.
    pub fn free_for(&self, attempts: usize) -> Timestamp {
        // This many of the oldest must leave the window first.
        match (self.begun.len() + attempts).checked_sub(self.count()) {
            None | Some(0) => Timestamp::MIN,
            Some(lapsed) => self.begun.get(lapsed - 1).map_or(Timestamp::MAX, |at| at.after(self.rate.per)),
        }
    }

    /// Counts an attempt that begins now, also if it is not allowed.
    pub fn note(&mut self, now: Timestamp) {
        self.begun.push_back(now);
        let per = self.rate.per;
        while self.begun.len() > self.count() || self.begun.front().is_some_and(|at| at.after(per) <= now) {
            self.begun.pop_front();
        }
    }

    fn count(&self) -> usize {
        usize::try_from(self.rate.count).unwrap_or(usize::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn at(millis: u64) -> Timestamp {
        START.after(Duration::from_millis(millis))
    }

    #[test]
    fn a_rate_is_a_number_and_a_unit_and_is_written_as_it_is_read() {
        for (text, count, seconds) in [("10/s", 10, 1), ("30/m", 30, 60), ("1000000/h", 1_000_000, 3_600)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate, Rate { count, per: Duration::from_secs(seconds) });
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!(" 5 / m ".parse::<Rate>().unwrap().to_string(), "5/m");
    }

    #[test]
    fn what_allows_nothing_or_says_nothing_is_no_rate() {
        for text in
            ["", "10", "/s", "10/", "0/s", "-1/s", "1.5/s", "1000001/h", "10/d", "10/S", "10 s", "x/s"]
        {
            assert_eq!(text.parse::<Rate>(), Err(RateError), "{text:?}");
        }
    }

    #[test]
    fn so_many_go_at_once_and_the_next_when_the_time_of_the_first_is_over() {
        let mut limiter = RateLimiter::new(Rate { count: 3, per: Duration::from_secs(10) });
        for begun in [0, 0, 4_000] {
            assert!(limiter.free_at() <= at(begun));
            limiter.note(at(begun));
        }
        assert_eq!(limiter.free_at(), at(10_000));
        limiter.note(at(10_000));
        assert!(limiter.free_at() <= at(10_000), "the second of the first two has passed as well");
        limiter.note(at(10_000));
        assert_eq!(limiter.free_at(), at(14_000));
    }

    #[test]
    fn several_go_together_when_there_is_room_for_all_of_them() {
        let mut limiter = RateLimiter::new(Rate { count: 3, per: Duration::from_secs(10) });
        assert_eq!((limiter.free_for(3), limiter.free_for(4)), (Timestamp::MIN, Timestamp::MAX));
        for begun in [0, 4_000] {
            limiter.note(at(begun));
        }
        assert_eq!(limiter.free_for(1), Timestamp::MIN);
        assert_eq!((limiter.free_for(2), limiter.free_for(3)), (at(10_000), at(14_000)));
        assert_eq!(limiter.free_for(4), Timestamp::MAX);
    }

    #[test]
    fn a_rate_of_none_lets_one_through_at_a_time() {
        let mut limiter = RateLimiter::new(Rate { count: 0, per: Duration::from_secs(1) });
        assert!(limiter.free_at() <= at(0));
        limiter.note(at(0));
        assert_eq!(limiter.free_at(), at(1_000));
    }

    #[test]
    fn a_time_of_nothing_limits_nothing() {
        let mut limiter = RateLimiter::new(Rate { count: 1, per: Duration::ZERO });
        for _ in 0..10 {
            limiter.note(at(5));
            assert!(limiter.free_at() <= at(5));
        }
    }

    #[test]
    fn one_out_of_turn_puts_the_next_off() {
        let mut limiter = RateLimiter::new(Rate { count: 1, per: Duration::from_secs(1) });
        limiter.note(at(0));
        limiter.note(at(900));
        assert_eq!(limiter.free_at(), at(1_900));
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_holds_more_than_the_rate_and_nobody_waits_for_nothing(
            count in 1u32..6, per in 1u64..1_000, waits in prop::collection::vec(0u64..400, 1..100),
        ) {
            let mut limiter = RateLimiter::new(Rate { count, per: Duration::from_millis(per) });
            let mut begun: Vec<u64> = Vec::new();
            let mut now = 0;
            for wait in waits {
                now += wait;
                let free = limiter.free_at();
                if free > at(now) {
                    let taken = begun.iter().filter(|earlier| now - **earlier < per).count();
                    prop_assert!(taken >= count as usize, "it waits although only {} were begun", taken);
                    now = u64::try_from(free.as_millis() - START.as_millis()).unwrap();
                }
                limiter.note(at(now));
                begun.push(now);
            }
            for last in &begun {
                let within = begun.iter().filter(|other| **other <= *last && *other + per > *last).count();
                prop_assert!(within <= count as usize);
            }
        }
    }
}
