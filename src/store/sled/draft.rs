//! The generations as the checkpoints change them.
//!
//! A [`Draft`] gathers what is to be written and appends it to the newest generation in atomic batches. Invariants:
//!
//! * What there is of one item or document goes into one batch, but for the pieces of a large payload or detail, which go
//!   ahead of it. A checkpoint that was broken off is made again from the log, so that no more than this need be atomic.
//! * What was applied is durable after [`Draft::sync`], and before more than [`layout::unsynced_max`] bytes follow it. The
//!   database takes what it has handed to the kernel for durable: it notes so in later segments, and reuses earlier ones. Were
//!   much to share a sync, a power cut could take away what it no longer looks for.
//! * Bundles are written in the order of their numbers, and so are chunks.
//!
//! Items are drafted in [`super::items`], and what still holds of a sealed generation is moved in [`super::moving`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::generation::{Form, Generation, GenerationError};
use super::generations::{Held, Totals, size_of_forgotten, size_of_gone};
use super::index::{Document, Index, document_size};
use super::items::{Before, Items};
use super::journal::{self, Bundles, Chunks, Entry, Piece, Place, Written};
use super::layout::{self, BATCH_MAX, BUNDLE_MAX, DOCUMENT_PIECE_SIZE, PIECE_SIZE};
use super::mark::{self, Extent, Mark};
use super::moving::Moving;
use super::names::NameHash;
use super::reader::{ReadError, Reader};
use super::tables::Tables;
use crate::model::ItemNumber;
use crate::store::record::RecordError;

/// What goes wrong between the tables and the disk. All of it is fatal.
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
    #[error("a segment of the log could not be let go of: {0}")]
    Log(std::io::Error),
    #[error("the free space could not be read: {0}")]
    Space(std::io::Error),
}

/// How large a generation becomes before the next one begins, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct GenerationSizes {
    pub(super) min: u64,
    pub(super) max: u64,
}

/// The newest generation is sealed once it has this share of all, within the bounds, so that there are few.
const GENERATIONS: u64 = 4;

/// How much of the newest generation has to be outdated for it to be sealed before it is large, in percent.
const OUTDATED_SEALED: u64 = 75;

/// Changes on their way into the newest generation. See the module's documentation.
pub(super) struct Draft {
    index: Arc<RwLock<Index>>,
    pub(super) generation: Arc<Generation>,
    form: Form,
    sizes: GenerationSizes,
    mark: Mark,
    /// What is in the newest generation, and in the batch under way.
    extent: Extent,
    /// Bytes that were applied and not synced yet.
    unsynced: usize,
    pub(super) items: Items,
    documents: BTreeMap<Vec<u8>, Option<Bytes>>,
    document_bytes: usize,
    /// Bundles that are pieces, with their numbers.
    pieces: Vec<(u64, Vec<u8>)>,
    /// What is being moved out of a sealed generation.
    pub(super) moving: Option<Moving>,
    /// Generations that turned out to be damaged.
    pub(super) unmovable: BTreeSet<u32>,
}

/// An item of a batch.
struct Settled {
    number: ItemNumber,
    chunk: u64,
    /// What its entry counts for; nothing once it is forgotten.
    size: Option<u64>,
    payload: Option<Place>,
    detail: Option<Place>,
    names: [Option<NameHash>; 2],
    before: Option<Before>,
}

impl Draft {
    /// On an index of generations, of which the newest has this mark.
    pub(super) fn new(
        index: Index,
        form: Form,
        sizes: GenerationSizes,
        mark: Mark,
    ) -> Result<Self, ReadError> {
        let newest = index.generations.newest().ok_or(ReadError::Lost)?;
        let (generation, extent) = (newest.generation.clone(), newest.extent);
        Ok(Self {
            index: Arc::new(RwLock::new(index)),
            generation,
            form,
            sizes,
            mark,
            extent,
            unsynced: 0,
            items: Items::default(),
            documents: BTreeMap::new(),
            document_bytes: 0,
            pieces: Vec::new(),
            moving: None,
            unmovable: BTreeSet::new(),
        })
    }

