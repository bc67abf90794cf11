//! Timers: which deadlines have passed, and when to look again.
//!
//! [`TimerWheel`] holds one deadline for each open item. It is derived state, rebuilt from the store at
//! start; a number that it returns is a hint to look the item up again, never a verdict.
//!
//! Deliberately absent: clocks, sleeping, threads, locks, and persistence. `now` is an argument, so that the
//! wheel behaves the same in real and in simulated time.

mod places;
mod segments;
mod wheel;

pub use wheel::TimerWheel;
