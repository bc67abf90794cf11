//! Keeping steady time and the wall clock tied together.
//!
//! At the start steady time goes on from what is stored. While the daemon runs, a wall clock that was set changes the wall
//! offset alone: it is stored, then adopted, and what stands on the wall clock is placed anew. Nothing else is rewritten.
//! Once a minute, and when the daemon stops, it is stored how far steady time has come, so that after a boot with a wall
//! clock that is behind it does not go back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::census::Census;
use super::expectations::ExpectedWork;
use super::silences::KnownSilences;
use crate::model::time::Tied;
use crate::model::{Clock, ClockAnchor, Timestamp};
use crate::store::{Command, Outcome, Store, StoreError};

/// How often it is stored how far steady time has come.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How long to wait after the store had no room for a commit.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How many items are placed anew at once.
const BITE: usize = 512;

/// What ties the clocks, on its way to the disk since the start.
pub(super) struct Saving {
    /// Completes when it is there.
    pub done: BoxFuture<'static, Result<Vec<Outcome>, StoreError>>,
    /// When that began.
    pub began: Timestamp,
}

/// How often the wall clock was set since the start.
#[derive(Debug, Default)]
pub struct ClockCounts {
    /// Forward.
    pub forward: AtomicU64,
    /// Back.
    pub back: AtomicU64,
}

/// How steady time went on.
pub(super) struct Resumed {
    /// To be stored as soon as the store takes commands.
    pub anchor: ClockAnchor,
    /// Until when the daemon ran before, to a minute; nothing if it never did.
    pub watched_to: Option<Timestamp>,
}

/// Has steady time go on from what is stored.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn resume(store: &dyn Store, clock: &dyn Clock) -> Result<Resumed, StoreError> {
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
                "the wall clock is behind what it showed before the machine was booted; durations go on from there, \
                 without the time that the machine was off; set the clock right");
        }
        _ => {}
    }
    Ok(Resumed { anchor, watched_to })
}

fn seconds(millis: i64) -> f64 {
    Duration::from_millis(millis.unsigned_abs()).as_secs_f64().copysign(if millis < 0 { -1.0 } else { 1.0 })
}

/// Follows the wall clock. See the module's documentation.
pub(super) struct ClockFollower {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub census: Arc<Census>,
    pub silences: Arc<KnownSilences>,
    pub expected: Arc<ExpectedWork>,
    pub counts: Arc<ClockCounts>,
}

impl ClockFollower {
    /// Follows the wall clock until `stop`. `saving` is under way since the start.
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
                    tracing::error!(%error, "what the clocks show could not be stored");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "what the clocks show could not be stored; trying again");
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
            tracing::warn!(%error, "how far steady time has come could not be stored at the end");
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
            "the wall clock was set; what was asked for as a duration takes as long as before");
        self.silences.clock_was_set();
        self.expected.clock_was_set();
        self.refile().await;
        Ok(())
    }

    /// Places anew what stands on the wall clock.
    async fn refile(&self) {
        let mut after = None;
        while let Some(last) = self.census.refile(after, BITE) {
            after = Some(last);
            tokio::task::yield_now().await;
        }
    }
}
