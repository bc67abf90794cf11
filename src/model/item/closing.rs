//! Closing an item, and how long it is kept afterwards.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use warden_api::word::CloseOutcome;

use super::{Item, PayloadInfo};
use crate::model::{EventSet, Timestamp};

/// How an item was closed, and how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub at: Timestamp,
    pub outcome: CloseOutcome,
    /// When its payload is removed.
    pub payload_until: Timestamp,
    /// When its record is removed and its id is free again.
    pub record_until: Timestamp,
}

/// A request to close an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    pub outcome: CloseOutcome,
    pub at: Timestamp,
    /// How long to keep the record.
    pub retention: Duration,
    /// How long to keep the payload.
    pub keep_payload: Duration,
    /// When a run ended, if that was told; `None` if that is when it is closed.
    pub ended_at: Option<Timestamp>,
    /// What receivers ask for.
    pub events: EventSet,
}

impl Item {
    /// Whether it is within its retention. Otherwise it counts as gone, even if the sweep has not removed it
    /// yet.
    pub fn is_remembered(&self, now: Timestamp) -> bool {
        self.closed.is_none_or(|closed| now < closed.record_until)
    }

    /// Whether clients may see it: it was created, and is within its retention.
    pub fn is_visible(&self, now: Timestamp) -> bool {
        self.payload.is_some() && self.is_remembered(now)
    }

    /// The payload, unless its retention is over.
    pub fn kept_payload(&self, now: Timestamp) -> Option<&PayloadInfo> {
        self.payload.as_ref().filter(|_| self.closed.is_none_or(|closed| now < closed.payload_until))
    }

    /// The payload, if the store has it: until the close, or until it is removed.
    pub fn stored_payload(&self) -> Option<&PayloadInfo> {
        self.payload.as_ref().filter(|_| self.closed.is_none_or(|closed| closed.payload_until > closed.at))
    }

    pub fn close(&mut self, closing: Closing) {
        let payload_until = closing.at.after(closing.keep_payload);
        self.closed = Some(Closed {
            at: closing.at,
            outcome: closing.outcome,
            payload_until,
            record_until: closing.at.after(closing.retention).max(payload_until),
        });
        self.note_run_end(closing.ended_at);
        self.version += 1;
    }
}
