//! Since when items could be claimed, so that it can be told who waited for one that was there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt as _;
use warden::model::{Item, ItemNumber, ItemState, LeaseId, Timestamp};
use warden::store::memory::MemoryStore;
use warden::store::{Command, Outcome, Store as _};

#[derive(Default)]
struct State {
    /// The version of each item, and since when it has had it.
    versions: BTreeMap<ItemNumber, (u64, Timestamp)>,
    /// Since when an item could have been claimed that was claimed then.
    claimed: BTreeMap<(ItemNumber, u64), Timestamp>,
}

/// Takes note of what is committed.
#[derive(Clone, Default)]
pub struct Claimable(Arc<Mutex<State>>);

impl Claimable {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics under the lock")
    }

    /// Since when the item of a claim that is about to be committed could have been claimed, if it is there.
    pub fn since(&self, store: &MemoryStore, command: &Command) -> Option<Timestamp> {
        let Command::Claim(claim) = command else { return None };
        let items = store.items(vec![claim.number]).now_or_never().expect("memory never waits");
        let item = items.expect("memory never fails").pop()?;
        let (_, changed_at) = self.lock().versions.get(&claim.number).copied()?;
        // Only who wants what is not due may have had it before it was.
        let wants_open = claim.filter.states.is_empty() || claim.filter.states.contains(&ItemState::Open);
        let is_due = item.failed_at.is_none() && !wants_open;
        let due_at = if is_due { item.deadline } else { Timestamp::MIN };
        Some(changed_at.max(item.work.free_at()).max(due_at))
    }

    /// A command was committed.
    pub fn note(&self, since: Option<Timestamp>, outcome: &Outcome, now: Timestamp) {
        let (Outcome::Created(item) | Outcome::Changed(item)) = outcome else { return };
        let Item { number, version, .. } = **item;
        let mut state = self.lock();
        let last = state.versions.entry(number).or_insert((version, now));
        if last.0 != version {
            *last = (version, now);
        }
        if let (Some(since), Some(lease)) = (since, &item.work.lease) {
            state.claimed.insert((number, lease.token), since);
        }
    }

    /// Since when this lease could have been given out.
    pub fn was_since(&self, lease: LeaseId) -> Option<Timestamp> {
        self.lock().claimed.get(&(lease.item, lease.token)).copied()
    }
}
