//! Works on leased items with a command: leases and heartbeats, the process, and the verdict for each item.

pub mod attempt;
pub mod batch;
pub mod beside;
pub mod display;
pub mod environment;
pub mod events;
#[cfg(test)]
pub mod fake_daemon;
pub mod file_name;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod lease;
pub mod process;
pub mod program;
pub mod report;
pub mod stdout;
pub mod tail;
pub mod verdict;
pub mod work;
