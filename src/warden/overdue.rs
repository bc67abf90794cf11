//! Waiting for deadlines: takes what the timers yield and looks it up again.
//!
//! What cannot be looked up for want of room is looked up later; when the store has failed the loop ends, and the daemon
//! with it. A daemon that serves on and notices nothing any more would be worse than none.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Warden;
use crate::model::ItemNumber;
use crate::store::StoreError;

/// How many timers are taken at once: a million that fire together do not hold the census for long.
const BITE: usize = 512;
/// How long the others are left alone at most between two bites of a storm.
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// How long to wait when the store cannot look items up.
const TRY_AGAIN: Duration = Duration::from_secs(1);

impl Warden {
    /// Turns fired timers into overdue items until `stop`.
    pub(super) async fn watch_deadlines(&self, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let (due, next) = self.census.fire(now, BITE);
            self.watched(if due.is_empty() { next } else { now });
            let is_storm = due.len() == BITE;
            if !due.is_empty() {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    done = self.look_again(due) => if let Err(error) = done {
                        tracing::error!(%error, "fired timers could not be looked up");
                        return;
                    },
                }
                if is_storm {
                    // Whoever creates and closes meanwhile has as much of the machine as this has.
                    let done_at = self.clock.now();
                    let go_on_at = done_at.after(done_at.since(now).min(PAUSE_MAX));
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        () = self.clock.sleep_until(go_on_at) => {}
                    }
                }
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.census.sooner() => {}
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    async fn look_again(&self, due: Vec<ItemNumber>) -> Result<(), StoreError> {
        loop {
            match self.store.items(due.clone()).await {
                Ok(items) => {
                    self.census.confirm(&items);
                    if items.len() < due.len() {
                        self.census.discard(&due);
                    }
                    return Ok(());
                }
                Err(error @ StoreError::Fatal(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "fired timers could not be looked up; trying again");
                    self.clock.sleep_until(self.clock.now().after(TRY_AGAIN)).await;
                }
            }
        }
    }
}
