//! The rows of the database as the committing thread sees and changes them.
//!
//! A [`Draft`] gathers the keys that commands change and hands them to sled in atomic batches. Invariants:
//!
//! * What was put into the draft shows in what is read from it next.
//! * The keys of one command go into one batch, and a batch holds at most [`BATCH_MAX`] keys. The one exception is
//!   a payload too large for a batch: its pieces are laid down first, marked as garbage, and the batch that
//!   names the item takes the mark away.
//! * What was applied is durable after [`Draft::sync`], and before more than [`UNSYNCED_MAX`] bytes follow it. The database
//!   takes what it has handed to the kernel for durable: it notes so in later segments, and reuses earlier ones. Were
//!   several batches to share a sync, a power cut between them could take away what it no longer looks for.

use std::fs::File;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use hashbrown::HashMap;

use super::layout::{self, BATCH_MAX, PIECE_SIZE};
use crate::model::item::ItemDetail;
use crate::model::{
    Delivery, Incident, IncidentId, Item, ItemKey, ItemNumber, Progress, Replay, ReplayChunk, ReplayId,
    Silence, SilenceId, Timestamp, Workflow, WorkflowName,
};
use crate::store::record::{self, RecordError};
use crate::store::settle::{Detail, Rows};
use crate::store::{Command, DELIVERIES_MAX, REPLAY_CHUNKS_MAX};

/// The most payload pieces that go into the batch of their command; a larger payload is laid down ahead of it.
const PIECES_AT_ONCE: u16 = 256;
/// The most payload pieces that a close removes by itself; more are left to be reclaimed bit by bit.
const PIECES_REMOVED_AT_ONCE: u16 = 64;
/// The most keys that a command changes beyond a payload or deliveries: names, record, mark, next number, and the pieces of
/// the largest detail: 20 errors whose messages take six bytes a character, 32 KiB of progress, and 64 steps.
const KEYS_BESIDES: usize = 110;
/// How many keys of a forgotten incident are removed by one command.
const INCIDENT_KEYS_AT_ONCE: usize = 200;
/// How many chunks of a forgotten replay are removed by one command.
const REPLAY_KEYS_AT_ONCE: usize = 200;
/// How many numbers are set aside by one write of the next number.
const NUMBERS_AT_ONCE: u64 = 65_536;
/// How many bytes of keys and values may be applied before they are synced, unless one batch holds more. The database
/// writes a few times as much, which must stay well below one of its segments.
const UNSYNCED_MAX: usize = 64 * 1024;
/// The largest document of an incident or a silence, in pieces.
const INCIDENT_PIECES_MAX: usize = 16;
/// The largest document of a delivery that was never tried, in pieces: a notification of 19,000 bytes, each of which may
/// take two when it is written into another document.
const DELIVERY_PIECES_MAX: usize = 12;
/// The largest document of a delivery with all its attempts and the beginnings of their answers, in pieces.
const ATTEMPTED_PIECES_MAX: usize = 40;
/// The largest document of a replay, in pieces: its globs, its target, and the failures and reasons that it keeps.
const REPLAY_PIECES_MAX: usize = 32;

const _: () = assert!(PIECES_AT_ONCE as usize + KEYS_BESIDES <= BATCH_MAX);
const _: () = assert!(INCIDENT_PIECES_MAX + DELIVERIES_MAX * DELIVERY_PIECES_MAX <= BATCH_MAX);
const _: () = assert!(REPLAY_PIECES_MAX + REPLAY_CHUNKS_MAX <= BATCH_MAX);
const _: () = assert!(REPLAY_PIECES_MAX + REPLAY_KEYS_AT_ONCE <= BATCH_MAX);

