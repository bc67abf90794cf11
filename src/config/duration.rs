//! Durations as people write them: `"1h 30m"`. Whole milliseconds, at most [`DURATION_MAX`].
//!
//! The bound keeps every sum of an instant and a duration far from overflow, and the grain is that of the timers: what
//! they could not count is refused instead of rounded.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};

/// The longest duration that a setting takes: 10 years of 365.25 days.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 31_557_600);

/// Reads a duration with its unit.
///
/// # Errors
///
/// Says what is wrong when the text is no duration, is finer than a millisecond, or longer than [`DURATION_MAX`].
pub fn parse(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{text:?} is not a duration: {error}"))?;
    if duration > DURATION_MAX {
        return Err(format!("{text:?} is too long: at most 10 years"));
    }
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(format!("{text:?} is too fine: whole milliseconds only"));
    }
    Ok(duration)
}

/// For `#[serde(deserialize_with)]`: a setting that must be there.
pub(super) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(r#"a duration with its unit, such as "10s" or "1h 30m""#)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text)
}

/// For `#[serde(deserialize_with)]`: a setting that may be left out.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    required(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_years_is_the_longest_duration() {
        assert_eq!(parse("10years"), Ok(DURATION_MAX));
        assert!(parse("10years 1ms").is_err_and(|message| message.contains("at most 10 years")));
        assert!(parse("99999999999999999999y").is_err());
        assert!(parse("18446744073709551615s").is_err());
    }

    #[test]
    fn a_duration_that_the_timers_cannot_count_is_refused() {
        assert!(parse("1500us").is_err_and(|message| message.contains("whole milliseconds")));
        assert_eq!(parse("2000us"), Ok(Duration::from_millis(2)));
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert!(parse("10").is_err_and(|message| message.contains("time unit needed")));
        assert!(parse("").is_err());
        assert!(parse("-1s").is_err());
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_as_it_was_written(milliseconds in 0u64..=315_576_000_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&humantime::format_duration(duration).to_string()), Ok(duration));
        }
    }
}
