//! Replays: items that the warden sends again by itself, to a target, at a set pace.
//!
//! All replays that are remembered are in memory as documents, of which there are few; their selections are not. Each that
//! has not ended has a loop of its own ([`runner`]), also while it is paused, which alone changes it. What is to be sent
//! when is decided by pure parts: the [`line`], the [`pacer`], the [`hold`](super::hold), and the document itself.
//!
//! Deliberately absent: a second try of an item that failed. Whoever looks after the replay decides what to do about it.

mod courier;
mod line;
mod live;
mod pacer;
mod recent;
mod runner;
mod start;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::courier::Courier;
use self::live::{ActRequest, LiveReplay};
pub use self::live::{ReplayAct, ReplayEntry};
use self::runner::Runner;
pub use self::start::StartReplay;
use super::post::Target;
use super::{Warden, WardenError};
use crate::model::replay::ItemEnd;
use crate::model::{Clock, Replay, ReplayId, ReplayStatus, Timestamp};
use crate::outbound::{Endpoint, SigningKey, Transport};
use crate::store::{Change, Command, Document, DocumentId, Observer, Outcome, StoreError};

/// The most replays that have ended and are remembered; beyond it those that ended first are forgotten.
const ENDED_MAX: usize = 1_000;
/// The most replays that have not ended. Each has a loop, also while it is paused.
const UNENDED_MAX: usize = 1_000;

/// What replays may do.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// How targets are reached.
    pub transport: Arc<Transport>,
    /// The most replays that run at once.
    pub running_max: usize,
    /// The most items in one replay.
    pub items_max: usize,
    /// How long a replay is kept after its end.
    pub history: Duration,
}

/// What became of the items of all replays since the start.
#[derive(Debug, Default)]
pub struct ReplayCounts {
    sent: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
}

impl ReplayCounts {
    /// Posts that were answered, or that nobody answered.
    pub fn posts(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Items that were taken, that were not, and that were not sent.
    pub fn ends(&self) -> [u64; 3] {
        [&self.succeeded, &self.failed, &self.skipped].map(|count| count.load(Ordering::Relaxed))
    }

    fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, end: &ItemEnd) {
        let count = match end {
            ItemEnd::Succeeded => &self.succeeded,
            ItemEnd::Failed { .. } => &self.failed,
            ItemEnd::Skipped => &self.skipped,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// All replays that are remembered, fed by the store, and what they share.
pub struct Replays {
    replays: RwLock<BTreeMap<ReplayId, Arc<LiveReplay>>>,
    /// Where the feed hands over replays that are to be run.
    arrived: mpsc::UnboundedSender<Arrival>,
    clock: Arc<dyn Clock>,
    /// Those that are about to run.
    starting: Mutex<usize>,
    /// Held while one is made: one selection at a time is enough for the memory, and a repetition waits for the first.
    making: tokio::sync::Mutex<()>,
    counts: ReplayCounts,
    loops: TaskTracker,
    stop: CancellationToken,
}

/// A replay that was told for the first time, and what people ask of it.
pub struct Arrival {
    live: Arc<LiveReplay>,
    asked: mpsc::Receiver<ActRequest>,
}

/// Where [`Warden::run_replays`] takes the replays that are to be run.
pub type Arrivals = mpsc::UnboundedReceiver<Arrival>;

impl Replays {
    /// None yet. Their loops end at `stop`, and are waited for by `loops`.
    pub fn new(clock: Arc<dyn Clock>, loops: TaskTracker, stop: CancellationToken) -> (Self, Arrivals) {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let replays = Self {
            replays: RwLock::default(),
            arrived,
            clock,
            starting: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            counts: ReplayCounts::default(),
            loops,
            stop,
        };
        (replays, arrivals)
    }

    fn get(&self, id: &ReplayId) -> Option<Arc<LiveReplay>> {
        self.replays.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn all(&self) -> Vec<Arc<LiveReplay>> {
        self.replays.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes in a replay that is new here. The loop of one that is known has written what is told of it.
    fn put(&self, replay: &Replay) {
        let mut replays = self.replays.write().unwrap_or_else(PoisonError::into_inner);
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

    fn running(&self) -> usize {
        self.all().iter().filter(|live| live.status() == ReplayStatus::Running).count()
    }

    /// A place among those that run, to be let go of when it does.
    fn slot(&self, limit: usize) -> Result<Slot<'_>, WardenError> {
        let mut starting = self.starting();
        if self.running() + *starting >= limit {
            return Err(WardenError::TooManyReplays(format!(
                "{limit} replays run already, as many as replay.running_max allows; pause or cancel one, or wait"
            )));
        }
        *starting += 1;
        Ok(Slot(self))
    }

    fn starting(&self) -> MutexGuard<'_, usize> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that ended so long ago, or are too many to be remembered.
    fn forgettable(&self, history: Duration, now: Timestamp) -> Vec<ReplayId> {
        let ended_at = |live: &Arc<LiveReplay>| Some((live.lock().replay.ended_at?, live.id().clone()));
        let mut ended: Vec<_> = self.all().iter().filter_map(ended_at).collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(ENDED_MAX);
        let is_over = |(position, (ended_at, _)): &(usize, (Timestamp, ReplayId))| {
            *position < surplus || ended_at.after(history) <= now
        };
        ended.into_iter().enumerate().filter(is_over).map(|(_, (_, id))| id).collect()
    }
}

impl Observer for Replays {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(Document::Replay(replay)) => self.put(replay),
                Change::Removed(DocumentId::Replay(id)) => {
                    self.replays.write().unwrap_or_else(PoisonError::into_inner).remove(id);
                }
                Change::Item { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}

/// See [`Replays::slot`].
struct Slot<'a>(&'a Replays);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.starting() -= 1;
    }
}

impl Warden {
    /// Has every replay run that has not ended, until `stop`.
    pub(super) async fn run_replays(warden: Arc<Self>, mut arrivals: Arrivals, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(arrival) = arrivals.recv() => Self::run_replay(&warden, arrival),
            }
        }
    }

    fn run_replay(warden: &Arc<Self>, Arrival { live, asked }: Arrival) {
        let courier = match warden.courier(&live.lock().replay) {
            Ok(courier) => courier,
            Err(reason) => {
                live.lock().replay.pause(Some(reason.into()));
                return;
            }
        };
        let runner = Runner::new(warden.clone(), live.clone(), courier);
        let stop = warden.replays.stop.clone();
        warden.replays.loops.spawn(async move {
            if AssertUnwindSafe(runner.run(asked, stop)).catch_unwind().await.is_err() {
                let reason = "its loop panicked, which is a defect of the warden; it goes on after a restart";
                tracing::error!(replay = &*live.id().0, "{reason}");
                live.lock().replay.pause(Some(reason.into()));
            }
        });
    }

    fn courier(&self, replay: &Replay) -> Result<Courier, &'static str> {
        let url: Result<Endpoint, _> = replay.target.url.parse();
        let keys: Result<Vec<SigningKey>, _> = replay.target.secret.iter().map(|text| text.parse()).collect();
        let (Ok(url), Ok(keys)) = (url, keys) else { return Err("its target cannot be read") };
        let transport = self.settings.replay.transport.clone();
        Ok(Courier {
            replay: replay.id.clone(),
            target: Target { name: "replay".into(), url, keys, timeout: replay.timeout, transport },
            on_success: replay.on_success,
        })
    }