/// What goes wrong between the commands and the disk. All of it is fatal.
#[derive(Debug, thiserror::Error)]
pub(super) enum DraftError {
    #[error("the database could not read or write: {0}")]
    Database(#[from] sled::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("it opened without what it has held from its beginning, so its items are lost as well")]
    Lost,
    #[error("a document of {0} bytes does not fit into its batch")]
    Document(usize),
    #[error("the database file could not be synced to disk: {0}")]
    Sync(std::io::Error),
}

/// Changes on their way into the database. See the module's documentation.
pub(super) struct Draft {
    tree: sled::Tree,
    /// The database's file, by a descriptor of our own.
    file: File,
    /// Bytes that were applied and not synced yet.
    unsynced: usize,
    /// Held while a batch is applied: who reads several keys and holds it too sees all of the batch or nothing.
    batches: Arc<RwLock<()>>,
    pending: HashMap<sled::IVec, Option<sled::IVec>>,
    next_number: u64,
    reserved_number: u64,
    garbage: Vec<(ItemNumber, u16)>,
    /// Payload pieces that were put since garbage was last reclaimed.
    pieces_put: usize,
}

impl Draft {
    /// Writes what a new database holds: the number with which it begins.
    pub(super) fn begin(tree: &sled::Tree) -> sled::Result<()> {
        tree.insert(layout::NEXT_NUMBER, &1_u64.to_be_bytes())?;
        tree.flush().map(drop)
    }

    /// A draft on the tree; reads where numbers go on and what was left to be reclaimed.
    pub(super) fn new(tree: sled::Tree, file: File, batches: Arc<RwLock<()>>) -> Result<Self, DraftError> {
        let Some(value) = tree.get(layout::NEXT_NUMBER)? else { return Err(DraftError::Lost) };
        let next_number = read_u64(&value)?;
        let mut garbage = Vec::new();
        for entry in tree.scan_prefix([layout::GARBAGE]) {
            let (key, value) = entry?;
            let number = layout::number_of(&key).ok_or_else(|| damaged("a garbage mark"))?;
            garbage.push((number, u16::try_from(read_u64(&value)?).unwrap_or(u16::MAX)));
        }
        Ok(Self {
            tree,
            file,
            unsynced: 0,
            batches,
            pending: HashMap::new(),
            next_number,
            reserved_number: next_number,
            garbage,
            pieces_put: 0,
        })
    }

    /// Makes room for the keys of the command, so that they go into one batch.
    pub(super) fn make_room(&mut self, command: &Command) -> Result<(), DraftError> {
        let keys = match command {
            Command::Create(creation) => {
                usize::from(layout::pieces(creation.info.size).min(PIECES_AT_ONCE)) + KEYS_BESIDES
            }
            Command::CommitIncident { deliveries, .. } => {
                INCIDENT_PIECES_MAX + deliveries.len() * DELIVERY_PIECES_MAX
            }
            Command::PutReplayChunks { chunks, .. } => chunks.len(),
            Command::PutReplay { chunks, .. } => REPLAY_PIECES_MAX + chunks.len(),
            Command::ForgetIncident(_) | Command::ForgetReplay(_) => BATCH_MAX,
            _ => KEYS_BESIDES + usize::from(PIECES_REMOVED_AT_ONCE),
        };
        if self.pending.len() + keys > BATCH_MAX { self.apply() } else { Ok(()) }
    }

    /// Hands what has gathered to the database, as one batch.
    pub(super) fn apply(&mut self) -> Result<(), DraftError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let size = |(key, value): (&sled::IVec, &Option<sled::IVec>)| {
            key.len() + value.as_ref().map_or(0, |value| value.len())
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
        let _guard = self.batches.write().unwrap_or_else(PoisonError::into_inner);
        Ok(self.tree.apply_batch(batch)?)
    }

    /// Makes everything durable that was applied. An error is final: a sync that failed may have dropped the very pages
    /// that it was asked to write.
    pub(super) fn sync(&mut self) -> Result<(), DraftError> {
        self.tree.flush()?;
        // The flush persists neither the file's length nor the drive's cache.
        self.file.sync_data().map_err(DraftError::Sync)?;
        self.unsynced = 0;
        Ok(())
    }

