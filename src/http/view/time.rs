//! Instants as clients are shown them: on the wall clock. Everything else that tells time inside is steady and has to come
//! through here.

use warden_api::WallTime;

use crate::model::{ClockTime, Moment, Timestamp};

/// What the wall clock shows at a steady time.
pub const fn told(steady: Timestamp, moment: Moment) -> WallTime {
    WallTime::read(moment.wall(steady))
}

/// What the wall clock shows at a time on one of the clocks.
pub const fn shown(time: ClockTime, moment: Moment) -> WallTime {
    WallTime::read(moment.shown(time))
}
