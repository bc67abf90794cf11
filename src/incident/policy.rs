//! The notification policy: the life of an incident.
//!
//! Invariants:
//!
//! * An incident that holds items is told about once `group_wait` has passed since it began, if its workflow has
//!   receivers and nothing mutes it; otherwise as soon as that is so.
//! * Whoever was told that an incident is open is told of its end, through silence and snooze alike, and nobody else is.
//! * The end of an incident whose items are in trouble elsewhere is told after the beginning of the incident about that, as
//!   long as that is about to be told to anybody who is owed the end. If items come back meanwhile, it has not ended.
//! * An incident whose last item goes before `group_wait` has passed wakes nobody.
//! * An incident that begins anew within `group_interval` of its end goes on, and is told after `group_wait` like any
//!   other. One that flaps, having begun anew often enough within a window, is not told before `damping` has passed since
//!   the last notification: from then on it tells twice in that time at most. Damping ends by time alone, so one that
//!   stays open is told at the latest after `group_wait` and `damping`.
//! * A silence or a snooze holds back, it does not swallow: what is still open when it ends is told then.
//! * A decision never depends on how often it is asked for: asking again at the same instant with the same
//!   observation says nothing new.

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
    Became, Continuation, Event, Flapping, Incident, IncidentId, IncidentKey, IncidentKind, IncidentStatus,
    Missed, Timestamp,
};

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
    /// What was expected, where items are missed; then `count` is the number of windows, and the deadline the end of the
    /// first of them.
    pub missed: Option<Missed>,
    /// What became of those that have left since the incident began.
    pub became: Became,
}

/// What a decision depends on besides the items.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// What the workflow wants.
    pub policy: &'a AlertPolicy,
    /// Until when the silences hold that match the incident at an instant; nothing if none does then.
    pub silence: &'a dyn Fn(Timestamp) -> Option<Timestamp>,
    /// Where the items that left the incident are in trouble now, if they are. Matters only when none is left in it.
    pub successor: Option<&'a Successor>,
    /// Whether what was told last does not reach a receiver.
    pub is_failing: &'a dyn Fn(&str) -> bool,
    /// The present instant.
    pub now: Timestamp,
}

/// The incident in which the items of another are in trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Successor {
    /// It is about to be opened.
    Coming,
    /// It is open.
    Open {
        /// Which it is.
        continuation: Continuation,
        /// Whether somebody is told of it soon who is owed the end of the other; see [`is_awaited`].
        is_awaited: bool,
    },
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
    /// Whether the incident must be committed: it began, somebody is told, something is held back, or it is resolved.
    pub commit: bool,
    /// What is to be told; nobody is told two things.
    pub tellings: Vec<Telling>,
    /// When to decide again, if nothing happens until then.
    pub wake_at: Option<Timestamp>,
}

/// Decides about the incident of one key. `last` is the one that is open or was resolved last, if it is known; `id` names
/// a new one. Nothing follows when nothing is open and there is nothing to open for.
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
    if incident.became.is_some() {
        incident.became = Some(observation.became);
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

/// Whether people are about to be told that an incident is open who are owed the end of another, and have not been told
/// yet: its receivers, or those who stand in for them. `circumstances` are those of the one that is open.
pub fn is_awaited(successor: &Incident, ended: &Incident, circumstances: &Circumstances<'_>) -> bool {
    let Circumstances { policy, silence, now, .. } = *circumstances;
    let is_quiet = silence(now).is_some() || successor.snoozed_until.is_some_and(|until| until > now);
    let soon = if successor.first_notified_at.is_none() {
        &policy.receivers
    } else if needs_fallback(successor, circumstances) {
        // Those who stand in for who is not reached hear of it a moment after them.
        &policy.fallback
    } else {
        return false;
    };
    let is_owed = |receiver| ended.told.contains(receiver) && !successor.told.contains(receiver);
    successor.status == IncidentStatus::Open && !is_quiet && soon.iter().any(is_owed)
}

/// Until when a resolved incident is gone on with if its trouble comes back.
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
        became: matches!(key.kind, IncidentKind::Overdue | IncidentKind::Failed).then(Became::default),
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

/// Everybody was told of the end, so everybody is to be told of the beginning again. A snooze holds on: somebody wanted
/// quiet about just this.
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

/// Nothing is left of it.
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
        // Whatever changes about the other one has this decided again.
        return Decision { incident, commit, tellings: Vec::new(), wake_at: None };
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
    let mut tellings = Vec::new();
    if !receivers.is_empty() {
        incident.notified_at = Some(now);
        incident.notifications += 1;
        tellings.push(Telling { event: Event::Resolved, receivers });
    }
    Decision { incident, commit: true, tellings, wake_at: None }
}

