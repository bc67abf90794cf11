//! Logs why a notification is deferred: once for each incident and reason.

use std::collections::BTreeMap;

use super::Alerting;
use crate::model::{IncidentKey, WaitingFor};

/// The last logged reason of each incident.
#[derive(Default)]
pub(super) struct Deferred(BTreeMap<IncidentKey, WaitingFor>);

impl Deferred {
    /// Logs why the next notification of an incident is deferred, if the reason is new.
    pub(super) fn log(&mut self, alerting: &Alerting, key: &IncidentKey) {
        let Some(incident) = alerting.live.get(key) else {
            self.0.remove(key);
            return;
        };
        let outlook = alerting.outlook(&incident);
        let Some(waiting_for) = outlook.waiting_for else {
            self.0.remove(key);
            return;
        };
        if self.0.insert(key.clone(), waiting_for) == Some(waiting_for) {
            return;
        }
        let (id, workflow, kind) = (&*incident.id.0, &*key.workflow, key.kind.as_str());
        let waiting_for = waiting_for.as_str();
        let next_told_at = outlook.next_told_at.map(|at| alerting.clock.moment().wall(at).to_string());
        let next_told_at = next_told_at.as_deref().unwrap_or("unknown");
        tracing::info!(incident = id, workflow, kind, waiting_for, next_told_at, "notification deferred");
    }
}
