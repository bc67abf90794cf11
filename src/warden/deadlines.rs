//! The loop that fires timers and so makes items overdue.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::census::{Census, STEPS_AT_ONCE};
use super::context::Context;
use super::pulse::Pulse;
use crate::model::Clock;

pub struct Deadlines {
    census: Arc<Census>,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
}

impl Deadlines {
    pub(super) fn new(context: &Context) -> Self {
        let Context { census, clock, .. } = context.clone();
        Self { census, clock, pulse: Arc::default() }
    }

    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Fires timers until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let next = self.census.fire(now, STEPS_AT_ONCE);
            self.pulse.turn(next);
            if next <= now {
                // Other tasks run between the batches of a storm.
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