fn go_on(incident: Incident, begins: bool, circumstances: &Circumstances<'_>) -> Decision {
    let Circumstances { policy, silence, now, .. } = *circumstances;
    let due = due(&incident, circumstances);
    if silence(now).is_some() || incident.snoozed_until.is_some() {
        // Somebody will hear of it when the quiet ends, unless it is over by then.
        let (muted, wake_at) = match due {
            Due::Now(_) => (true, None),
            Due::At(at) => (incident.muted, Some(at)),
            Due::Never => (incident.muted, None),
        };
        let wake_at = [wake_at, incident.snoozed_until].into_iter().flatten().min();
        let commit = begins || muted != incident.muted;
        return Decision { incident: Incident { muted, ..incident }, commit, tellings: Vec::new(), wake_at };
    }
    match due {
        Due::Now(tellings) => {
            let told = tell(incident, &tellings, policy, now);
            let wake_at = match self::due(&told, circumstances) {
                // Only with intervals of zero; a moment later is soon enough.
                Due::Now(_) => Some(now.after(Duration::from_secs(1))),
                Due::At(instant) => Some(instant),
                Due::Never => None,
            };
            Decision { incident: told, commit: true, tellings, wake_at }
        }
        Due::At(at) => Decision { incident, commit: begins, tellings: Vec::new(), wake_at: Some(at) },
        Due::Never => Decision { incident, commit: begins, tellings: Vec::new(), wake_at: None },
    }
}

pub(super) enum Due {
    Now(Vec<Telling>),
    At(Timestamp),
    /// Nobody can be told, so nobody counts as told: whoever is made a receiver later hears of it from its beginning.
    Never,
}

pub(super) fn due(incident: &Incident, circumstances: &Circumstances<'_>) -> Due {
    let Circumstances { policy, now, .. } = *circumstances;
    let Some(first_notified_at) = incident.first_notified_at else {
        let at = opening_at(incident, policy);
        return match &policy.receivers {
            receivers if receivers.is_empty() => Due::Never,
            _ if at > now => Due::At(at),
            receivers => Due::Now(vec![Telling { event: Event::Opened, receivers: receivers.clone() }]),
        };
    };
    let mut tellings = Vec::new();
    let mut next = Timestamp::MAX;
    let audience = audience(incident, policy);
    if !audience.is_empty() {
        let (at, event) = recurring(incident, policy);
        if at <= now {
            tellings.push(Telling { event, receivers: audience });
        } else {
            next = next.min(at);
        }
    }
    let mut hear = |event, receivers: &[Arc<str>]| {
        let heard = |receiver: &&Arc<str>| {
            !tellings.iter().any(|telling: &Telling| telling.receivers.contains(receiver))
        };
        let receivers: Vec<Arc<str>> = receivers.iter().filter(heard).cloned().collect();
        if !receivers.is_empty() {
            tellings.push(Telling { event, receivers });
        }
    };
    if !incident.acknowledged
        && let Some(level) = policy.escalate.get(incident.escalations)
    {
        let at = first_notified_at.after(level.after);
        if at <= now {
            // Those above who are due as well, after a silence or a downtime, hear of it together.
            let levels = &policy.escalate[incident.escalations..reached(incident, policy, now)];
            let receivers: BTreeSet<&Arc<str>> = levels.iter().flat_map(|level| &level.receivers).collect();
            hear(Event::Escalated, &receivers.into_iter().cloned().collect::<Vec<_>>());
        }
        next = next.min(at.max(now));
    }
    if needs_fallback(incident, circumstances) {
        hear(Event::Opened, &policy.fallback);
    }
    if tellings.is_empty() {
        if next == Timestamp::MAX { Due::Never } else { Due::At(next) }
    } else {
        Due::Now(tellings)
    }
}

/// When people are told that an incident is open which they have not heard of since it began.
fn opening_at(incident: &Incident, policy: &AlertPolicy) -> Timestamp {
    let gathered = incident.began_at().after(policy.group_wait);
    damped_until(incident, policy).map_or(gathered, |until| until.max(gathered))
}

/// Until when an incident is not told that it began anew, if it flaps.
pub(super) fn damped_until(incident: &Incident, policy: &AlertPolicy) -> Option<Timestamp> {
    let Flapping { after, window, damping } = policy.flapping;
    // As it was when it began: what becomes of the window later must not change what was planned.
    let began_at = incident.began_at();
    let counted = incident.reopenings.iter().filter(|at| at.after(window) > began_at).count();
    (after > 0 && counted >= after).then_some(incident.notified_at?.after(damping))
}

/// How many levels of escalation are due by `now`.
fn reached(incident: &Incident, policy: &AlertPolicy, now: Timestamp) -> usize {
    let Some(first) = incident.first_notified_at.filter(|_| !incident.acknowledged) else {
        return incident.escalations;
    };
    let due = policy.escalate.iter().take_while(|level| first.after(level.after) <= now).count();
    due.max(incident.escalations)
}

/// Whom news of an incident that was told already concern.
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

/// What is told next if nothing else happens, and when.
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
    // Who was taken out of the configuration is neither reached nor failing.
    let audience = audience(incident, circumstances.policy);
    let others = || audience.iter().filter(|name| incident.told.contains(*name) && !fallback.contains(name));
    unheard && others().next().is_some() && others().all(|name| (circumstances.is_failing)(name))
}

/// Whether it is so much larger than what was told last, or has reached a step that was not told, that people should
/// know.
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

fn tell(mut incident: Incident, tellings: &[Telling], policy: &AlertPolicy, now: Timestamp) -> Incident {
    let begins = incident.first_notified_at.is_none();
    incident.escalations = reached(&incident, policy, now);
    incident.first_notified_at.get_or_insert(now);
    incident.notifications += 1;
    incident.told.extend(tellings.iter().flat_map(|telling| telling.receivers.iter().cloned()));
    // What only others hear, by escalation or as a fallback, does not put off what everybody is to hear.
    if begins || tellings.iter().any(|telling| matches!(telling.event, Event::Grown | Event::Reminder)) {
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
