//! The layout on disk: which keys there are, and what they mean.
//!
//! A data directory holds
//!
//! ```text
//! LOCK       held by the daemon that works here
//! FORMAT     the version of this layout, and what ties the files to each other; written last when a directory is made
//! UNFINISHED there while a database is being made from which nothing was acknowledged yet
//! ballast    space kept back, given up when the disk is full so that closes can go on
//! log/       the commit log: what was acknowledged is there first, see [`crate::store::log`]
//! items/     the database: what lived on
//! ```
//!
//! and the database one tree, whose keys begin with a letter:
//!
//! ```text
//! j chunk                    -> entries          the journal: the latest word on each item, and older ones
//! p bundle                   -> payloads         of several items, or a piece of a large one
//! g bundle                   -> count            pieces from this one on that belong to nobody any more
//! e number piece             -> document piece   progress, errors and steps of an item, if there are any
//! w name                     -> document         a workflow made on first use; gone when nothing is left of it
//! n incident 0 piece         -> document piece   an incident
//! d incident 0 delivery 0 piece -> document piece  a delivery that tells about it
//! x workflow                 -> document         how far what is expected of it has come to pass
//! s silence 0 piece          -> document piece   a silence
//! y replay 0 piece           -> document piece   a replay
//! z replay 0 index           -> chunk record     a chunk of its selection; alone, of a replay that was never made
//! m "probe"                  -> instant          when it was last shown that commits go through
//! m "clock"                  -> document         what ties steady time to the wall clock
//! m "start"                  -> note             what the last start wrote, which FORMAT names as well
//! m "log"                    -> mark             which log belongs to it, and up to where the database holds it
//! m "next"                   -> number           the number that no item or lease had by then; there from the beginning
//! m "bundle"                 -> number           no bundle from here on was ever there
//! ```
//!
//! Numbers are big-endian. Those of bundles only grow, and those of chunks for as long as one is left, so the journal and the payloads are appended at the right
//! ends of their parts of the tree, many to a value: an insert costs the database the same whether it brings one item or
//! thirty. Items and leases take their numbers from one count, bundles from another. What is found by name, and where, is in memory
//! ([`super::index`]). One tree makes one batch of keys atomic without a transaction.
//!
//! **The journal.** Every change of an item writes its whole record anew, and the entry in the chunk with the highest number
//! is the one that holds. The journal is kept short at its left end: whatever still holds there is written again at the
//! right end, and the chunk is removed. What is forgotten is said by an entry without a record; when that comes to the left
//! end nothing older is left, so it goes as well.
//!
//! What each rule is good for: sled writes a leaf larger than a quarter of its segment into a file of its own that it
//! never syncs, and a leaf holds up to 20 entries after a merge, whence [`CHUNK_MAX`], [`BUNDLE_MAX`] and the limits in
//! [`crate::model::item`]. A batch of more than some 600 operations makes it leak memory, whence [`BATCH_MAX`]. It reuses
//! a segment once what was moved out of it has been handed to the kernel, synced or not; that takes the filling of a whole
//! segment, whence [`UNSYNCED_MAX`].

use crate::model::{DeliveryId, IncidentId, ReplayId, SilenceId, WorkflowName};

/// The version of this layout.
pub(super) const FORMAT: &str = "process-warden data, format 3\n";
/// The version before there was a log. Its database is the same, and is gone on with.
pub(super) const FORMAT_2: &str = "process-warden data, format 2\n";
/// The largest piece of a document or of a large payload, in bytes; a payload up to this long shares its bundle.
pub(super) const PIECE_SIZE: usize = 4096;
/// How long a chunk of the journal becomes, unless a single record is longer, in bytes.
pub(super) const CHUNK_MAX: usize = 4096;
/// How long a bundle becomes, in bytes: the largest payload that shares one, and what is said of it.
pub(super) const BUNDLE_MAX: usize = PIECE_SIZE + 16;
/// The most operations in one atomic batch.
pub(super) const BATCH_MAX: usize = 400;
/// sled's segment size in bytes; it is fixed when a database is made.
pub(super) const SEGMENT_SIZE: usize = 4 * 1024 * 1024;
/// How many bytes of keys and values may be applied before they are synced, unless one batch holds more. The database
/// writes a few times as much, which must stay well below one of its segments.
pub(super) const UNSYNCED_MAX: usize = 384 * 1024;

/// How many pieces that many bytes take.
pub(super) fn pieces(size: usize) -> u16 {
    u16::try_from(size.div_ceil(PIECE_SIZE)).unwrap_or(u16::MAX)
}

/// The largest document of an incident or a silence, in pieces.
pub(super) const INCIDENT_PIECES_MAX: usize = 16;
/// The largest document of a delivery with all its attempts and the beginnings of their answers, in pieces.
pub(super) const DELIVERY_PIECES_MAX: usize = 40;
/// The largest document of a replay, in pieces: its globs, its target, and the failures and reasons that it keeps.
pub(super) const REPLAY_PIECES_MAX: usize = 32;

pub(super) const JOURNAL: u8 = b'j';
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
pub(super) const NEXT_BUNDLE: &[u8] = b"mbundle";
pub(super) const COVERED: &[u8] = b"mlog";
pub(super) const NOTE: &[u8] = b"mstart";
pub(super) const PROBE: &[u8] = b"mprobe";
pub(super) const CLOCK: &[u8] = b"mclock";

fn two_part(letter: u8, first: &str, second: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(first.len() + second.len() + 2);
    key.push(letter);
    key.extend_from_slice(first.as_bytes());
    key.push(0);
    key.extend_from_slice(second);
    key
}

/// The range of keys that begin like this.
pub(super) fn range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.to_vec();
    // No prefix of ours ends with the highest byte.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    (prefix.to_vec(), end)
}

/// Whether documents under this letter are in numbered pieces; others are one value.
pub(super) const fn has_pieces(letter: u8) -> bool {
    matches!(letter, DETAIL | INCIDENT | DELIVERY | SILENCE | REPLAY)
}

pub(super) fn numbered(letter: u8, number: u64) -> [u8; 9] {
    let mut key = [letter; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The number in a key that begins with a letter and a number.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?))
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
