//! Expectations: items of a workflow have to be created, or its runs to succeed, by a schedule or in
//! intervals.
//!
//! A scheduler that is down reports no error, so the absence of items has to be detected. [`Expectation`] is
//! the workflow's policy, [`Progress`] its state.
//!
//! Invariants:
//!
//! * Only starts after the expectation was first seen count. A changed expectation is a new one.
//! * Progress depends only on the instants it is given, not on how often it is advanced.
//! * Catching up after any downtime takes bounded work.
//!
//! Deliberately absent: clocks. Instants are on the steady clock; for schedules on the wall clock the caller
//! gives the wall offset.

mod cron;
mod progress;

use std::fmt;
use std::time::Duration;

pub use self::cron::{CronError, CronSchedule};
pub use self::progress::{Missed, Progress, WINDOWS_COUNTED_MAX};
use super::Zone;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    pub schedule: Schedule,
    /// How late items may be after an occurrence or an interval. More than zero for cron.
    pub grace: Duration,
    /// The items expected each time; more than zero, and 1 if runs have to succeed.
    pub min_items: u64,
    /// Whether a run has to end in success, rather than an item be created.
    pub of_success: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// From each occurrence until the end of the grace or the next occurrence.
    Cron(CronSchedule),
    /// In each interval of this length since the last one was complete; more than zero.
    Every(Duration),
}

impl Expectation {
    /// The time zone for people, if one is configured.
    pub fn zone(&self) -> Option<Zone> {
        match &self.schedule {
            Schedule::Cron(cron) => Some(cron.zone()),
            Schedule::Every(_) => None,
        }
    }
}

impl fmt::Display for Expectation {
    /// One line; expectations are equal if their lines are.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schedule {
            Schedule::Cron(cron) => write!(formatter, "cron {} in {}", cron.pattern(), cron.zone())?,
            Schedule::Every(every) => write!(formatter, "every {}", humantime::format_duration(*every))?,
        }
        let grace = humantime::format_duration(self.grace);
        write!(formatter, ", grace {grace}, min_items {}", self.min_items)?;
        if self.of_success { formatter.write_str(", of successful runs") } else { Ok(()) }
    }
}
