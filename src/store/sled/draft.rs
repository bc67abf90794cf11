//! The database as the checkpoints see and change it.
//!
//! A [`Draft`] gathers what is to be written and hands it to sled in atomic batches. Invariants:
//!
//! * What was put into the draft shows in what is read from it next.
//! * What there is of one item or document goes into one batch, and a batch holds at most [`BATCH_MAX`] keys. The pieces of a
//!   payload too large for a batch go ahead of it, marked as garbage until the batch that names the item takes the mark away.
//!   A checkpoint that was broken off is made again from the log, so that no more than this need be atomic.
//! * What was applied is durable after [`Draft::sync`], and before more than [`UNSYNCED_MAX`] bytes follow it. The database
//!   takes what it has handed to the kernel for durable: it notes so in later segments, and reuses earlier ones. Were
//!   much to share a sync, a power cut could take away what it no longer looks for. What counts is what the database
//!   writes, so a removal counts as well.
//!
//! This file has the batches and what is kept under a key of its own; items are drafted in [`super::items`], and what is
//! outdated is cleared away in [`super::tidy`].

use std::fs::File;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashMap;

use super::index::{Extent, Index, Recovered};
use super::items::Items;
use super::journal::{Bundles, Chunks, Entry, Written};
use super::layout::{self, BATCH_MAX, PIECE_SIZE, UNSYNCED_MAX};
use super::log_mark::{Covered, LogMark};
use super::mark::Note;
use super::occupancy::Occupancy;
use super::reader::{ReadError, Reader};
use super::tables::Tables;
use crate::model::ItemNumber;
use crate::store::holdings::Holdings;
use crate::store::record::RecordError;

/// The most pieces of a payload that go into the batch of their command; a larger payload is laid down ahead of it.
pub(super) const PIECES_AT_ONCE: u16 = (UNSYNCED_MAX / PIECE_SIZE) as u16;
/// The most payload pieces that a close removes by itself; more are left to be reclaimed bit by bit.
pub(super) const PIECES_REMOVED_AT_ONCE: u16 = 64;
/// The most keys that a command changes beyond a payload or deliveries: its chunk and its bundle, a mark, the next number,
/// and the pieces of the largest detail: 20 errors whose messages take six bytes a character, 32 KiB of progress, and 64
/// steps.
const KEYS_BESIDES: usize = 110;
/// The keys that an item takes besides its payload and its detail: a mark, the next number and its workflow, and some to
/// spare.
pub(super) const KEYS_OF_AN_ITEM: usize = 8;
/// The most keys that the end of an item or of its payload takes.
pub(super) const KEYS_OF_AN_END: usize = KEYS_BESIDES + PIECES_REMOVED_AT_ONCE as usize;
/// What a key that is removed comes to in the database's log, in bytes: a note of it, its share in writing the leaf anew
/// without it, and in joining that with its neighbour.
const REMOVAL_SIZE: usize = 8 * 1024;
/// What a key that is put comes to at least, in bytes.
const PUT_SIZE_MIN: usize = 512;
/// The most bytes that a command writes of items beyond a payload: a record and those that it makes room for.
const BYTES_BESIDES: usize = 16 * 1024;
/// How many numbers are set aside by one write of the next number.
const NUMBERS_AT_ONCE: u64 = 65_536;
/// The most keys that drafted items come to: their values are half full at least, but for the last of each kind.
const ITEM_KEYS_MAX: usize = 2 * UNSYNCED_MAX / PIECE_SIZE + 2;

const _: () = assert!(ITEM_KEYS_MAX + PIECES_AT_ONCE as usize + KEYS_BESIDES <= BATCH_MAX);
const _: () = assert!(ITEM_KEYS_MAX + KEYS_OF_AN_END <= BATCH_MAX);
const _: () = assert!(ITEM_KEYS_MAX + layout::DELIVERY_PIECES_MAX <= BATCH_MAX);

/// What goes wrong between the tables and the disk. All of it is fatal.
#[derive(Debug, thiserror::Error)]
pub(super) enum DraftError {
    #[error("the database could not read or write: {0}")]
    Database(#[from] sled::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("it opened without what it has held from its beginning, so its items are lost as well")]
    Lost,
    #[error("the database file could not be synced to disk: {0}")]
    Sync(std::io::Error),
    #[error("a segment of the log could not be let go of: {0}")]
    Log(std::io::Error),
}

/// Changes on their way into the database. See the module's documentation.
pub(super) struct Draft {
    pub(super) tree: sled::Tree,
    /// The database's file, by a descriptor of our own.
    file: File,
    /// Held while a batch is applied: who reads several keys and holds it too sees all of the batch or nothing.
    index: Arc<RwLock<Index>>,
    /// Bytes that were applied and not synced yet.
    unsynced: usize,
    pending: HashMap<sled::IVec, Option<sled::IVec>>,
    pub(super) items: Items,
    /// The bundle that was never there.
    next_bundle: u64,
    /// None from this one on ever was, as the database says it.
    reserved_bundle: u64,
    pub(super) extent: Extent,
    pub(super) occupancy: Occupancy,
    /// Pieces that belong to nobody: the first and how many.
    pub(super) garbage: Vec<(u64, u16)>,
    /// What was written since it was last tidied.
    pub(super) written: WrittenSince,
}

/// How much was written since what is outdated was last cleared away.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WrittenSince {
    pub(super) entries: usize,
    pub(super) payload_bytes: usize,
}

