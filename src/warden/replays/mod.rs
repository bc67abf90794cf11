//! Replays: server-side jobs that post a frozen selection of items to a target, at a set rate.
//!
//! All replays are in memory as documents, which are few; their selections are not. Each one that has not
//! ended has a loop ([`runner`]), also while it is paused, and only that loop changes it. The schedule is
//! decided by pure parts: [`line`], [`pacer`], [`Backoff`] and the document itself.
//!
//! Deliberately absent: retrying an item that failed. The operator of the replay decides about it.

mod courier;
mod known;
mod line;
mod live;
mod pacer;
mod recent;
mod runner;
mod start;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::courier::Courier;
use self::known::Arrival;
pub use self::known::{Arrivals, KnownReplays};
pub use self::live::{ReplayAction, ReplayEntry};
use self::runner::Runner;
pub use self::start::StartReplay;
use super::context::Context;
use super::handoff::{Handoff, Target};
use super::{Queries, WardenError, Workflows};
use crate::model::replay::ItemEnd;
use crate::model::{Clock, Random, Replay, ReplayId, ReplayStatus};
use crate::outbound::{Endpoint, Outbound, SigningKey, Transport};
use crate::store::{Command, DocumentId, Outcome, Store, StoreError};

/// The most ended replays that are kept. Beyond that those that ended first are removed.
const ENDED_MAX: usize = 1_000;
/// The most replays that have not ended. Each has a loop, also while it is paused.
const UNENDED_MAX: usize = 1_000;

#[derive(Clone, Debug)]
pub struct ReplaySettings {
    pub transport: Arc<Transport>,
    /// The most replays running at once.
    pub running_max: usize,
    /// The most items in one replay.
    pub items_max: usize,
    /// The retention of ended replays.
    pub history: Duration,
}

/// Counters over all replays since the start.
#[derive(Debug, Default)]
pub struct ReplayCounts {
    sent: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
}

