//! Works on leased items with a command: claims, heartbeats, the process, and what its end means for the items.

pub mod attempt;
pub mod audience;
pub mod backoff;
pub mod batch;
pub mod desk;
pub mod environment;
pub mod file_name;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod keeper;
pub mod listener;
pub mod order;
pub mod process;
pub mod report;
pub mod settlement;
#[cfg(test)]
pub mod stand_in;
pub mod tail;
pub mod verdict;
