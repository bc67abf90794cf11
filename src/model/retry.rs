//! The wait before the next attempt, as a pure function of the number of retries.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DurationError, parse_duration, quote};

/// A wait that doubles from the first to the longest. In text `10s..10m`, or `10s` for a constant wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// After the first failed attempt; more than zero.
    pub first: Duration,
    /// At least `first`.
    pub longest: Duration,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BackoffError {
    /// An end is not a duration.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// The first wait is zero, or longer than the longest.
    #[error(
        "{} is not a backoff: the first wait, more than zero, and the longest, such \
        as \"10s..10m\"",
        quote(.0)
    )]
    Order(String),
}

impl FromStr for Backoff {
    type Err = BackoffError;

    fn from_str(text: &str) -> Result<Self, BackoffError> {
        let (first, longest) = text.split_once("..").unwrap_or((text, text));
        let (first, longest) = (parse_duration(first.trim())?, parse_duration(longest.trim())?);
        if first.is_zero() || first > longest {
            return Err(BackoffError::Order(text.to_owned()));
        }
        Ok(Self { first, longest })
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, longest) = (self.first, self.longest);
        let (first, longest) = (humantime::format_duration(first), humantime::format_duration(longest));
        write!(formatter, "{first}..{longest}")
    }
}

/// The policy for retryable errors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The retries of a step before the item fails; [`u32::MAX`] for any number.
    pub max: u32,
    pub backoff: Backoff,
    /// The largest random part added to a wait, as a fraction from 0 to 1, so that items that failed together
    /// are not retried together.
    pub jitter: f64,
}

/// What a step says about retries; the rest is the workflow's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RetryTerms {
    pub max: Option<u32>,
    pub backoff: Option<Backoff>,
    pub jitter: Option<f64>,
}

impl RetryTerms {
    pub fn over(self, base: RetryPolicy) -> RetryPolicy {
        RetryPolicy {
            max: self.max.unwrap_or(base.max),
            backoff: self.backoff.unwrap_or(base.backoff),
            jitter: self.jitter.unwrap_or(base.jitter),
        }
    }
}

impl From<RetryPolicy> for RetryTerms {
    fn from(RetryPolicy { max, backoff, jitter }: RetryPolicy) -> Self {
        Self { max: Some(max), backoff: Some(backoff), jitter: Some(jitter) }
    }
}

impl RetryPolicy {
    /// The wait before this retry of a step, counted from 1; `None` if there are no more. `random` is from 0
    /// to 1.
    pub fn wait_before(&self, retry: u32, random: f64) -> Option<Duration> {
        if retry > self.max {
            return None;
        }
        let doublings = retry.saturating_sub(1).min(31);
        let wait = self.backoff.first.saturating_mul(1 << doublings).min(self.backoff.longest);
        let extra = wait.mul_f64(self.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0));
        Some(Duration::from_millis(u64::try_from((wait + extra).as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(jitter: f64) -> RetryPolicy {
        RetryPolicy { max: 5, backoff: "10s..1m".parse().unwrap(), jitter }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_then_the_item_has_failed() {
        let waits: Vec<_> = (1..=6).map(|attempts| policy(0.0).wait_before(attempts, 0.9)).collect();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(waits, [seconds(10), seconds(20), seconds(40), seconds(60), seconds(60), None]);
    }

    #[test]
    fn a_policy_that_allows_no_retry_gives_up_at_once() {
        assert_eq!(RetryPolicy { max: 0, ..policy(0.0) }.wait_before(1, 0.0), None);
    }

    #[test]
    fn a_backoff_is_read_as_it_is_written() {
        for text in ["10s..10m", "1h 30m..2h", "500ms..500ms"] {
            assert_eq!(text.parse::<Backoff>().unwrap().to_string(), text);
        }
        let same = "5s".parse::<Backoff>().unwrap();
        assert_eq!((same.first, same.longest), (Duration::from_secs(5), Duration::from_secs(5)));
        for text in ["", "10", "0s..1m", "10m..10s", "10s..", "..10s", "1s..2s..3s"] {
            assert!(text.parse::<Backoff>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_what_is_due_and_the_jitter_more(attempts in 1_u32..100, random in 0.0..=1.0,
        max: u32) {
            let policy = RetryPolicy { max, ..policy(0.2) };
            match policy.wait_before(attempts, random) {
                None => prop_assert!(attempts > max),
                Some(wait) => {
                    let due = Duration::from_secs(10 << (attempts - 1).min(10)).min(Duration::from_secs(60));
                    prop_assert!(wait >= due && wait <= due.mul_f64(1.2));
                }
            }
        }
    }
}
