//! Cron schedules in time zones.
//!
//! Instants here are on the wall clock. At changes of daylight saving time the rules are those of Vixie cron:
//! a fixed time that is skipped occurs right after the change, one that happens twice occurs the first time
//! only; what recurs by the minute or hour follows the clock.
//! recurs by the minute or by the hour follows the clock as it runs.

use std::sync::Arc;

use chrono::DateTime;
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::model::{Timestamp, Zone, quote};

/// In bytes, as it is stored with every progress.
pub const PATTERN_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not a cron pattern.
    #[error("{text} is not a cron pattern: {1}", text = quote(.0))]
    Pattern(String, String),
    /// A pattern without any occurrence.
    #[error("{} never occurs", quote(.0))]
    Never(String),
    #[error(
        "there is no time zone {}; it is a name of the IANA database, such as \"UTC\" or \"Europe/Berlin\"",
        quote(.0)
    )]
    Zone(String),
}

/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronSchedule {
    text: Arc<str>,
    cron: Arc<Cron>,
    zone: Zone,
}

impl CronSchedule {
    /// Parses five fields (minute, hour, day of month, month, day of week) or a nickname such as `@daily`.
    pub fn parse(pattern: &str, zone: &str) -> Result<Self, CronError> {
        let refuse = |reason: String| Err(CronError::Pattern(pattern.to_owned(), reason));
        if pattern.len() > PATTERN_MAX {
            return refuse(format!("it is longer than {PATTERN_MAX} bytes"));
        }
        let fields: Vec<&str> = pattern.split_whitespace().collect();
        if let Some(reason) = elsewhere(&fields) {
            return refuse(reason);
        }
        // A synonym of `@daily` that the parser does not know.
        let pattern = if matches!(fields[..], [word] if word.eq_ignore_ascii_case("@midnight")) {
            "@daily"
        } else {
            pattern
        };
        if fields.len() != 5 && !pattern.trim_start().starts_with('@') {
            let found = fields.len();
            return refuse(format!(
                "it takes 5 fields (minute, hour, day of month, month, day of week) and has {found}"
            ));
        }
        // The parser ignores empty list entries; a field of nothing else would be searched for centuries.
        if let Some(field) = fields.iter().find(|field| field.split(',').any(str::is_empty)) {
            return refuse(format!(
                "in the field {} there is nothing before, after or between its commas",
                quote(field)
            ));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = match parser.parse(pattern) {
            Ok(cron) => cron,
            Err(error) => return refuse(error.to_string()),
        };
        let zone = zone.parse().map_err(|_| CronError::Zone(zone.to_owned()))?;
        let schedule = Self { text: fields.join(" ").into(), cron: cron.into(), zone };
        match schedule.next_after(Timestamp::default()) {
            Some(_) => Ok(schedule),
            None => Err(CronError::Never(pattern.to_owned())),
        }
    }

    pub fn pattern(&self) -> &str {
        &self.text
    }

    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// `None` if none can be found, which is the case from the year 5000.
    pub fn next_after(&self, wall: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&self.local(wall)?, false).ok()?;
        Some(Timestamp::from_millis(found.timestamp_millis())).filter(|found| *found > wall)
    }

    /// At or before an instant.
    pub fn last_until(&self, wall: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_previous_occurrence(&self.local(wall)?, true).ok()?;
        Some(Timestamp::from_millis(found.timestamp_millis())).filter(|found| *found <= wall)
    }

    fn local(&self, wall: Timestamp) -> Option<DateTime<Tz>> {
        self.zone.at(wall)
    }
}

