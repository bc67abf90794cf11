//! Windows of time that runs cover.
//!
//! All instants are of the wall clock: they say which data a run processes.

use std::time::Duration;

use chrono::{
    DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Timelike as _, Utc,
};
use serde::{Deserialize, Serialize};

use super::Truncate;
use crate::model::{Timestamp, Zone};

/// From `from`, inclusive, to `to`, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// `None` for everything before `to`.
    pub from: Option<Timestamp>,
    pub to: Timestamp,
}

/// How the windows of a job begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPolicy {
    /// How much of the window before is covered again.
    pub reprocess: Duration,
    /// To what the beginning is rounded down.
    pub truncate: Option<Truncate>,
    /// For rounding.
    pub zone: Zone,
    /// Where the first window begins.
    pub initial_from: Option<Timestamp>,
}

impl WindowPolicy {
    /// The window of a run that begins at `start`, after successful ones that end at `watermark`. If the wall
    /// clock was set back behind that, the window ends where it begins.
    pub fn window(&self, watermark: Option<Timestamp>, start: Timestamp) -> Window {
        let from = match watermark {
            Some(watermark) => Some(earlier(watermark, self.reprocess)),
            None => self.initial_from,
        };
        let from = from.map(|from| self.truncated(from));
        let to = from.into_iter().chain(watermark).fold(start, Timestamp::max);
        Window { from, to }
    }

    fn truncated(&self, from: Timestamp) -> Timestamp {
        let Some(truncate) = self.truncate else { return from };
        truncated(from, truncate, self.zone).unwrap_or(from).clamp(Timestamp::MIN, from)
    }
}

fn earlier(instant: Timestamp, duration: Duration) -> Timestamp {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    instant.moved(-millis).max(Timestamp::MIN)
}

/// The instant rounded down by the clocks of the zone; `None` outside of the calendar.
fn truncated(instant: Timestamp, truncate: Truncate, zone: Zone) -> Option<Timestamp> {
    let local = zone.local_time(instant)?;
    let date = local.date();
    let beginning = match truncate {
        // Rounded by itself, since an hour may occur twice.
        Truncate::Hour => {
            let into = TimeDelta::minutes(i64::from(local.minute()))
                + TimeDelta::seconds(i64::from(local.second()))
                + TimeDelta::milliseconds(i64::from(local.nanosecond() / 1_000_000));
            return Some(instant.moved(-into.num_milliseconds()));
        }
        Truncate::Day => date,
        Truncate::Week => date.checked_sub_days(Days::new(date.weekday().num_days_from_monday().into()))?,
        Truncate::Month => date.with_day(1)?,
    };
    zone.first_instant(beginning)
}

impl Zone {
    /// What the clocks of the zone show.
    fn local_time(self, instant: Timestamp) -> Option<NaiveDateTime> {
        let instant = DateTime::<Utc>::from_timestamp_millis(instant.as_millis())?;
        Some(instant.with_timezone(&self.0).naive_local())
    }

    /// The first instant of a day, which is later than midnight where clocks are put forward then.
    fn first_instant(self, date: NaiveDate) -> Option<Timestamp> {
        let midnight = date.and_hms_opt(0, 0, 0)?;
        // No zone has ever skipped more than a day.
        (0..=24 * 4).find_map(|quarters| {
            let local = midnight.checked_add_signed(TimeDelta::minutes(15 * quarters))?;
            let instant = self.0.from_local_datetime(&local).earliest()?;
            Some(Timestamp::from_millis(instant.timestamp_millis()))
        })
    }

    /// The first instant of the day of this instant.
    pub fn day_of(self, instant: Timestamp) -> Option<Timestamp> {
        self.first_instant(self.local_time(instant)?.date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    #[test]
    fn the_beginning_is_rounded_down_by_the_clocks_of_the_zone() {
        for (truncate, name, from, expected) in [
            (Truncate::Hour, "UTC", "2016-06-28T10:30:15.250Z", "2016-06-28T10:00:00Z"),
            (Truncate::Day, "UTC", "2016-06-28T10:30:15.250Z", "2016-06-28T00:00:00Z"),
            (Truncate::Day, "UTC", "1776-07-04T23:59:00Z", "1776-07-04T00:00:00Z"),
            (Truncate::Day, "Europe/Berlin", "2016-06-28T22:30:00Z", "2016-06-28T22:00:00Z"),
            (Truncate::Week, "UTC", "2016-06-26T10:00:00Z", "2016-06-20T00:00:00Z"),
            (Truncate::Week, "UTC", "2016-06-20T00:00:00Z", "2016-06-20T00:00:00Z"),
            (Truncate::Month, "America/New_York", "2016-07-01T03:59:59Z", "2016-06-01T04:00:00Z"),
            // The second of the two hours from 02:00 on.
            (Truncate::Hour, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z"),
            // A half-hour zone.
            (Truncate::Hour, "Asia/Kolkata", "2026-01-01T10:45:00Z", "2026-01-01T10:30:00Z"),
            // Midnight does not exist on this day.
            (Truncate::Day, "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z"),
            // Nor does the whole day of the 30th; the 31st is whole.
            (Truncate::Day, "Pacific/Apia", "2011-12-30T12:00:00Z", "2011-12-30T10:00:00Z"),
            (Truncate::Month, "UTC", "0000-01-15T00:00:00Z", "0000-01-01T00:00:00Z"),
        ] {
            let policy = WindowPolicy {
                reprocess: Duration::ZERO,
                truncate: Some(truncate),
                zone: zone(name),
                initial_from: None,
            };
            let window = policy.window(Some(at(from)), at("2030-01-01T00:00:00Z"));
            assert_eq!(window.from, Some(at(expected)), "{truncate} {name} {from}");
        }
    }

    #[test]
    fn a_window_never_ends_before_it_begins() {
        let policy = WindowPolicy {
            reprocess: Duration::from_secs(3600),
            truncate: None,
            zone: zone("UTC"),
            initial_from: Some(at("2030-01-01T00:00:00Z")),
        };
        let early = at("2026-01-01T00:00:00Z");
        let first = policy.window(None, early);
        assert_eq!(first, Window { from: policy.initial_from, to: at("2030-01-01T00:00:00Z") });
        let watermark = at("2026-06-01T00:00:00Z");
        let set_back = policy.window(Some(watermark), early);
        assert_eq!(set_back, Window { from: Some(at("2026-05-31T23:00:00Z")), to: watermark });
    }

    #[test]
    fn reprocessing_does_not_reach_before_the_calendar() {
        let policy = WindowPolicy {
            reprocess: Duration::from_secs(u64::MAX),
            truncate: Some(Truncate::Week),
            zone: zone("Europe/Berlin"),
            initial_from: None,
        };
        let window = policy.window(Some(at("0000-01-01T00:00:00Z")), at("2026-01-01T00:00:00Z"));
        assert_eq!(window.from, Some(Timestamp::MIN));
    }
}
