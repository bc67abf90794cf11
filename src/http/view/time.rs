//! Instants in documents: on the wall clock. All other instants inside are steady and are converted here.

use warden_api::WallTime;

use crate::model::{ClockTime, Moment, Timestamp};

/// The wall clock at a steady time.
pub const fn told(steady: Timestamp, moment: Moment) -> WallTime {
    WallTime::read(moment.wall(steady))
}

/// The wall clock at a time on either clock.
pub const fn shown(time: ClockTime, moment: Moment) -> WallTime {
    WallTime::read(moment.shown(time))
}
