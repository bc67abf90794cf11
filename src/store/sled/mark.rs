//! The mark: what a generation holds, and which others there are.
//!
//! Each generation has one, written over as it grows. That of the newest holds for the whole directory: it says up to where the
//! log is in the generations, which of them are sealed, and what is in each. A start holds every generation to what it says:
//! a chunk of the journal that is missing, or is not as it was written, shows by the digest, and so do a database that is
//! missing, is one too many, or is from another copy.
//!
//! What is in a generation beyond its mark was written after it, and is in the log as well.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::log::frame::LogId;
use crate::store::record::RecordError;

const MARK_V1: u8 = 1;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) log: LogMark,
    /// The number that no item had by then.
    pub(super) next_number: u64,
    /// What the generation with this mark holds.
    pub(super) newest: Extent,
    /// The generations before it, the oldest first.
    pub(super) sealed: Vec<Extent>,
    /// Generations that are being removed: nothing in them is wanted any more.
    pub(super) removed: Vec<u32>,
}

/// What ties the log to the generations: which log it is, and how far they hold what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogMark {
    /// Which log.
    pub(super) id: LogId,
    /// How long its segments are, in bytes.
    pub(super) segment_size: u64,
    /// The last of its records that the generations hold.
    pub(super) covered: u64,
}

/// What is in a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    /// Its number, from 1 on.
    pub(super) generation: u32,
    /// The chunks of the journal that it has, without the last.
    pub(super) chunks: Numbers,
    /// The bundles that it has, without the last.
    pub(super) bundles: Numbers,
    /// Entries in those chunks.
    pub(super) entries: u64,
    /// What those chunks come to: see [`digest`].
    pub(super) digest: u32,
    /// How many bytes of entries, payloads and details were written into it.
    pub(super) written: u64,
    /// Whether somebody has accepted that some of it cannot be read.
    pub(super) is_accepted: bool,
}

/// Numbers from the first on, without the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbers {
    pub(super) first: u64,
    pub(super) next: u64,
}

impl Numbers {
    /// None yet, from there on.
    pub(super) fn from(first: u64) -> Self {
        Self { first, next: first }
    }
}

/// The digest of chunks behind those with the digest `before`; that of none is 0.
pub(super) fn digest(before: u32, number: u64, chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(&number.to_be_bytes());
    hasher.update(chunk);
    hasher.finalize()
}

impl Extent {
    /// Nothing yet, behind the one before it.
    pub(super) fn after(before: &Self) -> Self {
        Self {
            generation: before.generation + 1,
            chunks: Numbers::from(before.chunks.next),
            bundles: Numbers::from(before.bundles.next),
            ..Self::default()
        }
    }
}

impl LogMark {
    /// Of a log that is about to begin.
    pub(super) fn new(segment_size: usize) -> Self {
        Self { id: Uuid::now_v7().into_bytes(), segment_size: segment_size as u64, covered: 0 }
    }
}

impl Mark {
    /// Of a directory that holds nothing yet.
    pub(super) fn new(log: LogMark) -> Self {
        let newest = Extent::after(&Extent::default());
        Self { log, next_number: 1, newest, sealed: Vec::new(), removed: Vec::new() }
    }

    /// As it is written.
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![MARK_V1])
            .expect("writing plain data into a growing buffer cannot fail")
    }

    /// From what was written.
    ///
    /// # Errors
    /// When it is of a later format, or not what was written.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged = |problem: String| RecordError::Damaged(format!("the mark of a generation: {problem}"));
        match bytes.split_first() {
            Some((&MARK_V1, rest)) => match postcard::take_from_bytes(rest) {
                Ok((mark, [])) => Ok(mark),
                Ok(_) => Err(damaged("something follows its end".into())),
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
    fn a_mark_is_read_as_it_was_written() {
        let mut mark = Mark::new(LogMark::new(1 << 20));
        mark.sealed = vec![Extent::after(&mark.newest)];
        mark.removed = vec![7];
        assert_eq!(Mark::decode(&mark.encode()), Ok(mark.clone()));
        assert_eq!(Mark::decode(&[9]), Err(RecordError::Format(9)));
        assert!(matches!(Mark::decode(&mark.encode()[..5]), Err(RecordError::Damaged(_))));
        assert!(matches!(Mark::decode(&[]), Err(RecordError::Damaged(_))));
        let longer = [mark.encode(), vec![0]].concat();
        assert!(matches!(Mark::decode(&longer), Err(RecordError::Damaged(_))));
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
