//! Time: the instant type, and the one place that reads a clock.
//!
//! Invariants:
//!
//! * [`Clock::now`] never jumps and never runs backwards. It starts at the wall clock's reading and is carried
//!   forward by the kernel's boot-time clock, which counts suspended time and which nobody can set. A wall clock
//!   that is set hours back or forth while the daemon runs therefore neither fires a deadline early nor delays it.
//! * Instants that come from outside (an RFC 3339 deadline in a request) are read by the wall clock; they are
//!   brought into the steady frame by [`Clock::to_steady`] where they enter.
//! * A restart anchors anew: from then on deadlines are read by the wall clock of that moment.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::sync::watch;

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

/// The source of time that everything is handed.
pub trait Clock: Send + Sync + 'static {
    /// The steady clock: what deadlines are set and judged by.
    fn now(&self) -> Timestamp;

    /// The wall clock as the machine has it at this moment; it may jump. Only for what must agree with other
    /// machines' clocks, such as the time in a signature.
    fn wall(&self) -> Timestamp;

    /// Completes once [`Clock::now`] has reached `instant`.
    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()>;

    /// How far the wall clock has been moved away from the steady one, in milliseconds.
    fn drift(&self) -> i64 {
        self.wall().as_millis().saturating_sub(self.now().as_millis())
    }

    /// How far the wall clock was set away from the steady one, in milliseconds. A drift below a second counts as none:
    /// it is the ordinary slewing of a disciplined clock.
    fn wall_offset(&self) -> i64 {
        let drift = self.drift();
        if drift.abs() < 1000 { 0 } else { drift }
    }

    /// Brings an instant that was read off a wall clock into the steady frame.
    fn to_steady(&self, instant: Timestamp) -> Timestamp {
        instant.moved(self.wall_offset().saturating_neg())
    }
}

/// The machine's own clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    anchor: Timestamp,
    started: Duration,
}

impl SystemClock {
    /// Anchors the steady clock to the wall clock's reading now.
    pub fn new() -> Self {
        Self { anchor: read_wall(), started: read_boot_time() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.anchor.after(read_boot_time().saturating_sub(self.started))
    }

    fn wall(&self) -> Timestamp {
        read_wall()
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        /// The runtime's sleep does not count suspended time, so it is never trusted with more than this.
        const NAP: Duration = Duration::from_secs(1);
        let clock = self.clone();
        Box::pin(async move {
            loop {
                let left = instant.since(clock.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(NAP)).await;
            }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that the rest of the program is handed")]
fn read_wall() -> Timestamp {
    let now = std::time::SystemTime::now();
    let since_epoch = now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since_epoch)
}

fn read_boot_time() -> Duration {
    let reading = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        u64::try_from(reading.tv_sec).unwrap_or_default(),
        u32::try_from(reading.tv_nsec).unwrap_or_default(),
    )
}

/// A clock that stands still until it is told to move. Tests and simulations run days in milliseconds by it.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<watch::Sender<Timestamp>>,
    drift: Arc<Mutex<i64>>,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: Arc::new(watch::Sender::new(start)), drift: Arc::default() }
    }

    /// Moves the clock forward and wakes everybody whose time has come.
    pub fn advance(&self, duration: Duration) {
        self.now.send_modify(|now| *now = now.after(duration));
    }

    /// Sets the wall clock that many milliseconds away from the steady one.
    pub fn set_drift(&self, millis: i64) {
        *self.drift.lock().unwrap_or_else(PoisonError::into_inner) = millis;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn wall(&self) -> Timestamp {
        let drift = *self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp(self.now().0.saturating_add(drift))
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            if now.wait_for(|now| *now >= instant).await.is_err() {
                // The clock is gone: nobody can move it any more, so this instant never comes.
                std::future::pending::<()>().await;
            }
        })
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
    fn an_outside_instant_is_brought_into_the_steady_frame_after_the_wall_clock_jumped() {
        let clock = ManualClock::new(Timestamp::from_millis(10_000_000));
        let deadline = Timestamp::from_millis(10_060_000);
        assert_eq!(clock.to_steady(deadline), deadline);
        clock.set_drift(3_600_000);
        let told = Timestamp::from_millis(10_060_000 + 3_600_000);
        assert_eq!(clock.to_steady(told), deadline);
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_manual_clock_reaches_its_instant() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let sleeper = tokio::spawn(clock.sleep_until(Timestamp::from_millis(1000)));
        clock.advance(Duration::from_millis(999));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_millis(1));
        sleeper.await.unwrap();
    }

    #[test]
    fn the_system_clock_starts_at_the_wall_clock() {
        let clock = SystemClock::new();
        assert!(clock.drift().abs() < 1000, "drift {}", clock.drift());
    }
}
