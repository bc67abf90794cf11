//! Time: the two clocks, instants on them, and the one place that reads the machine's clocks.
//!
//! * The *steady* clock ([`Clock::now`]) never jumps and never runs backwards, and goes on over restarts. It is carried by the
//!   kernel's boot-time clock, which counts suspended time and which nobody can set. What is stored and judged is steady.
//! * The *wall* clock is what people and other machines go by. It can be set at any moment. It differs from the steady one
//!   by the *wall offset*, in milliseconds, which changes only when somebody sets the wall clock.
//! * [`ClockAnchor`] is durable and ties both together: within one boot by the boot-time clock, across boots by the wall clock.
//! * A [`ClockTime`] says which clock it stands on: what was asked for as a duration ends on the steady clock, what was asked
//!   for as an instant comes when the wall clock shows it. So setting the wall clock rewrites nothing that is stored.
//!
//! Whatever is shown is on the wall clock ([`Moment::wall`]); whatever comes from outside is brought into steady time where it
//! enters ([`Moment::steady`]).

mod anchor;
mod clock;
mod manual;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::anchor::{BootId, ClockAnchor, Readings, STEP_MIN, Tied, stepped, tie};
pub use self::clock::{Clock, SystemClock};
pub use self::manual::ManualClock;

/// An instant: milliseconds since the Unix epoch, UTC.
///
/// In text forms it is RFC 3339 with milliseconds; in compact binary forms it is the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant of the year 0, the earliest that RFC 3339 can write.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The last instant of the year 9999, the latest that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant that many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant and `duration` more, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis)).min(Self::MAX)
    }

    /// This instant moved by that many milliseconds, back if they are negative.
    #[must_use]
    pub const fn moved(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339 text; anything finer than a millisecond is cut off.
    ///
    /// # Errors
    /// When the text is no RFC 3339 instant.
    pub fn parse(text: &str) -> Result<Self, chrono::ParseError> {
        DateTime::parse_from_rfc3339(text).map(|instant| Self(instant.timestamp_millis()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(instant) => formatter.write_str(&instant.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(formatter, "{}ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            // With an offset RFC 3339 can name instants a few hours beyond what it can write in UTC.
            serializer.collect_str(self.max(&Self::MIN).min(&Self::MAX))
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            Self::parse(&text).map_err(de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

/// A time on one of the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClockTime {
    /// On the steady clock: what was asked for as a duration.
    Steady(Timestamp),
    /// On the wall clock: what was asked for as an instant.
    Wall {
        /// What the wall clock shows then.
        wall: Timestamp,
    },
}

impl ClockTime {
    /// When the wall clock shows this.
    pub const fn on_wall(wall: Timestamp) -> Self {
        Self::Wall { wall }
    }
}

impl ClockTime {
    /// This time and `duration` more, on the same clock.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        match self {
            Self::Steady(steady) => Self::Steady(steady.after(duration)),
            Self::Wall { wall } => Self::Wall { wall: wall.after(duration) },
        }
    }
}

impl From<Timestamp> for ClockTime {
    fn from(steady: Timestamp) -> Self {
        Self::Steady(steady)
    }
}

/// The present on both clocks: what times are judged and shown by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The steady clock.
    pub now: Timestamp,
    /// How far the wall clock is ahead of the steady one, in milliseconds.
    pub wall_offset: i64,
}

impl Moment {
    /// Where a time is on the steady clock, as long as nobody sets the wall clock.
    pub const fn steady(self, time: ClockTime) -> Timestamp {
        match time {
            ClockTime::Steady(steady) => steady,
            ClockTime::Wall { wall } => wall.moved(self.wall_offset.saturating_neg()),
        }
    }

    /// What the wall clock shows at a steady time.
    pub const fn wall(self, steady: Timestamp) -> Timestamp {
        steady.moved(self.wall_offset)
    }

    /// What the wall clock shows at a time.
    pub const fn shown(self, time: ClockTime) -> Timestamp {
        match time {
            ClockTime::Steady(steady) => self.wall(steady),
            ClockTime::Wall { wall } => wall,
        }
    }
}

impl From<Timestamp> for Moment {
    /// A moment at which both clocks show the same.
    fn from(now: Timestamp) -> Self {
        Self { now, wall_offset: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_with_milliseconds_and_read_back() {
        let instant = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(instant.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Timestamp::parse("2023-11-14T23:13:20.1239+01:00").unwrap(), instant);
        assert_eq!(serde_json::to_string(&instant).unwrap(), "\"2023-11-14T22:13:20.123Z\"");
    }

    #[test]
    fn whatever_instant_can_be_read_can_be_written_and_read_again() {
        for text in ["0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999-23:59", "0000-01-01T00:00:00Z"] {
            let instant = Timestamp::parse(text).unwrap();
            let written = serde_json::to_string(&instant).unwrap();
            let again: Timestamp = serde_json::from_str(&written).unwrap();
            assert_eq!(again, instant.clamp(Timestamp::MIN, Timestamp::MAX), "{text} became {written}");
        }
    }

    #[test]
    fn an_instant_far_ahead_stays_within_what_can_be_written() {
        assert_eq!(Timestamp::from_millis(i64::MAX - 1).after(Duration::MAX), Timestamp::MAX);
    }

    #[test]
    fn what_stands_on_the_wall_clock_moves_with_it_and_what_is_steady_does_not() {
        let noon = Timestamp::from_millis(10_000_000);
        for wall_offset in [-3_600_000, 0, 3_600_000] {
            let moment = Moment { now: noon, wall_offset };
            assert_eq!(moment.steady(ClockTime::Steady(noon)), noon);
            assert_eq!(moment.shown(ClockTime::Steady(noon)), noon.moved(wall_offset));
            let asked = ClockTime::on_wall(noon);
            assert_eq!((moment.steady(asked), moment.shown(asked)), (noon.moved(-wall_offset), noon));
        }
    }

    #[test]
    fn a_time_in_a_document_says_which_clock_it_stands_on() {
        let noon = Timestamp::from_millis(1_700_000_000_123);
        for (time, text) in [
            (ClockTime::Steady(noon), "\"2023-11-14T22:13:20.123Z\""),
            (ClockTime::on_wall(noon), "{\"wall\":\"2023-11-14T22:13:20.123Z\"}"),
        ] {
            assert_eq!(serde_json::to_string(&time).unwrap(), text);
            assert_eq!(serde_json::from_str::<ClockTime>(text).unwrap(), time);
        }
    }
}
