//! Saves the outcomes of the items of open incidents: with each commit of an incident and periodically, so
//! that after a crash only the latest ones have to be counted again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Alerting;
use super::{commit, is_open};
use crate::model::{Incident, IncidentKey, OutcomeCounts, Timestamp};
use crate::store::{Command, Document, StoreError};

/// How often the counts of an incident are committed while nothing else of it changes.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// The counts as last committed, by incident.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<IncidentKey, Saved>);

struct Saved {
    at: Option<Timestamp>,
    outcomes: OutcomeCounts,
    /// The number of items.
    count: u64,
}

impl Alerting {
    /// Commits an incident's counts if they have changed and [`SAVE_EVERY`] has passed. Returns when the next
    /// commit is due.
    pub(super) async fn save_counts(
        &self,
        key: &IncidentKey,
        counts: &mut Counts,
    ) -> Result<Option<Timestamp>, StoreError> {
        let incident = self.live.get(key).filter(is_open);
        let Some((mut incident, outcomes)) =
            incident.and_then(|incident| incident.outcomes.map(|outcomes| (incident, outcomes)))
        else {
            counts.0.remove(key);
            return Ok(None);
        };
        let committed = || Saved { at: incident.counted_at, outcomes, count: incident.count };
        let saved = counts.0.entry(key.clone()).or_insert_with(committed);
        if saved.at != incident.counted_at {
            *saved = committed();
        }
        if saved.outcomes == outcomes {
            return Ok(None);
        }
        let now = self.clock.now();
        let save_at = incident.counted_at.map_or(now, |at| at.after(SAVE_EVERY));
        if save_at > now {
            return Ok(Some(save_at));
        }
        incident.counted_at = Some(now);
        self.store.apply(commit(&incident, &[])).await?;
        *saved = Saved { at: incident.counted_at, outcomes, count: incident.count };
        Ok(None)
    }

    /// Commits all unsaved counts at shutdown.
    pub(super) async fn save_all_counts(&self, counts: &Counts) {
        if let Err(error) = self.try_save_all_counts(counts).await {
            // They are counted again at the next start, as after a crash.
            tracing::warn!(%error, "the counts of incidents could not be committed at shutdown");
        }
    }

    async fn try_save_all_counts(&self, counts: &Counts) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut unsaved = Vec::new();
        for (key, saved) in &counts.0 {
            let observation = self.observe(key);
            if (observation.outcomes, observation.count) != (saved.outcomes, saved.count) {
                unsaved.extend(self.live.get(key).map(|incident| (incident, observation)));
            }
        }
        if unsaved.is_empty() {
            return Ok(());
        }
        // The last decisions may still be queued for commit, and must not be overwritten: wait for them.
        self.store.apply(vec![Command::put(Document::HealthCheck(now))]).await?;
        for (known, observation) in unsaved {
            let stored = self.store.incident(known.id.clone()).await?;
            let is_known = |stored: &Incident| is_open(stored) && stored.counted_at == known.counted_at;
            let Some(mut incident) = stored.filter(is_known).filter(|stored| stored.outcomes.is_some())
            else {
                continue;
            };
            (incident.outcomes, incident.count) = (Some(observation.outcomes), observation.count);
            incident.peak = incident.peak.max(observation.count);
            incident.counted_at = Some(now);
            self.store.apply(commit(&incident, &[])).await?;
        }
        Ok(())
    }
}
