//! The replays in memory, fed by the store; without their selections.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::mpsc;

use super::ENDED_MAX;
use super::live::{ActionRequest, LiveReplay};
use crate::model::{Clock, Replay, ReplayId, ReplayStatus, Timestamp};
use crate::store::{Change, Document, DocumentId, Observer};

pub struct KnownReplays {
    replays: RwLock<BTreeMap<ReplayId, Arc<LiveReplay>>>,
    /// Passes replays to the loop that runs them.
    arrived: mpsc::UnboundedSender<Arrival>,
    clock: Arc<dyn Clock>,
}

/// A replay that is new to this process, and its queue of actions.
pub struct Arrival {
    pub(super) live: Arc<LiveReplay>,
    pub(super) asked: mpsc::Receiver<ActionRequest>,
}

pub type Arrivals = mpsc::UnboundedReceiver<Arrival>;

impl KnownReplays {
    pub fn new(clock: Arc<dyn Clock>) -> (Self, Arrivals) {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        (Self { replays: RwLock::default(), arrived, clock }, arrivals)
    }

    pub(super) fn get(&self, id: &ReplayId) -> Option<Arc<LiveReplay>> {
        self.replays.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<LiveReplay>> {
        self.replays.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds a new replay. One that is known was written by its own loop.
    fn put(&self, replay: &Replay) {
        let mut replays = self.write();
        if let Some(live) = replays.get(&replay.id) {
            return live.committed(replay);
        }
        let (live, asked) = LiveReplay::new(replay.clone(), self.clock.now());
        let live = Arc::new(live);
        replays.insert(replay.id.clone(), live.clone());
        if !replay.status.is_ended() {
            // If nobody receives it the daemon is stopping; it runs after the next start.
            let _ = self.arrived.send(Arrival { live, asked });
        }
    }

    pub(super) fn running(&self) -> usize {
        self.all().iter().filter(|live| live.status() == ReplayStatus::Running).count()
    }

    /// Ended replays whose retention has passed, or that exceed [`super::ENDED_MAX`].
    pub(super) fn forgettable(&self, history: Duration, now: Timestamp) -> Vec<ReplayId> {
        let ended_at = |live: &Arc<LiveReplay>| Some((live.lock().replay.ended_at?, live.id().clone()));
        let mut ended: Vec<_> = self.all().iter().filter_map(ended_at).collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(ENDED_MAX);
        let is_over = |(position, (ended_at, _)): &(usize, (Timestamp, ReplayId))| {
            *position < surplus || ended_at.after(history) <= now
        };
        ended.into_iter().enumerate().filter(is_over).map(|(_, (_, id))| id).collect()
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<ReplayId, Arc<LiveReplay>>> {
        self.replays.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for KnownReplays {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(Document::Replay(replay)) => self.put(replay),
                Change::Removed(DocumentId::Replay(id)) => drop(self.write().remove(id)),
                Change::Item { .. } | Change::Step { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}
