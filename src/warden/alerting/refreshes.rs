//! Refreshes: receivers that expire alerts get the notification of an open incident periodically.
//!
//! Refreshes are not stored: each has the current counts, and the next one follows soon. After a restart the
//! first is sent at once, since the receiver may be about to expire the alert.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Alerting;
use super::{Report, is_open};
use crate::incident::Dispatch;
use crate::model::{Delivery, Event, Incident, IncidentKey, Timestamp};
use crate::store::StoreError;

/// The pause before a refresh is retried that its receiver did not accept: its queue is full, or it is
/// failing.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// When the next refresh is due, by incident and receiver.
#[derive(Default)]
pub struct Refreshes(BTreeMap<IncidentKey, BTreeMap<Arc<str>, Timestamp>>);

impl Alerting {
    /// Sends the refreshes that are due. Returns when the next one is.
    pub(super) async fn refresh(
        &self,
        key: &IncidentKey,
        refreshes: &mut Refreshes,
    ) -> Result<Option<Timestamp>, StoreError> {
        let incident = self.live.get(key).filter(is_open);
        let intervals = incident.as_ref().map_or_else(BTreeMap::new, |incident| self.intervals(incident));
        let Some(incident) = incident.filter(|_| !intervals.is_empty()) else {
            refreshes.0.remove(key);
            return Ok(None);
        };
        let now = self.clock.now();
        let due = refreshes.0.entry(key.clone()).or_default();
        due.retain(|name, _| intervals.contains_key(name));
        let is_due = |name: &&Arc<str>| due.get(*name).is_none_or(|at| *at <= now);
        // A refresh that would be refused is not even written.
        let refuses = |name: &Arc<str>| self.notifier.refuses_refresh(name, &incident.id, now);
        let (mut refused, sent): (Vec<_>, Vec<_>) =
            intervals.keys().filter(is_due).cloned().partition(|name| refuses(name));
        if !sent.is_empty() {
            refused.extend(self.send_refresh(self.live(incident), sent.clone(), now).await?);
        }
        due.extend(sent.into_iter().map(|name| (name.clone(), now.after(intervals[&name]))));
        due.extend(refused.into_iter().map(|name| (name, now.after(TRY_AGAIN))));
        Ok(due.values().min().copied())
    }

    /// The receivers of an incident that expire alerts, each with its refresh interval.
    fn intervals(&self, incident: &Incident) -> BTreeMap<Arc<str>, Duration> {
        let every = |name: &Arc<str>| Some((name.clone(), self.notifier.receiver(name)?.resend()?));
        incident.told.iter().filter_map(every).collect()
    }

    /// Sends a refresh to these receivers. Returns those that refused it.
    async fn send_refresh(
        &self,
        incident: Incident,
        receivers: Vec<Arc<str>>,
        now: Timestamp,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        let samples = self.samples(&incident).await?;
        let policy = self.workflows.policy(&incident.key.workflow);
        let report = Report {
            incident: &incident,
            told_count: incident.notified_count,
            samples: &samples,
            zone: policy.zone(),
            runbook_url: policy.alerting.runbook_url.as_ref(),
            base_url: &self.external_url,
            moment: self.clock.moment(),
        };
        let dispatch = Dispatch { event: Event::Reminder, receivers };
        let refuses = |delivery: Delivery| {
            let receiver = delivery.receiver.clone();
            (!self.notifier.refresh(delivery, now)).then_some(receiver)
        };
        Ok(self.deliveries_to(&dispatch, &report).into_iter().filter_map(refuses).collect())
    }
}
