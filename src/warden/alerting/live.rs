//! The incidents that may still change: the open ones, and those that a flapping workflow may go on with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::actions::SNOOZE_MAX;
use crate::incident::continues_until;
use crate::model::{Clock, Incident, IncidentId, IncidentKey, IncidentStatus, Timestamp};
use crate::store::{Change, Document, DocumentId, Observer};
use crate::warden::Workflows;

/// Incidents as they may be looked at from outside the loop that decides about them: for each key the one that is open or
/// was resolved a moment ago.
///
/// The store tells of every incident that is committed. Besides, the loop keeps what it decided since the last commit
/// ([`LiveIncidents::keep_draft`]), and removes what is over for good, which is a matter of time and commits nothing.
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
            // Unless the clock was set back: then an older one may be open, and its end is still to be told.
            Some(known) if is_open(known) != is_open(incident) => is_open(incident),
            Some(known) => known.id < incident.id && !is_over,
            None => !is_over,
        };
        if takes_over {
            incidents.insert(incident.key.clone(), not_ahead(incident.clone(), now));
        }
    }

    /// Keeps what was decided about an incident and is not committed.
    pub(super) fn keep_draft(&self, incident: Incident) {
        self.write().insert(incident.key.clone(), incident);
    }

    /// The open or lately resolved incident of a key.
    pub(in crate::warden) fn get(&self, key: &IncidentKey) -> Option<Incident> {
        self.read().get(key).cloned()
    }

    /// The open incident with this id.
    pub(in crate::warden) fn open_by_id(&self, id: &IncidentId) -> Option<Incident> {
        self.read().values().find(|incident| incident.id == *id && is_open(incident)).cloned()
    }

    /// The open or lately resolved incident with this id.
    pub(in crate::warden) fn by_id(&self, id: &IncidentId) -> Option<Incident> {
        self.read().values().find(|incident| incident.id == *id).cloned()
    }

    /// The id of the open incident of a key.
    pub fn id(&self, key: &IncidentKey) -> Option<IncidentId> {
        self.read().get(key).filter(|incident| is_open(incident)).map(|incident| incident.id.clone())
    }

    /// How many are open, and have something left.
    pub fn count(&self) -> usize {
        self.read().values().filter(|incident| !incident.is_over()).count()
    }

    /// The keys of those with these ids.
    pub(super) fn keys_of(&self, ids: &BTreeSet<IncidentId>) -> Vec<IncidentKey> {
        if ids.is_empty() {
            return Vec::new();
        }
        let among = |incident: &&Incident| ids.contains(&incident.id);
        self.read().values().filter(among).map(|incident| incident.key.clone()).collect()
    }

    /// Whether nothing is left of the open incident of a key, and its end waits for another to be told.
    pub(super) fn is_ending(&self, key: &IncidentKey) -> bool {
        self.read().get(key).is_some_and(|incident| is_open(incident) && incident.ending_since.is_some())
    }

    /// The keys of all of which that is so.
    pub(super) fn ending(&self) -> BTreeSet<IncidentKey> {
        let incidents = self.read();
        let ending =
            incidents.iter().filter(|(_, incident)| is_open(incident) && incident.ending_since.is_some());
        ending.map(|(key, _)| key.clone()).collect()
    }

    /// One that is open, of a workflow.
    pub(in crate::warden) fn open_of(&self, workflow: &str) -> Option<Incident> {
        self.read()
            .values()
            .find(|incident| is_open(incident) && &*incident.key.workflow == workflow)
            .cloned()
    }

    /// The keys of all of them.
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
                Change::Item { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}

fn is_open(incident: &Incident) -> bool {
    incident.status == IncidentStatus::Open
}

/// What seems to lie ahead happened before the clock was set back; nobody is to wait for it again.
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
