//! The manifest: what a generation holds, and which other generations there are.
//!
//! Each generation has one, overwritten as it grows. That of the newest is authoritative for the whole
//! directory: the log position up to which the generations hold everything, the sealed generations, and the
//! extent of each. A start verifies every generation against it: the digest shows a journal chunk that is
//! missing or altered, and so a database that is missing, extra, or from another copy.
//!
//! What a generation holds beyond its manifest was written after it, and is in the log as well.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::log::frame::LogId;
use crate::store::record::RecordError;

const MANIFEST_V1: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) log: LogPosition,
    /// The next item number that was free when the manifest was written.
    pub(super) next_number: u64,
    /// The extent of the generation that holds this manifest.
    pub(super) newest: Extent,
    /// The extents of the older generations, the oldest first.
    pub(super) sealed: Vec<Extent>,
    /// Generations whose removal is under way: nothing in them is live.
    pub(super) removed: Vec<u32>,
}

/// Which log continues the generations, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogPosition {
    pub(super) id: LogId,
    /// The size of the log's segments, in bytes.
    pub(super) segment_size: u64,
    /// The last log record that the generations hold.
    pub(super) covered: u64,
}

/// What a generation holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    /// From 1.
    pub(super) generation: u32,
    /// Its journal chunks.
    pub(super) chunks: Numbers,
    /// Its payload bundles.
    pub(super) bundles: Numbers,
    /// The number of entries in those chunks.
    pub(super) entries: u64,
    /// The running [`digest`] of those chunks.
    pub(super) digest: u32,
    /// Bytes of entries, payloads and details that were written into it.
    pub(super) written: u64,
    /// Whether an operator accepted that parts of it cannot be read.
    pub(super) is_accepted: bool,
}

/// The half-open range `first..next`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbers {
    pub(super) first: u64,
    pub(super) next: u64,
}

impl Numbers {
    /// An empty range.
    pub(super) fn from(first: u64) -> Self {
        Self { first, next: first }
    }
}

/// Extends the running digest `before` by a chunk. The digest of no chunks is 0.
pub(super) fn digest(before: u32, number: u64, chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(&number.to_be_bytes());
    hasher.update(chunk);
    hasher.finalize()
}

impl Extent {
    /// An empty extent that follows another.
    pub(super) fn after(before: &Self) -> Self {
        Self {
            generation: before.generation + 1,
            chunks: Numbers::from(before.chunks.next),
            bundles: Numbers::from(before.bundles.next),
            ..Self::default()
        }
    }
}

impl LogPosition {
    /// The position of a log that is to be created.
    pub(super) fn new(segment_size: usize) -> Self {
        Self { id: Uuid::now_v7().into_bytes(), segment_size: segment_size as u64, covered: 0 }
    }
}

impl Manifest {
    /// The manifest of an empty directory.
    pub(super) fn new(log: LogPosition) -> Self {
        let newest = Extent::after(&Extent::default());
        Self { log, next_number: 1, newest, sealed: Vec::new(), removed: Vec::new() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![MANIFEST_V1])
            .expect("writing plain data into a growing buffer cannot fail")
    }

    /// # Errors
    /// The bytes have an unknown format or are damaged.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged =
            |problem: String| RecordError::Damaged(format!("the manifest of a generation: {problem}"));
        match bytes.split_first() {
            Some((&MANIFEST_V1, rest)) => match postcard::take_from_bytes(rest) {
                Ok((manifest, [])) => Ok(manifest),
                Ok(_) => Err(damaged("it has trailing bytes".into())),
                Err(error) => Err(damaged(error.to_string())),
            },
            Some((&format, _)) => Err(RecordError::Format(format)),
            None => Err(damaged("it is empty".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let mut manifest = Manifest::new(LogPosition::new(1 << 20));
        manifest.sealed = vec![Extent::after(&manifest.newest)];
        manifest.removed = vec![7];
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        assert_eq!(Manifest::decode(&[9]), Err(RecordError::Format(9)));
        assert!(matches!(Manifest::decode(&manifest.encode()[..5]), Err(RecordError::Damaged(_))));
        assert!(matches!(Manifest::decode(&[]), Err(RecordError::Damaged(_))));
        let longer = [manifest.encode(), vec![0]].concat();
        assert!(matches!(Manifest::decode(&longer), Err(RecordError::Damaged(_))));
    }

    #[test]
    fn a_digest_tells_of_each_chunk_its_number_and_their_order() {
        let of =
            |chunks: &[(u64, &[u8])]| chunks.iter().fold(0, |before, (at, chunk)| digest(before, *at, chunk));
        let all = of(&[(1, b"a"), (2, b"b")]);
        for other in
            [&[(1, &b"a"[..])][..], &[(2, b"b"), (1, b"a")], &[(1, b"a"), (2, b"c")], &[(1, b"a"), (3, b"b")]]
        {
            assert_ne!(of(other), all, "{other:?}");
        }
    }
}
