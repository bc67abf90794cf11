//! Waiting for deadlines: has the census count what the timers yield.

use tokio_util::sync::CancellationToken;

use super::Warden;

/// How many steps of the timer wheel are made at once: a million timers that fire together do not hold the census for
/// long.
const BITE: usize = 256;

impl Warden {
    /// Turns fired timers into overdue items until `stop`.
    pub(super) async fn watch_deadlines(&self, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let next = self.census.fire(now, BITE);
            self.watched(next);
            if next <= now {
                // Between two bites of a storm everybody else has a turn.
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::task::yield_now() => continue,
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.census.sooner() => {}
                () = self.clock.sleep_until(next) => {}
            }
        }
    }
}
