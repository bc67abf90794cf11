//! An index of places by number, which does not store the numbers again.
//!
//! Only places are stored, with four bytes each and one for the hash table; the number is read at the place.
//! That is why most functions take `number_at`, which returns the number at a place.
//!
//! Rebuilding a hash table that is full takes the longer the more it holds. So there are 64 of them, which
//! fill at different times: with ten million places a rebuild takes milliseconds.
//!
//! Invariant: no table uses more than 25 bytes for a place. One that grew has at least 7/32 of its buckets in
//! use, and one with less than a fifth in use is rebuilt smaller.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

const TABLES: usize = 64;
/// A table this small is not shrunk.
const BUCKETS_TO_KEEP: usize = 16;

/// A set of places by number. No two places may have the same number.
pub(super) struct Places {
    tables: [HashTable<u32>; TABLES],
    hasher: DefaultHashBuilder,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { tables: [const { HashTable::new() }; TABLES], hasher: DefaultHashBuilder::default() }
    }

    pub(super) fn find(&self, number: u64, number_at: impl Fn(u32) -> u64) -> Option<u32> {
        let hash = self.hasher.hash_one(number);
        self.tables[table_of(hash)].find(hash, |&place| number_at(place) == number).copied()
    }

    /// Adds a place whose number is not in the set.
    pub(super) fn insert(&mut self, number: u64, place: u32, number_at: impl Fn(u32) -> u64) {
        let Self { tables, hasher } = self;
        let hash = hasher.hash_one(number);
        tables[table_of(hash)].insert_unique(hash, place, |&place| hasher.hash_one(number_at(place)));
    }

    /// Removes the place of `number` and returns it.
    pub(super) fn remove(&mut self, number: u64, number_at: impl Fn(u32) -> u64) -> Option<u32> {
        let Self { tables, hasher } = self;
        let hash = hasher.hash_one(number);
        let table = &mut tables[table_of(hash)];
        let (place, _) = table.find_entry(hash, |&place| number_at(place) == number).ok()?.remove();
        if table.num_buckets() > BUCKETS_TO_KEEP.max(5 * table.len()) {
            table.shrink_to(2 * table.len(), |&place| hasher.hash_one(number_at(place)));
        }
        Some(place)
    }

    /// Records that `number` moved from place `from` to `to`.
    pub(super) fn moved(&mut self, number: u64, from: u32, to: u32) {
        let hash = self.hasher.hash_one(number);
        let place = self.tables[table_of(hash)].find_mut(hash, |&place| place == from);
        *place.expect("a number that moves was inserted before") = to;
    }

    /// The bytes allocated.
    pub(super) fn memory(&self) -> usize {
        self.tables.iter().map(HashTable::allocation_size).sum()
    }
}

/// The table for a hash, by bits that the table itself does not use: it takes its buckets from the lowest and
/// its tags from the highest seven.
fn table_of(hash: u64) -> usize {
    (hash >> 48) as usize % TABLES
}
