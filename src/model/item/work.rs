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
    /// When it can be claimed, as far as leases and retries are concerned; in the distant past if at any
    /// time.
    pub fn free_at(&self) -> Timestamp {
        let leased_until = self.lease.as_ref().filter(|lease| lease.ended.is_none()).map(|it| it.expires_at);
        leased_until.into_iter().chain(self.retry_at).max().unwrap_or(Timestamp::MIN)
    }

    pub fn running(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.ended.is_none() && now < lease.expires_at)
    }
}

impl Item {
    /// Whether it can be claimed: it is not closed or leased, and does not wait for a retry.
    pub fn is_claimable(&self, now: Timestamp) -> bool {
        self.closed.is_none() && self.work.free_at() <= now
    }
}
