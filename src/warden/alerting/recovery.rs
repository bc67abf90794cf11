//! Reading the incidents that may still change when the daemon starts.

use super::actions::SNOOZE_MAX;
use super::{LiveIncidents, is_open};
use crate::incident::continues_until;
use crate::model::{Incident, Timestamp};
use crate::store::{Store, StoreError};
use crate::warden::Workflows;

/// How many incidents are read at once.
const INCIDENTS_AT_ONCE: usize = 500;

/// Reads the incidents that were open when the daemon ended, and those that may still be gone on with.
///
/// # Errors
/// When the store cannot read.
pub async fn recover(
    store: &dyn Store,
    workflows: &Workflows,
    now: Timestamp,
) -> Result<LiveIncidents, StoreError> {
    let live = LiveIncidents::default();
    let mut before = None;
    loop {
        let incidents = store.incidents(before, INCIDENTS_AT_ONCE).await?;
        let Some(last) = incidents.last() else { return Ok(live) };
        before = Some(last.id.clone());
        for incident in incidents {
            let policy = workflows.policy(&incident.key.workflow);
            let goes_on = continues_until(&incident, &policy.alerting).is_none_or(|until| now < until);
            // The newest come first, and only the newest of a key may be gone on with.
            let known = live.get(&incident.key);
            // Unless the clock was set back meanwhile: then an older one may be open, and somebody is owed its end.
            if goes_on && known.is_none_or(|known| is_open(&incident) && !is_open(&known)) {
                live.set(not_ahead(incident, now));
            }
        }
    }
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