    /// A replay.
    ///
    /// # Errors
    /// When there is none.
    pub fn replay(&self, id: &ReplayId) -> Result<ReplayEntry, WardenError> {
        let live = self.replays.get(id).ok_or(WardenError::ReplayNotFound)?;
        Ok(live.entry(self.clock.now()))
    }

    /// All replays that are remembered, by their ids.
    pub fn replays(&self) -> Vec<ReplayEntry> {
        let now = self.clock.now();
        self.replays.all().iter().map(|live| live.entry(now)).collect()
    }

    /// How many replays run.
    pub fn running_replays(&self) -> usize {
        self.replays.running()
    }

    /// What became of the items of all replays since the start.
    pub fn replay_counts(&self) -> &ReplayCounts {
        &self.replays.counts
    }

    /// Does something about a replay. What asks for what is so already changes nothing.
    ///
    /// # Errors
    /// When there is none, it has ended, too many run already, or the store refuses.
    pub async fn act_on_replay(&self, id: &ReplayId, act: ReplayAct) -> Result<ReplayEntry, WardenError> {
        let live = self.replays.get(id).ok_or(WardenError::ReplayNotFound)?;
        let _slot = match act {
            ReplayAct::Resume if live.status() == ReplayStatus::Paused => {
                Some(self.replays.slot(self.settings.replay.running_max)?)
            }
            _ => None,
        };
        match live.ask(act).await {
            Some(done) => done?,
            None if live.status().is_ended() => return Err(WardenError::ReplayEnded(live.status())),
            None => return Err(WardenError::Store(StoreError::Closing)),
        }
        Ok(live.entry(self.clock.now()))
    }

    /// Forgets the replays that ended long ago, and what is left of those that were never made.
    pub(super) async fn sweep_replays(&self) -> Result<(), StoreError> {
        // While one is being made it looks as if it never was.
        if let Ok(_making) = self.replays.making.try_lock() {
            for id in self.store.unmade_replays().await? {
                self.forget_replay(&id).await?;
            }
        }
        for id in self.replays.forgettable(self.settings.replay.history, self.clock.now()) {
            self.forget_replay(&id).await?;
        }
        Ok(())
    }

    async fn forget_replay(&self, id: &ReplayId) -> Result<(), StoreError> {
        let forget = || Command::Remove(DocumentId::Replay(id.clone()));
        while self.store.apply(vec![forget()]).await?.contains(&Outcome::Partly) {}
        Ok(())
    }
}
