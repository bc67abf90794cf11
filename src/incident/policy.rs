//! The notification policy: the life cycle of an incident.
//!
//! Invariants:
//!
//! * An incident with items is notified once `group_wait` has passed since it began, if its workflow has
//!   receivers and nothing mutes it; otherwise as soon as that is the case.
//! * Whoever was notified that an incident is open is notified of its resolution, despite silence and snooze,
//!   and nobody else.
//! * The resolution of an incident whose items are in trouble in another one is notified after the opening of
//!   that one, as long as that is about to be notified to a receiver which expects the resolution. If items
//!   come back in the meantime, the incident has not ended.
//! * An incident whose last item leaves before `group_wait` has passed notifies nobody.
//! * An incident that begins again within `group_interval` of its end is reopened, and notified after
//!   `group_wait` like any other. One that flaps, having reopened often enough within a window, is not
//!   notified before `damping` has passed since the last notification: from then on it sends at most two
//!   notifications in that time. Damping depends on time alone, so that one that stays open is notified at
//!   the latest after `group_wait` and `damping`.
//! * A silence or a snooze delays notifications, it does not drop them: what is still open when it ends is
//!   notified then.
//! * Decisions are idempotent: deciding again at the same instant with the same observation changes nothing.

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::incident::REOPENINGS_KEPT;
use crate::model::workflow::AlertPolicy;
use crate::model::{
    Continuation, Event, Flapping, Incident, IncidentId, IncidentKey, IncidentKind, IncidentStatus, Missed,
    OutcomeCounts, Timestamp,
};

/// The most steps that an incident remembers as notified. Clients may create any number of steps; beyond
/// these only the count indicates growth, and the incident's record stays small.
const STEPS_TOLD_MAX: usize = 64;

/// The items of an incident as observed at an instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// For missed starts, the number of windows.
    pub count: u64,
    /// The earliest deadline; for missed starts, the end of the first window.
    pub oldest_deadline: Option<Timestamp>,
    /// Items by step; the empty name stands for items without one.
    pub by_step: BTreeMap<Arc<str>, u64>,
    /// Set for missed starts.
    pub missed: Option<Missed>,
    /// The outcomes of the items that have left since the incident began.
    pub outcomes: OutcomeCounts,
}

/// What a decision depends on besides the items.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The workflow's policy.
    pub policy: &'a AlertPolicy,
    /// Until when silences that match the incident at an instant last; `None` if none does.
    pub silence: &'a dyn Fn(Timestamp) -> Option<Timestamp>,
    /// The incident in which the items that left this one are in trouble. Matters only once no item is left.
    pub successor: Option<&'a Successor>,
    /// Whether the last notification does not reach a receiver.
    pub is_failing: &'a dyn Fn(&str) -> bool,
    pub now: Timestamp,
}

/// The incident in which the items of another are in trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Successor {
    /// It is about to be opened.
    Coming,
    /// It is open.
    Open {
        continuation: Continuation,
        /// Whether a receiver that expects the resolution of the other is notified of it soon; see
        /// [`is_awaited`].
        is_awaited: bool,
    },
}

/// A notification that is to be sent to several receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    pub event: Event,
    /// By name; never empty.
    pub receivers: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The incident after the decision.
    pub incident: Incident,
    /// Whether the incident must be committed: it began, is resolved, notifies somebody, or became muted.
    pub commit: bool,
    /// The notifications; each receiver occurs in at most one.
    pub dispatches: Vec<Dispatch>,
    /// When to decide again, if nothing changes until then.
    pub wake_at: Option<Timestamp>,
}

/// Decides about the incident of one key. `last` is the open or the last resolved one, if it is known; `id`
/// names a new one. Returns `None` if no incident is open and there are no items to open one for.
pub fn decide(
    last: Option<&Incident>,
    key: &IncidentKey,
    observation: &Observation,
    circumstances: &Circumstances<'_>,
    id: impl FnOnce() -> IncidentId,
) -> Option<Decision> {
    let Circumstances { policy, now, .. } = *circumstances;
    let (mut incident, begins) = match last {
        Some(open) if open.status == IncidentStatus::Open => (open.clone(), false),
        _ if observation.count == 0 => return None,
        Some(ended) if goes_on(ended, policy, now) => (reopened(ended, policy, now), true),
        _ => (new(id(), key, policy, now), true),
    };
    incident.count = observation.count;
    incident.peak = incident.peak.max(observation.count);
    incident.oldest_deadline = observation.oldest_deadline;
    incident.by_step = observation.by_step.clone();
    incident.missed = observation.missed;
    if incident.outcomes.is_some() {
        incident.outcomes = Some(observation.outcomes);
    }
    if observation.count == 0 {
        return Some(end(incident, circumstances));
    }
    incident.ending_since = None;
    if incident.snoozed_until.is_some_and(|until| until <= now) {
        incident.snoozed_until = None;
    }
    Some(go_on(incident, begins, circumstances))
}

