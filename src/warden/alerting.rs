//! Alerting: turns what the census observes into incidents, and incidents into deliveries.
//!
//! One loop owns all open incidents, so no two decisions about one of them ever cross. A decision that opens,
//! tells or resolves is committed together with its deliveries before anybody hears of it. After a restart the loop
//! starts from the committed incidents and from a census that is complete, so it neither repeats what was told nor
//! takes an incident for resolved.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::census::Trouble;
use super::wakes::Wakes;
use super::{Warden, WardenError};
use crate::incident::{Decision, decide, notification};
use crate::model::{
    Delivery, DeliveryId, DeliveryStatus, Incident, IncidentId, IncidentKind, IncidentStatus, Timestamp,
};
use crate::store::{Command, DELIVERIES_MAX, StoreError};

/// How many incidents are read at once.
const INCIDENTS_AT_ONCE: usize = 500;
/// How long the loop waits before it tries a commit again that the store had no room for.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// The open incidents, as they may be looked at from outside the loop.
#[derive(Default)]
pub struct OpenIncidents(RwLock<HashMap<Trouble, Incident>>);

impl OpenIncidents {
    /// The open incident of a workflow and kind.
    pub fn get(&self, trouble: &Trouble) -> Option<Incident> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(trouble).cloned()
    }

    /// Its id.
    pub fn id(&self, trouble: &Trouble) -> Option<IncidentId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(trouble).map(|incident| incident.id.clone())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn set(&self, trouble: Trouble, incident: Incident) {
        let mut open = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if incident.status == IncidentStatus::Open {
            open.insert(trouble, incident);
        } else {
            open.remove(&trouble);
        }
    }

    fn troubles(&self) -> HashSet<Trouble> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl Warden {
    /// Reads the incidents that were open when the daemon ended.
    pub(super) async fn recover_incidents(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut before = None;
        loop {
            let incidents = self.store.incidents(before, INCIDENTS_AT_ONCE).await?;
            let Some(last) = incidents.last() else { return Ok(()) };
            before = Some(last.id.clone());
            for mut incident in incidents {
                if incident.status == IncidentStatus::Open {
                    // What seems to lie ahead happened before the clock was set back; nobody is to wait for it again.
                    incident.opened_at = incident.opened_at.min(now);
                    incident.notified_at = incident.notified_at.map(|told| told.min(now));
                    self.open_incidents.set((incident.workflow.clone(), incident.kind), incident);
                }
            }
        }
    }

    /// Decides about incidents until `stop`.
    pub(super) async fn alert(&self, stop: CancellationToken) {
        let mut wakes = Wakes::default();
        let mut touched = self.open_incidents.troubles();
        loop {
            touched.extend(self.census.take_touched());
            touched.extend(wakes.due(self.clock.now()));
            for trouble in std::mem::take(&mut touched) {
                if stop.is_cancelled() {
                    return;
                }
                match self.attend(&trouble).await {
                    Ok(wake_at) => wakes.set(trouble, wake_at),
                    Err(StoreError::Fatal(error)) => {
                        tracing::error!(workflow = %trouble.0, %error, "an incident could not be committed");
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(workflow = %trouble.0, %error, "an incident could not be committed; trying again");
                        wakes.set(trouble, Some(self.clock.now().after(TRY_AGAIN)));
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.census.troubled() => {}
                () = self.clock.sleep_until(wakes.first()) => {}
            }
        }
    }

    /// Decides about one incident and commits what follows. Returns when to decide again.
    async fn attend(&self, trouble: &Trouble) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        let (workflow, kind) = trouble;
        let open = self.open_incidents.get(trouble);
        let observation = self.census.observe(trouble);
        let policy = self.workflows.policy(workflow).clone();
        let id = || IncidentId(self.random.id("inc", now));
        let Some(decision) = decide(open.as_ref(), workflow, *kind, &observation, &policy.alerting, now, id)
        else {
            return Ok(None);
        };
        if decision.commit {
            let deliveries = self.deliveries_of(trouble, &decision, now).await?;
            self.store.apply(commit(&decision.incident, &deliveries)).await?;
            note(&decision, open.is_none());
            self.notifier.enqueue(deliveries);
        }
        self.open_incidents.set(trouble.clone(), decision.incident);
        Ok(decision.wake_at)
    }

    async fn deliveries_of(
        &self,
        trouble: &Trouble,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        let Some(telling) = &decision.telling else { return Ok(Vec::new()) };
        let incident = &decision.incident;
        // Items may have joined since the decision; one that ends the incident shows none of them.
        let shown = usize::try_from(incident.count).unwrap_or(usize::MAX).min(notification::SAMPLES_MAX);
        let samples = self.store.items(self.census.sample(trouble, shown)).await?;
        let policy = self.workflows.policy(&incident.workflow);
        let runbook_url = policy.alerting.runbook_url.as_deref();
        let base_url = &self.settings.external_url;
        let body = notification::write(telling.event, incident, &samples, runbook_url, base_url, now);
        let delivery = |receiver: &Arc<str>| Delivery {
            id: DeliveryId(self.random.id("dlv", now)),
            incident: incident.id.clone(),
            receiver: receiver.clone(),
            event: telling.event,
            body: body.clone(),
            created_at: now,
            status: DeliveryStatus::Pending,
            attempts_made: 0,
            next_attempt_at: now,
            attempts: Vec::new(),
        };
        Ok(telling.receivers.iter().map(delivery).collect())
    }

    /// An incident as it stands now: an open one with its live figures.
    ///
    /// # Errors
    /// When there is none, or the store cannot read.
    pub async fn incident(&self, id: IncidentId) -> Result<Incident, WardenError> {
        self.store
            .incident(id)
            .await?
            .map(|incident| self.live(incident))
            .ok_or(WardenError::IncidentNotFound)
    }

    /// At most `limit` incidents, the newest first, older than `before`.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, WardenError> {
        let incidents = self.store.incidents(before, limit).await?;
        Ok(incidents.into_iter().map(|incident| self.live(incident)).collect())
    }

    /// The deliveries of an incident, the oldest first.
    ///
    /// # Errors
    /// When there is no such incident, or the store cannot read.
    pub async fn deliveries(&self, id: IncidentId) -> Result<Vec<Delivery>, WardenError> {
        if self.store.incident(id.clone()).await?.is_none() {
            return Err(WardenError::IncidentNotFound);
        }
        let mut deliveries = self.store.deliveries(id).await?;
        deliveries.sort_by(|left, right| left.place().cmp(&right.place()));
        Ok(deliveries)
    }

    fn live(&self, mut incident: Incident) -> Incident {
        if incident.status == IncidentStatus::Open {
            let trouble = (incident.workflow.clone(), incident.kind);
            let observation = self.census.observe(&trouble);
            let decided = self.open_incidents.get(&trouble).filter(|decided| decided.id == incident.id);
            let peak = decided.map_or(incident.peak, |decided| decided.peak);
            incident.count = observation.count;
            incident.peak = peak.max(observation.count);
            incident.oldest_deadline = observation.oldest_deadline;
            incident.by_step = observation.by_step;
        }
        incident
    }

    /// The open incident that an item belongs to, if it is overdue or failed.
    pub fn incident_of(&self, item: &crate::model::Item) -> Option<IncidentId> {
        let kind = match item.state(self.clock.now()) {
            crate::model::ItemState::Overdue => IncidentKind::Overdue,
            crate::model::ItemState::Failed => IncidentKind::Failed,
            _ => return None,
        };
        self.open_incidents.id(&(item.workflow.clone(), kind))
    }
}

