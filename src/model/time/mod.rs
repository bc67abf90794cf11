//! Time: two clocks, instants on them, and the only place that reads the machine's clocks.
//!
//! * The *steady* clock ([`Clock::now`]) never jumps or runs backwards, and continues over restarts. It is
//!   based on the kernel's boot-time clock, which counts suspended time and cannot be set. What is stored and
//!   judged is steady.
//! * The *wall* clock is that of people and other machines. It can be set at any time. Its difference to the
//!   steady clock is the *wall offset*, in milliseconds, which changes only then.
//! * [`ClockAnchor`] is durable and ties both together: within one boot by the boot-time clock, across boots
//!   by the wall clock.
//! * A [`ClockTime`] is on one of the clocks: durations end on the steady clock, instants are on the wall
//!   clock. So setting the wall clock does not rewrite anything stored.
//!
//! What is shown is on the wall clock ([`Moment::wall`]); input is converted to steady time where it enters
//! ([`Moment::steady`]).

mod anchor;
mod clock;
mod manual;

use std::time::Duration;

use serde::{Deserialize, Serialize};
pub use warden_api::time::Timestamp;

pub use self::anchor::{BootId, ClockAnchor, Readings, STEP_MIN, Tied, stepped, tie};
pub use self::clock::{Clock, SystemClock};
pub use self::manual::ManualClock;

/// A time on one of the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClockTime {
    /// From a duration.
    Steady(Timestamp),
    /// From an instant.
    Wall { wall: Timestamp },
}

impl ClockTime {
    pub const fn on_wall(wall: Timestamp) -> Self {
        Self::Wall { wall }
    }
}

impl ClockTime {
    /// Adds a duration, on the same clock.
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

/// The present on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The steady clock.
    pub now: Timestamp,
    /// By how much the wall clock is ahead of the steady one, in milliseconds.
    pub wall_offset: i64,
}

impl Moment {
    /// A time on the steady clock, with the current wall offset.
    pub const fn steady(self, time: ClockTime) -> Timestamp {
        match time {
            ClockTime::Steady(steady) => steady,
            ClockTime::Wall { wall } => wall.moved(self.wall_offset.saturating_neg()),
        }
    }

    /// A steady time on the wall clock.
    pub const fn wall(self, steady: Timestamp) -> Timestamp {
        steady.moved(self.wall_offset)
    }

    /// A time on the wall clock.
    pub const fn shown(self, time: ClockTime) -> Timestamp {
        match time {
            ClockTime::Steady(steady) => self.wall(steady),
            ClockTime::Wall { wall } => wall,
        }
    }
}

impl From<Timestamp> for Moment {
    /// A moment without wall offset.
    fn from(now: Timestamp) -> Self {
        Self { now, wall_offset: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