/// Whether receivers that expect the resolution of `ended` are about to be notified, for the first time, that
/// `successor` is open: its own receivers or, if those are not reached, its fallbacks. `circumstances` are
/// those of `successor`.
pub fn is_awaited(successor: &Incident, ended: &Incident, circumstances: &Circumstances<'_>) -> bool {
    let Circumstances { policy, silence, now, .. } = *circumstances;
    let is_quiet = silence(now).is_some() || successor.snoozed_until.is_some_and(|until| until > now);
    let soon = if successor.first_notified_at.is_none() {
        &policy.receivers
    } else if needs_fallback(successor, circumstances) {
        // Fallbacks are notified a moment after the receivers that are not reached.
        &policy.fallback
    } else {
        return false;
    };
    let is_owed = |receiver| ended.told.contains(receiver) && !successor.told.contains(receiver);
    successor.status == IncidentStatus::Open && !is_quiet && soon.iter().any(is_owed)
}

/// Until when a resolved incident is reopened if items come back.
pub fn continues_until(ended: &Incident, policy: &AlertPolicy) -> Option<Timestamp> {
    ended.resolved_at.map(|at| at.after(policy.group_interval))
}

fn goes_on(ended: &Incident, policy: &AlertPolicy, now: Timestamp) -> bool {
    continues_until(ended, policy).is_some_and(|until| now < until)
}

fn new(id: IncidentId, key: &IncidentKey, policy: &AlertPolicy, now: Timestamp) -> Incident {
    Incident {
        id,
        key: key.clone(),
        status: IncidentStatus::Open,
        severity: policy.severity,
        opened_at: now,
        reopened_at: None,
        reopenings: Vec::new(),
        resolved_at: None,
        ending_since: None,
        outcomes: (key.kind != IncidentKind::Missed).then(OutcomeCounts::default),
        counted_at: None,
        continued_in: None,
        count: 0,
        peak: 0,
        oldest_deadline: None,
        by_step: BTreeMap::new(),
        missed: None,
        notified_at: None,
        first_notified_at: None,
        notified_count: 0,
        notified_steps: BTreeSet::new(),
        told: BTreeSet::new(),
        escalations: 0,
        muted: false,
        notifications: 0,
        acknowledged: false,
        snoozed_until: None,
        actions: Vec::new(),
    }
}

/// Everybody was notified of the resolution, so everybody is to be notified of the reopening. A snooze stays
/// in force: somebody wanted quiet about this very incident.
fn reopened(ended: &Incident, policy: &AlertPolicy, now: Timestamp) -> Incident {
    let mut reopenings = ended.reopenings.clone();
    reopenings.push(now);
    let surplus = reopenings.len().saturating_sub(REOPENINGS_KEPT);
    reopenings.drain(..surplus);
    Incident {
        reopenings,
        notifications: ended.notifications,
        notified_at: ended.notified_at,
        opened_at: ended.opened_at,
        reopened_at: Some(now),
        peak: ended.peak,
        snoozed_until: ended.snoozed_until,
        actions: ended.actions.clone(),
        ..new(ended.id.clone(), &ended.key, policy, now)
    }
}

/// Resolves an incident without items, or postpones that.
fn end(mut incident: Incident, circumstances: &Circumstances<'_>) -> Decision {
    let Circumstances { successor, now, .. } = *circumstances;
    let is_held = match successor {
        None => false,
        Some(Successor::Coming) => true,
        Some(Successor::Open { is_awaited, .. }) => *is_awaited,
    };
    if is_held && !incident.told.is_empty() {
        let commit = incident.ending_since.is_none();
        incident.ending_since.get_or_insert(now);
        // Every change of the successor causes another decision.
        return Decision { incident, commit, dispatches: Vec::new(), wake_at: None };
    }
    if let Some(Successor::Open { continuation, .. }) = successor {
        incident.continued_in = Some(continuation.clone());
    }
    resolve(incident, now)
}

