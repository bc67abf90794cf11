//! Durations and instants for people.

use std::time::Duration;

use chrono::{DateTime, Local, Utc};
use warden_api::WallTime;

use crate::model::{Timestamp, Zone};

/// In seconds, the largest first.
const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];

/// The two largest units: `3h 20m`.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let Some(largest) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else { return "0s".to_owned() };
    let (unit, name) = UNITS[largest];
    let mut text = format!("{}{name}", seconds / unit);
    if let Some((next, name)) = UNITS.get(largest + 1)
        && seconds % unit / next > 0
    {
        text.push_str(&format!(" {}{name}", seconds % unit / next));
    }
    text
}

/// `in 5m`, `3h 20m ago`.
pub fn relative(instant: impl Into<Timestamp>, now: Timestamp) -> String {
    let instant = instant.into();
    // The clock of a daemon that answered is a little ahead of when the command began.
    if instant >= now.after(Duration::from_secs(1)) {
        format!("in {}", short(instant.since(now)))
    } else {
        format!("{} ago", short(now.since(instant)))
    }
}

/// `2026-01-31T12:00:00.000Z (in 5m)`.
pub fn dated(instant: impl Into<Timestamp>, now: Timestamp) -> String {
    let instant = instant.into();
    format!("{instant} ({})", relative(instant, now))
}

/// Like [`dated`], with the local time in this zone; without a zone, or if it is UTC, in that of this
/// machine.
pub fn dated_in(zone: Option<&str>, instant: impl Into<Timestamp>, now: Timestamp) -> String {
    let instant = instant.into();
    let relative = relative(instant, now);
    match local(zone, instant) {
        Some(local) => format!("{instant} ({local}, {relative})"),
        None => format!("{instant} ({relative})"),
    }
}

/// When an open item is due, or when it was closed.
pub fn due(closed_at: Option<WallTime>, deadline: WallTime, now: Timestamp) -> String {
    match closed_at {
        Some(closed) => format!("closed {}", relative(closed, now)),
        None => relative(deadline, now),
    }
}

/// The local time in this zone, or else of this machine; `None` if that is UTC.
fn local(zone: Option<&str>, instant: Timestamp) -> Option<String> {
    let zone = zone.and_then(|zone| zone.parse::<Zone>().ok());
    zone.and_then(|zone| zone.local(instant)).or_else(|| {
        let here = DateTime::<Utc>::from_timestamp_millis(instant.as_millis())?.with_timezone(&Local);
        let differs = here.naive_local() != here.naive_utc();
        // A zone that merely coincides with UTC at this instant is not replaced by the machine's.
        (zone.is_none_or(|zone| zone.name() == "UTC") && differs)
            .then(|| here.format("%H:%M on %a %Y-%m-%d by this machine's clock").to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_two_units_at_most() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m 1s"),
            (3_600, "1h"),
            (12_000, "3h 20m"),
            (3_601, "1h"),
            (90_000, "1d 1h"),
            (40_000_000, "462d 23h"),
        ] {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn an_instant_is_told_in_the_zone_of_those_who_read_it() {
        let (instant, now) = ("2027-03-28T01:00:00Z", "2027-03-28T01:05:00Z");
        let [instant, now] = [instant, now].map(|text| Timestamp::parse(text).unwrap());
        let expected = "2027-03-28T01:00:00.000Z (03:00 on Sun 2027-03-28 in Europe/Berlin, 5m ago)";
        assert_eq!(dated_in(Some("Europe/Berlin"), instant, now), expected);
    }

    #[test]
    fn an_instant_lies_ahead_or_behind() {
        let now = Timestamp::from_millis(100_000_000);
        assert_eq!(relative(now.after(Duration::from_secs(300)), now), "in 5m");
        assert_eq!(relative(Timestamp::from_millis(88_000_000), now), "3h 20m ago");
        assert_eq!(relative(now, now), "0s ago");
    }
}
