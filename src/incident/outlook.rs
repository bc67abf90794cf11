//! When people are notified next of an incident, and what delays that.

#[cfg(test)]
mod tests;

use super::policy::{Circumstances, Due, damped_until, due, has_grown};
use crate::model::{Incident, IncidentStatus, Timestamp, WaitingFor};

/// The forecast for an incident if nothing happens to its items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The next notification; `None` if there is none, or it depends on a person.
    pub next_told_at: Option<Timestamp>,
    /// What delays it; `None` if it is merely the next reminder or escalation.
    pub waiting_for: Option<WaitingFor>,
}

/// The forecast by the policy, silences and snoozes. Whether receivers hold back deliveries is not
/// considered.
pub fn outlook(incident: &Incident, circumstances: &Circumstances<'_>) -> Outlook {
    let Circumstances { policy, silence, now, .. } = *circumstances;
    if incident.status != IncidentStatus::Open || incident.count == 0 {
        return Outlook::default();
    }
    let planned = match due(incident, circumstances) {
        Due::Now(_) => now,
        Due::At(at) => at,
        Due::Never => return Outlook::default(),
    };
    let (mut at, mut quiet) = (planned, None);
    // A silence or snooze may begin within another one, so that both apply in turn.
    loop {
        if let Some(until) = silence(at).filter(|until| *until > at) {
            (at, quiet) = (until, Some(WaitingFor::Silence));
        } else if let Some(until) = incident.snoozed_until.filter(|until| *until > at) {
            (at, quiet) = (until, Some(WaitingFor::Snooze));
        } else {
            break;
        }
    }
    // Of two that end together, always the same one is named, so that the forecast stays.
    if quiet.is_some() && incident.snoozed_until == Some(at) {
        quiet = Some(WaitingFor::Snooze);
    }
    let waiting_for = quiet.or_else(|| {
        if planned <= now {
            None
        } else if incident.first_notified_at.is_none() {
            let is_damped = damped_until(incident, policy).is_some_and(|until| until == planned);
            Some(if is_damped { WaitingFor::Damping } else { WaitingFor::GroupWait })
        } else {
            let told_at = incident.notified_at.unwrap_or(incident.opened_at);
            let is_growth = has_grown(incident, policy) && planned == told_at.after(policy.group_interval);
            is_growth.then_some(WaitingFor::GroupInterval)
        }
    });
    Outlook { next_told_at: Some(at), waiting_for }
}
