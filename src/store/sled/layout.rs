//! The layout on disk: which keys there are, and what they mean.
//!
//! A data directory holds
//!
//! ```text
//! LOCK       held by the daemon that works here
//! FORMAT     the version of this layout; written last when a directory is made
//! ballast    space kept back, given up when the disk is full so that closes can go on
//! sled/      the database
//! ```
//!
//! and the database one tree, whose keys begin with a letter:
//!
//! ```text
//! i workflow 0 id            -> number           what clients call an item by
//! k workflow 0 digest        -> number           the Idempotency-Key it was made with
//! r number                   -> item record      small; all of them are read at start
//! p number piece             -> bytes            the payload, cut into pieces
//! e number piece             -> document piece   progress, errors and steps, if there are any
//! g number                   -> count            payload pieces that belong to nobody any more
//! w name                     -> document         a workflow made on first use
//! n incident 0 piece         -> document piece   an incident
//! d incident 0 delivery 0 piece -> document piece  a delivery that tells about it
//! x workflow                 -> document         how far what is expected of it has come to pass
//! s silence 0 piece          -> document piece   a silence
//! y replay 0 piece           -> document piece   a replay
//! z replay 0 index           -> chunk record     a chunk of its selection; alone, of a replay that was never made
//! m "probe"                  -> instant          when it was last shown that commits go through
//! m "next"                   -> number           no number from here on was ever used; there from the beginning
//! ```
//!
//! Numbers and pieces are big-endian, so payloads and records are appended at the right end of the tree. One tree
//! makes one batch of keys atomic without a transaction.
//!
//! What each rule is good for: sled writes a leaf larger than a quarter of its segment into a file of its own that it
//! never syncs, and a leaf holds up to 20 entries after a merge. With 512 KiB segments an entry must therefore stay
//! below 6 KiB, whence [`PIECE_SIZE`] and the limits in [`crate::model::item`]. A batch of more than some 600
//! operations makes it leak memory, whence [`BATCH_MAX`].

use crate::model::{DeliveryId, IncidentId, ItemKey, ItemNumber, ReplayId, SilenceId, WorkflowName};

/// The version of this layout.
pub(super) const FORMAT: &str = "process-warden data, format 1\n";
/// The largest value under one key, in bytes.
pub(super) const PIECE_SIZE: usize = 4096;
/// The most operations in one atomic batch.
pub(super) const BATCH_MAX: usize = 400;
/// sled's segment size in bytes; it is fixed when a database is made.
pub(super) const SEGMENT_SIZE: usize = 512 * 1024;

/// How many pieces that many bytes take. Even nothing takes one, so that an empty payload can be told from none.
pub(super) fn pieces(size: u64) -> u16 {
    u16::try_from(size.div_ceil(PIECE_SIZE as u64).max(1)).unwrap_or(u16::MAX)
}

pub(super) const RECORD: u8 = b'r';
pub(super) const PAYLOAD: u8 = b'p';
pub(super) const DETAIL: u8 = b'e';
pub(super) const GARBAGE: u8 = b'g';
pub(super) const WORKFLOW: u8 = b'w';
pub(super) const INCIDENT: u8 = b'n';
pub(super) const DELIVERY: u8 = b'd';
pub(super) const PROGRESS: u8 = b'x';
pub(super) const SILENCE: u8 = b's';
pub(super) const REPLAY: u8 = b'y';
pub(super) const REPLAY_CHUNK: u8 = b'z';
pub(super) const NEXT_NUMBER: &[u8] = b"mnext";
pub(super) const PROBE: &[u8] = b"mprobe";

fn two_part(letter: u8, first: &str, second: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(first.len() + second.len() + 2);
    key.push(letter);
    key.extend_from_slice(first.as_bytes());
    key.push(0);
    key.extend_from_slice(second);
    key
}

pub(super) fn item_name(key: &ItemKey) -> Vec<u8> {
    two_part(b'i', &key.workflow, key.id.as_bytes())
}

pub(super) fn idempotency_key(workflow: &WorkflowName, digest: &[u8; 32]) -> Vec<u8> {
    two_part(b'k', workflow, digest)
}

pub(super) fn numbered(letter: u8, number: ItemNumber) -> [u8; 9] {
    let mut key = [letter; 9];
    key[1..].copy_from_slice(&number.0.to_be_bytes());
    key
}

pub(super) fn numbered_piece(letter: u8, number: ItemNumber, piece: u16) -> [u8; 11] {
    let mut key = [letter; 11];
    key[1..9].copy_from_slice(&number.0.to_be_bytes());
    key[9..].copy_from_slice(&piece.to_be_bytes());
    key
}

/// The number in a key that begins with a letter and a number.
pub(super) fn number_of(key: &[u8]) -> Option<ItemNumber> {
    Some(ItemNumber(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?)))
}

pub(super) fn workflow(name: &WorkflowName) -> Vec<u8> {
    [&[WORKFLOW], name.as_bytes()].concat()
}

pub(super) fn progress(workflow: &WorkflowName) -> Vec<u8> {
    [&[PROGRESS], workflow.as_bytes()].concat()
}

/// What the keys of all pieces of an incident begin with.
pub(super) fn incident(id: &IncidentId) -> Vec<u8> {
    two_part(INCIDENT, &id.0, &[])
}

/// What the keys of all pieces of a silence begin with.
pub(super) fn silence(id: &SilenceId) -> Vec<u8> {
    two_part(SILENCE, &id.0, &[])
}

/// What the keys of all pieces of a replay begin with.
pub(super) fn replay(id: &ReplayId) -> Vec<u8> {
    two_part(REPLAY, &id.0, &[])
}

/// What the keys of all chunks of a replay begin with.
pub(super) fn replay_chunks(id: &ReplayId) -> Vec<u8> {
    two_part(REPLAY_CHUNK, &id.0, &[])
}

/// The key of a chunk of a replay.
pub(super) fn replay_chunk(id: &ReplayId, index: u32) -> Vec<u8> {
    two_part(REPLAY_CHUNK, &id.0, &index.to_be_bytes())
}

/// The id of the replay in the key of a chunk.
pub(super) fn replay_of_chunk(key: &[u8]) -> Option<ReplayId> {
    let id = key.get(1..)?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(id).ok().map(|id| ReplayId(id.into()))
}

/// What the keys of all deliveries of an incident begin with.
pub(super) fn deliveries(incident: &IncidentId) -> Vec<u8> {
    two_part(DELIVERY, &incident.0, &[])
}

/// What the keys of all pieces of a delivery begin with.
pub(super) fn delivery(incident: &IncidentId, id: &DeliveryId) -> Vec<u8> {
    let mut key = deliveries(incident);
    key.extend_from_slice(id.0.as_bytes());
    key.push(0);
    key
}

/// The delivery's id in what its keys begin with.
pub(super) fn delivery_id(prefix: &[u8]) -> Option<&str> {
    let id = prefix.strip_suffix(&[0])?.rsplit(|byte| *byte == 0).next()?;
    std::str::from_utf8(id).ok()
}

/// The key of one piece of a document.
pub(super) fn piece(prefix: &[u8], piece: u16) -> Vec<u8> {
    [prefix, &piece.to_be_bytes()].concat()
}