impl Draft {
    /// Writes what a new database holds: the number with which it begins.
    pub(super) fn begin(tree: &sled::Tree) -> sled::Result<()> {
        tree.insert(layout::NEXT_NUMBER, &1_u64.to_be_bytes())?;
        tree.flush().map(drop)
    }

    /// A draft on the tree; reads where numbers go on, what there is, and what was left to be reclaimed. And what there is of
    /// each workflow in items.
    pub(super) fn new(tree: sled::Tree, file: File) -> Result<(Self, Holdings), DraftError> {
        // Before there was a log, items and bundles took their numbers from one count.
        let Some(value) = tree.get(layout::NEXT_NUMBER)? else { return Err(DraftError::Lost) };
        let next_bundle = read_u64(&tree.get(layout::NEXT_BUNDLE)?.unwrap_or(value))?;
        let mut garbage = Vec::new();
        for entry in tree.scan_prefix([layout::GARBAGE]) {
            let (key, value) = entry?;
            let first = layout::number_of(&key).ok_or_else(|| damaged("a garbage mark"))?;
            garbage.push((first, u16::try_from(read_u64(&value)?).unwrap_or(u16::MAX)));
        }
        let Recovered { index, extent, occupancy, holdings } = super::index::recover(&tree)?;
        let draft = Self {
            tree,
            file,
            index: Arc::new(RwLock::new(index)),
            unsynced: 0,
            pending: HashMap::new(),
            items: Items::default(),
            next_bundle,
            reserved_bundle: next_bundle,
            extent,
            occupancy,
            garbage,
            written: WrittenSince::default(),
        };
        Ok((draft, holdings))
    }

    /// How far the log is in the database, and the number that no item had by then.
    pub(super) fn covered(&self) -> Result<Covered, DraftError> {
        let next_number = read_u64(&self.get(layout::NEXT_NUMBER)?.ok_or(DraftError::Lost)?)?;
        let log = self.get(layout::COVERED)?.map(|bytes| LogMark::from_bytes(&bytes)).transpose()?;
        Ok(Covered { log, next_number })
    }

    /// Notes how far the log is in the database. All of that must be synced already, and is synced now.
    pub(super) fn set_covered(&mut self, log: &LogMark, next_number: u64) -> Result<(), DraftError> {
        self.put(layout::COVERED, log.bytes());
        self.put(layout::NEXT_NUMBER, next_number.to_be_bytes().as_slice());
        self.apply()?;
        self.sync()
    }

    /// The note of the last start.
    pub(super) fn note(&self) -> Result<Option<Note>, DraftError> {
        Ok(self.get(layout::NOTE)?.and_then(|bytes| Note::from_bytes(&bytes)))
    }

    /// Writes the note of this start over it, and has it on the disk.
    pub(super) fn set_note(&mut self, note: Note) -> Result<(), DraftError> {
        self.put(layout::NOTE, note.bytes().as_slice());
        self.apply()?;
        self.sync()
    }

    /// What others read with, over these tables.
    pub(super) fn reader(&self, tables: Arc<RwLock<Tables>>) -> Reader {
        let hasher = self.index().hasher.clone();
        Reader { tables, tree: self.tree.clone(), index: self.index.clone(), hasher }
    }

    /// The in-memory index, as of the last batch.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for so many keys and bytes of items, and a little more.
    pub(super) fn make_room_for(&mut self, keys: usize, bytes: usize) -> Result<(), DraftError> {
        let is_full = self.pending.len() + keys + ITEM_KEYS_MAX > BATCH_MAX
            || self.items.bytes() + bytes + BYTES_BESIDES > UNSYNCED_MAX;
        if is_full { self.apply() } else { Ok(()) }
    }

