//! The incidents that may still change: open ones, and resolved ones that may be reopened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::actions::SNOOZE_MAX;
use crate::incident::continues_until;
use crate::model::{Clock, Incident, IncidentId, IncidentKey, IncidentStatus, Timestamp};
use crate::store::{Change, Document, DocumentId, Observer};
use crate::warden::Workflows;

/// The latest incident of each key that is open or may be reopened. Readable outside the loop that decides.
///
/// Fed by the store with committed incidents. The loop adds uncommitted decisions
/// ([`LiveIncidents::keep_draft`]) and removes incidents that can no longer be reopened, since time alone
/// commits nothing.
pub struct LiveIncidents {
    incidents: RwLock<BTreeMap<IncidentKey, Incident>>,
    policies: Arc<Workflows>,
    clock: Arc<dyn Clock>,
}

impl LiveIncidents {
    pub fn new(policies: Arc<Workflows>, clock: Arc<dyn Clock>) -> Self {
        Self { incidents: RwLock::default(), policies, clock }
    }

    fn put(&self, incident: &Incident) {
        let now = self.clock.now();
        let policy = self.policies.policy(&incident.key.workflow);
        let is_over = continues_until(incident, &policy.alerting).is_some_and(|until| until <= now);
        let mut incidents = self.write();
        let takes_over = match incidents.get(&incident.key) {
            Some(known) if known.id == incident.id => true,
            // If the clock was set back, the older one may be open, and its resolution is still to be
            // notified.
            Some(known) if is_open(known) != is_open(incident) => is_open(incident),
            Some(known) => known.id < incident.id && !is_over,
            None => !is_over,
        };
        if takes_over {
            incidents.insert(incident.key.clone(), not_ahead(incident.clone(), now));
        }
    }

    /// Keeps a decision that is not committed.
    pub(super) fn keep_draft(&self, incident: Incident) {
        self.write().insert(incident.key.clone(), incident);
    }

    /// Open or recently resolved.
    pub(in crate::warden) fn get(&self, key: &IncidentKey) -> Option<Incident> {
        self.read().get(key).cloned()
    }

    pub(in crate::warden) fn open_by_id(&self, id: &IncidentId) -> Option<Incident> {
        self.read().values().find(|incident| incident.id == *id && is_open(incident)).cloned()
    }

    /// Open or recently resolved.
    pub(in crate::warden) fn by_id(&self, id: &IncidentId) -> Option<Incident> {
        self.read().values().find(|incident| incident.id == *id).cloned()
    }

    /// The id of the open incident of a key.
    pub fn id(&self, key: &IncidentKey) -> Option<IncidentId> {
        self.read().get(key).filter(|incident| is_open(incident)).map(|incident| incident.id.clone())
    }

    /// The number of open incidents with items.
    pub fn count(&self) -> usize {
        self.read().values().filter(|incident| !incident.is_over()).count()
    }

    pub(super) fn keys_of(&self, ids: &BTreeSet<IncidentId>) -> Vec<IncidentKey> {
        if ids.is_empty() {
            return Vec::new();
        }
        let among = |incident: &&Incident| ids.contains(&incident.id);
        self.read().values().filter(among).map(|incident| incident.key.clone()).collect()
    }

    /// Whether the open incident of a key has no items left and its resolution is deferred.
    pub(super) fn is_ending(&self, key: &IncidentKey) -> bool {
        self.read().get(key).is_some_and(|incident| is_open(incident) && incident.ending_since.is_some())
    }

    /// The keys of all incidents for which [`LiveIncidents::is_ending`] holds.
    pub(super) fn ending(&self) -> BTreeSet<IncidentKey> {
        let incidents = self.read();
        let ending =
            incidents.iter().filter(|(_, incident)| is_open(incident) && incident.ending_since.is_some());
        ending.map(|(key, _)| key.clone()).collect()
    }

    /// An open incident of the workflow.
    pub(in crate::warden) fn open_of(&self, workflow: &str) -> Option<Incident> {
        self.read()
            .values()
            .find(|incident| is_open(incident) && &*incident.key.workflow == workflow)
            .cloned()
    }

    pub(in crate::warden) fn keys(&self) -> BTreeSet<IncidentKey> {
        self.read().keys().cloned().collect()
    }

    pub(super) fn remove(&self, key: &IncidentKey) {
        self.write().remove(key);
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<IncidentKey, Incident>> {
        self.incidents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<IncidentKey, Incident>> {
        self.incidents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for LiveIncidents {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(Document::Incident(incident)) => self.put(incident),
                Change::Removed(DocumentId::Incident(id)) => {
                    self.write().retain(|_, incident| incident.id != *id);
                }
                Change::Item { .. } | Change::Step { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}

fn is_open(incident: &Incident) -> bool {
    incident.status == IncidentStatus::Open
}

/// Instants in the future are from before the clock was set back. They count as now, so that nothing waits
/// for them a second time.
fn not_ahead(mut incident: Incident, now: Timestamp) -> Incident {
    incident.snoozed_until = incident.snoozed_until.map(|until| until.min(now.after(SNOOZE_MAX)));
    for instant in [
        &mut incident.notified_at,
        &mut incident.first_notified_at,
        &mut incident.reopened_at,
        &mut incident.resolved_at,
        &mut incident.ending_since,
        &mut incident.counted_at,
    ] {
        *instant = instant.map(|at| at.min(now));
    }
    for instant in &mut incident.reopenings {
        *instant = (*instant).min(now);
    }
    incident.opened_at = incident.opened_at.min(now);
    incident
}