    /// Whether payload pieces are left that belong to nobody.
    pub(super) fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    /// Removes payload pieces that belong to nobody: as many as were put since it was last called, so that payloads
    /// which come and go do not pile up, and a batch more.
    pub(super) fn reclaim(&mut self) -> Result<(), DraftError> {
        let mut owed = std::mem::take(&mut self.pieces_put) + usize::from(PIECES_AT_ONCE);
        while let Some((number, pieces)) = self.garbage.pop_if(|_| owed > 0) {
            self.apply()?;
            let left = pieces.saturating_sub(PIECES_AT_ONCE);
            owed = owed.saturating_sub(usize::from(pieces - left));
            for piece in left..pieces {
                self.remove(&layout::numbered_piece(layout::PAYLOAD, number, piece));
            }
            let mark = layout::numbered(layout::GARBAGE, number);
            if left == 0 {
                self.remove(&mark);
            } else {
                self.put(&mark, &u64::from(left).to_be_bytes());
                self.garbage.push((number, left));
            }
            self.apply()?;
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, DraftError> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.tree.get(key)?),
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.pending.insert(key.into(), Some(value.into()));
    }

    fn remove(&mut self, key: &[u8]) {
        self.pending.insert(key.into(), None);
    }

    fn get_number(&self, key: &[u8]) -> Result<Option<ItemNumber>, DraftError> {
        self.get(key)?.map(|value| read_u64(&value).map(ItemNumber)).transpose()
    }

    /// Writes bytes as numbered pieces and removes what an earlier, longer version left behind them.
    fn put_pieces(&mut self, prefix: &[u8], bytes: &[u8]) -> Result<(), DraftError> {
        let mut next = 0;
        for chunk in bytes.chunks(PIECE_SIZE) {
            self.put(&layout::piece(prefix, next), chunk);
            next += 1;
        }
        self.remove_pieces(prefix, next)
    }

    fn remove_pieces(&mut self, prefix: &[u8], from: u16) -> Result<(), DraftError> {
        for piece in from.. {
            let key = layout::piece(prefix, piece);
            if self.get(&key)?.is_none() {
                break;
            }
            self.remove(&key);
        }
        Ok(())
    }

    fn put_document(&mut self, prefix: &[u8], bytes: &[u8], pieces_max: usize) -> Result<(), DraftError> {
        if bytes.len() > PIECE_SIZE * pieces_max {
            return Err(DraftError::Document(bytes.len()));
        }
        self.put_pieces(prefix, bytes)
    }

    fn read_detail(&self, number: ItemNumber) -> Result<ItemDetail, DraftError> {
        let prefix = layout::numbered(layout::DETAIL, number);
        let mut bytes = Vec::new();
        for piece in 0.. {
            match self.get(&layout::piece(&prefix, piece))? {
                Some(value) => bytes.extend_from_slice(&value),
                None => break,
            }
        }
        Ok(record::decode_document(&bytes)?)
    }

    fn write_item(&mut self, item: &Item, detail: Detail) -> Result<(), DraftError> {
        self.put(&layout::numbered(layout::RECORD, item.number), &record::encode_item(item));
        match &item.detail {
            Some(written) if detail == Detail::Changed => {
                let prefix = layout::numbered(layout::DETAIL, item.number);
                self.put_pieces(&prefix, &record::encode_document(written))
            }
            _ => Ok(()),
        }
    }

    /// Lays a payload down that is too large for its command's batch.
    fn lay_down(&mut self, number: ItemNumber, payload: &Bytes, pieces: u16) -> Result<(), DraftError> {
        let mark = layout::numbered(layout::GARBAGE, number);
        self.apply()?;
        self.put(&mark, &u64::from(pieces).to_be_bytes());
        self.apply()?;
        for (run, chunks) in payload.chunks(PIECE_SIZE * usize::from(PIECES_AT_ONCE)).enumerate() {
            let first = u16::try_from(run).unwrap_or(u16::MAX).saturating_mul(PIECES_AT_ONCE);
            self.put_payload(number, chunks, first);
            self.apply()?;
        }
        self.remove(&mark);
        Ok(())
    }

