//! What incidents consist of: items, which the census counts, or missed starts, which the expectations count.

use std::collections::BTreeSet;

use super::Alerting;
use crate::incident::Observation;
use crate::model::{IncidentKey, IncidentKind};

impl Alerting {
    /// The counts of an incident.
    pub(super) fn observe(&self, key: &IncidentKey) -> Observation {
        match key.kind {
            IncidentKind::Missed => self.expected.observe(&key.workflow),
            IncidentKind::Overdue | IncidentKind::Failed | IncidentKind::Held => self.census.observe(key),
        }
    }

    /// The number of items in an incident; for missed starts, of windows.
    pub(super) fn count(&self, key: &IncidentKey) -> u64 {
        match key.kind {
            IncidentKind::Missed => self.expected.observe(&key.workflow).count,
            IncidentKind::Overdue | IncidentKind::Failed | IncidentKind::Held => self.census.count(key),
        }
    }

    /// The incidents for which this has changed since the last call.
    pub(super) fn take_changed(&self) -> BTreeSet<IncidentKey> {
        let mut changed = self.census.take_touched();
        changed.extend(self.expected.take_changed());
        changed
    }

    /// Completes when there are such incidents.
    pub(super) async fn changed(&self) {
        tokio::select! {
            biased;
            () = self.census.troubled() => {}
            () = self.expected.changed() => {}
        }
    }
}
