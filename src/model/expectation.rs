//! What is expected of a workflow: that items of it are created, at times or in intervals.
//!
//! That nothing comes is noticed by nobody who waits for an error: a scheduler that is down starts nothing, and nothing
//! fails. [`Expectation`] is what the workflow's policy says, [`Progress`] how far it has come to pass.
//!
//! Invariants:
//!
//! * Only what should have begun after the expectation was first seen counts. When it changes, it is seen for the first
//!   time.
//! * Progress depends on the instants it is given, not on how often it is asked in between.
//! * However long nobody looked, catching up takes bounded work.
//!
//! Deliberately absent: clocks. Instants are those of the steady clock; where a schedule names instants of the wall
//! clock, the caller says how far that one was set away from it.

mod cron;
mod progress;

use std::fmt;
use std::time::Duration;

pub use self::cron::{CronError, CronSchedule};
pub use self::progress::{Missed, Progress, WINDOWS_COUNTED_MAX};
use super::Zone;

/// That items of a workflow are to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// When.
    pub schedule: Schedule,
    /// How long after each occurrence, or beyond each interval, they may be created. More than zero for cron.
    pub grace: Duration,
    /// How many of them; more than zero.
    pub min_items: u64,
}

/// When items are expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// From each occurrence on, until the grace is over or the next occurrence comes.
    Cron(CronSchedule),
    /// In each interval of this length since the last ones were complete; more than zero.
    Every(Duration),
}

impl Expectation {
    /// The time zone in which people think of it; nothing where it was not given.
    pub fn zone(&self) -> Option<Zone> {
        match &self.schedule {
            Schedule::Cron(cron) => Some(cron.zone()),
            Schedule::Every(_) => None,
        }
    }
}

impl fmt::Display for Expectation {
    /// All of it in one line. Two expectations are the same if their lines are.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schedule {
            Schedule::Cron(cron) => write!(formatter, "cron {} in {}", cron.pattern(), cron.zone())?,
            Schedule::Every(every) => write!(formatter, "every {}", humantime::format_duration(*every))?,
        }
        let grace = humantime::format_duration(self.grace);
        write!(formatter, ", grace {grace}, min_items {}", self.min_items)
    }
}