    /// What the newest generation says of them all.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// What others read with, over these tables.
    pub(super) fn reader(&self, tables: Arc<RwLock<Tables>>) -> Reader {
        let hasher = self.index().hasher.clone();
        Reader { tables, index: self.index.clone(), hasher }
    }

    /// The in-memory index, as of the last batch.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all generations take.
    pub(super) fn totals(&self) -> Totals {
        let index = self.index();
        Totals { items: index.roster.len() as u64, ..index.generations.totals() }
    }

    /// How many bytes may share a sync.
    fn unsynced_max(&self) -> usize {
        layout::unsynced_max(self.generation.segment_size)
    }

    /// Writes a document, or that it is gone.
    pub(super) fn write_document(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), DraftError> {
        let is_known = self.documents.contains_key(key) || self.index().documents.contains_key(key);
        if value.is_none() && !is_known {
            return Ok(());
        }
        self.document_bytes += key.len() + value.map_or(0, <[u8]>::len) + 32;
        self.documents.insert(key.to_vec(), value.map(Bytes::copy_from_slice));
        self.make_room()
    }

    /// Writes once more that a document is gone.
    pub(super) fn write_gone(&mut self, key: &[u8]) {
        self.document_bytes += key.len() + 32;
        self.documents.insert(key.to_vec(), None);
    }

    /// Whether something is written of a document since the last batch.
    pub(super) fn is_document_drafted(&self, key: &[u8]) -> bool {
        self.documents.contains_key(key)
    }

    /// Hands what has gathered to the database once it is enough for a batch.
    pub(super) fn make_room(&mut self) -> Result<(), DraftError> {
        if self.gathered() > self.unsynced_max() { self.apply() } else { Ok(()) }
    }

    fn gathered(&self) -> usize {
        self.items.bytes() + self.document_bytes + self.pieces.len() * BUNDLE_MAX
    }

