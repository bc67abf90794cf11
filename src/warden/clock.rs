//! Ties steady time to the wall clock.
//!
//! At the start steady time continues from the stored anchor. When the wall clock is set while the daemon
//! runs, only the wall offset changes: it is stored, then adopted, and timers that depend on the wall clock
//! are refiled. Nothing else is rewritten. The anchor is also stored once a minute and at shutdown, so that
//! steady time never goes back, even after a boot with a wall clock that is behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::census::Census;
use super::context::Context;
use super::expectations::ExpectedWork;
use super::silences::KnownSilences;
use crate::model::time::Tied;
use crate::model::{Clock, ClockAnchor, Timestamp};
use crate::store::{Command, Outcome, Reads, StoreError, Writes};

/// How often the anchor is stored.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// The pause before a rejected commit is retried.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The most items refiled at once.
const BATCH: usize = 512;

/// The commit of the anchor that began at the start.
pub(super) struct Saving {
    /// Completes with the commit.
    pub done: BoxFuture<'static, Result<Vec<Outcome>, StoreError>>,
    pub began: Timestamp,
}

/// How often the wall clock was set since the start.
#[derive(Debug, Default)]
pub struct ClockCounts {
    pub forward: AtomicU64,
    pub back: AtomicU64,
}

pub(super) struct Resumed {
    /// To be stored as soon as the store accepts commands.
    pub anchor: ClockAnchor,
    /// Until when the daemon last ran, to a minute; `None` if it never did.
    pub watched_to: Option<Timestamp>,
}

/// Continues steady time from the stored anchor.
pub(super) async fn resume(store: &dyn Reads, clock: &dyn Clock) -> Result<Resumed, StoreError> {
    let stored = store.clock().await?;
    let (anchor, tied) = clock.resume(stored.as_ref());
    let watched_to = stored.as_ref().map(|stored| stored.seen);
    let (offset, wall) = (seconds(anchor.wall_offset), clock.wall());
    match (tied, stored) {
        (Tied::SameBoot, Some(stored)) if stored.wall_offset != anchor.wall_offset => {
            let step = seconds(anchor.wall_offset.saturating_sub(stored.wall_offset));
            tracing::warn!(step, offset, %wall, "the wall clock was set while the daemon was down");
        }
        (Tied::WallBehind, Some(stored)) => {
            let seen = stored.seen.moved(stored.wall_offset);
            tracing::warn!(offset, %wall, %seen,
                "the wall clock is behind its last value from before the boot; durations continue from \
                there, \
                without the time that the machine was off; correct the clock");
        }
        _ => {}
    }
    Ok(Resumed { anchor, watched_to })
}

fn seconds(millis: i64) -> f64 {
    Duration::from_millis(millis.unsigned_abs()).as_secs_f64().copysign(if millis < 0 { -1.0 } else { 1.0 })
}

pub(super) struct ClockFollower {
    store: Arc<dyn Writes>,
    clock: Arc<dyn Clock>,
    census: Arc<Census>,
    silences: Arc<KnownSilences>,
    expected: Arc<ExpectedWork>,
    counts: Arc<ClockCounts>,
}

impl ClockFollower {
    pub fn new(
        context: &Context,
        silences: Arc<KnownSilences>,
        expected: Arc<ExpectedWork>,
        counts: Arc<ClockCounts>,
    ) -> Self {
        let Context { store, census, clock, .. } = context.clone();
        Self { store, clock, census, silences, expected, counts }
    }

    /// Follows the wall clock until `stop`. `saving` is the commit in flight since the start.
    pub async fn run(&self, saving: Saving, stop: CancellationToken) {
        let Saving { done, began } = saving;
        let mut done = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            done = done => done.map(|_| began),
        };
        loop {
            let save_at = match done {
                Ok(saved_at) => saved_at.after(SAVE_EVERY),
                Err(StoreError::Fatal(error)) => {
                    tracing::error!(%error, "the clock anchor could not be stored");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the clock anchor could not be stored; retrying");
                    let again_at = self.clock.now().after(TRY_AGAIN);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => break,
                        () = self.clock.sleep_until(again_at) => again_at,
                    }
                }
            };
            done = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                anchor = self.clock.stepped() => self.adopt(anchor).await,
                () = self.clock.sleep_until(save_at) => self.save_clock(self.clock.anchor()).await,
            }
            .map(|()| self.clock.now());
        }
        if let Err(error) = self.save_clock(self.clock.anchor()).await {
            tracing::warn!(%error, "the clock anchor could not be stored at shutdown");
        }
    }

    async fn save_clock(&self, anchor: ClockAnchor) -> Result<(), StoreError> {
        self.store.apply(vec![Command::put(anchor)]).await.map(drop)
    }

    async fn adopt(&self, anchor: ClockAnchor) -> Result<(), StoreError> {
        let (before, after) = (self.clock.wall_offset(), anchor.wall_offset);
        self.save_clock(anchor).await?;
        self.clock.adopt(after);
        let count = if after > before { &self.counts.forward } else { &self.counts.back };
        count.fetch_add(1, Ordering::Relaxed);
        let (step, offset) = (seconds(after.saturating_sub(before)), seconds(after));
        tracing::warn!(step, offset, wall = %self.clock.wall(),
            "the wall clock was set; durations are not affected");
        self.silences.clock_was_set();
        self.expected.clock_was_set();
        self.refile().await;
        Ok(())
    }

    /// Refiles the timers that depend on the wall clock.
    async fn refile(&self) {
        let mut after = None;
        while let Some(last) = self.census.refile(after, BATCH) {
            after = Some(last);
            tokio::task::yield_now().await;
        }
    }
}
