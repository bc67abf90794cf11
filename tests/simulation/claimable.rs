//! Since when items are claimable, to detect claims that wait although an item is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::clock::SimulatedClock;
use futures_util::FutureExt as _;
use warden::model::{Item, ItemNumber, ItemState, LeaseId, Timestamp};
use warden::store::engine::memory::MemoryStore;
use warden::store::{Command, Outcome, Reads as _};

#[derive(Default)]
struct State {
    /// The version of each item, and since when it has had it.
    versions: BTreeMap<ItemNumber, (u64, Timestamp)>,
    /// What is known of each lease that was given out.
    claimed: BTreeMap<(ItemNumber, u64), Claimed>,
}

/// An item that was claimed.
#[derive(Clone, Copy)]
pub struct Claimed {
    /// Since when it could have been.
    pub since: Timestamp,
    /// When the daemon asked its store for it.
    pub asked_at: Timestamp,
}

/// Takes note of what is committed.
#[derive(Clone, Default)]
pub struct Claimable(Arc<Mutex<State>>);

impl Claimable {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics under the lock")
    }

    /// What is known of the item of a claim that is about to be committed, if it is there.
    pub fn look_up(&self, store: &MemoryStore, command: &Command, clock: &SimulatedClock) -> Option<Claimed> {
        let Command::Claim(claim) = command else { return None };
        let items = store.items(vec![claim.number]).now_or_never().expect("memory never waits");
        let item = items.expect("memory never fails").pop()?;
        let (_, changed_at) = self.lock().versions.get(&claim.number).copied()?;
        // Only who wants what is not due may have had it before it was.
        let wants_open = claim.filter.states.is_empty() || claim.filter.states.contains(&ItemState::Open);
        let is_due = item.failed_at.is_none() && !wants_open;
        let due_at =
            if is_due { claim.now.steady(item.deadline).max(clock.adopted_at()) } else { Timestamp::MIN };
        let since = changed_at.max(item.free_at()).max(due_at);
        Some(Claimed { since, asked_at: claim.now.now })
    }

    /// A command was committed.
    pub fn note(&self, claimed: Option<Claimed>, outcome: &Outcome, now: Timestamp) {
        let (Outcome::Created(item) | Outcome::Changed(item)) = outcome else { return };
        let Item { number, version, .. } = **item;
        let mut state = self.lock();
        let last = state.versions.entry(number).or_insert((version, now));
        if last.0 != version {
            *last = (version, now);
        }
        if let (Some(claimed), Some(lease)) = (claimed, &item.work.lease) {
            state.claimed.insert((number, lease.token), claimed);
        }
    }

    /// What is known of a lease.
    pub fn claimed(&self, lease: LeaseId) -> Option<Claimed> {
        self.lock().claimed.get(&(lease.item, lease.token)).copied()
    }
}
