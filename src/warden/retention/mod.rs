//! The sweep: forgets what its retention lets go, so that a year of churn does not grow the store.
//!
//! It works in small bites, each waiting for its commit like anybody's, and so never holds up ingest by more than one
//! bite. It keeps at it as long as there is anything to forget. Under a load of closes that fills every commit with more
//! than a bite it falls behind, and catches up when the load ends.
//!
//! An incident stays, however old, until its last notification is delivered or dead: it is forgotten together with its
//! deliveries, and with them the end that somebody is owed.

mod disuse;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::alerting::LiveIncidents;
use super::census::Census;
use super::{Replays, Silences, Workflows};
use crate::model::{Clock, DeliveryStatus, IncidentId, IncidentStatus};
use crate::notifier::Notifier;
use crate::store::{Command, DocumentId, Outcome, Store, StoreError};

/// How many items are forgotten by one commit.
const BITE: usize = 1024;
/// How often it looks when there was nothing to do.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the history of incidents is looked through, and the store's files are.
const HISTORY_PAUSE: Duration = Duration::from_secs(60);
/// How many incidents are read at once.
const INCIDENTS_AT_ONCE: usize = 500;

/// See the module's documentation.
pub struct Retention {
    pub(super) store: Arc<dyn Store>,
    pub(super) census: Arc<Census>,
    pub(super) workflows: Arc<Workflows>,
    pub(super) live_incidents: Arc<LiveIncidents>,
    pub(super) notifier: Notifier,
    pub(super) silences: Arc<Silences>,
    pub(super) replays: Arc<Replays>,
    pub(super) clock: Arc<dyn Clock>,
    /// How long resolved incidents are remembered.
    pub(super) incident_history: Duration,
}

impl Retention {
    /// Forgets until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut history_at = self.clock.now();
        loop {
            let swept = self.sweep_once().await;
            // Read once: what the clock passes over meanwhile is looked through the next time.
            let now = self.clock.now();
            if now >= history_at {
                for alarm in self.store.disk_use().alarms {
                    tracing::error!("{alarm}");
                }
                if let Err(error) = self.sweep_incidents().await {
                    tracing::warn!(%error, "the history of incidents could not be swept");
                }
                if let Err(error) = self.silences.sweep().await {
                    tracing::warn!(%error, "silences that are over could not be swept");
                }
                if let Err(error) = self.replays.sweep().await {
                    tracing::warn!(%error, "replays that are over could not be swept");
                }
                self.census.name_emptied_again();
                history_at = now.after(HISTORY_PAUSE);
            }
            let wait_until = match swept {
                Ok(true) => self.clock.now(),
                Ok(false) => self.clock.now().after(PAUSE),
                Err(error) => {
                    tracing::warn!(%error, "closed items could not be swept");
                    self.clock.now().after(PAUSE)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(wait_until) => {}
            }
        }
    }

    /// Forgets one bite of items and one of workflows; whether there was anything.
    async fn sweep_once(&self) -> Result<bool, StoreError> {
        let swept_items = self.sweep_items().await?;
        Ok(self.sweep_workflows(BITE).await? || swept_items)
    }

    /// Forgets one bite of items; whether there was anything.
    async fn sweep_items(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut commands: Vec<Command> =
            self.census.droppable(now, BITE).into_iter().map(Command::DropPayload).collect();
        let forgettable = self.census.forgettable(now, BITE);
        commands.extend(forgettable.into_iter().map(Command::Forget));
        if commands.is_empty() {
            return Ok(false);
        }
        self.store.apply(commands).await?;
        Ok(true)
    }

    async fn sweep_incidents(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut before: Option<IncidentId> = None;
        loop {
            let incidents = self.store.incidents(before, INCIDENTS_AT_ONCE).await?;
            let Some(last) = incidents.last() else { return Ok(()) };
            before = Some(last.id.clone());
            for incident in incidents {
                let over = incident.resolved_at.filter(|_| incident.status == IncidentStatus::Resolved);
                // One that may still be gone on with is not history yet.
                let policy = self.workflows.policy(&incident.key.workflow);
                let history = self.incident_history.max(policy.alerting.group_interval);
                let passed = over.is_some_and(|over| over.after(history) <= now);
                if !passed {
                    continue;
                }
                // Otherwise one could be made to wait again between the look and the end of it all.
                let _resends = self.notifier.hold_resends().await;
                if self.is_told(&incident.id).await? {
                    let forget = || Command::Remove(DocumentId::Incident(incident.id.clone()));
                    while self.store.apply(vec![forget()]).await?.contains(&Outcome::Partly) {}
                }
            }
        }
    }

    /// Whether nobody waits any more for a notification of a resolved incident; it gets no further ones.
    async fn is_told(&self, incident: &IncidentId) -> Result<bool, StoreError> {
        let deliveries = self.store.deliveries(incident.clone()).await?;
        Ok(deliveries.iter().all(|delivery| delivery.status != DeliveryStatus::Pending))
    }
}
