//! The layout on disk: files, keys, and what they mean.
//!
//! ```text
//! LOCK        locked by the running daemon
//! FORMAT      the version of this layout; written last when a directory is created
//! UNFINISHED  present while a directory is being created, before anything was acknowledged from it
//! ballast     reserved space, given up when the disk is full so that closes can go on
//! log/        the write-ahead log: acknowledged changes are here first, see [`crate::store::log`]
//! generations/00000001/ ...
//!             databases: live data that left the log
//! ```
//!
//! **Generations.** Checkpoints append live data to the newest database. When that is large enough it is
//! *sealed*: it gets no more writes, and the next one begins. Nothing is ever removed from a database. When
//! enough of a sealed one is outdated, compaction appends its live data to the newest and removes it as a
//! whole. So space reliably returns to the file system, a close costs one entry, and the space in use is
//! known.
//!
//! A database has one tree with these keys:
//!
//! ```text
//! j chunk   -> entries   the journal: versions and tombstones of items and documents
//! p bundle  -> parts     payloads and details of several items, or a piece of a large one
//! m         -> manifest  what the database holds, and the other databases; see [`super::manifest`]
//! z number  ->           empty; see [`super::eviction`]
//! ```
//!
//! Numbers are big-endian. Chunk and bundle numbers grow over all generations without a gap, so that both are
//! appended at the right ends of their key ranges, and a number identifies its generation. Items and leases
//! share one number sequence. Names and locations are indexed in memory ([`super::index`]).
//!
//! **The journal.** Every change of an item writes its whole record again, with the locations of its payload
//! and detail; the entry in the chunk with the highest number is the valid one. The same applies to
//! documents: workflows, incidents, deliveries, silences, replays and the rest. A removal is an entry as
//! well, a *tombstone* (not the record of a closed item). Compaction keeps it as long as an older generation
//! may hold what it deletes.
//!
//! **Limits.** sled writes a leaf larger than a quarter of its segment into a separate file that it never
//! syncs, and a leaf holds up to 20 entries after a merge: hence [`CHUNK_MAX`], [`BUNDLE_MAX`] and the limits
//! in [`crate::model::item`]. A batch of more than some 600 operations makes it leak memory: hence
//! [`BATCH_MAX`]. It reuses a segment once the data that it relocated from there was handed to the kernel,
//! synced or not; that happens after a whole segment was filled: hence [`unsynced_max`].

pub(super) const FORMAT: &str = "process-warden data, format 4\n";
/// Formats without generations, which are migrated at the start; the later one has a log.
pub(super) const FORMATS_BEFORE: [&str; 2] =
    ["process-warden data, format 2\n", "process-warden data, format 3\n"];
/// The largest piece of a payload or detail, in bytes. A part up to this size shares a bundle.
pub(super) const PIECE_SIZE: usize = 4096;
/// The size of a journal chunk, in bytes; one with a single larger entry exceeds it.
pub(super) const CHUNK_MAX: usize = 4096;
/// The size of a bundle, in bytes: the largest part that shares one, and its header.
pub(super) const BUNDLE_MAX: usize = PIECE_SIZE + 16;
/// The largest piece of a document, in bytes. It fits into a chunk with its key.
pub(super) const DOCUMENT_PIECE_SIZE: usize = 3072;
pub(super) const BATCH_MAX: usize = 400;

/// The most bytes of keys and values applied to a database between syncs; a single batch may exceed it. sled
/// writes a few times as much, which must stay well below one of its segments.
pub(super) const fn unsynced_max(segment_size: usize) -> usize {
    segment_size * 3 / 32
}

pub(super) fn pieces(size: usize) -> u16 {
    u16::try_from(size.div_ceil(PIECE_SIZE)).unwrap_or(u16::MAX)
}

// Keys of a database.
pub(super) const JOURNAL: u8 = b'j';
pub(super) const BUNDLE: u8 = b'p';
pub(super) const MANIFEST: &[u8] = b"m";
pub(super) const EMPTY: u8 = b'z';

/// The range of keys with this prefix.
pub(super) fn range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.to_vec();
    // No prefix in use ends with the highest byte.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    (prefix.to_vec(), end)
}

pub(super) fn numbered(letter: u8, number: u64) -> [u8; 9] {
    let mut key = [letter; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The number in a key of [`numbered`].
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?))
}
