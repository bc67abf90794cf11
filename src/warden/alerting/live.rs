//! The incidents that may still change: the open ones, and those that a flapping workflow may go on with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::model::{Incident, IncidentId, IncidentKey, IncidentStatus};

/// Incidents as they may be looked at from outside the loop that decides about them: for each key the one that is open or
/// was resolved a moment ago.
#[derive(Default)]
pub struct LiveIncidents(RwLock<BTreeMap<IncidentKey, Incident>>);

impl LiveIncidents {
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

    /// The ids of all that are open.
    pub fn open_ids(&self) -> Vec<IncidentId> {
        self.read()
            .values()
            .filter(|incident| is_open(incident))
            .map(|incident| incident.id.clone())
            .collect()
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

    /// All that are open.
    pub(in crate::warden) fn open(&self) -> Vec<Incident> {
        self.read().values().filter(|incident| is_open(incident)).cloned().collect()
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

    pub(in crate::warden) fn set(&self, incident: Incident) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(incident.key.clone(), incident);
    }

    pub(in crate::warden) fn remove(&self, key: &IncidentKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<IncidentKey, Incident>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_open(incident: &Incident) -> bool {
    incident.status == IncidentStatus::Open
}
