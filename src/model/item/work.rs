//! Who works on an item, and when it can be claimed.

use super::{Item, Lease, LeaseEnd};
use crate::model::Timestamp;

/// The state of the work on an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The latest lease, running or over.
    pub lease: Option<Lease>,
    /// Token and end of the last lease before it that its holder ended: the response may have been lost, and
    /// the request repeated after somebody else has claimed the item.
    pub ended_before: Option<(u64, LeaseEnd)>,
    /// The claims at the current step, without those that were released. Expired leases count.
    pub attempts: u32,
    /// When it can be claimed again.
    pub retry_at: Option<Timestamp>,
}

impl Work {
    pub fn running(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.ended.is_none() && now < lease.expires_at)
    }
}

impl Item {
    /// When it can be claimed, as far as its lease, back-off, interruption and `not_before` are concerned; in
    /// the distant past if at any time, and in the distant future if a person has to act.
    pub fn free_at(&self) -> Timestamp {
        let lease = self.work.lease.as_ref().filter(|lease| lease.ended.is_none());
        let interruption = self.course.interruption;
        let waits = [
            self.is_held().then_some(Timestamp::MAX),
            lease.map(|lease| lease.expires_at),
            self.work.retry_at,
            self.course.not_before,
            interruption.map(|interruption| interruption.until.unwrap_or(Timestamp::MAX)),
        ];
        waits.into_iter().flatten().max().unwrap_or(Timestamp::MIN)
    }

    /// Whether it can be claimed: it is not closed, and nothing that it waits for is still to come.
    pub fn is_claimable(&self, now: Timestamp) -> bool {
        self.closed.is_none() && self.free_at() <= now
    }
}
