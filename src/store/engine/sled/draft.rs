//! The writer of the generations, used by checkpoints and compaction.
//!
//! A [`Draft`] collects changes and appends them to the newest generation in atomic batches. Invariants:
//!
//! * The entry of an item or document and its parts go into one batch, except for the pieces of a large
//!   payload or detail, which go ahead of it. An interrupted checkpoint is repeated from the log, so nothing
//!   larger has to be atomic.
//! * A batch is durable after [`Draft::sync`], and at most [`layout::unsynced_max`] bytes are applied between
//!   syncs. sled assumes that what it handed to the kernel is durable, and reuses earlier segments on that
//!   assumption. With more bytes under one sync, a power cut could take away data that later segments no
//!   longer repeat.
//! * Bundles are written in ascending order of their numbers, and so are chunks.
//!
//! Items are drafted in [`super::items`]; [`super::compaction`] rewrites the live data of sealed generations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::batch::{Before, Items};
use super::compaction::Compaction;
use super::generation::{Generation, GenerationError, GenerationOptions};
use super::generations::{Held, Totals, document_tombstone_size, item_tombstone_size};
use super::index::{Document, Index, document_size};
use super::journal::{self, Bundles, Chunks, Entry, Piece, Place, Written};
use super::layout::{self, BATCH_MAX, BUNDLE_MAX, DOCUMENT_PIECE_SIZE, PIECE_SIZE};
use super::manifest::{self, Extent, Manifest};
use super::names::NameHash;
use super::read_error::ReadError;
use super::reader::Reader;
use super::tables::Tables;
use crate::model::ItemNumber;
use crate::store::record::RecordError;

/// Errors between the in-memory tables and the disk. All of them are fatal.
#[derive(Debug, thiserror::Error)]
pub(super) enum DraftError {
    #[error("the database could not be written: {0}")]
    Database(#[from] sled::Error),
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a segment of the log could not be released: {0}")]
    Log(std::io::Error),
    #[error("the free space could not be read: {0}")]
    Space(std::io::Error),
}

/// The size at which a generation is sealed, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct GenerationSizes {
    pub(super) min: u64,
    pub(super) max: u64,
}

/// The newest generation is sealed at this share of all of them, within [`GenerationSizes`], so that they
/// stay few.
const GENERATIONS: u64 = 4;

/// A small newest generation is sealed once this share of it is outdated, in percent.
const OUTDATED_SEALED: u64 = 75;

pub(super) struct Draft {
    index: Arc<RwLock<Index>>,
    pub(super) generation: Arc<Generation>,
    options: GenerationOptions,
    sizes: GenerationSizes,
    manifest: Manifest,
    /// The extent of the newest generation, including the batch being built.
    extent: Extent,
    /// Bytes applied since the last sync.
    unsynced: usize,
    pub(super) items: Items,
    documents: BTreeMap<Vec<u8>, Option<Bytes>>,
    document_bytes: usize,
    /// Bundle values that are pieces, with their numbers.
    pieces: Vec<(u64, Vec<u8>)>,
    /// The compaction under way.
    pub(super) compaction: Option<Compaction>,
    /// Damaged generations, which are not compacted.
    pub(super) damaged_generations: BTreeSet<u32>,
}

/// An item of a batch that was written.
struct Settled {
    number: ItemNumber,
    chunk: u64,
    /// The size of its entry; `None` for a tombstone.
    size: Option<u64>,
    payload: Option<Place>,
    detail: Option<Place>,
    names: [Option<NameHash>; 2],
    before: Option<Before>,
}

impl Draft {
    pub(super) fn new(
        index: Index,
        options: GenerationOptions,
        sizes: GenerationSizes,
        manifest: Manifest,
    ) -> Result<Self, ReadError> {
        let newest = index.generations.newest().ok_or(ReadError::Lost)?;
        let (generation, extent) = (newest.generation.clone(), newest.extent);
        Ok(Self {
            index: Arc::new(RwLock::new(index)),
            generation,
            options,
            sizes,
            manifest,
            extent,
            unsynced: 0,
            items: Items::default(),
            documents: BTreeMap::new(),
            document_bytes: 0,
            pieces: Vec::new(),
            compaction: None,
            damaged_generations: BTreeSet::new(),
        })
    }