/// The incident with its deliveries: one command, unless more receivers were told over its life than fit into one.
fn commit(incident: &Incident, deliveries: &[Delivery]) -> Vec<Command> {
    let command = |deliveries: &[Delivery]| Command::CommitIncident {
        incident: Box::new(incident.clone()),
        deliveries: deliveries.to_vec(),
    };
    if deliveries.is_empty() {
        vec![command(&[])]
    } else {
        deliveries.chunks(DELIVERIES_MAX).map(command).collect()
    }
}

fn note(decision: &Decision, opened: bool) {
    let incident = &decision.incident;
    let (id, workflow, kind, count) =
        (&*incident.id.0, &*incident.workflow, incident.kind.as_str(), incident.count);
    if opened {
        tracing::warn!(incident = id, workflow, kind, count, "an incident opened");
    }
    if let Some(telling) = &decision.telling {
        let event = telling.event.as_str();
        if telling.receivers.is_empty() {
            tracing::warn!(
                incident = id,
                workflow,
                kind,
                count,
                event,
                "the workflow has no receivers: nobody is told"
            );
        } else {
            tracing::info!(incident = id, workflow, kind, count, event, receivers = ?telling.receivers, "telling");
        }
    }
    if incident.status == IncidentStatus::Resolved {
        tracing::info!(incident = id, workflow, kind, peak = incident.peak, "an incident is resolved");
    }
}