fn resolve(mut incident: Incident, now: Timestamp) -> Decision {
    incident.status = IncidentStatus::Resolved;
    incident.resolved_at = Some(incident.ending_since.take().unwrap_or(now));
    incident.muted = false;
    let receivers: Vec<Arc<str>> = incident.told.iter().cloned().collect();
    let mut dispatches = Vec::new();
    if !receivers.is_empty() {
        incident.notified_at = Some(now);
        incident.notifications += 1;
        dispatches.push(Dispatch { event: Event::Resolved, receivers });
    }
    Decision { incident, commit: true, dispatches, wake_at: None }
}

fn go_on(incident: Incident, begins: bool, circumstances: &Circumstances<'_>) -> Decision {
    let Circumstances { policy, silence, now, .. } = *circumstances;
    let due = due(&incident, circumstances);
    if silence(now).is_some() || incident.snoozed_until.is_some() {
        // Notified when the silence or snooze ends, unless the incident is over by then.
        let (muted, wake_at) = match due {
            Due::Now(_) => (true, None),
            Due::At(at) => (incident.muted, Some(at)),
            Due::Never => (incident.muted, None),
        };
        let wake_at = [wake_at, incident.snoozed_until].into_iter().flatten().min();
        let commit = begins || muted != incident.muted;
        return Decision {
            incident: Incident { muted, ..incident },
            commit,
            dispatches: Vec::new(),
            wake_at,
        };
    }
    match due {
        Due::Now(dispatches) => {
            let told = tell(incident, &dispatches, policy, now);
            let wake_at = match self::due(&told, circumstances) {
                // Only with intervals of zero; a second later is soon enough.
                Due::Now(_) => Some(now.after(Duration::from_secs(1))),
                Due::At(instant) => Some(instant),
                Due::Never => None,
            };
            Decision { incident: told, commit: true, dispatches, wake_at }
        }
        Due::At(at) => Decision { incident, commit: begins, dispatches: Vec::new(), wake_at: Some(at) },
        Due::Never => Decision { incident, commit: begins, dispatches: Vec::new(), wake_at: None },
    }
}

pub(super) enum Due {
    Now(Vec<Dispatch>),
    At(Timestamp),
    /// There is no receiver, so nobody counts as notified: a receiver that is added later gets the opening.
    Never,
}

pub(super) fn due(incident: &Incident, circumstances: &Circumstances<'_>) -> Due {
    let Circumstances { policy, now, .. } = *circumstances;
    let Some(first_notified_at) = incident.first_notified_at else {
        let at = opening_at(incident, policy);
        return match &policy.receivers {
            receivers if receivers.is_empty() => Due::Never,
            _ if at > now => Due::At(at),
            receivers => Due::Now(vec![Dispatch { event: Event::Opened, receivers: receivers.clone() }]),
        };
    };
    let mut dispatches = Vec::new();
    let mut next = Timestamp::MAX;
    let audience = audience(incident, policy);
    if !audience.is_empty() {
        let (at, event) = recurring(incident, policy);
        if at <= now {
            dispatches.push(Dispatch { event, receivers: audience });
        } else {
            next = next.min(at);
        }
    }
    let mut hear = |event, receivers: &[Arc<str>]| {
        let heard = |receiver: &&Arc<str>| {
            !dispatches.iter().any(|dispatch: &Dispatch| dispatch.receivers.contains(receiver))
        };
        let receivers: Vec<Arc<str>> = receivers.iter().filter(heard).cloned().collect();
        if !receivers.is_empty() {
            dispatches.push(Dispatch { event, receivers });
        }
    };
    if !incident.acknowledged
        && let Some(level) = policy.escalate.get(incident.escalations)
    {
        let at = first_notified_at.after(level.after);
        if at <= now {
            // After a silence or a downtime, all levels that are due are notified together.
            let levels = &policy.escalate[incident.escalations..reached(incident, policy, now)];
            let receivers: BTreeSet<&Arc<str>> = levels.iter().flat_map(|level| &level.receivers).collect();
            hear(Event::Escalated, &receivers.into_iter().cloned().collect::<Vec<_>>());
        }
        next = next.min(at.max(now));
    }
    if needs_fallback(incident, circumstances) {
        hear(Event::Opened, &policy.fallback);
    }
    if dispatches.is_empty() {
        if next == Timestamp::MAX { Due::Never } else { Due::At(next) }
    } else {
        Due::Now(dispatches)
    }
}

