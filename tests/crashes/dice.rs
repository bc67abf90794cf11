//! Seeded randomness.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Rolls that are the same for the same seed.
pub struct Dice(StdRng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Those of one request of one submitter, whatever was rolled for others.
    pub fn of_request(seed: u64, submitter: usize, request: u64) -> Self {
        Self::new((seed << 40) ^ ((submitter as u64) << 32) ^ request)
    }

    /// A number from 0 up to, but not including, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end)
    }

    /// The same, as an index.
    pub fn index(&mut self, length: usize) -> usize {
        self.0.random_range(0..length)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())].clone()
    }
}
