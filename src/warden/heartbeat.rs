//! The heartbeat: tells a dead man's switch outside that the warden watches. Nobody else would notice if it did not.
//!
//! It beats only after a commit has gone through and while the loops turn that wait for deadlines, wait for what is
//! expected, and decide about incidents. A beat that does not arrive is not repeated: the next one comes, and the switch
//! has its patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pulse::{Look, Pulse};
use crate::model::Clock;
use crate::outbound::{self, Endpoint, Outbound, Transport};
use crate::store::{Command, Document, Store};

/// Where the heartbeat goes, and how often.
#[derive(Clone, Debug)]
pub struct HeartbeatSettings {
    /// Where it goes; see [`outbound::ping`].
    pub url: Endpoint,
    /// How often.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How it is reached.
    pub transport: Arc<Transport>,
}

/// What became of heartbeats since the start.
#[derive(Debug, Default)]
pub struct HeartbeatCounts {
    /// Those that arrived.
    pub sent: AtomicU64,
    /// Sent, and not answered as they should be.
    pub failed: AtomicU64,
    /// Not sent because something in the warden was not well.
    pub withheld: AtomicU64,
}

/// The loops that must turn for the daemon to notice and tell: what each does, and its pulse.
pub type Pulses = Vec<(&'static str, Arc<Pulse>)>;

/// See the module's documentation.
pub struct Heartbeat {
    store: Arc<dyn Store>,
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    pulses: Pulses,
    settings: HeartbeatSettings,
    counts: Arc<HeartbeatCounts>,
}

impl Heartbeat {
    pub fn new(
        store: Arc<dyn Store>,
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
        pulses: Pulses,
        settings: HeartbeatSettings,
        counts: Arc<HeartbeatCounts>,
    ) -> Self {
        Self { store, outbound, clock, pulses, settings, counts }
    }

    /// Beats until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut looks = vec![Look::default(); self.pulses.len()];
        loop {
            let next = self.clock.now().after(self.settings.every);
            let beat = async {
                match self.is_well(&mut looks).await {
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

    /// Whether the store commits and the loops turn.
    async fn is_well(&self, looks: &mut [Look]) -> Result<(), String> {
        let now = self.clock.now();
        if let Err(error) = self.store.apply(vec![Command::put(Document::HealthCheck(now))]).await {
            return Err(format!("the store does not commit: {error}"));
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
                tracing::warn!(to = %url, error, "the heartbeat did not arrive");
                &self.counts.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
