//! Seeded randomness.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Rolls that are the same for the same seed, as long as everybody rolls in the same order.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A number from 0 up to, but not including, `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.0.lock().expect("nothing panics under the lock").random_range(0..end)
    }

    /// True so many times in a thousand.
    pub fn chance(&self, in_thousand: u64) -> bool {
        self.below(1000) < in_thousand
    }

    /// One of these.
    pub fn pick<'a, T>(&self, choices: &'a [T]) -> &'a T {
        &choices[usize::try_from(self.below(choices.len() as u64)).expect("it is an index")]
    }

    /// A duration below this many milliseconds.
    pub fn millis(&self, end: u64) -> Duration {
        Duration::from_millis(self.below(end.max(1)))
    }
}
