//! The retention sweep: removes what has outlived its retention, so that the store does not grow with churn.
//!
//! It works in small batches and waits for each commit, so it delays ingest by at most one batch. It runs
//! without pause as long as there is anything to remove. If closes alone fill every commit it falls behind,
//! and catches up when the load drops.
//!
//! An incident is kept until its last notification is delivered or dead, however old it is: it is removed
//! together with its deliveries, which include the resolution that a receiver is waiting for.

mod disuse;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::alerting::LiveIncidents;
use super::census::Census;
use super::context::Context;
use super::{Artifacts, Events, Replays, Runs, Silences, Workflows};
use crate::model::{Clock, DeliveryStatus, IncidentId, IncidentStatus};
use crate::notifier::Notifier;
use crate::store::{Command, DocumentId, Outcome, Store, StoreError};

/// The most items removed by one commit.
const BATCH: usize = 1024;
/// The pause after a sweep that found nothing.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the history of incidents, and the files of the store, are checked.
const HISTORY_PAUSE: Duration = Duration::from_secs(60);
/// The page size.
const INCIDENTS_AT_ONCE: usize = 500;

pub struct Retention {
    store: Arc<dyn Store>,
    census: Arc<Census>,
    workflows: Arc<Workflows>,
    live_incidents: Arc<LiveIncidents>,
    notifier: Notifier,
    swept: Swept,
    clock: Arc<dyn Clock>,
}

/// The services that sweep what is theirs.
pub(super) struct Swept {
    pub silences: Arc<Silences>,
    pub replays: Arc<Replays>,
    pub runs: Arc<Runs>,
    pub artifacts: Arc<Artifacts>,
    pub events: Arc<Events>,
}

impl Retention {
    pub(super) fn new(
        context: &Context,
        live_incidents: Arc<LiveIncidents>,
        notifier: Notifier,
        swept: Swept,
    ) -> Self {
        let Context { store, workflows, census, clock, .. } = context.clone();
        Self { store, census, workflows, live_incidents, notifier, swept, clock }
    }

    /// Sweeps until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut history_at = self.clock.now();
        loop {
            let swept = self.sweep_once().await;
            // Read once, so that whatever expires during this sweep is found by the next one.
            let now = self.clock.now();
            if now >= history_at {
                for alarm in self.store.disk_use().alarms {
                    tracing::error!("{alarm}");
                }
                if let Err(error) = self.sweep_incidents().await {
                    tracing::warn!(%error, "resolved incidents could not be removed; retrying");
                }
                if let Err(error) = self.swept.silences.sweep().await {
                    tracing::warn!(%error, "expired silences could not be removed; retrying");
                }
                if let Err(error) = self.swept.replays.sweep().await {
                    tracing::warn!(%error, "ended replays could not be removed; retrying");
                }
                if let Err(error) = self.swept.runs.sweep().await {
                    tracing::warn!(%error, "ended runs could not be removed; retrying");
                }
                if let Err(error) = self.swept.events.sweep().await {
                    tracing::warn!(%error, "dead deliveries of events could not be removed; retrying");
                }
                self.census.name_emptied_again();
                history_at = now.after(HISTORY_PAUSE);
            }
            let wait_until = match swept {
                Ok(true) => self.clock.now(),
                Ok(false) => self.clock.now().after(PAUSE),
                Err(error) => {
                    tracing::warn!(%error, "closed items could not be removed; retrying");
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

    /// Removes a batch of items, of artifacts and of workflows. Returns whether there was anything to remove.
    async fn sweep_once(&self) -> Result<bool, StoreError> {
        let swept_items = self.sweep_items().await?;
        let swept_artifacts = self.swept.artifacts.sweep(BATCH).await?;
        Ok(self.sweep_workflows(BATCH).await? || swept_items || swept_artifacts)
    }

    /// Removes a batch of items. Returns whether there was anything to remove.
    async fn sweep_items(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut commands: Vec<Command> =
            self.census.droppable(now, BATCH).into_iter().map(Command::DropPayload).collect();
        let forgettable = self.census.forgettable(now, BATCH);
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
                // One that may still be reopened is not history yet.
                let policy = self.workflows.policy(&incident.key.workflow);
                let history = self.workflows.incident_history().max(policy.alerting.group_interval);
                let passed = over.is_some_and(|over| over.after(history) <= now);
                if !passed {
                    continue;
                }
                // Otherwise a delivery could be resent, and be pending again, between this check and the
                // removal.
                let _resends = self.notifier.hold_resends().await;
                if self.is_settled(&incident.id).await? {
                    let forget = || Command::Remove(DocumentId::Incident(incident.id.clone()));
                    while self.store.apply(vec![forget()]).await?.contains(&Outcome::Partly) {}
                }
            }
        }
    }

    /// Whether no notification of a resolved incident is pending. It gets no new ones.
    async fn is_settled(&self, incident: &IncidentId) -> Result<bool, StoreError> {
        let deliveries = self.store.deliveries(incident.clone()).await?;
        Ok(deliveries.iter().all(|delivery| delivery.status != DeliveryStatus::Pending))
    }
}