/// How to write here what other schedulers write in a pattern.
fn elsewhere(fields: &[&str]) -> Option<String> {
    let first = fields.first()?.to_ascii_uppercase();
    if first == "@EVERY" {
        let interval = fields.get(1).copied().unwrap_or("5m");
        return Some(format!("intervals are written without cron: every = {interval:?}"));
    }
    if first == "@REBOOT" {
        return Some("it knows no reboots: name the times, or an interval by `every`".to_owned());
    }
    let (name, zone) = fields[0].split_once('=')?;
    if !matches!(&*name.to_ascii_uppercase(), "CRON_TZ" | "TZ") {
        return None;
    }
    Some(format!("the time zone stands beside the pattern: timezone = {:?}", zone.trim_matches(['"', '\''])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(pattern: &str, zone: &str) -> CronSchedule {
        CronSchedule::parse(pattern, zone).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Pattern and zone, an instant, and the next occurrences.
    const OCCURRENCES: &[(&str, &str, &str, &[&str])] = &[
        ("0 2 * * *", "UTC", "2026-01-01T01:59:59.999Z", &["2026-01-01T02:00:00Z", "2026-01-02T02:00:00Z"]),
        ("0 2 * * *", "UTC", "2026-01-01T02:00:00Z", &["2026-01-02T02:00:00Z"]),
        ("@midnight", "Asia/Kathmandu", "2026-01-01T00:00:00Z", &["2026-01-01T18:15:00Z"]),
        ("@daily", "Asia/Kathmandu", "2026-01-01T00:00:00Z", &["2026-01-01T18:15:00Z"]),
        // The clocks go forward: 02:30 does not exist, and occurs at 03:00.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        ),
        // The clocks go back: 02:30 exists twice, and occurs once.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T00:00:00Z",
            &["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        ),
        // Recurring times follow the clock: an hour less, an hour more.
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:00:00Z",
            &["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"],
        ),
        (
            "30 2-3 * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z", "2026-10-26T01:30:00Z"],
        ),
        (
            "0 0 31 * *",
            "UTC",
            "2026-01-31T00:00:00Z",
            &["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z"],
        ),
        ("0 0 L * *", "UTC", "2028-01-31T00:00:00Z", &["2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 9 * * MON-FRI", "UTC", "2026-11-20T09:00:00Z", &["2026-11-23T09:00:00Z"]),
    ];

    #[test]
    fn occurrences_come_where_the_calendar_and_the_clocks_of_the_zone_have_them() {
        for (pattern, zone, after, expected) in OCCURRENCES {
            let schedule = schedule(pattern, zone);
            let mut at = Timestamp::parse(after).unwrap();
            for expected in *expected {
                at = schedule.next_after(at).unwrap();
                assert_eq!(at, Timestamp::parse(expected).unwrap(), "{pattern} in {zone} after {after}");
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_in_words() {
        let long = "0 ".repeat(200);
        for (pattern, zone, expected) in [
            ("0 2 * *", "UTC", "\"0 2 * *\" is not a cron pattern: it takes 5 fields"),
            ("0 0 2 * * *", "UTC", "\"0 0 2 * * *\" is not a cron pattern: it takes 5 fields"),
            ("", "UTC", "\"\" is not a cron pattern: it takes 5 fields"),
            ("61 2 * * *", "UTC", "\"61 2 * * *\" is not a cron pattern: Component error"),
            (", 2 * * *", "UTC", "\", 2 * * *\" is not a cron pattern: in the field \",\" there is nothing"),
            (
                "0 1,,2 * * *",
                "UTC",
                "\"0 1,,2 * * *\" is not a cron pattern: in the field \"1,,2\" there is nothing",
            ),
            (
                "0 0 * * 1,",
                "UTC",
                "\"0 0 * * 1,\" is not a cron pattern: in the field \"1,\" there is nothing",
            ),
            (
                "@every 5m",
                "UTC",
                "\"@every 5m\" is not a cron pattern: intervals are written without cron: every = \"5m\"",
            ),
            ("@every", "UTC", "\"@every\" is not a cron pattern: intervals are written"),
            ("@reboot", "UTC", "\"@reboot\" is not a cron pattern: it knows no reboots"),
            (
                "CRON_TZ=Asia/Tokyo 0 2 * * *",
                "UTC",
                "\"CRON_TZ=Asia/Tokyo 0 2 * * *\" is not a cron pattern: the time zone stands beside the \
                pattern: timezone = \"Asia/Tokyo\"",
            ),
            (
                "TZ=UTC 0 2 * * *",
                "UTC",
                "\"TZ=UTC 0 2 * * *\" is not a cron pattern: the time zone stands beside",
            ),
            (
                "tz='UTC' @daily",
                "UTC",
                "\"tz='UTC' @daily\" is not a cron pattern: the time zone stands beside",
            ),
            ("@often", "UTC", "\"@often\" is not a cron pattern: "),
            (&long, "UTC", "\"0 0 "),
            ("0 0 30 2 *", "UTC", "\"0 0 30 2 *\" never occurs"),
            ("0 2 * * *", "Berlin", "there is no time zone \"Berlin\""),
        ] {
            let error = CronSchedule::parse(pattern, zone).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn there_are_no_occurrences_after_the_end_of_time() {
        assert_eq!(schedule("* * * * *", "UTC").next_after(Timestamp::MAX), None);
        assert_eq!(schedule("* * * * *", "UTC").next_after(Timestamp::from_millis(i64::MAX)), None);
    }

    const ZONES: &[&str] = &["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana"];
    const PATTERNS: &[&str] = &["30 2 * * *", "0 0 * * *", "*/15 * * * *", "45 1-3 * * *", "0 0 L * *"];

    proptest! {
        #[test]
        fn the_last_and_the_next_occurrence_enclose_every_instant_also_where_clocks_change(
            zone in prop::sample::select(ZONES),
            pattern in prop::sample::select(PATTERNS),
            day in 20_454_i64..24_000,
            time in 0_i64..86_400_000,
        ) {
            let schedule = schedule(pattern, zone);
            let midnight = |day: i64| schedule.local(Timestamp::from_millis(day * 86_400_000)).unwrap();
            let changes = |day: i64| midnight(day).naive_local() - midnight(day).naive_utc()
                != midnight(day + 1).naive_local() - midnight(day + 1).naive_utc();
            let day = if day % 2 == 0 { day } else { (day..).find(|day| changes(*day)).unwrap() };
            let at = Timestamp::from_millis(day * 86_400_000 + time);
            let (last, next) = (schedule.last_until(at).unwrap(), schedule.next_after(at).unwrap());
            prop_assert!(last <= at && at < next, "{} {} {}", last, at, next);
            prop_assert_eq!(schedule.next_after(last), Some(next));
            prop_assert_eq!(schedule.last_until(next), Some(next));
        }

        #[test]
        fn no_text_makes_it_panic(
            pattern in "[0-9*/,#LW@+?a-zA-Zß -]{0,30}",
            zone in "(UTC|Europe/Berlin|[a-zA-Z/]{0,10})",
        ) {
            let _ = CronSchedule::parse(&pattern, &zone);
        }
    }
}
