//! Which deadlines have passed, and when to look again.
//!
//! [`TimerWheel`] holds one deadline for each open item. It is derived state: the store is the truth, the
//! wheel is rebuilt from it at start, and a number the wheel hands out is a hint to look the item up again,
//! never a verdict.
//!
//! Deliberately absent: clocks, sleeping, threads, locks, and anything that is written to disk. `now` is an
//! argument, so the same calls with the same times hand over the same numbers at the same times, whether the
//! hours between them have passed or are simulated.

mod places;
mod segments;
mod wheel;

pub use wheel::TimerWheel;
