//! The `Retry-After` header (RFC 9110, 10.2.3).

use std::time::{Duration, UNIX_EPOCH};

/// The longest wait that is respected, so that a bad value cannot silence a receiver.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Caps the wait that a receiver asks for.
pub fn granted(retry_after: Duration) -> Duration {
    retry_after.min(LONGEST)
}

/// Parses a number of seconds, or a date in any of the three formats of HTTP relative to `now` (milliseconds
/// since the Unix epoch; a date in the past is no wait). `None` if it is neither: the header is ignored.
pub fn parse(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number that is too large fails: it asks for more than any cap.
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

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    const EXAMPLE: i64 = 784_111_777_000;

    #[test]
    fn retry_after_is_read_as_seconds() {
        assert_eq!(parse("0", EXAMPLE), Some(Duration::ZERO));
        assert_eq!(parse(" 120 ", EXAMPLE), Some(Duration::from_secs(120)));
        assert_eq!(parse(&"9".repeat(100), EXAMPLE), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn retry_after_is_read_as_a_date_in_every_form_of_http() {
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse(date, EXAMPLE - 1500), Some(Duration::from_millis(1500)), "{date}");
            assert_eq!(parse(date, EXAMPLE + 1), Some(Duration::ZERO), "{date}");
        }
    }

    #[test]
    fn a_retry_after_that_means_nothing_is_ignored() {
        for value in
            ["", " ", "-5", "+5", "1.5", "5s", "soon", "٣", "Sun, 06 Nov 1994", "2026-01-01T00:00:00Z"]
        {
            assert_eq!(parse(value, EXAMPLE), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value: String, now: i64) {
            let _ = parse(&value, now);
        }
    }
}