    fn put_payload(&mut self, number: ItemNumber, bytes: &[u8], first: u16) {
        self.pieces_put += bytes.len().div_ceil(PIECE_SIZE);
        if bytes.is_empty() {
            self.put(&layout::numbered_piece(layout::PAYLOAD, number, first), &[]);
        }
        for (piece, chunk) in (first..).zip(bytes.chunks(PIECE_SIZE)) {
            self.put(&layout::numbered_piece(layout::PAYLOAD, number, piece), chunk);
        }
    }
}

impl Rows for Draft {
    type Error = DraftError;

    fn next_number(&mut self) -> Result<ItemNumber, DraftError> {
        if self.next_number == self.reserved_number {
            self.reserved_number += NUMBERS_AT_ONCE;
            self.put(layout::NEXT_NUMBER, &self.reserved_number.to_be_bytes());
        }
        let number = ItemNumber(self.next_number);
        self.next_number += 1;
        Ok(number)
    }

    fn item(&mut self, number: ItemNumber) -> Result<Option<Item>, DraftError> {
        let Some(value) = self.get(&layout::numbered(layout::RECORD, number))? else { return Ok(None) };
        let mut item = record::decode_item(number, &value)?;
        if item.detail.is_some() {
            item.detail = Some(Box::new(self.read_detail(number)?));
        }
        Ok(Some(item))
    }

    fn number(&mut self, key: &ItemKey) -> Result<Option<ItemNumber>, DraftError> {
        self.get_number(&layout::item_name(key))
    }

    fn number_by_idempotency_key(
        &mut self,
        workflow: &WorkflowName,
        digest: &[u8; 32],
    ) -> Result<Option<ItemNumber>, DraftError> {
        self.get_number(&layout::idempotency_key(workflow, digest))
    }

    fn insert_item(&mut self, item: &Item, payload: Option<Bytes>) -> Result<(), DraftError> {
        if let Some(payload) = payload {
            let pieces = layout::pieces(payload.len() as u64);
            if pieces > PIECES_AT_ONCE {
                self.lay_down(item.number, &payload, pieces)?;
            } else {
                self.put_payload(item.number, &payload, 0);
            }
        }
        let number = item.number.0.to_be_bytes();
        self.put(&layout::item_name(&item.key()), &number);
        if let Some(digest) = &item.idempotency_key {
            self.put(&layout::idempotency_key(&item.workflow, digest), &number);
        }
        self.write_item(item, Detail::Changed)
    }

    fn update_item(&mut self, item: &Item, detail: Detail) -> Result<(), DraftError> {
        self.write_item(item, detail)
    }

    fn remove_payload(&mut self, item: &Item) -> Result<(), DraftError> {
        let Some(payload) = &item.payload else { return Ok(()) };
        let pieces = layout::pieces(payload.size);
        if pieces > PIECES_REMOVED_AT_ONCE {
            self.put(&layout::numbered(layout::GARBAGE, item.number), &u64::from(pieces).to_be_bytes());
            self.garbage.push((item.number, pieces));
        } else {
            for piece in 0..pieces {
                self.remove(&layout::numbered_piece(layout::PAYLOAD, item.number, piece));
            }
        }
        Ok(())
    }

    fn remove_item(&mut self, item: &Item) -> Result<(), DraftError> {
        self.remove(&layout::item_name(&item.key()));
        if let Some(digest) = &item.idempotency_key {
            self.remove(&layout::idempotency_key(&item.workflow, digest));
        }
        self.remove(&layout::numbered(layout::RECORD, item.number));
        match item.detail {
            Some(_) => self.remove_pieces(&layout::numbered(layout::DETAIL, item.number), 0),
            None => Ok(()),
        }
    }

    fn put_workflow(&mut self, workflow: &Workflow) -> Result<(), DraftError> {
        self.put(&layout::workflow(&workflow.name), &record::encode_document(workflow));
        Ok(())
    }