impl ReplayCounts {
    /// Posts, answered or not.
    pub fn posts(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Succeeded, failed and skipped items.
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

pub struct Replays {
    store: Arc<dyn Store>,
    handoff: Arc<Handoff>,
    queries: Arc<Queries>,
    workflows: Arc<Workflows>,
    outbound: Arc<dyn Outbound>,
    known: Arc<KnownReplays>,
    /// Replays that are about to run.
    starting: Mutex<usize>,
    /// Held while a replay is created: one selection at a time limits the memory, and a repetition waits for
    /// the first request.
    making: tokio::sync::Mutex<()>,
    counts: ReplayCounts,
    loops: TaskTracker,
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: ReplaySettings,
}

/// What replays need besides the context.
pub struct ReplayParts {
    pub handoff: Arc<Handoff>,
    pub queries: Arc<Queries>,
    pub outbound: Arc<dyn Outbound>,
    pub known: Arc<KnownReplays>,
    pub settings: ReplaySettings,
    /// Tracks the loops of replays.
    pub loops: TaskTracker,
    /// Stops them.
    pub stop: CancellationToken,
}

impl Replays {
    pub(super) fn new(context: &Context, parts: ReplayParts) -> Self {
        let Context { store, workflows, clock, random, .. } = context.clone();
        let ReplayParts { handoff, queries, outbound, known, settings, loops, stop } = parts;
        Self {
            store,
            handoff,
            queries,
            workflows,
            outbound,
            known,
            starting: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            counts: ReplayCounts::default(),
            loops,
            stop,
            clock,
            random,
            settings,
        }
    }

    /// Reserves one of the [`ReplaySettings::running_max`] places; released on drop, when the replay runs.
    fn slot(&self) -> Result<Slot<'_>, WardenError> {
        let limit = self.settings.running_max;
        let mut starting = self.starting();
        if self.known.running() + *starting >= limit {
            return Err(WardenError::TooManyReplays(format!(
                "{limit} replays are running, the most that replay.running_max allows; \
                pause or cancel one, or wait"
            )));
        }
        *starting += 1;
        Ok(Slot(self))
    }

    fn starting(&self) -> MutexGuard<'_, usize> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the loop of every replay that has not ended, until `stop`.
    pub async fn run(replays: Arc<Self>, mut arrivals: Arrivals, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(arrival) = arrivals.recv() => Self::run_one(&replays, arrival),
            }
        }
    }

    fn run_one(replays: &Arc<Self>, Arrival { live, asked }: Arrival) {
        let courier = match replays.courier(&live.lock().replay) {
            Ok(courier) => courier,
            Err(reason) => {
                live.lock().replay.pause(Some(reason.into()));
                return;
            }
        };
        let runner = Runner::new(replays.clone(), live.clone(), courier);
        let stop = replays.stop.clone();
        replays.loops.spawn(async move {
            if AssertUnwindSafe(runner.run(asked, stop)).catch_unwind().await.is_err() {
                let reason = "its loop panicked; this is a bug in the warden; it continues after a restart";
                tracing::error!(replay = &*live.id().0, "{reason}");
                live.lock().replay.pause(Some(reason.into()));
            }
        });
    }

    fn courier(&self, replay: &Replay) -> Result<Courier, &'static str> {
        let url: Result<Endpoint, _> = replay.target.url.parse();
        let keys: Result<Vec<SigningKey>, _> = replay.target.secret.iter().map(|text| text.parse()).collect();
        let (Ok(url), Ok(keys)) = (url, keys) else { return Err("the stored target is invalid") };
        let transport = self.settings.transport.clone();
        Ok(Courier {
            replay: replay.id.clone(),
            target: Target { name: "replay".into(), url, keys, timeout: replay.timeout, transport },
            on_success: replay.on_success,
        })
    }

    pub fn get(&self, id: &ReplayId) -> Result<ReplayEntry, WardenError> {
        let live = self.known.get(id).ok_or(WardenError::ReplayNotFound)?;
        Ok(live.entry(self.clock.now()))
    }

    /// By id, including ended ones within their retention.
    pub fn list(&self) -> Vec<ReplayEntry> {
        let now = self.clock.now();
        self.known.all().iter().map(|live| live.entry(now)).collect()
    }

    pub fn running(&self) -> usize {
        self.known.running()
    }

    pub fn counts(&self) -> &ReplayCounts {
        &self.counts
    }

    /// Pauses, resumes or cancels a replay. Without effect if it is in that state already.
    pub async fn act(&self, id: &ReplayId, action: ReplayAction) -> Result<ReplayEntry, WardenError> {
        let live = self.known.get(id).ok_or(WardenError::ReplayNotFound)?;
        let _slot = match action {
            ReplayAction::Resume if live.status() == ReplayStatus::Paused => Some(self.slot()?),
            _ => None,
        };
        match live.ask(action).await {
            Some(done) => done?,
            None if live.status().is_ended() => return Err(WardenError::ReplayEnded(live.status())),
            None => return Err(WardenError::Store(StoreError::Closing)),
        }
        Ok(live.entry(self.clock.now()))
    }

    /// Removes replays whose retention has ended, and chunks of replays that were never completed.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        // While a replay is being created its chunks look abandoned.
        if let Ok(_making) = self.making.try_lock() {
            for id in self.store.unmade_replays().await? {
                self.forget(&id).await?;
            }
        }
        for id in self.known.forgettable(self.settings.history, self.clock.now()) {
            self.forget(&id).await?;
        }
        Ok(())
    }

    async fn forget(&self, id: &ReplayId) -> Result<(), StoreError> {
        let forget = || Command::Remove(DocumentId::Replay(id.clone()));
        while self.store.apply(vec![forget()]).await?.contains(&Outcome::Partly) {}
        Ok(())
    }
}

/// See [`Replays::slot`].
struct Slot<'a>(&'a Replays);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.starting() -= 1;
    }
}
