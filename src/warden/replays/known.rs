//! The replays that are remembered, in memory as documents and fed by the store; there are few. Their selections are not.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::mpsc;

use super::ENDED_MAX;
use super::live::{ActRequest, LiveReplay};
use crate::model::{Clock, Replay, ReplayId, ReplayStatus, Timestamp};
use crate::store::{Change, Document, DocumentId, Observer};

/// See the module's documentation.
pub struct KnownReplays {
    replays: RwLock<BTreeMap<ReplayId, Arc<LiveReplay>>>,
    /// Where the feed hands over replays that are to be run.
    arrived: mpsc::UnboundedSender<Arrival>,
    clock: Arc<dyn Clock>,
}

/// A replay that was told for the first time, and what people ask of it.
pub struct Arrival {
    pub(super) live: Arc<LiveReplay>,
    pub(super) asked: mpsc::Receiver<ActRequest>,
}

/// Where [`super::Replays::run`] takes the replays that are to be run.
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

    /// Takes in a replay that is new here. The loop of one that is known has written what is told of it.
    fn put(&self, replay: &Replay) {
        let mut replays = self.write();
        if replays.contains_key(&replay.id) {
            return;
        }
        let (live, asked) = LiveReplay::new(replay.clone(), self.clock.now());
        let live = Arc::new(live);
        replays.insert(replay.id.clone(), live.clone());
        if !replay.status.is_ended() {
            // When nobody takes it up the daemon is stopping; it is run after the next start.
            let _ = self.arrived.send(Arrival { live, asked });
        }
    }

    pub(super) fn running(&self) -> usize {
        self.all().iter().filter(|live| live.status() == ReplayStatus::Running).count()
    }

    /// Those that ended so long ago, or are too many to be remembered.
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
                Change::Item { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}
