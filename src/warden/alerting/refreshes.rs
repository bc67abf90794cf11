//! Refreshes: receivers that forget what they do not hear of are told again that an incident is open.
//!
//! Nothing of it is kept, for it says nothing new: it carries the figures of the moment, and the next one comes soon. After
//! a restart the first goes out at once, since the receiver may be about to forget.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Report, is_open};
use crate::incident::Telling;
use crate::model::{Event, Incident, IncidentKey, Timestamp};
use crate::store::StoreError;
use crate::warden::Warden;

/// When each incident is to be refreshed next.
#[derive(Default)]
pub struct Refreshes(HashMap<IncidentKey, Timestamp>);

impl Warden {
    /// Refreshes an incident if it is time. Returns when the next refresh is due, if there is to be one.
    pub(super) async fn refresh(
        &self,
        key: &IncidentKey,
        refreshes: &mut Refreshes,
    ) -> Result<Option<Timestamp>, StoreError> {
        let incident = self.live_incidents.get(key).filter(is_open);
        let Some((incident, every)) = incident.and_then(|incident| {
            let every = self.forgetful(&incident).map(|(_, every)| every).min()?;
            Some((incident, every))
        }) else {
            refreshes.0.remove(key);
            return Ok(None);
        };
        let now = self.clock.now();
        let due = refreshes.0.entry(key.clone()).or_insert(now);
        if *due <= now {
            *due = now.after(every);
            self.send_refresh(self.live(incident), now).await?;
        }
        Ok(refreshes.0.get(key).copied())
    }

    /// The receivers that were told of an incident and forget it, and after how long they are to hear of it again.
    fn forgetful(&self, incident: &Incident) -> impl Iterator<Item = (Arc<str>, Duration)> {
        let every = |name: &Arc<str>| Some((name.clone(), self.receivers.get(name)?.resend()?));
        incident.told.iter().filter_map(every)
    }

    async fn send_refresh(&self, incident: Incident, now: Timestamp) -> Result<(), StoreError> {
        let samples = self.samples(&incident).await?;
        let report = Report {
            incident: &incident,
            told_count: incident.notified_count,
            samples: &samples,
            runbook_url: self.workflows.policy(&incident.key.workflow).alerting.runbook_url.as_ref(),
            base_url: &self.settings.external_url,
            now,
        };
        let receivers = self.forgetful(&incident).map(|(name, _)| name).collect();
        for delivery in self.deliveries_to(&Telling { event: Event::Reminder, receivers }, &report) {
            self.notifier.refresh(delivery, now);
        }
        Ok(())
    }
}
