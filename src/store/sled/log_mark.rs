//! What ties the log to the database: which log it is, and how far the database holds what is in it.

use uuid::Uuid;

use super::draft::{DraftError, damaged};
use crate::store::log::frame::LogId;

/// Kept in the database, and written there after each checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogMark {
    /// Which log.
    pub(super) log: LogId,
    /// How long its segments are, in bytes.
    pub(super) segment_size: u64,
    /// The last of its records that the database holds.
    pub(super) covered: u64,
}

/// What the database says of where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Covered {
    /// Nothing where there was no log yet.
    pub(super) log: Option<LogMark>,
    /// The number that no item has.
    pub(super) next_number: u64,
}

impl LogMark {
    /// Of a log that is about to begin.
    pub(super) fn new(segment_size: usize) -> Self {
        Self { log: Uuid::now_v7().into_bytes(), segment_size: segment_size as u64, covered: 0 }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let numbers = [self.segment_size, self.covered].map(u64::to_be_bytes);
        [&self.log[..], &numbers[0], &numbers[1]].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, DraftError> {
        let (Ok(log), true) = (bytes[..bytes.len().min(16)].try_into(), bytes.len() == 32) else {
            return Err(damaged("the mark of the log"));
        };
        let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Ok(Self { log, segment_size: number(16), covered: number(24) })
    }
}
