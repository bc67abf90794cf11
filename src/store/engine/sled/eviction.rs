//! Cache eviction: makes sled give memory back.
//!
//! sled buffers the reads of each of the 256 shards of its cache, and evicts only when 64 reads of a shard
//! have gathered. A few thousand pages that are read once each are never evicted, whatever the cache size,
//! and with several databases that adds up to all that is on disk. So every database gets a run of nearly
//! empty pages, enough for one in each shard; reading them until every shard has gathered its 64 reads
//! triggers the eviction.
//!
//! Measured with sled 0.34.7: page ids of added pages are consecutive, and a leaf splits at 17 keys.

use std::sync::atomic::Ordering;

use super::generation::{Generation, GenerationError, broken};
use super::layout::{self, BATCH_MAX};

/// Reads that a shard gathers before it evicts, and the number of shards.
const GATHERED: u16 = 64;
const SHARDS: u16 = 256;
/// Keys that stay in each leaf when keys are added in order.
const KEYS_IN_LEAF: u16 = 8;
/// More than there are shards, since pages of other kinds are added in between.
const LEAVES: u16 = SHARDS + 32;
/// A smaller database is exempt, in bytes: it has few pages.
const SIZE_MIN: u64 = 32 * 1024 * 1024;
/// Pages read between evictions. A page may be 64 KiB.
const READS: u32 = 1024;

fn key(leaf: u16) -> [u8; 9] {
    layout::numbered(layout::EMPTY, u64::from(leaf) * u64::from(KEYS_IN_LEAF))
}

impl Generation {
    /// Adds the pages for evictions, if the database is large and has none. An error is final.
    pub(super) fn prepare_eviction(&self) -> Result<(), GenerationError> {
        if self.is_evictable.load(Ordering::Relaxed) || self.size() < SIZE_MIN {
            return Ok(());
        }
        let numbers: Vec<u16> = (0..=LEAVES * KEYS_IN_LEAF).collect();
        for numbers in numbers.chunks(BATCH_MAX) {
            let mut batch = sled::Batch::default();
            for number in numbers {
                batch.insert(&layout::numbered(layout::EMPTY, u64::from(*number))[..], &[][..]);
            }
            self.tree.apply_batch(batch).map_err(|error| broken(self.path(), error))?;
        }
        self.sync()?;
        self.update_evictable();
        Ok(())
    }

    pub(super) fn update_evictable(&self) {
        let last = self.tree.contains_key(key(LEAVES)).unwrap_or(false);
        self.is_evictable.store(last, Ordering::Relaxed);
    }

    /// Counts a read, unless it is on the same page as the one before, and evicts after enough of them.
    pub(super) fn note_read(&self, letter: u8, number: u64) {
        let page = number / u64::from(KEYS_IN_LEAF);
        let [of_journal, of_bundles] = &self.pages_read;
        let before = if letter == layout::JOURNAL { of_journal } else { of_bundles };
        if before.swap(page, Ordering::Relaxed) == page {
            return;
        }
        if self.reads.fetch_add(1, Ordering::Relaxed) + 1 >= READS {
            self.evict();
        }
    }

    /// Makes sled drop what exceeds its cache. Takes about 10 ms.
    pub(super) fn evict(&self) {
        self.reads.store(0, Ordering::Relaxed);
        if !self.is_evictable.load(Ordering::Relaxed) {
            return;
        }
        for _ in 0..=GATHERED {
            for leaf in 0..LEAVES {
                // Read errors are reported by the reads of data.
                let _ = self.tree.get(key(leaf));
            }
        }
    }
}
