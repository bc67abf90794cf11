//! Durations in text, such as `"1h 30m"`: whole milliseconds, at most [`DURATION_MAX`].
//!
//! The limit keeps sums of instants and durations far from overflow. The resolution is that of the timers;
//! finer durations are refused, not rounded.

use std::time::Duration;

pub use warden_api::limit::DURATION_MAX;

use super::quote;

/// Why a text is not a duration. The text is quoted in it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DurationError {
    /// Not a list of numbers with units.
    #[error("{text} is not a duration: {1}", text = quote(.0))]
    Form(String, humantime::DurationError),
    /// Longer than [`DURATION_MAX`].
    #[error("{} is too long: at most 10 years", quote(.0))]
    TooLong(String),
    /// Finer than a millisecond.
    #[error("{} is too fine: whole milliseconds only", quote(.0))]
    TooFine(String),
}

/// Parses a duration of one or several units: `"500ms"`, `"15m"`, `"1h 30m"`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let duration =
        humantime::parse_duration(text).map_err(|error| DurationError::Form(text.to_owned(), error))?;
    if duration > DURATION_MAX {
        return Err(DurationError::TooLong(text.to_owned()));
    }
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(DurationError::TooFine(text.to_owned()));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_years_is_the_longest_duration() {
        assert_eq!(parse_duration("10years"), Ok(DURATION_MAX));
        assert!(matches!(parse_duration("10years 1ms"), Err(DurationError::TooLong(_))));
        assert!(parse_duration("99999999999999999999y").is_err());
        assert!(parse_duration("18446744073709551615s").is_err());
    }

    #[test]
    fn a_duration_that_the_timers_cannot_count_is_refused() {
        assert!(matches!(parse_duration("1500us"), Err(DurationError::TooFine(_))));
        assert_eq!(parse_duration("2000us"), Ok(Duration::from_millis(2)));
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert!(parse_duration("10").is_err_and(|error| error.to_string().contains("time unit needed")));
        assert!(parse_duration("").is_err());
        assert!(parse_duration("-1s").is_err());
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_as_it_was_written(milliseconds in 0u64..=315_576_000_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&humantime::format_duration(duration).to_string()), Ok(duration));
        }
    }
}
