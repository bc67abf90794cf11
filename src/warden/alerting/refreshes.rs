//! Refreshes: receivers that forget what they do not hear of are told again that an incident is open.
//!
//! Nothing of it is kept, for it says nothing new: it carries the figures of the moment, and the next one comes soon. After
//! a restart the first goes out at once, since the receiver may be about to forget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Alerting;
use super::{Report, is_open};
use crate::incident::Telling;
use crate::model::{Delivery, Event, Incident, IncidentKey, Timestamp};
use crate::store::StoreError;

/// How long a refresh that a receiver could not be sent waits: it has many to be told of, or is failing.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// When each incident is to be refreshed next, receiver by receiver.
#[derive(Default)]
pub struct Refreshes(BTreeMap<IncidentKey, BTreeMap<Arc<str>, Timestamp>>);

impl Alerting {
    /// Refreshes an incident where it is time. Returns when the next refresh is due, if there is to be one.
    pub(super) async fn refresh(
        &self,
        key: &IncidentKey,
        refreshes: &mut Refreshes,
    ) -> Result<Option<Timestamp>, StoreError> {
        let incident = self.live.get(key).filter(is_open);
        let forgetful = incident.as_ref().map_or_else(BTreeMap::new, |incident| self.forgetful(incident));
        let Some(incident) = incident.filter(|_| !forgetful.is_empty()) else {
            refreshes.0.remove(key);
            return Ok(None);
        };
        let now = self.clock.now();
        let due = refreshes.0.entry(key.clone()).or_default();
        due.retain(|name, _| forgetful.contains_key(name));
        let is_due = |name: &&Arc<str>| due.get(*name).is_none_or(|at| *at <= now);
        // What could not be sent anyway is not even written.
        let refuses = |name: &Arc<str>| self.notifier.refuses_refresh(name, &incident.id, now);
        let (mut refused, sent): (Vec<_>, Vec<_>) =
            forgetful.keys().filter(is_due).cloned().partition(|name| refuses(name));
        if !sent.is_empty() {
            refused.extend(self.send_refresh(self.live(incident), sent.clone(), now).await?);
        }
        due.extend(sent.into_iter().map(|name| (name.clone(), now.after(forgetful[&name]))));
        due.extend(refused.into_iter().map(|name| (name, now.after(TRY_AGAIN))));
        Ok(due.values().min().copied())
    }

    /// The receivers that were told of an incident and forget it, and after how long they are to hear of it again.
    fn forgetful(&self, incident: &Incident) -> BTreeMap<Arc<str>, Duration> {
        let every = |name: &Arc<str>| Some((name.clone(), self.receivers.get(name)?.resend()?));
        incident.told.iter().filter_map(every).collect()
    }

    /// Tells these receivers of the incident again. Returns those that could not be told.
    async fn send_refresh(
        &self,
        incident: Incident,
        receivers: Vec<Arc<str>>,
        now: Timestamp,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        let samples = self.samples(&incident).await?;
        let report = Report {
            incident: &incident,
            told_count: incident.notified_count,
            samples: &samples,
            zone: self.workflows.zone(&incident.key.workflow),
            runbook_url: self.workflows.policy(&incident.key.workflow).alerting.runbook_url.as_ref(),
            base_url: &self.external_url,
            moment: self.clock.moment(),
        };
        let telling = Telling { event: Event::Reminder, receivers };
        let refuses = |delivery: Delivery| {
            let receiver = delivery.receiver.clone();
            (!self.notifier.refresh(delivery, now)).then_some(receiver)
        };
        Ok(self.deliveries_to(&telling, &report).into_iter().filter_map(refuses).collect())
    }
}
