//! Making a database give back memory.
//!
//! sled takes note of which pages were read for each of 256 shards of its cache, and only once 64 reads have gathered in one;
//! only then does it drop what is too much there. So of a few thousand pages, each read once, it keeps all, whatever the size of
//! its cache, and with several databases that adds up to all that is on the disk. Here each is made to take note: it gets
//! pages with next to nothing in them, so many in a row that there is one for each shard, and these are read until every
//! shard has enough.
//!
//! Measured with sled 0.34.7; page numbers go up by one as pages are added, and a leaf is split once it has 17 keys.

use std::sync::atomic::Ordering;

use super::generation::{Generation, GenerationError, broken};
use super::layout::{self, BATCH_MAX};

/// How many reads of a shard the database gathers before it takes note of them, and how many shards there are.
const GATHERED: u16 = 64;
const SHARDS: u16 = 256;
/// How many keys stay in each leaf when keys are added in their order.
const KEYS_IN_LEAF: u16 = 8;
/// Some more than there are shards, since pages of other kinds are added among them.
const LEAVES: u16 = SHARDS + 32;
/// A database with less than this is left alone, in bytes: it has few pages.
const SIZE_MIN: u64 = 32 * 1024 * 1024;
/// After how many pages were read a database is made to take note. Each may be of 64 KiB.
const READS: u32 = 1024;

fn key(leaf: u16) -> [u8; 9] {
    layout::numbered(layout::EMPTY, u64::from(leaf) * u64::from(KEYS_IN_LEAF))
}

impl Generation {
    /// Adds the pages that are needed, if the database is large and has none yet.
    ///
    /// # Errors
    /// When the system cannot write them; they are final.
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
        self.find_out_whether_evictable();
        Ok(())
    }

    /// Looks whether the pages are there.
    pub(super) fn find_out_whether_evictable(&self) {
        let last = self.tree.contains_key(key(LEAVES)).unwrap_or(false);
        self.is_evictable.store(last, Ordering::Relaxed);
    }

    /// Counts a value that is read by its number, unless it is in the page of the one before, and has memory given back once
    /// that is worth it.
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

    /// Has the database drop what does not fit into its cache. Takes some 10 ms.
    pub(super) fn evict(&self) {
        self.reads.store(0, Ordering::Relaxed);
        if !self.is_evictable.load(Ordering::Relaxed) {
            return;
        }
        for _ in 0..=GATHERED {
            for leaf in 0..LEAVES {
                // Whoever reads what is wanted is told of errors.
                let _ = self.tree.get(key(leaf));
            }
        }
    }
}