    /// The manifest of the newest generation.
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A reader over these tables and the generations.
    pub(super) fn reader(&self, tables: Arc<RwLock<Tables>>) -> Reader {
        let hasher = self.index().hasher.clone();
        Reader { tables, index: self.index.clone(), hasher }
    }

    /// The in-memory index as of the last batch.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sizes of all generations together.
    pub(super) fn totals(&self) -> Totals {
        let index = self.index();
        Totals { items: index.locations.len() as u64, ..index.generations.totals() }
    }

    fn unsynced_max(&self) -> usize {
        layout::unsynced_max(self.generation.segment_size)
    }

    /// Drafts a document, or with `None` its tombstone.
    pub(super) fn write_document(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), DraftError> {
        let is_known = self.documents.contains_key(key) || self.index().documents.contains_key(key);
        if value.is_none() && !is_known {
            return Ok(());
        }
        self.document_bytes += key.len() + value.map_or(0, <[u8]>::len) + 32;
        self.documents.insert(key.to_vec(), value.map(Bytes::copy_from_slice));
        self.make_room()
    }

    /// Drafts the tombstone of a document that the index does not have, because an older generation may hold
    /// the document.
    pub(super) fn write_tombstone(&mut self, key: &[u8]) {
        self.document_bytes += key.len() + 32;
        self.documents.insert(key.to_vec(), None);
    }

    /// Whether the document is in the batch being built.
    pub(super) fn is_document_drafted(&self, key: &[u8]) -> bool {
        self.documents.contains_key(key)
    }

    /// Applies the batch once it is large enough.
    pub(super) fn make_room(&mut self) -> Result<(), DraftError> {
        if self.gathered() > self.unsynced_max() { self.apply() } else { Ok(()) }
    }

    fn gathered(&self) -> usize {
        self.items.bytes() + self.document_bytes + self.pieces.len() * BUNDLE_MAX
    }

    /// Writes a large payload or detail as pieces, ahead of the item's entry if they exceed a batch.
    pub(super) fn write_pieces(&mut self, number: ItemNumber, bytes: &[u8]) -> Result<Place, DraftError> {
        let pieces = layout::pieces(bytes.len());
        if self.gathered() + bytes.len() > self.unsynced_max() {
            // What was collected so far takes the next bundle numbers.
            self.apply()?;
        }
        let first = self.extent.bundles.next;
        for run in bytes.chunks(self.unsynced_max().next_multiple_of(PIECE_SIZE)) {
            let from = self.extent.bundles.next;
            self.pieces
                .extend((from..).zip(run.chunks(PIECE_SIZE).map(|bytes| journal::piece(number, bytes))));
            self.extent.bundles.next = from + run.len().div_ceil(PIECE_SIZE) as u64;
            self.extent.written += run.len().next_multiple_of(PIECE_SIZE) as u64;
            if run.len() < bytes.len() {
                self.apply()?;
            }
        }
        Ok(Place::Own { first, pieces })
    }

