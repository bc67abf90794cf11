//! Refreshes: receivers that expire alerts get the notification of an open incident periodically.
//!
//! Refreshes are not stored: each has the current counts, and the next one follows soon. After a restart the
//! first is sent at once, since the receiver may be about to expire the alert. Otherwise the first is due an
//! interval after the notification.

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

pub struct Refreshes {
    /// The start of the daemon.
    since: Timestamp,
    /// When the next one is due, by incident and receiver.
    due: BTreeMap<IncidentKey, BTreeMap<Arc<str>, Timestamp>>,
}

impl Refreshes {
    pub(super) fn new(since: Timestamp) -> Self {
        Self { since, due: BTreeMap::new() }
    }

    /// When the first refresh is due of an incident that was notified then.
    fn first_due(&self, notified_at: Option<Timestamp>, interval: Duration) -> Timestamp {
        notified_at.filter(|at| *at > self.since).map_or(self.since, |at| at.after(interval))
    }
}

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
            refreshes.due.remove(key);
            return Ok(None);
        };
        let now = self.clock.now();
        let mut due = refreshes.due.remove(key).unwrap_or_default();
        due.retain(|name, _| intervals.contains_key(name));
        for (name, interval) in &intervals {
            due.entry(name.clone()).or_insert_with(|| refreshes.first_due(incident.notified_at, *interval));
        }
        let is_due = |name: &&Arc<str>| due[*name] <= now;
        // A refresh that would be refused is not even written.
        let refuses = |name: &Arc<str>| self.notifier.refuses_refresh(name, &incident.id, now);
        let (mut refused, sent): (Vec<_>, Vec<_>) =
            intervals.keys().filter(is_due).cloned().partition(|name| refuses(name));
        if !sent.is_empty() {
            refused.extend(self.send_refresh(self.live(incident), sent.clone(), now).await?);
        }
        due.extend(sent.into_iter().map(|name| (name.clone(), now.after(intervals[&name]))));
        due.extend(refused.into_iter().map(|name| (name, now.after(TRY_AGAIN))));
        let next = due.values().min().copied();
        refreshes.due.insert(key.clone(), due);
        Ok(next)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refresh_follows_a_restart_at_once_and_a_notification_after_the_interval() {
        let [start, notified] = [10, 40].map(|second| Timestamp::from_millis(second * 1000));
        let interval = Duration::from_secs(30);
        let refreshes = Refreshes::new(start);
        assert_eq!(refreshes.first_due(Some(notified), interval), notified.after(interval));
        let restart = notified.after(Duration::from_secs(1));
        assert_eq!(Refreshes::new(restart).first_due(Some(notified), interval), restart);
    }
}
