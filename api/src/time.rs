//! Instants in text: RFC 3339 in UTC with milliseconds.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since the Unix epoch, UTC.
///
/// Text formats have RFC 3339 with milliseconds, compact binary formats the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant of the year 0, the earliest in RFC 3339.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The last instant of the year 9999, the latest in RFC 3339.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Adds `duration`, up to [`Timestamp::MAX`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis)).min(Self::MAX)
    }

    /// Adds milliseconds, which may be negative.
    #[must_use]
    pub const fn moved(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The time since `earlier`; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339, truncating to milliseconds.
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
            // With an offset, RFC 3339 allows instants a few hours outside of its range in UTC.
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

/// An instant of the wall clock, as in all documents: RFC 3339 in UTC with milliseconds.
///
/// A type of its own, because the daemon computes with a steady clock, whose instants must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(Timestamp);

impl WallTime {
    /// From the wall clock.
    pub const fn read(wall: Timestamp) -> Self {
        Self(wall)
    }

    /// The instant, to compute with.
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<WallTime> for Timestamp {
    fn from(time: WallTime) -> Self {
        time.0
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.clamp(Timestamp::MIN, Timestamp::MAX).fmt(formatter)
    }
}

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use utoipa::openapi::schema::{ObjectBuilder, Type};
    use utoipa::openapi::{KnownFormat, RefOr, Schema, SchemaFormat};

    impl utoipa::PartialSchema for super::WallTime {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                .description(Some("An instant of the wall clock: RFC 3339 in UTC with milliseconds"))
                .into()
        }
    }

    impl utoipa::ToSchema for super::WallTime {
        fn name() -> Cow<'static, str> {
            "WallTime".into()
        }
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
}