    /// Hands what has gathered to the database, as one batch.
    pub(super) fn apply(&mut self) -> Result<(), DraftError> {
        if self.pending.is_empty() && self.items.is_empty() {
            return Ok(());
        }
        let (mut bundles, mut chunks) = (Bundles::from(self.next_bundle), Chunks::from(self.extent.next));
        let mut settled = Vec::new();
        for (number, drafted) in self.items.take() {
            let place = drafted.payload.place(|bytes| {
                self.written.payload_bytes += bytes.len();
                let place = bundles.add(number, bytes);
                self.occupancy.add(place);
                place
            });
            let written = drafted.record.as_deref().map(|record| Written { place, record });
            let chunk = chunks.add(&Entry { number, written });
            settled.push((number, chunk, drafted));
        }
        for (bundle, value) in bundles.finish() {
            self.next_bundle = bundle + 1;
            self.put(&layout::numbered(layout::PAYLOAD, bundle), value);
        }
        for (chunk, value) in chunks.finish() {
            self.extent.next = chunk + 1;
            self.put(&layout::numbered(layout::JOURNAL, chunk), value);
        }
        self.extent.entries += settled.len();
        self.written.entries += settled.len();
        if self.next_bundle > self.reserved_bundle {
            self.reserved_bundle = self.next_bundle + NUMBERS_AT_ONCE;
            self.put(layout::NEXT_BUNDLE, self.reserved_bundle.to_be_bytes().as_slice());
        }
        let batch = self.batch()?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        self.tree.apply_batch(batch)?;
        for (number, chunk, drafted) in settled {
            let names = drafted.names.into_iter().flatten();
            if drafted.record.is_none() {
                index.roster.remove(number);
                names.for_each(|hash| index.names.remove(hash, number));
            } else {
                index.roster.put(number, chunk);
                names.for_each(|hash| index.names.insert(hash, number));
            }
        }
        Ok(())
    }

    /// What is pending, as one batch; what came before is synced first, unless both together are little.
    fn batch(&mut self) -> Result<sled::Batch, DraftError> {
        debug_assert!(self.pending.len() <= BATCH_MAX, "{} keys in a batch", self.pending.len());
        let size = |(key, value): (&sled::IVec, &Option<sled::IVec>)| match value {
            Some(value) => (key.len() + value.len()).max(PUT_SIZE_MIN),
            None => REMOVAL_SIZE,
        };
        let bytes: usize = self.pending.iter().map(size).sum();
        if self.unsynced > 0 && self.unsynced + bytes > UNSYNCED_MAX {
            self.sync()?;
        }
        self.unsynced += bytes;
        let mut batch = sled::Batch::default();
        for (key, value) in self.pending.drain() {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        Ok(batch)
    }

    /// Makes everything durable that was applied. An error is final: a sync that failed may have dropped the very pages
    /// that it was asked to write.
    pub(super) fn sync(&mut self) -> Result<(), DraftError> {
        if self.unsynced == 0 {
            return Ok(());
        }
        self.tree.flush()?;
        // The flush persists neither the file's length nor the drive's cache.
        self.file.sync_data().map_err(DraftError::Sync)?;
        self.unsynced = 0;
        Ok(())
    }

    /// So many bundles that were never there, one after the other; the first of them.
    pub(super) fn take_bundles(&mut self, count: u64) -> u64 {
        let first = self.next_bundle;
        self.next_bundle += count;
        first
    }

    /// Writes a document, or removes it, by the key that it has in the tables.
    pub(super) fn write_document(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), DraftError> {
        let pieces = usize::from(layout::pieces(value.map_or(0, <[u8]>::len)));
        self.make_room_for(pieces.max(layout::DELIVERY_PIECES_MAX), 0)?;
        let has_pieces = key.first().is_some_and(|letter| layout::has_pieces(*letter));
        match value {
            Some(value) if has_pieces => self.put_pieces(key, value),
            None if has_pieces => self.remove_pieces(key, 0),
            Some(value) => {
                self.put(key, value);
                Ok(())
            }
            None => {
                self.remove(key);
                Ok(())
            }
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, DraftError> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.tree.get(key)?),
        }
    }

    pub(super) fn put(&mut self, key: &[u8], value: impl Into<sled::IVec>) {
        self.pending.insert(key.into(), Some(value.into()));
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.pending.insert(key.into(), None);
    }

    /// Writes bytes as numbered pieces and removes what an earlier, longer version left behind them.
    pub(super) fn put_pieces(&mut self, prefix: &[u8], bytes: &[u8]) -> Result<(), DraftError> {
        let mut next = 0;
        for chunk in bytes.chunks(PIECE_SIZE) {
            self.put(&layout::piece(prefix, next), chunk);
            next += 1;
        }
        self.remove_pieces(prefix, next)
    }

    pub(super) fn remove_pieces(&mut self, prefix: &[u8], from: u16) -> Result<(), DraftError> {
        for piece in from.. {
            let key = layout::piece(prefix, piece);
            if self.get(&key)?.is_none() {
                break;
            }
            self.remove(&key);
        }
        Ok(())
    }
}

/// How many keys a payload of so many bytes takes in the batch of its item, and how many bytes of shared bundles.
pub(super) fn room_for_payload(size: usize) -> (usize, usize) {
    if size <= PIECE_SIZE { (0, size) } else { (usize::from(layout::pieces(size).min(PIECES_AT_ONCE)), 0) }
}

pub(super) fn read_u64(bytes: &[u8]) -> Result<u64, DraftError> {
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| damaged("a number"))?))
}

pub(super) fn damaged(what: &str) -> DraftError {
    DraftError::Record(RecordError::Damaged(format!("{what} has a wrong length")))
}

/// An item's number as a part of keys.
pub(super) fn detail_prefix(number: ItemNumber) -> [u8; 9] {
    layout::numbered(layout::DETAIL, number.0)
}
