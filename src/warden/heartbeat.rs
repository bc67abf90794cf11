//! The heartbeat to an external dead man's switch, which alerts when the warden itself fails.
//!
//! A beat is sent only after a health-check write was committed, and while the loops for deadlines,
//! expectations and incidents make progress. A failed beat is not retried: the next one follows, and the
//! switch tolerates a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::pulse::{Look, Pulse};
use crate::model::Clock;
use crate::outbound::{self, Endpoint, Outbound, Transport};
use crate::store::{Command, Document, Writes};

#[derive(Clone, Debug)]
pub struct HeartbeatSettings {
    /// See [`outbound::ping`].
    pub url: Endpoint,
    pub every: Duration,
    /// The timeout of a beat.
    pub timeout: Duration,
    pub transport: Arc<Transport>,
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct HeartbeatCounts {
    /// Answered with success.
    pub sent: AtomicU64,
    pub failed: AtomicU64,
    /// Not sent, because the store or a loop was not healthy.
    pub withheld: AtomicU64,
}

/// The loops that must make progress, each with a description and its pulse.
pub type Pulses = Vec<(&'static str, Arc<Pulse>)>;

pub struct Heartbeat {
    store: Arc<dyn Writes>,
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    pulses: Pulses,
    settings: HeartbeatSettings,
    counts: Arc<HeartbeatCounts>,
}

impl Heartbeat {
    pub(super) fn new(
        context: &Context,
        outbound: Arc<dyn Outbound>,
        pulses: Pulses,
        settings: HeartbeatSettings,
        counts: Arc<HeartbeatCounts>,
    ) -> Self {
        let Context { store, clock, .. } = context.clone();
        Self { store, outbound, clock, pulses, settings, counts }
    }

    /// Sends beats until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut looks = vec![Look::default(); self.pulses.len()];
        loop {
            let next = self.clock.now().after(self.settings.every);
            let beat = async {
                match self.check(&mut looks).await {
                    Ok(()) => self.send_beat().await,
                    Err(reason) => {
                        self.counts.withheld.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(reason, "the heartbeat is withheld");
                    }
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = beat => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Checks that the store commits and the loops make progress.
    async fn check(&self, looks: &mut [Look]) -> Result<(), String> {
        let now = self.clock.now();
        if let Err(error) = self.store.apply(vec![Command::put(Document::HealthCheck(now))]).await {
            return Err(format!("the health-check write failed: {error}"));
        }
        for ((what, pulse), look) in self.pulses.iter().zip(looks) {
            let (stuck, seen) = pulse.look(*look, now);
            *look = seen;
            if stuck {
                return Err(format!("the loop that {what} is stuck"));
            }
        }
        Ok(())
    }

    async fn send_beat(&self) {
        let HeartbeatSettings { url, timeout, transport, .. } = &self.settings;
        let sent = outbound::ping(&*self.outbound, url, *timeout, transport).await;
        let count = match sent {
            Ok(()) => &self.counts.sent,
            Err(error) => {
                tracing::warn!(to = %url, error, "the heartbeat failed");
                &self.counts.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
