//! Memory budgets: one for request bodies, one for responses.
//!
//! Invariants:
//!
//! * Reservations never exceed the budget. One for more than the whole budget gets all of it, when it is
//!   free.
//! * A [`Hold`] lasts as long as the memory that it accounts for: it is attached to the bytes ([`attach`]).

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The granularity in bytes.
const BLOCK: u64 = 1024;

#[derive(Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    blocks: u32,
}

/// A reservation, released on drop.
pub struct Hold {
    /// `None` is an empty reservation, which can grow.
    permit: Option<OwnedSemaphorePermit>,
    budget: Budget,
}

impl Budget {
    pub fn new(bytes: u64) -> Self {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let permits = usize::try_from(blocks).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(permits)), blocks }
    }

    /// Reserves memory; `None` if it is not available.
    pub fn try_hold(&self, bytes: u64) -> Option<Hold> {
        let permit = self.free.clone().try_acquire_many_owned(self.blocks(bytes)).ok()?;
        Some(Hold { permit: Some(permit), budget: self.clone() })
    }

    /// Waits for a reservation. The caller must not hold another one of this budget: two that wait for each
    /// other would deadlock.
    pub async fn hold(&self, bytes: u64) -> Option<Hold> {
        let permit = self.free.clone().acquire_many_owned(self.blocks(bytes)).await.ok()?;
        Some(Hold { permit: Some(permit), budget: self.clone() })
    }

    /// An empty reservation, to grow.
    pub fn nothing(&self) -> Hold {
        Hold { permit: None, budget: self.clone() }
    }

    /// Whether that much is available now, which may change at once.
    pub fn has(&self, bytes: u64) -> bool {
        self.free.available_permits() >= usize::try_from(self.blocks(bytes)).unwrap_or(usize::MAX)
    }

    fn blocks(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).min(self.blocks)
    }
}

impl Hold {
    pub fn bytes(&self) -> u64 {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) as u64 * BLOCK
    }

    /// Grows to at least that many bytes; false if they are not available. It doubles up to `limit`, so that
    /// piecewise growth rarely takes the semaphore.
    pub fn grow(&mut self, bytes: u64, limit: u64) -> bool {
        let held = self.bytes();
        let blocks_left = self.budget.blocks.saturating_sub(u32::try_from(held / BLOCK).unwrap_or(u32::MAX));
        if bytes <= held || blocks_left == 0 {
            return true;
        }
        let more = bytes.max((2 * held).min(limit)) - held;
        match self.budget.try_hold(more.min(u64::from(blocks_left) * BLOCK)) {
            Some(Hold { permit, .. }) => {
                match (&mut self.permit, permit) {
                    (Some(own), Some(more)) => own.merge(more),
                    (own, more) => *own = more.or(own.take()),
                }
                true
            }
            None => false,
        }
    }
}

/// Bytes that keep a reservation until the last of their clones and slices is dropped.
pub fn attach(hold: impl Send + 'static, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
    Bytes::from_owner(Attached { bytes, _hold: hold })
}

struct Attached<T, H> {
    bytes: T,
    _hold: H,
}

impl<T: AsRef<[u8]>, H> AsRef<[u8]> for Attached<T, H> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_back_with_the_last_of_the_bytes() {
        let budget = Budget::new(10 * BLOCK);
        let bytes = attach(budget.try_hold(8 * BLOCK).expect("it is available"), vec![0; 8 * 1024]);
        let slice = bytes.slice(..1);
        drop(bytes);
        assert!(budget.try_hold(3 * BLOCK).is_none(), "a slice keeps the whole allocation");
        drop(slice);
        assert!(budget.try_hold(10 * BLOCK).is_some());
    }

    #[test]
    fn a_reservation_of_more_than_the_budget_gets_all_of_it_when_it_is_free() {
        let budget = Budget::new(10 * BLOCK);
        let some = budget.try_hold(1).expect("it is available");
        assert!(budget.try_hold(u64::MAX).is_none());
        drop(some);
        let mut whole = budget.try_hold(u64::MAX).expect("all of it is available");
        assert_eq!(whole.bytes(), 10 * BLOCK);
        assert!(whole.grow(u64::MAX, u64::MAX), "it has the whole budget already");
        assert!(budget.try_hold(1).is_none());
    }
}
