//! The layout on disk: which files there are, which keys are in them, and what they mean.
//!
//! A data directory holds
//!
//! ```text
//! LOCK        held by the daemon that works here
//! FORMAT      the version of this layout; written last when a directory is made
//! UNFINISHED  there while a directory is being made from which nothing was acknowledged yet
//! ballast     space kept back, given up when the disk is full so that closes can go on
//! log/        the commit log: what was acknowledged is there first, see [`crate::store::log`]
//! generations/00000001/ ...
//!             databases, one after the other: what lived on
//! ```
//!
//! **Generations.** What lives on is appended to the newest database. When that is large enough it is *sealed*: nothing is
//! written into it any more, and another one begins. Nothing is ever removed from a database. When enough of a sealed one is
//! outdated, what still holds of it is appended to the newest, and it is removed as a whole. So space goes back to the file
//! system for certain, a close costs no more than an entry, and how much room everything takes is known.
//!
//! A database has one tree, with these keys:
//!
//! ```text
//! j chunk   -> entries   the journal: each the latest word on an item or a document as of when it was written
//! p bundle  -> parts     payloads and details of several items, or a piece of one that is large
//! m         -> mark      what the database holds, and the others; see [`super::mark`]
//! z number  ->           nothing; see [`super::eviction`]
//! ```
//!
//! Numbers are big-endian. Those of chunks and bundles grow over all generations and without a gap, so that both are appended
//! at the right ends of their parts of the tree, and a number tells which generation it is in. Items and leases take their
//! numbers from one count. What is found by name, and where, is in memory ([`super::index`]).
//!
//! **The journal.** Every change of an item writes its whole record anew, with the places of its payload and its detail, and
//! the entry in the chunk with the highest number is the one that holds. The same is true of documents: workflows, incidents,
//! deliveries, silences, replays and the rest. What is gone is said by an entry as well; that is written again as long as an
//! older generation may have what it outdates.
//!
//! What each rule is good for: sled writes a leaf larger than a quarter of its segment into a file of its own that it
//! never syncs, and a leaf holds up to 20 entries after a merge, whence [`CHUNK_MAX`], [`BUNDLE_MAX`] and the limits in
//! [`crate::model::item`]. A batch of more than some 600 operations makes it leak memory, whence [`BATCH_MAX`]. It reuses
//! a segment once what was moved out of it has been handed to the kernel, synced or not; that takes the filling of a whole
//! segment, whence [`unsynced_max`].

/// The version of this layout.
pub(super) const FORMAT: &str = "process-warden data, format 4\n";
/// Versions before there were generations, which are written anew; the later one has a log.
pub(super) const FORMATS_BEFORE: [&str; 2] =
    ["process-warden data, format 2\n", "process-warden data, format 3\n"];
/// The largest piece of a large payload or detail, in bytes; one up to this long shares its bundle.
pub(super) const PIECE_SIZE: usize = 4096;
/// How long a chunk of the journal becomes, unless a single entry is longer, in bytes.
pub(super) const CHUNK_MAX: usize = 4096;
/// How long a bundle becomes, in bytes: the largest part that shares one, and what is said of it.
pub(super) const BUNDLE_MAX: usize = PIECE_SIZE + 16;
/// The largest piece of a document, in bytes: with its key it fits into a chunk.
pub(super) const DOCUMENT_PIECE_SIZE: usize = 3072;
/// The most operations in one atomic batch.
pub(super) const BATCH_MAX: usize = 400;

/// How many bytes of keys and values may be applied to a database before they are synced, unless one batch holds more. The
/// database writes a few times as much, which must stay well below one of its segments.
pub(super) const fn unsynced_max(segment_size: usize) -> usize {
    segment_size * 3 / 32
}

/// How many pieces that many bytes take.
pub(super) fn pieces(size: usize) -> u16 {
    u16::try_from(size.div_ceil(PIECE_SIZE)).unwrap_or(u16::MAX)
}

// Keys of a database.
pub(super) const JOURNAL: u8 = b'j';
pub(super) const BUNDLE: u8 = b'p';
pub(super) const MARK: &[u8] = b"m";
pub(super) const EMPTY: u8 = b'z';

/// The range of keys that begin like this.
pub(super) fn range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.to_vec();
    // No prefix of ours ends with the highest byte.
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

/// The number in a key that begins with a letter and a number.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?))
}
