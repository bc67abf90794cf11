//! Instants as clients are shown them: on the wall clock.

use serde::Serialize;

use crate::model::{ClockTime, Moment, Timestamp};

/// An instant of the wall clock. Everything else that tells time inside is steady and has to come through here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WallTime(Timestamp);

impl WallTime {
    /// What the wall clock shows at a steady time.
    pub const fn of(steady: Timestamp, moment: Moment) -> Self {
        Self(moment.wall(steady))
    }

    /// The same, where there is such a time.
    pub fn of_some(steady: Option<Timestamp>, moment: Moment) -> Option<Self> {
        steady.map(|steady| Self::of(steady, moment))
    }

    /// What the wall clock shows at a time on one of the clocks.
    pub const fn shown(time: ClockTime, moment: Moment) -> Self {
        Self(moment.shown(time))
    }

    /// What is on the wall clock already.
    pub const fn read(wall: Timestamp) -> Self {
        Self(wall)
    }
}
