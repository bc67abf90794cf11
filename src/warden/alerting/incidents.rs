//! Reading incidents and deliveries: as committed, with the live counts of open incidents.

use super::Alerting;
use crate::model::incident::group_of;
use crate::model::{
    Continuation, Delivery, Incident, IncidentId, IncidentKey, IncidentKind, IncidentStatus, Item, ItemState,
};
use crate::warden::WardenError;

impl Alerting {
    pub async fn incident(&self, id: IncidentId) -> Result<Incident, WardenError> {
        self.store
            .incident(id)
            .await?
            .map(|incident| self.shown(incident))
            .ok_or(WardenError::IncidentNotFound)
    }

    /// The newest incidents older than `before`, newest first.
    pub async fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, WardenError> {
        let incidents = self.store.incidents(before, limit).await?;
        Ok(incidents.into_iter().map(|incident| self.shown(incident)).collect())
    }

    /// The deliveries of an incident, oldest first.
    pub async fn deliveries(&self, id: IncidentId) -> Result<Vec<Delivery>, WardenError> {
        if self.store.incident(id.clone()).await?.is_none() {
            return Err(WardenError::IncidentNotFound);
        }
        let mut deliveries = self.store.deliveries(id).await?;
        deliveries.sort_by(|left, right| left.place().cmp(&right.place()));
        Ok(deliveries)
    }

    /// An incident as clients see it. One without items is resolved, although the notification may still be
    /// deferred.
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
        // A decision that is not committed yet is newer than the committed incident.
        let mut incident = self.live.open_by_id(&incident.id).unwrap_or(incident);
        if incident.status != IncidentStatus::Open {
            return incident;
        }
        let observation = self.observe(&incident.key);
        incident.count = observation.count;
        incident.peak = incident.peak.max(observation.count);
        incident.oldest_deadline = observation.oldest_deadline;
        incident.by_step = observation.by_step;
        incident.missed = observation.missed;
        incident.outcomes = incident.outcomes.map(|_| observation.outcomes);
        incident
    }

    pub fn open_incidents(&self) -> usize {
        self.live.count()
    }

    /// The open incident that contains this item, if it is overdue, interrupted or not, or failed.
    pub fn incident_of(&self, item: &Item) -> Option<IncidentId> {
        let moment = self.clock.moment();
        let kind = match item.state(moment) {
            ItemState::Overdue => IncidentKind::Overdue,
            ItemState::Interrupted if moment.steady(item.deadline) <= moment.now => IncidentKind::Overdue,
            ItemState::Failed => IncidentKind::Failed,
            ItemState::Held => IncidentKind::Held,
            _ => return None,
        };
        let group_by = &self.workflows.policy(&item.workflow).alerting.group_by;
        let mut key =
            IncidentKey { workflow: item.workflow.clone(), kind, group: group_of(&item.labels, group_by) };
        self.live.id(&key).or_else(|| {
            // If there were too many groups when it joined, it is in the one without labels.
            key.group.clear();
            self.live.id(&key)
        })
    }
}
