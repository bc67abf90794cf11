//! Time zones.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::Timestamp;

/// A time zone of the IANA database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(pub(super) Tz);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownZone;

impl Zone {
    /// Such as `Europe/Berlin`.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The local time, such as `03:00 on Sun 2027-03-28 in Europe/Berlin`; `None` if that is UTC or outside
    /// of the calendar.
    pub fn local(self, instant: Timestamp) -> Option<String> {
        let local = self.at(instant)?;
        if local.naive_local() == local.naive_utc() {
            return None;
        }
        let seconds = if instant.as_millis() % 60_000 == 0 { "" } else { ":%S" };
        Some(local.format(&format!("%H:%M{seconds} on %a %Y-%m-%d in {}", self.name())).to_string())
    }

    /// In UTC, and with [`Zone::local`].
    pub fn beside_utc(self, instant: Timestamp) -> String {
        match self.local(instant) {
            Some(local) => format!("{instant} ({local})"),
            None => instant.to_string(),
        }
    }

    pub(super) fn at(self, instant: Timestamp) -> Option<DateTime<Tz>> {
        Some(DateTime::<Utc>::from_timestamp_millis(instant.as_millis())?.with_timezone(&self.0))
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Tz::from_str(name).map(Self).map_err(|_| UnknownZone)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_told_as_the_clocks_of_the_zone_show_it() {
        let beside = |zone: &str, instant: &str| {
            let instant = Timestamp::parse(instant).unwrap();
            zone.parse::<Zone>().unwrap().beside_utc(instant)
        };
        for (zone, instant, expected) in [
            (
                "Europe/Berlin",
                "2027-03-28T01:00:00Z",
                "2027-03-28T01:00:00.000Z (03:00 on Sun 2027-03-28 in Europe/Berlin)",
            ),
            (
                "America/New_York",
                "2027-01-01T01:00:30Z",
                "2027-01-01T01:00:30.000Z (20:00:30 on Thu 2026-12-31 in America/New_York)",
            ),
            ("UTC", "2027-03-28T01:00:00Z", "2027-03-28T01:00:00.000Z"),
            ("Europe/London", "2027-01-28T01:00:00Z", "2027-01-28T01:00:00.000Z"),
        ] {
            assert_eq!(beside(zone, instant), expected);
        }
        assert_eq!("Berlin".parse::<Zone>(), Err(UnknownZone));
        assert_eq!("Europe/Berlin".parse::<Zone>().unwrap().local(Timestamp::from_millis(i64::MAX)), None);
    }
}
