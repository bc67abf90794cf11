//! The list of generations, and how much live data each holds.
//!
//! Written and live bytes are counted alike, as bytes of entries, payloads and details. So the outdated share
//! is known without reading, whatever sled makes of the bytes on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::generation::Generation;
use super::journal::Place;
use super::manifest::Extent;
use crate::model::ItemNumber;

/// The bytes that a tombstone counts as written, beside a document's key.
const TOMBSTONE_SIZE: u64 = 16;

pub(super) fn item_tombstone_size() -> u64 {
    TOMBSTONE_SIZE
}

pub(super) fn document_tombstone_size(key: &[u8]) -> u64 {
    TOMBSTONE_SIZE + key.len() as u64
}

/// The range of item numbers, and of document keys, that something is recorded for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    items: Option<(ItemNumber, ItemNumber)>,
    keys: Option<(Vec<u8>, Vec<u8>)>,
}

impl Span {
    pub(super) fn add_item(&mut self, number: ItemNumber) {
        let (first, last) = self.items.unwrap_or((number, number));
        self.items = Some((first.min(number), last.max(number)));
    }

    pub(super) fn add_key(&mut self, key: &[u8]) {
        match &mut self.keys {
            None => self.keys = Some((key.to_vec(), key.to_vec())),
            Some((first, _)) if key < first.as_slice() => *first = key.to_vec(),
            Some((_, last)) if key > last.as_slice() => *last = key.to_vec(),
            Some(_) => {}
        }
    }

    pub(super) fn may_have_item(&self, number: ItemNumber) -> bool {
        self.items.is_some_and(|(first, last)| (first..=last).contains(&number))
    }

    pub(super) fn may_have_key(&self, key: &[u8]) -> bool {
        self.keys.as_ref().is_some_and(|(first, last)| first.as_slice() <= key && key <= last.as_slice())
    }

    /// Whether the ranges overlap.
    fn meets(&self, other: &Self) -> bool {
        let items = self.items.zip(other.items).is_some_and(|(one, two)| one.0 <= two.1 && two.0 <= one.1);
        let keys = self.keys.as_ref().zip(other.keys.as_ref());
        items || keys.is_some_and(|(one, two)| one.0 <= two.1 && two.0 <= one.1)
    }
}

/// A generation with its live-data counts.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) generation: Arc<Generation>,
    pub(super) extent: Extent,
    /// The written bytes that are live, without tombstones.
    pub(super) live: u64,
    /// The ranges of its entries, and of its tombstones, with the bytes of the latter.
    pub(super) written: Span,
    pub(super) tombstones: Span,
    pub(super) tombstone_size: u64,
}

impl Held {
    pub(super) fn new(generation: Arc<Generation>, extent: Extent) -> Self {
        Self {
            generation,
            extent,
            live: 0,
            written: Span::default(),
            tombstones: Span::default(),
            tombstone_size: 0,
        }
    }

    pub(super) fn add_item_tombstone(&mut self, number: ItemNumber) {
        self.tombstones.add_item(number);
        self.tombstone_size += item_tombstone_size();
    }

    pub(super) fn add_key_tombstone(&mut self, key: &[u8]) {
        self.tombstones.add_key(key);
        self.tombstone_size += document_tombstone_size(key);
    }
}

/// Sums over all generations, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// The number of items.
    pub(super) items: u64,
    /// Of the files.
    pub(super) size: u64,
    /// Written into them, and live.
    pub(super) written: u64,
    pub(super) live: u64,
}

/// The generations by ascending number; the last is the newest.
#[derive(Debug, Default)]
pub(super) struct Generations(Vec<Held>);

impl Generations {
    pub(super) fn push(&mut self, held: Held) {
        self.0.push(held);
    }

    pub(super) fn remove(&mut self, number: u32) {
        self.0.retain(|held| held.generation.number != number);
    }

    /// Replaces the extents.
    pub(super) fn accept(&mut self, accept: impl Fn(&Extent) -> Extent) {
        self.0.iter_mut().for_each(|held| held.extent = accept(&held.extent));
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

    pub(super) fn sealed(&self) -> &[Held] {
        self.0.split_last().map_or(&[], |(_, sealed)| sealed)
    }

    /// The ones older than that number.
    pub(super) fn before(&self, number: u32) -> impl Iterator<Item = &Held> {
        self.0.iter().take_while(move |held| held.generation.number < number)
    }

    /// The outdated share of a generation's written bytes, in percent. Its tombstones are live as long as an
    /// older generation may hold what they delete.
    fn outdated(&self, held: &Held) -> u64 {
        let is_needed =
            self.before(held.generation.number).any(|older| older.written.meets(&held.tombstones));
        let live = held.live + if is_needed { held.tombstone_size } else { 0 };
        let written = held.extent.written;
        (written.saturating_sub(live) * 100).checked_div(written).unwrap_or(0)
    }

    pub(super) fn newest_outdated(&self) -> u64 {
        self.newest().map_or(0, |newest| self.outdated(newest))
    }

    /// Called once everything is counted: bytes written after the manifest are counted as far as they are
    /// live.
    pub(super) fn settle(&mut self) {
        for held in &mut self.0 {
            held.extent.written = held.extent.written.max(held.live + held.tombstone_size);
        }
    }

    fn at_chunk(&self, chunk: u64) -> Option<usize> {
        self.0.partition_point(|held| held.extent.chunks.first <= chunk).checked_sub(1)
    }

    fn at_bundle(&self, bundle: u64) -> Option<usize> {
        self.0.partition_point(|held| held.extent.bundles.first <= bundle).checked_sub(1)
    }

    /// The generation whose range a chunk falls into.
    pub(super) fn of_chunk(&self, chunk: u64) -> Option<Arc<Generation>> {
        self.at_chunk(chunk).map(|at| self.0[at].generation.clone())
    }

    /// The generation whose range a bundle falls into.
    pub(super) fn of_bundle(&self, bundle: u64) -> Option<Arc<Generation>> {
        self.at_bundle(bundle).map(|at| self.0[at].generation.clone())
    }

    /// Counts an entry in this chunk as live, or as outdated.
    pub(super) fn count_entry(&mut self, chunk: u64, size: u64, is_live: bool) {
        if let Some(at) = self.at_chunk(chunk) {
            self.0[at].count(size, is_live);
        }
    }

    /// Counts a part of an item as live, or as outdated.
    pub(super) fn count_part(&mut self, place: Place, is_live: bool) {
        if let Some(at) = self.at_bundle(place.bundle()) {
            self.0[at].count(place.size(), is_live);
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.0.iter().fold(Totals::default(), |totals, held| Totals {
            items: 0,
            size: totals.size + held.generation.size(),
            written: totals.written + held.extent.written,
            live: totals.live + held.live + held.tombstone_size,
        })
    }

    /// The sealed generation with the largest outdated share, if that is at least `percent`, except for those
    /// left out.
    pub(super) fn most_outdated(&self, percent: u64, left_out: &BTreeSet<u32>) -> Option<&Held> {
        let sealed = self.sealed().iter().filter(|held| !left_out.contains(&held.generation.number));
        let shares = sealed.map(|held| (self.outdated(held), held));
        shares.max_by_key(|(share, _)| *share).filter(|(share, _)| *share >= percent).map(|(_, held)| held)
    }
}

impl Held {
    fn count(&mut self, size: u64, is_live: bool) {
        self.live = if is_live { self.live + size } else { self.live.saturating_sub(size) };
    }
}
