//! A budget of memory: bodies on their way in have one, answers on their way out another.
//!
//! Invariants:
//!
//! * What is held at once never exceeds the budget. Whoever asks for more than the whole of it gets the
//!   whole, when it is free.
//! * A [`Hold`] lasts as long as the memory that it stands for: it travels with the bytes ([`attach`]).

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget is counted in blocks of this many bytes.
const BLOCK: u64 = 1024;

/// So many bytes that may be held at once.
#[derive(Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    blocks: u32,
}

/// A part of a budget, given back when it is dropped.
pub struct Hold {
    /// None for nothing, which is what a hold that grows begins with.
    permit: Option<OwnedSemaphorePermit>,
    budget: Budget,
}

impl Budget {
    /// A budget of so many bytes, all of them free.
    pub fn new(bytes: u64) -> Self {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let permits = usize::try_from(blocks).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(permits)), blocks }
    }

    /// Takes so many bytes; nothing when they are not free.
    pub fn try_hold(&self, bytes: u64) -> Option<Hold> {
        let permit = self.free.clone().try_acquire_many_owned(self.blocks(bytes)).ok()?;
        Some(Hold { permit: Some(permit), budget: self.clone() })
    }

    /// Takes so many bytes as soon as they are free. Whoever waits must not hold anything of this budget: two
    /// that wait for each other would wait for ever.
    pub async fn hold(&self, bytes: u64) -> Option<Hold> {
        let permit = self.free.clone().acquire_many_owned(self.blocks(bytes)).await.ok()?;
        Some(Hold { permit: Some(permit), budget: self.clone() })
    }

    /// A hold of nothing, to grow.
    pub fn nothing(&self) -> Hold {
        Hold { permit: None, budget: self.clone() }
    }

    /// Whether so many bytes are free now; somebody else may take them.
    pub fn has(&self, bytes: u64) -> bool {
        self.free.available_permits() >= usize::try_from(self.blocks(bytes)).unwrap_or(usize::MAX)
    }

    fn blocks(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).min(self.blocks)
    }
}

impl Hold {
    /// How many bytes are held.
    pub fn bytes(&self) -> u64 {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) as u64 * BLOCK
    }

    /// Holds at least that many bytes from now on. Where they are more it takes twice what it had, but no
    /// more than `limit`, so that what grows piece by piece asks seldom. False when they are not free.
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

/// The bytes, which keep what is held, alone or shared, until the last of their clones and slices is dropped.
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
        let bytes = attach(budget.try_hold(8 * BLOCK).expect("it is free"), vec![0; 8 * 1024]);
        let slice = bytes.slice(..1);
        drop(bytes);
        assert!(budget.try_hold(3 * BLOCK).is_none(), "a slice keeps all of it in memory");
        drop(slice);
        assert!(budget.try_hold(10 * BLOCK).is_some());
    }

    #[test]
    fn who_asks_for_more_than_there_is_gets_the_whole_when_it_is_free() {
        let budget = Budget::new(10 * BLOCK);
        let some = budget.try_hold(1).expect("it is free");
        assert!(budget.try_hold(u64::MAX).is_none());
        drop(some);
        let mut whole = budget.try_hold(u64::MAX).expect("all of it is free");
        assert_eq!(whole.bytes(), 10 * BLOCK);
        assert!(whole.grow(u64::MAX, u64::MAX), "it has all there is");
        assert!(budget.try_hold(1).is_none());
    }
}
