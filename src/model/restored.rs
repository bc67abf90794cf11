//! The history of an imported item.

use super::item::{Closed, Course, ItemDetail};
use super::{PayloadInfo, Timestamp};

/// The history that an item is created with. It was checked against the limits of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// `None` for the tombstone of an item that was never created.
    pub created_at: Option<Timestamp>,
    pub step_entered_at: Timestamp,
    pub failed_at: Option<Timestamp>,
    pub closed: Option<Closed>,
    /// The claims at its step.
    pub attempts: u32,
    /// When it can be claimed again.
    pub retry_at: Option<Timestamp>,
    /// Without `not_before`, which the request has.
    pub course: Course,
    pub detail: Option<Box<ItemDetail>>,
    /// The approximate size of the detail, in bytes.
    pub detail_size: usize,
}

impl Restored {
    /// The payload that it is created with; `None` if it was never created.
    pub fn payload<'a>(&self, info: &'a PayloadInfo) -> Option<&'a PayloadInfo> {
        self.created_at.map(|_| info)
    }
}
