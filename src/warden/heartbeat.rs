//! The heartbeat: tells a dead man's switch outside that the warden watches. Nobody else would notice if it did not.
//!
//! It beats only after a commit has gone through and while the loops turn that wait for deadlines, wait for what is
//! expected, and decide about incidents. A beat that does not arrive is not repeated: the next one comes, and the switch
//! has its patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Warden;
use super::pulse::Look;
use crate::model::Timestamp;
use crate::outbound::{self, Endpoint, Outbound, Transport};
use crate::store::{Command, Document};

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

impl Warden {
    /// Beats until `stop`.
    pub(super) async fn beat(
        &self,
        settings: HeartbeatSettings,
        outbound: Arc<dyn Outbound>,
        stop: CancellationToken,
    ) {
        let mut looks = [Look::default(); 3];
        loop {
            let next = self.clock.now().after(settings.every);
            let beat = async {
                match self.is_well(&mut looks).await {
                    Ok(()) => self.send_beat(&settings, &*outbound).await,
                    Err(reason) => {
                        self.heartbeats.withheld.fetch_add(1, Ordering::Relaxed);
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
    async fn is_well(&self, looks: &mut [Look; 3]) -> Result<(), String> {
        let now = self.clock.now();
        if let Err(error) = self.store.apply(vec![Command::put(Document::HealthCheck(now))]).await {
            return Err(format!("the store does not commit: {error}"));
        }
        let loops = [
            ("waits for deadlines", &self.watching),
            ("waits for what is expected", &self.expecting),
            ("decides about incidents", &self.deciding),
        ];
        for ((what, pulse), look) in loops.into_iter().zip(looks) {
            let (stuck, seen) = pulse.look(*look, now);
            *look = seen;
            if stuck {
                return Err(format!("the loop that {what} is stuck"));
            }
        }
        Ok(())
    }

    async fn send_beat(&self, settings: &HeartbeatSettings, outbound: &dyn Outbound) {
        let sent = outbound::ping(outbound, &settings.url, settings.timeout, &settings.transport).await;
        let count = match sent {
            Ok(()) => &self.heartbeats.sent,
            Err(error) => {
                tracing::warn!(to = %settings.url, error, "the heartbeat did not arrive");
                &self.heartbeats.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of heartbeats since the start.
    pub fn heartbeats(&self) -> &HeartbeatCounts {
        &self.heartbeats
    }

    /// The loop that waits for deadlines has turned.
    pub(super) fn watched(&self, due_at: Timestamp) {
        self.watching.turn(due_at);
    }

    /// The loop that waits for what is expected has turned.
    pub(super) fn expected(&self, due_at: Timestamp) {
        self.expecting.turn(due_at);
    }

    /// The loop that decides about incidents has turned.
    pub(super) fn decided(&self, due_at: Timestamp) {
        self.deciding.turn(due_at);
    }
}
