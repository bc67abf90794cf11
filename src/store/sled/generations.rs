//! The generations that there are, and how much of each is still wanted.
//!
//! What was written into a generation and what of it still holds are counted alike, in bytes of entries, payloads and details.
//! So the share of what is outdated is known without looking, whatever the database makes of it on the disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::generation::Generation;
use super::journal::Place;
use super::mark::Extent;

/// A generation, and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) generation: Arc<Generation>,
    pub(super) extent: Extent,
    /// How many of the bytes that were written still hold.
    pub(super) wanted: u64,
}

impl Held {
    /// The share of what was written that is outdated, in percent.
    pub(super) fn outdated(&self) -> u64 {
        let written = self.extent.written.max(1);
        written.saturating_sub(self.wanted) * 100 / written
    }
}

/// What all of them take together, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// How many items they have.
    pub(super) items: u64,
    /// Their files.
    pub(super) size: u64,
    /// What was written into them, and what of it still holds.
    pub(super) written: u64,
    pub(super) wanted: u64,
}

/// By ascending number; the last is the newest.
#[derive(Debug, Default)]
pub(super) struct Generations(Vec<Held>);

impl Generations {
    pub(super) fn push(&mut self, held: Held) {
        self.0.push(held);
    }

    pub(super) fn remove(&mut self, number: u32) {
        self.0.retain(|held| held.generation.number != number);
    }

    pub(super) fn all(&self) -> &[Held] {
        &self.0
    }

    /// The one that is appended to.
    pub(super) fn newest(&self) -> Option<&Held> {
        self.0.last()
    }

    pub(super) fn newest_mut(&mut self) -> Option<&mut Held> {
        self.0.last_mut()
    }

    /// Those that are sealed.
    pub(super) fn sealed(&self) -> &[Held] {
        self.0.split_last().map_or(&[], |(_, sealed)| sealed)
    }

    /// Whether none is older.
    pub(super) fn is_oldest(&self, number: u32) -> bool {
        self.0.first().is_none_or(|oldest| oldest.generation.number >= number)
    }

    fn at_chunk(&self, chunk: u64) -> Option<usize> {
        self.0.partition_point(|held| held.extent.chunks.first <= chunk).checked_sub(1)
    }

    fn at_bundle(&self, bundle: u64) -> Option<usize> {
        self.0.partition_point(|held| held.extent.bundles.first <= bundle).checked_sub(1)
    }

    /// The one that holds a chunk, if any does.
    pub(super) fn of_chunk(&self, chunk: u64) -> Option<Arc<Generation>> {
        self.at_chunk(chunk).map(|at| self.0[at].generation.clone())
    }

    /// The one that holds a bundle, if any does.
    pub(super) fn of_bundle(&self, bundle: u64) -> Option<Arc<Generation>> {
        self.at_bundle(bundle).map(|at| self.0[at].generation.clone())
    }

    /// An entry of so many bytes in this chunk holds from now on, or no longer.
    pub(super) fn want_entry(&mut self, chunk: u64, size: u64, holds: bool) {
        if let Some(at) = self.at_chunk(chunk) {
            self.0[at].want(size, holds);
        }
    }

    /// The same for a part of an item.
    pub(super) fn want_part(&mut self, place: Place, holds: bool) {
        if let Some(at) = self.at_bundle(place.bundle()) {
            self.0[at].want(place.size(), holds);
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.0.iter().fold(Totals::default(), |totals, held| Totals {
            items: 0,
            size: totals.size + held.generation.size(),
            written: totals.written + held.extent.written,
            wanted: totals.wanted + held.wanted,
        })
    }

    /// The sealed one of which the largest share is outdated, if that is so many percent at least. Some are left out.
    pub(super) fn most_outdated(&self, percent: u64, left_out: &BTreeSet<u32>) -> Option<&Held> {
        let sealed = self.sealed().iter().filter(|held| !left_out.contains(&held.generation.number));
        sealed.max_by_key(|held| held.outdated()).filter(|worst| worst.outdated() >= percent)
    }
}

impl Held {
    fn want(&mut self, size: u64, holds: bool) {
        self.wanted = if holds { self.wanted + size } else { self.wanted.saturating_sub(size) };
    }
}
