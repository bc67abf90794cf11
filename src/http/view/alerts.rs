//! Incidents, deliveries and silences as clients are shown them.

use warden_api::alert::{Action, Attempt, Became, Missed};
use warden_api::word::ActionWord;

use super::{shown, told};
use crate::incident::Outlook;
use crate::model::{self, ActionKind, Delivery, DeliveryStatus, Incident, Moment, Silence, Zone};

/// An incident, and what besides it is shown of it.
pub struct IncidentFacts {
    /// The incident.
    pub incident: Incident,
    /// When people are told of it next.
    pub outlook: Outlook,
    /// The time zone in which they think of its workflow.
    pub zone: Option<Zone>,
    /// At which moment it is shown.
    pub moment: Moment,
}

impl From<IncidentFacts> for warden_api::Incident {
    fn from(facts: IncidentFacts) -> Self {
        let IncidentFacts { incident, outlook, zone, moment } = facts;
        let at = |steady| told(steady, moment);
        Self {
            id: incident.id.0,
            workflow: incident.key.workflow.into(),
            kind: incident.key.kind.into(),
            group: incident.key.group,
            status: incident.status.into(),
            severity: incident.severity.into(),
            opened_at: at(incident.opened_at),
            reopened_at: incident.reopened_at.map(at),
            resolved_at: incident.resolved_at.map(at),
            count: incident.count,
            peak: incident.peak,
            oldest_deadline: incident.oldest_deadline.map(at),
            became: incident.became.map(became),
            continued_in: incident.continued_in.map(|continuation| continuation.incident.0),
            by_step: incident.by_step,
            missed: incident.missed.map(|found| missed(found, zone, moment)),
            notified_at: incident.notified_at.map(at),
            next_told_at: outlook.next_told_at.map(at),
            waiting_for: outlook.waiting_for.map(Into::into),
            told: incident.told.into_iter().collect(),
            escalations: incident.escalations,
            acknowledged: incident.acknowledged,
            snoozed_until: incident.snoozed_until.map(at),
            actions: incident.actions.into_iter().map(|done| action(done, moment)).collect(),
        }
    }
}

fn became(became: model::Became) -> Became {
    let model::Became { closed, discarded, extended, failed, retried, moved } = became;
    let some = |count: u64| Some(count).filter(|count| *count > 0);
    Became { closed, discarded, extended, failed, retried: some(retried), moved: some(moved) }
}

fn missed(missed: model::Missed, zone: Option<Zone>, moment: Moment) -> Missed {
    let timezone = zone.map(|zone| Zone::name(zone).into());
    let model::Missed { expected_at, since, windows, wanted, created, unobserved, .. } = missed;
    let (expected_at, since) = (warden_api::WallTime::read(expected_at), told(since, moment));
    Missed { expected_at, timezone, since, windows, wanted, created, unobserved }
}

fn action(action: model::Action, moment: Moment) -> Action {
    let (word, until) = match action.kind {
        ActionKind::Acknowledge => (ActionWord::Acknowledge, None),
        ActionKind::Snooze { until } => (ActionWord::Snooze, Some(told(until, moment))),
        ActionKind::Comment => (ActionWord::Comment, None),
    };
    let at = told(action.at, moment);
    Action { action: word.into(), by: action.by, at, comment: action.comment, until }
}

/// A delivery, and how it is shown.
pub struct DeliveryFacts {
    /// The delivery.
    pub delivery: Delivery,
    /// Whether what the receiver answered is left out: it may tell of more than the workflows that a token is limited to.
    pub is_limited: bool,
    /// At which moment it is shown.
    pub moment: Moment,
}

impl From<DeliveryFacts> for warden_api::Delivery {
    fn from(facts: DeliveryFacts) -> Self {
        let DeliveryFacts { mut delivery, is_limited, moment } = facts;
        let at = |steady| told(steady, moment);
        if is_limited {
            for attempt in &mut delivery.attempts {
                attempt.answer = None;
                if let (Some(status), Some(_)) = (attempt.status, &attempt.error) {
                    attempt.error = Some(format!("it answered {status}"));
                }
            }
        }
        Self {
            id: delivery.id.0,
            incident: delivery.incident.0,
            receiver: delivery.receiver,
            event: delivery.event.into(),
            sequence: delivery.sequence,
            status: delivery.status.into(),
            created_at: at(delivery.created_at),
            resent_at: delivery.resent_at.map(at),
            attempts_made: delivery.attempts_made,
            next_attempt_at: (delivery.status == DeliveryStatus::Pending)
                .then_some(at(delivery.next_attempt_at)),
            attempts: delivery.attempts.into_iter().map(|made| attempt(made, moment)).collect(),
        }
    }
}

/// One try of a delivery.
pub fn attempt(attempt: model::Attempt, moment: Moment) -> Attempt {
    let model::Attempt { at, status, latency_ms, error, answer } = attempt;
    Attempt { at: told(at, moment), status, latency_ms, error, answer }
}

/// A silence, as it stands at this moment.
pub struct SilenceFacts(pub Silence, pub Moment);

impl From<SilenceFacts> for warden_api::Silence {
    fn from(SilenceFacts(silence, moment): SilenceFacts) -> Self {
        Self {
            status: silence.status(moment).into(),
            id: silence.id.0,
            workflow: silence.workflow,
            kind: silence.kind.map(Into::into),
            labels: silence.labels,
            starts_at: shown(silence.starts_at, moment),
            ends_at: shown(silence.ends_at, moment),
            author: silence.author,
            comment: silence.comment,
            created_at: told(silence.created_at, moment),
        }
    }
}