    fn put_incident(&mut self, incident: &Incident) -> Result<(), DraftError> {
        self.put_document(
            &layout::incident(&incident.id),
            &record::encode_document(incident),
            INCIDENT_PIECES_MAX,
        )
    }

    fn put_delivery(&mut self, delivery: &Delivery) -> Result<(), DraftError> {
        let prefix = layout::delivery(&delivery.incident, &delivery.id);
        let pieces_max =
            if delivery.attempts.is_empty() { DELIVERY_PIECES_MAX } else { ATTEMPTED_PIECES_MAX };
        self.put_document(&prefix, &record::encode_document(delivery), pieces_max)
    }

    fn put_silence(&mut self, silence: &Silence) -> Result<(), DraftError> {
        self.put_document(
            &layout::silence(&silence.id),
            &record::encode_document(silence),
            INCIDENT_PIECES_MAX,
        )
    }

    fn remove_silence(&mut self, id: &SilenceId) -> Result<(), DraftError> {
        self.remove_pieces(&layout::silence(id), 0)
    }

    fn put_probe(&mut self, at: Timestamp) -> Result<(), DraftError> {
        self.put(layout::PROBE, &at.as_millis().to_be_bytes());
        Ok(())
    }

    fn remove_incident(&mut self, id: &IncidentId) -> Result<bool, DraftError> {
        // The scan sees only what the database has been given.
        self.apply()?;
        let mut keys: Vec<sled::IVec> = self
            .tree
            .scan_prefix(layout::deliveries(id))
            .keys()
            .take(INCIDENT_KEYS_AT_ONCE)
            .collect::<Result<_, _>>()?;
        let some_are_left = keys.len() == INCIDENT_KEYS_AT_ONCE;
        if some_are_left {
            // Whole deliveries only: the last one here may go on beyond what was taken.
            let last = keys.iter().rposition(|key| key.ends_with(&[0, 0])).unwrap_or_default();
            keys.truncate(last);
        }
        for key in &keys {
            self.remove(key);
        }
        if some_are_left {
            return Ok(false);
        }
        self.remove_pieces(&layout::incident(id), 0)?;
        Ok(true)
    }

    fn put_replay(&mut self, replay: &Replay) -> Result<(), DraftError> {
        self.put_document(&layout::replay(&replay.id), &record::encode_document(replay), REPLAY_PIECES_MAX)
    }

    fn put_replay_chunk(&mut self, replay: &ReplayId, chunk: &ReplayChunk) -> Result<(), DraftError> {
        self.put(&layout::replay_chunk(replay, chunk.index), &record::encode_replay_chunk(chunk));
        Ok(())
    }

    fn remove_replay(&mut self, id: &ReplayId) -> Result<bool, DraftError> {
        // The scan sees only what the database has been given.
        self.apply()?;
        let chunks = self.tree.scan_prefix(layout::replay_chunks(id)).keys();
        let keys: Vec<sled::IVec> = chunks.take(REPLAY_KEYS_AT_ONCE).collect::<Result<_, _>>()?;
        for key in &keys {
            self.remove(key);
        }
        if keys.len() == REPLAY_KEYS_AT_ONCE {
            return Ok(false);
        }
        self.remove_pieces(&layout::replay(id), 0)?;
        Ok(true)
    }

    fn put_progress(&mut self, workflow: &WorkflowName, progress: &Progress) -> Result<(), DraftError> {
        self.put(&layout::progress(workflow), &record::encode_document(progress));
        Ok(())
    }

    fn remove_progress(&mut self, workflow: &WorkflowName) -> Result<(), DraftError> {
        self.remove(&layout::progress(workflow));
        Ok(())
    }
}

fn read_u64(bytes: &[u8]) -> Result<u64, DraftError> {
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| damaged("a number"))?))
}

fn damaged(what: &str) -> DraftError {
    DraftError::Record(RecordError::Damaged(format!("{what} has a wrong length")))
}
