//! The notification policy: the life of an incident.
//!
//! Invariants:
//!
//! * An incident that holds items is told about once `group_wait` has passed since it opened, if its workflow has
//!   receivers; otherwise as soon as it has some.
//! * Whoever was told of an incident is told of its end, and nobody else is.
//! * An incident whose last item goes before `group_wait` has passed wakes nobody.
//! * A decision never depends on how often it is asked for: asking again at the same instant with the same
//!   observation says nothing new.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::workflow::AlertPolicy;
use crate::model::{Event, Incident, IncidentId, IncidentKind, IncidentStatus, Timestamp, WorkflowName};

/// How many steps an incident remembers to have told. Where clients make steps up there is no end of them: from here on
/// only the count tells growth, and the incident's record stays small.
const STEPS_TOLD_MAX: usize = 64;

/// What can be seen of an incident's items at an instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// How many there are.
    pub count: u64,
    /// The earliest of their deadlines.
    pub oldest_deadline: Option<Timestamp>,
    /// How many are stuck at each step; the empty name stands for items without one.
    pub by_step: BTreeMap<Arc<str>, u64>,
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// What.
    pub event: Event,
    /// To whom, by receiver name; never empty.
    pub receivers: Vec<Arc<str>>,
}

/// What follows from an observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The incident as it is now.
    pub incident: Incident,
    /// Whether the incident must be committed: it opened, somebody is told, or it is resolved.
    pub commit: bool,
    /// What is to be told.
    pub telling: Option<Telling>,
    /// When to decide again, if nothing happens until then.
    pub wake_at: Option<Timestamp>,
}

/// Decides about the incident of one workflow and kind. `open` is its open incident, if there is one; `id` names a new
/// one. Nothing follows when there is neither an incident nor an item.
pub fn decide(
    open: Option<&Incident>,
    workflow: &WorkflowName,
    kind: IncidentKind,
    observation: &Observation,
    policy: &AlertPolicy,
    now: Timestamp,
    id: impl FnOnce() -> IncidentId,
) -> Option<Decision> {
    let mut incident = match open {
        Some(incident) => incident.clone(),
        None if observation.count == 0 => return None,
        None => Incident {
            id: id(),
            workflow: workflow.clone(),
            kind,
            status: IncidentStatus::Open,
            severity: policy.severity.clone(),
            opened_at: now,
            resolved_at: None,
            count: 0,
            peak: 0,
            oldest_deadline: None,
            by_step: BTreeMap::new(),
            notified_at: None,
            notified_count: 0,
            notified_steps: std::collections::BTreeSet::new(),
            told: std::collections::BTreeSet::new(),
        },
    };
    incident.count = observation.count;
    incident.peak = incident.peak.max(observation.count);
    incident.oldest_deadline = observation.oldest_deadline;
    incident.by_step = observation.by_step.clone();
    if observation.count == 0 {
        return Some(resolve(incident, now));
    }
    if policy.receivers.is_empty() {
        // Nobody can be told, so nobody counts as told: whoever is made a receiver later hears of it from its beginning.
        return Some(Decision { incident, commit: open.is_none(), telling: None, wake_at: None });
    }
    Some(match due_event(&incident, policy, now) {
        Due::Now(event) => tell(incident, event, policy, now),
        Due::At(wake_at) => {
            Decision { incident, commit: open.is_none(), telling: None, wake_at: Some(wake_at) }
        }
    })
}

enum Due {
    Now(Event),
    At(Timestamp),
}

fn due_event(incident: &Incident, policy: &AlertPolicy, now: Timestamp) -> Due {
    let at = |instant: Timestamp, event| if instant <= now { Due::Now(event) } else { Due::At(instant) };
    match incident.notified_at {
        None => at(incident.opened_at.after(policy.group_wait), Event::Opened),
        Some(told) => {
            let reminder = told.after(policy.repeat_interval);
            let growth = told.after(policy.group_interval);
            if has_grown(incident, policy) && growth <= reminder {
                at(growth, Event::Grown)
            } else {
                at(reminder, Event::Reminder)
            }
        }
    }
}

/// Whether it is so much larger than what was told last, or has reached a step that was not told, that people should
/// know.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts far beyond 2^52 items are not met, and only a ratio is asked"
)]
fn has_grown(incident: &Incident, policy: &AlertPolicy) -> bool {
    let larger = incident.count > incident.notified_count
        && incident.count as f64 >= incident.notified_count as f64 * policy.grow_factor;
    let told = &incident.notified_steps;
    larger || (told.len() < STEPS_TOLD_MAX && incident.by_step.keys().any(|step| !told.contains(step)))
}

fn tell(mut incident: Incident, event: Event, policy: &AlertPolicy, now: Timestamp) -> Decision {
    incident.notified_at = Some(now);
    incident.notified_count = incident.count;
    for step in incident.by_step.keys() {
        if incident.notified_steps.len() == STEPS_TOLD_MAX {
            break;
        }
        incident.notified_steps.insert(step.clone());
    }
    incident.told.extend(policy.receivers.iter().cloned());
    let wake_at = match due_event(&incident, policy, now) {
        // Only with intervals of zero; a moment later is soon enough.
        Due::Now(_) => now.after(std::time::Duration::from_secs(1)),
        Due::At(instant) => instant,
    };
    let telling = Telling { event, receivers: policy.receivers.clone() };
    Decision { incident, commit: true, telling: Some(telling), wake_at: Some(wake_at) }
}

fn resolve(mut incident: Incident, now: Timestamp) -> Decision {
    incident.status = IncidentStatus::Resolved;
    incident.resolved_at = Some(now);
    let telling = (!incident.told.is_empty())
        .then(|| Telling { event: Event::Resolved, receivers: incident.told.iter().cloned().collect() });
    Decision { incident, commit: true, telling, wake_at: None }
}