/// When the opening or reopening of an incident is notified.
fn opening_at(incident: &Incident, policy: &AlertPolicy) -> Timestamp {
    let gathered = incident.began_at().after(policy.group_wait);
    damped_until(incident, policy).map_or(gathered, |until| until.max(gathered))
}

/// Until when the reopening of an incident is not notified, if it flaps.
pub(super) fn damped_until(incident: &Incident, policy: &AlertPolicy) -> Option<Timestamp> {
    let Flapping { after, window, damping } = policy.flapping;
    // As of the beginning: a later change of the window must not change the plan.
    let began_at = incident.began_at();
    let counted = incident.reopenings.iter().filter(|at| at.after(window) > began_at).count();
    (after > 0 && counted >= after).then_some(incident.notified_at?.after(damping))
}

/// The number of escalation levels that are due by `now`.
fn reached(incident: &Incident, policy: &AlertPolicy, now: Timestamp) -> usize {
    let Some(first) = incident.first_notified_at.filter(|_| !incident.acknowledged) else {
        return incident.escalations;
    };
    let due = policy.escalate.iter().take_while(|level| first.after(level.after) <= now).count();
    due.max(incident.escalations)
}

/// The receivers of further notifications of an incident.
fn audience(incident: &Incident, policy: &AlertPolicy) -> Vec<Arc<str>> {
    let mut audience = policy.receivers.clone();
    let levels = policy.escalate.iter().take(incident.escalations).flat_map(|level| &level.receivers);
    let fallback = policy.fallback.iter().filter(|name| incident.told.contains(*name));
    for name in levels.chain(fallback) {
        if !audience.contains(name) {
            audience.push(name.clone());
        }
    }
    audience
}

/// The next growth notification or reminder, and when it is due.
fn recurring(incident: &Incident, policy: &AlertPolicy) -> (Timestamp, Event) {
    let told = incident.notified_at.unwrap_or(incident.opened_at);
    if incident.muted {
        return (told, Event::Reminder);
    }
    let reminder = told.after(policy.repeat_interval);
    let growth = told.after(policy.group_interval);
    if has_grown(incident, policy) && growth <= reminder {
        (growth, Event::Grown)
    } else {
        (reminder, Event::Reminder)
    }
}

fn needs_fallback(incident: &Incident, circumstances: &Circumstances<'_>) -> bool {
    let fallback = &circumstances.policy.fallback;
    let unheard = fallback.iter().any(|name| !incident.told.contains(name));
    // A receiver that was removed from the configuration is neither reached nor failing.
    let audience = audience(incident, circumstances.policy);
    let others = || audience.iter().filter(|name| incident.told.contains(*name) && !fallback.contains(name));
    unheard && others().next().is_some() && others().all(|name| (circumstances.is_failing)(name))
}

/// Whether the incident has grown enough since the last notification, or has reached a step that was not
/// notified.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts far beyond 2^52 items are not met, and only a ratio is asked"
)]
pub(super) fn has_grown(incident: &Incident, policy: &AlertPolicy) -> bool {
    let larger = incident.count > incident.notified_count
        && incident.count as f64 >= incident.notified_count as f64 * policy.grow_factor;
    let told = &incident.notified_steps;
    larger || (told.len() < STEPS_TOLD_MAX && incident.by_step.keys().any(|step| !told.contains(step)))
}

fn tell(mut incident: Incident, dispatches: &[Dispatch], policy: &AlertPolicy, now: Timestamp) -> Incident {
    let begins = incident.first_notified_at.is_none();
    incident.escalations = reached(&incident, policy, now);
    incident.first_notified_at.get_or_insert(now);
    incident.notifications += 1;
    incident.told.extend(dispatches.iter().flat_map(|dispatch| dispatch.receivers.iter().cloned()));
    // Escalations and fallbacks do not postpone what the other receivers get.
    if begins || dispatches.iter().any(|dispatch| matches!(dispatch.event, Event::Grown | Event::Reminder)) {
        incident.muted = false;
        incident.notified_at = Some(now);
        incident.notified_count = incident.count;
        for step in incident.by_step.keys() {
            if incident.notified_steps.len() == STEPS_TOLD_MAX {
                break;
            }
            incident.notified_steps.insert(step.clone());
        }
    }
    incident
}