    /// Applies what was collected as one batch.
    pub(super) fn apply(&mut self) -> Result<(), DraftError> {
        if self.items.is_empty() && self.documents.is_empty() && self.pieces.is_empty() {
            return Ok(());
        }
        let mut bundles = Bundles::from(self.extent.bundles.next);
        let mut chunks = Chunks::from(self.extent.chunks.next);
        let mut settled = Vec::new();
        for (number, drafted) in self.items.take() {
            let mut put = |bytes: &[u8]| {
                let place = bundles.add(number, bytes);
                self.extent.written += place.size();
                place
            };
            let (payload, detail) = (drafted.payload.place(&mut put), drafted.detail.place(&mut put));
            let written = drafted.record.as_deref().map(|record| Written { payload, detail, record });
            let size = written.as_ref().map(Written::size);
            self.extent.written += size.unwrap_or(item_tombstone_size());
            let chunk = chunks.add(&Entry::Item { number, written });
            self.extent.entries += 1;
            let (names, before) = (drafted.names, drafted.before);
            settled.push(Settled { number, chunk, size, payload, detail, names, before });
        }
        self.document_bytes = 0;
        let documents: Vec<_> = std::mem::take(&mut self.documents)
            .into_iter()
            .map(|(key, value)| {
                let document = value.map(|value| self.add_document(&mut chunks, &key, &value));
                if document.is_none() {
                    self.extent.entries += 1;
                    self.extent.written += document_tombstone_size(&key);
                    chunks.add(&Entry::Document { key: &key, piece: None });
                }
                (key, document)
            })
            .collect();
        let pieces = std::mem::take(&mut self.pieces);
        let mut values: Vec<([u8; 9], Vec<u8>)> = Vec::new();
        for (bundle, value) in pieces.into_iter().chain(bundles.finish()) {
            self.extent.bundles.next = bundle + 1;
            values.push((layout::numbered(layout::BUNDLE, bundle), value));
        }
        for (chunk, value) in chunks.finish() {
            self.extent.chunks.next = chunk + 1;
            self.extent.digest = manifest::digest(self.extent.digest, chunk, &value);
            values.push((layout::numbered(layout::JOURNAL, chunk), value));
        }
        self.write(values)?;
        self.note(settled, documents);
        Ok(())
    }

    fn add_document(&mut self, chunks: &mut Chunks, key: &[u8], value: &[u8]) -> Document {
        let mut document: Option<Document> = None;
        let count = value.len().div_ceil(DOCUMENT_PIECE_SIZE).max(1);
        for index in 0..count {
            let from = index * DOCUMENT_PIECE_SIZE;
            let bytes = &value[from..value.len().min(from + DOCUMENT_PIECE_SIZE)];
            let piece = Piece { index: index as u16, count: count as u16, bytes };
            let chunk = chunks.add(&Entry::Document { key, piece: Some(piece) });
            let size = document_size(key, bytes.len());
            document.get_or_insert(Document { chunk, size: 0 }).size += size;
            self.extent.entries += 1;
            self.extent.written += size;
        }
        document.unwrap_or(Document { chunk: self.extent.chunks.next, size: 0 })
    }

    /// Applies a batch, after a sync unless the unsynced bytes stay within the limit.
    fn write(&mut self, values: Vec<([u8; 9], Vec<u8>)>) -> Result<(), DraftError> {
        debug_assert!(values.len() <= BATCH_MAX, "{} keys in a batch", values.len());
        let bytes: usize = values.iter().map(|(key, value)| key.len() + value.len()).sum();
        if self.unsynced > 0 && self.unsynced + bytes > self.unsynced_max() {
            self.sync()?;
        }
        self.unsynced += bytes;
        let mut batch = sled::Batch::default();
        for (key, value) in values {
            batch.insert(&key[..], value);
        }
        Ok(self.generation.tree.apply_batch(batch)?)
    }

    /// Updates the index after a batch was applied.
    fn note(&self, settled: Vec<Settled>, documents: Vec<(Vec<u8>, Option<Document>)>) {
        let mut index = self.index_mut();
        let Index { generations, locations, names, documents: known, .. } = &mut *index;
        if let Some(newest) = generations.newest_mut() {
            newest.extent = self.extent;
            for item in &settled {
                match item.size {
                    Some(_) => newest.written.add_item(item.number),
                    None => newest.add_item_tombstone(item.number),
                }
            }
            for (key, document) in &documents {
                match document {
                    Some(_) => newest.written.add_key(key),
                    None => newest.add_key_tombstone(key),
                }
            }
        }
        for item in settled {
            let before = item.before;
            if let Some(before) = before {
                generations.count_entry(before.chunk, before.size, false);
            }
            let parts = [
                (item.payload, before.and_then(|at| at.payload)),
                (item.detail, before.and_then(|at| at.detail)),
            ];
            for (now, before) in parts.into_iter().filter(|(now, before)| now != before) {
                before.into_iter().for_each(|place| generations.count_part(place, false));
                now.into_iter().for_each(|place| generations.count_part(place, true));
            }
            let hashes = item.names.into_iter().flatten();
            if let Some(size) = item.size {
                generations.count_entry(item.chunk, size, true);
                locations.put(item.number, item.chunk);
                hashes.for_each(|hash| names.insert(hash, item.number));
            } else {
                locations.remove(item.number);
                hashes.for_each(|hash| names.remove(hash, item.number));
            }
        }
        for (key, document) in documents {
            let before = match document {
                Some(document) => {
                    generations.count_entry(document.chunk, document.size, true);
                    known.insert(key, document)
                }
                None => known.remove(&key),
            };
            if let Some(before) = before {
                generations.count_entry(before.chunk, before.size, false);
            }
        }
    }

