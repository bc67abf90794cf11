//! Alerting: turns what the census observes into incidents, and incidents into deliveries.
//!
//! One loop owns all open incidents, so no two decisions about one of them ever cross. A decision that opens,
//! tells or resolves is committed together with its deliveries before anybody hears of it. After a restart the loop
//! starts from the committed incidents and from a census that is complete, so it neither repeats what was told nor
//! takes an incident for resolved.

mod live;
mod wakes;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::live::LiveIncidents;
use self::wakes::Wakes;
use super::{Warden, WardenError};
use crate::incident::notification::{self, Report};
use crate::incident::{Circumstances, Decision, Telling, continues_until, decide};
use crate::model::incident::group_of;
use crate::model::{
    Delivery, DeliveryId, DeliveryStatus, Incident, IncidentId, IncidentKey, IncidentKind, IncidentStatus,
    Item, ItemState, Timestamp,
};
use crate::store::{Command, DELIVERIES_MAX, StoreError};

/// How many incidents are read at once.
const INCIDENTS_AT_ONCE: usize = 500;
/// How long the loop waits before it tries a commit again that the store had no room for.
const TRY_AGAIN: Duration = Duration::from_millis(200);

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
                let policy = self.workflows.policy(&incident.key.workflow);
                let goes_on = continues_until(&incident, &policy.alerting).is_none_or(|until| now < until);
                // The newest come first, and only the newest of a key may be gone on with.
                if goes_on && self.live_incidents.get(&incident.key).is_none() {
                    // What seems to lie ahead happened before the clock was set back; nobody is to wait for it again.
                    for instant in [&mut incident.notified_at, &mut incident.first_notified_at] {
                        *instant = instant.map(|at| at.min(now));
                    }
                    for instant in [&mut incident.reopened_at, &mut incident.resolved_at] {
                        *instant = instant.map(|at| at.min(now));
                    }
                    incident.opened_at = incident.opened_at.min(now);
                    self.live_incidents.set(incident);
                }
            }
        }
    }

    /// Decides about incidents until `stop`.
    pub(super) async fn alert(&self, stop: CancellationToken) {
        let mut wakes = Wakes::default();
        let mut touched = self.live_incidents.keys();
        loop {
            touched.extend(self.census.take_touched());
            touched.extend(wakes.due(self.clock.now()));
            touched.extend(self.live_incidents.keys_of(&self.notifier.take_failing_changed()));
            for key in std::mem::take(&mut touched) {
                if stop.is_cancelled() {
                    return;
                }
                match self.attend(&key).await {
                    Ok(wake_at) => wakes.set(key, wake_at),
                    Err(StoreError::Fatal(error)) => {
                        tracing::error!(workflow = %key.workflow, %error, "an incident could not be committed");
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(workflow = %key.workflow, %error, "an incident could not be committed; trying again");
                        wakes.set(key, Some(self.clock.now().after(TRY_AGAIN)));
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.census.troubled() => {}
                () = self.notifier.failing_changed() => {}
                () = self.clock.sleep_until(wakes.first()) => {}
            }
        }
    }

    /// Decides about one incident and commits what follows. Returns when to decide again.
    async fn attend(&self, key: &IncidentKey) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        let last = self.live_incidents.get(key);
        let Some(decision) = self.decide(last.as_ref(), key, now) else {
            return Ok(self.remember(last, now));
        };
        if decision.commit {
            let deliveries = self.deliveries_of(last.as_ref(), &decision, now).await?;
            self.store.apply(commit(&decision.incident, &deliveries)).await?;
            note(last.as_ref(), &decision);
            self.notifier.enqueue(deliveries);
        }
        self.live_incidents.set(decision.incident.clone());
        match decision.incident.status {
            IncidentStatus::Open => Ok(decision.wake_at),
            IncidentStatus::Resolved => Ok(self.remember(Some(decision.incident), now)),
        }
    }

    fn decide(&self, last: Option<&Incident>, key: &IncidentKey, now: Timestamp) -> Option<Decision> {
        let policy = self.workflows.policy(&key.workflow);
        let is_failing =
            |receiver: &str| last.is_some_and(|incident| self.notifier.is_failing(&incident.id, receiver));
        let circumstances =
            Circumstances { policy: &policy.alerting, silenced: false, is_failing: &is_failing, now };
        let id = || IncidentId(self.random.id("inc", now));
        decide(last, key, &self.census.observe(key), &circumstances, id)
    }

    /// Forgets a resolved incident unless it may still be gone on with; then it says until when.
    fn remember(&self, ended: Option<Incident>, now: Timestamp) -> Option<Timestamp> {
        let ended = ended?;
        let policy = self.workflows.policy(&ended.key.workflow);
        let until = continues_until(&ended, &policy.alerting).filter(|until| now < *until);
        if until.is_none() {
            self.live_incidents.remove(&ended.key);
        }
        until
    }

    async fn deliveries_of(
        &self,
        last: Option<&Incident>,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        if decision.tellings.is_empty() {
            return Ok(Vec::new());
        }
        let incident = &decision.incident;
        // Items may have joined since the decision; one that ends the incident shows none of them.
        let shown = usize::try_from(incident.count).unwrap_or(usize::MAX).min(notification::SAMPLES_MAX);
        let samples = self.store.items(self.census.sample(&incident.key, shown)).await?;
        let report = Report {
            incident,
            told_count: last.filter(|last| !last.told.is_empty()).map_or(0, |last| last.notified_count),
            samples: &samples,
            runbook_url: self.workflows.policy(&incident.key.workflow).alerting.runbook_url.as_ref(),
            base_url: &self.settings.external_url,
            now,
        };
        Ok(decision.tellings.iter().flat_map(|telling| self.deliveries_to(telling, &report)).collect())
    }

    fn deliveries_to(&self, telling: &Telling, report: &Report<'_>) -> Vec<Delivery> {
        let Report { incident, now, .. } = *report;
        let body = notification::write(&notification::notification(telling.event, report));
        let delivery = |receiver: &Arc<str>| Delivery {
            id: DeliveryId(self.random.id("dlv", now)),
            incident: incident.id.clone(),
            receiver: receiver.clone(),
            event: telling.event,
            sequence: incident.notifications,
            body: body.clone(),
            created_at: now,
            resent_at: None,
            status: DeliveryStatus::Pending,
            attempts_made: 0,
            next_attempt_at: now,
            attempts: Vec::new(),
        };
        telling.receivers.iter().map(delivery).collect()
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

    fn live(&self, incident: Incident) -> Incident {
        // What was decided since the last commit counts more than what was committed.
        let mut incident = self.live_incidents.open_by_id(&incident.id).unwrap_or(incident);
        if !is_open(&incident) {
            return incident;
        }
        let observation = self.census.observe(&incident.key);
        incident.count = observation.count;
        incident.peak = incident.peak.max(observation.count);
        incident.oldest_deadline = observation.oldest_deadline;
        incident.by_step = observation.by_step;
        incident
    }

    /// The open incident that an item belongs to, if it is overdue or failed.
    pub fn incident_of(&self, item: &Item) -> Option<IncidentId> {
        let kind = match item.state(self.clock.now()) {
            ItemState::Overdue => IncidentKind::Overdue,
            ItemState::Failed => IncidentKind::Failed,
            _ => return None,
        };
        let group_by = &self.workflows.policy(&item.workflow).alerting.group_by;
        let mut key =
            IncidentKey { workflow: item.workflow.clone(), kind, group: group_of(&item.labels, group_by) };
        self.live_incidents.id(&key).or_else(|| {
            // It may have come when there were too many groups for its own.
            key.group.clear();
            self.live_incidents.id(&key)
        })
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

fn note(last: Option<&Incident>, decision: &Decision) {
    let incident = &decision.incident;
    let was_open = last.is_some_and(is_open);
    let (id, workflow, kind, count) =
        (&*incident.id.0, &*incident.key.workflow, incident.key.kind.as_str(), incident.count);
    if !was_open && is_open(incident) {
        tracing::warn!(incident = id, workflow, kind, count, "an incident opened");
    }
    for telling in &decision.tellings {
        let event = telling.event.as_str();
        tracing::info!(incident = id, workflow, kind, count, event, receivers = ?telling.receivers, "telling");
    }
    if was_open && !is_open(incident) {
        tracing::info!(incident = id, workflow, kind, peak = incident.peak, "an incident is resolved");
    }
}

fn is_open(incident: &Incident) -> bool {
    incident.status == IncidentStatus::Open
}