    /// Lays a payload or detail down in pieces of its own, ahead of the item's record if they are too many for its batch.
    pub(super) fn lay_down(&mut self, number: ItemNumber, bytes: &[u8]) -> Result<Place, DraftError> {
        let pieces = layout::pieces(bytes.len());
        if self.gathered() + bytes.len() > self.unsynced_max() {
            // What has gathered has bundles with the next numbers.
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

    /// Hands what has gathered to the database, as one batch.
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
            self.extent.written += size.unwrap_or(size_of_forgotten());
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
                    self.extent.written += size_of_gone(&key);
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
            self.extent.digest = mark::digest(self.extent.digest, chunk, &value);
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

    /// Applies a batch; what came before is synced first, unless both together are little.
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

    /// Takes into the index what a batch has written.
    fn note(&self, settled: Vec<Settled>, documents: Vec<(Vec<u8>, Option<Document>)>) {
        let mut index = self.index_mut();
        let Index { generations, roster, names, documents: known, .. } = &mut *index;
        if let Some(newest) = generations.newest_mut() {
            newest.extent = self.extent;
            for item in &settled {
                match item.size {
                    Some(_) => newest.written.add_item(item.number),
                    None => newest.forget_item(item.number),
                }
            }
            for (key, document) in &documents {
                match document {
                    Some(_) => newest.written.add_key(key),
                    None => newest.forget_key(key),
                }
            }
        }
        for item in settled {
            let before = item.before;
            if let Some(before) = before {
                generations.want_entry(before.chunk, before.size, false);
            }
            let parts = [
                (item.payload, before.and_then(|at| at.payload)),
                (item.detail, before.and_then(|at| at.detail)),
            ];
            for (now, before) in parts.into_iter().filter(|(now, before)| now != before) {
                before.into_iter().for_each(|place| generations.want_part(place, false));
                now.into_iter().for_each(|place| generations.want_part(place, true));
            }
            let hashes = item.names.into_iter().flatten();
            if let Some(size) = item.size {
                generations.want_entry(item.chunk, size, true);
                roster.put(item.number, item.chunk);
                hashes.for_each(|hash| names.insert(hash, item.number));
            } else {
                roster.remove(item.number);
                hashes.for_each(|hash| names.remove(hash, item.number));
            }
        }
        for (key, document) in documents {
            let before = match document {
                Some(document) => {
                    generations.want_entry(document.chunk, document.size, true);
                    known.insert(key, document)
                }
                None => known.remove(&key),
            };
            if let Some(before) = before {
                generations.want_entry(before.chunk, before.size, false);
            }
        }
    }

    /// Makes everything durable that was applied. An error is final.
    pub(super) fn sync(&mut self) -> Result<(), DraftError> {
        if self.unsynced > 0 {
            self.generation.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Notes how far the log is in the generations, once all of that is durable, and has the note durable as well.
    pub(super) fn set_covered(&mut self, covered: u64, next_number: u64) -> Result<(), DraftError> {
        self.mark.log.covered = covered;
        self.mark.next_number = next_number;
        self.write_mark()
    }

    /// Begins another log, which holds nothing yet.
    pub(super) fn set_log(&mut self, log: mark::LogMark, next_number: u64) -> Result<(), DraftError> {
        self.mark.log = log;
        self.mark.next_number = next_number;
        self.write_mark()
    }

    fn write_mark(&mut self) -> Result<(), DraftError> {
        self.apply()?;
        self.sync()?;
        self.mark.newest = self.extent;
        self.generation.tree.insert(layout::MARK, self.mark.encode())?;
        self.generation.sync()?;
        Ok(())
    }

    /// Whether something can be moved, or the newest generation is to be sealed for that, since so many percent of it are
    /// outdated.
    pub(super) fn has_room_to_make(&self, percent: u64) -> bool {
        let is_outdated = self.index().generations.most_outdated(percent, &self.unmovable).is_some();
        self.moving.is_some() || is_outdated || self.is_due(true)
    }

    /// Whether the newest generation is large enough, or has little in it that still holds while nothing else is to be done.
    fn is_due(&self, is_idle: bool) -> bool {
        let index = self.index();
        let outdated = index.generations.newest_outdated();
        let enough = (index.generations.totals().size / GENERATIONS).clamp(self.sizes.min, self.sizes.max);
        let size = self.generation.size();
        size >= enough || (is_idle && size >= self.sizes.min / 2 && outdated >= OUTDATED_SEALED)
    }

    /// Begins another generation if that is due.
    pub(super) fn seal_if_due(&mut self, is_idle: bool) -> Result<(), DraftError> {
        self.generation.prepare_eviction()?;
        if self.is_due(is_idle) { self.seal() } else { Ok(()) }
    }

    /// Seals the newest generation and begins another.
    fn seal(&mut self) -> Result<(), DraftError> {
        self.apply()?;
        self.sync()?;
        self.generation.evict();
        let mut mark = self.mark.clone();
        mark.sealed.push(self.extent);
        mark.newest = Extent::after(&self.extent);
        let generation = Arc::new(Generation::create(&self.form, &mark)?);
        (self.extent, self.mark, self.generation) = (mark.newest, mark, generation.clone());
        self.index_mut().generations.push(Held::new(generation, self.extent));
        Ok(())
    }

    /// Removes a sealed generation of which nothing holds any more.
    pub(super) fn remove(&mut self, generation: &Generation) -> Result<(), DraftError> {
        self.mark.sealed.retain(|sealed| sealed.generation != generation.number);
        self.mark.removed = vec![generation.number];
        self.write_mark()?;
        self.index_mut().generations.remove(generation.number);
        Ok(generation.remove()?)
    }
}