    /// Makes everything applied durable. An error is final.
    pub(super) fn sync(&mut self) -> Result<(), DraftError> {
        if self.unsynced > 0 {
            self.generation.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Syncs, then durably records in the manifest that the generations hold the log up to the record
    /// `covered`.
    pub(super) fn set_covered(&mut self, covered: u64, next_number: u64) -> Result<(), DraftError> {
        self.manifest.log.covered = covered;
        self.manifest.next_number = next_number;
        self.write_manifest()
    }

    /// Durably records in the manifest that an empty log continues the generations.
    pub(super) fn set_log(&mut self, log: manifest::LogPosition, next_number: u64) -> Result<(), DraftError> {
        self.manifest.log = log;
        self.manifest.next_number = next_number;
        self.write_manifest()
    }

    fn write_manifest(&mut self) -> Result<(), DraftError> {
        self.apply()?;
        self.sync()?;
        self.manifest.newest = self.extent;
        self.generation.tree.insert(layout::MANIFEST, self.manifest.encode())?;
        self.generation.sync()?;
        Ok(())
    }

    /// Whether a compaction can go on or begin, for generations of which at least `percent` is outdated, or
    /// the newest generation should be sealed for one.
    pub(super) fn can_compact(&self, percent: u64) -> bool {
        let is_outdated =
            self.index().generations.most_outdated(percent, &self.damaged_generations).is_some();
        self.compaction.is_some() || is_outdated || self.is_due(true)
    }

    /// Whether the newest generation is large enough to be sealed, or mostly outdated while the thread is
    /// idle.
    fn is_due(&self, is_idle: bool) -> bool {
        let index = self.index();
        let outdated = index.generations.newest_outdated();
        let enough = (index.generations.totals().size / GENERATIONS).clamp(self.sizes.min, self.sizes.max);
        let size = self.generation.size();
        size >= enough || (is_idle && size >= self.sizes.min / 2 && outdated >= OUTDATED_SEALED)
    }

    pub(super) fn seal_if_due(&mut self, is_idle: bool) -> Result<(), DraftError> {
        self.generation.prepare_eviction()?;
        if self.is_due(is_idle) { self.seal() } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<(), DraftError> {
        self.apply()?;
        self.sync()?;
        self.generation.evict();
        let mut manifest = self.manifest.clone();
        manifest.sealed.push(self.extent);
        manifest.newest = Extent::after(&self.extent);
        let generation = Arc::new(Generation::create(&self.options, &manifest)?);
        (self.extent, self.manifest, self.generation) = (manifest.newest, manifest, generation.clone());
        self.index_mut().generations.push(Held::new(generation, self.extent));
        Ok(())
    }

    /// Removes a sealed generation in which nothing is live: first from the manifest, then its files.
    pub(super) fn remove(&mut self, generation: &Generation) -> Result<(), DraftError> {
        self.manifest.sealed.retain(|sealed| sealed.generation != generation.number);
        self.manifest.removed = vec![generation.number];
        self.write_manifest()?;
        self.index_mut().generations.remove(generation.number);
        Ok(generation.remove()?)
    }
}
