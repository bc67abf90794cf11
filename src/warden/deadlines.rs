//! Waiting for deadlines: has the census count what the timers yield.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::census::Census;
use super::pulse::Pulse;
use crate::model::Clock;

/// How many steps of the timer wheel are made at once: a million timers that fire together do not hold the census for
/// long.
const BITE: usize = 256;

/// See the module's documentation.
pub struct Deadlines {
    census: Arc<Census>,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
}

impl Deadlines {
    pub fn new(census: Arc<Census>, clock: Arc<dyn Clock>, pulse: Arc<Pulse>) -> Self {
        Self { census, clock, pulse }
    }

    /// Turns fired timers into overdue items until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let next = self.census.fire(now, BITE);
            self.pulse.turn(next);
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
