//! Timers: which deadlines have passed, and when to look again.
//!
//! [`TimerWheel`] holds one deadline for each open item, with a tag that tells the scheduler what it is
//! about. It is derived state, rebuilt from the store at start and fed by its changes.
//!
//! Deliberately absent: clocks, sleeping, threads, locks, and persistence. `now` is an argument, so that the
//! wheel behaves the same in real and in simulated time.

mod places;
mod segments;
mod wheel;

pub use wheel::{Due, TimerWheel};
