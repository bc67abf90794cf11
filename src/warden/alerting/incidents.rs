//! Incidents and deliveries as they are asked for: what was committed, with the live figures of what is open.

use super::Alerting;
use crate::model::incident::group_of;
use crate::model::{
    Continuation, Delivery, Incident, IncidentId, IncidentKey, IncidentKind, IncidentStatus, Item, ItemState,
};
use crate::warden::WardenError;

impl Alerting {
    /// An incident as it stands now: an open one with its live figures.
    ///
    /// # Errors
    /// When there is none, or the store cannot read.
    pub async fn incident(&self, id: IncidentId) -> Result<Incident, WardenError> {
        self.store
            .incident(id)
            .await?
            .map(|incident| self.shown(incident))
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
        Ok(incidents.into_iter().map(|incident| self.shown(incident)).collect())
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

    /// An incident as people see it: one of which nothing is left is resolved, although its end may wait to be told.
    pub(super) fn shown(&self, incident: Incident) -> Incident {
        let mut incident = self.live(incident);
        if let Some(since) = incident.ending_since {
            incident.continued_in = self
                .awaited_by(&incident)
                .map(|other| Continuation { kind: other.key.kind, incident: other.id });
            incident.status = IncidentStatus::Resolved;
            incident.resolved_at = Some(since);
        }
        incident
    }

    pub(super) fn live(&self, incident: Incident) -> Incident {
        // What was decided since the last commit counts more than what was committed.
        let mut incident = self.live.open_by_id(&incident.id).unwrap_or(incident);
        if incident.status != IncidentStatus::Open {
            return incident;
        }
        let observation = self.census.observe(&incident.key);
        incident.count = observation.count;
        incident.peak = incident.peak.max(observation.count);
        incident.oldest_deadline = observation.oldest_deadline;
        incident.by_step = observation.by_step;
        incident.missed = observation.missed;
        incident.became = incident.became.map(|_| observation.became);
        incident
    }

    /// How many incidents are open.
    pub fn open_incidents(&self) -> usize {
        self.live.count()
    }

    /// The open incident that an item belongs to, if it is overdue or failed.
    pub fn incident_of(&self, item: &Item) -> Option<IncidentId> {
        let kind = match item.state(self.clock.moment()) {
            ItemState::Overdue => IncidentKind::Overdue,
            ItemState::Failed => IncidentKind::Failed,
            _ => return None,
        };
        let group_by = &self.workflows.policy(&item.workflow).alerting.group_by;
        let mut key =
            IncidentKey { workflow: item.workflow.clone(), kind, group: group_of(&item.labels, group_by) };
        self.live.id(&key).or_else(|| {
            // It may have come when there were too many groups for its own.
            key.group.clear();
            self.live.id(&key)
        })
    }
}
