//! How many attempts a receiver takes in a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The most attempts that a rate can allow in its time.
const COUNT_MAX: u32 = 1_000_000;

/// At most `count` attempts within any `per`. Written as `10/s`, `30/m` or `100/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// Within how long: a second, a minute or an hour.
    pub per: Duration,
}

/// A text that is no [`Rate`].
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
