//! What an item has been through elsewhere, when it is taken over from there.

use super::item::{Closed, ItemDetail};
use super::{PayloadInfo, Timestamp};

/// What an item that is created has been through already. What it says was checked against the limits of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// When it was accepted; nothing for the tombstone of an item that nobody ever created.
    pub created_at: Option<Timestamp>,
    /// When it came to its step.
    pub step_entered_at: Timestamp,
    /// When it failed, if it has.
    pub failed_at: Option<Timestamp>,
    /// When and how it was closed, and what is kept of it until when.
    pub closed: Option<Closed>,
    /// How often it was claimed at its step.
    pub attempts: u32,
    /// Before this instant it is not to be claimed.
    pub retry_at: Option<Timestamp>,
    /// Progress, errors, and steps that are behind it.
    pub detail: Option<Box<ItemDetail>>,
    /// About what the detail takes, in bytes.
    pub detail_size: usize,
}

impl Restored {
    /// What is known of the payload that it was created with; nothing if it never was.
    pub fn payload<'a>(&self, info: &'a PayloadInfo) -> Option<&'a PayloadInfo> {
        self.created_at.map(|_| info)
    }
}
