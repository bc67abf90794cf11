//! How much of the store the stories have exercised.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts up, from any thread.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Of all seeds together.
#[derive(Debug, Default)]
pub struct Figures {
    /// Processes that were killed.
    pub lives: Counter,
    /// Requests that were acknowledged.
    pub requests: Counter,
    /// Copies that were opened; those of which the last record was not acknowledged; those in which that was
    /// harmed.
    pub copies: Counter,
    pub unacknowledged: Counter,
    pub harmed: Counter,
    /// How often the check of a whole directory found nothing.
    pub checks: Counter,
    /// Generations that were made, and removed.
    pub made: Counter,
    pub removed: Counter,
    /// Checkpoints that were seen, and segments of the log that were written over.
    pub checkpoints: Counter,
    pub recycled: Counter,
    /// Whether some seed went wrong, so that the others need not go on.
    pub is_over: AtomicBool,
}

impl Figures {
    /// In words.
    pub fn told(&self) -> String {
        let Self { lives, requests, copies, unacknowledged, harmed, checks, made, removed, .. } = self;
        format!(
            "{} lives, {} requests, {} copies, of which {} end with a record that was not acknowledged and \
             {} were harmed there, {} checks; {} generations made and {} removed, {} checkpoints seen, {} \
             segments written over",
            lives.get(),
            requests.get(),
            copies.get(),
            unacknowledged.get(),
            harmed.get(),
            checks.get(),
            made.get(),
            removed.get(),
            self.checkpoints.get(),
            self.recycled.get()
        )
    }
}
